/** What a mirror refuses that changes nothing. */
import { libc } from "../../../ffi/load.ts";
import { FuseError } from "../../errno.ts";
import type { Filesystem } from "../../fs/filesystem.ts";
import { W_OK } from "../permissions.ts";
import { isSetting } from "./ioctls.ts";

function refuse(): never {
  throw new FuseError("EROFS", "the mirror is read-only");
}

type Changing = Required<
  Pick<
    Filesystem,
    | "setattr"
    | "mknod"
    | "mkdir"
    | "symlink"
    | "link"
    | "unlink"
    | "rmdir"
    | "rename"
    | "create"
    | "tmpfile"
    | "write"
    | "fallocate"
    | "copyFileRange"
    | "setxattr"
    | "removexattr"
  >
>;

/** The methods of a mirror that is only read, in place of those that change something. */
export function readOnly(fs: Required<Pick<Filesystem, "open" | "ioctl">> & Pick<Filesystem, "access">): Filesystem {
  const { O } = libc();
  const changing: Changing = {
    setattr: refuse,
    mknod: refuse,
    mkdir: refuse,
    symlink: refuse,
    link: refuse,
    unlink: refuse,
    rmdir: refuse,
    rename: refuse,
    create: refuse,
    tmpfile: refuse,
    write: refuse,
    fallocate: refuse,
    copyFileRange: refuse,
    setxattr: refuse,
    removexattr: refuse,
  };
  return {
    ...changing,
    open: (args, request) =>
      (args.flags & O.ACCMODE) !== O.RDONLY || args.flags & O.TRUNC ? refuse() : fs.open(args, request),
    ioctl: (args, request) => isSetting(args.cmd) ? refuse() : fs.ioctl(args, request),
    access: (args, request) => args.mask & W_OK ? refuse() : fs.access?.(args, request),
  };
}
