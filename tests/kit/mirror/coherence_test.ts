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
import { command, run, startReady, tempDir, test } from "../../support/harness.ts";

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
  await using _server = await startReady(command("../../posix/serve.ts", import.meta.url, ...words));
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

  test(
    `mirror, ${how}: two processes append at the same time, one on each side, and lose nothing`,
    { needs },
    async () => {
      await mounted({ passthrough }, async (source, mnt) => {
        // 64 bytes a line: a write across the end of a page may come from the kernel in two parts.
        const line = (who: string, i: number) => `${who} ${`${i}`.padEnd(61, who)}`;
        await writeFile(source("log"), "");
        const script = `
        mapfile -t lines; exec 3>> "$1"
        : > "$2"; while [ ! -e "$3" ]; do :; done
        for line in "\${lines[@]}"; do echo "$line" >&3; done
      `;
        const append = (who: string, log: string, other: string) =>
          run(["bash", "-euc", script, "bash", log, source(`../${who}`), source(`../${other}`)], {
            input: Array.from({ length: 500 }, (_, i) => `${line(who, i)}\n`).join(""),
          });
        const done = await Promise.all([append("a", source("log"), "b"), append("b", mnt("log"), "a")]);
        assertEquals(done.map(({ code, stderr }) => [code, stderr]), [[0, ""], [0, ""]]);
        const text = await readFile(mnt("log"), "utf8");
        assertEquals(await readFile(source("log"), "utf8"), text);
        const lines = text.split("\n");
        assertEquals(lines.length, 1001);
        for (const who of ["a", "b"]) {
          assertEquals(
            lines.filter((each) => each.startsWith(who)),
            Array.from({ length: 500 }, (_, i) => line(who, i)),
          );
        }
      });
    },
  );

  test(`mirror, ${how}: the kernel may forget everything: open files, folders and paths go on`, { needs }, async () => {
    await mounted({ passthrough }, async (source, mnt) => {
      const script = `
        cd "$1"; for d in {1..20}; do mkdir d$d; for f in {1..50}; do echo $d $f > d$d/f$f; done; done; echo unlinked > gone
        cd "$2"; exec 3<> d3/f3 4< gone 5< d4; rm gone
        told() { find "$2" -printf '%i %m %s %P\\n' | sort; }
        told "$@" > "$3"
        (for turn in {1..5}; do told "$@" | cmp - "$3"; done) & walker=$!
        cd d5
        for turn in {1..20}; do
          mount -i -o remount "$2"
          cat f7; ls /proc/self/fd/5/ | wc -l
        done | sort | uniq -c
        wait $walker
        cat <&3; echo more >&3; cat <&4; cat ../d3/f3 "$1/d3/f3"; stat -L -c '%h %s' /proc/self/fd/4
      `;
      const { code, stdout, stderr } = await run([
        "bash",
        "-euo",
        "pipefail",
        "-c",
        script,
        "bash",
        source("."),
        mnt("."),
        source("../told"),
      ]);
      assertEquals([code, stderr], [0, ""]);
      const held = "3 3\nunlinked\n3 3\nmore\n3 3\nmore\n0 9\n";
      assertEquals(stdout.replace(/^ +/gm, ""), `20 5 7\n20 50\n${held}`);
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
