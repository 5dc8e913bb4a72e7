/** What an extent map asks for on demand. */
import type { Awaitable } from "../fs/types.ts";
import type { Extent, ExtentRange } from "./extent.ts";
import { HOLE, type Runs, UNKNOWN } from "./runs.ts";

/** A call that is under way. */
interface Pending {
  readonly from: number;
  readonly to: number;
  readonly done: Promise<void>;
}

/** Fills the UNKNOWN runs of a map, each byte by one call. */
export class Missing {
  readonly #runs: Runs;
  readonly #ask: (range: ExtentRange) => Awaitable<readonly Extent[]>;
  readonly #check: (list: readonly Extent[], from: number, to: number) => Extent[];
  #pending: Pending[] = [];

  /** `check` answers the extents in order, or throws. */
  constructor(
    runs: Runs,
    ask: (range: ExtentRange) => Awaitable<readonly Extent[]>,
    check: (list: readonly Extent[], from: number, to: number) => Extent[],
  ) {
    this.#runs = runs;
    this.#ask = ask;
    this.#check = check;
  }

  /** Asks for what is not known of a range; undefined where there is nothing to wait for. */
  learn(from: number, to: number): Promise<unknown> | undefined {
    let waits: Promise<void>[] | undefined;
    for (let at = from; at < to;) {
      const { file, end } = this.#runs.find(at);
      let stop = Math.min(end, to);
      if (file === UNKNOWN) {
        let wait: Promise<void> | undefined;
        for (const pending of this.#pending) {
          if (pending.from <= at && at < pending.to) {
            wait = pending.done;
            stop = Math.min(stop, pending.to);
          } else if (pending.from > at) stop = Math.min(stop, pending.from);
        }
        wait ??= this.#call(at, stop);
        if (wait !== undefined) (waits ??= []).push(wait);
      }
      at = stop;
    }
    return waits && Promise.all(waits);
  }

  #call(from: number, to: number): Promise<void> | undefined {
    const answer = this.#ask({ offset: from, length: to - from });
    if (!(answer instanceof Promise)) {
      this.#fill(answer, from, to);
      return undefined;
    }
    const done = answer.then((list) => this.#fill(list, from, to)).finally(() => {
      this.#pending = this.#pending.filter((pending) => pending.done !== done);
    });
    // Who asked for more than this may have met another error first.
    done.catch(() => {});
    this.#pending.push({ from, to, done });
    return done;
  }

  /** Remembers an answer, save where its range was cut or punched meanwhile. */
  #fill(list: readonly Extent[], from: number, to: number): void {
    for (const { offset, length, file, fileOffset } of this.#check(list, from, to)) {
      this.#assign(offset, offset + length, file, fileOffset);
    }
    this.#assign(from, to, HOLE, 0);
  }

  #assign(from: number, to: number, file: number, place: number): void {
    for (let at = from; at < to;) {
      const run = this.#runs.find(at), stop = Math.min(run.end, to);
      if (run.file === UNKNOWN) this.#runs.assign(at, stop, file, place + at - from);
      at = stop;
    }
  }
}
