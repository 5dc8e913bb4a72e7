/**
 * What passes between a file system and the session: attributes, entries, and one type of arguments and one of answer
 * per method of {@linkcode Filesystem}.
 *
 * Times are whole seconds since 1970 beside nanoseconds (0 to 999,999,999), since a double holds no 64-bit nanoseconds.
 * Timeouts are seconds and may have a fraction; `Infinity` means for ever, 0 (the default) not at all.
 *
 * @module
 */

import type { Backing } from "./backing.ts";

/** A value now, or a promise of it. A plain value is answered in the same turn, without a promise. */
export type Awaitable<T> = T | Promise<T>;

/** Nodeid of the root directory. Source: `linux/fuse.h FUSE_ROOT_ID`. */
export const ROOT_ID = 1;

/** Who asks. Source: `linux/fuse.h struct fuse_in_header`. */
export interface Request {
  /** The kernel's number of this request, unique while the mount lives. */
  readonly unique: number;
  /** User id of the caller. With the option `allowIdmap` only what makes an inode has one; 4294967295 elsewhere. */
  readonly uid: number;
  /** Group id of the caller; as `uid`. */
  readonly gid: number;
  /** Process id of the caller; 0 where the kernel asks by itself, or for a process of another pid namespace. */
  readonly pid: number;
  /**
   * Aborted when the caller is interrupted by a signal, or the session ends before the answer: pass it on, or look at
   * `signal.aborted`. A handler that rejects with the signal's reason answers EINTR; one that does not look at it is
   * unaffected.
   */
  readonly signal: AbortSignal;
  /** Sent again after a `resend` notification: it may have been served before. Since 7.40. */
  readonly resent: boolean;
  /**
   * The caller's groups that matter to what is made: the directory's group, where the caller is a member beyond `gid`.
   * Only with create, mkdir, mknod, symlink and tmpfile, and the option `createSuppGroup`. Since 7.38.
   */
  readonly groups?: readonly number[];
  /** Security labels for what is made. Only with the same methods, and the option `securityContext`. Since 7.36. */
  readonly securityContexts?: readonly SecurityContext[];
}

/** A label that the kernel's security module wants on a new inode. Source: `linux/fuse.h struct fuse_secctx`. */
export interface SecurityContext {
  /** Name of the extended attribute, such as `security.selinux`. */
  readonly name: string;
  /** Its value. */
  readonly value: Uint8Array;
}

/** What stat shows. Source: `linux/fuse.h struct fuse_attr`, `stat(2)`. */
export interface Attr {
  /** Inode number shown to programs (a bigint beyond 2^53-1); the nodeid where absent. */
  ino?: number | bigint;
  /** Bytes. Default 0. */
  size?: number;
  /** Allocated units of 512 bytes; `size` rounded up where absent. */
  blocks?: number;
  /** Last access, s since 1970. Default 0. */
  atime?: number;
  /** Last modification of the data, s since 1970. Default 0. */
  mtime?: number;
  /** Last change of the inode, s since 1970. Default 0. */
  ctime?: number;
  /** Last access, ns beside the seconds. Default 0. */
  atimeNsec?: number;
  /** Last modification, ns beside the seconds. Default 0. */
  mtimeNsec?: number;
  /** Last change, ns beside the seconds. Default 0. */
  ctimeNsec?: number;
  /** File type and permission bits, as `st_mode`. */
  mode: number;
  /** Number of hard links. Default 1. */
  nlink?: number;
  /** Owner. Default 0. */
  uid?: number;
  /** Group. Default 0. */
  gid?: number;
  /** Device number of a device file, as the kernel's 32-bit encoding ({@linkcode makedev}). */
  rdev?: number;
  /** Preferred unit of I/O, in bytes. Default 4096. */
  blksize?: number;
  /** This directory is the root of a submount (`FUSE_ATTR_SUBMOUNT`). Since 7.32. */
  submount?: boolean;
}

/** An inode found or made. Source: `linux/fuse.h struct fuse_entry_out`. */
export interface Entry {
  /**
   * What the kernel calls the inode from now on: 1 is the root, any other number is the author's choice. Each entry
   * that is answered counts one lookup, which `forget` takes back. 0 in an answer to lookup: the name does not exist,
   * and the kernel may remember that for `entryTimeout`.
   */
  nodeid: number;
  /** Tells apart inodes that had the same nodeid at different times. Default 0. */
  generation?: number;
  /** What stat shows. */
  attr: Attr;
  /** How long the kernel may keep the name, s; Infinity: as long as it likes. Default 0: it asks each time. */
  entryTimeout?: number;
  /** How long the kernel may keep the attributes, likewise. Default 0. */
  attrTimeout?: number;
}

