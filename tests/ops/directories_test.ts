/** Reading directories: every entry once and in order, whatever the author answers and however the kernel asks. */
import { assert, assertEquals, assertLess, assertStrictEquals } from "@std/assert";
import { FuseError } from "../../src/errno.ts";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import type { DirEntries, DirEntry } from "../../src/fs/types.ts";
import { type Answer, c, connect, type Dirent, dirents, field, opendir, settled, type Wire } from "../support/wire.ts";
import { test } from "../support/harness.ts";

/** Asks for one piece. */
function piece(wire: Wire, fh: number, offset: number, size: number, plus = false): Promise<Answer> {
  const parts = [c("fuse_read_in", { fh, offset, size })];
  return wire.ask(plus ? "FUSE_READDIRPLUS" : "FUSE_READDIR", { parts });
}

/** Asks until nothing comes any more. */
async function readAll(wire: Wire, fh: number, size: number, options: { from?: number; plus?: boolean } = {}) {
  const { from = 0, plus = false } = options;
  const all: Dirent[] = [];
  for (let offset = from;;) {
    const { error, body } = await piece(wire, fh, offset, size, plus);
    assertStrictEquals(error, "", `behind ${offset}`);
    assert(body.length <= size, `${body.length} bytes where ${size} were asked for`);
    if (body.length === 0) return all;
    all.push(...dirents(body, plus));
    const next = all.at(-1)!.off;
    assert(next !== offset, "an offset leads to itself");
    offset = next;
  }
}

const named = (name: string): DirEntry => ({ name, ino: 7, mode: 0o100644 });
const names = (all: readonly Dirent[]) => all.map((d) => d.name);
const DOTS = [".", ".."];
// Lengths around the steps of 8 bytes, and the longest.
const NAMES = [1, 7, 8, 9, 255, 16, 2, 254, 3, 24, 5].map((length, i) => String.fromCharCode(97 + i).repeat(length));

async function* later<T>(all: Iterable<T>): AsyncGenerator<T> {
  for (const one of all) {
    await null;
    yield one;
  }
}
function* now<T>(all: Iterable<T>): Generator<T> {
  yield* all;
}

/** The ways in which an author may hand over entries. */
const KINDS: Record<string, (all: DirEntry[]) => DirEntries | Promise<DirEntries>> = {
  "an array": (all) => all,
  "a set": (all) => new Set(all),
  "a generator": now,
  "an async generator": later,
  "a promise of an array": (all) => Promise.resolve(all),
  "a promise of an async generator": (all) => Promise.resolve(later(all)),
};

// The author's cookies: neither in order nor without holes.
const cookie = (i: number) => (i * 7919 + 13) % 1009 + 1;

/** Without cookies, and with the author's own. */
const COOKIES: Record<string, (make: (all: DirEntry[]) => DirEntries | Promise<DirEntries>) => Filesystem> = {
  "numbered here": (make) => ({
    readdir({ offset }) {
      assertStrictEquals(offset, 0);
      return make(NAMES.map(named));
    },
  }),
  "with cookies": (make) => ({
    readdir({ offset }) {
      const all = NAMES.map((name, i) => ({ ...named(name), offset: cookie(i) }));
      const at = all.findIndex((e) => e.offset === offset);
      assert(offset === 0 || at >= 0, `no entry has the cookie ${offset}`);
      return make(all.slice(at + 1));
    },
  }),
};

