/** The descriptors of an extent map. */
import { FuseError } from "../errno.ts";
import { isWritable, syncFile } from "./descriptors.ts";
import type { Extent } from "./extent.ts";

/** Every descriptor that a map has met: what it can do, and whether it was written. */
export class Files {
  readonly #writable = new Map<number, boolean>();
  readonly #written = new Set<number>();

  /**
   * Gets to know the file of an extent and answers whether it can be written. EBADF, ESPIPE, EISDIR: it cannot be read.
   */
  meet({ file }: Extent, name: () => string): boolean {
    let writable = this.#writable.get(file);
    if (writable === undefined) {
      try {
        writable = isWritable(file);
      } catch (error) {
        const { code, message, syscall } = error as FuseError;
        throw new FuseError(code, `${name()}: ${message}`, { syscall, cause: error });
      }
      this.#writable.set(file, writable);
    }
    return writable;
  }

  /** Whether it can be written; false for what is no descriptor. */
  writable(file: number): boolean {
    return this.#writable.get(file) === true;
  }

  /** Whether any can be written. */
  get anyWritable(): boolean {
    for (const writable of this.#writable.values()) if (writable) return true;
    return false;
  }

  /** It is about to be written. */
  wrote(file: number): void {
    this.#written.add(file);
  }

  /** fsync(2), or fdatasync(2), of all that were written since the last fsync. */
  sync(datasync: boolean): void {
    for (const file of this.#written) {
      syncFile(file, datasync);
      // After fdatasync there may be metadata left.
      if (!datasync) this.#written.delete(file);
    }
  }
}
