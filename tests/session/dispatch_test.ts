/** What a dispatcher owes: one reply to each request, the buffer back once, and errors to their listener. */
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import type { RequestBuffer } from "../../src/abi/message.ts";
import type { OpcodeName } from "../../src/abi/opcode.ts";
import { FuseError } from "../../src/errno.ts";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import { deferred } from "../../src/deferred.ts";
import { type Body, c, connect, field, settled, utf8 } from "../support/wire.ts";
import { test } from "../support/harness.ts";
import { uncaught } from "../support/runtime.ts";

const FILE = { attr: { mode: 0o100644 } };

/** Requests whose data lies in their buffer. */
const BORROWING: readonly [opcode: OpcodeName, body: (data: Uint8Array) => Body][] = [
  ["FUSE_WRITE", (data) => ({ parts: [c("fuse_write_in", { size: data.length }), data] })],
  [
    "FUSE_SETXATTR",
    (data) => ({ parts: [c("fuse_setxattr_in", { size: data.length }).subarray(0, 8), "user.x", data] }),
  ],
  ["FUSE_IOCTL", (data) => ({ parts: [c("fuse_ioctl_in", { in_size: data.length }), data] })],
];

function writing(method: (data: Uint8Array) => unknown): Filesystem {
  return {
    write: ({ data }) => method(data) as number,
    setxattr: ({ value }) => method(value) as void,
    ioctl({ data }) {
      const result = method(data);
      return result instanceof Promise ? result.then(() => ({})) : { result: result as number };
    },
  };
}

for (const [opcode, body] of BORROWING) {
  test(`${opcode}: the buffer is kept until the answer that comes later, and comes back once`, async () => {
    const answer = deferred<number>();
    let data = new Uint8Array(0);
    const wire = connect(writing((bytes) => (data = bytes as Uint8Array<ArrayBuffer>, answer.promise)));
    const reply = wire.later(opcode, body(utf8("hello")));
    assertStrictEquals(wire.kept.length, 1);
    await settled();
    assertEquals(wire.freed, []);
    assertStrictEquals(wire.dispatcher.pending, 1);
    // Other requests come and go in between, in other buffers.
    assertStrictEquals(wire.send("FUSE_STATFS").errno, 0);
    assertEquals(data, utf8("hello"));
    assertStrictEquals(data.buffer, wire.kept[0].bytes.buffer, "the data is borrowed, not copied");
    answer.resolve(5);
    assertStrictEquals((await reply).errno, 0);
    assertEquals(wire.freed, wire.kept);
    assertStrictEquals(wire.dispatcher.pending, 0);
  });

  test(`${opcode}: the buffer comes back once, however the promise ends`, async () => {
    const ends: readonly [() => Promise<unknown>, string][] = [
      [() => Promise.resolve(3), ""],
      [() => Promise.reject(new FuseError("ENOSPC")), "ENOSPC"],
      [() => Promise.reject(new Error("x")), "EIO"],
      [() => settled().then(() => Promise.reject("x")), "EIO"],
    ];
    for (const [end, error] of ends) {
      for (const lost of [false, true]) {
        const wire = connect(writing(end));
        const send = lost ? wire.loseLater(opcode, body(utf8("abc"))) : wire.later(opcode, body(utf8("abc")));
        assertStrictEquals((await send).error, error);
        await settled();
        assertStrictEquals(wire.kept.length, 1);
        assertEquals(wire.freed, wire.kept);
        assertStrictEquals(wire.dispatcher.pending, 0);
      }
    }
  });

  test(`${opcode}: the buffer is not kept where the answer comes at once`, async () => {
    const ends: (() => unknown)[] = [
      () => 3,
      () => NaN,
      () => {
        throw new FuseError("ENOSPC");
      },
      () => {
        throw new Error("x");
      },
    ];
    for (const end of ends) {
      const wire = connect(writing(end));
      wire.send(opcode, body(utf8("abc")));
      await settled();
      assertEquals([wire.kept, wire.freed], [[], []]);
    }
    const absent = connect({});
    assertStrictEquals(absent.send(opcode, body(utf8("abc"))).error, "ENOSYS");
    assertEquals([absent.kept, absent.freed], [[], []]);
  });
}

