/**
 * The kernel's rules of passthrough, each as a case on the real kernel: by the raw protocol, so that a kernel that
 * changes one is noticed, and through `mount`, where a file system that asks for just that never gets anybody an EIO.
 */
import { readFile, writeFile } from "node:fs/promises";
import { assertEquals, assertGreater, assertMatch } from "@std/assert";
import { libc } from "../../ffi/load.ts";
import type { Backing, Filesystem, MountOptions, OpenReply, Passthrough } from "../../mod.ts";
import * as flag from "../../src/abi/flags.ts";
import { FUSE_DEV_IOC_CLONE } from "../../src/abi/ioctl.ts";
import { cstring } from "../../src/abi/text.ts";
import { type Client, serve, since, startClient, testWith } from "../support/kernel.ts";
import { mountsUnder, run, type TempDir, tempDir, until } from "../support/harness.ts";
import { Memfds } from "./memfds.ts";
import { type RawOptions, RawServer } from "./raw.ts";

const { O } = libc();
const { FOPEN_DIRECT_IO, FOPEN_NOFLUSH, FOPEN_PASSTHROUGH } = flag;

/** Registers a case for kernels that have passthrough. */
const rule = (name: string, fn: () => Promise<void>) => testWith(since(40), name, fn);

// Opens of one inode

/** Options of an open reply, and their bits. */
const OPTIONS = {
  directIo: flag.FOPEN_DIRECT_IO,
  keepCache: flag.FOPEN_KEEP_CACHE,
  nonSeekable: flag.FOPEN_NONSEEKABLE,
  stream: flag.FOPEN_STREAM,
  noFlush: flag.FOPEN_NOFLUSH,
  parallelDirectWrites: flag.FOPEN_PARALLEL_DIRECT_WRITES,
} as const;

/** The file, if any, then options; `A2` is the file of A by another id. */
type Ask = "cached" | `${"A" | "A2" | "B" | ""}${"" | ` ${keyof typeof OPTIONS}`}`;
/** Who answers the reads, and takes the writes, of the handle. */
type Outcome = "file A" | "file B" | "server" | "EIO";
/** Opens the file `a`, or the one that is named; `close` closes the oldest handle. */
type Turn = readonly [ask: Ask, kernel: Outcome, ours: Outcome, more?: More] | "close";

interface More {
  readonly name?: "b";
  /** What becomes of it where the answer is a descriptor as it is. */
  readonly loose?: Outcome;
}

const A = "file A", B = "file B", SERVER = "server", EIO = "EIO";

const RULES: Readonly<Record<string, readonly Turn[]>> = {
  "opens with one id": [["A", A, A], ["A", A, A], ["A", A, A]],
  "another id, of another file": [["A", A, A], ["B", EIO, A], ["A", A, A]],
  "another id, even of the same file": [["A", A, A], ["A2", EIO, A]],
  "passthrough, then cached": [["A", A, A], ["cached", EIO, SERVER]],
  "passthrough, then direct": [["A", A, A], [" directIo", EIO, SERVER]],
  "cached, then passthrough": [["cached", SERVER, SERVER], ["A", EIO, A]],
  "cached, then passthrough once it is closed": [["cached", SERVER, SERVER], "close", ["A", A, A]],
  "direct, then passthrough": [[" directIo", SERVER, SERVER], ["A", A, A], ["A", A, A]],
  "direct, passthrough, direct": [[" directIo", SERVER, SERVER], ["A", A, A], [" directIo", EIO, SERVER]],
  "direct, cached, passthrough": [[" directIo", SERVER, SERVER], ["cached", SERVER, SERVER], ["A", EIO, A]],
  // Through mount nobody has to serve it: the session does.
  "passthrough, then the same with direct": [["A", A, A], ["A directIo", SERVER, A], ["A", A, A]],
  "passthrough with direct first": [["A directIo", SERVER, A], ["A", A, A], ["cached", EIO, SERVER]],
  // A descriptor as it is serves its own handle.
  "passthrough, then the id of another file with direct": [["A", A, A], ["B directIo", EIO, A, { loose: B }]],
  "the next id after the last close": [["A", A, A], "close", ["B", B, B], "close", ["cached", SERVER, SERVER]],
  "inodes have ids of their own": [["A", A, A], ["B", B, B, { name: "b" }], ["A", A, A]],
  "one id of two inodes": [["A", A, A], ["A", A, A, { name: "b" }], "close", ["A", A, A]],
  "with keepCache": [["A keepCache", EIO, A], ["A", A, A]],
  "with nonSeekable": [["A nonSeekable", EIO, A], ["A", A, A]],
  "with stream": [["A stream", EIO, A], ["A", A, A]],
  "with noFlush": [["A noFlush", A, A], ["A", A, A]],
  "with parallelDirectWrites": [["A parallelDirectWrites", A, A], ["A", A, A]],
};

