/** Opcodes about the connection itself, and those that no method serves. */
import { fuse_syncfs_in } from "../abi/structs.ts";
import { FuseError } from "../errno.ts";
import { nothing } from "./encode.ts";
import { op } from "./op.ts";

export const init = op({
  opcode: "FUSE_INIT",
  method: null,
  absent: "ok",
  builtin: true,
  decode() {
    throw new FuseError("EIO", "a second INIT on one connection");
  },
  call: nothing,
});

export const destroy = op({
  opcode: "FUSE_DESTROY",
  method: null,
  absent: "ok",
  builtin: true,
  decode: nothing,
  // The session calls the method, once, when the connection has ended: DESTROY itself is not sent by every unmount.
  call: nothing,
  encode: nothing,
});

export const interrupt = op({
  opcode: "FUSE_INTERRUPT",
  method: null,
  absent: "ok",
  builtin: true,
  silent: true,
  decode: nothing,
  call: nothing,
});

/** Carries what a FUSE_NOTIFY_RETRIEVE asked for. Its number is that of the notification: an answer could hit another request. */
export const notifyReply = op({
  opcode: "FUSE_NOTIFY_REPLY",
  method: null,
  absent: "ok",
  builtin: true,
  silent: true,
  decode: nothing,
  call: nothing,
});

export const syncfs = op({
  opcode: "FUSE_SYNCFS",
  method: "syncfs",
  absent: "ENOSYS",
  decode(m) {
    m.struct(fuse_syncfs_in);
    return { nodeid: m.nodeid };
  },
  call: (fs, args, request) => fs.syncfs!(args, request),
  encode: nothing,
});
