/**
 * Runs the conformance map on a folder. The process that serves it must be another one.
 *
 *     deno run --allow-ffi tests/posix/run.ts FOLDER [--json] [--filter=REGEXP] [--options=JSON]
 *     deno run --allow-ffi tests/posix/run.ts FOLDER --faults=WHERE [--source=FOLDER] [--json] [--filter=REGEXP]
 *     deno run --allow-ffi tests/posix/run.ts FOLDER --image=FILE --native=FOLDER [--json]
 *
 * `--options` is what `runCases` takes: skip, lacks, space, quota, crowded. `--faults` runs the cases about faults
 * instead, for a faulty file system, a mirror of that at the source, or a faulty one with a writeback cache; with
 * `--image` those about a device that fails. Prints what failed and how many cases and assertions there were, or with
 * `--json` one line per case; exits with 1 where one failed.
 *
 * @module
 */
import process from "node:process";
import { deviceCases } from "./device_cases.ts";
import { faultCases, type Where, writebackCases } from "./fault_cases.ts";
import { type Cases, posixCases, runCases, type RunOptions } from "../../testing.ts";

const [dir, ...flags] = process.argv.slice(2);
const value = (name: string) => flags.find((flag) => flag.startsWith(`--${name}=`))?.slice(name.length + 3);
const json = flags.includes("--json"), filter = value("filter");
const faults = value("faults");
const image = value("image");

function chosen(): Cases {
  if (image !== undefined) return deviceCases(image, value("native")!);
  if (faults === undefined) return posixCases;
  return faults === "writeback" ? writebackCases : faultCases(faults as Where, value("source"));
}

const counts = { ok: 0, failed: 0, skipped: 0 };
let assertions = 0;
await runCases(chosen(), dir, {
  ...JSON.parse(value("options") ?? "{}") as RunOptions,
  filter: filter === undefined ? undefined : new RegExp(filter),
  log(outcome) {
    counts[outcome.result]++;
    assertions += outcome.assertions;
    if (json) console.log(JSON.stringify(outcome));
    else if (outcome.result !== "ok") console.log(`${outcome.result}: ${outcome.name}: ${outcome.message}`);
  },
});
if (!json) console.log(`${counts.ok} ok, ${counts.failed} failed, ${counts.skipped} skipped; ${assertions} assertions`);
process.exitCode = counts.failed > 0 ? 1 : 0;
