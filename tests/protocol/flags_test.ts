/** Options that become INIT flags, each by what it changes on the real kernel. */
import { assert, assertEquals, assertGreater, assertLess, assertRejects, assertStringIncludes } from "@std/assert";
import { libc } from "../../ffi/load.ts";
import { type Attr, type Filesystem, mount, type MountOptions, ROOT_ID } from "../../mod.ts";
import { deferred } from "../../src/deferred.ts";
import { mountsUnder, test, until } from "../support/harness.ts";
import {
  ATTRS,
  bytes,
  entry,
  kernel,
  KERNEL_MINOR,
  letGo,
  NAMES,
  offered,
  serve,
  since,
  testWith,
  text,
  tree,
} from "../support/kernel.ts";

const { O } = libc();
const MADE: Attr = { mode: 0o100644 };

// how files are opened and made

test("atomicOTrunc: O_TRUNC arrives with open, or as a setattr", kernel, async () => {
  for (const atomicOTrunc of [true, false]) {
    await using fs = await serve(
      tree({
        open: () => ({}),
        setattr: () => ({ attr: { ...ATTRS[2], size: 0 } }),
      }),
      { atomicOTrunc },
    );
    await fs.client(`os.close(opened("file", os.O_WRONLY | os.O_TRUNC))`);
    assertEquals(fs.args("open")[0].flags & O.TRUNC, atomicOTrunc ? O.TRUNC : 0);
    assertEquals(fs.args("setattr").map(({ size }) => size), atomicOTrunc ? [] : [0]);
  }
});

test("dontMask: the mode comes as the caller gave it", kernel, async () => {
  for (const dontMask of [true, false]) {
    await using fs = await serve(
      tree({
        create: () => ({ entry: entry(10, MADE) }),
        mkdir: () => entry(11, { mode: 0o040755 }),
        mknod: () => entry(12, { mode: 0o010644 }),
      }),
      { dontMask },
    );
    await fs.client(`
      os.umask(0o027)
      os.close(opened("new", os.O_WRONLY | os.O_CREAT, 0o666))
      os.mkdir(p("newdir"), 0o777)
      os.mkfifo(p("newfifo"), 0o666)
    `);
    const made = [...fs.args("create"), ...fs.args("mkdir"), ...fs.args("mknod")];
    assertEquals(made.map(({ umask }) => umask), [0o027, 0o027, 0o027]);
    assertEquals(
      made.map(({ mode }) => mode),
      dontMask ? [0o100666, 0o777, 0o010666] : [0o100640, 0o750, 0o010640],
    );
  }
});

test("noOpen: open is answered once, and nothing is released", kernel, async () => {
  await using fs = await serve(tree({ release: () => {}, flush: () => {} }), { noOpen: true });
  assertEquals(await fs.client(`say([read("file") for _ in range(3)])`), [["hello\n", "hello\n", "hello\n"]]);
  assertEquals(fs.opcodes.filter((name) => name === "OPEN" || name === "RELEASE"), ["OPEN"]);
  assertEquals(fs.args("read").map(({ fh }) => fh), fs.args("read").map(() => 0));
});

test("noOpendir: opendir is answered once, and a directory is read whole without a handle", kernel, async () => {
  const count = 1000;
  for (const cookies of [true, false]) {
    await using fs = await serve(
      tree({
        *readdir({ offset }) {
          for (let k = offset; k < count; k++) {
            yield { name: `n${k}`, ino: k + 10, mode: 0o100000, ...cookies && { offset: k + 1 } };
          }
        },
        releasedir: () => {},
      }),
      { noOpendir: true, readdirplus: "never" },
    );
    const said = await fs.client(`say([len(set(os.listdir(M))) for _ in range(3)])`);
    assertEquals(said, [[count, count, count]]);
    assertEquals(fs.opcodes.filter((name) => name.endsWith("DIR") && name !== "READDIR"), ["OPENDIR"]);
  }
});

