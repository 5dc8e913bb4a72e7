/** What every call with a path says to paths that lead nowhere. Source: `path_resolution(7)`. */
import type { ErrnoName } from "../../errno.ts";
import { ALICE, type Case, type Cases, type Need, needing, type Place } from "../place.ts";
import type { Path, Sys } from "../sys.ts";

type PathCall = readonly [run: (sys: Sys, path: Path) => unknown, needs?: readonly Need[]];

/**
 * Calls that want something at the path, and do not change a file "f" or a directory "d" in a way that matters here.
 */
const FINDING: Readonly<Record<string, PathCall>> = {
  open: [(sys, path) => sys.open(path, "RDONLY")],
  "open O_PATH": [(sys, path) => sys.open(path, "PATH")],
  stat: [(sys, path) => sys.stat(path)],
  lstat: [(sys, path) => sys.lstat(path)],
  access: [(sys, path) => sys.access(path, "F")],
  chmod: [(sys, path) => sys.chmod(path, 0o755)],
  chown: [(sys, path) => sys.chown(path, -1, -1)],
  lchown: [(sys, path) => sys.lchown(path, -1, -1)],
  utimensat: [(sys, path) => sys.utimens(path, null)],
  truncate: [(sys, path) => sys.truncate(path, 0)],
  statfs: [(sys, path) => sys.statfs(path)],
  readlink: [(sys, path) => sys.readlink(path)],
  unlink: [(sys, path) => sys.unlink(path)],
  rmdir: [(sys, path) => sys.rmdir(path)],
  "link from": [(sys, path) => sys.link(path, "new"), ["link"]],
  "rename from": [(sys, path) => sys.rename(path, "new")],
  getxattr: [(sys, path) => sys.getxattr(path, "user.a"), ["xattr"]],
  setxattr: [(sys, path) => sys.setxattr(path, "user.a", "1"), ["xattr"]],
  listxattr: [(sys, path) => sys.listxattr(path), ["xattr"]],
  removexattr: [(sys, path) => sys.removexattr(path, "user.a"), ["xattr"]],
};

/** Calls that make something at the path. */
const MAKING: Readonly<Record<string, PathCall>> = {
  "open O_CREAT": [(sys, path) => sys.open(path, "WRONLY|CREAT")],
  "open O_CREAT|O_EXCL": [(sys, path) => sys.open(path, "WRONLY|CREAT|EXCL")],
  mkdir: [(sys, path) => sys.mkdir(path)],
  "mknod of a file": [(sys, path) => sys.mknod(path, 0o100644)],
  "mknod of a fifo": [(sys, path) => sys.mknod(path, 0o010644), ["special"]],
  symlink: [(sys, path) => sys.symlink("f", path), ["symlink"]],
  "link to": [(sys, path) => sys.link("f", path), ["link"]],
  "rename to": [(sys, path) => sys.rename("f", path)],
};

/** Those of them that want a name that is free. */
const EXCLUSIVE = ["open O_CREAT|O_EXCL", "mkdir", "mknod of a file", "mknod of a fifo", "symlink", "link to"];

const LONG = "n".repeat(255), TOO_LONG = "n".repeat(256);
// 4,095 bytes, so that with its NUL it fills PATH_MAX.
const DEEP = "./".repeat(2047);

/** Those that change nothing. */
const READING = ["open", "open O_PATH", "stat", "lstat", "access", "statfs", "readlink", "getxattr", "listxattr"];

/** Fails unless the call with the path answers one of these. */
function check(at: Place, [run]: PathCall, path: Path, ...codes: ErrnoName[]): void {
  run(at.fails(...codes) as unknown as Sys, path);
}

function each(calls: Readonly<Record<string, PathCall>>, what: string, make: (call: PathCall, name: string) => Case) {
  return Object.fromEntries(
    Object.entries(calls).map(([name, call]) => {
      const made = make(call, name);
      return [`${name}: ${what}`, needing([...made.needs ?? [], ...call[1] ?? []], made)];
    }),
  );
}

