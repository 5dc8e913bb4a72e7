/** A connection as fusectl shows it: a folder of small files, by which its requests are counted and it is cut. */
import type { Libc } from "../../ffi/libc.ts";
import { cstring, decodeName } from "../abi/text.ts";
import { ERRNO } from "../errno.ts";

/** Where fusectl is mounted. Source: the kernel's `filesystems/fuse.rst`. */
export const CONNECTIONS = "/sys/fs/fuse/connections";

/** An open connection. What is done through it concerns no later one that was given the same number. */
export class Control implements Disposable {
  readonly #libc: Libc;
  readonly #folder: number;

  private constructor(libc: Libc, folder: number) {
    this.#libc = libc;
    this.#folder = folder;
  }

  /** The connection of that number; undefined where there is none, or fusectl is not mounted. */
  static open(libc: Libc, number: number): Control | undefined {
    const { PATH, DIRECTORY, CLOEXEC } = libc.O;
    const folder = libc.open(cstring(`${CONNECTIONS}/${number}`), PATH | DIRECTORY | CLOEXEC, 0);
    return folder < 0 ? undefined : new Control(libc, folder);
  }

  /** How many requests wait for an answer; undefined where another user's are concerned, or the connection is over. */
  get waiting(): number | undefined {
    const text = this.#read("waiting");
    return typeof text === "string" && text !== "" ? Number(text) : undefined;
  }

  /** Whether its file system is still mounted somewhere, or in use. */
  lives(): boolean {
    const text = this.#read("waiting");
    // Older kernels let the files of a removed connection be opened; they are empty.
    return text !== -ERRNO.ENOENT && text !== "";
  }

  /** Ends it, so that every call on it fails at once; false where this user may not, or it is over. */
  abort(): boolean {
    const { WRONLY, CLOEXEC } = this.#libc.O;
    const fd = this.#libc.openat(this.#folder, cstring("abort"), WRONLY | CLOEXEC, 0);
    if (fd < 0) return false;
    const written = this.#libc.write(fd, cstring("1"), 1);
    this.#libc.close(fd);
    return written === 1;
  }

  [Symbol.dispose](): void {
    this.#libc.close(this.#folder);
  }

  #read(name: string): string | number {
    const { RDONLY, CLOEXEC } = this.#libc.O;
    const fd = this.#libc.openat(this.#folder, cstring(name), RDONLY | CLOEXEC, 0);
    if (fd < 0) return fd;
    const text = new Uint8Array(128);
    const n = this.#libc.read(fd, text);
    this.#libc.close(fd);
    return n < 0 ? n : decodeName(text, 0, n).trim();
  }
}
