/**
 * Requests that no kernel sends, to handlers that answer anything: 100,000 of them, and always one answer each. A
 * failure is printed with its seed and the smallest request that shows it. They are the same each time, and others by
 * `FUSEWIRE_SEED=random`.
 *
 * Each request is played twice, with other bytes behind it in its buffer: what is not of the request shows as a
 * difference in what the handlers saw, or in the reply.
 */
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import { RequestBuffer } from "../../src/abi/message.ts";
import { OPCODE, type OpcodeName } from "../../src/abi/opcode.ts";
import { FuseError } from "../../src/errno.ts";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import type { Request } from "../../src/fs/types.ts";
import { Dispatcher } from "../../src/session/dispatch.ts";
import { resolveOptions, type SessionOptions } from "../../src/session/options.ts";
import { formatTrace } from "../../src/session/trace.ts";
import { bodyOf, CASES, SERVED } from "../ops/cases.ts";
import { c, join, request, settled, utf8 } from "../support/wire.ts";
import { test } from "../support/harness.ts";
import { SEED } from "../support/seed.ts";

const SILENT = new Set<number>(
  (["FUSE_FORGET", "FUSE_BATCH_FORGET", "FUSE_INTERRUPT", "FUSE_NOTIFY_REPLY"] as const).map((name) => OPCODE[name]),
);
const NAMES = Object.keys(CASES) as OpcodeName[];
const VALID: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = Object.fromEntries(
  NAMES.map((name) => [name, request(name, 0n, bodyOf(CASES[name]))]),
);

/** What a method answers where it does as it should. */
const RIGHT = new Map<string, unknown>(SERVED.map(([, row]) => [row.method, row.value]));

const FILE = { mode: 0o100644 };

/** Objects that throw when they are looked at. */
const HOSTILE = new WeakSet<object>();

function hostile(value: object): object {
  HOSTILE.add(value);
  return value;
}

/** What it might answer or throw otherwise; made anew each time, for some can be used but once. */
const ODD: readonly (() => unknown)[] = [
  () => undefined,
  () => null,
  () => 0,
  () => -1,
  () => 3,
  () => NaN,
  () => Infinity,
  () => 2 ** 53,
  () => 5n,
  () => "text",
  () => "",
  () => "a\0b",
  () => "a\ud800",
  () => Symbol("x"),
  () => () => {},
  () => ({}),
  () => [],
  () => [[]],
  () => ["user.a", "user.b"],
  () => ["a", 5],
  () => utf8("abc"),
  () => new Uint8Array(0),
  () => new Uint8Array(20_000),
  () => new Uint16Array(3),
  () => new ArrayBuffer(3),
  () => ({ length: 2 ** 40 }),
  () => ({ attr: FILE }),
  () => ({ attr: { mode: 0 } }),
  () => ({ attr: { ...FILE, size: -1 } }),
  () => ({ nodeid: 2, attr: FILE }),
  () => ({ nodeid: 0 }),
  () => ({ nodeid: 2 ** 60, attr: FILE }),
  () => ({ nodeid: 2, attr: { ...FILE, ino: 2n ** 70n } }),
  () => ({ entry: { nodeid: 2, attr: FILE }, fh: 3 }),
  () => ({ entry: null }),
  () => ({ fh: 3 }),
  () => ({ fh: -1, backing: -1 }),
  () => ({ backing: 0, keepCache: true }),
  () => ({ data: utf8("abc"), result: 2 ** 40 }),
  () => ({ retry: { in: [{ base: 1n, length: 8 }], out: [{ base: -1n, length: 8 }] } }),
  () => ({ retry: { in: Array(300).fill({ base: 1n, length: 8 }) } }),
  () => ({ start: 0n, end: 1n, type: 0, pid: 0 }),
  () => ({ start: 0, end: 1 }),
  () => ({ then: 5 }),
  () => [{ name: "a", ino: 2, mode: 0 }, { name: "", ino: 2, mode: 0 }],
  () => [{ name: ".", ino: 1, mode: 0o40000, offset: 1 }, { name: "b".repeat(300), ino: 2, mode: 0, offset: 2 }],
  () => [{ name: "a", ino: 2, mode: 0, offset: 5 }, { name: "b", ino: 3, mode: 0 }],
  () => [null],
  function* () {
    for (let i = 0; i < 2000; i++) yield { name: `entry-${i}`, ino: i + 2, mode: 0o100644 };
  },
  function* () {
    yield { name: "a", ino: 2, mode: 0 };
    throw new FuseError("EXDEV");
  },
  async function* () {
    yield { name: "a", ino: 2, mode: 0 };
    await null;
    throw new Error("x");
  },
  () => ({ [Symbol.iterator]: () => ({ next: () => 5 }) }),
  () => ({ [Symbol.iterator]: () => null }),
  () => new FuseError("ENOSPC"),
  () => new FuseError(4095),
  () => new Error("x"),
  () => new DOMException("x", "AbortError"),
  () => Object.assign(new Error(), { code: "ENOTDIR" }),
  () => ({ code: "toString", name: "constructor" }),
  () => hostile(Object.defineProperty({}, "attr", { get: () => assert(false) })),
  () => hostile(Object.defineProperty({}, "code", { get: () => assert(false) })),
  () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return hostile(proxy);
  },
];

