/** Writing to the end of a file, wherever it is at that moment. */
import type { Architecture, Libc } from "../../ffi/libc.ts";
import { ERRNO } from "../errno.ts";

// pwritev2(2), which not every C library has. Source: `asm/unistd.h`.
const PWRITEV2: Readonly<Record<Architecture, number>> = { x86_64: 328, aarch64: 287 };
const RWF_APPEND = 0x10n;
// A struct iovec, in memory that does not move: of 64 bytes and less it may.
const LEAST = 128;

/** Appends through descriptors that were not opened for it. */
export class Appender {
  readonly #libc: Libc;
  readonly #iovec = new BigUint64Array(LEAST / 8);
  readonly #address: bigint;

  constructor(libc: Libc) {
    this.#libc = libc;
    this.#address = libc.address(new Uint8Array(this.#iovec.buffer));
  }

  /** How many bytes were appended, or -errno. Nothing that others append meanwhile is written over. */
  append(fd: number, data: Uint8Array, end: () => number): number {
    this.#iovec[0] = this.#libc.address(data);
    this.#iovec[1] = BigInt(data.length);
    const args = [BigInt(fd), this.#address, 1n, 0n, 0n, RWF_APPEND];
    const n = Number(this.#libc.syscall(PWRITEV2[this.#libc.architecture], args));
    // Before Linux 4.16, and file systems that leave it out.
    if (n !== -ERRNO.EOPNOTSUPP && n !== -ERRNO.ENOSYS && n !== -ERRNO.EINVAL) return n;
    return this.#libc.pwrite(fd, data, data.length, end());
  }
}
