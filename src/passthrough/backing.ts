/**
 * Backing files: what holds the data of an open file, so that its author's read and write are not called.
 *
 * @module
 */
import { AT_EMPTY_PATH, F_GETFL, type Libc, Stat, STATX_BASIC_STATS } from "../../ffi/libc.ts";
import { cstring } from "../abi/text.ts";
import { type Deferred, deferred } from "../deferred.ts";
import { errnoName, FuseError } from "../errno.ts";
import type { Backing, BackingMode, BackingState } from "../fs/backing.ts";
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from "../fs/flags.ts";
import type { Attr, Awaitable, Request, WriteArgs } from "../fs/types.ts";
import { suidgidToDrop } from "../suidgid.ts";
import { ExtentMap } from "./extents.ts";
import type { Room } from "./room.ts";
import type { Staged } from "./staged.ts";
import { go, type Steps } from "./steps.ts";

/** Who keeps the ids: what a backing file asks of the registry. */
export interface BackingOwner {
  readonly libc: Libc;
  readonly room: Room;
  /** A backing file is closed, or about to be: its id, if it has one, is given back. */
  closing(file: BackingFile): void;
  /** What its last handle left could not be handed over. */
  lost(file: BackingFile, error: unknown): void;
}

const EMPTY = cstring("");
/** How often a mapping is looked for. */
const MAPPED_MS = 512;

/** What a source comes to: a descriptor, an extent map or a staged file, and whether the descriptor is ours to close. */
export interface Opened {
  readonly fd: number;
  readonly owned: boolean;
  readonly map: ExtentMap | null;
  readonly staged: Staged | null;
}

/** One backing file. */
export class BackingFile implements Backing {
  /** The descriptor that its data lies in; -1: in those of an extent map. */
  readonly fd: number;
  readonly access: "read" | "read-write";
  readonly autoClose: boolean;
  readonly coherent: boolean;
  /** A descriptor that was answered as it is: its author may close it with the handle that it was answered for. */
  readonly loose: boolean;
  readonly map: ExtentMap | null;
  /** Stands for it where it must not be kept alive. */
  readonly token: object = {};
  /** What is handed over once it is closed. */
  readonly staged: Staged | null;
  /** The kernel's number; 0: it has none. */
  id = 0;
  refs = 0;
  /** The inode that was opened last. */
  nodeid = 0;
  mode: BackingMode;
  reason: string | null;
  readonly #owner: BackingOwner;
  readonly #owned: boolean;
  readonly #stat = new Stat();
  #closed = false;
  /** To be closed as soon as nothing uses it. */
  #unwanted = false;
  /** Commits under way for a last release. */
  #commits = 0;
  #ended = false;
  /** Ends the wait for a mapping. */
  #wake = () => {};
  #gone: Deferred<void> | null = null;

  constructor(owner: BackingOwner, { fd, owned, map, staged }: Opened, options: {
    readonly access?: "read" | "read-write";
    readonly autoClose: boolean;
    readonly coherent: boolean;
    readonly loose: boolean;
  }) {
    this.#owner = owner;
    this.#owned = owned;
    this.map = map;
    this.staged = staged;
    // A map that is the identity over one file is that file.
    const same = map?.identity() ?? null;
    this.fd = same ?? fd;
    this.autoClose = options.autoClose;
    this.coherent = options.coherent || staged !== null;
    this.loose = options.loose;
    this.access = options.access ?? map?.access ?? accessOf(owner.libc, fd);
    this.mode = this.fd < 0 ? "extents" : "identity";
    this.reason = this.fd < 0 ? "an extent map is served by the session" : null;
  }

  get state(): BackingState {
    return this.#closed ? "closed" : this.refs > 0 ? "open" : "idle";
  }

  /** A handle of it was opened. */
  retain(nodeid: number): void {
    this.refs++;
    this.nodeid = nodeid;
  }

  /** A handle of it was released. The promise, where a commit takes its time, resolves when it has ended. */
  release(): Promise<void> | null {
    if (--this.refs > 0) return null;
    this.#unwanted ||= this.autoClose;
    return this.#finish();
  }

