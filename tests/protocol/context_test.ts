/** What a request says of its caller, on the real kernel. */
import { assert, assertEquals } from "@std/assert";
import fs from "node:fs/promises";
import process from "node:process";
import { type Attr, type Filesystem, type MountOptions, ROOT_ID } from "../../mod.ts";
import { run, tempDir, test } from "../support/harness.ts";
import { ATTRS, entry, kernel, serve, type Served, since, testWith, tree } from "../support/kernel.ts";

const FILE: Attr = { mode: 0o100644 };
const open: MountOptions = { allowOther: true };

/** A tree in which everything that can be made is made, in `dir` of the group 777. */
function maker(): Filesystem {
  const dir: Attr = { mode: 0o042777, nlink: 2, gid: 777 };
  let next = 100;
  const made = (mode: number) => entry(next++, { mode });
  return tree({
    lookup: ({ parent, name }) => parent === ROOT_ID && name === "dir" ? entry(3, dir) : null,
    getattr: ({ nodeid }) => ({ attr: nodeid === ROOT_ID ? { ...dir, gid: 0 } : nodeid === 3 ? dir : FILE }),
    create: () => ({ entry: made(0o100644) }),
    mknod: ({ mode }) => made(mode),
    mkdir: () => made(0o040755),
    symlink: () => made(0o120777),
    tmpfile: () => ({ entry: made(0o100644) }),
  });
}

/** Makes one of each in the root and in `dir`. */
const makeAs = (who: string) => `
  ${who}
  for place in ([], ["dir"]):
      os.close(opened("/".join(place + ["made"]), os.O_CREAT | os.O_WRONLY))
      os.mkfifo(p(*place, "fifo"))
      os.mkdir(p(*place, "new"))
      os.symlink("x", p(*place, "sym"))
      os.close(opened("/".join(place + ["."]), os.O_TMPFILE | os.O_WRONLY))
`;
const MAKERS = ["create", "mknod", "mkdir", "symlink", "tmpfile"] as const;

/** The requests that made something, in a directory. */
const makings = (fs: Served, parent: number) =>
  fs.seen.filter(({ method, args }) => (MAKERS as readonly string[]).includes(method) && args.parent === parent);

test("request: uid, gid and pid are the caller's, unique is its own", kernel, async () => {
  await using fs = await serve(tree(), open);
  await using root = await fs.start(`os.stat(p("file"))`);
  await root.rest();
  await using other = await fs.start(`become(4000000000, 5678, 777); os.stat(p("file"))`);
  await other.rest();
  const lookups = fs.seen.filter(({ method }) => method === "lookup").map(({ request }) => request);
  assertEquals(lookups.map(({ uid, gid, pid }) => [uid, gid, pid]), [
    [0, 0, root.pid],
    [4_000_000_000, 5678, other.pid],
  ]);
  const all = fs.seen.filter(({ request }) => request !== undefined).map(({ request }) => request.unique);
  assertEquals(new Set(all).size, all.length);
  assert(lookups.every((request) => !request.resent && !("groups" in request && request.groups)));
});

testWith(
  since(38),
  "createSuppGroup: the directory's group, where the caller is a member of it beyond gid",
  async () => {
    await using fs = await serve(maker(), { ...open, createSuppGroup: true });
    await fs.client(makeAs("become(1234, 5678, 888, 777, 999)"));
    assertEquals(makings(fs, 3).map(({ method, request }) => [method, request.groups]), MAKERS.map((m) => [m, [777]]));
    assertEquals(makings(fs, 1).map(({ request }) => request.groups), MAKERS.map(() => undefined));
    fs.clear();
    await fs.client(makeAs("become(1234, 777, 888)"));
    assertEquals(makings(fs, 3).map(({ request }) => request.groups), MAKERS.map(() => undefined));
  },
);

testWith(since(38), "createSuppGroup: off, no group comes", async () => {
  await using fs = await serve(maker(), open);
  await fs.client(makeAs("become(1234, 5678, 777)"));
  assertEquals(makings(fs, 3).map(({ request }) => request.groups), MAKERS.map(() => undefined));
});

/** Whether a module that labels files is active; the kernel itself tells it nowhere but in its own file system. */
async function labels(): Promise<boolean> {
  await using at = await tempDir();
  if ((await run(["mount", "-t", "securityfs", "none", at.path])).code !== 0) return false;
  return /selinux|smack/.test(await fs.readFile(at.join("lsm"), "utf8").catch(() => ""));
}
const labelled = process.getuid!() === 0 && await labels();

testWith(
  labelled ? since(36) : ["a security module that labels files"],
  "securityContext: the label of what is made",
  async () => {
    await using fs = await serve(maker(), { ...open, securityContext: true });
    await fs.client(makeAs("become(0, 0)"));
    const made = [...makings(fs, 1), ...makings(fs, 3)];
    for (const { method, request: { securityContexts = [] } } of made) {
      assert(securityContexts.every(({ name, value }) => name.startsWith("security.") && value.length > 0), method);
    }
    assert(made.some(({ request }) => request.securityContexts?.length));
  },
);

testWith(
  labelled ? ["a kernel without a security module that labels files"] : since(36),
  "securityContext: without a security module the list comes, and is empty",
  async () => {
    await using fs = await serve(maker(), { ...open, securityContext: true, createSuppGroup: true });
    await fs.client(makeAs("become(1234, 5678, 777)"));
    const seen = makings(fs, 3).map(({ method, request: r }) => [method, r.securityContexts, r.groups]);
    assertEquals(seen, MAKERS.map((method) => [method, [], [777]]));
  },
);

testWith(since(41), "allowIdmap: ids are those of the file system, on an id-mapped mount", async () => {
  await using mapped = await tempDir();
  await using fs = await serve(
    tree({
      mkdir: (_, { uid, gid }) => entry(10, { mode: 0o040755, nlink: 2, uid, gid }),
      setattr: ({ uid, gid }) => ({ attr: { ...ATTRS[2], uid, gid } }),
      getattr: ({ nodeid }) => ({ attr: { ...ATTRS[nodeid] ?? ATTRS[3], mode: ATTRS[nodeid].mode | 0o222 } }),
    }),
    { ...open, allowIdmap: true, defaultPermissions: true },
  );
  const said = await fs.client(`
    mapped = b"${mapped.path}"
    call("syscall", 429, idmapped(), b"", AT_FDCWD, mapped, 4)
    os.chown(mapped + b"/file", 10007, 10008)
    s = os.stat(mapped + b"/file")
    say(s.st_uid, s.st_gid)
    say(os.stat(p("file")).st_uid)
    say(err(os.chown, mapped + b"/file", 5, 5))
    become(10005, 10006)
    os.mkdir(mapped + b"/new")
  `);
  assertEquals(said, [[10_000, 10_000], 0, "EOVERFLOW"]);
  assertEquals(fs.args("setattr"), [{ nodeid: 2, uid: 7, gid: 8 }]);
  const ids = (made: boolean) =>
    fs.seen.filter(({ method, request }) => request && (method === "mkdir") === made)
      .map(({ request: { uid, gid } }) => `${uid} ${gid}`);
  assertEquals(ids(true), ["5 6"]);
  // The rest is asked in nobody's name, whichever mount it comes by.
  assertEquals(new Set(ids(false)), new Set(["4294967295 4294967295"]));
  assertEquals((await run(["umount", mapped.path])).code, 0);
});

testWith(since(41), "allowIdmap: off, the mount cannot be id-mapped", async () => {
  await using fs = await serve(tree(), { ...open, defaultPermissions: true });
  assertEquals(await fs.client(`say(err(idmapped))`), ["EINVAL"]);
});
