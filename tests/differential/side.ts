/** Does a sequence of operations in a directory, by system calls, and tells what each of them answers. */
import process from "node:process";
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_FOLLOW,
  AT_SYMLINK_NOFOLLOW,
  type OpenFlags,
  type Stat,
} from "../../ffi/libc.ts";
import { libc } from "../../ffi/load.ts";
import { cstring } from "../../src/abi/text.ts";
import { errnoName } from "../../src/errno.ts";
import { formatAcl } from "../../src/kit/acl.ts";
import { ThisThread } from "../../src/testing/caller.ts";
import type { FallocateFlag, Operation, Person, RenameFlag, Time, WriteFlag } from "./operations.ts";
import {
  attributeNames,
  attributes,
  attributeValue,
  content,
  describe,
  digest,
  entries,
  type Entry,
  linkTarget,
  must,
  openDirectory,
  removeTree,
  snapshot,
  time,
  visit,
} from "./walk.ts";

/** Where sequences are done. */
export interface Folder {
  /** Its open descriptor. */
  readonly fd: number;
  /** Of a mirror whose source others may change: the same directory there; else -1. */
  readonly source: number;
  /** Makes the kernel forget what it knows of the file system and does not use. */
  forget(): void;
}

/** What no file system in user space can do; `tests/posix/exceptions.ts` has the reasons, for `docs/posix.md`. */
export interface Exemptions {
  /**
   * The kernel does not check permissions. It has answered then what it knows (that a name exists, or is a directory)
   * before the file system is asked, where natively it checks these first; and nobody is asked whether "." and ".." of
   * a directory may be used, or a fifo be opened.
   */
  readonly unchecked?: boolean;
  /** The kernel collects writes: all of a file is data to it. */
  readonly data?: boolean;
  /** It keeps the times meanwhile: that of change cannot be set in a source, and not every other is sent. */
  readonly times?: boolean;
  /** The kernel moves the data: it gives the file below the flags of the open, and that one stays O_APPEND. */
  readonly append?: boolean;
  /**
   * What is written to an O_APPEND file goes to its end, which is not where the kernel thinks when others write to it,
   * by another mount or in the source: RWF_NOAPPEND does not come along, nor RWF_APPEND where the source decides.
   */
  readonly rwf?: readonly WriteFlag[];
  /** Nobody is told of O_PATH: a file that is open so is out of reach once others rename or remove it in the source. */
  readonly path?: boolean;
  /** What the kernel was told holds only where nobody else changes the source. */
  readonly alone?: boolean;
}

/** What came of a sequence. */
export interface Played {
  /** What each operation answered: its result, or the name of its errno. */
  readonly answers: readonly string[];
  /** What it left: all files by path, and what the slots hold. */
  readonly left: ReadonlyMap<string, string>;
}

const RENAME: Readonly<Record<RenameFlag, number>> = { NOREPLACE: 1, EXCHANGE: 2, WHITEOUT: 4 };
const FALLOCATE: Readonly<Record<FallocateFlag, number>> = { KEEP_SIZE: 1, PUNCH_HOLE: 2 };
/** `(uid_t) -1` of chown(2). */
const AS_IT_IS = 0xffffffff;
const RWF = { DSYNC: 2, APPEND: 16, NOAPPEND: 32 } as const;
const WHENCE = { SET: 0, CUR: 1, END: 2, DATA: 3, HOLE: 4 } as const;
const NODE = { regular: 0o100000, fifo: 0o010000, socket: 0o140000 } as const;
const XATTR = { any: 0, create: 1, replace: 2 } as const;
const AT_EACCESS = 0x200;
const F_GETFL = 3;
const F_SETFL = 4;
const POSIX_FADV_DONTNEED = 4;
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MS_SYNC = 4;
const PAGE = 4096;
const UTIME_NOW = 2 ** 30 - 1;
const UTIME_OMIT = 2 ** 30 - 2;
const NANOSECONDS = 987_654_321;
const S_IFMT = 0o170000;
const S_IFIFO = 0o010000;
const S_IFCHR = 0o020000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;

/** Users and groups of who acts. */
const PEOPLE: Readonly<Record<Person, { readonly id: number; readonly groups: readonly number[] }>> = {
  root: { id: 0, groups: [] },
  somebody: { id: 65534, groups: [] },
  member: { id: 1, groups: [65534] },
};
const UMASK = 0o022;

const scratch = new Uint8Array(512 * 1024);

