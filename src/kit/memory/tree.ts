/** The inodes of a file system in memory and the names that they have. */
import { FuseError } from "../../errno.ts";
import { RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT } from "../../fs/flags.ts";
import { S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, S_ISGID } from "../../fs/mode.ts";
import { ACL_ACCESS, ACL_DEFAULT, formatAcl, inheritAcl, parseAcl } from "../acl.ts";
import { NodeTable } from "../node_table.ts";
import type { Caller } from "../permissions.ts";
import { Directory } from "./directory.ts";
import { type Body, type DirectoryInode, type FileInode, Inode, isDirectory, isFile } from "./inode.ts";
import { PAGE } from "./chunk.ts";
import { byteLength, checkNewName } from "./names.ts";
import { Pages } from "./pages.ts";
import type { Account, Space } from "./space.ts";
import { freeXattrs, sizeOf } from "./xattrs.ts";

/** Most names of one file, as with ext4. Directories have no such limit. */
export const LINK_MAX = 65_000;

/** What a new inode is to be. */
export interface Made {
  /** Type and permission bits. */
  readonly mode: number;
  /** Permission bits that it does not get, unless a default access control list of the directory says more. */
  readonly umask?: number;
  /** Device number of a device. */
  readonly rdev?: number;
  /** Target of a symbolic link. */
  readonly target?: string;
}

/**
 * All inodes, from the root on. An inode goes, and its space is free, when it has no name, is not open, is unknown to
 * the kernel, and no snapshot under way holds it.
 */
export class Tree {
  /** What the inodes take. */
  readonly space: Space;
  /** The first directory. */
  readonly root: DirectoryInode;
  /** What the kernel knows them by. */
  readonly nodes: NodeTable<Inode> = new NodeTable();

  /** A tree with a root. */
  constructor(space: Space, mode: number, caller: Caller) {
    this.space = space;
    space.of(caller.uid).take(0, 1);
    const root = new Inode(S_IFDIR | mode & ~S_IFMT, caller.uid, caller.gid, 0, null) as DirectoryInode;
    root.body = new Directory<Inode>(root);
    root.nlink = 2;
    root.nodeid = this.nodes.insert(root);
    this.root = root;
  }

  /** The directory of a nodeid. ENOTDIR, ESTALE. */
  directory(nodeid: number): DirectoryInode {
    const inode = this.nodes.at(nodeid);
    if (!isDirectory(inode)) throw new FuseError("ENOTDIR");
    return inode;
  }

  /** The regular file of a nodeid. EISDIR, EINVAL: it is something else. ESTALE. */
  file(nodeid: number): FileInode {
    const inode = this.nodes.at(nodeid);
    if (!isFile(inode)) throw new FuseError(isDirectory(inode) ? "EISDIR" : "EINVAL");
    return inode;
  }

  /** What a name stands for. ENOENT. */
  child(dir: DirectoryInode, name: string): Inode {
    const inode = dir.body.get(name);
    if (inode === undefined) throw new FuseError("ENOENT");
    return inode;
  }

  /** Makes an inode without a name, as a directory's next. ENOSPC, EDQUOT. */
  insert(dir: DirectoryInode, made: Made, caller: Caller): Inode {
    const { mode, rdev = 0, target = "" } = made;
    const account = this.space.of(caller.uid);
    const { bits, xattrs } = inherit(dir, made);
    account.take(byteLength(target) + sizeOf(xattrs), 1);
    const body = this.#body(dir, mode, target, account);
    // A set-group-id directory hands on its group, and to directories the bit. Source: `inode(7)`.
    const inherits = (dir.mode & S_ISGID) !== 0;
    const kept = inherits && body instanceof Directory ? bits | S_ISGID : bits;
    const inode = new Inode(kept, caller.uid, inherits ? dir.gid : caller.gid, rdev, body);
    inode.xattrs = xattrs;
    inode.nodeid = this.nodes.insert(inode);
    return inode;
  }

