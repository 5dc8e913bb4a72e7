/** What a trace shows of a request, and how one line says it. */
import { assert, assertEquals, assertMatch, assertStrictEquals } from "@std/assert";
import type { OpcodeName } from "../../src/abi/opcode.ts";
import { FuseError } from "../../src/errno.ts";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import { formatTrace, type TraceEvent } from "../../src/session/trace.ts";
import { bodyOf, type Case, CASES, NODEID, SERVED, WHO } from "../ops/cases.ts";
import { c, connect, type InitOffer, opendir, request, settled, utf8, type Wire } from "../support/wire.ts";
import { test } from "../support/harness.ts";
import { uncaught } from "../support/runtime.ts";

/** A connection that is traced. */
function traced(fs: Filesystem, offer: InitOffer = {}): { wire: Wire; events: TraceEvent[]; lines: () => string[] } {
  const events: TraceEvent[] = [];
  const wire = connect(fs, { trace: (event) => void events.push(event) }, offer);
  events.length = 0;
  // How long it took is no matter of the test.
  const lines = () => events.map((event) => formatTrace({ ...event, duration: 0.0123 }));
  return { wire, events, lines };
}

test("formatTrace: the form", () => {
  const event = {
    opcode: "FUSE_LOOKUP",
    nodeid: 1,
    unique: 2,
    uid: 0,
    gid: 0,
    pid: 1,
    args: { parent: 1, name: "etc" },
    errno: 0,
    duration: 0.012,
  };
  const value = { nodeid: 2, entryTimeout: 1 };
  assertStrictEquals(formatTrace({ ...event, value }), 'LOOKUP nodeid=1 "etc" -> nodeid=2 entryTimeout=1 12us');
  assertStrictEquals(
    formatTrace({ ...event, value: { ...value, attr: { mode: 0o040755, mtime: 5, size: 0 } } }),
    'LOOKUP nodeid=1 "etc" -> nodeid=2 entryTimeout=1 mode=040755 size=0 12us',
  );
  assertStrictEquals(formatTrace({ ...event, errno: 2, duration: 1.5 }), 'LOOKUP nodeid=1 "etc" -> ENOENT 1500us');
  assertStrictEquals(formatTrace({ ...event, errno: 200, args: undefined }), "LOOKUP nodeid=1 -> errno 200 12us");
  assertStrictEquals(formatTrace({ ...event, opcode: "opcode 99", args: undefined }), "opcode 99 nodeid=1 -> ok 12us");
});