/** Makes the client's part: each turn says what became of it. */
function turns(all: readonly Turn[]): string {
  const names = all.map((turn) => turn === "close" ? "None" : JSON.stringify(turn[3]?.name ?? "a"));
  return `
    handles, said = [], []
    for name in [${names}]:
      if name is None:
        os.close(handles.pop(0))
        continue
      try: handles.append(opened(name, os.O_RDWR))
      except OSError as error:
        said.append(errno.errorcode[error.errno])
        continue
      os.pwrite(handles[-1], b"+", 6)
      said.append(os.pread(handles[-1], 6, 0).decode())
    say(said)
  `;
}

const opens = (all: readonly Turn[]) => all.filter((turn) => turn !== "close");
const served = (outcomes: readonly Outcome[]) => outcomes.filter((outcome) => outcome === SERVER).length;

/** A file's letter, or "", and the name of an option, or none. */
function words(ask: Ask): [file: string, option: keyof typeof OPTIONS | undefined] {
  const [file, option] = ask.split(" ");
  return [file === "cached" ? "" : file, option as keyof typeof OPTIONS | undefined];
}

for (const [what, all] of Object.entries(RULES)) {
  rule(`rules, the kernel: ${what}`, async () => {
    using files = new Memfds();
    await using server = await RawServer.mount();
    const [a, b] = [files.file(A), files.file(B)];
    const ids = { A: server.register(a), A2: server.register(a), B: server.register(b) } as Record<string, number>;
    const asks = opens(all).map(([ask]) => words(ask));
    server.open = () => {
      const [file, option] = asks.shift()!;
      const bits = (file ? FOPEN_PASSTHROUGH : 0) | (option ? OPTIONS[option] : 0);
      return { flags: bits, id: file ? ids[file] : 0 };
    };
    const expected = opens(all).map(([, outcome]) => outcome);
    assertEquals(await client(server.dir, turns(all)), [expected]);
    assertEquals(server.count("READ", "WRITE"), Array(2).fill(served(expected)));
  });

  for (const registered of [true, false]) {
    rule(`rules, ${registered ? "registered files" : "descriptors"}: ${what}`, async () => {
      using files = new Memfds();
      const fds: Record<string, number> = { A: files.file(A), B: files.file(B) };
      fds.A2 = files.again(fds.A, O.RDWR);
      const asks = opens(all).map(([ask]) => words(ask));
      await using p = await place((passthrough) => {
        const [file, option] = asks.shift()!;
        const backing = file === "" ? undefined : registered ? passthrough.register(fds[file]) : fds[file];
        return { backing, ...option && { [option]: true } };
      });
      const expected = opens(all).map(([, , ours, more]) => registered ? ours : more?.loose ?? ours);
      assertEquals(await p.client(turns(all)), [expected]);
      assertEquals(p.count("read", "write"), Array(2).fill(served(expected)));
      await noneLeft(p);
    });
  }
}

/** Runs a client to its end: what it said. */
async function client(dir: TempDir, script: string): Promise<unknown[]> {
  await using running = await startClient(script, [dir.path]);
  return await running.rest();
}

interface Place extends AsyncDisposable {
  readonly dir: TempDir;
  readonly files: Passthrough;
  readonly opcodes: readonly string[];
  /** How often each of some methods was called. */
  count(...methods: (keyof Filesystem)[]): number[];
  client(script: string): Promise<unknown[]>;
  start(script: string): Promise<Client>;
}

/** Files `a` and `b` that are opened as a test says. Their author's own data are `server`. */
async function place(open: (files: Passthrough) => OpenReply, options: MountOptions = {}): Promise<Place> {
  const errors: unknown[] = [], names = ["a", "b"];
  let files!: Passthrough;
  const attr = (nodeid: number) => nodeid === 1 ? { mode: 0o40777 } : { mode: 0o100666, size: 6 };
  const s = await serve({
    init: ({ passthrough }) => void (files = passthrough),
    lookup: ({ name }) => names.includes(name) ? { nodeid: names.indexOf(name) + 2, attr: attr(2) } : null,
    getattr: ({ nodeid }) => ({ attr: attr(nodeid) }),
    setattr: ({ nodeid }) => ({ attr: attr(nodeid) }),
    open: () => open(files),
    read: ({ offset }) => new TextEncoder().encode(SERVER).subarray(offset),
    write: ({ data }) => data.length,
  }, { onError: (error) => void errors.push(error), ...options });
  return {
    dir: s.dir,
    files,
    opcodes: s.opcodes,
    count: (...methods) => methods.map((method) => s.args(method as "read").length),
    client: (script) => s.client(script),
    start: (script) => s.start(script),
    async [Symbol.asyncDispose]() {
      await s[Symbol.asyncDispose]();
      assertEquals(errors, []);
    },
  };
}

async function noneLeft({ files }: Place): Promise<void> {
  await until(() => files.stats().open === 0, "every id is closed");
}

