/** What every call says to arguments that mean nothing. Source: `errno(3)`, and the manual page of each call. */
import type { ErrnoName } from "../../errno.ts";
import { type Cases, needing, type Place } from "../place.ts";

/** A system call and what it is given. */
type Call = readonly [name: string, ...args: (number | bigint | string | Uint8Array)[]];

// No memory is there, no descriptor is open under this number, and no call knows this flag.
const NOWHERE = 1, CLOSED = 0x7fff, UNKNOWN = 0x4000_0000;

// Source: `linux/fcntl.h`, `linux/stat.h`, `asm-generic/mman-common.h`.
const AT_FDCWD = -100,
  AT_EMPTY_PATH = 0x1000,
  AT_STATX_SYNC_TYPE = 0x6000,
  STATX_ALL = 0xfff,
  STATX__RESERVED = 1 << 31;
const F_GETLK = 5, F_SETLK = 6, F_OFD_SETLK = 37;
const PROT_READ = 1, MAP_SHARED = 1, MS_ASYNC = 1, MS_SYNC = 4, MREMAP_FIXED = 2;
const MAX_HANDLE = 128;

/** Descriptors of a folder that has files `f` and `g`, a directory and a symbolic link `s`. */
interface Open {
  readonly folder: number;
  readonly file: number;
  readonly other: number;
  readonly directory: number;
}

function opened({ ok, put }: Place): Open {
  put("f", "text");
  put("g", "more");
  ok.mkdir("d");
  return {
    folder: ok.open(".", "RDONLY|DIRECTORY"),
    file: ok.open("f", "RDWR"),
    other: ok.open("g", "RDWR"),
    directory: ok.open("d", "RDONLY|DIRECTORY"),
  };
}

/** A `struct flock` of a type that there may be or not, whole or not. */
function lock(type: number, whence: number, pid = 0): Uint8Array {
  const bytes = new Uint8Array(32), view = new DataView(bytes.buffer);
  view.setInt16(0, type, true);
  view.setInt16(2, whence, true);
  view.setInt32(24, pid, true);
  return bytes;
}

/** A `struct file_handle` with room for so many bytes. */
function handle(room: number): Uint8Array {
  const bytes = new Uint8Array(8 + Math.min(room, MAX_HANDLE));
  new DataView(bytes.buffer).setUint32(0, room, true);
  return bytes;
}

const offset = () => new Uint8Array(8);

/** Calls with memory that is not there. */
const FAULTY = ({ folder, file, other, directory }: Open): readonly Call[] => [
  ["read", file, NOWHERE, 4],
  ["pread64", file, NOWHERE, 4, 0],
  ["readv", file, NOWHERE, 1],
  ["preadv", file, NOWHERE, 1, 0, 0],
  ["write", file, NOWHERE, 4],
  ["pwrite64", file, NOWHERE, 4, 0],
  ["writev", file, NOWHERE, 1],
  ["pwritev", file, NOWHERE, 1, 0, 0],
  ["copy_file_range", file, NOWHERE, other, 0, 4, 0],
  ["copy_file_range", file, 0, other, NOWHERE, 4, 0],
  ["sendfile", other, file, NOWHERE, 4],
  ["getdents64", directory, NOWHERE, 1000],
  ["statx", folder, "f", 0, STATX_ALL, NOWHERE],
  ["statfs", "/proc/self/cwd", NOWHERE],
  ["fstatfs", file, NOWHERE],
  ["utimensat", folder, "f", NOWHERE, 0],
  ["utimensat", file, 0, NOWHERE, 0],
  ["linkat", folder, "f", folder, NOWHERE, 0],
  ["renameat2", folder, "f", folder, NOWHERE, 0],
  ["symlinkat", NOWHERE, folder, "new"],
  ["fcntl", file, F_GETLK, NOWHERE],
  ["fcntl", file, F_SETLK, NOWHERE],
  ["fcntl", file, F_OFD_SETLK, NOWHERE],
  ["name_to_handle_at", folder, "f", NOWHERE, NOWHERE, 0],
  ["open_by_handle_at", folder, NOWHERE, 0],
];

