/**
 * Who may do what, for file systems that decide it themselves.
 *
 * A mount with `defaultPermissions` needs none of this: the kernel checks. Without it, everybody whom the mount lets in
 * may do everything that the file system does not refuse. The functions here answer as Linux does for its own file
 * systems: by the caller's user id, groups and the file's mode, owner and access control list; root may do everything.
 *
 * Names must not be kept by the kernel then (`entryTimeout: 0`), since it asks nobody about those that it keeps.
 *
 * @module
 */
import { libc } from "../../ffi/load.ts";
import { cstring } from "../abi/text.ts";
import { FuseError } from "../errno.ts";
import { S_IFDIR, S_IFMT, S_IFREG, S_ISGID, S_ISUID, S_ISVTX, S_IXGRP } from "../fs/mode.ts";
import type { Attr, SetattrArgs } from "../fs/types.ts";
import { type Caller, isMember, suidgidToDrop } from "../suidgid.ts";
import { type Acl, ACL_TAG } from "./acl.ts";
import { isSuidgidRemoval } from "./killpriv.ts";

export { type Caller, groupsOf, isMember, suidgidToDrop } from "../suidgid.ts";

/** What is looked at of an inode. */
export type Owned = Pick<Attr, "mode" | "uid" | "gid">;

/** Reading is asked for. Source: `access(2)`. */
export const R_OK = 4;
/** Writing is asked for. Source: `access(2)`. */
export const W_OK = 2;
/** Executing a file, or entering a directory, is asked for. Source: `access(2)`. */
export const X_OK = 1;

/** Whether the caller is the owner, or root. */
export function isOwner({ uid = 0 }: Owned, caller: Caller): boolean {
  return caller.uid === 0 || caller.uid === uid;
}

/**
 * Whether the caller may access the inode in all the ways that `mask` asks for: {@linkcode R_OK}, {@linkcode W_OK},
 * {@linkcode X_OK}. `acl` is its access list, where it has one. Root may execute what anybody may, and do all else.
 */
export function mayAccess(inode: Owned, caller: Caller, mask: number, acl: Acl | null = null): boolean {
  const { mode, uid = 0, gid = 0 } = inode;
  const allows = (perm: number) => (perm & mask) === mask;
  if (caller.uid === 0) return !(mask & X_OK) || (mode & S_IFMT) === S_IFDIR || (mode & 0o111) !== 0;
  if (caller.uid === uid) return allows(mode >> 6 & 7);
  // The group's bits of the mode are the list's mask: without them nobody of the list gets anything.
  if (acl !== null && mode & 0o070) return aclAllows(acl, gid, caller, allows);
  const group = mode >> 3 & 7, other = mode & 7;
  // Which of the two counts needs finding out only where it makes a difference.
  if (allows(group) === allows(other)) return allows(other);
  return allows(isMember(caller, gid) ? group : other);
}

/** The algorithm of `acl(5)` "access check algorithm", for whom is not the owner. */
function aclAllows(acl: Acl, gid: number, caller: Caller, allows: (perm: number) => boolean): boolean {
  const masked = acl.find(({ tag }) => tag === ACL_TAG.MASK)?.perm ?? 7;
  const user = acl.find(({ tag, id }) => tag === ACL_TAG.USER && id === caller.uid);
  if (user !== undefined) return allows(user.perm & masked);
  const { GROUP_OBJ, GROUP, OTHER } = ACL_TAG;
  const groups = acl.filter(({ tag, id }) =>
    tag === GROUP_OBJ && isMember(caller, gid) || tag === GROUP && isMember(caller, id)
  );
  if (groups.length > 0) return groups.some(({ perm }) => allows(perm & masked));
  return allows(acl.find(({ tag }) => tag === OTHER)?.perm ?? 0);
}

/**
 * Throws EACCES where {@linkcode mayAccess} says no.
 *
 * @example
 * ```ts
 * import { checkAccess, groupsOf, R_OK, W_OK } from "@fusewire/fusewire/kit";
 *
 * const inode = { mode: 0o100640, uid: 1000, gid: 100 };
 * // A method is given who asks as its `request`; here somebody else of the file's group.
 * const request = { uid: 1001, gid: 1001, groups: [100] };
 * console.log(groupsOf(request)); // [100]
 * checkAccess(inode, request, R_OK);
 * try {
 *   checkAccess(inode, request, R_OK | W_OK);
 * } catch (error) {
 *   console.log((error as Error).message); // EACCES
 * }
 * ```
 */
export function checkAccess(inode: Owned, caller: Caller, mask: number, acl: Acl | null = null): void {
  if (!mayAccess(inode, caller, mask, acl)) throw new FuseError("EACCES");
}

/**
 * Whether the caller may remove or rename what a directory holds, as far as the sticky bit goes: in such a directory
 * (`/tmp`) only who owns the entry, or the directory. Access to the directory is another matter. Source: `unlink(2)`.
 */
