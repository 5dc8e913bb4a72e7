/**
 * The kernel's side of a connection, in bytes: requests as the kernel builds them, replies as it finds them. Structs
 * are laid out as the header's C compiler did (`tests/fixtures/fuse-7.45.json`), not by the code under test.
 */
import { setImmediate } from "node:timers/promises";
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { RequestBuffer } from "../../src/abi/message.ts";
import { OPCODE, type OpcodeName } from "../../src/abi/opcode.ts";
import { errnoName, type FuseError } from "../../src/errno.ts";
import type { Passthrough } from "../../src/fs/backing.ts";
import type { Filesystem, Negotiated } from "../../src/fs/filesystem.ts";
import type { OpenArbiter } from "../../src/ops/op.ts";
import type { CharacterDeviceOptions } from "../../src/session/cuse.ts";
import { Dispatcher } from "../../src/session/dispatch.ts";
import { Notifier } from "../../src/session/notifier.ts";
import { resolveOptions, type SessionOptions } from "../../src/session/options.ts";
import header from "../fixtures/fuse-7.45.json" with { type: "json" };

/** Values of a struct's fields; those that are absent are 0. */
export interface Values {
  readonly [field: string]: number | bigint | Values;
}

interface Layout {
  readonly size: number;
  readonly fields: readonly { readonly name: string; readonly type: string; readonly offset: number; size: number }[];
}

function layoutOf(name: string): Layout {
  const found = (header.structs as Record<string, Layout>)[name];
  assert(found, `the header has no struct ${name}`);
  return found;
}

function put(view: DataView, at: number, name: string, values: Values): void {
  const { fields } = layoutOf(name);
  for (const [key, value] of Object.entries(values)) {
    const field = fields.find((f) => f.name === key);
    assert(field, `struct ${name} has no field ${key}`);
    const where = at + field.offset;
    if (typeof value === "object") put(view, where, field.type, value);
    else if (field.size === 8) view.setBigUint64(where, BigInt.asUintN(64, BigInt(value)), true);
    else if (field.size === 4) view.setUint32(where, Number(value), true);
    else if (field.size === 2) view.setUint16(where, Number(value), true);
    else throw new TypeError(`${name}.${key} is no number`);
  }
}

/** A struct of the header in bytes. */
export function c(name: string, values: Values = {}): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(layoutOf(name).size);
  put(new DataView(bytes.buffer), 0, name, values);
  return bytes;
}

/** One number of a struct of the header: `field("fuse_entry_out", "attr.ino", body)`. */
export function field(name: string, path: string, bytes: Uint8Array, at = 0): number | bigint {
  const [first, ...rest] = path.split(".");
  const found = layoutOf(name).fields.find((f) => f.name === first);
  assert(found, `struct ${name} has no field ${first}`);
  if (rest.length > 0) return field(found.type, rest.join("."), bytes, at + found.offset);
  const view = new DataView(bytes.buffer, bytes.byteOffset + at + found.offset, found.size);
  if (found.size === 8) {
    const value = found.type.startsWith("int") ? view.getBigInt64(0, true) : view.getBigUint64(0, true);
    return value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER ? Number(value) : value;
  }
  if (found.size === 2) return view.getUint16(0, true);
  return found.type.startsWith("int") ? view.getInt32(0, true) : view.getUint32(0, true);
}

