/** The conformance map on `memory()`. */
import { assertEquals } from "@std/assert";
import { tempDir, test } from "../support/harness.ts";
import { CROWD } from "./crowd.ts";
import { KNOWN } from "./exceptions.ts";
import { ORDINARY } from "../support/ordinary.ts";
import { conforms, serve } from "./support.ts";

const options = { needs: ["root", "fuse"], sanitize: false, timeout: 400_000 } as const;
const KERNEL = { defaultPermissions: true, posixAcl: true };

test("posix: memory, checked by the kernel", options, async (t) => {
  await using dir = await tempDir();
  await using _server = await serve(dir, "memory", {}, KERNEL);
  await conforms(t, dir.path, { known: KNOWN.memory });
});

test("posix: memory, which checks permissions itself", options, async (t) => {
  await using dir = await tempDir();
  await using _server = await serve(dir, "memory", { permissions: "own" });
  await conforms(t, dir.path, { known: KNOWN.memory });
});

test("posix: memory that is full", options, async (t) => {
  await using dir = await tempDir();
  await using _server = await serve(dir, "memory", { maxBytes: 8 << 20, maxInodes: 2000 }, KERNEL);
  await conforms(t, dir.path, { space: 8 << 20, filter: "ENOSPC|more than there is|what is free" });
});

test("posix: memory with a quota", options, async (t) => {
  await using dir = await tempDir();
  await using _server = await serve(dir, "memory", { quota: { maxBytes: 1 << 20, maxInodes: 500 } }, KERNEL);
  await conforms(t, dir.path, { quota: 1 << 20, filter: "EDQUOT" });
});

test("posix: memory, a file with many names", options, async (t) => {
  await using dir = await tempDir();
  await using _server = await serve(dir, "memory", { crowded: CROWD }, KERNEL);
  const [{ result }] = await conforms(t, dir.path, { crowded: dir.join("crowded"), filter: "EMLINK" });
  assertEquals(result, "ok");
});

test("posix: memory, for an ordinary user", { ...options, needs: ORDINARY }, async (t) => {
  await using dir = await tempDir();
  await using _server = await serve(dir, "memory", {}, KERNEL);
  await conforms(t, dir.path, { uid: 64001, known: { exceptions: KNOWN.memory.exceptions } });
});
