/** The names in a directory, in an order that survives changes. */

/** A name in a directory, and what it stands for. */
export interface Slot<T> {
  readonly name: string;
  /** `undefined`: the name was removed. */
  inode: T | undefined;
  /** Place in the order: higher than that of every name given before. */
  readonly cookie: number;
}

/** The cookies of "." and "..": those of names are higher. */
export const DOT = 1, DOTDOT = 2;

// Bytes that a name counts for in the size of a directory.
const NAME_BYTES = 32;
const BLOCK = 4096;

/** What a directory holds: names of inodes `T`. */
export class Directory<T> {
  /** Where ".." leads; itself in the root. */
  parent: T;
  readonly #names = new Map<string, Slot<T>>();
  // Ascending by cookie. Slots of removed names stay until they are the majority.
  #order: Slot<T>[] = [];
  #nextCookie = DOTDOT + 1;

  /** An empty directory. */
  constructor(parent: T) {
    this.parent = parent;
  }

  /** How many names there are, without "." and "..". */
  get count(): number {
    return this.#names.size;
  }

  /** Bytes, in whole blocks, as stat shows them. */
  get size(): number {
    return Math.ceil((this.#names.size + 2) * NAME_BYTES / BLOCK) * BLOCK;
  }

  /** The cookie of the newest name, removed or not. */
  get lastCookie(): number {
    return this.#nextCookie - 1;
  }

  /** What a name stands for. */
  get(name: string): T | undefined {
    return this.#names.get(name)?.inode;
  }

  /** Adds a name, or lets one that exists stand for another inode, in its old place. */
  set(name: string, inode: T): void {
    const found = this.#names.get(name);
    if (found !== undefined) {
      found.inode = inode;
      return;
    }
    const slot: Slot<T> = { name, inode, cookie: this.#nextCookie++ };
    this.#names.set(name, slot);
    this.#order.push(slot);
  }

  /** Removes a name. */
  delete(name: string): void {
    const slot = this.#names.get(name);
    if (slot === undefined) return;
    this.#names.delete(name);
    slot.inode = undefined;
    // A new array, for there may be passes over the old one; half of its slots are paid for by as many removals.
    if (this.#order.length > 2 * this.#names.size + 32) {
      this.#order = this.#order.filter((slot) => slot.inode !== undefined);
    }
  }

  /** The names behind a cookie and up to another, both of which may be gone. Changes in between are allowed. */
  *between(cookie: number, last: number): Generator<Slot<T> & { inode: T }, void> {
    // Stays as it is when names are removed, and what is added later has higher cookies.
    const order = this.#order;
    for (let at = behind(order, cookie); at < order.length && order[at].cookie <= last; at++) {
      if (order[at].inode !== undefined) yield order[at] as Slot<T> & { inode: T };
    }
  }
}

/** Index of the first slot with a higher cookie. */
function behind(order: Slot<unknown>[], cookie: number): number {
  let low = 0, high = order.length;
  while (low < high) {
    const middle = low + high >>> 1;
    if (order[middle].cookie <= cookie) low = middle + 1;
    else high = middle;
  }
  return low;
}
