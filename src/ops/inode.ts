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
import type { Negotiated } from "../fs/filesystem.ts";
import type { AttrReply, Awaitable, GetattrArgs, SetattrArgs, Statfs } from "../fs/types.ts";
import { attr, attrOut, checkNumber, counted, nanoseconds, nothing, seconds } from "./encode.ts";
import { authorsFh, op } from "./op.ts";

export const getattr = op({
  opcode: "FUSE_GETATTR",
  method: "getattr",
  absent: "ENOSYS",
  decode(m, context): GetattrArgs {
    const { getattr_flags, fh } = m.struct(fuse_getattr_in);
    if ((getattr_flags & flag.FUSE_GETATTR_FH) === 0) return { nodeid: m.nodeid };
    return { nodeid: m.nodeid, fh: authorsFh(fh, context) };
  },
  call: (fs, args, request) => fs.getattr!(args, request),
  encode: attr,
});

// Not the ctime, which the kernel sends along with whatever it asks for where it keeps times itself (writeback cache).
const CHANGES = flag.FATTR_MODE | flag.FATTR_UID | flag.FATTR_GID | flag.FATTR_SIZE | flag.FATTR_ATIME |
  flag.FATTR_MTIME | flag.FATTR_ATIME_NOW | flag.FATTR_MTIME_NOW;

/**
 * Whether set-id bits end with a setattr that does not say so. Before a write the kernel asks for it with a request in
 * which nothing is valid, having left that to us in the handshake; where it did not, it names a mode, but does not know
 * of a set-group-id that only an outsider's write ends. In the first version a new owner or size says nothing either.
 */
function killsUntold(valid: number, uid: number, { flags }: Negotiated): boolean {
  const first = flags.has("FUSE_HANDLE_KILLPRIV");
  if ((valid & CHANGES) === 0) return first || flags.has("FUSE_HANDLE_KILLPRIV_V2") || uid !== 0;
  const owner = flag.FATTR_UID | flag.FATTR_GID;
  return first && ((valid & owner) !== 0 || (valid & flag.FATTR_SIZE) !== 0 && uid !== 0);
}

export const setattr = op({
  opcode: "FUSE_SETATTR",
  method: "setattr",
  absent: "ENOSYS",
  decode(m, context): SetattrArgs {
    const { negotiated } = context;
    const a = m.struct(fuse_setattr_in);
    const has = (bit: number) => (a.valid & bit) !== 0;
    const kill = has(flag.FATTR_KILL_SUIDGID) || killsUntold(a.valid, m.uid, negotiated);
    return {
      nodeid: m.nodeid,
      ...has(flag.FATTR_FH) && { fh: authorsFh(a.fh, context) },
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
      ...kill && { killSuidgid: true },
      ...has(flag.FATTR_LOCKOWNER) && { lockOwner: a.lock_owner },
    };
  },
  call(fs, args, request, { arbiter }): Awaitable<AttrReply> {
    // What the backing file refuses must not have happened to the author, nor the other way round.
    arbiter.changing(args);
    const agreed = (reply: AttrReply) => (arbiter.changed(args, request), reply);
    const reply = fs.setattr!(args, request);
    return reply instanceof Promise ? reply.then(agreed) : agreed(reply);
  },
  encode: attr,
});

// What struct fuse_attr can say: `linux/stat.h STATX_BASIC_STATS`; the kernel masks what it did not ask for.
const STATX_BASIC_STATS = 0x7ff;
const STATX_BTIME = 0x800;

export const statx = op({
  opcode: "FUSE_STATX",
  method: "statx",
  absent: "ENOSYS",
  decode(m, context) {
    const { getattr_flags, fh, sx_flags, sx_mask } = m.struct(fuse_statx_in);
    return {
      nodeid: m.nodeid,
      ...(getattr_flags & flag.FUSE_GETATTR_FH) !== 0 && { fh: authorsFh(fh, context) },
      flags: sx_flags,
      mask: sx_mask,
    };
  },
  call: (fs, args, request) => fs.statx!(args, request),
  encode(reply, value, { nodeid }, context) {
    const a = attrOut(value.attr, nodeid, context);
    const { btime = 0, btimeNsec = 0 } = value;
    checkNumber("statx", btimeNsec);
    reply.struct(fuse_statx_out, {
      attr_valid: seconds(value.attrTimeout),
      attr_valid_nsec: nanoseconds(value.attrTimeout),
      flags: 0,
      stat: {
        mask: STATX_BASIC_STATS | (value.btime === undefined ? 0 : STATX_BTIME),
        blksize: a.blksize,
        attributes: value.attributes ?? 0,
        nlink: a.nlink,
        uid: a.uid,
        gid: a.gid,
        mode: a.mode,
        ino: a.ino,
        size: a.size,
        blocks: a.blocks,
        attributes_mask: value.attributesMask ?? 0,
        atime: { tv_sec: a.atime, tv_nsec: a.atimensec },
        btime: { tv_sec: btime, tv_nsec: btimeNsec },
        ctime: { tv_sec: a.ctime, tv_nsec: a.ctimensec },
        mtime: { tv_sec: a.mtime, tv_nsec: a.mtimensec },
        rdev_major: a.rdev >>> 8 & 0xfff,
        rdev_minor: a.rdev & 0xff | a.rdev >>> 12 & 0xfff00,
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

const NO_SPACE: Statfs = Object.freeze({
  blocks: 0,
  bfree: 0,
  bavail: 0,
  files: 0,
  ffree: 0,
  bsize: 4096,
  namelen: 255,
  frsize: 4096,
});

export const statfs = op({
  opcode: "FUSE_STATFS",
  method: "statfs",
  absent: "ok",
  builtin: true,
  decode: (m) => ({ nodeid: m.nodeid }),
  call: (fs, args, request): Awaitable<Statfs> => fs.statfs ? fs.statfs(args, request) : NO_SPACE,
  encode(reply, st) {
    checkNumber("statfs", st.bsize + st.namelen + st.frsize);
    reply.struct(fuse_statfs_out, { st });
  },
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
  encode: (reply, block) => reply.struct(fuse_bmap_out, { block: counted("bmap", block) }),
});
