import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { renameSync, statSync, utimesSync, writeFileSync } from "node:fs";
import fs from "node:fs/promises";
import process from "node:process";
import { libc } from "../../ffi/load.ts";
import { FuseError } from "../../src/errno.ts";
import { makedev, ROOT_ID } from "../../src/fs/types.ts";
import { mirror } from "../../src/kit/mirror.ts";
import { mount } from "../../src/mount/mount.ts";
import { code } from "../support/errno.ts";
import { must, openFds, run, skipped, tempDir, test, until } from "../support/harness.ts";
import { losing } from "../support/losing.ts";
import {
  bytes,
  CHR,
  connection,
  DIR,
  EXCHANGE,
  FIFO,
  LNK,
  NOREPLACE,
  REG,
  ROOT,
  SELF,
  SOCK,
  Source,
  USER,
  WHITEOUT,
  withoutHandles,
} from "./mirror/source.ts";

// Opened here, since it stays open.
const c = libc();

function refusal(call: () => unknown): FuseError {
  try {
    call();
  } catch (error) {
    if (error instanceof FuseError) return error;
    throw error;
  }
  throw new Error("nothing thrown");
}

// The source

test("mirror: a source that is missing or no directory is refused with call, path and remedy", async () => {
  await using s = await Source.make();
  await fs.writeFile(s.join("file"), "");
  const before = (await openFds()).size;
  const missing = refusal(() => mirror(s.join("missing")));
  assertEquals([missing.code, missing.syscall, missing.path], ["ENOENT", "open", s.join("missing")]);
  assertStringIncludes(missing.message, s.join("missing"));
  assertStringIncludes(missing.message, "name a directory that exists");
  assertEquals(refusal(() => mirror(s.join("file"))).code, "ENOTDIR");
  assertEquals((await openFds()).size, before);
});

test("mirror: destroy closes every descriptor but the source's, dispose that one too", async () => {
  const before = (await openFds()).size;
  {
    await using s = await Source.make({ maxDescriptors: 16 });
    for (let i = 0; i < 50; i++) s.create(`f${i}`);
    for (let i = 0; i < 50; i++) s.mkdir(`d${i}`);
    s.opendir(s.id("d7"));
    s.unlink("f3");
    s.fs.tmpfile({ parent: ROOT_ID, flags: s.O.RDWR, mode: REG | 0o600, umask: 0 }, SELF);
    assertGreater((await openFds()).size, before + 50);
    s.fs.destroy();
    assertEquals((await openFds()).size, before + 1);
    assertEquals(s.mirror.counts(), { nodes: 1, descriptors: 1, files: 0, directories: 0 });
    assertEquals(code(() => s.stat(ROOT_ID + 1)), "ESTALE");
    assertEquals(code(() => s.read(1)), "EBADF");
    assertEquals(s.stat(s.id("d7")).nlink, 2);
    s.mirror[Symbol.dispose]();
    assertEquals((await openFds()).size, before);
    assertEquals(s.mirror.counts(), { nodes: 0, descriptors: 0, files: 0, directories: 0 });
    assertEquals(code(() => s.stat(ROOT_ID)), "ESTALE");
    assertEquals(code(() => s.fs.init(connection([]))), "EBADF");
  }
  assertEquals((await openFds()).size, before);
});

test("mirror init: a second mount at a time is refused in words; each handshake counts anew", async () => {
  await using s = await Source.make();
  s.fs.init(connection(["FUSE_WRITEBACK_CACHE"]));
  assertEquals("backing" in s.create("f"), false);
  const error = refusal(() => s.fs.init(connection([])));
  assertEquals(error.code, "EBUSY");
  assertStringIncludes(error.message, "another mirror");
  s.fs.destroy();
  s.fs.init(connection([]));
  assertEquals("backing" in s.create("g"), true);
});

test("mirror: one that was lost, not disposed, leaves no descriptor", async () => {
  await using dir = await tempDir();
  await losing(50, () => mirror(dir.path));
});

test("mirror: is mounted again, also over its own source", { needs: ["root", "fuse"], sanitize: false }, async () => {
  await using dir = await tempDir();
  await fs.mkdir(dir.join("source"));
  await fs.mkdir(dir.join("b"));
  using mirrored = mirror(dir.join("source"));
  for (let i = 0; i < 2; i++) {
    await using _session = await mount(mirrored, dir.join("source"));
    await must(["sh", "-c", `echo ${i} >> ${dir.path}/source/f`]);
    await assertRejects(() => mount(mirrored, dir.join("b")), FuseError, "another mirror");
    assertEquals((await run(["cat", dir.join("source/f")])).stdout, ["0\n", "0\n1\n"][i]);
  }
  assertEquals(mirrored.counts(), { nodes: 1, descriptors: 1, files: 0, directories: 0 });
});

test("mirror: methods need no this, so a spread of them is a file system", async () => {
  await using s = await Source.make();
  const { lookup, getattr } = { ...s.mirror };
  assertEquals(lookup!({ parent: ROOT_ID, name: "none" }, SELF), null);
  assertEquals((getattr!({ nodeid: ROOT_ID }, SELF) as { attr: { mode: number } }).attr.mode & 0o170000, DIR);
});

// Names and identity

test("mirror lookup: attributes are those of the source, timeouts those of the options", async () => {
  await using s = await Source.make({ entryTimeout: 2, attrTimeout: 3 });
  await fs.writeFile(s.join("f"), "hello");
  await fs.chmod(s.join("f"), 0o640);
  await fs.utimes(s.join("f"), 1000.5, 2000.25);
  const real = await fs.stat(s.join("f"));
  const { attr, entryTimeout, attrTimeout, generation } = s.look("f");
  assertEquals([entryTimeout, attrTimeout, generation], [2, 3, 0]);
  assertEquals(attr.ino, real.ino!);
  assertEquals([attr.size, attr.blocks, attr.blksize], [5, real.blocks!, real.blksize!]);
  assertEquals([attr.mode, attr.nlink], [REG | 0o640, 1]);
  assertEquals([attr.uid, attr.gid], [real.uid!, real.gid!]);
  assertEquals([attr.atime, attr.atimeNsec, attr.mtime, attr.mtimeNsec], [1000, 500_000_000, 2000, 250_000_000]);
  assertEquals(attr.ctime, Math.floor(real.ctime!.getTime() / 1000));
});

test("mirror lookup: a missing name is null, or an entry to remember with negativeTimeout", async () => {
  await using s = await Source.make();
  assertEquals(s.fs.lookup({ parent: ROOT_ID, name: "none" }, SELF), null);
  await using n = await Source.make({ negativeTimeout: 4 });
  const entry = n.fs.lookup({ parent: ROOT_ID, name: "none" }, SELF)!;
  assertEquals([entry.nodeid, entry.entryTimeout], [0, 4]);
});

test("mirror lookup: what others change in the source is seen at once", async () => {
  await using s = await Source.make();
  assertEquals(s.has("f"), false);
  await fs.writeFile(s.join("f"), "1");
  const { nodeid, attr, entryTimeout, attrTimeout } = s.look("f");
  assertEquals([attr.size, entryTimeout, attrTimeout], [1, 0, 0]);
  await fs.writeFile(s.join("f"), "22");
  await fs.chmod(s.join("f"), 0o604);
  assertEquals([s.stat(nodeid).size, s.look("f").attr.mode], [2, REG | 0o604]);
  await fs.rename(s.join("f"), s.join("g"));
  assertEquals([s.has("f"), s.id("g")], [false, nodeid]);
  assertEquals(s.stat(nodeid).size, 2);
  await fs.unlink(s.join("g"));
  assertEquals(s.has("g"), false);
});

test("mirror lookup: a directory that others rename stays in reach under its nodeid", async () => {
  await using s = await Source.make();
  await fs.mkdir(s.join("d"));
  const d = s.id("d");
  await fs.rename(s.join("d"), s.join("e"));
  const { entry } = s.create("f", { parent: d });
  assertEquals(s.names(d), [".", "..", "f"]);
  assertEquals(s.id("e/f"), entry.nodeid);
});

test("mirror lookup: in something that is no directory ENOTDIR, of an unknown nodeid ESTALE", async () => {
  await using s = await Source.make();
  const { entry } = s.create("f");
  assertEquals(code(() => s.look("x", entry.nodeid)), "ENOTDIR");
  assertEquals(code(() => s.look("x", 4711)), "ESTALE");
});

test("mirror: names with a slash, dots and empty names are EINVAL, long ones ENAMETOOLONG", async () => {
  await using s = await Source.make();
  const { nodeid } = s.create("f").entry;
  s.mkdir("d");
  for (const name of ["", "a/b", "/", "../x"]) assertEquals(code(() => s.has(name)), "EINVAL");
  for (const name of ["", ".", "..", "d/x", "/etc"]) {
    assertEquals(code(() => s.create(name)), "EINVAL", name);
    assertEquals(code(() => s.mkdir(name)), "EINVAL", name);
    assertEquals(code(() => s.mknod(name, FIFO | 0o644)), "EINVAL", name);
    assertEquals(code(() => s.mknod(name, REG | 0o644)), "EINVAL", name);
    assertEquals(code(() => s.fs.symlink({ parent: ROOT_ID, name, target: "t" }, SELF)), "EINVAL", name);
    assertEquals(code(() => s.link(nodeid, name)), "EINVAL", name);
    assertEquals(code(() => s.unlink(name)), "EINVAL", name);
    assertEquals(code(() => s.rmdir(name)), "EINVAL", name);
    assertEquals(code(() => s.rename("f", name)), "EINVAL", name);
    assertEquals(code(() => s.rename(name, "g")), "EINVAL", name);
  }
  assertEquals(code(() => s.has("a\0b")), "EINVAL");
  assertEquals(code(() => s.has("x".repeat(256))), "ENAMETOOLONG");
  assertEquals(code(() => s.has("x".repeat(100_000))), "ENAMETOOLONG");
  assertEquals(s.names(), [".", "..", "d", "f"]);
});

