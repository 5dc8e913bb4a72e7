/**
 * Errors that no caller can provoke on a file system in good health, as cases: for each system call and each errno,
 * what the file system answers is what the program sees. They run on `faulty()`, and on whatever lies on top of it.
 */
import { ERRNO, type ErrnoName } from "../../mod.ts";
import { type Cases, type Place, type Sys } from "../../testing.ts";
import { type Fault, SOONER, withFault } from "./faulty.ts";

/** Errors of media, memory, tables, quotas and networks, and some that file systems also give. */
export const ERRORS: readonly ErrnoName[] = [
  ...["EIO", "ENOMEM", "ENFILE", "EDQUOT", "ENOSPC", "EUCLEAN", "ESTALE", "EROFS", "EMLINK", "ENOLINK"] as const,
  ...["EREMOTEIO", "ETIMEDOUT", "ENOMEDIUM", "EBUSY", "EPERM", "EACCES", "EAGAIN", "EOVERFLOW", "EFBIG"] as const,
  ...["EINTR", "ENOLCK", "E2BIG", "ENXIO", "ENODEV"] as const,
];

/** Where the cases run: on the faulty file system, or on a mirror of it. */
export type Where = "faulty" | "mirror" | "mirror without passthrough" | "mirror checked by its source";

/** What a call is about: a file, a directory with a file `x` and a directory `e`, a symbolic link. */
type Kind = "f" | "d" | "s";

/** A system call, and what fails below it. */
interface Row {
  readonly fault: Fault;
  /** What has the fault, and is given to the call. */
  readonly on: Kind;
  /** The call, on a path or on a descriptor that was open before. `g` is another open file. */
  readonly run: (sys: Sys, path: string, fd: number, g: number) => unknown;
  /** Errors that the kernel takes for a word to itself. */
  readonly without?: readonly ErrnoName[];
  /** What the kernel makes of some errors. */
  readonly told?: { readonly [E in ErrnoName]?: ErrnoName };
  /** Where it does not come so far, and why. */
  readonly except?: { readonly [W in Where]?: string };
}

const FS_IOC_GETFLAGS = 0x80086601;
// To the kernel EAGAIN says that no handler knows the name (`fs/xattr.c __vfs_setxattr_noperm`).
const NO_HANDLER = { EAGAIN: "EOPNOTSUPP" } as const;
// To the kernel EINTR says that a signal is pending, and the call to be made again (`fs/fuse/file.c fuse_setlk`):
// without a signal the program sees ERESTARTSYS, 512, which is no errno.
const RESTARTED = ["EINTR"] as const;
const OWN_LOCKS = "locks of a mirror are the kernel's own";
const KERNEL_LOCKS = {
  mirror: OWN_LOCKS,
  "mirror without passthrough": OWN_LOCKS,
  "mirror checked by its source": OWN_LOCKS,
} as const;

