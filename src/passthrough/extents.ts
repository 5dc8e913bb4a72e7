/** Extent maps: files that are assembled from stretches of other open files, and read and written through them. */
import { deferred } from "../deferred.ts";
import { FuseError } from "../errno.ts";
import { SEEK_DATA, SEEK_HOLE } from "../fs/flags.ts";
import type { Awaitable } from "../fs/types.ts";
import { copyAt, fileSize, readAt, reserveAt, Seeker, truncateAt, writeAllAt, writeAt, zeroAt } from "./descriptors.ts";
import { checkExtents, type Extent, type ExtentRange } from "./extent.ts";
import { Files } from "./files.ts";
import { Missing } from "./missing.ts";
import { HOLE, Runs, UNKNOWN } from "./runs.ts";
import { go, type Steps } from "./steps.ts";

export type { Extent, ExtentRange } from "./extent.ts";

/** What an extent map may ask for later. */
export interface ExtentsOptions {
  /** Bytes of the whole. Default: the end of the last extent. Needed with `missing`. */
  size?: number;
  /**
   * Called once for each range below `size` that is read or written and that no extent covers yet. It answers extents
   * inside of the range, which are remembered; what they leave out is a hole for good. Where it throws or rejects, so
   * does who asked, and the next one asks again.
   */
  missing?(range: ExtentRange): Awaitable<readonly Extent[]>;
  /**
   * Called before a write to a range in which no extent can be written: its extents are of files open for reading, or
   * it is a hole. It answers extents that can be written, which take the data from then on (copy on write). They
   * begin with the range and may reach further than it, to whole blocks of a file, say: what lay there before is
   * copied to them, holes as zeros. Where they do not reach the end of the range, it is called again for the rest;
   * where they do not cover the beginning, the write is ENOSPC. It is not called while an earlier call of it is not
   * done. Absent: such a write is EROFS, or ENOSPC in a hole.
   */
  allocate?(range: ExtentRange): Awaitable<readonly Extent[]>;
}

/** Throws EINVAL for what is no range, and EFBIG for one that ends beyond 2^53-1. */
function checkRange(offset: number, length: number): void {
  if (!(Number.isSafeInteger(offset) && offset >= 0 && length >= 0)) {
    throw new FuseError("EINVAL", `not a range of a file: offset ${offset}, length ${length}`);
  }
  if (offset > Number.MAX_SAFE_INTEGER - length) throw new FuseError("EFBIG");
}

/**
 * A file made of stretches of other open files. It holds their descriptors' numbers, never closes one, and answers in
 * the same turn, unless it has to wait for a promise of `missing` or `allocate`.
 */
export class ExtentMap {
  readonly #runs: Runs;
  readonly #files = new Files();
  readonly #missing?: Missing;
  readonly #allocate?: (range: ExtentRange) => Awaitable<readonly Extent[]>;
  /** Settled when the call of `allocate` that is under way has led to a change of the map, or failed. */
  #allocating: Promise<void> | undefined;
  #size: number;
  /** The descriptor of the one file that it is, since that was found. */
  #same: number | null = null;

  /** As {@linkcode extents}. */
  constructor(list: readonly Extent[], options: ExtentsOptions = {}) {
    const { missing, allocate } = options;
    const sorted = checkExtents("extents", list, (extent, name) => this.#files.meet(extent, name));
    const last = sorted.at(-1);
    const end = last === undefined ? 0 : last.offset + last.length;
    const size = options.size ?? end;
    if (missing !== undefined && options.size === undefined) {
      throw new RangeError("extents: size is needed, since nothing else says where what is missing ends");
    }
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new RangeError(`extents: size ${size} is not a whole number from 0 to 2^53-1`);
    }
    if (size < end) {
      throw new RangeError(`extents: size ${size} is less than the end of the last extent, ${end}`);
    }
    this.#allocate = allocate?.bind(options);
    this.#size = size;
    this.#runs = new Runs(sorted, size, missing === undefined ? HOLE : UNKNOWN);
    if (missing !== undefined) {
      const check = (list: readonly Extent[], from: number, to: number) => this.#check("missing", list, from, to);
      this.#missing = new Missing(this.#runs, missing.bind(options), check);
    }
  }

