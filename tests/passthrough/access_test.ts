/** What is registered for reading is not written through the mount, and what may be written can be. */
import { assertEquals } from "@std/assert";
import { chmod, copyFile, readFile, stat, writeFile } from "node:fs/promises";
import { libc } from "../../ffi/load.ts";
import type { Backing, Filesystem, MountOptions, Request } from "../../mod.ts";
import { run, test } from "../support/harness.ts";
import { since, testWith } from "../support/kernel.ts";
import { type Opener, openFile, type Place, place } from "./place.ts";

const needs = ["root", "fuse"] as const;
const { O } = libc();

/** Registers a test for the kernel's way and for the session's. */
function bothWays(name: string, body: (options: MountOptions) => Promise<void>): void {
  testWith(since(40), `access: ${name}, through the kernel`, () => body({ passthrough: true }));
  test(`access: ${name}, served`, { needs, sanitize: false }, () => body({ passthrough: false }));
}

/** Python that tells what a call comes to: an errno's name, or "ok". */
const SAYS = `
def says(call, *args):
    try: call(*args)
    except OSError as error: return errno.errorcode[error.errno]
    return "ok"
`;

/** A store by a shared mapping of a descriptor. */
const STORE = `
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
def store(fd):
    at = libc.mmap(None, ctypes.c_size_t(4096), 3, 1, fd, ctypes.c_long(0))
    if at == ctypes.c_void_p(-1).value: raise OSError(ctypes.get_errno(), "mmap")
    ctypes.memmove(at, b"stored", 6)
    libc.munmap(ctypes.c_void_p(at), ctypes.c_size_t(4096))
`;

/** Python in the mount, whose print is a list. */
async function answers(p: Place, script: string): Promise<string[]> {
  return (await p.python(SAYS + STORE + script)).split(/\s+/);
}

/** One file, of 5 bytes. */
const lookup: Filesystem["lookup"] = ({ name }) =>
  name === "a" ? { nodeid: 2, attr: { mode: 0o100666, size: 5 } } : null;

bothWays("who is given it for reading cannot write it, whoever else has it open", async (options) => {
  const byUser = (_args: unknown, { uid }: Request) => uid === 0 ? "read-write" : "read";
  await using p = await place({}, { ...options, allowOther: true }, {
    lookup,
    open: (args, request) => ({ backing: p.files.register(p.dir.join("a"), { access: byUser(args, request) }) }),
  });
  await writeFile(p.dir.join("a"), "hello");
  const guest = `
def guest():
    pid = os.fork()
    if pid == 0:
        os.setresuid(1000, 1000, 1000)
        print(says(os.open, "a", os.O_RDWR), says(os.open, "a", os.O_WRONLY), says(os.open, "a", os.O_RDONLY), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
guest()
fd = os.open("a", os.O_RDWR)
guest()
os.pwrite(fd, b"J", 0)
`;
  const refused = ["EACCES", "EACCES", "ok"];
  assertEquals(await answers(p, guest), [...refused, ...refused]);
  assertEquals(await readFile(p.dir.join("a"), "latin1"), "Jello");
});

bothWays("who may only read may not write either once another one could", async (options) => {
  let reading: Backing | undefined;
  await using p = await place({}, { ...options, allowOther: true }, {
    lookup,
    open: (_args, { uid }) => ({
      backing: uid === 0
        ? p.files.register(p.dir.join("a"))
        : reading ??= p.files.register(p.dir.join("a"), { access: "read", autoClose: false }),
    }),
  });
  await writeFile(p.dir.join("a"), "hello");
  const script = `
def guest():
    pid = os.fork()
    if pid == 0:
        os.setresuid(1000, 1000, 1000)
        fd = os.open("a", os.O_RDONLY)
        if os.fork() == 0:
            time.sleep(0.3)
            os._exit(0)
        print(says(os.open, "a", os.O_RDWR), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
guest()
fd = os.open("a", os.O_RDWR)
assert os.pwrite(fd, b"J", 0) == 1
guest()
os.close(fd)
guest()
`;
  assertEquals(await answers(p, script), ["EACCES", "EACCES", "EACCES"]);
  assertEquals([await readFile(p.dir.join("a"), "latin1"), reading?.access], ["Jello", "read"]);
  await reading?.close({ whenReleased: true });
});

bothWays("a handle that did not ask does not write it either", async (options) => {
  let first = true;
  const reader: Opener = (files, _args, dir) => {
    if (!first) return {};
    first = false;
    return { backing: files.register(dir.join("a"), { access: "read" }) };
  };
  await using p = await place({ a: reader, b: (files) => ({ backing: files.register({ memfd: "b" }) }) }, options);
  await writeFile(p.dir.join("a"), "x".repeat(8192));
  const says = await answers(
    p,
    `
r = os.open("a", os.O_RDONLY)
other = os.open("b", os.O_RDWR)
os.pwrite(other, b"copied", 0)
w = os.open("a", os.O_WRONLY)
print(says(os.posix_fallocate, w, 0, 9000))
print(says(os.copy_file_range, other, w, 6, 0, 0))
print(says(os.ftruncate, w, 1))
print(says(lambda: store(os.open("a", os.O_RDWR))))
`,
  );
  // A mapping through the page cache is the author's.
  assertEquals(says, ["EACCES", "EACCES", "EACCES", options.passthrough ? "EACCES" : "ok"]);
  assertEquals(await readFile(p.dir.join("a"), "latin1"), "x".repeat(8192));
});