/** How a handler behaves. */
interface Behaviour {
  readonly how: "answers" | "throws" | "answers later" | "rejects" | "waits for its signal";
  /** Index of {@linkcode ODD}; null: as it should. */
  readonly odd: number | null;
}

/** What is played. */
interface Scene {
  readonly requests: readonly Uint8Array<ArrayBuffer>[];
  /** Of the calls, in turn. */
  readonly behaviours: readonly Behaviour[];
  readonly options: SessionOptions;
  readonly minor: number;
  /** The kernel no longer wants the replies. */
  readonly lost: boolean;
  /** The session ends while some are waiting. */
  readonly ends: boolean;
}

/** A value in text, that two may be compared. */
function plain(value: unknown): string {
  if (value instanceof Uint8Array) return `<${value}>`;
  if (typeof value !== "object" || value === null) return `${typeof value} ${String(value)}`;
  return `{${Object.entries(value).map(([key, inner]) => `${key}: ${plain(inner)}`).join(", ")}}`;
}

/** Checks that no value points out of its request. */
function inside(value: unknown, buffer: RequestBuffer, end: number): void {
  if (value instanceof Uint8Array) {
    assertStrictEquals(value.buffer, buffer.bytes.buffer, "the data is the request's");
    assert(value.byteOffset >= 40 && value.byteOffset + value.length <= end, "the data is within the request");
  } else if (typeof value === "number") assert(Number.isSafeInteger(value), `${value} is no whole number`);
  else if (typeof value === "object" && value !== null) {
    for (const inner of Object.values(value)) inside(inner, buffer, end);
  }
}

/** Methods that are there: all of them, but for some that options exclude. */
function filesystem(absent: readonly string[], called: (method: string, args: unknown, one: Request) => unknown) {
  const methods = ["init", "destroy", ...absent];
  return new Proxy({} as Filesystem, {
    get: (_, name) =>
      methods.includes(String(name)) ? undefined : (args: unknown, one: Request) => called(String(name), args, one),
  });
}

const GOOD = request("FUSE_GETATTR", 0x7fff_0002n, { nodeid: 5, parts: [c("fuse_getattr_in")] });
const GOOD_REPLY = join(
  c("fuse_out_header", { len: 120, unique: 0x7fff_0002n }),
  c("fuse_attr_out", { attr: { ino: 5, mode: 0o100644, nlink: 1, blksize: 4096 } }),
);
const OPENDIR = request("FUSE_OPENDIR", 0x7fff_0004n, { parts: [c("fuse_open_in")] });

