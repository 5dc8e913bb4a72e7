/** Memory for data on its way from descriptors to a reply. */
import type { Libc } from "../../ffi/libc.ts";
import { pages } from "../../ffi/pages.ts";

const NONE = new Uint8Array(0);

/** One buffer, for all backing files: what is answered at once is sent before the next one is read. */
export class Room {
  readonly #libc: Libc;
  #free: Uint8Array = NONE;

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  /** At least so many bytes, the caller's until it gives them back. What is in them is old. */
  take(size: number): Uint8Array {
    const taken = this.#free.length >= size ? this.#free : pages(this.#libc, size);
    this.#free = NONE;
    return taken;
  }

  /** Free for the next one. */
  give(bytes: Uint8Array): void {
    this.#free = bytes;
  }
}
