/** What stat(2) makes of a file system's answer. */
import type { Attr } from "../../fs/types.ts";
import type { Stat } from "../sys.ts";

/** The attributes as the call shows them. */
export function statOf(attr: Attr): Stat {
  const { ino = 0, rdev = 0, size = 0, blocks = Math.ceil(size / 512) } = attr;
  return {
    ...{ nlink: 1, uid: 0, gid: 0, blksize: 4096 },
    ...{ atime: 0, atimeNsec: 0, mtime: 0, mtimeNsec: 0, ctime: 0, ctimeNsec: 0 },
    ...attr,
    ino: Number(ino),
    size,
    blocks,
    rdevMajor: rdev >> 8 & 0xfff,
    rdevMinor: rdev & 0xff | rdev >>> 12 & 0xfff00,
  };
}
