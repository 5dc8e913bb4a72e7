/** Requests that no kernel sends: one error each, or none where nobody waits, and no method sees what is not there. */
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { encodeName } from "../../src/abi/text.ts";
import { OPCODE, type OpcodeName } from "../../src/abi/opcode.ts";
import { WireError } from "../../src/abi/message.ts";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import { ROWS } from "../../src/ops/table.ts";
import { bodyOf, CASES } from "../ops/cases.ts";
import { Random } from "../support/random.ts";
import { c, connect, join, opendir, request, settled, utf8, Wire } from "../support/wire.ts";
import { test } from "../support/harness.ts";

const SILENT = new Set<number>(
  (["FUSE_FORGET", "FUSE_BATCH_FORGET", "FUSE_INTERRUPT", "FUSE_NOTIFY_REPLY"] as const).map((name) => OPCODE[name]),
);

/** A file system of every method; each call is told, and answered by `answer`. */
function everything(called: (method: string, args: unknown) => unknown): Filesystem {
  return new Proxy({}, {
    get: (_, name) =>
      ["init", "destroy"].includes(String(name)) ? undefined : (args: unknown) => called(String(name), args),
  });
}

/** A connection whose methods must not be called. */
function uncalled(): Wire {
  const wire = connect(everything((method) => {
    if (method === "opendir") return {};
    throw new Error(`${method} was called`);
  }));
  opendir(wire);
  wire.replies.length = 0;
  return wire;
}

/** Hands over a request that contradicts itself; checks that it is refused, and reported once. */
function refuse(wire: Wire, bytes: Uint8Array, what: string, error = "EIO"): void {
  wire.reports.length = 0;
  const code = bytes.length >= 8 ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true) : 0;
  const answers = wire.raw(bytes);
  const expected = bytes.length < 16 || SILENT.has(code) ? [] : [error];
  assertEquals(answers.map((a) => a.error), expected, what);
  if (error === "EIO") {
    assertStrictEquals(wire.reports.length, 1, what);
    assert(wire.reports[0].error instanceof WireError, `${what}: ${wire.reports[0].error}`);
  }
  assertEquals(wire.kept, []);
}

function withLength(bytes: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  const copy = bytes.slice();
  if (copy.length >= 4) new DataView(copy.buffer).setUint32(0, length, true);
  return copy;
}

/** Opcodes that are answered without a look at their arguments. */
const UNREAD = new Set<string>(
  Object.entries(CASES).filter(([, row]) => "fixed" in row).map(([name]) => name),
);

for (const [opcode, row] of Object.entries(CASES)) {
  const whole = request(opcode as OpcodeName, 2n, bodyOf(row));

  test(`${opcode}: cut off anywhere it is refused, and no method is called`, () => {
    for (let length = 0; length < whole.length; length++) {
      if (length >= 40 && UNREAD.has(opcode)) break;
      const wire = uncalled();
      refuse(wire, withLength(whole.slice(0, length), length), `${length} of ${whole.length} bytes`);
    }
  });

  test(`${opcode}: a length that is not the request's is refused, and no method is called`, () => {
    const wire = uncalled();
    for (const length of [0, 16, 39, 40, whole.length - 1, whole.length + 1, 2 ** 31, 2 ** 32 - 1]) {
      if (length !== whole.length) refuse(wire, withLength(whole, length), `${length}, not ${whole.length}`);
    }
    for (const cut of [16, 39, whole.length - 1]) refuse(wire, whole.slice(0, cut), `${cut} of ${whole.length}`);
  });

  test(`${opcode}: extensions that leave no room are refused, and no method is called`, () => {
    const wire = uncalled();
    const least = Math.floor((whole.length - 40) / 8) + 1;
    for (const units of [least, least + 1, 0x7fff, 0xffff]) {
      const bytes = whole.slice();
      new DataView(bytes.buffer).setUint16(36, units, true);
      refuse(wire, bytes, `${units} x 8 bytes of extensions`);
    }
    // Those that take what the arguments need.
    if (UNREAD.has(opcode)) return;
    for (let units = 1; units < least; units++) {
      const bytes = whole.slice();
      new DataView(bytes.buffer).setUint16(36, units, true);
      refuse(wire, bytes, `${units} x 8 bytes of extensions`);
    }
  });

  test(`${opcode}: before INIT it is EIO, and no method is called`, () => {
    if (opcode === "FUSE_INIT") return;
    const wire = new Wire(everything((method) => {
      throw new Error(`${method} was called`);
    }));
    const answers = wire.raw(whole);
    assertEquals(answers.map((a) => a.error), SILENT.has(OPCODE[opcode as OpcodeName]) ? [] : ["EIO"]);
    assertEquals(wire.reports, []);
    assertStrictEquals(wire.refused, null);
  });
}

