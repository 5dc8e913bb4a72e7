/** Which file each byte of an extent map lies in: a partition of all offsets, to be searched and changed quickly. */
import type { Extent } from "./extent.ts";

/** In place of a descriptor: no file; such bytes are zeros. */
export const HOLE = -1;
/** In place of a descriptor: nobody has been asked yet. */
export const UNKNOWN = -2;

// Per run: its first byte, its file, and where in the file that byte lies.
const STRIDE = 3;
// Runs in one leaf. A change copies a leaf, and moves what comes behind it in the list of leaves.
const FULL = 256;

/** Index of the last of the ascending numbers, `stride` apart, that is not above `value`; -1: there is none. */
function lastUpTo(numbers: Float64Array, stride: number, value: number): number {
  let low = -1;
  for (let high = numbers.length / stride; high - low > 1;) {
    const middle = (low + high) >>> 1;
    if (numbers[middle * stride] <= value) low = middle;
    else high = middle;
  }
  return low;
}

/** Whether a run that begins `distance` behind another one is that one's continuation. */
function continues(file: number, place: number, nextFile: number, nextPlace: number, distance: number): boolean {
  return file === nextFile && (file < 0 || place + distance === nextPlace);
}

/**
 * Runs in order and without gaps, from 0 to infinity; at first one HOLE. Neighbours that continue each other are one.
 * `find` leaves the run in the fields, until the next `find` or `assign`.
 */
export class Runs {
  /** First byte of the run that was found. */
  start = 0;
  /** First byte behind it, or Infinity. */
  end = 0;
  /** Its descriptor, HOLE or UNKNOWN. */
  file: number = HOLE;
  /** Where in the file its first byte lies. */
  place = 0;
  // A tree of two levels: leaves of at least one run, and their first offsets.
  readonly #leaves: Float64Array[] = [];
  #firsts: Float64Array = new Float64Array(0);

  /** Extents in order, apart from each other; what lies between them, or behind them and before `size`, is `rest`. */
  constructor(extents: Iterable<Extent> = [], size = 0, rest: number = HOLE) {
    const runs: number[] = [];
    let end = 0;
    const add = (start: number, file: number, place: number) => {
      const last = runs.length - STRIDE;
      if (last < 0 || !continues(runs[last + 1], runs[last + 2], file, place, start - runs[last])) {
        runs.push(start, file, place);
      }
    };
    for (const { offset, length, file, fileOffset } of extents) {
      if (offset > end) add(end, rest, 0);
      add(offset, file, fileOffset);
      end = offset + length;
    }
    if (size > end) add(end, rest, 0);
    add(Math.max(size, end), HOLE, 0);
    this.#replace(0, -1, Float64Array.from(runs));
  }

  /** Finds the run that holds an offset of 0 or more. */
  find(offset: number): this {
    if (offset >= this.start && offset < this.end) return this;
    const index = this.#leafAt(offset), leaf = this.#leaves[index];
    const at = lastUpTo(leaf, STRIDE, offset) * STRIDE;
    this.start = leaf[at];
    this.file = leaf[at + 1];
    this.place = leaf[at + 2];
    this.end = at + STRIDE < leaf.length ? leaf[at + STRIDE] : this.#firsts[index + 1] ?? Infinity;
    return this;
  }

  /**
   * Makes the range from `from` to before `to` (more than `from`, or Infinity) one run. `place` matters to files alone.
   */
  assign(from: number, to: number, file: number, place: number): void {
    // Between the leaf with the neighbour on the left and the one with that on the right all is made anew.
    let first = this.#leafAt(from);
    if (first > 0 && this.#firsts[first] === from) first--;
    const last = this.#leafAt(to);
    const head = this.#leaves[first], tail = this.#leaves[last];

    let left = (lastUpTo(head, STRIDE, from) + 1) * STRIDE;
    if (left > 0 && head[left - STRIDE] === from) left -= STRIDE;
    const before = left - STRIDE;
    const middle: number[] = [];
    if (left === 0 || !continues(head[before + 1], head[before + 2], file, place, from - head[before])) {
      middle.push(from, file, place);
    }

    let right = tail.length;
    if (to !== Infinity) {
      const at = lastUpTo(tail, STRIDE, to) * STRIDE;
      right = at + STRIDE;
      const restFile = tail[at + 1], restPlace = tail[at + 2] + (to - tail[at]);
      if (!continues(file, place, restFile, restPlace, to - from)) middle.push(to, restFile, restPlace);
    }

    const runs = new Float64Array(left + middle.length + tail.length - right);
    runs.set(head.subarray(0, left));
    runs.set(middle, left);
    runs.set(tail.subarray(right), left + middle.length);
    this.#replace(first, last, runs);
    this.end = this.start;
  }

  #replace(first: number, last: number, runs: Float64Array): void {
    const count = runs.length / STRIDE, pieces = Math.ceil(count / FULL);
    if (first === last && pieces === 1) {
      // It begins where it began.
      this.#leaves[first] = runs;
      return;
    }
    const leaves = Array.from({ length: pieces }, (_, i) => {
      const cut = (piece: number) => Math.floor(count * piece / pieces) * STRIDE;
      return runs.slice(cut(i), cut(i + 1));
    });
    this.#leaves.splice(first, last - first + 1, ...leaves);
    this.#firsts = Float64Array.from(this.#leaves, (leaf) => leaf[0]);
  }

  #leafAt(offset: number): number {
    return lastUpTo(this.#firsts, 1, offset);
  }
}
