/**
 * Backing files: what holds the data of an open file, so that its author's read and write are not called.
 *
 * @module
 */
import { AT_EMPTY_PATH, type Libc, Stat } from "../../ffi/libc.ts";
import { cstring } from "../abi/text.ts";
import { errnoName, FuseError } from "../errno.ts";
import type { Backing, BackingMode, BackingState } from "../fs/backing.ts";
import type { Attr, Awaitable, WriteArgs } from "../fs/types.ts";
import { ExtentMap } from "./extents.ts";

/** Who keeps the ids: what a backing file asks of the registry. */
export interface BackingOwner {
  readonly libc: Libc;
  /** A backing file is closed: its id, if it has one, is given back. */
  closing(file: BackingFile): void;
}

const F_GETFL = 3;
const EMPTY = cstring("");
// Source: `fallocate(2)`.
const KEEP_SIZE = 1, PUNCH_HOLE = 2;
const STATX_BASIC_STATS = 0x7ff;

/** What a source comes to: a descriptor or an extent map, and whether the descriptor is ours to close. */
export interface Opened {
  readonly fd: number;
  readonly owned: boolean;
  readonly map: ExtentMap | null;
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
  /** The kernel's number; 0: it has none. */
  id = 0;
  refs = 0;
  mode: BackingMode;
  reason: string | null;
  readonly #owner: BackingOwner;
  readonly #owned: boolean;
  readonly #stat = new Stat();
  #closed = false;
  #released: PromiseWithResolvers<void> | null = null;
  #room: Uint8Array = new Uint8Array(0);

  constructor(owner: BackingOwner, { fd, owned, map }: Opened, options: {
    readonly access?: "read" | "read-write";
    readonly autoClose: boolean;
    readonly coherent: boolean;
    readonly loose: boolean;
  }) {
    this.#owner = owner;
    this.#owned = owned;
    this.map = map;
    // A map that is the identity over one file is that file.
    const same = map?.identity() ?? null;
    this.fd = same ?? fd;
    this.autoClose = options.autoClose;
    this.coherent = options.coherent;
    this.loose = options.loose;
    this.access = options.access ?? map?.access ?? accessOf(owner.libc, fd);
    this.mode = this.fd < 0 ? "extents" : "identity";
    this.reason = this.fd < 0 ? "an extent map is served by the session" : null;
  }

  get state(): BackingState {
    return this.#closed ? "closed" : this.refs > 0 ? "open" : "idle";
  }

  /** A handle of it was opened. */
  retain(): void {
    this.refs++;
  }

  /** A handle of it was released. */
  release(): void {
    if (--this.refs > 0) return;
    if (this.autoClose || this.#released !== null) this.#close();
  }

  close(options: { whenReleased: true }): Promise<void>;
  close(options?: { whenReleased?: false }): void;
  close({ whenReleased = false }: { whenReleased?: boolean } = {}): void | Promise<void> {
    if (this.refs === 0) this.#close();
    else if (!whenReleased) {
      throw new FuseError(
        "EBUSY",
        `cannot close a backing file with ${this.refs} open handles: later opens of its inode would be EIO; ` +
          "wait for them: close({ whenReleased: true })",
      );
    }
    if (!whenReleased) return;
    if (this.#closed) return Promise.resolve();
    return (this.#released ??= Promise.withResolvers<void>()).promise;
  }

  /** Closes it whatever is open: the connection has ended. */
  end(): void {
    this.refs = 0;
    this.#close();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#owner.closing(this);
    if (this.#owned) this.#owner.libc.close(this.fd);
    this.#released?.resolve();
  }

  [Symbol.dispose](): void {
    void this.close({ whenReleased: true });
  }

  // What the session does with it, where the kernel does not.

  read(offset: number, size: number): Awaitable<Uint8Array> {
    if (this.map !== null && this.fd < 0) {
      const into = new Uint8Array(size);
      const n = this.map.read(into, offset, size);
      return n instanceof Promise ? n.then((n) => into.subarray(0, n)) : into.subarray(0, n);
    }
    if (this.#room.length < size) this.#room = new Uint8Array(size);
    const room = this.#room;
    return room.subarray(0, check("pread", this.#owner.libc.pread(this.fd, room, size, offset)));
  }

  write({ offset, data, flags, fromCache, killSuidgid }: WriteArgs): Awaitable<number> {
    const { libc } = this.#owner;
    if (killSuidgid) this.killSuidgid();
    // The kernel counts the end by a size that may be old; pages of its cache know their place.
    const append = !fromCache && (flags & libc.O.APPEND) !== 0;
    if (this.map !== null && this.fd < 0) return this.map.write(data, append ? this.map.size : offset);
    const at = append ? this.#statx().size : offset;
    return check("pwrite", libc.pwrite(this.fd, data, data.length, at));
  }

  flush(): void {}

  fsync(datasync: boolean): void {
    const { libc } = this.#owner;
    if (this.fd < 0) this.map!.sync(datasync);
    else check("fsync", datasync ? libc.fdatasync(this.fd) : libc.fsync(this.fd));
  }

  fallocate(mode: number, offset: number, length: number): Awaitable<void> {
    if (this.fd < 0) {
      if ((mode & ~KEEP_SIZE) === 0) return this.map!.allocateRange(offset, length, mode === KEEP_SIZE);
      if (mode === (PUNCH_HOLE | KEEP_SIZE)) return this.map!.punch(offset, length);
      throw new FuseError("EOPNOTSUPP");
    }
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
    if (this.fd < 0) this.map!.truncate(size);
    else check("ftruncate", this.#owner.libc.ftruncate(this.fd, size));
  }

  killSuidgid(): void {
    if (this.fd < 0) return;
    const { mode } = this.#statx();
    // Set-group-id without group execute marks mandatory locks of old, and stays. Source: `chmod(2)`, `inode(7)`.
    const kill = mode & 0o4000 | ((mode & 0o2010) === 0o2010 ? 0o2000 : 0);
    if (kill !== 0) this.#owner.libc.fchmod(this.fd, mode & 0o7777 & ~kill);
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
