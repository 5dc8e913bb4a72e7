/** Notifications: the bytes of each, how the kernel's refusals are told, and how a retrieve gets its data. */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { ERRNO, errnoName, FuseError } from "../../src/errno.ts";
import type { Notifications } from "../../src/fs/notifications.ts";
import { Notifier } from "../../src/session/notifier.ts";
import { deferred } from "../../src/deferred.ts";
import { c, connect, join, settled, utf8 } from "../support/wire.ts";
import { test } from "../support/harness.ts";

/** A notifier, and what reaches the kernel: on the session's own thread or on another. */
function notifier(minor = 45, answer: number | (() => Promise<number>) = 0) {
  const here: Uint8Array[] = [], elsewhere: Uint8Array[] = [];
  const one = new Notifier({
    send(message) {
      here.push(message.slice());
      return typeof answer === "number" ? answer : 0;
    },
    sendElsewhere(message) {
      // Another thread reads it: what is smaller could move.
      assert(message.buffer.byteLength > 64);
      elsewhere.push(message.slice());
      return typeof answer === "number" ? Promise.resolve(answer) : answer();
    },
  });
  one.begin(minor);
  return { one, here, elsewhere };
}

/** 32-bit words, little-endian. */
function words(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

/** Each notification: how it is called, its code, and what follows the header. */
const MESSAGES: readonly {
  readonly name: string;
  readonly call: (n: Notifications) => unknown;
  readonly bytes: Uint8Array;
  readonly since: number;
  /** Waits for nobody, so it is sent on the session's own thread. */
  readonly here?: true;
}[] = [
  {
    name: "pollWakeup",
    call: (n) => n.pollWakeup(0xfedc_ba98_7654_3210n),
    bytes: words(24, 1, 0, 0, 0x76543210, 0xfedcba98),
    since: 11,
    here: true,
  },
  {
    name: "invalInode",
    call: (n) => n.invalInode(2 ** 40 + 3),
    bytes: words(40, 2, 0, 0, 3, 256, 0, 0, 0, 0),
    since: 12,
  },
  {
    name: "invalInode of a range",
    call: (n) => n.invalInode(5, 2 ** 33 + 1, 4096),
    bytes: words(40, 2, 0, 0, 5, 0, 1, 2, 4096, 0),
    since: 12,
  },
  {
    name: "invalInode of the attributes alone",
    call: (n) => n.invalInode(5, -1),
    bytes: words(40, 2, 0, 0, 5, 0, 0xffffffff, 0xffffffff, 0, 0),
    since: 12,
  },
  {
    name: "invalEntry",
    call: (n) => n.invalEntry(7, "ä"),
    // The length is that of the bytes, without the NUL that follows.
    bytes: join(words(35, 3, 0, 0, 7, 0, 2, 0), "ä"),
    since: 12,
  },
  {
    name: "expireEntry",
    call: (n) => n.expireEntry(2 ** 32, "a\udcff"),
    bytes: join(words(35, 3, 0, 0, 0, 1, 2, 1), Uint8Array.of(0x61, 0xff, 0)),
    since: 38,
  },
  {
    name: "delete",
    call: (n) => n.delete(1, 9, "gone"),
    bytes: join(words(45, 6, 0, 0, 1, 0, 9, 0, 4, 0), "gone"),
    since: 18,
  },
  {
    name: "store",
    call: (n) => n.store(3, 2 ** 32, utf8("data")),
    bytes: join(words(44, 4, 0, 0, 3, 0, 0, 1, 4, 0), utf8("data")),
    since: 15,
  },
  {
    name: "retrieve",
    call: (n) => n.retrieve(3, 4096, 100),
    // notify_unique is 1: the first of this session.
    bytes: words(48, 5, 0, 0, 1, 0, 3, 0, 4096, 0, 100, 0),
    since: 15,
  },
  { name: "resend", call: (n) => n.resend(), bytes: words(16, 7, 0, 0), since: 40, here: true },
  { name: "incEpoch", call: (n) => n.incEpoch(), bytes: words(16, 8, 0, 0), since: 44, here: true },
  {
    name: "prune",
    call: (n) => n.prune([2, 2 ** 52]),
    bytes: words(48, 9, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0x100000),
    since: 45,
  },
  { name: "prune of nothing", call: (n) => n.prune([]), bytes: words(32, 9, 0, 0, 0, 0, 0, 0), since: 45 },
];

/** What a call ends with, be it thrown or rejected; undefined where it did not fail. */
async function failure(call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
}

for (const { name, call, bytes, since, here } of MESSAGES) {
  test(`${name}: its bytes, on ${here ? "the session's own" : "another"} thread`, async () => {
    const sent = notifier();
    const done = call(sent.one);
    assertEquals(here ? sent.here : sent.elsewhere, [bytes]);
    assertEquals(here ? sent.elsewhere : sent.here, []);
    if (name === "retrieve") sent.one.retrieved(1, new Uint8Array(0));
    assertEquals(await done, name === "retrieve" ? new Uint8Array(0) : undefined);
  });

  test(`${name}: refused with ENOSYS before 7.${since}, and not sent`, async () => {
    for (const minor of [0, 9, since - 1]) {
      const { one, here: now, elsewhere } = notifier(minor);
      const error = await failure(() => call(one));
      assert(error instanceof FuseError);
      assertStrictEquals(error.code, "ENOSYS");
      assertStringIncludes(error.message, `came with FUSE 7.${since}; 7.${minor} was agreed on`);
      assertEquals([now, elsewhere], [[], []]);
    }
    const { one, here: now, elsewhere } = notifier(since);
    const done = call(one);
    one.retrieved(1, new Uint8Array(0));
    await done;
    assertStrictEquals(now.length + elsewhere.length, 1);
  });

  test(`${name}: what the kernel refuses is told with its errno and its meaning`, async () => {
    const meanings: readonly [number, string][] = [
      [ERRNO.ENOENT, "does not know this inode or name"],
      [ERRNO.ENOTDIR, "the parent is no directory"],
      [ERRNO.ENOTEMPTY, "not empty in the kernel's eyes"],
      [ERRNO.EBUSY, "something is mounted on it"],
      [ERRNO.EINVAL, "does not take this message"],
      [ERRNO.ENODEV, "the connection has ended"],
      [ERRNO.EBADF, "the session has ended"],
    ];
    for (const [errno, meaning] of meanings) {
      const error = await failure(() => call(notifier(45, -errno).one));
      assert(error instanceof FuseError);
      assertEquals([error.errno, error.syscall], [errno, "write"]);
      assertStringIncludes(error.message, `: write(2) says ${errnoName(errno)} (`);
      assertStringIncludes(error.message, meaning);
    }
    const error = await failure(() => call(notifier(45, -ERRNO.ENOMEM).one));
    assert(error instanceof FuseError);
    assert(error.message.endsWith("write(2) says ENOMEM"), error.message);
  });
}

test("notifications: what answers a promise rejects, and never throws", async () => {
  const { one, elsewhere } = notifier();
  const calls: readonly [() => Promise<unknown>, string][] = [
    [() => one.invalEntry(1, "a\0b"), "EINVAL"],
    [() => one.expireEntry(1, "a\ud800"), "EILSEQ"],
    [() => one.delete(1, 2, "\0"), "EINVAL"],
    [() => one.invalInode(-1), "EOVERFLOW"],
    [() => one.invalInode(NaN), "EOVERFLOW"],
    [() => one.store(2 ** 53, 0, new Uint8Array(1)), "EOVERFLOW"],
    [() => one.retrieve(1, -1, 1), "EOVERFLOW"],
    [() => notifier(9).one.expireEntry(1, "a"), "ENOSYS"],
    [() => notifier(9).one.prune([1]), "ENOSYS"],
  ];
  for (const [call, code] of calls) {
    const promise = call();
    assert(promise instanceof Promise);
    assertStrictEquals((await assertRejects(() => promise) as { code?: string }).code, code);
  }
  await assertRejects(() => one.prune([1.5]));
  assertEquals(elsewhere, []);
});

test("notifications: those that wait for nobody throw in the same turn", () => {
  const { one } = notifier(45, -ERRNO.ENODEV);
  for (const call of [() => one.pollWakeup(1n), () => one.resend(), () => one.incEpoch()]) {
    assertStrictEquals(assertThrows(call, FuseError).code, "ENODEV");
  }
});

test("notifications: those that wait go one after another, whether they fail or not, until the end", async () => {
  const answers = Array.from({ length: 4 }, () => deferred<number>());
  let next = 0;
  const { one, elsewhere } = notifier(45, () => answers[next++].promise);
  const done = [2, 3, 4, 5].map((nodeid) => one.invalInode(nodeid).then(() => "ok", (error) => error.code));
  const sent = async () => {
    await settled();
    return elsewhere.map((message) => message[16]);
  };
  assertEquals(await sent(), [2]);
  answers[0].resolve(0);
  assertEquals(await sent(), [2, 3]);
  answers[1].resolve(-ERRNO.ENOENT);
  assertEquals(await sent(), [2, 3, 4]);
  one.end();
  answers[2].resolve(0);
  assertEquals(await sent(), [2, 3, 4]);
  assertEquals(await Promise.all(done), ["ok", "ENOENT", "ok", "ENODEV"]);
});

test("store: the data may be changed once the call was made", async () => {
  const sent = deferred<number>();
  const { one, elsewhere } = notifier(45, () => sent.promise);
  const data = utf8("data");
  const done = one.store(3, 0, data);
  data.fill(0);
  assertEquals(elsewhere[0].subarray(40), utf8("data"));
  sent.resolve(0);
  await done;
});

test("retrieve: each answer finds its question, in any order, and is a copy", async () => {
  const { one, elsewhere } = notifier();
  const asked = [one.retrieve(3, 0, 8), one.retrieve(3, 8, 8), one.retrieve(4, 0, 8)];
  await settled();
  assertEquals(elsewhere.map((message) => message[16]), [1, 2, 3]);
  const borrowed = utf8("borrowed");
  one.retrieved(2, borrowed);
  borrowed.fill(0);
  one.retrieved(3, utf8(""));
  one.retrieved(1, utf8("first"));
  assertEquals(await Promise.all(asked), [utf8("first"), utf8("borrowed"), utf8("")]);
});

test("retrieve: the answer may come before the write has returned", async () => {
  const written = deferred<number>();
  const { one } = notifier(45, () => written.promise);
  const asked = one.retrieve(3, 0, 8);
  one.retrieved(1, utf8("early"));
  assertEquals(await asked, utf8("early"));
  written.resolve(0);
  await settled();
});

test("retrieve: an answer that nobody asked for, or asked for twice, changes nothing", async () => {
  const { one } = notifier();
  one.retrieved(1, utf8("x"));
  const asked = one.retrieve(3, 0, 8);
  one.retrieved(7, utf8("x"));
  one.retrieved(1, utf8("right"));
  one.retrieved(1, utf8("again"));
  assertEquals(await asked, utf8("right"));
});

test("retrieve: a refused question is forgotten, and its number with it", async () => {
  let errno = -ERRNO.ENOENT;
  const { one, elsewhere } = notifier(45, () => Promise.resolve(errno));
  assertStrictEquals((await assertRejects(() => one.retrieve(3, 0, 8), FuseError)).code, "ENOENT");
  errno = 0;
  const asked = one.retrieve(3, 0, 8);
  assertEquals(elsewhere.map((message) => message[16]), [1, 2]);
  one.retrieved(1, utf8("wrong"));
  one.retrieved(2, utf8("right"));
  assertEquals(await asked, utf8("right"));
});

test("retrieve: the end of the session rejects what is not answered, with ENODEV", async () => {
  const written = deferred<number>();
  const { one } = notifier(45, () => written.promise);
  const asked = [one.retrieve(3, 0, 8), one.retrieve(3, 8, 8)];
  one.end();
  for (const promise of asked) {
    const error = await assertRejects(() => promise, FuseError, "the session has ended before the answer");
    assertStrictEquals(error.code, "ENODEV");
  }
  // The writes of these fail as well: nobody is told twice.
  written.resolve(-ERRNO.ENODEV);
  await settled();
  one.retrieved(1, utf8("late"));
  one.end();
});

test("retrieve: the data comes by NOTIFY_REPLY, under the number that was given", async () => {
  const wire = connect({});
  const asked = wire.notifier.retrieve(3, 4096, 5);
  assertEquals(wire.messages, [words(48, 5, 0, 0, 1, 0, 3, 0, 4096, 0, 5, 0)]);
  const reply = join(
    c("fuse_in_header", { len: 40 + 40 + 5, opcode: 41, unique: 1n, nodeid: 3 }),
    c("fuse_notify_retrieve_in", { offset: 4096, size: 5 }),
    utf8("hello"),
  );
  assertEquals(wire.raw(reply), []);
  assertEquals(await asked, utf8("hello"));
  assertEquals(wire.reports, []);
});

test("notifications: the file system is given them at the handshake, with the minor version in force", async () => {
  let notify: Notifications | undefined;
  connect({ init: (connection) => void (notify = connection.notify) }, {}, { minor: 44 });
  notify!.incEpoch();
  assertStrictEquals((await assertRejects(() => notify!.prune([1]), FuseError)).code, "ENOSYS");
});