/** Plays a scene with that byte behind each request; answers everything that could be seen, as text. */
async function play(scene: Scene, canary: number): Promise<string[]> {
  const { requests, behaviours, options, minor } = scene;
  const seen: string[] = [];
  const failures: unknown[] = [];
  const replies: Uint8Array[] = [];
  const kept = new Set<RequestBuffer>();
  let buffer = new RequestBuffer(new Uint8Array(0)), end = 0, fuzzing = false, lost = false, calls = 0;
  const fs = filesystem(options.noOpendir ? ["opendir", "releasedir"] : [], (method, args, one) => {
    if (!fuzzing) return method === "opendir" ? { fh: 70 } : { attr: FILE };
    seen.push(`${method} ${plain(args)} ${one?.groups} ${plain(one?.securityContexts)}`);
    try {
      inside(args, buffer, end);
    } catch (error) {
      // Thrown here it would pass for a bug of the handler.
      failures.push(error);
    }
    const { how, odd } = behaviours[calls++ % behaviours.length];
    const value = odd === null ? RIGHT.get(method) : ODD[odd]();
    switch (how) {
      case "answers":
        return value;
      case "throws":
        throw value;
      case "answers later":
        return settled().then(() => value);
      case "rejects":
        return settled().then(() => Promise.reject(value));
      case "waits for its signal":
        // forget has nobody who asks.
        if (one === undefined) return;
        return new Promise((_, reject) => {
          if (one.signal.aborted) reject(one.signal.reason);
          else one.signal.addEventListener("abort", () => reject(one.signal.reason));
        });
    }
  });
  const dispatcher = new Dispatcher(
    fs,
    resolveOptions({
      ...options,
      onError: (_, { opcode, nodeid }) => void seen.push(`onError ${opcode} ${nodeid}`),
    }),
    {
      send({ bytes, length, payload }) {
        const whole = join(bytes.slice(0, length), payload ?? new Uint8Array(0));
        const view = new DataView(whole.buffer);
        assertStrictEquals(view.getUint32(0, true), whole.length, "the length in the reply's header");
        const error = view.getInt32(4, true);
        assert(error <= 0 && error > -512, `the error in the reply's header is ${error}`);
        if (error !== 0) assertStrictEquals(whole.length, 16, "an error carries nothing");
        replies.push(whole);
        return !lost;
      },
      free(one) {
        assert(kept.delete(one), "a buffer was given back that was not kept");
      },
      ready: () => {},
    },
  );
  const hand = (bytes: Uint8Array) => {
    buffer = new RequestBuffer(new Uint8Array(bytes.length + 80));
    buffer.bytes.fill(canary, bytes.length);
    buffer.bytes.set(bytes);
    const extensions = bytes.length >= 40 ? 8 * new DataView(buffer.bytes.buffer).getUint16(36, true) : 0;
    end = bytes.length - extensions;
    if (dispatcher.handle(buffer, bytes.length)) kept.add(buffer);
  };

  const init = c("fuse_init_in", { major: 7, minor, flags: 0xffffffff, flags2: 0xffffffff });
  hand(request("FUSE_INIT", 0x7fff_0000n, { nodeid: 0, parts: [init] }));
  if (!options.noOpendir) hand(OPENDIR);
  replies.length = 0;

  fuzzing = true;
  lost = scene.lost;
  const expected: bigint[] = [];
  for (const bytes of requests) {
    const view = new DataView(bytes.buffer);
    if (bytes.length >= 16 && !SILENT.has(view.getUint32(4, true))) expected.push(view.getBigUint64(8, true));
    hand(bytes);
  }
  for (let turns = 0; turns < 4 && dispatcher.pending > 0; turns++) await settled();
  if (scene.ends || dispatcher.pending > 0) {
    assert(scene.ends || behaviours.some(({ how }) => how === "waits for its signal"), "somebody waits for ever");
    dispatcher.abandon();
  }
  // What is taken back calls handlers once more, one after the other.
  for (let turns = scene.lost || scene.ends ? 6 : 1; turns > 0; turns--) await settled();
  assertEquals(failures, []);
  assertStrictEquals(dispatcher.pending, 0, "nothing is under way");
  assertStrictEquals(kept.size, 0, "every buffer came back");
  const uniques = replies.map((whole) => new DataView(whole.buffer).getBigUint64(8, true));
  assertEquals(uniques.toSorted(), expected.toSorted(), "one reply to each");
  seen.push(...replies.map(String));

  // It lives.
  fuzzing = lost = false;
  replies.length = 0;
  hand(GOOD);
  assertEquals(replies, [GOOD_REPLY], "a good request is served");
  // What nobody got is not open.
  assert(dispatcher.openDirectories <= (scene.lost ? 1 : 1 + requests.length), "a directory was opened for nobody");
  for (let fh = 1; dispatcher.openDirectories > 0; fh++) {
    assert(fh <= requests.length + 1, "a directory stays open");
    hand(request("FUSE_RELEASEDIR", 0x7fff_0006n, { parts: [c("fuse_release_in", { fh })] }));
  }
  return seen;
}

