/** The life of one staged file: what was written, what of it was handed over. */
import { AT_EMPTY_PATH, F_DUPFD_CLOEXEC, type Libc, MFD_CLOEXEC, Stat } from "../../ffi/libc.ts";
import { cstring } from "../abi/text.ts";
import { deferred } from "../deferred.ts";
import { ERRNO, FuseError } from "../errno.ts";
import { UTIME_OMIT } from "../fs/flags.ts";
import type { Awaitable } from "../fs/types.ts";
import { check } from "./check.ts";
import { copyContent, sameContent } from "./contents.ts";
import { fileSize, readAt, reopen, setTimes, writeAllAt } from "./descriptors.ts";
import type { StageOptions } from "./stage.ts";
import { go, type Steps } from "./steps.ts";

// fcntl(2)
const F_SETSIG = 10;
const F_SETLEASE = 1024;
const F_WRLCK = 1, F_UNLCK = 2;
/** Ignored unless somebody asks for it. */
const SIGURG = 23;
const STATX_MTIME = 0x40;
const SECOND = 1_000_000_000;
const NOTHING = new Uint8Array(0);
const HERE = cstring("");
const WHAT = "cannot stage a file";

/** A new file without a name: in memory, or on the file system of a directory. */
function unnamed(libc: Libc, dir: string | undefined): number {
  if (dir === undefined) {
    const memfd = check("memfd_create", libc.memfdCreate(cstring("stage"), MFD_CLOEXEC), WHAT);
    // A memfd is not counted among those who have its file open, as a lease wants it.
    const counted = reopen(libc, memfd, "read-write");
    if (counted < 0) return memfd;
    libc.close(memfd);
    return counted;
  }
  const { O } = libc, what = `${WHAT} in ${JSON.stringify(dir)}`;
  const fd = libc.open(cstring(dir), O.TMPFILE | O.RDWR | O.CLOEXEC, 0o600);
  // EISDIR: of kernels and file systems that know no O_TMPFILE. Source: `open(2)`.
  if (fd !== -ERRNO.EOPNOTSUPP && fd !== -ERRNO.EISDIR) return check("open", fd, what, dir);
  const path = cstring(`${dir}/.stage-${crypto.randomUUID()}`);
  const made = check("open", libc.open(path, O.CREAT | O.EXCL | O.RDWR | O.CLOEXEC, 0o600), what, dir);
  libc.unlinkat(made, path, 0);
  return made;
}

/** A time of modification: s, ns. */
type Time = readonly [number, number];

/** One staged file. */
export class Staged {
  readonly fd: number;
  /** Whether a close(2) is to hand it over. */
  readonly atClose: boolean;
  readonly #libc: Libc;
  readonly #options: StageOptions;
  readonly #stat = new Stat();
  /** A time of modification that no write leaves as it is; null: the file system keeps no such times. */
  #mark: Time | null = null;
  /** Somebody could write. */
  #writable = false;
  /** Changed in a way that may not show in its times. */
  #touched = false;
  /**
   * Made or emptied. A shell makes, duplicates and closes before it writes: only the last release takes that for all.
   */
  #fresh = false;
  /** May be mapped, and stores to a mapping of a file in memory do not show in its times. */
  #mapped = false;
  /** Leases tell who has it open. */
  readonly #leases: boolean;
  /** What it is to be compared with: how it was, as bytes or in another file; null: nobody knows. */
  #before: Uint8Array | number | null;
  /** Whether that was handed over, and need not be once more. */
  #handedOver = false;
  /** The file that `onCommit` reads. */
  #reading = -1;
  #running: Promise<void> | null = null;

