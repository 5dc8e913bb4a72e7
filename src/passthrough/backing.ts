/**
 * Backing files: what holds the data of an open file, so that its author's read and write are not called.
 *
 * @module
 */
import { AT_EMPTY_PATH, F_DUPFD_CLOEXEC, F_GETFL, Stat, STATX_BASIC_STATS } from "../../ffi/libc.ts";
import { cstring } from "../abi/text.ts";
import { type Deferred, deferred } from "../deferred.ts";
import { FuseError } from "../errno.ts";
import type { Backing, BackingMode, BackingState } from "../fs/backing.ts";
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from "../fs/flags.ts";
import { S_ISGID, S_ISUID } from "../fs/mode.ts";
import { setsTimes, timespecs } from "../fs/times.ts";
import type { Attr, Awaitable, OpenReply, Request, SetattrArgs, WriteArgs } from "../fs/types.ts";
import { suidgidToDrop } from "../suidgid.ts";
import type { Appender } from "./append.ts";
import { check } from "./check.ts";
import { type Access, reopen, setTimes } from "./descriptors.ts";
import type { ExtentMap } from "./extents.ts";
import { Held } from "./held.ts";
import type { Room } from "./room.ts";
import { type Host, identify, isPlain, type Source } from "./source.ts";
import type { Staged } from "./staged.ts";
import { go, type Steps } from "./steps.ts";

/** Who keeps the ids: what a backing file asks of the registry. */
export interface BackingOwner extends Host {
  readonly room: Room;
  readonly appender: Appender;
  /** A backing file is closed, or about to be: its id, if it has one, is given back. */
  closing(file: BackingFile): void;
  /** What its last handle left could not be handed over. */
  lost(file: BackingFile, error: unknown): void;
}

const EMPTY = cstring("");
/** How often a mapping is looked for. */
const MAPPED_MS = 512;
/** Bytes that are copied at once: others wait for it. */
const COPY = 8 << 20;

type Growing = NonNullable<OpenReply["growing"]>;

/** One backing file. */
export class BackingFile implements Backing {
  readonly owner: BackingOwner;
  readonly autoClose: boolean;
  readonly coherent: boolean;
  /** A descriptor that was answered as it is: its author may close it with the handle that it was answered for. */
  readonly loose: boolean;
  /** Makes the calls by which it grows; null: nobody cares. */
  readonly growing: Growing | null;
  readonly map: ExtentMap | null;
  /** Its descriptor, which outlives it where it is lost. */
  readonly held: Held;
  /** What is handed over once it is closed. */
  readonly staged: Staged | null;
  /** The kernel's number; 0: it has none. */
  id = 0;
  refs = 0;
  /** The inode that was opened last. */
  nodeid = 0;
  mode: BackingMode;
  reason: string | null;
  /** What who is answered it may do. */
  readonly access: Access;
  /** Somebody who has it open was answered another one of the same file, which may be written. */
  #widened = false;
  /** The descriptor can be written. */
  #writes: boolean;
  /** A loose descriptor can be read and written by the session. */
  #ready: boolean;
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

  constructor(owner: BackingOwner, { fd, owned, writes, access, map, staged }: Source, options: {
    readonly autoClose: boolean;
    readonly coherent: boolean;
    readonly loose: boolean;
    readonly growing?: Growing;
  }) {
    this.owner = owner;
    this.held = new Held(fd, owned, staged);
    this.#writes = writes;
    this.access = access;
    this.map = map;
    this.staged = staged;
    this.autoClose = options.autoClose;
    this.coherent = options.coherent || staged !== null;
    this.loose = options.loose;
    this.growing = options.growing ?? null;
    this.#ready = !options.loose;
    this.mode = fd < 0 ? "extents" : "identity";
    this.reason = fd < 0 ? "an extent map is served by the session" : null;
  }

  /** The descriptor that its data lies in; -1: in those of an extent map. */
  get fd(): number {
    return this.held.fd;
  }

  /** Whether anybody may write it. */
  get writable(): boolean {
    return this.access === "read-write" || this.#widened;
  }

  get state(): BackingState {
    return this.#closed ? "closed" : this.refs > 0 ? "open" : "idle";
  }