test("the opcodes that nobody waits for are those of the table", () => {
  assertEquals(new Set(ROWS.filter((row) => row?.silent).map((row) => OPCODE[row!.opcode])), SILENT);
});

test("a string without an end is refused, also where one follows behind the request", () => {
  const wire = uncalled();
  const cases: readonly [OpcodeName, (string | Uint8Array)[]][] = [
    ["FUSE_LOOKUP", [utf8("name")]],
    ["FUSE_LOOKUP", []],
    ["FUSE_UNLINK", [utf8("x".repeat(255))]],
    ["FUSE_SYMLINK", ["name", utf8("target")]],
    ["FUSE_SYMLINK", ["name"]],
    ["FUSE_RENAME", [c("fuse_rename_in"), "old", utf8("new")]],
    ["FUSE_RENAME2", [c("fuse_rename2_in"), "old"]],
    ["FUSE_MKDIR", [c("fuse_mkdir_in"), utf8("a")]],
    ["FUSE_CREATE", [c("fuse_create_in"), utf8("a")]],
    ["FUSE_GETXATTR", [c("fuse_getxattr_in"), utf8("user.x")]],
    ["FUSE_SETXATTR", [new Uint8Array(8), utf8("user.x")]],
  ];
  for (const [opcode, parts] of cases) {
    refuse(wire, request(opcode, 2n, { parts }), opcode);
    // Extensions have NULs, but are no arguments.
    refuse(wire, request(opcode, 2n, { parts, extensions: new Uint8Array(16) }), `${opcode} with extensions`);
  }
});

test("counts and sizes beyond the request are refused", () => {
  const wire = uncalled();
  for (const count of [3, 4, 0x10000000, 0x10000001, 0x80000000, 0xffffffff]) {
    const one = c("fuse_forget_one", { nodeid: 2, nlookup: 1 });
    const parts = [c("fuse_batch_forget_in", { count }), one, one];
    refuse(wire, request("FUSE_BATCH_FORGET", 2n, { parts }), `${count} inodes`);
  }
  for (const size of [4, 5, 0x7fffffff, 0xffffffff]) {
    refuse(wire, request("FUSE_WRITE", 2n, { parts: [c("fuse_write_in", { size }), utf8("abc")] }), `${size} bytes`);
    const value = c("fuse_setxattr_in", { size }).subarray(0, 8);
    refuse(wire, request("FUSE_SETXATTR", 2n, { parts: [value, "user.x", utf8("abc")] }), `a value of ${size} bytes`);
  }
});

test("an INIT that is cut off is refused, and one that follows is served", () => {
  const whole = request("FUSE_INIT", 2n, { nodeid: 0, parts: [c("fuse_init_in", { major: 7, minor: 45 })] });
  const wire = new Wire({});
  for (let length = 0; length < 48; length++) {
    refuse(wire, withLength(whole.slice(0, length), length), `${length} bytes`);
    assertStrictEquals(wire.negotiated, null);
  }
  assertStrictEquals(wire.raw(withLength(whole.slice(0, 48), 48))[0].error, "");
});

/** Checks that what a method was given lies in the request. */
function within(value: unknown, bytes: Uint8Array, end: number): void {
  if (value instanceof Uint8Array) {
    assert(value.byteOffset + value.length <= end, `${value.length} bytes at ${value.byteOffset} of ${end}`);
    const there = bytes.subarray(value.byteOffset, value.byteOffset + value.length);
    assert(value.every((byte, i) => byte === there[i]), "the data is the request's");
  } else if (typeof value === "string" && value !== "now") {
    const name = join(encodeName(value), Uint8Array.of(0));
    let found = false;
    for (let at = 40; at + name.length <= end && !found; at++) found = name.every((byte, i) => bytes[at + i] === byte);
    assert(found, `the request does not hold ${JSON.stringify(value)}`);
  } else if (typeof value === "number") {
    assert(Number.isSafeInteger(value), `${value}`);
  } else if (typeof value === "object" && value !== null) {
    for (const inner of Object.values(value)) within(inner, bytes, end);
  }
}

