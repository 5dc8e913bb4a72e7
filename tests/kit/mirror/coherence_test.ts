/** A mounted mirror whose source others change. */
import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import {
  appendFile,
  chmod,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from "node:fs/promises";
import type { MirrorOptions } from "../../../src/kit/mirror.ts";
import { command, run, startServer, tempDir, test } from "../../support/harness.ts";

/** A source and a mount of its mirror, for the time of a call. */
async function mounted(
  options: MirrorOptions,
  body: (source: (name: string) => string, mnt: (name: string) => string) => Promise<void>,
): Promise<void> {
  await using dir = await tempDir();
  await mkdir(dir.join("source"));
  await mkdir(dir.join("mnt"));
  const mounting = JSON.stringify({ defaultPermissions: true });
  const words = [dir.join("mnt"), `mirror:${dir.join("source")}`, JSON.stringify(options), mounting];
  await using _server = await startServer(command("../../posix/serve.ts", import.meta.url, ...words));
  await body((name) => dir.join("source", name), (name) => dir.join("mnt", name));
}

for (const passthrough of [true, false]) {
  const how = passthrough ? "with passthrough" : "through the session";
  const needs = ["root", "fuse"] as const;

  test(`mirror, ${how}: what others do to files is seen at once`, { needs }, async () => {
    await mounted({ passthrough }, async (source, mnt) => {
      await writeFile(source("f"), "one");
      assertEquals(await readFile(mnt("f"), "utf8"), "one");
      await appendFile(source("f"), " two");
      assertEquals(await readFile(mnt("f"), "utf8"), "one two");
      // As long as before.
      await writeFile(source("f"), "ONE two");
      assertEquals(await readFile(mnt("f"), "utf8"), "ONE two");
      await utimes(source("f"), 1, 2);
      await chmod(source("f"), 0o600);
      const { mtimeMs, mode, ino } = await stat(mnt("f"));
      assertEquals([mtimeMs, mode & 0o777], [2000, 0o600]);

      await using file = await open(mnt("f"), "r");
      await writeFile(source("g"), "another");
      await rename(source("g"), source("f"));
      assertEquals(await readFile(mnt("f"), "utf8"), "another");
      assertNotEquals((await stat(mnt("f"))).ino, ino);
      // What was opened stays what it was.
      assertEquals([await file.readFile("utf8"), (await file.stat()).ino], ["ONE two", ino]);

      await rm(source("f"));
      await assertRejects(() => stat(mnt("f")));
      await mkdir(source("f"));
      await writeFile(source("f/inside"), "");
      assertEquals(await readdir(mnt("f")), ["inside"]);
    });
  });

  test(`mirror, ${how}: two writers of one file, on both sides`, { needs }, async () => {
    await mounted({ passthrough }, async (source, mnt) => {
      await writeFile(mnt("f"), "0123456789");
      await using here = await open(mnt("f"), "r+");
      await using there = await open(source("f"), "r+");
      await here.write("aa", 0);
      await there.write("bb", 4);
      assertEquals(await readFile(source("f"), "utf8"), "aa23bb6789");
      assertEquals(await readFile(mnt("f"), "utf8"), "aa23bb6789");
      await there.truncate(3);
      assertEquals((await here.stat()).size, 3);
      await here.truncate(1);
      assertEquals(await readFile(source("f"), "utf8"), "a");
    });
  });

  test(`mirror, ${how}: a mount in the source, and its end`, { needs }, async () => {
    await mounted({ passthrough }, async (source, mnt) => {
      await mkdir(source("m"));
      await writeFile(source("f"), "outside");
      await writeFile(source("m/under"), "under");
      const before = await stat(mnt("m"));
      assertEquals((await run(["mount", "-t", "tmpfs", "none", source("m")])).code, 0);
      await writeFile(mnt("m/f"), "inside");
      assertEquals(await readFile(source("m/f"), "utf8"), "inside");
      const inside = await stat(mnt("m"));
      assertEquals(inside.dev, before.dev);
      assertNotEquals(inside.ino, before.ino);
      for (const [from, to] of [["f", "m/g"], ["m/f", "g"]]) {
        for (const call of [rename, link]) {
          const { code } = await assertRejects(() => call(mnt(from), mnt(to))) as Error & { code?: string };
          assertEquals(code, "EXDEV");
        }
      }
      // The mirror may still know what is there.
      assertEquals((await run(["umount", "-l", source("m")])).code, 0);
      assertEquals(await readdir(mnt("m")), ["under"]);
      assertEquals((await stat(mnt("m"))).ino, before.ino);
    });
  });
}

test(
  "mirror: with timeouts the kernel keeps what it was told",
  { needs: ["root", "fuse"] },
  async () => {
    const ever = 1e6;
    await mounted(
      { entryTimeout: ever, attrTimeout: ever, negativeTimeout: ever, passthrough: false },
      async (source, mnt) => {
        await writeFile(source("f"), "one");
        assertEquals((await stat(mnt("f"))).size, 3);
        await assertRejects(() => stat(mnt("g")));
        await appendFile(source("f"), " two");
        await writeFile(source("g"), "");
        assertEquals((await stat(mnt("f"))).size, 3);
        await assertRejects(() => stat(mnt("g")));
      },
    );
  },
);
