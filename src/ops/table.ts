/** One row for each opcode: complete by type, so that a new name in `opcode.ts` is missed here at compile time. */
import { OPCODE, type OpcodeName } from "../abi/opcode.ts";
import * as control from "./control.ts";
import * as dax from "./dax.ts";
import * as dir from "./dir.ts";
import * as file from "./file.ts";
import * as inode from "./inode.ts";
import * as ioctl from "./ioctl.ts";
import * as lock from "./lock.ts";
import type { Op } from "./op.ts";
import * as tree from "./tree.ts";
import * as xattr from "./xattr.ts";

/** An opcode that has no row of its own is answered ENOSYS: `null`. */
export const TABLE = {
  FUSE_LOOKUP: tree.lookup,
  FUSE_FORGET: tree.forget,
  FUSE_GETATTR: inode.getattr,
  FUSE_SETATTR: inode.setattr,
  FUSE_READLINK: inode.readlink,
  FUSE_SYMLINK: tree.symlink,
  FUSE_MKNOD: tree.mknod,
  FUSE_MKDIR: tree.mkdir,
  FUSE_UNLINK: tree.unlink,
  FUSE_RMDIR: tree.rmdir,
  FUSE_RENAME: tree.rename,
  FUSE_LINK: tree.link,
  FUSE_OPEN: file.open,
  FUSE_READ: file.read,
  FUSE_WRITE: file.write,
  FUSE_STATFS: inode.statfs,
  FUSE_RELEASE: file.release,
  FUSE_FSYNC: file.fsync,
  FUSE_SETXATTR: xattr.setxattr,
  FUSE_GETXATTR: xattr.getxattr,
  FUSE_LISTXATTR: xattr.listxattr,
  FUSE_REMOVEXATTR: xattr.removexattr,
  FUSE_FLUSH: file.flush,
  FUSE_INIT: control.init,
  FUSE_OPENDIR: dir.opendir,
  FUSE_READDIR: dir.readdir,
  FUSE_RELEASEDIR: dir.releasedir,
  FUSE_FSYNCDIR: dir.fsyncdir,
  FUSE_GETLK: lock.getlk,
  FUSE_SETLK: lock.setlk,
  FUSE_SETLKW: lock.setlkw,
  FUSE_ACCESS: inode.access,
  FUSE_CREATE: file.create,
  FUSE_INTERRUPT: control.interrupt,
  FUSE_BMAP: inode.bmap,
  FUSE_DESTROY: control.destroy,
  FUSE_IOCTL: ioctl.ioctl,
  FUSE_POLL: ioctl.poll,
  FUSE_NOTIFY_REPLY: control.notifyReply,
  FUSE_BATCH_FORGET: tree.batchForget,
  FUSE_FALLOCATE: file.fallocate,
  FUSE_READDIRPLUS: dir.readdirplus,
  FUSE_RENAME2: tree.rename2,
  FUSE_LSEEK: file.lseek,
  FUSE_COPY_FILE_RANGE: file.copyFileRange,
  FUSE_SETUPMAPPING: dax.setupmapping,
  FUSE_REMOVEMAPPING: dax.removemapping,
  FUSE_SYNCFS: control.syncfs,
  FUSE_TMPFILE: file.tmpfile,
  FUSE_STATX: inode.statx,
  FUSE_COPY_FILE_RANGE_64: file.copyFileRange64,
  CUSE_INIT: null,
} satisfies Record<OpcodeName, Op<any, any> | null>;

/** The rows by opcode number, for the one look-up of each request. */
export const ROWS: readonly (Op<unknown, unknown> | null)[] = (() => {
  const rows: (Op<unknown, unknown> | null)[] = new Array(64).fill(null);
  for (const [name, row] of Object.entries(TABLE)) {
    const code = OPCODE[name as OpcodeName];
    if (code < rows.length) rows[code] = row as Op<unknown, unknown> | null;
  }
  return rows;
})();
