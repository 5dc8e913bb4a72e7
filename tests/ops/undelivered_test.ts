/** Replies that the kernel no longer wanted: what they counted or opened is taken back, once, and nothing else is. */
import { assertEquals, assertStrictEquals } from "@std/assert";
import type { OpcodeName } from "../../src/abi/opcode.ts";
import { FuseError } from "../../src/errno.ts";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import type { Request } from "../../src/fs/types.ts";
import { PLAIN, UNBACKED } from "../../src/ops/op.ts";
import { deferred } from "../../src/deferred.ts";
import { c, opendir, settled, Wire } from "../support/wire.ts";
import { bodyOf, CASES, NODEID } from "./cases.ts";
import { test } from "../support/harness.ts";

const FILE = { mode: 0o100644 };
const NONE = { unique: 0, uid: 0, gid: 0, pid: 0 };

const ids = ({ unique, uid, gid, pid }: Request) => ({ unique, uid, gid, pid });

/** A connection that writes down what is taken back. */
function recording(fs: Filesystem): { wire: Wire; log: unknown[] } {
  const log: unknown[] = [];
  const wire = new Wire(
    {
      forget: (args) => void log.push(["forget", args]),
      release: (args, who) => void log.push(["release", args, ids(who)]),
      releasedir: (args, who) => void log.push(["releasedir", args, ids(who)]),
      ...fs,
    },
    {},
    {
      ...UNBACKED,
      opened: (nodeid) => (log.push(["opened", nodeid]), PLAIN),
      released: (nodeid) => void log.push(["released", nodeid]),
    },
  );
  wire.init();
  wire.replies.length = 0;
  return { wire, log };
}

const entry = () => ({ nodeid: 5, attr: FILE });
const forgotten = ["forget", { nodeid: 5, nlookup: 1 }];
const made = () => ({ entry: entry(), fh: 9 });
const unmade = [
  ["opened", 5],
  ["released", 5],
  ["release", { nodeid: 5, fh: 9, flags: 0o101102 }, NONE],
  forgotten,
];

const LOST: readonly [OpcodeName, string, fs: (answer: <T>(value: T) => any) => Filesystem, unknown[]][] = [
  ["FUSE_LOOKUP", "lookup", (a) => ({ lookup: () => a(entry()) }), [forgotten]],
  ["FUSE_LOOKUP", "a negative lookup", (a) => ({ lookup: () => a({ nodeid: 0, attr: FILE }) }), []],
  ["FUSE_LOOKUP", "null", (a) => ({ lookup: () => a(null) }), []],
  ["FUSE_SYMLINK", "symlink", (a) => ({ symlink: () => a(entry()) }), [forgotten]],
  ["FUSE_MKNOD", "mknod", (a) => ({ mknod: () => a(entry()) }), [forgotten]],
  ["FUSE_MKDIR", "mkdir", (a) => ({ mkdir: () => a(entry()) }), [forgotten]],
  ["FUSE_LINK", "link", (a) => ({ link: () => a(entry()) }), [forgotten]],
  ["FUSE_CREATE", "create", (a) => ({ create: () => a(made()) }), unmade],
  ["FUSE_TMPFILE", "tmpfile", (a) => ({ tmpfile: () => a(made()) }), unmade],
  [
    "FUSE_OPEN",
    "open",
    (a) => ({ open: () => a({ fh: 9 }) }),
    [["opened", NODEID], ["released", NODEID], ["release", { nodeid: NODEID, fh: 9, flags: 0o102002 }, NONE]],
  ],
  [
    "FUSE_OPENDIR",
    "opendir",
    (a) => ({ opendir: () => a({ fh: 9 }) }),
    [["releasedir", { nodeid: NODEID, fh: 9, flags: 0o200000 }, NONE]],
  ],
  ["FUSE_GETATTR", "getattr", (a) => ({ getattr: () => a({ attr: FILE }) }), []],
  ["FUSE_UNLINK", "unlink", (a) => ({ unlink: () => a(undefined) }), []],
];

