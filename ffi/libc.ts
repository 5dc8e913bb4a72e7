/**
 * What this project needs of the C library, as one interface that each runtime implements.
 *
 * Every call answers its value, or `-errno`. Paths are NUL-terminated bytes. Offsets and lengths are numbers. Buffers
 * that a call keeps after it returned (the asynchronous ones) are larger than 64 bytes, since smaller ones may move.
 */

/** Bytes that end with a NUL. */
export type CString = Uint8Array;

/** `O_*` flags. Those that differ between architectures are why this is a value, not a set of constants. */
export interface OpenFlags {
  readonly RDONLY: 0;
  readonly WRONLY: 1;
  readonly RDWR: 2;
  readonly ACCMODE: 3;
  readonly CREAT: number;
  readonly EXCL: number;
  readonly NOCTTY: number;
  readonly TRUNC: number;
  readonly APPEND: number;
  readonly NONBLOCK: number;
  readonly DSYNC: number;
  readonly SYNC: number;
  readonly DIRECT: number;
  readonly LARGEFILE: number;
  readonly DIRECTORY: number;
  readonly NOFOLLOW: number;
  readonly NOATIME: number;
  readonly CLOEXEC: number;
  readonly PATH: number;
  readonly TMPFILE: number;
}

const COMMON_FLAGS = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  ACCMODE: 3,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  DSYNC: 0o10000,
  SYNC: 0o4010000,
  NOATIME: 0o1000000,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
} as const;

/** The `O_*` flags per architecture. Source: the `fcntl.h` of each in the kernel's `arch/`. */
export const OPEN_FLAGS: Readonly<Record<Architecture, OpenFlags>> = {
  x86_64: {
    ...COMMON_FLAGS,
    DIRECT: 0o40000,
    LARGEFILE: 0o100000,
    DIRECTORY: 0o200000,
    NOFOLLOW: 0o400000,
    TMPFILE: 0o20200000,
  },
  aarch64: {
    ...COMMON_FLAGS,
    DIRECTORY: 0o40000,
    NOFOLLOW: 0o100000,
    DIRECT: 0o200000,
    LARGEFILE: 0o400000,
    TMPFILE: 0o20040000,
  },
};

/** Architectures whose kernel interface is known here. */
export type Architecture = "x86_64" | "aarch64";

/** "The current folder" for the `*at` calls. */
export const AT_FDCWD = -100;
/** The `*at` call is about the descriptor itself. */
export const AT_EMPTY_PATH = 0x1000;
/** The `*at` call does not follow a symbolic link at the end. */
export const AT_SYMLINK_NOFOLLOW = 0x100;
/** linkat follows a symbolic link at the end. */
export const AT_SYMLINK_FOLLOW = 0x400;
/** faccessat asks for the effective user, not for the real one. */
export const AT_EACCESS = 0x200;
/** unlinkat removes a directory. */
export const AT_REMOVEDIR = 0x200;
/** The `*at` call does not mount what an automount point stands for. */
export const AT_NO_AUTOMOUNT = 0x800;
/** statx asks no server for fresher attributes. */
export const AT_STATX_DONT_SYNC = 0x4000;
/** fcntl answers the flags that a descriptor was opened with. */
export const F_GETFL = 3;
/** fcntl answers another descriptor of the same open file, which ends with an exec. */
export const F_DUPFD_CLOEXEC = 1030;
/** memfd_create: the descriptor ends with an exec. */
export const MFD_CLOEXEC = 1;
/** statx is asked for all that `stat(2)` tells. */
export const STATX_BASIC_STATS = 0x7ff;
/** statx is asked for the time of birth. */
export const STATX_BTIME = 0x800;
/** `poll(2)`: may be read. */
export const POLLIN = 1;
/** `poll(2)`: may be written. */
export const POLLOUT = 4;
/** `poll(2)`: an error is there to be fetched. */
export const POLLERR = 8;

/** One file's attributes, as `statx(2)` gives them. Reused: `statx` fills it. */
export class Stat {
  mode = 0;
  nlink = 0;
  uid = 0;
  gid = 0;
  ino = 0;
  /** The inode number where it exceeds 2^53-1, which `ino` cannot hold; else 0. */
  bigIno = 0n;
  size = 0;
  blocks = 0;
  blksize = 0;
  atime = 0;
  atimeNsec = 0;
  mtime = 0;
  mtimeNsec = 0;
  ctime = 0;
  ctimeNsec = 0;
  btime = 0;
  btimeNsec = 0;
  rdevMajor = 0;
  rdevMinor = 0;
  devMajor = 0;
  devMinor = 0;
  attributes = 0;
  attributesMask = 0;
  /** Id of the mount, as in `/proc/self/mountinfo`. */
  mountId = 0;
  /** Which of the fields are filled, as `STATX_*`. */
  mask = 0;
}