test("mirror lookup: dots lead to the directory and the one above, never above the root", async () => {
  await using s = await Source.make();
  const a = s.mkdir("a").nodeid;
  const b = s.mkdir("b", { parent: a }).nodeid;
  assertEquals(s.id(".", b), b);
  assertEquals(s.id("..", b), a);
  assertEquals(s.id("..", a), ROOT_ID);
  assertEquals(s.id("..", ROOT_ID), ROOT_ID);
  assertEquals(s.look("..", ROOT_ID).attr.ino, (await fs.stat(s.path)).ino!);
  // Moved out of the source by others: what is above is none of ours.
  await fs.mkdir(s.path + "-outside");
  try {
    await fs.rename(s.join("a/b"), s.path + "-outside/b");
    assertEquals(code(() => s.id("..", b)), "ESTALE");
  } finally {
    await fs.rm(s.path + "-outside", { recursive: true });
  }
});

test("mirror lookup: the directory above is found again after the kernel forgot it", async () => {
  await using s = await Source.make();
  const a = s.mkdir("a").nodeid;
  const b = s.mkdir("b", { parent: a }).nodeid;
  s.fs.forget({ nodeid: a, nlookup: 1 });
  assertEquals(code(() => s.stat(a)), "ESTALE");
  const up = s.look("..", b);
  assertEquals(up.attr.ino, (await fs.stat(s.join("a"))).ino!);
  assertEquals(s.id("a"), up.nodeid);
});

test("mirror lookup: hard links share a nodeid, other files do not", async () => {
  await using s = await Source.make();
  await fs.writeFile(s.join("one"), "1");
  await fs.link(s.join("one"), s.join("two"));
  await fs.writeFile(s.join("three"), "1");
  assertEquals(s.id("one"), s.id("two"));
  assertEquals(s.look("two").attr.nlink, 2);
  assertNotEquals(s.id("one"), s.id("three"));
  const made = s.link(s.id("three"), "four");
  assertEquals([made.nodeid, made.attr.nlink], [s.id("three"), 2]);
});

test("mirror: what is open stays in reach, whatever others do to its name", async () => {
  await using s = await Source.make();
  const { fh, entry: { nodeid } } = s.create("f");
  s.write(fh!, "data");
  await fs.rename(s.join("f"), s.join("moved"));
  assertEquals(s.stat(nodeid).nlink, 1);
  await fs.rm(s.join("moved"));
  assertEquals([s.stat(nodeid).nlink, s.stat(nodeid, fh).size], [0, 4]);
  assertEquals(s.set(nodeid, { mode: 0o600, size: 2 }).mode & 0o777, 0o600);
  const again = s.open(nodeid, s.O.RDONLY);
  s.release(fh!);
  assertEquals([s.stat(nodeid).size, s.read(again)], [2, "da"]);
  s.release(again);
  assertEquals(s.mirror.counts().files, 0);
});

test("mirror: an open folder stays in reach, whatever others do to its name", async () => {
  await using s = await Source.make({ maxDescriptors: 16 });
  const { nodeid } = s.mkdir("d");
  s.mkdir("inside", { parent: nodeid });
  const fh = s.opendir(nodeid);
  for (let i = 0; i < 40; i++) s.mkdir(`other${i}`);
  await fs.rename(s.join("d"), s.join("moved"));
  const inside = s.look("inside", nodeid);
  assertEquals(inside.attr.ino, (await fs.stat(s.join("moved/inside"))).ino);
  s.releasedir(fh);
});

test("mirror forget: at the last lookup the inode is unknown, and its nodeid gets a higher generation", async () => {
  await using s = await Source.make();
  await fs.writeFile(s.join("f"), "");
  await fs.writeFile(s.join("g"), "");
  const { nodeid } = s.look("f");
  s.look("f");
  s.fs.forget({ nodeid, nlookup: 1 });
  assertEquals(s.stat(nodeid).size, 0);
  s.fs.forget({ nodeid, nlookup: 1 });
  assertEquals(code(() => s.stat(nodeid)), "ESTALE");
  assertEquals(s.mirror.counts().nodes, 1);
  const again = s.look("g");
  assertEquals([again.nodeid, again.generation], [nodeid, 1]);
  s.fs.forget({ nodeid: ROOT_ID, nlookup: 1000 });
  assertEquals(s.stat(ROOT_ID).mode & 0o170000, DIR);
  s.fs.forget({ nodeid: 4711, nlookup: 1 });
  s.fs.forget({ nodeid: again.nodeid, nlookup: 1 });
  s.fs.forget({ nodeid: s.mkdir("d").nodeid, nlookup: 1 });
  assertEquals([s.mirror.counts().nodes, s.mirror.counts().descriptors], [1, 1]);
});

test("mirror: an inode number that others gave to a new file is a new nodeid", async (t) => {
  await using s = await Source.make();
  // ext4 gives the lowest free number: the file's own, right after its removal.
  let reused = false;
  for (let i = 0; i < 20 && !reused; i++) {
    await fs.writeFile(s.join("a"), "a");
    const old = s.look("a");
    await fs.unlink(s.join("a"));
    // Another tick of the clock that times of birth are read from.
    await new Promise((resolve) => setTimeout(resolve, 20));
    await fs.writeFile(s.join("b"), "b");
    const young = s.look("b");
    reused = old.attr.ino === young.attr.ino;
    if (reused) {
      assertNotEquals(young.nodeid, old.nodeid);
      assertEquals(code(() => s.stat(old.nodeid)), "ESTALE");
      assertEquals(s.stat(young.nodeid).ino, young.attr.ino);
      s.fs.forget({ nodeid: old.nodeid, nlookup: 1 });
      assertEquals(s.id("b"), young.nodeid);
    }
    await fs.unlink(s.join("b"));
  }
  if (!reused) await skipped(t, "this file system gives no number again so soon");
});

test("mirror: names that are not UTF-8 make the round trip", async () => {
  await using s = await Source.make();
  const name = "n\udcff\udc80é€😀";
  const { entry, fh } = s.create(name);
  s.write(fh!, "data");
  s.release(fh!);
  s.fs.symlink({ parent: ROOT_ID, name: "l\udcfe", target: "t\udcfd/é" }, SELF);
  assertEquals(s.names(), [".", "..", "l\udcfe", name].sort());
  assertEquals(s.fs.readlink({ nodeid: s.id("l\udcfe") }, SELF), "t\udcfd/é");
  const { stdout } = await run([
    "sh",
    "-c",
    'cd "$1" && for f in n*; do printf %s "$f" | od -An -tx1; done',
    "",
    s.path,
  ]);
  assertEquals(stdout.trim(), "6e ff 80 c3 a9 e2 82 ac f0 9f 98 80");
  s.rename(name, "\udcee");
  assertEquals(s.id("\udcee"), entry.nodeid);
  s.unlink("\udcee");
  assertEquals(code(() => s.create("\ud800")), "EILSEQ");
});

// No way out

test("mirror: symbolic links are objects, never followed", async () => {
  await using s = await Source.make();
  await fs.symlink("/etc", s.join("etc"));
  await fs.symlink("..", s.join("up"));
  const etc = s.look("etc");
  assertEquals(etc.attr.mode & 0o170000, LNK);
  assertEquals(code(() => s.id("passwd", etc.nodeid)), "ENOTDIR");
  assertEquals(code(() => s.opendir(etc.nodeid)), "ENOTDIR");
  assertEquals(code(() => s.open(etc.nodeid, s.O.RDONLY)), "ELOOP");
  assertEquals(code(() => s.set(etc.nodeid, { size: 0 })), "EINVAL");
  assertEquals(code(() => s.create("etc", { flags: s.O.RDWR | s.O.NOFOLLOW })), "ELOOP");
  // The kernel is told to look again, and follows the link itself.
  assertEquals(code(() => s.create("etc")), "ESTALE");
  assertEquals(code(() => s.id("x", s.id("up"))), "ENOTDIR");
});

test("mirror: a directory that others replace by a symbolic link does not lead outside", async () => {
  using _ = withoutHandles();
  await using s = await Source.make({ maxDescriptors: 16 });
  await using outside = await Source.make();
  await fs.writeFile(outside.join("file"), "secret");
  const dir = s.mkdir("dir").nodeid;
  const { entry, fh } = s.create("file", { parent: dir });
  s.release(fh!);
  // Enough others that neither descriptor is left.
  for (let i = 0; i < 100; i++) s.mkdir(`other${i}`);
  await fs.rename(s.join("dir"), s.join("gone"));
  await fs.symlink(outside.path, s.join("dir"));
  const escapes = [
    () => s.stat(entry.nodeid),
    () => s.open(entry.nodeid, s.O.RDWR),
    () => s.set(entry.nodeid, { size: 0 }),
    () => s.set(entry.nodeid, { mode: 0o777 }),
    () => s.has("file", dir),
    () => s.unlink("file", dir),
    () => s.create("new", { parent: dir }),
    () => s.opendir(dir),
  ];
  for (const escape of escapes) assertEquals(code(escape), "ESTALE");
  assertEquals(await fs.readFile(outside.join("file"), "utf8"), "secret");
  assertEquals(outside.names(), [".", "..", "file"]);
  // Found at its new name it is the same inode, and what is in it is in reach again.
  assertEquals(s.id("gone"), dir);
  assertEquals(s.stat(entry.nodeid).size, 0);
});

