/** Each notification on the real kernel: what a client sees of it, the kernel's errors, and that none deadlocks. */
import { assert, assertEquals, assertGreater } from "@std/assert";
import type { Connection, Filesystem } from "../../mod.ts";
import { type Attr, ROOT_ID } from "../../mod.ts";
import { deferred } from "../../src/deferred.ts";
import { mountsUnder, run, test, until } from "../support/harness.ts";
import {
  ATTRS,
  bytes,
  codeOf,
  entry,
  kernel,
  KERNEL_MINOR,
  NAMES,
  serve,
  type Served,
  since,
  testWith,
  text,
  tree,
} from "../support/kernel.ts";

/** An inode that is not known to the kernel. */
const UNKNOWN = 4711;

/** A tree whose names, attributes and data the kernel may keep for ever, and that changes behind its back. */
function kept(changes: Filesystem = {}) {
  const state = {
    content: bytes("one\n"),
    mode: 0o100644,
    /** What its names lead to. */
    names: { ...NAMES } as Record<string, number>,
  };
  const attr = (nodeid: number): Attr =>
    nodeid === 2 ? { mode: state.mode, size: state.content.length } : ATTRS[nodeid] ?? ATTRS[4];
  const timeouts = { entryTimeout: 1e6, attrTimeout: 1e6 };
  const fs = tree({
    lookup: ({ parent, name }) => {
      if (parent !== ROOT_ID) return { ...entry(100), attr: ATTRS[4], ...timeouts };
      const nodeid = state.names[name];
      return nodeid === undefined ? null : { nodeid, attr: attr(nodeid), ...timeouts };
    },
    getattr: ({ nodeid }) => ({ attr: attr(nodeid), attrTimeout: 1e6 }),
    open: () => ({ keepCache: true }),
    read: ({ offset, size }) => state.content.subarray(offset, offset + size),
    ...changes,
  });
  return { state, fs };
}

const counted = (fs: Served, method: keyof Filesystem) => fs.args(method).length;

// invalInode

test("invalInode: cached attributes are asked for again", kernel, async () => {
  const { state, fs } = kept();
  await using served = await serve(fs);
  const mode = async () => (await served.client(`say(os.stat(p("file")).st_mode)`))[0];
  assertEquals(await mode(), 0o100644);
  state.mode = 0o100600;
  assertEquals(await mode(), 0o100644);
  await served.session.notify.invalInode(2, -1);
  assertEquals(await mode(), 0o100600);
});

test(
  "invalInode: cached data is read again, by range or to the end, and not with a negative offset",
  kernel,
  async () => {
    const { state, fs } = kept();
    const page = 4096;
    state.content = bytes("a".repeat(page) + "b".repeat(page) + "c".repeat(page));
    await using served = await serve(fs);
    const pages = async () =>
      (await served.client(`
      fd = opened("file")
      say("".join(os.pread(fd, 1, k * 4096).decode() for k in range(3)))
    `))[0];
    const { notify } = served.session;
    assertEquals(await pages(), "abc");
    state.content = bytes("x".repeat(page) + "y".repeat(page) + "z".repeat(page));
    assertEquals(await pages(), "abc");
    await notify.invalInode(2, -1);
    assertEquals(await pages(), "abc");
    await notify.invalInode(2, page, page);
    assertEquals(await pages(), "ayc");
    await notify.invalInode(2, page);
    assertEquals(await pages(), "ayz");
    await notify.invalInode(2);
    assertEquals(await pages(), "xyz");
  },
);

// invalEntry and expireEntry

test("invalEntry: a name is looked up again", kernel, async () => {
  const { state, fs } = kept();
  await using served = await serve(fs);
  const ino = async () => (await served.client(`say(os.stat(p("file")).st_ino)`))[0];
  assertEquals([await ino(), await ino()], [2, 2]);
  state.names.file = 4;
  assertEquals(await ino(), 2);
  assertEquals(counted(served, "lookup"), 1);
  await served.session.notify.invalEntry(ROOT_ID, "file");
  assertEquals(await ino(), 4);
  assertEquals(served.args("lookup"), [{ parent: 1, name: "file" }, { parent: 1, name: "file" }]);
});