  /**
   * Bytes: changed by `truncate`, and by writes that `allocate` found a place for behind the end. Of a map that is one
   * whole file: that file's.
   */
  get size(): number {
    return this.#same === null ? this.#size : fileSize(this.#same);
  }

  /**
   * "read-write" where some extent can be written or may yet be answered, by `missing` or `allocate`, though a write
   * may still be EROFS.
   */
  get access(): "read" | "read-write" {
    const open = this.#allocate !== undefined || this.#missing !== undefined;
    return open || this.#files.anyWritable ? "read-write" : "read";
  }

  /** The extents of now, in order; those that continue each other are one. */
  *[Symbol.iterator](): Generator<Extent, void> {
    for (let at = 0; at < Infinity;) {
      const { start, end, file, place } = this.#runs.find(at);
      // Of the file that it is, as much as there is now.
      const length = (end === Infinity ? this.size : end) - start;
      if (file >= 0 && length > 0) yield { offset: start, length, file, fileOffset: place };
      at = end;
    }
  }

  /**
   * The descriptor whose file this map is from the first to the last byte, with nothing to ask for later; or null. Once
   * it is, it stays so: whoever has it by then may make it larger or smaller.
   */
  identity(): number | null {
    if (this.#same !== null || this.#missing !== undefined || this.#allocate !== undefined) return this.#same;
    const { end, file, place } = this.#runs.find(0);
    if (file < 0 || place !== 0 || end !== this.#size || fileSize(file) !== end) return null;
    // Also what it will be made larger by.
    this.#runs.assign(0, Infinity, file, 0);
    return this.#same = file;
  }

  /**
   * Reads to the beginning of `into`, which is borrowed until the answer: how many bytes, fewer than `length` at the
   * end alone.
   */
  read(into: Uint8Array, offset: number, length: number = into.length): number | Promise<number> {
    checkRange(offset, length);
    const end = Math.min(offset + Math.min(length, into.length), this.size);
    const wait = this.#learn(offset, end);
    return wait === undefined ? this.#read(into, offset, end) : wait.then(() => this.#read(into, offset, end));
  }

  #read(into: Uint8Array, offset: number, end: number): number {
    const to = Math.min(end, this.size);
    for (let at = offset; at < to;) {
      const run = this.#runs.find(at);
      const { start, file, place } = run, stop = Math.min(run.end, to);
      if (file < 0) into.fill(0, at - offset, stop - offset);
      else readAt(file, into, at - offset, stop - offset, place + at - start);
      at = stop;
    }
    return Math.max(0, to - offset);
  }

  /**
   * Writes and answers how many bytes were taken: fewer where an error came after some. EROFS, ENOSPC: see `allocate`.
   * `data` is borrowed until the answer.
   */
  write(data: Uint8Array, offset: number): number | Promise<number> {
    checkRange(offset, data.length);
    const done = this.#writeMapped(data, offset, 0);
    return done === data.length ? done : go(this.#write(data, offset, done));
  }

  *#write(data: Uint8Array, offset: number, done: number): Steps<number> {
    try {
      while (done < data.length) {
        yield this.#learn(offset + done, offset + data.length);
        const mapped = this.#writeMapped(data, offset, done);
        done = mapped > done
          ? mapped
          : done + (yield* this.#claim(data.subarray(done), offset + done, data.length - done));
      }
    } catch (error) {
      if (done === 0) throw error;
    }
    return done;
  }

  /** Writes from byte `done` of the data on, as far as the map can take it as it is; answers up to where. */
  #writeMapped(data: Uint8Array, offset: number, done: number): number {
    const first = done;
    try {
      while (done < data.length) {
        const { start, end, file, place } = this.#runs.find(offset + done);
        if (!this.#files.writable(file)) break;
        const to = Math.min(data.length, end - offset);
        this.#files.wrote(file);
        done += writeAt(file, data, done, to, place + offset + done - start);
        this.#size = Math.max(this.#size, offset + done);
      }
    } catch (error) {
      if (done === first) throw error;
    }
    return done;
  }

  /**
   * Makes room for a range that begins where nothing can be written, with the data written to it already where there
   * is any; answers how many bytes of that. It may do nothing but wait for another one.
   */
  *#claim(data: Uint8Array | undefined, from: number, length: number): Steps<number> {
    if (this.#allocating !== undefined) {
      yield this.#allocating;
      return 0;
    }
    const { file } = this.#runs.find(from);
    if (this.#allocate === undefined) throw this.#refusal(from, file);
    let to = from;
    while (to < from + length && !this.#files.writable(this.#runs.find(to).file)) {
      to = Math.min(this.#runs.end, from + length);
    }

    const { promise, resolve } = deferred<void>();
    this.#allocating = promise;
    let at = from;
    try {
      const answer: readonly Extent[] = yield this.#allocate({ offset: from, length: to - from });
      for (const extent of this.#check("allocate", answer, from, to)) {
        // What follows a gap takes nothing.
        if (extent.offset > at) break;
        const end = extent.offset + extent.length, stop = Math.min(end, to);
        yield this.#learn(extent.offset, end);
        this.#move(extent, at, stop, data?.subarray(at - from, stop - from));
        at = stop;
      }
      if (at === from) throw new FuseError("ENOSPC", `allocate gave no room for what is written at ${from}`);
    } catch (error) {
      if (at === from) throw error;
    } finally {
      this.#allocating = undefined;
      resolve();
    }
    return at - from;
  }

  /** Lets an extent take over: what lay there is copied, save for the range that data is written to instead. */
  #move(extent: Extent, from: number, to: number, data: Uint8Array | undefined): void {
    const { offset, length, file, fileOffset } = extent;
    this.#files.wrote(file);
    if (data === undefined) this.#copy(extent, offset, offset + length);
    else {
      this.#copy(extent, offset, from);
      writeAllAt(file, data, 0, data.length, fileOffset + from - offset);
      this.#copy(extent, to, offset + length);
      this.#size = Math.max(this.#size, to);
    }
    // Not before all of it has gone well.
    this.#runs.assign(offset, offset + length, file, fileOffset);
  }

  /** Copies a range of the map into an extent that is not part of it yet. */
  #copy({ offset, file, fileOffset }: Extent, from: number, to: number): void {
    for (let at = from; at < to;) {
      const run = this.#runs.find(at), stop = Math.min(run.end, to);
      const source = run.place + at - run.start, target = fileOffset + at - offset;
      if (run.file < 0) zeroAt(file, target, stop - at);
      else if (run.file !== file || source !== target) copyAt(run.file, source, file, target, stop - at);
      at = stop;
    }
  }

  /**
   * Cuts, or extends by a hole. The files keep their bytes; but a map that is one whole file cuts or extends that.
   * EROFS: it cannot be written.
   */
  truncate(size: number): void {
    checkRange(size, 0);
    if (this.#same !== null) {
      if (!this.#files.writable(this.#same)) throw this.#refusal(size, this.#same);
      this.#files.wrote(this.#same);
      return truncateAt(this.#same, size);
    }
    if (size < this.#size) this.#runs.assign(size, Infinity, HOLE, 0);
    this.#size = size;
  }

  /**
   * Takes space for a range, from `allocate` where nothing can be written, and in the files. EROFS, ENOSPC: as `write`.
   * Source: `fallocate(2)`.
   */
  allocateRange(offset: number, length: number, keepSize: boolean = false): void | Promise<void> {
    checkRange(offset, length);
    return go(this.#reserve(offset, offset + length, keepSize));
  }

  *#reserve(from: number, to: number, keepSize: boolean): Steps<void> {
    for (let at = from; at < to;) {
      yield this.#learn(at, to);
      const { start, end, file, place } = this.#runs.find(at);
      if (this.#files.writable(file)) {
        const stop = Math.min(end, to);
        this.#files.wrote(file);
        // Elsewhere its size is not the map's.
        reserveAt(file, place + at - start, stop - at, keepSize && file === this.#same);
        at = stop;
      } else yield* this.#claim(undefined, at, to - at);
    }
    if (!keepSize && from < to) this.#size = Math.max(this.#size, to);
  }

  /**
   * Makes a range read as zeros: by a hole in files that can be written, else by one in the map. EROFS: some of it
   * cannot be written, and there is no `allocate`; nothing has changed then. Source: `fallocate(2)
   * FALLOC_FL_PUNCH_HOLE`.
   */
  punch(offset: number, length: number): void | Promise<void> {
    checkRange(offset, length);
    return go(this.#punch(offset, offset + length));
  }

  *#punch(from: number, end: number): Steps<void> {
    const forget = this.#allocate !== undefined;
    if (!forget) yield this.#learn(from, end);
    const to = Math.min(end, this.size);
    for (let at = from; at < to && !forget; at = this.#runs.end) {
      const { file } = this.#runs.find(at);
      if (file !== HOLE && !this.#files.writable(file)) throw this.#refusal(at, file);
    }
    for (let at = from; at < to;) {
      const { start, end, file, place } = this.#runs.find(at), stop = Math.min(end, to);
      if (this.#files.writable(file)) {
        this.#files.wrote(file);
        zeroAt(file, place + at - start, stop - at);
      } else if (file !== HOLE) this.#runs.assign(at, stop, HOLE, 0);
      at = stop;
    }
  }

  /** fsync(2), or fdatasync(2), of every descriptor that was written since the last fsync. */
  sync(datasync: boolean): void {
    this.#files.sync(datasync);
  }

  /**
   * Where data (whence SEEK_DATA, 3) or a hole (SEEK_HOLE, 4) begins at or behind an offset. Holes of the files are
   * holes; what `missing` was not asked for yet is data. ENXIO: the offset is not below the size, or no data follows.
   * Source: `lseek(2)`.
   */
  seek(offset: number, whence: number): number {
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) throw new FuseError("EINVAL", `whence ${whence}`);
    const { size } = this;
    if (!(offset >= 0 && offset < size)) throw new FuseError("ENXIO", `offset ${offset} of ${size} bytes`);
    const seeker = new Seeker();
    try {
      for (let at = offset; at < size;) {
        const { start, end, file, place } = this.#runs.find(at), stop = Math.min(end, size);
        let found = (file === HOLE) === (whence === SEEK_HOLE) ? at : Infinity;
        if (file >= 0) found = start - place + seeker.seek(file, place + at - start, whence);
        if (found < stop) return found;
        at = stop;
      }
    } finally {
      seeker.close();
    }
    // Every file ends with a hole.
    if (whence === SEEK_HOLE) return size;
    throw new FuseError("ENXIO", `no data at or behind ${offset}`);
  }

  #learn(from: number, to: number): Promise<unknown> | undefined {
    return this.#missing?.learn(from, to);
  }

  /** Checks what a callback answers about a range. */
  #check(origin: "missing" | "allocate", list: readonly Extent[], from: number, to: number): Extent[] {
    return checkExtents(origin, list, (extent, name) => {
      const end = extent.offset + extent.length;
      if (origin === "missing" ? extent.offset < from || end > to : extent.offset >= to || end <= from) {
        throw new RangeError(`${name()}: it lies outside of what was asked for, ${from} to ${to}`);
      }
      if (!this.#files.meet(extent, name) && origin === "allocate") {
        throw new FuseError("EBADF", `${name()}: its file cannot be written there`);
      }
    });
  }

  #refusal(at: number, file: number): FuseError {
    return file === HOLE
      ? new FuseError("ENOSPC", `no extent takes what is written at ${at}`)
      : new FuseError("EROFS", `what is written at ${at} lies in descriptor ${file}, which cannot be written there`);
  }
}

/**
 * Makes a file of stretches of other open files, in any order; what lies between them is a hole, which reads as zeros,
 * or what `missing` answers. RangeError: numbers that are none of an extent, overlaps, a size that is too small.
 * EBADF, ESPIPE, EISDIR: a descriptor that cannot be read at a place. Each names the extent.
 *
 * A map that is one whole file, without `missing` and `allocate`, is that file where it is registered: the kernel reads
 * and writes it, and what is written behind the end makes it larger.
 *
 * @example
 * ```ts
 * import { open } from "node:fs/promises";
 * import { extents } from "@fusewire/fusewire/passthrough";
 *
 * // A header from one file, 4 KiB of nothing, then the start of another one.
 * await using header = await open("/etc/passwd"), data = await open("/etc/group");
 * const map = extents([
 *   { offset: 0, length: 16, file: header.fd, fileOffset: 0 },
 *   { offset: 4096 + 16, length: 16, file: data.fd, fileOffset: 0 },
 * ]);
 * console.log(map.size); // 4128
 * ```
 */
export function extents(list: readonly Extent[], options?: ExtentsOptions): ExtentMap {
  return new ExtentMap(list, options);
}
