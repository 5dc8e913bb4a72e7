/** Does a sequence of operations in a directory, by system calls, and tells what each of them answers. */
import { AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW, type OpenFlags } from "../../ffi/libc.ts";
import { libc } from "../../ffi/load.ts";
import { cstring } from "../../src/abi/text.ts";
import { errnoName } from "../../src/errno.ts";
import type { FallocateFlag, Operation, RenameFlag, Time } from "./operations.ts";
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
const WHENCE = { SET: 0, CUR: 1, END: 2, DATA: 3, HOLE: 4 } as const;
const NODE = { regular: 0o100000, fifo: 0o010000, socket: 0o140000 } as const;
const XATTR = { any: 0, create: 1, replace: 2 } as const;
const AT_EACCESS = 0x200;
const UTIME_NOW = 2 ** 30 - 1;
const UTIME_OMIT = 2 ** 30 - 2;
const NANOSECONDS = 987_654_321;
const S_IFMT = 0o170000;
const S_IFCHR = 0o020000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;

/** The user without privileges. */
const SOMEBODY = 65534;
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

interface Identity {
  seteuid?(id: number): void;
  setegid?(id: number): void;
}

/** Makes this process act as root, or as somebody; where the runtime cannot, all is done by root. */
function become(who: "root" | "somebody"): void {
  const { seteuid, setegid } = process as unknown as Identity;
  if (who === "somebody") setegid?.(SOMEBODY);
  seteuid?.(who === "root" ? 0 : SOMEBODY);
  if (who === "root") setegid?.(0);
}

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
 * Does operations below an open folder, in a directory of that name that is made for them and removed, two levels down, so that ".."
 * leads to one of their own. They are done by this process, which has its own working directory, umask and user back
 * in the end.
 */
