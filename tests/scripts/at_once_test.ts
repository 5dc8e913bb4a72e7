/** Commands at once: what is printed when, how many run, and that a signal ends all. */
import { assert, assertEquals } from "@std/assert";
import { readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import type { Done, Job } from "../../scripts/at_once.ts";
import { READY, run, startReady, type TempDir, tempDir, test, until } from "../support/harness.ts";

const module = new URL("../../scripts/at_once.ts", import.meta.url).href;

/** A job in the shell. */
const job = (name: string, script: string): Job => ({ name, command: ["sh", "-c", script] });

/** The command that runs jobs in a folder, and tells in `done.json` what became of them. */
async function atOnce(dir: TempDir, most: number, jobs: readonly Job[], patience?: number): Promise<string[]> {
  const program = dir.join("program.ts");
  await writeFile(
    program,
    `import { atOnce } from "${module}";
    const done = await atOnce(${
      JSON.stringify(jobs)
    }.map((job) => ({ cwd: Deno.cwd(), ...job })), ${most}, ${patience});
    Deno.writeTextFileSync("done.json", JSON.stringify(done));\n`,
  );
  return ["deno", "run", "-A", "--no-config", "--quiet", program];
}

async function results(dir: TempDir): Promise<Done[]> {
  return JSON.parse(await readFile(dir.join("done.json"), "utf8"));
}

/** What the jobs make a file of: waits until another has made its own. */
const meet = (own: string, other: string) => `touch ${own}; until [ -e ${other} ]; do sleep 0.01; done`;

test("atOnce: each output is in one piece, in the order of the ends, and what fails comes last once more", async () => {
  await using dir = await tempDir();
  const command = await atOnce(dir, 2, [
    job("slow", "echo one; until [ -e end ]; do sleep 0.01; done; echo two"),
    job("bad", "echo out; echo err >&2; exit 3"),
    job("quick", "echo three; touch end"),
    { name: "none", command: ["./no-such-program"] },
  ]);
  const { code, stdout, stderr } = await run(command, { cwd: dir.path });
  assertEquals([code, stderr], [0, ""]);
  const [progress, failures] = [
    stdout.slice(0, stdout.indexOf("--- bad failed")),
    stdout.match(/--- bad failed[^]*/)![0],
  ];
  for (const piece of ["--- slow\none\ntwo\n", "--- bad\nfailed: see below\n", "--- quick\nthree\n"]) {
    assert(progress.includes(piece), stdout);
  }
  assert(progress.indexOf("--- bad") < progress.indexOf("--- quick"), stdout);
  assertEquals(failures.split("--- none failed\n")[0], "--- bad failed\nout\nerr\n");
  const done = await results(dir);
  assertEquals(Object.fromEntries(done.map(({ name, success }) => [name, success])), {
    slow: true,
    bad: false,
    quick: true,
    none: false,
  });
  assertEquals(done.find(({ name }) => name === "bad")!.said, "out\nerr\n");
  assert(done.find(({ name }) => name === "none")!.said.includes("no-such-program"));
});

test("atOnce: as many run as may, and no more", async () => {
  await using dir = await tempDir();
  const counted = (script: string) => `echo + >> log; ${script}; echo - >> log`;
  const command = await atOnce(dir, 2, [
    job("a", counted(meet("a", "b"))),
    job("b", counted(meet("b", "a"))),
    job("c", counted(meet("c", "d"))),
    job("d", counted(meet("d", "c"))),
    job("e", counted("true")),
  ]);
  const { code, stderr } = await run(command, { cwd: dir.path });
  assertEquals([code, stderr], [0, ""]);
  let now = 0, most = 0;
  for (const sign of (await readFile(dir.join("log"), "utf8")).trim().split("\n")) {
    now += sign === "+" ? 1 : -1;
    most = Math.max(most, now);
  }
  assertEquals([now, most], [0, 2]);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`atOnce: ${signal} ends those that run, and fails the others`, async () => {
    await using dir = await tempDir();
    // The first goes on after the signal for a while; the second is ended by it.
    const patient = `trap 'echo told; exit 0' TERM INT; touch up; while :; do sleep 0.01; done`;
    const command = await atOnce(dir, 2, [
      job("patient", patient),
      { name: "sleeper", command: ["sleep", "60"] },
      job("later", "echo begun"),
    ]);
    await using running = await startReady(["sh", "-c", `echo ready; exec "$@"`, "sh", ...command], {
      cwd: dir.path,
      ready: READY,
    });
    await until(() => readFile(dir.join("up")).then(() => true, () => false), "the first job runs");
    // To it alone, not to its group.
    process.kill(running.pid, signal);
    assertEquals(await running.exited, { code: 0, signal: null }, running.output);
    const done = await results(dir);
    assertEquals(done.map(({ name, success }) => [name, success]).sort(), [
      ["later", false],
      ["patient", true],
      ["sleeper", false],
    ]);
    assertEquals(done.find(({ name }) => name === "patient")!.said, "told\n");
    assertEquals(done.find(({ name }) => name === "later")!.said, `not begun: ${signal}\n`);
  });
}

test("atOnce: what goes on behind a job is a failure, and nobody waits for it", async () => {
  await using dir = await tempDir();
  const command = await atOnce(
    dir,
    1,
    [job("leaves", "sleep 100 & echo $! > pid; echo said"), job("next", "echo on")],
    2000,
  );
  try {
    const { code, stdout } = await run(command, { cwd: dir.path });
    assertEquals(code, 0);
    assert(stdout.startsWith("--- leaves\nfailed: see below\n--- next\non\n"), stdout);
    const [{ success, said }] = await results(dir);
    assertEquals([success, said], [false, "said\nIt has ended, but something that it started has not.\n"]);
  } finally {
    process.kill(Number(await readFile(dir.join("pid"), "utf8")));
  }
});

test("atOnce: what one mounts no other one sees", { needs: ["root"] }, async () => {
  await using dir = await tempDir();
  const command = await atOnce(dir, 2, [
    job(
      "one",
      `mkdir mnt; mount -t tmpfs none mnt && mountpoint -q mnt; code=$?; ${meet("mounted", "seen")}; exit $code`,
    ),
    job("other", `${meet("here", "mounted")}; mountpoint -q mnt; code=$?; touch seen; exit $((code == 0))`),
  ]);
  assertEquals((await run(command, { cwd: dir.path })).code, 0);
  assertEquals((await results(dir)).map(({ name, success }) => [name, success]).sort(), [["one", true], [
    "other",
    true,
  ]]);
});
