/** How many descriptors there may be. */
import type { Libc } from "../../../ffi/libc.ts";
import { cstring } from "../../abi/text.ts";

const DEFAULT = 4096;

/** 4096, or half of what the process may open where that is less. Source: `proc_pid_limits(5)`. */
export function defaultLimit(libc: Libc): number {
  const fd = libc.open(cstring("/proc/self/limits"), libc.O.RDONLY | libc.O.CLOEXEC, 0);
  if (fd < 0) return DEFAULT;
  const text = new Uint8Array(4096);
  const n = libc.read(fd, text);
  libc.close(fd);
  const soft = /^Max open files +(\d+)/m.exec(new TextDecoder().decode(text.subarray(0, Math.max(0, n))));
  return soft === null ? DEFAULT : Math.min(DEFAULT, Number(soft[1]) >> 1);
}
