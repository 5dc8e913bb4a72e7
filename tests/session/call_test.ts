/** A request as its handler sees it: who asks, extension headers, and the signal that an interrupt aborts. */
import { assert, assertEquals, assertNotEquals, assertStrictEquals } from "@std/assert";
import type { OpcodeName } from "../../src/abi/opcode.ts";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import type { Entry, Request } from "../../src/fs/types.ts";
import { deferred } from "../../src/deferred.ts";
import { type Body, c, connect, join, request, settled, utf8, type Wire } from "../support/wire.ts";
import { test } from "../support/harness.ts";

const MADE: Entry = { nodeid: 2, attr: { mode: 0o100644 } };

/** What the kernel appends where something is made. */
const MAKING: readonly [opcode: OpcodeName, parts: (string | Uint8Array)[]][] = [
  ["FUSE_CREATE", [c("fuse_create_in"), "a"]],
  ["FUSE_TMPFILE", [c("fuse_create_in")]],
  ["FUSE_MKNOD", [c("fuse_mknod_in"), "a"]],
  ["FUSE_MKDIR", [c("fuse_mkdir_in"), "abc"]],
  ["FUSE_SYMLINK", ["abcd", "target"]],
];

/** A connection on which each request that makes something is kept. */
function keeping(): { wire: Wire; requests: Request[] } {
  const requests: Request[] = [];
  const made = (_: unknown, one: Request) => (requests.push(one), MADE);
  const opened = (_: unknown, one: Request) => (requests.push(one), { entry: MADE });
  return { wire: connect({ create: opened, tmpfile: opened, mknod: made, mkdir: made, symlink: made }), requests };
}

/** Bytes up to a multiple of 8. Source: `linux/fuse.h FUSE_REC_ALIGN`. */
function padded(...parts: (string | Uint8Array)[]): Uint8Array {
  const bytes = join(...parts);
  return join(bytes, new Uint8Array(-bytes.length & 7));
}

/** Groups as the kernel appends them. Source: `fs/fuse/dir.c get_create_supp_group`. */
function groups(...ids: number[]): Uint8Array {
  const list = new Uint8Array(Uint32Array.from(ids).buffer);
  const body = padded(c("fuse_supp_groups", { nr_groups: ids.length }), list);
  return join(c("fuse_ext_header", { size: 8 + body.length, type: 32 }), body);
}

/** Security contexts as the kernel appends them. Source: `fs/fuse/dir.c get_security_context`. */
function contexts(...all: readonly (readonly [name: string, value: Uint8Array])[]): Uint8Array {
  const body = join(...all.map(([name, value]) => padded(c("fuse_secctx", { size: value.length }), name, value)));
  return join(c("fuse_secctx_header", { size: 8 + body.length, nr_secctx: all.length }), body);
}

for (const [opcode, parts] of MAKING) {
  test(`${opcode}: the groups and security contexts behind the arguments`, () => {
    const { wire, requests } = keeping();
    const label = utf8("system_u:object_r:tmp_t\0");
    const extensions = join(contexts(["security.selinux", label]), groups(0, 4294967295));
    assertStrictEquals(wire.send(opcode, { uid: 1000, gid: 1001, pid: 7, parts, extensions }).errno, 0);
    assertStrictEquals(wire.send(opcode, { parts }).errno, 0);
    const [{ uid, gid, pid, groups: given, securityContexts }, bare] = requests;
    assertEquals([uid, gid, pid], [1000, 1001, 7]);
    assertEquals(given, [0, 4294967295]);
    assertEquals(securityContexts, [{ name: "security.selinux", value: label }]);
    assertEquals([bare.groups, bare.securityContexts], [undefined, undefined]);
  });
}

const MKDIR: readonly (string | Uint8Array)[] = [c("fuse_mkdir_in"), "abc"];

