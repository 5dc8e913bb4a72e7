/** Opcodes on open files. */
import { O_APPEND, O_TRUNC } from "../fs/flags.ts";
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
import { ERRNO, FuseError } from "../errno.ts";
import type { Filesystem } from "../fs/filesystem.ts";
import type {
  Awaitable,
  CopyFileRangeArgs,
  CreateReply,
  FlushArgs,
  FsyncArgs,
  OpenArgs,
  OpenReply,
  ReleaseArgs,
  Request,
  WriteArgs,
} from "../fs/types.ts";
import { counted, created, forgetEntry, nothing, open as openReply, type Opening } from "./encode.ts";
import { fileOf, NOBODY, op, type OpContext, type OpenFile, removeFile } from "./op.ts";

/** Arguments of open and opendir. */
export function openArgs(m: Message, context: OpContext): OpenArgs {
  const { flags, open_flags } = m.struct(fuse_open_in);
  return { nodeid: m.nodeid, flags, killSuidgid: killsSuidgid(flags, open_flags, m.uid, context) };
}

/** Whether set-id bits end with an open: where O_TRUNC empties a file. */
function killsSuidgid(flags: number, openFlags: number, uid: number, { negotiated }: OpContext): boolean {
  // The kernel says so in the second version alone, and does nothing about it by itself in none.
  const untold = (flags & O_TRUNC) !== 0 && uid !== 0 && !negotiated.flags.has("FUSE_HANDLE_KILLPRIV_V2");
  return untold || (openFlags & flag.FUSE_OPEN_KILL_SUIDGID) !== 0;
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
/** No handle was told to the kernel. */
const NONE = -1;

export const open = op({
  opcode: "FUSE_OPEN",
  method: "open",
  absent: "ok",
  builtin: true,
  decode(m, context) {
    const asked = openArgs(m, context);
    return { asked, flags: asked.flags, thread: m.pid, handle: NONE };
  },
  shown: ({ asked }) => asked,
  call: (fs, { asked }, request): Awaitable<OpenReply> => fs.open ? fs.open(asked, request) : OPENED,
  encode(reply, opened, args, context) {
    // "Never ask again": from then on there are no handles.
    if (opened === OPENED && context.negotiated.flags.has("FUSE_NO_OPEN_SUPPORT")) return ERRNO.ENOSYS;
    openReply(reply, opened, args.asked.nodeid, args, context);
  },
  undelivered: (opened, args, context) => unopen(opened, args.asked.nodeid, args, context),
});

function unopen(opened: OpenReply, nodeid: number, { flags, handle }: Opening, context: OpContext): Awaitable<void> {
  if (handle !== NONE) removeFile(nodeid, handle, context);
  return context.fs.release?.({ nodeid, fh: opened.fh ?? 0, flags }, NOBODY);
}

async function uncreate(made: CreateReply, args: Opening, context: OpContext): Promise<void> {
  // In the kernel's order: an inode is forgotten after its last release.
  try {
    await unopen(made, made.entry.nodeid, args, context);
  } finally {
    await forgetEntry(made.entry, null, context);
  }
}

export const create = op({
  opcode: "FUSE_CREATE",
  method: "create",
  absent: "ENOSYS",
  decode(m, context) {
    // The umask came with 7.12.
    const compat = m.minor < 12;
    const at = m.take(compat ? fuse_open_in.size : fuse_create_in.size);
    const [flags, mode] = [m.view.getUint32(at, true), m.view.getUint32(at + 4, true)];
    const [umask, openFlags] = compat ? [0, 0] : [m.view.getUint32(at + 8, true), m.view.getUint32(at + 12, true)];
    const killSuidgid = killsSuidgid(flags, openFlags, m.uid, context);
    const asked = { parent: m.nodeid, name: m.string(), flags, mode, umask, killSuidgid };
    return { asked, flags, thread: m.pid, handle: NONE };
  },
  shown: ({ asked }) => asked,
  call: (fs, { asked }, request) => fs.create!(asked, request),
  encode: created,
  undelivered: uncreate,
});

export const tmpfile = op({
  opcode: "FUSE_TMPFILE",
  method: "tmpfile",
  absent: "ENOSYS",
  decode(m) {
    const { flags, mode, umask } = m.struct(fuse_create_in);
    return { asked: { parent: m.nodeid, flags, mode, umask }, flags, thread: m.pid, handle: NONE };
  },
  shown: ({ asked }) => asked,
  call: (fs, { asked }, request) => fs.tmpfile!(asked, request),
  encode: created,
  undelivered: uncreate,
});

const readIn = fuse_read_in.pick({ fh: "fh", offset: "offset", size: "size", flags: "flags" });

export const read = op({
  opcode: "FUSE_READ",
  method: "read",
  absent: "ENOSYS",
  builtin: true,
  decode(m, context) {
    const { fh, offset, size, flags } = readIn(m.view, m.take(fuse_read_in.size));
    const file = fileOf(fh, context);
    return { asked: { nodeid: m.nodeid, fh: file === null ? fh : file.fh, offset, size, flags }, file };
  },
  shown: ({ asked }) => asked,
  call(fs, { asked, file }, request) {
    const served = file?.decision.served;
    if (served) return served.read(asked.offset, asked.size);
    return fs.read ? fs.read(asked, request) : notServed();
  },
  encode(reply, data, { asked: { size } }) {
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
  builtin: true,
  borrows: true,
  decode(m, context) {
    const { fh, offset, size, writeFlags, flags } = writeIn(m.view, m.take(fuse_write_in.size));
    const file = fileOf(fh, context);
    const asked: WriteArgs = {
      nodeid: m.nodeid,
      fh: file === null ? fh : file.fh,
      offset,
      data: m.data(size),
      // The place that the kernel names is the end then. The file may be shorter, where more is still to be written.
      flags: flags & O_APPEND && collects(context) ? flags & ~O_APPEND : flags,
      fromCache: (writeFlags & flag.FUSE_WRITE_CACHE) !== 0,
      killSuidgid: (writeFlags & flag.FUSE_WRITE_KILL_SUIDGID) !== 0,
    };
    return { asked, file };
  },
  shown: ({ asked }) => asked,
  call(fs, { asked, file }, request) {
    const served = file?.decision.served;
    if (served) return served.write(asked, request);
    return fs.write ? fs.write(asked, request) : notServed();
  },
  encode: (reply, size, { asked: { data } }) =>
    reply.struct(fuse_write_out, { size: counted("write", size, data.length) }),
});

export const release = op({
  opcode: "FUSE_RELEASE",
  method: "release",
  absent: "ok",
  builtin: true,
  decode: releaseArgs,
  call(fs, args, request, context) {
    // The kernel has let go of the handle, whatever the author answers.
    const fh = removeFile(args.nodeid, args.fh, context);
    return fs.release?.({ ...args, fh }, request);
  },
  encode: nothing,
});

export const flush = op({
  opcode: "FUSE_FLUSH",
  method: "flush",
  absent: "ENOSYS",
  builtin: true,
  decode(m, context) {
    const { fh, lock_owner } = m.struct(fuse_flush_in);
    const file = fileOf(fh, context);
    return { asked: { nodeid: m.nodeid, fh: file === null ? fh : file.fh, lockOwner: lock_owner }, file };
  },
  shown: ({ asked }) => asked,
  call(fs, { asked, file }, request, { arbiter }) {
    const decision = file?.decision;
    // Not ENOSYS where there is a backing file: the kernel would not ask for staged ones either.
    if (!fs.flush && !decision?.backed && !arbiter.flushes) notServed();
    if (!decision?.flush) return fs.flush?.(asked, request);
    return fs.flush ? flushBoth(fs, asked, request, decision.flush) : decision.flush(request.pid);
  },
  encode: nothing,
});

/** The author ends locks with it, so it is his to know of in any case. */
async function flushBoth(
  fs: Filesystem,
  asked: FlushArgs,
  request: Request,
  own: (thread: number) => Awaitable<void>,
): Promise<void> {
  try {
    await own(request.pid);
  } finally {
    await fs.flush!(asked, request);
  }
}

export const fsync = op({
  opcode: "FUSE_FSYNC",
  method: "fsync",
  absent: "ok",
  builtin: true,
  decode(m, context) {
    const asked = fsyncArgs(m);
    const file = fileOf(asked.fh, context);
    return { asked: file === null ? asked : { ...asked, fh: file.fh }, file };
  },
  shown: ({ asked }) => asked,
  call(fs, { asked, file }, request) {
    if (fs.fsync) return fs.fsync(asked, request);
    // Not ENOSYS: the kernel would ask for no other file either.
    return file?.decision.backed?.fsync(asked.datasync);
  },
  encode: nothing,
});

export const fallocate = op({
  opcode: "FUSE_FALLOCATE",
  method: "fallocate",
  absent: "EOPNOTSUPP",
  builtin: true,
  decode(m, context) {
    const { fh, offset, length, mode } = m.struct(fuse_fallocate_in);
    const file = fileOf(fh, context);
    return { asked: { nodeid: m.nodeid, fh: file === null ? fh : file.fh, offset, length, mode }, file };
  },
  shown: ({ asked }) => asked,
  call(fs, { asked, file }, request) {
    if (fs.fallocate) return fs.fallocate(asked, request);
    const backed = file?.decision.backed;
    if (!backed) throw new FuseError("EOPNOTSUPP");
    return backed.fallocate(asked.mode, asked.offset, asked.length);
  },
  encode: nothing,
});

export const lseek = op({
  opcode: "FUSE_LSEEK",
  method: "lseek",
  absent: "ENOSYS",
  builtin: true,
  decode(m, context) {
    const { fh, offset, whence } = m.struct(fuse_lseek_in);
    // Source: `lseek(2)`. For SEEK_DATA and SEEK_HOLE the kernel leaves the check to the file system.
    if (offset < 0) throw new FuseError("ENXIO");
    const file = fileOf(fh, context);
    return { asked: { nodeid: m.nodeid, fh: file === null ? fh : file.fh, offset, whence }, file };
  },
  shown: ({ asked }) => asked,
  call(fs, { asked, file }, request, context) {
    // The kernel asks without having written what it collected: that would be taken for a hole.
    if (collects(context)) notServed();
    if (fs.lseek) return fs.lseek(asked, request);
    return file?.decision.backed ? file.decision.backed.lseek(asked.offset, asked.whence) : notServed();
  },
  encode: (reply, offset) => reply.struct(fuse_lseek_out, { offset: counted("lseek", offset) }),
});

/** Whether the kernel collects writes. */
function collects({ negotiated }: OpContext): boolean {
  return negotiated.flags.has("FUSE_WRITEBACK_CACHE");
}

/** Nobody serves this request: the kernel asks no more, and helps itself where it can. */
function notServed(): never {
  throw new FuseError("ENOSYS");
}

/** The two files of a copy, and what is asked. */
export interface Copying {
  readonly asked: CopyFileRangeArgs;
  readonly from: OpenFile | null;
  readonly to: OpenFile | null;
}

function copyArgs(m: Message, most: number, context: OpContext): Copying {
  const a = m.struct(fuse_copy_file_range_in);
  const from = fileOf(a.fh_in, context), to = fileOf(a.fh_out, context);
  const asked = {
    nodeid: m.nodeid,
    fh: from === null ? a.fh_in : from.fh,
    offset: a.off_in,
    newNodeid: a.nodeid_out,
    newFh: to === null ? a.fh_out : to.fh,
    newOffset: a.off_out,
    length: Math.min(a.len, most),
    flags: a.flags,
  };
  return { asked, from, to };
}

function copy(fs: Filesystem, { asked, from, to }: Copying, request: Request): Awaitable<number> {
  if (fs.copyFileRange) return fs.copyFileRange(asked, request);
  const source = from?.decision.backed, target = to?.decision.backed;
  // Between these the kernel copies by reading and writing; after ENOSYS it would between all others as well.
  if (!source || !target) throw new FuseError("EOPNOTSUPP");
  return source.copyTo(asked.offset, target, asked.newOffset, asked.length);
}

// Whole pages that its answer can count.
const MOST_OF_32_BITS = 0xfffff000;

export const copyFileRange = op({
  opcode: "FUSE_COPY_FILE_RANGE",
  method: "copyFileRange",
  absent: "EOPNOTSUPP",
  builtin: true,
  decode: (m, context) => copyArgs(m, MOST_OF_32_BITS, context),
  shown: ({ asked }) => asked,
  call: copy,
  encode: (reply, size, { asked: { length } }) =>
    reply.struct(fuse_write_out, { size: counted("copyFileRange", size, length) }),
});

export const copyFileRange64 = op({
  opcode: "FUSE_COPY_FILE_RANGE_64",
  method: "copyFileRange",
  absent: "EOPNOTSUPP",
  builtin: true,
  decode: (m, context) => copyArgs(m, Number.MAX_SAFE_INTEGER, context),
  shown: ({ asked }) => asked,
  call: copy,
  encode: (reply, size, { asked: { length } }) =>
    reply.struct(fuse_copy_file_range_out, { bytes_copied: counted("copyFileRange", size, length) }),
});
