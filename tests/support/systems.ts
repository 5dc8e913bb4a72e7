/** The file systems that programs and random operations are tried on: each an example, in a process of its own. */
import { mkdir } from "node:fs/promises";
import { must, type Running, startExample, tempDir } from "./harness.ts";

/** One of them. */
export interface System {
  readonly name: string;
  /** Starts it for all users; a mirror shows the source. */
  start(mountpoint: string, source: string): Promise<Running>;
}

const mirror = (...flags: string[]): System["start"] => (mountpoint, source) =>
  startExample("passthrough", [source, mountpoint, ...flags, "--allow-other"]);

/** In memory; a directory once more, its data moved by the kernel where it may; the same through the session. */
export const SYSTEMS: readonly System[] = [
  { name: "memory", start: (mountpoint) => startExample("memory", [mountpoint, "--allow-other"]) },
  { name: "mirror with passthrough", start: mirror() },
  { name: "mirror without passthrough", start: mirror("--no-passthrough") },
];

/** A running system. */
export interface Served extends AsyncDisposable {
  readonly server: Running;
  /** Where it is mounted. */
  readonly mountpoint: string;
  /** An empty folder of the native file system, the one that a mirror shows a part of. */
  readonly outside: string;
  /** The folder that a mirror shows. */
  readonly source: string;
}

/**
 * Starts a system. The native file system is a tmpfs, which is the same on every machine, and quick; or
 * what the temporary folders lie on, as a rule a disk.
 */
export async function serve(system: System, native: "tmpfs" | "disk"): Promise<Served> {
  const folder = await tempDir();
  if (native === "tmpfs") {
    await must(["mount", "-t", "tmpfs", "-o", "mode=755", "fusewire-test", folder.path]);
  }
  const [source, outside, mountpoint] = ["source", "outside", "mnt"].map((name) => folder.join(name));
  for (const path of [source, outside, mountpoint]) await mkdir(path);
  const server = await system.start(mountpoint, source);
  return {
    server,
    mountpoint,
    outside,
    source,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