const ROWS: Readonly<Record<string, Row>> = {
  "stat": { fault: "getattr", on: "f", run: (sys, path) => sys.stat(path) },
  "fstat": { fault: "getattr", on: "f", run: (sys, _, fd) => sys.fstat(fd) },
  "stat of a name": { fault: "lookup", on: "d", run: (sys, path) => sys.stat(`${path}/x`) },
  "open of a name": { fault: "lookup", on: "d", run: (sys, path) => sys.open(`${path}/x`, "RDONLY") },
  "unlink of a name": { fault: "lookup", on: "d", run: (sys, path) => sys.unlink(`${path}/x`) },
  "mkdir of a name": { fault: "lookup", on: "d", run: (sys, path) => sys.mkdir(`${path}/new`) },
  "access": {
    fault: "access",
    on: "f",
    run: (sys, path) => sys.access(path, "R"),
    except: {
      mirror: "the kernel checks by mode and owner",
      "mirror without passthrough": "the kernel checks by mode and owner",
    },
  },
  "chmod": { fault: "setattr", on: "f", run: (sys, path) => sys.chmod(path, 0o600) },
  "fchmod": { fault: "setattr", on: "f", run: (sys, _, fd) => sys.fchmod(fd, 0o600) },
  "chown": { fault: "setattr", on: "f", run: (sys, path) => sys.chown(path, 1, 1) },
  "fchown": { fault: "setattr", on: "f", run: (sys, _, fd) => sys.fchown(fd, 1, 1) },
  "lchown": { fault: "setattr", on: "s", run: (sys, path) => sys.lchown(path, 1, 1) },
  "truncate": { fault: "setattr", on: "f", run: (sys, path) => sys.truncate(path, 1) },
  "ftruncate": { fault: "setattr", on: "f", run: (sys, _, fd) => sys.ftruncate(fd, 1) },
  "open O_TRUNC": { fault: "setattr", on: "f", run: (sys, path) => sys.open(path, "WRONLY|TRUNC") },
  "utimensat": { fault: "setattr", on: "f", run: (sys, path) => sys.utimens(path, [[1, 0], [2, 0]]) },
  "futimens": { fault: "setattr", on: "f", run: (sys, _, fd) => sys.futimens(fd, null) },
  "readlink": { fault: "readlink", on: "s", run: (sys, path) => sys.readlink(path) },
  "open through a symbolic link": { fault: "readlink", on: "s", run: (sys, path) => sys.open(path, "RDONLY") },
  "symlink": { fault: "symlink", on: "d", run: (sys, path) => sys.symlink("x", `${path}/new`) },
  "mknod": { fault: "mknod", on: "d", run: (sys, path) => sys.mknod(`${path}/new`, 0o010644) },
  "mkdir": { fault: "mkdir", on: "d", run: (sys, path) => sys.mkdir(`${path}/new`) },
  "unlink": { fault: "unlink", on: "d", run: (sys, path) => sys.unlink(`${path}/x`) },
  "rmdir": { fault: "rmdir", on: "d", run: (sys, path) => sys.rmdir(`${path}/e`) },
  "rename from": { fault: "rename", on: "d", run: (sys, path) => sys.rename(`${path}/x`, "new") },
  "rename to": { fault: "rename", on: "d", run: (sys, path) => sys.rename("g", `${path}/new`) },
  "renameat2": { fault: "rename", on: "d", run: (sys, path) => sys.renameat2(`${path}/x`, "g", "EXCHANGE") },
  "link from": { fault: "link", on: "f", run: (sys, path) => sys.link(path, "new") },
  "link to": { fault: "link", on: "d", run: (sys, path) => sys.link("g", `${path}/new`) },
  "open": { fault: "open", on: "f", run: (sys, path) => sys.open(path, "RDONLY") },
  "open O_CREAT": { fault: "create", on: "d", run: (sys, path) => sys.open(`${path}/new`, "WRONLY|CREAT") },
  "open O_TMPFILE": { fault: "tmpfile", on: "d", run: (sys, path) => sys.open(path, "RDWR|TMPFILE") },
  "open of a directory": { fault: "opendir", on: "d", run: (sys, path) => sys.open(path, "RDONLY|DIRECTORY") },
  "read": { fault: "read", on: "f", run: (sys, _, fd) => sys.read(fd, 4) },
  "pread": { fault: "read", on: "f", run: (sys, _, fd) => sys.pread(fd, 4, 100) },
  "readv": { fault: "read", on: "f", run: (sys, _, fd) => sys.readv(fd, [2, 2], 0) },
  "write": { fault: "write", on: "f", run: (sys, _, fd) => sys.write(fd, "more") },
  "pwrite": { fault: "write", on: "f", run: (sys, _, fd) => sys.pwrite(fd, "more", 1) },
  "writev": { fault: "write", on: "f", run: (sys, _, fd) => sys.writev(fd, ["mo", "re"]) },
  "sendfile from": { fault: "read", on: "f", run: (sys, _, fd, g) => sys.sendfile(g, fd, 0, 4) },
  "sendfile to": { fault: "write", on: "f", run: (sys, _, fd, g) => sys.sendfile(fd, g, 0, 4) },
  "copy_file_range from": {
    fault: "copyFileRange",
    on: "f",
    run: (sys, _, fd, g) => sys.copyFileRange(fd, 0, g, 0, 4),
  },
  "copy_file_range to": { fault: "copyFileRange", on: "f", run: (sys, _, fd, g) => sys.copyFileRange(g, 0, fd, 0, 4) },
  "fallocate": { fault: "fallocate", on: "f", run: (sys, _, fd) => sys.fallocate(fd, "", 0, 10) },
  "lseek": { fault: "lseek", on: "f", run: (sys, _, fd) => sys.lseek(fd, 0, "DATA") },
  "statfs": { fault: "statfs", on: "f", run: (sys, path) => sys.statfs(path) },
  "fstatfs": { fault: "statfs", on: "f", run: (sys, _, fd) => sys.fstatfs(fd) },
  "fsync": { fault: "fsync", on: "f", run: (sys, _, fd) => sys.fsync(fd) },
  "fdatasync": { fault: "fsync", on: "f", run: (sys, _, fd) => sys.fdatasync(fd) },
  "fsync of a directory": { fault: "fsyncdir", on: "d", run: (sys, _, fd) => sys.fsync(fd) },
  "setxattr": {
    fault: "setxattr",
    on: "f",
    run: (sys, path) => sys.setxattr(path, "user.a", "2"),
    told: NO_HANDLER,
  },
  "fsetxattr": {
    fault: "setxattr",
    on: "f",
    run: (sys, _, fd) => sys.fsetxattr(fd, "user.a", "3"),
    told: NO_HANDLER,
  },
  "getxattr": { fault: "getxattr", on: "f", run: (sys, path) => sys.getxattr(path, "user.a") },
  "fgetxattr": { fault: "getxattr", on: "f", run: (sys, _, fd) => sys.fgetxattr(fd, "user.a") },
  "listxattr": { fault: "listxattr", on: "f", run: (sys, path) => sys.listxattr(path) },
  "flistxattr": { fault: "listxattr", on: "f", run: (sys, _, fd) => sys.flistxattr(fd) },
  "removexattr": { fault: "removexattr", on: "f", run: (sys, path) => sys.removexattr(path, "user.a") },
  "fcntl F_SETLK": {
    fault: "setlk",
    on: "f",
    run: (sys, _, fd) => sys.lock(fd, "SETLK", { type: "WRLCK" }),
    without: RESTARTED,
    except: KERNEL_LOCKS,
  },
  "fcntl F_SETLKW": {
    fault: "setlkw",
    on: "f",
    run: (sys, _, fd) => sys.lock(fd, "SETLKW", { type: "WRLCK" }),
    without: RESTARTED,
    except: KERNEL_LOCKS,
  },
  "fcntl F_GETLK": {
    fault: "getlk",
    on: "f",
    run: (sys, _, fd) => sys.getlock(fd, "GETLK", { type: "WRLCK" }),
    except: KERNEL_LOCKS,
  },
  "flock": {
    fault: "setlkw",
    on: "f",
    run: (sys, _, fd) => sys.flock(fd, "EX"),
    without: RESTARTED,
    except: KERNEL_LOCKS,
  },
  "ioctl": { fault: "ioctl", on: "f", run: (sys, _, fd) => sys.ioctl(fd, FS_IOC_GETFLAGS, new Uint8Array(8)) },
};