/** An answer with attributes. Source: `linux/fuse.h struct fuse_attr_out`. */
export interface AttrReply {
  /** What stat shows. */
  attr: Attr;
  /** How long the kernel may keep them, s; Infinity: as long as it likes. Default 0: it asks each time. */
  attrTimeout?: number;
}

/** Arguments that name an entry of a directory. */
export interface NameArgs {
  /** Nodeid of the directory. */
  readonly parent: number;
  /** Name in it: bytes that are not UTF-8 are lone surrogates U+DC80 to U+DCFF, as in Python's surrogateescape. */
  readonly name: string;
}

/** Arguments of forget. */
export interface ForgetArgs {
  /** The inode. */
  readonly nodeid: number;
  /** How many lookups are taken back. */
  readonly nlookup: number;
}

/** Arguments of getattr. */
export interface GetattrArgs {
  /** The inode. */
  readonly nodeid: number;
  /** The open file asked through, where the kernel gave one: for the size before a read or a seek; fstat gives none. */
  readonly fh?: number;
}

/** Arguments of setattr: only what is to change is there. Source: `linux/fuse.h struct fuse_setattr_in`. */
export interface SetattrArgs {
  /** The inode. */
  readonly nodeid: number;
  /** The open file asked through (ftruncate). */
  readonly fh?: number;
  /** New permission bits, with the file type. */
  readonly mode?: number;
  /** New owner. */
  readonly uid?: number;
  /** New group. */
  readonly gid?: number;
  /** New size, in bytes. */
  readonly size?: number;
  /** New access time, s; `"now"`: the server's clock. */
  readonly atime?: number | "now";
  /** Its ns. */
  readonly atimeNsec?: number;
  /** New modification time, s; `"now"`: the server's clock. */
  readonly mtime?: number | "now";
  /** Its ns. */
  readonly mtimeNsec?: number;
  /** New change time, s: only with writeback cache. Since 7.23. */
  readonly ctime?: number;
  /** Its ns. */
  readonly ctimeNsec?: number;
  /**
   * Clear set-user-id and set-group-id: who may not keep them changes owner or size, or is about to write, where
   * nothing else is asked for. The latter also without the option `handleKillpriv`.
   */
  readonly killSuidgid?: boolean;
  /** Who asks, where locks matter (truncate). */
  readonly lockOwner?: bigint;
}

/** Arguments that name nothing but an inode. */
export interface NodeArgs {
  /** The inode. */
  readonly nodeid: number;
}

/** Arguments of symlink. */
export interface SymlinkArgs extends NameArgs {
  /** What the link points to, taken as it is. */
  readonly target: string;
}

/** Arguments of mkdir. */
export interface MkdirArgs extends NameArgs {
  /** Permission bits, umask applied by the kernel unless `dontMask` was negotiated. */
  readonly mode: number;
  /** The caller's umask. */
  readonly umask: number;
}

/** Arguments of mknod. */
export interface MknodArgs extends MkdirArgs {
  /** Device number, in the kernel's 32-bit encoding. */
  readonly rdev: number;
}

/** Arguments of rename. Source: `rename(2)`. */
export interface RenameArgs extends NameArgs {
  /** Nodeid of the directory to move to. */
  readonly newParent: number;
  /** Name there. */
  readonly newName: string;
  /** `RENAME_NOREPLACE` 1, `RENAME_EXCHANGE` 2, `RENAME_WHITEOUT` 4. */
  readonly flags: number;
}

/** Arguments of link. */
export interface LinkArgs {
  /** The inode that gets another name. */
  readonly nodeid: number;
  /** Directory of the new name. */
  readonly newParent: number;
  /** The new name. */
  readonly newName: string;
}

/** Arguments of open and opendir. */
export interface OpenArgs {
  /** The inode. */
  readonly nodeid: number;
  /** `O_*` flags of the caller, without O_CREAT, O_EXCL and O_NOCTTY. */
  readonly flags: number;
  /** Clear set-user-id and set-group-id, for O_TRUNC. Also without the option `handleKillpriv`. */
  readonly killSuidgid: boolean;
}

