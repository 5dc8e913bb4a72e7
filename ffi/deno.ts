/** The C library through Deno's FFI. One table of symbols, opened at the first use. */
import { Polls } from "./deno_polls.ts";
import { type Architecture, type Libc, OPEN_FLAGS, readStatx, STATX_SIZE } from "./libc.ts";
import type { Runtime } from "./runtime.ts";
import { architectureOf, firstLibrary, SYMBOLS as C } from "./symbols.ts";

// A length is `usize` and given as a bigint, an offset likewise: a number would take the slow call path.
const SYMBOLS = {
  ...C,
  // These run on another thread.
  poll_async: { ...C.poll, name: "poll", nonblocking: true },
  epoll_wait_async: { ...C.epoll_wait, name: "epoll_wait", nonblocking: true },
  usleep_async: { ...C.usleep, name: "usleep", nonblocking: true },
  statx_async: { ...C.statx, name: "statx", nonblocking: true },
  open_async: { ...C.open, name: "open", nonblocking: true },
  umount2_async: { ...C.umount2, name: "umount2", nonblocking: true },
  posix_spawnp_async: { ...C.posix_spawnp, name: "posix_spawnp", nonblocking: true },
  aio_suspend_async: { ...C.aio_suspend, name: "aio_suspend", nonblocking: true },
  waitpid_async: { ...C.waitpid, name: "waitpid", nonblocking: true },
} as const satisfies Deno.ForeignLibraryInterface;

function openLibrary(architecture: Architecture): Deno.DynamicLibrary<typeof SYMBOLS> {
  return firstLibrary(architecture, (name) => Deno.dlopen(name, SYMBOLS), ({ name }) => name === "NotCapable");
}

// Bigints for the lengths that occur, so that none is made per call.
const BIG: bigint[] = [];
let lastNumber = 0, lastBig = 0n;
function big(n: number): bigint {
  if (n < 0x2000) return BIG[n] ??= BigInt(n);
  if (n !== lastNumber) lastBig = BigInt(lastNumber = n);
  return lastBig;
}

declare const setImmediate: (callback: () => void) => unknown;

/**
 * Whether `setImmediate` is the next turn of the event loop. Before Deno 2.7 it waits for milliseconds, so that a call
 * to another thread is less of a pause; it takes 50 μs, since Deno looks at its timers where it has nothing else to do.
 */
function immediates(): boolean {
  const [major, minor] = Deno.version.deno.split(".").map(Number);
  return major > 2 || (major === 2 && minor >= 7);
}

