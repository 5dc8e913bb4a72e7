/** How the examples refuse, and how they end: exit status, the one line on standard error, and nothing left behind. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import fs from "node:fs/promises";
import process from "node:process";
import {
  env,
  invocation,
  mountsUnder,
  READY,
  ROOT,
  run,
  type Running,
  RUNTIME,
  runtimeIn,
  startReady,
  type TempDir,
  tempDir,
  test,
  until,
} from "../support/harness.ts";
import { guards, type Shells } from "../support/guards.ts";
import type { Mount } from "../support/mounts.ts";
import { ORDINARY, ordinaryPlace } from "../support/ordinary.ts";

const options = { needs: ["root", "fuse"] as const, sanitize: false };
const long = { needs: ORDINARY, sanitize: false, timeout: 120_000 };
const EXAMPLES = ["hello", "memory", "passthrough"] as const;
const FINE = { code: 0, signal: null };
/** Of how many words of an example's command the rest are the example's own. */
const PROGRAM = 1 + invocation("").length;

/** Somebody who runs the examples, and the folders that are there for it. */
interface Who extends AsyncDisposable {
  readonly name: string;
  readonly dir: TempDir;
  readonly mnt: string;
  readonly source: string;
  /** The command as this user's. */
  as(command: readonly string[]): string[];
  /** The command as root's, where this user is. */
  asRoot(command: readonly string[]): string[];
  /** The command that runs an example on `mnt`. */
  example(name: string): string[];
  mounts(): Promise<Mount[]>;
}

/** The processes that have a folder in their command line. */
async function processes(folder: string): Promise<{ pid: number; line: string }[]> {
  const found = [];
  for (const name of await fs.readdir("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    const line = await fs.readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
    if (line.includes(folder)) found.push({ pid: Number(name), line: line.replaceAll("\0", " ") });
  }
  return found;
}

/** Fails unless no mount, no process and no temporary file is left. */
async function nothingLeft(who: Who): Promise<void> {
  let left: unknown[] = [];
  try {
    await until(async () => (left = [...await who.mounts(), ...await processes(who.dir.path)]).length === 0, "an end");
  } catch (error) {
    throw new Error(`${who.name}: ${JSON.stringify(left)} is left`, { cause: error });
  }
  const { stdout } = await run(["ls", "-A", who.dir.join("tmp"), who.mnt]);
  assertEquals(stdout, `${who.mnt}:\n\n${who.dir.join("tmp")}:\n`);
}

/** Ends what a test left running, by pid. */
async function sweep(folder: string): Promise<void> {
  for (const { pid } of await processes(folder)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended just now.
    }
  }
}

function exampleOf(deno: string, root: string, name: string, mnt: string, source: string): string[] {
  const args = name === "passthrough" ? [source, mnt] : [mnt];
  return [deno, ...invocation(`${root}examples/${name}.ts`, ...args)];
}

async function root(): Promise<Who> {
  const dir = await tempDir();
  for (const name of ["mnt", "source", "tmp"]) await fs.mkdir(dir.join(name));
  const [mnt, source] = [dir.join("mnt"), dir.join("source")];
  const deno = await runtimeIn(dir.path);
  return {
    name: "root",
    dir,
    mnt,
    source,
    asRoot: (command) => [...command],
    as: (command) => ["env", "LC_ALL=C.UTF-8", `TMPDIR=${dir.path}/tmp`, ...command],
    example: (name) => exampleOf(deno, ROOT, name, mnt, source),
    mounts: () => mountsUnder(dir.path),
    async [Symbol.asyncDispose]() {
      await sweep(dir.path);
      await dir[Symbol.asyncDispose]();
    },
  };
}

async function nobody(conf = ""): Promise<Who> {
  const place = await ordinaryPlace({ conf });
  const { dir } = place;
  const [mnt, source] = await Promise.all(["mnt", "source", "tmp"].map((name) => place.folder(name)));
  return {
    name: "an ordinary user",
    dir,
    mnt,
    source,
    asRoot: place.asRoot,
    as: (command) => place.asUser(["env", "LC_ALL=C.UTF-8", `TMPDIR=${dir.path}/tmp`, ...command]),
    example: (name) => exampleOf(place.deno, place.root, name, mnt, source),
    mounts: () => place.mountsUnder(mnt),
    async [Symbol.asyncDispose]() {
      await sweep(dir.path);
      await place[Symbol.asyncDispose]();
    },
  };
}