test("invalEntry: names of bytes, and the absence of a name", kernel, async () => {
  const { state, fs } = kept();
  fs.lookup = ({ name }) => ({ nodeid: state.names[name] ?? 0, attr: ATTRS[4], entryTimeout: 1e6 });
  await using served = await serve(fs);
  const there = async () => (await served.client(`say(os.path.lexists(p() + b"/\\xff\\xfe"))`))[0];
  const name = "\udcff\udcfe";
  assertEquals(await there(), false);
  state.names[name] = 4;
  assertEquals(await there(), false);
  await served.session.notify.invalEntry(ROOT_ID, name);
  assertEquals(await there(), true);
});

testWith(
  since(38),
  "expireEntry: a name is looked up again, but who uses it keeps it, unlike with invalEntry",
  async () => {
    for (const [how, cwd] of [["expireEntry", "ok"], ["invalEntry", "ENOENT"]] as const) {
      const { fs } = kept();
      await using served = await serve(fs);
      await using client = await served.start(`
      os.chdir(p("dir"))
      say(err(os.getcwd))
      wait()
      say(err(os.getcwd))
      os.stat(p("dir"))
    `);
      assertEquals(await client.next(), "ok");
      const before = counted(served, "lookup");
      await served.session.notify[how](ROOT_ID, "dir");
      await client.go();
      assertEquals(await client.rest(), [cwd], how);
      assertEquals(served.args("lookup").slice(before), [{ parent: 1, name: "dir" }], how);
    }
  },
);

// delete

/** Watches the root and `file` with inotify(7), and says which of them had an event. */
const WATCHER = `
  fd = call("inotify_init1", os.O_CLOEXEC)
  watched = {call("inotify_add_watch", fd, p(*name), 0xfff): "/".join(name) for name in ([], ["file"])}
  say("watching")
  while select.select([fd], [], [], 60)[0]:
      data = os.read(fd, 4096)
      while data:
          wd, mask, _, length = struct.unpack_from("iIII", data)
          say(watched[wd], mask)
          data = data[16 + length:]
`;

test("delete: the name is gone, and who watches the inode is told", kernel, async () => {
  const { state, fs } = kept();
  await using served = await serve(fs);
  await using watcher = await served.start(WATCHER, { code: null });
  assertEquals(await watcher.next(), "watching");
  const { notify } = served.session;
  // Another inode has the name: nobody is told, though it is looked up again.
  assertEquals(await codeOf(notify.delete(ROOT_ID, 4, "file")), "ENOENT");
  await served.client(`os.stat(p("file"))`);
  assertEquals(counted(served, "lookup"), 2);
  delete state.names.file;
  await notify.delete(ROOT_ID, 2, "file");
  // IN_DELETE_SELF and IN_IGNORED. That the directory lost a name the kernel tells nobody.
  assertEquals([await watcher.next(), await watcher.next()], [["file", 0x400], ["file", 0x8000]]);
  assertEquals(await served.client(`say(err(os.stat, p("file")))`), ["ENOENT"]);
});

test("delete: a directory with an entry in use is ENOTEMPTY", kernel, async () => {
  const { fs } = kept();
  await using served = await serve(fs);
  const { notify } = served.session;
  await using client = await served.start(`
    fd = opened("dir/inside")
    say("open")
    wait()
    os.close(fd)
    os.stat(p("dir"))
    say("closed")
    wait()
  `);
  assertEquals(await client.next(), "open");
  assertEquals(await codeOf(notify.delete(ROOT_ID, 3, "dir")), "ENOTEMPTY");
  await client.go();
  assertEquals(await client.next(), "closed");
  await notify.delete(ROOT_ID, 3, "dir");
  await client.go();
});

test("delete: what is mounted on the directory is detached", kernel, async () => {
  const { fs } = kept();
  await using served = await serve(fs);
  const at = served.dir.join("dir");
  assertEquals((await run(["mount", "-t", "tmpfs", "none", at])).code, 0);
  assertEquals((await mountsUnder(at)).length, 1);
  await served.session.notify.delete(ROOT_ID, 3, "dir");
  assertEquals(await mountsUnder(at), []);
});

// store and retrieve