function openLibc(): Libc {
  const architecture = architectureOf(Deno.build.os, Deno.build.arch);
  const c = openLibrary(architecture).symbols;
  // The errno of this thread, valid right after a synchronous call.
  const errno = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(c.__errno_location()!, 4));
  const result = (value: number): number => value < 0 ? -errno[0] : value;

  const statBuffer = new Uint8Array(STATX_SIZE);
  const statView = new DataView(statBuffer.buffer);
  const offsets = new BigInt64Array(2);
  const offsetIn = new Uint8Array(offsets.buffer, 0, 8), offsetOut = new Uint8Array(offsets.buffer, 8, 8);
  const timespec = new BigInt64Array(2);
  const timespecBytes = new Uint8Array(timespec.buffer);

  const polls = new Polls(architecture, {
    ...c,
    pollAsync: (fds, count, timeout) => pinned([fds], (f) => c.poll_async(f, big(count), timeout)),
    epollWaitAsync: (epfd, events, most) => pinned([events], (e) => c.epoll_wait_async(epfd, e, most, -1)),
  });

  return {
    architecture,
    O: OPEN_FLAGS[architecture],

    open: (path, flags, mode) => result(c.open(path as Buffer, flags, mode)),
    openat: (dirfd, path, flags, mode) => result(c.openat(dirfd, path as Buffer, flags, mode)),
    close: (fd) => result(c.close(fd)),
    read: (fd, buffer) => result(c.read(fd, buffer as Buffer, big(buffer.length))),
    readv: (fd, iovec, count) => result(c.readv(fd, iovec as Buffer, count)),
    write: (fd, buffer, length) => result(c.write(fd, buffer as Buffer, big(length))),
    writev: (fd, iovec, count) => result(c.writev(fd, iovec as Buffer, count)),
    pread: (fd, buffer, length, offset) => result(c.pread(fd, buffer as Buffer, big(length), big(offset))),
    pwrite: (fd, buffer, length, offset) => result(c.pwrite(fd, buffer as Buffer, big(length), big(offset))),
    lseek(fd, offset, whence) {
      const at = Number(c.lseek(fd, BigInt(offset), whence));
      return at < 0 ? -errno[0] : at;
    },
    ftruncate: (fd, length) => result(c.ftruncate(fd, BigInt(length))),
    fallocate: (fd, mode, offset, length) => result(c.fallocate(fd, mode, BigInt(offset), BigInt(length))),
    copyFileRange(from, offset, to, toOffset, length, flags) {
      offsets[0] = BigInt(offset);
      offsets[1] = BigInt(toOffset);
      // No call moves more than 2 GiB less a page anyway.
      const most = big(Math.min(length, 0x7ffff000));
      return result(c.copy_file_range(from, offsetIn as Buffer, to, offsetOut as Buffer, most, flags));
    },
    fsync: (fd) => result(c.fsync(fd)),
    fdatasync: (fd) => result(c.fdatasync(fd)),
    madvise: (memory, length, advice) => result(c.madvise(memory as Buffer, BigInt(length), advice)),
    syncfs: (fd) => result(c.syncfs(fd)),
    fcntl: (fd, command, argument) => result(c.fcntl(fd, command, big(argument))),
    ioctl: (fd, request, argument) => result(c.ioctl(fd, BigInt(request), argument as Buffer)),
    dup: (fd) => result(c.dup(fd)),
    pipe2: (fds, flags) => result(c.pipe2(fds as unknown as Buffer, flags)),
    eventfd: (initial, flags) => result(c.eventfd(initial, flags)),
    memfdCreate: (name, flags) => result(c.memfd_create(name as Buffer, flags)),
    umask: (mask) => c.umask(mask),

    statx(dirfd, path, flags, mask, out) {
      const r = c.statx(dirfd, path as Buffer, flags, mask, statBuffer);
      if (r < 0) return -errno[0];
      readStatx(statView, out);
      return 0;
    },
    fstatfs: (fd, out) => result(c.fstatfs(fd, out as Buffer)),
    getdents64: (fd, buffer) => result(c.getdents64(fd, buffer as Buffer, big(buffer.length))),
    mkdirat: (dirfd, path, mode) => result(c.mkdirat(dirfd, path as Buffer, mode)),
    // The C libraries' 64-bit encoding agrees with the kernel's 32-bit one below 12 bits of major and 20 of minor.
    mknodat: (dirfd, path, mode, dev) => result(c.mknodat(dirfd, path as Buffer, mode, BigInt(dev))),
    symlinkat: (target, dirfd, path) => result(c.symlinkat(target as Buffer, dirfd, path as Buffer)),
    readlinkat: (dirfd, path, buffer) =>
      result(c.readlinkat(dirfd, path as Buffer, buffer as Buffer, big(buffer.length))),
    unlinkat: (dirfd, path, flags) => result(c.unlinkat(dirfd, path as Buffer, flags)),
    renameat2: (dirfd, path, newDirfd, newPath, flags) =>
      result(c.renameat2(dirfd, path as Buffer, newDirfd, newPath as Buffer, flags)),
    linkat: (dirfd, path, newDirfd, newPath, flags) =>
      result(c.linkat(dirfd, path as Buffer, newDirfd, newPath as Buffer, flags)),
    fchmod: (fd, mode) => result(c.fchmod(fd, mode)),
    chmod: (path, mode) => result(c.chmod(path as Buffer, mode)),
    fchownat: (dirfd, path, uid, gid, flags) => result(c.fchownat(dirfd, path as Buffer, uid, gid, flags)),
    utimensat: (dirfd, path, times, flags) => result(c.utimensat(dirfd, path as Buffer, times as Buffer, flags)),
    faccessat: (dirfd, path, mode, flags) => result(c.faccessat(dirfd, path as Buffer, mode, flags)),
    getxattr: (path, name, value) =>
      result(c.getxattr(path as Buffer, name as Buffer, value as Buffer, big(value.length))),
    setxattr: (path, name, value, flags) =>
      result(c.setxattr(path as Buffer, name as Buffer, value as Buffer, big(value.length), flags)),
    listxattr: (path, list) => result(c.listxattr(path as Buffer, list as Buffer, big(list.length))),
    removexattr: (path, name) => result(c.removexattr(path as Buffer, name as Buffer)),

    getpid: () => c.getpid(),
    geteuid: () => c.geteuid(),
    getegid: () => c.getegid(),
    getenv(name) {
      const at = c.getenv(name as Buffer);
      if (at === null) return null;
      const length = Number(c.strlen(at));
      return length === 0
        ? new Uint8Array(0)
        : new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(at, length)).slice();
    },
    kill: (pid, signal) => result(c.kill(pid, signal)),
    mount: (source, target, type, flags, data) =>
      result(c.mount(source as Buffer, target as Buffer, type as Buffer, BigInt(flags), data as Buffer)),
    socketpair: (domain, type, protocol, fds) => result(c.socketpair(domain, type, protocol, fds as unknown as Buffer)),
    recvmsg: (fd, message, flags) => result(c.recvmsg(fd, message as Buffer, flags)),
    sendmsg: (fd, message, flags) => result(c.sendmsg(fd, message as Buffer, flags)),
    // These answer a positive errno.
    posixSpawnFileActionsInit: (actions) => -c.posix_spawn_file_actions_init(actions as Buffer),
    posixSpawnFileActionsAdddup2: (actions, from, to) =>
      -c.posix_spawn_file_actions_adddup2(actions as Buffer, from, to),
    posixSpawnFileActionsAddclose: (actions, fd) => -c.posix_spawn_file_actions_addclose(actions as Buffer, fd),
    posixSpawnFileActionsAddchdir: (actions, path) =>
      -c.posix_spawn_file_actions_addchdir_np(actions as Buffer, path as Buffer),
    posixSpawnFileActionsDestroy: (actions) => -c.posix_spawn_file_actions_destroy(actions as Buffer),
    posixSpawnattrInit: (attributes) => -c.posix_spawnattr_init(attributes as Buffer),
    posixSpawnattrSetflags: (attributes, flags) => -c.posix_spawnattr_setflags(attributes as Buffer, flags),
    posixSpawnattrDestroy: (attributes) => -c.posix_spawnattr_destroy(attributes as Buffer),

    address: (buffer) => c.memset(buffer as Buffer, 0, 0n),
    memory: (address, length) =>
      new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(Deno.UnsafePointer.create(address)!, length)),
    syscall(number, [a1 = 0n, a2 = 0n, a3 = 0n, a4 = 0n, a5 = 0n, a6 = 0n]) {
      const value = c.syscall(BigInt(number), a1, a2, a3, a4, a5, a6);
      return value < 0n ? BigInt(-errno[0]) : value;
    },

    pollAsync: (fds, count, timeout) => polls.wait(fds, count, timeout),
    turnAsync: immediates()
      ? () => new Promise((resolve) => setImmediate(resolve))
      : async () => void await c.usleep_async(1),
    async statxAsync(dirfd, path, flags, mask, out) {
      const buffer = new Uint8Array(STATX_SIZE);
      const r = await pinned([held(path), buffer], (p, b) => c.statx_async(dirfd, p, flags, mask, b));
      if (r === 0) readStatx(new DataView(buffer.buffer), out);
      return r;
    },
    openAsync: (path, flags) => pinned([held(path)], (p) => c.open_async(p, flags, 0)),
    umount2Async: (target, flags) => pinned([held(target)], (p) => c.umount2_async(p, flags)),
    async posixSpawnpAsync(pid, file, actions, attributes, argv, envp) {
      return -await pinned([pid, held(file), actions, attributes, argv, envp], (...a) => c.posix_spawnp_async(...a));
    },
    async writeAsync(fd, buffer) {
      // struct aiocb, alike in both C libraries up to here: aio_fildes, aio_buf, aio_nbytes, aio_sigevent.sigev_notify.
      const control = new Uint8Array(256), view = new DataView(control.buffer);
      view.setInt32(0, fd, true);
      view.setBigUint64(16, c.memset(buffer as Buffer, 0, 0n), true);
      view.setBigUint64(24, BigInt(buffer.length), true);
      view.setInt32(44, SIGEV_NONE, true);
      if (c.aio_write(control) < 0) return -errno[0];
      const list = new Uint8Array(128);
      new DataView(list.buffer).setBigUint64(0, c.memset(control, 0, 0n), true);
      // A signal may end the wait early.
      while (c.aio_error(control) === EINPROGRESS) {
        await pinned([list, control, buffer], (l) => c.aio_suspend_async(l, 1, null));
      }
      const failure = c.aio_error(control);
      const written = Number(c.aio_return(control));
      return failure !== 0 ? -failure : written;
    },
    waitpidAsync: (pid, status, options) => pinned([status], (s) => c.waitpid_async(pid, s, options)),

    ppoll(fds, count, timeoutUs) {
      timespec[1] = big(timeoutUs * 1000);
      return result(c.ppoll(fds as Buffer, big(count), timespecBytes, null));
    },
  };
}