test("mirror: a file that others replace is not taken for the old one", async () => {
  await using s = await Source.make();
  await fs.writeFile(s.join("f"), "old");
  const old = s.look("f");
  await fs.writeFile(s.join("g"), "new");
  await fs.rename(s.join("g"), s.join("f"));
  // Where a descriptor is kept of it (on overlayfs, say) it is still the old one.
  const found = code(() => assertEquals(s.read(s.open(old.nodeid, s.O.RDONLY)), "old"));
  assertEquals(code(() => assertEquals(s.stat(old.nodeid).ino, old.attr.ino)), found);
  assert(found === "ESTALE" || found === "ok", found);
  const young = s.look("f");
  assertNotEquals(young.nodeid, old.nodeid);
  assertEquals(s.read(s.open(young.nodeid, s.O.RDONLY)), "new");
});

test("mirror: directories that others moved into each other are no endless way", async () => {
  using _ = withoutHandles();
  await using s = await Source.make({ maxDescriptors: 16 });
  const a = s.mkdir("a").nodeid;
  const b = s.mkdir("b", { parent: a }).nodeid;
  // Now b lies in the source and a in b, but of b only the old name is known.
  await fs.rename(s.join("a/b"), s.join("b"));
  await fs.rename(s.join("a"), s.join("b/a"));
  assertEquals(s.id("a", b), a);
  for (let i = 0; i < 40; i++) s.mkdir(`other${i}`);
  assertEquals(code(() => s.stat(b)), "ESTALE");
  assertEquals(code(() => s.stat(a)), "ESTALE");
  assertEquals(s.id("b"), b);
  assertEquals(s.stat(a).mode & 0o170000, DIR);
});

test("mirror lookup: our own mount inside the source is ELOOP", async () => {
  // Any other device will do for it: that of /proc.
  const proc = await fs.lstat("/proc");
  const own = { major: Math.floor(proc.dev / 256) & 0xfff, minor: proc.dev & 0xff };
  using root = mirror("/");
  const served = root as unknown as Source["fs"];
  const crossed = served.lookup({ parent: ROOT_ID, name: "proc" }, SELF)!;
  assertEquals(crossed.attr.mode & 0o170000, DIR);
  // Its files have size 0, which must not end what is read of them; and they are no backing files.
  const { nodeid } = served.lookup({ parent: crossed.nodeid, name: "uptime" }, SELF)!;
  const { fh, directIo, backing } = served.open({ nodeid, flags: 0, killSuidgid: false }, SELF);
  assertEquals([directIo, backing], [true, undefined]);
  assertGreater(served.read({ nodeid, fh: fh!, offset: 0, size: 100, flags: 0 }, SELF).length, 0);
  served.init(connection([], own));
  assertEquals(code(() => served.lookup({ parent: ROOT_ID, name: "proc" }, SELF)), "ELOOP");
  // A name below, which only a walk leads to.
  assertEquals(served.lookup({ parent: ROOT_ID, name: "etc" }, SELF)!.attr.mode & 0o170000, DIR);
});

test("mirror: mounts in the source are crossed, and equal inode numbers kept apart", { needs: ["root"] }, async () => {
  await using s = await Source.make();
  await fs.mkdir(s.join("m"));
  const under = s.look("m");
  assertEquals((await run(["mount", "-t", "tmpfs", "none", s.join("m")])).code, 0);
  await fs.writeFile(s.join("m/f"), "inside");
  const top = s.look("m");
  assertNotEquals(top.nodeid, under.nodeid);
  const file = s.look("f", top.nodeid);
  assertEquals(s.read(s.open(file.nodeid, s.O.RDONLY)), "inside");
  const real = await fs.stat(s.join("m/f"));
  assertEquals(file.attr.ino, 2 ** 44 + real.ino!);
  const fh = s.opendir(top.nodeid);
  const shown = new Map([...s.readdir(fh)].map(({ name, ino }) => [name, ino]));
  assertEquals(shown.get("f"), file.attr.ino);
  assertEquals(shown.get("."), top.attr.ino);
  assertEquals(shown.get(".."), s.stat(ROOT_ID).ino);
  s.releasedir(fh);
  assertEquals(s.id("..", top.nodeid), ROOT_ID);
  assertEquals(code(() => s.rename("f", "f", { from: top.nodeid, to: ROOT_ID })), "EXDEV");
  assertEquals(code(() => s.rmdir("m")), "EBUSY");
  s.fs.syncfs({ nodeid: ROOT_ID }, SELF);
  s.mirror[Symbol.dispose]();
});

test("mirror lookup: the source mounted inside itself is ELOOP", { needs: ["root"] }, async () => {
  await using s = await Source.make();
  await fs.mkdir(s.join("self"));
  assertEquals((await run(["mount", "--bind", s.path, s.join("self")])).code, 0);
  assertEquals(code(() => s.look("self")), "ELOOP");
  s.mirror[Symbol.dispose]();
});

// Bounded descriptors

test("mirror maxDescriptors: hundreds of inodes stay in reach, also after renames", async () => {
  const before = (await openFds()).size;
  await using s = await Source.make({ maxDescriptors: 16 });
  const dirs = Array.from({ length: 20 }, (_, i) => s.mkdir(`d${i}`).nodeid);
  const deep = s.mkdir("deep", { parent: dirs[0] }).nodeid;
  const found: { nodeid: number; ino: number | bigint }[] = [];
  for (const [i, parent] of [...dirs, deep].entries()) {
    for (let j = 0; j < 15; j++) {
      const { entry, fh } = s.create(`f${i}-${j}`, { parent });
      s.write(fh!, `${i}-${j}`);
      s.release(fh!);
      found.push({ nodeid: entry.nodeid, ino: entry.attr.ino! });
    }
  }
  assertLess((await openFds()).size, before + 20);
  const all = () => {
    for (const [k, { nodeid, ino }] of found.entries()) {
      assertEquals(s.stat(nodeid).ino, ino);
      const fh = s.open(nodeid, s.O.RDONLY);
      assertEquals(s.read(fh), `${Math.floor(k / 15)}-${k % 15}`);
      s.release(fh);
      assertLess(s.mirror.counts().descriptors, 17);
    }
  };
  all();
  // A directory above, a file, and two that change places.
  s.rename("d0", "renamed", { from: ROOT_ID, to: dirs[1] });
  s.rename("f2-0", "moved", { from: dirs[2], to: dirs[3] });
  s.rename("d4", "d5", { flags: EXCHANGE });
  all();
  assertEquals(s.mirror.counts().nodes, 1 + 21 + found.length);
  assertLess((await openFds()).size, before + 20);
});

test("mirror maxDescriptors: a tree deeper than the limit, and than a path may be long", async () => {
  await using s = await Source.make({ maxDescriptors: 16 });
  const name = "x".repeat(200);
  let parent: number = ROOT_ID;
  const way: number[] = [];
  for (let i = 0; i < 40; i++) way.push(parent = s.mkdir(name, { parent }).nodeid);
  const { entry, fh } = s.create("leaf", { parent });
  s.release(fh!);
  for (let i = 0; i < 40; i++) s.mkdir(`other${i}`);
  assertEquals(s.stat(entry.nodeid).ino, entry.attr.ino);
  s.rename("leaf", "top", { from: parent, to: ROOT_ID });
  assertEquals(s.id("top"), entry.nodeid);
  // Two descriptors at a time, the way to the second one longer than the limit.
  const shallow = s.mkdir("shallow").nodeid;
  s.create("f", { parent: shallow });
  for (let i = 0; i < 40; i++) s.mkdir(`more${i}`);
  s.rename("f", "g", { from: shallow, to: parent });
  assertEquals([s.names(shallow), s.names(parent)], [[".", ".."], [".", "..", "g"]]);
  s.unlink("g", parent);
  assertEquals(s.id("..", way[20]), way[19]);
  assertLess(s.mirror.counts().descriptors, 17);
  for (let i = 39; i >= 0; i--) s.rmdir(name, i === 0 ? ROOT_ID : way[i - 1]);
});

test("mirror: an unlinked inode that the kernel knows stays usable, whatever comes after", async () => {
  await using s = await Source.make({ maxDescriptors: 16 });
  const { entry: { nodeid }, fh } = s.create("f");
  s.write(fh!, "data");
  s.release(fh!);
  const dir = s.mkdir("d").nodeid;
  s.unlink("f");
  s.rmdir("d");
  // The same names again, and too many others.
  s.create("f");
  for (let i = 0; i < 40; i++) s.mkdir(`other${i}`);
  assertEquals([s.stat(nodeid).nlink, s.stat(nodeid).size], [0, 4]);
  const again = s.open(nodeid, s.O.RDWR);
  assertEquals(s.read(again), "data");
  assertEquals(s.set(nodeid, { mode: 0o600 }).mode, REG | 0o600);
  assertEquals(s.set(nodeid, { size: 2 }).size, 2);
  s.release(again);
  assertEquals(s.stat(dir).nlink, 0);
  assertEquals(code(() => s.has("x", dir)), "ok");
  s.fs.forget({ nodeid, nlookup: 1 });
  assertEquals(code(() => s.stat(nodeid)), "ESTALE");
  assertLess(s.mirror.counts().descriptors, 18);
});