test("store: data is in the page cache, and read without a READ", kernel, async () => {
  const { fs } = kept();
  await using served = await serve(fs);
  await served.client(`os.stat(p("file"))`);
  const { notify } = served.session;
  await notify.store(2, 0, bytes("put\n"));
  assertEquals(await served.client(`say(read("file"))`), ["put\n"]);
  assertEquals(counted(served, "read"), 0);
});

test("store: grows the file, and part of a page leaves the rest of it to be read", kernel, async () => {
  const { state, fs } = kept();
  await using served = await serve(fs);
  assertEquals(await served.client(`say(os.stat(p("file")).st_size)`), [4]);
  // The size is asked for, too.
  const big = state.content = new Uint8Array(3 * 4096 + 10).fill(0x78);
  await served.session.notify.store(2, 0, big);
  assertEquals(await served.client(`say(os.stat(p("file")).st_size, read("file") == "x" * 12298)`), [[12298, true]]);
  assertEquals(counted(served, "read"), 0);
  await served.session.notify.invalInode(2);
  await served.session.notify.store(2, 4097, bytes("y"));
  // The page that was stored in part is not taken for whole.
  assertEquals(await served.client(`data = read("file"); say(len(data), data.count("x"))`), [[12298, 12298]]);
});

test("store: in the last page of a file, the rest of which is then zeros up to the end", kernel, async () => {
  const { state, fs } = kept();
  await using served = await serve(fs);
  await served.client(`os.stat(p("file"))`);
  state.content = new Uint8Array(4100);
  await served.session.notify.store(2, 4096, bytes("tail"));
  assertEquals(await served.client(`say(os.stat(p("file")).st_size, os.pread(opened("file"), 10, 4096).decode())`), [
    [4100, "tail"],
  ]);
});

test("retrieve: what is cached, as far as it is", kernel, async () => {
  const { state, fs } = kept();
  state.content = new Uint8Array(10_000).map((_, i) => i % 251);
  await using served = await serve(fs);
  const { notify } = served.session;
  await served.client(`os.stat(p("file"))`);
  assertEquals(await notify.retrieve(2, 0, 4096), new Uint8Array(0));
  await served.client(`read("file")`);
  assertEquals(await notify.retrieve(2, 0, 4096), state.content.slice(0, 4096));
  assertEquals(await notify.retrieve(2, 5000, 10), state.content.slice(5000, 5010));
  assertEquals(await notify.retrieve(2, 9000, 1 << 20), state.content.slice(9000));
  assertEquals(await notify.retrieve(2, 1 << 20, 100), new Uint8Array(0));
  await notify.invalInode(2, 4096, 4096);
  assertEquals(await notify.retrieve(2, 1000, 9000), state.content.slice(1000, 4096));
  const many = await Promise.all(Array.from({ length: 50 }, (_, k) => notify.retrieve(2, k, 1)));
  assertEquals(many.map((data) => data[0]), Array.from({ length: 50 }, (_, k) => k));
});

test("retrieve: at most maxWrite bytes", kernel, async () => {
  const { state, fs } = kept();
  state.content = new Uint8Array(20_000).fill(1);
  await using served = await serve(fs, { maxWrite: 8192 });
  await served.client(`read("file")`);
  assertEquals((await served.session.notify.retrieve(2, 0, 20_000)).length, 8192);
});

test("retrieve: also what is not written yet, with the writeback cache", kernel, async () => {
  const { fs } = kept({ write: ({ data }) => data.length });
  await using served = await serve(fs, { writebackCache: true });
  await using client = await served.start(`
    fd = opened("file", os.O_RDWR)
    os.pwrite(fd, b"dirty", 1)
    say("written")
    wait()
  `);
  assertEquals(await client.next(), "written");
  assertEquals(text(await served.session.notify.retrieve(2, 0, 100)), "odirty");
  assertEquals(counted(served, "write"), 0);
  await client.go();
  await client.rest();
});

// resend, incEpoch and prune

testWith(since(40), "resend: a request that was not answered comes again, and says so", async () => {
  const seen: [unique: number, resent: boolean][] = [];
  const first = deferred<void>();
  const { fs } = kept({
    async readlink(_, { unique, resent }) {
      seen.push([unique, resent]);
      if (!resent) await first.promise;
      return resent ? "again" : "late";
    },
  });
  await using served = await serve(fs);
  await using client = await served.start(`
    say(os.readlink(p("link")).decode())
    wait()
    say(os.readlink(p("link")).decode())
  `);
  await until(() => seen.length === 1, "the request is here");
  served.session.notify.resend();
  assertEquals(await client.next(), "again");
  assertEquals(seen, [[seen[0][0], false], [seen[0][0], true]]);
  // Nobody waits for this answer any more.
  first.resolve();
  await client.go();
  assertEquals(await client.rest(), ["late"]);
});