const ANSWERS: readonly unknown[] = [
  undefined,
  null,
  0,
  3,
  NaN,
  "text",
  {},
  [],
  [{ name: "a", ino: 2, mode: 0 }],
  utf8("abc"),
  { attr: { mode: 0o100644 } },
  { nodeid: 2, attr: { mode: 0o100644 } },
  { nodeid: 0 },
  { fh: 3 },
  { entry: { nodeid: 2, attr: { mode: 0o100644 } }, fh: 3 },
  { start: 0n, end: 1n, type: 0, pid: 0 },
];

/** 20,000 requests of a kind; what each must come to. */
async function bombard(make: (random: Random, valid: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>) {
  const random = new Random(1);
  const failures: unknown[] = [];
  let bytes = new Uint8Array(0), end = 0, calls = 0;
  const wire = connect(
    everything((method, args) => {
      if (method === "opendir") return {};
      calls++;
      within(args, bytes, end);
      const answer = ANSWERS[random.below(ANSWERS.length)];
      if (random.below(4) === 0) return Promise.resolve(answer);
      if (random.below(8) === 0) throw Object.assign(new Error(), { code: "EXDEV" });
      return answer;
    }),
    {
      // A failed assertion of `within` looks like a bug of the handler.
      onError: (error) => void ((error as Error)?.name === "AssertionError" && failures.push(error)),
    },
  );
  opendir(wire);
  const cases = Object.entries(CASES);
  let silent = 0;
  for (let i = 0; i < 20_000; i++) {
    const [opcode, row] = cases[random.below(cases.length)];
    bytes = make(random, request(opcode as OpcodeName, random.u64(), bodyOf(row)));
    const view = new DataView(bytes.buffer);
    end = bytes.length - (bytes.length >= 40 ? 8 * view.getUint16(36, true) : 0);
    wire.replies.length = 0;
    const pending = wire.dispatcher.pending;
    wire.raw(bytes);
    const answered = bytes.length >= 16 && !SILENT.has(view.getUint32(4, true));
    if (!answered) silent++;
    if (wire.dispatcher.pending > pending) await settled();
    const what = () => `request ${i}: ${opcode}, ${[...bytes].map((b) => b.toString(16).padStart(2, "0")).join("")}`;
    if (wire.replies.length !== (answered ? 1 : 0)) throw new Error(`${wire.replies.length} replies to ${what()}`);
    if (answered) assertStrictEquals(wire.replies[0].unique, view.getBigUint64(8, true));
    assertStrictEquals(wire.dispatcher.pending, 0);
    wire.kept.length = 0;
    wire.freed.length = 0;
  }
  assertEquals(failures, []);
  return { calls, silent };
}

test("random bytes: one reply to each request, and no exception", async () => {
  const { silent } = await bombard((random) => {
    const bytes = random.bytes(random.below(200));
    const view = new DataView(bytes.buffer);
    if (bytes.length >= 40 && random.below(8) !== 0) {
      view.setUint32(0, bytes.length, true);
      view.setUint32(4, random.below(64), true);
      if (random.below(4) !== 0) view.setUint32(20, 0, true);
      view.setUint16(36, random.below(4) === 0 ? random.below(10) : 0, true);
    }
    return bytes;
  });
  assert(silent > 100);
});

test("requests with a few bytes wrong: one reply to each, no exception, and nothing that is not in them", async () => {
  const { calls } = await bombard((random, valid) => {
    let bytes = valid;
    const kind = random.below(9);
    if (kind < 3) bytes = bytes.slice(0, random.below(bytes.length + 1));
    else if (kind < 5) bytes = join(bytes, random.bytes(random.below(40)));
    if (bytes.length >= 4 && random.below(16) !== 0) new DataView(bytes.buffer).setUint32(0, bytes.length, true);
    for (let n = random.below(4); n > 0 && bytes.length > 4; n--) {
      bytes[4 + random.below(bytes.length - 4)] = random.below(3) === 0 ? 0 : random.below(256);
    }
    return bytes;
  });
  assert(calls > 5000, `${calls} calls`);
});
