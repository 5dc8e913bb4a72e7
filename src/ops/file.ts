/** Opcodes on open files. */
import * as flag from "../abi/flags.ts";
import type { Message } from "../abi/message.ts";
import {
  fuse_copy_file_range_in,
  fuse_copy_file_range_out,
  fuse_create_in,
  fuse_fallocate_in,
  fuse_flush_in,
  fuse_fsync_in,
  fuse_lseek_in,
  fuse_lseek_out,
  fuse_open_in,
  fuse_read_in,
  fuse_release_in,
  fuse_write_in,
  fuse_write_out,
} from "../abi/structs.ts";
import { ERRNO } from "../errno.ts";
import type {
  Awaitable,
  CopyFileRangeArgs,
  CreateReply,
  FsyncArgs,
  OpenArgs,
  OpenReply,
  ReleaseArgs,
} from "../fs/types.ts";
import { counted, created, forgetEntry, nothing, open as openReply } from "./encode.ts";
import { NOBODY, op, type OpContext } from "./op.ts";

/** Arguments of open and opendir. */
export function openArgs(m: Message): OpenArgs {
  const { flags, open_flags } = m.struct(fuse_open_in);
  return { nodeid: m.nodeid, flags, killSuidgid: (open_flags & flag.FUSE_OPEN_KILL_SUIDGID) !== 0 };
}

/** Arguments of release and releasedir. */
export function releaseArgs(m: Message): ReleaseArgs {
  const at = m.take(fuse_release_in.size);
  const { fh, flags, releaseFlags } = releaseIn(m.view, at);
  if ((releaseFlags & flag.FUSE_RELEASE_FLOCK_UNLOCK) === 0) return { nodeid: m.nodeid, fh, flags };
  return { nodeid: m.nodeid, fh, flags, flockOwner: releaseOwner(m.view, at).flockOwner };
}
const releaseIn = fuse_release_in.pick({ fh: "fh", flags: "flags", releaseFlags: "release_flags" });
const releaseOwner = fuse_release_in.pick({ flockOwner: "lock_owner" });

/** Arguments of fsync and fsyncdir. */
export function fsyncArgs(m: Message): FsyncArgs {
  const { fh, fsync_flags } = m.struct(fuse_fsync_in);
  return { nodeid: m.nodeid, fh, datasync: (fsync_flags & flag.FUSE_FSYNC_FDATASYNC) !== 0 };
}

const OPENED: OpenReply = Object.freeze({});

export const open = op({
  opcode: "FUSE_OPEN",
  method: "open",
  absent: "ok",
  builtin: true,
  decode: openArgs,
  call: (fs, args, request): Awaitable<OpenReply> => fs.open ? fs.open(args, request) : OPENED,
  encode(reply, opened, args, context) {
    // "Never ask again": from then on there are no handles.
    if (opened === OPENED && context.negotiated.flags.has("FUSE_NO_OPEN_SUPPORT")) return ERRNO.ENOSYS;
    openReply(reply, opened, args, context);
  },
  undelivered(opened, args, context) {
    context.arbiter.released(args.nodeid);
    return releaseUnused(opened, args.nodeid, args.flags, context);
  },
});

function releaseUnused(opened: OpenReply, nodeid: number, flags: number, { fs }: OpContext): Awaitable<void> {
  return fs.release?.({ nodeid, fh: opened.fh ?? 0, flags }, NOBODY);
}

async function uncreate(made: CreateReply, { flags }: { flags: number }, context: OpContext): Promise<void> {
  const { nodeid } = made.entry;
  context.arbiter.released(nodeid);
  // In the kernel's order: an inode is forgotten after its last release.
  try {
    await releaseUnused(made, nodeid, flags, context);
  } finally {
    await forgetEntry(made.entry, null, context);
  }
}

export const create = op({
  opcode: "FUSE_CREATE",
  method: "create",
  absent: "ENOSYS",
  decode(m) {
    // The umask came with 7.12.
    const compat = m.minor < 12;
    const at = m.take(compat ? fuse_open_in.size : fuse_create_in.size);
    const [flags, mode] = [m.view.getUint32(at, true), m.view.getUint32(at + 4, true)];
    const umask = compat ? 0 : m.view.getUint32(at + 8, true);
    return { parent: m.nodeid, name: m.string(), flags, mode, umask };
  },
  call: (fs, args, request) => fs.create!(args, request),
  encode: created,
  undelivered: uncreate,
});

export const tmpfile = op({
  opcode: "FUSE_TMPFILE",
  method: "tmpfile",
  absent: "ENOSYS",
  decode(m) {
    const { flags, mode, umask } = m.struct(fuse_create_in);
    return { parent: m.nodeid, flags, mode, umask };
  },
  call: (fs, args, request) => fs.tmpfile!(args, request),
  encode: created,
  undelivered: uncreate,
});