function timespecs(times: readonly Time[]): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  times.forEach((time, i) => {
    if (typeof time === "number") view.setBigInt64(16 * i, BigInt(time), true);
    view.setUint32(16 * i + 8, time === "now" ? UTIME_NOW : time === "omit" ? UTIME_OMIT : NANOSECONDS, true);
  });
  return bytes;
}

/** Bytes that tell where in a write they were. */
function pattern(fill: number, length: number): Uint8Array {
  const bytes = scratch.subarray(0, length);
  for (let i = 0; i < length; i++) bytes[i] = fill + (i >> 8) * 7 + i & 0xff;
  return bytes;
}

/** Calls that the runtimes have no function for, or one that changes all threads. */
const thread = new ThisThread();

/** Makes this thread act as somebody. */
function become(who: Person): void {
  const { id, groups } = PEOPLE[who];
  must(Number(thread.call("setresuid", 0, 0, 0)), "setresuid");
  must(Number(thread.call("setgroups", groups.length, new Uint8Array(Uint32Array.from(groups).buffer))), "setgroups");
  must(Number(thread.call("setresgid", id, id, 0)), "setresgid");
  must(Number(thread.call("setresuid", id, id, 0)), "setresuid");
}

/** An operation that is a call. */
type Done = Exclude<Operation, { call: "watch" | "outside" }>;

/** Two times of a file, and where it is. */
interface Times {
  readonly path: string;
  readonly mtime: string;
  readonly ctime: string;
}

/** The files that are in both, and which of their times are not the same. */
function touched(before: ReadonlyMap<number, Times>, after: ReadonlyMap<number, Times>): string {
  const found: string[] = [];
  for (const [ino, { path, mtime, ctime }] of after) {
    const old = before.get(ino);
    if (old === undefined) continue;
    const changed = [...mtime === old.mtime ? [] : ["mtime"], ...ctime === old.ctime ? [] : ["ctime"]];
    if (changed.length > 0) found.push(`${changed.join(" and ")} of ${JSON.stringify(path)}`);
  }
  return found.join(", ") || "nothing";
}

/**
 * Does operations below an open folder, in a directory of that name that is made for them and removed, two levels down,
 * so that ".." leads to one of their own. They are done by this process, which has its own working directory, umask and
 * user back in the end.
 */
export function play(
  folder: Folder,
  name: string,
  operations: readonly Operation[],
  exemptions: Exemptions,
): Played {
  const home = process.cwd();
  const umask = libc().umask(UMASK);
  const side = new Side(folder, name, exemptions);
  try {
    side.enter();
    const answers = operations.map((operation) => side.apply(operation));
    become("root");
    return { answers, left: side.look() };
  } finally {
    become("root");
    libc().umask(umask);
    process.chdir(home);
    side.remove();
  }
}

/** Which inode it is. */
const place = ({ devMajor, devMinor, ino }: Stat) => `${devMajor}:${devMinor}:${ino}`;

/** What is done by names alone, and opens nothing. */
const NAMED: ReadonlySet<Operation["call"]> = new Set([
  "link",
  "symlink",
  "unlink",
  "rmdir",
  "mkdir",
  "chmod",
  "rename",
  "mknod",
  "chown",
  "utimens",
  "truncate",
  "setxattr",
  "setfacl",
  "removexattr",
]);

class Side {
  readonly #folder: number;
  readonly #forget: () => void;
  readonly #exempt: Exemptions;
  readonly #source: number;
  readonly #top: Entry;
  /** The directories that hold those of the operations. */
  readonly #above = new Set<string>();
  /** Per slot the descriptor, or -1, which the calls find invalid. */
  readonly #slots = [-1, -1, -1];
  /** Where data is and where a hole is up to the file system. */
  #unclear: boolean;
  /** The next operation is done to the source. */
  #outside = false;
  #who: Person = "root";
  /** The times before the next operation, where they are watched. */
  #watched: ReadonlyMap<number, Times> | null = null;

  constructor({ fd: folder, source, forget }: Folder, name: string, exemptions: Exemptions) {
    const { mkdirat, mknodat, fchmod, close } = libc();
    this.#exempt = exemptions;
    this.#source = source;
    this.#unclear = exemptions.data ?? false;
    this.#folder = folder;
    this.#forget = forget;
    // More levels than one operation can climb.
    for (const path of [".", "..", "../..", "../../.."]) {
      const stat = attributes(folder, path);
      if (typeof stat === "number") throw new Error(`statx ${path}: ${errnoName(stat)}`);
      this.#above.add(place(stat));
    }
    this.#top = { name, type: "d" };
    must(mkdirat(folder, cstring(name), 0o755), "mkdir");
    const top = openDirectory(folder, name);
    must(mkdirat(top, cstring("home"), 0o755), "mkdir");
    const home = openDirectory(top, "home");
    must(fchmod(home, 0o777), "chmod");
    close(home);
    must(mknodat(top, cstring("clock"), NODE.regular | 0o644, 0), "mknod");
    close(top);
  }

