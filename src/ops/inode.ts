/** Opcodes about one inode: attributes, access, the target of a link. */
import * as flag from "../abi/flags.ts";
import {
  fuse_access_in,
  fuse_bmap_in,
  fuse_bmap_out,
  fuse_getattr_in,
  fuse_setattr_in,
  fuse_statfs_out,
  fuse_statx_in,
  fuse_statx_out,
} from "../abi/structs.ts";
import type { GetattrArgs, SetattrArgs } from "../fs/types.ts";
import { attr, nanoseconds, nothing, seconds } from "./encode.ts";
import { op } from "./op.ts";

export const getattr = op({
  opcode: "FUSE_GETATTR",
  method: "getattr",
  absent: "ENOSYS",
  decode(m): GetattrArgs {
    const { getattr_flags, fh } = m.struct(fuse_getattr_in);
    return getattr_flags & flag.FUSE_GETATTR_FH ? { nodeid: m.nodeid, fh } : { nodeid: m.nodeid };
  },
  call: (fs, args, request) => fs.getattr!(args, request),
  encode: attr,
});

export const setattr = op({
  opcode: "FUSE_SETATTR",
  method: "setattr",
  absent: "ENOSYS",
  decode(m): SetattrArgs {
    const a = m.struct(fuse_setattr_in);
    const has = (bit: number) => (a.valid & bit) !== 0;
    return {
      nodeid: m.nodeid,
      ...has(flag.FATTR_FH) && { fh: a.fh },
      ...has(flag.FATTR_MODE) && { mode: a.mode },
      ...has(flag.FATTR_UID) && { uid: a.uid },
      ...has(flag.FATTR_GID) && { gid: a.gid },
      ...has(flag.FATTR_SIZE) && { size: a.size },
      ...has(flag.FATTR_ATIME_NOW)
        ? { atime: "now" as const }
        : has(flag.FATTR_ATIME) && { atime: a.atime, atimeNsec: a.atimensec },
      ...has(flag.FATTR_MTIME_NOW)
        ? { mtime: "now" as const }
        : has(flag.FATTR_MTIME) && { mtime: a.mtime, mtimeNsec: a.mtimensec },
      ...has(flag.FATTR_CTIME) && { ctime: a.ctime, ctimeNsec: a.ctimensec },
      ...has(flag.FATTR_KILL_SUIDGID) && { killSuidgid: true },
      ...has(flag.FATTR_LOCKOWNER) && { lockOwner: a.lock_owner },
    };
  },
  call: (fs, args, request) => fs.setattr!(args, request),
  encode: attr,
});

// What struct fuse_attr can say: `linux/stat.h STATX_BASIC_STATS`; the kernel masks what it did not ask for.
const STATX_BASIC_STATS = 0x7ff;
const STATX_BTIME = 0x800;

export const statx = op({
  opcode: "FUSE_STATX",
  method: "statx",
  absent: "ENOSYS",
  decode(m) {
    const { getattr_flags, fh, sx_flags, sx_mask } = m.struct(fuse_statx_in);
    return {
      nodeid: m.nodeid,
      ...(getattr_flags & flag.FUSE_GETATTR_FH) !== 0 && { fh },
      flags: sx_flags,
      mask: sx_mask,
    };
  },
  call: (fs, args, request) => fs.statx!(args, request),
  encode(reply, value, { nodeid }) {
    const a = value.attr;
    const size = a.size ?? 0, rdev = a.rdev ?? 0;
    const time = (tv_sec: number | undefined, tv_nsec: number | undefined) => ({
      tv_sec: tv_sec ?? 0,
      tv_nsec: tv_nsec ?? 0,
    });
    reply.struct(fuse_statx_out, {
      attr_valid: seconds(value.attrTimeout),
      attr_valid_nsec: nanoseconds(value.attrTimeout),
      flags: 0,
      stat: {
        mask: STATX_BASIC_STATS | (value.btime === undefined ? 0 : STATX_BTIME),
        blksize: a.blksize ?? 4096,
        attributes: value.attributes ?? 0,
        nlink: a.nlink ?? 1,
        uid: a.uid ?? 0,
        gid: a.gid ?? 0,
        mode: a.mode,
        ino: a.ino ?? nodeid,
        size,
        blocks: a.blocks ?? Math.ceil(size / 512),
        attributes_mask: value.attributesMask ?? 0,
        atime: time(a.atime, a.atimeNsec),
        btime: time(value.btime, value.btimeNsec),
        ctime: time(a.ctime, a.ctimeNsec),
        mtime: time(a.mtime, a.mtimeNsec),
        rdev_major: rdev >>> 8 & 0xfff,
        rdev_minor: rdev & 0xff | rdev >>> 12 & 0xfff00,
        dev_major: 0,
        dev_minor: 0,
      },
    });
  },
});

export const readlink = op({
  opcode: "FUSE_READLINK",
  method: "readlink",
  absent: "ENOSYS",
  decode: (m) => ({ nodeid: m.nodeid }),
  call: (fs, args, request) => fs.readlink!(args, request),
  encode: (reply, target) => reply.string(target),
});

export const access = op({
  opcode: "FUSE_ACCESS",
  method: "access",
  absent: "ENOSYS",
  decode: (m) => ({ nodeid: m.nodeid, mask: m.struct(fuse_access_in).mask }),
  call: (fs, args, request) => fs.access!(args, request),
  encode: nothing,
});

export const statfs = op({
  opcode: "FUSE_STATFS",
  method: "statfs",
  absent: "ok",
  builtin: true,
  decode: (m) => ({ nodeid: m.nodeid }),
  call: (fs, args, request) =>
    fs.statfs?.(args, request) ??
      { blocks: 0, bfree: 0, bavail: 0, files: 0, ffree: 0, bsize: 4096, namelen: 255, frsize: 4096 },
  encode: (reply, st) => reply.struct(fuse_statfs_out, { st }),
});

export const bmap = op({
  opcode: "FUSE_BMAP",
  method: "bmap",
  absent: "ENOSYS",
  decode(m) {
    const { block, blocksize } = m.struct(fuse_bmap_in);
    return { nodeid: m.nodeid, block, blocksize };
  },
  call: (fs, args, request) => fs.bmap!(args, request),
  encode: (reply, block) => reply.struct(fuse_bmap_out, { block }),
});