const readIn = fuse_read_in.pick({ fh: "fh", offset: "offset", size: "size", flags: "flags" });

export const read = op({
  opcode: "FUSE_READ",
  method: "read",
  absent: "ENOSYS",
  decode(m) {
    const { fh, offset, size, flags } = readIn(m.view, m.take(fuse_read_in.size));
    return { nodeid: m.nodeid, fh, offset, size, flags };
  },
  call: (fs, args, request) => fs.read!(args, request),
  encode(reply, data, { size }) {
    if (data.length > size) throw new RangeError(`read answered ${data.length} bytes where ${size} were asked for`);
    reply.data(data);
  },
});

const writeIn = fuse_write_in.pick({
  fh: "fh",
  offset: "offset",
  size: "size",
  writeFlags: "write_flags",
  flags: "flags",
});

export const write = op({
  opcode: "FUSE_WRITE",
  method: "write",
  absent: "ENOSYS",
  borrows: true,
  decode(m) {
    const { fh, offset, size, writeFlags, flags } = writeIn(m.view, m.take(fuse_write_in.size));
    return {
      nodeid: m.nodeid,
      fh,
      offset,
      data: m.data(size),
      flags,
      fromCache: (writeFlags & flag.FUSE_WRITE_CACHE) !== 0,
      killSuidgid: (writeFlags & flag.FUSE_WRITE_KILL_SUIDGID) !== 0,
    };
  },
  call: (fs, args, request) => fs.write!(args, request),
  encode: (reply, size, { data }) => reply.struct(fuse_write_out, { size: counted("write", size, data.length) }),
});

export const release = op({
  opcode: "FUSE_RELEASE",
  method: "release",
  absent: "ok",
  builtin: true,
  decode: releaseArgs,
  call(fs, args, request, { arbiter }) {
    // The kernel has let go of the handle, whatever the author answers.
    arbiter.released(args.nodeid);
    return fs.release?.(args, request);
  },
  encode: nothing,
});

export const flush = op({
  opcode: "FUSE_FLUSH",
  method: "flush",
  absent: "ENOSYS",
  decode(m) {
    const { fh, lock_owner } = m.struct(fuse_flush_in);
    return { nodeid: m.nodeid, fh, lockOwner: lock_owner };
  },
  call: (fs, args, request) => fs.flush!(args, request),
  encode: nothing,
});

export const fsync = op({
  opcode: "FUSE_FSYNC",
  method: "fsync",
  absent: "ENOSYS",
  decode: fsyncArgs,
  call: (fs, args, request) => fs.fsync!(args, request),
  encode: nothing,
});

export const fallocate = op({
  opcode: "FUSE_FALLOCATE",
  method: "fallocate",
  absent: "ENOSYS",
  decode(m) {
    const { fh, offset, length, mode } = m.struct(fuse_fallocate_in);
    return { nodeid: m.nodeid, fh, offset, length, mode };
  },
  call: (fs, args, request) => fs.fallocate!(args, request),
  encode: nothing,
});

export const lseek = op({
  opcode: "FUSE_LSEEK",
  method: "lseek",
  absent: "ENOSYS",
  decode(m) {
    const { fh, offset, whence } = m.struct(fuse_lseek_in);
    return { nodeid: m.nodeid, fh, offset, whence };
  },
  call: (fs, args, request) => fs.lseek!(args, request),
  encode: (reply, offset) => reply.struct(fuse_lseek_out, { offset: counted("lseek", offset) }),
});

function copyArgs(m: Message, most: number): CopyFileRangeArgs {
  const a = m.struct(fuse_copy_file_range_in);
  return {
    nodeid: m.nodeid,
    fh: a.fh_in,
    offset: a.off_in,
    newNodeid: a.nodeid_out,
    newFh: a.fh_out,
    newOffset: a.off_out,
    length: Math.min(a.len, most),
    flags: a.flags,
  };
}

// Whole pages that its answer can count.
const MOST_OF_32_BITS = 0xfffff000;

export const copyFileRange = op({
  opcode: "FUSE_COPY_FILE_RANGE",
  method: "copyFileRange",
  absent: "ENOSYS",
  decode: (m) => copyArgs(m, MOST_OF_32_BITS),
  call: (fs, args, request) => fs.copyFileRange!(args, request),
  encode: (reply, size, { length }) => reply.struct(fuse_write_out, { size: counted("copyFileRange", size, length) }),
});

export const copyFileRange64 = op({
  opcode: "FUSE_COPY_FILE_RANGE_64",
  method: "copyFileRange",
  absent: "ENOSYS",
  decode: (m) => copyArgs(m, Number.MAX_SAFE_INTEGER),
  call: (fs, args, request) => fs.copyFileRange!(args, request),
  encode: (reply, size, { length }) =>
    reply.struct(fuse_copy_file_range_out, { bytes_copied: counted("copyFileRange", size, length) }),
});
