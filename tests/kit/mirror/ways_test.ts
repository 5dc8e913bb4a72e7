/** Known files and folders stay in reach, whatever others do to their names in the source. */
import { assertEquals, assertGreater } from "@std/assert";
import { link, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { libc } from "../../../ffi/load.ts";
import { ROOT_ID } from "../../../src/fs/types.ts";
import { code } from "../../support/errno.ts";
import { openFds, test } from "../../support/harness.ts";
import { Source, USER, withoutHandles } from "./source.ts";

// Opened here, since it stays open.
libc();

test("mirror: a file that loses its last seen name in the source is found by one that it had", async () => {
  await using s = await Source.make();
  await mkdir(s.join("d"));
  await writeFile(s.join("f"), "content");
  const nodeid = s.id("f");
  for (const name of ["g", "h"]) await link(s.join("f"), s.join("d", name));
  assertEquals([s.id("d/g"), s.id("d/h"), s.id("f")], [nodeid, nodeid, nodeid]);
  await rm(s.join("f"));
  assertEquals(s.stat(nodeid).nlink, 2);
  await rm(s.join("d/h"));
  assertEquals(s.stat(nodeid).nlink, 1);
  const fh = s.open(nodeid, s.O.RDONLY);
  assertEquals(s.read(fh), "content");
  s.release(fh);
});

test("mirror: names that the kernel gave and took are the ways to a file", async () => {
  await using s = await Source.make({ maxDescriptors: 16 });
  const { entry: { nodeid }, fh } = s.create("f");
  s.release(fh!);
  for (const name of ["g", "h", "i"]) s.link(nodeid, name);
  s.unlink("i");
  for (let i = 0; i < 64; i++) s.mkdir(`d${i}`);
  assertEquals(s.stat(nodeid).nlink, 3);
  // That name is another file's by now.
  await rm(s.join("h"));
  await writeFile(s.join("h"), "other");
  await rm(s.join("f"));
  assertEquals([s.stat(nodeid).nlink, s.stat(nodeid).size], [1, 0]);
});

test(
  "mirror: a folder stays in reach without a descriptor, though others rename the way to it",
  { needs: ["root"] },
  async () => {
    await using s = await Source.make({ maxDescriptors: 16 });
    await mkdir(s.join("a/b/c"), { recursive: true });
    await writeFile(s.join("a/b/c/f"), "content");
    const folders = [s.id("a"), s.id("a/b"), s.id("a/b/c")];
    for (let i = 0; i < 64; i++) {
      await mkdir(s.join(`d${i}`));
      s.id(`d${i}`);
    }
    await rename(s.join("a/b"), s.join("x"));
    await rename(s.join("a"), s.join("y"));
    const [, , c] = folders;
    const fh = s.open(s.id("f", c), s.O.RDONLY);
    assertEquals(s.read(fh), "content");
    s.release(fh);
    assertEquals(s.names(c), [".", "..", "f"]);
    for (const nodeid of folders) assertGreater(s.stat(nodeid).nlink, 1);
    await rm(s.join("x"), { recursive: true });
    s.id("d1");
    for (let i = 0; i < 64; i++) s.id(`d${i}`);
    assertEquals(code(() => s.id("f", c)), "ESTALE");
  },
);

test("mirror permissions: own: who lets a folder's descriptor be closed need not be root", {
  needs: ["root"],
}, async () => {
  await using s = await Source.make({ maxDescriptors: 16, permissions: "own" });
  for (let i = 0; i < 32; i++) await mkdir(s.join(`d${i}`));
  const first = s.id("d0");
  for (let i = 1; i < 32; i++) s.fs.lookup({ parent: ROOT_ID, name: `d${i}` }, USER);
  await rename(s.join("d0"), s.join("moved"));
  assertEquals(s.stat(first).nlink, 2);
});

test("mirror open: the right file is opened once descriptors are lacking", { needs: ["root"] }, async () => {
  await using s = await Source.make({ maxDescriptors: 32 });
  await writeFile(s.join("f"), "content");
  const nodeid = s.id("f");
  for (let i = 0; i < 24; i++) s.mkdir(`d${i}`);
  const c = libc(), { openat } = c;
  let refused = 0;
  c.openat = (...args) => (args[2] & s.O.PATH) === 0 && refused++ === 0 ? -24 : openat.apply(c, args);
  try {
    const fh = s.open(nodeid, s.O.RDONLY);
    assertEquals([s.read(fh), refused], ["content", 2]);
  } finally {
    c.openat = openat;
  }
});

test("mirror: that descriptors are lacking says nothing of handles", { needs: ["root"] }, async () => {
  await using s = await Source.make({ maxDescriptors: 16 });
  for (let i = 0; i < 64; i++) await mkdir(s.join(`d${i}`));
  const first = s.id("d0");
  const [EMFILE, ENFILE] = [24, 23];
  for (const errno of [EMFILE, ENFILE]) {
    using _without = withoutHandles(errno);
    for (let i = 1; i < 32; i++) s.id(`d${i}`);
  }
  const second = s.id("d32");
  for (let i = 33; i < 64; i++) s.id(`d${i}`);
  for (const [name, nodeid] of [["d0", first], ["d32", second]] as const) {
    await rename(s.join(name), s.join(`moved-${name}`));
    {
      using _without = withoutHandles(EMFILE);
      assertEquals(code(() => s.stat(nodeid)), "EMFILE");
    }
    assertEquals(s.stat(nodeid).nlink, 2);
  }
});

test(
  "mirror: folders that others moved into each other are found by their handles, once",
  { needs: ["root"] },
  async () => {
    await using s = await Source.make({ maxDescriptors: 16 });
    const a = s.mkdir("a").nodeid;
    const b = s.mkdir("b", { parent: a }).nodeid;
    const before = (await openFds()).size - s.mirror.counts().descriptors;
    // Of b only its name in a is known, and of a that in b.
    await rename(s.join("a/b"), s.join("b"));
    await rename(s.join("a"), s.join("b/a"));
    assertEquals(s.id("a", b), a);
    for (let i = 0; i < 40; i++) s.mkdir(`other${i}`);
    assertEquals([s.stat(b).nlink, s.stat(a).nlink], [3, 2]);
    assertEquals((await openFds()).size, before + s.mirror.counts().descriptors);
  },
);

test("mirror: a file whose last seen folder is gone is found by a name in another", async () => {
  using _ = withoutHandles();
  await using s = await Source.make({ maxDescriptors: 16 });
  for (const name of ["d", "e"]) await mkdir(s.join(name));
  await writeFile(s.join("d/f"), "");
  await link(s.join("d/f"), s.join("e/f"));
  const nodeid = s.id("d/f");
  assertEquals(s.id("e/f"), nodeid);
  for (let i = 0; i < 40; i++) s.mkdir(`other${i}`);
  await rm(s.join("e"), { recursive: true });
  assertEquals(s.stat(nodeid).nlink, 1);
});