for (const [opcode, what, make, expected] of LOST) {
  const body = bodyOf(CASES[opcode]);
  test(`${opcode}: a lost answer to ${what} is taken back`, async () => {
    const now = recording(make((value) => value));
    now.wire.lose(opcode, body);
    await settled();
    assertEquals(now.log, expected);
    const later = recording(make((value) => Promise.resolve(value)));
    await later.wire.loseLater(opcode, body);
    await settled();
    assertEquals(later.log, expected);
    for (const { wire } of [now, later]) {
      assertEquals(wire.reports, []);
      assertStrictEquals(wire.replies.length, 1);
      assertStrictEquals(wire.dispatcher.openDirectories, 0);
    }
  });

  test(`${opcode}: a delivered answer to ${what} is not taken back, nor is a lost error`, async () => {
    const { wire, log } = recording(make((value) => value));
    wire.send(opcode, body);
    await settled();
    assertEquals(log.filter((entry) => (entry as unknown[])[0] !== "opened"), []);
    const fails = recording(make(() => Promise.reject(new FuseError("EACCES"))));
    await fails.wire.loseLater(opcode, body);
    await settled();
    assertEquals(fails.log, []);
  });

  test(`${opcode}: an answer to ${what} that comes after the session's end is taken back`, async () => {
    const { wire, log } = recording(make((value) => settled().then(() => value)));
    const answer = wire.later(opcode, body);
    wire.dispatcher.abandon();
    assertStrictEquals((await answer).error, "ENOTCONN");
    await settled();
    assertEquals(log, expected);
    assertEquals(wire.reports, []);
    assertStrictEquals(wire.replies.length, 1);
    assertStrictEquals(wire.dispatcher.openDirectories, 0);
  });

  test(`${opcode}: a lost answer to ${what}, where nothing can be taken back`, async () => {
    const { wire } = recording({ ...make((v) => v), forget: undefined, release: undefined, releasedir: undefined });
    wire.lose(opcode, body);
    await settled();
    assertEquals(wire.reports, []);
    assertStrictEquals(wire.replies.length, 1);
  });
}

test("what comes after the session's end and cannot be packed is answered no more", async () => {
  const { wire, log } = recording({ lookup: () => settled().then(() => undefined as never) });
  const answer = wire.later("FUSE_LOOKUP", { parts: ["a"] });
  wire.dispatcher.abandon();
  assertStrictEquals((await answer).error, "ENOTCONN");
  await settled();
  assertStrictEquals(wire.replies.length, 1);
  assertEquals(log, []);
});

test("what fails while it is taken back is told, answered no more, and keeps nothing else", async () => {
  const bug = new Error("x");
  const failing = (): never => {
    throw bug;
  };
  for (const fails of [failing, () => Promise.reject(bug)]) {
    const log: string[] = [];
    const { wire } = recording({
      lookup: entry,
      create: made,
      open: () => ({ fh: 1 }),
      opendir: () => ({ fh: 1 }),
      release: fails,
      releasedir: fails,
      forget: () => {
        log.push("forget");
        return fails() as unknown as void;
      },
    });
    for (const opcode of ["FUSE_LOOKUP", "FUSE_OPEN", "FUSE_OPENDIR", "FUSE_CREATE"] as const) {
      wire.replies.length = wire.reports.length = log.length = 0;
      wire.lose(opcode, bodyOf(CASES[opcode]));
      await settled();
      assertStrictEquals(wire.replies.length, 1);
      assertEquals(wire.reports, [{ error: bug, opcode, nodeid: NODEID }]);
      assertEquals(log, ["FUSE_LOOKUP", "FUSE_CREATE"].includes(opcode) ? ["forget"] : []);
    }
    assertStrictEquals(wire.dispatcher.openDirectories, 0);
  }
});

