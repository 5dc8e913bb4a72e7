/** Where a case runs, and what it says there. */
import { ERRNO, type ErrnoName, errnoName } from "../errno.ts";
import type { Data, Sys, User } from "./sys.ts";

/** What a call answers when it succeeds. */
export type Success<R> = [Exclude<R, number>] extends [never] ? R : Exclude<R, number>;

/** The calls, which fail the case where they answer an errno. */
export type Succeeding = {
  [K in keyof Sys]: Sys[K] extends (...args: infer A) => infer R ? (...args: A) => Success<R> : never;
};

/** The calls, which fail the case unless they answer a certain errno. */
export type Failing = {
  [K in keyof Sys]: Sys[K] extends (...args: infer A) => unknown ? (...args: A) => void : never;
};

/** A case found that the file system does something else than it should. */
export class Failure extends Error {
  /** Always `"Failure"`. */
  override name = "Failure";
}

/** A case cannot say anything here. */
export class Skipped extends Error {
  /** Always `"Skipped"`. */
  override name = "Skipped";
}

/** What a case needs of the machine, or of the file system. */
export type Need =
  /** Root, which may be any other user. */
  | "users"
  /** A second process. */
  | "process"
  /** Mounts of one's own, in a second process. */
  | "mounts"
  /** The file system is checked by owners and modes: by the kernel (`default_permissions`) or by itself. */
  | "permissions"
  /** The file system is no larger than `space`. */
  | "space"
  /** Alice may have no more than `quota`. */
  | "quota"
  /** That counts what is Alice's, and nothing else. */
  | "user quota"
  /** The file `crowded` has nearly as many names as a file can have. */
  | "many names"
  /** Extended attributes `user.*`. */
  | "xattr"
  /** Extended attributes `trusted.*` and `security.*`. */
  | "privileged xattr"
  /** POSIX ACLs. */
  | "acl"
  /** Devices, fifos and sockets. */
  | "special"
  /** Hard links. */
  | "link"
  /** Symbolic links. */
  | "symlink"
  /** `O_TMPFILE`. */
  | "tmpfile"
  /** `fallocate(2)`. */
  | "fallocate"
  /** Holes take no space, and can be found. */
  | "holes"
  /** Times to the nanosecond. */
  | "nanoseconds"
  /** `RENAME_EXCHANGE`. */
  | "exchange"
  /** `RENAME_WHITEOUT`. */
  | "whiteout"
  /** Reading changes the time of last access, at least after a change (relatime). */
  | "atime"
  /** Files can be opened by a handle. */
  | "handles"
  /** Any bytes can be a name. */
  | "byte names";

/** One case: makes calls at a place, and throws where they do not do what they should. */
export interface Case {
  (at: Place): void;
  /** What it needs; nothing unless told. */
  readonly needs?: readonly Need[];
}

/** Cases by name: the call, a colon, and what it should do. */
export type Cases = Readonly<Record<string, Case>>;

/**
 * A case that needs something: it is skipped where that is not there.
 *
 * @example
 * ```ts
 * import { BOB, type Cases, needing } from "@fusewire/fusewire/testing";
 *
 * export const own: Cases = {
 *   "unlink: only the owner's": needing(["users", "permissions"], ({ ok, put, as, fails }) => {
 *     put("f", "text");
 *     as(BOB, () => fails("EACCES").unlink("f"));
 *     ok.unlink("f");
 *   }),
 * };
 * ```
 */
export function needing(needs: Need | readonly Need[], run: (at: Place) => void): Case {
  const own = typeof needs === "string" ? [needs] : needs;
  return Object.assign((at: Place) => run(at), { needs: own });
}

/** A user of the cases, whom a quota is for. */
export const ALICE: User = { uid: 64001, gid: 64101 };
/** A user who has nothing in common with Alice: neither number is hers. */
export const BOB: User = { uid: 64002, gid: 64102 };
/** A group that nobody is in, unless a case says so. */
export const CREW = 64103;

