/** Open files and folders, numbered for the kernel. */
import { FuseError } from "../../errno.ts";

/** Numbers open things from 1; a number is given again after its release. */
export class Handles<T> {
  readonly #open: (T | undefined)[] = [undefined];
  readonly #free: number[] = [];

  /** How many are open. */
  get size(): number {
    return this.#open.length - 1 - this.#free.length;
  }

  /** Answers the number of another one. */
  add(handle: T): number {
    const fh = this.#free.pop() ?? this.#open.length;
    this.#open[fh] = handle;
    return fh;
  }

  /** The one with that number. EBADF: there is none. */
  get(fh: number): T {
    const handle = this.#open[fh];
    if (handle === undefined) throw new FuseError("EBADF", `nothing open has the number ${fh}`);
    return handle;
  }

  /** Takes one out. EBADF: there is none. */
  remove(fh: number): T {
    const handle = this.get(fh);
    this.#open[fh] = undefined;
    this.#free.push(fh);
    return handle;
  }

  /** Takes all of them out. */
  *drain(): Generator<T> {
    for (let fh = 1; fh < this.#open.length; fh++) if (this.#open[fh] !== undefined) yield this.remove(fh);
  }
}
