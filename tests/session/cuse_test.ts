/** Character devices: the handshake by bytes, and requests as CUSE sends them, with nodeid 0. */
import { assertEquals, assertMatch, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import fs from "node:fs/promises";
import type { OpcodeName } from "../../src/abi/opcode.ts";
import { FuseError } from "../../src/errno.ts";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import type { IoctlArgs } from "../../src/fs/types.ts";
import { mountCharacterDevice } from "../../src/mount/character_device.ts";
import { type CharacterDeviceOptions, checkCharacterDevice } from "../../src/session/cuse.ts";
import { c, join, settled, utf8, Wire } from "../support/wire.ts";
import { test } from "../support/harness.ts";

/** A device's dispatcher before the handshake. */
function device(fs: Filesystem, options: CharacterDeviceOptions = { name: "null0" }): Wire {
  return new Wire(fs, {}, undefined, options);
}

/** CUSE_INIT as the kernel sends it. Source: `fs/fuse/cuse.c cuse_send_init`. */
function init(wire: Wire, { major = 7, minor = 45, flags = 1 } = {}) {
  return wire.send("CUSE_INIT", { nodeid: 0, parts: [c("cuse_init_in", { major, minor, flags })] });
}

/** 32-bit words, little-endian. */
function words(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

test("CUSE_INIT: the answer's bytes", () => {
  const spare = words(...Array(10).fill(0));
  const cases: readonly [CharacterDeviceOptions, Uint8Array][] = [
    [{ name: "null0" }, join(words(7, 45, 0, 0, 131072, 131072, 0, 0), spare, "DEVNAME=null0")],
    [
      { name: "a b", devMajor: 240, devMinor: 3, maxRead: 4096, maxWrite: 65536, unrestrictedIoctl: true },
      join(words(7, 45, 0, 1, 4096, 65536, 240, 3), spare, "DEVNAME=a b"),
    ],
    [
      { name: "ä\udcff", devMajor: 0xfff, devMinor: 0xfffff },
      join(words(7, 45, 0, 0, 131072, 131072, 0xfff, 0xfffff), spare, utf8("DEVNAME=ä"), Uint8Array.of(255, 0)),
    ],
  ];
  for (const [options, expected] of cases) {
    const wire = device({}, options);
    const { errno, body } = init(wire);
    assertStrictEquals(errno, 0);
    assertEquals(body, expected);
    assertStrictEquals(body.length, 72 + body.subarray(72).indexOf(0) + 1, "one string with its end");
  }
});

test("CUSE_INIT: a name of the greatest length", () => {
  const name = "n".repeat(4087);
  checkCharacterDevice({ name });
  const { body } = init(device({}, { name }));
  assertStrictEquals(body.length, 72 + 4096);
  assertEquals(body.subarray(72), join(`DEVNAME=${name}`));
});

test("CUSE_INIT: what is agreed on", () => {
  const wire = device({}, { name: "x", unrestrictedIoctl: true, maxWrite: 8192, maxRead: 65536 });
  let given: unknown;
  const told = device({ init: ({ negotiated }) => void (given = negotiated) });
  init(told, { minor: 99 });
  assertEquals(given, told.negotiated);
  assertStrictEquals(told.negotiated?.minor, 45);
  init(wire, { minor: 11 });
  const { flags, ...rest } = wire.negotiated!;
  assertEquals([...flags], ["CUSE_UNRESTRICTED_IOCTL"]);
  assertEquals(rest, {
    major: 7,
    minor: 11,
    maxWrite: 8192,
    maxReadahead: 0,
    maxPages: 16,
    timeGran: 1,
    maxStackDepth: 0,
  });
});

test("CUSE_INIT: unrestricted ioctls only where both sides want them", () => {
  for (const [wanted, offered, agreed] of [[true, 1, 1], [true, 0, 0], [false, 1, 0], [undefined, 1, 0]] as const) {
    const wire = device({}, { name: "x", unrestrictedIoctl: wanted });
    assertEquals([...init(wire, { flags: offered }).body.subarray(12, 16)], [agreed, 0, 0, 0]);
    assertStrictEquals(wire.negotiated!.flags.has("CUSE_UNRESTRICTED_IOCTL"), agreed === 1);
  }
});

test("CUSE_INIT: another kernel is refused in words", () => {
  for (const [major, minor] of [[7, 10], [7, 0], [6, 45], [8, 0]]) {
    const wire = device({});
    assertStrictEquals(init(wire, { major, minor }).error, "EPROTO");
    assertMatch(wire.refused!.message, new RegExp(`the kernel speaks CUSE ${major}\\.${minor}; 7\\.11 is the oldest`));
    assertStrictEquals(wire.negotiated, null);
    assertStrictEquals(wire.send("FUSE_READ", { nodeid: 0 }).error, "EIO");
  }
});

test("CUSE_INIT: a device has no other handshake, and a file system not this one", () => {
  const one = device({});
  assertStrictEquals(one.init().error, "EIO");
  assertStrictEquals(one.negotiated, null);
  assertStrictEquals(init(one).error, "");
  assertStrictEquals(init(one).error, "ENOSYS");
  assertStrictEquals(one.init().error, "EIO");
  const other = new Wire({});
  assertStrictEquals(init(other).error, "EIO");
  assertStrictEquals(other.negotiated, null);
});

/** A device that is ready. */
function ready(fs: Filesystem, options?: CharacterDeviceOptions): Wire {
  const wire = device(fs, options);
  assertStrictEquals(init(wire).errno, 0);
  wire.replies.length = 0;
  return wire;
}

test("character device: open, read, write, poll, flush, fsync and release, all with nodeid 0", async () => {
  const calls: unknown[] = [];
  const log = (name: string) => (args: unknown) => void calls.push([name, structuredClone(args)]);
  const wire = ready({
    open: (args) => (log("open")(args), { fh: 7, nonSeekable: true, directIo: true }),
    read: (args) => (log("read")(args), utf8("data")),
    write: (args) => (log("write")(args), settled().then(() => args.data.length)),
    poll: (args) => (log("poll")(args), 5),
    flush: log("flush"),
    fsync: log("fsync"),
    release: log("release"),
  });
  const send = (opcode: OpcodeName, ...parts: Uint8Array[]) => wire.ask(opcode, { nodeid: 0, pid: 9, parts });
  const opened = await send("FUSE_OPEN", c("fuse_open_in", { flags: 0o100002 }));
  // DIRECT_IO 1 and NONSEEKABLE 4.
  assertEquals(opened.body, words(7, 0, 5, 0));
  assertEquals((await send("FUSE_READ", c("fuse_read_in", { fh: 7, offset: 3, size: 10 }))).body, utf8("data"));
  const written = await send("FUSE_WRITE", c("fuse_write_in", { fh: 7, offset: 4, size: 3 }), utf8("abc"));
  assertEquals(written.body, words(3, 0));
  assertEquals((await send("FUSE_POLL", c("fuse_poll_in", { fh: 7, kh: 9, flags: 1, events: 1 }))).body, words(5, 0));
  assertEquals((await send("FUSE_FLUSH", c("fuse_flush_in", { fh: 7, lock_owner: 2 }))).body, words());
  assertEquals((await send("FUSE_FSYNC", c("fuse_fsync_in", { fh: 7, fsync_flags: 1 }))).body, words());
  assertEquals((await send("FUSE_RELEASE", c("fuse_release_in", { fh: 7, flags: 0o100002 }))).body, words());
  assertEquals(calls, [
    ["open", { nodeid: 0, flags: 0o100002, killSuidgid: false }],
    ["read", { nodeid: 0, fh: 7, offset: 3, size: 10, flags: 0 }],
    ["write", {
      nodeid: 0,
      fh: 7,
      offset: 4,
      data: utf8("abc"),
      flags: 0,
      fromCache: false,
      killSuidgid: false,
    }],
    ["poll", { nodeid: 0, fh: 7, kh: 9n, events: 1, notify: true }],
    ["flush", { nodeid: 0, fh: 7, lockOwner: 2n }],
    ["fsync", { nodeid: 0, fh: 7, datasync: true }],
    ["release", { nodeid: 0, fh: 7, flags: 0o100002 }],
  ]);
  assertEquals(wire.reports, []);
  assertEquals(wire.freed, wire.kept);
});

test("character device: what a device without methods answers", () => {
  const wire = ready({});
  const send = (opcode: OpcodeName, ...parts: Uint8Array[]) => wire.send(opcode, { nodeid: 0, parts });
  assertEquals(send("FUSE_OPEN", c("fuse_open_in")).body, words(0, 0, 0, 0));
  assertStrictEquals(send("FUSE_READ", c("fuse_read_in")).error, "ENOSYS");
  assertStrictEquals(send("FUSE_WRITE", c("fuse_write_in")).error, "ENOSYS");
  assertStrictEquals(send("FUSE_IOCTL", c("fuse_ioctl_in")).error, "ENOSYS");
  assertStrictEquals(send("FUSE_POLL", c("fuse_poll_in")).error, "ENOSYS");
  assertStrictEquals(send("FUSE_RELEASE", c("fuse_release_in")).error, "");
});

test("ioctl: an unrestricted one asks for ranges, and is asked again with them", () => {
  const calls: IoctlArgs[] = [];
  // A number that says nothing: its argument is the address of { u64 address; u64 length }.
  const wire = ready({
    ioctl(args) {
      calls.push(structuredClone(args));
      const { arg, data, outSize } = args;
      if (data.length === 0) return { retry: { in: [{ base: arg, length: 16 }] } };
      const at = new DataView(data.buffer, data.byteOffset);
      const base = at.getBigUint64(0, true), length = Number(at.getBigUint64(8, true));
      if (outSize === 0) return { retry: { in: [{ base: arg, length: 16 }], out: [{ base, length }] } };
      return { result: 42, data: utf8("x".repeat(outSize)) };
    },
  }, { name: "x", unrestrictedIoctl: true });
  const arg = 0x7ffc_0000_1000n;
  const ask = (in_size: number, out_size: number, ...data: Uint8Array[]) =>
    wire.send("FUSE_IOCTL", {
      nodeid: 0,
      parts: [c("fuse_ioctl_in", { fh: 3, flags: 2, cmd: 0x1234, arg, in_size, out_size }), ...data],
    }).body;
  const pointer = join(words(0x2000, 0xffff8000, 5, 0));
  // result, flags (RETRY 4), in_iovs, out_iovs; then base and length of each range, 64 bits both.
  assertEquals(ask(0, 0), words(0, 4, 1, 0, 0x1000, 0x7ffc, 16, 0));
  assertEquals(ask(16, 0, pointer), words(0, 4, 1, 1, 0x1000, 0x7ffc, 16, 0, 0x2000, 0xffff8000, 5, 0));
  assertEquals(ask(16, 5, pointer), join(words(42, 0, 0, 0), utf8("xxxxx")));
  const asked = { nodeid: 0, fh: 3, cmd: 0x1234, arg, directory: false, unrestricted: true, compat: false };
  const [none, some] = [new Uint8Array(0), new Uint8Array(pointer)];
  assertEquals(calls, [
    { ...asked, data: none, outSize: 0 },
    { ...asked, data: some, outSize: 0 },
    { ...asked, data: some, outSize: 5 },
  ]);
  assertEquals(wire.reports, []);
});

test("ioctl: at most 256 ranges, and whole lengths", () => {
  const range = { base: 1n, length: 2 };
  const cases: readonly [unknown, boolean][] = [
    [{ retry: { in: Array(256).fill(range) } }, true],
    [{ retry: { in: Array(100).fill(range), out: Array(156).fill(range) } }, true],
    [{ retry: {} }, true],
    [{ retry: { in: Array(257).fill(range) } }, false],
    [{ retry: { in: Array(100).fill(range), out: Array(157).fill(range) } }, false],
    [{ retry: { in: [{ base: 1, length: 2 }] } }, false],
    [{ retry: { in: [{ base: 1n, length: 1.5 }] } }, false],
    [{ retry: { in: [{ base: 1n, length: NaN }] } }, false],
    [{ retry: { out: [{ base: 1n, length: -1 }] } }, false],
  ];
  for (const [answer, taken] of cases) {
    const wire = ready({ ioctl: () => answer as any }, { name: "x", unrestrictedIoctl: true });
    const { error } = wire.send("FUSE_IOCTL", { nodeid: 0, parts: [c("fuse_ioctl_in", { flags: 2 })] });
    assertStrictEquals(error, taken ? "" : "EIO");
    assertStrictEquals(wire.reports.length, taken ? 0 : 1);
  }
});

test("ioctl: a restricted one cannot be asked again", () => {
  const wire = ready({ ioctl: () => ({ retry: { in: [] } }) });
  assertStrictEquals(wire.send("FUSE_IOCTL", { nodeid: 0, parts: [c("fuse_ioctl_in")] }).error, "EIO");
  assertMatch(String(wire.reports[0].error), /only an unrestricted ioctl may/);
});

test("checkCharacterDevice: what cannot be made is refused before anything is opened", async () => {
  const names = ["", "a/b", "a\0b", "a\nb", ".", "..", "/dev/x"];
  for (const name of names) assertThrows(() => checkCharacterDevice({ name }), TypeError, "option name is");
  assertThrows(() => checkCharacterDevice({ name: "n".repeat(4088) }), RangeError, "longer than the 4087 bytes");
  assertThrows(() => checkCharacterDevice({ name: "ä".repeat(2044) }), RangeError, "longer than");
  const ranges: readonly [keyof CharacterDeviceOptions, number][] = [
    ["devMajor", 0xfff],
    ["devMinor", 0xfffff],
    ["maxRead", 1 << 28],
    ["maxWrite", 1 << 28],
  ];
  for (const [option, most] of ranges) {
    for (const value of [0, 1, most]) checkCharacterDevice({ name: "x", [option]: value });
    for (const value of [-1, most + 1, 1.5, NaN, "1"]) {
      assertThrows(
        () => checkCharacterDevice({ name: "x", [option]: value as number }),
        RangeError,
        `option ${option}`,
      );
    }
  }
  await assertRejects(() => mountCharacterDevice({}, { name: "a/b" }), TypeError, "option name");
  await assertRejects(() => mountCharacterDevice({}, { name: "x", maxInFlight: -1 }), RangeError, "option maxInFlight");
});

const here = await fs.stat("/dev/cuse").then(() => true, () => false);

const without = "mountCharacterDevice: without /dev/cuse it says so, and what to do";

if (here) test.skip(`${without} (skipped: it is there)`);
else {
  test(without, { sanitize: false }, async () => {
    const error = await assertRejects(() => mountCharacterDevice({}, { name: "fusewire0" }), FuseError);
    assertEquals([error.code, error.syscall, error.path], ["ENOENT", "open", "/dev/cuse"]);
    assertStrictEquals(
      error.message,
      'cannot make the device "fusewire0": open(2) of /dev/cuse says ENOENT; load the module: modprobe cuse',
    );
  });
}
