import { assert, assertEquals, assertGreater } from "@std/assert";
import fs from "node:fs/promises";
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, Stat } from "../../ffi/libc.ts";
import { libc } from "../../ffi/load.ts";
import { cstring } from "../../src/abi/text.ts";
import { makedev } from "../../src/fs/types.ts";
import { tempDir, test } from "../support/harness.ts";

// Opened here, since it stays open.
const c = libc();
const { O } = c;
const [ENOENT, EBADF, EEXIST, EINVAL] = [2, 9, 17, 22];
const bytes = (text: string) => new TextEncoder().encode(text);

test("libc: values or negative errno, also of calls right behind each other", async () => {
  await using dir = await tempDir();
  assertEquals(c.open(cstring(dir.join("none")), O.RDONLY, 0), -ENOENT);
  assertEquals(c.close(-1), -EBADF);
  assertEquals(c.open(cstring(dir.join("none")), O.RDONLY, 0), -ENOENT);
  assertEquals(c.lseek(-1, 0, 0), -EBADF);
  assertEquals(c.statx(AT_FDCWD, cstring(dir.join("none")), 0, 0xfff, new Stat()), -ENOENT);
});

test("libc: read, write, pread, pwrite, at 64-bit offsets and in views of larger buffers", async () => {
  await using dir = await tempDir();
  const fd = c.open(cstring(dir.join("f")), O.RDWR | O.CREAT | O.EXCL | O.CLOEXEC, 0o600);
  const padded = bytes("..data..").subarray(2, 6);
  assertEquals(c.write(fd, padded, 4), 4);
  assertEquals(c.pwrite(fd, padded, 3, 2 ** 33 + 1), 3);
  const room = new Uint8Array(16);
  assertEquals(c.pread(fd, room.subarray(8), 8, 2 ** 33 + 1), 3);
  assertEquals(room, bytes("\0\0\0\0\0\0\0\0dat\0\0\0\0\0"));
  assertEquals(c.lseek(fd, 1, 0), 1);
  assertEquals(c.read(fd, room.subarray(0, 2)), 2);
  assertEquals(room.subarray(0, 2), bytes("at"));
  assertEquals(c.lseek(fd, 2n ** 33n, 0), 2 ** 33);
  assertEquals(c.ftruncate(fd, 9_000_000_000), 0);
  assertEquals((await fs.stat(dir.join("f"))).size, 9_000_000_000);
  assertEquals(c.fallocate(fd, 0, 9_000_000_000, 5), 0);
  assertEquals((await fs.stat(dir.join("f"))).size, 9_000_000_005);
  assertEquals(c.lseek(fd, 1 << 20, 3), 2 ** 33);
  assertEquals(c.fcntl(fd, 3, 0) & O.ACCMODE, O.RDWR);
  assertEquals([c.fsync(fd), c.fdatasync(fd), c.syncfs(fd)], [0, 0, 0]);
  const copy = c.dup(fd);
  assertGreater(copy, fd);
  assertEquals([c.close(copy), c.close(fd), c.close(fd)], [0, 0, -EBADF]);
});

test("libc statx: every field", async () => {
  await using dir = await tempDir();
  await fs.writeFile(dir.join("f"), "hello");
  await fs.link(dir.join("f"), dir.join("g"));
  await fs.chmod(dir.join("f"), 0o4751);
  await fs.utimes(dir.join("f"), 1.25, 2 ** 33 + 0.5);
  const real = await fs.stat(dir.join("f"));
  const st = new Stat();
  assertEquals(c.statx(AT_FDCWD, cstring(dir.join("f")), 0, 0xfff, st), 0);
  assertEquals([st.mode, st.nlink, st.uid, st.gid], [0o104751, 2, real.uid, real.gid]);
  assertEquals([st.ino, st.bigIno, st.size, st.blocks, st.blksize], [real.ino, 0n, 5, real.blocks, real.blksize]);
  assertEquals([st.atime, st.atimeNsec, st.mtime, st.mtimeNsec], [1, 250_000_000, 2 ** 33, 500_000_000]);
  assertEquals(st.ctime, Math.floor(real.ctime.getTime() / 1000));
  assertEquals(makedev(st.devMajor, st.devMinor), makedev(real.dev >> 8 & 0xfff, real.dev & 0xff));
  assertEquals(c.statx(AT_FDCWD, cstring("/dev/null"), AT_SYMLINK_NOFOLLOW, 0xfff, st), 0);
  assertEquals([st.rdevMajor, st.rdevMinor], [1, 3]);
  const later = new Stat();
  assertEquals(await c.statxAsync(AT_FDCWD, cstring(dir.join("f")), 0, 0xfff, later), 0);
  assertEquals([later.ino, later.mode], [real.ino, 0o104751]);
});

