/** Every minor version from 7.9 on: the handshake, and a request of each opcode that its kernel knows. */
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { INIT_FLAG, type InitFlag } from "../../src/abi/flags.ts";
import { OPCODE, type OpcodeName } from "../../src/abi/opcode.ts";
import { since } from "../../src/abi/since.ts";
import { FuseError } from "../../src/errno.ts";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import type { Notifications } from "../../src/fs/notifications.ts";
import { type OpenArbiter, PLAIN, UNBACKED } from "../../src/ops/op.ts";
import type { SessionOptions } from "../../src/session/options.ts";
import { bodyOf, type Case, CASES, NODEID, SERVED } from "../ops/cases.ts";
import { type Body, c, dirents, field, type InitOffer, join, opendir, settled, utf8, Wire } from "../support/wire.ts";
import { test } from "../support/harness.ts";

const MINORS: readonly number[] = Array.from({ length: 37 }, (_, i) => 9 + i);

/** What came with which minor version, where it shows in a reply. Source: the changelog in `linux/fuse.h`. */
const OPEN_BITS: readonly [since: number, bit: number][] = [
  [9, 1], // DIRECT_IO
  [9, 2], // KEEP_CACHE
  [10, 4], // NONSEEKABLE
  [28, 8], // CACHE_DIR
  [9, 16], // STREAM
  [35, 32], // NOFLUSH
  [38, 64], // PARALLEL_DIRECT_WRITES
  [40, 128], // PASSTHROUGH
];
const SUBMOUNT_SINCE = 32;
const INIT_OUT_64_SINCE = 23;
const INIT_IN_64_SINCE = 36;
const UMASK_SINCE = 12;
const SETXATTR_EXT_SINCE = 33;
const POLL_EVENTS_SINCE = 21;

/** What a kernel of that minor version offers: all that it knows. */
function offerOf(minor: number): InitOffer {
  const known = (Object.keys(INIT_FLAG) as InitFlag[]).filter((name) => since(name) <= minor);
  const bits = known.reduce((all, name) => all | 1n << BigInt(INIT_FLAG[name]), 0n);
  return {
    minor,
    flags: Number(bits & 0xffffffffn),
    flags2: Number(bits >> 32n),
    size: minor < INIT_IN_64_SINCE ? 16 : 64,
  };
}

/** A connection with a kernel of that minor version. */
function meet(minor: number, fs: Filesystem, options: SessionOptions = {}, arbiter?: OpenArbiter): Wire {
  const wire = new Wire(fs, options, arbiter);
  const { errno, body } = wire.init(offerOf(minor));
  assertStrictEquals(errno, 0);
  assertStrictEquals(body.length, minor < INIT_OUT_64_SINCE ? 24 : 64);
  assertStrictEquals(wire.negotiated?.minor, minor);
  wire.replies.length = 0;
  return wire;
}

/** The request as that kernel sends it. */
function requestOf(opcode: OpcodeName, row: Case, minor: number): Body {
  const [first, ...rest] = row.parts;
  const old = minor < UMASK_SINCE && (opcode === "FUSE_MKNOD" || opcode === "FUSE_CREATE");
  return { ...bodyOf(row), parts: old ? [first.slice(0, 8), ...rest] : row.parts };
}

/** The arguments as the method sees them then. */
function argsOf(opcode: OpcodeName, row: Case, minor: number): unknown[] {
  const old = opcode === "FUSE_MKNOD" || opcode === "FUSE_CREATE" ? { umask: 0 } : {};
  return row.args.map((args) => ({
    ...args as object,
    ...minor < UMASK_SINCE && old,
    ...minor < POLL_EVENTS_SINCE && opcode === "FUSE_POLL" && { events: 0xffff },
  }));
}

/** Where `fuse_open_out.open_flags` is. */
const OPEN_FLAGS: Partial<Record<OpcodeName, number>> = {
  FUSE_OPEN: 8,
  FUSE_OPENDIR: 8,
  FUSE_CREATE: 128 + 8,
  FUSE_TMPFILE: 128 + 8,
};
const ENTRIES: readonly OpcodeName[] = [
  "FUSE_LOOKUP",
  "FUSE_SYMLINK",
  "FUSE_MKNOD",
  "FUSE_MKDIR",
  "FUSE_LINK",
  "FUSE_CREATE",
  "FUSE_TMPFILE",
];