test("requests without data give their buffer back at once, also where the answer comes later", async () => {
  const wire = connect({
    getattr: () => settled().then(() => FILE),
    read: () => settled().then(() => utf8("x")),
    getxattr: () => settled().then(() => utf8("x")),
    lookup: () => settled().then(() => null),
  });
  const all = [
    wire.later("FUSE_GETATTR", { parts: [c("fuse_getattr_in")] }),
    wire.later("FUSE_READ", { parts: [c("fuse_read_in", { size: 1 })] }),
    wire.later("FUSE_GETXATTR", { parts: [c("fuse_getxattr_in", { size: 1 }), "user.x"] }),
    wire.later("FUSE_LOOKUP", { parts: ["a"] }),
  ];
  assertStrictEquals(wire.dispatcher.pending, 4);
  await Promise.all(all);
  assertEquals([wire.kept, wire.freed], [[], []]);
  assertStrictEquals(wire.dispatcher.pending, 0);
});

test("answers find their requests in any order, and their buffers with them", async () => {
  const waiting: (() => void)[] = [];
  const wire = connect({
    write: ({ data }) => new Promise((resolve) => waiting.push(() => resolve(data.length))),
    getattr: ({ nodeid }) =>
      new Promise((resolve) => waiting.push(() => resolve({ attr: { ...FILE.attr, ino: nodeid + 100 } }))),
  });
  const writes = Array.from(
    { length: 20 },
    (_, i) => wire.later("FUSE_WRITE", { parts: [c("fuse_write_in", { size: i }), new Uint8Array(i)] }),
  );
  const attrs = Array.from(
    { length: 20 },
    (_, i) => wire.later("FUSE_GETATTR", { nodeid: i + 1, parts: [c("fuse_getattr_in")] }),
  );
  assertStrictEquals(wire.dispatcher.pending, 40);
  for (const answer of waiting.reverse()) answer();
  for (const [i, { body }] of (await Promise.all(writes)).entries()) {
    assertStrictEquals(field("fuse_write_out", "size", body), i);
  }
  for (const [i, { body }] of (await Promise.all(attrs)).entries()) {
    assertStrictEquals(field("fuse_attr_out", "attr.ino", body), i + 101);
  }
  assertEquals(new Set(wire.freed), new Set<RequestBuffer>(wire.kept));
  assertStrictEquals(wire.freed.length, 20);
});

test("data of any size arrives whole", async () => {
  for (const size of [0, 1, 4096, 16384, 16385, 32768 - 16, 32768, 1 << 20]) {
    const data = Uint8Array.from({ length: size }, (_, i) => i * 7 + (i >> 8));
    for (const later of [false, true]) {
      const wire = connect({
        read: () => later ? Promise.resolve(data) : data,
        readlink: () => "ä".repeat(2000),
      });
      const { body } = await wire.ask("FUSE_READ", { parts: [c("fuse_read_in", { size: 1 << 20 })] });
      assert(body.length === size && body.every((byte, i) => byte === data[i]), `${size} bytes`);
      // What was sent behind the last reply does not show in the next.
      assertEquals(wire.send("FUSE_READLINK").body, utf8("ä".repeat(2000)));
    }
  }
});

test("a long answer makes the reply grow, and the next one is whole", () => {
  const names = Array.from({ length: 5000 }, (_, i) => `user.attribute-${i}`);
  const wire = connect({ listxattr: () => names, readlink: () => "x".repeat(100_000), getattr: () => FILE });
  const list = wire.send("FUSE_LISTXATTR", { parts: [c("fuse_getxattr_in", { size: 1 << 20 })] });
  assertStrictEquals(new TextDecoder().decode(list.body), names.map((name) => `${name}\0`).join(""));
  assertStrictEquals(wire.send("FUSE_READLINK").body.length, 100_000);
  const attr = { ino: 1, mode: 0o100644, nlink: 1, blksize: 4096 };
  assertEquals(wire.send("FUSE_GETATTR", { parts: [c("fuse_getattr_in")] }).body, c("fuse_attr_out", { attr }));
});

