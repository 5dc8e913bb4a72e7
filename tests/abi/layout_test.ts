import { assert, assertEquals, assertStrictEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  type Field,
  filesize,
  i32,
  i53,
  nearest,
  OverflowError,
  pad16,
  pad32,
  pad64,
  pad8,
  padding,
  struct,
  u16,
  u32,
  u53,
  u64,
  u64n,
  u8,
} from "../../src/abi/layout.ts";
import { ERRNO, errnoOf } from "../../src/errno.ts";
import { Random } from "../support/random.ts";
import { test } from "../support/harness.ts";
import { toHex } from "../support/hex.ts";

const MAX = Number.MAX_SAFE_INTEGER;

/** A view with room to both sides of what a test writes. */
function room(size = 64): DataView<ArrayBuffer> {
  return new DataView(new Uint8Array(size).fill(0xff).buffer);
}

function hex(view: DataView, from: number, to: number): string {
  return toHex(new Uint8Array(view.buffer, from, to - from));
}

test("struct: fields lie in order, little-endian, at C's offsets", () => {
  const s = struct("s", 32, { a: u8, _: pad8, b: u16, c: u32, d: u64, e: i32, __: pad32, f: u53 });
  assertEquals(s.layout.map(({ name, offset, size }) => [name, offset, size]), [
    ["a", 0, 1],
    ["_", 1, 1],
    ["b", 2, 2],
    ["c", 4, 4],
    ["d", 8, 8],
    ["e", 16, 4],
    ["__", 20, 4],
    ["f", 24, 8],
  ]);
  assertStrictEquals(s.size, 32);
  assertStrictEquals(s.align, 8);
  assertStrictEquals(s.offsetOf("e"), 16);
  assertThrows(() => s.offsetOf("g"), TypeError, "struct s has no field g");
  const view = room();
  const value = { a: 1, b: 0x203, c: 0x4050607, d: 0x8090a0b0c0d0e0fn, e: -2, f: 0x10111213141516 };
  s.write(view, 8, value);
  assertStrictEquals(hex(view, 8, 40), "01000302070605040f0e0d0c0b0a0908feffffff000000001615141312111000");
  assertEquals(s.read(view, 8), value);
});

test("struct: writing touches its own bytes alone and makes padding zero", () => {
  const s = struct("s", 64, {
    a: u8,
    p: padding(pad8, 1),
    q: padding(pad16, 3),
    r: padding(pad32, 4),
    t: padding(pad64, 4),
    z: u64,
  });
  const view = room(80);
  s.write(view, 8, { a: 0xaa, z: 0xbbbbbbbbbbbbbbbbn });
  assertStrictEquals(hex(view, 0, 80), "ff".repeat(8) + "aa" + "00".repeat(55) + "bb".repeat(8) + "ff".repeat(8));
});

test("struct: a stated size that contradicts the fields is a TypeError", () => {
  assertThrows(() => struct("s", 8, { a: u32 }), TypeError, "struct s: stated as 8 bytes, but its fields take 4");
  assertThrows(() => struct("s", 4, { a: u32, b: u32 }), TypeError, "but its fields take 8");
  // C would pad the end.
  assertThrows(() => struct("s", 12, { a: u64, b: u32 }), TypeError, "aligned to 8");
  assertThrows(() => struct("s", 16, { a: u64, b: u32 }), TypeError, "but its fields take 12");
});

test("struct: a hole that is not named is a TypeError", () => {
  const cases: [Field<unknown>, Field<unknown>][] = [
    [u8, u16],
    [u8, u32],
    [u16, u32],
    [u32, u64],
    [u32, u53],
    [
      i32,
      i53,
    ],
    [u32, u64n],
    [u32, pad64],
  ];
  for (const [a, b] of cases) {
    assertThrows(() => struct("s", 16, { a, b }), TypeError, "struct s: a hole before b: name the padding");
  }
  const inner = struct("inner", 8, { x: u64 });
  assertThrows(() => struct("s", 16, { a: u32, inner }), TypeError, "a hole before inner");
});