/** The calls. Each is named after the C function and takes its parameters in that order. */
export interface Libc {
  readonly architecture: Architecture;
  readonly O: OpenFlags;

  // files
  open(path: CString, flags: number, mode: number): number;
  openat(dirfd: number, path: CString, flags: number, mode: number): number;
  close(fd: number): number;
  /** Reads into the whole buffer. */
  read(fd: number, buffer: Uint8Array): number;
  readv(fd: number, iovec: Uint8Array, count: number): number;
  write(fd: number, buffer: Uint8Array, length: number): number;
  writev(fd: number, iovec: Uint8Array, count: number): number;
  pread(fd: number, buffer: Uint8Array, length: number, offset: number): number;
  pwrite(fd: number, buffer: Uint8Array, length: number, offset: number): number;
  /** Offsets of directories use all 64 bits: those are given as bigint. */
  lseek(fd: number, offset: number | bigint, whence: number): number;
  ftruncate(fd: number, length: number): number;
  fallocate(fd: number, mode: number, offset: number, length: number): number;
  copyFileRange(from: number, offset: number, to: number, toOffset: number, length: number, flags: number): number;
  fsync(fd: number): number;
  fdatasync(fd: number): number;
  syncfs(fd: number): number;
  /** About memory from the buffer's first byte on, which begins a page. */
  madvise(memory: Uint8Array, length: number, advice: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  ioctl(fd: number, request: number, argument: Uint8Array): number;
  dup(fd: number): number;
  pipe2(fds: Int32Array, flags: number): number;
  eventfd(initial: number, flags: number): number;
  memfdCreate(name: CString, flags: number): number;
  umask(mask: number): number;

  // names and attributes
  statx(dirfd: number, path: CString, flags: number, mask: number, out: Stat): number;
  /** Fills 120 bytes: `struct statfs` of the 64-bit architectures. */
  fstatfs(fd: number, out: Uint8Array): number;
  getdents64(fd: number, buffer: Uint8Array): number;
  mkdirat(dirfd: number, path: CString, mode: number): number;
  /** `dev` is in the kernel's 32-bit encoding. */
  mknodat(dirfd: number, path: CString, mode: number, dev: number): number;
  symlinkat(target: CString, dirfd: number, path: CString): number;
  readlinkat(dirfd: number, path: CString, buffer: Uint8Array): number;
  unlinkat(dirfd: number, path: CString, flags: number): number;
  renameat2(dirfd: number, path: CString, newDirfd: number, newPath: CString, flags: number): number;
  linkat(dirfd: number, path: CString, newDirfd: number, newPath: CString, flags: number): number;
  fchmod(fd: number, mode: number): number;
  chmod(path: CString, mode: number): number;
  fchownat(dirfd: number, path: CString, uid: number, gid: number, flags: number): number;
  /** `times`: two `struct timespec`, 32 bytes. */
  utimensat(dirfd: number, path: CString, times: Uint8Array, flags: number): number;
  faccessat(dirfd: number, path: CString, mode: number, flags: number): number;
  getxattr(path: CString, name: CString, value: Uint8Array): number;
  setxattr(path: CString, name: CString, value: Uint8Array, flags: number): number;
  listxattr(path: CString, list: Uint8Array): number;
  removexattr(path: CString, name: CString): number;

  // processes and mounts
  getpid(): number;
  geteuid(): number;
  getegid(): number;
  /** Value of an environment variable as bytes without NUL; null where it is not set. */
  getenv(name: CString): Uint8Array | null;
  kill(pid: number, signal: number): number;
  mount(source: CString, target: CString, type: CString, flags: number, data: CString): number;
  socketpair(domain: number, type: number, protocol: number, fds: Int32Array): number;
  recvmsg(fd: number, message: Uint8Array, flags: number): number;
  sendmsg(fd: number, message: Uint8Array, flags: number): number;
  /** Memory of `file_actions` and `attributes`: 512 bytes each are enough on every C library. */
  posixSpawnFileActionsInit(actions: Uint8Array): number;
  posixSpawnFileActionsAdddup2(actions: Uint8Array, from: number, to: number): number;
  posixSpawnFileActionsAddclose(actions: Uint8Array, fd: number): number;
  posixSpawnFileActionsAddchdir(actions: Uint8Array, path: CString): number;
  posixSpawnFileActionsDestroy(actions: Uint8Array): number;
  posixSpawnattrInit(attributes: Uint8Array): number;
  posixSpawnattrSetflags(attributes: Uint8Array, flags: number): number;
  posixSpawnattrDestroy(attributes: Uint8Array): number;

  /** Address of the first byte. Stable while the buffer lives, if it is larger than 64 bytes. */
  address(buffer: Uint8Array): bigint;
  /** The memory at an address, as it is and changes. */
  memory(address: bigint, length: number): Uint8Array;
  /** `syscall(2)`: any call by its number, with up to six arguments, on this thread alone. */
  syscall(number: number, args: readonly bigint[]): bigint;

  // Calls that may wait for another thread, or for a file system that this thread serves: they run elsewhere and tell
  // no errno, only -1.
  /** `poll(2)`: fds is an array of `struct pollfd`. Answers how many are ready, 0 after the timeout, -1 on error. */
  pollAsync(fds: Uint8Array, count: number, timeoutMs: number): Promise<number>;
  /** Lets everything else in the event loop run, timers included. */
  turnAsync(): Promise<void>;
  /** `statx(2)`; 0 or -1. */
  statxAsync(dirfd: number, path: CString, flags: number, mask: number, out: Stat): Promise<number>;
  /** `open(2)`; a descriptor or -1. */
  openAsync(path: CString, flags: number): Promise<number>;
  /** `umount2(2)`; 0 or -1. */
  umount2Async(target: CString, flags: number): Promise<number>;
  /**
   * `posix_spawnp(3)`; 0 or -errno, since this function answers its error. The pid goes to the first 4 bytes of `pid`.
   */
  posixSpawnpAsync(
    pid: Uint8Array,
    file: CString,
    actions: Uint8Array,
    attributes: Uint8Array,
    argv: Uint8Array,
    envp: Uint8Array,
  ): Promise<number>;
  /**
   * `write(2)` of the whole buffer, of more than 64 bytes of memory, which stays untouched until the end. Unlike the
   * others it tells its errno: it goes through `aio(7)`, which keeps it.
   */
  writeAsync(fd: number, buffer: Uint8Array): Promise<number>;
  /** `waitpid(2)`; the pid or -1. The status goes to the first 4 bytes of `status`. */
  waitpidAsync(pid: number, status: Uint8Array, options: number): Promise<number>;

  /** `poll(2)` on this thread, for a time too short to matter to the event loop. Microseconds. */
  ppoll(fds: Uint8Array, count: number, timeoutUs: number): number;
}

/** Bytes of `struct statx`. */
export const STATX_SIZE = 256;

const TWO32 = 4294967296;

/**
 * Unpacks a `struct statx`, which is the same on all architectures. Times beyond 2^53-1 s are that. Source: `statx(2)`.
 */
export function readStatx(v: DataView, out: Stat): void {
  const u64 = (at: number) => v.getUint32(at + 4, true) * TWO32 + v.getUint32(at, true);
  const time = (at: number) => {
    const value = v.getInt32(at + 4, true) * TWO32 + v.getUint32(at, true);
    return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(value, Number.MAX_SAFE_INTEGER));
  };
  out.mask = v.getUint32(0, true);
  out.blksize = v.getUint32(4, true);
  out.attributes = u64(8);
  out.nlink = v.getUint32(16, true);
  out.uid = v.getUint32(20, true);
  out.gid = v.getUint32(24, true);
  out.mode = v.getUint16(28, true);
  out.ino = u64(32);
  out.bigIno = out.ino > Number.MAX_SAFE_INTEGER ? v.getBigUint64(32, true) : 0n;
  out.size = u64(40);
  out.blocks = u64(48);
  out.attributesMask = u64(56);
  out.atime = time(64);
  out.atimeNsec = v.getUint32(72, true);
  out.btime = time(80);
  out.btimeNsec = v.getUint32(88, true);
  out.ctime = time(96);
  out.ctimeNsec = v.getUint32(104, true);
  out.mtime = time(112);
  out.mtimeNsec = v.getUint32(120, true);
  out.rdevMajor = v.getUint32(128, true);
  out.rdevMinor = v.getUint32(132, true);
  out.devMajor = v.getUint32(136, true);
  out.devMinor = v.getUint32(140, true);
  out.mountId = u64(144);
}