test("handleKillpriv: who clears set-id bits when an ordinary user writes, truncates and opens", kernel, async () => {
  const set: Attr = { mode: 0o104777, size: 6 };
  const run = async (handleKillpriv: boolean | "v1", directIo: boolean) => {
    await using fs = await serve(
      tree({
        lookup: () => entry(2, set),
        getattr: ({ nodeid }) => ({ attr: nodeid === ROOT_ID ? ATTRS[1] : set }),
        setattr: ({ mode, size }) => ({ attr: { ...set, mode: mode ?? set.mode, size: size ?? set.size } }),
        write: ({ data }) => data.length,
        open: () => ({ directIo }),
      }),
      { handleKillpriv, allowOther: true, atomicOTrunc: true },
    );
    await fs.client(`
      become(1234, 1234)
      fd = opened("file", os.O_WRONLY)
      os.write(fd, b"x")
      os.ftruncate(fd, 3)
      opened("file", os.O_WRONLY | os.O_TRUNC)
    `);
    return {
      setattr: fs.args("setattr").map(({ mode, size, killSuidgid }) => [mode, size, killSuidgid]),
      write: fs.args("write").map(({ killSuidgid }) => killSuidgid),
      open: fs.args("open").map(({ killSuidgid }) => killSuidgid),
    };
  };
  const asked = async (directIo: boolean) => ({
    off: await run(false, directIo),
    v1: await run("v1", directIo),
    on: await run(true, directIo),
  });
  assertEquals(await asked(true), {
    // The kernel knows that the mode changes with the size, and not what O_TRUNC does. Where it does not say so, we do.
    off: { setattr: [[0o100777, 3, undefined]], write: [true], open: [false, true] },
    v1: { setattr: [[undefined, 3, true]], write: [true], open: [false, true] },
    on: { setattr: [[undefined, 3, true]], write: [true], open: [false, true] },
  });
  assertEquals(await asked(false), {
    off: {
      setattr: [[0o100777, undefined, undefined], [undefined, 3, undefined]],
      write: [false],
      open: [false, true],
    },
    v1: { setattr: [[undefined, undefined, true], [undefined, 3, true]], write: [false], open: [false, true] },
    on: { setattr: [[undefined, undefined, true], [undefined, 3, true]], write: [true], open: [false, true] },
  });
});

test("handleKillpriv: without it capabilities are asked for before each write", kernel, async () => {
  for (const handleKillpriv of [true, false]) {
    await using fs = await serve(tree({ write: ({ data }) => data.length, getxattr: () => null }), { handleKillpriv });
    await fs.client(`
      fd = opened("file", os.O_WRONLY)
      [os.pwrite(fd, b"x", 0) for _ in range(5)]
    `);
    assertEquals(fs.args("write").length, 5);
    const asked = fs.args("getxattr").filter(({ name }) => name === "security.capability").length;
    assertEquals(asked, handleKillpriv ? 1 : 5);
  }
});

test("handleKillpriv: chown always clears them, as the file system is told", kernel, async () => {
  for (const handleKillpriv of [true, "v1", false] as const) {
    await using fs = await serve(tree({ setattr: ({ uid }) => ({ attr: { ...ATTRS[2], uid } }) }), {
      handleKillpriv,
    });
    await fs.client(`os.chown(p("file"), 5, -1)`);
    const uid = { nodeid: 2, uid: 5 };
    assertEquals(fs.args("setattr"), [handleKillpriv ? { ...uid, killSuidgid: true } : uid]);
  }
});

