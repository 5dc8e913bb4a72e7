import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { cstring, decodeName, encodeName, encodeNameInto } from "../../src/abi/text.ts";
import { FuseError } from "../../src/errno.ts";
import { run, test } from "../support/harness.ts";
import { Random } from "../support/random.ts";
import { toHex } from "../support/hex.ts";

/** Bytes as the string that has each of them escaped. */
function escaped(...bytes: number[]): string {
  return String.fromCharCode(...bytes.map((b) => 0xdc00 + b));
}

/** The UTF-16 units, which show what a lone surrogate hides when printed. */
function units(text: string): number[] {
  return Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
}

function assertDecodes(bytes: number[], text: string): void {
  assertEquals(units(decodeName(Uint8Array.from(bytes))), units(text));
  assertEquals([...encodeName(text)], bytes);
}

/** Bytes as names go wrong: random ones, pieces of UTF-8, and cut or spoilt sequences. */
function spoilt(random: Random): Uint8Array {
  const parts: number[] = [];
  for (let n = random.below(24); n > 0; n--) {
    const point = [0x41, 0x7f, 0xe9, 0x7ff, 0x800, 0x20ac, 0xd7ff, 0xfeff, 0xffff, 0x10000, 0x1f600, 0x10ffff];
    const good = new TextEncoder().encode(String.fromCodePoint(point[random.below(point.length)]));
    const kind = random.below(4);
    if (kind === 0) parts.push(random.below(256));
    else if (kind === 1) parts.push(...good);
    else if (kind === 2) parts.push(...good.subarray(0, random.below(good.length)));
    else parts.push(...good.with(random.below(good.length), 0x80 | random.below(128)));
  }
  return Uint8Array.from(parts.filter((b) => b !== 0));
}

test("decodeName, encodeName: any bytes come back the same", () => {
  const random = new Random(2);
  for (let i = 0; i < 4000; i++) {
    const bytes = i % 2 === 0 ? spoilt(random) : random.bytes(random.below(200)).map((b) => b || 1);
    assertEquals(encodeName(decodeName(bytes)), bytes);
  }
  const long = random.bytes(3 * 4096 + 5).map((b) => b || 1);
  assertEquals(encodeName(decodeName(long)), long);
});

test("decodeName, encodeName: what is UTF-8 is decoded as UTF-8, each code point", () => {
  const utf8 = new TextEncoder();
  let all = "";
  for (let point = 1; point <= 0x10ffff; point += point < 0x3000 ? 1 : 37) {
    if (point >= 0xd800 && point <= 0xdfff) continue;
    const text = String.fromCodePoint(point);
    const bytes = encodeName(text);
    assertEquals(bytes, utf8.encode(text));
    assertStrictEquals(decodeName(bytes), text);
    all += text;
  }
  for (const point of [0xd7ff, 0xe000, 0xfeff, 0xfffd, 0xfffe, 0xffff, 0x10000, 0x10ffff]) {
    assertDecodes([...utf8.encode(String.fromCodePoint(point))], String.fromCodePoint(point));
  }
  assertStrictEquals(decodeName(encodeName(all)), all);
  assertEquals(encodeName(all), utf8.encode(all));
});

test("decodeName: a byte order mark is part of the name", () => {
  assertDecodes([0xef, 0xbb, 0xbf, 0x61], "\ufeffa");
});

test("decodeName: each byte of what is not UTF-8 is escaped by itself", () => {
  for (let b = 0x80; b <= 0xff; b++) {
    assertDecodes([b], escaped(b));
    assertDecodes([0x61, b, 0x62], "a" + escaped(b) + "b");
  }
  const wrong: Record<string, number[][]> = {
    overlong: [[0xc0, 0x80], [0xc1, 0xbf], [0xe0, 0x80, 0x80], [0xe0, 0x9f, 0xbf], [0xf0, 0x80, 0x80, 0x80], [
      0xf0,
      0x8f,
      0xbf,
      0xbf,
    ]],
    surrogates: [[0xed, 0xa0, 0x80], [0xed, 0xb2, 0x80], [0xed, 0xbf, 0xbf]],
    "beyond U+10FFFF": [[0xf4, 0x90, 0x80, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80]],
    cut: [[0xc3], [0xe2, 0x82], [0xf0, 0x9f, 0x98], [0xf0, 0x9f]],
    "continuation missing": [[0xc3, 0xff], [0xe2, 0x82, 0xc0], [0xf0, 0x9f, 0x98, 0xff]],
  };
  for (const sequences of Object.values(wrong)) {
    for (const bytes of sequences) {
      assertDecodes(bytes, escaped(...bytes));
      // Beside what is right, also where a valid pair of surrogates could seem to arise.
      assertDecodes([0xc3, 0xa9, ...bytes, 0xf0, 0x9f, 0x98, 0x80], "é" + escaped(...bytes) + "😀");
      assertDecodes([0xf0, 0x9f, 0x98, 0x80, ...bytes, 0x61], "😀" + escaped(...bytes) + "a");
    }
  }
  // The lead byte is escaped, what follows begins anew.
  assertDecodes([0xe2, 0x61], escaped(0xe2) + "a");
  assertDecodes([0xf0, 0x9f, 0xc3, 0xa9], escaped(0xf0, 0x9f) + "é");
});

