/** Set-id bits and capabilities: what `killpriv.py` sees on the file systems of the kit is what it sees without them. */
import { assertEquals, assertGreater } from "@std/assert";
import { mkdir } from "node:fs/promises";
import { libc } from "../../ffi/load.ts";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import { memory } from "../../src/kit/memory.ts";
import { mirror } from "../../src/kit/mirror.ts";
import { mount, type MountOptions } from "../../src/mount/mount.ts";
import { run, tempDir, test } from "../support/harness.ts";

// Opened here, since it stays open.
libc();

const SCRIPT = new URL("killpriv.py", import.meta.url).pathname;
const needs = ["root", "fuse", "tool:python3"] as const;

/** What the script prints about a folder, line by line. */
async function seen(folder: string): Promise<string[]> {
  const { code, stdout, stderr } = await run(["python3", SCRIPT, folder], { timeout: 60_000 });
  assertEquals([code, stderr], [0, ""]);
  return stdout.split("\n");
}

let plain: Promise<string[]> | undefined;

/** What is to be seen. */
async function native(): Promise<string[]> {
  await using dir = await tempDir();
  return await seen(dir.path);
}

/** Where the kernel checks no owners it ends capabilities before it asks whether there may be another owner. */
const ENDS_TOO_EARLY = /^777 capable (member|stranger) ch(own|grp)/;

/** Reads and writes of its files go past the page cache. */
function direct(fs: Filesystem): Filesystem {
  return {
    ...fs,
    open: async (args, request) => ({ ...await fs.open!(args, request), directIo: true }),
    create: async (args, request) => ({ ...await fs.create!(args, request), directIo: true }),
  };
}

// Not sticky, as the folder that it is compared with.
const inMemory = () => memory({ mode: 0o755 });

const SYSTEMS: Record<string, [(source: string) => Filesystem, MountOptions]> = {
  "memory": [inMemory, {}],
  "memory, past the page cache": [() => direct(inMemory()), { atomicOTrunc: true }],
  "memory, a cache of writes": [inMemory, { writebackCache: true }],
  "memory, permissions own": [() => memory({ mode: 0o755, permissions: "own" }), { defaultPermissions: false }],
  "mirror": [mirror, {}],
  "mirror, served by the session": [mirror, { passthrough: false, atomicOTrunc: true }],
  "mirror, served by the session past the page cache": [(source) => direct(mirror(source)), { passthrough: false }],
  "mirror, its own read and write": [(source) => mirror(source, { passthrough: false }), {}],
  "mirror, past the page cache": [(source) => direct(mirror(source, { passthrough: false })), { atomicOTrunc: true }],
  "mirror, a cache of writes": [mirror, { writebackCache: true }],
  "mirror, permissions own": [(source) => mirror(source, { permissions: "own" }), { defaultPermissions: false }],
};

for (const [name, [make, options]] of Object.entries(SYSTEMS)) {
  for (const handleKillpriv of [false, true, "v1"] as const) {
    test(`${name}, handleKillpriv ${handleKillpriv}: set-id bits end as natively`, {
      needs,
      sanitize: false,
    }, async () => {
      plain ??= native();
      await using dir = await tempDir();
      for (const name of ["source", "mnt"]) await mkdir(dir.join(name));
      await using _session = await mount(make(dir.join("source")), dir.join("mnt"), {
        allowOther: true,
        nosuid: false,
        defaultPermissions: true,
        handleKillpriv,
        ...options,
      });
      const compared = (line: string) => options.defaultPermissions !== false || !ENDS_TOO_EARLY.test(line);
      const lines = (await seen(dir.join("mnt"))).filter(compared);
      assertGreater(lines.length, 300);
      const expected = (await plain).filter(compared);
      assertEquals(lines.filter((line) => !expected.includes(line)), expected.filter((line) => !lines.includes(line)));
    });
  }
}
