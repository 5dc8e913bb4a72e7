import { assert, assertEquals, assertRejects } from "@std/assert";
import { libc } from "../../ffi/load.ts";
import { FuseError } from "../../src/errno.ts";
import { mountByHelper, saysBusy, unmountByHelper } from "../../src/mount/fusermount.ts";
import { settingsOf } from "../../src/mount/options.ts";
import { mountsUnder, openFds, tempDir, test } from "../support/harness.ts";
import { settle } from "../support/settle.ts";

const c = libc();
const needs = ["root", "fuse", "tool:fusermount3"] as const;
const refused = { call: "mount", errno: -1 };

test("mountByHelper: answers the device and closes everything else", { needs }, async () => {
  await using dir = await tempDir();
  await settle();
  const before = await openFds();
  const fd = await mountByHelper(c, dir.path, settingsOf({}), refused);
  assertEquals((await openFds()).get(fd), "/dev/fuse");
  assertEquals((await mountsUnder(dir.path)).map(({ type }) => type), ["fuse.fusewire"]);
  assertEquals(await unmountByHelper(c, dir.path, false), { status: 0, text: "" });
  c.close(fd);
  assertEquals(await openFds(), before);
  assertEquals(await mountsUnder(dir.path), []);
});

test("mountByHelper: what it says is in the error, and everything is closed", { needs }, async () => {
  await using dir = await tempDir();
  await settle();
  const before = await openFds();
  const path = dir.join("missing");
  const says = `fusermount3 says "failed to access mountpoint ${path}: No such file or directory"`;
  const words = `cannot mount on "${path}": mount(2) says EPERM; ${says}`;
  const error = await assertRejects(() => mountByHelper(c, path, settingsOf({}), refused), FuseError, words);
  assertEquals(error.code, "ENOENT");
  assertEquals(await openFds(), before);
});

test("saysBusy: by the end of what the helper says, not by the path", () => {
  const busy = (text: string) => saysBusy({ status: 1, text });
  assert(busy("failed to unmount /x: Device or resource busy"));
  // As musl words it.
  assert(busy("failed to unmount /x: y: Resource busy"));
  assert(!busy("failed to unmount /Device or resource busy: Operation not permitted"));
  assert(!busy("entry for /x: busy not found in /etc/mtab"));
  assert(!busy("bad mount point /a: b/busy"));
  assert(!busy(""));
});
