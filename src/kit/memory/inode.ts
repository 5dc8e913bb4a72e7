/** Inodes of a file system in memory. */
import { S_IFDIR, S_IFMT, S_IFREG, S_ISGID, S_ISUID } from "../../fs/mode.ts";
import type { Attr } from "../../fs/types.ts";
import { type Caller, suidgidToDrop } from "../permissions.ts";
import { byteLength } from "./names.ts";
import { Directory } from "./directory.ts";
import { PAGE } from "./chunk.ts";
import { Pages } from "./pages.ts";

const PERMISSIONS = 0o7777;

/** What an inode is besides its attributes: data, names, the target of a symbolic link, or nothing. */
export type Body = Pages | Directory<Inode> | string | null;

/** An inode that is a directory. */
export type DirectoryInode = Inode & { body: Directory<Inode> };

/** An inode that is a regular file. */
export type FileInode = Inode & { body: Pages };

/** Whether it is a directory. */
export function isDirectory(inode: Inode): inode is DirectoryInode {
  return inode.body instanceof Directory;
}

/** Whether it is a regular file. */
export function isFile(inode: Inode): inode is FileInode {
  return inode.body instanceof Pages;
}

/** One inode. Times are whole seconds beside nanoseconds. */
export class Inode {
  nodeid = 0;
  mode: number;
  uid: number;
  gid: number;
  /** Names that it has, and for a directory "." and those of "..". */
  nlink = 0;
  /** Open files. */
  opens = 0;
  /** How many of them are for writing. */
  writers = 0;
  /** Snapshots under way that hold it. */
  saves = 0;
  /** Reads that found holes, whose pages the kernel may still have in its cache. */
  holeReads = 0;
  /** Without a name, but link may give it one. */
  linkable = false;
  readonly rdev: number;
  body: Body;
  /** Extended attributes, once there was one. */
  xattrs: Map<string, Uint8Array> | undefined = undefined;
  atime: number;
  atimeNsec: number;
  mtime: number;
  mtimeNsec: number;
  ctime: number;
  ctimeNsec: number;
  btime: number;
  btimeNsec: number;

  constructor(mode: number, uid: number, gid: number, rdev: number, body: Body) {
    this.mode = mode;
    this.uid = uid;
    this.gid = gid;
    this.rdev = rdev;
    this.body = body;
    const now = Date.now(), nsec = nanoseconds(now);
    this.atime =
      this.mtime =
      this.ctime =
      this.btime =
        Math.floor(now / 1000);
    this.atimeNsec =
      this.mtimeNsec =
      this.ctimeNsec =
      this.btimeNsec =
        nsec;
  }

  /** Its type bits. */
  get type(): number {
    return this.mode & S_IFMT;
  }

  /** Whether a program that runs it gets other rights; those bits may end with a write. */
  get setsId(): boolean {
    return this.type === S_IFREG && (this.mode & (S_ISUID | S_ISGID)) !== 0;
  }

  /** Now is the time of its last change; `now` in ms. */
  changed(now: number = Date.now()): void {
    this.ctime = Math.floor(now / 1000);
    this.ctimeNsec = nanoseconds(now);
  }

  /** Now is the time of its last modification. */
  modified(now: number = Date.now()): void {
    this.mtime = this.ctime = Math.floor(now / 1000);
    this.mtimeNsec = this.ctimeNsec = nanoseconds(now);
  }

  /** Now is the time of its last access. */
  accessed(now: number): void {
    this.atime = Math.floor(now / 1000);
    this.atimeNsec = nanoseconds(now);
  }

  /** Whether it was changed since it was last accessed, or that is a day ago. Source: `mount(8) relatime`. */
  atimeIsOld(now: number): boolean {
    const { atime, atimeNsec } = this;
    return this.mtime > atime || this.mtime === atime && this.mtimeNsec >= atimeNsec ||
      this.ctime > atime || this.ctime === atime && this.ctimeNsec >= atimeNsec ||
      now / 1000 - atime >= 86_400;
  }

  /** Gives it other permission bits; the type stays. */
  setPermissions(mode: number): void {
    this.mode = this.type | mode & PERMISSIONS;
  }

  /**
   * Ends set-user-id, and set-group-id where the group may run it or the caller is not of the group, as a write or a
   * change of owner does. Source: `inode(7)`.
   */
  dropSetId(caller: Caller): void {
    if (this.type !== S_IFDIR) this.mode &= ~suidgidToDrop(this, caller);
  }

  /** What stat shows. */
  attr(): Attr {
    const { body } = this;
    let size = 0, blocks = 0;
    if (body instanceof Pages) {
      size = body.size;
      blocks = body.held * (PAGE / 512);
    } else if (body instanceof Directory) {
      size = body.size;
      blocks = size / 512;
    } else if (body !== null) size = byteLength(body);
    return {
      ino: this.nodeid,
      size,
      blocks,
      atime: this.atime,
      mtime: this.mtime,
      ctime: this.ctime,
      atimeNsec: this.atimeNsec,
      mtimeNsec: this.mtimeNsec,
      ctimeNsec: this.ctimeNsec,
      mode: this.mode,
      nlink: this.nlink,
      uid: this.uid,
      gid: this.gid,
      rdev: this.rdev,
      blksize: PAGE,
    };
  }
}

function nanoseconds(ms: number): number {
  return (ms - Math.floor(ms / 1000) * 1000) * 1_000_000;
}
