/** Each opcode that the kernel sends: what makes it send it, what the handler sees, and what the client gets. */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { stat, writeFile } from "node:fs/promises";
import { libc } from "../../ffi/load.ts";
import { cstring } from "../../src/abi/text.ts";
import { type Attr, type FileLock, type Filesystem, FuseError, makedev, ROOT_ID } from "../../mod.ts";
import { run, tempDir, test, until } from "../support/harness.ts";
import { thisMachine } from "../support/needs.ts";
import {
  ATTRS,
  bytes,
  entry,
  kernel,
  letGo,
  serve,
  type Served,
  since,
  testWith,
  text,
  tree,
} from "../support/kernel.ts";

const { O } = libc();
const S_IFREG = 0o100000;
/** A file that was made. */
const MADE: Attr = { mode: S_IFREG | 0o640, uid: 7, gid: 8 };

/** Keeps this thread busy so many milliseconds, so that messages come together. */
function pause(milliseconds: number): void {
  for (const end = performance.now() + milliseconds; performance.now() < end;);
}

// names

test("lookup: a name, its attributes, and ENOENT for null", kernel, async () => {
  const attr: Attr = {
    ino: 0xfedcba98_76543210n,
    mode: S_IFREG | 0o751,
    size: 2 ** 40 + 1,
    blocks: 12345,
    nlink: 3,
    uid: 4_000_000_000,
    gid: 12,
    blksize: 16384,
    atime: 1e9,
    atimeNsec: 1,
    mtime: -5,
    mtimeNsec: 999_999_999,
    ctime: 2 ** 33,
    ctimeNsec: 3,
  };
  await using fs = await serve(
    tree({ lookup: ({ name }) => name === "all" ? { nodeid: 9, attr, attrTimeout: 9 } : null }),
  );
  const said = await fs.client(`
    s = os.stat(p("all"))
    say(str(s.st_ino), s.st_mode, s.st_size, s.st_blocks, s.st_nlink, s.st_uid, s.st_gid, s.st_blksize)
    say(s.st_atime_ns // 10**9, s.st_atime_ns % 10**9, s.st_mtime_ns // 10**9, s.st_mtime_ns % 10**9)
    say(s.st_ctime_ns // 10**9, s.st_ctime_ns % 10**9)
    say(err(os.stat, p("none")))
  `);
  assertEquals(said, [
    [String(attr.ino), attr.mode, attr.size, 12345, 3, 4_000_000_000, 12, 16384],
    [1e9, 1, -5, 999_999_999],
    [2 ** 33, 3],
    "ENOENT",
  ]);
  assertEquals(fs.args("lookup"), [{ parent: 1, name: "all" }, { parent: 1, name: "none" }]);
});

test("lookup: names and attributes are kept for their timeouts, also the absence of a name", kernel, async () => {
  await using fs = await serve(tree({
    lookup: ({ name }) => {
      if (name === "none") return { nodeid: 0, attr: { mode: 0 }, entryTimeout: 1000 };
      return { nodeid: 2, attr: ATTRS[2], entryTimeout: 1000, attrTimeout: name === "forever" ? Infinity : 0 };
    },
  }));
  await fs.client(`
    for name in ("forever", "forever", "brief", "brief"):
        os.stat(p(name))
    say(err(os.stat, p("none")), err(os.stat, p("none")))
  `);
  assertEquals(fs.seen.map(({ method, args }) => [method, args.name]), [
    ["lookup", "forever"],
    ["lookup", "brief"],
    ["getattr", undefined],
    ["getattr", undefined],
    ["lookup", "none"],
  ]);
});

test("forget: every lookup is taken back, alone and in batches", kernel, async () => {
  let paused = false;
  const counts = new Map<number, number>();
  const add = (nodeid: number, by: number) => counts.set(nodeid, (counts.get(nodeid) ?? 0) + by);
  await using fs = await serve(tree({
    lookup({ parent, name }) {
      if (parent === ROOT_ID) {
        add(3, 1);
        return { ...entry(3), entryTimeout: 1000 };
      }
      add(Number(name), 1);
      return { ...entry(4), nodeid: Number(name), attrTimeout: 1000 };
    },
    forget({ nodeid, nlookup }) {
      if (!paused) pause(30);
      paused = true;
      add(nodeid, -nlookup);
    },
  }));
  await fs.client(`
    for k in range(100, 300):
        for again in range(3):
            os.stat(p("dir", str(k)))
  `);
  assertEquals(counts.size, 201);
  assertEquals([counts.get(3), counts.get(100), counts.get(299)], [1, 3, 3]);
  await letGo(fs);
  await until(() => [...counts.values()].every((count) => count === 0), "all is forgotten");
  assert(fs.opcodes.includes("BATCH_FORGET"));
  fs.clear();
  await fs.client(`os.stat(p("dir"))`);
  await letGo(fs);
  await until(() => counts.get(3) === 0, "the directory is forgotten");
  assertEquals(fs.args("forget"), [{ nodeid: 3, nlookup: 1 }]);
  assert(fs.opcodes.includes("FORGET"));
});

/** Serves one method that makes something, and answers what it saw. */
async function making(method: keyof Filesystem, script: string, attr: Attr = MADE) {
  const made = entry(10, attr);
  await using fs = await serve(tree({ [method]: () => made }));
  const said = await fs.client(script);
  return { seen: fs.args(method), said };
}

test("mknod: a fifo, devices, a socket and a file, the umask applied by the kernel", kernel, async () => {
  let made: Attr = MADE;
  await using fs = await serve(tree({
    mknod({ mode, rdev }) {
      made = { mode, rdev };
      return entry(10, made);
    },
    getattr: ({ nodeid }) => ({ attr: nodeid === 10 ? made : ATTRS[nodeid] }),
  }));
  const said = await fs.client(`
    os.umask(0o027)
    for name, kind in (("fifo", stat.S_IFIFO), ("char", stat.S_IFCHR), ("block", stat.S_IFBLK), ("socket", stat.S_IFSOCK), ("plain", stat.S_IFREG)):
        os.mknod(p(name), kind | 0o666, os.makedev(300, 70000) if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0)
    os.mknod(p("again"), stat.S_IFCHR | 0o600, os.makedev(300, 70000))
    fd = os.open(M, os.O_PATH)
    say(0)
  `);
  assertEquals(said, [0]);
  const common = { parent: 1, umask: 0o027, rdev: 0 };
  const rdev = makedev(300, 70000);
  assertEquals(fs.args("mknod"), [
    { ...common, name: "fifo", mode: 0o010640 },
    { ...common, name: "char", mode: 0o020640, rdev },
    { ...common, name: "block", mode: 0o060640, rdev },
    { ...common, name: "socket", mode: 0o140640 },
    { ...common, name: "plain", mode: 0o100640 },
    { ...common, name: "again", mode: 0o020600, rdev },
  ]);
});

test("rdev: device numbers come back as they were", kernel, async () => {
  const devices: [number, number][] = [[1, 3], [300, 70000], [4095, 1048575]];
  await using fs = await serve(tree({
    lookup: ({ name }) => entry(10 + Number(name), { mode: 0o020666, rdev: makedev(...devices[Number(name)]) }),
    getattr: ({ nodeid }) => ({ attr: ATTRS[nodeid] ?? { mode: 0o020666, rdev: makedev(...devices[nodeid - 10]) } }),
  }));
  const said = await fs.client(`
    for k in range(3):
        s = os.stat(p(str(k))).st_rdev
        say(os.major(s), os.minor(s))
  `);
  assertEquals(said, devices);
});

