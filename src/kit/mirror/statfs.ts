/** What a file system says of itself. Source: `statfs(2)`. */
import type { Libc } from "../../../ffi/libc.ts";

/** `struct statfs` of the 64-bit architectures: where in it each number is. */
const AT = { type: 0, bsize: 8, blocks: 16, bfree: 24, bavail: 32, files: 40, ffree: 48, namelen: 64, frsize: 72 };

/** The answer of one call at a time. */
export class StatfsBuffer {
  readonly #libc: Libc;
  readonly #bytes = new Uint8Array(120);
  readonly #view = new DataView(this.#bytes.buffer);

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  /** Asks the file system of a descriptor; 0 or -errno. */
  fill(fd: number): number {
    return this.#libc.fstatfs(fd, this.#bytes);
  }

  /** A number of the answer, at most 2^53 - 1. */
  get(field: keyof typeof AT): number {
    const at = AT[field];
    const value = this.#view.getUint32(at + 4, true) * 2 ** 32 + this.#view.getUint32(at, true);
    return Math.min(value, Number.MAX_SAFE_INTEGER);
  }
}
