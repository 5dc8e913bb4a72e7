/** The conformance map as a test: in a child process, since a mount must not be touched by who serves it. */
import { assert } from "@std/assert";
import {
  command,
  type Result,
  run,
  type Running,
  skipped,
  startReady,
  type TempDir,
  type TestContext,
} from "../support/harness.ts";
import { ordinaryPlace, type Place } from "../support/ordinary.ts";
import { type Case, type Cases, type Need, type Outcome, posixGroups, type RunOptions } from "../../testing.ts";
import type { Limited } from "./btrfs.ts";
import { deviceCases } from "./device_cases.ts";
import type { Known } from "./exceptions.ts";
import { faultCases, type Where, writebackCases } from "./fault_cases.ts";

/** What the file system under test cannot do, and what it is told. */
export interface Conditions extends Pick<RunOptions, "lacks" | "space" | "quota" | "crowded"> {
  /** Who runs the cases; root unless told. */
  readonly uid?: number;
  /** Where that user runs them, and the folder is seen; a place of their own unless told. */
  readonly place?: Place;
  /** Only the cases whose name matches. */
  readonly filter?: string;
  /** The cases about faults instead of the map: where, and the faulty file system that is seen there. */
  readonly faults?: { readonly where: Where | "writeback"; readonly source?: string };
  /** The cases about a device that fails instead: its image, and where the file system on it is mounted. */
  readonly device?: { readonly image: string; readonly native: string };
  /** What is known of it, which has to be so; where it is absent, no case may fail. */
  readonly known?: Known;
}

/** Needs that conditions tell. */
const TOLD: { readonly [N in Need]?: keyof RunOptions } = {
  "space": "space",
  "quota": "quota",
  "many names": "crowded",
};

/** Whether conditions are there for a case, so that it must run. */
function isMeant({ needs = [] }: Case, conditions: Conditions): boolean {
  if (conditions.faults !== undefined || conditions.device !== undefined) return true;
  if (needs.some((need) => conditions.lacks?.includes(need))) return false;
  return needs.some((need) => need in TOLD && conditions[TOLD[need] as keyof Conditions] !== undefined);
}

/** The cases that are meant, in groups. */
function groupsOf({ faults, device }: Conditions): Readonly<Record<string, Cases>> {
  if (device !== undefined) return { device: deviceCases(device.image, device.native) };
  if (faults === undefined) return posixGroups;
  return { faults: faults.where === "writeback" ? writebackCases : faultCases(faults.where) };
}

/**
 * Runs the map on a folder. Each group of cases is a step of the test, which fails with the list of its failing cases;
 * what became of all is answered.
 */
export async function conforms(t: TestContext, dir: string, conditions: Conditions = {}): Promise<readonly Outcome[]> {
  const { uid, place, filter, known, faults, device, ...options } = conditions;
  const words = [dir, "--json", `--options=${JSON.stringify(options)}`, `--filter=${filter ?? ""}`];
  if (faults !== undefined) words.push(`--faults=${faults.where}`);
  if (faults?.source !== undefined) words.push(`--source=${faults.source}`);
  if (device !== undefined) words.push(`--image=${device.image}`, `--native=${device.native}`);
  const { stdout, stderr } = uid === undefined
    ? await run(command("./run.ts", import.meta.url, ...words), { timeout: 300_000 })
    : await runAs(uid, words, place);
  const outcomes = new Map(
    stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line) as Outcome).map((
      outcome,
    ) => [outcome.name, outcome]),
  );
  const groups = groupsOf(conditions);
  for (const [group, cases] of Object.entries(groups)) {
    const wanted = Object.keys(cases).filter((name) => filter === undefined || new RegExp(filter).test(name));
    const ran = wanted.map((name) => outcomes.get(name)).filter((outcome) => outcome !== undefined);
    if (wanted.length === 0) continue;
    const assertions = ran.reduce((sum, outcome) => sum + outcome.assertions, 0);
    const skipped = ran.filter(({ result }) => result === "skipped").length;
    const counts = `${ran.length - skipped} cases, ${skipped} skipped, ${assertions} assertions`;
    const wrong = ran.flatMap(({ name, result, message }) => {
      const reason = known?.exceptions[name], silence = known?.skipped?.[name];
      if (result === "failed") return reason === undefined ? [`${name}: ${message}`] : [];
      if (result === "ok") return reason ?? silence ? [`${name}: passes, against ${reason ?? silence}`] : [];
      // Other tests see to the cases about limits.
      const expected = silence !== undefined || !isMeant(cases[name], conditions) &&
          (known?.skipped === undefined || /^needs (space|((user )?quota(, )?)+|many names)$/.test(message!));
      return expected ? [] : [`${name}: is skipped: ${message}`];
    });
    await t.step({
      name: `${group}: ${counts}`,
      sanitizeOps: false,
      sanitizeResources: false,
      fn() {
        assert(ran.length === wanted.length, `it ended after ${ran.length} of ${wanted.length} cases:\n${stderr}`);
        assert(wrong.length === 0, wrong.join("\n"));
      },
    });
  }
  return [...outcomes.values()];
}

/** Runs the cases about quotas on a folder where one holds for all users together. */
export function quotaConforms(t: TestContext, dir: string, { quota }: Limited): Promise<readonly Outcome[]> {
  return conforms(t, dir, { quota, lacks: ["user quota"], filter: "EDQUOT" });
}

/** A skipped step that says why. */
export const noBtrfs = (t: TestContext): Promise<void> => skipped(t, "this kernel mounts no btrfs");

/** Serves a file system of the kit at a folder, in a process of its own, as `serve.ts` takes it. */
export function serve(
  dir: TempDir,
  kind: string,
  options: Readonly<Record<string, unknown>> = {},
  mountOptions: Readonly<Record<string, unknown>> = {},
): Promise<Running> {
  const [made, mounted] = [options, mountOptions].map((value) => JSON.stringify(value));
  return startReady(command("./serve.ts", import.meta.url, dir.path, kind, made, mounted));
}

/** Runs the map as an ordinary user, who may not read what root has for itself: this runtime, or the checkout. */
async function runAs(uid: number, words: string[], shared?: Place): Promise<Result> {
  await using own = shared === undefined ? await ordinaryPlace() : null;
  const place = shared ?? own!;
  return await run(place.asUser(command("./run.ts", import.meta.url, ...words), uid), { timeout: 300_000 });
}