async function check(scene: Scene): Promise<void> {
  // The kernel numbers what is under way differently.
  for (const [i, bytes] of scene.requests.entries()) {
    if (bytes.length >= 16) new DataView(bytes.buffer).setUint32(8, 2 * i + 2, true);
  }
  assertEquals(await play(scene, 0xca), await play(scene, 0), "bytes behind the request show");
}

const behaviour: fc.Arbitrary<Behaviour> = fc.record({
  how: fc.constantFrom<Behaviour["how"][]>(
    "answers",
    "answers",
    "throws",
    "answers later",
    "answers later",
    "rejects",
    "waits for its signal",
  ),
  odd: fc.option(fc.nat(ODD.length - 1), { freq: 3 }),
});

const OPTIONS: readonly SessionOptions[] = [
  {},
  {},
  { posixAcl: true },
  { noOpendir: true },
  { passthrough: false, noOpen: true },
  { securityContext: true, createSuppGroup: true, submounts: true },
  { trace: (event) => void (HOSTILE.has(event.value as object) || formatTrace(event)) },
];

/** Scenes of such requests. */
function scenes(one: fc.Arbitrary<Uint8Array<ArrayBuffer>>, most = 1): fc.Arbitrary<Scene> {
  return fc.record({
    requests: fc.array(one, { minLength: 1, maxLength: most }),
    behaviours: fc.array(behaviour, { minLength: 1, maxLength: 3 }),
    options: fc.constantFrom(...OPTIONS),
    minor: fc.constantFrom(45, 45, 45, 40, 32, 22, 11, 9),
    lost: fc.boolean(),
    ends: fc.boolean(),
  });
}

const opcode = fc.constantFrom(...NAMES);
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }) as fc.Arbitrary<Uint8Array<ArrayBuffer>>;

/** The header says how long the request is, as it must. */
function measured(request: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (request.length >= 4) new DataView(request.buffer).setUint32(0, request.length, true);
  return request;
}

const truncated = fc.tuple(opcode, fc.nat(), fc.boolean()).map(([name, cut, honest]) => {
  const whole = VALID[name];
  const short = whole.slice(0, cut % whole.length);
  return honest ? measured(short) : short;
});

const oversized = fc.tuple(opcode, bytes(64), fc.boolean()).map(([name, more, honest]) => {
  const long = join(VALID[name], more);
  return honest ? measured(long) : long;
});

/** No NUL from somewhere on. */
const unterminated = fc.tuple(opcode, fc.nat(), bytes(20)).map(([name, from, more]) => {
  const whole = join(VALID[name], more);
  const start = 40 + from % (whole.length - 39);
  return measured(whole.map((byte, i) => byte === 0 && i >= start ? 0x41 : byte));
});

