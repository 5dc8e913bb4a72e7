/** `examples/extents.ts` as a user meets it: one image of several files, which stay as they are. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  env,
  invocation,
  mountsUnder,
  must,
  openFds,
  ROOT,
  run,
  type Running,
  runtimeIn,
  skipped,
  startExample,
  startReady,
  type TempDir,
  tempDir,
  test,
  type TestContext,
} from "../support/harness.ts";

const options = { needs: ["root", "fuse"] as const, sanitize: false, timeout: 120_000 };
const filesystems = ["tool:mkfs.ext4", "tool:e2fsck", "tool:debugfs", "tool:mount", "tool:losetup"] as const;
const FINE = { code: 0, signal: null };

/** Containers may have none. */
const noLoop = (t: TestContext) => skipped(t, "there is no loop device");

interface Image {
  readonly dir: TempDir;
  readonly server: Running;
  /** A line of shell where the parts, the mount and a copy of the concatenation are: `part*`, `mnt/image`, `whole`. */
  sh(line: string): Promise<string>;
}

/** An image of parts of so many random bytes. At the end the parts are as they were, and nothing is left. */
async function withImage(sizes: readonly number[], work: (image: Image) => Promise<void>): Promise<void> {
  await using dir = await tempDir();
  const parts = sizes.map((_, i) => dir.join(`part${i}`));
  await must(sizes.map((size, i) => `head -c ${size} /dev/urandom > part${i}\n`).join(""), { cwd: dir.path });
  await must(
    `mkdir mnt; cat ${parts.join(" ")} > whole; chmod 444 part*; sha256sum part* > sums; stat -c %y part* > times`,
    { cwd: dir.path },
  );
  {
    await using server = await startExample("extents", [dir.join("mnt"), ...parts]);
    assertEquals(server.output, `mounted on ${dir.join("mnt")}\n`);
    await work({ dir, server, sh: (line) => must(line, { cwd: dir.path }) });
    assertEquals(await server.stop(), FINE);
    assertEquals(server.output, `mounted on ${dir.join("mnt")}\n`);
  }
  assertEquals(await mountsUnder(dir.path), []);
  await must("sha256sum --quiet -c sums; stat -c %y part* | cmp - times", { cwd: dir.path });
  assertEquals(await must("ls -A mnt", { cwd: dir.path }), "");
}

test("extents: the image is all parts, whole, in pieces and mapped", options, async () => {
  await withImage([1_000_000, 1, 0, 4096, 777_777], async ({ sh, server }) => {
    assertEquals(await sh("ls mnt; stat -c '%s %F %a' mnt/image"), "image\n1781874 regular file 644\n");
    await sh("cmp mnt/image whole; sha256sum < mnt/image | cmp - <(sha256sum < whole)");
    await sh("for i in 1 2 3 4; do cmp mnt/image whole & done; wait");
    // Across the boundaries, without the page cache's alignment.
    for (const skip of [0, 999_990, 1_000_000, 1_000_001, 1_004_000, 1_781_870]) {
      await sh(`cmp <(tail -c +${skip + 1} mnt/image | head -c 5000) <(tail -c +${skip + 1} whole | head -c 5000)`);
    }
    await sh(
      "dd if=mnt/image of=direct bs=64k iflag=direct status=none; cmp direct whole; cp mnt/image copy; cmp copy whole",
    );
    const mapped = "import mmap; f = open('mnt/image', 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)";
    await sh(`python3 -c "${mapped}; assert m[:] == open('whole', 'rb').read()"`);
    // One descriptor for each part and one for the changes.
    const open = [...(await openFds(server.pid)).values()];
    assertEquals(open.filter((path) => /\/part\d$/.test(path)).length, 5);
    assertEquals(open.filter((path) => path.startsWith("/memfd:changes")).length, 1);
  });
});

test("extents: what is written over the boundary of two parts is read again, and the parts stay", options, async () => {
  await withImage([100_000, 200_000, 50_000], async ({ sh }) => {
    await sh(`
      change() { for f in mnt/image whole; do dd of=$f conv=notrunc status=none "$@" < change; done; cmp mnt/image whole; }
      head -c 100 /dev/urandom > change
      change bs=1 seek=99950
      head -c 30000 /dev/urandom > change
      change bs=30000 oflag=seek_bytes seek=85123
      change bs=4096 seek=73
      change bs=1000 oflag=seek_bytes seek=0
      change bs=30000 oflag=seek_bytes seek=320000
      for i in $(seq 50); do
        at=$((RANDOM * 10)); head -c $((RANDOM % 9000 + 1)) /dev/urandom > change
        change bs=10000 oflag=seek_bytes seek=$at
      done
      sync mnt/image
      sha256sum < mnt/image | cmp - <(sha256sum < whole)
    `);
  });
});

test("extents: it grows, shrinks and has holes like any file", options, async () => {
  await withImage([10_000, 10_000], async ({ sh }) => {
    await sh(`
      both() { for f in mnt/image whole; do "$@" $f; done; cmp mnt/image whole; }
      append() { echo more >> $1; }
      both append
      both truncate -s 5000
      both truncate -s 30000
      both append
      both fallocate -p -o 1000 -l 20000
      both truncate -s 0
      both append
    `);
    assertEquals(await sh("cat mnt/image; stat -c %s mnt/image"), "more\n5\n");
  });
});