test("struct: nested structs read and write as nested values", () => {
  const inner = struct("inner", 16, { x: u53, y: u32, p: pad32 });
  const middle = struct("middle", 24, { k: i32, l: u16, p: pad16, inner });
  const outer = struct("outer", 56, { a: u32, p: pad32, middle, b: u64, second: inner });
  const value = {
    a: 1,
    middle: { k: -3, l: 4, inner: { x: 2 ** 40, y: 6 } },
    b: 7n,
    second: { x: MAX, y: 9 },
  };
  const view = room();
  outer.write(view, 4, value);
  assertStrictEquals(
    hex(view, 4, 60),
    "0100000000000000" + "fdffffff04000000" + "0000000000010000" + "0600000000000000" + "0700000000000000" +
      "ffffffffffff1f00" + "0900000000000000",
  );
  assertEquals(outer.read(view, 4), value);
  assertEquals(middle.read(view, 12), value.middle);
  assertEquals(inner.read(view, 44), value.second);
});

test("struct: reading and writing at random offsets round-trips random values", () => {
  const random = new Random(1);
  const inner = struct("inner", 24, { i: i53, n: u64n, h: u16, q: padding(pad8, 6) });
  const s = struct("s", 72, { a: u8, b: u8, c: u16, d: u32, e: i32, p: pad32, inner, f: u53, g: u64, h: u53, j: i53 });
  for (let i = 0; i < 2000; i++) {
    const n = random.u64() >> BigInt(random.below(64));
    const value = {
      a: random.below(256),
      b: random.below(256),
      c: random.below(65536),
      d: random.u32(),
      e: random.u32() | 0,
      inner: {
        i: (random.below(2) === 0 ? -1 : 1) * (1 + random.below(1000)) * random.below(2 ** 32),
        n: n <= MAX ? Number(n) : n,
        h: random.below(65536),
      },
      f: random.u53(),
      g: random.u64(),
      h: random.below(2) === 0 ? MAX - random.below(8) : random.below(8),
      j: random.u53() * -1 || 0,
    };
    const at = random.below(8);
    const view = room(96);
    s.write(view, at, value);
    assertEquals(s.read(view, at), value);
    assertStrictEquals(hex(view, 0, at), "ff".repeat(at));
    assertStrictEquals(hex(view, at + 72, 96), "ff".repeat(24 - at));
  }
});

test("u53: reads and writes up to 2^53-1; beyond is an OverflowError that names the field", () => {
  const inner = struct("inner", 8, { x: u53 });
  const s = struct("s", 16, { a: u53, inner });
  const view = room();
  for (const x of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 52 + 1, MAX]) {
    s.write(view, 0, { a: x, inner: { x } });
    assertStrictEquals(view.getBigUint64(0, true), BigInt(x));
    assertStrictEquals(view.getBigUint64(8, true), BigInt(x));
    assertEquals(s.read(view, 0), { a: x, inner: { x } });
  }
  for (const x of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
    view.setBigUint64(0, x, true);
    assertStringIncludes(assertThrows(() => s.read(view, 0), OverflowError).message, `s.a: ${x} `);
    view.setBigUint64(0, 0n, true);
    view.setBigUint64(8, x, true);
    assertThrows(() => s.read(view, 0), OverflowError, "s.inner.x");
    view.setBigUint64(8, 0n, true);
  }
  for (const x of [-1, 2 ** 53, 2 ** 64, Infinity, -Infinity, NaN]) {
    assertThrows(() => s.write(view, 0, { a: x, inner: { x: 0 } }), OverflowError, "s.a");
    assertThrows(() => s.write(view, 0, { a: 0, inner: { x } }), OverflowError, "s.inner.x");
  }
});

test("i53: reads and writes from -(2^53-1) to 2^53-1; beyond is an OverflowError", () => {
  const s = struct("s", 8, { a: i53 });
  const view = room();
  for (const n of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 52 + 1, MAX]) {
    for (const a of n === 0 ? [0] : [n, -n]) {
      s.write(view, 0, { a });
      assertStrictEquals(view.getBigInt64(0, true), BigInt(a));
      assertEquals(s.read(view, 0), { a });
    }
  }
  for (const n of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n]) {
    for (const x of [n, -n]) {
      view.setBigInt64(0, x, true);
      assertStringIncludes(assertThrows(() => s.read(view, 0), OverflowError).message, `s.a: ${x} `);
    }
  }
  for (const a of [2 ** 53, -(2 ** 53), Infinity, -Infinity, NaN]) {
    assertThrows(() => s.write(view, 0, { a }), OverflowError, "s.a");
  }
});

