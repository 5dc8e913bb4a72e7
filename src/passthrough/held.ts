/** What a backing file has to give back. */
import type { Libc } from "../../ffi/libc.ts";
import type { Staged } from "./staged.ts";

/** The descriptor of a backing file, as it is now: it may outlive the file, where that is lost. */
export class Held {
  readonly #staged: Staged | null;
  #fd: number;
  #owned: boolean;

  constructor(fd: number, owned: boolean, staged: Staged | null) {
    this.#fd = fd;
    this.#owned = owned;
    this.#staged = staged;
  }

  get fd(): number {
    return this.#fd;
  }

  /** Whether it is ours to close. */
  get owned(): boolean {
    return this.#owned;
  }

  /** Takes over another descriptor of the same file. */
  replace(libc: Libc, fd: number): void {
    if (this.#owned) libc.close(this.#fd);
    this.#fd = fd;
    this.#owned = true;
  }

  /** Gives it back. */
  release(libc: Libc): void {
    if (this.#staged !== null) this.#staged.close();
    else if (this.#owned) libc.close(this.#fd);
  }
}
