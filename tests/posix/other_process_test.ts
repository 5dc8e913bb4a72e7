/** The other process of the cases: on a machine where it is slow, and where nobody is left who asks it. */
import { assertEquals, assertMatch } from "@std/assert";
import { chmod, readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import { command, env, run, startReady, tempDir, test, until } from "../support/harness.ts";

// Who looks at each request for longer than the cases wait for a call to have ended.
const SLOW = (python: string) =>
  `#!${python}
import json, sys, time
loads = json.loads
def slowly(line):
    time.sleep(0.2)
    return loads(line)
json.loads = slowly
exec(sys.argv[2])
`;

test("posix: a signal, and a call that would deadlock, come when the other process waits", {
  needs: ["root", "tool:python3"],
  sanitize: false,
}, async () => {
  await using dir = await tempDir();
  const python = (await run("command -v python3", { env: { PATH: env.PATH } })).stdout.trim();
  await writeFile(dir.join("python3"), SLOW(python));
  await chmod(dir.join("python3"), 0o755);
  const words = [dir.path, "--filter=EINTR where a signal interrupts|EINTR where a signal comes|EDEADLK"];
  const { code, stdout } = await run(command("./run.ts", import.meta.url, ...words), {
    env: { PATH: `${dir.path}:${env.PATH}` },
  });
  assertEquals(code, 0, stdout);
  assertMatch(stdout, /^3 ok, 0 failed, 0 skipped/m);
});

/** Whether a process runs: who has ended may wait for being asked how. Source: proc_pid_stat(5). */
async function runs(pid: string): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
  return stat !== null && !/\) [ZX] /.test(stat);
}

test("posix: the other process, asleep in a call, ends with who started it, and so does what it started itself", {
  needs: ["tool:python3"],
  sanitize: false,
}, async () => {
  await using asker = await startReady(command("./asleep.ts", import.meta.url), { ready: /^asleep: .*\n/m });
  const pids = /^asleep: (\d+) (\d+)$/m.exec(asker.output)!.slice(1);
  assertEquals(await Promise.all(pids.map(runs)), [true, true]);
  process.kill(asker.pid, "SIGKILL");
  for (const pid of pids) await until(async () => !await runs(pid), `the end of ${pid}`);
});
