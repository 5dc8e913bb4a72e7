/** What of the C library is called, on which machines, and where it is found: the same for all runtimes. */
import { type Architecture, OPEN_FLAGS } from "./libc.ts";

/** The architecture, or an error where fusewire does not run: as Rust has it (`aarch64`) or as Node (`arm64`). */
export function architectureOf(os: string, machine: string): Architecture {
  if (os !== "linux") {
    throw new Error(`fusewire speaks to the Linux kernel; this is ${os}. Remedy: run it on Linux`);
  }
  const architecture = ({ x64: "x86_64", arm64: "aarch64" }[machine] ?? machine) as Architecture;
  if (architecture in OPEN_FLAGS) return architecture;
  throw new Error(`fusewire knows Linux on ${Object.keys(OPEN_FLAGS).join(" and ")}; this is ${machine}`);
}

/** Opens the C library: glibc, or else musl. An error that is `final` ends the search. */
export function firstLibrary<T>(
  architecture: Architecture,
  open: (name: string) => T,
  final: (error: Error) => boolean = () => false,
): T {
  let first: unknown;
  for (const name of ["libc.so.6", `libc.musl-${architecture}.so.1`]) {
    try {
      return open(name);
    } catch (error) {
      if (final(error as Error)) throw error;
      first ??= error;
    }
  }
  throw first;
}

/**
 * The C functions that this project calls, with their parameters and results in C's order.
 *
 * A `buffer` is the address of memory that the caller made, or null; a `pointer` comes from C. A result of ssize_t is
 * read as i32, since no call here moves 2 GiB at once.
 */
