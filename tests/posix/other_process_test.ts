/** The other process of the cases, on a machine where it is slow. */
import { assertEquals, assertMatch } from "@std/assert";
import { chmod, writeFile } from "node:fs/promises";
import { command, env, run, tempDir, test } from "../support/harness.ts";

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