for (const [kind, make] of Object.entries(KINDS)) {
  for (const [how, author] of Object.entries(COOKIES)) {
    test(`readdir: ${kind}, ${how}: every entry once and in order, for many sizes`, async () => {
      for (const plus of [false, true]) {
        const least = (plus ? 128 : 0) + 24 + 256;
        for (const size of [least, least + 1, least + 7, least + 8, least + 24, least + 300, 1000, 4096, 65536]) {
          const wire = connect(author(make));
          const all = await readAll(wire, opendir(wire), size, { plus });
          assertEquals(names(all), [...DOTS, ...NAMES], `${size} bytes`);
          assertStrictEquals(new Set(all.map((d) => d.off)).size, all.length, "no two offsets are the same");
          assertEquals(wire.reports, []);
        }
      }
    });

    test(`readdir: ${kind}, ${how}: from the offset of any entry the rest follows`, async () => {
      const wire = connect(author(make));
      const fh = opendir(wire);
      const all = await readAll(wire, fh, 4096);
      const places = [0, ...all.map((d) => d.off)];
      // Forwards, backwards, and each twice; by a handle that has read, and by a new one.
      for (const i of [...places.keys(), ...[...places.keys()].reverse()]) {
        for (const handle of [fh, fh, opendir(wire)]) {
          const rest = await readAll(wire, handle, 600, { from: places[i] });
          assertEquals(names(rest), [...DOTS, ...NAMES].slice(i), `from ${places[i]}`);
          assertEquals(rest.map((d) => d.off), places.slice(i + 1));
        }
      }
      assertEquals(wire.reports, []);
    });
  }
}

test("readdir: a place that no entry has is an end or a place, never a failure", async () => {
  const cases: readonly [first: string[], offset: number, rest: string[]][] = [
    [[], 1, [".."]],
    [[], 2, []],
    [[], 3, []],
    [["a"], 1, ["..", "a"]],
    [["a"], 4, []],
    [["a"], 2 ** 53 - 1, []],
    // Numbered from 3, since none are added in front.
    [[".", "..", "a"], 1, [".", "..", "a"]],
    [[".", "..", "a"], 2, [".", "..", "a"]],
    [[".", "..", "a"], 3, ["..", "a"]],
    [[".", "..", "a"], 5, []],
    [[".", "..", "a"], 1000, []],
  ];
  for (const [first, offset, rest] of cases) {
    const wire = connect({ readdir: () => first.map(named) });
    const fh = opendir(wire);
    for (const handle of [fh, fh, opendir(wire)]) {
      assertEquals(names(await readAll(wire, handle, 4096, { from: offset })), rest, `${first} from ${offset}`);
    }
    assertEquals(wire.reports, []);
  }
});

test("readdir: one pass serves a whole directory, and only as much is taken as is asked for", async () => {
  let passes = 0, taken = 0, ended = 0;
  const wire = connect({
    *readdir() {
      passes++;
      try {
        for (;;) yield named(`n${String(taken++).padStart(6, "0")}`);
      } finally {
        ended++;
      }
    },
  });
  const fh = opendir(wire);
  let offset = 0;
  for (let i = 1; i <= 5; i++) {
    const all = dirents((await piece(wire, fh, offset, 320)).body);
    assertStrictEquals(all.length, 10);
    offset = all.at(-1)!.off;
    // Two of the first ten are the dots; one more is taken to see that it does not fit.
    assertStrictEquals(taken, 10 * i - 2 + 1);
  }
  assertEquals([passes, ended], [1, 0]);
});

test("readdir: a pass ends with the next one, and with the directory", async () => {
  for (const kind of [now, later]) {
    const log: string[] = [];
    let pass = 0;
    const wire = connect({
      readdir() {
        const number = ++pass;
        const all = kind(NAMES.map(named));
        return {
          [kind === now ? Symbol.iterator : Symbol.asyncIterator]: () => ({
            next: () => all.next(),
            return: (value: unknown) => (log.push(`end of ${number}`), all.return(value as never)),
          }),
        } as unknown as DirEntries;
      },
      releasedir: ({ fh }) => void log.push(`released ${fh}`),
      opendir: () => ({ fh: 42 }),
    });
    const fh = opendir(wire);
    await piece(wire, fh, 0, 300);
    await piece(wire, fh, 0, 300);
    assertEquals(log, ["end of 1"]);
    assertStrictEquals(wire.dispatcher.openDirectories, 1);
    assertStrictEquals(wire.send("FUSE_RELEASEDIR", { parts: [c("fuse_release_in", { fh })] }).errno, 0);
    assertEquals(log, ["end of 1", "end of 2", "released 42"]);
    assertStrictEquals(wire.dispatcher.openDirectories, 0);
  }
});

