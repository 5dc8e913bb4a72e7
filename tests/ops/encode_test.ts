/** Attributes, entries, timeouts and open flags, in bytes. */
import { assertEquals, assertStrictEquals } from "@std/assert";
import type { Attr, OpenReply } from "../../src/fs/types.ts";
import { PLAIN, UNBACKED } from "../../src/ops/op.ts";
import { c, connect, field, Wire } from "../support/wire.ts";
import { test } from "../support/harness.ts";
import { OPENED } from "./cases.ts";

const TIMEOUTS: readonly [timeout: number | undefined, s: number, ns: number][] = [
  [undefined, 0, 0],
  [0, 0, 0],
  [1, 1, 0],
  [1.5, 1, 500_000_000],
  [0.1, 0, 100_000_000],
  [1e-9, 0, 1],
  [1e-10, 0, 0],
  [0.9999999999, 0, 999_999_999],
  [86400.25, 86400, 250_000_000],
  [2 ** 31 - 1, 2 ** 31 - 1, 0],
  [2 ** 31 - 0.5, 2 ** 31 - 1, 0],
  [2 ** 31, 2 ** 31 - 1, 0],
  [1e300, 2 ** 31 - 1, 0],
  [Infinity, 2 ** 31 - 1, 0],
  [-1, 0, 0],
  [-Infinity, 0, 0],
  [NaN, 0, 0],
];

test("timeouts: seconds and nanoseconds, for ever, and not at all", () => {
  const attr = { mode: 0o100644 };
  for (const [timeout, s, ns] of TIMEOUTS) {
    const wire = connect({
      lookup: ({ name }) =>
        name === "none"
          ? { nodeid: 0, attr, entryTimeout: timeout }
          : { nodeid: 2, attr, entryTimeout: timeout, attrTimeout: 7.5 },
      mkdir: () => ({ nodeid: 2, attr, entryTimeout: 7.5, attrTimeout: timeout }),
      getattr: () => ({ attr, attrTimeout: timeout }),
      statx: () => ({ attr, attrTimeout: timeout }),
    });
    const times = (struct: string, kind: string, body: Uint8Array) =>
      [`${kind}_valid`, `${kind}_valid_nsec`].map((name) => field(struct, name, body));
    const found = wire.send("FUSE_LOOKUP", { parts: ["a"] }).body;
    assertEquals(times("fuse_entry_out", "entry", found), [s, ns], `${timeout}`);
    assertEquals(times("fuse_entry_out", "attr", found), [7, 500_000_000]);
    const made = wire.send("FUSE_MKDIR", { parts: [c("fuse_mkdir_in"), "a"] }).body;
    assertEquals(times("fuse_entry_out", "entry", made), [7, 500_000_000]);
    assertEquals(times("fuse_entry_out", "attr", made), [s, ns]);
    const got = wire.send("FUSE_GETATTR", { parts: [c("fuse_getattr_in")] }).body;
    assertEquals(times("fuse_attr_out", "attr", got), [s, ns]);
    const statx = wire.send("FUSE_STATX", { parts: [c("fuse_statx_in")] }).body;
    assertEquals(times("fuse_statx_out", "attr", statx), [s, ns]);
    // A name that does not exist: nodeid 0, and nothing else.
    const none = wire.send("FUSE_LOOKUP", { parts: ["none"] }).body;
    assertEquals(none, c("fuse_entry_out", { entry_valid: s, entry_valid_nsec: ns }));
  }
});

test("lookup: null is ENOENT now and later, nodeid 0 a name that the kernel may remember as missing", async () => {
  const wire = connect({ lookup: ({ name }) => name === "later" ? Promise.resolve(null) : null });
  assertStrictEquals(wire.send("FUSE_LOOKUP", { parts: ["now"] }).error, "ENOENT");
  assertStrictEquals((await wire.later("FUSE_LOOKUP", { parts: ["later"] })).error, "ENOENT");
  assertEquals(wire.reports, []);
  // An attribute is not looked at.
  const negative = connect({ lookup: () => ({ nodeid: 0, entryTimeout: 2.5 }) as any });
  const { errno, body } = negative.send("FUSE_LOOKUP", { parts: ["a"] });
  assertStrictEquals(errno, 0);
  assertEquals(body, c("fuse_entry_out", { entry_valid: 2, entry_valid_nsec: 500_000_000 }));
});

