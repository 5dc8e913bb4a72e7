import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import fs from "node:fs/promises";
import process from "node:process";
import { deafServer } from "./deaf_server.ts";
import { testCommand } from "./runtime.ts";
import { guarded, mountsUnder, openFds, READY, run, RUNTIME, startReady, tempDir, test, until } from "./harness.ts";

function exists(path: string): Promise<boolean> {
  return fs.lstat(path).then(() => true, () => false);
}

test("tempDir: an empty folder until it is disposed", async () => {
  let path = "";
  {
    await using dir = await tempDir({ prefix: "fusewire-harness-" });
    path = dir.path;
    assertStringIncludes(path, "/fusewire-harness-");
    assertEquals((await run("umask 077; ls -A; stat -c %a .", { cwd: path })).stdout, "755\n");
    await fs.mkdir(dir.join("a", "b"), { recursive: true });
    assert(await exists(`${path}/a/b`));
  }
  assert(!await exists(path));
});

test("tempDir: what is mounted in it is unmounted, not emptied", { needs: ["root"] }, async () => {
  await using source = await tempDir();
  await fs.writeFile(source.join("kept"), "");
  {
    await using dir = await tempDir();
    await fs.mkdir(dir.join("mnt"));
    assertEquals((await run(["mount", "--bind", source.path, dir.join("mnt")])).code, 0);
    assert(await exists(dir.join("mnt/kept")));
  }
  assert(await exists(source.join("kept")));
});

test("guarded: what a body leaves is taken away and is a failure", async () => {
  let path = "";
  const leave = async () => {
    path = (await tempDir()).path;
  };
  await assertRejects(() => guarded(leave, 30_000), Error, "the test left behind: the folder /");
  assert(!await exists(path));
});

test("guarded: a body that fails is reported as it failed, and what it left is taken away", async () => {
  let path = "";
  const fail = async () => {
    path = (await tempDir()).path;
    throw new RangeError("of the body");
  };
  await assertRejects(() => guarded(fail, 30_000), RangeError, "of the body");
  assert(!await exists(path));
});

test("guarded: a body that does not end fails after its time", async () => {
  await assertRejects(() => guarded(() => new Promise(() => {}), 20), Error, "did not end within 20 ms");
});

test("guarded: a body that ends and leaves nothing is no failure", async () => {
  await guarded(async () => {
    await using _ = await tempDir();
  }, 30_000);
});

test("startReady: a command that ends is an error with its output", async () => {
  const command = ["sh", "-c", "echo not so >&2; exit 7"];
  await assertRejects(() => startReady(command), Error, "ended (7); its output:\nnot so\n");
});

test("startReady: a command that is not ready in time is ended, with its output in the error", {
  needs: ["tool:pgrep"],
}, async () => {
  const command = ["sh", "-c", "echo $$; sleep 60"];
  const { message } = await assertRejects(() => startReady(command, { timeout: 3000 }), Error, "not ready after 3000");
  const pid = /^\d+$/m.exec(message)![0];
  await until(async () => (await run(["pgrep", "--runstates", "R,S,D", "-g", pid])).stdout === "", "all have ended");
});

test("startReady: stop sends the signal and answers how it ended", async () => {
  const command = ["sh", "-c", "trap 'exit 5' USR1; echo ready; while :; do sleep 0.05; done"];
  {
    await using server = await startReady(command, { ready: READY });
    assertEquals(server.output, "ready\n");
    assertEquals(await server.stop("SIGUSR1"), { code: 5, signal: null });
    assertEquals(await server.exited, { code: 5, signal: null });
  }
  await using server = await startReady(command, { ready: READY });
  assertEquals(await server.stop(), { code: null, signal: "SIGTERM" });
});

test("startReady: disposing ends a server and takes its mount away", {
  needs: ["root", "fuse", "tool:python3"],
}, async () => {
  await using dir = await tempDir();
  let exited: Promise<{ signal: string | null }>;
  {
    await using server = await startReady(deafServer(dir.path));
    assertEquals((await mountsUnder(dir.path)).map(({ type }) => type), ["fuse"]);
    assert([...(await openFds(server.pid)).values()].includes("/dev/fuse"));
    exited = server.exited;
  }
  assertEquals((await exited).signal, "SIGTERM");
  assertEquals(await mountsUnder(dir.path), []);
});

test("startReady: one that ignores SIGTERM is killed", { needs: ["root", "fuse", "tool:python3"] }, async () => {
  await using dir = await tempDir();
  await using server = await startReady(deafServer(dir.path, true));
  assertEquals((await server.stop("SIGTERM", 100)).signal, "SIGKILL");
});

test("test: a test file that leaves a mount, and one whose process just ends, leave nothing", {
  needs: ["root", "fuse", "tool:python3"],
}, async () => {
  await using dir = await tempDir();
  const ending = RUNTIME === "deno" ? "ts" : "js";
  const harness = new URL(`./harness.${ending}`, import.meta.url).href;
  const deaf = new URL(`./deaf_server.${ending}`, import.meta.url).href;
  const head = `
import { startReady, tempDir, test } from "${harness}";
import { deafServer } from "${deaf}";
const leave = async () => {
  const { path } = await tempDir({ dir: ${JSON.stringify(dir.path)} });
  const { pid } = await startReady(deafServer(path));
  console.log("started", pid);
};
`;
  const inTest = `test("leaves", { sanitize: false }, async () => { await leave(); throw new Error("by itself"); });`;
  await fs.writeFile(dir.join("a_test.mjs"), head + inTest);
  await fs.writeFile(dir.join("b_test.mjs"), `${head}await leave();\ntest("other", () => {});`);
  for (const [file, code] of [["a_test.mjs", 1], ["b_test.mjs", 0]] as const) {
    const result = await run(testCommand(dir.join(file)));
    const output = result.stdout + result.stderr;
    assertEquals(result.code, code, output);
    const pid = Number(/\bstarted (\d+)$/m.exec(output)![1]);
    await until(async () => !await exists(`/proc/${pid}`), "the server ends");
    assertEquals(await mountsUnder(dir.path), []);
    assertEquals((await run(["ls", dir.path])).stdout, "a_test.mjs\nb_test.mjs\n");
  }
});

test("openFds: what is open, without the descriptor that lists", async () => {
  const before = await openFds();
  {
    await using _file = await fs.open("/proc/self/status");
    const opened = [...await openFds()].filter(([fd]) => !before.has(fd));
    assertEquals(opened.map(([, target]) => target), [`/proc/${process.pid}/status`]);
  }
  assertEquals(await openFds(), before);
});

test("until: waits for the condition, and says what it waited for", async () => {
  let n = 0;
  await until(() => ++n === 3, "third");
  assertEquals(n, 3);
  await assertRejects(() => until(() => false, "never", 20), Error, "not within 20 ms: never");
});