type Buffer = Uint8Array<ArrayBuffer>;

const SIGEV_NONE = 1, EINPROGRESS = 115;

/** A copy that does not move: the memory of small arrays may. */
function held(path: Uint8Array): Buffer {
  const copy = new Uint8Array(Math.max(path.length, 128));
  copy.set(path);
  return copy;
}

// Memory that another thread looks at. Nothing else keeps it while a call is under way.
const busy = new Map<Uint8Array, number>();

/** Calls another thread with buffers that stay until it is done. */
async function pinned<A extends Uint8Array[], T>(
  buffers: readonly [...A],
  call: (...buffers: { [K in keyof A]: Buffer }) => Promise<T>,
): Promise<T> {
  for (const buffer of buffers) busy.set(buffer, (busy.get(buffer) ?? 0) + 1);
  try {
    return await call(...buffers as unknown as { [K in keyof A]: Buffer });
  } finally {
    for (const buffer of buffers) {
      const uses = busy.get(buffer)! - 1;
      if (uses === 0) busy.delete(buffer);
      else busy.set(buffer, uses);
    }
  }
}

/** The runtime's side of the library. */
export function openRuntime(): Runtime {
  return {
    name: "deno",
    libc: openLibc(),
    onSignal(signal, handler) {
      Deno.addSignalListener(signal, handler);
      return () => Deno.removeSignalListener(signal, handler);
    },
    exit: (code) => Deno.exit(code),
  };
}