test("readdir: what a generator does at its end is done, and what it throws there disturbs nobody", async () => {
  const bug = new Error("x");
  const sources: (() => DirEntries)[] = [
    function* () {
      try {
        for (;;) yield named("a".repeat(200));
      } finally {
        // deno-lint-ignore no-unsafe-finally
        throw bug;
      }
    },
    async function* () {
      try {
        for (;;) yield await named("a".repeat(200));
      } finally {
        // deno-lint-ignore no-unsafe-finally
        throw bug;
      }
    },
  ];
  for (const readdir of sources) {
    const wire = connect({ readdir });
    const fh = opendir(wire);
    await piece(wire, fh, 0, 400);
    assertStrictEquals((await piece(wire, fh, 0, 400)).error, "");
    assertStrictEquals(wire.send("FUSE_RELEASEDIR", { parts: [c("fuse_release_in", { fh })] }).error, "");
    await settled();
    assertStrictEquals(wire.dispatcher.openDirectories, 0);
    assertStrictEquals(opendir(wire), fh);
  }
});

test('readdir: "." and ".." are added, with the directory\'s nodeid, unless the author begins with "."', async () => {
  const dot = (name: string, ino: number): DirEntry => ({ name, ino, mode: 0o040755 });
  const cases: readonly [DirEntry[], string[], (number | bigint)[]][] = [
    [[], DOTS, [5, 0xffffffff]],
    [[named("a")], [...DOTS, "a"], [5, 0xffffffff, 7]],
    [[dot(".", 50), dot("..", 51)], DOTS, [50, 51]],
    [[dot(".", 50), named("a"), dot("..", 51)], [".", "a", ".."], [50, 7, 51]],
    // Too late: the added ones were already given.
    [[named("a"), dot(".", 50), dot("..", 51), named("b")], [...DOTS, "a", "b"], [5, 0xffffffff, 7, 7]],
    [[dot("..", 51), dot(".", 50), named("a")], [...DOTS, "a"], [5, 0xffffffff, 7]],
  ];
  for (const [own, kind] of [[false, now], [true, now], [false, later], [true, later]] as const) {
    for (const plus of [false, true]) {
      for (const size of [plus ? 160 : 32, 4096]) {
        for (const [entries, expected, inos] of cases) {
          const given = entries.map((e, i) => own ? { ...e, offset: 3 * i + 1 } : e);
          const wire = connect({ readdir: ({ offset }) => kind(given.slice(own && offset ? (offset + 2) / 3 : 0)) });
          const { body } = wire.send("FUSE_OPENDIR", { nodeid: 5, parts: [c("fuse_open_in")] });
          const fh = Number(field("fuse_open_out", "fh", body));
          const all: Dirent[] = [];
          for (let offset = 0;;) {
            const parts = [c("fuse_read_in", { fh, offset, size })];
            const answer = await wire.ask(plus ? "FUSE_READDIRPLUS" : "FUSE_READDIR", { nodeid: 5, parts });
            assertStrictEquals(answer.error, "");
            if (answer.body.length === 0) break;
            all.push(...dirents(answer.body, plus));
            offset = all.at(-1)!.off;
          }
          assertEquals(names(all), expected);
          assertEquals(all.map((d) => d.ino), inos);
          assert(all.filter((d) => DOTS.includes(d.name)).every((d) => d.type === 4 && d.nodeid === 0));
        }
      }
    }
  }
});

test("readdir: types, inode numbers and names as bytes", async () => {
  const types = [0, 0o010000, 0o020000, 0o040000, 0o060000, 0o100000, 0o120000, 0o140000];
  const all: DirEntry[] = types.map((type, i) => ({ name: `t${i}`, ino: i + 1, mode: type | 0o7777 }));
  all.push({ name: "big", ino: 2n ** 64n - 1n, mode: 0 });
  all.push({ name: "\udc80\udcffä€\u{1f600}", ino: 1, mode: 0 });
  all.push({ name: "\udcff".repeat(255), ino: 2, mode: 0 });
  all.push({ name: "ä".repeat(127), ino: 3, mode: 0 });
  const wire = connect({ readdir: () => all });
  const read = (await readAll(wire, opendir(wire), 280)).slice(2);
  assertEquals(read.slice(0, 8).map((d) => d.type), [0, 1, 2, 4, 6, 8, 10, 12]);
  assertEquals(read.map((d) => d.ino), all.map((d) => d.ino));
  assertEquals([...read[9].bytes], [0x80, 0xff, 0xc3, 0xa4, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80]);
  assertEquals([...read[10].bytes], new Array(255).fill(0xff));
  assertStrictEquals(read[11].name, "ä".repeat(127));
});

