/** Blocks that the source's file system keeps for root: others get no more of them through a mirror than without. */
import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { chmod, mkdir, stat } from "node:fs/promises";
import { command, must, run, skipped, startReady, tempDir, test, until } from "../../support/harness.ts";

const SIZE = 32 << 20;
const USER = 1000;

/** Makes a file system of which half is kept for root, and mounts it; false where no loop device is free. */
async function mountReserved(image: string, mountpoint: string): Promise<boolean> {
  await must(["truncate", "-s", `${SIZE}`, image]);
  await must(["mkfs.ext4", "-q", "-m", "50", image]);
  const { code } = await run(["mount", "-t", "ext4", "-o", "loop", image, mountpoint]);
  if (code === 0) await chmod(mountpoint, 0o1777);
  return code === 0;
}

/** Ways to fill a file, `$1`, until there is no more room. */
const FILLING = {
  write: 'dd if=/dev/zero of="$1" bs=64k count=512 2>&-',
  fallocate: 'i=0; while fallocate -o "$i" -l 1048576 "$1" 2>&-; do i=$((i + 1048576)); done',
  mapping: `python3 - "$1" <<-'END'
	import mmap, os, sys
	fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
	try:
	    for i in range(512):
	        os.ftruncate(fd, (i + 1) << 16)
	        with mmap.mmap(fd, 1 << 16, offset=i << 16) as page:
	            for at in range(0, 1 << 16, 4096):
	                page[at] = 1
	            page.flush()
	except OSError:
	    pass
	END`,
};

/** How many blocks are free on a file system. */
const free = async (folder: string) => Number(await must(["stat", "-f", "-c", "%f", folder]));

/** How much of a file somebody fills that way, bytes. The folder shows the source. */
async function filled(folder: string, source: string, way: keyof typeof FILLING, uid: number): Promise<number> {
  const before = await free(source);
  const path = `${folder}/${way}-${uid}`;
  const who = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
  // A store to a page for which there is no room ends the process: the rest is what counts.
  await run([...who, "sh", "-c", FILLING[way], "sh", path]);
  await run(["sync", "-f", folder]);
  const { blocks } = await stat(path);
  await must(["rm", path]);
  // What is removed is free a little later, when the server has let go of it.
  await must(["sync", "-f", folder]);
  await until(async () => await free(source) >= before, "as much is free as before");
  return blocks * 512;
}

const KERNEL = { defaultPermissions: true };
const WAYS: Record<string, readonly [made: object, mounted: object]> = {
  "with passthrough": [{}, { ...KERNEL, passthrough: true }],
  "served by the session": [{}, { ...KERNEL, passthrough: false }],
  "its own write": [{ passthrough: false }, KERNEL],
  "a cache of writes": [{}, { ...KERNEL, writebackCache: true }],
  "checked by its source": [{ permissions: "own" }, { passthrough: true }],
};

const needs = ["root", "fuse", "tool:mkfs.ext4", "tool:setpriv", "tool:python3"] as const;

for (const [name, [made, mounted]] of Object.entries(WAYS)) {
  test(`mirror, ${name}: blocks reserved for root are root's`, { needs, sanitize: false }, async (t) => {
    await using dir = await tempDir();
    // The image lies in memory: much of what is written waits for its disk.
    await must(["mount", "-t", "tmpfs", "-o", "mode=755", "fusewire-test", dir.path]);
    for (const folder of ["source", "mnt"]) await mkdir(dir.join(folder));
    const [source, mnt] = [dir.join("source"), dir.join("mnt")];
    if (!await mountReserved(dir.join("image"), source)) return await skipped(t, "needs ext4 and a free loop device");
    const words = [mnt, `mirror:${source}`, JSON.stringify(made), JSON.stringify(mounted)];
    await using _server = await startReady(command("../../posix/serve.ts", import.meta.url, ...words));
    for (const way of ["write", "fallocate", "mapping"] as const) {
      const [native, user, root] = [
        await filled(source, source, way, USER),
        await filled(mnt, source, way, USER),
        await filled(mnt, source, way, 0),
      ];
      const said = `${way}: ${user} by a user, who natively has ${native}; ${root} by root`;
      assertGreater(user, native * 0.8, said);
      assertLess(user, native * 1.2, said);
      assertGreater(root, native * 1.5, said);
    }
    assertEquals((await run(["ls", "-A", mnt])).stdout, "lost+found\n");
  });
}