/** Calls with a descriptor that is not open. */
const UNOPENED = ({ folder, file }: Open): readonly Call[] => [
  ["close", CLOSED],
  ["read", CLOSED, offset(), 4],
  ["pread64", CLOSED, offset(), 4, 0],
  ["readv", CLOSED, offset(), 0],
  ["write", CLOSED, offset(), 4],
  ["pwrite64", CLOSED, offset(), 4, 0],
  ["writev", CLOSED, offset(), 0],
  ["lseek", CLOSED, 0, 0],
  ["ftruncate", CLOSED, 0],
  ["fallocate", CLOSED, 0, 0, 1],
  ["copy_file_range", CLOSED, 0, file, 0, 4, 0],
  ["copy_file_range", file, 0, CLOSED, 0, 4, 0],
  ["sendfile", CLOSED, file, 0, 4],
  ["sendfile", file, CLOSED, 0, 4],
  ["splice", CLOSED, 0, file, 0, 4, 0],
  ["splice", file, 0, CLOSED, 0, 4, 0],
  ["fsync", CLOSED],
  ["fdatasync", CLOSED],
  ["syncfs", CLOSED],
  ["dup", CLOSED],
  ["fcntl", CLOSED, F_GETLK, lock(0, 0)],
  ["fcntl", CLOSED, F_SETLK, lock(0, 0)],
  ["flock", CLOSED, 1],
  ["ioctl", CLOSED, 0x5401, offset()],
  ["mmap", 0, 4096, PROT_READ, MAP_SHARED, CLOSED, 0],
  ["getdents64", CLOSED, offset(), 8],
  ["fstatfs", CLOSED, new Uint8Array(120)],
  ["statx", CLOSED, "", AT_EMPTY_PATH, STATX_ALL, new Uint8Array(256)],
  ["fchmod", CLOSED, 0o644],
  ["fchown", CLOSED, -1, -1],
  ["utimensat", CLOSED, 0, 0, 0],
  ["fsetxattr", CLOSED, "user.a", offset(), 1, 0],
  ["fgetxattr", CLOSED, "user.a", offset(), 8],
  ["flistxattr", CLOSED, offset(), 8],
  ["fremovexattr", CLOSED, "user.a"],
  ["linkat", CLOSED, "f", folder, "new", 0],
  ["linkat", folder, "f", CLOSED, "new", 0],
  ["renameat2", CLOSED, "f", folder, "new", 0],
  ["renameat2", folder, "f", CLOSED, "new", 0],
  ["name_to_handle_at", CLOSED, "f", handle(MAX_HANDLE), offset(), 0],
];

/** Calls with flags, commands, places and lengths that there are not. */
const INVALID = ({ folder, file, other, directory }: Open): readonly Call[] => [
  ["linkat", folder, "f", folder, "new", UNKNOWN],
  ["unlinkat", folder, "f", UNKNOWN],
  ["renameat2", folder, "f", folder, "new", UNKNOWN],
  ["fchmodat2", folder, "f", 0o644, UNKNOWN],
  ["fchownat", folder, "f", -1, -1, UNKNOWN],
  ["utimensat", folder, "f", 0, UNKNOWN],
  ["faccessat2", folder, "f", 0, UNKNOWN],
  ["faccessat2", folder, "f", 8, 0],
  ["statx", folder, "f", UNKNOWN, STATX_ALL, new Uint8Array(256)],
  ["statx", folder, "f", AT_STATX_SYNC_TYPE, STATX_ALL, new Uint8Array(256)],
  ["statx", folder, "f", 0, STATX__RESERVED >>> 0, new Uint8Array(256)],
  ["readlinkat", folder, "s", offset(), 0],
  ["lseek", file, 0, 99],
  ["lseek", file, -1, 0],
  ["readv", file, offset(), -1],
  ["writev", file, offset(), -1],
  ["pread64", file, offset(), 8, -1],
  ["pwrite64", file, offset(), 8, -1],
  ["ftruncate", file, -1],
  ["fallocate", file, 0, -1, 1],
  ["fallocate", file, 0, 0, 0],
  ["copy_file_range", file, 0, other, 0, 4, UNKNOWN],
  ["splice", file, 0, other, 0, 4, 0],
  ["mmap", 0, 4096, PROT_READ, 0, file, 0],
  ["mmap", 0, 0, PROT_READ, MAP_SHARED, file, 0],
  ["mmap", 0, 4096, PROT_READ, MAP_SHARED, file, 1],
  ["msync", 0, 4096, UNKNOWN],
  ["msync", 0, 4096, MS_SYNC | MS_ASYNC],
  ["msync", 1, 4096, MS_SYNC],
  ["munmap", 1, 4096],
  ["mremap", 1, 4096, 4096, 0, 0],
  ["mremap", 0, 4096, 4096, UNKNOWN, 0],
  ["mremap", 0, 4096, 0, MREMAP_FIXED, 0],
  ["flock", file, 0],
  ["fcntl", file, UNKNOWN, 0],
  ["fcntl", file, F_SETLK, lock(9, 0)],
  ["fcntl", file, F_SETLK, lock(0, 9)],
  ["fcntl", file, F_GETLK, lock(2, 0)],
  ["fcntl", file, F_OFD_SETLK, lock(0, 0, 1)],
  ["fcntl", file, 0, -1],
  ["getdents64", directory, offset(), 1],
  ["name_to_handle_at", folder, "f", handle(MAX_HANDLE), offset(), UNKNOWN],
  ["name_to_handle_at", folder, "f", handle(MAX_HANDLE + 1), offset(), 0],
];

