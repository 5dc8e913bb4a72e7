import { assert, assertEquals } from "@std/assert";
import fs from "node:fs/promises";
import process from "node:process";
import { libc } from "../../ffi/load.ts";
import { mountDevice } from "../../src/mount/device.ts";
import { GUARD_SCRIPT } from "../../src/mount/guard_script.ts";
import { readMounts } from "../../src/mount/mountinfo.ts";
import { run, tempDir, test, until } from "../support/harness.ts";

const c = libc();

for (const shell of [["dash"], ["busybox", "sh"]]) {
  test(`guard script: ${shell.join(" ")} can read it`, { needs: [`tool:${shell[0]}`] }, async () => {
    assertEquals(await run([...shell, "-n"], { input: GUARD_SCRIPT }), { code: 0, stdout: "", stderr: "" });
  });
}

const needs = ["root", "fuse", "tool:mkfifo", "tool:umount"] as const;

test("guard script: the second shell is not ended by the first, which it has ended", { needs }, async () => {
  await using dir = await tempDir();
  const mounted = await mountDevice(dir.path, { autoUnmount: false });
  await using stand = await tempDir();
  // A server that is on its way out (PF_EXITING), and its one thread.
  const dying = `1 (a) b) D${" 0".repeat(5)} 4${" 0".repeat(43)}\n`;
  await fs.mkdir(stand.join("server/task/1"), { recursive: true });
  for (const folder of ["server", "server/task/1"]) await fs.writeFile(stand.join(folder, "stat"), dying);
  // The signal of the first shell arrives after its end.
  await fs.mkdir(stand.join("bin"));
  const programs = { sleep: "exec sleep 0.1", umount: `kill -USR1 0; : > ${stand.join("asked")}; exec umount "$@"` };
  for (const [name, body] of Object.entries(programs)) {
    await fs.writeFile(stand.join("bin", name), `#!/bin/sh\nPATH=${process.env.PATH}\n${body}\n`, { mode: 0o755 });
  }
  try {
    const { identity } = readMounts(c).findLast(({ point }) => point === dir.path)!;
    // The pipe does not end: as long as the first shell lives it waits.
    const guard = `mkfifo "$2/pipe"; exec 0<>"$2/pipe" 3<"$2/server"; echo "$3" >&0; exec sh -c "$1" guard "$4"`;
    const ended = run(["sh", "-c", guard, "sh", GUARD_SCRIPT, stand.path, identity, dir.path], {
      env: { PATH: `${stand.join("bin")}:${process.env.PATH}` },
    });
    await until(() => !mounted.isMounted(), "unmounted by the second shell");
    assertEquals((await ended).code, 128 + 9);
    assert((await fs.stat(stand.join("asked"))).isFile());
  } finally {
    if (mounted.isMounted()) await mounted.unmount({ lazy: true });
    await mounted.release();
    c.close(mounted.fd);
  }
});
