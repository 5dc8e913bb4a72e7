/** An open folder, read in pieces. */
import type { Libc } from "../../../ffi/libc.ts";
import { decodeName } from "../../abi/text.ts";
import { SEEK_SET } from "../../fs/flags.ts";
import { S_IFDIR } from "../../fs/mode.ts";
import type { DirEntry } from "../../fs/types.ts";
import { type Device, type Node, shownIno } from "./node.ts";
import { check } from "./system.ts";

const CHUNK = 32 * 1024;
// struct linux_dirent64
const OFF = 8, RECLEN = 16, TYPE = 18, NAME = 19;
// "." and ".." come first, whatever the source's order is: so their numbers are those of the mirror.
const DOTS = 2;

/**
 * The entries of an open folder. A file system's own cookies use up to 63 bits, which neither a number nor the
 * protocol's signed offset beside two further entries would hold. So a cookie is the position in the pass, and the file
 * system's is remembered for each position, 8 bytes an entry: going on behind an entry is right even where others were
 * removed.
 */
export class OpenDirectory {
  /** Its descriptor. */
  readonly fd: number;
  /** The folder. */
  readonly node: Node;
  readonly #libc: Libc;
  readonly #device: Device;
  #chunk?: Uint8Array;
  #view!: DataView;
  // The chunk holds the entries from position `first` on, in `end` bytes; the next one, `index`, begins at `at`.
  #first = 0;
  #end = 0;
  #index = 0;
  #at = 0;
  // By position: the file system's cookie behind that entry.
  #cookies = new BigInt64Array(256);
  #halves = new Int32Array(this.#cookies.buffer);
  #known = 0;

  constructor(libc: Libc, fd: number, node: Node) {
    this.#libc = libc;
    this.fd = fd;
    this.node = node;
    this.#device = node.device;
  }

  /** The entries behind a cookie, 0: all of them, as the folder is now. They are read as they are taken. */
  *entries(cookie: number): Generator<DirEntry> {
    const node = this.node;
    if (cookie === 0) {
      this.#seek(0);
      yield { name: ".", ino: shownIno(node.device, node.ino), mode: S_IFDIR, offset: 1 };
    }
    if (cookie <= 1) {
      const up = node.parent ?? node;
      yield { name: "..", ino: shownIno(up.device, up.ino), mode: S_IFDIR, offset: DOTS };
    }
    for (let index = Math.max(0, cookie - DOTS); this.#goto(index); index++) {
      const entry = this.#take();
      if (entry.name !== "." && entry.name !== "..") yield entry;
    }
  }

  /** Makes the entry of a position the next one; false: there is none. */
  #goto(index: number): boolean {
    if (index !== this.#index) {
      if (index < this.#first || index > this.#index) {
        if (index > this.#known) return false;
        this.#seek(index);
      } else {
        this.#index = this.#first;
        for (this.#at = 0; this.#index < index; this.#index++) {
          this.#at += this.#view.getUint16(this.#at + RECLEN, true);
        }
      }
    }
    if (this.#at < this.#end) return true;
    if (this.#chunk === undefined) {
      this.#chunk = new Uint8Array(CHUNK);
      this.#view = new DataView(this.#chunk.buffer);
    }
    this.#end = this.#at = 0;
    this.#first = this.#index;
    this.#end = check("getdents64", this.#libc.getdents64(this.fd, this.#chunk));
    return this.#end > 0;
  }

  #seek(index: number): void {
    check("lseek", this.#libc.lseek(this.fd, index === 0 ? 0 : this.#cookies[index - 1], SEEK_SET));
    this.#first = this.#index = index;
    this.#at = this.#end = 0;
  }

  #take(): DirEntry {
    const view = this.#view, chunk = this.#chunk!, at = this.#at, index = this.#index++;
    this.#remember(index, view.getInt32(at + OFF, true), view.getInt32(at + OFF + 4, true));
    this.#at = at + view.getUint16(at + RECLEN, true);
    let ino: number | bigint = view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
    if (ino > Number.MAX_SAFE_INTEGER) ino = view.getBigUint64(at, true);
    return {
      name: decodeName(chunk, at + NAME, chunk.indexOf(0, at + NAME)),
      ino: shownIno(this.#device, ino),
      mode: chunk[at + TYPE] << 12,
      offset: index + 1 + DOTS,
    };
  }

  #remember(index: number, low: number, high: number): void {
    if (index >= this.#cookies.length) {
      const larger = new BigInt64Array(this.#cookies.length * 2);
      larger.set(this.#cookies);
      this.#cookies = larger;
      this.#halves = new Int32Array(larger.buffer);
    }
    this.#halves[index * 2] = low;
    this.#halves[index * 2 + 1] = high;
    if (index >= this.#known) this.#known = index + 1;
  }
}
