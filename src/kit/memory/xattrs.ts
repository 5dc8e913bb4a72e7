/** Extended attributes of an inode in memory. Source: `xattr(7)`. */
import { FuseError } from "../../errno.ts";
import type { Inode } from "./inode.ts";
import { byteLength, NAME_MAX } from "./names.ts";
import type { Space } from "./space.ts";

const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;
// Longest value, and longest list of names with a NUL each, bytes: `linux/limits.h`.
const XATTR_SIZE_MAX = 65536;
const XATTR_LIST_MAX = 65536;
const CAPABILITIES = "security.capability";

// ACLs (`system.posix_acl_*`) would take part in the checking of permissions, so that they are not just kept.
function checkName(name: string): void {
  if (!/^(user|trusted|security)\../.test(name)) throw new FuseError("EOPNOTSUPP");
  if (byteLength(name) > NAME_MAX) throw new FuseError("ERANGE");
}

/** The value of one; `null`: there is none. EOPNOTSUPP: of no known namespace. */
export function getXattr(inode: Inode, name: string): Uint8Array | null {
  checkName(name);
  return inode.xattrs?.get(name) ?? null;
}

/** Sets one. E2BIG, ENOSPC: too much; EEXIST, ENODATA: what `flags` asks; ERANGE, EOPNOTSUPP: the name. */
export function setXattr(inode: Inode, name: string, value: Uint8Array, flags: number, space: Space): void {
  checkName(name);
  if (value.length > XATTR_SIZE_MAX) throw new FuseError("E2BIG");
  const old = inode.xattrs?.get(name);
  if (old !== undefined && flags & XATTR_CREATE) throw new FuseError("EEXIST");
  if (old === undefined && flags & XATTR_REPLACE) throw new FuseError("ENODATA");
  if (old === undefined) {
    let list = byteLength(name) + 1;
    for (const other of inode.xattrs?.keys() ?? []) list += byteLength(other) + 1;
    if (list > XATTR_LIST_MAX) throw new FuseError("ENOSPC");
  }
  space.take(value.length - (old?.length ?? -byteLength(name)));
  (inode.xattrs ??= new Map()).set(name, new Uint8Array(value));
}

/** Removes one. ENODATA: there is none. */
export function removeXattr(inode: Inode, name: string, space: Space): void {
  checkName(name);
  const old = inode.xattrs?.get(name);
  if (old === undefined) throw new FuseError("ENODATA");
  space.give(old.length + byteLength(name));
  inode.xattrs!.delete(name);
}

/** Their names; those for administrators only to root. */
export function listXattrs(inode: Inode, uid: number): string[] {
  const names = [...inode.xattrs?.keys() ?? []];
  return uid === 0 ? names : names.filter((name) => !name.startsWith("trusted."));
}

/** Ends file capabilities, as a change of the data or the owner does. Source: `capabilities(7)`. */
export function dropCapabilities(inode: Inode, space: Space): void {
  if (inode.xattrs?.has(CAPABILITIES)) removeXattr(inode, CAPABILITIES, space);
}

/** Gives back what they take, when the inode goes. */
export function freeXattrs(inode: Inode, space: Space): void {
  for (const [name, value] of inode.xattrs ?? []) space.give(value.length + byteLength(name));
  inode.xattrs = undefined;
}
