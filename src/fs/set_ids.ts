/** Set-user-id and set-group-id, as bits that end. */
import { S_ISGID, S_ISUID, S_IXGRP } from "./mode.ts";
import type { Attr } from "./types.ts";

/**
 * Which of set-user-id and set-group-id end when somebody without CAP_FSETID writes to a file, cuts it or changes its
 * owner: the second where the group may run the file, or the caller, which is looked at only then, is not of the group.
 * Source: `inode(7)`, `chown(2)`, `setattr_should_drop_sgid` in the kernel's `fs/attr.c`.
 */
export function endingSetIds(
  { mode, gid = 0 }: Pick<Attr, "mode" | "gid">,
  isMember: (gid: number) => boolean,
): number {
  const group = mode & S_ISGID && (mode & S_IXGRP || !isMember(gid));
  return mode & S_ISUID | (group ? S_ISGID : 0);
}
