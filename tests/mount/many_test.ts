/** Many file systems in one process: more than a runtime has threads for. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import fs from "node:fs/promises";
import { type Filesystem, mount, ROOT_ID } from "../../mod.ts";
import { mountsUnder, openFds, run, tempDir, test } from "../support/harness.ts";

/** One file, `file`, which says so. */
function saying(text: string): Filesystem {
  const content = new TextEncoder().encode(text);
  const file = { mode: 0o100644, size: content.length };
  return {
    lookup: ({ name }) => name === "file" ? { nodeid: 2, attr: file } : null,
    getattr: ({ nodeid }) => ({ attr: nodeid === ROOT_ID ? { mode: 0o040755, nlink: 2 } : file }),
    read: ({ offset, size }) => content.subarray(offset, offset + size),
  };
}

/** The descriptors of this process that concern mounts and waiting for them. */
async function ownFds(): Promise<string[]> {
  return [...(await openFds()).values()].filter((target) => /fuse|event/.test(target)).sort();
}

test("mount: forty at once, each of which answers, and so does everything else", {
  needs: ["root", "fuse"],
  sanitize: false,
}, async () => {
  await using dir = await tempDir();
  const names = Array.from({ length: 40 }, (_, i) => `m${i}`);
  const before = await ownFds();
  for (const name of names) await fs.mkdir(dir.join(name));
  const sessions = await Promise.all(
    names.map((name) => mount(saying(`${name}\n`), dir.join(name), { signals: false })),
  );
  const files = names.map((name) => dir.join(name, "file"));
  assertEquals((await run(["cat", ...files])).stdout, names.map((name) => `${name}\n`).join(""));
  assertStringIncludes(await fs.readFile("/proc/self/status", "utf8"), "Pid:");
  // Whoever waited for the first one is not the same as before.
  assertEquals((await run(["cat", ...files.reverse()])).stdout, names.reverse().map((name) => `${name}\n`).join(""));
  assertEquals(
    await Promise.all(sessions.map((session) => session.unmount({ timeout: 30_000 }))),
    names.map(() => "unmounted"),
  );
  assertEquals(await mountsUnder(dir.path), []);
  assertEquals(await ownFds(), before);
});