testWith(since(40), "resend: many requests, each comes again once", async () => {
  const waiting = new Map<number, number>();
  const { fs } = kept({
    open: () => ({ directIo: true }),
    async read({ offset }, { resent }) {
      waiting.set(offset, (waiting.get(offset) ?? 0) + 1);
      if (!resent) await new Promise(() => {});
      return bytes(String(offset % 10));
    },
  });
  await using served = await serve(fs);
  await using client = await served.start(`
    import threading
    fd = opened("file")
    got = [None] * 20
    def one(k):
        got[k] = os.pread(fd, 1, k).decode()
    threads = [threading.Thread(target=one, args=(k,)) for k in range(20)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    say("".join(got))
  `);
  await until(() => waiting.size === 20, "all are here");
  served.session.notify.resend();
  assertEquals(await client.rest(), ["01234567890123456789"]);
  assertEquals([...waiting.values()], Array.from({ length: 20 }, () => 2));
});

testWith(since(44), "incEpoch: every name is looked up again", async () => {
  const { state, fs } = kept();
  await using served = await serve(fs);
  const look = `say([os.stat(p(name), follow_symlinks=False).st_ino for name in ("file", "other", "dir")])`;
  assertEquals(await served.client(look), [[2, 4, 3]]);
  state.names = { file: 4, other: 2, dir: 3 };
  assertEquals(await served.client(look), [[2, 4, 3]]);
  assertEquals(counted(served, "lookup"), 3);
  served.session.notify.incEpoch();
  assertEquals(await served.client(look), [[4, 2, 3]]);
  assertEquals(counted(served, "lookup"), 6);
  assertEquals(await served.client(look), [[4, 2, 3]]);
  assertEquals(counted(served, "lookup"), 6);
});

testWith(since(45), "prune: inodes that nobody uses are forgotten, others are not", async () => {
  const { fs } = kept({ forget: () => {} });
  await using served = await serve(fs);
  await using client = await served.start(`
    [os.stat(p(name)) for name in ("file", "dir")]
    fd = opened("other")
    say("known")
    wait()
    os.close(fd)
    say("unused")
    wait()
  `);
  assertEquals(await client.next(), "known");
  const { notify } = served.session;
  await notify.prune([2, 4, UNKNOWN]);
  await until(() => counted(served, "forget") === 1, "one is forgotten");
  assertEquals(served.args("forget"), [{ nodeid: 2, nlookup: 1 }]);
  await client.go();
  assertEquals(await client.next(), "unused");
  await until(async () => {
    await notify.prune([4]);
    return counted(served, "forget") === 2;
  }, "the other is forgotten");
  assertEquals(served.args("forget")[1], { nodeid: 4, nlookup: 1 });
  await client.go();
});

testWith(since(45), "prune: many at once", async () => {
  const { state, fs } = kept({ forget: () => {} });
  const count = 2000;
  for (let k = 0; k < count; k++) state.names[`n${k}`] = 1000 + k;
  await using served = await serve(fs);
  await served.client(`[os.stat(p("n%d" % k)) for k in range(${count})]`);
  await served.session.notify.prune(Array.from({ length: count }, (_, k) => 1000 + k));
  await until(() => counted(served, "forget") === count, "all are forgotten");
  assertEquals(new Set(served.args("forget").map(({ nodeid }) => nodeid)).size, count);
});

// errors

