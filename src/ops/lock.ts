/** Opcodes on record locks and flock. */
import { FUSE_LK_FLOCK } from "../abi/flags.ts";
import type { Message } from "../abi/message.ts";
import { fuse_lk_in, fuse_lk_out } from "../abi/structs.ts";
import type { LockArgs } from "../fs/types.ts";
import { nothing } from "./encode.ts";
import { authorsFh, op, type OpContext } from "./op.ts";

function lockArgs(m: Message, context: OpContext): LockArgs {
  const { fh, owner, lk, lk_flags } = m.struct(fuse_lk_in);
  return { nodeid: m.nodeid, fh: authorsFh(fh, context), owner, lock: lk, flock: (lk_flags & FUSE_LK_FLOCK) !== 0 };
}

export const getlk = op({
  opcode: "FUSE_GETLK",
  method: "getlk",
  absent: "ENOSYS",
  decode: lockArgs,
  call: (fs, args, request) => fs.getlk!(args, request),
  encode: (reply, lk) => reply.struct(fuse_lk_out, { lk }),
});

export const setlk = op({
  opcode: "FUSE_SETLK",
  method: "setlk",
  absent: "ENOSYS",
  decode: lockArgs,
  call: (fs, args, request) => fs.setlk!(args, request),
  encode: nothing,
});

export const setlkw = op({
  opcode: "FUSE_SETLKW",
  method: "setlkw",
  absent: "ENOSYS",
  decode: lockArgs,
  call: (fs, args, request) => fs.setlkw!(args, request),
  encode: nothing,
});
