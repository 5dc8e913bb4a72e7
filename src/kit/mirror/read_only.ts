/** What a mirror refuses that changes nothing. */
import { FuseError } from "../../errno.ts";
import type { Filesystem } from "../../fs/filesystem.ts";
import { S_IFDIR, S_IFLNK, S_IFREG } from "../../fs/mode.ts";
import { W_OK } from "../permissions.ts";
import type { Context } from "./context.ts";
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

/** What holds data of its own. Writing to a fifo, a socket or a device changes no file system. Source: `access(2)`. */
const HOLDING: ReadonlySet<number> = new Set([S_IFREG, S_IFDIR, S_IFLNK]);

/** The methods of a mirror that is only read, in place of those that change something. */
export function readOnly(
  { tree }: Context,
  fs: Required<Pick<Filesystem, "open" | "ioctl">> & Pick<Filesystem, "access">,
): Filesystem {
  const { O } = tree.libc;
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
    access: (args, request) =>
      args.mask & W_OK && HOLDING.has(tree.node(args.nodeid).type) ? refuse() : fs.access?.(args, request),
  };
}
