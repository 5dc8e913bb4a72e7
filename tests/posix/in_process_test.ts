/** The conformance map without a kernel, and what it finds where something is broken. */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { memory } from "../../kit.ts";
import { type ErrnoName, type Filesystem, FuseError, type WriteArgs } from "../../mod.ts";
import { type Cases, needing, type Outcome, posixCases, posixGroups, runCases } from "../../testing.ts";
import { test } from "../support/harness.ts";
import { CROWD, crowd } from "./crowd.ts";

/** A file system in memory, of which some methods are others. */
function broken(change: (fs: Filesystem) => Partial<Filesystem>, fs = memory()): Filesystem {
  const whole = Object.fromEntries(
    METHODS.map((name) => [name, (fs as any)[name]?.bind(fs)]),
  ) as Filesystem;
  return { ...whole, ...change(whole) };
}

const METHODS = [
  ...["lookup", "forget", "getattr", "setattr", "readlink", "symlink", "mknod", "mkdir", "unlink", "rmdir", "rename"],
  ...[
    "link",
    "open",
    "read",
    "write",
    "statfs",
    "release",
    "fsync",
    "setxattr",
    "getxattr",
    "listxattr",
    "removexattr",
  ],
  ...["opendir", "readdir", "releasedir", "fsyncdir", "create", "tmpfile", "fallocate", "lseek", "copyFileRange"],
];

const failed = (outcomes: readonly Outcome[]) => outcomes.filter(({ result }) => result === "failed");

test("posix: memory without a kernel", async () => {
  const fs = memory();
  const outcomes = await runCases(posixCases, fs);
  assertEquals(failed(outcomes), []);
  assert(outcomes.filter(({ result }) => result === "ok").length > 400, "most cases run");
  assertEquals(fs.counts().inodes, 1, "every lookup was taken back");
});

test("posix: memory without a kernel: as many names as ext4 gives a file, and no more", async () => {
  const fs = memory({ snapshot: crowd(CROWD) });
  const [{ result }] = await runCases(posixCases, fs, { crowded: "/crowded", filter: /EMLINK/ });
  assertEquals(result, "ok");
  memory({ snapshot: crowd(65_000) });
  assertThrows(() => memory({ snapshot: crowd(65_001) }), FuseError, "more than 65000 names");
});

/** What is broken, and a case that finds it. */
const MUTANTS: Readonly<Record<string, readonly [(fs: Filesystem) => Partial<Filesystem>, finder: string]>> = {
  "data of write is kept without a copy": [
    (fs) => {
      const kept: WriteArgs[] = [];
      return {
        write: (args, request) => (kept.push(args), fs.write!(args, request)),
        read(args, request) {
          const bytes = (fs.read!(args, request) as Uint8Array).slice();
          for (const { nodeid, offset, data } of kept) {
            if (nodeid === args.nodeid) data.forEach((byte, i) => bytes[offset - args.offset + i] = byte);
          }
          return bytes;
        },
      };
    },
    "write: what is read back, in pieces of every size",
  ],
  "rename over a full directory says that it worked": [
    (fs) => ({
      rename(args, request) {
        try {
          return fs.rename!(args, request);
        } catch (error) {
          if (!(error instanceof FuseError && error.code === "ENOTEMPTY")) throw error;
        }
      },
    }),
    "rename: ENOTEMPTY over a directory with something in it",
  ],
  "unlink does not mark the directory changed": [
    (fs) => ({
      unlink(args, request) {
        const { mtime, mtimeNsec } = (fs.getattr!({ nodeid: args.parent }, request) as any).attr;
        fs.unlink!(args, request);
        fs.setattr!({ nodeid: args.parent, mtime, mtimeNsec }, request);
      },
    }),
    "times: unlink changes mtime and ctime of d",
  ],
  "readdir tells an entry twice": [
    (fs) => ({
      readdir: (args, request) => {
        const entries = [...fs.readdir!(args, request) as Iterable<any>];
        return entries.length > 5 ? [...entries.slice(0, 5), entries[4], ...entries.slice(5)] : entries;
      },
    }),
    "readdir: a thousand entries, with room for few",
  ],
  "upper and lower case are one": [
    (fs) => ({
      lookup: (args, request) => fs.lookup!({ ...args, name: args.name.toLowerCase() }, request),
    }),
    "names: upper and lower case are two",
  ],
  "truncation leaves what was there": [
    (fs) => ({
      setattr: ({ size, ...args }, request) =>
        size === undefined || size < 5000 ? fs.setattr!({ size, ...args }, request) : fs.getattr!(args, request),
    }),
    "truncate: to less and to more",
  ],
  "nanoseconds are lost": [
    (fs) => ({ setattr: (args, request) => fs.setattr!({ ...args, mtimeNsec: undefined }, request) }),
    "utimensat: seconds and nanoseconds",
  ],
  "an attribute that exists is made once more": [
    (fs) => ({ setxattr: (args, request) => fs.setxattr!({ ...args, flags: 0 }, request) }),
    "setxattr: XATTR_CREATE and XATTR_REPLACE",
  ],
  "directories count no links": [
    (fs) => ({
      getattr(args, request) {
        const { attr } = fs.getattr!(args, request) as { attr: any };
        return { attr: { ...attr, nlink: 2 } };
      },
    }),
    "mkdir: link counts of a directory",
  ],
};

