/** What `/proc/PID/status` says of a process or thread. */
import type { Libc } from "./libc.ts";

const part = new Uint8Array(4096);

/**
 * The line of that name, without it; undefined where that cannot be read, as of a process of another pid namespace.
 * Source: `proc_pid_status(5)`.
 */
export function statusLine(libc: Libc, pid: number, name: string): string | undefined {
  if (pid <= 0) return undefined;
  const path = Uint8Array.from(`/proc/${pid}/status\0`, (c) => c.charCodeAt(0));
  const fd = libc.open(path, libc.O.RDONLY | libc.O.CLOEXEC, 0);
  if (fd < 0) return undefined;
  const decoder = new TextDecoder();
  const wanted = new RegExp(`^${name}:(.*)\n`, "m");
  let text = "", found: RegExpExecArray | null = null;
  // 65,536 groups do not fit into one page.
  for (let n; found === null && (n = libc.read(fd, part)) > 0;) {
    text += decoder.decode(part.subarray(0, n));
    found = wanted.exec(text);
  }
  libc.close(fd);
  return found?.[1].trim();
}

/** The further groups of a process; undefined where they are not known. */
export function supplementaryGroups(libc: Libc, pid: number): number[] | undefined {
  return statusLine(libc, pid, "Groups")?.split(/\s+/).filter(Boolean).map(Number);
}
