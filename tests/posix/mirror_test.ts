/** The conformance map on `mirror()`. */
import { tempDir, test } from "../support/harness.ts";
import { KNOWN } from "./exceptions.ts";
import { conforms, serve } from "./support.ts";

const options = { needs: ["root", "fuse"], sanitize: false, timeout: 150_000 } as const;
const KERNEL = { defaultPermissions: true, posixAcl: true };

for (const passthrough of [true, false]) {
  const how = passthrough ? "with passthrough" : "without passthrough";
  test(`posix: mirror ${how}, checked by the kernel`, options, async (t) => {
    await using source = await tempDir();
    await using dir = await tempDir();
    await using _server = await serve(dir, `mirror:${source.path}`, { passthrough }, KERNEL);
    await conforms(t, dir.path, { known: KNOWN[passthrough ? "mirror" : "mirror without passthrough"] });
  });
}

test("posix: mirror, checked by the source's file system", options, async (t) => {
  await using source = await tempDir();
  await using dir = await tempDir();
  await using _server = await serve(dir, `mirror:${source.path}`, { permissions: "own" });
  await conforms(t, dir.path, { known: KNOWN.mirror });
});

test("posix: mirror, with names and attributes kept for long", options, async (t) => {
  await using source = await tempDir();
  await using dir = await tempDir();
  const keep = { entryTimeout: 60, attrTimeout: 60, negativeTimeout: 60 };
  await using _server = await serve(dir, `mirror:${source.path}`, keep, KERNEL);
  await conforms(t, dir.path, { known: KNOWN.mirror });
});