/** An open file. Source: `linux/fuse.h struct fuse_open_out`. */
export interface OpenReply {
  /** The author's number of the open file, given back with every request on it. Default 0. */
  fh?: number;
  /** Reads and writes bypass the page cache (`FOPEN_DIRECT_IO`). */
  directIo?: boolean;
  /** The page cache of the inode stays valid (`FOPEN_KEEP_CACHE`). */
  keepCache?: boolean;
  /** lseek fails (`FOPEN_NONSEEKABLE`). */
  nonSeekable?: boolean;
  /** No file position at all (`FOPEN_STREAM`). */
  stream?: boolean;
  /** No FLUSH at close (`FOPEN_NOFLUSH`). Since 7.35. */
  noFlush?: boolean;
  /** Direct writes of one inode may run side by side (`FOPEN_PARALLEL_DIRECT_WRITES`). Since 7.38. */
  parallelDirectWrites?: boolean;
  /**
   * What holds this file's data: the kernel reads and writes it itself (passthrough), or the session does where the
   * kernel refuses, and `read` and `write` are not called. Made by `passthrough.register`; a file descriptor as it is
   * stands for a backing file that is read-write, not `coherent`, and the author's to close at release, not before.
   * Since 7.40.
   */
  backing?: Backing | number;
  /**
   * Makes the calls by which the file grows where its `backing` is a descriptor as it is, with the bytes that each may
   * add: the writes of the session, and the call that hands it to the kernel (Infinity), which writes with the rights
   * that this thread has at that moment. They can be made with the rights of who opens, so that limits of space are
   * his. Default: with those of the server.
   */
  growing?: (call: () => number, bytes: number) => number;
}

/** An open directory. */
export interface OpendirReply {
  /** The author's number of the open directory. Default 0. */
  fh?: number;
  /** The kernel may cache the entries (`FOPEN_CACHE_DIR`). Since 7.28. */
  cacheDir?: boolean;
  /** Entries cached earlier stay valid (`FOPEN_KEEP_CACHE`). */
  keepCache?: boolean;
}

/** Arguments of create. */
export interface CreateArgs extends NameArgs {
  /** `O_*` flags of the caller. */
  readonly flags: number;
  /** File type and permission bits. */
  readonly mode: number;
  /** The caller's umask. */
  readonly umask: number;
  /** As in {@linkcode OpenArgs}, where the file exists by now. */
  readonly killSuidgid: boolean;
}

/** Arguments of tmpfile: as create, without a name. Since 7.37. */
export interface TmpfileArgs {
  /** Nodeid of the directory. */
  readonly parent: number;
  /** `O_*` flags of the caller. */
  readonly flags: number;
  /** File type and permission bits. */
  readonly mode: number;
  /** The caller's umask. */
  readonly umask: number;
}

/** A file made and opened. */
export interface CreateReply extends OpenReply {
  /** The new inode; counts one lookup. */
  entry: Entry;
}

/** Arguments of read. */
export interface ReadArgs {
  /** The inode. */
  readonly nodeid: number;
  /** The open file. */
  readonly fh: number;
  /** First byte. */
  readonly offset: number;
  /** How many bytes at most; fewer mean the end of the file. */
  readonly size: number;
  /** `O_*` flags of the open file. */
  readonly flags: number;
}

/** Arguments of write. */
export interface WriteArgs {
  /** The inode. */
  readonly nodeid: number;
  /** The open file. */
  readonly fh: number;
  /** First byte. */
  readonly offset: number;
  /** The bytes: borrowed until the answer, so copy what is kept. */
  readonly data: Uint8Array;
  /**
   * `O_*` flags of the open file. With O_APPEND `offset` is the end as the kernel knows it; where others write to the
   * file as well, the end is the file system's to find. No O_APPEND with the writeback cache: `offset` is the end,
   * which the file need not have reached.
   */
  readonly flags: number;
  /** Comes from the page cache, so the caller is unknown and `fh` may be another opener's (`FUSE_WRITE_CACHE`). */
  readonly fromCache: boolean;
  /** Clear set-user-id and set-group-id (`FUSE_WRITE_KILL_SUIDGID`). Since 7.31. */
  readonly killSuidgid: boolean;
}

