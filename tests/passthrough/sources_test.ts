/** What authors register, of whatever kind, works the same however its data moves, or is refused in words. */
import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { readFile, writeFile } from "node:fs/promises";
import { libc } from "../../ffi/load.ts";
import { type Backing, FuseError } from "../../mod.ts";
import { extents } from "../../passthrough.ts";
import { cstring } from "../../src/abi/text.ts";
import { openFds, test, until } from "../support/harness.ts";
import { since, testWith } from "../support/kernel.ts";
import { Memfds } from "./memfds.ts";
import { openFile, place } from "./place.ts";

const needs = ["root", "fuse"] as const;
const c = libc(), { O } = c;

/** Kinds of descriptors, and with what access they are registered. */
const KINDS: Record<string, [flags: number, access?: "read-write"]> = {
  "appends": [O.RDWR | O.APPEND],
  "cannot be read": [O.WRONLY],
  "only names its file": [O.PATH, "read-write"],
  "is open for reading": [O.RDONLY, "read-write"],
  "goes past the page cache": [O.RDWR | O.DIRECT],
};

for (const passthrough of [true, false]) {
  const bothWays = (name: string, body: () => Promise<void>) => {
    if (passthrough) testWith(since(40), `sources: ${name}, through the kernel`, body);
    else test(`sources: ${name}, served`, { needs, sanitize: false }, body);
  };

  for (const [kind, [flags, access]] of Object.entries(KINDS)) {
    bothWays(`a descriptor that ${kind}`, async () => {
      using own = new Memfds();
      let fd = -1;
      await using p = await place({ a: (files) => ({ backing: files.register(fd, { access }) }) }, { passthrough });
      await writeFile(p.dir.join("a"), "0123456789");
      fd = own.open(p.dir.join("a"), flags);
      await p.python(`
fd = os.open("a", os.O_RDWR)
assert os.pread(fd, 3, 1) == b"123"
assert os.pwrite(fd, b"XY", 2) == 2
os.lseek(fd, 0, os.SEEK_DATA)
os.fsync(fd)
os.ftruncate(fd, 9)
os.posix_fallocate(fd, 0, 12)
end = os.open("a", os.O_RDWR | os.O_APPEND)
os.write(end, b"!")
`);
      assertEquals(await readFile(p.dir.join("a"), "latin1"), "01XY45678\0\0\0!");
      assertEquals(p.errors, []);
    });
  }

  bothWays("a descriptor answered as it is that appends takes pages in their place", async () => {
    using own = new Memfds();
    const coherent = { attr: { mode: 0o100666, size: 4096 } };
    await using p = await place(
      { a: (_files, { flags }, dir) => ({ backing: own.open(dir.join("a"), flags & (O.ACCMODE | O.APPEND)) }) },
      { passthrough },
      { getattr: ({ nodeid }) => nodeid === 1 ? { attr: { mode: 0o40777 } } : coherent },
    );
    await writeFile(p.dir.join("a"), "x".repeat(4096));
    await p.python(`
fd = os.open("a", os.O_RDWR | os.O_APPEND)
m = mmap.mmap(fd, 4096)
m[0:6] = b"stored"
m.flush()
os.write(fd, b"appended")
m.close()
os.close(fd)
`);
    assertEquals(await readFile(p.dir.join("a"), "latin1"), "stored" + "x".repeat(4090) + "appended");
  });

  bothWays("descriptors answered as they are serve each its own handle, and nothing of them is left", async () => {
    const opened = new Map<number, number>();
    await using p = await place(
      {
        a(_files, { flags }, dir) {
          const fd = openFile(dir.join("a"), flags & (O.ACCMODE | O.APPEND));
          opened.set(fd, fd);
          return { fh: fd, backing: fd };
        },
      },
      { passthrough },
      {
        // As one who sees to the file himself, he tells a size.
        getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? { mode: 0o40777 } : { mode: 0o100666, size: 7 } }),
        release: ({ fh }) => void (opened.delete(fh), c.close(fh)),
      },
    );
    await writeFile(p.dir.join("a"), "hello");
    const before = (await openFds()).size;
    await p.python(`
r = os.open("a", os.O_RDONLY)
w = os.open("a", os.O_WRONLY)
assert os.pwrite(w, b"J", 0) == 1
end = os.open("a", os.O_WRONLY | os.O_APPEND)
assert os.write(end, b"!") == 1
os.close(w)
assert os.pread(r, 9, 0) == b"Jello!", os.pread(r, 9, 0)
os.close(r)
assert os.write(end, b"!") == 1
`);
    assertEquals(await readFile(p.dir.join("a"), "latin1"), "Jello!!");
    await until(() => opened.size === 0, "all are released");
    assertEquals((await openFds()).size, before);
  });

  bothWays("appends from both sides lose nothing", async () => {
    const attr = { mode: 0o100666, size: 0 };
    await using p = await place({ a: (files, _args, dir) => ({ backing: files.register(dir.join("a")) }) }, {
      passthrough,
    }, { getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? { mode: 0o40777 } : attr }) });
    await writeFile(p.dir.join("a"), "");
    await p.python(`
def append(name, mark):
    fd = os.open(name, os.O_WRONLY | os.O_APPEND)
    for i in range(3000): assert os.write(fd, mark * 16) == 16
    os._exit(0)
children = []
for name, mark in (("a", b"m"), ("a", b"n"), (${JSON.stringify(p.dir.join("a"))}, b"o"), (${
      JSON.stringify(p.dir.join("a"))
    }, b"p")):
    pid = os.fork()
    if pid == 0: append(name, mark)
    children.append(pid)
for pid in children: assert os.waitpid(pid, 0)[1] == 0
`);
    const lines = (await readFile(p.dir.join("a"), "latin1")).match(/.{16}/g)!;
    const counts = ["m", "n", "o", "p"].map((mark) => lines.filter((line) => line === mark.repeat(16)).length);
    assertEquals([...counts, lines.length], [3000, 3000, 3000, 3000, 12000]);
  });

  bothWays(
    "a registered file beside a descriptor as it is has data of its own, and both are closed",
    async () => {
      let opens = 0;
      const closed: number[] = [];
      let releases = 0;
      await using p = await place(
        {
          a(files, { flags }, dir) {
            if (++opens > 1) return { fh: 0, backing: files.register(dir.join("a")) };
            const fd = openFile(dir.join("a"), flags & O.ACCMODE);
            return { fh: fd, backing: fd };
          },
        },
        { passthrough },
        {
          getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? { mode: 0o40777 } : { mode: 0o100666, size: 5 } }),
          release({ fh }) {
            releases++;
            if (fh > 0) c.close(fh), closed.push(fh);
          },
        },
      );
      await writeFile(p.dir.join("a"), "hello");
      const before = (await openFds()).size;
      const going = p.python(`
r = os.open("a", os.O_RDONLY)
w = os.open("a", os.O_RDWR)
os.close(r)
${p.wait}
assert os.pwrite(w, b"J", 0) == 1
assert os.pread(w, 9, 0) == b"Jello", os.pread(w, 9, 0)
os.fsync(w)
`);
      await until(() => closed.length === 1, "the first is released");
      // Whoever gets the number next must not be written.
      const victim = openFile(p.dir.join("victim"));
      await p.go();
      await going;
      assertEquals([victim, await readFile(p.dir.join("victim"), "latin1")], [closed[0], ""]);
      assertEquals(await readFile(p.dir.join("a"), "latin1"), "Jello");
      c.close(victim);
      await until(() => releases === 2, "both are released");
      assertEquals((await openFds()).size, before);
    },
  );

  bothWays("what only names its file, or is only written, can be copied and synchronized", async () => {
    using own = new Memfds();
    await using p = await place({
      a: (_files, _args, dir) => ({ backing: own.open(dir.join("a"), O.PATH) }),
      b: (_files, _args, dir) => ({ backing: own.open(dir.join("b"), O.WRONLY | O.APPEND) }),
    }, { passthrough });
    await writeFile(p.dir.join("a"), "hello");
    await writeFile(p.dir.join("b"), "xx");
    await p.python(`
a, b = os.open("a", os.O_RDWR), os.open("b", os.O_WRONLY)
os.fstat(a)
os.fsync(a), os.fdatasync(b)
os.posix_fallocate(a, 0, 9)
`);
    assertEquals(await readFile(p.dir.join("a"), "latin1"), "hello\0\0\0\0");
  });

  bothWays("looking for data moves no position of the author's descriptor", async () => {
    using own = new Memfds();
    const fd = own.file("0123456789");
    await using p = await place({ a: (files) => ({ backing: files.register(fd) }) }, { passthrough });
    c.lseek(fd, 10, 0);
    await p.python(
      `fd = os.open("a", os.O_RDONLY); print(os.lseek(fd, 2, os.SEEK_DATA), os.lseek(fd, 0, os.SEEK_HOLE))`,
    );
    assertEquals(c.lseek(fd, 0, 1), 10);
  });

  bothWays("times that are set are those of the file", async () => {
    await using p = await place({ a: (files, _args, dir) => ({ backing: files.register(dir.join("a")) }) }, {
      passthrough,
    });
    await writeFile(p.dir.join("a"), "hello");
    const seen = await p.python(`
fd = os.open("a", os.O_RDWR)
os.utime(fd, ns=(5_000_000_007, 6_000_000_009))
print(os.fstat(fd).st_atime_ns, os.fstat(fd).st_mtime_ns, os.stat(${JSON.stringify(p.dir.join("a"))}).st_mtime_ns)
`);
    assertEquals(seen, "5000000007 6000000009 6000000009");
  });

  bothWays("a size that its author tells wrong, for long, hides nothing", async () => {
    const attr = { mode: 0o100666, size: 0 };
    await using p = await place({ a: (files, _args, dir) => ({ backing: files.register(dir.join("a")) }) }, {
      passthrough,
    }, { lookup: () => ({ nodeid: 2, attr, attrTimeout: 3600, entryTimeout: 3600 }) });
    await writeFile(p.dir.join("a"), "hello");
    const script = `fd = os.open("a", os.O_RDONLY); print(os.fstat(fd).st_size, os.read(fd, 9).decode())`;
    assertEquals(await p.python(script), "5 hello");
  });

  bothWays("a large copy comes in pieces, so that others have their turn", async () => {
    await using p = await place({
      a: (files, _args, dir) => ({ backing: files.register(dir.join("a")) }),
      b: (files, _args, dir) => ({ backing: files.register(openFile(dir.join("b"))) }),
    }, { passthrough });
    const size = 20 << 20;
    await writeFile(p.dir.join("a"), new Uint8Array(size).fill(7));
    const pieces = await p.python(`
a, b = os.open("a", os.O_RDONLY), os.open("b", os.O_RDWR)
pieces = []
while sum(pieces) < os.fstat(a).st_size: pieces.append(os.copy_file_range(a, b, 1 << 30))
print(max(pieces) <= 8 << 20, sum(pieces))
`);
    assertEquals(pieces, `True ${size}`);
    assertEquals((await readFile(p.dir.join("b"))).every((byte) => byte === 7), true);
  });

  bothWays("extents that were one whole file stay that file", async () => {
    using own = new Memfds();
    const fd = own.file("0123456789");
    const map = extents([{ offset: 0, length: 10, file: fd, fileOffset: 0 }]);
    const modes: Backing[] = [];
    await using p = await place({
      a(files) {
        const backing = files.register(map);
        modes.push(backing);
        return { backing };
      },
    }, { passthrough });
    const more = `fd = os.open("a", os.O_RDWR); os.lseek(fd, 0, os.SEEK_END); os.write(fd, b"more"); os.close(fd)`;
    assertEquals(await p.python(`${more}\nprint(open("a").read())`), "0123456789more");
    assertEquals(map.size, 14);
    c.ftruncate(fd, 3);
    assertEquals(await p.python(`print(open("a").read())`), "012");
    assertEquals(modes.map(({ mode }) => mode), Array(3).fill(passthrough ? "identity" : "served"));
  });
}

