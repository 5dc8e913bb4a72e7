/** The memory that requests are received in. */
import { RequestBuffer } from "../abi/message.ts";

/** Makes `size` bytes; the first buffer is taken whenever it is free. */
export type Allocate = (size: number, first: boolean) => Uint8Array;

/** A bounded pool: a buffer belongs to one request from its receipt to its reply. */
export class BufferPool {
  /** Bytes of each buffer. */
  readonly size: number;
  /** How many there may be. */
  readonly limit: number;
  readonly #allocate: Allocate;
  /** The first one, and whether it is free. */
  #first: RequestBuffer | null = null;
  #firstFree = false;
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
    const made = new RequestBuffer(this.#allocate(this.size, this.#made++ === 0));
    this.#first ??= made;
    return made;
  }

  /** Gives one back. */
  give(buffer: RequestBuffer): void {
    if (buffer === this.#first) this.#firstFree = true;
    else this.#free.push(buffer);
  }
}