test("mkdir: name, mode and umask", kernel, async () => {
  const { seen } = await making("mkdir", `os.umask(0o77); os.mkdir(p("new"), 0o1777)`, { mode: 0o041700 });
  assertEquals(seen, [{ parent: 1, name: "new", mode: 0o1700, umask: 0o77 }]);
});

test("symlink: the target is taken as it is", kernel, async () => {
  const { seen } = await making("symlink", `os.symlink("../a b/\\xff", p("new"))`, { mode: 0o120777 });
  assertEquals(seen, [{ parent: 1, name: "new", target: "../a b/\u00ff" }]);
});

test("readlink: the target, also bytes that are not UTF-8", kernel, async () => {
  await using fs = await serve(tree({ readlink: () => "x/\udcff" }));
  assertEquals(await fs.client(`say(list(os.readlink(p("link"))))`), [[120, 47, 255]]);
  assertEquals(fs.args("readlink"), [{ nodeid: 5 }]);
});

test("unlink and rmdir: names", kernel, async () => {
  await using fs = await serve(tree({ unlink: () => {}, rmdir: () => {} }));
  await fs.client(`os.unlink(p("file")); os.rmdir(p("dir"))`);
  assertEquals(fs.args("unlink"), [{ parent: 1, name: "file" }]);
  assertEquals(fs.args("rmdir"), [{ parent: 1, name: "dir" }]);
});

test("rename: RENAME without flags, RENAME2 with each of them", kernel, async () => {
  await using fs = await serve(tree({ rename: () => {} }));
  const said = await fs.client(`
    os.rename(p("file"), p("dir", "new"))
    for flags in (1, 2, 4, 5):
        call("renameat2", AT_FDCWD, p("file"), AT_FDCWD, p("new" if flags & 1 else "other"), flags)
    say(err(call, "renameat2", AT_FDCWD, p("file"), AT_FDCWD, p("other"), 1))
  `);
  // The kernel itself sees that the new name is taken.
  assertEquals(said, ["EEXIST"]);
  const to = (newName: string, flags: number, newParent = 1) => ({
    parent: 1,
    name: "file",
    newParent,
    newName,
    flags,
  });
  assertEquals(fs.args("rename"), [to("new", 0, 3), to("new", 1), to("other", 2), to("other", 4), to("new", 5)]);
  const renames = fs.opcodes.filter((name) => name.startsWith("RENAME"));
  assertEquals(renames, ["RENAME", "RENAME2", "RENAME2", "RENAME2", "RENAME2"]);
});

test("link: the inode and its new name", kernel, async () => {
  await using fs = await serve(tree({ link: () => entry(2) }));
  await fs.client(`os.link(p("file"), p("dir", "hard"))`);
  assertEquals(fs.args("link"), [{ nodeid: 2, newParent: 3, newName: "hard" }]);
});

// attributes

test("getattr: by inode, and through the open file where the kernel asks for its size", kernel, async () => {
  await using fs = await serve(tree({ open: () => ({ fh: 77 }) }));
  const said = await fs.client(`
    say(os.stat(M).st_mode)
    fd = opened("file")
    say(os.fstat(fd).st_size)
    say(os.lseek(fd, -1, os.SEEK_END))
    os.close(fd)
  `);
  assertEquals(said, [0o040755, 6, 5]);
  assertEquals(fs.args("getattr"), [{ nodeid: 1 }, { nodeid: 2 }, { nodeid: 2, fh: 77 }]);
});

test("getattr: attributes are kept for attrTimeout", kernel, async () => {
  await using fs = await serve(tree({ getattr: () => ({ attr: ATTRS[1], attrTimeout: 1000 }) }));
  await fs.client(`[os.stat(M) for _ in range(5)]`);
  assertEquals(fs.args("getattr"), [{ nodeid: 1 }]);
});

test("setattr: only what is to change is there", kernel, async () => {
  await using fs = await serve(tree({
    open: () => ({ fh: 5 }),
    setattr: ({ nodeid, mode, size }) => ({ attr: { ...ATTRS[nodeid], ...mode && { mode }, ...size && { size } } }),
  }));
  const steps: [script: string, seen: object][] = [
    [`os.chmod(p("file"), 0o4700)`, { nodeid: 2, mode: 0o104700 }],
    [`os.chown(p("dir"), 5, -1)`, { nodeid: 3, uid: 5 }],
    [`os.chown(p("dir"), -1, 4000000000)`, { nodeid: 3, gid: 4_000_000_000 }],
    [`os.lchown(p("link"), 5, 6)`, { nodeid: 5, uid: 5, gid: 6 }],
    [`os.utime(p("file"), ns=(1000000007, 2000000000999999999))`, {
      nodeid: 2,
      atime: 1,
      atimeNsec: 7,
      mtime: 2_000_000_000,
      mtimeNsec: 999_999_999,
    }],
    [`os.utime(p("file"), ns=(-1, 0))`, { nodeid: 2, atime: -1, atimeNsec: 999_999_999, mtime: 0, mtimeNsec: 0 }],
    [`os.utime(p("file"))`, { nodeid: 2, atime: "now", mtime: "now" }],
  ];
  const omit = (a: number, m: number) =>
    `call("utimensat", AT_FDCWD, p("file"), struct.pack("=qqqq", 3, ${a}, 4, ${m}), 0)`;
  const [NOW, OMIT] = [(1 << 30) - 1, (1 << 30) - 2];
  steps.push([omit(NOW, OMIT), { nodeid: 2, atime: "now" }]);
  steps.push([omit(OMIT, NOW), { nodeid: 2, mtime: "now" }]);
  steps.push([omit(OMIT, 9), { nodeid: 2, mtime: 4, mtimeNsec: 9 }]);
  steps.push([omit(NOW, 9), { nodeid: 2, atime: "now", mtime: 4, mtimeNsec: 9 }]);
  await fs.client(steps.map(([script]) => script).join("\n"));
  assertEquals(fs.args("setattr"), steps.map(([, seen]) => seen));
});

test("setattr: truncate, and ftruncate through the open file", kernel, async () => {
  await using fs = await serve(tree({
    open: () => ({ fh: 5 }),
    setattr: ({ size }) => ({ attr: { ...ATTRS[2], size } }),
  }));
  const said = await fs.client(`
    os.truncate(p("file"), 3)
    fd = opened("file", os.O_RDWR)
    os.ftruncate(fd, 2**41)
    os.close(opened("file", os.O_WRONLY | os.O_TRUNC))
    say(err(os.truncate, p("dir"), 1))
  `);
  assertEquals(said, ["EISDIR"]);
  const owners = fs.args("setattr").map(({ lockOwner }) => lockOwner);
  assert(owners.every((owner) => typeof owner === "bigint" && owner === owners[0]), "one process owns its locks");
  assertEquals(fs.args("setattr").map(({ lockOwner: _, ...rest }) => rest), [
    { nodeid: 2, size: 3 },
    { nodeid: 2, fh: 5, size: 2 ** 41 },
    { nodeid: 2, size: 0 },
  ]);
});