/** The line of each request of `cases.ts`. */
const LINES: Partial<Record<OpcodeName, string>> = {
  FUSE_LOOKUP: 'nodeid=N "näme" -> ENTRY ATTR',
  FUSE_FORGET: "nodeid=N nlookup=1099511627776",
  FUSE_GETATTR: "nodeid=N fh=FH -> attrTimeout=0.001 ATTR",
  FUSE_SETATTR: "nodeid=N mode=0100600 size=1099511627776 -> attrTimeout=1 ATTR",
  FUSE_READLINK: 'nodeid=N -> "../ä\\udcff"',
  FUSE_SYMLINK: 'nodeid=N "name" "the target" -> ENTRY ATTR',
  FUSE_MKNOD: 'nodeid=N "null" mode=020644 umask=022 rdev=259 -> ENTRY ATTR',
  FUSE_MKDIR: 'nodeid=N "dir" mode=01777 umask=077 -> ENTRY ATTR',
  FUSE_UNLINK: 'nodeid=N "gone" -> ok',
  FUSE_RMDIR: 'nodeid=N "gone" -> ok',
  FUSE_RENAME: 'nodeid=N "old" newParent=1125899906842624 "new" flags=0x0 -> ok',
  // The inode that gets a name; the directory of the request is its new parent.
  FUSE_LINK: 'nodeid=562949953421312 newParent=N "other" -> ENTRY ATTR',
  FUSE_OPEN: "nodeid=N flags=0x8402 killSuidgid -> OPENED",
  FUSE_READ: "nodeid=N fh=FH offset=4503599627370496 size=5 flags=0x8000 -> <5 bytes>",
  FUSE_WRITE: "nodeid=N fh=FH offset=4503599627370496 data=<3 bytes> flags=0x1 fromCache killSuidgid -> 2",
  FUSE_STATFS: "nodeid=N -> blocks=1125899906842624 bfree=2 bavail=3 files=4 ffree=5 bsize=6 namelen=7 frsize=8",
  FUSE_RELEASE: "nodeid=N fh=FH flags=0x8001 flockOwner=OWNER -> ok",
  FUSE_FSYNC: "nodeid=N fh=FH datasync -> ok",
  FUSE_SETXATTR: 'nodeid=N "user.x" value=<4 bytes> flags=0x2 -> ok',
  FUSE_GETXATTR: 'nodeid=N "user.x" size=4 -> <4 bytes>',
  FUSE_LISTXATTR: "nodeid=N size=100 -> <2 names>",
  FUSE_REMOVEXATTR: 'nodeid=N "user.x" -> ok',
  FUSE_FLUSH: "nodeid=N fh=FH lockOwner=OWNER -> ok",
  FUSE_OPENDIR: "nodeid=N flags=0x10000 -> fh=FH cacheDir keepCache",
  FUSE_READDIR: "nodeid=N fh=0 offset=0 size=4096 -> <96 bytes>",
  FUSE_RELEASEDIR: "nodeid=N fh=1 flags=0x10000 -> ok",
  FUSE_FSYNCDIR: "nodeid=N fh=1 -> ok",
  FUSE_GETLK: "nodeid=N fh=FH owner=OWNER LOCK flock -> LOCK",
  FUSE_SETLK: "nodeid=N fh=FH owner=OWNER LOCK flock -> ok",
  FUSE_SETLKW: "nodeid=N fh=FH owner=OWNER LOCK flock -> ok",
  FUSE_ACCESS: "nodeid=N mask=0x5 -> ok",
  FUSE_CREATE: 'nodeid=N "new" flags=0x8242 mode=0100640 umask=027 killSuidgid -> ENTRY OPENED ATTR',
  FUSE_BMAP: "nodeid=N block=35184372088832 blocksize=512 -> 70368744177664",
  FUSE_IOCTL: "nodeid=N fh=FH cmd=0xc0045501 arg=OWNER data=<3 bytes> outSize=4 -> result=-5 data=<4 bytes>",
  FUSE_POLL: "nodeid=N fh=FH kh=OWNER events=0x5 notify -> 4",
  FUSE_BATCH_FORGET: "nodeid=N <2 inodes>",
  FUSE_FALLOCATE: "nodeid=N fh=FH offset=8796093022208 length=17592186044416 mode=03 -> ok",
  FUSE_READDIRPLUS: "nodeid=N fh=0 offset=0 size=4096 -> <480 bytes>",
  FUSE_RENAME2: 'nodeid=N "old" newParent=1125899906842624 "new" flags=0x2 -> ok',
  FUSE_LSEEK: "nodeid=N fh=FH offset=140737488355328 whence=4 -> 281474976710656",
  FUSE_COPY_FILE_RANGE: "COPY -> 65536",
  FUSE_SYNCFS: "nodeid=N -> ok",
  FUSE_TMPFILE: "nodeid=N flags=0x8242 mode=0100640 umask=027 -> ENTRY OPENED ATTR",
  FUSE_STATX: "nodeid=N fh=FH flags=0x100 mask=0xfff -> attrTimeout=3.5 btime=-1 btimeNsec=10 attributes=0x10 " +
    "attributesMask=0x74 ATTR",
  FUSE_COPY_FILE_RANGE_64: "COPY -> 65535",
};