/** Which errors are answered to which call, as the kernel and the cases call them. */
export function answered(): Map<string, readonly ErrnoName[]> {
  return new Map([
    ...["getdents", "close", "msync"].map((call) => [call, ERRORS] as const),
    ...Object.entries(ROWS).map(([name, { without = [] }]) =>
      [name.split(" ")[0], ERRORS.filter((code) => !without.includes(code))] as const
    ),
  ]);
}

const MAKE: Readonly<Record<Kind, (at: Place) => void>> = {
  f: ({ put, ok }) => {
    put("f", "text".repeat(100));
    ok.setxattr("f", "user.a", "1");
  },
  d: ({ put, ok }) => {
    ok.mkdir("d");
    ok.mkdir("d/e");
    put("d/x");
  },
  s: ({ ok }) => ok.symlink("g", "s"),
};

/** Does something while a fault is set. */
type While = (at: Place, on: Kind, fault: Fault, code: ErrnoName, action: (path: string) => void) => void;

/** Sets faults by new names, given in the folder of the faulty file system that the cases see, where that is told. */
function faults(source?: string): While {
  return (at, on, fault, code, action) => {
    const folder = source === undefined ? "." : `${source}/${at.dir.slice(at.dir.lastIndexOf("/") + 1)}`;
    const path = withFault(on, fault, code);
    at.ok.rename(`${folder}/${on}`, `${folder}/${path}`);
    action(path);
    at.ok.rename(`${folder}/${path}`, `${folder}/${on}`);
  };
}