test("mirror: so do any number of them", async () => {
  await using s = await Source.make({ maxDescriptors: 16 });
  const made = Array.from({ length: 60 }, (_, i) => s.create(`f${i}`).entry.nodeid);
  const dirs = Array.from({ length: 20 }, (_, i) => s.mkdir(`d${i}`).nodeid);
  for (let i = 0; i < 30; i++) s.unlink(`f${i}`);
  for (let i = 30; i < 60; i++) {
    s.create("over");
    s.rename("over", `f${i}`);
  }
  for (let i = 0; i < 10; i++) s.rmdir(`d${i}`);
  for (let i = 10; i < 20; i++) {
    s.mkdir("over");
    s.rename("over", `d${i}`);
  }
  for (const nodeid of [...made, ...dirs]) assertEquals(s.stat(nodeid).nlink, 0);
});

test("mirror: an inode that was renamed over stays usable", async () => {
  await using s = await Source.make({ maxDescriptors: 16 });
  const { entry: { nodeid }, fh } = s.create("f");
  s.write(fh!, "data");
  const young = s.create("g").entry.nodeid;
  s.rename("g", "f");
  for (let i = 0; i < 40; i++) s.mkdir(`other${i}`);
  assertEquals(s.id("f"), young);
  assertEquals([s.stat(nodeid).nlink, s.stat(nodeid).size], [0, 4]);
  assertEquals(code(() => s.rename("none", "f")), "ENOENT");
  assertEquals(code(() => s.unlink("none")), "ENOENT");
  for (let i = 0; i < 40; i++) s.mkdir(`more${i}`);
  assertEquals(s.stat(young).nlink, 1);
  assertLess(s.mirror.counts().descriptors, 18);
});

test("mirror: of hard links, one removed name leaves the inode in reach", async () => {
  await using s = await Source.make({ maxDescriptors: 16 });
  const { nodeid } = s.create("one").entry;
  s.link(nodeid, "two");
  s.link(nodeid, "three");
  s.unlink("one"); // not the name last seen
  for (let i = 0; i < 40; i++) s.mkdir(`other${i}`);
  assertEquals(s.stat(nodeid).nlink, 2);
  s.unlink("three"); // the one last seen
  for (let i = 0; i < 40; i++) s.mkdir(`more${i}`);
  assertEquals(s.stat(nodeid).nlink, 1);
  assertEquals(s.id("two"), nodeid);
  for (let i = 0; i < 40; i++) s.mkdir(`still${i}`);
  assertEquals(s.stat(nodeid).nlink, 1);
  assertLess(s.mirror.counts().descriptors, 17);
});

test("mirror: descriptors kept for removed names are given back, or bounded", async () => {
  await using s = await Source.make({ maxDescriptors: 16 });
  const made = Array.from({ length: 40 }, (_, i) => {
    const { nodeid } = s.create(`one${i}`).entry;
    s.link(nodeid, `two${i}`);
    s.unlink(`two${i}`);
    return nodeid;
  });
  assertLess(s.mirror.counts().descriptors, 18);
  // Which of them are in reach now is a matter of room; by their other name all of them are.
  for (const [i, nodeid] of made.entries()) assertEquals(s.id(`one${i}`), nodeid);
  for (const nodeid of made) assertEquals(s.stat(nodeid).nlink, 1);
  const tmp = { parent: ROOT_ID, flags: s.O.RDWR, mode: REG | 0o600, umask: 0 };
  for (let i = 0; i < 40; i++) {
    const { entry, fh } = s.fs.tmpfile(tmp, SELF);
    s.release(fh!);
    s.link(entry.nodeid, `tmp${i}`);
  }
  for (let i = 0; i < 40; i++) s.mkdir(`other${i}`);
  assertLess(s.mirror.counts().descriptors, 17);
});

test("mirror: where the process has no descriptors left, older ones of its own are closed", async () => {
  await using s = await Source.make();
  const made = Array.from({ length: 40 }, (_, i) => s.mkdir(`d${i}`).nodeid);
  await fs.mkdir(s.join("new"));
  assertEquals(s.mirror.counts().descriptors, 41);
  const { openat, close } = c;
  let full = true;
  c.openat = (...args) => full ? -24 : openat(...args);
  c.close = (fd) => {
    full = false;
    return close(fd);
  };
  try {
    assertEquals(s.stat(s.id("new")).mode & 0o170000, DIR);
  } finally {
    Object.assign(c, { openat, close });
  }
  assertLess(s.mirror.counts().descriptors, 25);
  for (const nodeid of made) assertEquals(s.stat(nodeid).mode & 0o170000, DIR);
});

test("mirror rename: two names of one inode both stay", async () => {
  await using s = await Source.make();
  const { nodeid } = s.create("one").entry;
  s.link(nodeid, "two");
  s.rename("one", "two");
  s.mkdir("d");
  s.rename("d", "d");
  s.rename("two", "two");
  assertEquals(s.names(), [".", "..", "d", "one", "two"]);
  assertEquals(code(() => s.stat(s.id("d"))), "ok");
  assertEquals(s.id("one"), nodeid);
  assertEquals(s.stat(nodeid).nlink, 2);
});

test("mirror rename: flags", async () => {
  await using s = await Source.make();
  const a = s.create("a").entry.nodeid, b = s.create("b").entry.nodeid;
  assertEquals(code(() => s.rename("a", "b", { flags: NOREPLACE })), "EEXIST");
  s.rename("a", "b", { flags: EXCHANGE });
  assertEquals([s.id("a"), s.id("b")], [b, a]);
  assertEquals(code(() => s.rename("a", "none", { flags: EXCHANGE })), "ENOENT");
  assertEquals(code(() => s.rename("a", "b", { flags: 64 })), "EINVAL");
  const d = s.mkdir("d").nodeid;
  assertEquals(code(() => s.rename("a", "d")), "EISDIR");
  assertEquals(code(() => s.rename("d", "a")), "ENOTDIR");
  s.rename("a", "c", { to: d });
  assertEquals(s.id("c", d), b);
  assertEquals(code(() => s.rename("d", "e", { to: d })), "EINVAL");
  assertEquals(code(() => s.rmdir("d")), "ENOTEMPTY");
  assertEquals(code(() => s.rmdir("b")), "ENOTDIR");
  assertEquals(code(() => s.unlink("d")), "EISDIR");
});

test("mirror rename: a whiteout takes the place of the old name", { needs: ["root"] }, async (t) => {
  await using s = await Source.make();
  const { nodeid } = s.create("a").entry;
  if (code(() => s.rename("a", "b", { flags: WHITEOUT })) === "EINVAL") {
    return await skipped(t, "this file system knows no whiteouts");
  }
  assertEquals(s.id("b"), nodeid);
  const left = s.look("a");
  assertEquals([left.attr.mode & 0o170000, left.attr.rdev], [CHR, 0]);
  s.fs.rename({ parent: ROOT_ID, name: "b", newParent: ROOT_ID, newName: "c", flags: WHITEOUT }, USER);
  assertEquals([s.look("b").attr.uid, s.look("b").attr.gid], [USER.uid, USER.gid]);
  assertEquals(s.look("c").attr.uid, 0);
});

// Making

test("mirror mknod, mkdir, symlink, create: modes are exact, whatever the server's umask", async () => {
  const saved = process.umask(0o077);
  try {
    await using s = await Source.make();
    assertEquals(s.mkdir("d", { mode: 0o777 }).attr.mode, DIR | 0o777);
    assertEquals(s.mkdir("sticky", { mode: 0o1777 }).attr.mode, DIR | 0o1777);
    assertEquals(s.create("c", { mode: 0o666 }).entry.attr.mode, REG | 0o666);
    assertEquals(s.mknod("m", REG | 0o642).attr.mode, REG | 0o642);
    assertEquals(s.mknod("plain", 0o640).attr.mode, REG | 0o640);
    assertEquals(s.mknod("f", FIFO | 0o626).attr.mode, FIFO | 0o626);
    assertEquals(s.mknod("s", SOCK | 0o777).attr.mode, SOCK | 0o777);
    assertEquals(s.fs.symlink({ parent: ROOT_ID, name: "l", target: "t" }, SELF).attr.mode, LNK | 0o777);
    const { entry } = s.fs.tmpfile({ parent: ROOT_ID, flags: s.O.RDWR, mode: REG | 0o666, umask: 0 }, SELF);
    assertEquals(entry.attr.mode, REG | 0o666);
    for (const name of ["d", "c", "m", "f", "l"]) assertEquals(code(() => s.mkdir(name)), "EEXIST");
    for (const name of ["d", "c", "l"]) assertEquals(code(() => s.mknod(name, REG | 0o644)), "EEXIST");
    assertEquals(process.umask(), 0o077);
    // Without FUSE_DONT_MASK the kernel applied the caller's; with it, the server has to.
    assertEquals(s.mkdir("kernel's", { mode: 0o777, umask: 0o022 }).attr.mode, DIR | 0o777);
    s.fs.init(connection(["FUSE_DONT_MASK"]));
    assertEquals(s.mkdir("ours", { mode: 0o777, umask: 0o022 }).attr.mode, DIR | 0o755);
    assertEquals(s.create("ours2", { mode: 0o666, umask: 0o027 }).entry.attr.mode, REG | 0o640);
  } finally {
    process.umask(saved);
  }
});