test("readdir: an entry fits to the byte, and is EINVAL where it is the first and does not", async () => {
  for (const name of ["a", "1234567", "12345678", "123456789", "ä".repeat(4), "\udcff".repeat(255), "x".repeat(255)]) {
    const bytes = name.startsWith("ä") ? 8 : name.length;
    for (const plus of [false, true]) {
      const exact = (plus ? 128 : 0) + 24 + Math.ceil(bytes / 8) * 8;
      const wire = connect({ readdir: () => [".", "..", name].map(named) });
      const fh = opendir(wire);
      const dots = names(dirents((await piece(wire, fh, 0, 4096, plus)).body, plus));
      assertStrictEquals(dots.length, 3);
      assertStrictEquals(dirents((await piece(wire, fh, 4, exact, plus)).body, plus).length, 1);
      for (const size of [exact - 1, exact - 8, 24, 0]) {
        assertStrictEquals((await piece(wire, fh, 4, size, plus)).error, "EINVAL", `${size} of ${exact}`);
      }
      // And it is not lost by it.
      assertStrictEquals(dirents((await piece(wire, fh, 4, exact, plus)).body, plus).length, 1);
      assertEquals(wire.reports, []);
    }
  }
});

test("readdir: a huge size takes no huge memory", async () => {
  const wire = connect({ readdir: () => NAMES.map(named) });
  const { body } = await piece(wire, opendir(wire), 0, 0xffffffff);
  assertEquals(names(dirents(body)), [...DOTS, ...NAMES]);
  assertLess(body.buffer.byteLength, 2 ** 24);
});

test("readdir: an array that its author goes on changing is read as it was", async () => {
  const kept = NAMES.map(named);
  const wire = connect({ readdir: () => kept });
  const fh = opendir(wire);
  const first = dirents((await piece(wire, fh, 0, 400)).body);
  // As `rm -r` does it, between two pieces.
  for (const name of names(first).slice(2)) kept.splice(kept.findIndex((e) => e.name === name), 1);
  const rest = await readAll(wire, fh, 400, { from: first.at(-1)!.off });
  assertEquals([...names(first), ...names(rest)], [...DOTS, ...NAMES]);
});

