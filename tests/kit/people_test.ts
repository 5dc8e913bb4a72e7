/** Different users on the file systems of the kit: what `people.py` sees there is what it sees without them. */
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

const people = (folder: string) => seen("people.py", folder, 250);

/** The kernel checks permissions, with access control lists. */
const KERNEL: MountOptions = { defaultPermissions: true, posixAcl: true };

/** Compares what users see on a file system with what they see in a plain folder. */
async function compare(make: (source: string) => Filesystem, options: MountOptions): Promise<void> {
  await using dir = await tempDir();
  for (const name of ["plain", "source", "mnt"]) await mkdir(dir.join(name));
  const common = { allowOther: true, nosuid: false, nodev: false, dontMask: true, handleKillpriv: true };
  await using _session = await mount(make(dir.join("source")), dir.join("mnt"), { ...common, ...options });
  assertEquals(await people(dir.join("mnt")), await people(dir.join("plain")));
}

test("memory: users, where the kernel checks permissions", { needs, sanitize: false }, async () => {
  await compare(() => memory(), KERNEL);
});

test("memory: users, where it checks permissions itself", { needs, sanitize: false }, async () => {
  await compare(() => memory({ permissions: "own" }), {});
});

test("memory: users, without handleKillpriv", { needs, sanitize: false }, async () => {
  await compare(() => memory(), { ...KERNEL, handleKillpriv: false });
});

test("mirror: users, where the kernel checks permissions", { needs, sanitize: false }, async () => {
  await compare((source) => mirror(source), KERNEL);
});

test("mirror: users, without passthrough", { needs, sanitize: false }, async () => {
  await compare((source) => mirror(source, { passthrough: false }), { ...KERNEL, passthrough: false });
});

for (const permissions of ["kernel", "own"] as const) {
  const checks = permissions === "kernel" ? KERNEL : {};

  test(
    `memory, mirror: users, with a cache of writes and permissions ${permissions}`,
    { needs, sanitize: false },
    async () => {
      await compare(() => memory({ permissions }), { ...checks, writebackCache: true });
      await compare((source) => mirror(source, { permissions }), { ...checks, writebackCache: true });
    },
  );
}

test("mirror: users, where the source checks permissions", { needs, sanitize: false }, async () => {
  await compare((source) => mirror(source, { permissions: "own" }), {});
});