test("mirror: what root's server makes belongs to who asked", { needs: ["root"] }, async () => {
  await using s = await Source.make();
  await fs.chmod(s.path, 0o777);
  const own = [USER.uid, USER.gid];
  const owner = ({ attr }: { attr: { uid?: number; gid?: number } }) => [attr.uid, attr.gid];
  assertEquals(owner(s.mkdir("d", { by: USER })), own);
  assertEquals(owner(s.create("c", { by: USER }).entry), own);
  assertEquals(owner(s.mknod("m", REG | 0o644, { by: USER })), own);
  assertEquals(owner(s.mknod("f", FIFO | 0o644, { by: USER })), own);
  assertEquals(owner(s.fs.symlink({ parent: ROOT_ID, name: "l", target: "t" }, USER)), own);
  const tmp = s.fs.tmpfile({ parent: ROOT_ID, flags: s.O.RDWR, mode: REG | 0o600, umask: 0 }, USER);
  assertEquals(owner(tmp.entry), own);
  for (const name of ["d", "c", "m", "f", "l"]) {
    const real = await fs.lstat(s.join(name));
    assertEquals([real.uid, real.gid], own as number[], name);
  }
  assertEquals(owner(s.mkdir("root's", { by: ROOT })), [0, 0]);
});

test("mirror: what is made gets the security labels that come with the request", { needs: ["root"] }, async () => {
  await using s = await Source.make();
  const by = { ...USER, securityContexts: [{ name: "security.fusewire", value: bytes("label") }] };
  for (const { nodeid } of [s.create("c", { by }).entry, s.mkdir("d", { by })]) {
    assertEquals(s.fs.getxattr({ nodeid, name: "security.fusewire" }, SELF), bytes("label"));
  }
});

test("mirror: set-id bits survive the change of owner", { needs: ["root"] }, async () => {
  await using s = await Source.make();
  assertEquals(s.create("c", { mode: 0o6755, by: USER }).entry.attr.mode, REG | 0o6755);
  assertEquals(s.mknod("m", REG | 0o4711, { by: USER }).attr.mode, REG | 0o4711);
  assertEquals(s.mknod("f", FIFO | 0o2644, { by: USER }).attr.mode, FIFO | 0o2644);
  assertEquals(s.create("r", { mode: 0o4755, by: ROOT }).entry.attr.mode, REG | 0o4755);
  const tmp = s.fs.tmpfile({ parent: ROOT_ID, flags: s.O.RDWR, mode: REG | 0o6755, umask: 0 }, USER);
  assertEquals(tmp.entry.attr.mode, REG | 0o6755);
});

test("mirror: a set-group-id directory hands its group down", { needs: ["root"] }, async () => {
  await using s = await Source.make();
  for (const group of [4321, 0]) {
    await fs.mkdir(s.join(`g${group}`));
    await fs.chown(s.join(`g${group}`), 0, group);
    await fs.chmod(s.join(`g${group}`), 0o2777);
    const parent = s.id(`g${group}`);
    const made = [
      s.mkdir("d", { parent, by: USER }),
      s.create("c", { parent, by: USER }).entry,
      s.mknod("f", FIFO | 0o644, { parent, by: USER }),
      s.fs.symlink({ parent, name: "l", target: "t" }, USER),
    ];
    for (const { attr } of made) assertEquals([attr.uid, attr.gid], [USER.uid, group]);
    assertEquals(made[0].attr.mode, DIR | 0o2755);
    assertEquals(made[1].attr.mode, REG | 0o644);
  }
});

test("mirror mknod: what others put in the place of what was made is not given away", { needs: ["root"] }, async () => {
  await using s = await Source.make();
  await fs.writeFile(s.join("precious"), "");
  const real = c.mknodat;
  const swap = (prepare: () => void, mode: number) => {
    c.mknodat = () => {
      renameSync(s.join("precious"), s.join("new"));
      prepare();
      return 0;
    };
    try {
      const found = code(() => s.mknod("new", mode, { by: USER }));
      assertEquals(statSync(s.join("new")).uid, 0);
      assertEquals(statSync(s.join("new")).mode & 0o7000, 0);
      renameSync(s.join("new"), s.join("precious"));
      return found;
    } finally {
      c.mknodat = real;
    }
  };
  // It is taken for what it is: another type; the same, but born long before its folder was changed.
  assertEquals(swap(() => {}, FIFO | 0o4644), "ok");
  await fs.unlink(s.join("precious"));
  s.mknod("precious", FIFO | 0o600, { by: ROOT });
  const later = Date.now() / 1000 + 10;
  assertEquals(swap(() => utimesSync(s.path, later, later), FIFO | 0o4644), "ok");
});

test("mirror mknod: devices", { needs: ["root"] }, async () => {
  await using s = await Source.make();
  const rdev = makedev(8, 300);
  assertEquals(s.mknod("dev", CHR | 0o600, { rdev }).attr.rdev, rdev);
  const { stdout } = await run(["stat", "-c", "%t:%T", s.join("dev")]);
  assertEquals(stdout.trim(), "8:12c");
  assertEquals(code(() => s.open(s.id("dev"), s.O.RDONLY)), "ENXIO");
});

test("mirror open: of a fifo or socket ENXIO, so that it cannot wait for ever", async () => {
  await using s = await Source.make();
  assertEquals(code(() => s.open(s.mknod("f", FIFO | 0o644).nodeid, s.O.RDONLY)), "ENXIO");
  assertEquals(code(() => s.open(s.mkdir("d").nodeid, s.O.RDONLY)), "EISDIR");
});

test("mirror create: an existing file is opened as it is; O_EXCL is EEXIST", async () => {
  await using s = await Source.make();
  await fs.writeFile(s.join("f"), "content");
  await fs.chmod(s.join("f"), 0o640);
  assertEquals(code(() => s.create("f", { flags: s.O.RDWR | s.O.EXCL })), "EEXIST");
  const { entry, fh } = s.create("f", { mode: 0o666, by: USER });
  assertEquals([entry.attr.mode, entry.attr.size, entry.attr.uid], [REG | 0o640, 7, process.getuid!()!]);
  assertEquals(entry.nodeid, s.id("f"));
  assertEquals(s.read(fh!), "content");
  const cut = s.create("f", { flags: s.O.RDWR | s.O.TRUNC });
  assertEquals([cut.entry.attr.size, s.read(cut.fh!)], [0, ""]);
  s.mkdir("d");
  assertEquals(code(() => s.create("d")), "EISDIR");
  assertEquals(code(() => s.create("x", { parent: s.id("f") })), "ENOTDIR");
});

test("mirror create: read-only modes do not stop the opener", async () => {
  await using s = await Source.make();
  const { fh } = s.create("f", { mode: 0o400 });
  assertEquals(s.write(fh!, "data"), 4);
  assertEquals(s.read(fh!), "data");
});

test("mirror tmpfile: has no name until it is linked, and stays usable", async () => {
  await using s = await Source.make({ maxDescriptors: 16 });
  const args = { parent: ROOT_ID, flags: s.O.RDWR, mode: REG | 0o600, umask: 0 };
  const { entry, fh } = s.fs.tmpfile(args, SELF);
  assertEquals(entry.attr.nlink, 0);
  assertEquals(s.names(), [".", ".."]);
  s.write(fh!, "data");
  s.release(fh!);
  for (let i = 0; i < 40; i++) s.mkdir(`other${i}`);
  assertEquals(s.stat(entry.nodeid).size, 4);
  assertEquals(s.link(entry.nodeid, "named").attr.nlink, 1);
  assertEquals(await fs.readFile(s.join("named"), "utf8"), "data");
  for (let i = 0; i < 40; i++) s.mkdir(`more${i}`);
  assertEquals(s.id("named"), entry.nodeid);
  assertLess(s.mirror.counts().descriptors, 17);
  const closed = s.fs.tmpfile({ ...args, flags: s.O.RDWR | s.O.EXCL }, SELF);
  assertEquals(code(() => s.link(closed.entry.nodeid, "never")), "ENOENT");
  assertEquals(code(() => s.fs.tmpfile({ ...args, flags: s.O.RDONLY }, SELF)), "EINVAL");
});

test("mirror link: files, symbolic links themselves; no directories", async () => {
  await using s = await Source.make();
  const f = s.create("f").entry.nodeid;
  const l = s.fs.symlink({ parent: ROOT_ID, name: "l", target: "/etc/passwd" }, SELF).nodeid;
  const d = s.mkdir("d").nodeid;
  s.link(f, "f2", d);
  s.link(l, "l2", d);
  assertEquals(s.id("f2", d), f);
  assertEquals(await fs.readlink(s.join("d/l2")), "/etc/passwd");
  assertEquals(code(() => s.link(f, "l")), "EEXIST");
  assertEquals(code(() => s.link(d, "d2")), "EPERM");
  s.unlink("f");
  s.unlink("f2", d);
  assertEquals(code(() => s.link(f, "back")), "ENOENT");
});

// Attributes