/** Bytes behind each other; a string gets its NUL. */
export function join(...parts: readonly (string | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  const bytes = parts.map((part) => typeof part === "string" ? new TextEncoder().encode(`${part}\0`) : part);
  const all = new Uint8Array(bytes.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of bytes) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** UTF-8, without a NUL. */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** What a request says beside its opcode. */
export interface Body {
  readonly nodeid?: number | bigint;
  readonly uid?: number;
  readonly gid?: number;
  readonly pid?: number;
  /** Structs, names and data, in the kernel's order. */
  readonly parts?: readonly (string | Uint8Array)[];
  /** Extensions at the end; a multiple of 8 bytes. */
  readonly extensions?: Uint8Array;
}

/** A request in bytes. */
export function request(opcode: OpcodeName | number, unique: bigint, body: Body = {}): Uint8Array<ArrayBuffer> {
  const { nodeid = 1, uid = 0, gid = 0, pid = 0, parts = [], extensions = new Uint8Array(0) } = body;
  const rest = join(...parts, extensions);
  return join(
    c("fuse_in_header", {
      len: 40 + rest.length,
      opcode: typeof opcode === "number" ? opcode : OPCODE[opcode],
      unique,
      nodeid,
      uid,
      gid,
      pid,
      total_extlen: extensions.length / 8,
    }),
    rest,
  );
}

/** A reply as the kernel finds it. */
export interface Answer {
  readonly unique: bigint;
  /** Positive, or 0. */
  readonly errno: number;
  /** Its name; "" for 0. */
  readonly error: string;
  /** What follows the header. */
  readonly body: Uint8Array;
  /** The same bytes. */
  readonly view: DataView;
}

/** What the author was told of. */
export interface Report {
  readonly error: unknown;
  readonly opcode: string;
  readonly nodeid: number;
}

/** What INIT offers: everything this kernel knows, unless told otherwise. */
export interface InitOffer {
  readonly major?: number;
  readonly minor?: number;
  readonly maxReadahead?: number;
  /** Bits 0 to 31. */
  readonly flags?: number;
  /** Bits 32 to 63. */
  readonly flags2?: number;
  /** Bytes of `fuse_init_in` that are sent: 64 since 7.36, 16 before. */
  readonly size?: number;
}

const NO_PASSTHROUGH: Passthrough = {
  unavailable: "there is no device",
  register() {
    throw new TypeError("there is no device");
  },
  stats: () => ({ registered: 0, closed: 0, open: 0, fallbacks: {}, reasons: {} }),
};

/** A session's dispatcher without its device. */
export class Wire {
  readonly dispatcher: Dispatcher;
  /** Every reply so far. */
  readonly replies: Answer[] = [];
  /** Every call of onError so far. */
  readonly reports: Report[] = [];
  /** Buffers that were kept for an asynchronous handler and came back. */
  readonly freed: RequestBuffer[] = [];
  /** Buffers that were kept. */
  readonly kept: RequestBuffer[] = [];
  /** Notifications so far, as they reach the kernel. */
  readonly messages: Uint8Array[] = [];
  /** What the kernel answers to a notification: 0, or a negative errno. */
  notified = 0;
  readonly notifier: Notifier = new Notifier({
    send: (message) => {
      this.messages.push(message.slice());
      return this.notified;
    },
    sendElsewhere: (message) => {
      this.messages.push(message.slice());
      return Promise.resolve(this.notified);
    },
  });
  negotiated: Negotiated | null = null;
  refused: FuseError | null = null;
  #unique = 0x8000_0003_0000_0000n;
  #lose = 0;
  readonly #waiting = new Map<bigint, (answer: Answer) => void>();

  constructor(
    fs: Filesystem,
    options: SessionOptions = {},
    arbiter?: OpenArbiter,
    character?: CharacterDeviceOptions,
  ) {
    const onError = options.onError ??
      ((error, { opcode, nodeid }) => void this.reports.push({ error, opcode, nodeid }));
    this.dispatcher = new Dispatcher(fs, resolveOptions({ ...options, onError }), {
      send: ({ bytes, length, payload }) => {
        const whole = join(bytes.slice(0, length), payload ?? new Uint8Array(0));
        const view = new DataView(whole.buffer);
        assertStrictEquals(view.getUint32(0, true), whole.length, "the length in a reply's header");
        const errno = -view.getInt32(4, true) || 0;
        assert(errno >= 0 && errno < 512, `errno ${errno}`);
        if (errno !== 0) assertStrictEquals(whole.length, 16, "an error carries nothing");
        const unique = view.getBigUint64(8, true);
        const body = whole.subarray(16);
        const error = errno === 0 ? "" : errnoName(errno);
        const answer = { unique, errno, error, body, view: new DataView(whole.buffer, 16) };
        this.replies.push(answer);
        this.#waiting.get(unique)?.(answer);
        return this.#lose === 0 || this.#lose-- === 0;
      },
      free: (buffer) => void this.freed.push(buffer),
      ready: (negotiated) => {
        this.negotiated = negotiated;
        this.notifier.begin(negotiated.minor);
        fs.init?.({ negotiated, notify: this.notifier, passthrough: NO_PASSTHROUGH });
      },
      refused: (error) => void (this.refused = error),
      arbiter,
      character,
      retrieved: (unique, data) => this.notifier.retrieved(unique, data),
    });
  }

  /** The number that the next request will have. */
  get nextUnique(): bigint {
    return this.#unique + 2n;
  }

  /** Hands over bytes as they are; answers the replies that came in the same turn. */
  raw(bytes: Uint8Array): Answer[] {
    const before = this.replies.length;
    // What an earlier request left behind it: text, with an end.
    const buffer = new RequestBuffer(new Uint8Array(bytes.length + 64));
    buffer.bytes.fill(0x41, bytes.length, bytes.length + 48);
    buffer.bytes.set(bytes);
    if (this.dispatcher.handle(buffer, bytes.length)) this.kept.push(buffer);
    return this.replies.slice(before);
  }

  #next(opcode: OpcodeName | number, body: Body): { unique: bigint; bytes: Uint8Array } {
    const unique = this.#unique += 2n;
    return { unique, bytes: request(opcode, unique, body) };
  }

  /** Sends a request that is answered in the same turn. */
  send(opcode: OpcodeName | number, body: Body = {}): Answer {
    const { unique, bytes } = this.#next(opcode, body);
    const answers = this.raw(bytes);
    assertEquals(answers.map((a) => a.unique), [unique], `one reply to ${opcode} in the same turn`);
    return answers[0];
  }

  /** Sends a request that is answered later. */
  async later(opcode: OpcodeName | number, body: Body = {}): Promise<Answer> {
    const { unique, bytes } = this.#next(opcode, body);
    const answer = new Promise<Answer>((resolve) => this.#waiting.set(unique, resolve));
    assertEquals(this.raw(bytes), [], `no reply to ${opcode} in the same turn`);
    const first = await answer;
    await settled();
    assertEquals(this.replies.filter((a) => a.unique === unique).length, 1, `one reply to ${opcode}`);
    return first;
  }

  /** Sends a request that is answered now or later. */
  async ask(opcode: OpcodeName | number, body: Body = {}): Promise<Answer> {
    const { unique, bytes } = this.#next(opcode, body);
    const answer = new Promise<Answer>((resolve) => this.#waiting.set(unique, resolve));
    this.raw(bytes);
    return await answer;
  }

  /** Sends a request that nobody answers. */
  post(opcode: OpcodeName | number, body: Body = {}): void {
    assertEquals(this.raw(this.#next(opcode, body).bytes), [], `no reply to ${opcode}`);
  }

  /** Sends a request whose reply the kernel no longer wants; answers that reply. */
  lose(opcode: OpcodeName | number, body: Body = {}): Answer {
    this.#lose = 1;
    const answer = this.send(opcode, body);
    assertStrictEquals(this.#lose, 0);
    return answer;
  }

  /** The same, of a request that is answered later. */
  async loseLater(opcode: OpcodeName | number, body: Body = {}): Promise<Answer> {
    this.#lose = 1;
    const answer = await this.later(opcode, body);
    assertStrictEquals(this.#lose, 0);
    return answer;
  }

  /** Sends INIT. */
  init(offer: InitOffer = {}): Answer {
    const { major = 7, minor = 45, maxReadahead = 131072, flags = 0xffffffff, flags2 = 0xffffffff } = offer;
    const whole = c("fuse_init_in", { major, minor, max_readahead: maxReadahead, flags, flags2 });
    return this.send("FUSE_INIT", { nodeid: 0, parts: [whole.subarray(0, offer.size ?? (minor < 36 ? 16 : 64))] });
  }
}

/** A connection whose handshake is done. */
export function connect(fs: Filesystem, options: SessionOptions = {}, offer: InitOffer = {}): Wire {
  const wire = new Wire(fs, options);
  assertStrictEquals(wire.init(offer).errno, 0);
  wire.replies.length = 0;
  return wire;
}

/** Waits until everything that only waits for promises has run. */
export function settled(): Promise<void> {
  return setImmediate();
}

/** Opens a directory; answers its number. */
export function opendir(wire: Wire, nodeid = 1): number {
  const { errno, body } = wire.send("FUSE_OPENDIR", { nodeid, parts: [c("fuse_open_in")] });
  assertStrictEquals(errno, 0);
  return Number(field("fuse_open_out", "fh", body));
}

/** An entry as the kernel reads it from READDIR or READDIRPLUS. */
export interface Dirent {
  readonly name: string;
  readonly ino: number | bigint;
  readonly off: number;
  readonly type: number;
  /** Nodeid of READDIRPLUS; 0: no attributes. */
  readonly nodeid: number;
  /** The name's bytes. */
  readonly bytes: Uint8Array;
  /** `struct fuse_entry_out` of READDIRPLUS. */
  readonly entry: Uint8Array;
}

/** Takes the answer to READDIR apart. Source: `fs/fuse/readdir.c parse_dirfile`. */
export function dirents(body: Uint8Array, plus = false): Dirent[] {
  const all: Dirent[] = [];
  const before = plus ? 128 : 0;
  for (let at = 0; at < body.length;) {
    const here = at + before;
    assert(here + 24 <= body.length, "an entry is cut off");
    const namelen = Number(field("fuse_dirent", "namelen", body, here));
    const end = here + Math.ceil((24 + namelen) / 8) * 8;
    assert(namelen > 0 && end <= body.length, "a name is cut off");
    const bytes = body.slice(here + 24, here + 24 + namelen);
    assert(body.subarray(here + 24 + namelen, end).every((b) => b === 0), "the padding is 0");
    all.push({
      name: new TextDecoder().decode(bytes),
      ino: field("fuse_dirent", "ino", body, here),
      off: Number(field("fuse_dirent", "off", body, here)),
      type: Number(field("fuse_dirent", "type", body, here)),
      nodeid: plus ? Number(field("fuse_entry_out", "nodeid", body, at)) : 0,
      bytes,
      entry: body.slice(at, here),
    });
    at = end;
  }
  return all;
}
