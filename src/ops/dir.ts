/** Opcodes on open directories. */
import { FOPEN_CACHE_DIR, FOPEN_KEEP_CACHE } from "../abi/flags.ts";
import type { Message, Reply } from "../abi/message.ts";
import { fuse_dirent, fuse_entry_out, fuse_open_out, fuse_read_in } from "../abi/structs.ts";
import type { Awaitable, ForgetArgs, OpendirReply } from "../fs/types.ts";
import { ERRNO } from "../errno.ts";
import { Directory, list, type Piece } from "./directories.ts";
import { forgetAll, KNOWN_OPEN_BITS, nothing } from "./encode.ts";
import { fsyncArgs, openArgs, releaseArgs } from "./file.ts";
import { NOBODY, op, type OpContext } from "./op.ts";

const OPENED: OpendirReply = Object.freeze({});

export const opendir = op({
  opcode: "FUSE_OPENDIR",
  method: "opendir",
  absent: "ok",
  builtin: true,
  decode: (m, context) => ({ asked: openArgs(m, context), handle: 0 }),
  shown: ({ asked }) => asked,
  call: (fs, { asked }, request): Awaitable<OpendirReply> => fs.opendir ? fs.opendir(asked, request) : OPENED,
  encode(reply, opened, args, { directories, negotiated }) {
    // "Never ask again": from then on the kernel reads without a handle.
    if (opened === OPENED && negotiated.flags.has("FUSE_NO_OPENDIR_SUPPORT")) return ERRNO.ENOSYS;
    args.handle = directories.add(new Directory(opened.fh ?? 0));
    const bits = (opened.cacheDir ? FOPEN_CACHE_DIR : 0) | (opened.keepCache ? FOPEN_KEEP_CACHE : 0);
    const open_flags = bits & KNOWN_OPEN_BITS[negotiated.minor];
    reply.struct(fuse_open_out, { fh: args.handle, open_flags, backing_id: 0 });
  },
  undelivered(opened, { handle, asked: { nodeid, flags } }, { fs, directories }) {
    if (handle !== 0) directories.remove(handle).close();
    return fs.releasedir?.({ nodeid, fh: opened.fh ?? 0, flags }, NOBODY);
  },
});

const readIn = fuse_read_in.pick({ fh: "fh", offset: "offset", size: "size" });

/** The open directory of a request: one of its own, where the kernel has no handles since opendir is not served. */
export function directoryOf(fh: number, { directories, negotiated }: OpContext): Directory {
  return fh === 0 && negotiated.flags.has("FUSE_NO_OPENDIR_SUPPORT") ? new Directory(0) : directories.get(fh);
}

function piece(m: Message, context: OpContext, plus: boolean): Piece {
  const { fh, offset, size } = readIn(m.view, m.take(fuse_read_in.size));
  // Numbers of open directories begin at 1.
  return { directory: directoryOf(fh, context), loose: fh === 0, nodeid: m.nodeid, offset, size, plus, context };
}

function pieceShown({ nodeid, directory, offset, size }: Piece): object {
  return { nodeid, fh: directory.fh, offset, size };
}

function packed(reply: Reply, bytes: Uint8Array): void {
  reply.data(bytes);
}

export const readdir = op({
  opcode: "FUSE_READDIR",
  method: "readdir",
  absent: "ENOSYS",
  decode: (m, context) => piece(m, context, false),
  shown: pieceShown,
  call: (fs, args, request) => list(fs, args, request),
  encode: packed,
});

export const readdirplus = op({
  opcode: "FUSE_READDIRPLUS",
  method: "readdir",
  served: "`readdir` and `lookup`",
  absent: "ENOSYS",
  decode: (m, context) => piece(m, context, true),
  shown: pieceShown,
  call: (fs, args, request) => list(fs, args, request),
  encode: packed,
  undelivered(bytes, _args, context) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const counted: ForgetArgs[] = [];
    for (let at = 0; at < bytes.length;) {
      const { nodeid } = fuse_entry_out.read(view, at);
      if (nodeid !== 0) counted.push({ nodeid, nlookup: 1 });
      const { namelen } = fuse_dirent.read(view, at + fuse_entry_out.size);
      at += fuse_entry_out.size + Math.ceil((fuse_dirent.size + namelen) / 8) * 8;
    }
    return forgetAll(counted, context);
  },
});

export const releasedir = op({
  opcode: "FUSE_RELEASEDIR",
  method: "releasedir",
  absent: "ok",
  builtin: true,
  decode: releaseArgs,
  call(fs, args, request, { directories }) {
    const directory = directories.remove(args.fh);
    directory.close();
    return fs.releasedir?.({ ...args, fh: directory.fh }, request);
  },
  encode: nothing,
});

export const fsyncdir = op({
  opcode: "FUSE_FSYNCDIR",
  method: "fsyncdir",
  absent: "ENOSYS",
  decode: fsyncArgs,
  call: (fs, args, request, context) => fs.fsyncdir!({ ...args, fh: directoryOf(args.fh, context).fh }, request),
  encode: nothing,
});