/** A process that works in the mount. */
async function busy(who: Who): Promise<Running> {
  return await startReady(who.as(["sh", "-c", `cd ${who.mnt} && echo ready && exec sleep 60`]), { ready: READY });
}

// Refusals

/** What a command says that ends by itself. */
async function refused(command: readonly string[], cwd?: string): Promise<[number, string, string]> {
  const { code, stdout, stderr } = await run(command, { env: { ...env, NO_COLOR: "1" }, cwd });
  return [code, stdout, stderr];
}

test("examples: wrong arguments end with 2 and the usage", options, async () => {
  await using who = await root();
  const usage = {
    hello: "MOUNTPOINT",
    memory: "MOUNTPOINT [--max-bytes=N] [--max-inodes=N] [--own-permissions] [--allow-other]",
    passthrough: "SOURCE MOUNTPOINT [--no-passthrough] [--read-only] [--cache=SECONDS] [--allow-other]",
  };
  for (const name of EXAMPLES) {
    const command = who.example(name);
    const program = command.slice(0, PROGRAM);
    const wrong = [program, [...command, who.mnt], [...command, "--unknown"]];
    if (name === "passthrough") wrong.push(command.slice(0, -1));
    for (const words of wrong) {
      const line = `usage: deno run --allow-ffi examples/${name}.ts ${usage[name]}\n`;
      assertEquals(await refused(who.as(words)), [2, "", line]);
    }
  }
  await nothingLeft(who);
});

test("examples: a mountpoint that is none ends with 1 and the remedy", options, async () => {
  await using who = await root();
  const none = who.dir.join("no such");
  const file = who.dir.join("file");
  await fs.writeFile(file, "");
  const lines = {
    [none]: `cannot mount on "${none}": open(2) says ENOENT (no such directory); create it first: mkdir -p '${none}'\n`,
    [file]: `cannot mount on "${file}": open(2) says ENOTDIR (not a directory); mount on a directory\n`,
    "": `cannot mount on "": open(2) says ENOENT (the path is empty); name a directory\n`,
  };
  for (const [i, [path, line]] of Object.entries(lines).entries()) {
    const command = who.example(EXAMPLES[i]).slice(0, -1);
    assertEquals(await refused(who.as([...command, path])), [1, "", line]);
  }
  await nothingLeft(who);
});

test("passthrough: a source that is none ends with 1 and says so", options, async () => {
  await using who = await root();
  await fs.writeFile(who.dir.join("file"), "");
  const program = who.example("passthrough").slice(0, -2);
  for (const [name, errno] of [["none", "ENOENT"], ["file", "ENOTDIR"]]) {
    const [code, stdout, stderr] = await refused(who.as([...program, who.dir.join(name), who.mnt]));
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /^cannot mirror .*: open.*name a directory.*\n$/);
    assert(stderr.includes(who.dir.join(name)) && stderr.includes(errno), stderr);
  }
  await nothingLeft(who);
});

/** That without --allow-ffi they end at once. */
async function forbidden(): Promise<void> {
  await using who = await root();
  for (const name of EXAMPLES) {
    const command = who.example(name).filter((word) => word !== "--allow-ffi");
    const [code, stdout, stderr] = await refused(who.as(command));
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /Requires ffi access to .*, run again with the --allow-ffi flag\n/);
  }
  await nothingLeft(who);
}

// Only there something has to be allowed.
if (RUNTIME === "deno") {
  test("examples: without --allow-ffi they end at once and name the permission", options, forbidden);
}

