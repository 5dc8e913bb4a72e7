/** What setattr is asked to change, and numbers at the bounds of what a request can say. */
import { assertEquals, assertStrictEquals } from "@std/assert";
import type { OpcodeName } from "../../src/abi/opcode.ts";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import { type Body, c, connect, opendir, type Values } from "../support/wire.ts";
import { test } from "../support/harness.ts";

const FILE = { attr: { mode: 0o100644 } };

const SETATTR: Values = {
  fh: 2 ** 53 - 2 ** 32 - 1,
  size: 2 ** 52,
  lock_owner: 0xffff_ffff_ffff_fffen,
  atime: -1,
  mtime: 2 ** 40,
  ctime: -(2 ** 53 - 1),
  atimensec: 4,
  mtimensec: 999_999_999,
  ctimensec: 6,
  mode: 0o107777,
  uid: 4294967295,
  gid: 4294967294,
};

/** What each bit of `valid` brings. Source: `linux/fuse.h FATTR_*`. */
const VALID: readonly [bit: number, args: Record<string, unknown>][] = [
  [1 << 0, { mode: 0o107777 }],
  [1 << 1, { uid: 4294967295 }],
  [1 << 2, { gid: 4294967294 }],
  [1 << 3, { size: 2 ** 52 }],
  [1 << 4, { atime: -1, atimeNsec: 4 }],
  [1 << 5, { mtime: 2 ** 40, mtimeNsec: 999_999_999 }],
  [1 << 6, { fh: 2 ** 53 - 2 ** 32 - 1 }],
  [1 << 7, { atime: "now" }],
  [1 << 8, { mtime: "now" }],
  [1 << 9, { lockOwner: 0xffff_ffff_ffff_fffen }],
  [1 << 10, { ctime: -(2 ** 53 - 1), ctimeNsec: 6 }],
  [1 << 11, { killSuidgid: true }],
  [0, {}],
  [1 << 4 | 1 << 7, { atime: "now" }],
  [1 << 5 | 1 << 8, { mtime: "now" }],
  [0xfffff000, {}],
  [1 << 0 | 1 << 1 | 1 << 2 | 1 << 11, { mode: 0o107777, uid: 4294967295, gid: 4294967294, killSuidgid: true }],
];

test("setattr: each bit of valid brings its argument, and nothing else does", () => {
  const seen: unknown[] = [];
  const wire = connect({ setattr: (args) => (seen.push(args), FILE) });
  for (const [valid] of VALID) {
    const body = { nodeid: 7, parts: [c("fuse_setattr_in", { ...SETATTR, valid })] };
    assertStrictEquals(wire.send("FUSE_SETATTR", body).errno, 0);
  }
  assertEquals(seen, VALID.map(([, args]) => ({ nodeid: 7, ...args })));
});

test("setattr: nothing valid means set-id bits, where clearing them was left to the file system", () => {
  const bits: readonly [valid: number, kill: boolean][] = [
    [0, true],
    // An open file and an owner of locks are no changes; nor is a ctime, which comes along with a writeback cache.
    [1 << 6 | 1 << 9, true],
    [1 << 10, true],
    ...[0, 1, 2, 3, 4, 5, 7, 8].map((bit) => [1 << bit, false] as [number, boolean]),
    [1 << 0 | 1 << 11, true],
  ];
  for (const [handleKillpriv, flags] of [[true, 0xffffffff], [true, 0], [false, 0xffffffff]] as const) {
    const seen: unknown[] = [];
    const wire = connect(
      { setattr: (args) => (seen.push(args.killSuidgid === true), FILE) },
      { handleKillpriv },
      { flags },
    );
    for (const [valid] of bits) wire.send("FUSE_SETATTR", { parts: [c("fuse_setattr_in", { valid })] });
    const agreed = handleKillpriv && flags !== 0;
    assertEquals(seen, bits.map(([valid, kill]) => agreed ? kill : (valid & 1 << 11) !== 0));
  }
});

test("getattr and statx: an open file only where the kernel names one", () => {
  const seen: unknown[] = [];
  const wire = connect({ getattr: (args) => (seen.push(args), FILE), statx: (args) => (seen.push(args), FILE) });
  for (const getattr_flags of [0, 1, 2]) {
    wire.send("FUSE_GETATTR", { parts: [c("fuse_getattr_in", { getattr_flags, fh: 3 })] });
    wire.send("FUSE_STATX", { parts: [c("fuse_statx_in", { getattr_flags, fh: 3 })] });
  }
  const statx = { flags: 0, mask: 0 };
  const [without, by] = [{ nodeid: 1 }, { nodeid: 1, fh: 3 }];
  const once = (args: Record<string, unknown>) => [args, { ...args, ...statx }];
  assertEquals(seen, [...once(without), ...once(by), ...once(without)]);
});

