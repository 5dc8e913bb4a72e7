/** The system calls on a file system itself: no kernel, no mount, no permissions but its own. */
import { errnoOf } from "../errno.ts";
import type { Connection, Filesystem } from "../fs/filesystem.ts";
import { Calls } from "./in_process/calls.ts";
import { Skipped } from "./place.ts";
import type { Sys } from "./sys.ts";

/** What a file system is told at its beginning: nothing was agreed on, and there is nobody to notify. */
export function begin(fs: Filesystem): void {
  const nobody = new Proxy({} as Connection["notify"], { get: () => () => Promise.resolve() });
  fs.init?.({
    negotiated: {
      major: 7,
      minor: 45,
      flags: new Set(),
      maxWrite: 1 << 20,
      maxReadahead: 1 << 20,
      maxPages: 256,
      timeGran: 1,
      maxStackDepth: 0,
    },
    notify: nobody,
    passthrough: {
      unavailable: "there is no kernel",
      register() {
        throw new Skipped("a backing file needs a mount");
      },
      stats: () => ({ registered: 0, closed: 0, open: 0, fallbacks: {}, reasons: {} }),
    },
  });
}

/**
 * The calls on a folder of a file system, which has to answer in the same turn. What takes a kernel (mappings, locks,
 * pipes, other processes) skips the case that asks for it.
 */
export function inProcess(fs: Filesystem, folder: string): Sys {
  const calls = new Calls(fs, folder);
  return new Proxy({} as Sys, {
    get: (_, name: string) => {
      const call = (calls as any)[name];
      if (call === undefined) throw new Skipped(`${name} needs a kernel`);
      if (name === "as") return call.bind(calls);
      return (...args: unknown[]) => {
        try {
          return call.apply(calls, args);
        } catch (error) {
          if (error instanceof Skipped) throw error;
          const errno = errnoOf(error);
          if (errno === 0) throw error;
          return -errno;
        }
      };
    },
  });
}