// Enabling and registering

rule("rules, the kernel: passthrough is on with a depth of 1 or 2, whatever minor version is declared", async () => {
  using files = new Memfds();
  const fd = files.file(A);
  const off: RawOptions[] = [
    { maxStackDepth: 0 },
    { maxStackDepth: 3 },
    { flags: ["FUSE_WRITEBACK_CACHE"] },
  ];
  const on: RawOptions[] = [{ maxStackDepth: 1 }, { maxStackDepth: 2 }, { minor: 39 }, { minor: 31 }];
  for (const options of [...off, ...on]) {
    await using server = await RawServer.mount(options);
    const works = on.includes(options);
    assertEquals(server.register(fd), works ? 1 : "EPERM", JSON.stringify(options));
    server.open = () => ({ flags: FOPEN_PASSTHROUGH, id: 1 });
    assertEquals(await client(server.dir, `say(err(opened, "a"))`), [works ? "ok" : EIO]);
  }
});

rule("rules: where passthrough is off the session serves, and says why", async () => {
  for (const options of [{ passthrough: false }, { writebackCache: true }] as MountOptions[]) {
    const backings: Backing[] = [];
    await using p = await place((files) => {
      backings.push(files.register({ memfd: "a" }));
      return { backing: backings.at(-1)! };
    }, options);
    assertEquals(await p.client(`fd = opened("a", os.O_RDWR); os.pwrite(fd, b"in ram", 0); say(read("a"))`), [
      "in ram",
    ]);
    assertEquals([backings[0].mode, backings[0].id, p.count("read", "write")], ["served", 0, [0, 0]]);
    assertMatch(backings[0].reason!, options.passthrough === false ? /option passthrough/ : /writeback cache/);
  }
});

rule("rules, the kernel: BACKING_OPEN is EPERM before the reply to INIT", async () => {
  using files = new Memfds();
  let early: number | string = 0;
  await using server = await RawServer.mount({ init: (server) => early = server.register(files.file()) });
  assertEquals([early, server.register(files.file())], ["EPERM", 1]);
});

rule("rules, the kernel: BACKING_OPEN needs CAP_SYS_ADMIN in the initial user namespace", async () => {
  await using server = await RawServer.mount();
  // pidfd_open(2) and pidfd_getfd(2): the server's device, in a process that gives up its privilege.
  const said = await client(
    server.dir,
    `
    def register():
      return fcntl.ioctl(device, 0x4010e501, bytearray(struct.pack("iIQ", file, 0, 0)))
    device = call("syscall", 438, call("syscall", 434, ${process()}, 0), ${server.fd}, 0)
    file = os.memfd_create("a")
    say(register())
    if os.fork() == 0:
      call("unshare", 0x10000000)
      say(err(register))
      os._exit(0)
    os.wait()
    become(65534, 65534)
    say(err(register))
  `,
  );
  assertEquals(said, [1, "EPERM", "EPERM"]);
});

/** This process. */
const process = () => libc().getpid();

rule("rules, the kernel: what can be registered", async () => {
  using files = new Memfds();
  await using server = await RawServer.mount();
  const { dir } = server;
  const device = files.open("/dev/fuse", O.RDWR);
  const argument = new Uint8Array(new Uint32Array([server.fd]).buffer);
  assertEquals(libc().ioctl(device, FUSE_DEV_IOC_CLONE, argument), 0);
  // Without FLUSH, which close(2) would wait for.
  server.open = () => ({ flags: FOPEN_NOFLUSH });
  const own = await libc().openAsync(cstring(dir.join("a")), O.RDONLY | O.CLOEXEC);
  const file = files.file(A);
  const cases: [string, number | string, number | string][] = [
    ["a file in memory", server.register(file), 1],
    ["read-only", server.register(files.again(file, O.RDONLY)), 2],
    ["O_PATH", server.register(files.again(file, O.PATH)), 3],
    ["by a clone of the device", server.register(file, {}, device), 4],
    ["a directory", server.register(files.open("/tmp", O.RDONLY)), "EISDIR"],
    ["a pipe", server.register(files.pipe()[0]), "EINVAL"],
    ["a device", server.register(files.open("/dev/null", O.RDWR)), "EINVAL"],
    ["no descriptor", server.register(1 << 20), "EBADF"],
    ["with flags", server.register(file, { flags: 1 }), "EINVAL"],
    ["with padding", server.register(file, { padding: 1 }), "EINVAL"],
    ["a file of the same mount", server.register(own), "ELOOP"],
  ];
  assertEquals(cases.map(([what, got]) => [what, got]), cases.map(([what, , expected]) => [what, expected]));
  libc().close(own);
});

