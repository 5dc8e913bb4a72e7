import { assertEquals, assertStringIncludes } from "@std/assert";
import fs from "node:fs/promises";
import process from "node:process";
import { libc } from "../../ffi/load.ts";
import { type Program, spawn, waitExit } from "../../ffi/process.ts";
import { openFds, tempDir, test } from "../support/harness.ts";

const c = libc();
const encoder = new TextEncoder();

function cstrings(...strings: string[]): Uint8Array[] {
  return strings.map((s) => encoder.encode(`${s}\0`));
}

/** What a program writes to its standard output, and how it ends. */
async function output(program: Omit<Program, "fds">, ...more: number[]): Promise<{ text: string; status: number }> {
  const pipe = new Int32Array(2);
  c.pipe2(pipe, c.O.CLOEXEC);
  const nothing = c.open(cstrings("/dev/null")[0], c.O.RDWR | c.O.CLOEXEC, 0);
  const pid = await spawn(c, { ...program, fds: [nothing, pipe[1], nothing, ...more] });
  c.close(nothing);
  c.close(pipe[1]);
  const status = pid < 0 ? pid : await waitExit(c, pid);
  const buffer = new Uint8Array(0x10000);
  const n = c.read(pipe[0], buffer);
  c.close(pipe[0]);
  return { text: new TextDecoder().decode(buffer.subarray(0, n)), status };
}

test("spawn: arguments, environment and folder arrive as they are", async () => {
  const argv = cstrings("/bin/sh", "-c", 'printf "%s|" "$@" "$A" "$PWD"; exit 3', "sh", "a b\n", "", "\u{e9}'\"$A");
  const { text, status } = await output({ argv, env: cstrings("A=1 2"), cwd: cstrings("/usr/")[0] });
  assertEquals(text, "a b\n||\u{e9}'\"$A|1 2|/usr|");
  assertEquals(status, 3);
});

test("spawn: a program without slash is looked for in PATH", async () => {
  assertEquals((await output({ argv: cstrings("sh", "-c", "exit 7"), env: [] })).status, 7);
});

test("waitExit: 128 + n after a signal, -1 where there is no such child", async () => {
  assertEquals((await output({ argv: cstrings("/bin/sh", "-c", "kill -TERM $$"), env: [] })).status, 143);
  assertEquals(await waitExit(c, 1), -1);
});

test("spawn: -errno of the step that failed", async () => {
  const program = { argv: cstrings("/bin/sh"), env: [], fds: [] };
  assertEquals(await spawn(c, { ...program, argv: cstrings("/no/such/program") }), -2);
  assertEquals(await spawn(c, { ...program, argv: cstrings("/etc/passwd/x") }), -20);
  assertEquals(await spawn(c, { ...program, cwd: cstrings("/no/such/folder")[0] }), -2);
  assertEquals(await spawn(c, { ...program, fds: [-1] }), -9);
  const refusing = { ...c, posixSpawnattrSetflags: () => -22 };
  assertEquals(await spawn(refusing, program), -22);
});

test("spawn: the program has the given descriptors and no others, also where sources are targets", async () => {
  const list = cstrings("/bin/sh", "-c", "ls -l /proc/self/fd; :");
  // Not closed by exec, as one that this process was started with.
  const stray = c.open(cstrings("/proc/self/status")[0], 0, 0);
  const wanted = c.open(cstrings("/proc/self/comm")[0], c.O.CLOEXEC, 0);
  try {
    const before = await openFds();
    const { text } = await output({ argv: list, env: cstrings(`PATH=${process.env.PATH}`) }, wanted);
    assertEquals(await openFds(), before);
    const lines = text.trimEnd().split("\n").slice(1).map((line) => line.replace(/^.* (\d+ -> .*)$/, "$1"));
    assertEquals(lines.length, 5, text);
    assertEquals(lines[0], "0 -> /dev/null");
    assertStringIncludes(lines[1], "1 -> pipe:");
    assertEquals(lines[2], "2 -> /dev/null");
    assertStringIncludes(lines[3], "3 -> /proc/");
    assertStringIncludes(lines[3], "/comm");
    // The folder that ls reads.
    assertStringIncludes(lines[4], "4 -> /proc/");
    // Standard output first, standard input second: each is the other's target.
    const swapped = cstrings(
      "/bin/sh",
      "-c",
      'a=$(readlink /proc/$$/fd/0); b=$(readlink /proc/$$/fd/1); echo "0 -> $a\n1 -> $b" >&2',
    );
    await using dir = await tempDir();
    const file = c.open(cstrings(dir.join("out"))[0], c.O.RDWR | c.O.CREAT | c.O.CLOEXEC, 0o600);
    const pid = await spawn(c, { argv: swapped, env: [], fds: [1, 0, file] });
    c.close(file);
    assertEquals(await waitExit(c, pid), 0);
    assertEquals(await openFds(), before);
    const said = await fs.readFile(dir.join("out"), "utf8");
    const [zero, one] = [await fs.readlink("/proc/self/fd/0"), await fs.readlink("/proc/self/fd/1")];
    assertStringIncludes(said, `0 -> ${one}\n`);
    assertStringIncludes(said, `1 -> ${zero}\n`);
  } finally {
    c.close(stray);
    c.close(wanted);
  }
});

test("spawn: a session of its own", { needs: ["tool:ps"] }, async () => {
  const argv = cstrings("/bin/sh", "-c", "echo $$ $(ps -o sid= -p $$)");
  const [pid, session] = (await output({ argv, env: cstrings(`PATH=${process.env.PATH}`) })).text.trim().split(/\s+/);
  assertEquals(pid, session);
});
