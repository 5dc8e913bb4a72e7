import { assert, assertEquals, assertGreater, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { mkdir } from "node:fs/promises";
import { libc } from "../../ffi/load.ts";
import { FuseError } from "../../src/errno.ts";
import type { Negotiated } from "../../src/fs/filesystem.ts";
import type { Notifications } from "../../src/fs/notifications.ts";
import { type DirEntry, type Entry, makedev, type Request, ROOT_ID, type SetattrArgs } from "../../src/fs/types.ts";
import { filesystemOf, memory } from "../../src/kit/memory.ts";
import type { MemoryFilesystem } from "../../src/kit/memory/filesystem.ts";
import { parts } from "../../src/kit/memory/snapshot.ts";
import { LINK_MAX } from "../../src/kit/memory/tree.ts";
import { mount } from "../../src/mount/mount.ts";
import { code } from "../support/errno.ts";
import { must, READY, run, startReady, tempDir, test } from "../support/harness.ts";

// Opened here, since it stays open.
libc();

const ROOT = { uid: 0, gid: 0 };
const USER = { uid: 1000, gid: 100 };
const S_IFMT = 0o170000;
const [FIFO, CHR, DIR, BLK, REG, LNK, SOCK] = [0o010000, 0o020000, 0o040000, 0o060000, 0o100000, 0o120000, 0o140000];
const [O_EXCL, O_TRUNC, O_APPEND] = [0o200, 0o1000, 0o2000];
const [NOREPLACE, EXCHANGE, WHITEOUT] = [1, 2, 4];
const PAGE = 4096;

const text = (s: string) => new TextEncoder().encode(s);

/** Short forms of what the kernel sends. */
class Kernel {
  readonly fs: MemoryFilesystem;
  constructor(fs = filesystemOf()) {
    this.fs = fs;
  }
  look(name: string, parent = ROOT_ID): number {
    return this.fs.lookup({ parent, name }).nodeid;
  }
  file(name: string, parent = ROOT_ID, { mode = 0o644, by = USER, flags = 2, killSuidgid = false } = {}): number {
    return this.fs.create({ parent, name, flags, mode: REG | mode, umask: 0, killSuidgid }, by).entry.nodeid;
  }
  dir(name: string, parent = ROOT_ID, { mode = 0o755, by = USER } = {}): number {
    return this.fs.mkdir({ parent, name, mode, umask: 0 }, by).nodeid;
  }
  write(
    nodeid: number,
    offset: number,
    data: string | Uint8Array,
    { flags = 0, fromCache = false, killSuidgid = false, by = USER } = {},
  ): number {
    data = typeof data === "string" ? text(data) : data;
    return this.fs.write({ nodeid, fh: 0, offset, data, flags, fromCache, killSuidgid }, by);
  }
  set(nodeid: number, change: Omit<SetattrArgs, "nodeid">, by = ROOT): void {
    this.fs.setattr({ nodeid, ...change }, by);
  }
  read(nodeid: number, offset = 0, size = 1 << 20): string {
    return new TextDecoder().decode(this.fs.read({ nodeid, fh: 0, offset, size, flags: 0 }));
  }
  stat(nodeid: number) {
    return this.fs.getattr({ nodeid }).attr as Required<ReturnType<MemoryFilesystem["getattr"]>["attr"]>;
  }
  rename(name: string, newName: string, where: { from?: number; to?: number; flags?: number } = {}): void {
    const { from = ROOT_ID, to = from, flags = 0 } = where;
    this.fs.rename({ parent: from, name, newParent: to, newName, flags }, USER);
  }
  unlink(name: string, parent = ROOT_ID): void {
    this.fs.unlink({ parent, name });
  }
  rmdir(name: string, parent = ROOT_ID): void {
    this.fs.rmdir({ parent, name });
  }
  link(nodeid: number, newName: string, newParent = ROOT_ID): number {
    return this.fs.link({ nodeid, newParent, newName }).nodeid;
  }
  chmod(nodeid: number, mode: number): void {
    this.set(nodeid, { mode });
  }
  release(nodeid: number): void {
    this.fs.release({ nodeid, fh: 0, flags: 0 });
  }
  open(nodeid: number, flags = 0): void {
    this.fs.open({ nodeid, flags, killSuidgid: false }, USER);
  }
  entries(nodeid = ROOT_ID, offset = 0, fh = 0): DirEntry[] {
    return [...this.fs.readdir({ nodeid, fh, offset })];
  }
  names(nodeid = ROOT_ID): string[] {
    return this.entries(nodeid).map(({ name }) => name);
  }
  fallocate(nodeid: number, mode: number, offset: number, length: number, by = ROOT): void {
    this.fs.fallocate({ nodeid, fh: 0, offset, length, mode }, by);
  }
  /** Sets all times back, so that it shows which ones an operation sets. */
  age(...nodeids: number[]): void {
    for (const nodeid of nodeids) this.set(nodeid, { atime: 5000, mtime: 5000, ctime: 5000 });
  }
  /** Which times were set since `age`. */
  touched(nodeid: number): string {
    const { atime, mtime, ctime } = this.stat(nodeid);
    return (atime > 5000 ? "a" : "") + (mtime > 5000 ? "m" : "") + (ctime > 5000 ? "c" : "");
  }
  /** Inodes and bytes in use. */
  get used(): { inodes: number; bytes: number } {
    const { files, ffree, blocks, bfree, frsize } = this.fs.statfs();
    return { inodes: files - ffree, bytes: (blocks - bfree) * frsize };
  }
}

/** The handshake of a kernel that can nothing. */
const HANDSHAKE = { negotiated: { flags: new Set() } as unknown as Negotiated };

test("memory: is a file system with an empty root like tmpfs's", () => {
  const fs = memory() as unknown as MemoryFilesystem;
  const { attr } = fs.getattr({ nodeid: ROOT_ID });
  assertEquals([attr.ino, attr.mode, attr.nlink, attr.uid], [1, DIR | 0o1777, 2, 0]);
  assertEquals([...fs.readdir({ nodeid: ROOT_ID, fh: 0, offset: 0 })].map((e) => e.name), [".", ".."]);
  const mine = memory({ mode: 0o700, uid: 5, gid: 6 }) as unknown as MemoryFilesystem;
  const own = mine.getattr({ nodeid: ROOT_ID }).attr;
  assertEquals([own.mode, own.uid, own.gid], [DIR | 0o700, 5, 6]);
});

test("memory: a name that is not there is remembered as such; each entry counts a lookup", () => {
  const k = new Kernel(filesystemOf({ entryTimeout: 3, attrTimeout: 4 }));
  const missing = k.fs.lookup({ parent: ROOT_ID, name: "a" });
  assertEquals([missing.nodeid, missing.entryTimeout], [0, 3]);
  const made = k.file("a");
  const found = k.fs.lookup({ parent: ROOT_ID, name: "a" });
  assertEquals([found.nodeid, found.entryTimeout, found.attrTimeout], [made, 3, 4]);
  k.release(made);
  k.unlink("a");
  k.fs.forget({ nodeid: made, nlookup: 1 });
  assertEquals(k.stat(made).nlink, 0, "one lookup is left");
  k.fs.forget({ nodeid: made, nlookup: 1 });
  assertEquals(code(() => k.stat(made)), "ESTALE");
});

test("memory: by default the kernel may cache for ever, but not what a write may change unseen", () => {
  const k = new Kernel();
  const id = k.file("a");
  const timeouts = () => {
    const { entryTimeout, attrTimeout } = k.fs.lookup({ parent: ROOT_ID, name: "a" });
    return [entryTimeout, attrTimeout, k.fs.getattr({ nodeid: id }).attrTimeout];
  };
  assertEquals(timeouts(), [Infinity, Infinity, Infinity]);
  k.chmod(id, 0o4755);
  assertEquals(timeouts(), [Infinity, 0, 0]);
});

test("memory: an unlinked file lives while it is open or known, then its space and its nodeid are free", () => {
  const k = new Kernel();
  const before = k.used;
  const id = k.file("a");
  k.write(id, 0, new Uint8Array(3 * PAGE).fill(65));
  k.fs.setxattr({ nodeid: id, name: "user.x", value: new Uint8Array(10 * PAGE), flags: 0 });
  k.open(id);
  k.unlink("a");
  assertEquals([k.look("a"), k.stat(id).nlink], [0, 0]);
  k.release(id);
  k.fs.forget({ nodeid: id, nlookup: 1 });
  assertEquals(k.read(id, 0, 3), "AAA", "still open once");
  k.write(id, 3 * PAGE, "more");
  assertGreater(k.used.bytes, before.bytes + 3 * PAGE);
  k.release(id);
  assertEquals(k.used, before);
  assertEquals(code(() => k.read(id)), "ESTALE");
  const { nodeid, generation } =
    k.fs.create({ parent: 1, name: "b", flags: 0, mode: REG | 0o600, umask: 0, killSuidgid: false }, USER)
      .entry;
  assertEquals([nodeid, generation], [id, 1]);
  assertEquals([k.read(nodeid), k.fs.listxattr({ nodeid }, ROOT)], ["", []]);
});

test("memory: all kinds of inodes give back what they took", () => {
  const k = new Kernel();
  const before = k.used;
  for (let round = 0; round < 3; round++) {
    const dir = k.dir("d"), sub = k.dir("sub", dir);
    const ids = [
      dir,
      sub,
      k.file("f", sub),
      k.fs.symlink({ parent: dir, name: "l", target: "x".repeat(4000) }, USER).nodeid,
      k.fs.mknod({ parent: dir, name: "p", mode: FIFO | 0o600, umask: 0, rdev: 0 }, USER).nodeid,
    ];
    k.link(ids[2], "hard", dir);
    k.fs.forget({ nodeid: ids[2], nlookup: 1 });
    k.file("g", dir);
    k.rename("g", "l", { from: dir });
    const replaced = k.look("l", dir);
    k.fs.forget({ nodeid: replaced, nlookup: 2 });
    k.release(replaced);
    k.release(ids[2]);
    assertEquals(k.used.inodes, before.inodes + 7);
    for (const nodeid of ids) k.fs.forget({ nodeid, nlookup: 1 });
    for (const name of ["hard", "l", "p"]) k.unlink(name, dir);
    k.unlink("f", sub);
    k.rmdir("sub", dir);
    k.rmdir("d");
    assertEquals(k.used, before);
    assertEquals(k.stat(ROOT_ID).nlink, 2);
  }
});

test("memory: a thousand files, unlinked while open, leave nothing", () => {
  const k = new Kernel();
  const before = k.used;
  const ids = Array.from({ length: 1000 }, (_, i) => k.file(`f${i}`));
  for (const id of ids) k.write(id, 0, "data");
  assertEquals(k.used, { inodes: before.inodes + 1000, bytes: before.bytes + 1000 * PAGE });
  for (const i of ids.keys()) k.unlink(`f${i}`);
  assertEquals(k.used.inodes, before.inodes + 1000);
  for (const [i, nodeid] of ids.entries()) {
    if (i % 2 === 0) k.release(nodeid);
    k.fs.forget({ nodeid, nlookup: 1 });
    if (i % 2 === 1) k.release(nodeid);
  }
  assertEquals(k.used, before);
});

test("memory: tmpfile has no name, and link gives it one unless O_EXCL forbade that", () => {
  const k = new Kernel();
  const before = k.used;
  const make = (flags: number) => k.fs.tmpfile({ parent: 1, flags, mode: REG | 0o600, umask: 0 }, USER).entry;
  const { nodeid, attr } = make(2);
  assertEquals([attr.nlink, attr.mode, attr.uid], [0, REG | 0o600, 1000]);
  k.write(nodeid, 0, "kept");
  k.link(nodeid, "named");
  k.fs.forget({ nodeid, nlookup: 2 });
  k.release(nodeid);
  assertEquals(k.read(k.look("named")), "kept");
  const hidden = make(2 | O_EXCL).nodeid;
  assertEquals(code(() => k.link(hidden, "no")), "ENOENT");
  k.release(hidden);
  k.fs.forget({ nodeid: hidden, nlookup: 1 });
  k.unlink("named");
  assertEquals(code(() => k.link(nodeid, "again")), "ENOENT", "what was unlinked stays so");
  k.fs.forget({ nodeid, nlookup: 1 });
  assertEquals(k.used, before);
});

test("memory: new objects belong to the caller; a set-group-id directory hands on its group", () => {
  const k = new Kernel();
  const own = k.stat(k.file("a"));
  assertEquals([own.uid, own.gid, own.mode], [1000, 100, REG | 0o644]);
  const shared = k.dir("shared", ROOT_ID, { by: ROOT });
  k.set(shared, { gid: 77 });
  k.chmod(shared, DIR | 0o2775);
  const file = k.stat(k.file("f", shared)), dir = k.stat(k.dir("d", shared));
  assertEquals([file.gid, file.mode], [77, REG | 0o644]);
  assertEquals([dir.gid, dir.mode], [77, DIR | 0o2755]);
  const link = k.fs.symlink({ parent: shared, name: "l", target: "t" }, USER).attr;
  assertEquals([link.gid, link.mode], [77, LNK | 0o777]);
});

test("memory: the umask is applied where the kernel leaves it to us", () => {
  const fs = filesystemOf();
  const make = (name: string) => fs.mkdir({ parent: 1, name, mode: 0o777, umask: 0o027 }, USER).attr.mode;
  assertEquals(make("a"), DIR | 0o777);
  const negotiated = {
    major: 7,
    minor: 45,
    flags: new Set(["FUSE_DONT_MASK"]),
    maxWrite: 0,
    maxReadahead: 0,
    maxPages: 0,
    timeGran: 1,
    maxStackDepth: 0,
  };
  fs.init({ negotiated });
  assertEquals(make("b"), DIR | 0o750);
});

test("memory: mknod makes files, devices, fifos and sockets, nothing else", () => {
  const k = new Kernel();
  const rdev = makedev(7, 300);
  const make = (name: string, mode: number) => k.fs.mknod({ parent: 1, name, mode, umask: 0, rdev }, USER).attr;
  for (const type of [CHR, BLK]) assertEquals([make(`${type}`, type | 0o600).rdev], [rdev]);
  for (const type of [FIFO, SOCK, REG]) {
    const attr = make(`${type}`, type | 0o600);
    assertEquals([attr.mode, attr.rdev, attr.nlink, attr.size], [type | 0o600, 0, 1, 0]);
  }
  assertEquals(make("plain", 0o640).mode, REG | 0o640);
  assertEquals(code(() => make("d", DIR)), "EPERM");
  assertEquals(code(() => make("l", LNK)), "EINVAL");
  assertEquals(code(() => make("plain", REG)), "EEXIST");
});

test("memory: names have 255 bytes at most, whatever their length in UTF-16", () => {
  const k = new Kernel();
  k.file("x".repeat(255));
  k.file("é".repeat(127));
  k.file("\udcff".repeat(255));
  for (const name of ["x".repeat(256), "é".repeat(128), "😀".repeat(64), "\udcff".repeat(256)]) {
    assertEquals(code(() => k.file(name)), "ENAMETOOLONG");
    assertEquals(code(() => k.look(name)), "ENAMETOOLONG");
    assertEquals(code(() => k.rename("x".repeat(255), name)), "ENAMETOOLONG");
  }
  assertNotEquals(k.look("\udcff".repeat(255)), 0);
  assertEquals(code(() => k.file("a/b")), "EINVAL");
  assertEquals(code(() => k.dir("..")), "EEXIST");
});

test("memory: a directory's links are 2 and its subdirectories; .. leads to the parent", () => {
  const k = new Kernel();
  const a = k.dir("a"), b = k.dir("b"), sub = k.dir("sub", a);
  k.file("f", a);
  assertEquals([ROOT_ID, a, b, sub].map((id) => k.stat(id).nlink), [4, 3, 2, 2]);
  assertEquals([k.look(".", sub), k.look("..", sub), k.look("..")], [sub, a, ROOT_ID]);
  assertEquals(k.entries(sub)[1], { name: "..", ino: a, mode: DIR | 0o755, offset: 2 });
  k.rename("sub", "sub", { from: a, to: b });
  assertEquals([a, b].map((id) => k.stat(id).nlink), [2, 3]);
  assertEquals(k.look("..", sub), b);
  k.rmdir("sub", b);
  assertEquals([k.stat(b).nlink, k.stat(sub).nlink], [2, 0]);
});

test("memory: in a removed directory there is nothing and nothing can be made", () => {
  const k = new Kernel();
  const dir = k.dir("d"), file = k.file("f");
  k.rmdir("d");
  assertEquals(k.entries(dir), []);
  assertEquals(k.look("x", dir), 0);
  for (
    const make of [
      () => k.file("x", dir),
      () => k.dir("x", dir),
      () => k.link(file, "x", dir),
      () => k.rename("f", "x", { to: dir }),
      () => k.fs.tmpfile({ parent: dir, flags: 2, mode: REG, umask: 0 }, USER),
    ]
  ) assertEquals(code(make), "ENOENT");
});

test("memory: unlink and rmdir refuse what they are not for", () => {
  const k = new Kernel();
  const dir = k.dir("d");
  k.file("f", dir);
  assertEquals(code(() => k.unlink("d")), "EISDIR");
  assertEquals(code(() => k.rmdir("f", dir)), "ENOTDIR");
  assertEquals(code(() => k.rmdir("d")), "ENOTEMPTY");
  assertEquals(code(() => k.unlink("x")), "ENOENT");
  assertEquals(code(() => k.rmdir("x")), "ENOENT");
  assertEquals(code(() => k.look("x", k.look("f", dir))), "ENOTDIR");
});

test("memory: link adds a name to the same inode, up to EMLINK; not to directories", () => {
  const k = new Kernel();
  const id = k.file("f");
  assertEquals(k.link(id, "g"), id);
  assertEquals(k.stat(id).nlink, 2);
  k.unlink("f");
  assertEquals([k.stat(id).nlink, k.look("g")], [1, id]);
  assertEquals(code(() => k.link(k.dir("d"), "e")), "EPERM");
  assertEquals(code(() => k.link(id, "g")), "EEXIST");
  for (let i = 1; i < LINK_MAX; i++) k.link(id, `${i}`);
  assertEquals(code(() => k.link(id, "more")), "EMLINK");
  assertEquals(k.used.inodes, LINK_MAX + 2);
});

test("memory: rename replaces what may be replaced", () => {
  const k = new Kernel();
  const file = k.file("f"), other = k.file("o"), dir = k.dir("d"), empty = k.dir("e"), full = k.dir("full");
  k.file("x", full);
  k.rename("f", "o");
  assertEquals([k.look("o"), k.look("f"), k.stat(other).nlink], [file, 0, 0]);
  k.rename("d", "e");
  assertEquals([k.look("e"), k.stat(empty).nlink, k.stat(ROOT_ID).nlink], [dir, 0, 4]);
  assertEquals(code(() => k.rename("e", "full")), "ENOTEMPTY");
  assertEquals(code(() => k.rename("o", "full")), "EISDIR");
  assertEquals(code(() => k.rename("e", "o")), "ENOTDIR");
  assertEquals(code(() => k.rename("nothing", "o")), "ENOENT");
  assertEquals(code(() => k.rename("o", "n", { flags: 8 })), "EINVAL");
  k.link(file, "p");
  k.rename("o", "p");
  assertEquals([k.look("o"), k.look("p"), k.stat(file).nlink], [file, file, 2], "two names of one file both stay");
});

test("memory: a directory does not go into itself", () => {
  const k = new Kernel();
  const a = k.dir("a"), b = k.dir("b", a), c = k.dir("c", b);
  assertEquals(code(() => k.rename("a", "x", { to: a })), "EINVAL");
  assertEquals(code(() => k.rename("a", "x", { to: c })), "EINVAL");
  assertEquals(code(() => k.rename("a", "c", { to: b, flags: EXCHANGE })), "EINVAL");
  assertEquals(code(() => k.rename("c", "a", { from: b, to: ROOT_ID, flags: EXCHANGE })), "EINVAL");
  assertEquals(code(() => k.rename("c", "a", { from: b, to: ROOT_ID })), "ENOTEMPTY");
  k.rename("c", "c", { from: b, to: ROOT_ID });
  k.rename("a", "a", { to: c });
  assertEquals([k.look("..", a), k.look("a", c)], [c, a]);
});

test("memory: rename with NOREPLACE, EXCHANGE and WHITEOUT", () => {
  const k = new Kernel();
  const file = k.file("f"), dir = k.dir("d"), box = k.dir("box");
  assertEquals(code(() => k.rename("f", "d", { flags: NOREPLACE })), "EEXIST");
  assertEquals(code(() => k.rename("f", "x", { flags: EXCHANGE })), "ENOENT");
  assertEquals(code(() => k.rename("f", "d", { flags: EXCHANGE | NOREPLACE })), "EINVAL");
  assertEquals(code(() => k.rename("f", "d", { flags: EXCHANGE | WHITEOUT })), "EINVAL");
  k.rename("f", "g", { flags: NOREPLACE });
  assertEquals([k.look("f"), k.look("g")], [0, file]);
  k.rename("g", "g", { to: box });
  k.rename("d", "g", { to: box, flags: EXCHANGE });
  assertEquals([k.look("d"), k.look("g", box), k.look("..", dir)], [file, dir, box]);
  assertEquals([k.stat(ROOT_ID).nlink, k.stat(box).nlink], [3, 3]);
  const { inodes } = k.used;
  k.rename("d", "e", { flags: WHITEOUT });
  const white = k.fs.lookup({ parent: 1, name: "d" }).attr;
  assertEquals([white.mode, white.rdev, white.nlink, white.uid], [CHR, 0, 1, 1000]);
  assertEquals([k.look("e"), k.used.inodes], [file, inodes + 1]);
});

test("memory: operations set the times that POSIX says", () => {
  const k = new Kernel();
  const a = k.dir("a"), b = k.dir("b"), file = k.file("f", a), old = k.file("old", b), sub = k.dir("sub", a);
  const all = [a, b, file, old, sub];
  const after = (act: () => unknown) => {
    k.age(...all);
    act();
    return all.map((id) => k.touched(id)).join(" ");
  };
  // In order: directory a, directory b, file in a, file "old" in b, directory in a.
  assertEquals(after(() => k.file("new", a)), "mc    ");
  assertEquals(after(() => k.link(file, "two", b)), " mc c  ");
  assertEquals(after(() => k.unlink("two", b)), " mc c  ");
  assertEquals(after(() => k.rename("f", "f2", { from: a })), "mc  c  ");
  assertEquals(after(() => k.rename("f2", "f3", { from: a, to: b })), "mc mc c  ");
  assertEquals(after(() => k.rename("f3", "old", { from: b, flags: EXCHANGE })), " mc c c ");
  assertEquals(after(() => k.rename("f3", "old", { from: b })), " mc c c ");
  assertEquals(after(() => k.rmdir("sub", a)), "mc    c");
  assertEquals(after(() => k.write(file, 0, "x")), "  mc  ");
  assertEquals(after(() => k.write(file, 0, "")), "    ");
  assertEquals(after(() => k.set(file, { size: 0 })), "  mc  ");
  assertEquals(after(() => k.set(file, { size: 0 })), "  mc  ", "may be O_TRUNC");
  assertEquals(after(() => k.chmod(file, 0o600)), "  c  ");
  assertEquals(after(() => k.set(file, { uid: 3 })), "  c  ");
  assertEquals(after(() => k.open(file, O_TRUNC)), "  mc  ");
  assertEquals(after(() => k.open(file)), "    ");
  assertEquals(after(() => k.fallocate(file, 0, 0, 10)), "  mc  ");
  assertEquals(
    after(() => k.fs.setxattr({ nodeid: file, name: "user.a", value: text("1"), flags: 0 })),
    "  c  ",
  );
  assertEquals(after(() => k.fs.removexattr({ nodeid: file, name: "user.a" }, ROOT)), "  c  ");
  assertEquals(after(() => k.read(file)), "  a  ");
  assertEquals(after(() => k.entries(b)), " a   ");
  assertEquals(after(() => k.entries(b, 2)), "    ", "only the beginning of a pass");
  assertEquals(after(() => k.look("old", b)), "    ");
});

test("memory: setattr sets times exactly, or to now", () => {
  const k = new Kernel();
  const id = k.file("f");
  k.set(id, { atime: -1, atimeNsec: 999_999_999, mtime: 4_000_000_000, mtimeNsec: 1 });
  let s = k.stat(id);
  assertEquals([s.atime, s.atimeNsec, s.mtime, s.mtimeNsec], [-1, 999_999_999, 4_000_000_000, 1]);
  const now = Math.floor(Date.now() / 1000);
  k.set(id, { atime: "now", mtime: "now" });
  s = k.stat(id);
  assert(s.atime >= now && s.mtime >= now && s.mtime < 4_000_000_000);
  assert(s.mtimeNsec >= 0 && s.mtimeNsec < 1e9);
  k.set(id, { mtime: "now", ctime: 7, ctimeNsec: 8 });
  s = k.stat(id);
  assertEquals([s.ctime, s.ctimeNsec], [7, 8]);
});

test("memory: statx adds the time of birth, which nothing changes", () => {
  const k = new Kernel();
  const before = Math.floor(Date.now() / 1000);
  const id = k.file("f");
  k.age(id);
  const { attr, btime } = k.fs.statx({ nodeid: id, flags: 0, mask: 0xfff });
  assertEquals(attr.mtime, 5000);
  assert(btime! >= before);
});

test("memory: the time of access follows the option", () => {
  const after = (atime: "relatime" | "strictatime" | "noatime", read: number, mtime: number) => {
    const k = new Kernel(filesystemOf({ atime }));
    const id = k.file("f");
    k.set(id, { atime: read, mtime, ctime: mtime });
    k.read(id);
    return k.stat(id).atime !== read;
  };
  const now = Math.floor(Date.now() / 1000);
  assertEquals(after("relatime", now - 60, now - 100), false, "read since it was changed");
  assertEquals(after("relatime", now - 60, now - 50), true, "changed since it was read");
  assertEquals(after("relatime", now - 90_000, now - 100_000), true, "read a day ago");
  assertEquals(after("strictatime", now - 60, now - 100), true);
  assertEquals(after("noatime", now - 60, now - 50), false);
});

test("memory: chown, writes and truncation end set-user-id and set-group-id by the rules", () => {
  const k = new Kernel();
  const id = k.file("f");
  const after = (mode: number, act: () => unknown) => {
    k.chmod(id, mode);
    act();
    return k.stat(id).mode & ~S_IFMT;
  };
  assertEquals(after(0o6755, () => k.set(id, { uid: 5 })), 0o755);
  assertEquals(after(0o6745, () => k.set(id, { gid: 5 })), 0o2745, "no group may run it");
  assertEquals(after(0o6755, () => k.set(id, { uid: 5, mode: REG | 0o4755 })), 0o4755);
  k.set(id, { gid: USER.gid });
  const outsider = { ...USER, gid: USER.gid + 1 };
  assertEquals(after(0o6745, () => k.write(id, 0, "x", { killSuidgid: true })), 0o2745);
  assertEquals(after(0o6745, () => k.write(id, 0, "x", { killSuidgid: true, by: outsider })), 0o745);
  assertEquals(after(0o6745, () => k.set(id, { uid: 6 }, outsider)), 0o745);
  assertEquals(after(0o6755, () => k.write(id, 0, "x")), 0o6755);
  assertEquals(after(0o6755, () => k.write(id, 0, "x", { killSuidgid: true })), 0o755);
  assertEquals(after(0o6755, () => k.set(id, { size: 0 })), 0o6755);
  assertEquals(after(0o6755, () => k.set(id, { size: 0, killSuidgid: true })), 0o755);
  assertEquals(after(0o6755, () => k.fs.open({ nodeid: id, flags: O_TRUNC, killSuidgid: true }, USER)), 0o755);
  assertEquals(after(0o6755, () => k.fs.open({ nodeid: id, flags: 1, killSuidgid: true }, USER)), 0o6755);
  assertEquals(after(0o6755, () => k.file("f", ROOT_ID, { flags: O_TRUNC })), 0o6755);
  assertEquals(after(0o6755, () => k.file("f", ROOT_ID, { flags: O_TRUNC, killSuidgid: true })), 0o755);
  assertEquals(after(0o6755, () => k.fallocate(id, 0, 0, 1)), 0o6755);
  assertEquals(after(0o6755, () => k.fallocate(id, 0, 0, 1, USER)), 0o755);
  const dir = k.dir("d", ROOT_ID, { mode: 0o2755 });
  k.set(dir, { uid: 5 });
  assertEquals(k.stat(dir).mode, DIR | 0o2755, "a directory keeps its bit");
});

test("memory: a change of nothing by others ends set-id bits before a write, and is EPERM where there can be none", () => {
  const k = new Kernel();
  const id = k.file("f");
  const stranger = { ...USER, uid: USER.uid + 1, gid: USER.gid + 1 };
  const ask = (mode: number, by = stranger) => {
    k.chmod(id, mode);
    const said = code(() => k.set(id, { killSuidgid: true }, by));
    return `${said} ${(k.stat(id).mode & ~S_IFMT).toString(8)}`;
  };
  assertEquals([ask(0o4644), ask(0o2745)], ["ok 644", "ok 745"]);
  k.fs.release({ nodeid: id, fh: 0, flags: 2 });
  assertEquals([ask(0o4666), ask(0o2745), ask(0o644)], ["EPERM 4666", "EPERM 2745", "ok 644"]);
  assertEquals([ask(0o4755, USER), ask(0o4755, { ...USER, uid: 0 })], ["ok 755", "ok 755"]);
  k.fs.open({ nodeid: id, flags: 0, killSuidgid: false }, USER);
  assertEquals(ask(0o4666), "EPERM 4666");
  k.fs.open({ nodeid: id, flags: 1, killSuidgid: false }, USER);
  assertEquals(ask(0o4644), "ok 644");
});

test("memory: file capabilities end with a write, a truncation, a change of owner", () => {
  const k = new Kernel();
  const id = k.file("f"), name = "security.capability";
  const { bytes } = k.used;
  for (
    const act of [
      () => k.write(id, 0, "x"),
      () => k.set(id, { size: 0 }),
      () => k.set(id, { gid: 9 }),
      () => k.open(id, O_TRUNC),
    ]
  ) {
    k.fs.setxattr({ nodeid: id, name, value: new Uint8Array(20), flags: 0 });
    act();
    assertEquals(k.fs.getxattr({ nodeid: id, name }), null);
  }
  assertEquals(k.used.bytes, bytes);
});

test("memory: create makes and opens, or opens what is there", () => {
  const k = new Kernel();
  const id = k.file("f");
  k.write(id, 0, "old");
  assertEquals(code(() => k.file("f", ROOT_ID, { flags: O_EXCL })), "EEXIST");
  assertEquals([k.file("f"), k.read(id)], [id, "old"]);
  assertEquals([k.file("f", ROOT_ID, { flags: O_TRUNC }), k.read(id)], [id, ""]);
  k.unlink("f");
  for (let i = 0; i < 3; i++) {
    assertEquals(k.stat(id).nlink, 0);
    k.release(id);
    k.fs.forget({ nodeid: id, nlookup: 1 });
  }
  assertEquals(code(() => k.stat(id)), "ESTALE");
  k.dir("d");
  assertEquals(code(() => k.file("d")), "EISDIR");
});

test("memory: reads end with the file, writes go where the kernel says, but overwrite nothing with O_APPEND", () => {
  const k = new Kernel();
  const id = k.file("f");
  assertEquals(k.write(id, 0, "hello"), 5);
  assertEquals(k.write(id, 5, " world", { flags: O_APPEND }), 6);
  assertEquals(k.read(id), "hello world");
  assertEquals(k.read(id, 6, 3), "wor");
  assertEquals(k.read(id, 11), "");
  assertEquals(k.read(id, 100), "");
  assertEquals(k.write(id, 0, "J", { flags: O_APPEND, fromCache: true }), 1);
  assertEquals(k.read(id), "Jello world", "a page of a mapping");
  assertEquals(k.write(id, 5, "!", { flags: O_APPEND }), 1);
  assertEquals(k.read(id), "Jello world!", "the end as somebody else made it");
  assertEquals(k.write(id, 14, "?", { flags: O_APPEND }), 1);
  assertEquals(k.read(id), "Jello world!\0\0?", "the later part of a write, before the earlier one");
  assertEquals(k.stat(id).size, 15);
  assertEquals(k.stat(id).blocks, 8);
});

test("memory: what its own process and the kernel append is all there", { needs: ["root", "fuse"] }, async () => {
  await using dir = await tempDir();
  const k = new Kernel(), id = k.file("f");
  {
    await using _session = await mount(k.fs, dir.path);
    await must(["sh", "-c", `printf aaaa >> ${dir.path}/f`]);
    k.write(id, 4, "bbbb");
    await must(["sh", "-c", `printf cccc >> ${dir.path}/f; printf dddd >> ${dir.path}/f`]);
  }
  assertEquals(k.read(id), "aaaabbbbccccdddd");
});

test("memory destroy: what the ended connection knew and had open goes, what a snapshot holds later", () => {
  const k = new Kernel();
  const { inodes, bytes } = k.used;
  k.fs.init(HANDSHAKE);
  const kept = k.file("kept", ROOT_ID, { flags: 0 });
  for (const name of ["open", "orphan"]) k.write(k.file(name), 0, "x");
  k.unlink("orphan");
  k.write(k.fs.tmpfile({ parent: ROOT_ID, flags: 2, mode: 0o600, umask: 0 }, USER).entry.nodeid, 0, "x");
  const dir = k.dir("d");
  const { fh } = k.fs.opendir({ nodeid: dir, flags: 0, killSuidgid: false });
  k.rmdir("d");
  assertEquals(k.used, { inodes: inodes + 5, bytes: bytes + 3 * PAGE });
  const saving = parts(k.fs.tree, 1);
  saving.next();
  k.fs.destroy();
  assertEquals(code(() => k.stat(dir)), "ESTALE");
  assertEquals(k.used, { inodes: inodes + 2, bytes: bytes + PAGE });

  k.fs.init(HANDSHAKE);
  assertEquals(k.look("kept"), kept);
  const open = k.look("open");
  assertEquals(k.read(open), "x");
  k.unlink("open");
  k.fs.forget({ nodeid: open, nlookup: 1 });
  assertEquals(k.read(open), "x", "held by the snapshot");
  k.fs.destroy();
  assertEquals(k.read(open), "x", "still");
  saving.return();
  assertEquals(code(() => k.stat(open)), "ESTALE");
  k.unlink("kept");
  assertEquals(k.used, { inodes, bytes });
  assertEquals(fh, 1);
});

test("memory init: a second mount at a time is refused in words; who agreed on lists binds no later one", () => {
  const { fs } = new Kernel();
  const acl = () => fs.getxattr({ nodeid: ROOT_ID, name: "system.posix_acl_access" });
  fs.init({ negotiated: { flags: new Set(["FUSE_POSIX_ACL"]) } as unknown as Negotiated });
  assertEquals(acl(), null);
  const error = assertThrows(() => fs.init(HANDSHAKE), FuseError, "mount --bind");
  assertEquals([error.code, acl()], ["EBUSY", null]);
  fs.destroy();
  fs.init(HANDSHAKE);
  assertEquals(code(acl), "EOPNOTSUPP");
});

test("memory: is mounted again with what it holds, and holds nothing more", { needs: ["root", "fuse"] }, async () => {
  await using dir = await tempDir();
  for (const name of ["a", "b"]) await mkdir(dir.join(name));
  const fs = memory();
  const empty = fs.counts();
  const first = await mount(fs, dir.join("a"));
  await must(["sh", "-c", "mkdir a/d && printf content > a/d/f"], { cwd: dir.path });
  // The refused one is no reason to forget what the other knows.
  await assertRejects(() => mount(fs, dir.join("b")), FuseError, "mount --bind");
  assertEquals((await run(["cat", dir.join("a/d/f")])).stdout, "content");
  await first.unmount();

  const second = await mount(fs, dir.join("b"));
  assertEquals((await run(["cat", dir.join("b/d/f")])).stdout, "content");
  await must(["rm", "-r", dir.join("b/d")]);
  await second.unmount();
  assertEquals(fs.counts(), empty);
});

test("memory: what is open at an abort goes with the connection", { needs: ["root", "fuse"] }, async () => {
  await using dir = await tempDir();
  const fs = memory();
  const empty = fs.counts();
  const session = await mount(fs, dir.path, { onError: () => {} });
  const script = `exec 3>${dir.path}/f; printf content >&3; rm ${dir.path}/f; echo ready; exec sleep 100`;
  await using _holder = await startReady(["sh", "-c", script], { ready: READY });
  assertEquals(fs.counts().inodes, empty.inodes + 1);
  assertEquals(await session.unmount({ timeout: 0 }), "aborted");
  assertEquals(fs.counts(), empty);
});

test("memory: the kernel that collects writes keeps the times", () => {
  for (const flags of [[], ["FUSE_WRITEBACK_CACHE"]]) {
    const k = new Kernel();
    k.fs.init({ negotiated: { flags: new Set(flags) } as unknown as Negotiated });
    const id = k.file("f");
    const write = (fromCache: boolean) => {
      k.age(id);
      k.fs.write({ nodeid: id, fh: 0, offset: 0, data: text("x"), flags: 0, fromCache, killSuidgid: false }, USER);
      return k.touched(id);
    };
    assertEquals([write(true), write(false)], [flags.length > 0 ? "" : "mc", "mc"]);
  }
});

test("memory: data goes only into regular files", () => {
  const k = new Kernel();
  const dir = k.dir("d");
  const fifo = k.fs.mknod({ parent: 1, name: "p", mode: FIFO, umask: 0, rdev: 0 }, USER).nodeid;
  assertEquals(code(() => k.read(dir)), "EISDIR");
  assertEquals(code(() => k.write(dir, 0, "x")), "EISDIR");
  assertEquals(code(() => k.open(dir)), "EISDIR");
  assertEquals(code(() => k.set(dir, { size: 0 })), "EISDIR");
  assertEquals(code(() => k.set(fifo, { size: 0 })), "EINVAL");
  assertEquals(code(() => k.fs.opendir({ nodeid: fifo, flags: 0, killSuidgid: false })), "ENOTDIR");
  assertEquals(code(() => k.set(k.file("f"), { size: 2 ** 53 })), "EFBIG");
});

test("memory: symbolic links", () => {
  const k = new Kernel();
  const { nodeid, attr } = k.fs.symlink({ parent: 1, name: "l", target: "häuser\udcff" }, USER);
  assertEquals(attr.size, 8);
  assertEquals(k.fs.readlink({ nodeid }), "häuser\udcff");
  assertEquals(code(() => k.fs.symlink({ parent: 1, name: "m", target: "x".repeat(4096) }, USER)), "ENAMETOOLONG");
  assertEquals(code(() => k.fs.readlink({ nodeid: ROOT_ID })), "EINVAL");
});

test("memory: statfs counts down to ENOSPC, and removal counts up again", () => {
  const k = new Kernel(filesystemOf({ maxBytes: 10 * PAGE, maxInodes: 3 }));
  assertEquals(k.fs.statfs(), {
    blocks: 10,
    bfree: 10,
    bavail: 10,
    files: 3,
    ffree: 2,
    bsize: PAGE,
    namelen: 255,
    frsize: PAGE,
  });
  const id = k.file("f");
  assertEquals(k.write(id, 0, new Uint8Array(20 * PAGE)), 10 * PAGE);
  assertEquals(code(() => k.write(id, 10 * PAGE, "x")), "ENOSPC");
  assertEquals([k.fs.statfs().bfree, k.fs.statfs().bavail], [0, 0]);
  assertEquals(code(() => k.fs.setxattr({ nodeid: id, name: "user.a", value: text("1"), flags: 0 })), "ENOSPC");
  assertEquals(code(() => k.fs.symlink({ parent: 1, name: "l", target: "t" }, USER)), "ENOSPC");
  k.link(id, "g");
  assertEquals(code(() => k.link(id, "h")), "ENOSPC");
  assertEquals(code(() => k.dir("d")), "ENOSPC");
  assertEquals(code(() => k.rename("f", "f2", { flags: WHITEOUT })), "ENOSPC");
  assertEquals(k.names(), [".", "..", "f", "g"], "what fails changes nothing");
  k.unlink("g");
  k.dir("d");
  k.set(id, { size: PAGE + 1 });
  assertEquals(k.fs.statfs().bfree, 8);
});

test("memory: extended attributes", () => {
  const k = new Kernel();
  const nodeid = k.file("f");
  const set = (name: string, value: Uint8Array, flags = 0) => k.fs.setxattr({ nodeid, name, value, flags });
  const [CREATE, REPLACE] = [1, 2];
  const value = text("one");
  assertEquals(k.fs.getxattr({ nodeid, name: "user.a" }), null);
  assertEquals(code(() => set("user.a", value, REPLACE)), "ENODATA");
  set("user.a", value, CREATE);
  value.fill(0);
  assertEquals(k.fs.getxattr({ nodeid, name: "user.a" }), text("one"), "the value was borrowed");
  assertEquals(code(() => set("user.a", value, CREATE)), "EEXIST");
  set("user.a", text("two"), REPLACE);
  set("trusted.b", text(""));
  assertEquals(k.fs.listxattr({ nodeid }, ROOT), ["user.a", "trusted.b"]);
  assertEquals(k.fs.listxattr({ nodeid }, USER), ["user.a"]);
  k.fs.removexattr({ nodeid, name: "user.a" }, ROOT);
  assertEquals(code(() => k.fs.removexattr({ nodeid, name: "user.a" }, ROOT)), "ENODATA");
  assertEquals(code(() => set("user." + "x".repeat(251), value)), "ERANGE");
  set("user." + "x".repeat(250), new Uint8Array(65536));
  assertEquals(code(() => set("user.c", new Uint8Array(65537))), "E2BIG");
  assertEquals(code(() => set("user.", value)), "EINVAL");
  for (const name of ["a", "system.posix_acl_access", "other.x"]) {
    assertEquals(code(() => set(name, value)), "EOPNOTSUPP");
    assertEquals(code(() => k.fs.getxattr({ nodeid, name })), "EOPNOTSUPP");
  }
  const many = () => {
    for (let i = 0; i < 1000; i++) set(`user.${i}`.padEnd(200, "x"), text(""));
  };
  assertEquals(code(many), "ENOSPC", "the list of names has a limit");
});

test("memory: readdir resumes behind a cookie, though names come and go", () => {
  const k = new Kernel();
  const dir = k.dir("d");
  for (let i = 0; i < 200; i++) k.file(`f${i}`, dir);
  const { fh } = k.fs.opendir({ nodeid: dir, flags: 0, killSuidgid: false });
  const seen: string[] = [];
  let offset = 0;
  for (;;) {
    const piece: DirEntry[] = [];
    for (const entry of k.fs.readdir({ nodeid: dir, fh: fh!, offset })) {
      if (piece.push(entry) === 7) break;
    }
    if (piece.length === 0) break;
    offset = piece.at(-1)!.offset!;
    for (const { name } of piece) {
      seen.push(name);
      // All that was read goes, and new names come: the cookie's entry is gone, the order was packed together.
      if (name.startsWith("f")) {
        k.unlink(name, dir);
        k.file(`new-${name}`, dir);
      }
    }
  }
  assertEquals(seen, [".", "..", ...Array.from({ length: 200 }, (_, i) => `f${i}`)]);
  assertEquals(k.names(dir).length, 202);
  assertEquals(k.entries(dir, 0, fh).length, 202, "a new pass sees what is there now");
  k.fs.releasedir({ nodeid: dir, fh: fh!, flags: 0 });
});

test("memory: an iterator of readdir goes on after changes", () => {
  const k = new Kernel();
  for (let i = 0; i < 300; i++) k.file(`f${i}`);
  const pass = k.fs.readdir({ nodeid: ROOT_ID, fh: 0, offset: 0 })[Symbol.iterator]();
  for (const name of [".", "..", "f0"]) assertEquals(pass.next().value.name, name);
  for (let i = 0; i < 299; i++) k.unlink(`f${i}`);
  k.file("late");
  assertEquals(pass.next().value.name, "f299");
  assertEquals(pass.next().done, true, "what came after the pass began is not in it");
});

test("memory: a pass that renames all it reads comes to an end; cookies rise and are never 0", () => {
  const k = new Kernel();
  for (let i = 0; i < 50; i++) k.file(`f${i}`);
  const { fh } = k.fs.opendir({ nodeid: ROOT_ID, flags: 0, killSuidgid: false });
  let steps = 0, last = 0;
  for (const { name, offset } of k.fs.readdir({ nodeid: ROOT_ID, fh: fh!, offset: 0 })) {
    assertGreater(offset!, last);
    last = offset!;
    if (name.startsWith("f")) k.rename(name, `f${name}`);
    steps++;
  }
  assertEquals(steps, 52);
});

test("memory: a handle that goes on from the kernel's cache keeps its end; rewinding moves it", () => {
  const k = new Kernel();
  for (let i = 0; i < 4; i++) k.file(`f${i}`);
  const fh = k.fs.opendir({ nodeid: ROOT_ID, flags: 0, killSuidgid: false }).fh!;
  k.file("late");
  const [dot] = k.fs.readdir({ nodeid: ROOT_ID, fh, offset: 0 });
  assertEquals(dot.name, ".");
  const cookie = k.entries().find(({ name }) => name === "f1")!.offset;
  assertEquals(k.entries(ROOT_ID, cookie, fh).map(({ name }) => name), ["f2", "f3"]);
  assertEquals(k.entries(ROOT_ID, 0, fh).at(-1)!.name, "late");
  assertEquals(k.entries(ROOT_ID, cookie, fh).length, 3);
});

test("memory: entries say inode and type; a replaced name keeps its place", () => {
  const k = new Kernel();
  k.file("a");
  const b = k.file("b");
  const c = k.dir("c");
  k.rename("b", "a");
  const [, , first, second] = k.entries();
  assertEquals([first.name, first.ino, first.mode & S_IFMT], ["a", b, REG]);
  assertEquals([second.name, second.ino, second.mode & S_IFMT], ["c", c, DIR]);
});

test("memory: the size of a directory is whole blocks and grows with its names", () => {
  const k = new Kernel();
  const dir = k.dir("d");
  assertEquals([k.stat(dir).size, k.stat(dir).blocks], [4096, 8]);
  for (let i = 0; i < 1000; i++) k.file(`f${i}`, dir);
  assertEquals(k.stat(dir).size, 32768);
});

test("memory: a removed directory lives while it is open", () => {
  const k = new Kernel();
  const before = k.used;
  const nodeid = k.dir("d");
  const { fh } = k.fs.opendir({ nodeid, flags: 0, killSuidgid: false });
  k.rmdir("d");
  k.fs.forget({ nodeid, nlookup: 1 });
  assertEquals(k.entries(nodeid), []);
  k.fs.releasedir({ nodeid, fh: fh!, flags: 0 });
  assertEquals(k.used, before);
});

test("memory: 100,000 names are listed piece by piece and removed", () => {
  const k = new Kernel();
  const count = 100_000;
  for (let i = 0; i < count; i++) {
    const { nodeid } = k.fs.mknod({ parent: 1, name: `file-${i}`, mode: REG | 0o600, umask: 0, rdev: 0 }, USER);
    k.fs.forget({ nodeid, nlookup: 1 });
  }
  let offset = 0, seen = 0;
  for (;;) {
    let taken = 0;
    for (const entry of k.fs.readdir({ nodeid: ROOT_ID, fh: 0, offset })) {
      offset = entry.offset!;
      seen++;
      if (entry.name !== "." && entry.name !== "..") k.unlink(entry.name);
      if (++taken === 50) break;
    }
    if (taken === 0) break;
  }
  assertEquals(seen, count + 2);
  assertEquals(k.used.inodes, 1);
});

test("memory: fallocate reserves, punches and zeroes", () => {
  const k = new Kernel(filesystemOf({ maxBytes: 20 * PAGE }));
  const id = k.file("f");
  const [KEEP, PUNCH, COLLAPSE, ZERO] = [1, 2, 8, 16];
  k.fallocate(id, 0, PAGE, 2 * PAGE);
  assertEquals([k.stat(id).size, k.stat(id).blocks], [3 * PAGE, 16]);
  k.fallocate(id, 0, 0, 1);
  assertEquals([k.stat(id).size, k.stat(id).blocks], [3 * PAGE, 24], "nothing is cut");
  k.fallocate(id, KEEP, 10 * PAGE, PAGE);
  assertEquals([k.stat(id).size, k.stat(id).blocks], [3 * PAGE, 32]);
  k.write(id, 0, "x".repeat(3 * PAGE));
  k.fallocate(id, PUNCH | KEEP, 10, PAGE + PAGE);
  assertEquals([k.stat(id).size, k.stat(id).blocks], [3 * PAGE, 24], "one page went");
  assertEquals(k.read(id, 0, 12), "x".repeat(10) + "\0\0");
  assertEquals(k.read(id, 2 * PAGE + 9, 2), "\0x");
  k.fallocate(id, ZERO | KEEP, 0, 5 * PAGE);
  assertEquals([k.stat(id).size, k.read(id).replaceAll("\0", "")], [3 * PAGE, ""]);
  k.fallocate(id, ZERO, 0, 5 * PAGE);
  assertEquals(k.stat(id).size, 5 * PAGE);
  assertEquals(code(() => k.fallocate(id, 0, 0, 30 * PAGE)), "ENOSPC");
  assertEquals(k.stat(id).size, 5 * PAGE);
  for (const mode of [PUNCH, COLLAPSE, KEEP | COLLAPSE, 32, 64, PUNCH | ZERO]) {
    assertEquals(code(() => k.fallocate(id, mode, 0, PAGE)), "EOPNOTSUPP", `mode ${mode}`);
  }
  assertEquals(code(() => k.fallocate(id, 0, 0, 0)), "EINVAL");
  assertEquals(code(() => k.fallocate(k.dir("d"), 0, 0, 1)), "EISDIR");
});

test("memory: lseek finds data and holes", () => {
  const k = new Kernel();
  const nodeid = k.file("f");
  const seek = (offset: number, whence: number) => k.fs.lseek({ nodeid, fh: 0, offset, whence });
  const [DATA, HOLE] = [3, 4];
  assertEquals(code(() => seek(0, HOLE)), "ENXIO");
  k.write(nodeid, 3 * PAGE, "data");
  assertEquals([seek(0, DATA), seek(0, HOLE)], [3 * PAGE, 0]);
  assertEquals([seek(3 * PAGE + 2, DATA), seek(3 * PAGE + 2, HOLE)], [3 * PAGE + 2, 3 * PAGE + 4]);
  assertEquals(code(() => seek(3 * PAGE + 4, DATA)), "ENXIO");
  k.set(nodeid, { size: 9 * PAGE });
  assertEquals(seek(3 * PAGE, HOLE), 4 * PAGE);
  assertEquals(code(() => seek(4 * PAGE, DATA)), "ENXIO");
  assertEquals(code(() => seek(0, 0)), "EINVAL");
  k.write(nodeid, 2 ** 40, "far");
  assertEquals([seek(4 * PAGE, DATA), seek(2 ** 40 + 1, DATA)], [2 ** 40, 2 ** 40 + 1]);
  assertEquals([seek(4 * PAGE, HOLE), seek(2 ** 40, HOLE)], [4 * PAGE, 2 ** 40 + 3]);
});

test("memory: what the kernel may have in its cache alone is written back before it is asked for", async () => {
  const asked: unknown[] = [];
  // The kernel writes back what was stored through a mapping.
  const invalInode = (nodeid: number, offset?: number) => {
    asked.push([nodeid, offset]);
    return Promise.resolve(void k.write(id, 3 * PAGE, "stored", { fromCache: true }));
  };
  const k = new Kernel();
  const negotiate = (...flags: string[]) => {
    const negotiated = { flags: new Set(flags) } as unknown as Negotiated;
    k.fs.init({ negotiated, notify: { invalInode } as unknown as Notifications });
  };
  negotiate("FUSE_ASYNC_READ");
  const id = k.file("f");
  k.set(id, { size: 8 * PAGE });
  k.write(id, 0, new Uint8Array(PAGE));
  const seek = (offset: number) => k.fs.lseek({ nodeid: id, fh: 0, offset, whence: 3 });
  const keeps = () => {
    const { keepCache } = k.fs.open({ nodeid: id, flags: 0, killSuidgid: false }, USER);
    k.release(id);
    return keepCache;
  };
  k.read(id, 0, PAGE);
  assertEquals([seek(0), code(() => seek(PAGE)), keeps()], [0, "ENXIO", true], "no page of a hole is cached");
  k.read(id, 0, 4 * PAGE);
  assertEquals([await seek(PAGE), keeps(), asked], [3 * PAGE, true, [[id, 0]]]);
  assertEquals(seek(4 * PAGE - 1), 4 * PAGE - 1, "all of it is known now");
  k.read(id, 4 * PAGE, 1);
  assertEquals(keeps(), false);
  k.fs.release({ nodeid: id, fh: 0, flags: 2 });
  assertEquals([seek(0), keeps(), asked.length], [0, true, 1], "nobody can store");
  k.fs.destroy();
  negotiate("FUSE_WRITEBACK_CACHE");
  assertEquals([keeps(), k.fs.getattr({ nodeid: id }).attrTimeout], [true, 0]);
  k.open(id, 1);
  assertEquals(keeps(), false);
  k.fs.destroy();
  // Without a kernel there is no cache.
  negotiate();
  k.read(id, 0, 4 * PAGE);
  k.open(id, 1);
  assertEquals(seek(0), 0);
});

test('memory: "." is what the nodeid stands for, for who opens handles', () => {
  for (const permissions of ["kernel", "own"] as const) {
    const fs = memory({ permissions }) as unknown as MemoryFilesystem;
    const request = { ...ROOT, signal: new AbortController().signal } as unknown as Request;
    const look = fs.lookup as (args: { parent: number; name: string }, request: Request) => Entry;
    const { nodeid } = new Kernel(fs).fs.mknod({ parent: 1, name: "f", mode: REG, umask: 0, rdev: 0 }, request);
    assertEquals(look({ parent: nodeid, name: "." }, request).nodeid, nodeid);
    assertEquals(look({ parent: ROOT_ID, name: ".." }, request).nodeid, ROOT_ID);
    assertEquals([code(() => look({ parent: nodeid, name: ".." }, request))], ["ENOTDIR"]);
    assertEquals([code(() => look({ parent: 77, name: "." }, request))], ["ESTALE"]);
  }
});

test("memory: copyFileRange copies between files and inside one", () => {
  const k = new Kernel(filesystemOf({ maxBytes: 4 * PAGE }));
  const from = k.file("a"), to = k.file("b");
  const copy = (offset: number, newNodeid: number, newOffset: number, length: number, flags = 0, by = ROOT) =>
    k.fs.copyFileRange({ nodeid: from, fh: 0, offset, newNodeid, newFh: 0, newOffset, length, flags }, by);
  k.write(from, 0, "hello world");
  k.chmod(to, 0o4755);
  k.age(to, from);
  assertEquals(copy(6, to, 1, 100), 5);
  assertEquals([k.touched(to), k.touched(from), k.read(to)], ["mc", "a", "\0world"]);
  assertEquals(k.stat(to).mode & 0o7777, 0o4755);
  copy(0, to, 0, 1, 0, USER);
  assertEquals(k.stat(to).mode & 0o7777, 0o755);
  assertEquals(copy(0, from, 11, 1000), 11, "the length is cut at the end of the file, so that they do not overlap");
  assertEquals(k.read(from), "hello worldhello world");
  assertEquals(code(() => copy(0, from, 5, 6)), "EINVAL");
  assertEquals(code(() => copy(0, to, 0, 1, 1)), "EINVAL");
  assertEquals(copy(22, to, 0, 5), 0);
  k.write(to, PAGE, "x".repeat(2 * PAGE));
  assertEquals(code(() => copy(0, to, 3 * PAGE, 5)), "ENOSPC");
});
