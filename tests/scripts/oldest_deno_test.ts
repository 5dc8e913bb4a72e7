/** The oldest Deno that is named in the README serves as the newest does. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { chmod } from "node:fs/promises";
import process from "node:process";
import { mountsUnder, must, startReady, tempDir, test } from "../support/harness.ts";

const OLDEST = "2.0.0";
const PACKAGE = `@deno/linux-${process.arch === "x64" ? "x64" : "arm64"}-glibc`;

test(`Deno ${OLDEST}: a mount answers, at once and later, and timers have their turn`, {
  needs: ["root", "fuse", "npm", "tool:npm", "tool:python3"],
  sanitize: false,
  timeout: 400_000,
}, async () => {
  await using dir = await tempDir();
  const install = ["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--prefix", dir.path];
  await must([...install, `${PACKAGE}@${OLDEST}`], { warns: true, timeout: 180_000 });
  const deno = dir.join(`node_modules/${PACKAGE}/deno`);
  await chmod(deno, 0o755);
  await using mnt = await tempDir();
  const server = new URL("oldest_deno.ts", import.meta.url).pathname;
  await using running = await startReady([deno, "run", "--allow-ffi", "--no-check", "--no-lock", server, mnt.path]);
  const client = `
import os, sys
for i in range(3000): os.stat(sys.argv[1] + "/now")
for name in ("now", "later"):
    for i in range(50): assert open(sys.argv[1] + "/" + name).read() == "Hello!\\n"
`;
  await must(["python3", "-c", client, mnt.path]);
  await must(["umount", mnt.path]);
  assertEquals(await running.exited, { code: 0, signal: null });
  assertEquals(await mountsUnder(mnt.path), []);
  assertStringIncludes(running.output, "timers had their turn");
});
