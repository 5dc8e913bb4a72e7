/** `examples/memory.ts` as a user meets it. */
import { assertEquals, assertMatch } from "@std/assert";
import process from "node:process";
import { command, env, mountsUnder, run, startExample, tempDir, test, until } from "../support/harness.ts";
import { PROGRAMS, work } from "./driver.ts";

const options = { needs: ["root", "fuse"] as const, sanitize: false };
const users = [...options.needs, "tool:useradd", "tool:userdel", "tool:runuser"] as const;

test("memory: what people do with it, and that they leave nothing", {
  needs: PROGRAMS,
  sanitize: false,
}, async () => {
  await using dir = await tempDir();
  await using outside = await tempDir();
  await using memory = await startExample("memory", [dir.path, "--allow-other"]);
  const used = async () => (await run(["df", "--output=used,iused", dir.path])).stdout;
  const before = await used();
  await work(dir.path, outside.path);
  // The last FORGET comes in its own time.
  await until(async () => await used() === before, "as much is free as before");
  assertEquals(await memory.stop(), { code: 0, signal: null });
  assertEquals(memory.output, `mounted on ${dir.path}\n`);
});

test("memory: full, it says ENOSPC and goes on; unmounted, all is gone", options, async () => {
  await using dir = await tempDir();
  {
    await using memory = await startExample("memory", [dir.path]);
    const { stdout, stderr } = await run([
      "bash",
      "-c",
      "fallocate -l 2G f; echo small > g; cat g; df --output=size -h . | tail -1",
    ], {
      cwd: dir.path,
      env,
    });
    assertEquals([stdout, stderr], ["small\n 1.0G\n", "fallocate: fallocate failed: No space left on device\n"]);
    assertEquals(await memory.stop("SIGINT"), { code: 0, signal: null });
  }
  assertEquals(await mountsUnder(dir.path), []);
  await using _again = await startExample("memory", [dir.path]);
  assertEquals((await run(["ls", "-A", dir.path])).stdout, "");
});

test(
  "memory: two users with --allow-other are kept apart by owners and modes",
  { ...options, needs: users },
  async () => {
    const [ann, ben] = ["ann", "ben"].map((name) => `fusewire-${name}-${process.pid}`);
    await using dir = await tempDir();
    try {
      for (const user of [ann, ben]) {
        const made = await run(["useradd", "--system", "--no-create-home", "--user-group", "--shell", "/bin/sh", user]);
        assertEquals(made.code, 0, made.stderr);
      }
      const by = async (user: string, line: string) => {
        const { stdout, stderr } = await run(["runuser", "-u", user, "--", "sh", "-c", `cd ${dir.path}; ${line}`], {
          env,
        });
        return stdout + stderr;
      };
      await using memory = await startExample("memory", [dir.path, "--allow-other"]);
      assertEquals(
        await by(ann, "umask 022; echo secret > a; chmod 600 a; echo all > b; mkdir d; stat -c '%U %G %a' a d"),
        `${ann} ${ann} 600\n${ann} ${ann} 755\n`,
      );
      for (const line of ["cat a", "echo x >> a", "echo x >> b", "touch d/x", "cp a c", "truncate -s 0 b"]) {
        assertMatch(await by(ben, line), /Permission denied\n$/, line);
      }
      // The root of the mount is as /tmp is: everybody may make files, and remove their own.
      for (const line of ["rm -f a", "mv b c", "chmod 666 a", "chown $(id -un) a"]) {
        assertMatch(await by(ben, line), /Operation not permitted\n$/, line);
      }
      assertEquals(await by(ben, "cat b; ls; echo mine > m; rm m"), "all\na\nb\nd\n");
      assertEquals(await by(ann, "cat a b; rm -r a b d; ls"), "secret\nall\n");
      assertEquals(await memory.stop(), { code: 0, signal: null });
    } finally {
      for (const user of [ann, ben]) await run(["userdel", user]);
    }
  },
);

test(
  "memory: without --allow-other nobody else gets in",
  { ...options, needs: [...options.needs, "tool:setpriv"] },
  async () => {
    await using dir = await tempDir();
    await using _memory = await startExample("memory", [dir.path]);
    const stranger = ["setpriv", "--reuid=23456", "--regid=23456", "--clear-groups"];
    for (const command of [["ls", dir.path], ["stat", `${dir.path}/f`], ["touch", dir.path]]) {
      const { code, stdout, stderr } = await run([...stranger, ...command], { env });
      assertEquals([code > 0, stdout], [true, ""]);
      assertMatch(stderr, /Permission denied\n$/);
    }
    assertEquals((await run(["ls", dir.path])).code, 0);
  },
);

test("memory: --max-bytes and --max-inodes are what it holds, also where they are 0", options, async () => {
  await using dir = await tempDir();
  {
    await using _memory = await startExample("memory", [dir.path, "--max-bytes=0", "--max-inodes=2"]);
    const script = "echo x > a; touch b; stat -c %s a; df --output=size,itotal . | tail -1";
    const { stdout, stderr } = await run(["bash", "-c", script], { cwd: dir.path, env });
    assertMatch(stdout, /^0\n +0 +2\n$/);
    assertMatch(stderr, /write error: No space left on device\n.*'b': No space left on device\n$/);
  }
  const { code, stderr } = await run(command("../../examples/memory.ts", import.meta.url, dir.path, "--max-inodes=0"));
  assertEquals(code, 1);
  assertMatch(stderr, /^cannot make a file system in memory: maxInodes is 0, .*\n$/);
});