test("sources: what has no size is refused, save where its author tells one", { needs, sanitize: false }, async () => {
  using own = new Memfds();
  await using p = await place(
    {
      a: (files) => ({ backing: files.register(own.open("/dev/zero", O.RDWR), { coherent: false }) }),
    },
    {},
    {
      getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? { mode: 0o40777 } : { mode: 0o100666, size: 4 } }),
    },
  );
  for (const source of ["/dev/zero", own.open("/dev/null", O.RDWR), own.pipe()[0]]) {
    const error = assertThrows(() => p.files.register(source), FuseError, "no regular file");
    assertEquals(error.code, "EINVAL");
  }
  assertEquals(assertThrows(() => p.files.register("/tmp"), FuseError).code, "EISDIR");
  assertEquals(await p.python(`print(os.read(os.open("a", os.O_RDONLY), 9))`), String.raw`b'\x00\x00\x00\x00'`);
});

// Since 7.36 nobody waits where a file that was only read is closed.
testWith(since(36), "sources: a file of the mount itself is refused, not waited for", async () => {
  let inside = -1;
  await using p = await place({
    a: (files) => ({ backing: files.register({ memfd: "a" }) }),
    b: (files) => ({ backing: files.register(inside) }),
    c: () => ({ backing: inside }),
  }, { passthrough: false });
  // Opened on another thread, since the server is on this one.
  inside = await c.openAsync(cstring(p.mnt.join("a")), O.RDONLY | O.CLOEXEC);
  const script = `
for name in "bc":
    try: os.open(name, os.O_RDONLY)
    except OSError as error: print(errno.errorcode[error.errno])
`;
  assertEquals((await p.python(script)).split("\n"), ["ELOOP", "ELOOP"]);
  // What the first one threw its author knows.
  assertEquals(p.errors.length, 1);
  assertMatch(String(p.errors[0]), /it lies in this mount, and the session would wait for itself/);
  c.close(inside);
});