test("nearest: reads what is beyond 2^53-1 as that, on either side", () => {
  const s = struct("s", 8, { a: nearest });
  const view = room();
  for (const [x, a] of [[5n, 5], [-5n, -5], [2n ** 53n - 1n, MAX], [2n ** 53n, MAX], [2n ** 63n - 1n, MAX]] as const) {
    view.setBigInt64(0, x, true);
    assertEquals(s.read(view, 0), { a });
    view.setBigInt64(0, -x, true);
    assertEquals(s.read(view, 0), { a: -a });
  }
  for (const a of [2 ** 53, NaN]) assertThrows(() => s.write(view, 0, { a }), OverflowError, "s.a");
});

test("filesize: what is read beyond 2^53-1 is an EFBIG", () => {
  const s = struct("s", 8, { a: filesize });
  for (const a of [2n ** 53n - 1n, 2n ** 53n, 2n ** 63n]) {
    const view = new DataView(BigUint64Array.of(a).buffer);
    if (a < 2n ** 53n) assertStrictEquals(s.read(view, 0).a, Number(a));
    else assertStrictEquals(errnoOf(assertThrows(() => s.read(view, 0), OverflowError)), ERRNO.EFBIG);
  }
});

test("OverflowError: is answered as EOVERFLOW", () => {
  assertStrictEquals(errnoOf(new OverflowError("x")), ERRNO.EOVERFLOW);
});

test("u64: all bits, as a bigint", () => {
  const s = struct("s", 8, { a: u64 });
  const view = room();
  for (const a of [0n, 1n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
    s.write(view, 0, { a });
    assertStrictEquals(view.getBigUint64(0, true), a);
    assertEquals(s.read(view, 0), { a });
  }
});

test("u64n: a number where it is safe, a bigint beyond; takes both", () => {
  const s = struct("s", 8, { a: u64n });
  const view = room();
  for (const a of [0n, 1n, 2n ** 32n + 1n, BigInt(MAX), 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
    s.write(view, 0, { a });
    assertStrictEquals(view.getBigUint64(0, true), a);
    assertStrictEquals(s.read(view, 0).a, a <= MAX ? Number(a) : a);
  }
  s.write(view, 0, { a: MAX });
  assertStrictEquals(view.getBigUint64(0, true), BigInt(MAX));
  for (const a of [-1, 2 ** 53, NaN]) assertThrows(() => s.write(view, 0, { a }), OverflowError, "s.a");
});

test("pick: reads some fields under other names", () => {
  const inner = struct("inner", 8, { x: u32, y: u32 });
  const s = struct("s", 24, { a: u32, b: u32, c: u53, inner });
  const view = room();
  s.write(view, 4, { a: 1, b: 2, c: 3, inner: { x: 4, y: 5 } });
  const read = s.pick({ "second-one": "b", third: "c", nested: "inner" });
  for (let i = 0; i < 2; i++) assertEquals(read(view, 4), { "second-one": 2, third: 3, nested: { x: 4, y: 5 } });
  // What is not picked is not looked at.
  view.setBigUint64(12, 2n ** 64n - 1n, true);
  assertEquals(s.pick({ a: "a" })(view, 4), { a: 1 });
  assertThrows(() => s.pick({ c: "c" })(view, 4), OverflowError, "s.c");
  assertThrows(() => s.pick({ d: "d" as "a" }), TypeError, "struct s has no field d");
});

test("struct: a view that ends too early is a RangeError, never a short read", () => {
  const s = struct("s", 16, { a: u64, b: u53 });
  const view = new DataView(new ArrayBuffer(20));
  assertThrows(() => s.read(view, 8), RangeError);
  assertThrows(() => s.write(view, 8, { a: 1n, b: 2 }), RangeError);
  assert(s.read(view, 4));
});