test("attributes: what is left out has its default", () => {
  const cases: readonly [Attr, Record<string, number | bigint>][] = [
    [{ mode: 0o040755 }, { ino: 9, mode: 0o040755, nlink: 1, blksize: 4096 }],
    [{ mode: 0o100644, size: 513 }, { ino: 9, mode: 0o100644, size: 513, blocks: 2, nlink: 1, blksize: 4096 }],
    [{ mode: 0o100644, size: 512, blocks: 0 }, { ino: 9, mode: 0o100644, size: 512, nlink: 1, blksize: 4096 }],
    [{ mode: 0o100644, ino: 0 }, { mode: 0o100644, nlink: 1, blksize: 4096 }],
    [{ mode: 0o100644, ino: 2n ** 64n - 1n, nlink: 0 }, { ino: 2n ** 64n - 1n, mode: 0o100644, blksize: 4096 }],
    [{ mode: 0o100644, ino: 5n, mtime: -1.5 }, { ino: 5, mode: 0o100644, mtime: -2, nlink: 1, blksize: 4096 }],
    [{ mode: 0o100644, mtime: 1.75 }, { ino: 9, mode: 0o100644, mtime: 1, nlink: 1, blksize: 4096 }],
  ];
  for (const [attr, expected] of cases) {
    const wire = connect({
      getattr: () => ({ attr }),
      lookup: () => ({ nodeid: 9, attr }),
      statx: () => ({ attr }),
    });
    const { body } = wire.send("FUSE_GETATTR", { nodeid: 9, parts: [c("fuse_getattr_in")] });
    assertEquals(body, c("fuse_attr_out", { attr: expected }));
    assertEquals(
      wire.send("FUSE_LOOKUP", { parts: ["a"] }).body,
      c("fuse_entry_out", { nodeid: 9, attr: expected }),
    );
    const { mtime, blocks = 0, ...stat } = expected;
    assertEquals(
      wire.send("FUSE_STATX", { nodeid: 9, parts: [c("fuse_statx_in")] }).body,
      // Without a time of birth it is not among what is answered.
      c("fuse_statx_out", { stat: { ...stat, blocks, mask: 0x7ff, mtime: { tv_sec: mtime ?? 0 } } }),
    );
  }
});

test("entries: a nodeid of 1 is the root, found again", () => {
  const wire = connect({ lookup: () => ({ nodeid: 1, attr: { mode: 0o040755 } }) });
  const { body } = wire.send("FUSE_LOOKUP", { parts: [".."] });
  assertStrictEquals(field("fuse_entry_out", "nodeid", body), 1);
});

test("open: each property is its FOPEN bit", () => {
  const bits: readonly [OpenReply, number][] = [
    [{}, 0],
    [{ directIo: true }, 1],
    [{ keepCache: true }, 2],
    [{ nonSeekable: true }, 4],
    [{ stream: true }, 16],
    [{ noFlush: true }, 32],
    [{ parallelDirectWrites: true }, 64],
    [{ directIo: false, keepCache: false }, 0],
  ];
  for (const [reply, open_flags] of bits) {
    const wire = connect({ open: () => ({ fh: 3, ...reply }) });
    const { body } = wire.send("FUSE_OPEN", { parts: [c("fuse_open_in")] });
    assertEquals(body, c("fuse_open_out", { fh: 3, open_flags }));
  }
});

test("open: with passthrough only the bits that the kernel takes beside it are left", () => {
  const wire = new Wire(
    {
      open: () => ({ ...OPENED, fh: 3, backing: 7 }),
    },
    {},
    { ...UNBACKED, opened: () => ({ ...PLAIN, openFlags: 128, backingId: 2 ** 31 - 1 }) },
  );
  wire.init();
  const { body } = wire.send("FUSE_OPEN", { parts: [c("fuse_open_in")] });
  assertEquals(body, c("fuse_open_out", { fh: 3, open_flags: 1 | 32 | 64 | 128, backing_id: 2 ** 31 - 1 }));
});

test("open: ENOSYS where no handles are wanted, and the kernel knows how to do without", () => {
  const open = (flags: number) =>
    connect({}, { noOpen: true }, { flags }).send("FUSE_OPEN", { parts: [c("fuse_open_in")] }).error;
  assertStrictEquals(open(1 << 17), "ENOSYS");
  assertStrictEquals(open(0), "");
});

test("opendir: each property is its FOPEN bit", () => {
  for (const [reply, open_flags] of [[{}, 0], [{ keepCache: true }, 2], [{ cacheDir: true }, 8]] as const) {
    const wire = connect({ opendir: () => reply });
    const { body } = wire.send("FUSE_OPENDIR", { parts: [c("fuse_open_in")] });
    assertEquals(body, c("fuse_open_out", { fh: 1, open_flags }));
  }
});
