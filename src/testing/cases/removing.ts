/** Removing names. Source: `unlink(2)`, `rmdir(2)`, `unlinkat(2)`. */
import { ALICE, BOB, type Cases, needing } from "../place.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

export const removingCases: Cases = {
  "unlink: takes a name away": ({ ok, put, is, fails, names }) => {
    put("f");
    put("g");
    ok.unlink("f");
    fails("ENOENT").stat("f");
    fails("ENOENT").unlink("f");
    fails("ENOENT").open("f", "RDONLY");
    is(names(), ["g"]);
  },
  "unlink: every kind of file but directories": needing(
    ["special", "symlink", "users"],
    ({ ok, put, fails, is, names }) => {
      put("f");
      ok.mknod("fifo", 0o010644);
      ok.mknod("socket", 0o140644);
      ok.mknod("device", 0o020644, 1, 3);
      ok.symlink("f", "link");
      ok.symlink("missing", "dangling");
      ok.mkdir("d");
      for (const path of ["fifo", "socket", "device", "link", "dangling"]) {
        ok.unlink(path);
        fails("ENOENT").lstat(path);
      }
      is(names(), ["d", "f"]);
    },
  ),
  "unlink: a directory is EISDIR": ({ ok, fails, is, names }) => {
    ok.mkdir("d");
    fails("EISDIR", "EPERM").unlink("d");
    fails("EISDIR", "EPERM").unlink(".");
    fails("EISDIR", "EPERM").unlink("..");
    fails("EISDIR", "ENOTDIR", "EPERM").unlink("d/");
    is(names(), ["d"]);
  },
  "unlink: a file in use stays usable without a name": ({ ok, put, is, fails }) => {
    put("f", "text");
    const fd = ok.open("f", "RDWR");
    ok.unlink("f");
    is(ok.fstat(fd).nlink, 0);
    is(text(ok.read(fd, 9)), "text");
    is(ok.write(fd, "more"), 4);
    is(text(ok.pread(fd, 9, 0)), "textmore");
    ok.ftruncate(fd, 2);
    is(ok.fstat(fd).size, 2);
    ok.fchmod(fd, 0o600);
    is(ok.fstat(fd).mode, 0o100600);
    ok.futimens(fd, [[1, 0], [2, 0]]);
    is(ok.fstat(fd).mtime, 2);
    ok.fsync(fd);
    fails("ENOENT").stat("f");
    is(text(ok.pread(ok.open(`/proc/self/fd/${fd}`, "RDWR"), 9, 0)), "te");
  },
  "unlink: owner, attributes and space of a file without a name": needing(["users", "xattr", "fallocate"], (at) => {
    const { ok, put, is } = at;
    put("f", "text");
    const fd = ok.open("f", "RDWR");
    ok.unlink("f");
    ok.fchown(fd, ALICE.uid, ALICE.gid);
    is([ok.fstat(fd).uid, ok.fstat(fd).gid], [ALICE.uid, ALICE.gid]);
    ok.fsetxattr(fd, "user.a", "value");
    is(text(ok.fgetxattr(fd, "user.a")), "value");
    is(ok.flistxattr(fd).includes("user.a"), true);
    ok.fremovexattr(fd, "user.a");
    ok.fallocate(fd, "", 0, 10000);
    is(ok.fstat(fd).size, 10000);
  }),
  "unlink: two names, one taken away while open": needing("link", ({ ok, put, is, content }) => {
    put("a", "text");
    ok.link("a", "b");
    const fd = ok.open("a", "WRONLY");
    ok.unlink("a");
    is(ok.fstat(fd).nlink, 1);
    ok.write(fd, "TEXT");
    is(content("b"), "TEXT");
  }),
  "unlink: while another process reads": needing("process", ({ ok, put, is, other, fails }) => {
    put("f", "x".repeat(100000));
    const fd = other.ok.open("f", "RDONLY");
    other.ok.read(fd, 10);
    ok.unlink("f");
    fails("ENOENT").stat("f");
    other.fails("ENOENT").stat("f");
    is(other.ok.read(fd, 1000).length, 1000);
    put("f", "new");
    is(other.content("f"), "new");
    is(other.ok.fstat(fd).size, 100000);
  }),
  "unlink: in a directory of others is EACCES": needing(["users", "permissions"], ({ ok, put, as, fails }) => {
    ok.mkdir("d", 0o755);
    put("d/f", "", 0o777);
    ok.chown("d/f", ALICE.uid, ALICE.gid);
    as(ALICE, () => fails("EACCES").unlink("d/f"));
    ok.chmod("d", 0o777);
    ok.chown("d/f", BOB.uid, BOB.gid);
    // It is the directory that counts.
    ok.chmod("d/f", 0o000);
    as(ALICE, () => ok.unlink("d/f"));
  }),
  "rmdir: takes an empty directory away": ({ ok, is, fails, names }) => {
    ok.mkdir("d");
    ok.mkdir("d/e");
    ok.rmdir("d/e");
    fails("ENOENT").stat("d/e");
    is(names("d"), []);
    ok.rmdir("d");
    fails("ENOENT").rmdir("d");
    fails("ENOENT").mkdir("d/e");
  },
  "rmdir: ENOTEMPTY while something is in it": needing("symlink", ({ ok, put, fails }) => {
    for (const make of [() => put("d/f"), () => ok.mkdir("d/f"), () => ok.symlink("x", "d/f")]) {
      ok.mkdir("d");
      make();
      fails("ENOTEMPTY", "EEXIST").rmdir("d");
      if (ok.lstat("d/f").mode >> 12 === 4) ok.rmdir("d/f");
      else ok.unlink("d/f");
      ok.rmdir("d");
    }
  }),
  "rmdir: ENOTDIR for what is none": needing(["special", "symlink"], ({ ok, put, fails }) => {
    put("f");
    ok.mkdir("d");
    ok.mknod("fifo", 0o010644);
    ok.symlink("d", "link");
    for (const path of ["f", "fifo", "link"]) fails("ENOTDIR").rmdir(path);
    ok.stat("d");
  }),
  "rmdir: . is EINVAL and .. is ENOTEMPTY": ({ ok, fails }) => {
    ok.mkdir("d");
    ok.mkdir("d/e");
    fails("EINVAL").rmdir("d/.");
    fails("EINVAL").rmdir(".");
    fails("ENOTEMPTY", "EEXIST").rmdir("d/e/..");
    fails("ENOTEMPTY", "EEXIST").rmdir("..");
  },
  "rmdir: a slash at the end": needing("symlink", ({ ok, fails }) => {
    ok.mkdir("d");
    ok.symlink("d", "link");
    fails("ENOTDIR").rmdir("link/");
    ok.rmdir("d/");
    fails("ENOENT").stat("d");
  }),
  "rmdir: a directory in use is empty, and takes nothing new": ({ ok, is, fails }) => {
    ok.mkdir("d");
    const fd = ok.open("d", "RDONLY|DIRECTORY");
    ok.rmdir("d");
    fails("ENOENT").getdents(fd);
    const { mode, nlink } = ok.fstat(fd);
    is([mode >> 12, nlink], [4, 0]);
    fails("ENOENT").open(`/proc/self/fd/${fd}/f`, "WRONLY|CREAT");
    ok.fchmod(fd, 0o700);
    is(ok.fstat(fd).mode, 0o040700);
    ok.mkdir("d");
    is(ok.stat("d").ino === ok.fstat(fd).ino, false, "the new one is another inode");
  },
  "rmdir: a mountpoint is EBUSY": needing("mounts", ({ ok, other, skip }) => {
    ok.mkdir("d");
    ok.mkdir("m");
    if (other.sys.bindReadOnly("d", "m") < 0) skip("the mount cannot be shown at a second place");
    other.fails("EBUSY").rmdir("m");
    other.fails("EBUSY").rename("m", "n");
    // It is one there alone.
    ok.rmdir("m");
  }),
  "rmdir: in a directory of others is EACCES": needing(["users", "permissions"], ({ ok, as, fails }) => {
    ok.mkdir("d", 0o755);
    ok.mkdir("d/e", 0o777);
    ok.chown("d/e", ALICE.uid, ALICE.gid);
    as(ALICE, () => fails("EACCES").rmdir("d/e"));
    ok.chmod("d", 0o773);
    as(ALICE, () => ok.rmdir("d/e"));
  }),

  "sticky directory: one removes and renames one's own": needing(["users", "permissions"], (at) => {
    const { ok, put, as, fails, is, names } = at;
    ok.mkdir("d");
    ok.chmod("d", 0o1777);
    as(ALICE, () => {
      put("d/a", "", 0o666);
      ok.mkdir("d/ad", 0o777);
    });
    as(BOB, () => {
      put("d/b", "", 0o666);
      ok.mkdir("d/bd", 0o777);
    });
    as(ALICE, () => {
      fails("EPERM", "EACCES").unlink("d/b");
      fails("EPERM", "EACCES").rmdir("d/bd");
      fails("EPERM", "EACCES").rename("d/b", "d/x");
      fails("EPERM", "EACCES").rename("d/bd", "d/x");
      fails("EPERM", "EACCES").rename("d/b", "d/a");
      // Nor over what belongs to another.
      fails("EPERM", "EACCES").rename("d/a", "d/b");
      fails("EPERM", "EACCES").rename("d/ad", "d/bd");
      ok.rename("d/a", "d/mine");
      ok.rename("d/ad", "d/my-folder");
      ok.unlink("d/mine");
      ok.rmdir("d/my-folder");
    });
    is(names("d"), ["b", "bd"]);
  }),
  "sticky directory: its owner removes all": needing(["users", "permissions"], ({ ok, put, as, fails }) => {
    ok.mkdir("d");
    ok.chown("d", ALICE.uid, ALICE.gid);
    ok.chmod("d", 0o1777);
    as(BOB, () => {
      put("d/b");
      put("d/c");
      put("d/e");
    });
    as({ uid: 64009, gid: 64009 }, () => fails("EPERM", "EACCES").unlink("d/b"));
    as(ALICE, () => {
      ok.unlink("d/b");
      ok.rename("d/c", "d/d");
    });
    ok.unlink("d/e");
  }),
  "sticky directory: names leave it for another only by their owner": needing(["users", "permissions"], (at) => {
    const { ok, put, as, fails } = at;
    ok.mkdir("d");
    ok.chmod("d", 0o1777);
    ok.mkdir("free", 0o777);
    as(BOB, () => put("d/b"));
    as(ALICE, () => {
      put("free/a");
      fails("EPERM", "EACCES").rename("d/b", "free/b");
      fails("EPERM", "EACCES").rename("free/a", "d/b");
      ok.rename("free/a", "d/a");
    });
    as(BOB, () => ok.rename("d/b", "free/b"));
  }),
  "sticky directory: exchange needs both": needing(["users", "permissions", "exchange"], ({ ok, put, as, fails }) => {
    ok.mkdir("d");
    ok.chmod("d", 0o1777);
    as(BOB, () => put("d/b"));
    as(ALICE, () => {
      put("d/a");
      put("d/a2");
      fails("EPERM", "EACCES").renameat2("d/a", "d/b", "EXCHANGE");
      fails("EPERM", "EACCES").renameat2("d/b", "d/a", "EXCHANGE");
      ok.renameat2("d/a", "d/a2", "EXCHANGE");
    });
  }),
  "unlink: a mountpoint is EBUSY": needing("mounts", ({ put, other, skip, is }) => {
    put("f", "shown");
    put("m", "kept");
    if (other.sys.bindReadOnly("f", "m") < 0) skip("the mount cannot be shown at a second place");
    other.fails("EBUSY").unlink("m");
    other.fails("EBUSY").rename("m", "n");
    other.fails("EBUSY").rename("f", "m");
    is(other.content("m"), "shown");
  }),
};
