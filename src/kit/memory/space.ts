/** How much a file system in memory may hold, and how much it holds. */
import { FuseError } from "../../errno.ts";

/** Bytes and inodes in use, with their limits. */
export class Space {
  /** Limit, bytes. */
  readonly maxBytes: number;
  /** Limit, inodes and further names of inodes. */
  readonly maxInodes: number;
  #bytes = 0;
  #inodes = 0;

  /** Space of that many bytes and inodes, none in use. */
  constructor(maxBytes: number, maxInodes: number) {
    this.maxBytes = maxBytes;
    this.maxInodes = maxInodes;
  }

  /** Bytes not in use. */
  get freeBytes(): number {
    return this.maxBytes - this.#bytes;
  }

  /** Inodes not in use. */
  get freeInodes(): number {
    return this.maxInodes - this.#inodes;
  }

  /** Takes bytes and inodes: all or nothing. ENOSPC: there are not that many. */
  take(bytes: number, inodes = 0): void {
    if (bytes > this.freeBytes || inodes > this.freeInodes) throw new FuseError("ENOSPC");
    this.#bytes += bytes;
    this.#inodes += inodes;
  }

  /** Gives bytes and inodes back. */
  give(bytes: number, inodes = 0): void {
    this.#bytes -= bytes;
    this.#inodes -= inodes;
  }
}
