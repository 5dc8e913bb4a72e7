/** Which process a thread belongs to. */
import type { Libc } from "../../ffi/libc.ts";
import { cstring } from "../abi/text.ts";

// The line is among the first; `Name`, before it, is at most 64 bytes long.
const status = new Uint8Array(512);

/**
 * The process of a living thread, since the kernel tells the thread that asks, and programs close in one what they opened
 * in another. The thread itself where `/proc` does not tell. Source: `proc_pid_status(5)`.
 */
export function processOf(libc: Libc, thread: number): number {
  if (thread === 0) return 0;
  const fd = libc.open(cstring(`/proc/${thread}/status`), libc.O.RDONLY | libc.O.CLOEXEC, 0);
  if (fd < 0) return thread;
  const n = libc.read(fd, status);
  libc.close(fd);
  const line = /^Tgid:\s*(\d+)$/m.exec(new TextDecoder().decode(status.subarray(0, Math.max(0, n))));
  return line === null ? thread : Number(line[1]);
}