/** What statfs shows. Source: `linux/fuse.h struct fuse_kstatfs`, `statfs(2)`. */
export interface Statfs {
  /** Total units of `frsize` bytes. */
  blocks: number;
  /** Free units. */
  bfree: number;
  /** Free units for ordinary users. */
  bavail: number;
  /** Inodes in all. */
  files: number;
  /** Free inodes. */
  ffree: number;
  /** Preferred unit of I/O, bytes. */
  bsize: number;
  /** Longest name, bytes. */
  namelen: number;
  /** The unit of `blocks`, bytes. */
  frsize: number;
}

/** Arguments that name an open file or directory. */
export interface HandleArgs {
  /** The inode. */
  readonly nodeid: number;
  /** The open file. */
  readonly fh: number;
}

/** Arguments of release and releasedir. */
export interface ReleaseArgs extends HandleArgs {
  /** `O_*` flags of the open file. */
  readonly flags: number;
  /** Whose flock(2) lock ends with it, where it may have one (`FUSE_RELEASE_FLOCK_UNLOCK`). Since 7.17. */
  readonly flockOwner?: bigint;
}

/** Arguments of flush: one for each close(2). */
export interface FlushArgs extends HandleArgs {
  /** Whose POSIX locks end with it. */
  readonly lockOwner: bigint;
}

/** Arguments of fsync and fsyncdir. */
export interface FsyncArgs extends HandleArgs {
  /** Only the data, as fdatasync(2). */
  readonly datasync: boolean;
}

/** Arguments of getxattr and removexattr. */
export interface XattrArgs {
  /** The inode. */
  readonly nodeid: number;
  /** Full name, such as `user.comment`. */
  readonly name: string;
}

/** Arguments of setxattr. */
export interface SetxattrArgs extends XattrArgs {
  /** The value: borrowed until the answer. */
  readonly value: Uint8Array;
  /** `XATTR_CREATE` 1, `XATTR_REPLACE` 2. */
  readonly flags: number;
  /**
   * Clear set-group-id as well: the value is an access ACL, set by who is not of the file's group. Only with the option
   * `posixAcl`. Since 7.33.
   */
  readonly killSgid?: boolean;
}

/** Arguments of readdir. */
export interface ReaddirArgs extends HandleArgs {
  /** 0, or the `offset` of the entry to go on behind. */
  readonly offset: number;
}

/** An entry of a directory. `"."` and `".."` are added in front, unless the author's first entry is `"."`. */
export interface DirEntry {
  /** The name, as in {@linkcode NameArgs}. */
  name: string;
  /** Inode number shown by readdir(3), a bigint beyond 2^53-1. */
  ino: number | bigint;
  /** `st_mode` or only its type bits; 0: unknown. */
  mode: number;
  /**
   * A cookie to go on behind this entry, not 0, valid while the directory is open. Where the first entry has none, the
   * session numbers the entries of one pass itself and keeps the pass open.
   */
  offset?: number;
}

/**
 * The entries of a directory: an array, any iterable, or an async one; only as much is taken as the kernel asks for.
 */
export type DirEntries = Iterable<DirEntry> | AsyncIterable<DirEntry>;

/** Arguments of access. */
export interface AccessArgs {
  /** The inode. */
  readonly nodeid: number;
  /** `R_OK` 4, `W_OK` 2, `X_OK` 1, or 0 for existence. */
  readonly mask: number;
}

/** Arguments of fallocate. Since 7.19. */
export interface FallocateArgs extends HandleArgs {
  /** First byte. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** `FALLOC_FL_*`. Linux asks for KEEP_SIZE 1, PUNCH_HOLE 2 and ZERO_RANGE 16; the others are EOPNOTSUPP there. */
  readonly mode: number;
}

/** Arguments of lseek; only SEEK_DATA and SEEK_HOLE are ever asked. Since 7.24. */
export interface LseekArgs extends HandleArgs {
  /** Where to begin. */
  readonly offset: number;
  /** `SEEK_DATA` 3, `SEEK_HOLE` 4. */
  readonly whence: number;
}

/** Arguments of copyFileRange. Since 7.28. */
export interface CopyFileRangeArgs {
  /** Inode to copy from. */
  readonly nodeid: number;
  /** Open file to copy from. */
  readonly fh: number;
  /** First byte there. */
  readonly offset: number;
  /** Inode to copy to. */
  readonly newNodeid: number;
  /** Open file to copy to. */
  readonly newFh: number;
  /** First byte there. */
  readonly newOffset: number;
  /** Bytes at most. */
  readonly length: number;
  /** As `copy_file_range(2)` has them. */
  readonly flags: number;
}