/** Every 64-bit field of a request that is a number, and what follows its struct. */
const BOUNDED: readonly [OpcodeName, struct: string, fields: string, ...rest: (string | Uint8Array)[]][] = [
  ["FUSE_GETATTR", "fuse_getattr_in", "fh"],
  ["FUSE_SETATTR", "fuse_setattr_in", "fh size"],
  ["FUSE_LINK", "fuse_link_in", "oldnodeid", "a"],
  ["FUSE_RENAME", "fuse_rename_in", "newdir", "a", "b"],
  ["FUSE_RENAME2", "fuse_rename2_in", "newdir", "a", "b"],
  ["FUSE_READ", "fuse_read_in", "fh offset"],
  ["FUSE_WRITE", "fuse_write_in", "fh offset"],
  ["FUSE_RELEASE", "fuse_release_in", "fh"],
  ["FUSE_FSYNC", "fuse_fsync_in", "fh"],
  ["FUSE_FLUSH", "fuse_flush_in", "fh"],
  ["FUSE_GETLK", "fuse_lk_in", "fh"],
  ["FUSE_SETLK", "fuse_lk_in", "fh"],
  ["FUSE_SETLKW", "fuse_lk_in", "fh"],
  ["FUSE_BMAP", "fuse_bmap_in", "block"],
  ["FUSE_FALLOCATE", "fuse_fallocate_in", "fh offset length"],
  ["FUSE_LSEEK", "fuse_lseek_in", "fh"],
  ["FUSE_COPY_FILE_RANGE", "fuse_copy_file_range_in", "fh_in off_in nodeid_out fh_out off_out len flags"],
  ["FUSE_COPY_FILE_RANGE_64", "fuse_copy_file_range_in", "fh_in off_in nodeid_out fh_out off_out len flags"],
  ["FUSE_STATX", "fuse_statx_in", "fh"],
];

/** A file system whose every method counts, and fails. */
function counting(): { fs: Filesystem; calls: () => number } {
  let calls = 0;
  const fs = new Proxy({}, {
    get: (_, name) =>
      ["init", "destroy"].includes(String(name)) ? undefined : () => {
        calls++;
        throw Object.assign(new Error(), { code: "EXDEV" });
      },
  });
  return { fs, calls: () => calls };
}

/** Those that a file would have to grow by. */
const SIZES = new Set([
  "FUSE_SETATTR size",
  "FUSE_WRITE offset",
  "FUSE_FALLOCATE offset",
  "FUSE_FALLOCATE length",
  "FUSE_COPY_FILE_RANGE off_out",
  "FUSE_COPY_FILE_RANGE_64 off_out",
]);

test("a number of 2^53-1 reaches the method; a larger one is EOVERFLOW or EFBIG, and no method is called", () => {
  for (const [opcode, struct, fields, ...rest] of BOUNDED) {
    for (const field of fields.split(" ")) {
      const { fs, calls } = counting();
      const wire = connect(fs);
      const send = (value: bigint) => wire.send(opcode, { parts: [c(struct, { [field]: value }), ...rest] }).error;
      // The last 2^32 numbers of handles are the session's.
      const handle = field.startsWith("fh");
      assertStrictEquals(send(2n ** 53n - 1n - (handle ? 2n ** 32n : 0n)), "EXDEV", `${opcode} ${field}`);
      // Those of attributes come with a flag, which is not set here.
      const optional = ["FUSE_GETATTR", "FUSE_SETATTR", "FUSE_STATX"].includes(opcode);
      if (handle && !optional) assertStrictEquals(send(2n ** 53n - 1n), "EBADF", `${opcode} ${field}`);
      assertStrictEquals(calls(), 1);
      for (const value of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
        const code = SIZES.has(`${opcode} ${field}`) ? "EFBIG" : "EOVERFLOW";
        assertStrictEquals(send(value), code, `${opcode} ${field} ${value}`);
      }
      assertStrictEquals(calls(), 1);
      assertEquals(wire.reports, []);
    }
  }
});

test("lseek: an offset below 0, which the kernel lets through, is ENXIO, and no method is called", () => {
  const { fs, calls } = counting();
  const wire = connect(fs);
  const send = (offset: bigint) =>
    wire.send("FUSE_LSEEK", { parts: [c("fuse_lseek_in", { offset, whence: 4 })] }).error;
  assertStrictEquals(send(2n ** 53n - 1n), "EXDEV");
  for (const offset of [-1n, -(2n ** 53n) + 1n]) assertStrictEquals(send(offset), "ENXIO");
  assertStrictEquals(calls(), 1);
  assertEquals(wire.reports, []);
});

