/** How much a file system in memory may hold, and how much it holds. */
import { FuseError } from "../../errno.ts";

/** What is charged for inodes and their data. */
export interface Account {
  /** Bytes not in use. */
  readonly freeBytes: number;
  /**
   * Takes bytes and inodes: all or nothing. ENOSPC: there are not that many; EDQUOT: the owner may not have so many.
   */
  take(bytes: number, inodes?: number): void;
  /** Gives bytes and inodes back. */
  give(bytes: number, inodes?: number): void;
  /** The error of who wants more bytes and inodes than there are. */
  shortage(bytes: number, inodes?: number): FuseError;
}

/** How much the files of one user may take. */
export interface Quota {
  /** Data, bytes, counted in pages of 4 KiB. Default: no limit. */
  maxBytes?: number;
  /** Inodes, and names of files that have several. Default: no limit. */
  maxInodes?: number;
}

/** Bytes and inodes in use, with their limits. */
export class Space implements Account {
  /** Limit, bytes. */
  readonly maxBytes: number;
  /** Limit, inodes and further names of inodes. */
  readonly maxInodes: number;
  readonly #quota: ((uid: number) => Quota | undefined) | undefined;
  readonly #owners = new Map<number, Owner>();
  #bytes = 0;
  #inodes = 0;

  /** Space of that many bytes and inodes, none in use; `quota` tells what one user may have of it. */
  constructor(maxBytes: number, maxInodes: number, quota?: (uid: number) => Quota | undefined) {
    this.maxBytes = maxBytes;
    this.maxInodes = maxInodes;
    this.#quota = quota;
  }

  /** Bytes in use. */
  get bytes(): number {
    return this.#bytes;
  }

  get freeBytes(): number {
    return this.maxBytes - this.#bytes;
  }

  /** Inodes not in use. */
  get freeInodes(): number {
    return this.maxInodes - this.#inodes;
  }

  /** What the files of a user are charged to. */
  of(uid: number): Account {
    if (this.#quota === undefined) return this;
    let owner = this.#owners.get(uid);
    if (owner === undefined) this.#owners.set(uid, owner = new Owner(this, this.#quota(uid) ?? {}));
    return owner;
  }

  take(bytes: number, inodes = 0): void {
    if (bytes > this.freeBytes || inodes > this.freeInodes) throw this.shortage();
    this.#bytes += bytes;
    this.#inodes += inodes;
  }

  give(bytes: number, inodes = 0): void {
    this.#bytes -= bytes;
    this.#inodes -= inodes;
  }

  shortage(): FuseError {
    return new FuseError("ENOSPC");
  }

  /** Charges another user for what is in use. EDQUOT: that one may not have so much. */
  transfer(from: number, to: number, bytes: number, inodes: number): void {
    const before = this.of(from), after = this.of(to);
    if (before === after) return;
    before.give(bytes, inodes);
    try {
      after.take(bytes, inodes);
    } catch (error) {
      before.take(bytes, inodes);
      throw error;
    }
  }
}

/** What the files of one user take. */
class Owner implements Account {
  readonly #space: Space;
  readonly #maxBytes: number;
  readonly #maxInodes: number;
  #bytes = 0;
  #inodes = 0;

  constructor(space: Space, { maxBytes = Infinity, maxInodes = Infinity }: Quota) {
    this.#space = space;
    this.#maxBytes = maxBytes;
    this.#maxInodes = maxInodes;
  }

  get freeBytes(): number {
    return Math.min(this.#space.freeBytes, Math.max(0, this.#maxBytes - this.#bytes));
  }

  take(bytes: number, inodes = 0): void {
    if (this.#exceeds(bytes, inodes)) throw this.shortage(bytes, inodes);
    this.#space.take(bytes, inodes);
    this.#bytes += bytes;
    this.#inodes += inodes;
  }

  give(bytes: number, inodes = 0): void {
    this.#space.give(bytes, inodes);
    this.#bytes -= bytes;
    this.#inodes -= inodes;
  }

  shortage(bytes: number, inodes = 0): FuseError {
    return this.#exceeds(bytes, inodes) ? new FuseError("EDQUOT") : this.#space.shortage();
  }

  // Giving (a negative number) is allowed to whoever has too much.
  #exceeds(bytes: number, inodes: number): boolean {
    return bytes > 0 && this.#bytes + bytes > this.#maxBytes || inodes > 0 && this.#inodes + inodes > this.#maxInodes;
  }
}
