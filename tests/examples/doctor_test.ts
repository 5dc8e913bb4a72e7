import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import fs from "node:fs/promises";
import os from "node:os";
import { invocation, mountsUnder, ROOT, run, RUNTIME, runtimeIn, tempDir, test } from "../support/harness.ts";

const usage = "usage: deno run --allow-ffi examples/doctor.ts [PATH]\n";

test("doctor: prints a table and leaves nothing, wherever it can look", async () => {
  await using dir = await tempDir();
  await fs.mkdir(dir.join("tmp"));
  const program = [await runtimeIn(dir.path), ...invocation(`${ROOT}examples/doctor.ts`)];
  for (const path of [undefined, dir.path, dir.join("none")]) {
    const command = path === undefined ? program : [...program, path];
    const { code, stdout, stderr } = await run(command, { env: { TMPDIR: dir.join("tmp") } });
    assertEquals([code, stderr], [0, ""]);
    const rows = stdout.trimEnd().split("\n");
    for (const row of rows) assertMatch(row, /^(ok|limited|missing|unknown) +\S.*|^ +-> \S/);
    assertStringIncludes(rows[0], os.release());
    assertEquals(rows.some((row) => row.includes("backing files")), path !== undefined);
    if (path !== undefined) assert(rows.some((row) => row.includes(JSON.stringify(path))));
  }
  assertEquals(await fs.readdir(dir.join("tmp")), []);
  assertEquals(await mountsUnder(dir.path), []);
});

test("doctor: wrong arguments end with 2 and the usage", async () => {
  await using dir = await tempDir();
  const program = [await runtimeIn(dir.path), ...invocation(`${ROOT}examples/doctor.ts`)];
  for (const words of [["--help"], ["/", "/"]]) {
    assertEquals(await run([...program, ...words]), { code: 2, stdout: "", stderr: usage });
  }
});

async function forbidden(): Promise<void> {
  await using dir = await tempDir();
  const command = [await runtimeIn(dir.path), "run", "--no-prompt", `${ROOT}examples/doctor.ts`];
  const { code, stdout, stderr } = await run(command, { env: { NO_COLOR: "1" } });
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /Requires ffi access to .*, run again with the --allow-ffi flag\n/);
}

// Only there something has to be allowed.
if (RUNTIME === "deno") test("doctor: without --allow-ffi it ends at once and names the permission", forbidden);
