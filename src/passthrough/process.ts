/** What there is to know of the process that asks. */
import type { Libc } from "../../ffi/libc.ts";
import { statusLine, supplementaryGroups } from "../../ffi/status.ts";
import type { Request } from "../fs/types.ts";

/**
 * The process of a living thread, since the kernel tells the thread that asks, and programs close in one what they opened
 * in another. The thread itself where `/proc` does not tell. Source: `proc_pid_status(5)`.
 */
export function processOf(libc: Libc, thread: number): number {
  return Number(statusLine(libc, thread, "Tgid") ?? thread);
}

/** Whether the caller belongs to a group, or may do as its members: root. The caller waits, so it is still there. */
export function isMember(libc: Libc, { uid, gid, pid, groups }: Request, wanted: number): boolean {
  if (uid === 0 || gid === wanted || groups?.includes(wanted)) return true;
  return supplementaryGroups(libc, pid)?.includes(wanted) ?? false;
}
