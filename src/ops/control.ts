/** Opcodes about the connection itself, and those that no method serves. */
import { fuse_interrupt_in, fuse_notify_retrieve_in, fuse_syncfs_in } from "../abi/structs.ts";
import { FuseError } from "../errno.ts";
import { nothing } from "./encode.ts";
import { op } from "./op.ts";

export const init = op({
  opcode: "FUSE_INIT",
  method: null,
  served: "the session, then `init`",
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
  served: "the session, and `destroy`",
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
  served: "`request.signal`",
  absent: "ok",
  builtin: true,
  silent: true,
  decode(m) {
    const at = m.take(fuse_interrupt_in.size);
    return { low: m.view.getUint32(at, true), high: m.view.getUint32(at + 4, true) };
  },
  call: (_fs, { low, high }, _request, context) => context.interrupt(low, high),
});

export const notifyReply = op({
  opcode: "FUSE_NOTIFY_REPLY",
  method: null,
  served: "`notify.retrieve`",
  absent: "ok",
  builtin: true,
  silent: true,
  decode(m) {
    const { offset, size } = m.struct(fuse_notify_retrieve_in);
    return { nodeid: m.nodeid, offset, data: m.data(size) };
  },
  call: (_fs, { data }, request, context) => context.retrieved(request.unique, data),
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