for (const [what, [change, finder]] of Object.entries(MUTANTS)) {
  test(`posix: found: ${what}`, async () => {
    const cases: Cases = { [finder]: posixCases[finder] };
    assertEquals((await runCases(cases, memory()))[0].result, "ok");
    assertEquals((await runCases(cases, broken(change)))[0].result, "failed");
  });
}

test("posix: an outcome says which call did what", async () => {
  const cases: Cases = {
    "expects success": ({ ok }) => void ok.open("missing", "RDONLY|NOFOLLOW"),
    "expects an errno": ({ fails }) => fails("EEXIST").mkdir("d", 0o700),
    "expects another errno": ({ fails }) => fails("EPERM", "EACCES").rmdir("missing"),
    "expects a value": ({ ok, is }) => is(ok.stat(".").mode, 0o100644, "the mode"),
    "expects text": ({ put, content, is }) => {
      put("f", "one");
      is(content("f"), "two");
    },
    "needs more": needing("users", () => {}),
    "needs a kernel": ({ ok }) => void ok.pipe(),
    "is broken": () => {
      throw new TypeError("a mistake");
    },
  };
  const outcomes = await runCases(cases, memory(), { skip: { "is not run": "for a reason" } });
  const messages = outcomes.map(({ name, result, message }) => [name, result, message!.split("\n")[0]]);
  assertEquals(messages, [
    ["expects success", "failed", 'open("missing", "RDONLY|NOFOLLOW"): expected success, got ENOENT'],
    ["expects an errno", "failed", 'mkdir("d", 0700): expected EEXIST, got success (0)'],
    ["expects another errno", "failed", 'rmdir("missing"): expected EPERM or EACCES, got ENOENT'],
    ["expects a value", "failed", "the mode: expected 33188, got 16877"],
    ["expects text", "failed", 'expected "two", got "one"'],
    ["needs more", "skipped", "needs users"],
    ["needs a kernel", "skipped", "pipe needs a kernel"],
    ["is broken", "failed", "TypeError: a mistake"],
  ]);
  assertEquals(outcomes.map(({ assertions }) => assertions), [1, 1, 1, 2, 8, 0, 0, 0]);
});

test("posix: what is told to be skipped is skipped, and a file system that answers later is", async () => {
  const cases: Cases = { "one": ({ ok }) => void ok.mkdir("d"), "two": ({ ok }) => void ok.symlink("a", "b") };
  const skipped = await runCases(cases, memory(), { skip: { one: "it is known" }, filter: /o/ });
  assertEquals(skipped.map(({ name, result, message }) => [name, result, message]), [
    ["one", "skipped", "it is known"],
    ["two", "ok", undefined],
  ]);
  const later = await runCases(
    cases,
    broken((fs) => ({ symlink: (...args) => Promise.resolve(fs.symlink!(...args)) })),
  );
  assertEquals(later.map(({ result }) => result), ["ok", "skipped"]);
  assertStringIncludes(later[1].message!, "symlink answers later");
});

