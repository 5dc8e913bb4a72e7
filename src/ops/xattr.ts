/** Opcodes on extended attributes. The caller's size probing and ERANGE are settled here. */
import type { Reply } from "../abi/message.ts";
import { FUSE_COMPAT_SETXATTR_IN_SIZE } from "../abi/constants.ts";
import { FUSE_SETXATTR_ACL_KILL_SGID } from "../abi/flags.ts";
import { fuse_getxattr_in, fuse_getxattr_out, fuse_setxattr_in } from "../abi/structs.ts";
import { encodeName } from "../abi/text.ts";
import { ERRNO } from "../errno.ts";
import { nothing } from "./encode.ts";
import { op } from "./op.ts";

/** A value, or its size where the caller asked with a buffer of 0 bytes. */
function sized(reply: Reply, value: Uint8Array, size: number): number | void {
  if (!(value instanceof Uint8Array)) throw new TypeError(`the value is ${value}; it has to be a Uint8Array`);
  if (size === 0) reply.struct(fuse_getxattr_out, { size: value.length });
  else if (value.length > size) return ERRNO.ERANGE;
  else reply.data(value);
}

export const setxattr = op({
  opcode: "FUSE_SETXATTR",
  method: "setxattr",
  absent: "ENOSYS",
  borrows: true,
  decode(m, { negotiated }) {
    const extended = negotiated.flags.has("FUSE_SETXATTR_EXT");
    const at = m.take(extended ? fuse_setxattr_in.size : FUSE_COMPAT_SETXATTR_IN_SIZE);
    const size = m.view.getUint32(at, true), flags = m.view.getUint32(at + 4, true);
    const killSgid = extended && (m.view.getUint32(at + 8, true) & FUSE_SETXATTR_ACL_KILL_SGID) !== 0;
    return { nodeid: m.nodeid, name: m.string(), value: m.data(size), flags, ...killSgid && { killSgid } };
  },
  call: (fs, args, request) => fs.setxattr!(args, request),
  encode: nothing,
});

export const getxattr = op({
  opcode: "FUSE_GETXATTR",
  method: "getxattr",
  absent: "ENOSYS",
  decode(m) {
    const { size } = m.struct(fuse_getxattr_in);
    return { nodeid: m.nodeid, name: m.string(), size };
  },
  call: (fs, args, request) => fs.getxattr!(args, request),
  encode: (reply, value, { size }) => value === null ? ERRNO.ENODATA : sized(reply, value, size),
});

export const listxattr = op({
  opcode: "FUSE_LISTXATTR",
  method: "listxattr",
  absent: "ENOSYS",
  decode: (m) => ({ nodeid: m.nodeid, size: m.struct(fuse_getxattr_in).size }),
  call: (fs, args, request) => fs.listxattr!(args, request),
  encode(reply, names, { size }) {
    if (names.some((name) => typeof name !== "string")) throw new TypeError("a name of an attribute is no string");
    const encoded = names.map(encodeName);
    const list = new Uint8Array(encoded.reduce((sum, name) => sum + name.length + 1, 0));
    let at = 0;
    for (const name of encoded) {
      list.set(name, at);
      at += name.length + 1;
    }
    return sized(reply, list, size);
  },
});

export const removexattr = op({
  opcode: "FUSE_REMOVEXATTR",
  method: "removexattr",
  absent: "ENOSYS",
  decode: (m) => ({ nodeid: m.nodeid, name: m.string() }),
  call: (fs, args, request) => fs.removexattr!(args, request),
  encode: nothing,
});
