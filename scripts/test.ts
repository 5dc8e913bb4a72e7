/**
 * Runs the tests, each folder of them in a process of its own, and some at once.
 *
 *     deno task test [PATH...]
 *
 * A PATH is a file or a folder; unless told all of `tests/`.
 *
 * @module
 */
import { atOnce } from "./at_once.ts";

/** What takes longest begins first, so that no processor waits for it in the end. */
const LONGEST = ["tests/programs", "tests/differential", "tests/posix", "tests/examples", "tests/scripts"];

/** What is in a folder and has tests. */
async function partsOf(folder: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(folder));
  return entries.filter(({ isDirectory, name }) => isDirectory || name.endsWith("_test.ts"))
    .map(({ name }) => `${folder}/${name}`).sort();
}

const all = async () => [...new Set([...LONGEST, ...await partsOf("tests")])];
const parts = Deno.args.length > 0 ? Deno.args : await all();
const begun = Date.now();
const done = await atOnce(parts.map((part) => ({
  name: part,
  // A folder of what tests use has none itself. `deno task check` is what looks at types.
  command: [Deno.execPath(), "test", "-A", "--no-check", "--permit-no-files", part],
})));

/** The sum of what the parts counted of something, in their last line. */
function sum(what: string): number {
  const counted = new RegExp(`\\| (\\d+) ${what}\\b`, "g");
  return done.reduce((sum, { said }) => sum + Number([...said.matchAll(counted)].at(-1)?.[1] ?? 0), 0);
}

const failed = done.filter(({ success }) => !success).map(({ name }) => name);
const minutes = ((Date.now() - begun) / 60_000).toFixed(1);
console.log(`${sum("passed")} passed, ${sum("failed")} failed, ${sum("ignored")} ignored, in ${minutes} min`);
if (failed.length > 0) {
  console.log(`failed: ${failed.join(" ")}`);
  Deno.exit(1);
}