test("posix: what a file system cannot do, in a case or behind it, is told of each", async () => {
  const filter = /^(mkdir|unlink|open|readdir|truncate|symlink):/;
  const wanted = Object.keys(posixCases).filter((name) => filter.test(name));
  for (const absent of ["lookup", "getattr", "setattr", "mkdir", "unlink", "rmdir", "readdir", "opendir"]) {
    const outcomes = await runCases(posixCases, broken(() => ({ [absent]: undefined })), { filter });
    assertEquals(outcomes.map(({ name }) => name), wanted, absent);
    assertEquals(failed(outcomes), [], absent);
  }
  const later = broken((fs) => ({ release: (...args) => Promise.resolve(fs.release!(...args)) }));
  assertEquals(failed(await runCases(posixCases, later, { filter })), []);
  const fs = memory();
  const cases: Cases = { "a file": ({ put }) => put("f"), "a folder": ({ ok }) => void ok.mkdir("d") };
  const still = await runCases(cases, broken(() => ({ setattr: undefined }), fs));
  assertEquals(still.map(({ result }) => result), ["ok", "ok"]);
  assertEquals(fs.counts().inodes, 1, "what can be removed is");
  const stuck = broken(() => ({
    unlink() {
      throw new TypeError("a mistake");
    },
  }));
  const outcomes = await runCases(cases, stuck);
  assertEquals(outcomes.map(({ result }) => result), ["failed", "ok"]);
  assertStringIncludes(outcomes[0].message!, "a mistake");
});

test("posix: a clean-up that an errno ends fails the case, and removes what it can", async () => {
  const two: Cases = {
    "two": ({ ok, put }) => {
      ok.mkdir("d");
      put("d/f");
      put("f");
    },
  };
  const refused = (errno: ErrnoName) => () => {
    throw new FuseError(errno);
  };
  const after = async (change: (fs: Filesystem) => Partial<Filesystem>): Promise<[string, string?]> => {
    const fs = memory();
    const [{ result, message }] = await runCases(two, broken(change, fs));
    return [`${result}, ${fs.counts().inodes}`, message?.replace(/case-[^/"]+/, "case")];
  };
  const said = (call: string, path: string) => `behind the case, expected success of ${call}("${path}"): EIO`;
  assertEquals(await after(() => ({ unlink: refused("EIO") })), ["failed, 5", said("unlink", "case/d/f")]);
  assertEquals(await after(() => ({ rmdir: refused("EIO") })), ["failed, 3", said("rmdir", "case/d")]);
  assertEquals(await after(() => ({ opendir: refused("EIO") })), ["failed, 5", said("open", "case")]);
  assertEquals(await after(() => ({ readdir: refused("EIO") })), ["failed, 5", said("getdents", "case")]);
  const unlinked = (fs: Filesystem): Partial<Filesystem> => {
    let gone = 0;
    return {
      unlink: (args, request) => (fs.unlink!(args, request), void gone++),
      getattr: (args, request) => gone > 0 ? refused("EIO")() : fs.getattr!(args, request),
    };
  };
  assertMatch((await after(unlinked))[1]!, /^behind the case, expected success of \w+\("case.*"\): EIO$/);
  // What there is no method for, a file system that has become read-only, and what is gone already.
  assertEquals(await after(() => ({ unlink: refused("ENOSYS") })), ["ok, 5", undefined]);
  assertEquals(await after(() => ({ unlink: refused("EIO"), rmdir: refused("EROFS") })), ["ok, 5", undefined]);
  const twice = (fs: Filesystem): Partial<Filesystem> => ({
    unlink: (args, request) => (fs.unlink!(args, request), refused("ENOENT")()),
  });
  assertEquals(await after(twice), ["ok, 1", undefined]);
});

test("posix: a file system is told its end, even where what was looked up cannot be taken back", async () => {
  let ends = 0;
  const fs = broken(() => ({
    forget() {
      throw new TypeError("a mistake");
    },
    destroy: () => void ends++,
  }));
  await assertRejects(() => runCases({ "one": ({ put }) => put("f") }, fs), TypeError, "a mistake");
  assertEquals(ends, 1);
});

test("posix: every case has a name of its own that says what it is about", () => {
  const names = Object.values(posixGroups).flatMap((cases) => Object.keys(cases));
  for (const name of names) assert(/^[^:]+: \S/.test(name), name);
  assertEquals(names.length, Object.keys(posixCases).length);
});
