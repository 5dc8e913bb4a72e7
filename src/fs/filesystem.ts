/**
 * The interface that a file system implements: one method per request of the kernel, all of them optional.
 *
 * @module
 */
import type { Notifications } from "./notifications.ts";
import type { Passthrough } from "./backing.ts";
import type * as t from "./types.ts";

/** What the handshake agreed on, and what the session offers a file system. */
export interface Connection {
  /** What was agreed with the kernel. */
  readonly negotiated: Negotiated;
  /** What can be told the kernel unasked. */
  readonly notify: Notifications;
  /** Registers backing files. */
  readonly passthrough: Passthrough;
  /** Device number of the mount as `st_dev` of its files shows it, where it is known. */
  readonly device?: { readonly major: number; readonly minor: number };
}

/** What the handshake agreed on. Source: `linux/fuse.h struct fuse_init_out`. */
export interface Negotiated {
  /** Major version: 7. */
  readonly major: number;
  /** The lower of the kernel's minor version and 45. */
  readonly minor: number;
  /** Names of the INIT flags in force, such as `"FUSE_ASYNC_READ"`. */
  readonly flags: ReadonlySet<string>;
  /** Largest WRITE, bytes. */
  readonly maxWrite: number;
  /** Largest read-ahead, bytes. */
  readonly maxReadahead: number;
  /** Largest request, in pages. */
  readonly maxPages: number;
  /** Granularity of times, ns. */
  readonly timeGran: number;
  /** How many file systems may lie under a backing file; 0: no passthrough. */
  readonly maxStackDepth: number;
}

/**
 * A file system: any object with some of these methods. Each takes one object of arguments and the {@linkcode
 * t.Request} that says who asks, and answers with a value or a promise of it. A plain value is answered in the same
 * turn. To answer an error, throw a `FuseError`; what else is thrown becomes the errno it stands for, or EIO.
 *
 * A method that is absent has a sensible answer, given with each. Which there are is looked up once.
 *
 * @example
 * ```ts
 * import { type Filesystem, ROOT_ID } from "@fusewire/fusewire";
 *
 * const empty: Filesystem = {
 *   getattr: () => ({ attr: { mode: 0o040755, nlink: 2 } }),
 *   readdir: () => [],
 * };
 * console.log(ROOT_ID, Object.keys(empty));
 * ```
 */
