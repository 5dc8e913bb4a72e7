/** `examples/passthrough.ts` as a user meets it: with the kernel's passthrough, without, and as an ordinary user. */
import { assertEquals, assertGreater, assertLess, assertMatch } from "@std/assert";
import fs from "node:fs/promises";
import {
  env,
  invocation,
  mountsUnder,
  must,
  run,
  runtimeIn,
  startExample,
  startReady,
  type TempDir,
  tempDir,
  test,
} from "../support/harness.ts";
import { PROGRAMS, work } from "./driver.ts";
import { ORDINARY, ordinaryPlace } from "../support/ordinary.ts";

const options = { needs: ["root", "fuse"] as const, sanitize: false };
const long = { needs: PROGRAMS, sanitize: false, timeout: 240_000 };

/** Makes folders in one. */
async function folders(dir: TempDir, ...names: string[]): Promise<string[]> {
  return await Promise.all(names.map(async (name) => {
    await fs.mkdir(dir.join(name), { recursive: true });
    return dir.join(name);
  }));
}

/**
 * Makes a folder one in memory: for many files, and for passthrough, which is not to be had where all is an overlayfs.
 * Before Linux 6.6 such folders keep no attributes: then it stays as it is.
 */
async function toMemory(path: string, as = (command: string[]) => command): Promise<void> {
  const probe = 'cd "$1" && touch f && setfattr -n user.x -v y f && rm f';
  const line = `mount -t tmpfs -o mode=1777 none "$1" && { (${probe}) || umount "$1"; }`;
  assertEquals(await run(as(["sh", "-c", line, "sh", path]), { env }), { code: 0, stdout: "", stderr: "" });
}

for (
  const [how, flags, said] of [
    ["with the data by the kernel", [], ""],
    ["with --no-passthrough", ["--no-passthrough"], " (without passthrough: the option passthrough is off)"],
  ] as const
) {
  test(`passthrough: what people do with it, ${how}`, long, async () => {
    await using dir = await tempDir();
    if (flags.length > 0) await toMemory(dir.path);
    const [source, mnt, outside] = await folders(dir, "a/source", "b/mnt", "outside");
    await using server = await startExample("passthrough", [source, mnt, "--allow-other", ...flags]);
    await work(mnt, outside);
    assertEquals(await fs.readdir(source), []);
    assertEquals(await server.stop(), { code: 0, signal: null });
    assertEquals(server.output, `mounted on ${mnt}${said}\n`);
  });
}

test("passthrough: what people do with it, as an ordinary user", {
  ...long,
  needs: [...PROGRAMS, ...ORDINARY],
}, async () => {
  await using place = await ordinaryPlace();
  const [source, mnt, outside] = await Promise.all(["source", "mnt", "outside"].map((name) => place.folder(name)));
  await toMemory(source, place.asRoot);
  const example = invocation(`${place.root}examples/passthrough.ts`, source, mnt);
  await using server = await startReady(place.asUser([place.deno, ...example]));
  await work(mnt, outside, place.asUser);
  assertEquals(await server.stop(), { code: 0, signal: null });
  assertEquals(server.output, `mounted on ${mnt}\n`);
  assertEquals(await place.mountsUnder(mnt), []);
});

/** Bytes that a process has read and written so far, by all means. */
async function moved(pid: number): Promise<number> {
  const io = await fs.readFile(`/proc/${pid}/io`, "utf8");
  return ["rchar", "wchar"].reduce((sum, key) => sum + Number(new RegExp(`${key}: (\\d+)`).exec(io)![1]), 0);
}

test("passthrough: the data go past the server; with --no-passthrough they go through it", options, async () => {
  await using dir = await tempDir();
  await toMemory(dir.path);
  const [source, mnt] = await folders(dir, "source", "mnt");
  // Not cat or cp: copy_file_range(2) is the server's to do, and counts as read and written by it.
  const work = `cd ${mnt}; head -c 16M /dev/urandom > f; dd if=f of=g bs=1M status=none; cmp f g; cmp f ${source}/g`;
  for (const [flags, past] of [[[], true], [["--no-passthrough"], false]] as const) {
    await using server = await startExample("passthrough", [source, mnt, ...flags]);
    const before = await moved(server.pid);
    await must(work);
    const bytes = await moved(server.pid) - before;
    if (past) assertLess(bytes, 1 << 20);
    else assertGreater(bytes, 32 << 20);
  }
});

test("passthrough: 5,000 files with no more than 200 descriptors", long, async () => {
  await using dir = await tempDir();
  await toMemory(dir.path);
  const [source, mnt] = await folders(dir, "source", "mnt");
  const words = [await runtimeIn(dir.path), ...invocation("examples/passthrough.ts", source, mnt)];
  for (const flags of [[], ["--no-passthrough"]]) {
    await using server = await startReady(["prlimit", "--nofile=200:200", ...words, ...flags]);
    assertMatch(await must(`grep 'open files' /proc/${server.pid}/limits`), / 200 +200 /);
    const told = await must(`
      cd ${mnt}; mkdir d{1..50}; for d in d*; do (cd $d; touch f{1..100}); done
      find . -type f | wc -l
      exec {keep}< d1 {cwd}< d50/f100
      for d in d*; do exec {fd}<> $d/f7; echo $d >&$fd; done
      cat d*/f7 | sort -u | wc -l
      echo d*/f* | xargs stat -c %i | sort -u | wc -l
      for d in d*; do mv $d/f1 $d/g; done; ls d*/g | wc -l
      rm -r d*; ls | wc -l; ls ${source} | wc -l
    `);
    assertEquals(told.split("\n"), ["5000", "50", "5000", "50", "0", "0", ""]);
  }
});