const each = (code: ErrnoName, calls: (open: Open) => readonly Call[]) => (at: Place) => {
  const open = opened(at);
  at.ok.symlink("f", "s");
  for (const [name, ...args] of calls(open)) at.fails(code).syscall(name, ...args);
  at.is([at.names(), at.content("f"), at.content("g")], [["d", "f", "g", "s"], "text", "more"]);
};

export const argumentCases: Cases = {
  "every call with memory: EFAULT where there is none": needing("symlink", each("EFAULT", FAULTY)),
  "every call with a descriptor: EBADF where it is not open": needing("symlink", each("EBADF", UNOPENED)),
  "every call with flags and numbers: EINVAL for those that nobody knows": needing("symlink", each("EINVAL", INVALID)),
  "every call with extended attributes: EFAULT and EINVAL": needing("xattr", (at) => {
    const { ok, fails, is } = at;
    const { file } = opened(at);
    ok.fsetxattr(file, "user.a", "value");
    fails("EFAULT").syscall("fsetxattr", file, "user.a", NOWHERE, 4, 0);
    fails("EFAULT").syscall("fsetxattr", file, NOWHERE, offset(), 4, 0);
    fails("EFAULT").syscall("fgetxattr", file, "user.a", NOWHERE, 100);
    fails("EFAULT").syscall("fgetxattr", file, NOWHERE, offset(), 8);
    fails("EFAULT").syscall("flistxattr", file, NOWHERE, 100);
    fails("EFAULT").syscall("fremovexattr", file, NOWHERE);
    fails("EINVAL").syscall("fsetxattr", file, "user.a", offset(), 4, UNKNOWN);
    is(new TextDecoder().decode(ok.fgetxattr(file, "user.a")), "value");
  }),
  "every call with a path: EBADF where it begins at a descriptor that is not open": needing("symlink", (at) => {
    opened(at);
    at.ok.symlink("f", "s");
    const calls: readonly Call[] = [
      ["openat", CLOSED, "f", 0, 0],
      ["openat", CLOSED, "new", 0o101, 0o644],
      ["mkdirat", CLOSED, "new", 0o755],
      ["mknodat", CLOSED, "new", 0o100644, 0],
      ["symlinkat", "f", CLOSED, "new"],
      ["readlinkat", CLOSED, "s", offset(), 8],
      ["unlinkat", CLOSED, "f", 0],
      ["fchmodat2", CLOSED, "f", 0o644, 0],
      ["fchownat", CLOSED, "f", -1, -1, 0],
      ["faccessat2", CLOSED, "f", 0, 0],
      ["utimensat", CLOSED, "f", 0, 0],
      ["statx", CLOSED, "f", 0, STATX_ALL, new Uint8Array(256)],
    ];
    for (const [name, ...args] of calls) at.fails("EBADF").syscall(name, ...args);
    // An absolute path needs none.
    at.ok.syscall("faccessat2", CLOSED, `${at.dir}/f`, 0, 0);
    at.ok.syscall("faccessat2", AT_FDCWD, `${at.dir}/f`, 0, 0);
  }),
  "fcntl: EOVERFLOW for a lock that ends beyond the largest offset": ({ ok, put, fails }) => {
    put("f");
    const fd = ok.open("f", "RDWR");
    for (const command of ["SETLK", "OFD_SETLK"] as const) {
      fails("EOVERFLOW").lock(fd, command, { type: "RDLCK", start: 2 ** 62, length: 3 * 2 ** 61 });
    }
    fails("EOVERFLOW").getlock(fd, "GETLK", { type: "RDLCK", start: 2 ** 62, length: 3 * 2 ** 61 });
    ok.lock(fd, "SETLK", { type: "RDLCK", start: 2 ** 62, length: 2 ** 62 });
  },
  "mmap: EOVERFLOW beyond the largest offset": ({ ok, put, fails }) => {
    put("f");
    fails("EOVERFLOW").mmap(4096, "READ", "SHARED", ok.open("f", "RDWR"), 2n ** 63n);
  },
};
