/** One piece of a file in memory: its pages with data, packed. */

/** What is allocated and counted, bytes. */
export const PAGE = 4096;
/** One bit a page in a mask of 32. */
export const CHUNK_PAGES = 32;
/** What one chunk stands for, bytes: a read inside it is answered without copying where all its pages have data. */
export const CHUNK: number = PAGE * CHUNK_PAGES;

const EMPTY: Uint8Array = new Uint8Array(0);

/** Mask of the pages from `first` to `end` of a chunk, of which there is at least one. */
export function span(first: number, end: number): number {
  return 0xffffffff >>> CHUNK_PAGES - (end - first) << first;
}

/** Mask of the pages that a range of a chunk touches. */
export function touched(from: number, to: number): number {
  return span(Math.floor(from / PAGE), Math.ceil(to / PAGE));
}

/** Mask of the pages that lie in a range of a chunk as a whole. */
function covered(from: number, to: number): number {
  const first = Math.ceil(from / PAGE), end = Math.floor(to / PAGE);
  return end > first ? span(first, end) : 0;
}

/** How many bits are set. */
export function count(mask: number): number {
  mask -= mask >>> 1 & 0x55555555;
  mask = (mask & 0x33333333) + (mask >>> 2 & 0x33333333);
  return Math.imul(mask + (mask >>> 4) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Number of the lowest bit that is set. */
export function lowest(mask: number): number {
  return 31 - Math.clz32(mask & -mask);
}

/**
 * 32 pages of a file. Only those that were written take memory: they lie in `bytes` one after the other, whatever lies
 * between them in the file. So a chunk that is filled from its beginning on is one plain buffer.
 */
export class Chunk {
  /** The pages with data, in order; what is missing at the end is zeros, and so is what is too much. */
  bytes: Uint8Array = EMPTY;
  /** Pages that were written. */
  data = 0;

  /** Where a page lies, or would, in bytes. */
  #place(page: number): number {
    return (page < CHUNK_PAGES ? count(this.data & (1 << page) - 1) : count(this.data)) * PAGE;
  }

  /** A range as it lies there; undefined: it does not lie in one piece. */
  view(from: number, to: number): Uint8Array | undefined {
    const mask = touched(from, to);
    if ((this.data & mask) !== mask) return undefined;
    const at = this.#place(Math.floor(from / PAGE)) + from % PAGE;
    const end = at + to - from;
    return end <= this.bytes.length ? this.bytes.subarray(at, end) : undefined;
  }

  /** Copies a range to a place of zeros. */
  copy(from: number, to: number, out: Uint8Array, at: number): void {
    for (let position = from; position < to;) {
      let page = Math.floor(position / PAGE);
      const start = position;
      const place = this.#place(page) + position % PAGE;
      while (page < CHUNK_PAGES && this.data & 1 << page && position < to) position = Math.min(to, ++page * PAGE);
      if (position > start) out.set(this.bytes.subarray(place, place + position - start), at + start - from);
      else position = (page + 1) * PAGE;
    }
  }

  /** Writes. The pages need not have data yet. */
  put(from: number, data: Uint8Array): void {
    const to = from + data.length;
    const first = Math.floor(from / PAGE), last = Math.ceil(to / PAGE) - 1;
    const before = this.data, after = before | touched(from, to);
    const start = this.#place(first);
    const at = start + from % PAGE, end = at + data.length;
    const oldTail = this.#place(last + 1), oldEnd = this.#place(CHUNK_PAGES);
    this.data = after;
    // Whose end is not written moves along with what lies behind.
    const moved = before & 1 << last ? oldTail - PAGE : oldTail;
    if (after !== before && oldEnd > moved) this.#part(moved, oldEnd, this.#place(last + 1) - oldTail);
    else if (this.bytes.length < end) {
      // A copy needs no zeros first, where it covers all there was.
      if (at === 0) {
        this.bytes = new Uint8Array(data);
        return;
      }
      this.#grow(Math.max(end, Math.min(CHUNK, 2 * this.bytes.length)));
    }
    if (after !== before) {
      // Others' bytes may have lain where these pages begin and end.
      if (!(before & 1 << first)) this.bytes.fill(0, start, at);
      if (!(before & 1 << last)) this.bytes.fill(0, end, this.#place(last + 1));
    }
    this.bytes.set(data, at);
  }

  /** Moves what lies from one place up to another by so many bytes towards the end. */
  #part(from: number, to: number, shift: number): void {
    const { bytes } = this;
    if (bytes.length < to + shift) {
      this.bytes = new Uint8Array(to + shift);
      this.bytes.set(bytes.subarray(0, from));
      this.bytes.set(bytes.subarray(from, to), from + shift);
    } else bytes.copyWithin(from + shift, from, to);
  }

  #grow(length: number): void {
    const grown = new Uint8Array(length);
    grown.set(this.bytes);
    this.bytes = grown;
  }

  /** Makes a range zeros; its whole pages have no data any more. */
  clear(from: number, to: number): void {
    const gone = covered(from, to) & this.data;
    this.#zero(from, Math.min(to, Math.ceil(from / PAGE) * PAGE));
    this.#zero(Math.max(from, Math.floor(to / PAGE) * PAGE), to);
    if (gone === 0) return;
    const { bytes } = this;
    const used = Math.min(bytes.length, this.#place(CHUNK_PAGES));
    const start = Math.min(used, this.#place(lowest(gone)));
    const end = Math.min(used, start + count(gone) * PAGE);
    this.data &= ~gone;
    if (this.data === 0) this.bytes = EMPTY;
    else {
      bytes.copyWithin(start, end, used);
      const left = used - (end - start);
      if (bytes.length >= 2 * left) this.bytes = bytes.slice(0, left);
      else bytes.fill(0, left, used);
    }
  }

  /** Zeros in a part of one page. */
  #zero(from: number, to: number): void {
    const page = Math.floor(from / PAGE);
    if (from >= to || !(this.data & 1 << page)) return;
    const place = this.#place(page) - page * PAGE;
    this.bytes.fill(0, place + from, place + to);
  }
}