  /** Hands over what was staged, and closes what is not wanted any more. It does not fail. */
  #finish(): Promise<void> | null {
    try {
      const committed = this.staged && go(this.#last(this.staged));
      if (committed instanceof Promise) {
        this.#commits++;
        return committed.catch((error) => this.#owner.lost(this, error)).then(() => {
          this.#commits--;
          this.#settle();
        });
      }
    } catch (error) {
      this.#owner.lost(this, error);
    }
    this.#settle();
    return null;
  }

  /** The last release: its mappings may be stored to after it, and what there is then is the content. */
  *#last(staged: Staged): Steps<void> {
    for (let ms = 1; !this.#ended && this.refs === 0 && staged.isMapped(); ms *= 2) {
      // Who maps it for so long may do so for days.
      if (ms > MAPPED_MS) yield staged.commit(true);
      yield this.#sleep(Math.min(ms, MAPPED_MS));
    }
    // Opened again it has another last release.
    if (this.refs === 0) yield staged.commit(true);
  }

  #sleep(ms: number): Promise<void> {
    const { promise, resolve } = deferred<void>();
    const timer = setTimeout(resolve, ms);
    this.#wake = () => {
      clearTimeout(timer);
      resolve();
    };
    return promise;
  }

  #settle(): void {
    if (this.#unwanted && this.refs === 0 && this.#commits === 0) this.#close();
  }

  close(options: { whenReleased: true }): Promise<void>;
  close(options?: { whenReleased?: false }): void;
  close({ whenReleased = false }: { whenReleased?: boolean } = {}): void | Promise<void> {
    if (this.refs > 0 && !whenReleased) {
      throw new FuseError(
        "EBUSY",
        `cannot close a backing file with ${this.refs} open handles: later opens of its inode would be EIO; ` +
          "wait for them: close({ whenReleased: true })",
      );
    }
    this.#unwanted = true;
    this.#settle();
    if (!whenReleased) return;
    if (this.#closed) return Promise.resolve();
    return (this.#gone ??= deferred<void>()).promise;
  }

  /** Closes it whatever is open, for the connection has ended. The promise: once a commit has ended. */
  end(): Promise<void> | null {
    const open = this.refs > 0;
    this.#owner.closing(this);
    this.#ended = true;
    this.#wake();
    this.refs = 0;
    this.#unwanted = true;
    if (open || this.#commits > 0) return this.#finish();
    this.#settle();
    return null;
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#owner.closing(this);
    if (this.staged !== null) this.staged.close();
    else if (this.#owned) this.#owner.libc.close(this.fd);
    this.#gone?.resolve();
  }

  [Symbol.dispose](): void {
    void this.close({ whenReleased: true });
  }

  // What the session does with it, where the kernel does not.

  read(offset: number, size: number): Awaitable<Uint8Array> {
    const { libc, room } = this.#owner;
    const into = room.take(size);
    const n = this.map !== null && this.fd < 0
      ? this.map.read(into, offset, size)
      : check("pread", libc.pread(this.fd, into, size, offset));
    // Others are answered before a promise is: what it reads into is its own.
    if (n instanceof Promise) return n.then((n) => into.subarray(0, n));
    room.give(into);
    return into.subarray(0, n);
  }

  write({ offset, data, flags, fromCache, killSuidgid }: WriteArgs, caller: Request): Awaitable<number> {
    const { libc } = this.#owner;
    if (killSuidgid && data.length > 0) this.killSuidgid(caller);
    // The kernel counts the end by a size that may be old; pages of its cache know their place.
    const append = !fromCache && (flags & libc.O.APPEND) !== 0;
    if (this.map !== null && this.fd < 0) return this.map.write(data, append ? this.map.size : offset);
    const at = append ? this.#statx().size : offset;
    return check("pwrite", libc.pwrite(this.fd, data, data.length, at));
  }

  fsync(datasync: boolean): void {
    const { libc } = this.#owner;
    if (this.fd < 0) this.map!.sync(datasync);
    else check("fsync", datasync ? libc.fdatasync(this.fd) : libc.fsync(this.fd));
  }

  fallocate(mode: number, offset: number, length: number): Awaitable<void> {
    if (this.fd < 0) {
      if ((mode & ~FALLOC_FL_KEEP_SIZE) === 0) {
        return this.map!.allocateRange(offset, length, mode === FALLOC_FL_KEEP_SIZE);
      }
      if (mode === (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) return this.map!.punch(offset, length);
      throw new FuseError("EOPNOTSUPP");
    }
    this.staged?.touch();
    check("fallocate", this.#owner.libc.fallocate(this.fd, mode, offset, length));
  }

  lseek(offset: number, whence: number): Awaitable<number> {
    if (this.fd < 0) return this.map!.seek(offset, whence);
    return check("lseek", this.#owner.libc.lseek(this.fd, offset, whence));
  }

  copyTo(offset: number, to: unknown, toOffset: number, length: number): Awaitable<number> {
    const { libc } = this.#owner;
    if (!(to instanceof BackingFile) || this.fd < 0 || to.fd < 0) throw new FuseError("EOPNOTSUPP");
    return check("copy_file_range", libc.copyFileRange(this.fd, offset, to.fd, toOffset, length, 0));
  }

  truncate(size: number): void {
    // The descriptor may be able to, and SETATTR comes without an open for writing.
    if (this.access === "read") throw new FuseError("EACCES", "the backing file is registered for reading");
    if (this.fd < 0) this.map!.truncate(size);
    else if (this.staged !== null) this.staged.truncate(size);
    else check("ftruncate", this.#owner.libc.ftruncate(this.fd, size));
  }

  /** Clears the set-id bits that a write by this caller ends. Others may set them in the file at any time. */
  killSuidgid(caller: Request): void {
    if (this.fd < 0) return;
    const stat = this.#statx();
    const drop = suidgidToDrop(stat, caller);
    if (drop !== 0) this.#owner.libc.fchmod(this.fd, stat.mode & 0o7777 & ~drop);
  }

  /** The author's attributes, with what the file itself says. */
  attributes(attr: Attr): Attr {
    if (this.fd < 0) {
      const { size } = this.map!;
      return { ...attr, size, blocks: Math.ceil(size / 512) };
    }
    const { size, blocks, atime, atimeNsec, mtime, mtimeNsec, ctime, ctimeNsec } = this.#statx();
    return { ...attr, size, blocks, atime, atimeNsec, mtime, mtimeNsec, ctime, ctimeNsec };
  }

  #statx(): Stat {
    check("statx", this.#owner.libc.statx(this.fd, EMPTY, AT_EMPTY_PATH, STATX_BASIC_STATS, this.#stat));
    return this.#stat;
  }
}

/** How a descriptor was opened. EBADF: it is none. */
function accessOf(libc: Libc, fd: number): "read" | "read-write" {
  const flags = check("fcntl", libc.fcntl(fd, F_GETFL, 0), "cannot register a backing file");
  return (flags & libc.O.ACCMODE) === libc.O.RDWR ? "read-write" : "read";
}

/** The value of a call, or its error. */
export function check(syscall: string, value: number, what = "a backing file cannot be used"): number {
  if (value >= 0) return value;
  throw new FuseError(value, `${what}: ${syscall}(2) says ${errnoName(value)}`, { syscall });
}
