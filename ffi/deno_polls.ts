/**
 * Waiting for descriptors on Deno, which has 32 threads for everything that waits elsewhere, its own calls on files
 * included. A few waits have a thread each, which is the fastest; all others share one, by `epoll(7)`.
 */
import { type Architecture, F_DUPFD_CLOEXEC } from "./libc.ts";

/** What is called of the C library. */
export interface Calls {
  epoll_create1(flags: number): number;
  epoll_ctl(epfd: number, op: number, fd: number, event: Uint8Array<ArrayBuffer> | null): number;
  fcntl(fd: number, command: number, argument: bigint): number;
  close(fd: number): number;
  poll(fds: Uint8Array<ArrayBuffer>, count: bigint, timeoutMs: number): number;
  /** `poll(2)` on another thread. */
  pollAsync(fds: Uint8Array, count: number, timeoutMs: number): Promise<number>;
  /** `epoll_wait(2)` on another thread, without end. */
  epollWaitAsync(epfd: number, events: Uint8Array, most: number): Promise<number>;
}

/** How many waits have a thread each. */
const ALONE = 8;
/** How many descriptors are told of at once; the rest is told next. */
const EVENTS = 256;

const EPOLL_CLOEXEC = 0o2000000, EPOLL_CTL_ADD = 1, EPOLL_CTL_DEL = 2;

/** Arrays of struct pollfd: its descriptor, and what became ready of it. */
const POLLFD = 8, REVENTS = 6;

/** A wait that shares the thread. */
interface Wait {
  /** The caller's array, and the same with copies of the descriptors. */
  readonly fds: DataView;
  readonly own: DataView<ArrayBuffer>;
  readonly resolve: (ready: number) => void;
}

/** The waits of a process. */
export class Polls {
  readonly #c: Calls;
  /** Of struct epoll_event, which is packed on x86-64 alone: its size, and where its data is. */
  readonly #size: number;
  readonly #data: number;
  readonly #events: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #event = new Uint8Array(16);
  readonly #eventView = new DataView(this.#event.buffer);
  #alone = 0;
  readonly #shared = new Set<Wait>();
  /** The wait that a copy of a descriptor belongs to. */
  readonly #watched = new Map<number, Wait>();
  #epoll = -1;
  #waiting = false;

  constructor(architecture: Architecture, calls: Calls) {
    this.#c = calls;
    [this.#size, this.#data] = architecture === "x86_64" ? [12, 4] : [16, 8];
    this.#events = new Uint8Array(EVENTS * this.#size);
    this.#view = new DataView(this.#events.buffer);
  }

  /** `poll(2)`: how many are ready, 0 after the timeout, -1 on error. */
  wait(fds: Uint8Array, count: number, timeoutMs: number): Promise<number> {
    // One with a time gives its thread back anyway.
    if (this.#alone < ALONE || timeoutMs >= 0) return this.#waitAlone(fds, count, timeoutMs);
    return this.#share(fds, count) ?? this.#waitAlone(fds, count, timeoutMs);
  }

  async #waitAlone(fds: Uint8Array, count: number, timeoutMs: number): Promise<number> {
    this.#alone++;
    try {
      return await this.#c.pollAsync(fds, count, timeoutMs);
    } finally {
      this.#alone--;
      this.#rest();
    }
  }

  /** Has the one thread wait for these too; undefined: it cannot, as for a file, or for what is not open. */
  #share(fds: Uint8Array, count: number): Promise<number> | undefined {
    if (this.#epoll < 0) this.#epoll = this.#c.epoll_create1(EPOLL_CLOEXEC);
    if (this.#epoll < 0) return;
    const own = new DataView(fds.slice(0, POLLFD * count).buffer);
    const copies: number[] = [];
    for (let at = 0; at < own.byteLength; at += POLLFD) {
      const fd = own.getInt32(at, true);
      if (fd < 0) continue;
      const copy = this.#watch(fd, own.getUint16(at + 4, true));
      if (copy < 0) {
        copies.forEach((copy) => this.#forget(copy));
        return;
      }
      copies.push(copy);
      own.setInt32(at, copy, true);
    }
    return new Promise((resolve) => {
      const wait: Wait = { fds: new DataView(fds.buffer, fds.byteOffset), own, resolve };
      this.#shared.add(wait);
      for (const copy of copies) this.#watched.set(copy, wait);
      if (!this.#waiting) this.#serve();
    });
  }

  /**
   * Watches a copy of the descriptor, or answers -1. As under `poll(2)`, what is waited for stays open until the wait
   * ends; and each copy is watched for itself, whoever else waits for the same.
   */
  #watch(fd: number, events: number): number {
    const copy = this.#c.fcntl(fd, F_DUPFD_CLOEXEC, 0n);
    if (copy < 0) return -1;
    // The bits are those of poll(2).
    this.#eventView.setUint32(0, events, true);
    this.#eventView.setInt32(this.#data, copy, true);
    if (this.#c.epoll_ctl(this.#epoll, EPOLL_CTL_ADD, copy, this.#event) === 0) return copy;
    this.#c.close(copy);
    return -1;
  }

  #forget(copy: number): void {
    this.#watched.delete(copy);
    // Closing alone would not do while the original is open.
    this.#c.epoll_ctl(this.#epoll, EPOLL_CTL_DEL, copy, null);
    this.#c.close(copy);
  }

  /** Waits as long as somebody shares it, who are told where no call is under way: nothing is left in the end. */
  async #serve(): Promise<void> {
    this.#waiting = true;
    while (this.#shared.size > 0) {
      this.#tell(await this.#c.epollWaitAsync(this.#epoll, this.#events, EVENTS));
    }
    this.#waiting = false;
    this.#rest();
  }

  /** Ends the waits of which so many events tell. */
  #tell(count: number): void {
    const told = new Set<Wait>();
    for (let i = 0; i < count; i++) {
      const wait = this.#watched.get(this.#view.getInt32(i * this.#size + this.#data, true));
      // A copy is unknown where the next one of its array could not be watched.
      if (wait !== undefined) told.add(wait);
    }
    for (const wait of told) this.#end(wait);
  }

  /** Ends a wait, unless there is nothing any more. */
  #end(wait: Wait): void {
    const { fds, own } = wait;
    // The events need not be all: they may have come before the rest of the descriptors was watched.
    const ready = this.#c.poll(new Uint8Array(own.buffer), BigInt(own.byteLength / POLLFD), 0);
    if (ready === 0) return;
    for (let at = 0; at < own.byteLength; at += POLLFD) {
      fds.setInt16(at + REVENTS, own.getInt16(at + REVENTS, true), true);
      const copy = own.getInt32(at, true);
      if (copy >= 0) this.#forget(copy);
    }
    this.#shared.delete(wait);
    wait.resolve(ready);
  }

  /** Gives the descriptor back once nobody waits. */
  #rest(): void {
    if (this.#epoll < 0 || this.#alone > 0 || this.#shared.size > 0) return;
    this.#c.close(this.#epoll);
    this.#epoll = -1;
  }
}
