/** What there is to know of the process that asks. */
import type { Libc } from "../../ffi/libc.ts";
import { statusLine } from "../../ffi/status.ts";

/**
 * The process of a living thread, since the kernel tells the thread that asks, and programs close in one what they
 * opened in another. The thread itself where `/proc` does not tell. Source: `proc_pid_status(5)`.
 */
export function processOf(libc: Libc, thread: number): number {
  return Number(statusLine(libc, thread, "Tgid") ?? thread);
}
