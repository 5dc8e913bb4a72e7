/** Passthrough and file systems that lie on others: as the backing, as the one on top, and one mount on another. */
import { readFile } from "node:fs/promises";
import { assertEquals, assertGreater } from "@std/assert";
import { libc } from "../../ffi/load.ts";
import { mirror } from "../../kit.ts";
import { mount } from "../../mod.ts";
import { FOPEN_PASSTHROUGH } from "../../src/abi/flags.ts";
import { since, startClient, testWith } from "../support/kernel.ts";
import { must, run, startExample, type TempDir, tempDir, until } from "../support/harness.ts";
import { Memfds } from "./memfds.ts";
import { RawServer } from "./raw.ts";

const { O } = libc();
const stacked = (name: string, fn: () => Promise<void>) => testWith(since(40), name, fn);
const DEPTHS = [1, 2] as const;
const ELOOP = "FUSE_DEV_IOC_BACKING_OPEN says ELOOP: the file lies on a stacked file system, of which " +
  "option maxStackDepth: 2 allows one, or in /proc";

/** An overlay over a folder, whose changes go to memory: where it is mounted. */
async function overlay(dir: TempDir, lower: string): Promise<string> {
  await must(`
    cd ${dir.path}; mkdir up merged; mount -t tmpfs none up; mkdir up/upper up/work
    mount -t overlay none -o lowerdir=${lower},upperdir=up/upper,workdir=up/work merged
  `);
  return dir.join("merged");
}

stacked("stacking, the kernel: a file on overlayfs is ELOOP at depth 1 and an id at depth 2", async () => {
  await using dir = await tempDir();
  using files = new Memfds();
  await must(`mkdir ${dir.join("lower")}; echo -n deeper > ${dir.join("lower/a")}`);
  const fd = files.open(`${await overlay(dir, dir.join("lower"))}/a`, O.RDWR);
  for (const maxStackDepth of DEPTHS) {
    await using server = await RawServer.mount({ maxStackDepth });
    server.open = () => ({ flags: FOPEN_PASSTHROUGH, id: 1 });
    assertEquals(server.register(fd), ["ELOOP", 1][maxStackDepth - 1]);
    await using client = await startClient(`say(read("a") if err(opened, "a") == "ok" else "EIO")`, [server.dir.path]);
    assertEquals(await client.rest(), [["EIO", "deeper"][maxStackDepth - 1]]);
  }
});

stacked("stacking, the kernel: overlayfs on top is mounted at depth 1, and EINVAL at depth 2", async () => {
  for (const maxStackDepth of DEPTHS) {
    await using dir = await tempDir();
    await using server = await RawServer.mount({ maxStackDepth });
    await must(`cd ${dir.path}; mkdir up merged; mount -t tmpfs none up; mkdir up/upper up/work`);
    const options = `lowerdir=${server.dir.path},upperdir=up/upper,workdir=up/work`;
    // With mount(2) alone, whose errno it is.
    const script = `
      os.chdir("${dir.path}")
      say(err(call, "mount", b"none", b"merged", b"overlay", 0, b"${options}"))
    `;
    await using client = await startClient(script, [server.dir.path]);
    assertEquals(await client.rest(), [["ok", "EINVAL"][maxStackDepth - 1]]);
  }
});

stacked("stacking: overlayfs on top reads through the kernel, and copies up", async () => {
  await using source = await tempDir();
  await using mnt = await tempDir();
  await using dir = await tempDir();
  await must(`cd ${source.path}; head -c 3000000 /dev/urandom > big; echo small > small; mkdir d; echo deep > d/file`);
  using own = mirror(source.path);
  let moved = 0;
  const fs = {
    ...own,
    read: (...args: Parameters<NonNullable<typeof own.read>>) => (moved++, own.read!(...args)),
    write: (...args: Parameters<NonNullable<typeof own.write>>) => (moved++, own.write!(...args)),
  };
  await using session = await mount(fs, mnt.path, { signals: false });
  const merged = await overlay(dir, mnt.path);
  const said = await must(`
    cd ${merged}; cmp big ${source.join("big")}; cat small d/file
    echo more >> small; cat small; rm d/file; echo new > d/new; ls d
    for i in 1 2 3; do cmp big ${source.join("big")} & done; wait
  `);
  assertEquals(said, "small\ndeep\nsmall\nmore\nnew\n");
  // Below it nothing has changed.
  assertEquals(await must(`cd ${source.path}; cat small d/file; ls d`), "small\ndeep\nfile\n");
  await must(`umount ${merged}`);
  await until(() => session.passthrough.stats().open === 0, "every id is closed");
  const { registered, fallbacks } = session.passthrough.stats();
  assertGreater(registered, 2);
  assertEquals([moved, fallbacks], [0, {}]);
});

stacked("stacking: with depth 2 overlayfs cannot be mounted on top, and its files are backing files", async () => {
  await using layers = await tempDir();
  await using mnt = await tempDir();
  await using dir = await tempDir();
  await must(`mkdir ${layers.join("lower")}; echo deep > ${layers.join("lower/a")}`);
  using fs = mirror(await overlay(layers, layers.join("lower")));
  await using session = await mount(fs, mnt.path, { signals: false, maxStackDepth: 2 });
  assertEquals(await must(`cat ${mnt.join("a")}; echo more >> ${mnt.join("a")}`), "deep\n");
  assertEquals(await readFile(layers.join("merged/a"), "utf8"), "deep\nmore\n");
  await must(`cd ${dir.path}; mkdir up merged; mount -t tmpfs none up; mkdir up/upper up/work`);
  const on = ["mount", "-t", "overlay", "none", "-o", `lowerdir=${mnt.path},upperdir=up/upper,workdir=up/work`];
  assertGreater((await run([...on, "merged"], { cwd: dir.path })).code, 0);
  assertEquals(session.passthrough.stats().fallbacks, {});
});

stacked("stacking: a mount on another is served by the session at depth 1, and by the kernel at depth 2", async () => {
  await using source = await tempDir();
  await using below = await tempDir();
  await must(`head -c 1000000 /dev/urandom > ${source.join("a")}`);
  // In another process: a server does not open files of its own mounts.
  await using _server = await startExample("passthrough", [source.path, below.path]);
  for (const maxStackDepth of DEPTHS) {
    await using mnt = await tempDir();
    using fs = mirror(below.path);
    await using session = await mount(fs, mnt.path, { signals: false, maxStackDepth });
    await must(`
      cmp ${mnt.join("a")} ${source.join("a")}
      echo ${maxStackDepth} > ${mnt.join("b")}; cmp ${mnt.join("b")} ${source.join("b")}
      echo more >> ${mnt.join("a")}; cmp ${mnt.join("a")} ${source.join("a")}
    `);
    const { registered, fallbacks, reasons } = session.passthrough.stats();
    if (maxStackDepth === 2) assertEquals([registered > 3, fallbacks], [true, {}]);
    else assertEquals([registered, Object.keys(fallbacks), Object.keys(reasons)], [0, ["ELOOP"], [ELOOP]]);
    await until(() => session.passthrough.stats().open === 0, "every id is closed");
  }
});