  #body(dir: DirectoryInode, mode: number, target: string, account: Account): Body {
    switch (mode & S_IFMT) {
      case S_IFREG:
        return new Pages(account);
      case S_IFDIR:
        return new Directory<Inode>(dir);
      case S_IFLNK:
        return target;
      default:
        return null;
    }
  }

  /** Makes an inode with a name. ENOENT: the directory was removed; EEXIST, ENAMETOOLONG, ENOSPC. */
  make(dir: DirectoryInode, name: string, made: Made, caller: Caller): Inode {
    this.#vacant(dir, name);
    const inode = this.insert(dir, made, caller);
    dir.body.set(name, inode);
    inode.nlink = 1;
    if (isDirectory(inode)) {
      inode.nlink = 2;
      dir.nlink++;
    }
    dir.modified();
    return inode;
  }

  #vacant(dir: DirectoryInode, name: string): void {
    checkNewName(name);
    if (dir.nlink === 0) throw new FuseError("ENOENT");
    if (dir.body.get(name) !== undefined) throw new FuseError("EEXIST");
  }

  /** Gives a file another name. EPERM: it is a directory; EMLINK, ENOSPC, and as {@linkcode Tree.make}. */
  link(inode: Inode, dir: DirectoryInode, name: string): void {
    if (isDirectory(inode)) throw new FuseError("EPERM");
    if (inode.nlink === 0 && !inode.linkable) throw new FuseError("ENOENT");
    if (inode.nlink >= LINK_MAX) throw new FuseError("EMLINK");
    this.#vacant(dir, name);
    // A further name costs as much as an inode, so that names are limited too.
    if (inode.nlink > 0) this.space.of(inode.uid).take(0, 1);
    dir.body.set(name, inode);
    inode.nlink++;
    inode.linkable = false;
    inode.changed();
    dir.modified();
  }

  /** Removes a name of a file. ENOENT; EISDIR. */
  unlink(dir: DirectoryInode, name: string): void {
    const inode = this.child(dir, name);
    if (isDirectory(inode)) throw new FuseError("EISDIR");
    dir.body.delete(name);
    dir.modified();
    this.#unnamed(inode);
  }

  /** Removes an empty directory. ENOENT, ENOTDIR, ENOTEMPTY. */
  rmdir(dir: DirectoryInode, name: string): void {
    const inode = this.child(dir, name);
    if (!isDirectory(inode)) throw new FuseError("ENOTDIR");
    if (inode.body.count > 0) throw new FuseError("ENOTEMPTY");
    dir.body.delete(name);
    dir.modified();
    this.#unnamed(inode);
  }

  /** A name of it is gone: an (empty) directory's only one. */
  #unnamed(inode: Inode): void {
    if (isDirectory(inode)) {
      inode.nlink = 0;
      inode.body.parent.nlink--;
    } else if (--inode.nlink > 0) this.space.of(inode.uid).give(0, 1);
    inode.changed();
    this.reap(inode);
  }

  /** Renames. Source: `rename(2)`, whose errors these are. */
  rename(from: DirectoryInode, name: string, to: DirectoryInode, newName: string, flags: number, caller: Caller): void {
    const exchange = (flags & RENAME_EXCHANGE) !== 0, whiteout = (flags & RENAME_WHITEOUT) !== 0;
    if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) throw new FuseError("EINVAL");
    if (exchange && flags !== RENAME_EXCHANGE) throw new FuseError("EINVAL");
    checkNewName(newName);
    const inode = this.child(from, name);
    const old = to.body.get(newName);
    if (to.nlink === 0 || exchange && old === undefined) throw new FuseError("ENOENT");
    if (flags & RENAME_NOREPLACE && old !== undefined) throw new FuseError("EEXIST");
    if (holds(inode, to) || exchange && holds(old!, from)) throw new FuseError("EINVAL");
    // Two names of one file: both stay.
    if (inode === old) return;
    if (old !== undefined && !exchange) replaceable(inode, old);

    const left = exchange ? old : whiteout ? this.insert(from, { mode: S_IFCHR }, caller) : undefined;
    if (left === undefined) from.body.delete(name);
    else from.body.set(name, left);
    to.body.set(newName, inode);
    moved(inode, from, to);
    if (exchange) {
      moved(old!, to, from);
      old!.changed();
    } else {
      if (left !== undefined) left.nlink = 1;
      if (old !== undefined) this.#unnamed(old);
    }
    inode.changed();
    from.modified();
    to.modified();
  }

  /** Gives an inode to another user, with all that is charged for it. EDQUOT. */
  chown(inode: Inode, uid: number): void {
    const { body, xattrs, nlink } = inode;
    const data = isFile(inode) ? inode.body.held * PAGE : typeof body === "string" ? byteLength(body) : 0;
    const names = isDirectory(inode) ? 1 : Math.max(1, nlink);
    this.space.transfer(inode.uid, uid, data + sizeOf(xattrs), names);
    inode.uid = uid;
    if (isFile(inode)) inode.body.account = this.space.of(uid);
  }

  /** Lets an inode go that nobody holds any more. */
  reap(inode: Inode): void {
    const { nodeid, body } = inode;
    if (inode.nlink > 0 || inode.opens > 0 || inode.saves > 0 || this.nodes.lookups(nodeid) > 0) return;
    if (body instanceof Pages) body.truncate(0);
    const account = this.space.of(inode.uid);
    freeXattrs(inode, account);
    account.give(typeof body === "string" ? byteLength(body) : 0, 1);
    this.nodes.remove(nodeid);
  }

  /** There is no kernel any more that knows inodes, or has some open. */
  abandon(): void {
    for (const inode of this.nodes.values()) {
      inode.opens = inode.writers = 0;
      this.nodes.forget(inode.nodeid, Infinity);
      this.reap(inode);
    }
  }
}