test("sources: a backing file of another session, or one that is closed, is reported", {
  needs,
  sanitize: false,
}, async () => {
  await using one = await place({});
  using foreign = one.files.register({ memfd: "foreign" });
  let kept: Backing | undefined;
  await using p = await place({
    a: () => ({ backing: foreign }),
    b: (files) => ({ backing: kept ??= files.register({ memfd: "b" }) }),
  });
  const open = (name: string) =>
    p.python(`
try: os.close(os.open("${name}", os.O_RDONLY)); print("ok")
except OSError as error: print(errno.errorcode[error.errno])
`);
  assertEquals([await open("a"), await open("b")], ["EIO", "ok"]);
  await until(() => kept?.state === "closed", "its last handle is released");
  assertEquals(await open("b"), "EBADF");
  assertEquals(p.places, [
    { opcode: "FUSE_OPEN", nodeid: 2, answered: "EIO" },
    { opcode: "FUSE_OPEN", nodeid: 3, answered: "EBADF" },
  ]);
  assertMatch(String(p.errors[0]), /registered with another session/);
  assertMatch(String(p.errors[1]), /is closed; register one with each open.*autoClose: false/);
  await assertRejects(() => Promise.reject(p.errors[1]), FuseError);
});

test("sources: what answers no list of extents is named", {}, () => {
  assertThrows(() => extents(null as never), TypeError, "extents: null is no list of extents");
  assertThrows(() => extents([null as never]), TypeError, "extents: extent 0 is null");
  const later = extents([], { size: 9, missing: () => undefined as never });
  assertThrows(() => later.read(new Uint8Array(9), 0), TypeError, "missing: undefined is no list of extents");
});
