/** What a method throws, and what it must not answer: always one reply, and never a bug that nobody hears of. */
import { assertEquals, assertStrictEquals } from "@std/assert";
import { inspect } from "node:util";
import type { OpcodeName } from "../../src/abi/opcode.ts";
import { FuseError } from "../../src/errno.ts";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import type { DirEntries } from "../../src/fs/types.ts";
import { PLAIN, UNBACKED } from "../../src/ops/op.ts";
import { type Answer, c, connect, opendir, type Report, settled, utf8, Wire } from "../support/wire.ts";
import { bodyOf, type Case, ENTRY, NODEID, SERVED } from "./cases.ts";
import { test } from "../support/harness.ts";

const THROWN: readonly { what: string; thrown: unknown; errno: string; reported: boolean }[] = [
  { what: "a FuseError", thrown: new FuseError("ENOSPC"), errno: "ENOSPC", reported: false },
  { what: "a FuseError of a number", thrown: new FuseError(-13), errno: "EACCES", reported: false },
  { what: "a FuseError that says EIO", thrown: new FuseError("EIO"), errno: "EIO", reported: false },
  {
    what: "Deno.errors.NotFound",
    thrown: Object.assign(new Error("x"), { name: "NotFound" }),
    errno: "ENOENT",
    reported: false,
  },
  {
    what: "an error as node's",
    thrown: Object.assign(new Error(), { code: "EXDEV" }),
    errno: "EXDEV",
    reported: false,
  },
  {
    what: "node's other name",
    thrown: Object.assign(new Error(), { code: "ENOTSUP" }),
    errno: "EOPNOTSUPP",
    reported: false,
  },
  { what: "an object with a code", thrown: { code: "ENOTEMPTY" }, errno: "ENOTEMPTY", reported: false },
  { what: "a DOMException", thrown: new DOMException("x", "QuotaExceededError"), errno: "ENOSPC", reported: false },
  { what: "an error", thrown: new Error("x"), errno: "EIO", reported: true },
  { what: "a TypeError", thrown: new TypeError("x"), errno: "EIO", reported: true },
  { what: "an unknown code", thrown: Object.assign(new Error(), { code: "EWHAT" }), errno: "EIO", reported: true },
  { what: "a method's name as code", thrown: { code: "toString" }, errno: "EIO", reported: true },
  { what: "a string", thrown: "ENOENT", errno: "EIO", reported: true },
  { what: "null", thrown: null, errno: "EIO", reported: true },
  { what: "undefined", thrown: undefined, errno: "EIO", reported: true },
];

function begin(row: Case, method: () => unknown): Wire {
  const wire = connect({ [row.method]: method } as Filesystem);
  row.before?.(wire);
  wire.replies.length = 0;
  return wire;
}

function checkReports(reports: readonly Report[], expected: readonly Report[]): void {
  assertStrictEquals(reports.length, expected.length);
  for (const [i, { error, opcode, nodeid }] of expected.entries()) {
    assertStrictEquals(reports[i].error, error);
    assertEquals([reports[i].opcode, reports[i].nodeid], [opcode, nodeid]);
  }
}

for (const [opcode, row] of SERVED) {
  test(`${opcode}: what the method throws is answered once, and a bug reported once`, async () => {
    for (const { what, thrown, errno, reported } of THROWN) {
      const throwing = () => {
        throw thrown;
      };
      for (const method of [throwing, () => Promise.reject(thrown)]) {
        const wire = begin(row, method);
        let answer: Answer | null = null;
        if (row.body === null) wire.post(opcode, bodyOf(row));
        else if (method === throwing) answer = wire.send(opcode, bodyOf(row));
        else answer = await wire.later(opcode, bodyOf(row));
        await settled();
        assertStrictEquals(answer?.error ?? errno, errno, what);
        assertStrictEquals(wire.replies.length, row.body === null ? 0 : 1, what);
        checkReports(wire.reports, reported ? [{ error: thrown, opcode, nodeid: NODEID }] : []);
        assertStrictEquals(wire.dispatcher.pending, 0);
      }
    }
  });
}

