/** ioctl and poll. */
import * as flag from "../abi/flags.ts";
import { fuse_ioctl_in, fuse_ioctl_iovec, fuse_ioctl_out, fuse_poll_in, fuse_poll_out } from "../abi/structs.ts";
import type { IoctlRange } from "../fs/types.ts";
import { directoryOf } from "./dir.ts";
import { counted } from "./encode.ts";
import { authorsFh, op } from "./op.ts";

export const ioctl = op({
  opcode: "FUSE_IOCTL",
  method: "ioctl",
  absent: "ENOSYS",
  borrows: true,
  decode(m, context) {
    const { fh, flags, cmd, arg, in_size, out_size } = m.struct(fuse_ioctl_in);
    const has = (bit: number) => (flags & bit) !== 0;
    const directory = has(flag.FUSE_IOCTL_DIR);
    return {
      nodeid: m.nodeid,
      fh: directory ? directoryOf(fh, context).fh : authorsFh(fh, context),
      cmd,
      arg,
      data: m.data(in_size),
      outSize: out_size,
      directory,
      unrestricted: has(flag.FUSE_IOCTL_UNRESTRICTED),
      compat: has(flag.FUSE_IOCTL_COMPAT),
    };
  },
  call: (fs, args, request) => fs.ioctl!(args, request),
  encode(reply, answer, { outSize, unrestricted }) {
    const { result = 0, data, retry } = answer;
    if (retry !== undefined) {
      const { in: from = [], out: to = [] } = retry;
      if (!unrestricted) throw new TypeError("ioctl answered retry, which only an unrestricted ioctl may");
      if (from.length + to.length > flag.FUSE_IOCTL_MAX_IOV) {
        throw new RangeError(
          `ioctl answered ${from.length + to.length} ranges; ${flag.FUSE_IOCTL_MAX_IOV} are the most`,
        );
      }
      reply.struct(fuse_ioctl_out, {
        result: 0,
        flags: flag.FUSE_IOCTL_RETRY,
        in_iovs: from.length,
        out_iovs: to.length,
      });
      const range = ({ base, length }: IoctlRange) =>
        reply.struct(fuse_ioctl_iovec, { base, len: BigInt(counted("ioctl", length)) });
      from.forEach(range);
      to.forEach(range);
      return;
    }
    if (!Number.isInteger(result)) throw new TypeError(`ioctl answered the result ${result}`);
    if (data !== undefined && data.length > outSize) {
      throw new RangeError(`ioctl answered ${data.length} bytes where ${outSize} can be taken`);
    }
    reply.struct(fuse_ioctl_out, { result, flags: 0, in_iovs: 0, out_iovs: 0 });
    if (data !== undefined) reply.data(data);
  },
});

// Before 7.21 the kernel does not say what is waited for.
const EVENTS_SINCE = 21;
const ALL_EVENTS = 0xffff;

export const poll = op({
  opcode: "FUSE_POLL",
  method: "poll",
  absent: "ENOSYS",
  decode(m, context) {
    const { fh, kh, flags, events } = m.struct(fuse_poll_in);
    return {
      nodeid: m.nodeid,
      fh: authorsFh(fh, context),
      kh,
      events: m.minor < EVENTS_SINCE ? ALL_EVENTS : events,
      notify: (flags & flag.FUSE_POLL_SCHEDULE_NOTIFY) !== 0,
    };
  },
  call: (fs, args, request) => fs.poll!(args, request),
  encode: (reply, revents) => reply.struct(fuse_poll_out, { revents: counted("poll", revents, 0xffffffff) }),
});
