/** Files without a name, for what reads and writes descriptors. */
import { assertEquals } from "@std/assert";
import { Stat } from "../../ffi/libc.ts";
import { libc } from "../../ffi/load.ts";
import { cstring } from "../../src/abi/text.ts";

// Opened here, since it stays open.
const c = libc();
const { O } = c;

const MFD_ALLOW_SEALING = 2, F_ADD_SEALS = 1033, F_SEAL_GROW = 4;

/** Bytes of a text. */
export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** Text of bytes, with a dot for each zero. */
export function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).replaceAll("\0", ".");
}

/** Descriptors that are closed together. */
export class Memfds implements Disposable {
  readonly #open = new Set<number>();

  #add(fd: number): number {
    if (fd < 0) throw new Error(`errno ${-fd}`);
    this.#open.add(fd);
    return fd;
  }

  /** Takes over a descriptor. */
  adopt(fd: number): number {
    return this.#add(fd);
  }

  /** A file open for reading and writing. `sealed`: it cannot grow. */
  file(content: string | Uint8Array = "", sealed = false): number {
    const data = typeof content === "string" ? bytes(content) : content;
    const fd = this.#add(c.memfdCreate(cstring("test"), MFD_ALLOW_SEALING));
    assertEquals(c.pwrite(fd, data, data.length, 0), data.length);
    if (sealed) assertEquals(c.fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
    return fd;
  }

  /** A file open for reading. */
  readOnly(content: string | Uint8Array = ""): number {
    return this.open(`/proc/self/fd/${this.file(content)}`, O.RDONLY);
  }

  /** Any path. */
  open(path: string, flags: number): number {
    return this.#add(c.open(cstring(path), flags | O.CLOEXEC, 0o600));
  }

  /** The same file with other flags. */
  again(fd: number, flags: number): number {
    return this.open(`/proc/self/fd/${fd}`, flags);
  }

  /** Both ends of a pipe. */
  pipe(): [number, number] {
    const fds = new Int32Array(2);
    assertEquals(c.pipe2(fds, O.CLOEXEC), 0);
    return [this.#add(fds[0]), this.#add(fds[1])];
  }

  /** All bytes of a file. */
  content(fd: number): Uint8Array {
    const room = new Uint8Array(this.stat(fd).size);
    assertEquals(c.pread(fd, room, room.length, 0), room.length);
    return room;
  }

  /** Size and blocks of a file. */
  stat(fd: number): Stat {
    const stat = new Stat();
    assertEquals(c.statx(fd, cstring(""), 0x1000, 0x7ff, stat), 0);
    return stat;
  }

  /** Closes one early. */
  close(fd: number): void {
    this.#open.delete(fd);
    assertEquals(c.close(fd), 0);
  }

  [Symbol.dispose](): void {
    for (const fd of this.#open) c.close(fd);
    this.#open.clear();
  }
}