rule("rules: what the kernel does not take is served, and says why", async () => {
  using files = new Memfds();
  const reasons: [number, RegExp][] = [
    [files.open("/dev/zero", O.RDWR), /^FUSE_DEV_IOC_BACKING_OPEN says EINVAL$/],
  ];
  for (const [fd, reason] of reasons) {
    let backing!: Backing;
    await using p = await place((registry) => ({ backing: backing = registry.register(fd, { coherent: false }) }));
    const got = await p.client(`say(os.pread(opened("a", os.O_RDWR), 6, 0).decode())`);
    assertEquals([got, backing.mode, p.count("read")], [["\0".repeat(6)], "served", [0]]);
    assertMatch(backing.reason!, reason);
  }
});

rule("rules, the kernel: ids count from 1, hold the file by themselves, and are closed once", async () => {
  using files = new Memfds();
  await using server = await RawServer.mount();
  const ids = Array.from({ length: 3000 }, (_, i) => {
    const fd = files.file(`file ${i}`);
    const id = server.register(fd);
    files.close(fd);
    return id;
  });
  assertEquals(ids, Array.from({ length: 3000 }, (_, i) => i + 1));
  server.open = () => ({ flags: FOPEN_PASSTHROUGH, id: 2001 });
  server.size = 9;
  assertEquals(await client(server.dir, `say(read("a"))`), ["file 2000"]);
  assertEquals([1, 2, 2].map((id) => server.close(id)), [0, 0, "ENOENT"]);
  assertEquals([3001, 0, -1].map((id) => server.close(id)), ["ENOENT", "EINVAL", "EINVAL"]);
  // Not at once again.
  assertEquals(server.register(files.file()), 3001);
});

rule("rules, the kernel: an id that is not open is EIO, at the open", async () => {
  using files = new Memfds();
  await using server = await RawServer.mount();
  const id = Number(server.register(files.file(A)));
  for (const wrong of [0, -1, id + 1]) {
    server.open = () => ({ flags: FOPEN_PASSTHROUGH, id: wrong });
    assertEquals(await client(server.dir, `say(err(opened, "a"))`), [EIO]);
  }
  // Closed when the reply is written.
  server.open = () => (server.close(id), { flags: FOPEN_PASSTHROUGH, id });
  assertEquals(await client(server.dir, `say(err(opened, "a"))`), [EIO]);
});

rule("rules, the kernel: the mode of the registered descriptor is no guard", async () => {
  using files = new Memfds();
  const file = files.file(A);
  await using server = await RawServer.mount();
  const id = Number(server.register(files.again(file, O.RDONLY)));
  server.open = () => ({ flags: FOPEN_PASSTHROUGH, id });
  await client(server.dir, `os.pwrite(opened("a", os.O_RDWR), b"changed", 0)`);
  assertEquals(new TextDecoder().decode(files.content(file)), "changed");
});

rule("rules: a file that is registered for reading is EACCES to who opens it for writing, root too", async () => {
  using files = new Memfds();
  const file = files.file(A);
  for (const fd of [files.again(file, O.RDONLY), file]) {
    let backing!: Backing;
    await using p = await place((registry) => ({
      backing: backing = registry.register(fd, fd === file ? { access: "read" } : {}),
    }));
    const script = `
      say(*(err(opened, "a", flags) for flags in (os.O_RDWR, os.O_WRONLY, os.O_RDONLY | os.O_TRUNC)))
      say(read("a"))
    `;
    // O_TRUNC comes as a truncation of its own, behind the open.
    assertEquals([await p.client(script), backing.access], [[["EACCES", "EACCES", "EACCES"], A], "read"]);
    assertEquals(new TextDecoder().decode(files.content(file)), A);
    await noneLeft(p);
  }
});

rule("rules, the kernel: OPENDIR does not look at FOPEN_PASSTHROUGH", async () => {
  await using server = await RawServer.mount();
  server.open = () => ({ flags: FOPEN_PASSTHROUGH, id: 99 });
  assertEquals(await client(server.dir, `say(os.listdir(p("dir")))`), [[]]);
});

rule("rules, the kernel: after ENOSYS to OPEN there is no passthrough", async () => {
  using files = new Memfds();
  await using server = await RawServer.mount({ flags: ["FUSE_NO_OPEN_SUPPORT"] });
  const id = Number(server.register(files.file(A)));
  server.open = () => ({ error: "ENOSYS" });
  assertEquals(await client(server.dir, `say(read("a"), read("a"))`), [["server", "server"]]);
  server.open = () => ({ flags: FOPEN_PASSTHROUGH, id });
  assertEquals(await client(server.dir, `say(read("b"))`), ["server"]);
  assertEquals(server.count("OPEN"), [1]);
});

// The life of an id

