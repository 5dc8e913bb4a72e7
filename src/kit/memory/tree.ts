/** The inodes of a file system in memory and the names that they have. */
import { FuseError } from "../../errno.ts";
import { NodeTable } from "../node_table.ts";
import { Directory } from "./directory.ts";
import {
  type Body,
  type Caller,
  type DirectoryInode,
  type FileInode,
  Inode,
  isDirectory,
  isFile,
  S_IFCHR,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_ISGID,
} from "./inode.ts";
import { byteLength, checkNewName } from "./names.ts";
import { Pages } from "./pages.ts";
import type { Space } from "./space.ts";
import { freeXattrs } from "./xattrs.ts";

/** Most names of one file, as with ext4. Directories have no such limit. */
export const LINK_MAX = 65_000;

const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
const RENAME_WHITEOUT = 4;

/** What a new inode is to be. */
export interface Made {
  /** Type and permission bits. */
  readonly mode: number;
  /** Device number of a device. */
  readonly rdev?: number;
  /** Target of a symbolic link. */
  readonly target?: string;
}

/**
 * All inodes, from the root on. An inode goes, and its space is free, when it has no name, is not open and is unknown
 * to the kernel.
 */
export class Tree {
  /** What the inodes take. */
  readonly space: Space;
  /** What the kernel knows them by. */
  readonly nodes: NodeTable<Inode> = new NodeTable();

  /** A tree with a root. */
  constructor(space: Space, mode: number, caller: Caller) {
    this.space = space;
    space.take(0, 1);
    const root = new Inode(S_IFDIR | mode & ~S_IFMT, caller.uid, caller.gid, 0, null) as DirectoryInode;
    root.body = new Directory<Inode>(root);
    root.nlink = 2;
    root.nodeid = this.nodes.insert(root);
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

  /** Makes an inode without a name, as a directory's next. ENOSPC. */
  insert(dir: DirectoryInode, { mode, rdev = 0, target = "" }: Made, caller: Caller): Inode {
    const body = this.#body(dir, mode, target);
    this.space.take(byteLength(target), 1);
    // A set-group-id directory hands on its group, and to directories the bit. Source: `inode(7)`.
    const inherits = (dir.mode & S_ISGID) !== 0;
    const kept = inherits && body instanceof Directory ? mode | S_ISGID : mode;
    const inode = new Inode(kept, caller.uid, inherits ? dir.gid : caller.gid, rdev, body);
    inode.nodeid = this.nodes.insert(inode);
    return inode;
  }

  #body(dir: DirectoryInode, mode: number, target: string): Body {
    switch (mode & S_IFMT) {
      case S_IFREG:
        return new Pages(this.space);
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
    if (inode.nlink > 0) this.space.take(0, 1);
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
    } else if (--inode.nlink > 0) this.space.give(0, 1);
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

  /** Lets an inode go that nobody holds any more. */
  reap(inode: Inode): void {
    const { nodeid, body } = inode;
    if (inode.nlink > 0 || inode.opens > 0 || this.nodes.lookups(nodeid) > 0) return;
    if (body instanceof Pages) body.truncate(0);
    freeXattrs(inode, this.space);
    this.space.give(typeof body === "string" ? byteLength(body) : 0, 1);
    this.nodes.remove(nodeid);
  }
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