for (const [when, kind] of [["now", now], ["later", later]] as const) {
  test(`readdir: an error in the middle comes behind the entries before it (${when})`, async () => {
    const denied = new FuseError("EACCES"), bug = new Error("x");
    for (const [thrown, error, reported] of [[denied, "EACCES", 0], [bug, "EIO", 1]] as const) {
      for (const good of [1, 3, NAMES.length]) {
        for (const size of [280, 1000, 4096]) {
          let passes = 0;
          const wire = connect({
            readdir() {
              const fails = ++passes === 1;
              return kind(function* () {
                for (const [i, name] of NAMES.entries()) {
                  if (i === good && fails) throw thrown;
                  yield named(name);
                }
                if (fails) throw thrown;
              }());
            },
          });
          const fh = opendir(wire);
          const all: Dirent[] = [];
          let offset = 0, answer: Answer;
          for (;;) {
            answer = await piece(wire, fh, offset, size);
            if (answer.error !== "") break;
            assert(answer.body.length > 0, "the error is not an end");
            all.push(...dirents(answer.body));
            offset = all.at(-1)!.off;
          }
          assertEquals(names(all), [...DOTS, ...NAMES.slice(0, good)]);
          assertStrictEquals(answer.error, error);
          assertEquals(wire.reports.map((r) => r.error), new Array(reported).fill(thrown));
          // Who asks again gets a new pass, from there and from the start.
          assertEquals(names(await readAll(wire, fh, size, { from: offset })), NAMES.slice(good));
          assertEquals(names(await readAll(wire, fh, size)), [...DOTS, ...NAMES]);
        }
      }
    }
  });

  test(`readdir: an error before the first entry is answered at once (${when})`, async () => {
    const wire = connect({
      readdir: () =>
        kind({
          [Symbol.iterator](): Iterator<DirEntry> {
            throw new FuseError("EACCES");
          },
        }),
    });
    const fh = opendir(wire);
    assertStrictEquals((await piece(wire, fh, 0, 4096)).error, "EACCES");
    assertStrictEquals((await piece(wire, fh, 2, 4096)).error, "EACCES");
  });

  test(`readdir: 100,000 entries (${when})`, async () => {
    const count = 100_000;
    let passes = 0;
    const wire = connect({
      readdir() {
        passes++;
        return kind(function* () {
          for (let i = 0; i < count; i++) yield named(`n${i}`);
        }());
      },
    });
    const fh = opendir(wire);
    let expected = -2;
    for (let offset = 0;;) {
      const { body } = await piece(wire, fh, offset, 1 << 16);
      if (body.length === 0) break;
      for (const { bytes, off } of dirents(body)) {
        if (expected >= 0) assertStrictEquals(String.fromCharCode(...bytes), `n${expected}`);
        expected++;
        offset = off;
      }
    }
    assertStrictEquals(expected, count);
    assertStrictEquals(passes, 1);
    // Back to the last but one: a new pass that runs up to it.
    assertEquals(names(await readAll(wire, fh, 4096, { from: count })), [`n${count - 2}`, `n${count - 1}`]);
  });
}

test("readdir: two requests at once for one handle are served one after the other", async () => {
  let active = 0;
  const wire = connect({
    async *readdir() {
      for (const name of NAMES) {
        assertStrictEquals(++active, 1);
        await settled();
        active--;
        yield named(name);
      }
    },
  });
  const fh = opendir(wire);
  const [first, same, ahead] = await Promise.all([
    piece(wire, fh, 0, 4096),
    piece(wire, fh, 0, 4096),
    piece(wire, fh, 5, 4096),
  ]);
  assertEquals(names(dirents(first.body)), [...DOTS, ...NAMES]);
  assertEquals(same.body, first.body);
  assertEquals(names(dirents(ahead.body)), NAMES.slice(3));
  // One that fails keeps none that waits from being served.
  assertEquals(wire.reports, []);
  assertStrictEquals(wire.dispatcher.pending, 0);
});

test("readdir: a request that fails lets the next one for the handle go on", async () => {
  let passes = 0;
  const wire = connect({
    async *readdir() {
      await settled();
      if (++passes === 1) throw new FuseError("ESTALE");
      yield named("a");
    },
  });
  const fh = opendir(wire);
  const both = await Promise.all([piece(wire, fh, 0, 4096), piece(wire, fh, 0, 4096)]);
  assertEquals(both.map((a) => a.error), ["ESTALE", ""]);
});

test("readdir: handles of one directory do not disturb each other", async () => {
  const wire = connect({ opendir: ({ nodeid }) => ({ fh: nodeid * 10 }), readdir: () => now(NAMES.map(named)) });
  const [a, b] = [opendir(wire, 2), opendir(wire, 2)];
  assert(a !== b);
  const first = dirents((await piece(wire, a, 0, 400)).body);
  assertEquals(names(await readAll(wire, b, 300)), [...DOTS, ...NAMES]);
  assertEquals(names(await readAll(wire, a, 300, { from: first.at(-1)!.off })), NAMES.slice(first.length - 2));
});

