/**
 * Opcodes of DAX windows. Only virtiofs sends them: the window is memory that a hypervisor shares with its guest, and
 * a server behind /dev/fuse has none. They are decoded, so that a trace shows what was asked, and answered ENOSYS.
 */
import { fuse_removemapping_in, fuse_removemapping_one, fuse_setupmapping_in } from "../abi/structs.ts";
import { ERRNO } from "../errno.ts";
import { nothing } from "./encode.ts";
import { op } from "./op.ts";

export const setupmapping = op({
  opcode: "FUSE_SETUPMAPPING",
  method: null,
  served: "none: virtiofs alone sends it",
  absent: "ENOSYS",
  decode(m) {
    const { fh, foffset, len, flags, moffset } = m.struct(fuse_setupmapping_in);
    return { nodeid: m.nodeid, fh, offset: foffset, length: len, flags, windowOffset: moffset };
  },
  call: nothing,
  encode: () => ERRNO.ENOSYS,
});

export const removemapping = op({
  opcode: "FUSE_REMOVEMAPPING",
  method: null,
  served: "none: virtiofs alone sends it",
  absent: "ENOSYS",
  decode(m) {
    const { count } = m.struct(fuse_removemapping_in);
    const at = m.take(count * fuse_removemapping_one.size);
    const mappings = Array.from({ length: count }, (_, i) => {
      const { moffset, len } = fuse_removemapping_one.read(m.view, at + i * fuse_removemapping_one.size);
      return { windowOffset: moffset, length: len };
    });
    return { nodeid: m.nodeid, mappings };
  },
  call: nothing,
  encode: () => ERRNO.ENOSYS,
});
