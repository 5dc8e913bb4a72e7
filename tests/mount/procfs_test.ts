import { assertEquals, assertThrows } from "@std/assert";
import fs from "node:fs/promises";
import process from "node:process";
import { libc } from "../../ffi/load.ts";
import { FuseError } from "../../src/errno.ts";
import { mayMount, pathOf, readProc } from "../../src/mount/procfs.ts";
import { Random } from "../support/random.ts";
import { tempDir, test } from "../support/harness.ts";

const c = libc();

test("readProc: all of a file, however long", async () => {
  await using dir = await tempDir();
  const random = new Random(1);
  for (const length of [0, 1, 0x4000 - 1, 0x4000, 0x4001, 100_000]) {
    const bytes = random.bytes(length);
    await fs.writeFile(dir.join("file"), bytes);
    assertEquals(readProc(c, `root${dir.path}/file`), bytes);
  }
});

test("readProc: what cannot be read is an error that says so", () => {
  const words = "cannot read /proc/self/nothing: the kernel says ENOENT; mount procfs at /proc";
  assertEquals(assertThrows(() => readProc(c, "nothing"), FuseError, words).code, "ENOENT");
});

test("pathOf: where a link leads, or -errno", () => {
  assertEquals(pathOf(c, "cwd"), process.cwd());
  assertEquals(pathOf(c, "fd/9999"), -2);
});

test("mayMount: root with CAP_SYS_ADMIN may", { needs: ["root"] }, () => {
  assertEquals(mayMount(c), true);
});
