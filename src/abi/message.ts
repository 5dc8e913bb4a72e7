/** A request as it lies in its buffer, and a reply as it is put together. The only parser and the only packer. */
import { OverflowError, type Struct } from "./layout.ts";
import { fuse_in_header, fuse_out_header } from "./structs.ts";
import { decodeName, encodeNameInto } from "./text.ts";

/** Memory for one request. */
export class RequestBuffer {
  /** The memory. */
  readonly bytes: Uint8Array;
  /** The same memory. */
  readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }
}

/** A request that contradicts its own lengths. It is answered EIO and never reaches a handler. */
export class WireError extends Error {
  override name = "WireError";
  /** As node spells it. */
  readonly code = "EIO";
}

const IN_HEADER = fuse_in_header.size;
const LENGTH = fuse_in_header.offsetOf("len");
const OPCODE = fuse_in_header.offsetOf("opcode");
const UNIQUE = fuse_in_header.offsetOf("unique");
const NODEID = fuse_in_header.offsetOf("nodeid");
const UID = fuse_in_header.offsetOf("uid");
const GID = fuse_in_header.offsetOf("gid");
const PID = fuse_in_header.offsetOf("pid");
const EXTENSIONS = fuse_in_header.offsetOf("total_extlen");

/**
 * A cursor over one request. It is set upon a buffer, read from front to back while the request is decoded, and set
 * upon the next; what it hands out as numbers and strings stays, what it hands out as bytes is the buffer.
 */
export class Message {
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(this.bytes.buffer);
  /** Where the next argument begins. */
  position = 0;
  /** Where the arguments end: extensions, if any, begin there. */
  end = 0;
  /** Minor version in force. */
  minor = 0;

  /** Begins a request of `length` bytes. Throws a WireError where the header contradicts that, or an OverflowError. */
  begin(buffer: RequestBuffer, length: number): void {
    this.bytes = buffer.bytes;
    this.view = buffer.view;
    this.position = IN_HEADER;
    this.end = length;
    if (length < IN_HEADER) {
      // What an earlier request left there is not this one's.
      this.bytes.fill(0, length, IN_HEADER);
      throw new WireError(`a request of ${length} bytes is shorter than its header`);
    }
    const stated = this.view.getUint32(LENGTH, true);
    if (stated !== length) throw new WireError(`a request of ${length} bytes states ${stated}`);
    const extensions = this.view.getUint16(EXTENSIONS, true) * 8;
    if (extensions > length - IN_HEADER) throw new WireError(`extensions of ${extensions} bytes exceed the request`);
    this.end = length - extensions;
    // Every nodeid was handed out by an author, as a number.
    if (this.view.getUint32(NODEID + 4, true) > 0x1fffff) throw new OverflowError("the nodeid exceeds 2^53-1");
  }

  /** Whether extensions follow the arguments. */
  get extended(): boolean {
    return this.view.getUint16(EXTENSIONS, true) !== 0;
  }

  get opcode(): number {
    return this.view.getUint32(OPCODE, true);
  }
  /** Lower half of the kernel's number of this request. */
  get uniqueLow(): number {
    return this.view.getUint32(UNIQUE, true);
  }
  /** Upper half. */
  get uniqueHigh(): number {
    return this.view.getUint32(UNIQUE + 4, true);
  }
  get nodeid(): number {
    return this.view.getUint32(NODEID + 4, true) * 4294967296 + this.view.getUint32(NODEID, true);
  }
  get uid(): number {
    return this.view.getUint32(UID, true);
  }
  get gid(): number {
    return this.view.getUint32(GID, true);
  }
  get pid(): number {
    return this.view.getUint32(PID, true);
  }

  /** Bytes that are left. */
  get left(): number {
    return this.end - this.position;
  }

  /** Passes over `size` bytes and answers where they begin. */
  take(size: number): number {
    const at = this.position;
    if (size > this.end - at) throw new WireError(`${size} bytes of arguments are expected, ${this.end - at} are left`);
    this.position = at + size;
    return at;
  }

  /** The next struct. */
  struct<V>(type: Struct<V>): V {
    return type.read(this.view, this.take(type.size));
  }

  /** The next NUL-terminated string. */
  string(): string {
    const start = this.position;
    const nul = this.bytes.indexOf(0, start);
    if (nul < 0 || nul >= this.end) throw new WireError("a string has no end");
    this.position = nul + 1;
    return decodeName(this.bytes, start, nul);
  }

  /** The next `size` bytes: borrowed. */
  data(size: number): Uint8Array {
    const at = this.take(size);
    return this.bytes.subarray(at, at + size);
  }
}

const OUT_HEADER = fuse_out_header.size;

/** A reply under construction: header, then fixed parts and small data in `bytes`, then perhaps one large payload. */
export class Reply {
  bytes: Uint8Array;
  view: DataView;
  /** Bytes used, header included. */
  length = OUT_HEADER;
  /** Sent behind `bytes`, without a copy. */
  payload: Uint8Array | null = null;

  constructor(capacity = 32 * 1024) {
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Begins anew. */
  reset(): void {
    this.length = OUT_HEADER;
    this.payload = null;
  }

  /** Room for `size` bytes; answers where it begins. */
  reserve(size: number): number {
    const at = this.length;
    if (at + size > this.bytes.length) {
      const larger = new Uint8Array(Math.max(this.bytes.length * 2, at + size));
      larger.set(this.bytes);
      this.bytes = larger;
      this.view = new DataView(larger.buffer);
    }
    this.length = at + size;
    return at;
  }

  /** Appends a struct. */
  struct<V>(type: Struct<V>, value: V): void {
    const at = this.reserve(type.size);
    type.write(this.view, at, value);
  }

  /** Appends a string without a NUL. */
  string(text: string): void {
    if (typeof text !== "string") throw new TypeError(`the answer is ${text}; it has to be a string`);
    const at = this.reserve(text.length * 3);
    this.length = encodeNameInto(text, this.bytes, at);
  }

  /** Appends bytes: a copy where they are few, for a second part of a system call costs more than 16 KiB of copying. */
  data(bytes: Uint8Array): void {
    if (!(bytes instanceof Uint8Array)) throw new TypeError(`the answer is ${bytes}; it has to be a Uint8Array`);
    if (bytes.length > 16 * 1024 && this.payload === null) {
      this.payload = bytes;
      return;
    }
    const at = this.reserve(bytes.length);
    this.bytes.set(bytes, at);
  }

  /** Writes the header; the reply is complete. `errno` is positive, or 0. */
  finish(uniqueLow: number, uniqueHigh: number, errno: number): void {
    if (errno !== 0) this.reset();
    const total = this.length + (this.payload === null ? 0 : this.payload.length);
    const v = this.view;
    v.setUint32(0, total, true);
    v.setInt32(4, -errno, true);
    v.setUint32(8, uniqueLow, true);
    v.setUint32(12, uniqueHigh, true);
  }
}
