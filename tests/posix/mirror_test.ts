/** The conformance map on `mirror()`. */
import { NOBODY, ORDINARY, ordinaryPlace } from "../support/ordinary.ts";
import { invocation, startReady, tempDir, test } from "../support/harness.ts";
import { limitedBtrfs } from "./btrfs.ts";
import { CROWD, makeCrowd } from "./crowd.ts";
import { KNOWN } from "./exceptions.ts";
import { conforms, noBtrfs, quotaConforms, serve } from "./support.ts";

const options = { needs: ["root", "fuse"], sanitize: false, timeout: 400_000 } as const;
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

test("posix: mirror, a file with many names", { ...options, needs: ["root", "fuse", "tool:python3"] }, async (t) => {
  await using source = await tempDir();
  await makeCrowd(source.path, CROWD);
  for (const passthrough of [true, false]) {
    await using dir = await tempDir();
    await using _server = await serve(dir, `mirror:${source.path}`, { passthrough }, KERNEL);
    await conforms(t, dir.path, { crowded: dir.join("crowded"), filter: "EMLINK" });
  }
});

test("posix: mirror of btrfs with a quota", { ...options, needs: ["root", "fuse", "tool:mkfs.btrfs"] }, async (t) => {
  for (const passthrough of [true, false]) {
    // A new one each time: what is removed still counts for a while.
    await using source = await tempDir();
    const limited = await limitedBtrfs(source, 16 << 20);
    if (limited === null) return await noBtrfs(t);
    await using dir = await tempDir();
    await using _server = await serve(dir, `mirror:${limited.path}`, { passthrough }, KERNEL);
    await quotaConforms(t, dir.path, limited);
  }
});

test("posix: mirror, checked by the source's file system", options, async (t) => {
  await using source = await tempDir();
  await using dir = await tempDir();
  await using _server = await serve(dir, `mirror:${source.path}`, { permissions: "own" });
  await conforms(t, dir.path, { known: KNOWN["mirror checked by its source"] });
});

test("posix: mirror, with names and attributes kept for long", options, async (t) => {
  await using source = await tempDir();
  await using dir = await tempDir();
  const keep = { entryTimeout: 60, attrTimeout: 60, negativeTimeout: 60 };
  await using _server = await serve(dir, `mirror:${source.path}`, keep, KERNEL);
  await conforms(t, dir.path, { known: KNOWN["mirror with attributes kept"] });
});

test("posix: mirror served by an ordinary user, for that user", { ...options, needs: ORDINARY }, async (t) => {
  await using place = await ordinaryPlace();
  const [source, mnt] = [await place.folder("source"), await place.folder("mnt")];
  const program = invocation(`${place.root}examples/passthrough.ts`, source, mnt);
  await using _server = await startReady(place.asUser([place.deno, ...program]));
  // Passthrough is root's.
  const { exceptions } = KNOWN["mirror without passthrough"];
  await conforms(t, mnt, { uid: NOBODY, place, known: { exceptions } });
});
