/** Handles of files, which lead to an inode without its name and hold no descriptor. Source: `open_by_handle_at(2)`. */
import { AT_EMPTY_PATH } from "../../../ffi/libc.ts";
import type { Libc } from "../../../ffi/libc.ts";
import { type Call, SYSCALLS } from "./syscalls.ts";
import { EMPTY } from "./system.ts";

// struct file_handle: the size of what follows, its type, and up to MAX_HANDLE_SZ bytes.
const HEAD = 8, MOST = 128;

/** Asks for handles, and opens them: where the file system has any, and the server may (CAP_DAC_READ_SEARCH). */
export class FileHandles {
  readonly #libc: Libc;
  readonly #numbers: Readonly<Record<Call, number>>;
  readonly #bytes = new Uint8Array(HEAD + MOST);
  readonly #size = new DataView(this.#bytes.buffer);
  /** Where the id of the mount goes, which nobody asks for. */
  readonly #mount = new Uint8Array(MOST);

  constructor(libc: Libc) {
    this.#libc = libc;
    this.#numbers = SYSCALLS[libc.architecture];
  }

  /** The handle of what is open, a character for each byte; undefined: there is none. */
  of(fd: number): string | undefined {
    this.#size.setUint32(0, MOST, true);
    const [path, handle, mount] = [EMPTY, this.#bytes, this.#mount].map((bytes) => this.#libc.address(bytes));
    const args = [BigInt(fd), path, handle, mount, BigInt(AT_EMPTY_PATH)];
    if (this.#libc.syscall(this.#numbers.nameToHandleAt, args) < 0n) return undefined;
    return String.fromCharCode(...this.#bytes.subarray(0, HEAD + this.#size.getUint32(0, true)));
  }

  /** Opens what a handle leads to, by any descriptor but an O_PATH one of the same mount; -errno where it does not. */
  open(fd: number, handle: string, flags: number): number {
    for (let i = 0; i < handle.length; i++) this.#bytes[i] = handle.charCodeAt(i);
    const args = [BigInt(fd), this.#libc.address(this.#bytes), BigInt(flags)];
    return Number(this.#libc.syscall(this.#numbers.openByHandleAt, args));
  }
}
