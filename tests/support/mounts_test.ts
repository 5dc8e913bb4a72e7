import { assertEquals, assertRejects } from "@std/assert";
import { mountsUnder, run, startReady, tempDir, test } from "./harness.ts";
import { isUnder, parseMounts, unmount } from "./mounts.ts";
import { deafServer } from "./deaf_server.ts";

test("parseMounts: fields, escapes, optional fields", () => {
  assertEquals(
    parseMounts(
      "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n" +
        "90 22 0:52 / /tmp/a\\040b\\134c rw,nosuid shared:2 master:1 - fuse.hello a\\011b rw,user_id=0\n" +
        "91 22 0:53 / /mnt ro - tmpfs none rw\n",
    ),
    [
      { path: "/", type: "ext4", source: "/dev/sda1", minor: 1, options: "rw,relatime,rw" },
      { path: "/tmp/a b\\c", type: "fuse.hello", source: "a\tb", minor: 52, options: "rw,nosuid,rw,user_id=0" },
      { path: "/mnt", type: "tmpfs", source: "none", minor: 53, options: "ro,rw" },
    ],
  );
});

test("isUnder: the folder and what is below it, not its namesakes", () => {
  const at = (path: string) => isUnder("/a/b")({ path, type: "", source: "", minor: 0, options: "" });
  assertEquals(["/a/b", "/a/b/c", "/a/bc", "/a", "/"].map(at), [true, true, false, false, false]);
});

test("mountsUnder, unmount: mounts above each other and one that nobody serves", {
  needs: ["root", "fuse", "tool:python3"],
}, async () => {
  await using dir = await tempDir();
  await run(["mount", "-t", "tmpfs", "first", dir.path]);
  await run(["mkdir", dir.join("with space")]);
  await run(["mount", "-t", "tmpfs", "second", dir.join("with space")]);
  await run(["mkdir", dir.join("with space", "deaf")]);
  await using server = await startReady(deafServer(dir.join("with space", "deaf")));
  assertEquals((await mountsUnder(dir.path)).map(({ source }) => source), ["deaf", "second", "first"]);
  // Nobody answers, so that whoever looks waits until the connection is aborted.
  const looking = run(["stat", "-f", dir.join("with space", "deaf")]);
  await assertRejects(() => run(["stat", dir.join("with space", "deaf")], { timeout: 200 }), Error, "not ended");
  await unmount(isUnder(dir.path));
  assertEquals(await mountsUnder(dir.path), []);
  assertEquals((await looking).code, 1);
  assertEquals((await server.stop()).signal, "SIGTERM");
});
