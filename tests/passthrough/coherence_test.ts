/** A passthrough file and its backing file are one file: whatever is done to either is seen in the other. */
import { assertEquals, assertGreater } from "@std/assert";
import { mirror } from "../../kit.ts";
import { type Client, serve, type Served, since, testWith } from "../support/kernel.ts";
import { run, type TempDir, tempDir, until } from "../support/harness.ts";

const coherent = (name: string, fn: () => Promise<void>) => testWith(since(40), name, fn);

interface Place extends AsyncDisposable {
  readonly source: TempDir;
  readonly served: Served;
  /** Starts a client that knows the mirrored folder as `S`. */
  start(script: string): Promise<Client>;
  /** Runs one to its end: what it said. */
  client(script: string): Promise<unknown[]>;
}

/** A mirrored folder. At its end no READ and no WRITE has come by, and no id is left. */
async function place(): Promise<Place> {
  const source = await tempDir(), own = mirror(source.path);
  const served = await serve(own);
  const prelude = `S = ${JSON.stringify(source.path)}`;
  const start = (script: string) => served.start(script, { prelude });
  return {
    source,
    served,
    start,
    async client(script) {
      await using client = await start(script);
      return await client.rest();
    },
    async [Symbol.asyncDispose]() {
      const { passthrough } = served.session;
      try {
        await until(() => passthrough.stats().open === 0, "every id is closed");
        assertGreater(passthrough.stats().registered, 0);
        assertEquals([served.args("read"), served.args("write"), passthrough.stats().fallbacks], [[], [], {}]);
        assertEquals(served.opcodes.filter((opcode) => opcode === "READ" || opcode === "WRITE"), []);
      } finally {
        await served[Symbol.asyncDispose]();
        own[Symbol.dispose]();
        await source[Symbol.asyncDispose]();
      }
    },
  };
}

coherent("coherence: stores through a shared mapping are in the backing file at once, and the other way", async () => {
  await using p = await place();
  const said = await p.client(`
    native = os.open(S + "/a", os.O_RDWR | os.O_CREAT)
    os.pwrite(native, bytes(3 * 4096), 0)
    fd = opened("a", os.O_RDWR)
    through, below = mmap.mmap(fd, 3 * 4096), mmap.mmap(native, 3 * 4096)
    os.close(fd)
    through[5000:5005] = b"above"
    say(os.pread(native, 5, 5000).decode(), below[5000:5005].decode())
    below[9000:9005] = b"below"
    say(through[9000:9005].decode(), read("a")[9000:9005])
    os.pwrite(native, b"write", 4094)
    say(through[4094:4099].decode())
    os.pwrite(opened("a", os.O_RDWR), b"WRITE", 4094)
    say(through[4094:4099].decode(), below[4094:4099].decode())
    through.flush()
  `);
  assertEquals(said, [["above", "above"], ["below", "below"], "write", ["WRITE", "WRITE"]]);
});

coherent("coherence: a private mapping changes nothing", async () => {
  await using p = await place();
  const said = await p.client(`
    open(S + "/a", "w").write("file")
    m = mmap.mmap(opened("a", os.O_RDWR), 4, access=mmap.ACCESS_COPY)
    m[:4] = b"mine"
    say(bytes(m).decode(), read("a"), open(S + "/a").read())
  `);
  assertEquals(said, [["mine", "file", "file"]]);
});

coherent("coherence: two processes that append, one of them to the backing file, lose nothing", async () => {
  await using p = await place();
  await run(["touch", p.source.join("log")]);
  const writer = (where: string, letter: string) => `
    fd = os.open(${where} + "/log", os.O_WRONLY | os.O_APPEND)
    say(0)
    wait()
    for i in range(2000): os.write(fd, b"${letter}%06d\\n" % i)
  `;
  {
    const [a, b, c] = await Promise.all([
      p.start(writer("M", "a")),
      p.start(writer("M", "b")),
      p.start(writer("S", "c")),
    ]);
    for (const one of [a, b, c]) await one.next();
    await Promise.all([a, b, c].map((one) => one.go()));
    await Promise.all([a, b, c].map((one) => one.rest()));
    await Promise.all([a, b, c].map((one) => one[Symbol.asyncDispose]()));
  }
  const said = await p.client(`
    lines = read("log").splitlines()
    say([[line for line in lines if line[0] == x] == ["%s%06d" % (x, i) for i in range(2000)] for x in "abc"])
    say(len(lines), os.stat(p("log")).st_size, os.stat(S + "/log").st_size)
  `);
  assertEquals(said, [[true, true, true], [6000, 48000, 48000]]);
});

