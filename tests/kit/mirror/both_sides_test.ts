/** The example's mirror and its source, as root and as an ordinary user. */
import { assert, assertEquals } from "@std/assert";
import { mkdir } from "node:fs/promises";
import type { Outcome } from "../../../testing.ts";
import { ORDINARY, ordinaryPlace } from "../../support/ordinary.ts";
import {
  command,
  invocation,
  run,
  startExample,
  startReady,
  tempDir,
  test,
  type TestContext,
} from "../../support/harness.ts";
import { bothSides } from "./both_sides.ts";

const options = { needs: ["root", "fuse"], sanitize: false, timeout: 300_000 } as const;

/** Runs the cases by a command; each is a step of the test. */
async function hold(t: TestContext, command: readonly string[]): Promise<void> {
  const { stdout, stderr } = await run(command, { timeout: 180_000 });
  const outcomes = stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line) as Outcome);
  for (const { name, result, message } of outcomes) {
    await t.step({
      name: result === "skipped" ? `${name} (skipped: ${message})` : name,
      ignore: result === "skipped",
      sanitizeOps: false,
      sanitizeResources: false,
      fn: () => assert(result === "ok", message),
    });
  }
  assertEquals(outcomes.map(({ name }) => name), Object.keys(bothSides("")), stderr);
}

for (const [how, flags] of [["with passthrough", []], ["without passthrough", ["--no-passthrough"]]] as const) {
  test(`mirror ${how}: both sides`, options, async (t) => {
    await using dir = await tempDir();
    const [source, mnt] = ["source", "mnt"].map((name) => dir.join(name));
    for (const path of [source, mnt]) await mkdir(path);
    await using _server = await startExample("passthrough", [source, mnt, "--allow-other", ...flags]);
    await hold(t, command("./both_sides_run.ts", import.meta.url, mnt, source));
  });
}

test("mirror, served by an ordinary user: both sides", { ...options, needs: ORDINARY }, async (t) => {
  await using place = await ordinaryPlace();
  const [source, mnt] = [await place.folder("source"), await place.folder("mnt")];
  const program = (path: string, ...args: string[]) =>
    place.asUser([place.deno, ...invocation(place.root + path, ...args)]);
  await using _server = await startReady(program("examples/passthrough.ts", source, mnt));
  await hold(t, program("tests/kit/mirror/both_sides_run.ts", mnt, source));
});