test("posixAcl: the kernel keeps to the list, and says when it clears set-group-id", kernel, async () => {
  const acls = new Map<string, Uint8Array>();
  const attr: Attr = { mode: 0o102640, size: 6, uid: 1234, gid: 5555 };
  await using fs = await serve(
    tree({
      lookup: () => entry(2, attr),
      getattr: ({ nodeid }) => ({ attr: nodeid === ROOT_ID ? ATTRS[1] : attr }),
      setxattr: ({ name, value }) => void acls.set(name, value.slice()),
      getxattr: ({ nodeid, name }) => nodeid === 2 && acls.get(name) || null,
      access: () => {},
    }),
    { posixAcl: true, allowOther: true },
  );
  // linux/posix_acl_xattr.h: tag, permissions, id.
  const said = await fs.client(`
    acl = struct.pack("I", 2) + b"".join(struct.pack("HHI", *e) for e in (
        (1, 6, 2**32 - 1), (2, 4, 4321), (4, 4, 2**32 - 1), (16, 4, 2**32 - 1), (32, 0, 2**32 - 1)))
    def attempt(uid, function, *args):
        pid = os.fork()
        if pid == 0:
            become(uid, 100)
            os._exit(0 if err(function, *args) == "ok" else 1)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    say([attempt(uid, opened, "file") for uid in (1234, 4321, 4322)])
    os.setxattr(p("file"), "system.posix_acl_access", acl)
    say([attempt(uid, opened, "file") for uid in (1234, 4321, 4322)])
    say(attempt(1234, os.setxattr, p("file"), "system.posix_acl_access", acl))
    say(attempt(4321, os.setxattr, p("file"), "system.posix_acl_access", acl))
  `);
  assertEquals(said, [[true, false, false], [true, true, false], true, false]);
  assertEquals(fs.args("access"), []);
  const name = "system.posix_acl_access", value = acls.get(name)!;
  assertEquals(fs.args("setxattr"), [
    { nodeid: 2, name, value, flags: 0 },
    { nodeid: 2, name, value, flags: 0, killSgid: true },
  ]);
});

// locks

test("posixLocks and flockLocks: off, they stay in the kernel though the methods are there", kernel, async () => {
  const locks: Filesystem = { getlk: ({ lock }) => ({ ...lock, type: 2 }), setlk: () => {}, setlkw: () => {} };
  const script = `
    fd = opened("file", os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX)
    fcntl.flock(fd, fcntl.LOCK_EX)
  `;
  for (const [posixLocks, flockLocks] of [[true, false], [false, true], [false, false]]) {
    await using fs = await serve(tree(locks), { posixLocks, flockLocks });
    await fs.client(script);
    const kinds = [...posixLocks ? [false] : [], ...flockLocks ? [true] : []];
    assertEquals(fs.args("setlkw").map(({ flock }) => flock), kinds);
  }
});

// caches

test("cacheSymlinks: a target is asked for once", kernel, async () => {
  for (const cacheSymlinks of [true, false]) {
    await using fs = await serve(tree({ readlink: () => "file" }), { cacheSymlinks });
    assertEquals(await fs.client(`say([os.readlink(p("link")).decode() for _ in range(3)])`), [[
      "file",
      "file",
      "file",
    ]]);
    assertEquals(fs.args("readlink").length, cacheSymlinks ? 1 : 3);
  }
});

test("writebackCache: writes come later and together, with the times", kernel, async () => {
  await using fs = await serve(
    tree({
      open: () => ({ fh: 5 }),
      write: ({ data }) => data.length,
      setattr: ({ nodeid, mtime, ctime }) => ({ attr: { ...ATTRS[nodeid], mtime: mtime as number, ctime } }),
      fsync: () => {},
    }),
    { writebackCache: true },
  );
  await using client = await fs.start(`
    fd = opened("file", os.O_WRONLY)
    for k in range(100):
        os.pwrite(fd, b"x", k)
    say(os.fstat(fd).st_size)
    wait()
    os.fsync(fd)
    say("synced")
  `);
  // The kernel knows the size better than getattr.
  assertEquals(await client.next(), 100);
  assertEquals(fs.args("write"), []);
  await client.go();
  await client.rest();
  const [write] = fs.args("write");
  // The rest of the page was read, though the file was opened to be written only.
  assertEquals(fs.args("read").map(({ offset, size }) => [offset, size]), [[0, 4096]]);
  assertEquals(
    { ...write, data: text(write.data) },
    {
      nodeid: 2,
      fh: 5,
      offset: 0,
      data: "x".repeat(100),
      flags: write.flags,
      fromCache: true,
      killSuidgid: false,
    },
  );
  await until(() => fs.args("setattr").length > 0, "the times are told");
  const [times] = fs.args("setattr");
  assert(Math.abs(times.ctime! - Date.now() / 1000) < 60 && times.mtime === times.ctime);
});