rule("rules, the kernel: BACKING_CLOSE under open handles: they go on, the next open is EIO", async () => {
  using files = new Memfds();
  const file = files.file(A);
  await using server = await RawServer.mount();
  const first = Number(server.register(file)), second = Number(server.register(file));
  let id = first;
  server.open = () => ({ flags: FOPEN_PASSTHROUGH, id });
  await using going = await startClient(
    `
    fd = opened("a", os.O_RDWR)
    say(0)
    wait()
    say(os.pread(fd, 6, 0).decode(), os.pwrite(fd, b"FILE", 0), err(opened, "a"))
    wait()
    say(err(opened, "a"))
    os.close(fd)
    say(read("a"))
    `,
    [server.dir.path],
  );
  await going.next();
  assertEquals(server.close(first), 0);
  await going.go();
  assertEquals(await going.next(), ["file A", 4, EIO]);
  id = second;
  await going.go();
  assertEquals([await going.next(), await going.next()], [EIO, "FILE A"]);
  await going.rest();
  assertEquals(server.count("READ", "WRITE"), [0, 0]);
});

rule("rules: a backing file with open handles is not closed before they are", async () => {
  let backing!: Backing;
  await using p = await place((files) => ({ backing: backing ??= files.register({ memfd: "a" }) }));
  await using going = await p.start(`
    fd = opened("a", os.O_RDWR)
    os.pwrite(fd, b"first", 0)
    say(0)
    wait()
    say(os.pread(fd, 6, 0).decode(), read("a"))
  `);
  await going.next();
  const closed = backing.close({ whenReleased: true });
  await going.go();
  assertEquals(await going.next(), ["first", "first"]);
  await going.rest();
  await closed;
  assertEquals(p.files.stats(), { registered: 1, closed: 1, open: 0, fallbacks: {}, reasons: {} });
});

const MAPPED = `
  fd = opened("a", os.O_RDWR)
  m = mmap.mmap(fd, 6)
  os.close(fd)
  say(0)
  wait()
  say(bytes(m).decode(), err(opened, "a"))
  m[:4] = b"FILE"
  m.close()
  say(read("a"))
`;

rule("rules, the kernel: a duplicate of a descriptor, as Python's mmap keeps one, keeps the handle", async () => {
  using files = new Memfds();
  await using server = await RawServer.mount();
  const id = Number(server.register(files.file(A)));
  server.open = () => ({ flags: FOPEN_PASSTHROUGH, id });
  await using going = await startClient(MAPPED, [server.dir.path]);
  await going.next();
  assertEquals(server.count("FLUSH", "RELEASE"), [1, 0]);
  let open = 0;
  // Cached beside the mapping, then passthrough again.
  server.open = () => open++ === 0 ? {} : { flags: FOPEN_PASSTHROUGH, id };
  await going.go();
  assertEquals([await going.next(), await going.next()], [["file A", EIO], "FILE A"]);
  await going.rest();
  assertEquals(server.count("READ", "WRITE"), [0, 0]);
});

rule("rules: a duplicate of a descriptor keeps the id, and the opens beside it are legal", async () => {
  using files = new Memfds();
  const fd = files.file(A);
  let asked = 0;
  await using p = await place(() => ++asked === 2 ? {} : { backing: fd });
  await using going = await p.start(MAPPED);
  await going.next();
  assertEquals([p.count("flush", "release"), p.files.stats().open], [[0, 0], 1]);
  await going.go();
  assertEquals([await going.next(), await going.next()], [["file A", "ok"], "FILE A"]);
  await going.rest();
  assertEquals(p.count("read", "write"), [0, 0]);
  await noneLeft(p);
});

const OUTLIVES = `
  fd = opened("a", os.O_RDWR)
  m = Mapping(fd, 6)
  os.close(fd)
  say(0)
  wait()
  fd = opened("a", os.O_RDWR)
  say(m.load().decode(), os.pread(fd, 6, 0).decode())
  m.store(b"FILE")
  os.close(fd)
  say(m.load().decode(), read("a"))
  m.close()
`;

rule("rules, the kernel: a mapping alone keeps no handle, and goes on beside any other", async () => {
  using files = new Memfds();
  await using server = await RawServer.mount();
  const file = files.file(A);
  const id = Number(server.register(file));
  server.open = () => ({ flags: FOPEN_PASSTHROUGH, id });
  await using going = await startClient(OUTLIVES, [server.dir.path]);
  await going.next();
  await until(() => server.count("RELEASE")[0] === 1, "it is released");
  assertEquals(server.close(id), 0);
  // Cached beside the mapping, then passthrough by another id.
  let open = 0;
  server.open = () => open++ === 0 ? {} : { flags: FOPEN_PASSTHROUGH, id: Number(server.register(file)) };
  await going.go();
  assertEquals([await going.next(), await going.next()], [["file A", "server"], ["FILE A", "FILE A"]]);
  await going.rest();
});

rule("rules: a mapping goes on when its handle, and the id, are gone", async () => {
  using files = new Memfds();
  const fd = files.file(A);
  let asked = 0;
  await using p = await place(() => ++asked === 2 ? {} : { backing: fd });
  await using going = await p.start(OUTLIVES);
  await going.next();
  await noneLeft(p);
  await going.go();
  assertEquals([await going.next(), await going.next()], [["file A", "server"], ["FILE A", "FILE A"]]);
  await going.rest();
  await noneLeft(p);
});

