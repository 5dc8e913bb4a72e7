/** The system calls, made of the kernel. */
import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, readStatx, Stat as Statx, STATX_SIZE } from "../../ffi/libc.ts";
import { decodeName } from "../abi/text.ts";
import type { Argument, Caller, Syscall } from "./caller.ts";
import {
  ACCESS,
  AT,
  bits,
  FALLOC,
  FCNTL,
  FLOCK,
  LOCK_COMMANDS,
  MAP,
  PROT,
  RENAME,
  RLIMIT,
  WHENCE,
  XATTR,
} from "./flags.ts";
import {
  bytesOf,
  type Data,
  type Dirent,
  type Lock,
  type Path,
  type Stat,
  type Statfs,
  type Sys,
  type Time,
  type User,
  type Whence,
} from "./sys.ts";
import { direntsIn, filled, flockOf, int64, lockIn, statfsIn, timespec, timespecs } from "./structures.ts";

const UNLIMITED = 2n ** 64n - 1n;
const O_CLOEXEC = 0o2000000;
const MAX_HANDLE = 128;
const STATX_BTIME = 0x800;

/** The calls on a folder, through whoever makes them. */
export class KernelSys implements Sys {
  readonly #caller: Caller;
  readonly #folder: string;
  #base: number;
  readonly #open: Set<number>;
  readonly #mapped = new Map<number, number>();
  readonly #mounts: Path[] = [];

  /** Calls on a folder, which is given by its absolute path; or by a descriptor of another's, who then releases all. */
  constructor(caller: Caller, folder: string, of?: { readonly fd: number; readonly open: Set<number> }) {
    this.#caller = caller;
    this.#folder = folder;
    this.#open = of?.open ?? new Set();
    this.#base = of?.fd ?? this.#openFolder();
  }