test("errors: what the kernel says of inodes and names that it does not know", kernel, async () => {
  const { fs } = kept();
  await using served = await serve(fs);
  await served.client(`os.stat(p("file"))`);
  const { notify } = served.session;
  const answers: [promise: Promise<unknown>, code: string][] = [
    [notify.invalInode(UNKNOWN), "ENOENT"],
    [notify.invalEntry(ROOT_ID, "never asked for"), "ENOENT"],
    [notify.invalEntry(UNKNOWN, "file"), "ENOENT"],
    [notify.invalEntry(2, "file"), "ENOTDIR"],
    [notify.invalEntry(ROOT_ID, ""), "ENOENT"],
    [notify.invalEntry(ROOT_ID, "x".repeat(5000)), "ENAMETOOLONG"],
    [notify.expireEntry(ROOT_ID, "never asked for"), "ENOENT"],
    [notify.delete(ROOT_ID, 2, "never asked for"), "ENOENT"],
    [notify.store(UNKNOWN, 0, bytes("x")), "ENOENT"],
    [notify.store(ROOT_ID, 0, bytes("x")), "EINVAL"],
    [notify.store(2, 0, new Uint8Array(0)), "ok"],
    [notify.retrieve(UNKNOWN, 0, 1), "ENOENT"],
    [notify.retrieve(ROOT_ID, 0, 1), "EINVAL"],
    [notify.prune([UNKNOWN]), KERNEL_MINOR < 45 ? "ENOSYS" : "ok"],
    [notify.prune([]), KERNEL_MINOR < 45 ? "ENOSYS" : "ok"],
  ];
  assertEquals(await Promise.all(answers.map(([promise]) => codeOf(promise))), answers.map(([, code]) => code));
  // Nobody polls: no error.
  notify.pollWakeup(12345n);
});

test("errors: after the session has ended every notification says ENODEV", kernel, async () => {
  const { fs } = kept();
  const served = await serve(fs);
  const { notify } = served.session;
  await served[Symbol.asyncDispose]();
  const calls: (() => unknown)[] = [
    () => notify.pollWakeup(1n),
    () => notify.invalInode(2),
    () => notify.invalEntry(1, "file"),
    () => notify.expireEntry(1, "file"),
    () => notify.delete(1, 2, "file"),
    () => notify.store(2, 0, bytes("x")),
    () => notify.retrieve(2, 0, 1),
    () => notify.resend(),
    () => notify.incEpoch(),
    () => notify.prune([2]),
  ];
  const codes = await Promise.all(calls.map((call) => codeOf(Promise.resolve().then(call))));
  assertEquals(codes, calls.map(() => "ENODEV"));
});

test("retrieve: who waits for an answer when the session ends is told", kernel, async () => {
  const { fs } = kept();
  const served = await serve(fs);
  await served.client(`os.stat(p("file"))`);
  const pending = Array.from({ length: 20 }, () => codeOf(served.session.notify.retrieve(2, 0, 1)));
  await served[Symbol.asyncDispose]();
  const codes = new Set(await Promise.all(pending));
  // For a moment the kernel has let go of its inodes, and not yet of the device.
  for (const code of codes) assert(["ok", "ENODEV", "ENOENT"].includes(code), code);
});

// in handlers

test(
  "in a handler: notifications about the same inode and directory, not awaited, deadlock nobody",
  kernel,
  async () => {
    const done = new Set<string>();
    let notify: Connection["notify"];
    const start = (what: string, promise: Promise<unknown>) =>
      void codeOf(promise).then((code) => done.add(what.endsWith("Entry") ? what : `${what} ${code}`));
    const { state, fs } = kept({
      init: (connection) => notify = connection.notify,
      read({ offset, size }) {
        start("read invalInode", notify.invalInode(2));
        start("read store", notify.store(2, 0, bytes("new\n")));
        return state.content.subarray(offset, offset + size);
      },
      write({ data }) {
        start("write invalInode", notify.invalInode(2));
        return data.length;
      },
      unlink({ name }) {
        start("unlink invalEntry", notify.invalEntry(ROOT_ID, name));
      },
      mkdir: async () => {
        start("mkdir invalEntry", notify.invalEntry(ROOT_ID, "file"));
        start("mkdir delete", notify.delete(ROOT_ID, 4, "other"));
        await new Promise((resolve) => setTimeout(resolve, 50));
        return { ...entry(3), nodeid: 50 };
      },
      setattr({ nodeid, mode }) {
        start("setattr invalInode", notify.invalInode(nodeid));
        return { attr: { mode: mode! } };
      },
    });
    await using served = await serve(fs);
    const said = await served.client(`
    [os.stat(p(name)) for name in ("file", "other")]
    fd = opened("file", os.O_RDWR)
    say(os.pread(fd, 3, 0).decode())
    say(os.pwrite(fd, b"x", 0))
    os.chmod(p("dir"), 0o700)
    os.mkdir(p("new"))
    os.unlink(p("file"))
  `);
    assert(said[0] === "one" || said[0] === "new");
    assertEquals(said[1], 1);
    const all = ["read invalInode ok", "read store ok", "write invalInode ok", "setattr invalInode ok"]
      .concat(["unlink invalEntry", "mkdir invalEntry", "mkdir delete ok"]);
    await until(() => done.size === all.length, "all are through");
    assertEquals([...done].sort(), all.sort());
  },
);

