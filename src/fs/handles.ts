/** Open files and directories, by the number that the kernel has for them. */
import { FuseError } from "../errno.ts";

/** A table of handles: numbers from 1, used again once they are free. */
export class Handles<T> {
  readonly #what: string;
  readonly #open: (T | undefined)[] = [undefined];
  readonly #free: number[] = [];

  /** `what`: what a handle is, for errors. */
  constructor(what: string) {
    this.#what = what;
  }

  /** How many are open. */
  get size(): number {
    return this.#open.length - 1 - this.#free.length;
  }

  /** Remembers one; answers the number for the kernel. */
  add(value: T): number {
    const fh = this.#free.pop() ?? this.#open.length;
    this.#open[fh] = value;
    return fh;
  }

  /** The one with that number. EBADF: there is none. */
  get(fh: number): T {
    const found = this.#open[fh];
    if (found === undefined) throw new FuseError("EBADF", `no open ${this.#what} has the number ${fh}`);
    return found;
  }

  /** Forgets one; answers it. EBADF: there is none. */
  remove(fh: number): T {
    const found = this.get(fh);
    this.#open[fh] = undefined;
    this.#free.push(fh);
    return found;
  }

  /** Forgets all of them; answers one after the other. */
  *drain(): Generator<T> {
    for (let fh = 1; fh < this.#open.length; fh++) if (this.#open[fh] !== undefined) yield this.remove(fh);
  }
}
