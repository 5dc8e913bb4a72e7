/** The device /dev/fuse: one descriptor that requests are read from and replies are written to. */
import type { Libc } from "../ffi/libc.ts";
import { ERRNO, errnoName, FuseError } from "./errno.ts";

/** What a receive found instead of a request. */
export const EMPTY = 0;
/** The connection has ended: unmounted. */
export const GONE = -1;
/** The connection was aborted. */
export const ABORTED = -2;

/** A descriptor of /dev/fuse, opened with O_NONBLOCK. */
export class Device implements Disposable {
  /** The descriptor; -1 once closed. */
  #fd: number;
  readonly #libc: Libc;
  // Two iovecs: the reply's head and its payload. More than 64 bytes, so that the memory does not move.
  readonly #iovec = new BigUint64Array(16);
  readonly #iovecBytes = new Uint8Array(this.#iovec.buffer);
  #head: Uint8Array | null = null;

  constructor(libc: Libc, fd: number) {
    this.#libc = libc;
    this.#fd = fd;
  }

  /** The descriptor; -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  /** Reads one request: its length, or {@linkcode EMPTY}, {@linkcode GONE}, {@linkcode ABORTED}. */
  receive(buffer: Uint8Array): number {
    for (;;) {
      const n = this.#libc.read(this.#fd, buffer);
      if (n > 0) return n;
      switch (-n) {
        case ERRNO.EAGAIN:
          return EMPTY;
        // ENOENT: that request was interrupted before it could be read.
        case ERRNO.EINTR:
        case ERRNO.ENOENT:
          continue;
        case 0:
        case ERRNO.ENODEV:
          return GONE;
        case ERRNO.ECONNABORTED:
        case ERRNO.EBADF:
          return ABORTED;
        default:
          throw new FuseError(-n, `cannot receive a request: read(2) of the device says ${errnoName(n)}`, {
            syscall: "read",
            path: "/dev/fuse",
          });
      }
    }
  }

  /** Writes one reply: 0, or a negative errno. ENOENT: nobody waits for it any more. */
  send(head: Uint8Array, length: number, payload: Uint8Array | null): number {
    const n = payload === null ? this.#libc.write(this.#fd, head, length) : this.#gather(head, length, payload);
    return n < 0 ? n : 0;
  }

  #gather(head: Uint8Array, length: number, payload: Uint8Array): number {
    const iovec = this.#iovec;
    if (this.#head !== head) {
      iovec[0] = this.#libc.address(head);
      this.#head = head;
    }
    iovec[1] = BigInt(length);
    iovec[2] = this.#libc.address(payload);
    iovec[3] = BigInt(payload.length);
    return this.#libc.writev(this.#fd, this.#iovecBytes, 2);
  }

  /** Writes a message of more than 64 bytes of memory on another thread: 0, or a negative errno. */
  async sendElsewhere(message: Uint8Array): Promise<number> {
    if (this.#fd < 0) return -ERRNO.EBADF;
    const n = await this.#libc.writeAsync(this.#fd, message);
    return n < 0 ? n : 0;
  }

  /** `ioctl(2)` on the device: its value, or a negative errno. */
  ioctl(request: number, argument: Uint8Array): number {
    return this.#libc.ioctl(this.#fd, request, argument);
  }

  /** Closes the descriptor. With the last one of a connection the kernel aborts it. */
  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    this.#libc.close(this.#fd);
    this.#fd = -1;
  }
}