testWith(since(39), "statx: the time of birth, and the rest as getattr has it", async () => {
  const attr: Attr = {
    ino: 99,
    mode: 0o020640,
    size: 5,
    blocks: 8,
    nlink: 2,
    uid: 3,
    gid: 4,
    rdev: makedev(300, 70000),
    blksize: 8192,
    atime: 1,
    atimeNsec: 2,
    mtime: 3,
    mtimeNsec: 4,
    ctime: 5,
    ctimeNsec: 6,
  };
  await using fs = await serve(tree({
    lookup: () => entry(2, attr),
    statx: () => ({ attr, btime: 1234567890, btimeNsec: 55, attributes: 0x10, attributesMask: 0x30 }),
  }));
  const [got] = await fs.client(`say(statx("file"))`);
  assertEquals(fs.args("statx"), [{ nodeid: 2, flags: 0, mask: 0xfff }]);
  // The kernel shows its own attributes alone, and adds the id of the mount to the mask.
  assertEquals([got.attributes & 0x30, got.attributesMask & 0x30], [0, 0]);
  assertEquals({ ...got, attributes: 0, attributesMask: 0 }, {
    mask: 0x1fff,
    blksize: 8192,
    attributes: 0,
    nlink: 2,
    uid: 3,
    gid: 4,
    mode: attr.mode,
    ino: 99,
    size: 5,
    blocks: 8,
    attributesMask: 0,
    rdev: [300, 70000],
    atime: [1, 2],
    btime: [1234567890, 55],
    ctime: [5, 6],
    mtime: [3, 4],
  });
});

test("access: what is asked, unless the kernel decides by itself", kernel, async () => {
  const access: Filesystem["access"] = ({ nodeid, mask }) => {
    if (nodeid === 2 && mask & 2) throw new FuseError("EROFS");
  };
  await using fs = await serve(tree({ access }));
  const script = `
    say(os.access(p("file"), os.F_OK), os.access(p("file"), os.R_OK), os.access(p("file"), os.W_OK | os.R_OK))
    say(err(call, "faccessat", AT_FDCWD, p("file"), os.W_OK, 0))
    os.chdir(p("dir"))
  `;
  assertEquals(await fs.client(script), [[true, true, false], "EROFS"]);
  assertEquals(fs.args("access"), [0, 4, 6, 2].map((mask) => ({ nodeid: 2, mask })).concat({ nodeid: 3, mask: 1 }));
  await using own = await serve(tree({ access }), { defaultPermissions: true });
  assertEquals(await own.client(script), [[true, true, true], "ok"]);
  assertEquals(own.args("access"), []);
});

test("statfs: sizes", kernel, async () => {
  const sizes = {
    blocks: 2 ** 40,
    bfree: 1000,
    bavail: 900,
    files: 50,
    ffree: 40,
    bsize: 65536,
    namelen: 99,
    frsize: 512,
  };
  await using fs = await serve(tree({ statfs: () => sizes }));
  const [said] = await fs.client(`
    s = os.statvfs(p("dir"))
    say(dict(blocks=s.f_blocks, bfree=s.f_bfree, bavail=s.f_bavail, files=s.f_files, ffree=s.f_ffree, bsize=s.f_bsize, namelen=s.f_namemax, frsize=s.f_frsize))
  `);
  assertEquals(said, sizes);
  assertEquals(fs.args("statfs"), [{ nodeid: 3 }]);
});

// files

test("open, read, flush and release: one handle all the way", kernel, async () => {
  await using fs = await serve(tree({
    open: () => ({ fh: 2 ** 53 - 1, directIo: true }),
    flush: () => {},
    release: () => {},
  }));
  const said = await fs.client(`
    fd = opened("file", os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    say(os.pread(fd, 3, 2).decode())
    other = os.dup(fd)
    os.close(fd)
    os.close(other)
  `);
  assertEquals(said, ["llo"]);
  await until(() => fs.args("release").length === 1, "the file is released");
  const flags = O.RDWR | O.APPEND | O.NONBLOCK | O.LARGEFILE;
  const handle = { nodeid: 2, fh: 2 ** 53 - 1 };
  assertEquals(fs.args("open"), [{ nodeid: 2, flags, killSuidgid: false }]);
  assertEquals(fs.args("read"), [{ ...handle, offset: 2, size: 3, flags }]);
  const [first, second] = fs.args("flush");
  assertEquals([first, second], [{ ...handle, lockOwner: first.lockOwner }, { ...handle, lockOwner: first.lockOwner }]);
  assertEquals(fs.args("release"), [{ ...handle, flags }]);
});

test("open: its error is open's, and so is flush's close's", kernel, async () => {
  await using fs = await serve(tree({
    open: ({ nodeid }) => {
      if (nodeid === 4) throw new FuseError("ETXTBSY");
      return {};
    },
    flush() {
      throw new FuseError("EDQUOT");
    },
  }));
  const said = await fs.client(`say(err(opened, "other"), err(os.close, opened("file")))`);
  assertEquals(said, [["ETXTBSY", "EDQUOT"]]);
});

test("open: noFlush, nonSeekable, stream and keepCache do what they say", kernel, async () => {
  const replies = [{ noFlush: true }, { nonSeekable: true }, { stream: true }, { keepCache: true }];
  let next = 0;
  await using fs = await serve(
    tree({
      lookup: () => ({ ...entry(2), attrTimeout: 1000 }),
      open: () => replies[next++],
      flush: () => {},
    }),
  );
  const said = await fs.client(`
    os.close(opened("file"))
    say("flushed")
    fd = opened("file")
    say(err(os.lseek, fd, 0, os.SEEK_SET), err(os.pread, fd, 1, 0), os.read(fd, 2).decode())
    fd = opened("file")
    say(err(os.lseek, fd, 0, os.SEEK_SET), os.read(fd, 2).decode(), os.read(fd, 2).decode())
    say(read("file"))
  `);
  assertEquals(said, ["flushed", ["ESPIPE", "ESPIPE", "he"], ["ESPIPE", "he", "he"], "hello\n"]);
  await until(() => fs.args("flush").length === 3, "the others are flushed");
  // Each open but the last dropped what was cached.
  assertEquals(fs.args("read").length, 2);
});

test("read: the page cache asks for pages, a short answer is the end", kernel, async () => {
  const size = 300_000;
  const content = new Uint8Array(size).map((_, i) => i % 251);
  await using fs = await serve(tree({
    lookup: () => entry(2, { ...ATTRS[2], size }),
    getattr: ({ nodeid }) => ({ attr: nodeid === 2 ? { ...ATTRS[2], size } : ATTRS[nodeid] }),
    read: ({ offset, size }) => content.subarray(offset, offset + size),
  }));
  const said = await fs.client(`
    data = open(p("file"), "rb").read()
    say(len(data), all(byte == i % 251 for i, byte in enumerate(data)))
  `);
  assertEquals(said, [[size, true]]);
  const reads = fs.args("read");
  assert(reads.every(({ offset, size }) => offset % 4096 === 0 && size % 4096 === 0), "whole pages");
  assertGreater(Math.max(...reads.map(({ size }) => size)), 65_536);
});

test("write: data, place and flags; a short count is the client's", kernel, async () => {
  await using fs = await serve(tree({
    open: () => ({ fh: 3, directIo: true }),
    write: ({ data }) => Math.min(data.length, 4),
    getattr: ({ nodeid }) => ({ attr: ATTRS[nodeid], attrTimeout: 1000 }),
  }));
  const said = await fs.client(`
    fd = opened("file", os.O_WRONLY)
    say(os.pwrite(fd, b"abc", 2**40), os.pwrite(fd, b"defghi", 1))
  `);
  assertEquals(said, [[3, 4]]);
  const common = { nodeid: 2, fh: 3, flags: O.WRONLY | O.LARGEFILE, fromCache: false, killSuidgid: false };
  assertEquals(fs.args("write"), [
    { ...common, offset: 2 ** 40, data: bytes("abc") },
    { ...common, offset: 1, data: bytes("defghi") },
  ]);
});

