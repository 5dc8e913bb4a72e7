/** A set of whole numbers, kept as ranges. */

/** Ranges in order, apart from each other and not touching. Ends are behind the last number, and may be Infinity. */
export class Ranges {
  // Beginnings and ends in turn.
  readonly #bounds: number[] = [];

  /** Whether there is no number. */
  get empty(): boolean {
    return this.#bounds.length === 0;
  }

  /** Index of the first bound above a number; odd: the number is in the set. */
  #above(value: number): number {
    let low = 0, high = this.#bounds.length;
    while (low < high) {
      const middle = low + high >>> 1;
      if (this.#bounds[middle] <= value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** What lies from `first` to `end`, in pieces that are wholly in the set (`inside`) or wholly not. */
  *pieces(first: number, end: number): Generator<{ first: number; end: number; inside: boolean }, void> {
    for (let i = this.#above(first); first < end; i++) {
      const next = Math.min(end, this.#bounds[i] ?? Infinity);
      yield { first, end: next, inside: i % 2 === 1 };
      first = next;
    }
  }

  /** The ranges themselves. */
  *[Symbol.iterator](): Generator<[first: number, end: number], void> {
    for (let i = 0; i < this.#bounds.length; i += 2) yield [this.#bounds[i], this.#bounds[i + 1]];
  }

  /** Adds a range. */
  add(first: number, end: number): void {
    this.#assign(first, end, true);
  }

  /** Removes a range. */
  delete(first: number, end: number): void {
    this.#assign(first, end, false);
  }

  #assign(first: number, end: number, inside: boolean): void {
    if (first >= end) return;
    // All bounds from `first` to `end` go. Before and behind them it stays as it is, so that neighbours become one
    // range.
    const from = this.#above(first - 1), to = this.#above(end);
    const bounds: number[] = [];
    if ((from % 2 === 1) !== inside) bounds.push(first);
    if ((to % 2 === 1) !== inside) bounds.push(end);
    this.#bounds.splice(from, to - from, ...bounds);
  }
}