const NUMBERS = [undefined, null, NaN, -1, 2 ** 53, Infinity, "x"];
const FILE = { mode: 0o100644 };
const ATTRS = [
  undefined,
  null,
  {},
  { mode: 0o644 },
  { mode: NaN },
  { mode: 0o100644, size: NaN },
  { mode: 0o100644, size: -1 },
  { mode: 0o100644, size: 2 ** 53 },
  { mode: 0o100644, ino: 2 ** 53 },
  { mode: 0o100644, ino: NaN },
  { mode: 0o100644, blocks: NaN },
  { mode: 0o100644, mtime: Infinity },
  { mode: 0o100644, atime: NaN },
  { mode: 0o100644, ctime: 2 ** 53 },
  { mode: 0o100644, mtimeNsec: NaN },
  { mode: 0o100644, uid: NaN },
  { mode: 0o100644, gid: NaN },
  { mode: 0o100644, nlink: NaN },
  { mode: 0o100644, rdev: NaN },
  { mode: 0o100644, blksize: Infinity },
];
const ENTRIES = [
  undefined,
  {},
  { attr: FILE },
  ...[NaN, -1, 1.5, 2 ** 53, Infinity, "2", 2n].map((nodeid) => ({ nodeid, attr: FILE })),
  ...ATTRS.map((attr) => ({ nodeid: 2, attr })),
  ...[NaN, -1, 2 ** 53].map((generation) => ({ nodeid: 2, generation, attr: FILE })),
];
const MADE = [...ENTRIES, null, { nodeid: 0, attr: FILE }, { nodeid: 0 }];
const OPENS = [
  undefined,
  null,
  ...[NaN, -1, 2 ** 53, Infinity].map((fh) => ({ fh })),
  // -1 is what open(2) answers where it fails; null and NaN would be taken for descriptor 0.
  ...[null, NaN, -1, 1.5, "3"].map((backing) => ({ backing })),
];
const CREATES = [
  null,
  undefined,
  ENTRY,
  ...MADE.map((entry) => ({ entry })),
  ...OPENS.slice(2).map((open) => ({ entry: ENTRY, ...open })),
];
const REPLIES = ATTRS.map((attr) => ({ attr }));

/** Answers that are not of the method's type, nor could be packed. */
const INVALID: Partial<Record<OpcodeName, readonly unknown[]>> = {
  FUSE_LOOKUP: ENTRIES,
  FUSE_GETATTR: [undefined, null, ...REPLIES],
  FUSE_SETATTR: [undefined, null, ...REPLIES],
  FUSE_STATX: [undefined, null, ...REPLIES, { attr: FILE, btime: NaN }, { attr: FILE, btimeNsec: NaN }],
  FUSE_READLINK: [undefined, null, 5, utf8("target"), ["a"]],
  FUSE_SYMLINK: MADE,
  FUSE_MKNOD: MADE,
  FUSE_MKDIR: MADE,
  FUSE_LINK: MADE,
  FUSE_OPEN: OPENS,
  FUSE_CREATE: CREATES,
  FUSE_TMPFILE: CREATES,
  FUSE_READ: [undefined, null, 5, "hello", [1, 2], new ArrayBuffer(2), new Uint16Array(2), utf8("sixsix"), {}],
  FUSE_WRITE: [undefined, null, NaN, -1, 4, 1.5, Infinity, "x"],
  FUSE_STATFS: [undefined, null, {}, {
    blocks: NaN,
    bfree: 0,
    bavail: 0,
    files: 0,
    ffree: 0,
    bsize: 1,
    namelen: 1,
    frsize: 1,
  }, { blocks: 0, bfree: 0, bavail: 0, files: 0, ffree: 0, bsize: 1, namelen: NaN, frsize: 1 }],
  FUSE_GETXATTR: [undefined, "abc", 5, [1]],
  FUSE_LISTXATTR: [undefined, null, "abc", [5], utf8("user.x\0")],
  FUSE_OPENDIR: [undefined, null],
  FUSE_READDIR: [undefined, null, 5, "ab", {}],
  FUSE_READDIRPLUS: [undefined, null, 5, "ab", {}],
  FUSE_IOCTL: [
    undefined,
    null,
    { result: NaN },
    { result: "1" },
    { data: "abc" },
    { data: 5 },
    { data: [1] },
    { data: utf8("12345") },
    // Only an unrestricted one may be sent again.
    { retry: {} },
  ],
  FUSE_POLL: [...NUMBERS, 2 ** 32],
  FUSE_GETLK: [undefined, null, {}, { start: 0, end: 1, type: 0, pid: 0 }],
  FUSE_BMAP: NUMBERS,
  FUSE_LSEEK: NUMBERS,
  FUSE_COPY_FILE_RANGE: [undefined, NaN, -1, 65537, Infinity, "x"],
  FUSE_COPY_FILE_RANGE_64: [undefined, NaN, -1, 65537, Infinity, "x"],
};

