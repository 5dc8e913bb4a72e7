/** Runs the cases in `cases/`: Python, since it makes system calls that the shell and this runtime do not. */
import { assert } from "@std/assert";
import fs from "node:fs/promises";
import process from "node:process";
import { run, type TempDir, type TestContext } from "../support/harness.ts";

/** What the cases need of the machine. */
export const PROGRAMS = [
  "root",
  "fuse",
  ...["python3", "git", "rsync", "setfattr", "setfacl", "sqlite3", "gcc", "fallocate", "flock"].map((name) =>
    `tool:${name}` as const
  ),
] as const;

// The system's programs first: ordinary users may not reach what root has installed for itself.
const PATH = `/usr/sbin:/usr/bin:/sbin:/bin:${process.env.PATH}`;

/** What the cases and the programs that they run find in their environment. */
export const env: Record<string, string> = { PATH, LC_ALL: "C.UTF-8", PYTHONDONTWRITEBYTECODE: "1" };

/** The checkout, with a slash at its end. */
export const ROOT: string = new URL("../..", import.meta.url).pathname;

/**
 * Another name for this runtime, in a folder. node:child_process, by which programs are started, takes a command with
 * the runtime's own name in it for one of Node, and grants it every permission.
 */
export async function runtimeIn(dir: TempDir): Promise<string> {
  await fs.symlink(process.execPath, dir.join("runtime"));
  return dir.join("runtime");
}

/** How cases are run. */
export interface StepOptions {
  /** Makes the command one of another user or place. */
  through?: (command: readonly string[]) => string[];
  /** Where the checkout is then. */
  root?: string;
  timeout?: number;
}

interface Line {
  begin?: string;
  end?: string;
  error?: string;
  skipped?: string;
}

/** Runs `cases/NAME.py ARGS`; each case is a step of the test. */
export async function steps(
  t: TestContext,
  name: string,
  args: readonly string[],
  { through = (command) => [...command], root = ROOT, timeout = 120_000 }: StepOptions = {},
): Promise<void> {
  const command = through(["python3", `${root}tests/examples/cases/${name}.py`, ...args]);
  const { stdout, stderr, code } = await run(command, { env, timeout });
  const lines = stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line) as Line);
  for (const { end, error, skipped } of lines) {
    if (end === undefined) continue;
    await t.step({
      name: end + (skipped === undefined ? "" : ` (skipped: ${skipped})`),
      ignore: skipped !== undefined,
      sanitizeOps: false,
      sanitizeResources: false,
      fn() {
        if (error !== undefined) throw new Error(error);
      },
    });
  }
  const ended = lines.at(-1);
  assert(code === 0 && ended?.end !== undefined, `${name}.py ended with ${code} in "${ended?.begin}":\n${stderr}`);
}