rule("rules, the kernel: what goes past the page cache and is mapped stands in the way of an id", async () => {
  using files = new Memfds();
  await using server = await RawServer.mount({ flags: ["FUSE_DIRECT_IO_ALLOW_MMAP"] });
  const id = Number(server.register(files.file(A)));
  let open = 0;
  server.open = () => open++ === 0 ? { flags: FOPEN_DIRECT_IO } : { flags: FOPEN_PASSTHROUGH, id };
  const script = `
    fd = opened("a", os.O_RDWR)
    m = Mapping(fd, 6)
    say(err(opened, "a"))
  `;
  assertEquals(await client(server.dir, script), [EIO]);
});

rule("rules: what goes past the page cache may be mapped before and after another one asks for a file", async () => {
  using files = new Memfds();
  const fd = files.file(A);
  for (const [mapped, later] of [["first", "Mapping(second, 6)"], ["second", "Mapping(first, 6)"]]) {
    for (const again of [{ backing: fd }, { backing: fd, directIo: true }]) {
      let asked = 0;
      await using p = await place(() => ++asked === 1 ? { directIo: true } : again);
      const got = await p.client(`
        first = opened("a", os.O_RDWR)
        m = Mapping(first, 6) if ${JSON.stringify(mapped)} == "first" else None
        second = opened("a", os.O_RDWR)
        m = Mapping(second, 6) if m is None else m
        n = ${later}
        third = opened("a", os.O_RDWR)
        say(os.pread(third, 6, 0).decode())
      `);
      assertEquals(got, ["file A"]);
    }
  }
});

rule(
  "rules, the kernel: with direct beside passthrough, read and write come to the server and mmap does not",
  async () => {
    using files = new Memfds();
    const file = files.file(A);
    await using server = await RawServer.mount();
    const id = Number(server.register(file));
    server.open = () => ({ flags: FOPEN_PASSTHROUGH | FOPEN_DIRECT_IO, id });
    const said = await client(
      server.dir,
      `
    fd = opened("a", os.O_RDWR)
    m = mmap.mmap(fd, 6)
    m[:4] = b"FILE"
    say(os.pread(fd, 6, 0).decode(), os.pwrite(fd, b"lost", 0), bytes(m).decode())
    `,
    );
    assertEquals(said, [["server", 4, "FILE A"]]);
    assertEquals(new TextDecoder().decode(files.content(file)), "FILE A");
    assertEquals(server.count("READ", "WRITE"), [1, 1]);
  },
);

rule("rules, the kernel: a backing file that was replaced goes on being served while it is open", async () => {
  await using dir = await tempDir();
  using files = new Memfds();
  await writeFile(dir.join("now"), A);
  await using server = await RawServer.mount();
  server.open = () => {
    const fd = files.open(dir.join("now"), O.RDWR), id = Number(server.register(fd));
    files.close(fd);
    return { flags: FOPEN_PASSTHROUGH, id };
  };
  await using going = await startClient(
    `fd = opened("a"); say(0); wait(); say(os.pread(fd, 6, 0).decode()); os.close(fd); say(read("a"))`,
    [server.dir.path],
  );
  await going.next();
  await writeFile(dir.join("next"), B);
  assertEquals((await run(["mv", dir.join("next"), dir.join("now")])).code, 0);
  await going.go();
  assertEquals([await going.next(), await going.next()], [A, B]);
  await going.rest();
});

// What still reaches the server

/** Everything that can be done to an open file, save reading and writing. */
const WORK = `
  fd = opened("a", os.O_RDWR)
  os.pwrite(fd, b"x" * 5000, 0)
  os.pread(fd, 5000, 0)
  m = mmap.mmap(fd, 4096)
  m[:4] = b"mmap"
  m.flush()
  m.close()
  ends = os.pipe()
  os.splice(fd, ends[1], 4096, offset_src=0)
  os.splice(ends[0], fd, 4096, offset_dst=0)
  direct = opened("a", os.O_RDWR | os.O_DIRECT)
  page = mmap.mmap(-1, 4096)
  os.preadv(direct, [page], 0)
  os.pwritev(direct, [page], 0)
  os.close(direct)
  say(0)
  wait()
  os.fsync(fd)
  call("fallocate", fd, 1, 0, 4096)
  os.lseek(fd, 0, os.SEEK_DATA)
  os.ftruncate(fd, 6)
  fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
  err(fcntl.ioctl, fd, iowr(2, "x", 1, 4), bytearray(4))
  other = opened("b", os.O_RDWR)
  os.copy_file_range(fd, other, 6, 0, 0)
  os.close(fd)
`;

