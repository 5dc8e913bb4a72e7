/**
 * Passthrough on the real kernel: the data never comes by, ids are counted, and where the kernel refuses it still
 * works.
 */
import { assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { mirror } from "../../kit.ts";
import { type Filesystem, mount, type MountOptions, type OpenReply, type Session } from "../../mod.ts";
import { run, type TempDir, tempDir, test, until } from "../support/harness.ts";

const needs = ["root", "fuse"] as const;
const ELOOP = "FUSE_DEV_IOC_BACKING_OPEN says ELOOP: the file lies on a stacked file system, of which " +
  "option maxStackDepth: 2 allows one, or in /proc";
const quiet: MountOptions = { signals: false };

interface Place extends AsyncDisposable {
  readonly source: TempDir;
  readonly mnt: TempDir;
  readonly session: Session;
  /** How often each method was called. */
  readonly calls: Record<string, number>;
}

/** A mirror whose calls are counted, and whose open replies a test may change; `offers` backing files. */
async function place(
  options: MountOptions = {},
  change: (reply: OpenReply) => OpenReply = (r) => r,
  offers: boolean = options.passthrough ?? true,
): Promise<Place> {
  const source = await tempDir(), mnt = await tempDir();
  const calls: Record<string, number> = {};
  const own = mirror(source.path, { passthrough: offers });
  const counted: Record<string, unknown> = {};
  for (const [name, method] of Object.entries(own)) {
    counted[name] = (...args: unknown[]) => {
      calls[name] = (calls[name] ?? 0) + 1;
      const value = method(...args);
      return name === "open" ? change(value) : value;
    };
  }
  const session = await mount(counted as Filesystem, mnt.path, { ...quiet, ...options });
  return {
    source,
    mnt,
    session,
    calls,
    async [Symbol.asyncDispose]() {
      await session.unmount();
      own[Symbol.dispose]();
      await mnt[Symbol.asyncDispose]();
      await source[Symbol.asyncDispose]();
    },
  };
}

/** Releases come after the close(2) that they belong to. */
const released = (p: Place) => until(() => p.session.passthrough.stats().open === 0, "every id is closed");

const python = (script: string, ...args: string[]) => run(["python3", "-c", script, ...args]);

test("passthrough: reads and writes never come by, and every id is closed", { needs, sanitize: false }, async () => {
  await using p = await place();
  assertEquals(p.session.passthrough.unavailable, null);
  await run(`head -c 3000000 /dev/urandom > ${p.source.join("a")}`);
  assertEquals((await run(["cp", p.mnt.join("a"), p.mnt.join("b")])).code, 0);
  assertEquals((await run(["cmp", p.source.join("a"), p.mnt.join("b")])).code, 0);
  assertEquals((await run(["cmp", p.source.join("b"), p.mnt.join("a")])).code, 0);
  assertEquals([p.calls.read, p.calls.write], [undefined, undefined]);
  await released(p);
  const { registered, closed, open, fallbacks } = p.session.passthrough.stats();
  assertGreater(registered, 3);
  assertEquals([closed, open, fallbacks], [registered, 0, {}]);
});

test("passthrough: all opens of an inode share one id, by either name", { needs, sanitize: false }, async () => {
  await using p = await place();
  await run(`echo one > ${p.source.join("a")}; ln ${p.source.join("a")} ${p.source.join("b")}`);
  const script = `
import os, sys
a, b = sys.argv[1:]
fds = [os.open(n, os.O_RDWR) for n in (a, b, a, b) for _ in range(10)]
assert all(os.pread(fd, 3, 0) == b"one" for fd in fds)
os.pwrite(fds[0], b"two", 0)
assert os.pread(fds[-1], 3, 0) == b"two"
`;
  const done = await python(script, p.mnt.join("a"), p.mnt.join("b"));
  assertEquals([done.code, done.stderr], [0, ""]);
  assertEquals(p.calls.open, 40);
  await released(p);
  assertEquals(p.session.passthrough.stats(), { registered: 1, closed: 1, open: 0, fallbacks: {}, reasons: {} });
});

test("passthrough: a mapping sees what is written, and is seen, also by opens after its own", {
  needs,
  sanitize: false,
}, async () => {
  await using p = await place();
  await run(`head -c 8192 /dev/zero > ${p.source.join("a")}`);
  const script = `
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
m = mmap.mmap(fd, 8192)
os.close(fd)
fd = os.open(sys.argv[1], os.O_RDWR)
m[0:4] = b"mmap"
assert os.pread(fd, 4, 0) == b"mmap"
os.pwrite(fd, b"file", 4096)
assert m[4096:4100] == b"file"
`;
  const done = await python(script, p.mnt.join("a"));
  assertEquals([done.code, done.stderr], [0, ""]);
  assertEquals((await run(["head", "-c4", p.source.join("a")])).stdout, "mmap");
  await released(p);
  assertEquals(p.session.passthrough.stats(), { registered: 1, closed: 1, open: 0, fallbacks: {}, reasons: {} });
});

test("passthrough: sizes are right after writes by the kernel, and O_APPEND lands at the end", {
  needs,
  sanitize: false,
}, async () => {
  await using p = await place();
  const file = p.mnt.join("log");
  const writers = Array.from({ length: 4 }, (_, k) => run(`for i in $(seq 50); do echo ${k}-$i >> ${file}; done`));
  await Promise.all(writers);
  assertEquals((await run(`wc -l < ${file}`)).stdout.trim(), "200");
  const sizes = await run(["stat", "-c%s", file, p.source.join("log")]);
  const [through, native] = sizes.stdout.trim().split("\n");
  assertEquals(through, native);
  assertEquals((await run(`echo new > ${file} && cat ${p.source.join("log")}`)).stdout, "new\n");
});

test("passthrough: an open without backing beside backed ones is served by read", {
  needs,
  sanitize: false,
}, async () => {
  let opens = 0;
  await using p = await place({}, ({ backing, ...reply }) => ++opens === 2 ? reply : { ...reply, backing });
  await run(`echo data > ${p.source.join("a")}`);
  const script = `
import os, sys
fds = [os.open(sys.argv[1], os.O_RDONLY) for _ in range(3)]
print([os.pread(fd, 4, 0).decode() for fd in fds])
`;
  const done = await python(script, p.mnt.join("a"));
  assertEquals([done.stderr, done.stdout], ["", "['data', 'data', 'data']\n"]);
  assertEquals(p.calls.read, 1);
  await released(p);
});

test("passthrough: a handle through the page cache makes later ones fall back, until it is gone", {
  needs,
  sanitize: false,
}, async () => {
  let opens = 0;
  await using p = await place({}, ({ backing, ...reply }) => ++opens === 1 ? reply : { ...reply, backing });
  await run(`echo data > ${p.source.join("a")}`);
  const script = `
import os, sys
fds = [os.open(sys.argv[1], os.O_RDONLY) for _ in range(3)]
assert [os.pread(fd, 4, 0) for fd in fds] == [b"data"] * 3
`;
  const done = await python(script, p.mnt.join("a"));
  assertEquals([done.code, done.stderr], [0, ""]);
  assertEquals(p.session.passthrough.stats(), {
    registered: 0,
    closed: 0,
    open: 0,
    fallbacks: { EBUSY: 2 },
    reasons: { "the inode is open through the page cache, or by a handle that a mapping brings there": 2 },
  });
  assertEquals((await run(["cat", p.mnt.join("a")])).stdout, "data\n");
  assertEquals(p.session.passthrough.stats().registered, 1);
});

test("passthrough: a backing file on a stacked file system falls back at depth 1 and works at depth 2", {
  needs,
  sanitize: false,
}, async () => {
  await using layers = await tempDir();
  await run(
    `cd ${layers.path} && mkdir up merged && mount -t tmpfs none up && mkdir up/u up/w up/d && echo deep > up/d/a &&
    mount -t overlay none -o lowerdir=up/d,upperdir=up/u,workdir=up/w merged`,
  );
  for (const maxStackDepth of [1, 2] as const) {
    await using mnt = await tempDir();
    using fs = mirror(layers.join("merged"));
    await using session = await mount(fs, mnt.path, { ...quiet, maxStackDepth });
    assertEquals(
      (await run(`cat ${mnt.join("a")} && echo more >> ${mnt.join("a")}`)).stdout,
      [
        "deep\n",
        "deep\nmore\n",
      ][maxStackDepth - 1],
    );
    const { registered, fallbacks, reasons } = session.passthrough.stats();
    if (maxStackDepth === 2) assertEquals([registered > 0, fallbacks], [true, {}]);
    else assertEquals([registered, Object.keys(fallbacks), Object.keys(reasons)], [0, ["ELOOP"], [ELOOP]]);
  }
});

test("passthrough: off by option, and says so", { needs, sanitize: false }, async () => {
  await using p = await place({ passthrough: false });
  assertEquals(p.session.passthrough.unavailable, "the option passthrough is off");
  assertEquals((await run(`echo own > ${p.mnt.join("a")} && cat ${p.mnt.join("a")}`)).stdout, "own\n");
  assertGreater(p.calls.write, 0);
  assertEquals(p.session.passthrough.stats().registered, 0);
});

test("passthrough: with the writeback cache the session serves, and says why", { needs, sanitize: false }, async () => {
  const source = await tempDir(), mnt = await tempDir();
  {
    using fs = mirror(source.path);
    await using session = await mount(fs, mnt.path, { ...quiet, writebackCache: true });
    assertStringIncludes(session.passthrough.unavailable!, "writeback cache");
    const file = mnt.join("a");
    assertEquals((await run(`echo one > ${file}; echo two >> ${file}; cat ${file}`)).stdout, "one\ntwo\n");
  }
  assertEquals((await run(["cat", source.join("a")])).stdout, "one\ntwo\n");
  await mnt[Symbol.asyncDispose]();
  await source[Symbol.asyncDispose]();
});

test("passthrough: a client that dies with open files leaves no id", { needs, sanitize: false }, async () => {
  await using p = await place();
  await run(`echo data > ${p.source.join("a")}`);
  const script = `import os, sys, signal
fds = [os.open(sys.argv[1], os.O_RDWR) for _ in range(100)]
os.kill(os.getpid(), signal.SIGKILL)`;
  assertEquals((await python(script, p.mnt.join("a"))).code, 137);
  await released(p);
});

test("passthrough: an ordinary user's write clears set-id bits, also those that were set while it was open", {
  needs,
  sanitize: false,
}, async () => {
  await using p = await place({ handleKillpriv: true, allowOther: true, defaultPermissions: true });
  await run(`cd ${p.source.path} && touch before after && chmod 6777 before && chmod 777 after`);
  const script = `
import os, sys
fds = [os.open(f"{sys.argv[1]}/{name}", os.O_WRONLY) for name in ("before", "after")]
for fd in fds: os.pwrite(fd, b"as root", 0)
os.chmod(f"{sys.argv[1]}/after", 0o6777)
print(*(oct(os.fstat(fd).st_mode) for fd in fds))
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
for fd in fds: os.pwrite(fd, b"as nobody", 0)
print(*(oct(os.fstat(fd).st_mode) for fd in fds))
`;
  const done = await python(script, p.mnt.path);
  assertEquals([done.stderr, done.stdout], ["", "0o106777 0o106777\n0o100777 0o100777\n"]);
  assertEquals((await run(["stat", "-c%a", p.source.join("before"), p.source.join("after")])).stdout, "777\n777\n");
  assertEquals(p.calls.write, undefined);
});

test("passthrough: who writes decides which set-id bits end, whoever moves the data", {
  needs,
  sanitize: false,
}, async () => {
  const script = `
import os, sys
os.chdir(sys.argv[1])
for mode in 0o6777, 0o6767, 0o2767, 0o777:
  for gid, groups in (65534, []), (65534, [4]), (4, []):
    open("a", "w").close()
    os.chown("a", 5, 4)
    os.chmod("a", mode)
    if os.fork() == 0:
      os.setgroups(groups)
      os.setresgid(gid, gid, gid)
      os.setresuid(65534, 65534, 65534)
      fd = os.open("a", os.O_WRONLY)
      os.write(fd, b"a")
      os.write(fd, b"b")
      os._exit(0)
    os.wait()
    print(oct(mode), gid, groups, oct(os.stat("a").st_mode), flush=True)
    os.unlink("a")
`;
  await using dir = await tempDir();
  const native = await python(script, dir.path);
  assertStringIncludes(native.stdout, "0o2767 65534 [] 0o100767\n0o2767 65534 [4] 0o102767\n0o2767 4 [] 0o102767\n");
  const directIo = (reply: OpenReply) => ({ ...reply, directIo: true });
  for (const passthrough of [true, false]) {
    for (const change of [undefined, directIo]) {
      for (const handleKillpriv of [true, "v1", false] as const) {
        await using p = await place(
          { passthrough, handleKillpriv, allowOther: true, defaultPermissions: true },
          change,
        );
        const done = await python(script, p.mnt.path);
        const how = { passthrough, direct: change !== undefined, handleKillpriv };
        assertEquals({ ...how, said: done.stdout + done.stderr }, { ...how, said: native.stdout });
      }
    }
  }
});

test("passthrough: with handleKillpriv the kernel asks for no capability before each write", {
  needs,
  sanitize: false,
}, async () => {
  await using p = await place({ handleKillpriv: true });
  assertEquals((await run(["dd", "if=/dev/zero", `of=${p.mnt.join("a")}`, "bs=4k", "count=500"])).code, 0);
  assertEquals([(p.calls.getxattr ?? 0) < 10, p.calls.write], [true, undefined]);
});