function caseOf({ fault, on, run, without = [], told = {} }: Row, failing: While) {
  return (at: Place) => {
    at.put("g", "text");
    MAKE[on](at);
    const g = at.ok.open("g", "RDWR");
    const fd = on === "s" ? -1 : at.ok.open(on, on === "f" ? "RDWR" : "RDONLY|DIRECTORY");
    const before = on === "d" ? at.names("d") : [];
    for (const code of ERRORS) {
      if (without.includes(code)) continue;
      failing(at, on, fault, code, (path) => {
        void run(at.fails(told[code] ?? code) as unknown as Sys, path, fd, g);
      });
      if (on === "d") at.is(at.names("d"), before, "nothing was made or removed");
    }
    // The fault is gone.
    void run(at.ok as unknown as Sys, on, fd, g);
  };
}

const PAGE = 4096;
const POLLERR = 8;

/** What the kernel makes something else of. */
const converted = (failing: While): Cases => ({
  "mmap: an error of reading is SIGBUS": (at) => {
    const { put, ok, fails, sys, is } = at;
    put("f", "text");
    const fd = ok.open("f", "RDWR");
    const [, writer] = ok.pipe();
    for (const code of ERRORS) {
      failing(at, "f", "read", code, () => {
        const address = ok.mmap(PAGE, "READ", "SHARED", fd);
        // The kernel looks at the page for the process, which would get the signal.
        fails("EFAULT").writeFrom(writer, address, 1);
        ok.munmap(address);
      });
    }
    const address = ok.mmap(PAGE, "READ", "SHARED", fd);
    is(new TextDecoder().decode(sys.peek(address, 4)), "text");
  },
  "getdents: errors of the file system are the caller's, behind . and .. at the latest": (at) => {
    const { put, ok, sys, fails, is, names } = at;
    ok.mkdir("d");
    put("d/x");
    for (const code of ERRORS) {
      const fd = ok.open("d", "RDONLY|DIRECTORY");
      failing(at, "d", "readdir", code, () => {
        const first = sys.getdents(fd);
        if (Array.isArray(first)) is(first.map(({ name }) => name), [".", ".."]);
        else is(first, -ERRNO[code]);
        fails(code).getdents(fd);
      });
      ok.close(fd);
    }
    is(names("d"), ["x"]);
  },
  "close: an error of flush, and the descriptor is closed": (at) => {
    const { put, ok, fails } = at;
    put("f", "text");
    for (const code of ERRORS) {
      const fd = ok.open("f", "RDONLY");
      failing(at, "f", "flush", code, () => fails(code).close(fd));
      fails("EBADF").close(fd);
    }
    ok.close(ok.open("f", "RDONLY"));
  },
  "close: an error of release is nobody's": (at) => {
    const { put, ok } = at;
    put("f", "text");
    for (const code of ERRORS) {
      const fd = ok.open("f", "RDONLY");
      failing(at, "f", "release", code, () => ok.close(fd));
    }
  },
  "getdents: an error after some entries comes behind them": (at) => {
    const { put, ok, fails, is } = at;
    ok.mkdir("d");
    for (let i = 0; i < 2 * SOONER; i++) put(`d/${i}`);
    for (const code of ERRORS) {
      const fd = ok.open("d", "RDONLY|DIRECTORY");
      failing(at, "d", "readdir-later", code, () => {
        is(ok.getdents(fd).length, SOONER);
        fails(code).getdents(fd);
      });
      ok.close(fd);
    }
    is(at.names("d").length, 2 * SOONER);
  },
  "msync: an error of writing a page back": (at) => {
    const { put, ok, fails, sys, content, is } = at;
    put("f", "text");
    const fd = ok.open("f", "RDWR"), address = ok.mmap(PAGE, "READ|WRITE", "SHARED", fd);
    for (const code of ERRORS) {
      failing(at, "f", "write", code, () => {
        sys.poke(address, code.slice(0, 4));
        fails(code).msync(address, PAGE);
      });
      // It is told once.
      ok.msync(address, PAGE);
    }
    sys.poke(address, "TEXT");
    ok.msync(address, PAGE);
    is(content("f"), "TEXT");
  },
});