const ALL = { ...FINDING, ...MAKING };
const plain =
  (make: (at: Place, call: PathCall, name: string) => void) => (call: PathCall, name: string): Case => (at) =>
    make(at, call, name);

export const pathCases: Cases = {
  ...each(
    FINDING,
    "ENOENT where nothing is",
    plain((at, call) => {
      check(at, call, "missing", "ENOENT");
      check(at, call, "missing/below", "ENOENT");
      check(at, call, "", "ENOENT");
    }),
  ),
  ...each(
    MAKING,
    "ENOENT where the folder is not",
    plain((at, call) => {
      at.put("f");
      check(at, call, "missing/below", "ENOENT");
      check(at, call, "", "ENOENT");
    }),
  ),
  ...each(ALL, "ENOENT below a symbolic link to nothing", (call) =>
    needing("symlink", (at) => {
      at.put("f");
      at.ok.symlink("missing", "dangling");
      check(at, call, "dangling/below", "ENOENT");
    })),
  ...each(
    ALL,
    "ENOTDIR below a file",
    plain((at, call) => {
      at.put("f");
      at.put("file");
      check(at, call, "file/below", "ENOTDIR");
      check(at, call, "file/below/further", "ENOTDIR");
      check(at, call, "file/.", "ENOTDIR");
      check(at, call, "file/..", "ENOTDIR");
    }),
  ),
  ...each(ALL, "ENOTDIR below a fifo", (call) =>
    needing("special", (at) => {
      at.put("f");
      at.ok.mknod("fifo", 0o010644);
      check(at, call, "fifo/below", "ENOTDIR");
    })),
  ...each(
    ALL,
    "ENAMETOOLONG for a name of 256 bytes",
    plain((at, call) => {
      at.put("f");
      at.ok.mkdir("d");
      check(at, call, TOO_LONG, "ENAMETOOLONG");
      check(at, call, `d/${TOO_LONG}`, "ENAMETOOLONG");
      check(at, call, `${TOO_LONG}/below`, "ENAMETOOLONG");
      // 86 characters of three bytes each.
      check(at, call, "€".repeat(86), "ENAMETOOLONG");
    }),
  ),
  ...each(
    FINDING,
    "a name of 255 bytes is ENOENT while it is free",
    plain((at, call) => {
      check(at, call, LONG, "ENOENT");
      check(at, call, "€".repeat(85), "ENOENT");
    }),
  ),
  ...each(
    MAKING,
    "a name of 255 bytes",
    plain((at, [run]) => {
      at.put("f");
      run(at.ok as unknown as Sys, LONG);
      at.is(at.names().filter((name) => name !== "f"), [LONG]);
    }),
  ),
  ...each(
    ALL,
    "ENAMETOOLONG for a path of 4,096 bytes",
    plain((at, call) => {
      at.put("f");
      check(at, call, `${DEEP}xx`, "ENAMETOOLONG");
    }),
  ),
  ...each(
    MAKING,
    "a path of 4,095 bytes",
    plain((at, [run]) => {
      at.put("f");
      // Calls that know no folder get the case's own path before this one.
      run(at.ok as unknown as Sys, `${DEEP}x`);
      at.is(at.names().filter((name) => name !== "f"), ["x"]);
    }),
  ),
  ...each(ALL, "ELOOP below symbolic links that lead to each other", (call) =>
    needing("symlink", (at) => {
      at.put("f");
      at.ok.symlink("b", "a");
      at.ok.symlink("a", "b");
      at.ok.symlink("self", "self");
      check(at, call, "a/below", "ELOOP");
      check(at, call, "self/below", "ELOOP");
    })),
  ...each(ALL, "ELOOP after 40 symbolic links", (call) =>
    needing("symlink", (at) => {
      at.put("f");
      at.ok.mkdir("d0");
      for (let i = 1; i <= 41; i++) at.ok.symlink(`d${i - 1}`, `d${i}`);
      check(at, call, "d41/below", "ELOOP");
      // One less is no loop. But Linux goes on counting where it walks a path a second time, since somebody mounted
      // something meanwhile, wherever that was: that one call has too many then.
      at.soon(() => typeof at.sys.stat("d40/.") !== "number", "40 symbolic links lead to their folder");
    })),
  ...each(
    ALL,
    "EACCES below a directory without search permission",
    (call) =>
      needing(["users", "permissions"], (at) => {
        const { ok } = at;
        at.put("f");
        ok.mkdir("d", 0o777);
        at.put("d/below");
        ok.chmod("d", 0o666);
        ok.chmod(".", 0o777);
        at.as(ALICE, () => check(at, call, "d/below", "EACCES"));
        ok.chmod("d", 0o000);
        at.as(ALICE, () => check(at, call, "d/below", "EACCES"));
      }),
  ),
  ...each(
    ALL,
    "EFAULT for a path that cannot be read",
    plain((at, call) => {
      at.put("f");
      check(at, call, 1n, "EFAULT");
    }),
  ),
  ...each(
    Object.fromEntries(EXCLUSIVE.map((name) => [name, MAKING[name]])),
    "EEXIST where something is",
    (call) =>
      needing(["special", "symlink"], (at) => {
        at.put("f");
        at.put("file", "kept");
        at.ok.mkdir("d");
        at.ok.mknod("fifo", 0o010644);
        at.ok.symlink("missing", "dangling");
        at.ok.symlink("file", "link");
        for (const path of ["file", "d", "fifo", "dangling", "link", ".", "..", "/"]) {
          check(at, call, path, "EEXIST");
        }
        at.is(at.content("file"), "kept");
        at.fails("ENOENT").stat("missing");
      }),
  ),
  ...each(
    Object.fromEntries(
      Object.entries(MAKING).filter(([name]) => name !== "rename to" && name !== "link to"),
    ),
    "EACCES in a directory without write permission",
    (call) =>
      needing(["users", "permissions"], (at) => {
        at.ok.mkdir("d", 0o755);
        at.as(ALICE, () => check(at, call, "d/new", "EACCES"));
        at.ok.chmod("d", 0o776);
        at.as(ALICE, () => check(at, call, "d/new", "EACCES"));
        at.ok.chmod("d", 0o777);
        at.as(ALICE, () => void call[0](at.ok as unknown as Sys, "d/new"));
        at.is(at.names("d"), ["new"]);
        at.is(at.owner("d/new"), [ALICE.uid, ALICE.gid]);
      }),
  ),
  ...each(
    MAKING,
    "a slash at the end of a name for something that is no directory",
    plain((at, call, name) => {
      at.put("f");
      if (name === "mkdir") return void at.ok.mkdir("new/");
      check(at, call, "new/", "EISDIR", "ENOENT", "ENOTDIR");
      at.is(at.names(), ["f"]);
    }),
  ),
  ...each(
    Object.fromEntries(
      ["open", "stat", "lstat", "access", "chmod", "truncate", "unlink", "rename from"].map((
        name,
      ) => [name, FINDING[name]]),
    ),
    "ENOTDIR for a file with a slash at the end",
    plain((at, call) => {
      at.put("f");
      check(at, call, "f/", "ENOTDIR");
      at.is(at.names(), ["f"]);
    }),
  ),
  "every call that changes something: EROFS where the mount is read-only": needing(
    ["mounts", "symlink", "link", "special"],
    (at) => {
      const { ok, other, put, skip } = at;
      ok.mkdir("d");
      ok.mkdir("d/old");
      put("f");
      put("d/f");
      ok.symlink("f", "d/link");
      ok.mkdir("m");
      if (other.sys.bindReadOnly("d", "m") < 0) skip("the mount cannot be shown at a second place");
      for (const [name, call] of Object.entries(ALL)) {
        const path = name === "rmdir" ? "m/old" : name === "readlink" ? "m/link" : name in MAKING ? "m/new" : "m/f";
        if (READING.includes(name)) call[0](other.sys, path);
        // Two mounts and a read-only one: either may be said first.
        else check(other, call, path, "EROFS", ...(/^(link|rename)/.test(name) ? ["EXDEV" as const] : []));
      }
      other.is(other.names("m"), ["f", "link", "old"]);
      other.fails("EROFS").link("m/f", "m/g");
      other.fails("EROFS").rename("m/f", "m/g");
    },
  ),
  "open for writing, O_TRUNC and O_CREAT: EROFS where the mount is read-only": needing(
    "mounts",
    ({ ok, other, put }) => {
      ok.mkdir("d");
      put("d/f", "kept");
      ok.mkdir("m");
      other.ok.bindReadOnly("d", "m");
      for (const flags of ["WRONLY", "RDWR", "RDONLY|TRUNC", "WRONLY|APPEND"]) other.fails("EROFS").open("m/f", flags);
      other.fails("EROFS").open("m/new", "RDONLY|CREAT");
      other.fails("EEXIST").open("m/f", "RDONLY|CREAT|EXCL");
      other.ok.open("m/f", "RDONLY|CREAT");
      other.fails("EROFS").access("m/f", "W");
      other.ok.access("m/f", "R");
      other.is(other.content("m/f"), "kept");
    },
  ),
  ...each(
    Object.fromEntries(
      Object.entries(ALL).filter(([name]) => !/^(truncate|statfs|\w*xattr)$/.test(name)),
    ),
    "relative to a descriptor",
    plain((at, call, name) => {
      const { ok, put, below } = at;
      put("f");
      ok.mkdir("d");
      put("d/f");
      if (name === "readlink") return;
      // From a file nothing leads on, from a closed descriptor nothing at all; an absolute path needs neither.
      check(below(ok.open("f", "RDONLY")), call, "new", "ENOTDIR");
      const folder = ok.open("d", "RDONLY|DIRECTORY");
      const path = name in MAKING ? "new" : name === "rmdir" ? "e" : "f";
      if (name === "rmdir") ok.mkdir("d/e");
      void call[0](below(folder).ok as unknown as Sys, path);
      ok.close(folder);
      check(below(folder), call, "new2", "EBADF");
    }),
  ),
  "path: . and .. and double slashes are passed over": ({ ok, put, is, content }) => {
    ok.mkdir("a");
    ok.mkdir("a/b");
    put("a/b/f", "found");
    is(content("a/./b/../../a//b/./f"), "found");
    is(ok.stat("a/b/..").ino, ok.stat("a").ino);
    is(ok.stat("a/b/../..").ino, ok.stat(".").ino);
    is(ok.stat("a/b/f").ino, ok.stat("a/../a/b//f").ino);
  },
  "path: a tree deeper than PATH_MAX": ({ sys, ok, is, names, put }) => {
    // From folder to folder, by renaming what was built so far below one more.
    const part = "p".repeat(200);
    put("bottom");
    let below = "bottom";
    for (let i = 0; i < 25; i++) {
      ok.mkdir("next");
      ok.rename(below, `next/${below === "bottom" ? below : part}`);
      ok.rename("next", part);
      below = part;
    }
    const whole = `${part}/`.repeat(25);
    is(sys.stat(`${whole}bottom`), -36);
    ok.stat(`${part}/`.repeat(20));
    // Taken apart from the top, since the whole path is too long.
    for (let i = 0; i < 24; i++) {
      ok.rename(`${part}/${part}`, "rest");
      is(names(part), []);
      ok.rmdir(part);
      ok.rename("rest", part);
    }
    is(names(part), ["bottom"]);
  },
  "path: symbolic links in the middle and at the end are followed": needing(
    "symlink",
    ({ ok, put, is, content, dir }) => {
      ok.mkdir("d");
      put("d/f", "found");
      ok.symlink("d", "relative");
      ok.symlink(`${dir}/d`, "absolute");
      ok.symlink("../d/f", "d/up");
      ok.symlink("relative", "twice");
      for (const path of ["relative/f", "absolute/f", "d/up", "twice/up", "twice/../d/f"]) {
        is(
          content(path),
          "found",
          path,
        );
      }
      is(ok.lstat("relative").mode >> 12, 0o12);
      is(ok.lstat("relative/").mode >> 12, 0o4);
    },
  ),
};