/** What recurs in these lines. */
const WORDS: readonly [RegExp, string][] = [
  [/nodeid=4503599627370496 generation=2251799813685248 entryTimeout=1.5 attrTimeout=2.25/g, "ENTRY"],
  [
    /ino=9223372036854775809 size=1099511627777 blocks=3 mode=0104755 nlink=11 uid=4294967295 gid=13 rdev=\d+ blksize=512 submount/g,
    "ATTR",
  ],
  [/fh=FH directIo keepCache nonSeekable stream noFlush parallelDirectWrites/g, "OPENED"],
  [/start=5 end=9223372036854775807 type=1 pid=6/g, "LOCK"],
  [
    /nodeid=N fh=1 offset=2199023255552 newNodeid=3 newFh=FH newOffset=4398046511104 length=65536 flags=0x0/g,
    "COPY",
  ],
];

function shortened(line: string): string {
  const short = line.replaceAll(`${NODEID}`, "N").replaceAll("4503599627370501", "FH")
    .replaceAll("0xfedcba9876543210", "OWNER");
  return WORDS.reduce((text, [long, word]) => text.replace(long, word), short);
}

for (const [opcode, row] of SERVED) {
  test(`trace: ${opcode}`, () => {
    const { wire, events, lines } = traced({ [row.method]: () => row.value } as Filesystem);
    row.before?.(wire);
    events.length = 0;
    wire.raw(request(opcode, 0x8000_0000_0000_0004n, bodyOf(row)));
    const [line] = lines().map(shortened);
    assertStrictEquals(events.length, 1);
    assertStrictEquals(line, `${opcode.slice(5)} ${LINES[opcode]} 12us`);
    const { opcode: name, nodeid, unique, uid, gid, pid, errno, value, duration } = events[0];
    const { uid: u, gid: g, pid: p } = WHO;
    assertEquals({ name, nodeid, unique, uid, gid, pid, errno }, {
      name: opcode,
      nodeid: NODEID,
      unique: 4,
      uid: u,
      gid: g,
      pid: p,
      errno: 0,
    });
    if (!opcode.startsWith("FUSE_READDIR")) assertStrictEquals(value, row.value);
    assert(duration >= 0);
  });

  test(`trace: ${opcode} that fails`, async () => {
    for (const later of [false, true]) {
      const { wire, events, lines } = traced({
        [row.method]: () => {
          if (later) return Promise.reject(new FuseError("EDQUOT"));
          throw new FuseError("EDQUOT");
        },
      } as Filesystem);
      row.before?.(wire);
      events.length = 0;
      wire.raw(request(opcode, 4n, bodyOf(row)));
      await settled();
      const [asked] = LINES[opcode]!.split(" -> ");
      assertEquals(lines().map(shortened), [`${opcode.slice(5)} ${asked} -> EDQUOT 12us`]);
      assertEquals([events[0].errno, events[0].value], [122, undefined]);
    }
  });

  test(`trace: ${opcode} without the method shows what was asked`, () => {
    const { wire, events, lines } = traced({});
    row.before?.(wire);
    events.length = 0;
    wire.raw(request(opcode, 4n, bodyOf(row)));
    const [asked] = LINES[opcode]!.split(" -> ");
    const [line] = lines().map(shortened);
    assertStrictEquals(line.slice(0, opcode.length - 4 + asked.length), `${opcode.slice(5)} ${asked}`);
  });
}