/** What was asserted so far, at one place or several. */
export interface Tally {
  /** How many assertions were made. */
  assertions: number;
  /** Which calls answered which errno, as they should: `"mkdir EEXIST"`. */
  readonly errnos: Set<string>;
}

function emptyTally(): Tally {
  return { assertions: 0, errnos: new Set() };
}

/** What {@linkcode Place} is made of. */
export interface PlaceParts {
  /** The calls. */
  readonly sys: Sys;
  /** The folder's absolute path. */
  readonly dir: string;
  /** The same folder through another process. */
  readonly other?: Other;
  /** What the file system holds at most, bytes. */
  readonly space?: number;
  /** What Alice may have at most, bytes. */
  readonly quota?: number;
  /** Absolute path of a file that has nearly as many names as a file can have. */
  readonly crowded?: string;
  /** Where assertions are counted; a new one unless told. */
  readonly tally?: Tally;
}

/** A second process at the same folder. */
export interface Other extends Place {
  /** Begins a call that may wait, and goes on once it does. */
  begin(call: (sys: Sys) => unknown): void;
  /** Whether that call ends within so many milliseconds. */
  ended(milliseconds: number): boolean;
  /** The end of that call: its value, or -errno. */
  end(): number;
  /** Fails unless that call ends with this. */
  endsWith(code: ErrnoName): void;
  /** Sends a signal that interrupts that call. */
  interrupt(): void;
  /** Starts a program of the folder; its pid, or -errno. */
  start(argv: readonly string[]): number;
  /** Ends it. */
  kill(pid: number): void;
}

/** An empty folder, and the calls on it. The functions need no `this`. */
export class Place {
  /** The folder's absolute path. */
  readonly dir: string;
  /** The calls as they are: a value or -errno. */
  readonly sys: Sys;
  /** The calls that should succeed. */
  readonly ok: Succeeding;
  /** What the file system holds at most, bytes. With the need `space`. */
  readonly space: number;
  /** What Alice may have at most, bytes. With the need `quota`. */
  readonly quota: number;
  /** Absolute path of a file that has nearly as many names as a file can have. With the need `many names`. */
  readonly crowded: string;
  /** What was asserted so far. */
  readonly tally: Tally;
  readonly #other?: Other;

  /** A place for one case. */
  constructor({ sys, dir, other, space = 0, quota = 0, crowded = "", tally = emptyTally() }: PlaceParts) {
    this.crowded = crowded;
    this.tally = tally;
    this.sys = sys;
    this.dir = dir;
    this.space = space;
    this.quota = quota;
    this.#other = other;
    this.ok = checked<Succeeding>(sys, (call, result) => {
      this.tally.assertions++;
      if (typeof result === "number" && result < 0) {
        throw new Failure(`${call()}: expected success, got ${errnoName(result)}`);
      }
      return result;
    });
  }