bothWays("set-id bits and times of what is for reading stay, and a truncation is not agreed first", async (options) => {
  let asked = 0;
  await using p = await place(
    { a: (files, _args, dir) => ({ backing: files.register(dir.join("a"), { access: "read" }) }) },
    { ...options, handleKillpriv: true },
    { setattr: () => (asked++, { attr: { mode: 0o100666 } }) },
  );
  await writeFile(p.dir.join("a"), "hello");
  await run(`chmod 6755 ${p.dir.join("a")} && touch -d @1000 ${p.dir.join("a")}`);
  const says = await answers(
    p,
    `
fd = os.open("a", os.O_RDONLY)
print(says(os.truncate, "a", 0))
print(says(os.chown, "a", 1, 1), says(os.utime, "a", (5, 5)))
`,
  );
  assertEquals(says, ["EACCES", "ok", "ok"]);
  const { mode, mtimeMs, size } = await stat(p.dir.join("a"));
  assertEquals([mode & 0o7777, mtimeMs, size, asked], [0o6755, 1_000_000, 5, 2]);
});

bothWays("descriptors opened as their openers ask have a part in each other", async (options) => {
  const opened: number[] = [];
  await using p = await place({
    a(files, { flags }, dir) {
      const fd = openFile(dir.join("a"), flags & (O.ACCMODE | O.APPEND));
      opened.push(fd);
      return { backing: files.register(fd) };
    },
  }, options);
  await writeFile(p.dir.join("a"), "hello");
  await p.python(`
r = os.open("a", os.O_RDONLY)
w = os.open("a", os.O_RDWR)
os.pwrite(w, b"J", 0)
assert os.pread(r, 9, 0) == b"Jello", os.pread(r, 9, 0)
o = os.open("a", os.O_WRONLY)
assert os.pwrite(o, b"C", 0) == 1
a = os.open("a", os.O_RDWR | os.O_APPEND)
os.write(a, b"!")
os.close(r); os.close(w); os.close(o); os.close(a)
alone = os.open("a", os.O_WRONLY)
os.pwrite(alone, b"Cellar", 0)
`);
  assertEquals(await readFile(p.dir.join("a"), "latin1"), "Cellar");
  for (const fd of opened) libc().close(fd);
});

bothWays("a path is open for writing only once somebody writes: a program runs meanwhile", async (options) => {
  await using p = await place({ a: (files, _args, dir) => ({ backing: files.register(dir.join("a")) }) }, options);
  await copyFile("/bin/sleep", p.dir.join("a"));
  await run(["chmod", "755", p.dir.join("a")]);
  const says = await answers(
    p,
    `
name = ${JSON.stringify(p.dir.join("a"))}
r = os.open("a", os.O_RDONLY)
child = subprocess.Popen([name, "60"])
r2 = os.open("a", os.O_RDONLY)
print(os.pread(r2, 4, 0)[1:].decode(), says(os.open, "a", os.O_RDWR))
child.kill(); child.wait()
w = os.open("a", os.O_RDWR)
print(says(subprocess.run, [name, "0"]))
`,
  );
  assertEquals(says, ["ELF", "ETXTBSY", "ETXTBSY"]);
});

bothWays("what nobody may change is opened for reading", async (options) => {
  await using p = await place({ a: (files, _args, dir) => ({ backing: files.register(dir.join("a")) }) }, options);
  await writeFile(p.dir.join("a"), "hello");
  // Not every file system has the flag.
  const immutable = (await run(["chattr", "+i", p.dir.join("a")])).code === 0;
  try {
    const says = await answers(p, `print(says(os.open, "a", os.O_RDONLY), says(os.open, "a", os.O_RDWR))`);
    assertEquals(says, immutable ? ["ok", "EACCES"] : ["ok", "ok"]);
  } finally {
    if (immutable) await run(["chattr", "-i", p.dir.join("a")]);
  }
});

bothWays(
  "set-id bits that end in the mount end in the backing file, and no more of its mode changes",
  async (options) => {
    for (const handleKillpriv of [true, "v1", false] as const) {
      const who = { allowOther: true, defaultPermissions: true, handleKillpriv };
      let mode = 0o104777;
      const attr = () => ({ mode, size: 5 });
      await using p = await place({}, { ...options, ...who }, {
        lookup: ({ name }) => name === "a" ? { nodeid: 2, attr: attr() } : null,
        getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? { mode: 0o40777 } : attr() }),
        setattr(args) {
          mode = args.mode ?? (args.killSuidgid ? mode & ~0o6000 : mode);
          return { attr: attr() };
        },
        open: () => ({ backing: p.files.register(p.dir.join("a")) }),
      });
      const path = p.dir.join("a");
      await writeFile(path, "hello");
      await chmod(path, 0o4777);
      const said = await p.python(`
def show(*what): print(*what, *(oct(os.stat(x).st_mode & 0o7777)[2:] for x in ("a", ${
        JSON.stringify(path)
      })), flush=True)
if os.fork() == 0:
    os.setresuid(65534, 65534, 65534)
    os.write(os.open("a", os.O_WRONLY), b"HELLO")
    os._exit(0)
os.wait()
show("written")
fd = os.open("a", os.O_RDWR)
for mode in 0o6750, 0o755:
    os.chmod("a", mode)
    show("by hand", oct(mode)[2:])
os.chmod(${JSON.stringify(path)}, 0o6777)
for mode in 0o6700, 0o2711, 0o640:
    os.chmod("a", mode)
    show("by hand", oct(mode)[2:])
`);
      assertEquals({ handleKillpriv, said: said.split("\n") }, {
        handleKillpriv,
        said: [
          "written 777 777",
          "by hand 6750 6750 777",
          "by hand 755 755 777",
          "by hand 6700 6700 6777",
          "by hand 2711 2711 2777",
          "by hand 640 640 777",
        ],
      });
      assertEquals([await readFile(path, "utf8"), p.errors], ["HELLO", []]);
    }
  },
);