test(
  "passthrough: a folder mirrored into itself: ls, find and cat end, and the mount in it is ELOOP",
  options,
  async () => {
    await using dir = await tempDir();
    const [sub] = await folders(dir, "s/sub/mnt");
    await fs.writeFile(dir.join("s/file"), "text");
    await using _server = await startExample("passthrough", [dir.join("s"), sub]);
    assertEquals(
      await must(`cd ${sub}; ls; cat file; ls sub; echo more >> sub/f; cat ${dir.join("s/sub/f")}`),
      "file\nsub\ntextmnt\nmore\n",
    );
    for (
      const line of [
        `find ${dir.join("s")}`,
        `ls -lR ${sub}`,
        `stat ${sub}/sub/mnt`,
        `du ${dir.path}`,
        `rmdir ${sub}/sub/mnt`,
      ]
    ) {
      const { code, stderr } = await run(line, { env });
      assertGreater(code, 0, line);
      assertMatch(stderr, /^(.*sub\/mnt.*: (Too many levels of symbolic links|Device or resource busy)\n)+$/, line);
    }
  },
);

test("passthrough: a folder mirrored onto itself", options, async () => {
  await using dir = await tempDir();
  await fs.writeFile(dir.join("file"), "below");
  {
    await using server = await startExample("passthrough", [dir.path, dir.path]);
    const said = await must(`cd ${dir.path}; cat file; mkdir d; echo new > d/f; mv d/f g; ls; find . | wc -l; rmdir d`);
    assertEquals(said, "belowd\nfile\ng\n4\n");
    assertEquals(await server.stop(), { code: 0, signal: null });
  }
  assertEquals(await must(`cd ${dir.path}; cat file g; ls`), "belownew\nfile\ng\n");
});

test("passthrough: the source may be moved, replaced and removed", options, async () => {
  await using dir = await tempDir();
  const [source, mnt] = await folders(dir, "source", "mnt");
  await using server = await startExample("passthrough", [source, mnt]);
  const said = await must(`
    cd ${dir.path}
    echo one > source/f; cat mnt/f
    mv source moved; mkdir source; echo another > source/f
    cat mnt/f; echo two >> mnt/f; cat moved/f; mkdir mnt/d; echo moved/*
    exec 3< mnt/f
    rm -r moved
    cat <&3; ls mnt; find mnt
    ! mkdir mnt/x 2> /dev/null; ! touch mnt/f 2> /dev/null; df mnt > /dev/null; echo end
  `);
  assertEquals(said, "one\none\none\ntwo\nmoved/d moved/f\none\ntwo\nmnt\nend\n");
  assertEquals(await server.stop(), { code: 0, signal: null });
  assertEquals(await mountsUnder(mnt), []);
});

test("passthrough: file systems mounted inside the source are shown, with inodes of their own", options, async () => {
  await using dir = await tempDir();
  const [source, mnt] = await folders(dir, "source/in", "mnt");
  await must(`mount -t tmpfs none ${source}; cd ${source}; echo text > f; mkdir d; ln f d/g; touch ../h`);
  await using _server = await startExample("passthrough", [dir.join("source"), mnt]);
  const said = await must(`
    cd ${mnt}; cat in/d/g; stat -c %h in/f; echo more >> in/f; cat ${source}/f
    find . | wc -l; find . -printf '%i\\n' | sort -u | wc -l
    ! mv h in/ 2>&1 | grep -q .; mv in/f h2 ; cat h2; cat ../source/h2
  `);
  assertEquals(said, "text\n2\ntext\nmore\n6\n5\ntext\nmore\ntext\nmore\n");
});

test("passthrough: a source whose file system knows neither attributes nor access control lists", {
  ...options,
  needs: [...options.needs, "tool:setpriv", "tool:setfattr", "tool:setfacl"],
}, async () => {
  await using dir = await tempDir();
  const [source, mnt] = await folders(dir, "source", "mnt");
  await must(`mount -t ramfs -o mode=755 none ${source}; echo text > ${source}/f`);
  await using _server = await startExample("passthrough", [source, mnt, "--allow-other"]);
  const said = await must(`
    cd ${mnt}
    setpriv --reuid=23456 --regid=23456 --clear-groups sh -c 'cat f; ls; mkdir d 2>&1 || true'
    cp -a f g; getfacl -cE g; setfattr -n user.x -v y g 2>&1 || setfacl -m u:1:r g 2>&1 || true
    (umask 027; mkdir d; touch d/f; stat -c %a d d/f)
  `);
  assertEquals(
    said,
    "text\nf\nmkdir: cannot create directory ‘d’: Permission denied\nuser::rw-\ngroup::r--\nother::r--\n\n" +
      "setfattr: g: Operation not supported\nsetfacl: g: Operation not supported\n750\n640\n",
  );
});