test("lseek: an offset beyond 2^53-1 is behind the end of every file, as 2^53-1 is", () => {
  const offsets: number[] = [];
  const wire = connect({ lseek: ({ offset }) => offsets.push(offset) });
  for (const offset of [2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n]) {
    wire.send("FUSE_LSEEK", { parts: [c("fuse_lseek_in", { offset, whence: 3 })] });
  }
  assertEquals(offsets, new Array(3).fill(2 ** 53 - 1));
});

test("setattr: a time beyond 2^53-1 s is that, on either side", () => {
  const most = 2 ** 53 - 1;
  const times: unknown[] = [];
  const wire = connect({ setattr: ({ atime, mtime, ctime }) => (times.push([atime, mtime, ctime]), FILE) });
  for (const [atime, mtime, ctime] of [[2n ** 53n, -(2n ** 53n), 2n ** 63n - 1n], [-(2n ** 63n), 7n, -7n]]) {
    const body = c("fuse_setattr_in", { ...SETATTR, atime, mtime, ctime, valid: 1 << 4 | 1 << 5 | 1 << 10 });
    assertStrictEquals(wire.send("FUSE_SETATTR", { parts: [body] }).errno, 0);
  }
  assertEquals(times, [[most, -most, most], [-most, 7, -7]]);
});

test("a nodeid of 2^53-1 reaches the method; a larger one is EOVERFLOW, and no method is called", () => {
  const { fs, calls } = counting();
  const wire = connect(fs);
  const send = (nodeid: bigint) => wire.send("FUSE_READLINK", { nodeid }).error;
  assertStrictEquals(send(2n ** 53n - 1n), "EXDEV");
  for (const nodeid of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) assertStrictEquals(send(nodeid), "EOVERFLOW");
  assertStrictEquals(calls(), 1);
  assertEquals(wire.reports, []);
});

test("forget: a number beyond 2^53-1 is not answered, and no method is called", () => {
  const { fs, calls } = counting();
  const wire = connect(fs);
  const body = (values: Values): Body => ({
    parts: [c("fuse_batch_forget_in", { count: 2 }), c("fuse_forget_one", { nodeid: 2 }), c("fuse_forget_one", values)],
  });
  wire.post("FUSE_FORGET", { parts: [c("fuse_forget_in", { nlookup: 2n ** 53n })] });
  wire.post("FUSE_FORGET", { nodeid: 2n ** 53n, parts: [c("fuse_forget_in", { nlookup: 1 })] });
  wire.post("FUSE_BATCH_FORGET", body({ nodeid: 2n ** 53n }));
  wire.post("FUSE_BATCH_FORGET", body({ nodeid: 3, nlookup: 2n ** 64n - 1n }));
  assertStrictEquals(calls(), 0);
});

test("readdir: offsets and handles beyond 2^53-1 are EOVERFLOW", () => {
  const wire = connect({ readdir: () => [] });
  const fh = opendir(wire);
  for (const opcode of ["FUSE_READDIR", "FUSE_READDIRPLUS"] as const) {
    const send = (values: Values) => wire.send(opcode, { parts: [c("fuse_read_in", { size: 4096, ...values })] }).error;
    assertStrictEquals(send({ fh, offset: 2n ** 53n - 1n }), "");
    assertStrictEquals(send({ fh, offset: 2n ** 53n }), "EOVERFLOW");
    assertStrictEquals(send({ fh: 2n ** 63n, offset: 0 }), "EOVERFLOW");
  }
});

test("copyFileRange: no more is asked for than its answer can count", () => {
  const lengths: number[] = [];
  const wire = connect({ copyFileRange: ({ length }) => (lengths.push(length), length) });
  const send = (opcode: OpcodeName, len: number) =>
    wire.send(opcode, { parts: [c("fuse_copy_file_range_in", { len })] }).body;
  assertEquals(send("FUSE_COPY_FILE_RANGE", 0xfffff001), c("fuse_write_out", { size: 0xfffff000 }));
  assertEquals(send("FUSE_COPY_FILE_RANGE", 2 ** 40), c("fuse_write_out", { size: 0xfffff000 }));
  assertEquals(send("FUSE_COPY_FILE_RANGE", 0xffffe000), c("fuse_write_out", { size: 0xffffe000 }));
  assertEquals(send("FUSE_COPY_FILE_RANGE_64", 2 ** 40), c("fuse_copy_file_range_out", { bytes_copied: 2 ** 40 }));
  assertEquals(lengths, [0xfffff000, 0xfffff000, 0xffffe000, 2 ** 40]);
});