export interface Filesystem {
  /** The handshake is done; requests follow. What it throws refuses the connection. */
  init?(connection: Connection): void;
  /**
   * The kernel let go of the mount, and staged files are committed; nothing follows but the `init` of another mount.
   * Also called where the connection was aborted, and only where `init` was called and did not throw. What the kernel
   * knew and had open until now it neither forgets nor releases first, nor is anything taken back that is answered
   * after this: the signal of such a request was aborted.
   */
  destroy?(): void;
  /** Finds a name in a directory; `null`: ENOENT. Absent: ENOSYS. Source: `path_resolution(7)`. */
  lookup?(args: t.NameArgs, request: t.Request): t.Awaitable<t.Entry | null>;
  /**
   * The kernel drops lookups; at 0 the inode is unknown to it, and the nodeid may be given to another one. Comes after
   * the commit, where a staged file of the inode is being handed over; what was looked up or made meanwhile counts on.
   * Never answered.
   */
  forget?(args: t.ForgetArgs): void;
  /** Attributes of an inode. Absent: ENOSYS. Source: `stat(2)`. */
  getattr?(args: t.GetattrArgs, request: t.Request): t.Awaitable<t.AttrReply>;
  /**
   * Changes attributes and answers the new ones. Absent: ENOSYS. Source: `chmod(2)`, `chown(2)`, `truncate(2)`,
   * `utimensat(2)`.
   */
  setattr?(args: t.SetattrArgs, request: t.Request): t.Awaitable<t.AttrReply>;
  /**
   * Extended attributes of an inode, with the time of birth. Absent: ENOSYS, and the kernel uses getattr from then on.
   * Since 7.39. Source: `statx(2)`.
   */
  statx?(args: t.StatxArgs, request: t.Request): t.Awaitable<t.StatxReply>;
  /** Target of a symbolic link. Absent: ENOSYS. Source: `readlink(2)`. */
  readlink?(args: t.NodeArgs, request: t.Request): t.Awaitable<string>;
  /** Makes a symbolic link. Absent: ENOSYS. Source: `symlink(2)`. */
  symlink?(args: t.SymlinkArgs, request: t.Request): t.Awaitable<t.Entry>;
  /** Makes a file, device, fifo or socket. Absent: ENOSYS. Source: `mknod(2)`. */
  mknod?(args: t.MknodArgs, request: t.Request): t.Awaitable<t.Entry>;
  /** Makes a directory. Absent: ENOSYS. Source: `mkdir(2)`. */
  mkdir?(args: t.MkdirArgs, request: t.Request): t.Awaitable<t.Entry>;
  /** Removes a name that is not a directory. Absent: ENOSYS. Source: `unlink(2)`. */
  unlink?(args: t.NameArgs, request: t.Request): t.Awaitable<void>;
  /** Removes an empty directory. Absent: ENOSYS. Source: `rmdir(2)`. */
  rmdir?(args: t.NameArgs, request: t.Request): t.Awaitable<void>;
  /** Renames. Absent: ENOSYS, or EINVAL where there are flags. Source: `rename(2)`. */
  rename?(args: t.RenameArgs, request: t.Request): t.Awaitable<void>;
  /** Makes a hard link. Absent: EPERM to all callers (ENOSYS before Linux 6.15). Source: `link(2)`. */
  link?(args: t.LinkArgs, request: t.Request): t.Awaitable<t.Entry>;
  /** Opens a file. Absent: every open succeeds, with fh 0. Source: `open(2)`. */
  open?(args: t.OpenArgs, request: t.Request): t.Awaitable<t.OpenReply>;
  /** Reads; fewer bytes than asked mean the end of the file. Absent: ENOSYS. Source: `pread(2)`. */
  read?(args: t.ReadArgs, request: t.Request): t.Awaitable<Uint8Array>;
  /** Writes; answers how many bytes were taken. Absent: ENOSYS. Source: `pwrite(2)`. */
  write?(args: t.WriteArgs, request: t.Request): t.Awaitable<number>;
  /** Sizes of the file system. Absent: zeros with a name length of 255. Source: `statfs(2)`. */
  statfs?(args: t.NodeArgs, request: t.Request): t.Awaitable<t.Statfs>;
  /** The last reference to an open file is gone; the answer's errno is seen by nobody. Absent: nothing. */
  release?(args: t.ReleaseArgs, request: t.Request): t.Awaitable<void>;
  /**
   * A descriptor was closed; an error is close's. Absent: nothing, and the kernel asks no more but for staged files.
   * Source: `close(2)`.
   */
  flush?(args: t.FlushArgs, request: t.Request): t.Awaitable<void>;
  /**
   * Brings a file to stable storage. Absent: the backing file is synced (a staged one is not committed by that);
   * success without one. Source: `fsync(2)`.
   */
  fsync?(args: t.FsyncArgs, request: t.Request): t.Awaitable<void>;
  /** Sets an extended attribute. Absent: EOPNOTSUPP to all callers. Source: `setxattr(2)`. */
  setxattr?(args: t.SetxattrArgs, request: t.Request): t.Awaitable<void>;
  /**
   * Value of an extended attribute; `null`: ENODATA. Size probing and ERANGE are the session's. Absent: EOPNOTSUPP to
   * all callers. Source: `getxattr(2)`.
   */
  getxattr?(args: t.XattrArgs, request: t.Request): t.Awaitable<Uint8Array | null>;
  /** Names of the extended attributes. Absent: EOPNOTSUPP to all callers. Source: `listxattr(2)`. */
  listxattr?(args: t.NodeArgs, request: t.Request): t.Awaitable<string[]>;
  /** Removes an extended attribute. Absent: EOPNOTSUPP to all callers. Source: `removexattr(2)`. */
  removexattr?(args: t.XattrArgs, request: t.Request): t.Awaitable<void>;
  /** Opens a directory. Absent: every open succeeds, with fh 0. Source: `opendir(3)`. */
  opendir?(args: t.OpenArgs, request: t.Request): t.Awaitable<t.OpendirReply>;
  /**
   * Entries of a directory. With attributes (readdirplus) the session adds them by `lookup`. Absent: ENOSYS. Source:
   * `readdir(3)`.
   */
  readdir?(args: t.ReaddirArgs, request: t.Request): t.Awaitable<t.DirEntries>;
  /** The last reference to an open directory is gone. Absent: nothing. */
  releasedir?(args: t.ReleaseArgs, request: t.Request): t.Awaitable<void>;
  /** Brings a directory to stable storage. Absent: success. */
  fsyncdir?(args: t.FsyncArgs, request: t.Request): t.Awaitable<void>;
  /** Checks access for the caller, unless mounted with `defaultPermissions`. Absent: allowed. Source: `access(2)`. */
  access?(args: t.AccessArgs, request: t.Request): t.Awaitable<void>;
  /** Makes and opens a file. Absent: the kernel uses mknod and open. Source: `open(2)`. */
  create?(args: t.CreateArgs, request: t.Request): t.Awaitable<t.CreateReply>;
  /**
   * Makes and opens a file without a name. Absent: EOPNOTSUPP to the caller. Since 7.37. Source: `open(2) O_TMPFILE`.
   */
  tmpfile?(args: t.TmpfileArgs, request: t.Request): t.Awaitable<t.CreateReply>;
  /**
   * Tests for a record lock; answers the one in the way, or type `F_UNLCK`. Absent: locks are the kernel's own, local
   * to this machine. Source: `fcntl(2)`.
   */
  getlk?(args: t.LockArgs, request: t.Request): t.Awaitable<t.FileLock>;
  /** Takes or gives back a lock, EAGAIN where it is held. Absent: as getlk. Source: `fcntl(2)`, `flock(2)`. */
  setlk?(args: t.LockArgs, request: t.Request): t.Awaitable<void>;
  /** As setlk, but waits. Absent: as getlk. */
  setlkw?(args: t.LockArgs, request: t.Request): t.Awaitable<void>;
  /** Block of a device that holds a block of a file; only on block devices (fuseblk). Absent: ENOSYS. */
  bmap?(args: t.BmapArgs, request: t.Request): t.Awaitable<number>;
  /**
   * Anything else that a file can do. Restricted: the kernel moves the data that the number declares. Throw ENOTTY for
   * numbers that are not known. Absent: ENOTTY to all callers. Source: `ioctl(2)`.
   */
  ioctl?(args: t.IoctlArgs, request: t.Request): t.Awaitable<t.IoctlReply>;
  /**
   * What is ready on an open file, as `POLL*` bits. Absent: always ready, and the kernel asks no more. Source:
   * `poll(2)`.
   */
  poll?(args: t.PollArgs, request: t.Request): t.Awaitable<number>;
  /**
   * Reserves or punches. Absent: done to the backing file; EOPNOTSUPP to all callers without one. Since 7.19. Source:
   * `fallocate(2)`.
   */
  fallocate?(args: t.FallocateArgs, request: t.Request): t.Awaitable<void>;
  /**
   * Finds data or a hole. Absent: looked for in the backing file; without one the kernel takes the whole file, and all
   * others from then on, for data. Not called with the writeback cache, where all of a file counts as data: the kernel
   * would ask before it has written what it collected. Since 7.24. Source: `lseek(2)`.
   */
  lseek?(args: t.LseekArgs, request: t.Request): t.Awaitable<number>;
  /**
   * Copies within the file system; answers how many bytes. Absent: between backing files it is copied, else the kernel
   * reads and writes. Since 7.28. Source: `copy_file_range(2)`.
   */
  copyFileRange?(args: t.CopyFileRangeArgs, request: t.Request): t.Awaitable<number>;
  /**
   * Brings everything to stable storage; only on block devices (fuseblk, Linux 6.18). Absent: nothing. Since 7.34.
   * Source: `syncfs(2)`.
   */
  syncfs?(args: t.NodeArgs, request: t.Request): t.Awaitable<void>;
}