export function maySticky(directory: Owned, entry: Owned, caller: Caller): boolean {
  return !(directory.mode & S_ISVTX) || isOwner(entry, caller) || isOwner(directory, caller);
}

/**
 * Whether the caller may give a file of somebody else's another name, where the machine protects hard links
 * (`fs.protected_hardlinks`): only a regular one that the caller may read and write, and that is no set-id program.
 * Access to the directory is another matter. Source: `proc_sys_fs(5)`.
 */
export function mayLink(inode: Owned, caller: Caller, acl: Acl | null = null): boolean {
  if (isOwner(inode, caller)) return true;
  const { mode } = inode;
  const runsAsOther = mode & S_ISUID || (mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP);
  const harmless = (mode & S_IFMT) === S_IFREG && !runsAsOther && mayAccess(inode, caller, R_OK | W_OK, acl);
  return harmless || !protectsHardlinks();
}

/** Whether the machine does; also where only root could tell, as is usual. */
function protectsHardlinks(): boolean {
  const c = libc();
  const fd = c.open(cstring("/proc/sys/fs/protected_hardlinks"), c.O.RDONLY | c.O.CLOEXEC, 0);
  if (fd < 0) return true;
  const value = new Uint8Array(16);
  const n = c.read(fd, value);
  c.close(fd);
  return n < 1 || value[0] !== 0x30;
}

/** Whether the caller may change the owner and group so. Source: `chown(2)`. */
export function mayChown(inode: Owned, change: Pick<SetattrArgs, "uid" | "gid">, caller: Caller): boolean {
  if (caller.uid === 0) return true;
  const { uid, gid } = change;
  if (caller.uid !== inode.uid) return uid === undefined && gid === undefined;
  return (uid === undefined || uid === inode.uid) && (gid === undefined || gid === inode.gid || isMember(caller, gid));
}

/**
 * Set-group-id, where the mode has it and the caller is not of the file's group: no change of mode sets it then. That
 * is the group before the change: another one comes with a mode from `chown(2)` alone, where the kernel has left the
 * bit to be ended by whose file it was. Source: `chmod(2)`, `setattr_should_drop_sgid` in the kernel's `fs/attr.c`.
 */
export function sgidToRefuse({ gid = 0 }: Owned, mode: number, caller: Caller): number {
  return mode & S_ISGID && caller.uid !== 0 && !isMember(caller, gid) ? S_ISGID : 0;
}

/**
 * Checks a change of nothing that comes before no write, since nobody has the file open for writing. EPERM: set-id bits
 * would go, which are not the caller's to change. Source: `notify_change` in the kernel's `fs/attr.c`.
 */
export function checkEmptyChown(inode: Owned, caller: Caller): void {
  if ((inode.mode & S_IFMT) === S_IFDIR || isOwner(inode, caller)) return;
  if (suidgidToDrop(inode, caller) !== 0) throw new FuseError("EPERM");
}

/**
 * Whether both times are set to now, as whoever may write may do. With writeback cache the kernel says when that is:
 * then the mtime is the ctime. Source: `utimensat(2)`.
 */
export function isTouch({ atime, mtime, mtimeNsec, ctime, ctimeNsec }: SetattrArgs): boolean {
  return atime === "now" && (mtime === "now" || mtime !== undefined && mtime === ctime && mtimeNsec === ctimeNsec);
}

/**
 * Checks a change of attributes and answers it as it may be made: set-group-id goes where the caller is not of the
 * file's group. EPERM: owner, group, mode or times are not the caller's to change; EACCES: size, or the times to now.
 * `written` says whether somebody has the file open for writing, since set-id bits end before a write; by default,
 * whether the caller may write. Source: `chmod(2)`, `chown(2)`, `truncate(2)`, `utimensat(2)`.
 */
export function checkSetattr(
  inode: Owned,
  args: SetattrArgs,
  caller: Caller,
  acl: Acl | null = null,
  written?: boolean,
): SetattrArgs {
  if (caller.uid === 0) return args;
  const { mode, size, fh, atime, mtime } = args;
  if (!mayChown(inode, args, caller)) throw new FuseError("EPERM");
  if (mode !== undefined && !isOwner(inode, caller)) {
    const writes = size !== undefined || (written ?? mayAccess(inode, caller, W_OK, acl));
    if (!isSuidgidRemoval(inode, mode) || !writes) throw new FuseError("EPERM");
  }
  // An open file was checked when it was opened. Times come that way from the kernel's own cache of writes alone.
  if (fh === undefined) {
    const touched = isTouch(args) && !isOwner(inode, caller);
    if (size !== undefined || touched) checkAccess(inode, caller, W_OK, acl);
    else if ((atime !== undefined || mtime !== undefined) && !isOwner(inode, caller)) throw new FuseError("EPERM");
  }
  const refused = mode === undefined ? 0 : sgidToRefuse(inode, mode, caller);
  return refused ? { ...args, mode: mode! & ~refused } : args;
}