  /** A handle of it was opened. */
  retain(nodeid: number): void {
    this.refs++;
    this.nodeid = nodeid;
  }

  /**
   * A handle of it was released. Answers whether a commit takes its time: `settled` is called at its end then, in the
   * same turn in which the file may be closed.
   */
  release(settled: () => void): boolean {
    if (--this.refs > 0) return false;
    this.#widened = false;
    this.#unwanted ||= this.autoClose;
    return this.#finish(settled) !== null;
  }

  /** Hands over what was staged, and closes what is not wanted any more. It does not fail. */
  #finish(settled?: () => void): Promise<void> | null {
    try {
      const committed = this.staged && go(this.#last(this.staged));
      if (committed instanceof Promise) {
        this.#commits++;
        return committed.catch((error) => this.owner.lost(this, error)).then(() => {
          this.#commits--;
          this.#settle();
          settled?.();
        });
      }
    } catch (error) {
      this.owner.lost(this, error);
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
    this.owner.closing(this);
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
    this.owner.closing(this);
    this.held.release(this.owner.libc);
    this.#gone?.resolve();
  }

  [Symbol.dispose](): void {
    void this.close({ whenReleased: true });
  }

  // Its descriptor.

  /** Goes over to another descriptor of the same file, which is ours. */
  #use(fd: number, writes: boolean): void {
    this.held.replace(this.owner.libc, fd);
    this.#writes = writes;
  }

  /** Makes sure that its descriptor can write, as its openers may. ETXTBSY, EROFS and the like: the file cannot now. */
  forWriting(): void {
    if (this.#writes || this.fd < 0 || this.loose) return;
    this.#use(check("open", reopen(this.owner.libc, this.fd, "read-write")), true);
  }

  /** Makes sure that the session can move its data. ELOOP: it lies in the mount itself. */
  forServing(): void {
    if (this.#ready || this.fd < 0) return;
    const { owner } = this, { libc } = owner;
    // What is none fails where it is used.
    const flags = libc.fcntl(this.fd, F_GETFL, 0);
    if (flags >= 0) {
      identify(owner, this.fd);
      if (!isPlain(libc, flags)) this.#reopen(flags);
    }
    this.#ready = true;
  }

  /** Goes over to a descriptor of ours, if one can be had that may do what this one may by its flags. */
  #reopen(flags: number): void {
    const { libc } = this.owner;
    // One that only names its file says nothing of who may do what.
    const writes = (flags & libc.O.ACCMODE) !== libc.O.RDONLY || (flags & libc.O.PATH) !== 0 && this.writable;
    const own = reopen(libc, this.fd, writes ? "read-write" : "read");
    if (own >= 0) this.#use(own, writes);
    else if (flags & libc.O.PATH) {
      const reading = reopen(libc, this.fd, "read");
      if (reading >= 0) this.#use(reading, false);
    }
  }

  /** Whether another one is of the same file. */
  isSame(other: BackingFile): boolean {
    if (this.fd < 0 || other.fd < 0 || this.staged !== null || other.staged !== null) return false;
    const mine = identify(this.owner, this.fd), theirs = identify(this.owner, other.fd);
    return mine.ino === theirs.ino && mine.bigIno === theirs.bigIno && mine.devMajor === theirs.devMajor &&
      mine.devMinor === theirs.devMinor;
  }

  /** Lets its openers do what those of another one of the same file may. */
  widen(other: BackingFile): void {
    const { libc } = this.owner;
    // What can be written already need not be opened again, which may be refused by now.
    const known = other.#writes && !other.loose;
    const fd = known ? libc.fcntl(other.fd, F_DUPFD_CLOEXEC, 0) : reopen(libc, other.fd, "read-write");
    this.#use(check(known ? "fcntl" : "open", fd), true);
    this.#widened = true;
  }

  #refuseWriting(): void {
    if (!this.writable) throw new FuseError("EACCES", "the backing file is registered for reading");
    this.forServing();
    this.forWriting();
  }

  // What the session does with it, where the kernel does not.

