/**
 * Runs tests on Node or Bun: the sources as JavaScript, or a package in their place.
 *
 *     deno run -A scripts/runtimes/test.ts [--package=TARBALL] [--to=FOLDER] PROGRAM [TEST...]
 *
 * PROGRAM is `node`, `bun` or the path of one. A TEST is a file or a folder of `tests/`; unless told all but those of
 * the project's own scripts, which are for Deno. With a package, such as `npm pack` makes, the tests import that: its
 * entry points by name, what lies behind them by path. A FOLDER is kept, with what npm installed there; without one it
 * is all taken away in the end.
 *
 * @module
 */
import { basename, resolve } from "node:path";
import { atOnce } from "../at_once.ts";
import { translate } from "./translate.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** Runs a command, with what it says; whether it succeeded. */
async function run(cwd: string, ...[program, ...args]: string[]): Promise<boolean> {
  return (await new Deno.Command(program, { args, cwd, stdin: "null" }).spawn().status).success;
}

/** The test files at a path. */
async function testsAt(path: string): Promise<string[]> {
  if (!(await Deno.stat(`${ROOT}${path}`)).isDirectory) return [path];
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(`${ROOT}${path}`)) {
    if (isDirectory) found.push(...await testsAt(`${path}/${name}`));
    else if (name.endsWith("_test.ts")) found.push(`${path}/${name}`);
  }
  return found.sort();
}

const options = new Map<string, string>();
const words: string[] = [];
for (const word of Deno.args) {
  const option = /^--(package|to)=(.*)$/.exec(word);
  if (option) options.set(option[1], option[2]);
  else words.push(word);
}
const [program, ...wanted] = words;
if (program === undefined || program.startsWith("-")) {
  console.error("usage: test.ts [--package=TARBALL] [--to=FOLDER] PROGRAM [TEST...]");
  Deno.exit(2);
}
const packed = options.get("package");
const folder = options.get("to") ?? await Deno.makeTempDir({ prefix: "fusewire-tests-" });
// Ordinary users of the tests read it as well.
await Deno.chmod(folder, 0o755);
try {
  const { name, imports } = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));
  const installed = await Deno.stat(`${folder}/node_modules`).then(() => true, () => false);
  await translate(ROOT, folder, packed === undefined ? undefined : name);
  await Deno.writeTextFile(`${folder}/package.json`, JSON.stringify({ type: "module", private: true }));
  if (!installed) {
    const of = (dependency: string) => imports[dependency].slice("npm:".length);
    const dependencies = [of("fast-check"), packed === undefined ? of("koffi") : resolve(packed)];
    if (!await run(folder, "npm", "install", "--no-audit", "--no-fund", ...dependencies)) {
      throw new Error("npm install failed: see above");
    }
  }
  const all = async () => (await testsAt("tests")).filter((test) => !test.startsWith("tests/scripts/"));
  const tests = wanted.length > 0 ? (await Promise.all(wanted.map(testsAt))).flat() : await all();
  const flag = basename(program).startsWith("bun") ? "test" : "--test";
  // A process for each, so that what one leaves open is not counted in the next.
  const done = await atOnce(tests.map((test) => ({
    name: test,
    command: [program, flag, `./${test.replace(/\.ts$/, ".js")}`],
    cwd: folder,
  })));
  const failed = done.filter(({ success }) => !success).length;
  console.log(`${tests.length} test files, ${failed} failed.`);
  if (failed > 0) Deno.exitCode = 1;
} finally {
  if (!options.has("to")) await Deno.remove(folder, { recursive: true });
}