export function play(folder: number, name: string, operations: readonly Operation[]): Played {
  const home = process.cwd();
  const umask = libc().umask(UMASK);
  const side = new Side(folder, name);
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

class Side {
  readonly #folder: number;
  readonly #top: Entry;
  /** Per slot the descriptor, or -1, which the calls find invalid. */
  readonly #slots = [-1, -1, -1];
  /** Where data is and where a hole is up to the file system. */
  #unclear = false;
  #who: "root" | "somebody" = "root";
  /** The times before the next operation, where they are watched. */
  #watched: ReadonlyMap<number, Times> | null = null;

  constructor(folder: number, name: string) {
    const { mkdirat, fchmod, close } = libc();
    this.#folder = folder;
    this.#top = { name, type: "d" };
    must(mkdirat(folder, cstring(name), 0o755), "mkdir");
    const top = openDirectory(folder, name);
    must(mkdirat(top, cstring("home"), 0o755), "mkdir");
    const home = openDirectory(top, "home");
    must(fchmod(home, 0o777), "chmod");
    close(home);
    close(top);
  }

  remove(): void {
    for (const fd of this.#slots) libc().close(fd);
    removeTree(this.#folder, this.#top);
  }

  /** Makes the directory of the operations the current one. */
  enter(): void {
    process.chdir(`/proc/self/fd/${this.#folder}/${this.#top.name}/home`);
  }

  apply(operation: Operation): string {
    if (operation.call === "watch") {
      this.#asRoot(() => {
        this.#tick();
        this.#watched = this.#times();
      });
      return "";
    }
    const result = this.#do(operation);
    const answer = typeof result === "string" ? result : result < 0 ? errnoName(result) : String(result);
    if (this.#watched === null) return answer;
    const after = this.#asRoot(() => this.#times());
    const changed = touched(this.#watched, after);
    this.#watched = null;
    return `${answer}, changed ${changed}`;
  }

  look(): Map<string, string> {
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

  /** Waits until the clock that gives times to files has moved on. */
  #tick(): void {
    const changed = () => {
      must(libc().utimensat(this.#folder, cstring("."), timespecs(["now", "now"]), 0), "utimensat");
      const stat = attributes(this.#folder);
      return typeof stat === "number" ? "" : `${stat.ctime}.${stat.ctimeNsec}`;
    };
    for (const first = changed(); changed() === first;);
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

  /** Whether it is what a WHITEOUT left. Devices are not opened where the mount has `nodev`. */
  #isDevice(path: string): boolean {
    const stat = attributes(AT_FDCWD, path);
    return typeof stat !== "number" && (stat.mode & S_IFMT) === S_IFCHR;
  }

  #list(fd: number): string | number {
    const found = entries(fd);
    return typeof found === "number" ? found : found.map(({ name, type }) => type + name).join(" ");
  }

  #do(op: Exclude<Operation, { call: "watch" }>): string | number {
    const c = libc();
    const fd = "slot" in op ? this.#slots[op.slot] : -1;
    const path = "path" in op ? cstring(op.path) : new Uint8Array();
    const newPath = "newPath" in op ? cstring(op.newPath) : new Uint8Array();
    switch (op.call) {
      case "open": {
        // A FIFO without its other end is not waited for.
        let flags: number = c.O[op.access] | c.O.NONBLOCK | c.O.CLOEXEC;
        for (const flag of op.flags) flags |= c.O[flag satisfies keyof OpenFlags];
        const opened = c.open(path, flags, op.mode);
        if (opened < 0) return this.#isDevice(op.path) ? "a device" : opened;
        c.close(fd);
        this.#slots[op.slot] = opened;
        return "opened";
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
        return offset === null ? c.write(fd, data, length) : c.pwrite(fd, data, length, offset);
      }
      case "truncate":
        return c.ftruncate(fd, op.length);
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
        return c.linkat(AT_FDCWD, path, AT_FDCWD, newPath, op.follow ? AT_SYMLINK_FOLLOW : 0);
      case "linkSlot":
        return c.linkat(AT_FDCWD, cstring(`/proc/self/fd/${fd}`), AT_FDCWD, newPath, AT_SYMLINK_FOLLOW);
      case "symlink":
        return c.symlinkat(cstring(op.target), AT_FDCWD, path);
      case "unlink":
        return c.unlinkat(AT_FDCWD, path, 0);
      case "rmdir":
        return c.unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
      case "readlink":
        return linkTarget(AT_FDCWD, op.path);
      case "readdir": {
        const opened = c.open(path, c.O.RDONLY | c.O.DIRECTORY | c.O.CLOEXEC, 0);
        const listed = opened < 0 ? opened : this.#list(opened);
        c.close(opened);
        return listed;
      }
      case "listxattr": {
        const names = attributeNames(op.path);
        return typeof names === "number" ? names : JSON.stringify(names);
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
        return c.fchownat(AT_FDCWD, path, op.uid, op.gid, op.follow ? 0 : AT_SYMLINK_NOFOLLOW);
      case "utimens": {
        const set = c.utimensat(AT_FDCWD, path, timespecs([op.atime, op.mtime]), op.follow ? 0 : AT_SYMLINK_NOFOLLOW);
        const stat = set < 0 ? set : attributes(AT_FDCWD, op.path, op.follow);
        if (typeof stat === "number") return stat;
        const atime = op.atime === "omit" ? "as it was" : time(stat.atime, stat.atimeNsec);
        return `atime ${atime} mtime ${time(stat.mtime, stat.mtimeNsec)}`;
      }
      case "access":
        return c.faccessat(AT_FDCWD, path, op.mode, AT_EACCESS);
      case "stat": {
        const stat = attributes(AT_FDCWD, op.path, op.follow);
        return typeof stat === "number" ? stat : describe(stat);
      }
      case "setxattr":
        return c.setxattr(path, cstring(op.name), pattern(1, op.length), XATTR[op.flag]);
      case "getxattr":
        return attributeValue(op.path, op.name);
      case "become":
        this.#who = op.who;
        become("root");
        if (op.who === "somebody") become(op.who);
        return "";
      case "umask":
        libc().umask(op.mask);
        return "";
      case "removexattr":
        return c.removexattr(path, cstring(op.name));
    }
  }
}
