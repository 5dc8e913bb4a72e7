/**
 * Flags, spelled as in `linux/fuse.h`. INIT flags are given as bit numbers, since they do not fit 32 bits: bits 0 to 31
 * travel in `flags`, 32 to 63 in `flags2`.
 */

/** Bit number of every INIT flag. */
export const INIT_FLAG = {
  FUSE_ASYNC_READ: 0,
  FUSE_POSIX_LOCKS: 1,
  FUSE_FILE_OPS: 2,
  FUSE_ATOMIC_O_TRUNC: 3,
  FUSE_EXPORT_SUPPORT: 4,
  FUSE_BIG_WRITES: 5,
  FUSE_DONT_MASK: 6,
  FUSE_SPLICE_WRITE: 7,
  FUSE_SPLICE_MOVE: 8,
  FUSE_SPLICE_READ: 9,
  FUSE_FLOCK_LOCKS: 10,
  FUSE_HAS_IOCTL_DIR: 11,
  FUSE_AUTO_INVAL_DATA: 12,
  FUSE_DO_READDIRPLUS: 13,
  FUSE_READDIRPLUS_AUTO: 14,
  FUSE_ASYNC_DIO: 15,
  FUSE_WRITEBACK_CACHE: 16,
  FUSE_NO_OPEN_SUPPORT: 17,
  FUSE_PARALLEL_DIROPS: 18,
  FUSE_HANDLE_KILLPRIV: 19,
  FUSE_POSIX_ACL: 20,
  FUSE_ABORT_ERROR: 21,
  FUSE_MAX_PAGES: 22,
  FUSE_CACHE_SYMLINKS: 23,
  FUSE_NO_OPENDIR_SUPPORT: 24,
  FUSE_EXPLICIT_INVAL_DATA: 25,
  FUSE_MAP_ALIGNMENT: 26,
  FUSE_SUBMOUNTS: 27,
  FUSE_HANDLE_KILLPRIV_V2: 28,
  FUSE_SETXATTR_EXT: 29,
  FUSE_INIT_EXT: 30,
  FUSE_SECURITY_CTX: 32,
  FUSE_HAS_INODE_DAX: 33,
  FUSE_CREATE_SUPP_GROUP: 34,
  FUSE_HAS_EXPIRE_ONLY: 35,
  FUSE_DIRECT_IO_ALLOW_MMAP: 36,
  FUSE_PASSTHROUGH: 37,
  FUSE_NO_EXPORT_SUPPORT: 38,
  FUSE_HAS_RESEND: 39,
  FUSE_ALLOW_IDMAP: 40,
  FUSE_OVER_IO_URING: 41,
  FUSE_REQUEST_TIMEOUT: 42,
} as const;

/** Name of an INIT flag. */
export type InitFlag = keyof typeof INIT_FLAG;

// Which fields of `fuse_setattr_in` are to change.
export const FATTR_MODE = 1;
export const FATTR_UID = 2;
export const FATTR_GID = 4;
export const FATTR_SIZE = 8;
export const FATTR_ATIME = 16;
export const FATTR_MTIME = 32;
export const FATTR_FH = 64;
export const FATTR_ATIME_NOW = 128;
export const FATTR_MTIME_NOW = 256;
export const FATTR_LOCKOWNER = 512;
export const FATTR_CTIME = 1024;
export const FATTR_KILL_SUIDGID = 2048;

// How a file was opened: `fuse_open_out.open_flags`.
export const FOPEN_DIRECT_IO = 1;
export const FOPEN_KEEP_CACHE = 2;
export const FOPEN_NONSEEKABLE = 4;
export const FOPEN_CACHE_DIR = 8;
export const FOPEN_STREAM = 16;
export const FOPEN_NOFLUSH = 32;
export const FOPEN_PARALLEL_DIRECT_WRITES = 64;
export const FOPEN_PASSTHROUGH = 128;

// `fuse_release_in.release_flags`.
export const FUSE_RELEASE_FLUSH = 1;
export const FUSE_RELEASE_FLOCK_UNLOCK = 2;

// `fuse_getattr_in.getattr_flags`.
export const FUSE_GETATTR_FH = 1;

// `fuse_lk_in.lk_flags`.
export const FUSE_LK_FLOCK = 1;

// `fuse_write_in.write_flags`.
export const FUSE_WRITE_CACHE = 1;
export const FUSE_WRITE_LOCKOWNER = 2;
export const FUSE_WRITE_KILL_SUIDGID = 4;
export const FUSE_WRITE_KILL_PRIV = 4;

// `fuse_read_in.read_flags`.
export const FUSE_READ_LOCKOWNER = 2;

// `fuse_ioctl_in.flags` and `fuse_ioctl_out.flags`; the most iovecs of a retry.
export const FUSE_IOCTL_COMPAT = 1;
export const FUSE_IOCTL_UNRESTRICTED = 2;
export const FUSE_IOCTL_RETRY = 4;
export const FUSE_IOCTL_32BIT = 8;
export const FUSE_IOCTL_DIR = 16;
export const FUSE_IOCTL_COMPAT_X32 = 32;
export const FUSE_IOCTL_MAX_IOV = 256;

// `fuse_poll_in.flags`.
export const FUSE_POLL_SCHEDULE_NOTIFY = 1;

// `fuse_fsync_in.fsync_flags`.
export const FUSE_FSYNC_FDATASYNC = 1;

// `fuse_attr.flags`.
export const FUSE_ATTR_SUBMOUNT = 1;
export const FUSE_ATTR_DAX = 2;

// `fuse_open_in.open_flags`.
export const FUSE_OPEN_KILL_SUIDGID = 1;

// `fuse_setxattr_in.setxattr_flags`.
export const FUSE_SETXATTR_ACL_KILL_SGID = 1;

// `fuse_notify_inval_entry_out.flags`.
export const FUSE_EXPIRE_ONLY = 1;

// `fuse_setupmapping_in.flags`.
export const FUSE_SETUPMAPPING_FLAG_WRITE = 1;
export const FUSE_SETUPMAPPING_FLAG_READ = 2;

// `cuse_init_out.flags`.
export const CUSE_UNRESTRICTED_IOCTL = 1;

// Aliases and masks of the header that no request carries by themselves.
/** The upper 33 bits of INIT's flags before 7.36, that must not be used then. */
export const FUSE_INIT_RESERVED: bigint = 18446744071562067968n;
/** Former name of FUSE_DIRECT_IO_ALLOW_MMAP: its bit number. */
export const FUSE_DIRECT_IO_RELAX: number = INIT_FLAG.FUSE_DIRECT_IO_ALLOW_MMAP;
