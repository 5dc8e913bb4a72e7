/** Renaming. Source: `rename(2)`, `renameat2(2)`. */
import type { ErrnoName } from "../../errno.ts";
import { ALICE, BOB, type Cases, needing, type Place } from "../place.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** One of each kind, and how it is made. */
const KINDS: Readonly<Record<string, (at: Place, path: string) => unknown>> = {
  file: ({ put }, path) => put(path, "text"),
  "empty directory": ({ ok }, path) => ok.mkdir(path),
  "full directory": ({ ok, put }, path) => {
    ok.mkdir(path);
    put(`${path}/inside`);
  },
  "symbolic link": ({ ok }, path) => ok.symlink("nowhere", path),
  fifo: ({ ok }, path) => ok.mknod(path, 0o010644),
  socket: ({ ok }, path) => ok.mknod(path, 0o140644),
};

/** What renaming one kind over another answers. */
function overOf(from: string, to: string): ErrnoName[] {
  const [source, target] = [from, to].map((kind) => kind.endsWith("directory"));
  if (source && !target) return ["ENOTDIR"];
  if (!source && target) return ["EISDIR"];
  return to === "full directory" ? ["ENOTEMPTY", "EEXIST"] : [];
}

export const renamingCases: Cases = {
  ...Object.fromEntries(
    Object.entries(KINDS).map(([from, make]) => [
      `rename: a ${from} over everything else`,
      needing(["symlink", "special"], (at) => {
        const { ok, fails, is, names } = at;
        for (const [to, makeOther] of Object.entries(KINDS)) {
          make(at, "from");
          makeOther(at, "to");
          const [a, b] = [ok.lstat("from"), ok.lstat("to")];
          const codes = overOf(from, to);
          fails("EEXIST").renameat2("from", "to", "NOREPLACE");
          if (codes.length > 0) fails(...codes).rename("from", "to");
          else ok.rename("from", "to");
          is(names(), codes.length > 0 ? ["from", "to"] : ["to"], to);
          const now = ok.lstat("to"), then = codes.length > 0 ? b : a;
          is([now.ino, now.mode], [then.ino, then.mode], to);
          for (const name of names()) {
            if (ok.lstat(name).mode >> 12 !== 4) ok.unlink(name);
            else {
              for (const inside of names(name)) ok.unlink(`${name}/${inside}`);
              ok.rmdir(name);
            }
          }
        }
      }),
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(KINDS).map(([from, make]) => [
      `renameat2: RENAME_EXCHANGE of a ${from} and everything else`,
      needing(["symlink", "special", "exchange"], (at) => {
        const { ok, is } = at;
        for (const [i, [to, makeOther]] of Object.entries(KINDS).entries()) {
          const [a, b] = [`from${i}`, `to${i}`];
          ok.mkdir(`d${i}`);
          make(at, a);
          makeOther(at, `d${i}/${b}`);
          const before = [ok.lstat(a), ok.lstat(`d${i}/${b}`)].map(({ ino, mode }) => [ino, mode]);
          ok.renameat2(a, `d${i}/${b}`, "EXCHANGE");
          is([ok.lstat(`d${i}/${b}`), ok.lstat(a)].map(({ ino, mode }) => [ino, mode]), before, to);
        }
      }),
    ]),
  ),
  "rename: a file within its directory": ({ ok, put, is, content, fails, names }) => {
    put("a", "text");
    const { ino } = ok.stat("a");
    ok.rename("a", "b");
    fails("ENOENT").stat("a");
    is(ok.stat("b").ino, ino);
    is(content("b"), "text");
    is(names(), ["b"]);
  },
  "rename: every kind of file": needing(["special", "symlink", "users"], ({ ok, put, is, fails }) => {
    put("file");
    ok.mkdir("directory");
    ok.mknod("fifo", 0o010644);
    ok.mknod("socket", 0o140644);
    ok.mknod("device", 0o020644, 1, 3);
    ok.symlink("x", "link");
    for (const name of ["file", "directory", "fifo", "socket", "device", "link"]) {
      const before = ok.lstat(name);
      ok.rename(name, "new");
      const { ino, mode, nlink, rdevMinor } = ok.lstat("new");
      is([ino, mode, nlink, rdevMinor], [before.ino, before.mode, before.nlink, before.rdevMinor], name);
      fails("ENOENT").lstat(name);
      ok.rename("new", name);
    }
  }),
  "rename: across directories": ({ ok, put, is, content, names }) => {
    ok.mkdir("d");
    ok.mkdir("e");
    put("d/f", "text");
    ok.rename("d/f", "e/g");
    is([names("d"), names("e")], [[], ["g"]]);
    is(content("e/g"), "text");
  },
  "rename: a directory with what is in it": ({ ok, put, is, content, names, fails }) => {
    ok.mkdir("a");
    ok.mkdir("a/b");
    put("a/b/f", "text");
    ok.mkdir("c");
    ok.rename("a", "c/a");
    is(content("c/a/b/f"), "text");
    is(names(), ["c"]);
    is(ok.stat("c/a/..").ino, ok.stat("c").ino);
    fails("ENOENT").stat("a/b");
  },
  "rename: .. of a moved directory": ({ ok, is }) => {
    ok.mkdir("a");
    ok.mkdir("b");
    ok.mkdir("a/d");
    ok.rename("a/d", "b/d");
    const entries = ok.getdents(ok.open("b/d", "RDONLY|DIRECTORY"));
    is(Number(entries.find(({ name }) => name === "..")?.ino ?? 0), ok.stat("b").ino);
  },
  "rename: over a file": ({ ok, put, is, content, names }) => {
    put("a", "new");
    put("b", "old");
    ok.rename("a", "b");
    is(names(), ["b"]);
    is(content("b"), "new");
  },
  "rename: over a file that is open": ({ ok, put, is, content }) => {
    put("a", "new");
    put("b", "old");
    const fd = ok.open("b", "RDWR");
    ok.rename("a", "b");
    is(text(ok.read(fd, 9)), "old");
    is(ok.fstat(fd).nlink, 0);
    ok.pwrite(fd, "changed", 0);
    is(content("b"), "new");
    is(text(ok.pread(fd, 9, 0)), "changed");
  },
  "rename: a file that is open": ({ ok, put, is, content }) => {
    put("a", "text");
    const fd = ok.open("a", "RDWR");
    ok.rename("a", "b");
    ok.write(fd, "TEXT");
    is(content("b"), "TEXT");
    is(ok.fstat(fd).ino, ok.stat("b").ino);
    is(ok.fstat(fd).nlink, 1);
  },
  "rename: over one of several names": needing("link", ({ ok, put, is }) => {
    put("a");
    put("b");
    ok.link("b", "c");
    ok.rename("a", "b");
    is(ok.stat("c").nlink, 1);
  }),
  "rename: two names of one file change nothing": needing("link", ({ ok, put, is, names }) => {
    put("a");
    ok.link("a", "b");
    ok.rename("a", "b");
    ok.rename("b", "a");
    ok.rename("a", "a");
    is(names(), ["a", "b"]);
    is(ok.stat("a").nlink, 2);
  }),
  "rename: over a symbolic link replaces the link": needing("symlink", ({ ok, put, is, content }) => {
    put("target", "kept");
    put("a", "new");
    ok.symlink("target", "link");
    ok.rename("a", "link");
    is(content("target"), "kept");
    is(content("link"), "new");
    is(ok.lstat("link").mode >> 12, 0o10);
  }),
  "rename: a symbolic link, not what it leads to": needing("symlink", ({ ok, put, is, fails }) => {
    put("target");
    ok.symlink("target", "link");
    ok.rename("link", "moved");
    is(ok.readlink("moved"), "target");
    ok.stat("target");
    fails("ENOENT").lstat("link");
  }),
  "rename: a directory over an empty one": ({ ok, put, is, names }) => {
    ok.mkdir("a");
    put("a/f");
    ok.mkdir("b");
    const { ino } = ok.stat("a");
    ok.rename("a", "b");
    is(ok.stat("b").ino, ino);
    is(names(), ["b"]);
    is(names("b"), ["f"]);
  },
  "rename: a directory over one that is open": ({ ok, put, is, fails }) => {
    ok.mkdir("a");
    put("a/f");
    ok.mkdir("b");
    const fd = ok.open("b", "RDONLY|DIRECTORY");
    ok.rename("a", "b");
    is(ok.fstat(fd).nlink, 0);
    fails("ENOENT").getdents(fd);
    ok.stat("b/f");
  },
  "rename: a directory that is open": ({ ok, put, is, names }) => {
    ok.mkdir("a");
    put("a/f");
    ok.mkdir("d");
    const fd = ok.open("a", "RDONLY|DIRECTORY");
    ok.rename("a", "d/b");
    is(ok.getdents(fd).map(({ name }) => name).sort(), [".", "..", "f"]);
    put(`/proc/self/fd/${fd}/g`);
    is(names("d/b"), ["f", "g"]);
  },
  "rename: ENOTEMPTY over a directory with something in it": ({ ok, put, fails, names, is }) => {
    ok.mkdir("a");
    ok.mkdir("b");
    put("b/f");
    fails("ENOTEMPTY", "EEXIST").rename("a", "b");
    ok.unlink("b/f");
    ok.mkdir("b/d");
    fails("ENOTEMPTY", "EEXIST").rename("a", "b");
    is(names(), ["a", "b"]);
  },
  "rename: EISDIR and ENOTDIR where only one is a directory": needing("symlink", ({ ok, put, fails, is, names }) => {
    put("f");
    ok.mkdir("d");
    ok.symlink("d", "link");
    fails("EISDIR").rename("f", "d");
    fails("EISDIR").rename("link", "d");
    fails("ENOTDIR").rename("d", "f");
    fails("ENOTDIR").rename("d", "link");
    fails("ENOTDIR").rename("f", "new/");
    fails("ENOTDIR").rename("f/", "new");
    is(names(), ["d", "f", "link"]);
  }),
  "rename: EINVAL for a directory into itself": ({ ok, fails, is, names }) => {
    ok.mkdir("a");
    ok.mkdir("a/b");
    ok.mkdir("a/b/c");
    fails("EINVAL").rename("a", "a/x");
    fails("EINVAL").rename("a", "a/b/x");
    fails("EINVAL").rename("a", "a/b/c");
    fails("EINVAL").rename("a/b", "a/b/c/x");
    fails("ENOTEMPTY", "EEXIST").rename("a/b/c", "a");
    is(names("a/b"), ["c"]);
  },
  "rename: EBUSY or EINVAL for . and ..": ({ ok, fails }) => {
    ok.mkdir("d");
    for (const path of [".", "d/.", "d/.."]) {
      fails("EBUSY", "EINVAL").rename(path, "new");
      fails("EBUSY", "EINVAL", "ENOTEMPTY", "EEXIST").rename("d", path);
    }
  },
  "rename: a directory with a slash at its end": ({ ok, put, is, names }) => {
    ok.mkdir("a");
    put("a/f");
    ok.rename("a/", "b/");
    is(names("b"), ["f"]);
  },
  "rename: names of 255 bytes": ({ ok, put, is, names }) => {
    const long = "a".repeat(255), other = "b".repeat(255);
    put(long);
    ok.rename(long, other);
    is(names(), [other]);
  },
  "rename: EXDEV to another mount": needing("link", ({ put, fails }) => {
    put("f");
    fails("EXDEV").rename("f", "/proc/f");
    fails("EXDEV", "EROFS").link("f", "/sys/f");
  }),
  "rename: EACCES in directories that one may not write": needing(["users", "permissions"], (at) => {
    const { ok, put, as, fails, is, names } = at;
    ok.mkdir("locked", 0o755);
    ok.mkdir("free", 0o777);
    put("locked/f", "", 0o777);
    ok.chown("locked/f", ALICE.uid, ALICE.gid);
    as(ALICE, () => {
      put("free/a");
      fails("EACCES").rename("locked/f", "free/f");
      fails("EACCES").rename("free/a", "locked/a");
      fails("EACCES").rename("locked/f", "locked/g");
      ok.rename("free/a", "free/b");
    });
    is([names("locked"), names("free")], [["f"], ["b"]]);
  }),
  "rename: a directory of another, across directories, is EACCES": needing(["users", "permissions"], (at) => {
    const { ok, as, fails } = at;
    ok.mkdir("a", 0o777);
    ok.mkdir("b", 0o777);
    ok.mkdir("a/d", 0o755);
    ok.chown("a/d", BOB.uid, BOB.gid);
    as(ALICE, () => {
      // Its .. would change, and it may not be written.
      fails("EACCES").rename("a/d", "b/d");
      ok.rename("a/d", "a/e");
    });
    ok.chmod("a/e", 0o777);
    as(ALICE, () => ok.rename("a/e", "b/d"));
  }),
  "renameat2: RENAME_NOREPLACE is EEXIST where something is": needing("symlink", ({ ok, put, fails, is, content }) => {
    put("a", "a");
    put("b", "b");
    ok.mkdir("d");
    ok.symlink("missing", "dangling");
    for (const path of ["b", "d", "dangling", "a"]) fails("EEXIST").renameat2("a", path, "NOREPLACE");
    ok.renameat2("a", "c", "NOREPLACE");
    is([content("b"), content("c")], ["b", "a"]);
    fails("ENOENT").renameat2("a", "x", "NOREPLACE");
  }),
  "renameat2: RENAME_EXCHANGE swaps files": needing("exchange", ({ ok, put, is, content }) => {
    put("a", "one");
    ok.mkdir("d");
    put("d/b", "two");
    const [a, b] = [ok.stat("a").ino, ok.stat("d/b").ino];
    ok.renameat2("a", "d/b", "EXCHANGE");
    is([content("a"), content("d/b")], ["two", "one"]);
    is([ok.stat("a").ino, ok.stat("d/b").ino], [b, a]);
  }),
  "renameat2: RENAME_EXCHANGE swaps a file and a directory": needing("exchange", ({ ok, put, is, content, names }) => {
    put("f", "text");
    ok.mkdir("d");
    put("d/x");
    ok.renameat2("f", "d", "EXCHANGE");
    is(content("d"), "text");
    is(names("f"), ["x"]);
    ok.mkdir("e");
    ok.mkdir("e/full");
    put("e/full/y");
    ok.renameat2("f", "e/full", "EXCHANGE");
    is([names("f"), names("e/full")], [["y"], ["x"]]);
    is(ok.stat("f/..").ino, ok.stat(".").ino);
  }),
  "renameat2: RENAME_EXCHANGE swaps symbolic links": needing(["exchange", "symlink"], ({ ok, put, is, content }) => {
    put("f", "text");
    ok.symlink("missing", "s");
    ok.renameat2("f", "s", "EXCHANGE");
    is(ok.readlink("f"), "missing");
    is(content("s"), "text");
  }),
  "renameat2: RENAME_EXCHANGE errors": needing("exchange", ({ ok, put, fails }) => {
    put("a");
    ok.mkdir("d");
    ok.mkdir("d/e");
    fails("ENOENT").renameat2("a", "missing", "EXCHANGE");
    fails("ENOENT").renameat2("missing", "a", "EXCHANGE");
    fails("EINVAL").renameat2("d", "d/e", "EXCHANGE");
    fails("EINVAL", "ENOTEMPTY").renameat2("d/e", "d", "EXCHANGE");
    fails("EINVAL").renameat2("a", "d", "EXCHANGE|NOREPLACE");
    ok.renameat2("a", "a", "EXCHANGE");
  }),
  "renameat2: RENAME_WHITEOUT leaves a whiteout": needing(["whiteout", "users"], (at) => {
    const { ok, sys, put, is, content, fails, skip } = at;
    put("a", "text");
    if (sys.renameat2("a", "b", "WHITEOUT") === -22) skip("the file system has none");
    is(content("b"), "text");
    const { mode, rdevMajor, rdevMinor } = ok.lstat("a");
    is([mode >> 12, rdevMajor, rdevMinor], [2, 0, 0]);
    fails("EINVAL").renameat2("b", "c", "WHITEOUT|EXCHANGE");
    ok.renameat2("b", "c", "WHITEOUT|NOREPLACE");
    is(content("c"), "text");
  }),
  "rename: another process follows": needing("process", ({ ok, put, is, other }) => {
    put("a", "text");
    ok.mkdir("d");
    is(other.content("a"), "text");
    is(other.names("d"), []);
    for (let i = 0; i < 10; i++) {
      ok.rename("a", "d/a");
      other.fails("ENOENT").stat("a");
      is(other.content("d/a"), "text");
      other.ok.rename("d/a", "a");
      is(ok.stat("a").size, 4);
      is(other.names("d"), []);
    }
  }),
  "rename: a thousand times to and fro": ({ ok, put, is, names }) => {
    put("a");
    for (let i = 0; i < 500; i++) {
      ok.rename("a", "b");
      ok.rename("b", "a");
    }
    is(names(), ["a"]);
  },
  "rename and link: EXDEV between two mounts of one file system": needing(["mounts", "link"], (at) => {
    const { ok, put, other, skip, is } = at;
    ok.mkdir("d");
    ok.mkdir("m");
    put("d/f");
    if (other.sys.bindReadOnly("d", "m") < 0) skip("the mount cannot be shown at a second place");
    other.fails("EXDEV").rename("m/f", "f");
    other.fails("EXDEV").renameat2("m/f", "d/f", "EXCHANGE");
    other.fails("EXDEV").link("m/f", "f");
    is(at.names("d"), ["f"]);
  }),
};
