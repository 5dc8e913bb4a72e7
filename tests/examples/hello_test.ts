/** `examples/hello.ts` as a user meets it. */
import { assertEquals, assertMatch } from "@std/assert";
import fs from "node:fs/promises";
import { env, mountsUnder, run, type Running, startExample, tempDir, test } from "../support/harness.ts";

const options = { needs: ["root", "fuse"] as const, sanitize: false };

/** A line of shell in the mount: its status and what it said. */
async function inHello(work: (sh: (line: string) => Promise<[number, string]>, hello: Running) => Promise<void>) {
  await using dir = await tempDir();
  await using hello = await startExample("hello", [dir.path]);
  await work(async (line) => {
    const { code, stdout, stderr } = await run(["bash", "-c", line], { cwd: dir.path, env });
    return [code, (stdout + stderr).replaceAll(dir.path, "DIR")];
  }, hello);
  assertEquals(await hello.stop("SIGINT"), { code: 0, signal: null });
  assertEquals(hello.output, `mounted on ${dir.path}\n`);
  assertEquals(await mountsUnder(dir.path), []);
  assertEquals(await fs.readdir(dir.path), []);
}

test("hello: the file is read, whole and in parts, mapped and copied", options, async () => {
  await inHello(async (sh) => {
    const line = "Hello, world!\n";
    assertEquals(await sh("cat hello"), [0, line]);
    assertEquals(await sh("cat hello hello - < hello"), [0, line.repeat(3)]);
    assertEquals(
      await sh("tail -c 7 hello; head -c 5 hello; dd if=hello bs=1 skip=7 count=5 status=none; wc -c < hello"),
      [
        0,
        "world!\nHelloworld14\n",
      ],
    );
    assertEquals(await sh("grep -c world *; od -An -c -j12 hello; sha256sum < hello"), [
      0,
      "1\n   !  \\n\nd9014c4624844aa5bac314773d6b689ad467fa4e1d1a50a1b8a99d5a95f72ff5  -\n",
    ]);
    assertEquals(
      await sh("out=$(mktemp -d); cp -a hello $out/ && cmp hello $out/hello && stat -c '%a %s' $out/hello; rm -r $out"),
      [
        0,
        "444 14\n",
      ],
    );
    assertEquals(await sh("tar -c . | tar -tv | sed 's/ [^ ]* [^ ]* / /2' | awk '{ print $1, $NF }'"), [
      0,
      "drwxr-xr-x ./\n-r--r--r-- ./hello\n",
    ]);
    assertEquals(await sh("tar -c hello | tar -xO"), [0, line]);
    assertEquals(await sh("for i in 1 2 3 4 5 6 7 8; do cat hello & done; wait"), [0, line.repeat(8)]);
  });
});

test("hello: ls, stat, find and df tell what is there", options, async () => {
  await inHello(async (sh) => {
    assertEquals(await sh("ls"), [0, "hello\n"]);
    assertMatch(
      (await sh("ls -la"))[1],
      /^total \d+\ndrwxr-xr-x +2 root root .*\.\ndr.* \.\.\n-r--r--r-- +1 root root +14 .* hello\n$/,
    );
    assertEquals(await sh("stat -c '%n %F %a %s %h %u %g' . hello"), [
      0,
      ". directory 755 0 2 0 0\nhello regular file 444 14 1 0 0\n",
    ]);
    assertEquals(await sh("find . -printf '%y %p\\n'"), [0, "d .\nf ./hello\n"]);
    assertEquals(await sh("df . | tail -1 | awk '{ print $1, $2, $NF }'; stat -f -c %l ."), [
      0,
      "fusewire 0 DIR\n255\n",
    ]);
    assertMatch((await sh("grep ' '$PWD' ' /proc/mounts"))[1], /^fusewire DIR fuse.fusewire ro,nosuid,nodev,/);
    assertEquals(await sh("test -r hello && test ! -d hello && test -d . && echo yes"), [0, "yes\n"]);
  });
});

test("hello: nothing can be changed, and nothing else is there", options, async () => {
  await inHello(async (sh) => {
    const readOnly = [
      "echo > hello",
      "echo >> hello",
      "touch hello",
      "touch new",
      "mkdir d",
      "rm -f hello",
      "mv hello h",
    ];
    for (const line of [...readOnly, "ln -s x l", "ln hello l", "chmod 600 hello", "setfattr -n user.x -v y hello"]) {
      const [code, said] = await sh(line);
      assertEquals(code, 1, line);
      assertMatch(said, /: Read-only file system\n$/, line);
    }
    const missing = ["cat none", "ls -d none", "stat none", "cat none/hello"];
    for (const line of missing) assertMatch((await sh(line)).join(" "), /^[12] .*: No such file or directory\n$/, line);
    assertMatch((await sh("cat hello/x")).join(" "), /: Not a directory\n$/);
    assertMatch((await sh("cat .")).join(" "), /: Is a directory\n$/);
    assertEquals(await sh("cat hello"), [0, "Hello, world!\n"]);
  });
});