test("in a handler: invalInode of pages that are being read waits for the answer", kernel, async () => {
  let done = false;
  const first = deferred<boolean>();
  const { state, fs } = kept({
    async read({ offset, size }) {
      void served.session.notify.invalInode(2).then(() => done = true);
      await new Promise((resolve) => setTimeout(resolve, 100));
      first.resolve(done);
      return state.content.subarray(offset, offset + size);
    },
  });
  await using served = await serve(fs);
  assertEquals(await served.client(`say(read("file"))`), ["one\n"]);
  assertEquals(await first.promise, false);
  await until(() => done, "it is through");
});

test("init: its connection is good for notifications from then on", kernel, async () => {
  let connection: Connection | undefined;
  const { state, fs } = kept({ init: (given) => void (connection = given) });
  await using served = await serve(fs);
  assertEquals(await served.client(`say(os.stat(p("file")).st_mode)`), [0o100644]);
  state.mode = 0o100400;
  await connection!.notify.invalInode(2, -1);
  assertEquals(await served.client(`say(os.stat(p("file")).st_mode)`), [0o100400]);
  assertEquals(connection!.negotiated, served.session.negotiated);
});

test("many at once: all arrive, while the session serves", kernel, async () => {
  const { fs } = kept();
  await using served = await serve(fs);
  await using client = await served.start(`
    fd = opened("file")
    say("open")
    for k in range(2000):
        os.stat(p("file"))
        os.stat(p("other"))
        assert os.pread(fd, 9, 0) == b"one\\n"
    say("done")
    wait()
    os.stat(p("file"))
    os.stat(p("other"))
    say("again")
  `);
  assertEquals(await client.next(), "open");
  const { notify } = served.session;
  const [certain, names]: Promise<string>[][] = [[], []];
  for (let k = 0; k < 500; k++) {
    certain.push(codeOf(notify.invalInode(2)));
    certain.push(codeOf(notify.store(2, 0, bytes("one\n"))));
    certain.push(notify.retrieve(2, 0, 4).then((data) => ["", "one\n"].includes(text(data)) ? "ok" : text(data)));
    names.push(codeOf(notify.invalEntry(ROOT_ID, k % 2 ? "file" : "other")));
  }
  assertEquals(new Set(await Promise.all(certain)), new Set(["ok"]));
  const codes = await Promise.all(names);
  assert(codes.every((code) => code === "ok" || code === "ENOENT"));
  assertEquals(await client.next(), "done");
  await client.go();
  assertEquals(await client.next(), "again");
  assertGreater(counted(served, "lookup"), 2);
});

test("many at once: the session serves on while they all wait", kernel, async () => {
  const gate = deferred<void>();
  const { state, fs } = kept({
    async read({ offset, size }) {
      await gate.promise;
      return state.content.subarray(offset, offset + size);
    },
    // Never kept, so that each is asked for.
    statfs: () => ({ blocks: 1, bfree: 1, bavail: 1, files: 1, ffree: 1, bsize: 4096, namelen: 255, frsize: 4096 }),
  });
  await using served = await serve(fs);
  await using reader = await served.start(`say(read("file"))`);
  await until(() => counted(served, "read") === 1, "a page is being read");
  const waiting = Array.from({ length: 200 }, () => codeOf(served.session.notify.invalInode(2)));
  const [said] = await served.client(
    `
    for k in range(20):
        os.statvfs(M)
    say("served")
  `,
    { patience: 30_000 },
  ).finally(gate.resolve);
  assertEquals([said, await reader.next()], ["served", "one\n"]);
  assertEquals(new Set(await Promise.all(waiting)), new Set(["ok"]));
});