test("autoInvalData and explicitInvalData: whether a changed mtime drops cached data", kernel, async () => {
  for (const explicitInvalData of [false, true]) {
    let content = bytes("one"), mtime = 1;
    await using fs = await serve(
      tree({
        getattr: ({ nodeid }) => ({ attr: nodeid === ROOT_ID ? ATTRS[1] : { ...ATTRS[2], size: 3, mtime } }),
        lookup: () => entry(2, { ...ATTRS[2], size: 3, mtime }),
        open: () => ({ keepCache: true }),
        read: () => content,
      }),
      { explicitInvalData },
    );
    const look = async () => (await fs.client(`say(read("file"))`))[0];
    assertEquals(await look(), "one");
    content = bytes("two");
    assertEquals(await look(), "one");
    mtime = 2;
    assertEquals(await look(), explicitInvalData ? "one" : "two");
    if (explicitInvalData) {
      await fs.session.notify.invalInode(2);
      assertEquals(await look(), "two");
    }
  }
});

testWith(since(39), "directIoAllowMmap: files opened with directIo can be mapped and shared", async () => {
  for (const directIoAllowMmap of [true, false]) {
    await using fs = await serve(tree({ open: () => ({ directIo: true }), write: ({ data }) => data.length }), {
      directIoAllowMmap,
    });
    const said = await fs.client(`
      fd = opened("file", os.O_RDWR)
      def shared():
          with mmap.mmap(fd, 6) as m:
              say(m[:].decode())
              m[0:1] = b"H"
      say(err(shared))
    `);
    assertEquals(said, directIoAllowMmap ? ["hello\n", "ok"] : ["ENODEV"]);
    assertEquals(fs.args("write").map(({ data }) => data[0]), directIoAllowMmap ? [0x48] : []);
  }
});

// what runs side by side, and how large it is

/** How many calls of a method are inside at once, at most; where `two` have to be, they wait for each other. */
function crowd<A, R>(method: (args: A) => R, two: boolean) {
  let inside = 0;
  const met = deferred<void>();
  if (!two) met.resolve();
  const counted = Object.assign(async (args: A): Promise<R> => {
    counted.most = Math.max(counted.most, ++inside);
    if (inside === 2) met.resolve();
    await met.promise;
    // Time for more to come than there may be.
    await new Promise((resolve) => setTimeout(resolve, 20));
    inside--;
    return method(args);
  }, { most: 0 });
  return counted;
}

test("parallelDirops: lookups in one directory run side by side", kernel, async () => {
  for (const parallelDirops of [true, false]) {
    const lookup = crowd(
      ({ name }: { name: string }) => name in NAMES ? entry(NAMES[name]) : null,
      parallelDirops,
    );
    await using fs = await serve(tree({ lookup }), { parallelDirops });
    await fs.client(`
      import threading
      threads = [threading.Thread(target=os.path.exists, args=(p("n%d" % k),)) for k in range(8)]
      [t.start() for t in threads]
      [t.join() for t in threads]
    `);
    assertEquals(lookup.most > 1, parallelDirops, `${lookup.most} at once`);
  }
});

/** A large file, of which one client reads the first part; whether `two` requests have to be inside at once. */
async function reading(options: MountOptions, script: string, two = false) {
  const size = 1 << 20;
  const read = crowd(({ size }: { size: number }) => new Uint8Array(size), two);
  await using fs = await serve(
    tree({
      lookup: () => entry(2, { ...ATTRS[2], size }),
      getattr: ({ nodeid }) => ({ attr: nodeid === ROOT_ID ? ATTRS[1] : { ...ATTRS[2], size } }),
      read,
    }),
    options,
  );
  await fs.client(script);
  return { most: read.most, largest: Math.max(...fs.args("read").map(({ size }) => size)) };
}

