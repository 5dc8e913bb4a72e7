/** The conformance map on the kernel's own file systems: a case that fails here is wrong. */
import { assertEquals } from "@std/assert";
import { run, tempDir, test } from "../support/harness.ts";
import { ORDINARY } from "../support/ordinary.ts";
import { limitedBtrfs } from "./btrfs.ts";
import { CROWD, makeCrowd } from "./crowd.ts";
import { unprovoked } from "./manual.ts";
import { conforms, noBtrfs, quotaConforms } from "./support.ts";

const options = { sanitize: false, timeout: 400_000 } as const;
const needs = ["root"] as const;

test("posix: the file system of the temporary folder", { ...options, needs }, async (t) => {
  await using dir = await tempDir();
  await conforms(t, dir.path);
});

test("posix: tmpfs", { ...options, needs }, async (t) => {
  await using dir = await tempDir();
  await run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", dir.path]);
  const outcomes = await conforms(t, dir.path);
  assertEquals(unprovoked(outcomes, "cases"), []);
});

test("posix: a full tmpfs", { ...options, needs }, async (t) => {
  await using dir = await tempDir();
  await run(["mount", "-t", "tmpfs", "-o", "mode=755,size=8m,nr_inodes=2000", "none", dir.path]);
  const filter = "ENOSPC|more than there is|what is free";
  const outcomes = await conforms(t, dir.path, { space: 8 << 20, filter });
  assertEquals(unprovoked(outcomes, "limits", (code) => code === "ENOSPC"), []);
});

const crowds = { ...options, needs: ["root", "tool:python3"] } as const;

test("posix: a file with many names", crowds, async (t) => {
  await using dir = await tempDir();
  await makeCrowd(dir.path, CROWD);
  await conforms(t, dir.path, { crowded: dir.join("crowded"), filter: "EMLINK" });
});

test("posix: a file with many names on tmpfs, where there is no end of them", crowds, async (t) => {
  await using dir = await tempDir();
  await run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", dir.path]);
  await makeCrowd(dir.path, CROWD);
  const skipped = { "link: EMLINK beyond the most names that a file can have": "there is no end of them" };
  const known = { exceptions: {}, skipped };
  const [{ result }] = await conforms(t, dir.path, { crowded: dir.join("crowded"), filter: "EMLINK", known });
  assertEquals(result, "skipped");
});

test("posix: btrfs with a quota", { ...options, needs: ["root", "tool:mkfs.btrfs"] }, async (t) => {
  await using dir = await tempDir();
  const limited = await limitedBtrfs(dir, 16 << 20);
  if (limited === null) return await noBtrfs(t);
  const outcomes = await quotaConforms(t, limited.path, limited);
  assertEquals(unprovoked(outcomes, "limits", (code) => code === "EDQUOT"), []);
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
