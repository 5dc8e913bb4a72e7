/** `examples/staged.ts` as a user meets it. */
import { assertEquals } from "@std/assert";
import { command, mountsUnder, run, startExample, tempDir, test, until } from "../support/harness.ts";

const options = { needs: ["root", "fuse", "tool:python3"] as const, sanitize: false };

test("staged: each close of what was written is one version, and says so", options, async () => {
  await using dir = await tempDir();
  await using staged = await startExample("staged", [dir.path]);
  const sh = async (line: string) => {
    const { stdout, stderr } = await run(line, { cwd: dir.path, env: { LC_ALL: "C" } });
    return stdout + stderr;
  };
  assertEquals(await sh("echo hello > notes.txt; cat notes.txt; stat -c '%s %a %h' notes.txt"), "hello\n6 644 1\n");
  assertEquals(await sh("(echo two; true; echo more) >> notes.txt; cat notes.txt | tail -2"), "two\nmore\n");
  assertEquals(await sh("truncate -s 5 notes.txt; cat notes.txt; wc -c < notes.txt"), "hello5\n");
  assertEquals(
    await sh(": > empty; ls; rm empty; mv notes.txt n; mv none x; ls"),
    [
      "empty",
      "notes.txt",
      "n",
      "mv: cannot stat 'none': No such file or directory\n",
    ].join("\n"),
  );
  assertEquals(await sh("cp n copy && cmp n copy && echo 12345678 > n && mv n copy && cat copy"), "12345678\n");
  // What is removed while it is written is nobody's object.
  assertEquals(await sh("(rm gone; echo x) > gone; ls"), "copy\n");
  assertEquals(
    await sh("sed -i s/5678/abcd/ copy && cat copy && head -c 3000000 /dev/zero > big && du -b big"),
    [
      "1234abcd",
      "3000000\tbig\n",
    ].join("\n"),
  );
  assertEquals(await staged.stop("SIGINT"), { code: 0, signal: null });
  assertEquals(await mountsUnder(dir.path), []);
  const [mounted, ...said] = staged.output.trimEnd().split("\n");
  assertEquals(mounted, `mounted on ${dir.path}`);
  assertEquals(said.map((line) => line.replace(/ sed\w+/, " sed")), [
    "committed notes.txt, 6 bytes, version 1",
    "committed notes.txt, 15 bytes, version 2",
    "committed notes.txt, 5 bytes, version 3",
    "committed empty, 0 bytes, version 1",
    "committed copy, 5 bytes, version 1",
    "committed n, 9 bytes, version 4",
    "committed sed, 9 bytes, version 1",
    "committed big, 3000000 bytes, version 1",
  ]);
});

test("staged: a version that is too large is close's error, and the last one stays", options, async () => {
  await using dir = await tempDir();
  await using staged = await startExample("staged", [dir.path, "--max-bytes=10"]);
  const script = `
import errno, os, sys
def put(data):
    fd = os.open(sys.argv[1] + "/a", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(fd, data)
    try: os.close(fd)
    except OSError as e: return errno.errorcode[e.errno]
print(put(b"small"), put(b"far too large"), open(sys.argv[1] + "/a").read())
`;
  assertEquals((await run(["python3", "-c", script, dir.path])).stdout, "None EFBIG small\n");
  // Of what is not open, and of what is.
  const cut = `
import errno, os, sys
path, size = sys.argv[1] + "/a", 1 << 40
def says(call, *args):
    try: call(*args)
    except OSError as e: return errno.errorcode[e.errno]
fd = os.open(path, os.O_WRONLY)
print(says(os.ftruncate, fd, size), says(os.close, fd))
`;
  const alone = `import errno, os, sys
try: os.truncate(sys.argv[1] + "/a", 1 << 40)
except OSError as e: print(errno.errorcode[e.errno])
`;
  assertEquals((await run(["python3", "-c", alone, dir.path])).stdout, "EFBIG\n");
  assertEquals((await run(["python3", "-c", cut, dir.path])).stdout, "None EFBIG\n");
  const head = async () => (await run(["head", "-c9", dir.join("a")])).stdout;
  await until(async () => await head() === "small", "it is released");
  assertEquals(await staged.stop(), { code: 0, signal: null });
  assertEquals(staged.output, `mounted on ${dir.path}\ncommitted a, 5 bytes, version 1\n`);
});

test("staged: what was closed before the unmount is committed", options, async () => {
  await using dir = await tempDir();
  await using staged = await startExample("staged", [dir.path]);
  assertEquals((await run(`: > ${dir.path}/a; umount ${dir.path}`)).code, 0);
  assertEquals(await staged.exited, { code: 0, signal: null });
  await until(() => staged.output.includes("committed"), "it is committed");
});

test("staged: wrong arguments end with 2 and the usage, a wrong place with 1", options, async () => {
  await using dir = await tempDir();
  const usage = "usage: deno run --allow-ffi examples/staged.ts MOUNTPOINT [--max-bytes=N]\n";
  for (const words of [[], ["a", "b"], ["a", "--max-bytes=x"], ["a", "--other"]]) {
    const done = await run(command("../../examples/staged.ts", import.meta.url, ...words));
    assertEquals(done, { code: 2, stdout: "", stderr: usage });
  }
  const done = await run(command("../../examples/staged.ts", import.meta.url, dir.join("none")));
  assertEquals([done.code, done.stdout, done.stderr.split("; ")[0]], [
    1,
    "",
    `cannot mount on "${dir.join("none")}": open(2) says ENOENT (no such directory)`,
  ]);
});