const SEQUENTIAL = `
  fd = opened("file")
  [os.read(fd, 65536) for _ in range(4)]
`;
const DIRECT = `
  fd = opened("file", os.O_DIRECT)
  b = mmap.mmap(-1, 262144)
  say(os.readv(fd, [b]))
`;

test("asyncRead: parts of a read-ahead run side by side", kernel, async () => {
  const maxRead = 16384;
  assertGreater((await reading({ maxRead }, SEQUENTIAL, true)).most, 1);
  assertEquals(await reading({ maxRead, asyncRead: false }, SEQUENTIAL), { most: 1, largest: maxRead });
});

test("asyncDio: parts of one O_DIRECT call run side by side", kernel, async () => {
  const maxRead = 16384;
  assertGreater((await reading({ maxRead }, DIRECT, true)).most, 1);
  assertEquals(await reading({ maxRead, asyncDio: false }, DIRECT), { most: 1, largest: maxRead });
});

test("maxBackground: no more than so many requests that nobody waits for", kernel, async () => {
  const { most } = await reading({ maxRead: 4096, maxBackground: 3 }, SEQUENTIAL, true);
  assert(most > 1 && most <= 4, `${most} at once`);
});

test("maxReadahead: bounds what is read in advance", kernel, async () => {
  assertLess((await reading({ maxReadahead: 8192 }, `os.read(opened("file"), 1)`)).largest, 8193);
  assertGreater((await reading({}, SEQUENTIAL)).largest, 65535);
});

test("maxWrite: bounds one request, up to a megabyte", kernel, async () => {
  for (const maxWrite of [1 << 20, 128 << 10, 4096]) {
    await using fs = await serve(tree({ open: () => ({ directIo: true }), write: ({ data }) => data.length }), {
      maxWrite,
    });
    // Whole pages, so that no more are touched than are needed.
    await fs.client(`os.write(opened("file", os.O_WRONLY), mmap.mmap(-1, 1 << 20))`);
    assertEquals(Math.max(...fs.args("write").map(({ data }) => data.length)), maxWrite);
  }
});

test("timeGran: the kernel rounds times down to it", kernel, async () => {
  for (const [timeGran, nsec] of [[1, 123_456_789], [1000, 123_456_000], [1_000_000_000, 0]]) {
    await using fs = await serve(tree({ setattr: () => ({ attr: ATTRS[2] }) }), { timeGran });
    assertEquals(fs.session.negotiated.timeGran, timeGran);
    await fs.client(`os.utime(p("file"), ns=(123456789, 5123456789))`);
    assertEquals(fs.args("setattr"), [{ nodeid: 2, atime: 0, atimeNsec: nsec, mtime: 5, mtimeNsec: nsec }]);
  }
});

// file handles and mounts

const HANDLE = `
  def handle(name):
      h = ctypes.create_string_buffer(struct.pack("II", 128, 0) + bytes(128))
      call("name_to_handle_at", AT_FDCWD, p(name), h, ctypes.byref(ctypes.c_int()), 0)
      return h
  at = os.open(M, os.O_RDONLY | os.O_DIRECTORY)
`;