rule("rules, the kernel: what reaches the server of a passthrough file, and what does not", async () => {
  using files = new Memfds();
  await using dir = await tempDir();
  const ids: Record<number, number> = {};
  await using server = await RawServer.mount({ flags: ["FUSE_POSIX_LOCKS"] });
  server.size = 5000;
  // On a disk, since O_DIRECT goes to it.
  ids[2] = Number(server.register(files.open(dir.join("a"), O.RDWR | O.CREAT)));
  ids[3] = Number(server.register(files.file(B)));
  server.open = (nodeid) => ({ flags: FOPEN_PASSTHROUGH, id: ids[nodeid] });
  await using going = await startClient(WORK, [server.dir.path]);
  await going.next();
  const quiet = ["LOOKUP", "OPEN", "GETATTR", "GETXATTR", "FLUSH", "RELEASE", "INIT"];
  assertEquals(server.opcodes.filter((opcode) => !quiet.includes(opcode)), []);
  // Nobody waits for it.
  await until(() => server.count("RELEASE")[0] === 1, "the direct one is released");
  server.clear();
  await going.go();
  await going.rest();
  const copies = server.count("COPY_FILE_RANGE", "COPY_FILE_RANGE_64").reduce((sum, n) => sum + n);
  assertEquals([copies, ...server.count("READ", "WRITE")], [1, 0, 0]);
  for (const opcode of ["FSYNC", "FALLOCATE", "LSEEK", "SETATTR", "SETLK", "IOCTL", "FLUSH"]) {
    assertGreater(server.count(opcode)[0], 0, opcode);
  }
  await until(() => server.count("RELEASE")[0] === 2, "both are released");
});

rule("rules: none of reading and writing, by whatever call, reaches the file system", async () => {
  await using dir = await tempDir();
  using files = new Memfds();
  const fds = [files.open(dir.join("a"), O.RDWR | O.CREAT), files.file(B)];
  let opened = 0;
  await using p = await place((registry) => ({ backing: registry.register(fds[++opened > 2 ? 1 : 0]) }));
  await using going = await p.start(WORK);
  await going.next();
  await going.go();
  await going.rest();
  assertEquals(p.count("read", "write", "fallocate", "lseek", "copyFileRange"), [0, 0, 0, 0, 0]);
  assertEquals(p.opcodes.filter((opcode) => opcode === "READ" || opcode === "WRITE"), []);
  await noneLeft(p);
});

rule("rules, the kernel: with noFlush a close sends no FLUSH", async () => {
  using files = new Memfds();
  await using server = await RawServer.mount();
  const id = Number(server.register(files.file(A)));
  for (const [flags, flushes] of [[0, 1], [FOPEN_NOFLUSH, 0]]) {
    server.clear();
    server.open = () => ({ flags: FOPEN_PASSTHROUGH | flags, id });
    assertEquals(await client(server.dir, `say(read("a"))`), [A]);
    await until(() => server.count("RELEASE")[0] === 1, "it is released");
    assertEquals(server.count("FLUSH"), [flushes]);
  }
});

rule("rules, the kernel: cached attributes are dropped by a write and a read, not by a store", async () => {
  using files = new Memfds();
  await using server = await RawServer.mount({ attrTimeout: 1000 });
  const id = Number(server.register(files.file(A)));
  server.open = () => ({ flags: FOPEN_PASSTHROUGH, id });
  await using going = await startClient(
    `
    fd = opened("a", os.O_RDWR)
    m = mmap.mmap(fd, 6)
    def store(): m[:4] = b"FILE"
    for work in (lambda: 0, lambda: os.pwrite(fd, b"f", 0), lambda: os.pread(fd, 6, 0), store):
      os.fstat(fd)
      say(0)
      wait()
      work()
      os.fstat(fd)
      os.fstat(fd)
      say(0)
      wait()
    `,
    [server.dir.path],
  );
  const counts: number[] = [];
  for (let i = 0; i < 4; i++) {
    await going.next();
    server.clear();
    await going.go();
    await going.next();
    counts.push(...server.count("GETATTR"));
    await going.go();
  }
  await going.rest();
  assertEquals(counts, [0, 1, 1, 0]);
});

const STALE = `
  fd = opened("a", os.O_RDWR)
  size = os.fstat(fd).st_size
  os.pwrite(fd, b"file A, and more", 0)
  say(size, os.fstat(fd).st_size, os.lseek(fd, 0, os.SEEK_END), os.pread(fd, 99, 0).decode())
`;

rule("rules, the kernel: a stale size does not clip reads, but stat and SEEK_END show it", async () => {
  using files = new Memfds();
  await using server = await RawServer.mount();
  const id = Number(server.register(files.file(A)));
  server.open = () => ({ flags: FOPEN_PASSTHROUGH, id });
  assertEquals(await client(server.dir, STALE), [[6, 6, 6, "file A, and more"]]);
});

