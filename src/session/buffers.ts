/** The memory that requests are received in. */
import { RequestBuffer } from "../abi/message.ts";

/** Makes `size` bytes; `best`: for the buffer that is used most, by large requests. */
export type Allocate = (size: number, best: boolean) => Uint8Array;

/** A bounded pool: a buffer belongs to one request from its receipt to its reply. */
export class BufferPool {
  /** Bytes of each buffer. */
  readonly size: number;
  /** How many there may be. */
  readonly limit: number;
  readonly #allocate: Allocate;
  /** The first one, which is taken whenever it is free, and whether it is. */
  #first: RequestBuffer | null = null;
  #firstFree = false;
  #large = false;
  #best = false;
  readonly #free: RequestBuffer[] = [];
  #made = 0;

  /** Buffers of `size` bytes, as many as `bytes` allow, but at least two: one in use, one to receive in. */
  constructor(size: number, bytes: number, allocate: Allocate = (size) => new Uint8Array(size)) {
    this.size = size;
    this.#allocate = allocate;
    this.limit = Math.max(2, Math.floor(bytes / size));
  }

  /** How many are taken. */
  get taken(): number {
    return this.#made - this.#free.length - (this.#firstFree ? 1 : 0);
  }

  /** A buffer, or null where all are taken. */
  take(): RequestBuffer | null {
    if (this.#firstFree) {
      this.#firstFree = false;
      return this.#first;
    }
    const buffer = this.#free.pop();
    if (buffer !== undefined) return buffer;
    if (this.#made === this.limit) return null;
    this.#made++;
    const made = new RequestBuffer(this.#allocate(this.size, false));
    this.#first ??= made;
    return made;
  }

  /** Large requests are among those that come: the first buffer is to be the best that can be had. */
  large(): void {
    this.#large = true;
  }

  /** Gives one back. */
  give(buffer: RequestBuffer): void {
    if (buffer !== this.#first) {
      this.#free.push(buffer);
      return;
    }
    if (this.#large && !this.#best) {
      this.#best = true;
      this.#first = new RequestBuffer(this.#allocate(this.size, true));
    }
    this.#firstFree = true;
  }
}