test('exportSupport: handles outlive the kernel\'s memory, by lookups of "." and ".."', kernel, async () => {
  let generation = 7;
  for (const exportSupport of [true, false]) {
    await using fs = await serve(
      tree({
        lookup({ parent, name }) {
          if (name === ".") return { ...entry(parent), generation };
          if (name === "..") return entry(ROOT_ID);
          return name in NAMES ? { ...entry(NAMES[name]), generation } : null;
        },
        forget: () => {},
      }),
      { exportSupport },
    );
    await using client = await fs.start(`
      ${HANDLE.trim().replaceAll("\n", "\n    ")}
      file, dir = handle("file"), handle("dir")
      os.close(at)
      say("known")
      wait()
      at = os.open(M, os.O_RDONLY | os.O_DIRECTORY)
      def content():
          fd = call("open_by_handle_at", at, file, os.O_RDONLY)
          say(os.pread(fd, 100, 0).decode())
          os.close(fd)
      say(err(content))
      say(err(call, "open_by_handle_at", at, dir, os.O_RDONLY | os.O_DIRECTORY))
      os.close(at)
      wait()
      at = os.open(M, os.O_RDONLY | os.O_DIRECTORY)
      say(err(content))
    `);
    assertEquals(await client.next(), "known");
    await letGo(fs);
    await until(() => new Set(fs.args("forget").map(({ nodeid }) => nodeid)).size === 2, "both are forgotten");
    fs.clear();
    await client.go();
    if (exportSupport) {
      assertEquals([await client.next(), await client.next(), await client.next()], ["hello\n", "ok", "ok"]);
      const dots = fs.args("lookup").filter(({ name }) => name.startsWith("."));
      assertEquals(dots, [{ parent: 2, name: "." }, { parent: 3, name: "." }, { parent: 3, name: ".." }]);
    } else {
      assertEquals([await client.next(), await client.next()], ["ESTALE", "ESTALE"]);
      assertEquals(fs.args("lookup").filter(({ name }) => name.startsWith(".")), []);
    }
    await letGo(fs);
    // Another inode has the number now.
    generation = 8;
    await client.go();
    assertEquals(await client.rest(), ["ESTALE"]);
  }
});

testWith(since(40), "noExportSupport: there are no handles", async () => {
  for (const noExportSupport of [true, false]) {
    await using fs = await serve(tree(), { noExportSupport });
    const said = await fs.client(`
      h = ctypes.create_string_buffer(struct.pack("II", 128, 0) + bytes(128))
      say(err(call, "name_to_handle_at", AT_FDCWD, p("file"), h, ctypes.byref(ctypes.c_int()), 0))
    `);
    assertEquals(said, [noExportSupport ? "EOPNOTSUPP" : "ok"]);
  }
});

testWith(offered("FUSE_SUBMOUNTS"), "submounts: a directory with a device number of its own", async () => {
  for (const submounts of [true, false]) {
    await using fs = await serve(
      tree({ lookup: () => ({ ...entry(3), attr: { ...ATTRS[3], submount: true } }) }),
      { submounts },
    );
    const [same] = await fs.client(`say(os.stat(M).st_dev == os.stat(p("dir", ".")).st_dev)`);
    assertEquals(same, !submounts);
  }
});

// the handshake

test("negotiated: an option's flag is in force where it is on and the kernel offers it", kernel, async () => {
  const flags: [option: MountOptions, flag: string, since: number][] = [
    [{ asyncRead: true }, "FUSE_ASYNC_READ", 1],
    [{ atomicOTrunc: true }, "FUSE_ATOMIC_O_TRUNC", 1],
    [{ exportSupport: true }, "FUSE_EXPORT_SUPPORT", 10],
    [{ dontMask: true }, "FUSE_DONT_MASK", 12],
    [{ autoInvalData: true }, "FUSE_AUTO_INVAL_DATA", 20],
    [{ readdirplus: "always" }, "FUSE_DO_READDIRPLUS", 21],
    [{ asyncDio: true }, "FUSE_ASYNC_DIO", 22],
    [{ writebackCache: true }, "FUSE_WRITEBACK_CACHE", 23],
    [{ noOpen: true }, "FUSE_NO_OPEN_SUPPORT", 23],
    [{ parallelDirops: true }, "FUSE_PARALLEL_DIROPS", 25],
    [{ handleKillpriv: "v1" }, "FUSE_HANDLE_KILLPRIV", 26],
    [{ posixAcl: true }, "FUSE_POSIX_ACL", 26],
    [{ cacheSymlinks: true }, "FUSE_CACHE_SYMLINKS", 28],
    [{ noOpendir: true }, "FUSE_NO_OPENDIR_SUPPORT", 29],
    [{ explicitInvalData: true }, "FUSE_EXPLICIT_INVAL_DATA", 30],
    [{ handleKillpriv: true }, "FUSE_HANDLE_KILLPRIV_V2", 33],
    [{ securityContext: true }, "FUSE_SECURITY_CTX", 36],
    [{ createSuppGroup: true }, "FUSE_CREATE_SUPP_GROUP", 38],
    [{ directIoAllowMmap: true }, "FUSE_DIRECT_IO_ALLOW_MMAP", 39],
    [{ passthrough: true }, "FUSE_PASSTHROUGH", 40],
    [{ noExportSupport: true }, "FUSE_NO_EXPORT_SUPPORT", 40],
    [{ allowIdmap: true, defaultPermissions: true }, "FUSE_ALLOW_IDMAP", 41],
    [{ requestTimeout: 60 }, "FUSE_REQUEST_TIMEOUT", 43],
  ];
  for (const [option, flag, minor] of flags) {
    if (minor > KERNEL_MINOR) continue;
    const [name, value] = Object.entries(option)[0];
    const off = { [name]: value === "always" ? "never" : typeof value === "number" ? 0 : false };
    const inForce = async (o: MountOptions) => {
      await using fs = await serve(tree(), o);
      return fs.session.negotiated.flags.has(flag);
    };
    assertEquals([await inForce(option), await inForce({ ...option, ...off })], [true, false], flag);
  }
});

