/** Staged files on the real kernel: written as files are, and handed over once they are closed. */
import fs from "node:fs/promises";
import { assert, assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { libc } from "../../ffi/load.ts";
import {
  type Attr,
  type Backing,
  type Filesystem,
  FuseError,
  mount,
  type MountOptions,
  type Passthrough,
  type Session,
  type TraceEvent,
} from "../../mod.ts";
import { stage, type StagedFile, type StageOptions } from "../../passthrough.ts";
import { deferred } from "../../src/deferred.ts";
import type { Device } from "../../src/device.ts";
import { ERRNO } from "../../src/errno.ts";
import { NOBODY } from "../../src/ops/op.ts";
import { PassthroughRegistry } from "../../src/passthrough/registry.ts";
import { openFds, run, tempDir, test, until } from "../support/harness.ts";
import { losing } from "../support/losing.ts";

const options = { needs: ["root", "fuse", "tool:python3"] as const, sanitize: false };
const decoder = new TextDecoder();
const text = (file: StagedFile) => decoder.decode(file.read());

interface Commit {
  readonly name: string;
  readonly text: string;
}

interface Store extends AsyncDisposable {
  readonly session: Session;
  readonly mnt: string;
  readonly files: Passthrough;
  /** What was handed over, in this order. */
  readonly commits: Commit[];
  /** What was reported. */
  readonly errors: { code: string; opcode: string; nodeid: number }[];
  readonly trace: TraceEvent[];
  /** The contents by name. */
  content(): Record<string, string>;
  /** Python in the mount, with what it said. */
  python(script: string): Promise<string>;
  /** Waits until nothing is open any more. */
  released(): Promise<void>;
}

interface Setup extends MountOptions {
  /** Contents from the beginning. */
  objects?: Record<string, string>;
  dir?: string;
  atClose?: boolean;
  /** Before the store takes it: throws or takes its time. */
  onCommit?: (commit: Commit, file: StagedFile) => void | Promise<void>;
  methods?: (fs: Filesystem) => Filesystem;
}

/** Files by name, each staged while it is open. */
async function store(
  { objects = {}, dir, atClose, onCommit, methods = (fs) => fs, ...more }: Setup = {},
): Promise<Store> {
  const mnt = await tempDir();
  const commits: Commit[] = [], errors: Store["errors"] = [], trace: TraceEvent[] = [];
  const names: string[] = ["", "", ...Object.keys(objects)];
  const contents = new Map<number, Uint8Array>(
    names.slice(2).map((name, i) => [i + 2, new TextEncoder().encode(objects[name])]),
  );
  const stages = new Map<number, Backing>();
  let files!: Passthrough;
  const attr = (nodeid: number): Attr =>
    nodeid === 1 ? { mode: 0o40777 } : { mode: 0o100666, size: contents.get(nodeid)?.length ?? 0 };
  const backing = (nodeid: number): Backing => {
    const old = stages.get(nodeid);
    if (old && old.state !== "closed") return old;
    const staged = files.register(stage({
      dir,
      atClose,
      from: contents.get(nodeid),
      async onCommit(file) {
        const commit = { name: names[nodeid], text: text(file) };
        assertStrictEquals(file.size, commit.text.length);
        await onCommit?.(commit, file);
        commits.push(commit);
        contents.set(nodeid, file.read());
      },
    }));
    stages.set(nodeid, staged);
    return staged;
  };
  const own: Filesystem = {
    init: ({ passthrough }) => void (files = passthrough),
    lookup({ name }) {
      const nodeid = names.indexOf(name);
      return nodeid < 2 ? null : { nodeid, attr: attr(nodeid) };
    },
    getattr: ({ nodeid }) => ({ attr: attr(nodeid) }),
    setattr: ({ nodeid }) => ({ attr: attr(nodeid) }),
    create({ name }) {
      const nodeid = names.push(name) - 1;
      return { entry: { nodeid, attr: attr(nodeid) }, backing: backing(nodeid) };
    },
    open: ({ nodeid }) => ({ backing: backing(nodeid) }),
  };
  const session = await mount(methods(own), mnt.path, {
    signals: false,
    onError: (error, { opcode, nodeid }) =>
      void errors.push({ code: (error as FuseError).code ?? String(error), opcode, nodeid }),
    trace: (event) => void trace.push(event),
    ...more,
  });
  return {
    session,
    mnt: mnt.path,
    files,
    commits,
    errors,
    trace,
    content: () => Object.fromEntries([...contents].map(([nodeid, bytes]) => [names[nodeid], decoder.decode(bytes)])),
    async python(script) {
      const all = `import ctypes, errno, os, sys, threading, time
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
class Map:
    # Python's own keeps a duplicate of the descriptor.
    def __init__(self, fd, size):
        self.size, self.at = size, libc.mmap(None, size, 3, 1, fd, 0)
        assert self.at != ctypes.c_void_p(-1).value
    def store(self, at, data): ctypes.memmove(self.at + at, data, len(data))
    def load(self, at, size): return ctypes.string_at(self.at + at, size)
    def close(self): assert libc.munmap(self.at, self.size) == 0
W = os.O_WRONLY | os.O_CREAT
RW = os.O_RDWR | os.O_CREAT
def close(fd):
    try: os.close(fd)
    except OSError as e: return errno.errorcode[e.errno]
    return "ok"
${script}`;
      const done = await run(["python3", "-c", all, mnt.path]);
      assertEquals([done.code, done.stderr], [0, ""]);
      return done.stdout.trim();
    },
    released: () => until(() => [...stages.values()].every((b) => b.state === "closed"), "every stage is closed"),
    async [Symbol.asyncDispose]() {
      await session.unmount();
      await mnt[Symbol.asyncDispose]();
    },
  };
}

/** Memory and a directory, each moved by the kernel and by the session. */
function everyway(name: string, work: (setup: Setup) => Promise<void>): void {
  for (const inMemory of [true, false]) {
    for (const passthrough of [true, false]) {
      const where = `${inMemory ? "in memory" : "in a directory"}, ${passthrough ? "by the kernel" : "served"}`;
      test(`stage: ${name} (${where})`, options, async () => {
        if (inMemory) return await work({ passthrough });
        await using dir = await tempDir();
        await work({ passthrough, dir: dir.path });
        assertEquals(await fs.readdir(dir.path), [], "the directory is empty again");
      });
    }
  }
}

everyway("what was written is handed over once, before close returns", async (setup) => {
  await using s = await store(setup);
  const before = (await openFds()).size;
  assertEquals(
    await s.python(`
for name, size in ("small", 12), ("large", 3_000_000):
    fd = os.open(name, W)
    for at in range(0, size, 100_000): os.write(fd, b"x" * min(100_000, size - at))
    print(os.fstat(fd).st_size, close(fd), os.stat(name).st_size)
`),
    "12 ok 12\n3000000 ok 3000000",
  );
  assertEquals(s.commits.map(({ name, text }) => [name, text.length]), [["small", 12], ["large", 3_000_000]]);
  await s.released();
  assertEquals(s.commits.length, 2);
  const { registered, open } = s.files.stats();
  assertEquals([registered, open], [setup.passthrough ? 2 : 0, 0]);
  assertEquals((await openFds()).size, before);
  assertEquals(s.errors, []);
});

everyway("an error of onCommit is close's, once", async (setup) => {
  await using s = await store({
    ...setup,
    onCommit({ name }) {
      if (name in ERRNO) throw new FuseError(name as "EIO");
      if (name === "later") return Promise.reject(new FuseError("EDQUOT"));
      if (name === "bug") throw new Error("a bug");
    },
  });
  assertEquals(
    await s.python(`
def put(name):
    fd = os.open(name, W)
    os.write(fd, b"data")
    return close(fd)
print(*map(put, ("EIO", "ENOSPC", "EDQUOT", "later", "bug", "good")))
`),
    "EIO ENOSPC EDQUOT EDQUOT EIO ok",
  );
  await s.released();
  assertEquals(s.commits, [{ name: "good", text: "data" }]);
  // What says no errno is a bug, and told once as any other.
  assertEquals(s.errors.map(({ code, opcode }) => [code, opcode]), [["Error: a bug", "FUSE_FLUSH"]]);
});

everyway("a child that closes what it inherited hands over no halves", async (setup) => {
  await using s = await store(setup);
  assertEquals((await run(`(echo a; /bin/true; (exit); echo b) > ${s.mnt}/sh`)).code, 0);
  await s.python(`
fd = os.open("py", W)
os.write(fd, b"one ")
if os.fork() == 0: os._exit(0)
os.wait()
os.write(fd, b"two")
os.close(fd)
`);
  await s.released();
  assertEquals(s.commits, [{ name: "sh", text: "a\nb\n" }, { name: "py", text: "one two" }]);
});

everyway("what a child writes after its parent has closed is handed over with the last release", async (setup) => {
  await using s = await store(setup);
  await s.python(`
fd = os.open("a", W)
r, w = os.pipe()
if os.fork() == 0:
    os.close(w)
    os.read(r, 1)
    os.write(fd, b" child")
    os._exit(0)
os.write(fd, b"parent")
os.close(fd)
os.close(w)
os.wait()
`);
  await s.released();
  assertEquals(s.commits.map(({ text }) => text), ["parent", "parent child"]);
});

everyway("a descriptor that was duplicated is handed over with each content that it was closed with", async (setup) => {
  await using s = await store(setup);
  await s.python(`
fd = os.open("a", W)
copy = os.dup(fd)
os.close(fd)
os.write(copy, b"one")
again = os.dup(copy)
os.close(copy)
os.close(os.dup(again))
os.write(again, b" two")
os.close(again)
`);
  await s.released();
  assertEquals(s.commits.map(({ text }) => text), ["one", "one two"]);
});

everyway("of two handles the last one hands over", async (setup) => {
  await using s = await store(setup);
  assertEquals(
    await s.python(`
first = os.open("a", W)
second = os.open("a", os.O_RDWR)
os.write(first, b"first")
print(close(first), os.read(second, 9).decode(), os.stat("a").st_size)
os.write(second, b" second")
print(close(second))
`),
    "ok first 5\nok",
  );
  await s.released();
  assertEquals(s.commits, [{ name: "a", text: "first second" }]);
});

everyway("another thread's close is the process's", async (setup) => {
  await using s = await store({ ...setup, onCommit: () => Promise.reject(new FuseError("ENOSPC")) });
  assertEquals(
    await s.python(`
fds = []
thread = threading.Thread(target=lambda: fds.append(os.open("a", W)))
thread.start()
thread.join()
os.write(fds[0], b"data")
print(close(fds[0]))
`),
    "ENOSPC",
  );
  await s.released();
  assertEquals(s.errors, []);
});

everyway("what is stored to a mapping after close is handed over", async (setup) => {
  await using s = await store({ ...setup, objects: { old: "old content" } });
  await s.python(`
for name, before in ("new", True), ("late", False):
    fd = os.open(name, RW)
    os.ftruncate(fd, 12)
    m = Map(fd, 12)
    if before: m.store(0, b"early")
    os.close(fd)
    # By then the release has come, where the kernel made the mapping of the staged file itself.
    time.sleep(0.1)
    m.store(6, b"later")
    m.close()
# No time changes in memory, not even once.
fd = os.open("old", os.O_RDWR)
m = Map(fd, 11)
m.store(0, b"new")
m.close()
os.close(fd)
# A page that is dirty already faults no more.
fd = os.open("twice", RW)
os.ftruncate(fd, 4096)
m = Map(fd, 4096)
m.store(0, b"one")
os.close(fd)
time.sleep(0.1)
m.store(0, b"two")
m.close()
`);
  await s.released();
  const { new: made, late, old, twice } = s.content();
  assertEquals([made, late, old], ["early\0later\0", "\0\0\0\0\0\0later\0", "new content"]);
  assertEquals([twice.length, twice.slice(0, 3)], [4096, "two"]);
  assertEquals(s.commits.filter(({ name }) => name === "old").length, 1);
  assertEquals(s.errors, []);
});

everyway("what is mapped for long is handed over meanwhile, and at its end", async (setup) => {
  await using s = await store(setup);
  const mapping = s.python(`
fd = os.open("a", RW)
opener = os.getpid()
if os.fork() > 0: os._exit(0)
# The opener's end is a close by the opener: nothing is written before it.
while os.getppid() == opener: time.sleep(0.001)
os.write(fd, b"meanwhile")
m = Map(fd, 9)
os.close(fd)
while not os.path.exists("go"): time.sleep(0.01)
m.store(0, b"after all")
`);
  // Where the mapping keeps the handle open, its end alone is the last release.
  const seen = () =>
    s.commits.length > 0 || !setup.passthrough && s.trace.some(({ opcode }) => opcode === "FUSE_WRITE");
  await until(seen, "it is handed over");
  await run(`: > ${s.mnt}/go`);
  await mapping;
  await s.released();
  const said = s.commits.filter(({ name }) => name === "a").map(({ text }) => text);
  assertEquals(said, setup.passthrough ? ["meanwhile", "after all"] : ["after all"]);
});

everyway("an existing object is changed where it is written", async (setup) => {
  const large = "0123456789abcdef".repeat(40_000);
  await using s = await store({ ...setup, objects: { log: "one\n", large, short: "long text" }, atomicOTrunc: true });
  assertEquals((await run(`cd ${s.mnt} && echo two >> log && cat log && echo new > short`)).stdout, "one\ntwo\n");
  await s.python(`
fd = os.open("large", os.O_RDWR)
assert os.pread(fd, 16, 500_000) == b"0123456789abcdef"
os.pwrite(fd, b"HERE", 500_000)
os.close(fd)
os.truncate("log", 3)
with open("log", "r+") as f: f.truncate(2)
`);
  await s.released();
  assertEquals(s.content(), {
    log: "on",
    large: large.slice(0, 500_000) + "HERE" + large.slice(500_004),
    short: "new\n",
  });
  assertEquals(s.commits.map(({ name }) => name), ["log", "short", "large", "log"]);
});

for (const atomicOTrunc of [true, false]) {
  everyway(
    `O_TRUNC empties, and a shell's redirection is one content (atomicOTrunc ${atomicOTrunc})`,
    async (setup) => {
      await using s = await store({ ...setup, atomicOTrunc, objects: { a: "old and long", b: "old" } });
      assertEquals((await run(`cd ${s.mnt}; echo new > a; : > b; : > c`)).code, 0);
      await s.released();
      assertEquals(s.commits, [{ name: "a", text: "new\n" }, { name: "b", text: "" }, { name: "c", text: "" }]);
      assertEquals(s.content(), { a: "new\n", b: "", c: "" });
    },
  );
}

everyway("what was only read, or opened for writing, is not handed over", async (setup) => {
  await using s = await store({ ...setup, objects: { a: "content", empty: "" } });
  assertEquals(
    await s.python(`
fds = [os.open(name, flags) for name in ("a", "empty") for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR)]
m = Map(fds[2], 7)
print(os.read(fds[0], 9).decode(), m.load(0, 3).decode(), os.fstat(fds[1]).st_size)
m.close()
for fd in fds: os.close(fd)
`),
    "content con 7",
  );
  await s.released();
  assertEquals([s.commits, s.errors], [[], []]);
});

everyway("a commit that takes its time keeps the closer waiting, and nobody else", async (setup) => {
  const gate = deferred<void>();
  let started = false;
  await using s = await store({
    ...setup,
    objects: { other: "served meanwhile" },
    onCommit: ({ name }) => name === "slow" ? (started = true, gate.promise) : undefined,
  });
  const closing = s.python(`
fd = os.open("slow", W)
os.write(fd, b"data")
print(close(fd))
`);
  await until(() => started, "the commit has begun");
  assertEquals(await s.python(`print(open("other").read(), os.listdir("/proc/self")[:0])`), "served meanwhile []");
  assertEquals((await run(`cd ${s.mnt} && echo quick > quick && cat quick slow`)).stdout, "quick\ndata");
  assertEquals(s.commits.map(({ name }) => name), ["quick"]);
  gate.resolve();
  assertEquals(await closing, "ok");
  assertEquals(s.commits.map(({ name }) => name), ["quick", "slow"]);
});

everyway("what is being handed over does not change, and is there for the next opener", async (setup) => {
  const gate = deferred<void>();
  const seen: string[] = [];
  await using s = await store({
    ...setup,
    async onCommit({ text: before }, file) {
      seen.push(before);
      if (seen.length === 1) await gate.promise;
      assertEquals(text(file), before);
    },
  });
  // A child has the last reference: nobody waits for this commit.
  await s.python(`
fd = os.open("a", W)
opener = os.getpid()
if os.fork() == 0:
    while os.getppid() == opener: time.sleep(0.001)
    os.write(fd, b"child")
    os._exit(0)
os._exit(0)
`);
  await until(() => seen.length === 1, "the first commit has begun");
  assertEquals(await s.python(`print(open("a").read(), os.stat("a").st_size)`), "child 5");
  const writing = s.python(`
fd = os.open("a", os.O_RDWR | os.O_APPEND)
os.write(fd, b" and more")
os.ftruncate(fd, 9)
print(close(fd))
`);
  await until(() => s.trace.some(({ opcode, args }) => opcode === "FUSE_SETATTR" && !!args), "it is truncated");
  assertEquals(s.commits, []);
  gate.resolve();
  assertEquals(await writing, "ok");
  await s.released();
  assertEquals(s.commits.map(({ text }) => text), ["child", "child and"]);
  assertEquals(s.errors, []);
});

everyway("an error at the last release is reported once, with the inode", async (setup) => {
  await using s = await store({ ...setup, onCommit: () => Promise.reject(new FuseError("EDQUOT")) });
  assertEquals((await run(`: > ${s.mnt}/a`)).code, 0);
  await s.released();
  await until(() => s.errors.length > 0, "it is reported");
  assertEquals(s.errors, [{ code: "EDQUOT", opcode: "FUSE_RELEASE", nodeid: 2 }]);
  assertEquals(s.files.stats().open, 0);
});

everyway("what close refused is not tried again by the release, unless it has changed", async (setup) => {
  const tried: string[] = [];
  await using s = await store({
    ...setup,
    onCommit({ text }) {
      tried.push(text);
      throw new FuseError("EIO");
    },
  });
  assertEquals(
    await s.python(`
fd = os.open("a", RW)
os.ftruncate(fd, 4)
m = Map(fd, 4)
m.store(0, b"once")
print(close(fd))
m.store(0, b"more")
m.close()
fd = os.open("b", W)
os.write(fd, b"data")
print(close(fd))
`),
    "EIO\nEIO",
  );
  await s.released();
  await until(() => s.errors.length > 0, "it is reported");
  assertEquals(tried.toSorted(), ["data", "more", "once"]);
  assertEquals(s.errors, [{ code: "EIO", opcode: "FUSE_RELEASE", nodeid: 2 }]);
});

everyway("holes and space are the file's", async (setup) => {
  await using s = await store({
    ...setup,
    onCommit: (_, file) => assert(file.size < 100 || file.size === 40_000_000),
  });
  await s.python(`
fd = os.open("a", RW)
os.ftruncate(fd, 40_000_000)
os.pwrite(fd, b"x" * 4096, 20_000_000)
os.fsync(fd)
assert os.stat("a").st_blocks < 1000, os.stat("a")
os.close(fd)
fd = os.open("b", RW)
os.write(fd, b"1234567890")
dup = os.dup(fd)
os.close(fd)
os.posix_fallocate(dup, 0, 10)
os.close(dup)
`);
  await s.released();
  assertEquals(s.commits.map(({ name, text }) => [name, text.length]), [["a", 40_000_000], ["b", 10]]);
  assertEquals(s.commits[0].text.replaceAll("\0", "").length, 4096);
});

everyway("an unmount right after close loses nothing, and waits", async (setup) => {
  const gate = deferred<void>();
  let destroyed: number | undefined;
  await using s = await store({
    ...setup,
    onCommit: () => new Promise((resolve) => void setTimeout(resolve, 200)).then(() => gate.promise),
    methods: (fs) => ({ ...fs, destroy: () => void (destroyed = s.commits.length) }),
  });
  const made = Array.from({ length: 5 }, (_, i) => `: > ${i}`).join("; ");
  assertEquals((await run(`cd ${s.mnt}; ${made}; cd /; umount ${s.mnt}`)).code, 0);
  assertEquals(s.commits, []);
  gate.resolve();
  assertEquals(await s.session.closed, "unmounted");
  assertEquals(s.commits.map(({ name }) => name).sort(), ["0", "1", "2", "3", "4"]);
  assertStrictEquals(destroyed, 5);
  assertEquals(s.errors, []);
});

everyway("a cut connection hands over what is still open", async (setup) => {
  await using s = await store(setup);
  const holding = s.python(`
fd = os.open("a", W)
os.write(fd, b"half")
while True:
    try: os.fstat(fd)
    except OSError: break
    time.sleep(0.02)
print(close(fd))
`);
  await until(() => s.trace.some(({ opcode }) => opcode === "FUSE_CREATE"), "it is made");
  await until(async () => (await s.python(`print(os.stat("a").st_size)`)) === "4", "it is written");
  assertEquals(await s.session.unmount({ timeout: 100 }), "aborted");
  assertMatch(await holding, /^(ENOTCONN|ECONNABORTED)$/);
  assertEquals([s.content(), s.errors], [{ a: "half" }, []]);
});

test("stage: a commit that does not end is given up by an unmount, and reported once", options, async () => {
  const fail = deferred<void>();
  await using s = await store({ onCommit: () => fail.promise });
  assertEquals((await run(`: > ${s.mnt}/a`)).code, 0);
  await s.session.unmount({ timeout: 0 });
  assertEquals(s.errors, [{ code: "ETIMEDOUT", opcode: "FUSE_RELEASE", nodeid: 2 }]);
  fail.reject(new FuseError("EIO"));
  await new Promise((resolve) => setTimeout(resolve, 10));
  assertEquals(s.errors.length, 1);
});

test(
  "stage: closes that nobody wants to know of cost no request, and those of staged files come in",
  options,
  async () => {
    const old = "content";
    await using s = await store({
      objects: { plain: old, backed: old, staged: old },
      methods: (fs) => ({
        ...fs,
        open: (args, request) =>
          args.nodeid === 2
            ? {}
            : args.nodeid === 3
            ? { backing: s.files.register({ memfd: "b" }) }
            : fs.open!(args, request),
        read: () => new TextEncoder().encode(old),
      }),
      onCommit: () => Promise.reject(new FuseError("EDQUOT")),
    });
    assertEquals(
      await s.python(`
def each(name, flags):
    fd = os.open(name, flags)
    if flags: os.write(fd, b"new")
    return close(fd)
print(*(each(name, flags) for name, flags in (
    ("plain", 0), ("backed", 0), ("backed", os.O_RDWR), ("staged", 0), ("staged", os.O_WRONLY))))
`),
      "ok ok ok ok EDQUOT",
    );
    assertEquals(s.trace.filter(({ opcode }) => opcode === "FUSE_FLUSH").map(({ nodeid }) => nodeid), [4]);
  },
);

test("stage: with the writeback cache what the kernel has collected is handed over", options, async () => {
  await using s = await store({ writebackCache: true, onCommit: ({ text }) => assert(text !== "bad") });
  assertEquals(
    await s.python(`
def put(name, data):
    fd = os.open(name, RW)
    os.write(fd, data)
    return close(fd)
print(put("a", b"data"), put("b", b"bad"))
`),
    "ok EIO",
  );
  await s.released();
  assertEquals(s.commits, [{ name: "a", text: "data" }]);
});

test("stage: the author's flush is called in any case, and the commit's error is the closer's", options, async () => {
  let flushed = 0;
  await using s = await store({
    methods: (fs) => ({ ...fs, flush: () => void flushed++ }),
    onCommit: () => Promise.reject(new FuseError("ENOSPC")),
  });
  assertEquals(await s.python(`fd = os.open("a", W); os.write(fd, b"x"); print(close(fd))`), "ENOSPC");
  assertStrictEquals(flushed, 1);
});

// Without a kernel: what is registered, and what of it is left.

function registry(parts: object = {}): PassthroughRegistry {
  return new PassthroughRegistry({ ...libc(), ...parts }, { ioctl: () => 1 } as unknown as Device, 1);
}
const commitsTo = (commits: string[]): StageOptions => ({ onCommit: (file) => void commits.push(text(file)) });

test("stage: a file comes from bytes or a descriptor, whose position stays", async () => {
  await using dir = await tempDir();
  const path = dir.join("from");
  await fs.writeFile(path, "from a file");
  const fd = libc().open(new TextEncoder().encode(`${path}\0`) as never, 0, 0);
  for (const from of [new TextEncoder().encode("from a file"), fd]) {
    using r = registry();
    const commits: string[] = [];
    const decision = r.opened(2, libc().O.WRONLY, { backing: r.register(stage({ ...commitsTo(commits), from })) });
    const data = new TextEncoder().encode("FROM");
    const write = { nodeid: 2, fh: 0, offset: 0, data, flags: 1, fromCache: false, killSuidgid: false };
    assertStrictEquals(await decision.backed!.write(write, NOBODY), 4);
    r.released(2, decision);
    assertEquals(commits, ["FROM a file"]);
  }
  assertStrictEquals(libc().lseek(fd, 0, 1), 0);
  libc().close(fd);
});

test("stage: a file that is not answered, or not closed, leaves no descriptor", async () => {
  const before = await openFds();
  const commits: string[] = [];
  {
    using r = registry();
    r.register(stage(commitsTo(commits)));
    r.register(stage(commitsTo(commits))).close();
    using _used = r.register(stage(commitsTo(commits)));
    r.opened(2, libc().O.RDWR, { backing: r.register(stage({ ...commitsTo(commits), from: NEW })) });
  }
  assertEquals([...(await openFds()).values()], [...before.values()]);
  assertEquals(commits, []);
});

test("stage: a file that was registered and lost, by throwing say, leaves no descriptor", async () => {
  using r = registry();
  await losing(100, () => r.register(stage({ onCommit() {} })));
  await losing(100, () => r.register({ memfd: "lost" }));
});

const NEW = new TextEncoder().encode("new");

test("stage: without O_TMPFILE a file is made and its name removed", async () => {
  await using dir = await tempDir();
  const { O, open } = libc();
  for (const refusal of ["EOPNOTSUPP", "EISDIR"] as const) {
    using r = registry({
      open: (path: Uint8Array, flags: number, mode: number) =>
        (flags & O.TMPFILE) === O.TMPFILE ? -ERRNO[refusal] : open(path as never, flags, mode),
    });
    const commits: string[] = [];
    const flags = O.WRONLY | O.CREAT;
    const made = r.opened(2, flags, {
      backing: r.register(stage({ ...commitsTo(commits), dir: dir.path, from: NEW })),
    });
    assertEquals(await fs.readdir(dir.path), []);
    r.released(2, made);
    assertEquals(commits, ["new"]);
  }
});

test("stage: what cannot be staged is refused, and says where", async () => {
  const before = (await openFds()).size;
  using r = registry();
  const refused = (more: Partial<StageOptions>) =>
    assertThrows(() => r.register(stage({ onCommit() {}, ...more })), FuseError) as FuseError;
  assertMatch(
    refused({ dir: "/dev/null/none" }).message,
    /cannot stage a file in "\/dev\/null\/none": open\(2\) says ENOTDIR/,
  );
  assertStrictEquals(refused({ from: 999_999 }).code, "EBADF");
  const pipe = new Int32Array(2);
  libc().pipe2(pipe, 0);
  assertMatch(refused({ from: pipe[0] }).message, /it is no regular file/);
  for (const fd of pipe) libc().close(fd);
  for (const wrong of [{}, { onCommit: 1 }, { onCommit() {}, from: "text" }, { onCommit() {}, dir: 3 }]) {
    assertThrows(() => stage(wrong as unknown as StageOptions), TypeError, "stage: ");
  }
  assertEquals((await openFds()).size, before);
});

test("stage: a file is read until its commit has ended", () => {
  using r = registry();
  let file!: StagedFile;
  const backing = r.register(stage({ from: NEW, onCommit: (staged) => void text(file = staged) }));
  r.released(2, r.opened(2, libc().O.WRONLY | libc().O.CREAT, { backing }));
  assertThrows(() => file.read(), FuseError, "has ended");
});

test("stage: where there is no room for a copy the file itself is handed over", () => {
  let made = 0;
  const { memfdCreate } = libc();
  using r = registry({
    memfdCreate: (name: Uint8Array, flags: number) => made++ > 0 ? -ERRNO.ENOMEM : memfdCreate(name as never, flags),
  });
  const commits: string[] = [];
  const backing = r.register(stage({ ...commitsTo(commits), from: NEW }));
  r.released(2, r.opened(2, libc().O.WRONLY | libc().O.CREAT, { backing }));
  assertEquals([commits, made], [["new"], 2]);
});

test("stage: a file that stays registered is handed over with each change", () => {
  using r = registry();
  const commits: string[] = [];
  const backing = r.register(stage(commitsTo(commits)), { autoClose: false });
  for (const word of ["one", "", "two"]) {
    const opened = r.opened(2, libc().O.RDWR, { backing });
    const data = new TextEncoder().encode(word);
    const write = { nodeid: 2, fh: 0, offset: 0, data, flags: 2, fromCache: false, killSuidgid: false };
    if (word) opened.backed!.write(write, NOBODY);
    r.released(2, opened);
  }
  assertEquals(commits, ["one", "two"]);
  backing.close();
  assertStrictEquals(backing.state, "closed");
});