test("libc: names, relative to a descriptor", async () => {
  await using dir = await tempDir();
  const root = c.open(cstring(dir.path), O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
  const mask = c.umask(0o027);
  assertEquals(c.mkdirat(root, cstring("d"), 0o777), 0);
  assertEquals(c.mkdirat(root, cstring("d"), 0o777), -EEXIST);
  assertEquals(c.umask(mask), 0o027);
  assertEquals((await fs.stat(dir.join("d"))).mode & 0o7777, 0o750);
  assertEquals(c.mknodat(root, cstring("fifo"), 0o010600, 0), 0);
  assertEquals(c.symlinkat(cstring("target"), root, cstring("l")), 0);
  const room = new Uint8Array(100);
  assertEquals(c.readlinkat(root, cstring("l"), room), 6);
  assertEquals(room.subarray(0, 6), bytes("target"));
  const d = c.openat(root, cstring("d"), O.PATH | O.CLOEXEC, 0);
  assertEquals(c.renameat2(root, cstring("fifo"), d, cstring("moved"), 1), 0);
  assertEquals(c.linkat(d, cstring("moved"), root, cstring("again"), 0), 0);
  assertEquals(c.renameat2(root, cstring("again"), d, cstring("moved"), 1), -EEXIST);
  assertEquals(c.unlinkat(d, cstring("moved"), 0), 0);
  assertEquals(c.faccessat(root, cstring("again"), 0, 0), 0);
  assertEquals(c.unlinkat(root, cstring("d"), 0x200), 0);
  assertEquals((await fs.readdir(dir.path)).sort(), ["again", "l"]);
  const statfs = new Uint8Array(120);
  assertEquals(c.fstatfs(root, statfs), 0);
  assertGreater(new DataView(statfs.buffer).getUint32(64, true), 0);
  c.close(d);
  c.close(root);
});

test("libc: modes, owners, times and extended attributes", async () => {
  await using dir = await tempDir();
  await fs.writeFile(dir.join("f"), "");
  const path = cstring(dir.join("f"));
  const fd = c.open(path, O.RDWR | O.CLOEXEC, 0);
  assertEquals(c.chmod(path, 0o640), 0);
  assertEquals(c.fchmod(fd, 0o604), 0);
  assertEquals((await fs.stat(dir.join("f"))).mode & 0o7777, 0o604);
  assertEquals(c.fchownat(fd, cstring(""), 0xffffffff, 0xffffffff, AT_EMPTY_PATH), 0);
  const times = new Uint8Array(new BigInt64Array([-3n, 4n, 2n ** 32n, 0x3ffffffen]).buffer);
  const before = new Stat(), after = new Stat();
  c.statx(fd, cstring(""), AT_EMPTY_PATH, 0xfff, before);
  assertEquals(c.utimensat(AT_FDCWD, path, times, 0), 0);
  c.statx(fd, cstring(""), AT_EMPTY_PATH, 0xfff, after);
  assertEquals([after.atime, after.atimeNsec, after.mtime], [-3, 4, before.mtime]);
  const name = cstring("user.x");
  assertEquals(c.setxattr(path, name, bytes("value"), 1), 0);
  assertEquals(c.setxattr(path, name, bytes("value"), 1), -EEXIST);
  const room = new Uint8Array(100);
  assertEquals(c.getxattr(path, name, room), 5);
  assertEquals(room.subarray(0, 5), bytes("value"));
  assert(new TextDecoder().decode(room.subarray(0, c.listxattr(path, room))).split("\0").includes("user.x"));
  assertEquals(c.removexattr(path, name), 0);
  assertEquals(c.getxattr(path, name, room), -61);
  c.close(fd);
});

test("libc getdents64, lseek: cookies of 64 bits", async () => {
  await using dir = await tempDir();
  for (let i = 0; i < 50; i++) await fs.writeFile(dir.join(`f${i}`), "");
  const fd = c.open(cstring(dir.path), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  const room = new Uint8Array(4096);
  const view = new DataView(room.buffer);
  const names: string[] = [];
  const cookies: bigint[] = [];
  const take = (length: number) => {
    for (let at = 0; at < length; at += view.getUint16(at + 16, true)) {
      names.push(new TextDecoder().decode(room.subarray(at + 19, room.indexOf(0, at + 19))));
      cookies.push(view.getBigInt64(at + 8, true));
    }
  };
  for (let n; (n = c.getdents64(fd, room)) > 0;) take(n);
  assertEquals(new Set(names).size, 52);
  const behind = 30;
  assertGreater(c.lseek(fd, cookies[behind], 0), 0);
  const length = c.getdents64(fd, room);
  const first = names.length;
  take(length);
  assertEquals(names[first], names[behind + 1]);
  c.close(fd);
});

test("libc copyFileRange", async () => {
  await using dir = await tempDir();
  await fs.writeFile(dir.join("a"), "0123456789");
  const a = c.open(cstring(dir.join("a")), O.RDONLY | O.CLOEXEC, 0);
  const b = c.open(cstring(dir.join("b")), O.RDWR | O.CREAT | O.CLOEXEC, 0o600);
  assertEquals(c.copyFileRange(a, 4, b, 2, 2 ** 50, 0), 6);
  assertEquals(c.copyFileRange(a, 0, b, 0, 1, 1), -EINVAL);
  assertEquals(await fs.readFile(dir.join("b"), "utf8"), "\0\x00456789");
  c.close(a);
  c.close(b);
});