test("mirror setattr: mode, size, times", async () => {
  await using s = await Source.make();
  const { entry: { nodeid }, fh } = s.create("f");
  s.write(fh!, "0123456789");
  assertEquals(s.set(nodeid, { mode: REG | 0o751 }).mode, REG | 0o751);
  assertEquals(s.set(nodeid, { size: 4 }).size, 4);
  assertEquals(s.set(nodeid, { fh, size: 6 }).size, 6);
  assertEquals(s.read(fh!), "0123\0\0");
  const { atime, atimeNsec, mtime, mtimeNsec } = s.set(nodeid, {
    atime: -5,
    atimeNsec: 7,
    mtime: 2 ** 33,
    mtimeNsec: 9,
  });
  assertEquals([atime, atimeNsec, mtime, mtimeNsec], [-5, 7, 2 ** 33, 9]);
  const kept = s.set(nodeid, { mtime: 11, mtimeNsec: 12 });
  assertEquals([kept.atime, kept.atimeNsec, kept.mtime, kept.mtimeNsec], [-5, 7, 11, 12]);
  const now = s.set(nodeid, { atime: "now" });
  assertGreater(now.atime, 1_700_000_000);
  assertEquals([now.mtime, now.mtimeNsec], [11, 12]);
  const readOnly = s.open(nodeid, s.O.RDONLY);
  assertEquals(s.set(nodeid, { fh: readOnly, size: 1 }).size, 1);
  assertEquals(code(() => s.set(s.mkdir("d").nodeid, { size: 0 })), "EISDIR");
});

test(
  "mirror setattr: a symbolic link has times and an owner of its own, but no mode",
  { needs: ["root"] },
  async () => {
    await using s = await Source.make();
    const { entry: { nodeid: file } } = s.create("f");
    const before = s.stat(file);
    const { nodeid } = s.fs.symlink({ parent: ROOT_ID, name: "l", target: "f" }, SELF);
    const set = s.set(nodeid, { uid: 12, gid: 34, atime: 5, mtime: 6, mtimeNsec: 7 });
    assertEquals([set.uid, set.gid, set.atime, set.mtime, set.mtimeNsec], [12, 34, 5, 6, 7]);
    assertEquals(code(() => s.set(nodeid, { mode: 0o600 })), "EOPNOTSUPP");
    assertEquals(s.stat(file), before);
  },
);

test("mirror setattr: owner, group, and the set-id bits that go with them", { needs: ["root"] }, async () => {
  await using s = await Source.make();
  const { entry: { nodeid } } = s.create("f", { mode: 0o6755 });
  assertEquals(s.set(nodeid, { gid: 7 }).uid, 0);
  assertEquals([s.stat(nodeid).gid, s.stat(nodeid).mode], [7, REG | 0o755]);
  const both = s.set(nodeid, { uid: 8, mode: 0o4711 });
  assertEquals([both.uid, both.gid, both.mode], [8, 7, REG | 0o4711]);
  s.set(nodeid, { mode: 0o6755 });
  assertEquals(s.set(nodeid, { size: 3 }).mode, REG | 0o6755);
  assertEquals(s.set(nodeid, { size: 2, killSuidgid: true }).mode, REG | 0o755);
  // Set-group-id without execution by the group means something else, and stays.
  s.set(nodeid, { mode: 0o6745 });
  assertEquals(s.set(nodeid, { size: 1, killSuidgid: true }).mode, REG | 0o2745);
  const fifo = s.mknod("fifo", FIFO | 0o6755).nodeid;
  assertEquals(s.set(fifo, { killSuidgid: true }).mode, FIFO | 0o755);
  const dir = s.mkdir("dir").nodeid;
  s.set(dir, { mode: 0o2755 });
  assertEquals(s.set(dir, { uid: 9, killSuidgid: true }).mode, DIR | 0o2755);
});

test(
  "mirror setattr: a change of nothing by others ends set-id bits before a write alone",
  { needs: ["root"] },
  async () => {
    await using s = await Source.make();
    const { entry: { nodeid }, fh } = s.create("f");
    const stranger = { ...SELF, pid: 0, uid: 1000, gid: 1000 };
    const ask = (mode: number, by = stranger) => {
      s.set(nodeid, { mode });
      const said = code(() => s.set(nodeid, { killSuidgid: true }, by));
      return `${said} ${(s.stat(nodeid).mode & 0o7777).toString(8)}`;
    };
    assertEquals([ask(0o4644), ask(0o2745)], ["ok 644", "ok 745"]);
    s.release(fh!);
    assertEquals([ask(0o4666), ask(0o2745), ask(0o644), ask(0o4755, SELF)], [
      "EPERM 4666",
      "EPERM 2745",
      "ok 644",
      "ok 755",
    ]);
    s.open(nodeid, s.O.RDONLY);
    assertEquals(ask(0o4666), "EPERM 4666");
    s.open(nodeid, s.O.WRONLY);
    assertEquals(ask(0o4644), "ok 644");
  },
);

test("mirror open, write, fallocate, copyFileRange: set-id bits are cleared when asked, or for users", async () => {
  await using s = await Source.make();
  const { entry: { nodeid }, fh } = s.create("f");
  const from = s.create("g");
  s.write(from.fh!, "source");
  const mode = () => s.stat(nodeid).mode & 0o7777;
  const arm = () => assertEquals(s.set(nodeid, { mode: 0o6755 }).mode, REG | 0o6755);
  const user = { ...SELF, uid: 1000 };
  arm();
  s.write(fh!, "", { killSuidgid: true });
  assertEquals(mode(), 0o6755);
  s.write(fh!, "x", { killSuidgid: true });
  assertEquals(mode(), 0o755);
  arm();
  s.release(s.open(nodeid, s.O.WRONLY | s.O.TRUNC, true));
  assertEquals(mode(), 0o755);
  arm();
  for (const killSuidgid of [false, true]) {
    s.release(s.create("f", { flags: s.O.WRONLY | s.O.TRUNC, killSuidgid }).fh!);
    assertEquals(mode(), killSuidgid ? 0o755 : 0o6755);
  }
  arm();
  s.fs.fallocate({ nodeid, fh: fh!, offset: 0, length: 100, mode: 0 }, user);
  assertEquals(mode(), 0o755);
  arm();
  const copy = { nodeid: 0, fh: from.fh!, offset: 0, newNodeid: nodeid, newFh: fh!, newOffset: 0, length: 6, flags: 0 };
  assertEquals(s.fs.copyFileRange(copy, user), 6);
  assertEquals(mode(), 0o755);
});

test("mirror getattr: fresh after writes behind its back", async () => {
  await using s = await Source.make();
  const { entry: { nodeid }, fh } = s.create("f");
  await fs.writeFile(s.join("f"), "twelve bytes");
  assertEquals(s.stat(nodeid).size, 12);
  assertEquals(s.stat(nodeid, fh).size, 12);
  assertEquals(code(() => s.stat(nodeid, 99)), "EBADF");
});

test("mirror statx: time of birth and attributes", async () => {
  await using s = await Source.make();
  const { entry: { nodeid }, fh } = s.create("f");
  const real = await fs.stat(s.join("f"));
  for (const through of [undefined, fh]) {
    const found = s.fs.statx({ nodeid, fh: through, flags: 0, mask: 0xfff }, SELF);
    assertEquals(found.attr.ino, real.ino!);
    if (real.birthtime) assertEquals(found.btime, Math.floor(real.birthtime.getTime() / 1000));
    assertEquals(found.attributes! & 0x3000, 0);
    assertEquals(found.attributesMask! & 0x3000, 0);
  }
});

test("mirror statfs: the numbers of the source", async () => {
  await using s = await Source.make();
  const { entry: { nodeid } } = s.create("f");
  // Where inodes are made of what is free, their number moves while others write.
  await until(async () => {
    const { blocks, files, namelen, bsize, frsize } = s.fs.statfs({ nodeid }, SELF);
    const { stdout } = await run(["stat", "-f", "-c", "%b %c %l %s %S", s.path]);
    return stdout.trim() === [blocks, files, namelen, bsize, frsize].join(" ");
  }, "the numbers of the source");
  assertGreater(s.fs.statfs({ nodeid }, SELF).bfree, 0);
});

test("mirror readlink", async () => {
  await using s = await Source.make();
  const target = "t/".repeat(2000);
  const { nodeid } = s.fs.symlink({ parent: ROOT_ID, name: "l", target }, SELF);
  assertEquals(s.fs.readlink({ nodeid }, SELF), target);
  assertEquals(code(() => s.fs.readlink({ nodeid: s.create("f").entry.nodeid }, SELF)), "EINVAL");
});

// Extended attributes

