/** The conformance map on the kernel's own file systems: a case that fails here is wrong. */
import { run, tempDir, test } from "../support/harness.ts";
import { ORDINARY } from "../examples/ordinary.ts";
import { conforms } from "./support.ts";

const options = { sanitize: false, timeout: 150_000 } as const;
const needs = ["root"] as const;

test("posix: the file system of the temporary folder", { ...options, needs }, async (t) => {
  await using dir = await tempDir();
  await conforms(t, dir.path);
});

test("posix: tmpfs", { ...options, needs }, async (t) => {
  await using dir = await tempDir();
  await run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", dir.path]);
  await conforms(t, dir.path);
});

test("posix: a full tmpfs", { ...options, needs }, async (t) => {
  await using dir = await tempDir();
  await run(["mount", "-t", "tmpfs", "-o", "mode=755,size=8m,nr_inodes=2000", "none", dir.path]);
  await conforms(t, dir.path, { space: 8 << 20, filter: "ENOSPC|more than there is|what is free" });
});

test(
  "posix: the file system of the temporary folder, for an ordinary user",
  { ...options, needs: ORDINARY },
  async (t) => {
    await using dir = await tempDir();
    await run(["chmod", "777", dir.path]);
    await conforms(t, dir.path, { uid: 64001 });
  },
);
