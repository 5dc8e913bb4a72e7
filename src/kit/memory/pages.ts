/** The data of a file, sparse and in memory. */
import { FuseError } from "../../errno.ts";
import { CHUNK, Chunk, CHUNK_PAGES, count, lowest, PAGE, span, touched } from "./chunk.ts";
import { Ranges } from "./ranges.ts";
import type { Account } from "./space.ts";

/** The largest file, bytes. */
export const MAX_SIZE: number = Number.MAX_SAFE_INTEGER;

// Chunks that are written one after the other share a buffer of so many.
const RUN = 8;

const EMPTY: Uint8Array = new Uint8Array(0);

/**
 * The bytes of one file: chunks of 128 KiB that hold the pages which were written, and nothing elsewhere. Pages of
 * 4 KiB are what space is counted in, and what SEEK_DATA and SEEK_HOLE tell apart.
 */
export class Pages {
  #account: Account;
  // A file of one chunk needs no map.
  #first: Chunk | undefined = undefined;
  #others: Map<number, Chunk> | undefined = undefined;
  // The numbers of the others, ascending, once they were asked for and until they change.
  #order: number[] | undefined = undefined;
  // The rest of a buffer that chunks share, and the number of the chunk that may have its next part.
  #run: { index: number; bytes: Uint8Array } | undefined = undefined;
  // Pages that fallocate reserved, whether they have data by now or not.
  #reserved: Ranges | undefined = undefined;
  #size = 0;
  #held = 0;

  /** An empty file, which takes what it needs of an account. */
  constructor(account: Account) {
    this.#account = account;
  }

  /** What it takes is another account's from now on. */
  set account(account: Account) {
    this.#account = account;
  }

  /** Bytes, holes included. */
  get size(): number {
    return this.#size;
  }

  /** Pages that it takes of the space: those with data and those reserved. */
  get held(): number {
    return this.#held;
  }

