/** The file systems that programs and random operations are tried on: each an example, in a process of its own. */
import { mkdir } from "node:fs/promises";
import { type Example, run, startExample, tempDir } from "./harness.ts";

/** One of them. */
export interface System {
  readonly name: string;
  readonly example: "memory" | "passthrough";
  readonly flags: readonly string[];
}

/** In memory; a directory once more, its data moved by the kernel where it may; the same through the session. */
export const SYSTEMS: readonly System[] = [
  { name: "memory", example: "memory", flags: [] },
  { name: "mirror with passthrough", example: "passthrough", flags: [] },
  { name: "mirror without passthrough", example: "passthrough", flags: ["--no-passthrough"] },
];

/** A running system. */
export interface Served extends AsyncDisposable {
  readonly server: Example;
  /** Where it is mounted. */
  readonly mountpoint: string;
  /** An empty folder of the native file system, the one that a mirror shows a part of. */
  readonly outside: string;
}

/**
 * Starts a system for all users. The native file system is a tmpfs, which is the same on every machine, and quick; or
 * what the temporary folders lie on, as a rule a disk.
 */
export async function serve({ example, flags }: System, native: "tmpfs" | "disk"): Promise<Served> {
  const folder = await tempDir();
  if (native === "tmpfs") {
    const { code, stderr } = await run(["mount", "-t", "tmpfs", "-o", "mode=755", "fusewire-test", folder.path]);
    if (code !== 0) throw new Error(stderr);
  }
  const [source, outside, mountpoint] = ["source", "outside", "mnt"].map((name) => folder.join(name));
  for (const path of [source, outside, mountpoint]) await mkdir(path);
  const folders = example === "memory" ? [mountpoint] : [source, mountpoint];
  const server = await startExample(example, [...folders, ...flags, "--allow-other"]);
  return {
    server,
    mountpoint,
    outside,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