/** What only the faulty file system itself is asked: regular files of a server that does not poll are always ready. */
const polled = (failing: While): Cases => ({
  "poll: an error is POLLERR": (at) => {
    const { put, ok, holds } = at;
    put("f", "text");
    const fd = ok.open("f", "RDWR");
    for (const code of ERRORS) {
      failing(at, "f", "poll", code, () => holds((ok.poll(fd, 1) & POLLERR) !== 0, `POLLERR for ${code}`));
    }
  },
});

/** The cases for a place: the faulty file system, or a mirror of it, and where that is then. */
export function faultCases(where: Where, source?: string): Cases {
  const failing = faults(source);
  const rows = Object.entries(ROWS).filter(([, { except }]) => except?.[where] === undefined);
  return {
    ...Object.fromEntries(
      rows.map(([name, row]) => [`${name}: errors of the file system are the caller's`, caseOf(row, failing)]),
    ),
    ...converted(failing),
    ...where === "faulty" ? polled(failing) : {},
  };
}

/**
 * With a writeback cache: what write(2) leaves is written later, and fsync(2) and close(2) tell what became of it. To
 * close the kernel keeps of an error only whether it was ENOSPC, or else EIO (`mm/filemap.c filemap_check_errors`). As
 * long as no fsync has told it, that of the next opener does.
 */
export const writebackCases: Cases = Object.fromEntries(
  ([
    ["fsync", (code) => code],
    ["close", (code) => code === "ENOSPC" ? code : "EIO"],
  ] as [call: "fsync" | "close", told: (code: ErrnoName) => ErrnoName][]).map(([call, told]) => [
    `${call}: tells what became of what was written`,
    (at: Place) => {
      const { put, ok, fails, is, content } = at;
      put("f", "text");
      for (const code of ERRORS) {
        faults()(at, "f", "write", code, (path) => {
          const fd = ok.open(path, "RDWR");
          is(ok.write(fd, "more"), 4);
          fails(told(code))[call](fd);
          if (call === "fsync") return void ok.close(fd);
          const next = ok.open(path, "RDWR");
          fails(code).fsync(next);
          ok.close(next);
        });
      }
      const fd = ok.open("f", "RDWR");
      ok.write(fd, "MORE");
      ok.fsync(fd);
      ok.close(fd);
      is(content("f"), "MORE");
    },
  ]),
);
