/**
 * Runs the conformance map on a folder. The process that serves it must be another one.
 *
 *     deno run --allow-ffi tests/posix/run.ts FOLDER [--json] [--filter=REGEXP] [--options=JSON]
 *
 * `--options` is what `runCases` takes: skip, lacks, space, quota. Prints what failed and how many cases and assertions
 * there were, or with `--json` one line per case; exits with 1 where one failed.
 *
 * @module
 */
import process from "node:process";
import { posixCases, runCases, type RunOptions } from "../../testing.ts";

const [dir, ...flags] = process.argv.slice(2);
const value = (name: string) => flags.find((flag) => flag.startsWith(`--${name}=`))?.slice(name.length + 3);
const json = flags.includes("--json"), filter = value("filter");
const counts = { ok: 0, failed: 0, skipped: 0 };
let assertions = 0;
await runCases(posixCases, dir, {
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