test("extents: a file system in parts is checked, mounted and changed, and only in memory", {
  ...options,
  needs: [...options.needs, ...filesystems],
}, async (t) => {
  await using dir = await tempDir();
  const at = (line: string) => must(line, { cwd: dir.path });
  await at(`
    mkdir tree mnt root
    head -c 3000000 /dev/urandom > tree/big; echo small > tree/small; mkdir tree/d; echo deep > tree/d/file
    truncate -s 24M disc; mkfs.ext4 -q -d tree disc
    split -b 9000000 -d disc part; sha256sum part0? > sums
  `);
  {
    await using server = await startExample("extents", ["mnt", "part00", "part01", "part02"].map((n) => dir.join(n)));
    await at("cmp mnt/image disc; e2fsck -fn mnt/image > /dev/null 2>&1");
    const debugfs = (request: string) => at(`debugfs -w -R '${request}' mnt/image 2> /dev/null`);
    assertEquals(await debugfs("cat /small"), "small\n");
    await at("debugfs -w -R 'dump /big dumped' mnt/image 2> /dev/null; cmp dumped tree/big");
    await at(
      "echo changed > change; debugfs -w -f /dev/stdin mnt/image <<< $'rm /small\\nwrite change small' &> /dev/null",
    );
    assertEquals(await debugfs("cat /small"), "changed\n");
    await at("e2fsck -fn mnt/image > /dev/null 2>&1; ! cmp -s mnt/image disc");
    if ((await run(["mount", "-o", "loop", "mnt/image", "root"], { cwd: dir.path })).code !== 0) await noLoop(t);
    else {
      const said = await at(`
        cat root/small root/d/file; cmp root/big tree/big
        rm root/big; head -c 5000000 /dev/urandom > root/other; cp root/other copy; mkdir root/new; echo x > root/new/x
        sync -f root; umount root
        e2fsck -fn mnt/image > /dev/null 2>&1
        mount -o loop mnt/image root; cmp root/other copy; cat root/new/x; ls root; umount root
      `);
      assertEquals(said, "changed\ndeep\nx\nd\nlost+found\nnew\nother\nsmall\n");
    }
    assertEquals(await server.stop("SIGINT"), FINE);
  }
  await at("sha256sum --quiet -c sums; cat part0? | cmp - disc");
  assertEquals(await mountsUnder(dir.path), []);
});

test("extents: umount ends it with 0, and the changes are gone", options, async () => {
  await using dir = await tempDir();
  await must("printf part > part; mkdir mnt", { cwd: dir.path });
  for (const _ of [1, 2]) {
    await using server = await startExample("extents", [dir.join("mnt"), dir.join("part")]);
    assertEquals(await must("cat mnt/image; printf x > mnt/image; cat mnt/image", { cwd: dir.path }), "partx");
    await must("umount mnt", { cwd: dir.path });
    assertEquals(await server.exited, FINE);
  }
});

test("extents: refusals end with 2 and the usage, or 1 and what is wrong, and leave nothing", options, async () => {
  await using dir = await tempDir();
  await must("mkdir mnt d; mkfifo fifo; touch file", { cwd: dir.path });
  const program = [await runtimeIn(dir.path), ...invocation(`${ROOT}examples/extents.ts`)];
  const refused = async (...args: string[]) => {
    const { code, stdout, stderr } = await run([...program, ...args], {
      cwd: dir.path,
      env: { ...env, NO_COLOR: "1" },
    });
    assertEquals(stdout, "");
    return [code, stderr];
  };
  const usage = "usage: deno run --allow-ffi examples/extents.ts MOUNTPOINT PART...\n";
  for (const args of [[], ["mnt"], ["mnt", "--unknown", "file"]]) assertEquals(await refused(...args), [2, usage]);
  const parts: Record<string, string> = {
    missing: 'cannot open "missing": open(2) says ENOENT\n',
    d: 'cannot open "d": it is neither a regular file nor a block device\n',
    fifo: 'cannot open "fifo": it is neither a regular file nor a block device\n',
    "/dev/null": 'cannot open "/dev/null": it is neither a regular file nor a block device\n',
  };
  for (const [part, says] of Object.entries(parts)) assertEquals(await refused("mnt", "file", part), [1, says]);
  const [code, says] = await refused("nowhere", "file");
  assertEquals(code, 1);
  assertStringIncludes(String(says), "cannot mount on");
  assertMatch(String(says), /ENOENT.*\n$/);
  assertEquals(await mountsUnder(dir.path), []);
  assertEquals(await must("ls -A mnt", { cwd: dir.path }), "");
});

test("extents: parts that are block devices", { ...options, needs: [...options.needs, "tool:losetup"] }, async (t) => {
  await using dir = await tempDir();
  await must(
    "head -c 1M /dev/urandom > disc; head -c 1000 /dev/urandom > rest; cat disc rest > whole; mkdir mnt",
    { cwd: dir.path },
  );
  const attached = await run(["losetup", "-f", "--show", "-r", dir.join("disc")]);
  if (attached.code !== 0) return await noLoop(t);
  const device = attached.stdout.trim();
  try {
    await using server = await startReady([
      await runtimeIn(dir.path),
      ...invocation(`${ROOT}examples/extents.ts`, dir.join("mnt"), device, dir.join("rest")),
    ]);
    await must("cmp mnt/image whole", { cwd: dir.path });
    assertEquals(await server.stop(), FINE);
  } finally {
    await run(["losetup", "-d", device]);
  }
});
