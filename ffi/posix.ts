/** The calls of {@linkcode Libc} over C functions that take plain numbers: what Node and Bun have in common. */
import { type Architecture, type Libc, OPEN_FLAGS, POLLIN, readStatx, STATX_SIZE } from "./libc.ts";
import process from "node:process";
import type { Runtime } from "./runtime.ts";
import type { SYMBOLS } from "./symbols.ts";

type Table = typeof SYMBOLS;

/** What is given for a parameter. Memory of C is a number, with 0 for null. */
type Argument<Parameter> = Parameter extends "buffer" ? ArrayBufferView | null : number | bigint;

type Each<Parameters extends readonly string[]> = { -readonly [I in keyof Parameters]: Argument<Parameters[I]> };

/** The arguments of a C function. */
export type Arguments<Name extends keyof Table> = Each<Table[Name]["parameters"]>;

/** The C functions. A result is a number, or a bigint where it is none that a number can hold. */
export type Functions = {
  readonly [Name in keyof Table]: (...args: Arguments<Name>) => number;
};

/** What one runtime has to offer. */
export interface Native extends Pick<Libc, "address" | "memory" | "pollAsync" | "turnAsync"> {
  readonly architecture: Architecture;
  readonly c: Functions;
  /** The error of the call that failed just now on this thread. */
  errno(): number;
  /** Calls a function on another thread; its value, or -errno. The buffers stay until it is done. */
  elsewhere<Name extends keyof Table>(name: Name, ...args: Arguments<Name>): Promise<number>;
}

/** What Bun does as Node does. */
export const PROCESS: Pick<Runtime, "onSignal" | "exit"> = {
  onSignal(signal, handler) {
    process.on(signal, handler);
    return () => process.off(signal, handler);
  },
  exit: (code) => process.exit(code),
};

const WNOHANG = 1;
// Alike on all architectures, as are all numbers of calls since then.
const SYS_PIDFD_OPEN = 434;

