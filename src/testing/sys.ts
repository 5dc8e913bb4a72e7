/** The system calls as the cases make them: on a folder, by names, with values or -errno as results. */

/** A path from the folder of the case, or an absolute one; a bigint is an address, for paths that cannot be read. */
export type Path = string | bigint;

/** Attributes of a file. Source: `statx(2)`. */
export interface Stat {
  /** File type and permission bits. */
  readonly mode: number;
  /** Number of hard links. */
  readonly nlink: number;
  /** Owner. */
  readonly uid: number;
  /** Group. */
  readonly gid: number;
  /** Inode number. */
  readonly ino: number;
  /** Bytes. */
  readonly size: number;
  /** Allocated units of 512 bytes. */
  readonly blocks: number;
  /** Preferred unit of I/O, bytes. */
  readonly blksize: number;
  /** Last access, s. */
  readonly atime: number;
  /** Its ns. */
  readonly atimeNsec: number;
  /** Last modification of the data, s. */
  readonly mtime: number;
  /** Its ns. */
  readonly mtimeNsec: number;
  /** Last change of the inode, s. */
  readonly ctime: number;
  /** Its ns. */
  readonly ctimeNsec: number;
  /** When it was made, s; undefined where the file system does not know. */
  readonly btime?: number;
  /** Its ns. */
  readonly btimeNsec?: number;
  /** Major number of a device. */
  readonly rdevMajor: number;
  /** Minor number of a device. */
  readonly rdevMinor: number;
}

/** Where an offset counts from: the beginning, the current place, the end; or what is looked for. */
export type Whence = "SET" | "CUR" | "END" | "DATA" | "HOLE";

/** Bytes, or a text whose UTF-8 is meant. */
export type Data = Uint8Array | string;

/** A time, or what `utimensat(2)` takes in place of one. */
export type Time = readonly [seconds: number, nanoseconds: number] | "now" | "omit";

/** Who calls. */
export interface User {
  /** User id: the real one, and the effective one unless that is told. */
  readonly uid: number;
  /** Effective user id. */
  readonly effective?: number;
  /** Group id, real and effective. */
  readonly gid: number;
  /** Beyond `gid`; none unless told. */
  readonly groups?: readonly number[];
}

/** An entry of a directory. Source: `getdents64(2)`. */
export interface Dirent {
  /** Its name, as {@linkcode Path} has them. */
  readonly name: string;
  /** Its inode number. */
  readonly ino: bigint;
  /** Where the next entry begins, as `lseek` takes it. */
  readonly next: bigint;
  /** `DT_*`: the type bits of a mode, shifted right by 12. */
  readonly type: number;
}

/** Sizes of a file system. Source: `statfs(2)`. */
export interface Statfs {
  /** What kind of file system it is. */
  readonly type: number;
  /** Preferred unit of I/O, bytes. */
  readonly bsize: number;
  /** Total units of `frsize` bytes. */
  readonly blocks: number;
  /** Free units. */
  readonly bfree: number;
  /** Free units for ordinary users. */
  readonly bavail: number;
  /** Inodes in all. */
  readonly files: number;
  /** Free inodes. */
  readonly ffree: number;
  /** Longest name, bytes. */
  readonly namelen: number;
  /** The unit of `blocks`, bytes. */
  readonly frsize: number;
  /** `ST_*`. */
  readonly flags: number;
}

/** A record lock. Source: `fcntl(2)`. */
export interface Lock {
  /** For readers, for a writer, or none. */
  readonly type: "RDLCK" | "WRLCK" | "UNLCK";
  /** From the beginning of the file, bytes; 0 unless told. */
  readonly start?: number;
  /** Bytes; 0, unless told, means to the end. */
  readonly length?: number;
  /** Who holds it; -1 where that is an open file description. */
  readonly pid?: number;
}

/**
 * The calls that a case can make. Names of flags go without their prefix, joined by `|`:
 * `open("f", "RDWR|CREAT", 0o644)`. What answers something else than a number answers -errno all the same.
 */
export interface Sys {
  /** The same calls on the folder that a descriptor stands for. */
  below(fd: number): Sys;
  /** Closes, unmaps and unmounts everything that is left. */
  release(): void;

