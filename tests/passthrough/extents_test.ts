/** Extent maps, over real descriptors. */
import { assert, assertEquals, assertMatch, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { readdirSync } from "node:fs";
import { libc } from "../../ffi/load.ts";
import { type ErrnoName, FuseError } from "../../src/errno.ts";
import {
  type Extent,
  type ExtentMap,
  type ExtentRange,
  extents,
  type ExtentsOptions,
} from "../../src/passthrough/extents.ts";
import { deferred } from "../../src/deferred.ts";
import { code } from "../support/errno.ts";
import { tempDir, test } from "../support/harness.ts";
import { Random } from "../support/random.ts";
import { run } from "../support/run.ts";
import { bytes, Memfds, text } from "./memfds.ts";

const { O } = libc();
const SEEK_DATA = 3, SEEK_HOLE = 4;

/** What a map reads in the same turn, a dot for each zero. */
function read(map: ExtentMap, offset = 0, length: number = map.size): string {
  const into = new Uint8Array(length).fill(0xff);
  const n = map.read(into, offset);
  assert(typeof n === "number", "it waits");
  assert(into.subarray(n).every((byte) => byte === 0xff), "it wrote behind what it read");
  return text(into.subarray(0, n));
}

/** What it reads, sooner or later. */
async function readLater(map: ExtentMap, offset = 0, length: number = map.size): Promise<string> {
  const into = new Uint8Array(length);
  return text(into.subarray(0, await map.read(into, offset)));
}

/** The FuseError that a call throws. */
function failure(call: () => unknown): FuseError {
  return assertThrows(call, FuseError);
}

const extent = (offset: number, length: number, file: number, fileOffset: number): Extent => ({
  offset,
  length,
  file,
  fileOffset,
});

test("extents read: one answer across extents, of which holes are zeros", () => {
  using files = new Memfds();
  const a = files.file("abcdefghij"), b = files.readOnly("0123456789");
  const map = extents([extent(0, 3, a, 2), extent(5, 4, b, 6), extent(9, 2, a, 0)], { size: 14 });
  assertEquals(map.size, 14);
  assertEquals(read(map), "cde..6789ab...");
  assertEquals(read(map, 2, 5), "e..67");
  assertEquals(read(map, 6, 1), "7");
  assertEquals(read(map, 3, 2), "..");
  assertEquals(read(map, 13, 100), ".");
  assertEquals([read(map, 14, 1), read(map, 1e15, 1), read(map, 3, 0)], ["", "", ""]);
});

test("extents read: into no more than the buffer, and no more than was asked for", () => {
  using files = new Memfds();
  const map = extents([extent(0, 5, files.file("abcdefghij"), 0), extent(5, 5, files.file("0123456789"), 0)]);
  const into = new Uint8Array(8).fill(0x2e);
  assertEquals([map.read(into, 3, 4), text(into)], [4, "de01...."]);
  assertEquals([map.read(into, 0, 100), text(into)], [8, "abcde012"]);
  const view = new Uint8Array(12).fill(0x2e);
  assertEquals([map.read(view.subarray(2, 10), 2), text(view)], [8, "..cde01234.."]);
});

test("extents read: behind the end of a file that is shorter than its extent are zeros", () => {
  using files = new Memfds();
  const short = files.file("abc");
  const map = extents([extent(0, 6, short, 1), extent(6, 2, files.file("xy"), 0), extent(8, 3, short, 100)]);
  assertEquals(read(map), "bc....xy...");
  libc().pwrite(short, bytes("defg"), 4, 3);
  assertEquals(read(map), "bcdefgxy...");
});

test("extents: given in any order; those that continue each other in one file become one", () => {
  using files = new Memfds();
  const a = files.file("abcdefghij"), b = files.file("0123456789");
  const map = extents([extent(6, 2, b, 3), extent(0, 2, a, 4), extent(4, 2, b, 1), extent(2, 2, a, 6)]);
  assertEquals([...map], [extent(0, 4, a, 4), extent(4, 4, b, 1)]);
  assertEquals(read(map), "efgh1234");
  assertEquals([...extents([])], []);
  assertEquals(extents([]).size, 0);
  assertEquals([...extents([extent(0, 2, a, 0), extent(2, 2, a, 3)])].length, 2);
  assertEquals([...extents([extent(0, 2, a, 0), extent(3, 2, a, 3)])].length, 2);
  assertEquals([...extents([extent(0, 2, a, 0), extent(2, 2, b, 2)])].length, 2);
});

test("extents: numbers that are none of an extent are a RangeError that names it", () => {
  using files = new Memfds();
  const fd = files.file("abc"), good = extent(0, 10, fd, 0), max = Number.MAX_SAFE_INTEGER;
  const cases: [Extent[], RegExp][] = [
    [[good, extent(9, 5, fd, 0)], /extent 1 \(offset 9, length 5, file \d+, fileOffset 0\): .*overlaps extent 0/],
    [[extent(9, 5, fd, 0), good], /extent 0 \(offset 9.*overlaps extent 1/],
    [[good, good], /extent 1 .*overlaps extent 0/],
    [[good, extent(20, 0, fd, 0)], /extent 1 .*length 0.*no bytes/],
    [[extent(-1, 5, fd, 0)], /extent 0 \(offset -1.*offset is negative/],
    [[extent(0, -5, fd, 0)], /length is negative/],
    [[extent(0, 5, fd, -1)], /fileOffset is negative/],
    [[extent(0, 5, -1, 0)], /file is negative/],
    [[extent(0.5, 5, fd, 0)], /offset is not a whole number/],
    [[extent(0, NaN, fd, 0)], /length is not a whole number/],
    [[extent(0, Infinity, fd, 0)], /length is not a whole number/],
    [[extent(0, 5, fd, max + 1)], /fileOffset is not a whole number/],
    [[extent(max, 1, fd, 0)], /ends beyond 2\^53-1/],
    [[extent(0, 1, fd, max)], /ends beyond 2\^53-1 in its file/],
    [[extent(0, 5, 2 ** 31, 0)], /file is not a descriptor/],
    [[{ offset: 0, length: 5, file: fd } as Extent], /fileOffset is not a whole number/],
  ];
  for (const [list, message] of cases) assertMatch(assertThrows(() => extents(list), RangeError).message, message);
  assertEquals(extents([extent(max - 1, 1, fd, max - 1)]).size, max);
});

test("extents: a size that is none, too small, or not there with `missing` is a RangeError", () => {
  using files = new Memfds();
  const list = [extent(0, 10, files.file("abc"), 0)];
  for (const size of [-1, 1.5, NaN, Infinity, 2 ** 53]) {
    assertThrows(() => extents(list, { size }), RangeError, `${size}`);
  }
  assertThrows(() => extents(list, { size: 9 }), RangeError, "size 9 is less than the end of the last extent, 10");
  assertThrows(() => extents(list, { missing: () => [] }), RangeError, "size is needed");
  assertEquals(extents(list, { size: 10 }).size, 10);
});

test("extents: a descriptor that cannot be read at a place is refused by its errno, naming the extent", () => {
  using files = new Memfds();
  const fd = files.file("abc"), closed = files.file();
  files.close(closed);
  const refused: [number, ErrnoName][] = [
    [closed, "EBADF"],
    [files.again(fd, O.WRONLY), "EBADF"],
    [files.open("/", O.PATH), "EBADF"],
    [files.open("/", O.DIRECTORY), "EISDIR"],
    [files.pipe()[0], "ESPIPE"],
  ];
  for (const [bad, errno] of refused) {
    const error = failure(() => extents([extent(0, 1, fd, 0), extent(1, 1, bad, 0)]));
    assertEquals(error.code, errno);
    assertMatch(error.message, new RegExp(`^extents: extent 1 \\(.*file ${bad},`));
  }
});

test("extents: 100,000 of them, read and written anywhere", () => {
  using files = new Memfds();
  const count = 100_000, piece = 7, unit = 10;
  const random = new Random(1);
  const contents = [0, 1].map((odd) => new Uint8Array(count * piece).map((_, i) => (odd ? i : 3 * i) % 251));
  const fds = contents.map((content) => files.file(content));
  const model = new Uint8Array(count * unit);
  // Every piece comes from the other end of the file, so that none continues its neighbour.
  const list = Array.from({ length: count }, (_, i) => {
    const fileOffset = (count - 1 - i) * piece;
    model.set(contents[i % 2].subarray(fileOffset, fileOffset + piece), i * unit);
    return extent(i * unit, piece, fds[i % 2], fileOffset);
  });
  const map = extents(list, { size: model.length });
  for (let i = 0; i < 2000; i++) {
    const offset = random.below(model.length), into = new Uint8Array(64);
    if (i % 5 === 0 && offset % unit < piece) {
      assertEquals(map.write(bytes("x"), offset), 1);
      model.set(bytes("x"), offset);
    }
    const n = map.read(into, offset) as number;
    assertEquals(into.subarray(0, n), model.slice(offset, offset + 64));
  }
  assertEquals([...map], list);
});

test("extents identity: one file as a whole, and nothing else", () => {
  using files = new Memfds();
  const fd = files.file("abcdef"), other = files.file("abcdef"), readOnly = files.readOnly("abcdef");
  assertEquals(extents([extent(0, 6, fd, 0)]).identity(), fd);
  assertEquals(extents([extent(0, 6, readOnly, 0)]).identity(), readOnly);
  assertEquals(extents([extent(4, 2, fd, 4), extent(0, 4, fd, 0)]).identity(), fd);
  const none = [
    extents([]),
    extents([extent(0, 5, fd, 0)]),
    extents([extent(0, 7, fd, 0)]),
    extents([extent(0, 5, fd, 1)]),
    extents([extent(0, 6, fd, 1)]),
    extents([extent(1, 5, fd, 1)]),
    extents([extent(0, 6, fd, 0)], { size: 7 }),
    extents([extent(0, 3, fd, 0), extent(3, 3, other, 3)]),
    extents([extent(0, 6, fd, 0)], { size: 6, missing: () => [] }),
    extents([extent(0, 6, fd, 0)], { allocate: () => [] }),
  ];
  assertEquals(none.map((map) => map.identity()), none.map(() => null));
  const cut = extents([extent(0, 6, fd, 0)]);
  cut.truncate(5);
  assertEquals(cut.identity(), null);
});

test("extents identity: once it is found the map is the file, larger or smaller, in every call", () => {
  using files = new Memfds();
  const fd = files.file("abcdef");
  const map = extents([extent(0, 6, fd, 0)]);
  assertEquals(map.identity(), fd);
  const is = (content: string) => {
    assertEquals([map.size, read(map, 0, 99), text(files.content(fd))], [content.length, content, content]);
    assertEquals([...map], content === "" ? [] : [extent(0, content.length, fd, 0)]);
    if (content !== "") assertEquals(map.seek(0, SEEK_HOLE), content.length);
    assertEquals([code(() => map.seek(content.length, SEEK_DATA)), map.identity()], ["ENXIO", fd]);
  };
  libc().pwrite(fd, bytes("ghijkl"), 6, 6);
  is("abcdefghijkl");
  assertEquals([map.write(bytes("XYZ"), 11), map.write(bytes("0"), 0)], [3, 1]);
  is("0bcdefghijkXYZ");
  map.punch(1, 99);
  assertEquals(read(map, 0, 99), "0.............");
  map.truncate(3);
  map.write(bytes("12"), 1);
  is("012");
  map.allocateRange(0, 8192, true);
  is("012");
  map.allocateRange(2, 2);
  map.write(bytes("3"), 3);
  is("0123");
  libc().ftruncate(fd, 0);
  is("");

  const readOnly = files.readOnly("abc"), fixed = extents([extent(0, 3, readOnly, 0)]);
  assertEquals(fixed.identity(), readOnly);
  for (const call of [() => fixed.truncate(2), () => fixed.write(bytes("x"), 3), () => fixed.punch(0, 1)]) {
    assertEquals(code(call), "EROFS");
  }
  assertEquals(read(fixed), "abc");
});

test("extents access: as the descriptors are, or `allocate` is there", () => {
  using files = new Memfds();
  const fd = files.file("abc"), readOnly = files.readOnly("abc");
  assertEquals(extents([extent(0, 3, readOnly, 0)]).access, "read");
  assertEquals(extents([extent(0, 3, readOnly, 0), extent(3, 3, fd, 0)]).access, "read-write");
  assertEquals(extents([extent(0, 3, files.again(fd, O.RDWR | O.APPEND), 0)]).access, "read");
  assertEquals(extents([]).access, "read");
  assertEquals(extents([extent(0, 3, readOnly, 0)], { allocate: () => [] }).access, "read-write");
});

test("extents missing: asked once for each range that nobody has answered, and remembered", () => {
  using files = new Memfds();
  const a = files.file("abcdefghijklmnopqrstuvwxyz"), asked: ExtentRange[] = [];
  const map = extents([extent(8, 2, files.file("01"), 0)], {
    size: 20,
    missing(range) {
      asked.push(range);
      assertEquals(this.size, 20);
      // The last of them stays a hole.
      return range.length === 1 ? [] : [extent(range.offset, range.length - 1, a, range.offset)];
    },
  });
  assertEquals(asked, []);
  assertEquals(read(map, 2, 3), "cd.");
  assertEquals(asked.splice(0), [{ offset: 2, length: 3 }]);
  assertEquals(read(map, 2, 3), "cd.");
  assertEquals(asked, []);
  assertEquals(read(map, 0, 12), "a.cd.fg.01k.");
  assertEquals(asked.splice(0), [{ offset: 0, length: 2 }, { offset: 5, length: 3 }, { offset: 10, length: 2 }]);
  assertEquals(read(map, 15, 100), "pqrs.");
  assertEquals(asked.splice(0), [{ offset: 15, length: 5 }]);
  assertEquals(read(map), "a.cd.fg.01k.mn.pqrs.");
  assertEquals(asked.splice(0), [{ offset: 12, length: 3 }]);
  assertEquals(read(map), "a.cd.fg.01k.mn.pqrs.");
  assertEquals(asked, []);
});

test("extents missing: may be a promise, one for all who wait for the same bytes", async () => {
  using files = new Memfds();
  const a = files.file("abcdefghij"), asked: ExtentRange[] = [];
  const gate = deferred<void>();
  const map = extents([], {
    size: 10,
    async missing(range) {
      asked.push(range);
      await gate.promise;
      return [extent(range.offset, range.length, a, range.offset)];
    },
  });
  const reads = [[2, 4], [2, 4], [3, 1], [0, 10], [5, 3]].map(([offset, length]) => readLater(map, offset, length));
  gate.resolve();
  assertEquals(await Promise.all(reads), ["cdef", "cdef", "d", "abcdefghij", "fgh"]);
  assertEquals(asked, [{ offset: 2, length: 4 }, { offset: 0, length: 2 }, { offset: 6, length: 4 }]);
  // No promise any more, now that all is known.
  assertEquals(read(map), "abcdefghij");
  assertEquals([...map], [extent(0, 10, a, 0)]);
});

test("extents missing: an answer leaves the calls for other bytes under way", async () => {
  using files = new Memfds();
  const a = files.file("abcdefghij"), gates: (() => void)[] = [];
  const map = extents([], {
    size: 10,
    missing: ({ offset, length }) => {
      const { promise, resolve } = deferred<Extent[]>();
      gates.push(() => resolve([extent(offset, length, a, offset)]));
      return promise;
    },
  });
  const first = readLater(map, 0, 3), second = readLater(map, 3, 3);
  gates[0]();
  assertEquals(await first, "abc");
  const again = readLater(map, 2, 3);
  gates[1]();
  assertEquals([await second, await again, gates.length], ["def", "cde", 2]);
});

test("extents missing: where it fails so does the read, and the next one asks again", async () => {
  using files = new Memfds();
  const a = files.file("abcdefghij");
  for (const later of [false, true]) {
    const answers: (() => Extent[])[] = [
      () => {
        throw new FuseError("EIO", "no network");
      },
      () => [extent(0, 10, a, 0)],
    ];
    const missing = () => later ? Promise.resolve().then(() => answers.shift()!()) : answers.shift()!();
    const map = extents([], { size: 10, missing });
    if (later) {
      const both = [readLater(map, 0, 10), readLater(map, 4, 2)];
      for (const one of both) await assertRejects(() => one, FuseError, "no network");
    } else assertThrows(() => map.read(new Uint8Array(10), 0), FuseError, "no network");
    assertEquals(await readLater(map), "abcdefghij");
    assertEquals(answers.length, 0);
  }
});

test("extents missing: a read that meets two failures throws one and leaves none behind", async () => {
  using files = new Memfds();
  const map = extents([extent(4, 2, files.file("01"), 0)], {
    size: 10,
    missing({ offset }) {
      if (offset === 0) return Promise.reject(new FuseError("EIO", "the first"));
      throw new FuseError("EIO", "the second");
    },
  });
  assertThrows(() => map.read(new Uint8Array(10), 0), FuseError, "the second");
  // Time for the rejection of the other one, which is a failure of the test where nobody takes it.
  await new Promise((resolve) => setTimeout(resolve, 0));
  await assertRejects(() => readLater(map, 0, 4), FuseError, "the first");
});

test("extents missing: what it answers is checked, and the error names it", async () => {
  using files = new Memfds();
  const a = files.file("abc"), closed = files.file();
  files.close(closed);
  const cases: [Extent[], RegExp][] = [
    [[extent(3, 5, a, 0)], /^missing: extent 0 \(offset 3, .* outside of what was asked for, 4 to 8$/],
    [[extent(4, 1, a, 0), extent(6, 3, a, 0)], /^missing: extent 1 .* outside/],
    [[extent(4, 2, a, 0), extent(5, 2, a, 0)], /^missing: extent 1 .* overlaps extent 0/],
    [[extent(4, 0, a, 0)], /^missing: extent 0 .*no bytes/],
    [[extent(4, 1, closed, 0)], /^missing: extent 0 .*EBADF/],
  ];
  for (const [answer, message] of cases) {
    const map = extents([], { size: 10, missing: () => answer });
    assertMatch((assertThrows(() => map.read(new Uint8Array(4), 4)) as Error).message, message);
    const later = extents([], { size: 10, missing: () => Promise.resolve(answer) });
    assertMatch((await assertRejects(() => readLater(later, 4, 4)) as Error).message, message);
    assertEquals([...map, ...later], []);
  }
});

test("extents missing: what is cut or punched while it is asked for stays zeros", async () => {
  using files = new Memfds();
  const a = files.file("abcdefghij"), gate = deferred<void>();
  const map = extents([], {
    size: 10,
    missing: (range) => gate.promise.then(() => [extent(range.offset, range.length, a, range.offset)]),
    allocate: () => [],
  });
  const all = readLater(map);
  map.truncate(7);
  map.truncate(9);
  map.punch(2, 2);
  gate.resolve();
  assertEquals(await all, "ab..efg..");
});

test("extents write: to the files, across them", () => {
  using files = new Memfds();
  const a = files.file("abcdefghij"), b = files.file("0123456789");
  const map = extents([extent(0, 3, a, 2), extent(3, 4, b, 6)]);
  assertEquals(map.write(bytes("XY"), 0), 2);
  assertEquals(map.write(bytes("-+*"), 2), 3);
  assertEquals(map.write(bytes(""), 2), 0);
  assertEquals(read(map), "XY-+*89");
  assertEquals([text(files.content(a)), text(files.content(b))], ["abXY-fghij", "012345+*89"]);
  // The data may be part of a buffer.
  assertEquals(map.write(bytes("..PQ..").subarray(2, 4), 2), 2);
  assertEquals(read(map), "XYPQ*89");
});

test("extents write: without allocate EROFS, ENOSPC in a hole and behind the end, or short", () => {
  using files = new Memfds();
  const a = files.file("abcdefghij"), readOnly = files.readOnly("0123456789");
  const map = extents([
    extent(0, 3, a, 0),
    extent(3, 3, readOnly, 0),
    extent(8, 2, a, 8),
    extent(10, 1, files.again(a, O.RDWR | O.APPEND), 0),
  ], { size: 13 });
  const before = read(map);
  const error = failure(() => map.write(bytes("X"), 3));
  assertEquals(error.code, "EROFS");
  assertMatch(error.message, new RegExp(`at 3 lies in descriptor ${readOnly}`));
  assertEquals(code(() => map.write(bytes("XY"), 10)), "EROFS");
  assertEquals(code(() => map.write(bytes("X"), 7)), "ENOSPC");
  assertEquals(code(() => map.write(bytes("X"), 13)), "ENOSPC");
  assertEquals(code(() => map.write(bytes("X"), 100)), "ENOSPC");
  assertEquals([read(map), map.size], [before, 13]);
  assertEquals(map.write(bytes("XYZ"), 1), 2);
  assertEquals(map.write(bytes("XYZ"), 8), 2);
  assertEquals(read(map), "aXY012..XYa..");
});

test("extents write: what a file refuses is its error, or a short write behind what it took", () => {
  using files = new Memfds();
  const sealed = files.file(new Uint8Array(4096), true), a = files.file(new Uint8Array(10));
  const map = extents([extent(0, 10, a, 0), extent(10, 8192, sealed, 0)]);
  const error = failure(() => map.write(bytes("X"), 10 + 4096));
  assertEquals([error.code, error.syscall], ["EPERM", "pwrite"]);
  assertEquals(map.write(new Uint8Array(5000).fill(1), 0), 10 + 4096);
  assertEquals(map.write(new Uint8Array(5000).fill(1), 10), 4096);
});

test("extents write: what is missing is asked for first, and may take the data", async () => {
  using files = new Memfds();
  const a = files.file("abcdefghij"), asked: ExtentRange[] = [];
  const options = (later: boolean) => ({
    size: 10,
    missing(range: ExtentRange): Extent[] | Promise<Extent[]> {
      asked.push(range);
      const answer = [extent(range.offset, range.length, a, range.offset)];
      return later ? Promise.resolve(answer) : answer;
    },
  });
  const now = extents([], options(false)), later = extents([], options(true));
  // What is not known yet may be such that it can be written.
  assertEquals(now.access, "read-write");
  assertStrictEquals(now.write(bytes("XYZ"), 3), 3);
  const written = later.write(bytes("12"), 7);
  assert(written instanceof Promise);
  assertEquals(await written, 2);
  assertEquals(asked, [{ offset: 3, length: 3 }, { offset: 7, length: 2 }]);
  assertEquals(text(files.content(a)), "abcXYZg12j");
});

test("extents allocate: takes what cannot be written where it lies; later writes go there at once", () => {
  using files = new Memfds();
  const base = files.readOnly("abcdefghij"), changes = files.file(), asked: ExtentRange[] = [];
  const options: ExtentsOptions = {
    size: 12,
    allocate(range) {
      asked.push(range);
      assertStrictEquals(this, options);
      return [extent(range.offset, range.length, changes, range.offset)];
    },
  };
  const map = extents([extent(0, 10, base, 0)], options);
  assertEquals(read(map), "abcdefghij..");
  assertEquals(map.write(bytes("XYZ"), 2), 3);
  assertEquals(map.write(bytes("PQ"), 3), 2);
  assertEquals(map.write(bytes("12345"), 0), 5);
  // The last bytes, the hole behind them, and one more.
  assertEquals(map.write(bytes("vwxyz"), 8), 5);
  assertEquals(asked, [{ offset: 2, length: 3 }, { offset: 0, length: 2 }, { offset: 8, length: 5 }]);
  assertEquals([read(map), map.size], ["12345fghvwxyz", 13]);
  assertEquals(text(files.content(base)), "abcdefghij");
  assertEquals(text(files.content(changes)), "12345...vwxyz");
  assertEquals([...map], [extent(0, 5, changes, 0), extent(5, 3, base, 5), extent(8, 5, changes, 8)]);
});

test("extents allocate: copies what lay in the rest of its blocks, holes as zeros", () => {
  using files = new Memfds();
  const base = files.readOnly("abcdefghij"), other = files.file("0123456789");
  const old = new Uint8Array(64).fill(0x21), blocks = files.file(old);
  const map = extents([extent(0, 5, base, 0), extent(5, 3, other, 0), extent(10, 4, base, 3)], {
    size: 15,
    // A whole block of 16 bytes, somewhere else.
    allocate: ({ offset }) => [extent(offset - offset % 16, 16, blocks, 32)],
  });
  assertEquals(map.write(bytes("XYZ"), 3), 3);
  assertEquals(read(map), "abcXYZ12..defg.");
  assertEquals([...map], [extent(0, 16, blocks, 32)]);
  assertEquals(text(files.content(blocks)), "!".repeat(32) + "abcXYZ12..defg.." + "!".repeat(16));
  assertEquals(text(files.content(other)), "0123456789");
  // Behind the size, too, the block holds zeros, which appear as it grows.
  assertEquals(map.size, 15);
  map.truncate(20);
  assertEquals(read(map), "abcXYZ12..defg......");
});

test("extents allocate: what lies in the place it answers already is left there", () => {
  using files = new Memfds();
  const overlay = files.file();
  const map = extents([], {
    allocate: ({ offset }) => [extent(offset - offset % 8, 8, overlay, offset - offset % 8)],
  });
  assertEquals(map.write(bytes("abcdefgh"), 0), 8);
  map.truncate(4);
  assertEquals(map.write(bytes("x"), 6), 1);
  assertEquals([read(map), map.size], ["abcd..x", 7]);
  assertEquals([...map], [extent(0, 8, overlay, 0)]);
});

test("extents allocate: may answer several extents, and less than was asked for", () => {
  using files = new Memfds();
  const blocks = files.file(), asked: ExtentRange[] = [];
  let place = 0;
  const map = extents([], {
    allocate(range) {
      asked.push(range);
      const { offset, length } = range, list: Extent[] = [];
      // Two bytes each, two of them a time, the second first.
      for (let at = offset; at < Math.min(offset + length, offset + 4); at += 2) {
        list.unshift(extent(at, 2, blocks, place += 10));
      }
      return list;
    },
  });
  assertEquals(map.write(bytes("abcdefg"), 1), 7);
  assertEquals(asked, [{ offset: 1, length: 7 }, { offset: 5, length: 3 }]);
  assertEquals([read(map), map.size], [".abcdefg", 8]);
  assertEquals([...map].map(({ offset, fileOffset }) => [offset, fileOffset]), [[1, 10], [3, 20], [5, 30], [7, 40]]);
});

test("extents allocate: what leaves out the beginning is ENOSPC, what follows a gap is not used", () => {
  using files = new Memfds();
  const blocks = files.file();
  const map = extents([], {
    allocate: ({ offset }) => offset === 0 ? [extent(0, 2, blocks, 0), extent(3, 2, blocks, 3)] : [],
  });
  assertEquals(code(() => map.write(bytes("x"), 7)), "ENOSPC");
  assertEquals(map.size, 0);
  assertEquals(map.write(bytes("abcde"), 0), 2);
  assertEquals([read(map), [...map].length], ["ab", 1]);
  const late = extents([], { allocate: () => [extent(3, 2, blocks, 3)] });
  assertEquals(code(() => late.write(bytes("abcde"), 0)), "ENOSPC");
  assertEquals([late.size, ...late], [0]);
});

test("extents allocate: what it answers is checked, and the error names it", async () => {
  using files = new Memfds();
  const a = files.file("abc"),
    cases: [Extent[], RegExp][] = [
      [[extent(0, 4, a, 0)], /^allocate: extent 0 .* outside of what was asked for, 4 to 8/],
      [[extent(4, 4, a, 0), extent(8, 1, a, 20)], /^allocate: extent 1 .* outside/],
      [[extent(2, 4, a, 0), extent(5, 2, a, 9)], /^allocate: extent 1 .* overlaps extent 0/],
      [[extent(4, -1, a, 0)], /^allocate: extent 0 .*length is negative/],
      [[extent(4, 4, files.readOnly(), 0)], /^allocate: extent 0 .*cannot be written/],
      [[extent(4, 4, files.again(a, O.RDWR | O.APPEND), 0)], /^allocate: extent 0 .*cannot be written/],
    ];
  for (const [answer, message] of cases) {
    const map = extents([], { allocate: () => answer });
    assertMatch((assertThrows(() => map.write(bytes("1234"), 4)) as Error).message, message);
    const later = extents([], { allocate: () => Promise.resolve(answer) });
    const write = async () => await later.write(bytes("1234"), 4);
    assertMatch((await assertRejects(write) as Error).message, message);
    assertEquals([map.size, later.size, ...map, ...later], [0, 0]);
  }
  assertEquals(text(files.content(a)), "abc");
});

test("extents allocate: nothing is moved to a file that cannot take all of it", () => {
  using files = new Memfds();
  const base = files.readOnly(new Uint8Array(8192).fill(0x61)), sealed = files.file(new Uint8Array(4096), true);
  const room = files.file();
  let calls = 0;
  const map = extents([extent(0, 8192, base, 0)], {
    allocate: () => calls++ === 0 ? [extent(0, 8192, sealed, 0)] : [extent(0, 8192, room, 0)],
  });
  // The data fits, the copy of what follows it does not.
  const error = failure(() => map.write(bytes("XYZ"), 5));
  assertEquals([error.code, error.syscall], ["EPERM", "pwrite"]);
  assertEquals([...map], [extent(0, 8192, base, 0)]);
  assertEquals(read(map, 0, 10), "aaaaaaaaaa");
  assertEquals(map.write(bytes("XYZ"), 5), 3);
  assertEquals(read(map, 0, 10), "aaaaaXYZaa");
  assertEquals(calls, 2);

  // The first of two extents has taken its part by then.
  const two = extents([], { allocate: () => [extent(0, 3, room, 0), extent(3, 10, sealed, 4096)] });
  assertEquals(two.write(bytes("abcdef"), 0), 3);
  assertEquals([read(two), two.size, [...two].length], ["abc", 3, 1]);
});

test("extents allocate: what it throws is the write's error, or makes it short", async () => {
  using files = new Memfds();
  const a = files.file("abc");
  const full = () => {
    throw new FuseError("EDQUOT", "the quota is used up");
  };
  for (const allocate of [full, () => Promise.resolve().then(full)]) {
    const map = extents([extent(0, 3, a, 0)], { allocate });
    const write = async () => await map.write(bytes("xyz"), 3);
    for (let i = 0; i < 2; i++) await assertRejects(write, FuseError, "quota");
    assertEquals(await map.write(bytes("xyz"), 1), 2);
    assertEquals([read(map), map.size], ["axy", 3]);
  }
});

test("extents allocate: may be a promise; one call at a time, none for what has room by then", async () => {
  using files = new Memfds();
  const blocks = files.file(), asked: ExtentRange[] = [];
  let busy = 0;
  const map = extents([extent(0, 20, files.readOnly("abcdefghijklmnopqrst"), 0)], {
    async allocate(range) {
      asked.push(range);
      assertEquals(++busy, 1);
      await new Promise((resolve) => setTimeout(resolve, 1));
      busy--;
      const offset = range.offset - range.offset % 8;
      return [extent(offset, 8, blocks, offset)];
    },
  });
  const writes = [map.write(bytes("12"), 0), map.write(bytes("34"), 2), map.write(bytes("567890"), 4)];
  const other = map.write(bytes("xy"), 17);
  // A read in between sees what was there.
  assertEquals(read(map), "abcdefghijklmnopqrst");
  assertEquals([await Promise.all(writes), await other], [[2, 2, 6], 2]);
  assertEquals(asked.map(({ offset }) => offset), [0, 17, 8]);
  assertEquals([read(map), map.size], ["1234567890klmnopqxyt", 20]);
});

test("extents allocate: copies what was missing in the rest of its blocks", async () => {
  using files = new Memfds();
  const base = files.readOnly("abcdefghijklmnop"), blocks = files.file(), asked: ExtentRange[] = [];
  for (const later of [false, true]) {
    const map = extents([], {
      size: 16,
      missing(range) {
        asked.push(range);
        const answer = [extent(range.offset, range.length, base, range.offset)];
        return later ? Promise.resolve(answer) : answer;
      },
      allocate: ({ offset }) => [extent(offset - offset % 8, 8, blocks, offset - offset % 8)],
    });
    const written = map.write(bytes("XY"), 3);
    assertEquals(written instanceof Promise, later);
    assertEquals(await written, 2);
    assertEquals(asked.splice(0), [{ offset: 3, length: 2 }, { offset: 0, length: 3 }, { offset: 5, length: 3 }]);
    assertEquals(read(map, 0, 8), "abcXYfgh");
    assertEquals(asked, []);
  }
});

test("extents truncate: cuts the map and not the files; what it adds reads as zeros", () => {
  using files = new Memfds();
  const a = files.file("abcdefghij"), asked: ExtentRange[] = [];
  const map = extents([extent(0, 10, a, 0)], {
    size: 20,
    missing: (range) => {
      asked.push(range);
      return [];
    },
  });
  map.truncate(15);
  map.truncate(4);
  assertEquals([read(map, 0, 100), map.size], ["abcd", 4]);
  map.truncate(12);
  assertEquals([read(map), map.size], ["abcd........", 12]);
  assertEquals(asked, []);
  assertEquals(text(files.content(a)), "abcdefghij");
  assertEquals(code(() => map.write(bytes("x"), 4)), "ENOSPC");
  assertEquals(map.write(bytes("x"), 3), 1);
  map.truncate(0);
  assertEquals([map.size, read(map, 0, 5), ...map], [0, ""]);
});

test("extents: ranges that are none are EINVAL, ends beyond 2^53-1 EFBIG", () => {
  using files = new Memfds();
  const map = extents([extent(0, 3, files.file("abc"), 0)]), max = Number.MAX_SAFE_INTEGER;
  for (const bad of [-1, 0.5, NaN, Infinity, max + 1]) {
    assertEquals(code(() => map.read(new Uint8Array(1), bad)), "EINVAL");
    assertEquals(code(() => map.write(new Uint8Array(1), bad)), "EINVAL");
    assertEquals(code(() => map.truncate(bad)), "EINVAL");
    assertEquals(code(() => map.punch(bad, 1)), "EINVAL");
    assertEquals(code(() => map.allocateRange(bad, 1)), "EINVAL");
  }
  assertEquals(code(() => map.read(new Uint8Array(1), 0, -1)), "EINVAL");
  assertEquals(code(() => map.write(new Uint8Array(2), max - 1)), "EFBIG");
  assertEquals(map.size, 3);
});

test("extents sync: every descriptor that was written since the last fsync, and no other", () => {
  using files = new Memfds();
  const written = files.file("abc"), idle = files.file("abc"), taking = files.file("abc");
  const map = extents([extent(0, 3, written, 0), extent(3, 3, idle, 0)], {
    allocate: ({ offset, length }) => [extent(offset, length, taking, 0)],
  });
  // A descriptor that is not open any more tells that it is used.
  files.close(idle);
  map.sync(false);
  map.write(bytes("x"), 0);
  map.sync(true);
  // fdatasync leaves metadata to be brought later.
  files.close(written);
  let error = failure(() => map.sync(true));
  assertEquals([error.code, error.syscall], ["EBADF", "fdatasync"]);
  error = failure(() => map.sync(false));
  assertEquals([error.code, error.syscall], ["EBADF", "fsync"]);

  const fresh = extents([extent(0, 3, taking, 0)], {
    allocate: ({ offset, length }) => [extent(offset, length, taking, offset)],
  });
  fresh.write(bytes("y"), 5);
  fresh.sync(false);
  fresh.write(bytes("z"), 9);
  files.close(taking);
  assertEquals(failure(() => fresh.sync(false)).syscall, "fsync");
});

test("extents sync: what was brought to storage is not brought again", () => {
  using files = new Memfds();
  const fd = files.file("abc"), map = extents([extent(0, 3, fd, 0)]);
  map.write(bytes("x"), 0);
  map.sync(false);
  files.close(fd);
  map.sync(false);
});

test("extents: a descriptor that its author closed is an EBADF that names the call", () => {
  using files = new Memfds();
  const fd = files.file("abc"), map = extents([extent(0, 3, fd, 0)]);
  files.close(fd);
  let error = failure(() => map.read(new Uint8Array(3), 0));
  assertEquals([error.code, error.syscall], ["EBADF", "pread"]);
  assertMatch(error.message, new RegExp(`^descriptor ${fd} cannot be used: pread\\(2\\) says EBADF`));
  error = failure(() => map.write(bytes("x"), 0));
  assertEquals([error.code, error.syscall], ["EBADF", "pwrite"]);
});

test("extents seek: holes of the map and of its files, and the one at the end", () => {
  using files = new Memfds();
  const page = 4096, sparse = files.file();
  const c = libc();
  c.pwrite(sparse, bytes("x"), 1, 2 * page);
  c.ftruncate(sparse, 4 * page);
  c.lseek(sparse, 5, 0);
  const solid = files.readOnly("y".repeat(2 * page));
  const map = extents([
    extent(page, page, solid, 100),
    // Hole, data, hole.
    extent(2 * page, 3 * page, sparse, page),
    // Goes on behind the end of its file.
    extent(5 * page, 2 * page, solid, page),
  ], { size: 8 * page });
  const data = (offset: number) => map.seek(offset, SEEK_DATA), hole = (offset: number) => map.seek(offset, SEEK_HOLE);
  assertEquals([data(0), data(page), data(page + 1)], [page, page, page + 1]);
  assertEquals([hole(0), hole(7), hole(page), hole(page + 9)], [0, 7, 2 * page, 2 * page]);
  assertEquals([data(2 * page), hole(3 * page)], [3 * page, 4 * page]);
  assertEquals([data(4 * page + 1), hole(4 * page + 1)], [5 * page, 4 * page + 1]);
  assertEquals([hole(5 * page), hole(6 * page + 1)], [6 * page, 6 * page + 1]);
  assertEquals([code(() => data(6 * page)), code(() => data(7 * page))], ["ENXIO", "ENXIO"]);
  for (const beyond of [8 * page, 9 * page, -1]) {
    assertEquals([code(() => data(beyond)), code(() => hole(beyond))], ["ENXIO", "ENXIO"]);
  }
  assertEquals(code(() => map.seek(0, 0)), "EINVAL");
  // The author's position has not moved.
  assertEquals(c.lseek(sparse, 0, 1), 5);

  assertEquals(extents([extent(0, 9, solid, 0)]).seek(3, SEEK_HOLE), 9);
  const unknown = extents([], { size: 9, missing: () => [] });
  assertEquals([unknown.seek(3, SEEK_DATA), unknown.seek(3, SEEK_HOLE)], [3, 9]);
});

test("extents seek: leaves no descriptor behind", () => {
  using files = new Memfds();
  const list = Array.from({ length: 5 }, (_, i) => extent(i, 1, files.file("abc"), i % 3));
  const count = () => readdirSync("/proc/self/fd").length;
  const before = count();
  assertEquals(extents(list).seek(0, SEEK_HOLE), 5);
  assertEquals(count(), before);
});

test("extents punch: a hole in what can be written, and in the map where there is allocate", () => {
  using files = new Memfds();
  const page = 4096, a = files.file("a".repeat(4 * page)), base = files.readOnly("0123456789");
  const map = extents([extent(0, 4 * page, a, 0)], { size: 5 * page });
  const blocks = files.stat(a).blocks;
  map.punch(page - 1, 2 * page + 1);
  assertEquals(read(map, page - 2, 3), "a..");
  assertEquals(read(map, 3 * page - 1, 2), ".a");
  assertEquals(blocks - files.stat(a).blocks, 2 * page / 512);
  map.punch(4 * page - 1, 100 * page);
  assertEquals([read(map, 4 * page - 2, 3), map.size, files.stat(a).size], ["a..", 5 * page, 4 * page]);
  assertEquals([...map], [extent(0, 4 * page, a, 0)]);

  const mixed = [extent(0, 5, files.file("abcde"), 0), extent(5, 5, base, 5)];
  const fixed = extents(mixed);
  assertEquals(code(() => fixed.punch(3, 4)), "EROFS");
  assertEquals(read(fixed), "abcde56789");
  const asked: ExtentRange[] = [];
  const free = extents(mixed, {
    size: 14,
    missing: (range) => {
      asked.push(range);
      return [extent(range.offset, range.length, base, 0)];
    },
    allocate: () => [],
  });
  free.punch(3, 4);
  free.punch(9, 2);
  assertEquals(asked, []);
  assertEquals(read(free), "abc....78..012");
  assertEquals(asked, [{ offset: 11, length: 3 }]);
});

test("extents punch: without allocate what is missing is asked for, and may be punched", async () => {
  using files = new Memfds();
  const a = files.file("abcdefghij");
  const map = extents([], {
    size: 10,
    missing: (range) => Promise.resolve([extent(range.offset, range.length, a, range.offset)]),
  });
  await map.punch(2, 3);
  assertEquals(text(files.content(a)), "ab...fghij");
  assertEquals(await readLater(map), "ab...fghij");
});

test("extents: zeros are written where the file system makes no holes", { needs: ["root", "tool:mount"] }, async () => {
  await using dir = await tempDir();
  assertEquals((await run(["mount", "-t", "ramfs", "ramfs", dir.path])).code, 0);
  using files = new Memfds();
  const fd = files.open(dir.join("f"), O.RDWR | O.CREAT);
  libc().pwrite(fd, bytes("abcdefghij"), 10, 0);
  const map = extents([extent(0, 20, fd, 0)]);
  map.punch(2, 3);
  map.punch(8, 10);
  assertEquals(text(files.content(fd)), "ab...fgh..");
  const taken = extents([], { allocate: ({ offset }) => [extent(offset - 1, 5, fd, 5)] });
  taken.write(bytes("X"), 1);
  assertEquals(text(files.content(fd)), "ab....X...");
});

test("extents allocateRange: space in the files and from allocate", () => {
  using files = new Memfds();
  const page = 4096, a = files.file(), blocks = files.file(), base = files.readOnly("0123456789");
  const map = extents([extent(0, page, a, page), extent(page, 10, base, 0)], {
    allocate: ({ offset, length }) => [extent(offset, length, blocks, offset)],
  });
  map.allocateRange(0, 3 * page, true);
  assertEquals([map.size, files.stat(a).size, files.stat(a).blocks], [page + 10, 2 * page, page / 512]);
  assertEquals(files.stat(blocks).blocks, 2 * page / 512);
  assertEquals(read(map, page - 1, 100), ".0123456789");
  map.allocateRange(0, 3 * page);
  assertEquals([map.size, read(map, page + 9, 2)], [3 * page, "9."]);
  assertEquals([...map], [extent(0, page, a, page), extent(page, 2 * page, blocks, page)]);
  const fixed = extents([extent(0, 3, a, 0), extent(5, 3, base, 0)]);
  assertEquals(code(() => fixed.allocateRange(0, 5)), "ENOSPC");
  assertEquals(code(() => fixed.allocateRange(5, 1)), "EROFS");
  assertEquals(fixed.size, 8);
});