test("examples: a mount that lost its server is named, and the remedy that is told works", options, async () => {
  await using who = await root();
  await using server = await startReady(who.as(who.example("hello")));
  const shells = (await processes(who.mnt)).filter(({ line }) => line.includes("fusewire-guard"));
  for (const { pid } of shells) process.kill(pid, "SIGKILL");
  assertEquals(await server.stop("SIGKILL"), { code: null, signal: "SIGKILL" });
  assertEquals((await who.mounts()).map(({ path }) => path), [who.mnt]);
  const remedy = `umount -l ${who.mnt}`;
  assertEquals(await refused(who.as(who.example("memory"))), [
    1,
    "",
    `cannot mount on "${who.mnt}": statx(2) says ENOTCONN (the mount that is there has lost its server); ` +
    `unmount it first: ${remedy}, or as its owner fusermount3 -u -z ${who.mnt}\n`,
  ]);
  assertEquals((await run(remedy)).code, 0);
  await using again = await startReady(who.as(who.example("memory")));
  assertEquals(await again.stop(), FINE);
  await nothingLeft(who);
});

test("examples: what an ordinary user may not is said in one line, with the remedy", {
  ...options,
  needs: ORDINARY,
}, async () => {
  await using who = await nobody();
  await using theirs = await tempDir();
  const program = who.example("hello").slice(0, -1);
  const refusals: [string[], string][] = [
    [
      [...who.example("memory"), "--allow-other"],
      `cannot mount on "${who.mnt}": mount(2) says EPERM; fusermount3 says "option allow_other only allowed if ` +
      `'user_allow_other' is set in /etc/fuse.conf"; write a line user_allow_other into /etc/fuse.conf, ` +
      `or mount without allowOther`,
    ],
    [
      [...program, theirs.path],
      `cannot mount on "${theirs.path}": mount(2) says EPERM; fusermount3 says ` +
      `"user has no write access to mountpoint ${theirs.path}"; mount on a directory of your own`,
    ],
    [
      [...program, "/root/in"],
      `cannot mount on "/root/in": open(2) says EACCES (this user may not enter it); mount on a directory of your own`,
    ],
  ];
  for (const [command, line] of refusals) assertEquals(await refused(who.as(command)), [1, "", `${line}\n`]);
  await nothingLeft(who);
});

test("examples: --allow-other of an ordinary user, where /etc/fuse.conf allows it, lets others in", {
  ...options,
  needs: ORDINARY,
}, async () => {
  await using who = await nobody("user_allow_other");
  await using server = await startReady(who.as([...who.example("memory"), "--allow-other"]));
  await run(who.as(["sh", "-c", `umask 077; echo mine > ${who.mnt}/secret; umask 022; echo all > ${who.mnt}/public`]));
  const stranger = ["setpriv", "--reuid=23456", "--regid=23456", "--clear-groups"];
  const others = await run(who.asRoot([
    ...stranger,
    ...["sh", "-c", `cd ${who.mnt} && cat public; cat secret; stat -c %u public`],
  ]));
  assertEquals([others.stdout, others.stderr.includes("secret: Permission denied")], ["all\n65534\n", true]);
  assertEquals(await server.stop(), FINE);
  await nothingLeft(who);
});

// Ends

test("examples: a mountpoint may be relative, a link, oddly named, full, and mounted on already", options, async () => {
  await using who = await root();
  await fs.mkdir(`${who.mnt}/a b/ü'"\\`, { recursive: true });
  await fs.writeFile(`${who.mnt}/a b/file`, "below");
  await fs.symlink("a b", `${who.mnt}/link`);
  const program = who.example("memory").slice(0, -1);
  const path = `${who.mnt}/a b`;
  for (const [from, name, at] of [[path, ".", path], [who.mnt, "link//", path], [path, `./ü'"\\`, `${path}/ü'"\\`]]) {
    await using server = await startReady(who.as(["env", "-C", from, ...program, name]));
    assertEquals((await who.mounts()).map((mount) => mount.path), [at]);
    assertEquals((await run(["sh", "-c", "echo > f; ls"], { cwd: at })).stdout, "f\n");
    {
      await using above = await startReady(who.as([...who.example("hello").slice(0, -1), at]));
      assertEquals((await run(["ls", at])).stdout, "hello\n");
      assertEquals(await above.stop(), FINE);
    }
    assertEquals((await run(["ls", at])).stdout, "f\n");
    assertEquals(await server.stop(), FINE);
    assertEquals(server.output, `mounted on ${at}\n`);
  }
  await run(["rm", "-r", path, `${who.mnt}/link`]);
  await nothingLeft(who);
});

