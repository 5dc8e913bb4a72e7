/** INIT: what is offered, what is asked for, what is agreed, and how long the answer is. */
import { assert, assertEquals, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { inspect } from "node:util";
import { INIT_FLAG, type InitFlag } from "../../src/abi/flags.ts";
import { FuseError } from "../../src/errno.ts";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import type { SessionOptions } from "../../src/session/options.ts";
import { type Answer, c, field, Wire } from "../support/wire.ts";
import { test } from "../support/harness.ts";

const nothing = () => null as never;
/** A file system with every method that the handshake looks for. */
const FULL: Filesystem = {
  lookup: nothing,
  readdir: nothing,
  getlk: nothing,
  setlk: nothing,
  setlkw: nothing,
};

const out = (name: string, { body }: Answer) => Number(field("fuse_init_out", name, body));

/** The bits of an answer, of which those above 31 only count with FUSE_INIT_EXT, bit 30. */
function bits(answer: Answer): bigint {
  const flags = out("flags", answer);
  const flags2 = answer.body.length === 64 && (flags & 1 << 30) !== 0 ? out("flags2", answer) : 0;
  return BigInt(flags2) << 32n | BigInt(flags);
}

function bitsOf(...names: InitFlag[]): bigint {
  return names.reduce((all, name) => all | 1n << BigInt(INIT_FLAG[name]), 0n);
}

/** What is always asked for. */
const ALWAYS: readonly InitFlag[] = [
  "FUSE_ASYNC_READ",
  "FUSE_BIG_WRITES",
  "FUSE_ASYNC_DIO",
  "FUSE_PARALLEL_DIROPS",
  "FUSE_ABORT_ERROR",
  "FUSE_MAX_PAGES",
  "FUSE_HAS_EXPIRE_ONLY",
  "FUSE_HAS_RESEND",
  "FUSE_INIT_EXT",
  "FUSE_DIRECT_IO_ALLOW_MMAP",
];

test("handshake: every minor version since 7.9 is answered as long as it expects", () => {
  for (const minor of [...Array.from({ length: 37 }, (_, i) => i + 9), 46, 99, 0xffffffff]) {
    const wire = new Wire(FULL);
    const answer = wire.init({ minor });
    assertStrictEquals(answer.errno, 0, `7.${minor}`);
    assertStrictEquals(answer.body.length, minor < 23 ? 24 : 64, `7.${minor}`);
    assertEquals([out("major", answer), out("minor", answer)], [7, 45]);
    assertEquals([wire.negotiated?.major, wire.negotiated?.minor], [7, Math.min(minor, 45)]);
    assertStrictEquals(wire.refused, null);
    // 36 brought the second word of flags.
    if (minor < 36) assertStrictEquals(bits(answer) >> 32n, 0n);
    assertStrictEquals(bits(answer) & 1n, 1n, "FUSE_ASYNC_READ");
    assertStrictEquals(wire.send("FUSE_GETATTR", { parts: [c("fuse_getattr_in")] }).error, "ENOSYS");
  }
});

test("handshake: an older kernel is refused in words", () => {
  for (const [major, minor] of [[7, 0], [7, 4], [7, 8], [6, 45], [6, 0], [5, 99], [0, 0]]) {
    const wire = new Wire(FULL);
    assertStrictEquals(wire.init({ major, minor }).error, "EPROTO");
    assertStrictEquals(wire.refused?.code, "EPROTO");
    assertStringIncludes(wire.refused!.message, `the kernel speaks FUSE ${major}.${minor}`);
    assertEquals(wire.reports, []);
    assertStrictEquals(wire.negotiated, null);
    assertStrictEquals(wire.send("FUSE_STATFS").error, "EIO");
  }
});

test("handshake: a newer major version is told ours, and begins again with it", () => {
  const wire = new Wire(FULL);
  for (const major of [8, 100]) {
    const first = wire.init({ major, minor: 0 });
    assertStrictEquals(first.errno, 0);
    assertEquals([...first.body], [7, 0, 0, 0, 45, 0, 0, 0]);
    assertStrictEquals(wire.negotiated, null);
    assertStrictEquals(wire.refused, null);
    assertStrictEquals(wire.send("FUSE_STATFS").error, "EIO");
  }
  assertStrictEquals(wire.init({ minor: 45 }).body.length, 64);
  assertStrictEquals(wire.negotiated!.minor, 45);
  assertStrictEquals(wire.send("FUSE_STATFS").error, "");
});

test("handshake: only bits that are offered are answered", () => {
  const all: SessionOptions = {
    writebackCache: true,
    atomicOTrunc: true,
    cacheSymlinks: true,
    handleKillpriv: true,
    dontMask: true,
    noOpendir: true,
    posixAcl: true,
    exportSupport: true,
    submounts: true,
    securityContext: true,
    createSuppGroup: true,
    allowIdmap: true,
    requestTimeout: 60,
  };
  for (const options of [{}, all, { noOpen: true, explicitInvalData: true, noExportSupport: true }]) {
    const wanted = bits(new Wire(FULL, options).init());
    assert(wanted !== 0n);
    for (let bit = 0n; bit < 64n; bit++) {
      const wire = new Wire(FULL, options);
      const offered = 1n << bit | bitsOf("FUSE_INIT_EXT");
      const answer = wire.init({ flags: Number(offered & 0xffffffffn), flags2: Number(offered >> 32n) });
      assertStrictEquals(bits(answer), offered & wanted, `bit ${bit}`);
      const names = Object.entries(INIT_FLAG).filter(([, n]) => (offered & wanted) >> BigInt(n) & 1n);
      assertEquals([...wire.negotiated!.flags].sort(), names.map(([name]) => name).sort());
    }
    const none = new Wire(FULL, options).init({ flags: 0, flags2: 0xffffffff });
    assertEquals([out("flags", none), out("flags2", none)], [0, 0]);
  }
});

test("handshake: without FUSE_INIT_EXT the second word of flags says nothing", () => {
  for (const size of [16, 64]) {
    const wire = new Wire(FULL);
    const answer = wire.init({ flags: 0xffffffff & ~(1 << 30) >>> 0, flags2: 0xffffffff, size });
    assertEquals([out("flags2", answer), out("max_stack_depth", answer)], [0, 0]);
    assert(!wire.negotiated!.flags.has("FUSE_PASSTHROUGH"));
  }
  // A short INIT that claims to be extended.
  const short = new Wire(FULL);
  assertStrictEquals(out("flags2", short.init({ size: 16 })), 0);
  assertStrictEquals(short.negotiated!.maxStackDepth, 0);
});

/** What is asked for beside what always is. */
const WANTED: readonly [SessionOptions, Filesystem, InitFlag[]][] = [
  [{}, {}, ["FUSE_PASSTHROUGH", "FUSE_AUTO_INVAL_DATA"]],
  [{ passthrough: false, autoInvalData: false }, {}, []],
  [{ passthrough: false, writebackCache: true, autoInvalData: false }, {}, ["FUSE_WRITEBACK_CACHE"]],
  [{ writebackCache: true }, {}, ["FUSE_WRITEBACK_CACHE", "FUSE_AUTO_INVAL_DATA"]],
  [{ passthrough: false, autoInvalData: false, atomicOTrunc: true }, {}, ["FUSE_ATOMIC_O_TRUNC"]],
  [{ passthrough: false, autoInvalData: false, cacheSymlinks: true }, {}, ["FUSE_CACHE_SYMLINKS"]],
  [{ explicitInvalData: true, passthrough: false }, {}, ["FUSE_EXPLICIT_INVAL_DATA"]],
];
const QUIET: SessionOptions = { passthrough: false, autoInvalData: false };
/** Options that ask for one flag, or two. */
const ASKING: readonly [SessionOptions, ...InitFlag[]][] = [
  [{ handleKillpriv: true }, "FUSE_HANDLE_KILLPRIV_V2"],
  [{ handleKillpriv: "v1" }, "FUSE_HANDLE_KILLPRIV"],
  [{ dontMask: true }, "FUSE_DONT_MASK"],
  [{ noOpen: true }, "FUSE_NO_OPEN_SUPPORT"],
  [{ noOpendir: true }, "FUSE_NO_OPENDIR_SUPPORT"],
  [{ posixAcl: true }, "FUSE_POSIX_ACL", "FUSE_SETXATTR_EXT"],
  [{ posixLocks: true }, "FUSE_POSIX_LOCKS"],
  [{ flockLocks: true }, "FUSE_FLOCK_LOCKS"],
  [{ exportSupport: true }, "FUSE_EXPORT_SUPPORT"],
  [{ noExportSupport: true }, "FUSE_NO_EXPORT_SUPPORT"],
  [{ submounts: true }, "FUSE_SUBMOUNTS"],
  [{ securityContext: true }, "FUSE_SECURITY_CTX"],
  [{ createSuppGroup: true }, "FUSE_CREATE_SUPP_GROUP"],
  [{ allowIdmap: true }, "FUSE_ALLOW_IDMAP"],
  [{ requestTimeout: 1 }, "FUSE_REQUEST_TIMEOUT"],
];
/** Options that keep one of those from being asked for that always are. */
const SPARING: readonly [SessionOptions, InitFlag][] = [
  [{ asyncRead: false }, "FUSE_ASYNC_READ"],
  [{ asyncDio: false }, "FUSE_ASYNC_DIO"],
  [{ parallelDirops: false }, "FUSE_PARALLEL_DIROPS"],
  [{ directIoAllowMmap: false }, "FUSE_DIRECT_IO_ALLOW_MMAP"],
];
const LISTING = { lookup: nothing, readdir: nothing };
const BY_METHODS: readonly [SessionOptions, Filesystem, InitFlag[]][] = [
  [QUIET, LISTING, ["FUSE_DO_READDIRPLUS", "FUSE_READDIRPLUS_AUTO"]],
  [{ ...QUIET, readdirplus: "auto" }, LISTING, ["FUSE_DO_READDIRPLUS", "FUSE_READDIRPLUS_AUTO"]],
  [{ ...QUIET, readdirplus: "always" }, LISTING, ["FUSE_DO_READDIRPLUS"]],
  [{ ...QUIET, readdirplus: "never" }, LISTING, []],
  // Without a lookup there are no attributes to add.
  [{ ...QUIET, readdirplus: "always" }, { readdir: nothing }, []],
  [QUIET, { getlk: nothing, setlk: nothing, setlkw: nothing }, ["FUSE_POSIX_LOCKS", "FUSE_FLOCK_LOCKS"]],
  [QUIET, { setlk: nothing, setlkw: nothing }, ["FUSE_FLOCK_LOCKS"]],
  // A program that waits for a lock would be told ENOSYS.
  [QUIET, { getlk: nothing, setlk: nothing }, []],
  [QUIET, { getlk: nothing }, []],
  [{ ...QUIET, posixLocks: false }, { getlk: nothing, setlk: nothing, setlkw: nothing }, ["FUSE_FLOCK_LOCKS"]],
  [{ ...QUIET, flockLocks: false }, { getlk: nothing, setlk: nothing, setlkw: nothing }, ["FUSE_POSIX_LOCKS"]],
  [QUIET, { ioctl: nothing }, ["FUSE_HAS_IOCTL_DIR"]],
];

test("handshake: what is asked for depends on the options and on the methods that are there", () => {
  const agreed = (fs: Filesystem, options: SessionOptions) => {
    const wire = new Wire(fs, options);
    wire.init();
    return [...wire.negotiated!.flags].sort();
  };
  for (const [options, fs, more] of [...WANTED, ...BY_METHODS]) {
    assertEquals(agreed(fs, options), [...ALWAYS, ...more].sort(), inspect([options, fs]));
  }
  for (const [options, ...more] of ASKING) {
    assertEquals(agreed({}, { ...QUIET, ...options }), [...ALWAYS, ...more].sort(), inspect(options));
  }
  for (const [options, less] of SPARING) {
    assertEquals(agreed({}, { ...QUIET, ...options }), ALWAYS.filter((flag) => flag !== less).sort());
  }
});

const BIG_WRITES = 1 << INIT_FLAG.FUSE_BIG_WRITES;
const MAX_PAGES = 1 << INIT_FLAG.FUSE_MAX_PAGES;
const MIB = 1 << 20;

test("handshake: sizes, in bytes and in pages of 4096", () => {
  const cases: readonly [SessionOptions, flags: number, maxWrite: number, pages: number, sentPages: number][] = [
    [{}, BIG_WRITES | MAX_PAGES, MIB, 256, 256],
    [{ maxWrite: 4096 }, BIG_WRITES | MAX_PAGES, 4096, 1, 1],
    [{ maxWrite: 131072 }, BIG_WRITES | MAX_PAGES, 131072, 32, 32],
    [{ maxWrite: 8191 }, BIG_WRITES | MAX_PAGES, 4096, 1, 1],
    // The field has 16 bits.
    [{ maxWrite: 1 << 28 }, BIG_WRITES | MAX_PAGES, 65535 * 4096, 65535, 65535],
    // Before 7.28 a request has at most 32 pages.
    [{}, BIG_WRITES, 131072, 32, 0],
    [{ maxWrite: 65536 }, BIG_WRITES, 65536, 32, 0],
    // Without BIG_WRITES a WRITE is one page.
    [{}, 0, 4096, 32, 0],
    [{}, MAX_PAGES, 4096, 256, 256],
  ];
  for (const [options, flags, maxWrite, maxPages, sent] of cases) {
    const wire = new Wire({}, options);
    const answer = wire.init({ flags });
    assertEquals(
      [out("max_write", answer), out("max_pages", answer)],
      [maxWrite, sent],
      inspect([options, flags]),
    );
    assertEquals([wire.negotiated!.maxWrite, wire.negotiated!.maxPages], [maxWrite, maxPages]);
  }
});

test("handshake: read-ahead is the lower of what both sides want", () => {
  for (
    const [offered, wanted, agreed] of [
      [131072, undefined, 131072],
      [131072, 65536, 65536],
      [131072, 1 << 20, 131072],
      [131072, 0, 0],
      [0, 65536, 0],
      [0xffffffff, undefined, 0xffffffff],
    ] as const
  ) {
    const wire = new Wire({}, { maxReadahead: wanted });
    assertStrictEquals(out("max_readahead", wire.init({ maxReadahead: offered })), agreed);
    assertStrictEquals(wire.negotiated!.maxReadahead, agreed);
  }
});

test("handshake: the request timeout is only given where it is agreed on", () => {
  for (const [requestTimeout, flags2, given] of [[60, 0xffffffff, 60], [65535, 0xffffffff, 65535], [60, 0, 0]]) {
    assertStrictEquals(out("request_timeout", new Wire({}, { requestTimeout }).init({ flags2 })), given);
  }
});

test("handshake: background requests, time granularity and stack depth", () => {
  for (const [maxBackground, threshold] of [[64, 48], [1, 1], [2, 1], [65535, 49151]]) {
    const answer = new Wire({}, { maxBackground }).init();
    assertEquals([out("max_background", answer), out("congestion_threshold", answer)], [maxBackground, threshold]);
  }
  for (const [minor, timeGran, agreed] of [[45, 1_000_000_000, 1_000_000_000], [23, 1000, 1000], [22, 1000, 1]]) {
    const wire = new Wire({}, { timeGran });
    const answer = wire.init({ minor });
    if (minor >= 23) assertStrictEquals(out("time_gran", answer), agreed);
    assertStrictEquals(wire.negotiated!.timeGran, agreed);
  }
  for (
    const [options, flags2, depth] of [
      [{}, 0xffffffff, 1],
      [{ maxStackDepth: 1 }, 0xffffffff, 1],
      [{ maxStackDepth: 2 }, 0xffffffff, 2],
      [{ maxStackDepth: 2 }, 0, 0],
      [{ maxStackDepth: 2, passthrough: false }, 0xffffffff, 0],
      // The kernel would turn passthrough off without a word.
      [{ writebackCache: true }, 0xffffffff, 0],
    ] as const
  ) {
    const wire = new Wire({}, options);
    assertStrictEquals(out("max_stack_depth", wire.init({ flags2 })), depth);
    assertStrictEquals(wire.negotiated!.maxStackDepth, depth);
  }
});

test("handshake: what is not used is 0", () => {
  const { body } = new Wire(FULL).init();
  const used = [
    "major",
    "minor",
    "max_readahead",
    "flags",
    "max_background",
    "congestion_threshold",
    "max_write",
    "time_gran",
    "max_pages",
    "flags2",
    "max_stack_depth",
  ];
  const values = Object.fromEntries(used.map((name) => [name, field("fuse_init_out", name, body)]));
  assertEquals(body, c("fuse_init_out", values));
});

test("handshake: the file system is told once, before any request", () => {
  const log: unknown[] = [];
  const wire = new Wire({
    init: ({ negotiated }) => void log.push(negotiated.minor),
    statfs: () => (log.push("statfs"), nothing()),
  });
  assertStrictEquals(wire.send("FUSE_STATFS").error, "EIO");
  wire.init({ minor: 31 });
  wire.send("FUSE_STATFS");
  assertEquals(log, [31, "statfs"]);
});

test("handshake: an init that throws refuses the connection, in one answer", () => {
  for (
    const [thrown, error, reported] of [
      [new FuseError("EACCES"), "EACCES", 0],
      [new Error("x"), "EIO", 1],
    ] as const
  ) {
    const wire = new Wire({
      init() {
        throw thrown;
      },
      statfs: nothing,
    });
    assertStrictEquals(wire.init().error, error);
    assertStrictEquals(wire.replies.length, 1);
    assertEquals(wire.reports.map((r) => [r.error, r.opcode]), reported ? [[thrown, "FUSE_INIT"]] : []);
    assertStrictEquals(wire.refused?.code, error);
    if (reported) assertStrictEquals(wire.refused?.cause, thrown);
    // Nothing is served on a connection that was refused.
    assertStrictEquals(wire.send("FUSE_STATFS").error, "EIO");
  }
});

test("handshake: a second INIT is EIO and changes nothing", () => {
  let told = 0;
  const wire = new Wire({ init: () => void told++ });
  wire.init({ minor: 40 });
  const agreed = wire.negotiated;
  for (const major of [7, 8, 6]) assertStrictEquals(wire.init({ major, minor: 45 }).error, "EIO");
  assertStrictEquals(wire.negotiated, agreed);
  assertStrictEquals(told, 1);
  assertEquals(wire.reports, []);
  assertStrictEquals(wire.send("FUSE_STATFS").error, "");
});
