/**
 * Tests the package for npm as its users have it: built, packed, installed, and run through the tests of mounts on
 * every runtime that it is for.
 *
 *     deno run -A scripts/npm/test.ts [RUNTIME...]
 *
 * @module
 */
import { type RuntimeName, runtimes } from "./runtimes.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** What stands on the real kernel, through the runtime's own C library. */
const TESTS = [
  "tests/ffi",
  "tests/mount",
  "tests/protocol",
  "tests/passthrough/kernel_test.ts",
  "tests/passthrough/rules_test.ts",
  "tests/kit/memory_test.ts",
  "tests/kit/mirror_test.ts",
];

async function run(...args: string[]): Promise<boolean> {
  return (await new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stdin: "null" }).spawn().status).success;
}

/** Builds and packs the package in a folder; the path of its tarball. */
async function packed(folder: string): Promise<string> {
  if (!await run("run", "-A", "scripts/dev.ts", "run", "-A", "scripts/build_npm.ts", `${folder}/npm`)) {
    throw new Error("the package cannot be built: see above");
  }
  const pack: Deno.CommandOptions = { args: ["pack", "--silent", "./npm"], cwd: folder, stderr: "inherit" };
  const { success, stdout } = await new Deno.Command("npm", pack).output();
  if (!success) throw new Error("npm pack failed: see above");
  return `${folder}/${new TextDecoder().decode(stdout).trim()}`;
}

const folder = await Deno.makeTempDir({ prefix: "fusewire-npm-" });
try {
  const tarball = await packed(folder);
  const programs = await runtimes();
  const names = Deno.args.length > 0 ? Deno.args as RuntimeName[] : Object.keys(programs) as RuntimeName[];
  for (const name of names) {
    console.log(`--- ${name}`);
    if (!await run("run", "-A", "scripts/runtimes/test.ts", `--package=${tarball}`, programs[name], ...TESTS)) {
      console.error(`failed on ${name}`);
      Deno.exitCode = 1;
    }
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