test("write: one call of a program arrives in pieces of maxWrite", kernel, async () => {
  await using fs = await serve(tree({ open: () => ({ directIo: true }), write: ({ data }) => data.length }), {
    maxWrite: 65536,
  });
  assertEquals(await fs.client(`say(os.pwrite(opened("file", os.O_WRONLY), bytes(200000), 7))`), [200_000]);
  assertEquals(
    fs.args("write").map(({ offset, data }) => [offset, data.length]).reduce((sum, [, n]) => sum + n, 0),
    200_000,
  );
  assert(fs.args("write").every(({ data }) => data.length <= 65536));
});

test("fsync: with and without the attributes", kernel, async () => {
  await using fs = await serve(tree({
    open: () => ({ fh: 4 }),
    fsync({ datasync }) {
      if (datasync) throw new FuseError("ENOSPC");
    },
  }));
  const said = await fs.client(`
    fd = opened("file", os.O_RDWR)
    say(err(os.fsync, fd), err(os.fdatasync, fd))
  `);
  assertEquals(said, [["ok", "ENOSPC"]]);
  assertEquals(fs.args("fsync"), [{ nodeid: 2, fh: 4, datasync: false }, { nodeid: 2, fh: 4, datasync: true }]);
});

test("create: made and opened in one", kernel, async () => {
  await using fs = await serve(
    tree({ create: () => ({ entry: entry(10, MADE), fh: 6, directIo: true }), write: ({ data }) => data.length }),
  );
  const said = await fs.client(`
    os.umask(0o022)
    fd = opened("new", os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_TRUNC, 0o4666)
    say(os.write(fd, b"x"))
  `);
  assertEquals(said, [1]);
  assertEquals(fs.args("create"), [{
    parent: 1,
    name: "new",
    flags: O.CREAT | O.EXCL | O.RDWR | O.LARGEFILE,
    mode: S_IFREG | 0o4644,
    umask: 0o022,
    killSuidgid: false,
  }]);
  assertEquals(fs.args("write").map(({ nodeid, fh }) => [nodeid, fh]), [[10, 6]]);
  assertEquals(fs.args("open"), []);
});

testWith(since(37), "tmpfile: made and opened without a name", async () => {
  await using fs = await serve(tree({
    tmpfile: () => ({ entry: entry(10, { ...MADE, nlink: 0 }), fh: 6, directIo: true }),
    link: () => entry(10, { ...MADE, nlink: 1 }),
  }));
  await fs.client(`
    os.umask(0o022)
    fd = opened("dir", os.O_TMPFILE | os.O_RDWR, 0o666)
    call("linkat", AT_FDCWD, b"/proc/self/fd/%d" % fd, AT_FDCWD, p("named"), 0x400)
  `);
  assertEquals(fs.args("tmpfile"), [{
    parent: 3,
    flags: O.TMPFILE | O.RDWR | O.LARGEFILE,
    mode: S_IFREG | 0o644,
    umask: 0o022,
  }]);
  assertEquals(fs.args("link"), [{ nodeid: 10, newParent: 1, newName: "named" }]);
});

test("fallocate: every mode that the kernel lets through", kernel, async () => {
  await using fs = await serve(tree({ open: () => ({ fh: 8 }), fallocate: () => {} }));
  const modes = [0, 1, 3, 16, 17];
  const said = await fs.client(`
    fd = opened("file", os.O_RDWR)
    for mode in (0, 1, 3, 16, 17):
        call("fallocate", fd, mode, 4096 + mode, 2**33 + 1)
    say([err(call, "fallocate", fd, mode, 0, 4096) for mode in (8, 32, 64 | 1)])
  `);
  // Collapse, insert and unshare end in the kernel.
  assertEquals(said, [["EOPNOTSUPP", "EOPNOTSUPP", "EOPNOTSUPP"]]);
  const seen = modes.map((mode) => ({ nodeid: 2, fh: 8, offset: 4096 + mode, length: 2 ** 33 + 1, mode }));
  assertEquals(fs.args("fallocate"), seen);
});

test("lseek: data and holes", kernel, async () => {
  await using fs = await serve(tree({
    open: () => ({ fh: 9 }),
    getattr: ({ nodeid }) => ({ attr: { ...ATTRS[nodeid], size: 2 ** 40 } }),
    lseek({ offset, whence }) {
      if (offset === 7) throw new FuseError("ENXIO");
      return whence === 3 ? 2 ** 39 : offset + 1;
    },
  }));
  const said = await fs.client(`
    fd = opened("file")
    say(os.lseek(fd, 5, os.SEEK_DATA), os.lseek(fd, 6, os.SEEK_HOLE), err(os.lseek, fd, 7, os.SEEK_DATA))
  `);
  assertEquals(said, [[2 ** 39, 7, "ENXIO"]]);
  const seen = [[5, 3], [6, 4], [7, 3]].map(([offset, whence]) => ({ nodeid: 2, fh: 9, offset, whence }));
  assertEquals(fs.args("lseek"), seen);
});

testWith(
  since(45),
  "copyFileRange: by the newer of its two opcodes, and the older where that is not known",
  async () => {
    for (
      const [known, opcodes, most] of [
        [true, ["COPY_FILE_RANGE_64", "COPY_FILE_RANGE_64"], 2 ** 33],
        [false, ["COPY_FILE_RANGE_64", "COPY_FILE_RANGE", "COPY_FILE_RANGE"], 0xfffff000],
      ] as const
    ) {
      let fh = 0, first = true;
      await using fs = await serve(tree({
        lookup: ({ name }) => entry({ file: 2, other: 4 }[name]!, { ...ATTRS[2], size: 2 ** 33 }),
        open: () => ({ fh: ++fh }),
        copyFileRange({ length }) {
          if (first && !known) {
            first = false;
            throw new FuseError("ENOSYS");
          }
          return length - 1;
        },
      }));
      const said = await fs.client(`
      a, b = opened("file"), opened("other", os.O_RDWR)
      say(os.copy_file_range(a, b, 3, 1, 4096), os.copy_file_range(a, b, 2**33, 0, 0))
    `);
      assertEquals(said, [[2, most - 1]]);
      assertEquals(fs.opcodes.filter((name) => name.startsWith("COPY")), [...opcodes]);
      const common = { nodeid: 2, fh: 1, newNodeid: 4, newFh: 2, flags: 0 };
      assertEquals(fs.args("copyFileRange").slice(known ? 0 : 1), [
        { ...common, offset: 1, newOffset: 4096, length: 3 },
        { ...common, offset: 0, newOffset: 0, length: most },
      ]);
    }
  },
);

// extended attributes