  #chunk(index: number): Chunk | undefined {
    return index === 0 ? this.#first : this.#others?.get(index);
  }

  #makeChunk(index: number): Chunk {
    const chunk = new Chunk();
    if (index === 0) this.#first = chunk;
    else (this.#others ??= new Map()).set(index, chunk);
    this.#order = undefined;
    return chunk;
  }

  #dropChunk(index: number): void {
    this.#order = undefined;
    if (index === 0) this.#first = undefined;
    else if (this.#others?.delete(index) && this.#others.size === 0) this.#others = undefined;
  }

  /** Numbers of the chunks there are from `first` to `last` (which may be Infinity), in no order. */
  *#indexes(first: number, last: number): Iterable<number> {
    if (first === 0 && this.#first !== undefined) yield 0;
    const others = this.#others;
    if (others === undefined) return;
    if (last - first < others.size) {
      for (let index = first; index <= last; index++) if (others.has(index)) yield index;
      return;
    }
    for (const index of others.keys()) if (index >= first && index <= last) yield index;
  }

  /** The chunk that follows in the file; `undefined` behind the last. */
  #following(index: number): number | undefined {
    const others = this.#others;
    if (others === undefined) return undefined;
    // Dense files answer at once.
    if (others.has(index + 1)) return index + 1;
    const order = this.#order ??= [...others.keys()].sort((a, b) => a - b);
    let low = 0, high = order.length;
    while (low < high) {
      const middle = low + high >>> 1;
      if (order[middle] <= index) low = middle + 1;
      else high = middle;
    }
    return order[low];
  }

  /** Whether there is no data somewhere in a range, as far as the file goes. */
  hasHole(offset: number, length: number): boolean {
    const end = Math.min(this.#size, offset + length);
    for (let at = offset; at < end;) {
      const index = Math.floor(at / CHUNK), base = index * CHUNK, to = Math.min(end, base + CHUNK);
      if (touched(at - base, to - base) & ~(this.#chunk(index)?.data ?? 0)) return true;
      at = to;
    }
    return false;
  }

  /** Bytes of a range, as far as the file goes: a view where one buffer holds them, valid until the next change. */
  read(offset: number, length: number): Uint8Array {
    length = Math.min(this.#size - offset, length);
    if (length <= 0) return EMPTY;
    let index = Math.floor(offset / CHUNK);
    let from = offset - index * CHUNK;
    const chunk = this.#chunk(index);
    if (chunk !== undefined) {
      const { bytes } = chunk;
      const view = from + length <= CHUNK ? chunk.view(from, from + length) : undefined;
      if (view !== undefined) return view;
      if (chunk.data === -1 && bytes.length === CHUNK && this.#contiguous(index, bytes, from + length)) {
        return new Uint8Array(bytes.buffer, bytes.byteOffset + from, length);
      }
    }
    const out = new Uint8Array(length);
    for (let at = 0; at < length; index++) {
      const to = Math.min(CHUNK, from + length - at);
      this.#chunk(index)?.copy(from, to, out, at);
      at += to - from;
      from = 0;
    }
    return out;
  }

  /** Whether so many bytes from the beginning of a (full) chunk lie in its buffer one after the other. */
  #contiguous(index: number, { buffer, byteOffset }: Uint8Array, length: number): boolean {
    for (let at = CHUNK; at < length; at += CHUNK) {
      const next = this.#chunk(++index)?.view(0, Math.min(CHUNK, length - at));
      if (next?.buffer !== buffer || next.byteOffset !== byteOffset + at) return false;
    }
    return true;
  }

  /** Writes, as far as there is space, and answers how many bytes. EFBIG: the offset is beyond all files. */
  write(offset: number, data: Uint8Array): number {
    const length = Math.min(data.length, MAX_SIZE - offset);
    if (length <= 0) {
      if (data.length > 0) throw new FuseError("EFBIG");
      return 0;
    }
    let done = 0;
    while (done < length) {
      const index = Math.floor((offset + done) / CHUNK);
      const from = offset + done - index * CHUNK;
      const to = this.#pay(index, from, Math.min(CHUNK, from + length - done));
      if (to === from) break;
      const chunk = this.#chunk(index)!;
      if (chunk.data === 0 && from === 0 && this.#chunk(index - 1)?.data === -1) chunk.bytes = this.#nextOfRun(index);
      chunk.put(from, data.subarray(done, done + to - from));
      done += to - from;
    }
    if (done > 0) this.#size = Math.max(this.#size, offset + done);
    return done;
  }

  /** Takes the pages of a range in one chunk from the space; answers where what could be had ends. */
  #pay(index: number, from: number, to: number): number {
    const has = (this.#chunk(index)?.data ?? 0) | this.#reservedIn(index);
    const wanted = touched(from, to);
    let missing = wanted & ~has;
    if (missing !== 0) {
      let room = Math.floor(this.#account.freeBytes / PAGE);
      if (count(missing) > room) {
        let page = Math.floor(from / PAGE);
        while (!(missing & 1 << page) || room-- > 0) page++;
        if (page * PAGE <= from) return from;
        to = page * PAGE;
        missing &= touched(from, to);
      }
      this.#hold(count(missing));
    }
    if (this.#chunk(index) === undefined) this.#makeChunk(index);
    return to;
  }

  /** Takes pages from the space. ENOSPC, EDQUOT. */
  #hold(pages: number): void {
    this.#account.take(pages * PAGE);
    this.#held += pages;
  }

  /** Mask of the reserved pages of a chunk. */
  #reservedIn(index: number): number {
    if (this.#reserved === undefined) return 0;
    const base = index * CHUNK_PAGES;
    let mask = 0;
    for (const { first, end, inside } of this.#reserved.pieces(base, base + CHUNK_PAGES)) {
      if (inside) mask |= span(first - base, end - base);
    }
    return mask;
  }

  /** How many pages have data, from `first` to `end`, which may be Infinity. */
  #countData(first: number, end: number): number {
    let sum = 0;
    for (const index of this.#indexes(Math.floor(first / CHUNK_PAGES), Math.ceil(end / CHUNK_PAGES) - 1)) {
      const base = index * CHUNK_PAGES;
      const mask = span(Math.max(0, first - base), Math.min(CHUNK_PAGES, end - base));
      sum += count(this.#chunk(index)!.data & mask);
    }
    return sum;
  }

  /** Zeros for a chunk behind a full one, in the same buffer where there is more of it. */
  #nextOfRun(index: number): Uint8Array {
    const rest = this.#run?.index === index ? this.#run.bytes : new Uint8Array(Math.min(RUN, index) * CHUNK);
    this.#run = rest.length > CHUNK ? { index: index + 1, bytes: rest.subarray(CHUNK) } : undefined;
    return rest.subarray(0, CHUNK);
  }

  /** Takes space for a range without writing it; all or nothing. ENOSPC, EDQUOT, EFBIG. */
  reserve(offset: number, length: number): void {
    if (offset + length > MAX_SIZE) throw new FuseError("EFBIG");
    const first = Math.floor(offset / PAGE), end = Math.ceil((offset + length) / PAGE);
    const reserved = this.#reserved ?? new Ranges();
    let needed = 0;
    for (const piece of reserved.pieces(first, end)) {
      if (!piece.inside) needed += piece.end - piece.first - this.#countData(piece.first, piece.end);
    }
    if (needed * PAGE > this.#account.freeBytes) throw this.#account.shortage(needed * PAGE);
    this.#hold(needed);
    reserved.add(first, end);
    this.#reserved = reserved;
  }

  /** Makes a range read as zeros and gives its whole pages back. Source: `fallocate(2) FALLOC_FL_PUNCH_HOLE`. */
  punch(offset: number, length: number): void {
    // The last page goes as a whole, though the file ends inside it.
    const end = offset + length;
    this.#clear(offset, end >= this.#size ? Math.max(end, Math.ceil(this.#size / PAGE) * PAGE) : end, false);
  }

  /** Makes a range read as zeros, as a hole, and keeps its space. Source: `fallocate(2) FALLOC_FL_ZERO_RANGE`. */
  zero(offset: number, length: number): void {
    this.reserve(offset, length);
    this.#clear(offset, offset + length, true);
  }

  /** Cuts or extends, by a hole. EFBIG. */
  truncate(size: number): void {
    if (size > MAX_SIZE) throw new FuseError("EFBIG");
    // What was reserved beyond the end goes with a cut, as with ext4.
    if (size <= this.#size) this.#clear(size, Infinity, false);
    this.#size = size;
  }

  #clear(offset: number, end: number, keep: boolean): void {
    this.#run = undefined;
    if (!keep) this.#give(Math.ceil(offset / PAGE), Math.floor(end / PAGE));
    const first = Math.floor(offset / CHUNK), last = Math.ceil(end / CHUNK) - 1;
    for (const index of this.#indexes(first, last)) {
      const chunk = this.#chunk(index)!, base = index * CHUNK;
      chunk.clear(Math.max(0, offset - base), Math.min(CHUNK, end - base));
      if (chunk.data === 0) this.#dropChunk(index);
    }
  }

  /** Gives pages back that are about to lose their data, and what was reserved for them. */
  #give(first: number, end: number): void {
    if (end <= first) return;
    let freed = 0;
    if (this.#reserved === undefined) freed = this.#countData(first, end);
    else {
      for (const piece of this.#reserved.pieces(first, end)) {
        freed += piece.inside ? piece.end - piece.first : this.#countData(piece.first, piece.end);
      }
      this.#reserved.delete(first, end);
      if (this.#reserved.empty) this.#reserved = undefined;
    }
    this.#account.give(freed * PAGE);
    this.#held -= freed;
  }

  /** Where data begins at or behind an offset; `undefined`: nowhere. Source: `lseek(2) SEEK_DATA`. */
  data(offset: number): number | undefined {
    let index: number | undefined = Math.floor(offset / CHUNK);
    let mask = -1 << Math.floor((offset - index * CHUNK) / PAGE);
    while (index !== undefined) {
      const found = (this.#chunk(index)?.data ?? 0) & mask;
      if (found !== 0) {
        const at = Math.max(offset, index * CHUNK + lowest(found) * PAGE);
        return at < this.#size ? at : undefined;
      }
      index = this.#following(index);
      mask = -1;
    }
    return undefined;
  }

  /**
   * Where no data is at or behind an offset, at last at the end of the file, or where one need not look any further.
   * Source: `lseek(2) SEEK_HOLE`.
   */
  hole(offset: number, end = Infinity): number {
    let index = Math.floor(offset / CHUNK);
    let mask = -1 << Math.floor((offset - index * CHUNK) / PAGE);
    for (;; index++, mask = -1) {
      if (index * CHUNK >= end) return Math.min(this.#size, end);
      const found = ~(this.#chunk(index)?.data ?? 0) & mask;
      if (found !== 0) return Math.min(this.#size, end, Math.max(offset, index * CHUNK + lowest(found) * PAGE));
    }
  }

  /** Stretches of pages that are reserved but hold no data: offset and length. */
  *reserved(): Generator<[number, number]> {
    for (const [first, last] of this.#reserved ?? []) {
      const end = last * PAGE;
      for (let at = first * PAGE; at < end;) {
        const data = Math.min(this.data(at) ?? end, end);
        if (data > at) yield [at, data - at];
        // Where the file ends inside a page, that page has data as a whole.
        at = data < end ? Math.ceil(this.hole(data, end) / PAGE) * PAGE : end;
      }
    }
  }

  /**
   * Copies a range of another file, or of this one where the two do not overlap: holes as holes, as far as there is
   * space. Answers how many bytes; fewer than there are: no more space. EFBIG: the offset is beyond all files.
   */
  copy(source: Pages, from: number, offset: number, length: number): number {
    const end = Math.min(source.#size, from + length, from + MAX_SIZE - offset);
    if (offset >= MAX_SIZE) throw new FuseError("EFBIG");
    const shift = offset - from;
    let at = from;
    while (at < end) {
      const data = Math.min(source.data(at) ?? end, end);
      if (data > at) {
        this.#clear(at + shift, data + shift, false);
        this.#size = Math.max(this.#size, data + shift);
        at = data;
        continue;
      }
      const hole = source.hole(at, end);
      while (at < hole) {
        // Inside one chunk, so that the piece is a view; which a new page of the same chunk would move.
        const view = source.read(at, Math.min(hole - at, CHUNK - at % CHUNK));
        const piece = source === this ? view.slice() : view;
        const done = this.write(at + shift, piece);
        at += done;
        if (done < piece.length) return at - from;
      }
    }
    return Math.max(0, at - from);
  }
}
