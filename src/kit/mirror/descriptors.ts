/** A bounded number of descriptors, for an unbounded number of nodes. */
import type { Libc } from "../../../ffi/libc.ts";

/** What can have a descriptor. */
export interface Holder {
  /** Its place in {@linkcode Descriptors}; -1: it has none. */
  slot: number;
}

const NONE = -1;
const PINNED = -2;
// So many are kept beside the pinned ones, however many those are: enough for any two paths in use at a time.
const FLOOR = 8;

/**
 * Descriptors in the order of their last use. The oldest is closed where another one would exceed the limit, unless it
 * is pinned. Pinned ones count towards the limit, but may exceed it.
 */
export class Descriptors<T extends Holder> {
  readonly #libc: Libc;
  readonly #limit: number;
  readonly #leaving: (holder: T, fd: number) => void;
  readonly #fds: number[] = [];
  readonly #holders: (T | undefined)[] = [];
  // Neighbours in the order of use; `#newer` of a pinned one is PINNED, of a free one the next free.
  readonly #newer: number[] = [];
  readonly #older: number[] = [];
  #newest = NONE;
  #oldest = NONE;
  #free = NONE;
  #cached = 0;
  #pinned = 0;

  /** `leaving`: a descriptor is about to be closed for room. */
  constructor(libc: Libc, limit: number, leaving: (holder: T, fd: number) => void = () => {}) {
    this.#libc = libc;
    this.#limit = limit;
    this.#leaving = leaving;
  }

  /** How many there are. */
  get size(): number {
    return this.#cached + this.#pinned;
  }

  /** How many of them are pinned. */
  get pinned(): number {
    return this.#pinned;
  }

  /** The holder's descriptor, which becomes the newest; -1: it has none. */
  get(holder: T): number {
    const slot = holder.slot;
    if (slot < 0) return NONE;
    if (slot !== this.#newest && this.#newer[slot] !== PINNED) {
      this.#unlink(slot);
      this.#link(slot);
    }
    return this.#fds[slot];
  }

  /** Takes over a descriptor for a holder that has none. */
  put(holder: T, fd: number): void {
    while (this.#cached >= FLOOR && this.#cached + this.#pinned >= this.#limit) this.#evict();
    let slot = this.#free;
    if (slot === NONE) slot = this.#fds.length;
    else this.#free = this.#newer[slot];
    this.#fds[slot] = fd;
    this.#holders[slot] = holder;
    holder.slot = slot;
    this.#link(slot);
    this.#cached++;
  }

  /** Keeps the holder's descriptor, which it has, from being closed for room; false: that was so before. */
  pin(holder: T): boolean {
    const slot = holder.slot;
    if (this.#newer[slot] === PINNED) return false;
    this.#unlink(slot);
    this.#newer[slot] = PINNED;
    this.#cached--;
    this.#pinned++;
    return true;
  }

  /** Takes {@linkcode pin} back. */
  unpin(holder: T): void {
    const slot = holder.slot;
    if (slot < 0 || this.#newer[slot] !== PINNED) return;
    this.#link(slot);
    this.#cached++;
    this.#pinned--;
  }

  /** Closes the holder's descriptor, if it has one. */
  drop(holder: T): void {
    const slot = holder.slot;
    if (slot < 0) return;
    if (this.#newer[slot] === PINNED) this.#pinned--;
    else {
      this.#unlink(slot);
      this.#cached--;
    }
    this.#libc.close(this.#fds[slot]);
    this.#holders[slot] = undefined;
    holder.slot = NONE;
    this.#newer[slot] = this.#free;
    this.#free = slot;
  }

  /** Closes the older half, where the process has no descriptors left; false: there was nothing to close. */
  shrink(): boolean {
    if (this.#cached <= FLOOR) return false;
    for (let n = Math.min(this.#cached >> 1, this.#cached - FLOOR); n > 0; n--) this.#evict();
    return true;
  }

  /** Closes all of them, or those of all others than one. */
  close(but?: T): void {
    for (const holder of this.#holders) if (holder !== undefined && holder !== but) this.drop(holder);
  }

  #evict(): void {
    const holder = this.#holders[this.#oldest]!;
    this.#leaving(holder, this.#fds[this.#oldest]);
    this.drop(holder);
  }

  #link(slot: number): void {
    const before = this.#newest;
    this.#older[slot] = before;
    this.#newer[slot] = NONE;
    if (before === NONE) this.#oldest = slot;
    else this.#newer[before] = slot;
    this.#newest = slot;
  }

  #unlink(slot: number): void {
    const older = this.#older[slot], newer = this.#newer[slot];
    if (older === NONE) this.#oldest = newer;
    else this.#newer[older] = newer;
    if (newer === NONE) this.#newest = older;
    else this.#older[newer] = older;
  }
}