test("a listener of errors that throws keeps no request from its reply, nor the next one from being served", async () => {
  const bug = new Error("the handler's"), thrown = new Error("the listener's");
  using seen = uncaught();
  const fails = (later: boolean) => () => {
    if (later) return Promise.reject(bug);
    throw bug;
  };
  const wire = connect({ getattr: fails(false), write: fails(true), forget: fails(false) as () => never }, {
    onError() {
      throw thrown;
    },
  });
  assertStrictEquals(wire.send("FUSE_GETATTR", { parts: [c("fuse_getattr_in")] }).error, "EIO");
  assertStrictEquals((await wire.later("FUSE_WRITE", { parts: [c("fuse_write_in")] })).error, "EIO");
  wire.post("FUSE_FORGET", { parts: [c("fuse_forget_in")] });
  await settled();
  assertEquals(seen.errors, [thrown, thrown, thrown]);
  assertEquals(wire.freed, wire.kept);
  assertStrictEquals(wire.dispatcher.pending, 0);
  assertStrictEquals(wire.send("FUSE_STATFS").errno, 0);
});

test("a report says what the caller was answered, if anybody was", async () => {
  const said: unknown[] = [];
  const fails = () => {
    throw new Error("a bug");
  };
  const wire = connect({
    open: () => ({}),
    opendir: () => ({}),
    release: fails,
    releasedir: fails,
    forget: fails,
    flush: fails,
  }, {
    onError: (_error, { opcode, answered }) => void said.push([opcode, answered]),
  });
  const part = (name: string) => ({ nodeid: 2, parts: [c(name)] });
  wire.send("FUSE_FLUSH", part("fuse_flush_in"));
  wire.send("FUSE_RELEASE", part("fuse_release_in"));
  const opened = wire.send("FUSE_OPENDIR", part("fuse_open_in")).body;
  const fh = Number(field("fuse_open_out", "fh", opened));
  wire.send("FUSE_RELEASEDIR", { nodeid: 2, parts: [c("fuse_release_in", { fh })] });
  wire.post("FUSE_FORGET", part("fuse_forget_in"));
  await settled();
  const unheard = ["FUSE_RELEASE", "FUSE_RELEASEDIR", "FUSE_FORGET"].map((opcode) => [opcode, undefined]);
  assertEquals(said, [["FUSE_FLUSH", "EIO"], ...unheard]);
});

test("a forget that takes its time is no answer that is waited for", async () => {
  const { promise, resolve } = deferred<void>();
  const wire = connect({ forget: () => promise as unknown as void });
  wire.post("FUSE_FORGET", { parts: [c("fuse_forget_in")] });
  assertStrictEquals(wire.dispatcher.pending, 0);
  resolve();
  await settled();
  assertEquals([wire.replies.length, wire.reports], [0, []]);
});

test("once it is closed, nothing is asked of the file system, not even to take an answer back", async () => {
  const open = deferred<{ fh: number }>(), looked = deferred<{ nodeid: number; attr: { mode: number } }>();
  const asked: string[] = [];
  const wire = connect({
    open: () => open.promise,
    lookup: () => looked.promise,
    release: () => void asked.push("release"),
    forget: () => void asked.push("forget"),
  });
  wire.post("FUSE_OPEN", { nodeid: 2, parts: [c("fuse_open_in")] });
  wire.post("FUSE_LOOKUP", { parts: ["a"] });
  wire.dispatcher.abandon();
  // Until then it is taken back.
  open.resolve({ fh: 1 });
  await settled();
  assertEquals(asked, ["release"]);
  wire.dispatcher.close();
  looked.resolve({ nodeid: 2, attr: FILE.attr });
  await settled();
  assertEquals([asked, wire.reports], [["release"], []]);
});

test("the reply comes before the report", () => {
  const wire = connect({
    getattr() {
      throw new Error("x");
    },
  }, {
    onError: () => assertStrictEquals(wire.replies.length, 1),
  });
  assertStrictEquals(wire.send("FUSE_GETATTR", { parts: [c("fuse_getattr_in")] }).error, "EIO");
});