for (const [opcode, row] of SERVED) {
  const invalid = INVALID[opcode];
  if (invalid === undefined) continue;
  test(`${opcode}: an answer that cannot be packed is EIO, and reported once`, async () => {
    for (const value of invalid) {
      const what = inspect(value);
      for (const later of [false, true]) {
        const wire = begin(row, () => later ? Promise.resolve(value) : value);
        const answer = later ? await wire.later(opcode, bodyOf(row)) : wire.send(opcode, bodyOf(row));
        assertStrictEquals(answer.error, "EIO", what);
        assertEquals(wire.reports.map((r) => [r.opcode, r.nodeid]), [[opcode, NODEID]], what);
      }
    }
  });
}

test("every method whose answer is looked at is among the invalid ones", () => {
  const looked = SERVED.filter(([, row]) => row.value !== undefined).map(([opcode]) => opcode);
  assertEquals(looked.filter((opcode) => !(opcode in INVALID)), []);
});

test("a name that is no name is answered as what is wrong with it", () => {
  for (const [name, error] of [["a\0b", "EINVAL"], ["a\ud800", "EILSEQ"], ["\udc41", "EILSEQ"]]) {
    const wire = connect({ readlink: () => name, listxattr: () => ["user.a", name] });
    assertStrictEquals(wire.send("FUSE_READLINK").error, error);
    assertStrictEquals(wire.send("FUSE_LISTXATTR", { parts: [c("fuse_getxattr_in")] }).error, error);
    assertEquals(wire.reports, []);
  }
});

test("opens that cannot be answered leave nothing open with the arbiter", () => {
  for (const [opcode, invalid] of [["FUSE_OPEN", OPENS], ["FUSE_CREATE", CREATES]] as const) {
    const [, row] = SERVED.find(([name]) => name === opcode)!;
    for (const value of invalid) {
      let open = 0;
      const wire = new Wire({ open: () => value as any, create: () => value as any }, {}, {
        ...UNBACKED,
        opened: () => (open++, PLAIN),
        released: () => void open--,
      });
      wire.init();
      assertStrictEquals(wire.send(opcode, bodyOf(row)).error, "EIO");
      assertStrictEquals(open, 0, inspect(value));
    }
  }
});

const BAD_ENTRIES: readonly unknown[] = [
  undefined,
  5,
  {},
  { name: "", ino: 2, mode: 0 },
  { name: "a/b", ino: 2, mode: 0 },
  { name: "a", mode: 0 },
  { name: "a", ino: NaN, mode: 0 },
  { name: "a", ino: 2 ** 53, mode: 0 },
  { name: "a", ino: 2, mode: 0, offset: 0 },
  { name: "a", ino: 2, mode: 0, offset: NaN },
  { name: "a", ino: 2, mode: 0, offset: -1 },
  { name: "a", ino: 2, mode: 0, offset: 1.5 },
  { name: "a", ino: 2, mode: 0, offset: 2 ** 53 },
];

for (const opcode of ["FUSE_READDIR", "FUSE_READDIRPLUS"] as const) {
  test(`${opcode}: an entry that cannot be packed is EIO where it stands, and reported`, () => {
    for (const bad of BAD_ENTRIES) {
      const what = inspect(bad);
      const wire = connect({ readdir: () => [bad] as DirEntries });
      const fh = opendir(wire);
      const read = (offset: number) =>
        wire.send(opcode, { parts: [c("fuse_read_in", { fh, offset, size: 4096 })] }).error;
      // The dots in front of it.
      if (read(0) === "") assertStrictEquals(read(2), "EIO", what);
      assertEquals(wire.reports.map((r) => r.opcode), [opcode], what);
    }
  });
}

test("forgetting: a call that fails keeps none of the others from being made", async () => {
  const forgotten: number[] = [];
  const bug = new Error("x");
  const one = (nodeid: number) => c("fuse_forget_one", { nodeid, nlookup: 1 });
  const forget = ({ nodeid }: { nodeid: number }) => {
    forgotten.push(nodeid);
    if (nodeid === 2) throw bug;
  };
  for (const method of [forget, async (args: { nodeid: number }) => await forget(args)]) {
    forgotten.length = 0;
    const wire = connect({ forget: method });
    wire.post("FUSE_BATCH_FORGET", { parts: [c("fuse_batch_forget_in", { count: 3 }), one(2), one(3), one(2)] });
    await settled();
    assertEquals(forgotten, [2, 3, 2]);
    checkReports(wire.reports, [{ error: bug, opcode: "FUSE_BATCH_FORGET", nodeid: 1 }]);
  }
});