/** All calls. */
export function openPosix({ architecture, c, errno, elsewhere, ...native }: Native): Libc {
  const result = (value: number): number => value < 0 ? -errno() : value;
  const orFailed = (value: number): number => Math.max(value, -1);

  const statBuffer = new Uint8Array(STATX_SIZE);
  const statView = new DataView(statBuffer.buffer);
  const offsetIn = new BigInt64Array(1), offsetOut = new BigInt64Array(1);
  const timespec = new BigInt64Array(2);

  return {
    ...native,
    architecture,
    O: OPEN_FLAGS[architecture],

    open: (path, flags, mode) => result(c.open(path, flags, mode)),
    openat: (dirfd, path, flags, mode) => result(c.openat(dirfd, path, flags, mode)),
    close: (fd) => result(c.close(fd)),
    read: (fd, buffer) => result(c.read(fd, buffer, buffer.length)),
    readv: (fd, iovec, count) => result(c.readv(fd, iovec, count)),
    write: (fd, buffer, length) => result(c.write(fd, buffer, length)),
    writev: (fd, iovec, count) => result(c.writev(fd, iovec, count)),
    pread: (fd, buffer, length, offset) => result(c.pread(fd, buffer, length, offset)),
    pwrite: (fd, buffer, length, offset) => result(c.pwrite(fd, buffer, length, offset)),
    lseek: (fd, offset, whence) => Number(result(c.lseek(fd, offset, whence))),
    ftruncate: (fd, length) => result(c.ftruncate(fd, length)),
    fallocate: (fd, mode, offset, length) => result(c.fallocate(fd, mode, offset, length)),
    copyFileRange(from, offset, to, toOffset, length, flags) {
      offsetIn[0] = BigInt(offset);
      offsetOut[0] = BigInt(toOffset);
      // No call moves more than 2 GiB less a page anyway.
      return result(c.copy_file_range(from, offsetIn, to, offsetOut, Math.min(length, 0x7ffff000), flags));
    },
    fsync: (fd) => result(c.fsync(fd)),
    fdatasync: (fd) => result(c.fdatasync(fd)),
    madvise: (memory, length, advice) => result(c.madvise(memory, length, advice)),
    syncfs: (fd) => result(c.syncfs(fd)),
    fcntl: (fd, command, argument) => result(c.fcntl(fd, command, argument)),
    ioctl: (fd, request, argument) => result(c.ioctl(fd, request, argument)),
    dup: (fd) => result(c.dup(fd)),
    pipe2: (fds, flags) => result(c.pipe2(fds, flags)),
    eventfd: (initial, flags) => result(c.eventfd(initial, flags)),
    memfdCreate: (name, flags) => result(c.memfd_create(name, flags)),
    umask: (mask) => c.umask(mask),

    statx(dirfd, path, flags, mask, out) {
      const r = c.statx(dirfd, path, flags, mask, statBuffer);
      if (r < 0) return -errno();
      readStatx(statView, out);
      return 0;
    },
    fstatfs: (fd, out) => result(c.fstatfs(fd, out)),
    getdents64: (fd, buffer) => result(c.getdents64(fd, buffer, buffer.length)),
    mkdirat: (dirfd, path, mode) => result(c.mkdirat(dirfd, path, mode)),
    // The C libraries' 64-bit encoding agrees with the kernel's 32-bit one below 12 bits of major and 20 of minor.
    mknodat: (dirfd, path, mode, dev) => result(c.mknodat(dirfd, path, mode, dev)),
    symlinkat: (target, dirfd, path) => result(c.symlinkat(target, dirfd, path)),
    readlinkat: (dirfd, path, buffer) => result(c.readlinkat(dirfd, path, buffer, buffer.length)),
    unlinkat: (dirfd, path, flags) => result(c.unlinkat(dirfd, path, flags)),
    renameat2: (dirfd, path, newDirfd, newPath, flags) => result(c.renameat2(dirfd, path, newDirfd, newPath, flags)),
    linkat: (dirfd, path, newDirfd, newPath, flags) => result(c.linkat(dirfd, path, newDirfd, newPath, flags)),
    fchmod: (fd, mode) => result(c.fchmod(fd, mode)),
    chmod: (path, mode) => result(c.chmod(path, mode)),
    fchownat: (dirfd, path, uid, gid, flags) => result(c.fchownat(dirfd, path, uid, gid, flags)),
    utimensat: (dirfd, path, times, flags) => result(c.utimensat(dirfd, path, times, flags)),
    faccessat: (dirfd, path, mode, flags) => result(c.faccessat(dirfd, path, mode, flags)),
    getxattr: (path, name, value) => result(c.getxattr(path, name, value, value.length)),
    setxattr: (path, name, value, flags) => result(c.setxattr(path, name, value, value.length, flags)),
    listxattr: (path, list) => result(c.listxattr(path, list, list.length)),
    removexattr: (path, name) => result(c.removexattr(path, name)),

    getpid: () => c.getpid(),
    geteuid: () => c.geteuid(),
    getegid: () => c.getegid(),
    getenv(name) {
      const at = c.getenv(name) || 0;
      if (at === 0) return null;
      const length = Number(c.strlen(at));
      return length === 0 ? new Uint8Array(0) : native.memory(BigInt(at), length).slice();
    },
    kill: (pid, signal) => result(c.kill(pid, signal)),
    mount: (source, target, type, flags, data) => result(c.mount(source, target, type, flags, data)),
    socketpair: (domain, type, protocol, fds) => result(c.socketpair(domain, type, protocol, fds)),
    recvmsg: (fd, message, flags) => result(c.recvmsg(fd, message, flags)),
    sendmsg: (fd, message, flags) => result(c.sendmsg(fd, message, flags)),
    // These answer a positive errno.
    posixSpawnFileActionsInit: (actions) => -c.posix_spawn_file_actions_init(actions),
    posixSpawnFileActionsAdddup2: (actions, from, to) => -c.posix_spawn_file_actions_adddup2(actions, from, to),
    posixSpawnFileActionsAddclose: (actions, fd) => -c.posix_spawn_file_actions_addclose(actions, fd),
    posixSpawnFileActionsAddchdir: (actions, path) => -c.posix_spawn_file_actions_addchdir_np(actions, path),
    posixSpawnFileActionsDestroy: (actions) => -c.posix_spawn_file_actions_destroy(actions),
    posixSpawnattrInit: (attributes) => -c.posix_spawnattr_init(attributes),
    posixSpawnattrSetflags: (attributes, flags) => -c.posix_spawnattr_setflags(attributes, flags),
    posixSpawnattrDestroy: (attributes) => -c.posix_spawnattr_destroy(attributes),

    syscall(number, [a1 = 0n, a2 = 0n, a3 = 0n, a4 = 0n, a5 = 0n, a6 = 0n]) {
      return BigInt(result(c.syscall(number, a1, a2, a3, a4, a5, a6)));
    },

    async statxAsync(dirfd, path, flags, mask, out) {
      const buffer = new Uint8Array(STATX_SIZE);
      const r = await elsewhere("statx", dirfd, path, flags, mask, buffer);
      if (r === 0) readStatx(new DataView(buffer.buffer), out);
      return orFailed(r);
    },
    openAsync: async (path, flags) => orFailed(await elsewhere("open", path, flags, 0)),
    umount2Async: async (target, flags) => orFailed(await elsewhere("umount2", target, flags)),
    posixSpawnpAsync: async (...args) => -await elsewhere("posix_spawnp", ...args),
    writeAsync: (fd, buffer) => elsewhere("write", fd, buffer, buffer.length),
    async waitpidAsync(pid, status, options) {
      const ended = c.waitpid(pid, status, options | WNOHANG);
      if (ended !== 0 || options & WNOHANG) return ended;
      // No thread has to wait where the kernel tells of the end through a descriptor.
      const pidfd = Number(c.syscall(SYS_PIDFD_OPEN, pid, 0, 0, 0, 0, 0));
      if (pidfd < 0) return orFailed(await elsewhere("waitpid", pid, status, options));
      const fds = new Uint8Array(128), view = new DataView(fds.buffer);
      view.setInt32(0, pidfd, true);
      view.setInt16(4, POLLIN, true);
      await native.pollAsync(fds, 1, -1);
      c.close(pidfd);
      return c.waitpid(pid, status, options | WNOHANG);
    },

    ppoll(fds, count, timeoutUs) {
      timespec[1] = BigInt(timeoutUs * 1000);
      return result(c.ppoll(fds, count, timespec, 0));
    },
  };
}