test("extensions: any number of each, in any order", () => {
  const selinux = ["security.selinux", utf8("a")] as const, smack = ["security.SMACK64", utf8("1234567")] as const;
  const empty = ["security.empty", new Uint8Array(0)] as const;
  const value = (...all: (readonly [string, Uint8Array])[]) => all.map(([name, value]) => ({ name, value }));
  const cases: readonly [extensions: Uint8Array, groups: unknown, contexts: unknown][] = [
    [groups(), [], undefined],
    [groups(5), [5], undefined],
    [groups(5, 6, 7), [5, 6, 7], undefined],
    [contexts(), undefined, []],
    [contexts(selinux, smack, empty), undefined, value(selinux, smack, empty)],
    [contexts(empty, smack, selinux), undefined, value(empty, smack, selinux)],
    [join(groups(9), contexts(smack)), [9], value(smack)],
    [join(contexts(), groups(9)), [9], []],
    [contexts(...Array.from({ length: 31 }, () => smack)), undefined, value(...Array(31).fill(smack))],
    // Of a type that nobody knows: passed over.
    [join(c("fuse_ext_header", { size: 16, type: 33 }), new Uint8Array(8).fill(255), groups(9)), [9], undefined],
    [join(c("fuse_ext_header", { size: 8, type: 0xffffffff }), groups(9)), [9], undefined],
  ];
  for (const [extensions, ids, labels] of cases) {
    const { wire, requests } = keeping();
    assertStrictEquals(wire.send("FUSE_MKDIR", { parts: MKDIR, extensions }).errno, 0);
    assertEquals([requests[0].groups, requests[0].securityContexts], [ids, labels]);
    assertEquals(wire.reports, []);
  }
});

test("extensions: the value of a security context survives the request's buffer", () => {
  const { wire, requests } = keeping();
  const bytes = request("FUSE_MKDIR", 2n, { parts: MKDIR, extensions: contexts(["security.x", utf8("label")]) });
  wire.raw(bytes);
  assertNotEquals(requests[0].securityContexts![0].value.buffer.byteLength, bytes.length + 64);
  assertEquals(requests[0].securityContexts![0].value, utf8("label"));
});

/** The bytes of extensions with one 32-bit word changed. */
function changed(extensions: Uint8Array, at: number, value: number): Uint8Array {
  const copy = extensions.slice();
  new DataView(copy.buffer).setUint32(at, value, true);
  return copy;
}

test("extensions: those that contradict themselves are refused, and no method is called", () => {
  const two = contexts(["security.a", utf8("12345")], ["security.b", utf8("12345")]);
  const one = contexts(["security.a", utf8("12345")]);
  const unterminated = join(
    c("fuse_secctx_header", { size: 32, nr_secctx: 1 }),
    c("fuse_secctx", { size: 0 }),
    utf8("security.without"),
  );
  const cases: readonly [string, Uint8Array][] = [
    ["a header that states less than itself", changed(groups(5), 0, 7)],
    ["a header that states nothing", changed(groups(5), 0, 0)],
    ["a header that states more than there is", changed(groups(5), 0, 17)],
    ["a header that states very much more", changed(groups(5), 0, 0xffffffff)],
    ["nothing but zeros", new Uint8Array(8)],
    ["a second header that is cut off", join(groups(5), changed(groups(5), 0, 24))],
    ["groups without their number", c("fuse_ext_header", { size: 8, type: 32 })],
    ["one group too many", changed(groups(5), 8, 2)],
    ["more groups than memory", changed(groups(5), 8, 0xffffffff)],
    ["groups whose bytes wrap around", changed(groups(5), 8, 0x40000000)],
    ["one context too many", changed(one, 4, 2)],
    ["thirty contexts too many", changed(one, 4, 31)],
    ["a context that is longer than its extension", changed(one, 8, 6 + 8)],
    ["a context that is longer than memory", changed(one, 8, 0xffffffff)],
    ["a first context that takes the second's place", changed(two, 8, 40)],
    ["a name without an end", unterminated],
    ["a context without its header", c("fuse_secctx_header", { size: 8, nr_secctx: 1 })],
  ];
  for (const [what, extensions] of cases) {
    assertStrictEquals(extensions.length % 8, 0, what);
    const { wire, requests } = keeping();
    assertStrictEquals(wire.send("FUSE_MKDIR", { parts: MKDIR, extensions }).error, "EIO", what);
    assertEquals(requests, [], what);
    assertEquals(wire.reports.map((r) => [(r.error as Error).name, r.opcode]), [["WireError", "FUSE_MKDIR"]], what);
    // The next request is served.
    assertStrictEquals(wire.send("FUSE_MKDIR", { parts: MKDIR, extensions: groups(1) }).errno, 0);
    assertEquals(requests[0].groups, [1]);
  }
});