test("xattr: set, with its flags; get, list, each by its size first; remove", kernel, async () => {
  const value = bytes("a\0b");
  await using fs = await serve(tree({
    setxattr({ flags }) {
      if (flags === 1) throw new FuseError("EEXIST");
    },
    getxattr: ({ name }) => name === "user.none" ? null : name === "user.empty" ? new Uint8Array(0) : value,
    listxattr: () => ["user.one", "trusted.\udcff"],
    removexattr: () => {},
  }));
  const said = await fs.client(`
    f = p("file")
    os.setxattr(f, "user.one", bytes(range(256)) * 200)
    os.setxattr(f, "trusted.two", b"", os.XATTR_REPLACE)
    say(err(os.setxattr, f, "user.one", b"v", os.XATTR_CREATE))
    say(call("getxattr", f, b"user.one", None, 0))
    b = ctypes.create_string_buffer(8)
    say(call("getxattr", f, b"user.one", b, 8), list(b.raw[:3]), call("getxattr", f, b"user.one", b, 3))
    say(err(call, "getxattr", f, b"user.one", b, 2), err(os.getxattr, f, b"user.none"))
    say(os.getxattr(f, b"user.empty").decode(), call("getxattr", f, b"user.empty", b, 8))
    say(call("listxattr", f, None, 0), err(call, "listxattr", f, b, 8))
    say([list(os.fsencode(name)) for name in os.listxattr(f)])
    os.removexattr(f, b"user.one")
  `);
  const names = ["user.one", "trusted.\xff"].map((name) => [...name].map((c) => c.charCodeAt(0)));
  assertEquals(said, [
    "EEXIST",
    3,
    [3, [97, 0, 98], 3],
    ["ERANGE", "ENODATA"],
    ["", 0],
    [19, "ERANGE"],
    names,
  ]);
  const big = new Uint8Array(51200).map((_, i) => i);
  assertEquals(fs.args("setxattr"), [
    { nodeid: 2, name: "user.one", value: big, flags: 0 },
    { nodeid: 2, name: "trusted.two", value: new Uint8Array(0), flags: 2 },
    { nodeid: 2, name: "user.one", value: bytes("v"), flags: 1 },
  ]);
  assert(fs.args("listxattr").every(({ nodeid }) => nodeid === 2));
  assertEquals(fs.args("removexattr"), [{ nodeid: 2, name: "user.one" }]);
});

// directories

test("opendir, readdir, fsyncdir and releasedir: one handle all the way", kernel, async () => {
  await using fs = await serve(tree({ opendir: () => ({ fh: 44 }), fsyncdir: () => {}, releasedir: () => {} }));
  const said = await fs.client(`
    fd = opened("dir", os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.fdatasync(fd)
    os.close(fd)
    say(sorted((e.name, e.inode(), e.is_dir(follow_symlinks=False), e.is_symlink()) for e in os.scandir(M)))
  `);
  assertEquals(said, [[["dir", 3, true, false], ["file", 2, false, false], ["link", 5, false, true], [
    "other",
    4,
    false,
    false,
  ]]]);
  await until(() => fs.args("releasedir").length === 2, "both are released");
  const flags = O.RDONLY | O.DIRECTORY | O.LARGEFILE;
  // Python lists with O_NONBLOCK, as opendir(3) does.
  const listing = fs.args("opendir")[1].flags;
  assertEquals(fs.args("opendir"), [
    { nodeid: 3, flags, killSuidgid: false },
    { nodeid: 1, flags: listing, killSuidgid: false },
  ]);
  assertEquals(fs.args("fsyncdir"), [{ nodeid: 3, fh: 44, datasync: false }, { nodeid: 3, fh: 44, datasync: true }]);
  assertEquals(fs.args("readdir"), [{ nodeid: 1, fh: 44, offset: 0 }]);
  assertEquals(fs.args("releasedir"), [{ nodeid: 3, fh: 44, flags }, { nodeid: 1, fh: 44, flags: listing }]);
});

test("readdir: a place that telldir gave is found again, by the author's cookies and without", kernel, async () => {
  for (const cookies of [true, false]) {
    await using fs = await serve(
      tree({
        *readdir({ offset }) {
          for (let k = Math.ceil(offset / 7); k < 500; k++) {
            yield { name: `n${k}`, ino: k + 10, mode: S_IFREG, ...cookies && { offset: (k + 1) * 7 } };
          }
        },
      }),
      { readdirplus: "never" },
    );
    const [all, again, rewound] = await fs.client(`
      libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
      libc.telldir.restype = ctypes.c_long
      d = ctypes.c_void_p(libc.opendir(p()))
      def names():
          while entry := libc.readdir(d):
              yield ctypes.string_at(entry + 19).decode()
      everything = names()
      first = [next(everything) for _ in range(300)]
      place = libc.telldir(d)
      first += list(names())
      say(first)
      libc.seekdir(d, ctypes.c_long(place))
      say(list(names()))
      libc.rewinddir(d)
      say(list(names()))
    `);
    const expected = [".", "..", ...Array.from({ length: 500 }, (_, k) => `n${k}`)];
    assertEquals(all, expected);
    assertEquals(again, expected.slice(300));
    assertEquals(rewound, expected);
    assertEquals(fs.args("readdir").some(({ offset }) => offset > 0), cookies);
  }
});

test("readdirplus: always, never, and in auto where entries are looked at; every lookup counts", kernel, async () => {
  const list = `os.listdir(M)`;
  const look = `[e.stat(follow_symlinks=False) for e in os.scandir(M)]`;
  const run = async (readdirplus: "auto" | "always" | "never", script: string) => {
    let held = 0;
    await using fs = await serve(
      tree({
        lookup: ({ name }) => {
          held++;
          return { nodeid: Number(name) + 10, attr: ATTRS[2], entryTimeout: 1000, attrTimeout: 1000 };
        },
        *readdir() {
          for (let k = 0; k < 1000; k++) yield { name: `${k}`, ino: k + 10, mode: S_IFREG };
        },
        forget: ({ nlookup }) => void (held -= nlookup),
      }),
      { readdirplus },
    );
    await fs.client(script);
    const sent = new Set(fs.opcodes.filter((name) => name.startsWith("READDIR") || name === "LOOKUP"));
    const lookups = fs.args("lookup").length;
    await letGo(fs);
    await until(() => held === 0, "every lookup is taken back");
    return [[...sent].sort(), lookups];
  };
  assertEquals(await run("always", list), [["READDIRPLUS"], 1000]);
  assertEquals(await run("always", look), [["READDIRPLUS"], 1000]);
  assertEquals(await run("never", list), [["READDIR"], 0]);
  assertEquals(await run("never", look), [["LOOKUP", "READDIR"], 1000]);
  const [opcodes, lookups] = await run("auto", list);
  // The first piece comes with attributes; nobody looks at them, and the rest comes without.
  assertEquals(opcodes, ["READDIR", "READDIRPLUS"]);
  assert(lookups as number > 0 && lookups as number < 1000);
});

test(
  "cacheDir: a second pass is answered from the kernel's cache, until the directory is read anew",
  kernel,
  async () => {
    let keepCache = false;
    await using fs = await serve(
      tree({
        opendir: () => ({ cacheDir: true, keepCache }),
        getattr: () => ({ attr: ATTRS[1], attrTimeout: 1000 }),
      }),
      { readdirplus: "never" },
    );
    const names = [["dir", "file", "link", "other"]];
    const list = () => fs.client(`say(sorted(os.listdir(M)))`);
    assertEquals(await list(), names);
    const once = fs.args("readdir").length;
    keepCache = true;
    assertEquals(await list(), names);
    assertEquals(fs.args("readdir").length, once);
    keepCache = false;
    assertEquals(await list(), names);
    assertGreater(fs.args("readdir").length, once);
  },
);

// locks

const [RDLCK, WRLCK, UNLCK] = [0, 1, 2];
const TO_THE_END = 2n ** 63n - 1n;