const NODEIDS = [0n, 1n, 5n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 64n - 1n];

const random = fc.tuple(
  fc.oneof({ weight: 8, arbitrary: opcode.map((name) => OPCODE[name]) }, fc.nat(70), fc.nat()),
  bytes(120),
  fc.constantFrom(...NODEIDS),
  fc.constantFrom(0, 0, 0, 1, 2, 9, 0xffff),
  fc.nat(0xffffffff),
).map(([code, body, nodeid, total_extlen, high]) =>
  join(
    c("fuse_in_header", {
      len: 40 + body.length,
      opcode: code,
      unique: BigInt(high) << 32n,
      nodeid,
      total_extlen,
    }),
    body,
  )
);

/** Values that sizes, counts and flags break at. */
const WORDS = [0, 1, 2, 7, 8, 0x7f, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff];

const mutated = fc.tuple(
  opcode,
  fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
  fc.array(fc.tuple(fc.nat(), fc.constantFrom(...WORDS)), { maxLength: 2 }),
).map(([name, single, words]) => {
  const copy = VALID[name].slice();
  const view = new DataView(copy.buffer);
  // Not the length: what contradicts that is refused at once.
  for (const [at, value] of single) copy[4 + at % (copy.length - 4)] = value;
  for (const [at, value] of words) if (copy.length >= 48) view.setUint32(40 + at % (copy.length - 44), value, true);
  return copy;
});

/** Of an extension: as it is. */
const WHOLE = -1;

/** Nothing but extensions behind a good request. */
const extended = fc.tuple(
  fc.constantFrom<OpcodeName[]>("FUSE_MKDIR", "FUSE_CREATE", "FUSE_SYMLINK", "FUSE_MKNOD", "FUSE_TMPFILE", "FUSE_READ"),
  fc.array(
    fc.tuple(
      fc.constantFrom(0, 1, 2, 31, 32, 33),
      fc.constantFrom(...WORDS, 8, 16, 24, ...Array(12).fill(WHOLE)),
      // Of groups their number, of a security context the size of its value.
      fc.tuple(fc.nat(9), bytes(32)).map(([word, rest]) => join(Uint8Array.of(word, 0, 0, 0), rest)),
    ),
    { minLength: 1, maxLength: 3 },
  ),
).map(([name, all]) => {
  const extensions = join(...all.map(([type, size, body]) =>
    join(
      c("fuse_ext_header", { type, size: size === WHOLE ? 8 + body.length : size }),
      body,
      new Uint8Array(-body.length & 7),
    )
  ));
  return request(name, 0n, { ...bodyOf(CASES[name]), extensions });
});

const anything = fc.oneof(truncated, oversized, unterminated, random, mutated, extended, bytes(100));

const PROPERTIES: readonly [what: string, scene: fc.Arbitrary<Scene>, numRuns: number][] = [
  ["requests that are cut off", scenes(truncated), 15_000],
  ["requests that are too long", scenes(oversized), 15_000],
  ["strings without an end", scenes(unterminated), 10_000],
  ["random bytes behind a header", scenes(random), 20_000],
  ["requests with some bytes wrong", scenes(mutated), 25_000],
  ["random extensions", scenes(extended), 5_000],
  ["random bytes", scenes(bytes(100)), 5_000],
  ["several at a time", scenes(anything, 6), 5_000],
];

for (const [what, scene, numRuns] of PROPERTIES) {
  test(`fuzz: ${what}, ${numRuns} times`, async () => {
    await fc.assert(fc.asyncProperty(scene, check), { numRuns, seed: SEED });
  });
}

test("fuzz: these are 100,000, and every opcode is among them", () => {
  assertStrictEquals(PROPERTIES.reduce((sum, [, , runs]) => sum + runs, 0), 100_000);
  assertEquals(new Set(NAMES), new Set(Object.keys(OPCODE)));
});