test("refused: what cannot work is told in words, before anything is mounted", {}, async () => {
  const locks: Filesystem = { setlk: () => {} };
  const cases: [fs: Filesystem, options: MountOptions, words: string][] = [
    [{}, { writebackCache: true, passthrough: true }, "writebackCache and passthrough exclude each other"],
    [{}, { autoInvalData: true, explicitInvalData: true }, "autoInvalData and explicitInvalData exclude each other"],
    [{}, { exportSupport: true, noExportSupport: true }, "exportSupport and noExportSupport exclude each other"],
    [{}, { noOpen: true, passthrough: true }, "noOpen and passthrough exclude each other"],
    [{}, { noOpen: true, atomicOTrunc: true }, "noOpen and atomicOTrunc exclude each other"],
    [{ open: () => ({}) }, { noOpen: true }, "option noOpen excludes the method open"],
    [{ opendir: () => ({}) }, { noOpendir: true }, "option noOpendir excludes the method opendir"],
    [{}, { exportSupport: true }, "option exportSupport needs the methods lookup"],
    [locks, { posixLocks: true }, "option posixLocks needs the methods getlk and setlk and setlkw"],
    [locks, { flockLocks: true }, "option flockLocks needs the methods setlk and setlkw"],
    [{}, { allowIdmap: true }, "option allowIdmap needs defaultPermissions"],
    [{}, { requestTimeout: 65536 }, "option requestTimeout is 65536"],
    [{}, { timeGran: 0 }, "option timeGran is 0"],
    [{}, { maxBackground: 0 }, "option maxBackground is 0"],
    [{}, { readdirplus: "sometimes" as "auto" }, "option readdirplus is sometimes"],
  ];
  for (const [fs, options, words] of cases) {
    const error = await assertRejects(() => mount(fs, "/nonexistent", { signals: false, ...options }), Error);
    assertStringIncludes(error.message, words);
  }
});

// Takes 15 s, for the kernel looks no more often. It is the kernel's doing alone.
const once = { node: "asked on Deno", bun: "asked on Deno" };
testWith(since(43), "requestTimeout: the kernel cuts off a server that does not answer", async () => {
  let inside = 0;
  await using fs = await serve(
    tree({
      open: () => ({ directIo: true }),
      read() {
        inside++;
        return new Promise(() => {});
      },
    }),
    { requestTimeout: 1 },
  );
  const said = await fs.client(`say(err(os.pread, opened("file"), 1, 0))`, { patience: 40_000 });
  assertEquals([said, inside], [["ECONNABORTED"], 1]);
  await fs.session.closed;
  assertEquals(await mountsUnder(fs.dir.path), []);
}, { except: once });