  remove(): void {
    for (const fd of this.#slots) libc().close(fd);
    removeTree(this.#folder, this.#top);
  }

  /** Makes the directory of the operations the current one. */
  enter(): void {
    this.#enter(this.#folder);
  }

  #enter(folder: number): void {
    this.#asRoot(() => process.chdir(`/proc/self/fd/${folder}/${this.#top.name}/home`));
  }

  #elsewhere(operation: Done): string | number {
    // Those of the slots lead back into the mount.
    const paths = ["path" in operation ? operation.path : "", "newPath" in operation ? operation.newPath : ""];
    if (paths.some((path) => path.startsWith("@"))) return this.#do(operation);
    this.#enter(this.#source);
    try {
      return this.#do(operation);
    } finally {
      this.enter();
    }
  }

  apply(operation: Operation): string {
    if (operation.call === "watch") {
      if (this.#exempt.times) return "";
      this.#asRoot(() => {
        this.#tick();
        this.#watched = this.#times();
      });
      return "";
    }
    if (operation.call === "outside") {
      this.#outside = this.#source >= 0;
      return "";
    }
    const result = this.#outside && NAMED.has(operation.call) ? this.#elsewhere(operation) : this.#do(operation);
    this.#outside = false;
    const answer = typeof result === "string" ? result : result < 0 ? errnoName(result) : String(result);
    if (this.#watched === null) return answer;
    const after = this.#asRoot(() => this.#times());
    const changed = touched(this.#watched, after);
    this.#watched = null;
    return `${answer}, changed ${changed}`;
  }

  look(): Map<string, string> {
    // What the file system has, not the page cache.
    for (const fd of this.#slots) {
      libc().fsync(fd);
      thread.call("fadvise64", fd, 0, 0, POSIX_FADV_DONTNEED);
    }
    this.#forget();
    const found = snapshot(this.#folder, this.#top);
    this.#slots.forEach((fd, slot) => {
      if (fd !== -1) found.set(`slot ${slot}`, this.#held(fd));
    });
    return found;
  }

  #asRoot<T>(call: () => T): T {
    if (this.#who === "root") return call();
    become("root");
    const result = call();
    become(this.#who);
    return result;
  }

  /** Waits until the clocks that give times to files have moved on: the kernel may keep those of regular ones. */
  #tick(): void {
    for (const path of [".", `${this.#top.name}/clock`]) {
      const changed = () => {
        must(libc().utimensat(this.#folder, cstring(path), timespecs(["now", "now"]), 0), "utimensat");
        const stat = attributes(this.#folder, path);
        return typeof stat === "number" ? "" : `${stat.ctime}.${stat.ctimeNsec}`;
      };
      for (const first = changed(); changed() === first;);
    }
  }

  /** Times of modification and of change, by inode. */
  #times(): Map<number, Times> {
    const times = new Map<number, Times>();
    visit(this.#folder, this.#top, ({ path, stat }) => {
      const { ino, mtime, mtimeNsec, ctime, ctimeNsec } = stat;
      times.set(ino, { path, mtime: `${mtime}.${mtimeNsec}`, ctime: `${ctime}.${ctimeNsec}` });
    });
    return times;
  }

  #held(fd: number): string {
    const stat = attributes(fd);
    if (typeof stat === "number") return errnoName(stat);
    const words = [describe(stat)];
    if ((stat.mode & S_IFMT) === S_IFREG) words.push(content(fd, stat.size), `at ${libc().lseek(fd, 0, WHENCE.CUR)}`);
    return words.join(", ");
  }

  /** The type of a file; 0 where there is none. */
  #type(path: Uint8Array): number {
    const stat = attributes(AT_FDCWD, path);
    return typeof stat === "number" ? 0 : stat.mode & S_IFMT;
  }

