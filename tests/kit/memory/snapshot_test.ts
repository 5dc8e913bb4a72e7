import { assertEquals, assertLess, assertNotEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { errnoName, errnoOf, FuseError } from "../../../src/errno.ts";
import { makedev, ROOT_ID } from "../../../src/fs/types.ts";
import { filesystemOf, type Memory, memory, restoreMemory } from "../../../src/kit/memory.ts";
import type { MemoryFilesystem } from "../../../src/kit/memory/filesystem.ts";
import { type MemorySnapshot, parts, Restoration, snapshot } from "../../../src/kit/memory/snapshot.ts";
import { Space } from "../../../src/kit/memory/space.ts";
import { code } from "../../support/errno.ts";
import { test } from "../../support/harness.ts";

const WHO = { uid: 1000, gid: 100 };
const PAGE = 4096;
const TIB = 2 ** 40;
const text = (s: string) => new TextEncoder().encode(s);

function make(fs: MemoryFilesystem, name: string, parent = ROOT_ID): number {
  return fs.create({ parent, name, flags: 2, mode: 0o100644, umask: 0, killSuidgid: false }, WHO).entry.nodeid;
}

function write(fs: MemoryFilesystem, nodeid: number, offset: number, data: Uint8Array): void {
  fs.write({ nodeid, fh: 0, offset, data, flags: 0, fromCache: false, killSuidgid: false }, WHO);
}

/** A file system with one of everything. */
function everything(): MemoryFilesystem {
  const fs = filesystemOf({ maxBytes: TIB });
  const dir = fs.mkdir({ parent: ROOT_ID, name: "d\udc80\u00e9", mode: 0o2755, umask: 0 }, WHO).nodeid;
  const file = make(fs, "file", dir);
  write(fs, file, 0, text("begin"));
  write(fs, file, TIB - 3, text("end"));
  fs.fallocate({ nodeid: file, fh: 0, offset: 10 * PAGE, length: 3 * PAGE, mode: 1 }, WHO);
  fs.link({ nodeid: file, newParent: ROOT_ID, newName: "link" });
  fs.setxattr({ nodeid: file, name: "user.a", value: new Uint8Array([0, 255, 128]), flags: 0 });
  fs.symlink({ parent: dir, name: "s", target: "to/\udcff" }, WHO);
  fs.mknod({ parent: dir, name: "dev", mode: 0o020600, umask: 0, rdev: makedev(1, 3) }, WHO);
  fs.mknod({ parent: dir, name: "fifo", mode: 0o010600, umask: 0, rdev: 0 }, WHO);
  write(fs, make(fs, "empty"), 0, text(""));
  fs.setattr({ nodeid: file, atime: -5, atimeNsec: 999_999_999, mtime: 1, mtimeNsec: 2 }, WHO);
  fs.setattr({ nodeid: ROOT_ID, mode: 0o040711, uid: 3, gid: 4 }, { uid: 0, gid: 0 });
  return fs;
}

const through = (saved: MemorySnapshot): MemorySnapshot => JSON.parse(JSON.stringify(saved));

test("memory snapshot: what comes back from JSON is the same again", () => {
  const fs = everything();
  const saved = snapshot(fs.tree);
  const again = filesystemOf({ maxBytes: TIB, snapshot: through(saved) });
  assertEquals(snapshot(again.tree), saved);
  assertEquals(again.statfs(), fs.statfs());
  const find = (parent: number, name: string) => again.lookup({ parent, name });
  const dir = find(ROOT_ID, "d\udc80\u00e9");
  const file = find(dir.nodeid, "file");
  assertEquals([dir.attr.nlink, file.attr.nlink, file.nodeid], [2, 2, find(ROOT_ID, "link").nodeid]);
  assertEquals([file.attr.size, file.attr.blocks], [TIB, 5 * PAGE / 512]);
  assertEquals([file.attr.atime, file.attr.atimeNsec, file.attr.mtimeNsec], [-5, 999_999_999, 2]);
  const read = (offset: number) =>
    new TextDecoder().decode(
      again.read({ nodeid: file.nodeid, fh: 0, offset, size: 5, flags: 0 }),
    );
  assertEquals([read(0), read(TIB - 3)], ["begin", "end"]);
  assertEquals([...again.getxattr({ nodeid: file.nodeid, name: "user.a" })!], [0, 255, 128]);
  assertEquals(again.readlink({ nodeid: find(dir.nodeid, "s").nodeid }), "to/\udcff");
  assertEquals(find(dir.nodeid, "dev").attr.rdev, makedev(1, 3));
  const root = again.getattr({ nodeid: ROOT_ID }).attr;
  assertEquals([root.mode, root.uid, root.gid, root.nlink], [0o040711, 3, 4, 3]);
  // It is a tree to work with.
  again.unlink({ parent: ROOT_ID, name: "link" });
  assertEquals(again.getattr({ nodeid: file.nodeid }).attr.nlink, 1);
});

test("memory snapshot: holds what was written, not the holes", () => {
  assertLess(JSON.stringify(snapshot(everything().tree)).length, 30_000);
});

test("memory snapshot: long stretches, larger than one string and one chunk", () => {
  const fs = filesystemOf();
  const file = make(fs, "f");
  const data = new Uint8Array(3 * 2 ** 20 + 777).map((_, i) => i * 31 >> 3);
  write(fs, file, 5000, data);
  const again = filesystemOf({ snapshot: through(snapshot(fs.tree)) });
  const { nodeid } = again.lookup({ parent: ROOT_ID, name: "f" });
  assertEquals(again.read({ nodeid, fh: 0, offset: 5000, size: data.length, flags: 0 }), data);
  assertEquals(again.getattr({ nodeid }).attr.blocks, fs.getattr({ nodeid: file }).attr.blocks);
});

test("memory snapshot: an open file without a name is no part of it", () => {
  const fs = filesystemOf();
  write(fs, make(fs, "f"), 0, text("x"));
  fs.unlink({ parent: ROOT_ID, name: "f" });
  assertEquals(snapshot(fs.tree).inodes.length, 1);
});

test("memory snapshot: a value of its own, which later changes leave alone", () => {
  const fs = filesystemOf();
  const file = make(fs, "f");
  write(fs, file, 0, text("one"));
  const saved = snapshot(fs.tree), copy = structuredClone(saved);
  write(fs, file, 0, text("two"));
  make(fs, "g");
  assertEquals(saved, copy);
  assertNotEquals(snapshot(fs.tree), saved);
});

test("memory snapshot: a deep tree", () => {
  const fs = filesystemOf();
  let parent = ROOT_ID;
  for (let i = 0; i < 20_000; i++) {
    parent = fs.mkdir({ parent, name: "d", mode: 0o755, umask: 0 }, WHO).nodeid;
  }
  const again: Memory = memory({ snapshot: snapshot(fs.tree) });
  assertEquals(again.counts().inodes, 20_001);
});

test("memory snapshot: what does not fit, or is none, is refused", () => {
  const refusal = (value: unknown, options = {}): FuseError => {
    try {
      memory({ snapshot: value as MemorySnapshot, ...options });
    } catch (error) {
      if (error instanceof FuseError) return error;
      throw error;
    }
    throw new Error("nothing thrown");
  };
  const saved = through(snapshot(everything().tree));
  assertEquals(refusal(saved, { maxBytes: PAGE }).code, "ENOSPC");
  assertEquals(refusal(saved, { maxInodes: 3 }).code, "ENOSPC");
  assertEquals(refusal(saved, { maxBytes: TIB, quota: () => ({ maxInodes: 2 }) }).code, "EDQUOT");
  assertStringIncludes(refusal({ version: 2, inodes: [] }).message, "version 1");
  assertEquals(refusal({ version: 1, inodes: [] }).code, "EINVAL");
  const { inodes } = saved;
  const times = { atime: [0, 0], mtime: [0, 0], ctime: [0, 0], btime: [0, 0] };
  const dir = { mode: 0o040755, uid: 0, gid: 0, ...times };
  const none = { ...dir, names: [["a", 7]] };
  const twice = [{ ...dir, names: [["a", 1], ["b", 1]] }, dir];
  const circle = [dir, { ...dir, names: [["a", 1]] }];
  for (const bad of [[none], twice, circle, [inodes[1], inodes[0]], [{ ...dir, names: [["a/b", 1]] }, dir]]) {
    assertEquals(refusal({ version: 1, inodes: bad }).code, "EINVAL");
  }
  assertThrows(() => memory({ snapshot: JSON.parse("null") ?? undefined, maxInodes: 0 }));
  assertEquals(errnoName(errnoOf(refusal({ version: 1, inodes: [none] }))), "EINVAL");
});

/** What a tree is of parts that went through JSON. */
function rejoined(saved: Iterable<MemorySnapshot>): MemorySnapshot {
  const restoration = new Restoration(new Space(2 * TIB, 2 ** 20));
  for (const part of saved) restoration.add(through(part));
  return snapshot(restoration.finish());
}

/** The same as {@linkcode everything}, with a long file, many names and attributes. */
function much(): MemoryFilesystem {
  const fs = everything();
  write(fs, make(fs, "long"), PAGE, new Uint8Array(3 * 2 ** 20).map((_, i) => i * 31 >> 3));
  const many = fs.mkdir({ parent: ROOT_ID, name: "many", mode: 0o755, umask: 0 }, WHO).nodeid;
  for (let i = 0; i < 300; i++) fs.mknod({ parent: many, name: `n${i}`, mode: 0o100644, umask: 0, rdev: 0 }, WHO);
  for (let i = 0; i < 20; i++) {
    fs.setxattr({ nodeid: many, name: `user.${i}`, value: new Uint8Array(500).fill(i), flags: 0 });
  }
  return fs;
}

test("memory snapshot: its parts are the whole, whatever one of them holds", () => {
  const fs = much(), whole = snapshot(fs.tree);
  for (const limit of [1, 300, 1000, 5000, 2 ** 20, Infinity]) {
    const saved = [...parts(fs.tree, limit)];
    assertEquals(rejoined(saved), whole, `parts of ${limit}`);
    const items = ({ inodes }: MemorySnapshot) =>
      inodes.length + inodes.flatMap(({ data = [], names = [], xattrs = [] }) => [...data, ...names, ...xattrs]).length;
    if (limit === 1) assertEquals(Math.max(...saved.map(items)), 2);
  }
  // As the option takes it, where one part is all.
  assertEquals(
    snapshot(filesystemOf({ maxBytes: TIB, snapshot: [...parts(fs.tree, Infinity)][0] }).tree),
    whole,
  );
});

test("memory snapshot: no part of a large file is large", () => {
  const fs = filesystemOf();
  const file = make(fs, "f");
  for (let at = 0; at < 40; at++) write(fs, file, at << 20, new Uint8Array(1 << 20).fill(at));
  const lengths = [...parts(fs.tree)].map((part) => JSON.stringify(part).length);
  assertLess(Math.max(...lengths), 2 ** 21);
  assertEquals(lengths.length, 40);
});

test("memory snapshot: what happens between two parts is in it or not, and it stays whole", () => {
  const fs = much(), names = snapshot(fs.tree).inodes.map(({ names }) => names);
  const before = fs.statfs();
  const { nodeid } = fs.lookup({ parent: ROOT_ID, name: "long" });
  const saved: MemorySnapshot[] = [];
  for (const part of parts(fs.tree, 1000)) {
    saved.push(part);
    if (saved.length > 1) continue;
    // As a program saves a file: the new one takes the place of the old.
    write(fs, make(fs, "new"), 0, text("new"));
    fs.rename({ parent: ROOT_ID, name: "new", newParent: ROOT_ID, newName: "long", flags: 0 }, WHO);
    fs.release({ nodeid, fh: 0, flags: 2 });
    fs.forget({ nodeid, nlookup: 2 });
    fs.unlink({ parent: ROOT_ID, name: "empty" });
    const many = fs.lookup({ parent: ROOT_ID, name: "many" }).nodeid;
    for (let i = 0; i < 300; i += 2) fs.unlink({ parent: many, name: `n${i}` });
    fs.rename({ parent: many, name: "n1", newParent: ROOT_ID, newName: "moved", flags: 0 }, WHO);
  }
  const again = rejoined(saved);
  assertEquals(again.inodes.map(({ names }) => names), names);
  const long = again.inodes.find(({ size }) => size === 3 * 2 ** 20 + PAGE)!;
  assertEquals(long.data!.length, 3);
  // What was kept for it is free now.
  assertLess(fs.statfs().blocks - fs.statfs().bfree, before.blocks - before.bfree - 3 * 256 + 2);
  assertEquals(code(() => fs.getattr({ nodeid })), "ESTALE");
});

test("memory snapshot: a file that is cut and grows between two parts is as it was last", () => {
  for (const size of [5, 2 ** 20 + 5, 4 * 2 ** 20]) {
    const fs = filesystemOf();
    const file = make(fs, "f");
    write(fs, file, 0, new Uint8Array(3 * 2 ** 20).fill(1));
    const saved: MemorySnapshot[] = [];
    for (const part of parts(fs.tree)) {
      if (saved.push(part) === 1) fs.setattr({ nodeid: file, size }, WHO);
    }
    const again = rejoined(saved).inodes[1];
    // What was in a part already is not taken back.
    assertEquals(again.size, size === 5 ? 3 * 2 ** 20 : size);
  }
});

test("memory snapshot: parts are left off by who breaks", () => {
  const fs = filesystemOf();
  const file = make(fs, "f");
  for (const _ of parts(fs.tree, 1)) break;
  fs.unlink({ parent: ROOT_ID, name: "f" });
  fs.release({ nodeid: file, fh: 0, flags: 2 });
  fs.forget({ nodeid: file, nlookup: 1 });
  assertEquals(fs.tree.nodes.size, 1);
});

test("memory snapshot: restoreMemory takes parts as they come, and refuses what is not whole", async () => {
  const saved = [...parts(much().tree, 1000)].map(through);
  async function* come(parts: readonly MemorySnapshot[]) {
    for (const part of parts) yield await Promise.resolve(part);
  }
  const options = { maxBytes: TIB };
  const again = await restoreMemory(come(saved), options);
  assertEquals(again.snapshot(), rejoined(saved));
  assertEquals([...again.snapshotParts()].length, 4);
  assertEquals((await restoreMemory(saved, { ...options, permissions: "own" })).counts(), again.counts());
  for (const bad of [[], saved.slice(1), saved.slice(0, -1), saved.toSpliced(3, 1), [saved[0], ...saved]]) {
    assertEquals(await restoreMemory(bad, options).then(() => "ok", (error) => error.code), "EINVAL");
  }
  assertEquals(await restoreMemory(saved, { maxInodes: 10 }).then(() => "ok", (error) => error.code), "ENOSPC");
});