test("what cannot be packed is taken back as well, and reported once", async () => {
  const nonsense: any = { fh: 9, backing: NaN };
  const created: any = { ...nonsense, entry: entry() };
  const released = (nodeid: number, flags: number) => ["release", { nodeid, fh: 9, flags }, NONE];
  const cases: [OpcodeName, Filesystem, unknown[]][] = [
    ["FUSE_OPEN", { open: () => nonsense }, [released(NODEID, 0o102002)]],
    ["FUSE_CREATE", { create: () => created }, [released(5, 0o101102), forgotten]],
    ["FUSE_TMPFILE", { tmpfile: () => Promise.resolve(created) }, [released(5, 0o101102), forgotten]],
    ["FUSE_LOOKUP", { lookup: () => ({ nodeid: 5, attr: { mode: 0 } }) }, [forgotten]],
    ["FUSE_LOOKUP", { lookup: () => ({ nodeid: NaN, attr: FILE }) }, []],
  ];
  for (const [opcode, fs, expected] of cases) {
    const { wire, log } = recording(fs);
    assertStrictEquals((await wire.ask(opcode, bodyOf(CASES[opcode]))).error, "EIO");
    await settled();
    assertEquals(log, expected);
    assertEquals(wire.reports.map((r) => r.opcode), [opcode]);
  }
});

test("create: an inode is forgotten after its release is done", async () => {
  const done = deferred<void>();
  const { wire, log } = recording({ create: made, release: () => done.promise });
  wire.lose("FUSE_CREATE", bodyOf(CASES.FUSE_CREATE));
  await settled();
  assertEquals(log, [["opened", 5], ["released", 5]]);
  done.resolve();
  await settled();
  assertEquals(log.at(-1), forgotten);
});

test("READDIRPLUS: a lost piece forgets each inode that it counted, once", async () => {
  const found = new Map([["a", 2], ["gone", 0], ["b", 2 ** 53 - 1], ["a link to b", 2 ** 53 - 1], ["c", 7]]);
  for (const later of [false, true]) {
    const { wire, log } = recording({
      readdir: () => [...found.keys(), "nobody knows"].map((name) => ({ name, ino: 1, mode: 0 })),
      lookup({ name }) {
        const nodeid = found.get(name);
        const value = nodeid === undefined ? null : { nodeid, attr: { ...FILE, ino: 2n ** 64n - 1n, mtime: -5 } };
        return later ? Promise.resolve(value) : value;
      },
    });
    const fh = opendir(wire);
    // As many as fit: "." and ".." and four more of 128 + 24 + 8 bytes, but for the link's 16.
    const read = (offset: number) => ({ parts: [c("fuse_read_in", { fh, offset, size: 5 * 160 + 168 })] });
    if (later) await wire.loseLater("FUSE_READDIRPLUS", read(0));
    else wire.lose("FUSE_READDIRPLUS", read(0));
    await settled();
    const forget = (nodeid: number) => ["forget", { nodeid, nlookup: 1 }];
    assertEquals(log, [forget(2), forget(2 ** 53 - 1), forget(2 ** 53 - 1)]);
    log.length = 0;
    // Those that are delivered stay.
    await wire.ask("FUSE_READDIRPLUS", read(0));
    await settled();
    assertEquals(log, []);
  }
});

test("READDIR: a lost piece forgets nothing, and can be read again", async () => {
  const { wire, log } = recording({
    readdir: () => ["a", "b"].map((name) => ({ name, ino: 1, mode: 0 })),
    lookup: entry,
  });
  const fh = opendir(wire);
  const body = { parts: [c("fuse_read_in", { fh, offset: 0, size: 4096 })] };
  const lost = wire.lose("FUSE_READDIR", body);
  await settled();
  assertEquals(log, []);
  assertEquals(wire.send("FUSE_READDIR", body).body, lost.body);
});