  below(fd: number): KernelSys {
    return new KernelSys(this.#caller, `/proc/self/fd/${fd}`, { fd, open: this.#open });
  }

  release(): void {
    for (const path of this.#mounts) this.#call("umount2", path, 2);
    for (const address of [...this.#mapped.keys()]) this.munmap(address);
    for (const fd of [...this.#open, this.#base]) this.close(fd);
  }

  // files

  open(path: Path, flags: string, mode: number = 0o644): number {
    return this.#kept(this.#at("openat", path, bits(flags, this.#caller.O) | O_CLOEXEC, mode));
  }
  close(fd: number): number {
    this.#open.delete(fd);
    return this.#call("close", fd);
  }
  read(fd: number, length: number): Uint8Array | number {
    const buffer = new Uint8Array(length);
    return filled(buffer, this.#call("read", fd, buffer, length));
  }
  pread(fd: number, length: number, offset: number): Uint8Array | number {
    const buffer = new Uint8Array(length);
    return filled(buffer, this.#call("pread64", fd, buffer, length, offset));
  }
  write(fd: number, data: Data): number {
    const bytes = bytesOf(data);
    return this.#call("write", fd, bytes, bytes.length);
  }
  readv(fd: number, lengths: readonly number[], offset?: number): Uint8Array[] | number {
    const parts = lengths.map((length) => new Uint8Array(length));
    const r = offset === undefined
      ? this.#call("readv", fd, parts, parts.length)
      : this.#call("preadv", fd, parts, parts.length, offset, 0);
    if (r < 0) return r;
    let left = r;
    return parts.map((part) => {
      const got = part.subarray(0, Math.min(part.length, left));
      left -= got.length;
      return got;
    });
  }
  writev(fd: number, data: readonly Data[], offset?: number): number {
    const parts = data.map(bytesOf);
    return offset === undefined
      ? this.#call("writev", fd, parts, parts.length)
      : this.#call("pwritev", fd, parts, parts.length, offset, 0);
  }
  writeFrom(fd: number, address: number, length: number): number {
    return this.#call("write", fd, address, length);
  }
  readTo(fd: number, address: number, length: number): number {
    return this.#call("read", fd, address, length);
  }
  pwrite(fd: number, data: Data, offset: number): number {
    const bytes = bytesOf(data);
    return this.#call("pwrite64", fd, bytes, bytes.length, offset);
  }
  lseek(fd: number, offset: number | bigint, whence: Whence): number {
    return this.#call("lseek", fd, offset, WHENCE[whence]);
  }
  ftruncate(fd: number, length: number): number {
    return this.#call("ftruncate", fd, length);
  }
  truncate(path: Path, length: number): number {
    return this.#call("truncate", this.#absolute(path), length);
  }
  fallocate(fd: number, mode: string, offset: number, length: number): number {
    return this.#call("fallocate", fd, bits(mode, FALLOC), offset, length);
  }
  copyFileRange(from: number, fromOffset: number, to: number, toOffset: number, length: number, flags = 0): number {
    return this.#call("copy_file_range", from, int64(fromOffset), to, int64(toOffset), length, flags);
  }
  sendfile(to: number, from: number, offset: number, length: number): number {
    return this.#call("sendfile", to, from, int64(offset), length);
  }
  splice(from: number, to: number, length: number): number {
    return this.#call("splice", from, 0, to, 0, length, 0);
  }
  fsync(fd: number): number {
    return this.#call("fsync", fd);
  }
  fdatasync(fd: number): number {
    return this.#call("fdatasync", fd);
  }
  syncfs(fd: number): number {
    return this.#call("syncfs", fd);
  }
  dup(fd: number): number {
    return this.#kept(this.#call("dup", fd));
  }
  fcntl(fd: number, command: keyof typeof FCNTL, argument = 0): number {
    const r = this.#call("fcntl", fd, FCNTL[command], argument);
    return command === "DUPFD" ? this.#kept(r) : r;
  }
  openFlags(fd: number, mask: string): number {
    const flags = this.fcntl(fd, "GETFL");
    return flags < 0 ? flags : flags & bits(mask, this.#caller.O);
  }
  ioctl(fd: number, request: number, argument: Uint8Array): number {
    return this.#call("ioctl", fd, request, argument);
  }
  pipe(): [number, number] | number {
    const fds = new Int32Array(2);
    const r = this.#call("pipe2", new Uint8Array(fds.buffer), O_CLOEXEC);
    return r < 0 ? r : [this.#kept(fds[0]), this.#kept(fds[1])];
  }
  poll(fd: number, events: number): number {
    const poll = new Uint8Array(8), view = new DataView(poll.buffer);
    view.setInt32(0, fd, true);
    view.setInt16(4, events, true);
    const r = this.#call("ppoll", poll, 1, new Uint8Array(16), 0, 0);
    return r < 0 ? r : view.getInt16(6, true);
  }

  // attributes

  stat(path: Path): Stat | number {
    return this.#statx(path, 0);
  }
  lstat(path: Path): Stat | number {
    return this.#statx(path, AT_SYMLINK_NOFOLLOW);
  }
  fstat(fd: number): Stat | number {
    return this.#statxOf(fd, "", AT_EMPTY_PATH);
  }
  chmod(path: Path, mode: number): number {
    return this.#at("fchmodat", path, mode);
  }
  fchmodat(path: Path, mode: number, flags: string): number {
    return this.#at("fchmodat2", path, mode, bits(flags, AT));
  }
  fchmod(fd: number, mode: number): number {
    return this.#call("fchmod", fd, mode);
  }
  chown(path: Path, uid: number, gid: number): number {
    return this.#at("fchownat", path, uid, gid, 0);
  }
  lchown(path: Path, uid: number, gid: number): number {
    return this.#at("fchownat", path, uid, gid, AT_SYMLINK_NOFOLLOW);
  }
  fchown(fd: number, uid: number, gid: number): number {
    return this.#call("fchown", fd, uid, gid);
  }
  utimens(path: Path, times: readonly [Time, Time] | null, flags = ""): number {
    return this.#at("utimensat", path, times === null ? 0 : timespecs(times), bits(flags, AT));
  }
  futimens(fd: number, times: readonly [Time, Time] | null): number {
    return this.#call("utimensat", fd, 0, times === null ? 0 : timespecs(times), 0);
  }
  access(path: Path, mode: string, flags = ""): number {
    return this.#at("faccessat2", path, bits(mode, ACCESS), bits(flags, AT));
  }
  statfs(path: Path): Statfs | number {
    const buffer = new Uint8Array(120);
    return statfsIn(buffer, this.#call("statfs", this.#absolute(path), buffer));
  }
  fstatfs(fd: number): Statfs | number {
    const buffer = new Uint8Array(120);
    return statfsIn(buffer, this.#call("fstatfs", fd, buffer));
  }

  // names

  mkdir(path: Path, mode: number = 0o755): number {
    return this.#at("mkdirat", path, mode);
  }
  mknod(path: Path, mode: number, major = 0, minor = 0): number {
    return this.#at("mknodat", path, mode, minor & 0xff | major << 8 | (minor & ~0xff) << 12);
  }
  symlink(target: Path, path: Path): number {
    return this.#call("symlinkat", target, this.#base, path);
  }
  readlink(path: Path, length: number = 4096): string | number {
    const buffer = new Uint8Array(Math.max(length, 1));
    const r = this.#at("readlinkat", path, buffer, length);
    return r < 0 ? r : decodeName(buffer, 0, r);
  }
  link(path: Path, newPath: Path, flags = ""): number {
    return this.#call("linkat", this.#base, path, this.#base, newPath, bits(flags, AT));
  }
  flink(fd: number, newPath: Path): number {
    return this.#call("linkat", fd, "", this.#base, newPath, AT_EMPTY_PATH);
  }
  unlink(path: Path): number {
    return this.#at("unlinkat", path, 0);
  }
  rmdir(path: Path): number {
    return this.#at("unlinkat", path, 0x200);
  }
  rename(path: Path, newPath: Path): number {
    return this.#call("renameat2", this.#base, path, this.#base, newPath, 0);
  }
  renameat2(path: Path, newPath: Path, flags: string): number {
    return this.#call("renameat2", this.#base, path, this.#base, newPath, bits(flags, RENAME));
  }
  getdents(fd: number, size: number = 0x8000): Dirent[] | number {
    const buffer = new Uint8Array(size);
    const r = this.#call("getdents64", fd, buffer, size);
    return r < 0 ? r : direntsIn(buffer, r);
  }

  handle(path: Path): Uint8Array | number {
    const handle = new Uint8Array(8 + MAX_HANDLE), mountId = new Uint8Array(4);
    new DataView(handle.buffer).setUint32(0, MAX_HANDLE, true);
    return filled(handle, this.#at("name_to_handle_at", path, handle, mountId, 0) || handle.length);
  }
  openHandle(handle: Uint8Array, flags: string): number {
    // The descriptor says which mount; one of O_PATH does not do.
    const mount = this.open(".", "RDONLY|DIRECTORY");
    const fd = this.#kept(this.#call("open_by_handle_at", mount, handle, bits(flags, this.#caller.O) | O_CLOEXEC));
    this.close(mount);
    return fd;
  }

  // extended attributes

  setxattr(path: Path, name: string, value: Data, flags = ""): number {
    return this.#setxattr("setxattr", this.#absolute(path), name, value, flags);
  }
  lsetxattr(path: Path, name: string, value: Data, flags = ""): number {
    return this.#setxattr("lsetxattr", this.#absolute(path), name, value, flags);
  }
  fsetxattr(fd: number, name: string, value: Data, flags = ""): number {
    return this.#setxattr("fsetxattr", fd, name, value, flags);
  }
  getxattr(path: Path, name: string, size = 0x10000): Uint8Array | number {
    return this.#getxattr("getxattr", this.#absolute(path), name, size);
  }
  lgetxattr(path: Path, name: string, size = 0x10000): Uint8Array | number {
    return this.#getxattr("lgetxattr", this.#absolute(path), name, size);
  }
  fgetxattr(fd: number, name: string, size = 0x10000): Uint8Array | number {
    return this.#getxattr("fgetxattr", fd, name, size);
  }
  xattrSize(path: Path, name: string): number {
    return this.#call("getxattr", this.#absolute(path), name, 0, 0);
  }
  listxattr(path: Path, size = 0x10000): string[] | number {
    return this.#listxattr("listxattr", this.#absolute(path), size);
  }
  llistxattr(path: Path, size = 0x10000): string[] | number {
    return this.#listxattr("llistxattr", this.#absolute(path), size);
  }
  flistxattr(fd: number, size = 0x10000): string[] | number {
    return this.#listxattr("flistxattr", fd, size);
  }
  xattrListSize(path: Path): number {
    return this.#call("listxattr", this.#absolute(path), 0, 0);
  }
  removexattr(path: Path, name: string): number {
    return this.#call("removexattr", this.#absolute(path), name);
  }
  lremovexattr(path: Path, name: string): number {
    return this.#call("lremovexattr", this.#absolute(path), name);
  }
  fremovexattr(fd: number, name: string): number {
    return this.#call("fremovexattr", fd, name);
  }

  // memory and locks

  mmap(length: number, protection: string, flags: string, fd: number, offset: number | bigint = 0): number {
    const address = this.#call("mmap", 0, length, bits(protection, PROT), bits(flags, MAP), fd, offset);
    if (address > 0) this.#mapped.set(address, length);
    return address;
  }
  munmap(address: number): number {
    const length = this.#mapped.get(address) ?? 0;
    this.#mapped.delete(address);
    return this.#call("munmap", address, length);
  }
  msync(address: number, length: number): number {
    return this.#call("msync", address, length, 4);
  }
  peek(address: number, length: number): Uint8Array {
    return this.#caller.peek(BigInt(address), length);
  }
  poke(address: number, data: Data): void {
    this.#caller.poke(BigInt(address), bytesOf(data));
  }
  lock(fd: number, command: Exclude<keyof typeof LOCK_COMMANDS, "GETLK" | "OFD_GETLK">, lock: Lock): number {
    return this.#call("fcntl", fd, LOCK_COMMANDS[command], flockOf(lock));
  }
  getlock(fd: number, command: "GETLK" | "OFD_GETLK", lock: Lock): Lock | number {
    const flock = flockOf(lock);
    const r = this.#call("fcntl", fd, LOCK_COMMANDS[command], flock);
    return r < 0 ? r : lockIn(flock);
  }
  flock(fd: number, operation: string): number {
    return this.#call("flock", fd, bits(operation, FLOCK));
  }

  // the process

  syscall(name: string, ...args: (number | bigint | string | Uint8Array)[]): number {
    return this.#call(name as Syscall, ...args);
  }
  umask(mask: number): number {
    return this.#call("umask", mask);
  }
  getpid(): number {
    return this.#call("getpid");
  }
  sleep(milliseconds: number): number {
    return this.#call("nanosleep", timespec(Math.floor(milliseconds / 1000), milliseconds % 1000 * 1e6), 0);
  }
  setLimit(resource: keyof typeof RLIMIT, value: number): number {
    const limits = new BigUint64Array(2), buffer = new Uint8Array(limits.buffer);
    const r = this.#call("prlimit64", 0, RLIMIT[resource], 0, buffer);
    if (r < 0) return r;
    // Infinity is 2^64-1.
    const before = limits[0] === UNLIMITED ? Infinity : Number(limits[0]);
    limits[0] = value === Infinity ? UNLIMITED : BigInt(value);
    const s = this.#call("prlimit64", 0, RLIMIT[resource], buffer, 0);
    return s < 0 ? s : before;
  }
  unshareMounts(): number {
    const r = this.#call("unshare", 0x20000);
    if (r < 0) return r;
    // The folder as it was opened belongs to the mounts that are left behind.
    this.#call("close", this.#base);
    this.#base = this.#openFolder();
    return this.#call("mount", "none", "/", 0, 1 << 18 | 1 << 14, 0);
  }
  bindReadOnly(source: string, target: string): number {
    const [from, to] = [source, target].map((path) => this.#absolute(path));
    const r = this.#call("mount", from, to, 0, 4096, 0);
    if (r < 0) return r;
    this.#mounts.push(to);
    return this.#call("mount", "none", to, 0, 4096 | 32 | 1, 0);
  }
  as<T>({ uid, gid, groups = [], effective = uid }: User, action: () => T): T {
    const before = new Int32Array(1024);
    const count = this.#call("getgroups", before.length, new Uint8Array(before.buffer));
    const must = (r: number, what: string) => {
      if (r < 0) throw new Error(`cannot ${what}: errno ${-r}`);
    };
    const setGroups = (list: Int32Array) => this.#call("setgroups", list.length, new Uint8Array(list.buffer));
    must(setGroups(Int32Array.from(groups)), "change groups");
    try {
      must(this.#call("setresgid", gid, gid, 0), "change the group");
      must(this.#call("setresuid", uid, effective, 0), "change the user");
      return action();
    } finally {
      must(this.#call("setresuid", 0, 0, 0), "change the user back");
      must(this.#call("setresgid", 0, 0, 0), "change the group back");
      must(setGroups(before.slice(0, count)), "change groups back");
    }
  }

  #openFolder(): number {
    const fd = this.#call("openat", -100, this.#folder, this.#caller.O.PATH | O_CLOEXEC, 0);
    if (fd < 0) throw new Error(`cannot open the folder ${this.#folder}: errno ${-fd}`);
    return fd;
  }

  #call(name: Syscall, ...args: Argument[]): number {
    return Number(this.#caller.call(name, ...args));
  }

  #at(name: Syscall, path: Path, ...args: Argument[]): number {
    return this.#call(name, this.#base, path, ...args);
  }

  // For the calls that know no folder.
  #absolute(path: Path): Path {
    return typeof path === "string" && path !== "" && !path.startsWith("/") ? `${this.#folder}/${path}` : path;
  }

  #kept(fd: number): number {
    if (fd >= 0) this.#open.add(fd);
    return fd;
  }

  #statx(path: Path, flags: number): Stat | number {
    return this.#statxOf(this.#base, path, flags);
  }

  #statxOf(dirfd: number, path: Path, flags: number): Stat | number {
    const buffer = new Uint8Array(STATX_SIZE);
    const r = this.#call("statx", dirfd, path, flags, 0xfff, buffer);
    if (r < 0) return r;
    const stat = new Statx();
    readStatx(new DataView(buffer.buffer), stat);
    if (stat.mask & STATX_BTIME) return stat;
    return { ...stat, btime: undefined, btimeNsec: undefined };
  }

  #setxattr(call: Syscall, target: Path | number, name: string, value: Data, flags: string): number {
    const bytes = bytesOf(value);
    return this.#call(call, target, name, bytes, bytes.length, bits(flags, XATTR));
  }

  #getxattr(call: Syscall, target: Path | number, name: string, size: number): Uint8Array | number {
    const buffer = new Uint8Array(size);
    return filled(buffer, this.#call(call, target, name, buffer, size));
  }

  #listxattr(call: Syscall, target: Path | number, size: number): string[] | number {
    const buffer = new Uint8Array(size);
    const r = this.#call(call, target, buffer, size);
    return r < 0 ? r : decodeName(buffer, 0, r).split("\0").slice(0, -1);
  }
}