test("trace: opcodes that the session serves itself", () => {
  const { wire, lines } = traced({ lookup: () => null });
  const body = (opcode: OpcodeName) => ({ nodeid: 7, parts: (CASES[opcode] as Case).parts });
  wire.send("FUSE_DESTROY", { nodeid: 7 });
  wire.post("FUSE_INTERRUPT", { nodeid: 0, parts: [c("fuse_interrupt_in", { unique: 2 ** 33 + 5 })] });
  wire.post("FUSE_NOTIFY_REPLY", body("FUSE_NOTIFY_REPLY"));
  wire.send("FUSE_SETUPMAPPING", { nodeid: 7, parts: [c("fuse_setupmapping_in", { fh: 3, len: 4096, flags: 2 })] });
  wire.send("FUSE_REMOVEMAPPING", body("FUSE_REMOVEMAPPING"));
  wire.send("FUSE_INIT", body("FUSE_INIT"));
  wire.send("CUSE_INIT", body("CUSE_INIT"));
  wire.send(99, { nodeid: 7 });
  assertEquals(lines(), [
    "DESTROY nodeid=7 -> ok 12us",
    "INTERRUPT nodeid=0 low=5 high=2 12us",
    "NOTIFY_REPLY nodeid=7 offset=0 data=<3 bytes> 12us",
    "SETUPMAPPING nodeid=7 fh=3 offset=0 length=4096 flags=0x2 windowOffset=0 -> ENOSYS 12us",
    "REMOVEMAPPING nodeid=7 mappings=<0> -> ENOSYS 12us",
    "INIT nodeid=7 -> EIO 12us",
    "CUSE_INIT nodeid=7 -> ENOSYS 12us",
    "opcode 99 nodeid=7 -> ENOSYS 12us",
  ]);
});

test("trace: the handshake", () => {
  const events: TraceEvent[] = [];
  connect({}, { trace: (event) => void events.push(event) }, { minor: 22, maxReadahead: 4096, flags: 1 | 32 });
  const [line] = events.map((event) => formatTrace({ ...event, duration: 0.001 }));
  assertStrictEquals(
    line,
    "INIT nodeid=0 major=7 minor=22 maxReadahead=4096 flags=0x21 flags2=0x0 -> major=7 minor=22 " +
      "flags=FUSE_ASYNC_READ|FUSE_BIG_WRITES maxWrite=131072 maxReadahead=4096 maxPages=32 timeGran=1 maxStackDepth=0 1us",
  );
});

test("trace: setattr says what changes, and from where a time comes", () => {
  const { wire, lines } = traced({ setattr: () => ({ attr: { mode: 0o100644 } }) });
  const valid = 2 | 4 | 16 | 32 | 64 | 128 | 512;
  const values = { valid, fh: 9, uid: 1, gid: 2, mtime: -3, mtimensec: 4, lock_owner: 0xabcn };
  wire.send("FUSE_SETATTR", { nodeid: 5, parts: [c("fuse_setattr_in", values)] });
  assertEquals(lines(), [
    "SETATTR nodeid=5 fh=9 uid=1 gid=2 atime=now mtime=-3 mtimeNsec=4 lockOwner=0xabc -> mode=0100644 12us",
  ]);
});

test("trace: an ioctl that is to be asked again", () => {
  const { wire, lines } = traced({ ioctl: () => ({ retry: { in: [{ base: 1n, length: 2 }], out: [] } }) });
  wire.send("FUSE_IOCTL", { nodeid: 5, parts: [c("fuse_ioctl_in", { flags: 2, cmd: 0x5401, arg: 0xffn })] });
  assertEquals(lines(), [
    "IOCTL nodeid=5 fh=0 cmd=0x5401 arg=0xff data=<0 bytes> outSize=0 unrestricted -> in=<1> out=<0> 12us",
  ]);
});

test("trace: a miss is the error that the caller gets", () => {
  const { wire, events, lines } = traced({ lookup: () => null, getxattr: () => null, read: () => utf8("too long") });
  wire.send("FUSE_LOOKUP", { nodeid: 5, parts: ["a\n"] });
  wire.send("FUSE_GETXATTR", { nodeid: 5, parts: [c("fuse_getxattr_in"), "user.x"] });
  wire.send("FUSE_READ", { nodeid: 5, parts: [c("fuse_read_in", { size: 1 })] });
  assertEquals(lines(), [
    'LOOKUP nodeid=5 "a\\n" -> ENOENT 12us',
    'GETXATTR nodeid=5 "user.x" size=0 -> ENODATA 12us',
    "READ nodeid=5 fh=0 offset=0 size=1 flags=0x0 -> EIO 12us",
  ]);
  assertStrictEquals(events[2].value, undefined);
});

