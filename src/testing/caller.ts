/** Who makes system calls: this thread, or another process. */
import { libc } from "../../ffi/load.ts";
import type { Architecture, OpenFlags } from "../../ffi/libc.ts";
import { cstring } from "../abi/text.ts";

/** Numbers of the system calls: x86_64 and the generic table, which is aarch64's. Source: `asm/unistd.h`. */
const NUMBERS = {
  close: [3, 57],
  copy_file_range: [326, 285],
  dup: [32, 23],
  faccessat2: [439, 439],
  fadvise64: [221, 223],
  fallocate: [285, 47],
  fchmod: [91, 52],
  fchmodat: [268, 53],
  fchmodat2: [452, 452],
  fchown: [93, 55],
  fchownat: [260, 54],
  fcntl: [72, 25],
  fdatasync: [75, 83],
  fgetxattr: [193, 10],
  flistxattr: [196, 13],
  flock: [73, 32],
  fremovexattr: [199, 16],
  fsetxattr: [190, 7],
  fstatfs: [138, 44],
  fsync: [74, 82],
  ftruncate: [77, 46],
  getdents64: [217, 61],
  getgroups: [115, 158],
  getxattr: [191, 8],
  getpid: [39, 172],
  getuid: [102, 174],
  ioctl: [16, 29],
  lgetxattr: [192, 9],
  linkat: [265, 37],
  listxattr: [194, 11],
  llistxattr: [195, 12],
  lremovexattr: [198, 15],
  lseek: [8, 62],
  lsetxattr: [189, 6],
  mkdirat: [258, 34],
  mknodat: [259, 33],
  mlock: [149, 228],
  mmap: [9, 222],
  mount: [165, 40],
  mremap: [25, 216],
  msync: [26, 227],
  munmap: [11, 215],
  nanosleep: [35, 101],
  name_to_handle_at: [303, 264],
  open_by_handle_at: [304, 265],
  openat: [257, 56],
  pipe2: [293, 59],
  ppoll: [271, 73],
  pread64: [17, 67],
  preadv: [295, 69],
  prlimit64: [302, 261],
  pwrite64: [18, 68],
  pwritev: [296, 70],
  pwritev2: [328, 287],
  read: [0, 63],
  readlinkat: [267, 78],
  readv: [19, 65],
  removexattr: [197, 14],
  renameat2: [316, 276],
  sendfile: [40, 71],
  setgroups: [116, 159],
  setresgid: [119, 149],
  setresuid: [117, 147],
  setxattr: [188, 5],
  splice: [275, 76],
  statfs: [137, 43],
  statx: [332, 291],
  symlinkat: [266, 36],
  syncfs: [306, 267],
  truncate: [76, 45],
  umask: [95, 166],
  umount2: [166, 39],
  unlinkat: [263, 35],
  unshare: [272, 97],
  utimensat: [280, 88],
  write: [1, 64],
  writev: [20, 66],
} as const satisfies Record<string, readonly [number, number]>;

/** A system call, in the kernel's words. */
export type Syscall = keyof typeof NUMBERS;

/** The number of a system call. */
export function numberOf(name: Syscall, architecture: Architecture): number {
  return NUMBERS[name][architecture === "x86_64" ? 0 : 1];
}

/**
 * An argument: a number; a string, given as bytes and a NUL; bytes, given as their address, which hold afterwards what
 * the call left there; or several of those, as an array of `struct iovec`.
 */
export type Argument = number | bigint | string | Uint8Array | readonly Uint8Array[];

/** Makes system calls. */
export interface Caller {
  /** `O_*` of its architecture. */
  readonly O: OpenFlags;
  /** Makes a call; its value, or -errno. */
  call(name: Syscall, ...args: Argument[]): bigint;
  /** Bytes at an address of its memory. */
  peek(address: bigint, length: number): Uint8Array;
  /** Changes bytes at an address of its memory. */
  poke(address: bigint, bytes: Uint8Array): void;
}

const ARENA = 4 * 2 ** 20;

/** Makes the calls on this thread. */
export class ThisThread implements Caller {
  readonly #libc = libc();
  // Out of V8's heap, so that it does not move.
  readonly #arena = new Uint8Array(ARENA);
  readonly #base = this.#libc.address(this.#arena);
  readonly O: OpenFlags = this.#libc.O;

  call(name: Syscall, ...args: Argument[]): bigint {
    let at = 0;
    const back: [Uint8Array, number][] = [];
    const place = (bytes: Uint8Array): bigint => {
      const start = at;
      this.#arena.set(bytes, start);
      // Structures want to begin at a multiple of 8.
      at = start + bytes.length + 15 & ~7;
      back.push([bytes, start]);
      return this.#base + BigInt(start);
    };
    const words = args.map((argument) => {
      if (typeof argument === "bigint") return argument;
      if (typeof argument === "number") return BigInt(argument);
      if (typeof argument === "string") return place(cstring(argument));
      if (argument instanceof Uint8Array) return place(argument);
      const vector = argument.flatMap((part) => [place(part), BigInt(part.length)]);
      return place(new Uint8Array(BigInt64Array.from(vector).buffer));
    });
    const value = this.#libc.syscall(numberOf(name, this.#libc.architecture), words);
    for (const [bytes, start] of back) bytes.set(this.#arena.subarray(start, start + bytes.length));
    return value;
  }

  peek(address: bigint, length: number): Uint8Array {
    return this.#libc.memory(address, length).slice();
  }

  poke(address: bigint, bytes: Uint8Array): void {
    this.#libc.memory(address, bytes.length).set(bytes);
  }
}
