/**
 * Errors that file systems give and callers cannot provoke: they reach the program as they are, whatever lies between.
 */
import { assertMatch } from "@std/assert";
import { tempDir, test } from "../support/harness.ts";
import { mountBtrfs } from "./btrfs.ts";
import { conforms, noBtrfs, serve } from "./support.ts";

const options = { needs: ["root", "fuse"], sanitize: false, timeout: 400_000 } as const;

test("posix: faults, each errno of each call", options, async (t) => {
  await using dir = await tempDir();
  await using _server = await serve(dir, "faulty");
  await conforms(t, dir.path, { faults: { where: "faulty" } });
});

test("posix: faults, with a writeback cache", options, async (t) => {
  await using dir = await tempDir();
  await using _server = await serve(dir, "faulty", {}, { writebackCache: true });
  await conforms(t, dir.path, { faults: { where: "writeback" } });
});

// What lies on a file system that may itself have backing files is stacked too high for the kernel to be one.
const UNSTACKED = { passthrough: false };

for (
  const [where, mirror, mount] of [
    ["mirror", {}, { defaultPermissions: true }],
    ["mirror without passthrough", { passthrough: false }, { defaultPermissions: true }],
    ["mirror checked by its source", { permissions: "own" }, {}],
  ] as const
) {
  test(`posix: faults below a ${where}`, options, async (t) => {
    await using below = await tempDir();
    await using dir = await tempDir();
    await using _faulty = await serve(below, "faulty", {}, UNSTACKED);
    await using server = await serve(dir, `mirror:${below.path}`, mirror, mount);
    await conforms(t, dir.path, { faults: { where, source: below.path } });
    await server.stop();
    assertMatch(server.output, backed(where !== "mirror without passthrough"));
  });
}

for (
  const [how, mirror] of [
    ["", null],
    [", below a mirror", {}],
    [", below a mirror without passthrough", { passthrough: false }],
  ] as const
) {
  const needs = [...options.needs, "tool:mkfs.btrfs"] as const;
  test(`posix: a device that fails${how}`, { ...options, needs }, async (t) => {
    await using images = await tempDir();
    await using disk = await tempDir();
    await using dir = await tempDir();
    await using _faulty = await serve(images, "faulty");
    const image = images.join("image");
    if (!await mountBtrfs(image, disk.path)) return await noBtrfs(t);
    const device = { image, native: disk.path };
    if (mirror === null) return void await conforms(t, disk.path, { device });
    await using server = await serve(dir, `mirror:${disk.path}`, mirror, { defaultPermissions: true });
    await conforms(t, dir.path, { device });
    await server.stop();
    assertMatch(server.output, backed(!("passthrough" in mirror)));
  });
}

/** What a server says at its end: that the kernel had backing files, unless it can have none, or that it had none. */
function backed(some: boolean): RegExp {
  return some ? /^backing files: ([1-9]|this kernel)/m : /^backing files: (0$|this kernel)/m;
}