test("trace: a request that cannot be read has no arguments, and a duration", () => {
  const { wire, events, lines } = traced({ read: () => utf8("") });
  const now = performance.now;
  let time = 1000;
  performance.now = () => time += 7;
  try {
    wire.raw(request("FUSE_READ", 2n, { nodeid: 5 }));
    wire.raw(request("FUSE_READ", 4n, { nodeid: 2n ** 60n }));
  } finally {
    performance.now = now;
  }
  assertEquals(lines(), ["READ nodeid=5 -> EIO 12us", `READ nodeid=${2 ** 60} -> EOVERFLOW 12us`]);
  for (const { args, duration } of events) {
    assertStrictEquals(args, undefined);
    // Since it came, not since the process began.
    assertStrictEquals(duration, 7);
  }
});

test("trace: an answer that comes later is traced once it was given, those that are abandoned too", async () => {
  const { wire, lines } = traced({ getattr: () => settled().then(() => ({ attr: { mode: 0o100644 } })) });
  const reply = wire.later("FUSE_GETATTR", { nodeid: 5, parts: [c("fuse_getattr_in")] });
  assertEquals(lines(), []);
  await reply;
  assertEquals(lines(), ["GETATTR nodeid=5 -> mode=0100644 12us"]);
  wire.raw(request("FUSE_GETATTR", 8n, { nodeid: 6, parts: [c("fuse_getattr_in")] }));
  wire.dispatcher.abandon();
  assertEquals(lines().slice(1), ["GETATTR nodeid=6 -> ENOTCONN 12us"]);
  await settled();
  assertStrictEquals(lines().length, 2);
});

test("trace: the reply comes before the event, and a listener that throws keeps nobody waiting", async () => {
  using seen = uncaught();
  const thrown = new Error("the listener's");
  let replies = -1;
  const wire = connect({}, {
    trace(event) {
      if (event.opcode !== "FUSE_STATFS") return;
      replies = wire.replies.length;
      throw thrown;
    },
  });
  assertStrictEquals(wire.send("FUSE_STATFS").errno, 0);
  assertStrictEquals(replies, 1);
  await settled();
  assertEquals(seen.errors, [thrown]);
});

test("trace: absent, it costs no look at the clock", async () => {
  const now = performance.now;
  let looks = 0;
  performance.now = () => (looks++, now.call(performance));
  try {
    const fs: Filesystem = {
      getattr: () => ({ attr: { mode: 0o100644 } }),
      read: () => settled().then(() => utf8("x")),
      readdir: () => [],
    };
    const serve = async (wire: Wire) => {
      wire.send("FUSE_GETATTR", { parts: [c("fuse_getattr_in")] });
      wire.send("FUSE_GETXATTR", { parts: [c("fuse_getxattr_in"), "user.x"] });
      wire.raw(request("FUSE_READ", 2n));
      const fh = opendir(wire);
      wire.send("FUSE_READDIR", { parts: [c("fuse_read_in", { fh, size: 4096 })] });
      await wire.later("FUSE_READ", { parts: [c("fuse_read_in", { size: 1 })] });
    };
    await serve(connect(fs));
    assertStrictEquals(looks, 0);
    await serve(connect(fs, { trace: () => {} }));
    // Two for each, INIT among them.
    assertStrictEquals(looks, 14);
  } finally {
    performance.now = now;
  }
});

test("trace: each line is one line", () => {
  for (const [opcode, row] of SERVED) {
    const { wire, events, lines } = traced({ [row.method]: () => row.value } as Filesystem);
    row.before?.(wire);
    events.length = 0;
    wire.raw(request(opcode, 4n, bodyOf(row)));
    for (const line of lines()) assertMatch(line, /^[A-Z0-9_]+ nodeid=\d+ [^\n]*\d+us$/);
  }
});
