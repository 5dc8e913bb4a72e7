/** Set-user-id and set-group-id, as bits that end, and the groups that they go by. */
import { libc } from "../ffi/load.ts";
import { supplementaryGroups } from "../ffi/status.ts";
import { S_ISGID, S_ISUID, S_IXGRP } from "./fs/mode.ts";
import type { Attr, Request } from "./fs/types.ts";

/** Who asks: a {@linkcode Request}, or as much of one as matters here. */
export type Caller = Pick<Request, "uid" | "gid"> & Partial<Pick<Request, "pid" | "groups">>;

/**
 * The groups of a caller besides its `gid`, from `/proc/PID/status`; those that came with the request where that cannot
 * be read, as for a process of another pid namespace. The caller waits for the answer, so that the process is still the
 * one that asked. Costs some 20 μs. Source: `proc_pid_status(5)`.
 */
export function groupsOf({ pid = 0, groups = [] }: Caller): readonly number[] {
  return pid <= 0 ? groups : supplementaryGroups(libc(), pid) ?? groups;
}

/** Whether the caller belongs to a group, as its first or one of the others. */
export function isMember(caller: Caller, gid: number): boolean {
  return caller.gid === gid || caller.groups?.includes(gid) || groupsOf(caller).includes(gid);
}

/**
 * Which of set-user-id and set-group-id end when the caller writes to a file, cuts it or changes its owner: the second
 * where the group may run the file, or the caller is neither root nor of the group. Source: `inode(7)`, `chown(2)`,
 * `setattr_should_drop_suidgid` in the kernel's `fs/attr.c`.
 */
export function suidgidToDrop({ mode, gid = 0 }: Pick<Attr, "mode" | "gid">, caller: Caller): number {
  const group = mode & S_ISGID && (mode & S_IXGRP || caller.uid !== 0 && !isMember(caller, gid));
  return mode & S_ISUID | (group ? S_ISGID : 0);
}