coherent("coherence: O_TRUNC and ftruncate by either name cut both, and what is added is zeros", async () => {
  await using p = await place();
  const said = await p.client(`
    open(S + "/a", "w").write("x" * 10000)
    fd, native = opened("a", os.O_RDWR), os.open(S + "/a", os.O_RDWR)
    def sizes(): return [os.fstat(f).st_size for f in (fd, native)]
    os.close(opened("a", os.O_WRONLY | os.O_TRUNC))
    say(sizes(), os.pread(fd, 9, 0).decode())
    os.pwrite(native, b"y" * 5000, 0)
    say(sizes(), len(os.pread(fd, 9999, 0)))
    os.ftruncate(fd, 3)
    os.ftruncate(native, 6)
    say(sizes(), list(os.pread(fd, 9, 0)))
    os.close(os.open(S + "/a", os.O_WRONLY | os.O_TRUNC))
    say(sizes(), os.pread(fd, 9, 0).decode())
  `);
  assertEquals(said, [[[0, 0], ""], [[5000, 5000], 5000], [[6, 6], [121, 121, 121, 0, 0, 0]], [[0, 0], ""]]);
});

coherent("coherence: holes that are punched by either name are holes of both", async () => {
  await using p = await place();
  const said = await p.client(`
    fd = opened("a", os.O_RDWR | os.O_CREAT)
    native = os.open(S + "/a", os.O_RDWR)
    os.pwrite(fd, b"x" * 4096 * 8, 0)
    def holes(): return [[os.lseek(f, at, os.SEEK_HOLE) // 4096 for at in (0, 4096 * 4)] for f in (fd, native)]
    def blocks(): return [os.fstat(f).st_blocks // 8 for f in (fd, native)]
    say(blocks(), holes())
    call("fallocate", fd, 3, 4096, 2 * 4096)
    say(blocks(), holes(), os.pread(native, 4096, 4096) == bytes(4096))
    m = mmap.mmap(fd, 4096 * 8)
    call("fallocate", native, 3, 4096 * 5, 4096)
    say(blocks(), holes(), m[4096 * 5:4096 * 6] == bytes(4096), m[4096 * 4:4096 * 5] == b"x" * 4096)
    m[4096 * 5] = 1
    say(os.pread(native, 2, 4096 * 5) == bytes((1, 0)), os.fstat(native).st_size)
  `);
  assertEquals(said, [
    [[8, 8], [[8, 8], [8, 8]]],
    [[6, 6], [[1, 8], [1, 8]], true],
    [[5, 5], [[1, 5], [1, 5]], true, true],
    [true, 4096 * 8],
  ]);
});

for (const where of ["M", "S"]) {
  const name = where === "M" ? "the file" : "the backing file";
  coherent(`coherence: ${name} is renamed and removed under an open handle, which goes on`, async () => {
    await using p = await place();
    const said = await p.client(`
      open(S + "/a", "w").write("one")
      fd = opened("a", os.O_RDWR)
      os.rename(${where} + "/a", ${where} + "/b")
      os.pwrite(fd, b"TWO", 0)
      say(os.pread(fd, 9, 0).decode(), open(S + "/b").read(), err(opened, "a"), read("b"))
      open(S + "/a", "w").write("other")
      os.rename(S + "/a", S + "/b")
      say(os.pread(fd, 9, 0).decode(), read("b"))
      os.unlink(${where} + "/b")
      say(os.pwrite(fd, b"three", 0), os.pread(fd, 9, 0).decode(), os.fstat(fd).st_size, os.listdir(M))
      m = mmap.mmap(fd, 5)
      os.close(fd)
      m[0] = ord("T")
      say(bytes(m).decode())
    `);
    assertEquals(said, [["TWO", "TWO", "ENOENT", "TWO"], ["TWO", "other"], [5, "three", 5, []], "Three"]);
  });
}