export const SYMBOLS = {
  open: { parameters: ["buffer", /* path */ "i32", /* flags */ "u32" /* mode */], result: "i32" },
  openat: { parameters: ["i32", /* dirfd */ "buffer", /* path */ "i32", /* flags */ "u32" /* mode */], result: "i32" },
  close: { parameters: ["i32" /* fd */], result: "i32" },
  read: { parameters: ["i32", /* fd */ "buffer", /* buf */ "usize" /* count */], result: "i32" },
  readv: { parameters: ["i32", /* fd */ "buffer", /* iov */ "i32" /* iovcnt */], result: "i32" },
  write: { parameters: ["i32", /* fd */ "buffer", /* buf */ "usize" /* count */], result: "i32" },
  writev: { parameters: ["i32", /* fd */ "buffer", /* iov */ "i32" /* iovcnt */], result: "i32" },
  pread: {
    parameters: ["i32", /* fd */ "buffer", /* buf */ "usize", /* count */ "i64" /* offset */],
    result: "i32",
  },
  pwrite: {
    parameters: ["i32", /* fd */ "buffer", /* buf */ "usize", /* count */ "i64" /* offset */],
    result: "i32",
  },
  lseek: { parameters: ["i32", /* fd */ "i64", /* offset */ "i32" /* whence */], result: "i64" },
  ftruncate: { parameters: ["i32", /* fd */ "i64" /* length */], result: "i32" },
  fallocate: {
    parameters: ["i32", /* fd */ "i32", /* mode */ "i64", /* offset */ "i64" /* len */],
    result: "i32",
  },
  copy_file_range: {
    parameters: [
      "i32", /* fd_in */
      "buffer", /* off_in */
      "i32", /* fd_out */
      "buffer", /* off_out */
      "usize", /* len */
      "u32", /* flags */
    ],
    result: "i32",
  },
  fsync: { parameters: ["i32" /* fd */], result: "i32" },
  fdatasync: { parameters: ["i32" /* fd */], result: "i32" },
  madvise: { parameters: ["buffer", /* addr */ "usize", /* length */ "i32" /* advice */], result: "i32" },
  syncfs: { parameters: ["i32" /* fd */], result: "i32" },
  fcntl: { parameters: ["i32", /* fd */ "i32", /* cmd */ "i64" /* arg */], result: "i32" },
  ioctl: { parameters: ["i32", /* fd */ "u64", /* request */ "buffer" /* arg */], result: "i32" },
  dup: { parameters: ["i32" /* fd */], result: "i32" },
  pipe2: { parameters: ["buffer", /* pipefd */ "i32" /* flags */], result: "i32" },
  eventfd: { parameters: ["u32", /* initval */ "i32" /* flags */], result: "i32" },
  epoll_create1: { parameters: ["i32" /* flags */], result: "i32" },
  epoll_ctl: { parameters: ["i32", /* epfd */ "i32", /* op */ "i32", /* fd */ "buffer" /* event */], result: "i32" },
  memfd_create: { parameters: ["buffer", /* name */ "u32" /* flags */], result: "i32" },
  umask: { parameters: ["u32" /* mask */], result: "u32" },

  statx: {
    parameters: ["i32", /* dirfd */ "buffer", /* path */ "i32", /* flags */ "u32", /* mask */ "buffer" /* buf */],
    result: "i32",
  },
  fstatfs: { parameters: ["i32", /* fd */ "buffer" /* buf */], result: "i32" },
  getdents64: { parameters: ["i32", /* fd */ "buffer", /* dirp */ "usize" /* count */], result: "i32" },
  mkdirat: { parameters: ["i32", /* dirfd */ "buffer", /* path */ "u32" /* mode */], result: "i32" },
  mknodat: {
    parameters: ["i32", /* dirfd */ "buffer", /* path */ "u32", /* mode */ "u64" /* dev */],
    result: "i32",
  },
  symlinkat: { parameters: ["buffer", /* target */ "i32", /* dirfd */ "buffer" /* path */], result: "i32" },
  readlinkat: {
    parameters: ["i32", /* dirfd */ "buffer", /* path */ "buffer", /* buf */ "usize" /* bufsiz */],
    result: "i32",
  },
  unlinkat: { parameters: ["i32", /* dirfd */ "buffer", /* path */ "i32" /* flags */], result: "i32" },
  renameat2: {
    parameters: [
      "i32", /* olddirfd */
      "buffer", /* oldpath */
      "i32", /* newdirfd */
      "buffer", /* newpath */
      "u32", /* flags */
    ],
    result: "i32",
  },
  linkat: {
    parameters: [
      "i32", /* olddirfd */
      "buffer", /* oldpath */
      "i32", /* newdirfd */
      "buffer", /* newpath */
      "i32", /* flags */
    ],
    result: "i32",
  },
  fchmod: { parameters: ["i32", /* fd */ "u32" /* mode */], result: "i32" },
  chmod: { parameters: ["buffer", /* path */ "u32" /* mode */], result: "i32" },
  fchownat: {
    parameters: ["i32", /* dirfd */ "buffer", /* path */ "u32", /* owner */ "u32", /* group */ "i32" /* flags */],
    result: "i32",
  },
  utimensat: {
    parameters: ["i32", /* dirfd */ "buffer", /* path */ "buffer", /* times */ "i32" /* flags */],
    result: "i32",
  },
  faccessat: {
    parameters: ["i32", /* dirfd */ "buffer", /* path */ "i32", /* mode */ "i32" /* flags */],
    result: "i32",
  },
  getxattr: {
    parameters: ["buffer", /* path */ "buffer", /* name */ "buffer", /* value */ "usize" /* size */],
    result: "i32",
  },
  setxattr: {
    parameters: ["buffer", /* path */ "buffer", /* name */ "buffer", /* value */ "usize", /* size */ "i32" /* flags */],
    result: "i32",
  },
  listxattr: { parameters: ["buffer", /* path */ "buffer", /* list */ "usize" /* size */], result: "i32" },
  removexattr: { parameters: ["buffer", /* path */ "buffer" /* name */], result: "i32" },

  getpid: { parameters: [], result: "i32" },
  geteuid: { parameters: [], result: "u32" },
  getegid: { parameters: [], result: "u32" },
  getenv: { parameters: ["buffer" /* name */], result: "pointer" },
  kill: { parameters: ["i32", /* pid */ "i32" /* sig */], result: "i32" },
  mount: {
    parameters: [
      "buffer", /* source */
      "buffer", /* target */
      "buffer", /* type */
      "u64", /* flags */
      "buffer", /* data */
    ],
    result: "i32",
  },
  socketpair: {
    parameters: ["i32", /* domain */ "i32", /* type */ "i32", /* protocol */ "buffer" /* sv */],
    result: "i32",
  },
  recvmsg: { parameters: ["i32", /* sockfd */ "buffer", /* msg */ "i32" /* flags */], result: "i32" },
  sendmsg: { parameters: ["i32", /* sockfd */ "buffer", /* msg */ "i32" /* flags */], result: "i32" },
  posix_spawn_file_actions_init: { parameters: ["buffer" /* file_actions */], result: "i32" },
  posix_spawn_file_actions_adddup2: {
    parameters: ["buffer", /* file_actions */ "i32", /* fildes */ "i32" /* newfildes */],
    result: "i32",
  },
  posix_spawn_file_actions_addclose: { parameters: ["buffer", /* file_actions */ "i32" /* fildes */], result: "i32" },
  posix_spawn_file_actions_addchdir_np: {
    parameters: ["buffer", /* file_actions */ "buffer" /* path */],
    result: "i32",
  },
  posix_spawn_file_actions_destroy: { parameters: ["buffer" /* file_actions */], result: "i32" },
  posix_spawnattr_init: { parameters: ["buffer" /* attr */], result: "i32" },
  posix_spawnattr_setflags: { parameters: ["buffer", /* attr */ "i16" /* flags */], result: "i32" },
  posix_spawnattr_destroy: { parameters: ["buffer" /* attr */], result: "i32" },
  ppoll: {
    parameters: ["buffer", /* fds */ "usize", /* nfds */ "buffer", /* tmo_p */ "pointer" /* sigmask */],
    result: "i32",
  },

  aio_write: { parameters: ["buffer" /* aiocbp */], result: "i32" },
  aio_error: { parameters: ["buffer" /* aiocbp */], result: "i32" },
  aio_return: { parameters: ["buffer" /* aiocbp */], result: "i64" },

  // Variadic in C; on these architectures that is no other way to pass integers.
  syscall: {
    parameters: [
      "i64", /* number */
      "i64", /* a1 */
      "i64", /* a2 */
      "i64", /* a3 */
      "i64", /* a4 */
      "i64", /* a5 */
      "i64", /* a6 */
    ],
    result: "i64",
  },
  // Answers its first argument, which makes it the cheapest way to an address.
  memset: { parameters: ["buffer", /* s */ "i32", /* c */ "usize" /* n */], result: "u64" },
  strlen: { parameters: ["pointer" /* s */], result: "u64" },
  __errno_location: { parameters: [], result: "pointer" },

  // What may wait for long, and is called on another thread.
  poll: {
    parameters: ["buffer", /* fds */ "usize", /* nfds */ "i32" /* timeout */],
    result: "i32",
  },
  epoll_wait: {
    parameters: ["i32", /* epfd */ "buffer", /* events */ "i32", /* maxevents */ "i32" /* timeout */],
    result: "i32",
  },
  usleep: { parameters: ["u32" /* usec */], result: "i32" },
  umount2: {
    parameters: ["buffer", /* target */ "i32" /* flags */],
    result: "i32",
  },
  posix_spawnp: {
    parameters: [
      "buffer", /* pid */
      "buffer", /* file */
      "buffer", /* file_actions */
      "buffer", /* attrp */
      "buffer", /* argv */
      "buffer", /* envp */
    ],
    result: "i32",
  },
  aio_suspend: {
    parameters: ["buffer", /* aiocb_list */ "i32", /* nitems */ "pointer" /* timeout */],
    result: "i32",
  },
  waitpid: {
    parameters: ["i32", /* pid */ "buffer", /* wstatus */ "i32" /* options */],
    result: "i32",
  },
} as const;