test("decodeName: only the given part of the bytes", () => {
  const bytes = Uint8Array.from([0xff, 0x61, 0xc3, 0xa9, 0x62, 0xff]);
  assertStrictEquals(decodeName(bytes, 1, 5), "aéb");
  assertStrictEquals(decodeName(bytes, 1, 3), "a" + escaped(0xc3));
  assertStrictEquals(decodeName(bytes, 4), "b" + escaped(0xff));
  assertStrictEquals(decodeName(bytes, 2, 2), "");
  const long = new Uint8Array(200).fill(0x61);
  assertStrictEquals(decodeName(long, 10, 110), "a".repeat(100));
  assertStrictEquals(decodeName(bytes.subarray(1, 5)), "aéb");
});

test("encodeName: a surrogate that stands for no byte is EILSEQ", () => {
  for (const text of ["\ud800", "a\udbffb", "\udc00", "\udc7f", "\udd00", "\udfff", "\ud83d\ud83d\ude00", "\ud800é"]) {
    for (const encode of [encodeName, cstring]) {
      assertStrictEquals(assertThrows(() => encode(text), FuseError).code, "EILSEQ");
    }
  }
  // A pair is a character, also where its second half alone would stand for a byte.
  assertEquals(encodeName("\ud800\udc80"), new TextEncoder().encode("\u{10080}"));
});

test("encodeName: a NUL is EINVAL", () => {
  for (const text of ["\0", "a\0b", "é\0"]) {
    for (const encode of [encodeName, cstring]) {
      assertStrictEquals(assertThrows(() => encode(text), FuseError).code, "EINVAL");
    }
  }
});

test("encodeNameInto: writes at the place and answers the end", () => {
  const target = new Uint8Array(16).fill(0xff);
  assertStrictEquals(encodeNameInto("a€😀" + escaped(0x80), target, 3), 12);
  assertEquals(toHex(target), "ffffff" + "61" + "e282ac" + "f09f9880" + "80" + "ffffffff");
  assertStrictEquals(encodeNameInto("", target, 5), 5);
});

test("encodeName, cstring: names of every length, each in memory of its own", () => {
  const first = encodeName("first");
  const firstC = cstring("first");
  for (const length of [0, 1, 255, 4094, 4095, 4096, 4097, 9000]) {
    for (const [char, width] of [["x", 1], ["€", 3], ["\udcff", 1]] as const) {
      const bytes = encodeName(char.repeat(length));
      assertStrictEquals(bytes.length, length * width);
      const c = cstring(char.repeat(length));
      assertEquals(c.subarray(0, -1), bytes);
      assertStrictEquals(c.at(-1), 0);
      assertStrictEquals(c.length, bytes.length + 1);
      assert(c.buffer.byteLength === c.length || c.buffer !== bytes.buffer);
    }
  }
  assertEquals(first, new TextEncoder().encode("first"));
  assertEquals(firstC, new TextEncoder().encode("first\0"));
});

test("decodeName: agrees with Python's surrogateescape", { needs: ["tool:python3"] }, async () => {
  const random = new Random(3);
  const cases = Array.from({ length: 2000 }, () => spoilt(random));
  const program = `import sys
for line in sys.stdin:
    print(bytes.fromhex(line).decode("utf-8", "surrogateescape").encode("utf-16-be", "surrogatepass").hex())`;
  const input = cases.map(toHex).join("\n") + "\n";
  const { code, stdout, stderr } = await run(["python3", "-c", program], { input });
  assertStrictEquals(code, 0, stderr);
  const ours = cases.map((bytes) => units(decodeName(bytes)).map((u) => u.toString(16).padStart(4, "0")).join(""));
  assertEquals(ours, stdout.trimEnd().split("\n"));
});