test("extensions: cut off anywhere they are refused, or what is left of them is whole", () => {
  const whole = join(contexts(["security.a", utf8("12345")], ["security.b", utf8("")]), groups(5, 6, 7));
  for (let units = 0; units <= whole.length / 8; units++) {
    const { wire, requests } = keeping();
    const { errno } = wire.send("FUSE_MKDIR", { parts: MKDIR, extensions: whole.slice(0, units * 8) });
    assertStrictEquals(requests.length, errno === 0 ? 1 : 0);
    const ends = [0, contexts(["security.a", utf8("12345")], ["security.b", utf8("")]).length, whole.length];
    assertStrictEquals(errno === 0, ends.includes(units * 8), `${units * 8} of ${whole.length} bytes`);
  }
});

test("request: its number keeps what fits, and says whether it was sent again", () => {
  const seen: Request[] = [];
  const wire = connect({ statfs: (_, one) => (seen.push(one), null as never) });
  for (const unique of [2n, 2n ** 53n - 2n, 2n ** 63n + 6n, 2n ** 64n - 2n]) wire.raw(request("FUSE_STATFS", unique));
  assertEquals(seen.map(({ unique, resent }) => [unique, resent]), [
    [2, false],
    [2 ** 53 - 2, false],
    [6, true],
    [2 ** 53 - 2, true],
  ]);
  // Replies carry all 64 bits.
  assertEquals(wire.replies.map(({ unique }) => unique), [2n, 2n ** 53n - 2n, 2n ** 63n + 6n, 2n ** 64n - 2n]);
});

/** How many controllers were made in a call. */
async function controllers(call: () => void | Promise<void>): Promise<number> {
  const Original = globalThis.AbortController;
  let made = 0;
  globalThis.AbortController = class extends Original {
    constructor() {
      super();
      made++;
    }
  };
  try {
    await call();
  } finally {
    globalThis.AbortController = Original;
  }
  return made;
}

const GETATTR: Body = { nodeid: 5, parts: [c("fuse_getattr_in")] };
const FILE = { attr: { mode: 0o100644 } };

function interrupt(wire: Wire, unique: bigint): void {
  wire.post("FUSE_INTERRUPT", { nodeid: 0, parts: [c("fuse_interrupt_in", { unique })] });
}

test("signal: made only when it is read, and once", async () => {
  assertStrictEquals(
    await controllers(async () => {
      const wire = connect({ getattr: () => settled().then(() => FILE) });
      const reply = wire.later("FUSE_GETATTR", GETATTR);
      interrupt(wire, wire.nextUnique - 2n);
      assertStrictEquals((await reply).errno, 0);
    }),
    0,
  );
  assertStrictEquals(
    await controllers(() => {
      const wire = connect({ getattr: (_, { signal }) => (signal.throwIfAborted(), FILE) });
      assertStrictEquals(wire.send("FUSE_GETATTR", GETATTR).errno, 0);
    }),
    1,
  );
  assertStrictEquals(
    await controllers(() => {
      const wire = connect({
        getattr(_, one) {
          assertStrictEquals(one.signal, one.signal);
          return FILE;
        },
      });
      assertStrictEquals(wire.send("FUSE_GETATTR", GETATTR).errno, 0);
    }),
    1,
  );
});

