/** Open files and directories of a session, by the number that the kernel has for them. */
import { FuseError } from "../errno.ts";
import type { OpenDecision } from "./op.ts";

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
    const id = this.#free.pop() ?? this.#open.length;
    this.#open[id] = value;
    return id;
  }

  /** The one with that number. */
  get(id: number): T {
    const found = this.#open[id];
    if (found === undefined) throw new FuseError("EBADF", `no open ${this.#what} has the number ${id}`);
    return found;
  }

  /** Forgets one; answers it. */
  remove(id: number): T {
    const found = this.get(id);
    this.#open[id] = undefined;
    this.#free.push(id);
    return found;
  }
}

/** An open file. */
export interface OpenFile {
  readonly nodeid: number;
  /** The author's number of it. */
  readonly fh: number;
  /** How it was opened. */
  readonly decision: OpenDecision;
}
