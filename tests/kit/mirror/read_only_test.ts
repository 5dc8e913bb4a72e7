import { assertEquals } from "@std/assert";
import { mkdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { libc } from "../../../ffi/load.ts";
import { ROOT_ID } from "../../../src/fs/types.ts";
import { code } from "../../support/errno.ts";
import { run, test } from "../../support/harness.ts";
import { bytes, FIFO, ROOT, SELF, Source } from "./source.ts";

// Opened here, since it stays open.
const c = libc();

const FS_IOC_GETFLAGS = 0x80086601, FS_IOC_SETFLAGS = 0x40086602;

test("mirror readOnly: what would change the source is EROFS, and it stays as it was", async () => {
  await using s = await Source.make({ readOnly: true });
  await writeFile(s.join("f"), "content");
  await mkdir(s.join("d"));
  const before = await stat(s.path);
  const { O, fs } = s;
  const nodeid = s.id("f");
  const fh = s.open(nodeid, O.RDONLY);
  const at = { nodeid, fh, offset: 0 };
  const name = "user.a", value = new Uint8Array(1);
  const changes: Record<string, () => unknown> = {
    setattr: () => s.set(nodeid, { mode: 0o100600 }),
    truncate: () => s.set(nodeid, { size: 0 }),
    mknod: () => s.mknod("p", FIFO | 0o600),
    mkdir: () => s.mkdir("n"),
    symlink: () => fs.symlink({ parent: ROOT_ID, name: "l", target: "t" }, SELF),
    link: () => s.link(nodeid, "l"),
    unlink: () => s.unlink("f"),
    rmdir: () => s.rmdir("d"),
    rename: () => s.rename("f", "g"),
    create: () => s.create("n"),
    tmpfile: () => fs.tmpfile({ parent: ROOT_ID, flags: O.RDWR, mode: 0o100600, umask: 0 }, SELF),
    write: () => s.write(fh, "x"),
    fallocate: () => fs.fallocate({ ...at, length: 10, mode: 0 }, SELF),
    copyFileRange: () =>
      fs.copyFileRange({ ...at, newNodeid: nodeid, newFh: fh, newOffset: 9, length: 1, flags: 0 }, SELF),
    setxattr: () => fs.setxattr({ nodeid, name, value, flags: 0 }, SELF),
    removexattr: () => fs.removexattr({ nodeid, name }, SELF),
    "open to write": () => s.open(nodeid, O.WRONLY),
    "open to read and write": () => s.open(nodeid, O.RDWR),
    "open to truncate": () => s.open(nodeid, O.RDONLY | O.TRUNC),
    access: () => fs.access({ nodeid, mask: 2 }, SELF),
    ioctl: () =>
      fs.ioctl({
        ...at,
        cmd: FS_IOC_SETFLAGS,
        arg: 0n,
        data: bytes("\0\0\0\0"),
        outSize: 0,
        directory: false,
        unrestricted: false,
        compat: false,
      }, SELF),
  };
  for (const [what, change] of Object.entries(changes)) assertEquals([what, code(change)], [what, "EROFS"]);
  assertEquals(await readFile(s.join("f"), "utf8"), "content");
  assertEquals((await stat(s.path)).mtimeMs, before.mtimeMs);
  s.release(fh);
});

test(
  "mirror readOnly access: fifos, sockets and devices are written to all the same",
  { needs: ["root"] },
  async () => {
    await using s = await Source.make({ readOnly: true, permissions: "own" });
    await run("mkfifo p; mknod c c 1 3; touch f; mkdir d; ln -s f l", { cwd: s.path });
    const may = (mask: number) =>
      [..."pcfdl"].map((name) => code(() => s.fs.access({ nodeid: s.id(name), mask }, ROOT)));
    assertEquals(may(2), ["ok", "ok", "EROFS", "EROFS", "EROFS"]);
    assertEquals(may(4), Array(5).fill("ok"));
  },
);

test("mirror readOnly: all else works", async () => {
  await using s = await Source.make({ readOnly: true });
  await writeFile(s.join("f"), "content");
  const nodeid = s.id("f");
  const fh = s.open(nodeid, s.O.RDONLY);
  assertEquals(s.read(fh), "content");
  assertEquals(s.names(), [".", "..", "f"]);
  s.fs.access({ nodeid, mask: 4 }, SELF);
  const flags = {
    nodeid,
    fh,
    cmd: FS_IOC_GETFLAGS,
    arg: 0n,
    data: new Uint8Array(0),
    outSize: 4,
    directory: false,
    unrestricted: false,
    compat: false,
  };
  assertEquals(["ok", "ENOTTY", "EOPNOTSUPP"].includes(code(() => s.fs.ioctl(flags, SELF))), true);
  s.release(fh);
});

test("mirror readOnly: files and folders of the source keep their times of access", async () => {
  await using s = await Source.make({ readOnly: true });
  await mkdir(s.join("d"));
  await writeFile(s.join("f"), "content");
  const names = ["d", "f"];
  // Before the last change, so that mounts with `relatime` would move it too.
  for (const name of names) await utimes(s.join(name), 1000, new Date());
  const fh = s.open(s.id("f"), s.O.RDONLY);
  assertEquals(s.read(fh), "content");
  s.release(fh);
  assertEquals(s.names(s.id("d")), [".", ".."]);
  for (const name of names) assertEquals([name, (await stat(s.join(name))).atimeMs], [name, 1_000_000]);
});

test("mirror readOnly: what is not the server's own is read all the same", async () => {
  await using s = await Source.make({ readOnly: true });
  await mkdir(s.join("d"));
  await writeFile(s.join("f"), "content");
  const { openat } = c;
  let refused = 0;
  c.openat = (dirfd, path, flags, mode) => {
    if (!(flags & c.O.NOATIME)) return openat.call(c, dirfd, path, flags, mode);
    refused++;
    return -1;
  };
  try {
    const fh = s.open(s.id("f"), s.O.RDONLY);
    assertEquals([s.read(fh), s.names(s.id("d")), refused], ["content", [".", ".."], 2]);
    s.release(fh);
  } finally {
    c.openat = openat;
  }
});
