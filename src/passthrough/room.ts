/** Memory for data on its way from descriptors to a reply. */

const NONE = new Uint8Array(0);

/** One buffer, for all backing files: what is answered at once is sent before the next one is read. */
export class Room {
  #free: Uint8Array = NONE;

  /** At least so many bytes, the caller's until it gives them back. What is in them is old. */
  take(size: number): Uint8Array {
    const taken = this.#free.length >= size ? this.#free : new Uint8Array(size);
    this.#free = NONE;
    return taken;
  }

  /** Free for the next one. */
  give(bytes: Uint8Array): void {
    this.#free = bytes;
  }
}
