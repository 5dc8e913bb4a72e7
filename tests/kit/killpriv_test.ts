/**
 * Set-id bits and capabilities: what `killpriv.py` sees on the file systems of the kit is what it sees without them.
 */
import { assertEquals } from "@std/assert";
import { mkdir } from "node:fs/promises";
import { libc } from "../../ffi/load.ts";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import { memory } from "../../src/kit/memory.ts";
import { mirror } from "../../src/kit/mirror.ts";
import { mount, type MountOptions } from "../../src/mount/mount.ts";
import { tempDir, test } from "../support/harness.ts";
import { seen } from "./seen.ts";

// Opened here, since it stays open.
libc();

const needs = ["root", "fuse", "tool:python3"] as const;

const changed = (folder: string) => seen("killpriv.py", folder, 400);

let plain: Promise<string[]> | undefined;

/** What is to be seen. */
async function native(): Promise<string[]> {
  await using dir = await tempDir();
  return await changed(dir.path);
}

/** The kernel ends capabilities before it asks whether set-id bits may end, or, where it checks no owners, anything. */
const ENDS_TOO_EARLY = {
  checked: /^\d+ capable (member|stranger) chown of nothing: EPERM/,
  unchecked: /^\d+ capable (member|stranger) ch(own|grp)/,
};

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
      const exempt = ENDS_TOO_EARLY[options.defaultPermissions === false ? "unchecked" : "checked"];
      const compared = (line: string) => !exempt.test(line);
      const lines = (await changed(dir.join("mnt"))).filter(compared);
      const expected = (await plain).filter(compared);
      assertEquals(lines.filter((line) => !expected.includes(line)), expected.filter((line) => !lines.includes(line)));
    });
  }
}