  /** The same folder through another process. With the needs `process` and `mounts`. */
  get other(): Other {
    if (this.#other === undefined) throw new TypeError("the case does not say that it needs a process");
    return this.#other;
  }

  /** The calls that should fail with one of these. */
  readonly fails = (...codes: readonly ErrnoName[]): Failing =>
    checked<Failing>(this.sys, (call, result, name) => {
      this.tally.assertions++;
      const code = codes.find((code) => result === -ERRNO[code]);
      if (code !== undefined) return void this.tally.errnos.add(`${name} ${code}`);
      const got = typeof result === "number" && result < 0 ? errnoName(result) : `success (${show(result)})`;
      throw new Failure(`${call()}: expected ${codes.join(" or ")}, got ${got}`);
    });

  /** Fails unless two values are alike. */
  readonly is = <T>(actual: T, expected: T, what = ""): void => {
    this.tally.assertions++;
    if (show(actual) === show(expected)) return;
    throw new Failure(`${what && `${what}: `}expected ${show(expected)}, got ${show(actual)}`);
  };

  /** Fails unless something holds. */
  readonly holds = (condition: boolean, what: string): void => {
    this.tally.assertions++;
    if (!condition) throw new Failure(`expected: ${what}`);
  };

  /** Does something as another user. */
  readonly as = <T>(user: User, action: () => T): T => this.sys.as(user, action);

  /** Does something with a umask. It is the process's. */
  readonly masked = <T>(mask: number, action: () => T): T => {
    const before = this.sys.umask(mask);
    try {
      return action();
    } finally {
      this.sys.umask(before);
    }
  };

  /** Makes a file that holds something. */
  readonly put = (path: string, data: Data = "", mode = 0o644): void => {
    const { ok } = this;
    const fd = ok.open(path, "WRONLY|CREAT|EXCL", mode);
    if (data.length > 0) ok.write(fd, data);
    ok.close(fd);
  };

  /** The text of a file. */
  readonly content = (path: string): string => {
    const { ok } = this;
    const fd = ok.open(path, "RDONLY");
    let text = "";
    for (let part; (part = ok.read(fd, 0x10000)).length > 0;) text += new TextDecoder().decode(part);
    ok.close(fd);
    return text;
  };

  /** The names in a directory, sorted, without `.` and `..`. */
  readonly names = (path = "."): string[] => {
    const { ok } = this;
    const fd = ok.open(path, "RDONLY|DIRECTORY");
    const names: string[] = [];
    for (let part; (part = ok.getdents(fd)).length > 0;) names.push(...part.map((entry) => entry.name));
    ok.close(fd);
    return names.filter((name) => name !== "." && name !== "..").sort();
  };

  /** The permission bits of a file, set-id bits and sticky bit, without following a symbolic link. */
  readonly mode = (path: string): number => this.ok.lstat(path).mode & 0o7777;

  /** Owner and group. */
  readonly owner = (path: string): [number, number] => {
    const { uid, gid } = this.ok.lstat(path);
    return [uid, gid];
  };

  /** Waits until the clock of the times of files has moved on. */
  readonly tick = (): void => void this.sys.sleep(15);

  /** Waits until something holds that need not hold at once, such as what is done when a file is no longer in use. */
  readonly soon = (condition: () => boolean, what: string): void => {
    for (let tries = 0; !condition(); tries++) {
      if (tries === 500) throw new Failure(`expected soon: ${what}`);
      this.sys.sleep(10);
    }
    this.tally.assertions++;
  };

  /** The same, with paths from the folder that a descriptor stands for. */
  readonly below = (fd: number): Place => new Place({ sys: this.sys.below(fd), dir: this.dir, tally: this.tally });

  /** Skips the case. */
  readonly skip = (reason: string): never => {
    throw new Skipped(reason);
  };
}

function checked<T>(sys: Sys, check: (call: () => string, result: unknown, name: string) => unknown): T {
  return new Proxy({}, {
    get: (_, method: string) => (...args: unknown[]) => {
      const call = () => `${method}(${args.map((arg) => showArgument(method, arg)).join(", ")})`;
      return check(call, (sys as any)[method](...args), method === "syscall" ? `${args[0]}` : method);
    },
  }) as T;
}

// Modes are read in octal.
const OCTAL = /^(open|mkdir|mknod|f?chmod|umask)/;

function showArgument(method: string, value: unknown): string {
  return typeof value === "number" && value > 7 && OCTAL.test(method) ? `0${value.toString(8)}` : show(value);
}

/** A value in a message: short, and told apart from others. */
export function show(value: unknown): string {
  if (value instanceof Uint8Array) {
    return value.length <= 64 ? `<${hex(value)}>` : `<${value.length} bytes ${sum(value)}>`;
  }
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "string") {
    return value.length <= 200 ? JSON.stringify(value) : `${JSON.stringify(value.slice(0, 40))}... (${value.length})`;
  }
  return JSON.stringify(value, (_, v) => typeof v === "bigint" || v instanceof Uint8Array ? show(v) : v) ?? "undefined";
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// FNV-1a: enough to tell two contents apart.
function sum(bytes: Uint8Array): string {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16);
}