test("getlk and setlk: fcntl locks of two processes", kernel, async () => {
  let held: FileLock | null = null;
  await using fs = await serve(tree({
    open: () => ({ fh: 3 }),
    getlk: ({ lock }) => held ?? { ...lock, type: UNLCK },
    setlk({ lock }) {
      if (held !== null && lock.pid !== held.pid && lock.type !== UNLCK) throw new FuseError("EAGAIN");
      held = lock.type === UNLCK ? null : lock;
    },
    setlkw: () => {},
    flush: () => {},
  }));
  await using one = await fs.start(`
    fd = opened("file", os.O_RDWR)
    say(err(fcntl.fcntl, fd, fcntl.F_SETLK, flock(fcntl.F_WRLCK, 5, 10)))
    wait()
    fcntl.fcntl(fd, fcntl.F_SETLK, flock(fcntl.F_UNLCK))
    say(struct.unpack_from("h", fcntl.fcntl(fd, fcntl.F_GETLK, flock(fcntl.F_RDLCK, 1, 1).raw))[0])
    os.close(fd)
  `);
  assertEquals(await one.next(), "ok");
  await using two = await fs.start(`
    fd = opened("file", os.O_RDWR)
    say(err(fcntl.fcntl, fd, fcntl.F_SETLK, flock(fcntl.F_RDLCK)))
    say(struct.unpack_from("=hhxxxxqqi", fcntl.fcntl(fd, fcntl.F_GETLK, flock(fcntl.F_WRLCK, 7).raw)))
  `);
  assertEquals(await two.rest(), ["EAGAIN", [WRLCK, 0, 5, 10, one.pid]]);
  await one.go();
  assertEquals(await one.rest(), [UNLCK]);
  const [first, second, unlock] = fs.args("setlk");
  const common = { nodeid: 2, fh: 3, flock: false };
  const lock = (type: number, start: bigint, end: bigint, pid: number) => ({ type, start, end, pid });
  assert(first.owner !== second.owner, "each process is an owner");
  assertEquals(first, { ...common, owner: first.owner, lock: lock(WRLCK, 5n, 14n, one.pid) });
  assertEquals(second, { ...common, owner: second.owner, lock: lock(RDLCK, 0n, TO_THE_END, two.pid) });
  assertEquals(unlock, { ...common, owner: first.owner, lock: lock(UNLCK, 0n, TO_THE_END, 0) });
  const [asked, free] = fs.args("getlk");
  assertEquals(asked, { ...common, owner: second.owner, lock: lock(WRLCK, 7n, TO_THE_END, 0) });
  assertEquals(free, { ...common, owner: first.owner, lock: lock(RDLCK, 1n, 1n, 0) });
  // What a close ends is told by flush, not by an unlock.
  assertEquals(fs.args("flush").map(({ lockOwner }) => lockOwner), [second.owner, first.owner]);
});

/** A file system with one lock that who wants it waits for. */
function lockable(): Filesystem & { readonly waiting: () => number } {
  let owner: bigint | null = null;
  const queue: (() => void)[] = [];
  const take = ({ owner: who, lock }: { owner: bigint; lock: FileLock }) => {
    if (lock.type === UNLCK) {
      owner = null;
      queue.shift()?.();
    } else if (owner !== null && owner !== who) throw new FuseError("EAGAIN");
    else owner = who;
  };
  return tree({
    getlk: ({ lock }) => ({ ...lock, type: UNLCK }),
    setlk: take,
    async setlkw(args, { signal }) {
      while (owner !== null && owner !== args.owner && args.lock.type !== UNLCK) {
        await new Promise<void>((resolve, reject) => {
          queue.push(resolve);
          signal.addEventListener("abort", () => {
            queue.splice(queue.indexOf(resolve), 1);
            reject(signal.reason);
          });
        });
      }
      take(args);
    },
    waiting: () => queue.length,
  } as Filesystem) as ReturnType<typeof lockable>;
}

const HOLDING = {
  fcntl: [
    "fcntl.fcntl(fd, fcntl.F_SETLK, flock(fcntl.F_WRLCK))",
    "fcntl.fcntl(fd, fcntl.F_SETLK, flock(fcntl.F_UNLCK))",
  ],
  flock: ["fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)", "fcntl.flock(fd, fcntl.LOCK_UN)"],
} as const;
const WAITING = {
  fcntl: `"fcntl", fd, fcntl.F_SETLKW, flock(fcntl.F_WRLCK)`,
  flock: `"flock", fd, fcntl.LOCK_EX`,
} as const;

for (const kind of ["fcntl", "flock"] as const) {
  test(`setlkw: a lock by ${kind} is waited for, and who waits can be interrupted`, kernel, async () => {
    const locks = lockable();
    await using fs = await serve(locks);
    await using holder = await fs.start(`
      fd = opened("file", os.O_RDWR)
      ${HOLDING[kind][0]}
      say("held")
      wait()
      ${HOLDING[kind][1]}
      say("free")
      wait()
    `);
    assertEquals(await holder.next(), "held");
    const impatient = `
      fd = opened("file", os.O_RDWR)
      alarm()
      say(err(call, ${WAITING[kind]}))
    `;
    assertEquals(await fs.client(impatient), ["EINTR"]);
    assertEquals(locks.waiting(), 0);
    await using patient = await fs.start(`
      fd = opened("file", os.O_RDWR)
      say(err(call, ${WAITING[kind]}))
    `);
    await until(() => locks.waiting() === 1, "somebody waits");
    await holder.go();
    assertEquals(await holder.next(), "free");
    assertEquals(await patient.rest(), ["ok"]);
    const asked = fs.args("setlkw")[0];
    assertEquals({ ...asked, owner: 0n, lock: { ...asked.lock, pid: 0 } }, {
      nodeid: 2,
      fh: 0,
      owner: 0n,
      lock: { type: WRLCK, start: 0n, end: TO_THE_END, pid: 0 },
      flock: kind === "flock",
    });
    await holder.go();
    await holder.rest();
  });
}

test("release: says whose flock ends with it", kernel, async () => {
  await using fs = await serve(tree({ setlk: () => {}, setlkw: () => {}, open: () => ({ fh: 3 }), release: () => {} }));
  await fs.client(`
    fd = opened("file")
    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(fd)
    os.close(opened("file"))
  `);
  await until(() => fs.args("release").length === 2, "both are released");
  const [{ owner, lock, flock }] = fs.args("setlk");
  assertEquals([flock, lock.type, lock.start, lock.end], [true, RDLCK, 0n, TO_THE_END]);
  const common = { nodeid: 2, fh: 3, flags: O.RDONLY | O.LARGEFILE };
  assertEquals(fs.args("release"), [{ ...common, flockOwner: owner }, common]);
});

// ioctl and poll

