import { assertEquals } from "@std/assert";
import fs from "node:fs/promises";
import { libc } from "../../ffi/load.ts";
import { encodeName } from "../../src/abi/text.ts";
import { deviceNumber, isFuse, parseMounts, readMounts } from "../../src/mount/mountinfo.ts";
import { test } from "../support/harness.ts";

// Opened here, since it stays open.
const c = libc();

const text = [
  "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard",
  "42 27 0:39 / /a\\040b\\011\\012\\134040\udcff rw,nosuid - fuse.x\\040y - rw,user_id=0",
  "43 42 0:40 /sub /- rw shared:2 master:1 unbindable - fuse a\\043b ro",
  "44 43 8:1048575 / /blk rw - fuseblk none rw",
].join("\n") + "\n";

test("parseMounts: fields, optional fields, escapes, bytes that are not UTF-8", () => {
  const [root, odd, hyphen, block] = parseMounts(encodeName(text));
  assertEquals(root, {
    id: 22,
    parent: 1,
    major: 254,
    minor: 0,
    point: "/",
    options: "rw,relatime",
    type: "ext4",
    source: "/dev/vda",
    superOptions: "rw,discard",
    identity: "22 254:0 / ext4 /dev/vda",
  });
  assertEquals(odd.point, "/a b\t\n\\040\udcff");
  assertEquals(odd.identity, "42 0:39 /a\\040b\\011\\012\\134040\udcff fuse.x\\040y -");
  assertEquals([odd.type, odd.source, odd.superOptions], ["fuse.x y", "-", "rw,user_id=0"]);
  assertEquals([hyphen.point, hyphen.type, hyphen.source], ["/-", "fuse", "a#b"]);
  assertEquals([root, odd, hyphen, block].map(isFuse), [false, true, true, false]);
  assertEquals(deviceNumber(odd), 39);
  assertEquals(deviceNumber(block), 8 * 2 ** 20 + 1048575);
});

test("parseMounts: no lines, and a last one without its end", () => {
  assertEquals(parseMounts(new Uint8Array(0)), []);
  assertEquals(parseMounts(encodeName(text.trimEnd())).length, 4);
});

test("readMounts: the list of this process, whole", async () => {
  const lines = async () => (await fs.readFile("/proc/self/mountinfo", "utf8")).trimEnd().split("\n");
  for (;;) {
    const before = await lines();
    const found = readMounts(c);
    // Others mount meanwhile.
    if (before.join() !== (await lines()).join()) continue;
    assertEquals(found.map(({ id }) => id), before.map((line) => parseInt(line)));
    break;
  }
});