test("mirror xattr: set, get, list, remove", async () => {
  await using s = await Source.make();
  const { entry: { nodeid } } = s.create("f");
  const set = (name: string, value: string, flags = 0) =>
    s.fs.setxattr({ nodeid, name, value: bytes(value), flags }, SELF);
  const get = (name: string) => s.fs.getxattr({ nodeid, name }, SELF);
  set("user.one", "1");
  set("user.two", "");
  assertEquals(get("user.one"), bytes("1"));
  assertEquals(get("user.two"), bytes(""));
  assertEquals(get("user.none"), null);
  assertEquals(s.fs.listxattr({ nodeid }, SELF).filter((name) => name.startsWith("user.")).sort(), [
    "user.one",
    "user.two",
  ]);
  assertEquals(code(() => set("user.one", "2", 1)), "EEXIST");
  assertEquals(code(() => set("user.three", "3", 2)), "ENODATA");
  set("user.one", "2", 2);
  assertEquals(get("user.one"), bytes("2"));
  s.fs.removexattr({ nodeid, name: "user.one" }, SELF);
  assertEquals(get("user.one"), null);
  assertEquals(code(() => s.fs.removexattr({ nodeid, name: "user.one" }, SELF)), "ENODATA");
  const { stdout } = await run([
    "sh",
    "-c",
    'command -v getfattr >/dev/null && getfattr -n user.two "$1" || echo user.two',
    "",
    s.join("f"),
  ]);
  assertStringIncludes(stdout, "user.two");
  assertEquals(s.fs.listxattr({ nodeid: s.mkdir("d").nodeid }, SELF).filter((name) => name.startsWith("user.")), []);
});

test("mirror xattr: of a symbolic link, as Linux answers", { needs: ["root"] }, async () => {
  await using s = await Source.make();
  await fs.writeFile(s.join("f"), "");
  const { nodeid } = s.fs.symlink({ parent: ROOT_ID, name: "l", target: "f" }, SELF);
  const set = (name: string) => s.fs.setxattr({ nodeid, name, value: bytes("v"), flags: 0 }, SELF);
  assertEquals(code(() => set("user.x")), "EPERM");
  set("trusted.x");
  assertEquals(s.fs.getxattr({ nodeid, name: "trusted.x" }, SELF), bytes("v"));
  assertEquals(s.fs.listxattr({ nodeid }, ROOT), ["trusted.x"]);
  assertEquals(s.fs.listxattr({ nodeid }, USER), []);
  assertEquals(s.fs.getxattr({ nodeid, name: "user.x" }, SELF), null);
  assertEquals(s.fs.getxattr({ nodeid: s.id("f"), name: "trusted.x" }, SELF), null);
});

test("mirror ioctl: the flags of inodes, and nothing else", async () => {
  await using s = await Source.make();
  const { fh } = s.create("f");
  const ioctl = (cmd: number, { value = [] as number[], by = SELF, directory = false, on = fh! } = {}) =>
    s.fs.ioctl({
      nodeid: 0,
      fh: on,
      cmd,
      arg: 0n,
      data: new Uint8Array(value),
      outSize: value.length === 0 ? 4 : 0,
      directory,
      unrestricted: false,
      compat: false,
    }, by);
  const [GETFLAGS, SETFLAGS, NODUMP] = [0x80086601, 0x40086602, 0x40];
  const flags = (options?: { directory: boolean; on: number }) =>
    new DataView(ioctl(GETFLAGS, options).data!.buffer).getUint32(0, true);
  assertEquals(flags() & NODUMP, 0);
  const value = [NODUMP, 0, 0, 0];
  // Without a handshake nothing is known of a kernel that checks who sets flags.
  assertEquals(code(() => ioctl(SETFLAGS, { value, by: USER })), "EPERM");
  s.fs.init(connection([]));
  ioctl(SETFLAGS, { value });
  assertEquals(flags() & NODUMP, NODUMP);
  assertEquals(flags({ directory: true, on: s.opendir() }) & NODUMP, 0);
  assertEquals(code(() => ioctl(0x5401)), "ENOTTY");
  assertEquals(code(() => ioctl(GETFLAGS, { on: 99 })), "EBADF");
});

// Open files

test("mirror open, read, write, release", async () => {
  const before = (await openFds()).size;
  await using s = await Source.make();
  const { entry: { nodeid }, fh } = s.create("f");
  assertEquals(s.write(fh!, "hello world"), 11);
  assertEquals(s.write(fh!, "HELLO", { offset: 0 }), 5);
  assertEquals(s.read(fh!, 6), "world");
  assertEquals(s.read(fh!, 0, 5), "HELLO");
  assertEquals(s.read(fh!, 100), "");
  const big = "x".repeat(300_000);
  assertEquals(s.write(fh!, big), 300_000);
  assertEquals(s.read(fh!, 0, 1 << 20), big);
  const readOnly = s.open(nodeid, s.O.RDONLY);
  assertEquals(code(() => s.write(readOnly, "x")), "EBADF");
  const writeOnly = s.open(nodeid, s.O.WRONLY);
  assertEquals(code(() => s.read(writeOnly)), "EBADF");
  for (const h of [fh!, readOnly, writeOnly]) s.release(h);
  assertEquals(code(() => s.release(fh!)), "EBADF");
  assertEquals(code(() => s.read(fh!)), "EBADF");
  assertEquals(s.mirror.counts().files, 0);
  s.mirror[Symbol.dispose]();
  assertEquals((await openFds()).size, before);
});

test("mirror open: large offsets", async () => {
  await using s = await Source.make();
  const { fh, entry } = s.create("f");
  const offset = 2 ** 40 + 5;
  assertEquals(s.write(fh!, "far", { offset }), 3);
  assertEquals(s.read(fh!, offset), "far");
  assertEquals(s.stat(entry.nodeid).size, offset + 3);
  assertEquals(s.fs.lseek({ nodeid: 0, fh: fh!, offset: 0, whence: 3 }, SELF) > 2 ** 39, true);
});

test("mirror write: O_APPEND goes by the flags of the request", async () => {
  await using s = await Source.make();
  const { entry: { nodeid } } = s.create("f");
  const { APPEND, WRONLY } = s.O;
  const fh = s.open(nodeid, WRONLY | APPEND);
  s.write(fh, "one", { flags: WRONLY | APPEND });
  s.write(fh, "two", { flags: WRONLY | APPEND });
  // A page of a mapping, and a process that took O_APPEND back.
  s.write(fh, "O", { flags: 0, fromCache: true });
  s.write(fh, "!", { flags: WRONLY | APPEND });
  s.write(fh, "T", { offset: 3, flags: WRONLY });
  assertEquals(await fs.readFile(s.join("f"), "utf8"), "OneTwo!");
});

test("mirror open: descriptors are offered for passthrough, unless told not to or with a writeback cache", async () => {
  await using s = await Source.make();
  const made = s.create("f");
  const opened = s.fs.open({ nodeid: made.entry.nodeid, flags: s.O.RDONLY, killSuidgid: false }, SELF);
  for (const { backing } of [made, opened]) {
    assertEquals(await fs.readlink(`/proc/self/fd/${backing}`), s.join("f"));
  }
  await using plain = await Source.make({ passthrough: false });
  assertEquals("backing" in plain.create("f"), false);
  s.fs.init(connection(["FUSE_WRITEBACK_CACHE"]));
  assertEquals("backing" in s.create("g"), false);
});

test("mirror open: with a writeback cache the kernel can read what it writes, and nothing is appended", async () => {
  await using s = await Source.make();
  s.fs.init(connection(["FUSE_WRITEBACK_CACHE"]));
  const { WRONLY, APPEND } = s.O;
  const { fh, entry } = s.create("f", { flags: WRONLY | APPEND });
  s.write(fh!, "01234", { flags: WRONLY | APPEND });
  s.write(fh!, "X", { offset: 2, flags: WRONLY | APPEND });
  assertEquals(s.read(fh!), "01X34");
  assertEquals(s.read(s.open(entry.nodeid, WRONLY)), "01X34");
});

test("mirror open: O_DIRECT, O_CREAT, O_EXCL and O_NOFOLLOW are not forwarded", async () => {
  await using s = await Source.make();
  const { entry: { nodeid } } = s.create("f");
  const { RDWR, DIRECT, CREAT, EXCL, NOFOLLOW, SYNC, CLOEXEC } = s.O;
  const reply = s.fs.open({ nodeid, flags: RDWR | DIRECT | CREAT | EXCL | NOFOLLOW | SYNC, killSuidgid: false }, SELF);
  const info = await fs.readFile(`/proc/self/fdinfo/${reply.backing}`, "utf8");
  const flags = parseInt(/^flags:\s*([0-7]+)/m.exec(info)![1], 8);
  assertEquals(flags & (DIRECT | CREAT | EXCL | NOFOLLOW), 0);
  assertEquals(flags & (RDWR | SYNC | CLOEXEC), RDWR | SYNC | CLOEXEC);
  assertEquals(s.write(reply.fh!, "abc"), 3);
});

test("mirror open: O_TRUNC", async () => {
  await using s = await Source.make();
  const { entry: { nodeid }, fh } = s.create("f");
  s.write(fh!, "data");
  s.open(nodeid, s.O.WRONLY | s.O.TRUNC);
  assertEquals(s.stat(nodeid).size, 0);
});

test("mirror flush, fsync: succeed on open files, EBADF on others", async () => {
  const before = (await openFds()).size;
  await using s = await Source.make();
  const { fh } = s.create("f");
  const open = (await openFds()).size;
  s.fs.flush({ nodeid: 0, fh: fh!, lockOwner: 0n }, SELF);
  assertEquals((await openFds()).size, open);
  s.fs.fsync({ nodeid: 0, fh: fh!, datasync: false }, SELF);
  s.fs.fsync({ nodeid: 0, fh: fh!, datasync: true }, SELF);
  const dir = s.opendir();
  s.fs.fsyncdir({ nodeid: 1, fh: dir, datasync: false }, SELF);
  s.fs.fsyncdir({ nodeid: 1, fh: dir, datasync: true }, SELF);
  s.fs.syncfs({ nodeid: ROOT_ID }, SELF);
  assertGreater(open, before);
  s.release(fh!);
  assertEquals(code(() => s.fs.flush({ nodeid: 0, fh: fh!, lockOwner: 0n }, SELF)), "EBADF");
  assertEquals(code(() => s.fs.fsync({ nodeid: 0, fh: fh!, datasync: true }, SELF)), "EBADF");
});