/** A file system whose getattr ends with its signal, and nothing else. */
function patient(seen: Request[] = []): Filesystem {
  return {
    getattr(_, one) {
      seen.push(one);
      return new Promise((_, reject) => {
        one.signal.addEventListener("abort", () => reject(one.signal.reason));
        if (one.signal.aborted) reject(one.signal.reason);
      });
    },
  };
}

test("interrupt: aborts the signal of the request it names, which is answered EINTR", async () => {
  const seen: Request[] = [];
  const wire = connect(patient(seen));
  const uniques: bigint[] = [];
  const replies = [1, 2, 3].map(() => {
    uniques.push(wire.nextUnique);
    return wire.later("FUSE_GETATTR", GETATTR);
  });
  interrupt(wire, uniques[1]);
  assertEquals(seen.map(({ signal }) => signal.aborted), [false, true, false]);
  assertStrictEquals((await replies[1]).error, "EINTR");
  assertStrictEquals(wire.dispatcher.pending, 2);
  interrupt(wire, uniques[2]);
  interrupt(wire, uniques[0]);
  assertEquals((await Promise.all(replies)).map(({ error }) => error), ["EINTR", "EINTR", "EINTR"]);
  assertEquals(wire.reports, []);
  assertStrictEquals(wire.dispatcher.pending, 0);
});

test("interrupt: one that comes before its request aborts the signal when that is read", async () => {
  const wire = connect(patient());
  interrupt(wire, wire.nextUnique + 2n);
  assertStrictEquals((await wire.later("FUSE_GETATTR", GETATTR)).error, "EINTR");
  // It was for that request alone.
  const next = wire.later("FUSE_GETATTR", GETATTR);
  await settled();
  assertStrictEquals(wire.dispatcher.pending, 1);
  interrupt(wire, wire.nextUnique - 2n);
  interrupt(wire, wire.nextUnique - 4n);
  assertStrictEquals((await next).error, "EINTR");
});

test("interrupt: a handler that does not look is unaffected", async () => {
  const go = deferred<typeof FILE>();
  const wire = connect({ getattr: () => go.promise, statfs: () => null as never });
  const reply = wire.later("FUSE_GETATTR", GETATTR);
  interrupt(wire, wire.nextUnique - 2n);
  interrupt(wire, wire.nextUnique - 4n);
  go.resolve(FILE);
  assertStrictEquals((await reply).errno, 0);
  assertEquals(wire.reports, []);
});

test("interrupt: after the reply nothing happens, to that request or another", async () => {
  const seen: Request[] = [];
  let later = true;
  const wire = connect({
    getattr(_, one) {
      seen.push(one);
      return later ? settled().then(() => FILE) : FILE;
    },
  });
  assertStrictEquals((await wire.later("FUSE_GETATTR", GETATTR)).errno, 0);
  const { signal } = seen[0];
  interrupt(wire, wire.nextUnique - 2n);
  assertStrictEquals(signal.aborted, false);
  later = false;
  for (let i = 0; i < 3; i++) assertStrictEquals(wire.send("FUSE_GETATTR", GETATTR).errno, 0);
  assertEquals(seen.map((one) => one.signal.aborted), [false, false, false, false]);
  assertStrictEquals(wire.replies.length, 4);
});

test("interrupt: those that find nobody are forgotten, the oldest first", async () => {
  const wire = connect(patient());
  const soon = wire.nextUnique + 2n * 300n;
  // The last of them is for a request that is still to come.
  for (let i = 0n; i < 299n; i++) interrupt(wire, 2n + 2n * i);
  interrupt(wire, soon);
  assertStrictEquals(wire.nextUnique, soon);
  assertStrictEquals((await wire.later("FUSE_GETATTR", GETATTR)).error, "EINTR");
  // 256 are remembered.
  const asked = (unique: bigint) => wire.raw(request("FUSE_GETATTR", unique, GETATTR));
  asked(2n + 2n * 44n);
  asked(2n + 2n * 43n);
  asked(2n + 2n * 0n);
  await settled();
  assertEquals(wire.replies.map(({ unique, error }) => [unique, error]).slice(1), [[2n + 2n * 44n, "EINTR"]]);
  assertStrictEquals(wire.dispatcher.pending, 2);
  wire.dispatcher.abandon();
});