test("directories: the author's own number is given to each method, and the session's to the kernel", async () => {
  const log: unknown[] = [];
  const wire = connect({
    opendir: ({ nodeid }) => ({ fh: nodeid + 100 }),
    readdir: ({ nodeid, fh }) => (log.push(["readdir", nodeid, fh]), []),
    fsyncdir: ({ nodeid, fh, datasync }) => void log.push(["fsyncdir", nodeid, fh, datasync]),
    releasedir: ({ nodeid, fh, flags }) => void log.push(["releasedir", nodeid, fh, flags]),
  });
  const handles = [2, 3, 4].map((nodeid) => opendir(wire, nodeid));
  assertEquals(handles, [1, 2, 3]);
  await wire.ask("FUSE_READDIR", { nodeid: 3, parts: [c("fuse_read_in", { fh: 2, size: 4096 })] });
  wire.send("FUSE_FSYNCDIR", { nodeid: 4, parts: [c("fuse_fsync_in", { fh: 3, fsync_flags: 1 })] });
  wire.send("FUSE_RELEASEDIR", { nodeid: 3, parts: [c("fuse_release_in", { fh: 2, flags: 9 })] });
  assertEquals(log, [["readdir", 3, 103], ["fsyncdir", 4, 104, true], ["releasedir", 3, 103, 9]]);
  // A number that is free again is used again.
  assertStrictEquals(opendir(wire, 5), 2);
  assertStrictEquals(opendir(wire, 6), 4);
  assertStrictEquals(wire.dispatcher.openDirectories, 4);
});

test("directories: without opendir there are no handles, and each piece is a pass of its own", async () => {
  const log: unknown[] = [];
  let open = 0;
  const wire = connect({
    async *readdir({ fh }) {
      assertStrictEquals(fh, 0);
      open++;
      try {
        yield* NAMES.map(named);
      } finally {
        open--;
      }
    },
    fsyncdir: (args) => void log.push(args),
    ioctl: ({ fh, directory }) => (log.push([fh, directory]), {}),
  }, { noOpendir: true });
  assertStrictEquals(wire.send("FUSE_OPENDIR", { parts: [c("fuse_open_in")] }).error, "ENOSYS");
  for (const size of [280, 4096]) {
    assertEquals(names(await readAll(wire, 0, size)), [...DOTS, ...NAMES]);
    assertEquals(names(await readAll(wire, 0, size, { from: 5 })), NAMES.slice(3));
  }
  await settled();
  assertStrictEquals(open, 0);
  assertStrictEquals(wire.send("FUSE_FSYNCDIR", { nodeid: 3, parts: [c("fuse_fsync_in")] }).error, "");
  assertStrictEquals(wire.send("FUSE_IOCTL", { parts: [c("fuse_ioctl_in", { flags: 16 })] }).error, "");
  assertEquals(log, [{ nodeid: 3, fh: 0, datasync: false }, [0, true]]);
  assertStrictEquals((await piece(wire, 1, 0, 4096)).error, "EBADF");
  assertEquals(wire.reports, []);
});

test("directories: opendir is served where the kernel does not know how to do without", async () => {
  const wire = connect({ readdir: () => NAMES.map(named) }, { noOpendir: true }, { flags: 0 });
  assertEquals(names(await readAll(wire, opendir(wire), 4096)), [...DOTS, ...NAMES]);
  assertStrictEquals((await piece(wire, 0, 0, 4096)).error, "EBADF");
});

test("directories: an unknown handle is EBADF, and no method is called", () => {
  const called = () => {
    throw new Error("called");
  };
  const wire = connect({ readdir: called, fsyncdir: called, releasedir: called });
  const read = (fh: number) => [c("fuse_read_in", { fh, size: 4096 })];
  for (const fh of [0, 1, 2, 2 ** 32, 2 ** 53 - 1]) {
    assertStrictEquals(wire.send("FUSE_READDIR", { parts: read(fh) }).error, "EBADF");
    assertStrictEquals(wire.send("FUSE_READDIRPLUS", { parts: read(fh) }).error, "EBADF");
    assertStrictEquals(wire.send("FUSE_FSYNCDIR", { parts: [c("fuse_fsync_in", { fh })] }).error, "EBADF");
    assertStrictEquals(wire.send("FUSE_RELEASEDIR", { parts: [c("fuse_release_in", { fh })] }).error, "EBADF");
  }
  assertEquals(wire.reports, []);
});