/** The reply of today with what that kernel does not know taken out. */
function replyOf(opcode: OpcodeName, body: Uint8Array, minor: number): Uint8Array {
  const copy = body.slice();
  const view = new DataView(copy.buffer);
  const clear = (at: number, bits: number) => view.setUint32(at, view.getUint32(at, true) & ~bits, true);
  const openFlags = OPEN_FLAGS[opcode];
  if (openFlags !== undefined) { for (const [first, bit] of OPEN_BITS) if (minor < first) clear(openFlags, bit); }
  if (minor < SUBMOUNT_SINCE) {
    // fuse_attr.flags is at 84, in fuse_entry_out behind 40 bytes, in fuse_attr_out behind 16.
    if (ENTRIES.includes(opcode)) clear(40 + 84, 1);
    if (opcode === "FUSE_GETATTR" || opcode === "FUSE_SETATTR") clear(16 + 84, 1);
  }
  return copy;
}

for (const minor of MINORS) {
  const known = SERVED.filter(([opcode]) => since(opcode) <= minor);

  test(`7.${minor}: the handshake, and ${known.length} opcodes that methods serve`, async () => {
    for (const [opcode, row] of known) {
      const calls: unknown[] = [];
      const wire = meet(
        minor,
        {
          [row.method]: (args: unknown) => {
            calls.push(structuredClone(args));
            return row.value;
          },
        } as Filesystem,
      );
      row.before?.(wire);
      if (row.body === null) wire.post(opcode, requestOf(opcode, row, minor));
      else {
        const { error, body } = wire.send(opcode, requestOf(opcode, row, minor));
        assertEquals([opcode, error, [...body]], [opcode, "", [...replyOf(opcode, row.body, minor)]]);
      }
      assertEquals(calls, argsOf(opcode, row, minor), opcode);
      assertEquals(wire.reports, [], opcode);
    }
    await settled();
  });

  test(`7.${minor}: what the session serves itself`, () => {
    const wire = meet(minor, { opendir: () => ({}) });
    for (const [opcode, row] of Object.entries(CASES) as [OpcodeName, typeof CASES[OpcodeName]][]) {
      if (!("fixed" in row) || since(opcode) > minor) continue;
      if (row.fixed === null) wire.post(opcode, bodyOf(row));
      else {
        const { error, body } = wire.send(opcode, bodyOf(row));
        assertEquals([opcode, error || body], [opcode, row.fixed]);
      }
    }
  });

  test(`7.${minor}: setxattr is as long as agreed`, () => {
    const calls: unknown[] = [];
    const fs: Filesystem = { setxattr: (args) => void calls.push(structuredClone(args)) };
    const wire = meet(minor, fs, { posixAcl: true });
    const extended = minor >= SETXATTR_EXT_SINCE;
    const head = c("fuse_setxattr_in", { size: 3, flags: 1, setxattr_flags: 1 }).subarray(0, extended ? 16 : 8);
    const { error } = wire.send("FUSE_SETXATTR", { nodeid: 5, parts: [head, "system.x", utf8("abc")] });
    assertStrictEquals(error, "");
    const [args] = calls as Record<string, unknown>[];
    assertEquals([args.name, args.value, args.flags], ["system.x", utf8("abc"), 1]);
    assertStrictEquals(args.killSgid === true, extended);
  });

  test(`7.${minor}: no flag of the handshake is newer`, () => {
    const wire = meet(minor, { lookup: () => null, readdir: () => [], ioctl: () => ({}) }, {
      atomicOTrunc: true,
      dontMask: true,
      cacheSymlinks: true,
      posixAcl: true,
      submounts: true,
      securityContext: true,
      createSuppGroup: true,
      allowIdmap: true,
      requestTimeout: 9,
      handleKillpriv: true,
      exportSupport: true,
    });
    const { flags } = wire.negotiated!;
    assert(flags.size > 0);
    for (const name of flags) assert(since(name) <= minor, name);
  });

  test(`7.${minor}: no open flag is newer, also where the arbiter chose it`, () => {
    const backed: OpenArbiter = {
      ...UNBACKED,
      opened: () => ({ ...PLAIN, openFlags: 128, backingId: 77 }),
    };
    const wire = meet(minor, { open: () => ({ fh: 1, noFlush: true, parallelDirectWrites: true }) }, {}, backed);
    const { body } = wire.send("FUSE_OPEN", { parts: [c("fuse_open_in")] });
    const bits = (minor >= 35 ? 32 : 0) | (minor >= 38 ? 64 : 0) | (minor >= 40 ? 128 : 0);
    assertEquals(body, c("fuse_open_out", { fh: 1, open_flags: bits, backing_id: minor >= 40 ? 77 : 0 }));
  });

  test(`7.${minor}: submounts in a directory with attributes`, () => {
    if (minor < since("FUSE_READDIRPLUS")) return;
    const wire = meet(minor, {
      lookup: () => ({ nodeid: 9, attr: { mode: 0o040755, submount: true } }),
      readdir: () => [{ name: "mnt", ino: 9, mode: 0o040000 }],
    });
    const fh = opendir(wire);
    const { body } = wire.send("FUSE_READDIRPLUS", { parts: [c("fuse_read_in", { fh, size: 4096 })] });
    const { entry, name } = dirents(body, true)[2];
    assertEquals([name, field("fuse_entry_out", "attr.flags", entry)], ["mnt", minor >= SUBMOUNT_SINCE ? 1 : 0]);
  });

  test(`7.${minor}: notifications that are newer are ENOSYS, the others reach the kernel`, async () => {
    const calls: readonly [since: number, call: (n: Notifications) => void | Promise<unknown>][] = [
      [11, (n) => n.pollWakeup(1n)],
      [12, (n) => n.invalInode(2)],
      [12, (n) => n.invalEntry(1, "a")],
      [15, (n) => n.store(2, 0, utf8("a"))],
      [15, (n) => n.retrieve(2, 0, 1)],
      [18, (n) => n.delete(1, 2, "a")],
      [38, (n) => n.expireEntry(1, "a")],
      [40, (n) => n.resend()],
      [44, (n) => n.incEpoch()],
      [45, (n) => n.prune([2])],
    ];
    let notify: Notifications | undefined;
    const wire = meet(minor, { init: (connection) => void (notify = connection.notify) });
    for (const [first, call] of calls) {
      const before = wire.messages.length;
      const run = async () => await call(notify!);
      if (minor < first) assertStrictEquals((await assertRejects(run, FuseError)).code, "ENOSYS");
      else {
        const done = run();
        wire.notifier.retrieved(1, utf8(""));
        await done;
      }
      assertStrictEquals(wire.messages.length - before, minor < first ? 0 : 1, `${call}`);
    }
  });
}

test("versions: every opcode is played in the version that brought it", () => {
  for (const opcode of Object.keys(OPCODE) as OpcodeName[]) assert(MINORS.includes(Math.max(9, since(opcode))), opcode);
});

test("versions: before 7.12 the name of what is made follows 8 bytes, where the umask is today", () => {
  const calls: unknown[] = [];
  const fs: Filesystem = {
    mknod: (args) => (calls.push(args), { nodeid: 2, attr: { mode: 0o100644 } }),
    create: (args) => (calls.push(args), { entry: { nodeid: 2, attr: { mode: 0o100644 } } }),
  };
  for (const minor of [11, 12]) {
    const wire = meet(minor, fs);
    const name = join(utf8("abcdefgh"), "ij");
    for (const opcode of ["FUSE_MKNOD", "FUSE_CREATE"] as const) {
      assertStrictEquals(wire.send(opcode, { nodeid: NODEID, parts: [new Uint8Array(8), name] }).errno, 0);
    }
  }
  assertEquals(calls.map((args) => (args as { name: string }).name), ["abcdefghij", "abcdefghij", "ij", "ij"]);
});
