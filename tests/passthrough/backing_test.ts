/** Backing files on the real kernel: what is registered holds the data, whoever moves it, and nothing of it is left. */
import { assert, assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import fs from "node:fs/promises";
import { libc } from "../../ffi/load.ts";
import { type Backing, type BackingSource, FuseError, type Passthrough } from "../../mod.ts";
import { ExtentMap, extents } from "../../passthrough.ts";
import { openFds, run, type TempDir, tempDir, test, until } from "../support/harness.ts";
import { Random } from "../support/random.ts";
import { type Opener, openFile, type Place, place } from "./place.ts";

const needs = ["root", "fuse"] as const;
const { O } = libc();

const closed = (p: Place, message = "all ids are closed") =>
  until(() => p.session.passthrough.stats().open === 0, message);

const READ_WRITE = `
fd = os.open("a", os.O_RDWR)
assert os.pwrite(fd, b"hello", 0) == 5
assert os.pread(fd, 9, 0) == b"hello", os.pread(fd, 9, 0)
print(os.fstat(fd).st_size)
`;

const SOURCES: Record<string, (dir: TempDir) => { source: BackingSource; close?: () => void }> = {
  "a descriptor": (dir) => {
    const fd = openFile(dir.join("a"));
    return { source: fd, close: () => libc().close(fd) };
  },
  "an object with a descriptor": (dir) => {
    const file = { fd: openFile(dir.join("a")) };
    return { source: file, close: () => libc().close(file.fd) };
  },
  "a path": (dir) => {
    libc().close(openFile(dir.join("a")));
    return { source: dir.join("a") };
  },
  "a file in memory": () => ({ source: { memfd: "a" } }),
};

for (const [what, make] of Object.entries(SOURCES)) {
  for (const passthrough of [true, false]) {
    test(`backing: ${what}, ${passthrough ? "read and written by the kernel" : "served by the session"}`, {
      needs,
      sanitize: false,
    }, async () => {
      let backing!: Backing, close: (() => void) | undefined;
      const seen: unknown[] = [];
      await using p = await place({
        a(files, _args, dir) {
          const made = make(dir);
          close = made.close;
          backing = files.register(made.source, { autoClose: false });
          seen.push([backing.id, backing.refs, backing.state]);
          return { backing };
        },
      }, { passthrough });
      const id = passthrough ? 1 : 0;
      const output = p.python(`${READ_WRITE}sys.stdout.flush()\n${p.wait}`);
      await until(() => backing?.refs === 1, "it is open");
      assertEquals([backing.id, backing.state, backing.access], [id, "open", "read-write"]);
      assertEquals([backing.mode, backing.reason], [
        passthrough ? "identity" : "served",
        passthrough ? null : "the option passthrough is off",
      ]);
      assertThrows(() => backing.close(), FuseError, "1 open handles");
      await p.go();
      assertStrictEquals(await output, "5");
      await until(() => backing.refs === 0, "it is released");
      assertEquals([seen, backing.state, backing.id], [[[0, 0, "idle"]], "idle", id]);
      assertEquals([p.calls, p.errors], [0, []]);
      backing.close();
      assertEquals([backing.state, backing.id, p.files.stats().open], ["closed", 0, 0]);
      if (what !== "a file in memory") assertStrictEquals((await run(["cat", p.dir.join("a")])).stdout, "hello");
      close?.();
    });
  }
}

test(
  "backing: a path that cannot be opened says why, and what is no source is refused",
  { needs, sanitize: false },
  async () => {
    await using p = await place({});
    assertThrows(() => p.files.register(p.dir.join("nowhere")), FuseError, "nowhere");
    assertThrows(() => p.files.register(1 << 20), FuseError, "EBADF");
    for (const nonsense of [-1, NaN, null, {}, undefined]) {
      assertThrows(() => p.files.register(nonsense as never), TypeError, "backing");
    }
  },
);

test("backing: what the kernel refuses for its depth is served, and says so", { needs, sanitize: false }, async () => {
  await using layers = await tempDir();
  await run(
    `cd ${layers.path} && mkdir up merged && mount -t tmpfs none up && mkdir up/u up/w up/d && echo deep > up/d/a &&
    mount -t overlay none -o lowerdir=up/d,upperdir=up/u,workdir=up/w merged`,
  );
  let backing!: Backing;
  await using p = await place({ a: (files) => ({ backing: backing = files.register(layers.join("merged/a")) }) });
  assertStrictEquals(await p.python(READ_WRITE), "5");
  assertEquals([backing.mode, p.calls, p.files.stats().registered], ["served", 0, 0]);
  assertMatch(backing.reason!, /ELOOP.*maxStackDepth: 2/);
});

test("backing: beside a handle through the page cache it is served", { needs, sanitize: false }, async () => {
  let backing!: Backing, opens = 0;
  await using p = await place({
    a: (files) => ++opens === 1 ? {} : { backing: backing = files.register({ memfd: "a" }) },
  });
  await p.python(`first = os.open("a", os.O_RDONLY)\n${READ_WRITE}`);
  assertEquals([backing.mode, backing.reason], [
    "served",
    "the inode is open through the page cache, or by a handle that a mapping brings there",
  ]);
  assertEquals([p.calls, p.files.stats().registered], [0, 0]);
  await until(() => backing.state === "closed", "it is closed");
});

test("backing: one for reading is not opened for writing, not even by root", { needs, sanitize: false }, async () => {
  for (const passthrough of [true, false]) {
    const released: number[] = [];
    await using p = await place(
      { a: (files, _args, dir) => ({ fh: 7, backing: files.register(dir.join("a"), { access: "read" }) }) },
      { passthrough },
      { release: ({ fh }) => void released.push(fh) },
    );
    await fs.writeFile(p.dir.join("a"), "data");
    await p.python(`
for flags in os.O_RDWR, os.O_WRONLY:
  try: os.open("a", flags)
  except PermissionError: continue
  assert False
fd = os.open("a", os.O_RDONLY)
assert os.pread(fd, 9, 0) == b"data"
os.close(fd)`);
    await until(() => released.length === 3, "each is released");
    assertEquals([released, p.calls, p.errors], [[7, 7, 7], 0, []]);
    await closed(p);
  }
});

test("backing: closing waits for the last release, where it is asked to", { needs, sanitize: false }, async () => {
  let backing!: Backing;
  await using p = await place({
    a: (files) => ({ backing: backing ??= files.register({ memfd: "a" }, { autoClose: false }) }),
  });
  const script = p.python(`fds = [os.open("a", os.O_RDWR) for _ in range(3)]\n${p.wait}`);
  await until(() => backing?.refs === 3, "three are open");
  const error = assertThrows(() => backing.close(), FuseError);
  assertStrictEquals((error as FuseError).code, "EBUSY");
  let done = false;
  const waiting = backing.close({ whenReleased: true }).then(() => done = true);
  assertEquals([done, backing.state], [false, "open"]);
  await p.go();
  await script;
  await waiting;
  assertEquals([backing.refs, backing.state, p.files.stats().open], [0, "closed", 0]);
  await backing.close({ whenReleased: true });
  backing.close();
  assertEquals(p.files.stats(), { registered: 1, closed: 1, open: 0, fallbacks: {}, reasons: {} });
  // An open that answers it all the same.
  await p.python(`
try: os.open("a", os.O_RDONLY)
except OSError as e: assert e.errno == errno.EBADF
else: assert False`);
});

test("backing: it is closed with the last release, unless it is to stay", { needs, sanitize: false }, async () => {
  for (const autoClose of [true, false]) {
    const all: Backing[] = [];
    await using p = await place({
      a: (
        files,
      ) => (all.push(files.register({ memfd: "a" }, { autoClose })), { backing: autoClose ? all.at(-1)! : all[0] }),
    });
    for (const _ of [1, 2, 3]) await p.python(READ_WRITE);
    await until(() => all.every(({ refs }) => refs === 0), "they are released");
    assertEquals(all.map((b) => b.state), Array(3).fill(autoClose ? "closed" : "idle"));
    assertStrictEquals(p.files.stats().registered, autoClose ? 3 : 1);
  }
});

test("backing: two inodes share one", { needs, sanitize: false }, async () => {
  let backing: Backing | undefined;
  const share: Opener = (files) => ({ backing: backing ??= files.register({ memfd: "both" }) });
  await using p = await place({ a: share, b: share });
  await p.python(`
a, b = os.open("a", os.O_RDWR), os.open("b", os.O_RDWR)
os.pwrite(a, b"shared", 0)
assert os.pread(b, 9, 0) == b"shared"
os.close(a)
assert os.pread(b, 9, 0) == b"shared"
assert os.fstat(b).st_size == 6`);
  await until(() => backing!.state === "closed", "it is closed");
  assertEquals(p.files.stats(), { registered: 1, closed: 1, open: 0, fallbacks: {}, reasons: {} });
  assertStrictEquals(p.calls, 0);
});

test("backing: a second one of an inode is closed unused, and the data are the first one's", {
  needs,
  sanitize: false,
}, async () => {
  for (const passthrough of [true, false]) {
    const all: Backing[] = [];
    await using p = await place(
      { a: (files) => (all.push(files.register({ memfd: "a" })), { backing: all.at(-1)! }) },
      {
        passthrough,
      },
    );
    const script = p.python(`
first = os.open("a", os.O_RDWR)
os.pwrite(first, b"first", 0)
second = os.open("a", os.O_RDWR)
assert os.pread(second, 9, 0) == b"first"
os.close(first)
assert os.pread(second, 9, 0) == b"first"
${p.wait}`);
    await until(() => all.length === 2 && all[1].state === "closed", "the second is closed");
    assertStrictEquals(all[0].state, "open");
    await p.go();
    await script;
    await until(() => all[0].state === "closed", "the first is closed");
    assertEquals([p.calls, p.errors], [0, []]);
  }
});

test("backing: a handler that throws halfway leaves no id", { needs, sanitize: false }, async () => {
  let backing!: Backing;
  await using p = await place({
    a(files) {
      backing = files.register({ memfd: "a" });
      throw new FuseError("EDQUOT");
    },
    b: (files) => ({ fh: NaN, backing: backing = files.register({ memfd: "b" }) }),
  });
  await p.python(`
for name, says in ("a", errno.EDQUOT), ("b", errno.EIO):
  try: os.open(name, os.O_RDONLY)
  except OSError as e: assert e.errno == says, e
  else: assert False`);
  assertEquals(p.files.stats(), { registered: 0, closed: 0, open: 0, fallbacks: {}, reasons: {} });
  assertEquals([backing.refs, p.errors.length], [0, 1]);
});

test(
  "backing: size and times are those of the file, and truncation reaches it",
  { needs, sanitize: false },
  async () => {
    for (const passthrough of [true, false]) {
      await using p = await place(
        { a: (files, _args, dir) => ({ backing: files.register(dir.join("a")) }) },
        { passthrough, defaultPermissions: true, handleKillpriv: true, allowOther: true },
      );
      await fs.writeFile(p.dir.join("a"), "");
      const native = JSON.stringify(p.dir.join("a"));
      await p.python(`
fd = os.open("a", os.O_RDWR)
for n in range(1, 4):
  os.write(fd, b"x" * 1000)
  here, there = os.fstat(fd), os.stat(${native})
  assert (here.st_size, here.st_blocks, here.st_mtime_ns) == (n * 1000, there.st_blocks, there.st_mtime_ns), (n, here, there)
os.ftruncate(fd, 10)
assert os.stat(${native}).st_size == 10
assert os.fstat(fd).st_size == 10
assert os.pread(fd, 99, 0) == b"x" * 10
os.truncate("a", 5000)
assert os.pread(fd, 9999, 0) == b"x" * 10 + bytes(4990)
end = os.open("a", os.O_WRONLY | os.O_APPEND)
os.write(end, b"end")
assert os.pread(fd, 9, 5000) == b"end"
trunc = os.open("a", os.O_RDWR | os.O_TRUNC)
assert os.fstat(fd).st_size == os.stat(${native}).st_size == 0`);
      assertEquals([p.calls, p.errors], [0, []]);
    }
  },
);

test("backing: O_TRUNC that comes with open truncates the file", { needs, sanitize: false }, async () => {
  await using p = await place({ a: (files, _args, dir) => ({ backing: files.register(dir.join("a")) }) }, {
    atomicOTrunc: true,
  });
  await fs.writeFile(p.dir.join("a"), "old");
  await p.python(`assert os.fstat(os.open("a", os.O_RDWR | os.O_TRUNC)).st_size == 0`);
  assertStrictEquals(await fs.readFile(p.dir.join("a"), "utf8"), "");
});

test("backing: what is not to be coherent is its author's", { needs, sanitize: false }, async () => {
  const sizes: unknown[] = [];
  await using p = await place(
    { a: (files, _args, dir) => ({ backing: files.register(dir.join("a"), { coherent: false }) }) },
    {},
    {
      setattr({ size }) {
        sizes.push(size);
        return { attr: { mode: 0o100666, size: 4 } };
      },
    },
  );
  await fs.writeFile(p.dir.join("a"), "data");
  await p.python(`
fd = os.open("a", os.O_RDWR)
os.ftruncate(fd, 2)
assert os.fstat(fd).st_size == 0`);
  assertEquals([sizes, await fs.readFile(p.dir.join("a"), "utf8")], [[2], "data"]);
});

test("backing: a truncation that its author refuses does not happen", { needs, sanitize: false }, async () => {
  let later = false;
  const refuse = () => {
    later = !later;
    if (later) throw new FuseError("EPERM");
    return Promise.reject(new FuseError("EPERM"));
  };
  await using p = await place({ a: (files, _args, dir) => ({ backing: files.register(dir.join("a")) }) }, {}, {
    setattr: refuse,
  });
  await fs.writeFile(p.dir.join("a"), "data");
  await p.python(`
fd = os.open("a", os.O_RDWR)
for _ in range(2):
  try: os.ftruncate(fd, 0)
  except PermissionError: continue
  assert False
assert os.fstat(fd).st_size == 4`);
});

test("backing: fallocate, lseek, fsync and copies need no method", { needs, sanitize: false }, async () => {
  for (const passthrough of [true, false]) {
    const a: Opener = (files, _args, dir) => ({ backing: files.register(dir.join("a")) });
    const b: Opener = (files) => ({ backing: files.register({ memfd: "b" }) });
    // Of a file without backing nothing of it is asked for ever after.
    await using p = await place({ plain: () => ({}), a, b }, { passthrough });
    await fs.writeFile(p.dir.join("a"), "");
    const native = JSON.stringify(p.dir.join("a"));
    await p.python(`
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
plain = os.open("plain", os.O_RDWR)
os.fsync(plain)
assert libc.fallocate(plain, 1, 0, 4096) == -1 and ctypes.get_errno() == errno.EOPNOTSUPP
a = os.open("a", os.O_RDWR)
os.posix_fallocate(a, 0, 1 << 20)
assert os.stat(${native}).st_size == os.fstat(a).st_size == 1 << 20
assert os.stat(${native}).st_blocks == 2048
os.pwrite(a, b"data" * 1024, 0)
os.fsync(a)
os.fdatasync(a)
assert libc.fallocate(a, 3, 4096, (1 << 20) - 4096) == 0
assert os.stat(${native}).st_blocks == 8
assert os.lseek(a, 0, os.SEEK_HOLE) == 4096
try: os.lseek(a, 4096, os.SEEK_DATA)
except OSError as e: assert e.errno == errno.ENXIO
else: assert False
c = os.open("a", os.O_RDWR)
assert os.copy_file_range(a, c, 4096, 0, 8192) == 4096
assert os.pread(c, 4, 8192) == b"data"`);
    assertEquals([p.calls, p.errors], [0, []]);
  }
});

test(
  "backing: a copy between files of different file systems is made by the kernel",
  { needs, sanitize: false },
  async () => {
    await using p = await place({
      a: (files, _args, dir) => ({ backing: files.register(dir.join("a")) }),
      b: (files) => ({ backing: files.register({ memfd: "b" }) }),
    });
    await fs.writeFile(p.dir.join("a"), "data".repeat(1024));
    await p.python(`
a, b = os.open("a", os.O_RDWR), os.open("b", os.O_RDWR)
# The kernel copies up to the size that it knows.
assert os.fstat(a).st_size == 4096
assert os.copy_file_range(a, b, 4096) == 4096
assert os.pread(b, 9999, 0) == b"data" * 1024`);
  },
);

test("backing: an extent map is read and written at random", { needs, sanitize: false }, async () => {
  const size = 600_000;
  const random = new Random(3);
  const image = new Uint8Array(size);
  const fill = (from: number, to: number) => {
    for (let at = from; at < to; at++) image[at] = random.below(256);
  };
  // Two files, with a hole between them.
  fill(0, 200_000);
  fill(300_000, size);
  let backing!: Backing, fds: number[] = [], map!: ExtentMap;
  await using p = await place({
    a(files) {
      map = extents([
        { offset: 300_000, length: 300_000, file: fds[1], fileOffset: 0 },
        { offset: 0, length: 200_000, file: fds[0], fileOffset: 1000 },
      ], {
        // Whole blocks, in the order in which they are written.
        allocate({ offset, length }) {
          const [from, to] = [
            Math.floor(offset / 4096) * 4096,
            Math.min(size, Math.ceil((offset + length) / 4096) * 4096),
          ];
          return [{ offset: from, length: to - from, file: fds[2], fileOffset: from + 5000 }];
        },
      });
      return { backing: backing = files.register(map) };
    },
  });
  await fs.writeFile(p.dir.join("one"), new Uint8Array([...new Uint8Array(1000), ...image.subarray(0, 200_000)]));
  await fs.writeFile(p.dir.join("two"), image.subarray(300_000));
  await fs.writeFile(p.dir.join("image"), image);
  fds = [openFile(p.dir.join("one"), O.RDONLY), openFile(p.dir.join("two"), O.RDONLY), openFile(p.dir.join("over"))];
  await p.python(`
random.seed(5)
image = bytearray(open(${JSON.stringify(p.dir.join("image"))}, "rb").read())
fd = os.open("a", os.O_RDWR)
assert os.fstat(fd).st_size == len(image)
for step in range(400):
  offset, length = random.randrange(${size}), random.choice((1, 100, 5000, 150000))
  length = min(length, ${size} - offset)
  if random.random() < 0.4:
    data = random.randbytes(length)
    assert os.pwrite(fd, data, offset) == length
    image[offset:offset + length] = data
  else:
    assert os.pread(fd, length, offset) == image[offset:offset + length], (step, offset, length)
os.fsync(fd)
os.close(fd)`);
  assertEquals([backing.mode, p.calls, p.errors], ["extents", 0, []]);
  assertMatch(backing.reason!, /extent map/);
  // What was there before is as it was.
  assertEquals(new Uint8Array(await fs.readFile(p.dir.join("one"))).subarray(1000), image.subarray(0, 200_000));
  assertEquals(new Uint8Array(await fs.readFile(p.dir.join("two"))), image.subarray(300_000));
  for (const fd of fds) libc().close(fd);
});

test("backing: extents that are one whole file are that file", { needs, sanitize: false }, async () => {
  let backing!: Backing, fd = -1;
  await using p = await place({
    a(files) {
      const half = { length: 4096, file: fd };
      const list = [0, 4096].map((offset) => ({ ...half, offset, fileOffset: offset }));
      return { backing: backing = files.register(extents(list)) };
    },
  });
  await fs.writeFile(p.dir.join("a"), new Uint8Array(8192));
  fd = openFile(p.dir.join("a"));
  await p.python(
    READ_WRITE.replace('b"hello", os', 'b"hello" + bytes(4), os').replace('== b"hello", ', '== b"hello" + bytes(4), '),
  );
  assertEquals([backing.mode, backing.reason, p.files.stats().registered, p.calls], ["identity", null, 1, 0]);
  assertMatch(await fs.readFile(p.dir.join("a"), "utf8"), /^hello/);
  libc().close(fd);
});

test("backing: 1,000 files are open at once, and then no id is left", { needs, sanitize: false }, async () => {
  const openers: Record<string, Opener> = {};
  for (let i = 0; i < 1000; i++) openers[`f${i}`] = (files) => ({ backing: files.register({ memfd: `f${i}` }) });
  await using p = await place(openers);
  const before = (await openFds()).size;
  await p.python(`
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
fds = [os.open(f"f{i}", os.O_RDWR) for i in range(1000)]
for i, fd in enumerate(fds): os.pwrite(fd, str(i).encode(), 0)
for i, fd in enumerate(fds): assert os.pread(fd, 9, 0) == str(i).encode()`);
  await closed(p);
  assertEquals(p.files.stats(), { registered: 1000, closed: 1000, open: 0, fallbacks: {}, reasons: {} });
  assertEquals([p.calls, (await openFds()).size], [0, before]);
});

test("backing: 20,000 registrations in a row leave no descriptor", { needs, sanitize: false }, async () => {
  await using p = await place({ a: (files) => ({ backing: files.register({ memfd: "a" }) }) });
  const before = (await openFds()).size;
  for (let i = 0; i < 20_000; i++) p.files.register({ memfd: "a" })[Symbol.dispose]();
  assertStrictEquals((await openFds()).size, before);
  await p.python(`for _ in range(2000): os.close(os.open("a", os.O_RDWR))`);
  await closed(p);
  assertEquals([p.files.stats().registered, (await openFds()).size], [2000, before]);
});

test("backing: the end of the session closes all, and nothing can be registered after it", {
  needs,
  sanitize: false,
}, async () => {
  let files!: Passthrough, all!: Backing[];
  {
    await using p = await place({});
    files = p.files;
    all = ["session a", "session b"].map((memfd) => files.register({ memfd }, { autoClose: false }));
    assert([...(await openFds()).values()].some((path) => path.startsWith("/memfd:session")));
  }
  assertEquals(all.map((b) => b.state), ["closed", "closed"]);
  assertThrows(() => files.register({ memfd: "c" }), FuseError, "ended");
  assert(![...(await openFds()).values()].some((path) => path.startsWith("/memfd:session")));
});