rule("rules: the size is always that of the backing file", async () => {
  using files = new Memfds();
  const fd = files.file(A);
  await using p = await place((registry) => ({ backing: registry.register(fd) }));
  assertEquals(await p.client(STALE), [[6, 16, 16, "file A, and more"]]);
});

rule("rules, the kernel: O_APPEND lands at the true end of the backing file", async () => {
  using files = new Memfds();
  const file = files.file("longer than the server says");
  await using server = await RawServer.mount({ attrTimeout: 1000 });
  const id = Number(server.register(file));
  server.open = () => ({ flags: FOPEN_PASSTHROUGH, id });
  await client(server.dir, `os.write(opened("a", os.O_WRONLY | os.O_APPEND), b"!")`);
  assertEquals(new TextDecoder().decode(files.content(file)), "longer than the server says!");
});

rule("rules, the kernel: O_TRUNC is a SETATTR, or with ATOMIC_O_TRUNC the server's own to do", async () => {
  for (const flags of [[], ["FUSE_ATOMIC_O_TRUNC"]] as const) {
    using files = new Memfds();
    const file = files.file(A);
    await using server = await RawServer.mount({ flags });
    const id = Number(server.register(file));
    server.open = () => ({ flags: FOPEN_PASSTHROUGH, id });
    assertEquals(await client(server.dir, `say(os.pread(opened("a", os.O_RDWR | os.O_TRUNC), 9, 0).decode())`), [A]);
    assertEquals([server.count("SETATTR"), server.sizes], flags.length === 0 ? [[1], [0]] : [[0], []]);
  }
});

rule("rules: O_TRUNC empties the backing file, however it comes", async () => {
  for (const atomicOTrunc of [false, true]) {
    using files = new Memfds();
    const fd = files.file(A);
    await using p = await place((registry) => ({ backing: registry.register(fd) }), { atomicOTrunc });
    assertEquals(await p.client(`say(os.pread(opened("a", os.O_RDWR | os.O_TRUNC), 9, 0).decode())`), [""]);
    assertEquals([files.content(fd).length, p.count("setattr")], [0, [atomicOTrunc ? 0 : 1]]);
  }
});

rule("rules, the kernel: a write of an ordinary user sends SETATTR for set-id bits, and then goes by", async () => {
  await using dir = await tempDir();
  using files = new Memfds();
  const file = files.open(dir.join("suid"), O.RDWR | O.CREAT);
  libc().fchmod(file, 0o4777);
  await using server = await RawServer.mount();
  const id = Number(server.register(file));
  server.open = () => ({ flags: FOPEN_PASSTHROUGH, id });
  await client(server.dir, `become(65534, 65534); os.write(opened("suid", os.O_WRONLY), b"data")`);
  // The server did nothing about it, and the write was the registrar's: root's.
  assertEquals([server.count("SETATTR", "WRITE"), (files.stat(file).mode & 0o7777).toString(8)], [[1, 0], "4777"]);
  assertEquals(await readFile(dir.join("suid"), "utf8"), "data");
});

const ABORTED = `
  fd = opened("a", os.O_RDWR)
  say(0)
  wait()
  say(os.pwrite(fd, b"FILE", 0), os.pread(fd, 6, 0).decode(), err(os.fstat, fd), err(opened, "a"))
`;

/** Cuts the connection of the mount at a folder. */
async function abort(dir: TempDir): Promise<void> {
  const [{ minor }] = await mountsUnder(dir.path);
  const [folder, file] = ["/sys/fs/fuse/connections", `/sys/fs/fuse/connections/${minor}/abort`];
  // In a mount namespace of its own, since the control file system may not be mounted.
  const { stderr } = await run(["unshare", "-m", "sh", "-c", `mount -t fusectl none ${folder}; echo 1 > ${file}`]);
  assertEquals(stderr, "");
}

rule("rules, the kernel: after an abort open handles read and write, all else is ENOTCONN", async () => {
  using files = new Memfds();
  await using server = await RawServer.mount();
  const id = Number(server.register(files.file(A)));
  server.open = () => ({ flags: FOPEN_PASSTHROUGH, id });
  await using going = await startClient(ABORTED, [server.dir.path]);
  await going.next();
  await abort(server.dir);
  await going.go();
  assertEquals(await going.rest(), [[4, "FILE A", "ENOTCONN", "ENOTCONN"]]);
});

rule("rules: after an abort open handles read and write, and every id is closed", async () => {
  using files = new Memfds();
  const fd = files.file(A);
  await using p = await place((registry) => ({ backing: registry.register(fd) }));
  await using going = await p.start(ABORTED);
  await going.next();
  await abort(p.dir);
  await noneLeft(p);
  await going.go();
  // The mount is taken away meanwhile, so that there may be nothing left to open.
  const [[written, data, stat]] = await going.rest();
  assertEquals([written, data, stat], [4, "FILE A", "ENOTCONN"]);
});