test("mirror fallocate, lseek: holes", async () => {
  await using s = await Source.make();
  const { fh, entry } = s.create("f");
  const fallocate = (offset: number, length: number, mode: number) =>
    s.fs.fallocate({ nodeid: 0, fh: fh!, offset, length, mode }, SELF);
  const lseek = (offset: number, whence: number) => s.fs.lseek({ nodeid: 0, fh: fh!, offset, whence }, SELF);
  fallocate(0, 1 << 20, 0);
  assertEquals(s.stat(entry.nodeid).size, 1 << 20);
  s.write(fh!, "x".repeat(1 << 20));
  fallocate(1 << 18, 1 << 18, 3); // PUNCH_HOLE | KEEP_SIZE
  assertEquals(s.read(fh!, 1 << 18, 4), "\0\0\0\0");
  assertEquals([lseek(0, 3), lseek(0, 4), lseek(1 << 18, 3)], [0, 1 << 18, 1 << 19]);
  assertEquals(code(() => lseek(1 << 20, 3)), "ENXIO");
  assertEquals(code(() => fallocate(0, 0, 0)), "EINVAL");
  s.write(fh!, "far", { offset: 2 ** 40 });
  assertEquals([lseek(1 << 20, 3), lseek(2 ** 40, 4)], [2 ** 40, 2 ** 40 + 3]);
});

test("mirror copyFileRange: one answer copies no more than 8 MiB", async () => {
  await using s = await Source.make();
  const size = 20 * 2 ** 20;
  await fs.writeFile(s.join("f"), "");
  await fs.truncate(s.join("f"), size);
  const fh = s.open(s.id("f"), s.O.RDONLY), newFh = s.create("g").fh!;
  const copy = (offset: number) => {
    const at = { nodeid: 0, fh, offset, newNodeid: 0, newFh, newOffset: offset };
    return s.fs.copyFileRange({ ...at, length: size - offset, flags: 0 }, SELF);
  };
  assertEquals([0, 8, 16].map((mib) => copy(mib * 2 ** 20) / 2 ** 20), [8, 8, 4]);
});

test("mirror flush: says what close(2) has to say of the file, and nothing of descriptors", async () => {
  await using s = await Source.make({ maxDescriptors: 64 });
  const { fh, entry: { nodeid } } = s.create("f");
  for (let i = 0; i < 60; i++) s.mkdir(`d${i}`);
  const flush = () => code(() => s.fs.flush({ nodeid, fh: fh!, lockOwner: 0n }, SELF));
  const { dup, close } = c;
  try {
    const { descriptors } = s.mirror.counts();
    for (const errno of [24, 23]) {
      c.dup = () => -errno;
      assertEquals(flush(), "ok");
    }
    assertLess(s.mirror.counts().descriptors, descriptors / 2);
    c.dup = dup;
    c.close = (fd) => (close.call(c, fd), -5);
    assertEquals(flush(), "EIO");
  } finally {
    Object.assign(c, { dup, close });
  }
});

test("mirror unlink, rename: what fails before the call keeps no descriptor", { needs: ["root"] }, async () => {
  await using s = await Source.make({ maxDescriptors: 16, permissions: "own" });
  await fs.writeFile(s.join("other"), "");
  for (let i = 0; i < 40; i++) s.create(`f${i}`);
  const { syscall } = c;
  const setgroups = c.architecture === "x86_64" ? 116 : 159;
  c.syscall = (number, args) => number === setgroups ? -1n : syscall.call(c, number, args);
  try {
    for (let i = 0; i < 40; i++) {
      const [name, newName] = ["other", `f${i}`];
      assertEquals(code(() => s.fs.unlink({ parent: ROOT_ID, name: newName }, USER)), "EPERM");
      const rename = { parent: ROOT_ID, name, newParent: ROOT_ID, newName, flags: 0 };
      assertEquals(code(() => s.fs.rename(rename, USER)), "EPERM");
    }
  } finally {
    c.syscall = syscall;
  }
  assertLess(s.mirror.counts().descriptors, 17);
});

test("mirror copyFileRange", async () => {
  await using s = await Source.make();
  const a = s.create("a"), b = s.create("b");
  s.write(a.fh!, "0123456789");
  const args = { nodeid: 0, fh: a.fh!, offset: 2, newNodeid: 0, newFh: b.fh!, newOffset: 1, length: 2 ** 40, flags: 0 };
  assertEquals(s.fs.copyFileRange(args, SELF), 8);
  assertEquals(s.read(b.fh!), "\x0023456789");
  assertEquals(code(() => s.fs.copyFileRange({ ...args, flags: 1 }, SELF)), "EINVAL");
});

// Open directories

test("mirror readdir: names, inode numbers and types as stat shows them", async () => {
  await using s = await Source.make();
  const sub = s.mkdir("sub").nodeid;
  s.create("file", { parent: sub });
  s.mkdir("dir", { parent: sub });
  s.mknod("fifo", FIFO | 0o644, { parent: sub });
  s.fs.symlink({ parent: sub, name: "link", target: "t" }, SELF);
  const fh = s.opendir(sub);
  const entries = [...s.readdir(fh)];
  assertEquals(entries.slice(0, 2).map(({ name }) => name), [".", ".."]);
  assertEquals(entries.map(({ name }) => name).sort(), [".", "..", "dir", "fifo", "file", "link"]);
  for (const { name, ino, mode } of entries) {
    const { attr } = s.look(name, sub);
    assertEquals([name, ino, mode], [name, attr.ino!, attr.mode & 0o170000]);
  }
  assertEquals(code(() => s.opendir(s.id("file", sub))), "ENOTDIR");
  const open = (await openFds()).size;
  s.releasedir(fh);
  assertEquals((await openFds()).size, open - 1);
  assertEquals(code(() => s.readdir(fh)), "EBADF");
});

test("mirror readdir: goes on behind any entry, and from the start with what is there then", async () => {
  await using s = await Source.make();
  for (let i = 0; i < 3000; i++) writeFileSync(s.join(`entry with a rather long name ${i}`), "");
  const fh = s.opendir();
  const all = [...s.readdir(fh)];
  assertEquals(new Set(all.map(({ name }) => name)).size, 3002);
  const rest = (offset: number, count: number) => {
    const got = [];
    for (const entry of s.readdir(fh, offset)) {
      got.push(entry);
      if (got.length === count) break;
    }
    return got;
  };
  for (const at of [0, 1, 2, 3, 700, 2999, 1500, 1499, 1501, 3000, 3001, 10]) {
    assertEquals(rest(all[at].offset!, 5), all.slice(at + 1, at + 6), `behind entry ${at}`);
  }
  assertEquals(rest(100_000, 5), []);
  // Two passes at once, each in its own place.
  const one = s.readdir(fh), two = s.readdir(fh, all[1999].offset!);
  for (let i = 0; i < 900; i++) {
    assertEquals(one.next().value, all[i]);
    assertEquals(two.next().value, all[2000 + i]);
  }
  await fs.writeFile(s.join("new"), "");
  assert([...s.readdir(fh)].some(({ name }) => name === "new"));
  s.releasedir(fh);
});

test("mirror readdir: from the start, also after a pass that was not finished, is fresh", async () => {
  await using s = await Source.make();
  for (let i = 0; i < 10; i++) s.create(`f${i}`);
  const fh = s.opendir();
  const pass = s.readdir(fh);
  for (let i = 0; i < 5; i++) pass.next();
  s.create("new");
  s.unlink("f3");
  const names = [...s.readdir(fh)].map(({ name }) => name);
  assertEquals([names.includes("new"), names.includes("f3"), names.length], [true, false, 12]);
});

test("mirror readdir: nothing is missed while entries are removed", async () => {
  await using s = await Source.make();
  for (let i = 0; i < 2500; i++) writeFileSync(s.join(`f${i}`), "");
  const fh = s.opendir();
  let offset = 2;
  for (;;) {
    const piece = [];
    for (const entry of s.readdir(fh, offset)) {
      piece.push(entry);
      if (piece.length === 37) break;
    }
    if (piece.length === 0) break;
    for (const { name } of piece) s.unlink(name);
    offset = piece.at(-1)!.offset!;
  }
  s.releasedir(fh);
  assertEquals(s.names(), [".", ".."]);
});

test("mirror readdir: is read as it is taken", async () => {
  await using s = await Source.make();
  for (let i = 0; i < 2000; i++) writeFileSync(s.join(`f${i}`), "");
  const real = c.getdents64;
  let calls = 0;
  c.getdents64 = (fd, buffer) => {
    calls++;
    return real(fd, buffer);
  };
  try {
    const fh = s.opendir();
    const entries = s.readdir(fh);
    for (let i = 0; i < 10; i++) entries.next();
    assertEquals(calls, 1);
    // Going on where a pass stopped reads nothing anew.
    const next = s.readdir(fh, 10);
    for (let i = 0; i < 10; i++) next.next();
    assertEquals(calls, 1);
  } finally {
    c.getdents64 = real;
  }
});