  // files
  /** `openat(2)`. */
  open(path: Path, flags: string, mode?: number): number;
  /** `close(2)`. */
  close(fd: number): number;
  /** `read(2)`. */
  read(fd: number, length: number): Uint8Array | number;
  /** `pread(2)`. */
  pread(fd: number, length: number, offset: number): Uint8Array | number;
  /** `write(2)`. */
  write(fd: number, data: Data): number;
  /** `readv(2)`, or `preadv(2)` where there is an offset. */
  readv(fd: number, lengths: readonly number[], offset?: number): Uint8Array[] | number;
  /** `writev(2)`, or `pwritev(2)` where there is an offset. */
  writev(fd: number, data: readonly Data[], offset?: number): number;
  /** `write(2)` from an address. */
  writeFrom(fd: number, address: number, length: number): number;
  /** `read(2)` to an address. */
  readTo(fd: number, address: number, length: number): number;
  /** `pwrite(2)`. */
  pwrite(fd: number, data: Data, offset: number): number;
  /** `lseek(2)`. */
  lseek(fd: number, offset: number | bigint, whence: Whence): number;
  /** `ftruncate(2)`. */
  ftruncate(fd: number, length: number): number;
  /** `truncate(2)`. */
  truncate(path: Path, length: number): number;
  /** `fallocate(2)`. */
  fallocate(fd: number, mode: string, offset: number, length: number): number;
  /** `copy_file_range(2)`. */
  copyFileRange(from: number, fromOffset: number, to: number, toOffset: number, length: number, flags?: number): number;
  /** `sendfile(2)`. */
  sendfile(to: number, from: number, offset: number, length: number): number;
  /** `splice(2)` without offsets. */
  splice(from: number, to: number, length: number): number;
  /** `fsync(2)`. */
  fsync(fd: number): number;
  /** `fdatasync(2)`. */
  fdatasync(fd: number): number;
  /** `syncfs(2)`. */
  syncfs(fd: number): number;
  /** `dup(2)`. */
  dup(fd: number): number;
  /** `fcntl(2)`, with a number. */
  fcntl(
    fd: number,
    command: "DUPFD" | "GETFD" | "SETFD" | "GETFL" | "SETFL" | "SETSIG" | "SETLEASE",
    argument?: number,
  ): number;
  /** `fcntl(2)`: the flags of an open file, of which `mask` names those that count. */
  openFlags(fd: number, mask: string): number;
  /** `ioctl(2)`. */
  ioctl(fd: number, request: number, argument: Uint8Array): number;
  /** `pipe2(2)`: the end to read from and the end to write to. */
  pipe(): [number, number] | number;
  /** `ppoll(2)` on one descriptor, without waiting: the `POLL*` bits that are there. */
  poll(fd: number, events: number): number;

  // attributes
  /** `statx(2)`, following a symbolic link. */
  stat(path: Path): Stat | number;
  /** `statx(2)`, not following a symbolic link. */
  lstat(path: Path): Stat | number;
  /** `statx(2)` of a descriptor. */
  fstat(fd: number): Stat | number;
  /** `chmod(2)`. */
  chmod(path: Path, mode: number): number;
  /** `fchmodat2(2)`. */
  fchmodat(path: Path, mode: number, flags: string): number;
  /** `fchmod(2)`. */
  fchmod(fd: number, mode: number): number;
  /** `chown(2)`; -1 leaves a number as it is. */
  chown(path: Path, uid: number, gid: number): number;
  /** `lchown(2)`. */
  lchown(path: Path, uid: number, gid: number): number;
  /** `fchown(2)`. */
  fchown(fd: number, uid: number, gid: number): number;
  /** `utimensat(2)`: times of access and change; null sets both to now. */
  utimens(path: Path, times: readonly [Time, Time] | null, flags?: string): number;
  /** `futimens(3)`. */
  futimens(fd: number, times: readonly [Time, Time] | null): number;
  /** `faccessat2(2)`: with the real user's rights, unless flags say EACCESS. */
  access(path: Path, mode: string, flags?: string): number;
  /** `statfs(2)`. */
  statfs(path: Path): Statfs | number;
  /** `fstatfs(2)`. */
  fstatfs(fd: number): Statfs | number;

  // names
  /** `mkdir(2)`. */
  mkdir(path: Path, mode?: number): number;
  /** `mknod(2)`: mode with a type. */
  mknod(path: Path, mode: number, major?: number, minor?: number): number;
  /** `symlink(2)`. */
  symlink(target: Path, path: Path): number;
  /** `readlink(2)`. */
  readlink(path: Path, length?: number): string | number;
  /** `linkat(2)`. */
  link(path: Path, newPath: Path, flags?: string): number;
  /** `linkat(2)` of what a descriptor stands for. */
  flink(fd: number, newPath: Path): number;
  /** `unlink(2)`. */
  unlink(path: Path): number;
  /** `rmdir(2)`. */
  rmdir(path: Path): number;
  /** `rename(2)`. */
  rename(path: Path, newPath: Path): number;
  /** `renameat2(2)`. */
  renameat2(path: Path, newPath: Path, flags: string): number;
  /** `getdents64(2)`, once. */
  getdents(fd: number, size?: number): Dirent[] | number;

