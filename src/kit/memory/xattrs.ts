/** Extended attributes of an inode in memory. Source: `xattr(7)`. */
import { FuseError } from "../../errno.ts";
import { S_IFLNK, S_ISGID } from "../../fs/mode.ts";
import { type Acl, ACL_ACCESS, ACL_DEFAULT, aclMode, chmodAcl, formatAcl, isMinimal, parseAcl } from "../acl.ts";
import { CAPABILITY } from "../killpriv.ts";
import { type Inode, isDirectory } from "./inode.ts";
import { byteLength, NAME_MAX } from "./names.ts";
import type { Account } from "./space.ts";

const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;
// Longest value, and longest list of names with a NUL each, bytes: `linux/limits.h`.
const XATTR_SIZE_MAX = 65536;
const XATTR_LIST_MAX = 65536;

/** Whether a name is that of an access control list. */
const isAcl = (name: string) => name === ACL_ACCESS || name === ACL_DEFAULT;

/**
 * EOPNOTSUPP, EINVAL, ERANGE: there are no attributes of this name. Lists take part in the checking of permissions, so
 * that they are not just kept where nobody checks them.
 */
export function checkXattrName(inode: Inode, name: string, acls: boolean): void {
  const known = isAcl(name) ? acls && inode.type !== S_IFLNK : /^(user|trusted|security)\./.test(name);
  if (!known) throw new FuseError("EOPNOTSUPP");
  if (/^\w+\.$/.test(name)) throw new FuseError("EINVAL");
  if (byteLength(name) > NAME_MAX) throw new FuseError("ERANGE");
}

/** Bytes that attributes are charged for. */
export function sizeOf(xattrs: ReadonlyMap<string, Uint8Array> | undefined): number {
  let size = 0;
  for (const [name, value] of xattrs ?? []) size += byteLength(name) + value.length;
  return size;
}

/** Sets one. E2BIG, ENOSPC, EDQUOT: too much; EEXIST, ENODATA: what `flags` asks. */
export function setXattr(inode: Inode, name: string, value: Uint8Array, flags: number, account: Account): void {
  if (value.length > XATTR_SIZE_MAX) throw new FuseError("E2BIG");
  const old = inode.xattrs?.get(name);
  if (old !== undefined && flags & XATTR_CREATE) throw new FuseError("EEXIST");
  if (old === undefined && flags & XATTR_REPLACE) throw new FuseError("ENODATA");
  if (old === undefined) {
    let list = byteLength(name) + 1;
    for (const other of inode.xattrs?.keys() ?? []) list += byteLength(other) + 1;
    if (list > XATTR_LIST_MAX) throw new FuseError("ENOSPC");
  }
  account.take(value.length - (old?.length ?? -byteLength(name)));
  (inode.xattrs ??= new Map()).set(name, new Uint8Array(value));
}

/** Removes one. ENODATA: there is none. */
export function removeXattr(inode: Inode, name: string, account: Account): void {
  const old = inode.xattrs?.get(name);
  if (old !== undefined) {
    account.give(old.length + byteLength(name));
    inode.xattrs!.delete(name);
  } else if (!isAcl(name)) throw new FuseError("ENODATA");
}

/** Their names; those for administrators only to root. */
export function listXattrs(inode: Inode, uid: number): string[] {
  const names = [...inode.xattrs?.keys() ?? []];
  return uid === 0 ? names : names.filter((name) => !name.startsWith("trusted."));
}

/** The access control list of an inode; null: its mode says it all. */
export function accessAcl(inode: Inode): Acl | null {
  const value = inode.xattrs?.get(ACL_ACCESS);
  return value === undefined ? null : parseAcl(value);
}

/**
 * Sets a list if the name is that of one; false: it is not. The mode goes along, and keeps no list that says the same.
 * EACCES: a default list for what is no directory; EINVAL, EOPNOTSUPP: the value is no list.
 */
export function setAcl(inode: Inode, name: string, value: Uint8Array, killSgid: boolean, account: Account): boolean {
  if (!isAcl(name)) return false;
  const acl = parseAcl(value);
  if (name === ACL_DEFAULT && !isDirectory(inode)) throw new FuseError("EACCES");
  if (acl.length === 0 || name === ACL_ACCESS && isMinimal(acl)) removeXattr(inode, name, account);
  else setXattr(inode, name, formatAcl(acl), 0, account);
  if (name === ACL_ACCESS && acl.length > 0) {
    inode.setPermissions(aclMode(acl, inode.mode) & (killSgid ? ~S_ISGID : ~0));
  }
  return true;
}

/** Lets the list follow a change of the mode. */
export function aclFollows(inode: Inode): void {
  const acl = accessAcl(inode);
  if (acl !== null) inode.xattrs!.set(ACL_ACCESS, formatAcl(chmodAcl(acl, inode.mode)));
}

/** Ends file capabilities, as a change of the data or the owner does. Source: `capabilities(7)`. */
export function dropCapabilities(inode: Inode, account: Account): void {
  if (inode.xattrs?.has(CAPABILITY)) removeXattr(inode, CAPABILITY, account);
}

/** Gives back what they take, when the inode goes. */
export function freeXattrs(inode: Inode, account: Account): void {
  account.give(sizeOf(inode.xattrs));
  inode.xattrs = undefined;
}