test("interrupt: the number is compared beyond 32 bits, and with the mark of one sent again", async () => {
  const seen: Request[] = [];
  const wire = connect(patient(seen));
  const uniques = [2n, 2n ** 32n + 2n, 2n ** 51n + 2n, 2n ** 63n + 2n];
  for (const unique of uniques) wire.raw(request("FUSE_GETATTR", unique, GETATTR));
  for (const [i, unique] of uniques.entries()) {
    interrupt(wire, unique);
    assertEquals(seen.map(({ signal }) => signal.aborted), uniques.map((_, j) => j <= i), `${unique}`);
    await settled();
  }
  assertEquals(wire.replies.map(({ unique }) => unique), uniques);
});

test("interrupt: a listener that answers at once is answered at once", async () => {
  const wire = connect({
    getattr: (_, { signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve(FILE))),
  });
  const reply = wire.later("FUSE_GETATTR", GETATTR);
  interrupt(wire, wire.nextUnique - 2n);
  assertStrictEquals((await reply).errno, 0);
});

test("abandon: everything under way is answered ENOTCONN once, and what comes then is not sent", async () => {
  const answers = [deferred<typeof FILE>(), deferred<typeof FILE>()];
  let next = 0;
  const wire = connect({ getattr: () => answers[next++].promise });
  const replies = [wire.later("FUSE_GETATTR", GETATTR), wire.later("FUSE_GETATTR", GETATTR)];
  wire.dispatcher.abandon();
  assertStrictEquals(wire.dispatcher.pending, 0);
  assertEquals((await Promise.all(replies)).map(({ error }) => error), ["ENOTCONN", "ENOTCONN"]);
  answers[0].resolve(FILE);
  answers[1].reject(new Error("too late to be told"));
  await settled();
  assertStrictEquals(wire.replies.length, 2);
  assertEquals(wire.reports, []);
  wire.dispatcher.abandon();
  assertStrictEquals(wire.replies.length, 2);
});

test("abandon: handlers that wait for nothing but their signal end", async () => {
  const seen: Request[] = [];
  const wire = connect(patient(seen));
  const reply = wire.later("FUSE_GETATTR", GETATTR);
  wire.dispatcher.abandon();
  assert(seen[0].signal.aborted);
  assertStrictEquals((await reply).error, "ENOTCONN");
  assertStrictEquals(wire.replies.length, 1);
});

test("abandon: data stays borrowed until its handler is done, then comes back", async () => {
  const answer = deferred<number>();
  const wire = connect({ write: () => answer.promise });
  const reply = wire.later("FUSE_WRITE", { parts: [c("fuse_write_in", { size: 3 }), utf8("abc")] });
  wire.dispatcher.abandon();
  assertStrictEquals((await reply).error, "ENOTCONN");
  assertEquals(wire.freed, []);
  answer.resolve(3);
  await settled();
  assertEquals(wire.freed, wire.kept);
  assertStrictEquals(wire.freed.length, 1);
});

test("abandon: what was made for nobody is taken back", async () => {
  const answer = deferred<Entry>();
  const forgotten: unknown[] = [];
  const wire = connect({ mkdir: () => answer.promise, forget: (args) => void forgotten.push(args) });
  const reply = wire.later("FUSE_MKDIR", { parts: MKDIR });
  wire.dispatcher.abandon();
  await reply;
  answer.resolve(MADE);
  await settled();
  assertEquals(forgotten, [{ nodeid: 2, nlookup: 1 }]);
});
