import { assertEquals } from "@std/assert";
import { filesystemOf } from "../../../src/kit/memory.ts";
import { ROOT_ID } from "../../../src/fs/types.ts";
import type { MemoryFilesystem } from "../../../src/kit/memory/filesystem.ts";
import { code } from "../../support/errno.ts";
import { test } from "../../support/harness.ts";

const PAGE = 4096;
const USER = { uid: 1000, gid: 100 };
const OTHER = { uid: 1001, gid: 100 };
const ROOT = { uid: 0, gid: 0 };

const create = (fs: MemoryFilesystem, name: string, by = USER) =>
  fs.create({ parent: ROOT_ID, name, flags: 2, mode: 0o100644, umask: 0, killSuidgid: false }, by).entry.nodeid;
const write = (fs: MemoryFilesystem, nodeid: number, length: number, offset = 0) =>
  fs.write({
    nodeid,
    fh: 0,
    offset,
    data: new Uint8Array(length),
    flags: 0,
    fromCache: false,
    killSuidgid: false,
  }, USER);

const limited = (quota: { maxBytes?: number; maxInodes?: number }, maxBytes = 2 ** 30) =>
  filesystemOf({ maxBytes, quota: (uid) => uid === USER.uid ? quota : undefined });

test("memory quota: bytes of one user, EDQUOT; ENOSPC where there is no more for anybody", () => {
  const fs = limited({ maxBytes: 4 * PAGE }, 6 * PAGE);
  const file = create(fs, "f");
  assertEquals(write(fs, file, 5 * PAGE), 4 * PAGE);
  assertEquals(code(() => write(fs, file, 1, 4 * PAGE)), "EDQUOT");
  assertEquals(code(() => fs.fallocate({ nodeid: file, fh: 0, offset: 0, length: 5 * PAGE, mode: 0 }, USER)), "EDQUOT");
  const name = "user.a", value = new Uint8Array(10);
  assertEquals(code(() => fs.setxattr({ nodeid: file, name, value, flags: 0 })), "EDQUOT");
  const others = create(fs, "o", OTHER);
  assertEquals(write(fs, others, 2 * PAGE), 2 * PAGE);
  assertEquals(code(() => write(fs, others, 1, 2 * PAGE)), "ENOSPC");
});

test("memory quota: inodes and further names of one user", () => {
  const fs = limited({ maxInodes: 2 });
  const file = create(fs, "a");
  fs.link({ nodeid: file, newParent: ROOT_ID, newName: "b" });
  assertEquals(code(() => fs.link({ nodeid: file, newParent: ROOT_ID, newName: "c" })), "EDQUOT");
  assertEquals(code(() => create(fs, "d")), "EDQUOT");
  assertEquals(code(() => create(fs, "d", OTHER)), "ok");
  fs.unlink({ parent: ROOT_ID, name: "b" });
  assertEquals(code(() => create(fs, "e")), "ok");
});

test("memory quota: what is removed is free again, once it is closed and forgotten", () => {
  const fs = limited({ maxBytes: 2 * PAGE, maxInodes: 1 });
  const file = create(fs, "a");
  write(fs, file, 2 * PAGE);
  fs.unlink({ parent: ROOT_ID, name: "a" });
  assertEquals(code(() => create(fs, "b")), "EDQUOT");
  fs.release({ nodeid: file, fh: 0, flags: 0 });
  fs.forget({ nodeid: file, nlookup: 1 });
  assertEquals(write(fs, create(fs, "b"), 2 * PAGE), 2 * PAGE);
});

test("memory quota: a change of owner takes all along, or nothing", () => {
  const fs = limited({ maxBytes: 2 * PAGE, maxInodes: 3 });
  const file = create(fs, "a", ROOT);
  write(fs, file, 3 * PAGE);
  const before = fs.statfs();
  assertEquals(code(() => fs.setattr({ nodeid: file, uid: USER.uid }, ROOT)), "EDQUOT");
  assertEquals(fs.getattr({ nodeid: file }).attr.uid, 0);
  fs.setattr({ nodeid: file, size: PAGE }, ROOT);
  fs.setattr({ nodeid: file, uid: USER.uid }, ROOT);
  assertEquals(write(fs, file, 3 * PAGE), 2 * PAGE);
  fs.setattr({ nodeid: file, uid: 0 }, ROOT);
  assertEquals(write(fs, file, 3 * PAGE), 3 * PAGE);
  assertEquals(fs.statfs(), before);
});

test("memory: statfs shows the limits, and what is used", () => {
  const fs = filesystemOf({ maxBytes: 10 * PAGE, maxInodes: 5 });
  write(fs, create(fs, "a"), PAGE + 1);
  const { blocks, bfree, bavail, files, ffree } = fs.statfs();
  assertEquals({ blocks, bfree, bavail, files, ffree }, { blocks: 10, bfree: 8, bavail: 8, files: 5, ffree: 3 });
  const { blocks: endless } = filesystemOf({ maxBytes: Infinity, maxInodes: Infinity }).statfs();
  assertEquals(endless, Number.MAX_SAFE_INTEGER);
});

test("memory: a limit of 0 is one: files that hold nothing, and no root without an inode", () => {
  const fs = filesystemOf({ maxBytes: 0, maxInodes: 2 });
  const file = create(fs, "a");
  assertEquals(code(() => write(fs, file, 1)), "ENOSPC");
  assertEquals(code(() => create(fs, "b")), "ENOSPC");
  const { blocks, bfree, ffree } = fs.statfs();
  assertEquals({ blocks, bfree, ffree }, { blocks: 0, bfree: 0, ffree: 0 });
  assertEquals(code(() => filesystemOf({ maxInodes: 0 })), "ENOSPC");
});
