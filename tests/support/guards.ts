/** The guards that run, as `/proc` shows them. */
import fs from "node:fs/promises";
import { decodeName } from "../../src/abi/text.ts";

/** The two shells of a guard. */
export interface Shells {
  /** Waits on the pipe. */
  readonly pid: number;
  /** Keeps watch for it, once it knows its mount. */
  readonly watch?: number;
}

/** What `/proc/PID/stat` says behind the name: state, parent, group, session and so on. */
export function fields(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** The guards of a path. */
export async function guards(path: string): Promise<Shells[]> {
  const parents = new Map<number, number>();
  for (const name of await fs.readdir("/proc")) {
    const line = /^\d+$/.test(name) && await fs.readFile(`/proc/${name}/cmdline`).catch(() => undefined);
    if (!line || !decodeName(line).includes(`\0fusewire-guard\0${path}\0`)) continue;
    const stat = await fs.readFile(`/proc/${name}/stat`, "utf8").catch(() => undefined);
    if (stat !== undefined) parents.set(Number(name), Number(fields(stat)[1]));
  }
  // What a shell is about to run has the shell's own words for a moment.
  const children = (pid: number) => [...parents.keys()].filter((child) => parents.get(child) === pid);
  const first = [...parents.keys()].filter((pid) => !parents.has(parents.get(pid)!));
  return first.map((pid) => ({ pid, watch: children(pid).at(0) }));
}