/** A test as root, and as an ordinary user. */
function both(name: string, body: (who: Who) => Promise<void>): void {
  test(`examples: ${name}`, long, async (t) => {
    for (const someone of [root, nobody]) {
      await using who = await someone();
      await t.step({ name: who.name, sanitizeOps: false, sanitizeResources: false, fn: () => body(who) });
    }
  });
}

both("SIGINT and SIGTERM end with 0, silently", async (who) => {
  for (const name of EXAMPLES) {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      await using server = await startReady(who.as(who.example(name)));
      assertEquals((await run(who.as(["ls", "-la", who.mnt]))).code, 0);
      assertEquals(await server.stop(signal, 20_000), FINE);
      assertEquals(server.output, `mounted on ${who.mnt}\n`);
      await nothingLeft(who);
    }
  }
});

both("SIGINT, once and twice, ends with 0 though a process works in the mount", async (who) => {
  for (const signals of [1, 2]) {
    await using server = await startReady(who.as(who.example("memory")));
    await using user = await busy(who);
    for (let i = 1; i < signals; i++) {
      process.kill(server.pid, "SIGINT");
      // Two that wait together would be one.
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    assertEquals(await server.stop("SIGINT", 20_000), FINE);
    assertEquals(server.output, `mounted on ${who.mnt}\n`);
    assertEquals(await who.mounts(), []);
    assertEquals((await run(["ls", `/proc/${user.pid}/cwd/`])).code, 2);
    await user.stop("SIGKILL");
    await nothingLeft(who);
  }
});

/** The command with another fusermount3, which does this before it is the real one. */
async function withHelper(who: Who, script: string, command: readonly string[]): Promise<string[]> {
  const bin = who.dir.join("bin");
  await fs.mkdir(bin);
  const lines = ["#!/bin/sh", script, "PATH=${PATH#*:}", 'exec fusermount3 "$@"', ""];
  await fs.writeFile(`${bin}/fusermount3`, lines.join("\n"), { mode: 0o755 });
  return who.as(["env", `PATH=${bin}:${env.PATH}`, ...command]);
}

test("examples: a terminal's SIGINT does not end the fusermount3 that is at work", long, async () => {
  await using who = await nobody();
  const started = who.dir.join("tmp/started");
  const slow = `[ "$1" != -u ] || { echo > ${started}; sleep 0.3; }`;
  await using server = await startReady(await withHelper(who, slow, who.example("memory")));
  process.kill(-server.pid, "SIGINT");
  await until(() => fs.access(started).then(() => true, () => false), "the helper at work");
  process.kill(-server.pid, "SIGINT");
  assertEquals(await server.exited, FINE);
  assertEquals(server.output, `mounted on ${who.mnt}\n`);
  assertEquals(await who.mounts(), []);
  await fs.rm(started);
  await nothingLeft(who);
});

test("examples: a signal that cannot unmount says why, and ends with 1", long, async () => {
  await using who = await nobody();
  const refusing = `[ "$1 $2" != "-u --" ] || { echo not today >&2; exit 1; }`;
  await using server = await startReady(await withHelper(who, refusing, who.example("memory")));
  assertEquals(await server.stop("SIGINT", 20_000), { code: 1, signal: null });
  assertEquals(server.output, `mounted on ${who.mnt}\ncannot unmount "${who.mnt}": fusermount3 says "not today"\n`);
  // The guard takes it away.
  await nothingLeft(who);
});

both("SIGTERM in the middle of work ends with 0", async (who) => {
  for (const name of ["memory", "passthrough"]) {
    await using server = await startReady(who.as(who.example(name)));
    const work = "i=0; while :; do i=$((i+1)); echo $i > f$i.$$ && cat f$i.$$ && rm f$i.$$ || exit 7; done";
    const workers = [1, 2, 3].map(() => run(who.as(["sh", "-c", `cd ${who.mnt}; ${work}`])));
    await until(async () => (await run(who.as(["ls", who.mnt]))).stdout !== "", "work");
    assertEquals(await server.stop("SIGTERM", 20_000), FINE);
    assertEquals((await Promise.all(workers)).map(({ code }) => code), [7, 7, 7]);
    assertEquals(server.output, `mounted on ${who.mnt}\n`);
    await nothingLeft(who);
  }
});

both("SIGKILL and SIGHUP leave no mount and no guard, though a process works in the mount", async (who) => {
  for (const signal of ["SIGKILL", "SIGHUP"] as const) {
    await using server = await startReady(who.as(who.example("passthrough")));
    let shells: Shells[] = [];
    await until(async () => (shells = await guards(who.mnt)).at(0)?.watch !== undefined, "the guard keeps watch");
    assertEquals(shells.length, 1);
    await using user = await busy(who);
    assertEquals(await server.stop(signal), { code: null, signal });
    await until(async () => (await who.mounts()).length === 0, "the mount gone");
    for (const pid of [shells[0].pid, shells[0].watch]) {
      await until(() => fs.stat(`/proc/${pid}`).then(() => false, () => true), "the guard gone");
    }
    await user.stop("SIGKILL");
    await nothingLeft(who);
  }
});

both("somebody else unmounts, at once or lazily: they end with 0", async (who) => {
  const [unmount, lazy] = who.name === "root" ? [["umount"], "-l"] : [["fusermount3", "-u"], "-z"];
  for (const name of EXAMPLES) {
    await using server = await startReady(who.as(who.example(name)));
    assertEquals((await run(who.as([...unmount, who.mnt]))).stderr, "");
    assertEquals(await server.exited, FINE);
    assertEquals(server.output, `mounted on ${who.mnt}\n`);
    await server.stop();
    await nothingLeft(who);
  }
  await using server = await startReady(who.as(who.example("memory")));
  await using user = await busy(who);
  assertMatch((await run(who.as([...unmount, who.mnt]))).stderr, /busy/);
  assertEquals((await run(who.as([...unmount, lazy, who.mnt]))).stderr, "");
  assertEquals((await run(who.as(["sh", "-c", `cd /proc/${user.pid}/cwd && echo x > y && cat y`]))).stdout, "x\n");
  await user.stop("SIGKILL");
  assertEquals(await server.exited, FINE);
  await nothingLeft(who);
});

/** The server that a shell has started, once it has mounted. */
async function serverOf(who: Who): Promise<number> {
  let found: number | undefined;
  await until(async () => {
    found = (await processes(who.mnt)).find(({ line }) => /^\S*\/runtime /.test(line))?.pid;
    return found !== undefined && (await who.mounts()).length > 0;
  }, "a server that has mounted");
  return found!;
}

both("a reader of the output that goes away is no reason to end", async (who) => {
  for (const reader of ["head -1", "true"]) {
    const shell = `set -o pipefail; "$@" | { ${reader}; }`;
    const ended = run(who.as(["bash", "-c", shell, "bash", ...who.example("memory")]), { timeout: 50_000 });
    const pid = await serverOf(who);
    assertEquals((await run(who.as(["sh", "-c", `cd ${who.mnt}; echo text > f; cat f`]))).stdout, "text\n", reader);
    process.kill(pid, "SIGTERM");
    const { code, stderr, stdout } = await ended;
    assertEquals([code, stderr, stdout], [0, "", reader === "true" ? "" : `mounted on ${who.mnt}\n`], reader);
    await nothingLeft(who);
  }
});

both("in the background, without standard input or any output, they serve until they are told to end", async (who) => {
  const status = `${who.source}/status`;
  for (const closed of ["> /dev/null 2>&1 <&-", "<&- >&- 2>&-"]) {
    const shell = `("$@"; echo $? > ${status}) ${closed} &`;
    const { code, stdout, stderr } = await run(who.as(["sh", "-c", shell, "sh", ...who.example("memory")]));
    assertEquals([code, stdout, stderr], [0, "", ""]);
    const pid = await serverOf(who);
    assertEquals((await run(who.as(["sh", "-c", `cd ${who.mnt}; echo text > f; cat f`]))).stdout, "text\n", closed);
    process.kill(pid, "SIGTERM");
    await until(() => fs.stat(status).then(({ size }) => size > 0, () => false), "the end");
    assertEquals(await fs.readFile(status, "utf8"), "0\n", closed);
    await fs.unlink(status);
    await nothingLeft(who);
  }
});
