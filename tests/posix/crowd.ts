/** A file with many names. */
import type { MemorySnapshot } from "../../kit.ts";
import { must } from "../support/harness.ts";

/** How many it has: a few less than ext4 and `memory()` allow. */
export const CROWD = 64_990;

/** A file system in memory that has a file `crowded` with so many names, all but that one in a folder `crowd`. */
export function crowd(names: number): MemorySnapshot {
  const now = [Math.floor(Date.now() / 1000), 0] as const;
  const common = { uid: 0, gid: 0, atime: now, mtime: now, ctime: now, btime: now };
  return {
    version: 1,
    inodes: [
      { ...common, mode: 0o041777, names: [["crowded", 1], ["crowd", 2]] },
      { ...common, mode: 0o100644 },
      { ...common, mode: 0o040755, names: Array.from({ length: names - 1 }, (_, i) => [`${i}`, 1]) },
    ],
  };
}

/** Makes the same in a folder of a native file system. */
export async function makeCrowd(folder: string, names: number): Promise<void> {
  const program = `
import os, sys
folder, names = sys.argv[1], int(sys.argv[2])
os.chdir(folder)
open("crowded", "w").close()
os.mkdir("crowd")
for i in range(names - 1):
    os.link("crowded", f"crowd/{i}")
`;
  await must(["python3", "-c", program, folder, `${names}`]);
}