  /** `name_to_handle_at(2)`: a `struct file_handle`. */
  handle(path: Path): Uint8Array | number;
  /** `open_by_handle_at(2)`. */
  openHandle(handle: Uint8Array, flags: string): number;

  // extended attributes
  /** `setxattr(2)`. */
  setxattr(path: Path, name: string, value: Data, flags?: string): number;
  /** `lsetxattr(2)`. */
  lsetxattr(path: Path, name: string, value: Data, flags?: string): number;
  /** `fsetxattr(2)`. */
  fsetxattr(fd: number, name: string, value: Data, flags?: string): number;
  /** `getxattr(2)`, with room for so many bytes. */
  getxattr(path: Path, name: string, size?: number): Uint8Array | number;
  /** `lgetxattr(2)`. */
  lgetxattr(path: Path, name: string, size?: number): Uint8Array | number;
  /** `fgetxattr(2)`. */
  fgetxattr(fd: number, name: string, size?: number): Uint8Array | number;
  /** `getxattr(2)` without room: how many bytes there are. */
  xattrSize(path: Path, name: string): number;
  /** `listxattr(2)`, with room for so many bytes. */
  listxattr(path: Path, size?: number): string[] | number;
  /** `llistxattr(2)`. */
  llistxattr(path: Path, size?: number): string[] | number;
  /** `flistxattr(2)`. */
  flistxattr(fd: number, size?: number): string[] | number;
  /** `listxattr(2)` without room: how many bytes there are. */
  xattrListSize(path: Path): number;
  /** `removexattr(2)`. */
  removexattr(path: Path, name: string): number;
  /** `lremovexattr(2)`. */
  lremovexattr(path: Path, name: string): number;
  /** `fremovexattr(2)`. */
  fremovexattr(fd: number, name: string): number;

  // memory and locks
  /** `mmap(2)`: the address. */
  mmap(length: number, protection: string, flags: string, fd: number, offset?: number | bigint): number;
  /** `munmap(2)` of what {@linkcode mmap} mapped. */
  munmap(address: number): number;
  /** `msync(2)` with MS_SYNC. */
  msync(address: number, length: number): number;
  /** Reads mapped memory. */
  peek(address: number, length: number): Uint8Array;
  /** Changes mapped memory. */
  poke(address: number, data: Data): void;
  /** `fcntl(2)`: takes or gives back a record lock. */
  lock(fd: number, command: "SETLK" | "SETLKW" | "OFD_SETLK" | "OFD_SETLKW", lock: Lock): number;
  /** `fcntl(2)`: the lock in the way of another, or `UNLCK`. */
  getlock(fd: number, command: "GETLK" | "OFD_GETLK", lock: Lock): Lock | number;
  /** `flock(2)`. */
  flock(fd: number, operation: string): number;

  // the process
  /**
   * `syscall(2)`: a call by its name, with its arguments as they are, for what the others do not let one say: flags
   * that nobody knows, addresses where nothing is. Strings and bytes are given by their address.
   */
  syscall(name: string, ...args: (number | bigint | string | Uint8Array)[]): number;
  /** `umask(2)`. */
  umask(mask: number): number;
  /** `getpid(2)`. */
  getpid(): number;
  /** Waits, by `nanosleep(2)`. */
  sleep(milliseconds: number): number;
  /** `prlimit(2)` of this process: sets the soft limit, and answers what it was. */
  setLimit(resource: "AS" | "FSIZE" | "MEMLOCK" | "NOFILE", value: number): number;
  /** `unshare(2)`: mounts from now on are seen by this process alone. */
  unshareMounts(): number;
  /** `mount(2)`: shows a folder at another place, where it can only be read. */
  bindReadOnly(source: string, target: string): number;
  /**
   * Does something as another user, by calls that concern this thread alone: the saved user stays, so that there is a
   * way back.
   */
  as<T>(user: User, action: () => T): T;
}

const encoder = new TextEncoder();

/** The bytes of data. */
export function bytesOf(data: Data): Uint8Array {
  return typeof data === "string" ? encoder.encode(data) : data;
}