test("ioctl: data both ways, as the number declares it", kernel, async () => {
  await using fs = await serve(tree({
    open: () => ({ fh: 3 }),
    ioctl({ cmd, data, outSize }) {
      if ((cmd & 0xff) === 9) throw new FuseError("ENOTTY");
      return { result: 40 + (cmd & 0xff), data: new Uint8Array(outSize).fill(data[0] ?? 7) };
    },
  }));
  const said = await fs.client(`
    fd = opened("file")
    b = bytearray(b"-" * 16)
    say(fcntl.ioctl(fd, iowr(2, "w", 1, 16), b), b.decode("latin1"))
    b = bytearray(b"abcdefgh")
    say(fcntl.ioctl(fd, iowr(1, "w", 2, 8), b), b.decode())
    b = bytearray(b"z" * 5000)
    say(fcntl.ioctl(fd, iowr(3, "w", 3, 5000), b), b == b"z" * 5000)
    say(fcntl.ioctl(fd, iowr(0, "w", 4, 0), 12345))
    say(err(fcntl.ioctl, fd, iowr(0, "w", 9, 0), 0))
  `);
  assertEquals(said, [[41, "\x07".repeat(16)], [42, "abcdefgh"], [43, true], 44, "ENOTTY"]);
  const seen = fs.args("ioctl");
  const iowr = (direction: number, number: number, size: number) =>
    (direction << 30 | size << 16 | 0x77 << 8 | number) >>> 0;
  const common = { nodeid: 2, fh: 3, directory: false, unrestricted: false, compat: false };
  const none = new Uint8Array(0);
  assertEquals(seen, [
    { ...common, arg: seen[0].arg, cmd: iowr(2, 1, 16), data: none, outSize: 16 },
    { ...common, arg: seen[1].arg, cmd: iowr(1, 2, 8), data: bytes("abcdefgh"), outSize: 0 },
    { ...common, arg: seen[2].arg, cmd: iowr(3, 3, 5000), data: bytes("z".repeat(5000)), outSize: 5000 },
    { ...common, arg: 12345n, cmd: iowr(0, 4, 0), data: none, outSize: 0 },
    { ...common, arg: 0n, cmd: iowr(0, 9, 0), data: none, outSize: 0 },
  ]);
});

test("ioctl: on a directory, by the author's handle; short data leaves the rest alone", kernel, async () => {
  await using fs = await serve(tree({ opendir: () => ({ fh: 99 }), ioctl: () => ({ data: bytes("xy") }) }));
  const said = await fs.client(`
    b = bytearray(b"1234")
    say(fcntl.ioctl(opened("dir"), iowr(2, "w", 1, 4), b), b.decode())
  `);
  assertEquals(said, [[0, "xy34"]]);
  assertEquals(fs.args("ioctl").map(({ nodeid, fh, directory }) => [nodeid, fh, directory]), [[3, 99, true]]);
});

test("ioctl: flags of chattr(1), for which the kernel opens the file itself", kernel, async () => {
  await using fs = await serve(tree({
    open: () => ({ fh: 3 }),
    release: () => {},
    // A shorter answer is an error here.
    ioctl: ({ outSize }) => ({ data: new Uint8Array(outSize).fill(0x10, 0, 1) }),
  }));
  const said = await fs.client(`
    fd = opened("file")
    b = bytearray(4)
    fcntl.ioctl(fd, iowr(2, "f", 1, 8), b)
    say(struct.unpack("I", b)[0])
    fcntl.ioctl(fd, iowr(1, "f", 2, 8), bytearray(struct.pack("I", 0x20)))
  `);
  assertEquals(said, [0x10]);
  const all = fs.args("ioctl");
  const set = all[all.length - 1];
  assertEquals([all[0].cmd, all[0].outSize, all[0].data.length], [0x80086601, 4, 0]);
  assertEquals([set.cmd, set.outSize, new Uint32Array(set.data.slice().buffer)[0]], [0x40086602, 0, 0x20]);
  assert(fs.args("open").length > 1);
});

const oddCaller = [
  ...libc().architecture === "x86_64" ? [] : ["an x86 processor"],
  ...thisMachine().tool("gcc") ? [] : ["gcc"],
];

testWith(oddCaller, "ioctl: a call by the interface of 32-bit programs is marked", async () => {
  await using fs = await serve(tree({ ioctl: ({ data }) => ({ result: data[0], data: bytes("out!") }) }));
  await using build = await tempDir();
  await writeFile(
    build.join("compat.c"),
    `
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
int main(int argc, char **argv) {
  char *low = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  memcpy(low, "in!!", 4);
  int fd = open(argv[1], O_RDONLY), result;
  /* ioctl(2) has the number 54 there. */
  __asm__ volatile("int $0x80" : "=a"(result) : "0"(54), "b"(fd), "c"(0xc0047701), "d"((int)(long)low) : "memory", "r8", "r9", "r10", "r11");
  printf("%d %.4s", result, low);
}
`,
  );
  const built = await run(["gcc", "-o", build.join("compat"), build.join("compat.c")]);
  assertEquals([built.code, built.stderr], [0, ""]);
  assertEquals((await run([build.join("compat"), fs.dir.join("file")])).stdout, `${"i".charCodeAt(0)} out!`);
  assertEquals(fs.args("ioctl").map(({ data, compat }) => [text(data), compat]), [["in!!", true]]);
});

test("poll: what is ready at once, and a wake-up later", kernel, async () => {
  let ready = 4;
  await using fs = await serve(tree({ open: () => ({ fh: 3 }), poll: ({ events }) => ready & events }));
  await using client = await fs.start(`
    fd = opened("file", os.O_RDWR)
    both = select.poll()
    both.register(fd, select.POLLIN | select.POLLOUT)
    say([events for _, events in both.poll(60000)])
    one = select.poll()
    one.register(fd, select.POLLIN)
    say([events for _, events in one.poll(0)])
    say([events for _, events in one.poll(60000)])
    e = select.epoll()
    e.register(fd, select.EPOLLIN)
    say([events for _, events in e.poll(10)])
  `);
  assertEquals(await client.next(), [4]);
  assertEquals(await client.next(), []);
  const before = fs.args("poll").slice(0, 2);
  // POLLERR and POLLHUP are always asked for.
  assertEquals(before.map(({ nodeid, fh, events }) => [nodeid, fh, events]), [[2, 3, 0x1d], [2, 3, 0x19]]);
  assertEquals(before.map(({ notify }) => notify), [true, false]);
  const waits = () => fs.args("poll").slice(2).filter(({ notify }) => notify);
  await until(() => waits().length === 1, "it waits");
  fs.session.notify.pollWakeup(waits()[0].kh);
  await until(() => waits().length === 2, "it looks again, in vain");
  ready = 1;
  fs.session.notify.pollWakeup(waits()[1].kh);
  assertEquals(await client.rest(), [[1], [1]]);
});

// what only a file system on a block device is asked

/** Serves on a loop device of 1 MiB, mounted as fuseblk. */
async function onBlockDevice(fs: Filesystem): Promise<Served> {
  const image = await tempDir();
  await writeFile(image.join("image"), new Uint8Array(1 << 20));
  const attached = await run(["losetup", "--find", "--show", image.join("image")]);
  assertEquals([attached.code, attached.stderr], [0, ""]);
  const loop = attached.stdout.trim();
  const release = async () => {
    await run(["losetup", "--detach", loop]);
    await image[Symbol.asyncDispose]();
  };
  try {
    const served = await serve(fs, {}, (dir) => {
      const c = libc();
      const fd = c.open(cstring("/dev/fuse"), O.RDWR | O.NONBLOCK | O.CLOEXEC, 0);
      const data = `fd=${fd},rootmode=40000,user_id=0,group_id=0,blksize=4096`;
      assertEquals(c.mount(cstring(loop), cstring(dir), cstring("fuseblk"), 0, cstring(data)), 0);
      return { fd };
    });
    return {
      ...served,
      async [Symbol.asyncDispose]() {
        await served[Symbol.asyncDispose]();
        await release();
      },
    };
  } catch (error) {
    await release();
    throw error;
  }
}

const hasLoop = await stat("/dev/loop-control").then(() => true, () => false);
const loop = hasLoop ? [] : ["/dev/loop-control"];

