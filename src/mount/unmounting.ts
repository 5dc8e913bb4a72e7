/** From a plain unmount to a cut connection, step by step. */
import type { Unmountable } from "./mounted.ts";

/**
 * How an unmount ended: `"unmounted"`: at once, nobody used it; `"detached"`: it was in use, left the tree at once and
 * its last user has gone since; `"aborted"`: somebody still used it, and the connection was cut.
 */
export type UnmountResult = "unmounted" | "detached" | "aborted";

/** How patiently to unmount. */
export interface UnmountOptions {
  /** How long to wait for those who use it before the next, harsher step, ms. Default 1000. */
  timeout?: number;
}

/** What is to be unmounted, and what its end is. */
export interface Ending {
  readonly mount: Pick<Unmountable, "isMounted" | "unmount">;
  /** Resolves when it is over: it is not mounted, and nobody uses it any more. */
  readonly closed: Promise<unknown>;
  /** Whether it is over, as it is known before `closed` has told. */
  isClosed(): boolean;
  /** The last step: cuts the connection. */
  cut(): Promise<UnmountResult>;
  /** What the end itself waits for (commits of staged files) is waited for no longer. */
  giveUp?(): void;
}

const STEP_MS = 1000;
/** How often is looked whether something has changed. */
export const RETRY_MS = 20;
/** How long the end may take after the mount is gone, on a busy machine. */
const ENDING_MS = 10_000;

/** The steps, taken once. */
export class Unmounting {
  readonly #what: Ending;
  #result: Promise<UnmountResult> | null = null;
  #timeout = STEP_MS;

  constructor(what: Ending) {
    this.#what = what;
  }

  /** Unmounts, and ends in any case. A second, more impatient call hurries the first. */
  run({ timeout = STEP_MS }: UnmountOptions = {}): Promise<UnmountResult> {
    this.#timeout = this.#result === null ? timeout : Math.min(timeout, this.#timeout);
    return this.#result ??= this.#run();
  }

  async #run(): Promise<UnmountResult> {
    const { mount, closed } = this.#what;
    const start = performance.now();
    for (;;) {
      const state = await this.#within(start, mount.unmount());
      if (state === "unmounted" || state === "gone") {
        // Nobody uses it, so the end follows by itself, unless it is mounted elsewhere too.
        await this.#within(performance.now(), closed, ENDING_MS);
        if (!this.#what.isClosed()) break;
        return "unmounted";
      }
      if (state === null || performance.now() - start >= this.#timeout) break;
      await this.#within(start, new Promise((resolve) => setTimeout(resolve, RETRY_MS)));
    }
    if (mount.isMounted()) {
      await this.#within(performance.now(), mount.unmount({ lazy: true }));
      await this.#within(performance.now(), closed);
      if (this.#what.isClosed()) return "detached";
    }
    const cut = this.#what.cut();
    await this.#within(performance.now(), cut, ENDING_MS);
    this.#what.giveUp?.();
    return await cut;
  }

  /** The promise's value, or null where it takes longer than the timeout that is in force by then, and `least` ms. */
  async #within<T>(start: number, promise: Promise<T>, least = 0): Promise<T | null> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<null>((resolve) => {
      const check = () => {
        const patience = this.#timeout === 0 ? 0 : Math.max(this.#timeout, least);
        const left = start + patience - performance.now();
        if (left <= 0) resolve(null);
        else timer = setTimeout(check, Math.min(left, RETRY_MS));
      };
      check();
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
