/** The memory that requests are received in. */
import { RequestBuffer } from "../abi/message.ts";

/** A bounded pool: a buffer belongs to one request from its receipt to its reply. */
export class BufferPool {
  /** Bytes of each buffer. */
  readonly size: number;
  /** How many there may be. */
  readonly limit: number;
  readonly #allocate: (size: number) => Uint8Array;
  readonly #free: RequestBuffer[] = [];
  #made = 0;

  /** Buffers of `size` bytes, as many as `bytes` allow, but at least two: one in use, one to receive in. */
  constructor(size: number, bytes: number, allocate: (size: number) => Uint8Array = (size) => new Uint8Array(size)) {
    this.size = size;
    this.#allocate = allocate;
    this.limit = Math.max(2, Math.floor(bytes / size));
  }

  /** How many are taken. */
  get taken(): number {
    return this.#made - this.#free.length;
  }

  /** A buffer, or null where all are taken. */
  take(): RequestBuffer | null {
    const buffer = this.#free.pop();
    if (buffer !== undefined) return buffer;
    if (this.#made === this.limit) return null;
    this.#made++;
    return new RequestBuffer(this.#allocate(this.size));
  }

  /** Gives one back. */
  give(buffer: RequestBuffer): void {
    this.#free.push(buffer);
  }
}