testWith([...loop, ...since(45)], "bmap, syncfs and destroy: on a block device", async () => {
  let destroyed = 0;
  await using fs = await onBlockDevice(tree({
    bmap: ({ block }) => block + 1000,
    syncfs: () => {},
    destroy: () => void destroyed++,
  }));
  const said = await fs.client(`
    fd = opened("file", os.O_RDWR)
    b = bytearray(struct.pack("i", 3))
    fcntl.ioctl(fd, 1, b)
    say(struct.unpack("i", b)[0])
    call("syncfs", fd)
  `);
  assertEquals(said, [1003]);
  assertEquals(fs.args("bmap"), [{ nodeid: 2, block: 3, blocksize: 4096 }]);
  assertEquals(fs.args("syncfs").at(0), { nodeid: 1 });
  assertEquals(await fs.session.unmount({ timeout: 30_000 }), "unmounted");
  assertEquals(destroyed, 1);
  // Whoever calls sync(2) meanwhile syncs this one too.
  const ends = fs.opcodes.filter((name) => name === "DESTROY" || name === "SYNCFS");
  assertEquals([...new Set(ends)], ["SYNCFS", "DESTROY"]);
  assertEquals(ends.filter((name) => name === "DESTROY").length, 1);
});

test("syncfs: without a block device the kernel keeps it to itself", kernel, async () => {
  await using fs = await serve(tree({ syncfs: () => {} }));
  await fs.client(`call("syncfs", opened("file"))`);
  assertEquals(fs.args("syncfs"), []);
});

// methods that are absent

/** What a file system without some methods answers, as the doc of each says. */
const ABSENT: readonly (readonly [method: string, script: string, said: unknown[]])[] = [
  ["lookup", `say(err(os.stat, p("x")))`, ["ENOSYS"]],
  ["getattr", `say(err(os.stat, M))`, ["ENOSYS"]],
  ["setattr", `say(err(os.chmod, p("file"), 0))`, ["ENOSYS"]],
  ["statx", `s = statx("file"); say(s["mask"] & 0xfff, s["size"])`, [[0x7ff, 6]]],
  ["readlink", `say(err(os.readlink, p("link")))`, ["ENOSYS"]],
  ["symlink", `say(err(os.symlink, "x", p("new")))`, ["ENOSYS"]],
  ["mknod", `say(err(os.mkfifo, p("new")))`, ["ENOSYS"]],
  ["mkdir", `say(err(os.mkdir, p("new")))`, ["ENOSYS"]],
  ["unlink", `say(err(os.unlink, p("file")))`, ["ENOSYS"]],
  ["rmdir", `say(err(os.rmdir, p("dir")))`, ["ENOSYS"]],
  ["rename", `say(err(os.rename, p("file"), p("new")))`, ["ENOSYS"]],
  [
    "rename",
    `say([err(call, "renameat2", AT_FDCWD, p("file"), AT_FDCWD, p("new"), 1) for _ in range(2)])`,
    [["EINVAL", "EINVAL"]],
  ],
  // Before Linux 6.15 it is ENOSYS.
  ["link", `say(err(os.link, p("file"), p("new")) in ("EPERM", "ENOSYS"))`, [true]],
  ["open", `say(read("file"))`, ["hello\n"]],
  ["read", `say(err(read, "file"))`, ["ENOSYS"]],
  ["write", `say(err(os.write, opened("file", os.O_WRONLY | os.O_SYNC), b"x"))`, ["ENOSYS"]],
  ["statfs", `s = os.statvfs(M); say(s.f_blocks, s.f_files, s.f_namemax)`, [[0, 0, 255]]],
  ["flush", `say([err(os.close, opened("file", os.O_WRONLY)) for _ in range(2)])`, [["ok", "ok"]]],
  ["fsync", `say(err(os.fsync, opened("file")), err(os.fsync, opened("file")))`, [["ok", "ok"]]],
  ["setxattr", `say(err(os.setxattr, p("file"), "user.x", b""))`, ["EOPNOTSUPP"]],
  ["getxattr", `say(err(os.getxattr, p("file"), "user.x"))`, ["EOPNOTSUPP"]],
  ["listxattr", `say(err(os.listxattr, p("file")))`, ["EOPNOTSUPP"]],
  ["removexattr", `say(err(os.removexattr, p("file"), "user.x"))`, ["EOPNOTSUPP"]],
  ["opendir", `say(len(os.listdir(M)))`, [4]],
  ["readdir", `say(err(os.listdir, M))`, ["ENOSYS"]],
  ["fsyncdir", `say(err(os.fsync, opened("dir")), err(os.fsync, opened("dir")))`, [["ok", "ok"]]],
  ["access", `say(os.access(p("file"), 6), os.access(p("file"), 6))`, [[true, true]]],
  ["create", `say(err(opened, "new", os.O_CREAT | os.O_WRONLY), os.path.exists(p("new")))`, [["ok", false]]],
  ["tmpfile", `say([err(opened, "dir", os.O_TMPFILE | os.O_RDWR) for _ in range(2)])`, [["EOPNOTSUPP", "EOPNOTSUPP"]]],
  [
    "getlk setlk setlkw",
    `fcntl.lockf(opened("file", 2), fcntl.LOCK_EX); fcntl.flock(opened("file"), fcntl.LOCK_EX)`,
    [],
  ],
  ["ioctl", `say([err(fcntl.ioctl, opened("file"), iowr(0, "w", 1, 0)) for _ in range(2)])`, [["ENOTTY", "ENOTTY"]]],
  ["poll", `say([select.select([f], [f], [f], 1) == ([f], [f], []) for f in [opened("file")] * 2])`, [[true, true]]],
  ["fallocate", `say([err(call, "fallocate", opened("file", 2), 0, 0, 9) for _ in range(2)])`, [[
    "EOPNOTSUPP",
    "EOPNOTSUPP",
  ]]],
  ["lseek", `f = opened("file"); say(os.lseek(f, 2, os.SEEK_DATA), os.lseek(f, 2, os.SEEK_HOLE))`, [[2, 6]]],
  ["copyFileRange", `say(os.copy_file_range(opened("file"), opened("other", os.O_WRONLY), 3, 1))`, [3]],
];

// Once ENOSYS was seen, the kernel asks these no more. fsync, fallocate and copyFileRange are not among them: what is
// without a method may have a backing file the next time.
const ASKED_ONCE: Readonly<Record<string, string>> = {
  flush: "FLUSH",
  fsyncdir: "FSYNCDIR",
  access: "ACCESS",
  poll: "POLL",
  tmpfile: "TMPFILE",
};

for (const [index, [methods, script, expected]] of ABSENT.entries()) {
  const again = ABSENT.findIndex(([name]) => name === methods) < index ? ", with flags" : "";
  test(`absent: ${methods.replaceAll(" ", ", ")}${again}`, kernel, async () => {
    const fs = tree({
      ...methods === "create" && { mknod: () => entry(10, ATTRS[2]) },
      ...methods === "copyFileRange" && { write: ({ data }: { data: Uint8Array }) => data.length },
    });
    for (const method of methods.split(" ")) delete (fs as Record<string, unknown>)[method];
    await using served = await serve(fs);
    assertEquals(await served.client(script), expected);
    const opcode = ASKED_ONCE[methods];
    if (opcode) assertEquals(served.opcodes.filter((name) => name === opcode).length, 1);
  });
}