/** Arguments of statx. Since 7.39. */
export interface StatxArgs extends GetattrArgs {
  /** `AT_STATX_*`. */
  readonly flags: number;
  /** `STATX_*`: what is asked for. */
  readonly mask: number;
}

/** What statx shows beyond {@linkcode Attr}. Linux up to 6.18 shows `btime` alone to programs. Source: `statx(2)`. */
export interface StatxReply extends AttrReply {
  /** Time of birth, s. */
  btime?: number;
  /** Its ns. */
  btimeNsec?: number;
  /** `STATX_ATTR_*` that are set. */
  attributes?: number;
  /** `STATX_ATTR_*` that this file system knows. */
  attributesMask?: number;
}

/** A record lock. Source: `linux/fuse.h struct fuse_file_lock`, `fcntl(2)`. */
export interface FileLock {
  /** First byte. */
  start: bigint;
  /** Last byte, included; 2^63-1: to the end. */
  end: bigint;
  /** `F_RDLCK` 0, `F_WRLCK` 1, `F_UNLCK` 2. */
  type: number;
  /** Process that holds it. */
  pid: number;
}

/** Arguments of getlk, setlk and setlkw. */
export interface LockArgs extends HandleArgs {
  /** Who asks: locks of one owner do not conflict. */
  readonly owner: bigint;
  /** The lock. */
  readonly lock: FileLock;
  /** By flock(2), not fcntl(2) (`FUSE_LK_FLOCK`). */
  readonly flock: boolean;
}

/** Arguments of bmap. */
export interface BmapArgs {
  /** The inode. */
  readonly nodeid: number;
  /** Block of the file. */
  readonly block: number;
  /** Bytes a block. */
  readonly blocksize: number;
}

/** Arguments of ioctl. Source: `linux/fuse.h struct fuse_ioctl_in`, `ioctl(2)`. */
export interface IoctlArgs extends HandleArgs {
  /** The request number. */
  readonly cmd: number;
  /** The caller's third argument as it is: a number, or an address in the caller's memory. */
  readonly arg: bigint;
  /** What the number says is to be read from there, fetched by the kernel: borrowed until the answer. */
  readonly data: Uint8Array;
  /** Bytes that may be answered. */
  readonly outSize: number;
  /** `fh` is an open directory. Since 7.18. */
  readonly directory: boolean;
  /**
   * The number says nothing about sizes: the answer may be `retry`. Only character devices (CUSE) get these. Since
   * 7.16.
   */
  readonly unrestricted: boolean;
  /** A 32-bit program on a 64-bit kernel asks. */
  readonly compat: boolean;
}

/** A range of the caller's memory. Source: `linux/fuse.h struct fuse_ioctl_iovec`. */
export interface IoctlRange {
  /** Address in the caller's memory. */
  base: bigint;
  /** Bytes. */
  length: number;
}

/** Answer to ioctl. Source: `linux/fuse.h struct fuse_ioctl_out`. */
export interface IoctlReply {
  /** What ioctl(2) returns. Default 0. */
  result?: number;
  /**
   * What is written back to the caller: at most `outSize` bytes, and exactly so many where the kernel asks by itself,
   * as for the flags of chattr(1).
   */
  data?: Uint8Array;
  /** Ask again, with these ranges of the caller's memory fetched and open to be written. At most 256. */
  retry?: { in?: IoctlRange[]; out?: IoctlRange[] };
}

/** Arguments of poll. Source: `linux/fuse.h struct fuse_poll_in`, `poll(2)`. */
export interface PollArgs extends HandleArgs {
  /** What `pollWakeup` is told when something is ready. */
  readonly kh: bigint;
  /** `POLLIN` 1, `POLLOUT` 4 ...: what the caller waits for. Since 7.21; all of them before. */
  readonly events: number;
  /** Somebody waits: call `pollWakeup(kh)` once something is ready. */
  readonly notify: boolean;
}

/**
 * A device number in the 32-bit encoding that `rdev` has on the wire. Source: `linux/kdev_t.h new_encode_dev`.
 *
 * @example
 * ```ts
 * import { type Attr, makedev } from "@fusewire/fusewire";
 *
 * const zero: Attr = { mode: 0o020666, rdev: makedev(1, 5) };
 * console.log(zero.rdev!.toString(16)); // 105
 * ```
 */
export function makedev(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}