  #list(fd: number): string | number {
    const found = entries(fd);
    return typeof found === "number" ? found : found.map(({ name, type }) => type + name).join(" ");
  }

  #do(op: Done): string | number {
    const c = libc();
    const fd = "slot" in op ? this.#slots[op.slot] : -1;
    const path = "path" in op ? this.#path(op.path) : new Uint8Array();
    const newPath = "newPath" in op ? this.#path(op.newPath) : new Uint8Array();
    // Symbolic links of /proc are not looked at.
    const follow = "follow" in op && (op.follow || /^@\d$/.test(op.path));
    if (this.#exempt.unchecked && this.#who !== "root") {
      const paths = ["path" in op ? op.path : "", "newPath" in op ? op.newPath : ""];
      if (paths.some((path) => /(^|\/)\.\.?(\/|$)/.test(path))) return "dots";
      if (op.call === "open" && this.#type(path) === S_IFIFO) return "a fifo";
    }
    switch (op.call) {
      case "open": {
        // A FIFO without its other end is not waited for.
        let flags: number = c.O[op.access] | c.O.NONBLOCK | c.O.CLOEXEC;
        for (const flag of op.flags) flags |= c.O[flag satisfies keyof OpenFlags];
        if (this.#exempt.path && op.flags.includes("PATH")) return "not told";
        const opened = c.open(path, flags, op.mode);
        // What a WHITEOUT left is not opened where the mount has `nodev`.
        if (opened < 0) return this.#type(path) === S_IFCHR ? "a device" : opened;
        c.close(fd);
        const stat = attributes(opened);
        const above = typeof stat !== "number" && this.#above.has(place(stat));
        if (above) c.close(opened);
        this.#slots[op.slot] = above ? -1 : opened;
        return above ? "above" : "opened";
      }
      case "close":
        this.#slots[op.slot] = -1;
        return c.close(fd);
      case "fsync":
        return c.fsync(fd);
      case "fstat":
        return this.#held(fd);
      case "list":
        return c.lseek(fd, 0, WHENCE.SET) < 0 ? "cannot be rewound" : this.#list(fd);
      case "read": {
        const { length, offset } = op;
        const n = offset === null ? c.read(fd, scratch.subarray(0, length)) : c.pread(fd, scratch, length, offset);
        return n < 0 ? n : `${n} bytes ${digest(scratch.subarray(0, n))}`;
      }
      case "write": {
        const { length, offset } = op;
        const data = pattern(op.fill, length);
        if (op.how !== null && this.#exempt.rwf?.includes(op.how)) return "not told";
        if (op.how !== null) {
          return Number(thread.call("pwritev2", fd, [data], 1, offset ?? -1, 0, RWF[op.how]));
        }
        return offset === null ? c.write(fd, data, length) : c.pwrite(fd, data, length, offset);
      }
      case "mmap":
        return this.#mmap(fd, op.page * PAGE, op.length, op.fill);
      case "setfl":
        return c.fcntl(fd, F_SETFL, op.flags.reduce((flags, flag) => flags | c.O[flag], this.#kept(fd)));
      case "ftruncate":
        return c.ftruncate(fd, op.length);
      case "truncate": {
        // Where that is its size, natively no time changes, but with O_TRUNC. To a FUSE server these look the same.
        const stat = attributes(AT_FDCWD, path);
        if (this.#watched !== null && typeof stat !== "number" && stat.size === op.length) return "as it is";
        return Number(thread.call("truncate", path, op.length));
      }
      case "fallocate":
        // What was allocated but not written may count as data, or does once it was looked at.
        this.#unclear ||= !op.flags.includes("PUNCH_HOLE");
        return c.fallocate(fd, op.flags.reduce((mode, flag) => mode | FALLOCATE[flag], 0), op.offset, op.length);
      case "lseek": {
        const stat = attributes(fd);
        // Where in a directory something is, is the file system's own affair.
        if (typeof stat !== "number" && (stat.mode & S_IFMT) === S_IFDIR) return "in a directory";
        if (this.#unclear && WHENCE[op.whence] >= WHENCE.DATA) return "data or a hole";
        return c.lseek(fd, op.offset, WHENCE[op.whence]);
      }
      case "copy":
        // A hole may be copied as one, or as zeros.
        this.#unclear = true;
        return c.copyFileRange(this.#slots[op.from], op.offset, this.#slots[op.to], op.toOffset, op.length, 0);
      case "link":
        return c.linkat(AT_FDCWD, path, AT_FDCWD, newPath, follow ? AT_SYMLINK_FOLLOW : 0);
      case "symlink":
        return c.symlinkat(cstring(op.target), AT_FDCWD, path);
      case "unlink":
        return c.unlinkat(AT_FDCWD, path, 0);
      case "rmdir":
        return c.unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
      case "readlink":
        return op.path.startsWith("@") ? "a link of /proc" : linkTarget(AT_FDCWD, op.path);
      case "readdir": {
        const opened = c.open(path, c.O.RDONLY | c.O.DIRECTORY | c.O.CLOEXEC, 0);
        const listed = opened < 0 ? opened : this.#list(opened);
        c.close(opened);
        return listed;
      }
      case "mkdir":
        return c.mkdirat(AT_FDCWD, path, op.mode);
      case "chmod":
        return c.chmod(path, op.mode);
      case "fchmod":
        return c.fchmod(fd, op.mode);
      case "rename": {
        const flags = op.flags.reduce((flags, flag) => flags | RENAME[flag], 0);
        return c.renameat2(AT_FDCWD, path, AT_FDCWD, newPath, flags);
      }
      case "mknod":
        return c.mknodat(AT_FDCWD, path, NODE[op.type] | op.mode, 0);
      case "chown":
        // A stranger's that changes nothing is refused where set-id bits would go. To a FUSE server it looks like the
        // request before a stranger's write, which must not be.
        if (op.uid === op.gid && op.uid === AS_IT_IS && this.#who !== "root") return "as it is";
        return c.fchownat(AT_FDCWD, path, op.uid, op.gid, follow ? 0 : AT_SYMLINK_NOFOLLOW);
      case "utimens": {
        const set = c.utimensat(AT_FDCWD, path, timespecs([op.atime, op.mtime]), follow ? 0 : AT_SYMLINK_NOFOLLOW);
        const stat = set < 0 ? set : attributes(AT_FDCWD, path, follow);
        if (typeof stat === "number") return stat;
        const atime = op.atime === "omit" ? "as it was" : time(stat.atime, stat.atimeNsec);
        return `atime ${atime} mtime ${time(stat.mtime, stat.mtimeNsec)}`;
      }
      case "access":
        return c.faccessat(AT_FDCWD, path, op.mode, AT_EACCESS);
      case "stat": {
        const stat = attributes(AT_FDCWD, path, follow);
        return typeof stat === "number" ? stat : describe(stat);
      }
      case "setxattr": {
        const call = follow ? "setxattr" : "lsetxattr";
        return Number(thread.call(call, path, cstring(op.name), pattern(1, op.length), op.length, XATTR[op.flag]));
      }
      case "setfacl": {
        const value = formatAcl(op.acl);
        return Number(thread.call("setxattr", path, cstring(op.name), value, value.length, XATTR.any));
      }
      case "getxattr":
        return attributeValue(path, op.name, follow);
      case "listxattr": {
        const names = attributeNames(path, follow);
        return typeof names === "number" ? names : JSON.stringify(names);
      }
      case "removexattr":
        return Number(thread.call(follow ? "removexattr" : "lremovexattr", path, cstring(op.name)));
      case "become":
        become(this.#who = op.who);
        return "";
      case "forget":
        this.#asRoot(this.#forget);
        return "";
      case "umask":
        libc().umask(op.mask);
        return "";
    }
  }

  /** A path of an operation, for the calls. */
  #path(path: string): Uint8Array {
    return cstring(path.replace(/^@(\d)/, (_, slot) => `/proc/self/fd/${this.#slots[slot]}`));
  }

  /** Flags that an open file keeps whatever it is told. */
  #kept(fd: number): number {
    const { fcntl, O } = libc();
    return O.NONBLOCK | (this.#exempt.append ? fcntl(fd, F_GETFL, 0) & O.APPEND : 0);
  }

  #mmap(fd: number, offset: number, length: number, fill: number | null): string | number {
    const stat = attributes(fd);
    if (typeof stat === "number") return stat;
    // Beyond the end there is nothing to be looked at.
    const there = Math.min(length, Math.max(0, stat.size - offset));
    const protection = fill === null ? PROT_READ : PROT_READ | PROT_WRITE;
    const mapped = thread.call("mmap", 0, length, protection, MAP_SHARED, fd, offset);
    if (mapped < 0n) return Number(mapped);
    if (fill !== null && there > 0) thread.poke(mapped, pattern(fill, there));
    const found = there > 0 ? digest(thread.peek(mapped, there)) : "nothing";
    // A hole that was looked at may count as data.
    this.#unclear = true;
    const synced = thread.call("msync", mapped, length, MS_SYNC);
    thread.call("munmap", mapped, length);
    return `${found}, msync ${synced}`;
  }
}