/** The mode of what is made in a directory, and the access control lists that it is handed. */
function inherit(dir: DirectoryInode, made: Made): { bits: number; xattrs: Map<string, Uint8Array> | undefined } {
  const value = dir.xattrs?.get(ACL_DEFAULT);
  const type = made.mode & S_IFMT;
  if (value === undefined || type === S_IFLNK) return { bits: made.mode & ~(made.umask ?? 0), xattrs: undefined };
  const { mode, acl } = inheritAcl(parseAcl(value), made.mode);
  const xattrs = new Map<string, Uint8Array>();
  if (acl !== null) xattrs.set(ACL_ACCESS, formatAcl(acl));
  if (type === S_IFDIR) xattrs.set(ACL_DEFAULT, value);
  return { bits: mode, xattrs: xattrs.size > 0 ? xattrs : undefined };
}

/** Whether an inode is a directory in which, however deep, the other lies, or is the other. */
function holds(inode: Inode, other: DirectoryInode): boolean {
  if (!isDirectory(inode)) return false;
  let at: Inode = other;
  while (at !== inode && isDirectory(at) && at !== at.body.parent) at = at.body.parent;
  return at === inode;
}

/** Whether a rename may take the place of `old`. EISDIR, ENOTDIR, ENOTEMPTY. */
function replaceable(inode: Inode, old: Inode): void {
  if (!isDirectory(old)) {
    if (isDirectory(inode)) throw new FuseError("ENOTDIR");
  } else if (!isDirectory(inode)) throw new FuseError("EISDIR");
  else if (old.body.count > 0) throw new FuseError("ENOTEMPTY");
}

/** A directory took its ".." along. */
function moved(inode: Inode, from: DirectoryInode, to: DirectoryInode): void {
  if (!isDirectory(inode) || from === to) return;
  inode.body.parent = to;
  from.nlink--;
  to.nlink++;
}
