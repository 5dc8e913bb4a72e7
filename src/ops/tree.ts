/** Opcodes that find, make, move and remove names. */
import { FUSE_COMPAT_MKNOD_IN_SIZE } from "../abi/constants.ts";
import type { Message } from "../abi/message.ts";
import {
  fuse_batch_forget_in,
  fuse_entry_out,
  fuse_forget_in,
  fuse_forget_one,
  fuse_link_in,
  fuse_mkdir_in,
  fuse_mknod_in,
  fuse_rename2_in,
  fuse_rename_in,
} from "../abi/structs.ts";
import { ERRNO } from "../errno.ts";
import type { ForgetArgs, NameArgs, RenameArgs } from "../fs/types.ts";
import { entry, forgetAll, forgetEntry, forgetOne, made, nothing, putNegative } from "./encode.ts";
import { op } from "./op.ts";

function nameArgs(m: Message): NameArgs {
  return { parent: m.nodeid, name: m.string() };
}

export const lookup = op({
  opcode: "FUSE_LOOKUP",
  method: "lookup",
  absent: "ENOSYS",
  decode: nameArgs,
  call: (fs, args, request) => fs.lookup!(args, request),
  encode(reply, found, args, context) {
    if (found === null) return ERRNO.ENOENT;
    if (found.nodeid === 0) putNegative(reply.view, reply.reserve(fuse_entry_out.size), found.entryTimeout);
    else entry(reply, found, args, context);
  },
  undelivered: forgetEntry,
});

export const forget = op({
  opcode: "FUSE_FORGET",
  method: "forget",
  absent: "ok",
  silent: true,
  decode: (m): ForgetArgs => ({ nodeid: m.nodeid, nlookup: m.struct(fuse_forget_in).nlookup }),
  call: (_fs, args, _request, context) => forgetOne(args, context),
});

export const batchForget = op({
  opcode: "FUSE_BATCH_FORGET",
  method: "forget",
  absent: "ok",
  silent: true,
  decode(m): ForgetArgs[] {
    const { count } = m.struct(fuse_batch_forget_in);
    const at = m.take(count * fuse_forget_one.size);
    return Array.from({ length: count }, (_, i) => fuse_forget_one.read(m.view, at + i * fuse_forget_one.size));
  },
  call: (_fs, all, _request, context) => forgetAll(all, context),
});

export const symlink = op({
  opcode: "FUSE_SYMLINK",
  method: "symlink",
  absent: "ENOSYS",
  decode: (m) => ({ parent: m.nodeid, name: m.string(), target: m.string() }),
  call: (fs, args, request) => fs.symlink!(args, request),
  encode: made,
  undelivered: forgetEntry,
});

export const mknod = op({
  opcode: "FUSE_MKNOD",
  method: "mknod",
  absent: "ENOSYS",
  decode(m) {
    // The umask came with 7.12.
    const size = m.minor < 12 ? FUSE_COMPAT_MKNOD_IN_SIZE : fuse_mknod_in.size;
    const at = m.take(size);
    const [mode, rdev] = [m.view.getUint32(at, true), m.view.getUint32(at + 4, true)];
    const umask = m.minor < 12 ? 0 : m.view.getUint32(at + 8, true);
    return { parent: m.nodeid, name: m.string(), mode, umask, rdev };
  },
  call: (fs, args, request) => fs.mknod!(args, request),
  encode: made,
  undelivered: forgetEntry,
});

export const mkdir = op({
  opcode: "FUSE_MKDIR",
  method: "mkdir",
  absent: "ENOSYS",
  decode(m) {
    const { mode, umask } = m.struct(fuse_mkdir_in);
    return { parent: m.nodeid, name: m.string(), mode, umask };
  },
  call: (fs, args, request) => fs.mkdir!(args, request),
  encode: made,
  undelivered: forgetEntry,
});

export const unlink = op({
  opcode: "FUSE_UNLINK",
  method: "unlink",
  absent: "ENOSYS",
  decode: nameArgs,
  call: (fs, args, request) => fs.unlink!(args, request),
  encode: nothing,
});

export const rmdir = op({
  opcode: "FUSE_RMDIR",
  method: "rmdir",
  absent: "ENOSYS",
  decode: nameArgs,
  call: (fs, args, request) => fs.rmdir!(args, request),
  encode: nothing,
});

export const rename = op({
  opcode: "FUSE_RENAME",
  method: "rename",
  absent: "ENOSYS",
  decode(m): RenameArgs {
    const { newdir } = m.struct(fuse_rename_in);
    return { parent: m.nodeid, name: m.string(), newParent: newdir, newName: m.string(), flags: 0 };
  },
  call: (fs, args, request) => fs.rename!(args, request),
  encode: nothing,
});

export const rename2 = op({
  opcode: "FUSE_RENAME2",
  method: "rename",
  absent: "ENOSYS",
  decode(m): RenameArgs {
    const { newdir, flags } = m.struct(fuse_rename2_in);
    return { parent: m.nodeid, name: m.string(), newParent: newdir, newName: m.string(), flags };
  },
  call: (fs, args, request) => fs.rename!(args, request),
  encode: nothing,
});

export const link = op({
  opcode: "FUSE_LINK",
  method: "link",
  absent: "ENOSYS",
  decode(m) {
    const { oldnodeid } = m.struct(fuse_link_in);
    return { nodeid: oldnodeid, newParent: m.nodeid, newName: m.string() };
  },
  call: (fs, args, request) => fs.link!(args, request),
  encode: entry,
  undelivered: forgetEntry,
});