const FILE = { mode: 0o100644 };

for (const when of ["now", "later"]) {
  const answer = <T>(value: () => T): T | Promise<T> => when === "now" ? value() : Promise.resolve().then(value);

  test(`readdirplus: attributes where the name is found, and none where it is not (${when})`, async () => {
    const looked: unknown[] = [];
    const wire = connect({
      readdir: () => ["found", "gone", "negative", "denied", "other"].map(named),
      lookup(args, { uid }) {
        looked.push([args, uid]);
        return answer(() => {
          if (args.name === "gone") return null;
          if (args.name === "negative") return { nodeid: 0, attr: FILE };
          if (args.name === "denied") throw new FuseError("EACCES");
          return { nodeid: args.name.length, attr: { ...FILE, ino: 99, size: 3 }, entryTimeout: 1.5, attrTimeout: 2 };
        });
      },
    });
    const { body } = await wire.ask("FUSE_READDIRPLUS", {
      nodeid: 3,
      uid: 1000,
      parts: [c("fuse_read_in", { fh: opendir(wire, 3), size: 4096 })],
    });
    const all = dirents(body, true);
    assertEquals(names(all), [...DOTS, "found", "gone", "negative", "denied", "other"]);
    assertEquals(all.map((d) => d.nodeid), [0, 0, 5, 0, 0, 0, 5]);
    // The inode number of the attributes goes before that of the entry, so that stat and readdir agree.
    assertEquals(all.map((d) => d.ino), [3, 0xffffffff, 99, 7, 7, 7, 99]);
    const attr = { ino: 99, size: 3, blocks: 1, mode: FILE.mode, nlink: 1, blksize: 4096 };
    const expected = { nodeid: 5, entry_valid: 1, entry_valid_nsec: 500_000_000, attr_valid: 2, attr };
    assertEquals(all[2].entry, c("fuse_entry_out", expected));
    assertEquals(all[3].entry, c("fuse_entry_out"));
    assertEquals(looked, ["found", "gone", "negative", "denied", "other"].map((name) => [{ parent: 3, name }, 1000]));
    assertEquals(wire.reports, []);
  });

  test(`readdirplus: only what is packed is looked up (${when})`, async () => {
    const looked: string[] = [];
    const wire = connect({
      readdir: () => NAMES.map(named),
      lookup: ({ name }) => answer(() => (looked.push(name), { nodeid: 2, attr: FILE })),
    });
    const all = await readAll(wire, opendir(wire), 408, { plus: true });
    assertEquals(names(all), [...DOTS, ...NAMES]);
    assertEquals(looked, NAMES);
    // The names of the directory itself are not.
    const own = connect({
      readdir: () => [".", "..", "a"].map(named),
      lookup: ({ name }) => answer(() => (looked.push(name), { nodeid: 2, attr: FILE })),
    });
    looked.length = 0;
    await readAll(own, opendir(own), 408, { plus: true });
    assertEquals(looked, ["a"]);
  });

  test(`readdirplus: a lookup that is broken is EIO behind what was found (${when})`, async () => {
    const bug = new Error("x");
    const wire = connect({
      readdir: () => ["a", "b", "c"].map(named),
      lookup: ({ name }) =>
        answer(() => {
          if (name === "c") throw bug;
          return { nodeid: 2, attr: FILE };
        }),
    });
    const fh = opendir(wire);
    const { body } = await piece(wire, fh, 0, 4096, true);
    assertEquals(names(dirents(body, true)), [...DOTS, "a", "b"]);
    assertEquals(wire.reports, []);
    assertStrictEquals((await piece(wire, fh, 4, 4096, true)).error, "EIO");
    assertEquals(wire.reports, [{ error: bug, opcode: "FUSE_READDIRPLUS", nodeid: 1 }]);
    // readdir without attributes does not suffer.
    assertEquals(names(await readAll(wire, fh, 4096)), [...DOTS, "a", "b", "c"]);
  });
}
