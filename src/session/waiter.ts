/** Waiting for the device, and being woken for another reason. */
import { type Libc, POLLIN } from "../../ffi/libc.ts";
import { FuseError } from "../errno.ts";

const EFD_CLOEXEC_NONBLOCK = 0o2004000;
const POLLFD = 8;

/** `poll(2)` on the device and on an eventfd that {@linkcode Waiter.wake} writes to. */
export class Waiter implements Disposable {
  readonly #libc: Libc;
  #wake: number;
  // More than 64 bytes: the asynchronous poll keeps its address.
  readonly #fds = new Uint8Array(128);
  readonly #view = new DataView(this.#fds.buffer);
  readonly #counter = new Uint8Array(8);
  readonly #one = new Uint8Array(BigUint64Array.of(1n).buffer);
  #polling = false;

  constructor(libc: Libc, device: number) {
    this.#libc = libc;
    this.#wake = libc.eventfd(0, EFD_CLOEXEC_NONBLOCK);
    if (this.#wake < 0) throw new FuseError(this.#wake, "cannot wait for the device: eventfd(2) failed");
    this.#view.setInt32(0, device, true);
    this.#view.setInt32(POLLFD, this.#wake, true);
    this.#view.setInt16(POLLFD + 4, POLLIN, true);
  }

  /** Waits on this thread, for so short a time that the event loop does not suffer; whether something has come. */
  linger(microseconds: number): boolean {
    this.#view.setInt16(4, POLLIN, true);
    return this.#libc.ppoll(this.#fds, 1, microseconds) !== 0;
  }

  /**
   * Waits on another thread, for a request or for being woken. Without `requests` only for the end of the connection
   * or for being woken.
   */
  async wait(requests: boolean): Promise<void> {
    this.#view.setInt16(4, requests ? POLLIN : 0, true);
    this.#polling = true;
    await this.#libc.pollAsync(this.#fds, 2, -1);
    this.#polling = false;
    if (this.#wake >= 0) this.#libc.read(this.#wake, this.#counter);
  }

  /** Ends a wait that is under way. */
  wake(): void {
    if (!this.#polling) return;
    this.#libc.write(this.#wake, this.#one, 8);
  }

  /** Closes the eventfd. */
  [Symbol.dispose](): void {
    if (this.#wake >= 0) this.#libc.close(this.#wake);
    this.#wake = -1;
  }
}