  read(offset: number, size: number): Awaitable<Uint8Array> {
    const { libc, room } = this.owner;
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
    const { libc } = this.owner;
    if (killSuidgid && data.length > 0) this.killSuidgid(caller);
    // The kernel counts the end by a size that may be old; pages of its cache know their place.
    const append = !fromCache && (flags & libc.O.APPEND) !== 0;
    if (this.map !== null && this.fd < 0) return this.map.write(data, append ? this.map.size : offset);
    const n = this.growing === null
      ? this.#put(data, offset, append)
      : this.growing(() => this.#put(data, offset, append), data.length);
    return check("pwrite", n);
  }

  #put(data: Uint8Array, offset: number, append: boolean): number {
    const { libc, appender } = this.owner;
    if (append) return appender.append(this.fd, data, () => this.#statx().size);
    return libc.pwrite(this.fd, data, data.length, offset);
  }

  fsync(datasync: boolean): void {
    this.forServing();
    const { libc } = this.owner;
    if (this.fd < 0) this.map!.sync(datasync);
    else check("fsync", datasync ? libc.fdatasync(this.fd) : libc.fsync(this.fd));
  }

  fallocate(mode: number, offset: number, length: number): Awaitable<void> {
    this.#refuseWriting();
    if (this.fd < 0) {
      if ((mode & ~FALLOC_FL_KEEP_SIZE) === 0) {
        return this.map!.allocateRange(offset, length, mode === FALLOC_FL_KEEP_SIZE);
      }
      if (mode === (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) return this.map!.punch(offset, length);
      throw new FuseError("EOPNOTSUPP");
    }
    this.staged?.touch();
    check("fallocate", this.owner.libc.fallocate(this.fd, mode, offset, length));
  }

  lseek(offset: number, whence: number): Awaitable<number> {
    if (this.fd < 0) return this.map!.seek(offset, whence);
    // Somebody may be reading or writing where the author's descriptor stands.
    if (!this.held.owned) this.#reopen(this.owner.libc.fcntl(this.fd, F_GETFL, 0));
    return check("lseek", this.owner.libc.lseek(this.fd, offset, whence));
  }

  copyTo(offset: number, to: unknown, toOffset: number, length: number): Awaitable<number> {
    const { libc } = this.owner;
    if (!(to instanceof BackingFile) || this.fd < 0 || to.fd < 0) throw new FuseError("EOPNOTSUPP");
    this.forServing();
    to.#refuseWriting();
    const n = libc.copyFileRange(this.fd, offset, to.fd, toOffset, Math.min(length, COPY), 0);
    return check("copy_file_range", n);
  }

  truncate(size: number): void {
    // SETATTR comes without an open for writing.
    this.#refuseWriting();
    if (this.fd < 0) this.map!.truncate(size);
    else if (this.staged !== null) this.staged.truncate(size);
    else check("ftruncate", this.owner.libc.ftruncate(this.fd, size));
  }

  /** Clears the set-id bits that a write by this caller ends. Others may set them in the file at any time. */
  killSuidgid(caller: Request): void {
    this.#dropSuidgid((stat) => suidgidToDrop(stat, caller));
  }

  /** Clears the set-id bits that are not in a mode. */
  limitSuidgid(mode: number): void {
    this.#dropSuidgid((stat) => stat.mode & (S_ISUID | S_ISGID) & ~mode);
  }

  #dropSuidgid(which: (stat: Stat) => number): void {
    if (this.fd < 0 || !this.writable) return;
    const stat = this.#statx();
    const drop = which(stat);
    if (drop !== 0) this.owner.libc.fchmod(this.fd, stat.mode & 0o7777 & ~drop);
  }

  /** The times that its author has agreed to. */
  setTimes(args: SetattrArgs): void {
    if (this.fd < 0 || !this.writable || !setsTimes(args)) return;
    const times = timespecs(args);
    if (this.staged !== null) return this.staged.setTimes(times);
    check("utimensat", setTimes(this.owner.libc, this.fd, times));
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
    check("statx", this.owner.libc.statx(this.fd, EMPTY, AT_EMPTY_PATH, STATX_BASIC_STATS, this.#stat));
    return this.#stat;
  }
}
