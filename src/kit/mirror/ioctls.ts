/** The flags of inodes that `chattr(1)` and `lsattr(1)` are about. */
import { FuseError } from "../../errno.ts";
import type { Filesystem } from "../../fs/filesystem.ts";
import type { Context } from "./context.ts";
import { check } from "./system.ts";

// linux/fs.h
const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
const FS_IOC_GETVERSION = 0x80087601;
const FS_IOC_FSGETXATTR = 0x801c581f;
const FS_IOC_FSSETXATTR = 0x401c5820;
const READING: ReadonlySet<number> = new Set([FS_IOC_GETFLAGS, FS_IOC_GETVERSION, FS_IOC_FSGETXATTR]);
const SETTING: ReadonlySet<number> = new Set([FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR]);
/** From this minor version on (Linux 5.14) the kernel checks who may set flags. */
const CHECKED = 34;
const ROOM = 128;

/** Whether a request changes flags. */
export function isSetting(cmd: number): boolean {
  return SETTING.has(cmd);
}

type Ioctls = Pick<Filesystem, "ioctl">;

/** The requests that mean the same here as in the source: their data holds no addresses and no descriptors. */
export function ioctls({ tree, files, directories, identity }: Context): Required<Ioctls> {
  const { libc } = tree;
  const room = new Uint8Array(ROOM);

  return {
    ioctl({ fh, cmd, data, outSize, directory }, request) {
      const setting = isSetting(cmd);
      if (!setting && !READING.has(cmd) || data.length > ROOM) throw new FuseError("ENOTTY");
      const checked = (tree.connection?.negotiated.minor ?? 0) >= CHECKED;
      if (setting && !checked && request.uid !== 0) throw new FuseError("EPERM");
      room.fill(0).set(data);
      const { fd } = directory ? directories.get(fh) : files.get(fh);
      const result = check("ioctl", identity.as(request, () => libc.ioctl(fd, cmd, room)));
      return { result, data: room.slice(0, Math.min(outSize, ROOM)) };
    },
  };
}