  /** Makes it, with what is in it at first. */
  constructor(libc: Libc, options: StageOptions) {
    this.#libc = libc;
    this.#options = options;
    this.atClose = options.atClose !== false;
    this.fd = unnamed(libc, options.dir);
    this.#before = NOTHING;
    try {
      this.#before = this.#fill(options.from);
      this.#mark = this.#setMark();
      // Where times are coarse they do not tell.
      if (!this.#isMarked()) this.#mark = null;
      // Whoever opens it during a lease breaks it, which is told by a signal, and SIGIO, which it is by default, kills.
      this.#leases = libc.fcntl(this.fd, F_SETSIG, SIGURG) >= 0 && this.#isAlone();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #fill(from: StageOptions["from"] = NOTHING): Uint8Array | number {
    if (typeof from !== "number") {
      writeAllAt(this.fd, from, 0, from.length, 0);
      return from;
    }
    const size = fileSize(from);
    if (size === Infinity) throw new FuseError("EINVAL", `cannot stage descriptor ${from}: it is no regular file`);
    check("ftruncate", this.#libc.ftruncate(this.fd, size), WHAT);
    go(copyContent(this.#libc, from, this.fd, size));
    return check("fcntl", this.#libc.fcntl(from, F_DUPFD_CLOEXEC, 0), WHAT);
  }

  /** A handle is opened that can write; `mapped`: and read, so that it can map what the kernel moves by itself. */
  opened(mapped: boolean): void {
    this.#writable = true;
    this.#mapped ||= mapped;
  }

  /** It was changed by other means than a write. */
  touch(): void {
    this.#writable = this.#touched = true;
  }

  /** It is a new inode's. */
  made(): void {
    this.#writable = this.#fresh = true;
  }

  /** A truncation leaves nothing: what was written before needs no commit any more. */
  empty(): void {
    check("ftruncate", this.#libc.ftruncate(this.fd, 0), WHAT);
    this.#writable = this.#fresh = true;
    this.#touched = this.#handedOver = false;
    if (this.#mark !== null) this.#mark = this.#setMark();
    this.#remember(NOTHING);
  }

  truncate(size: number): void {
    this.#writable = true;
    if (size > 0) check("ftruncate", this.#libc.ftruncate(this.fd, size), WHAT);
    else if (fileSize(this.fd) > 0) this.empty();
  }

  /**
   * Whether a mapping can still be stored to, without a handle. One that the kernel made of the file itself
   * (passthrough) keeps no handle open, but the file. A file system without leases does not tell.
   */
  isMapped(): boolean {
    return this.#mapped && this.#leases && !this.#isAlone();
  }

  /** Whether nobody else has it open: that is what a lease is granted on. Source: `fcntl(2)`. */
  #isAlone(): boolean {
    const alone = this.#libc.fcntl(this.fd, F_SETLEASE, F_WRLCK) >= 0;
    if (alone) this.#libc.fcntl(this.fd, F_SETLEASE, F_UNLCK);
    return alone;
  }

  /**
   * Hands over what was written since the last time; `last`: also what was only made or emptied. It fails as `onCommit`
   * does.
   */
  commit(last: boolean): Awaitable<void> {
    return go(this.#commit(last));
  }

  *#commit(last: boolean): Steps<void> {
    while (this.#running !== null) yield this.#running;
    const { promise, resolve } = deferred<void>();
    this.#running = promise;
    let live = true;
    try {
      if (!(last && this.#fresh) && !(yield* this.#changed())) return;
      this.#fresh = this.#touched = false;
      // Before the copy: what is written from now on shows.
      if (this.#mark !== null) this.#mark = this.#setMark();
      const size = fileSize(this.fd);
      const copy = yield* this.#copy(size);
      this.#remember(copy);
      this.#handedOver = true;
      const fd = this.#reading = copy ?? this.fd;
      yield this.#options.onCommit({
        fd,
        size,
        read(offset = 0, length = Infinity) {
          if (!live) throw new FuseError("EBADF", "the staged file is read after its onCommit has ended");
          const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
          readAt(fd, bytes, 0, bytes.length, offset);
          return bytes;
        },
      });
    } finally {
      live = false;
      this.#running = null;
      const read = this.#reading;
      this.#reading = -1;
      if (read !== -1 && read !== this.fd && read !== this.#before) this.#libc.close(read);
      resolve();
    }
  }

  *#changed(): Steps<boolean> {
    if (!this.#writable) return false;
    const written = this.#touched || this.#mark !== null && !this.#isMarked();
    // Whoever writes what is there already has written; but what was handed over is not handed over twice.
    if (written && !this.#handedOver) return true;
    if (!written && !this.#mapped && this.#mark !== null) return false;
    const before = this.#before, size = fileSize(this.fd);
    if (before === null || (typeof before === "number" ? fileSize(before) : before.length) !== size) return true;
    return !(yield* sameContent(this.fd, before, size, this.#pause));
  }

  readonly #pause = () => this.#libc.turnAsync();

  /** A copy of it; null where there is no room for one. */
  *#copy(size: number): Steps<number | null> {
    let copy = -1;
    try {
      copy = unnamed(this.#libc, this.#options.dir);
      check("ftruncate", this.#libc.ftruncate(copy, size), WHAT);
      yield* copyContent(this.#libc, this.fd, copy, size, this.#pause);
      return copy;
    } catch {
      // Better the file itself, which others may be changing, than nothing.
      if (copy >= 0) this.#libc.close(copy);
      return null;
    }
  }

  #remember(before: Uint8Array | number | null): void {
    const old = this.#before;
    this.#before = before;
    if (typeof old === "number" && old !== this.#reading) this.#libc.close(old);
  }

  #modified(): Time {
    check("statx", this.#libc.statx(this.fd, HERE, AT_EMPTY_PATH, STATX_MTIME, this.#stat), WHAT);
    return [this.#stat.mtime, this.#stat.mtimeNsec];
  }

  #isMarked(): boolean {
    const [s, ns] = this.#modified();
    return this.#mark !== null && this.#mark[0] === s && this.#mark[1] === ns;
  }

  /** Sets it back by 1 ns: a write in the same tick of the kernel's clock would leave it as it is otherwise. */
  #setMark(): Time {
    const [s, ns] = this.#modified();
    const mark: Time = ns > 0 ? [s, ns - 1] : [s - 1, SECOND - 1];
    const times = new DataView(new ArrayBuffer(32));
    times.setBigInt64(8, BigInt(UTIME_OMIT), true);
    times.setBigInt64(16, BigInt(mark[0]), true);
    times.setBigInt64(24, BigInt(mark[1]), true);
    const bytes = new Uint8Array(times.buffer);
    // Where it fails, the mark is none, and shows as a change.
    setTimes(this.#libc, this.fd, bytes);
    return mark;
  }

  /** Somebody sets its times, given as `struct timespec`s: that is no change, and must hide none. */
  setTimes(times: Uint8Array): void {
    if (this.#mark !== null) {
      if (!this.#isMarked()) this.#touched = true;
      // Set to now they would not tell from a write in the same tick. Without a mark contents are compared.
      this.#mark = null;
    }
    check("utimensat", setTimes(this.#libc, this.fd, times), WHAT);
  }

  /** Gives back its descriptors. */
  close(): void {
    this.#remember(null);
    this.#libc.close(this.fd);
  }
}
