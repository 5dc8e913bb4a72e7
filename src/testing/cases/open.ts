/** Opening. Source: `open(2)`. */
import { ALICE, BOB, type Cases, needing, type Succeeding } from "../place.ts";
import { text } from "./bytes.ts";

export const openCases: Cases = {
  "open: O_RDONLY reads and does not write": ({ ok, fails, put, is, content }) => {
    put("f", "text");
    const fd = ok.open("f", "RDONLY");
    is(text(ok.read(fd, 10)), "text");
    fails("EBADF").write(fd, "x");
    fails("EBADF").pwrite(fd, "x", 0);
    fails("EINVAL").ftruncate(fd, 0);
    fails("EBADF").fallocate(fd, "", 0, 1);
    is(content("f"), "text");
  },
  "open: O_WRONLY writes and does not read": ({ ok, fails, put, is, content }) => {
    put("f", "text");
    const fd = ok.open("f", "WRONLY");
    is(ok.write(fd, "N"), 1);
    fails("EBADF").read(fd, 1);
    fails("EBADF").pread(fd, 1, 0);
    is(content("f"), "Next");
  },
  "open: O_RDWR reads and writes at one offset": ({ ok, put, is, content }) => {
    put("f", "abcdef");
    const fd = ok.open("f", "RDWR");
    is(text(ok.read(fd, 2)), "ab");
    ok.write(fd, "XY");
    is(text(ok.read(fd, 10)), "ef");
    is(text(ok.read(fd, 10)), "");
    is(ok.lseek(fd, 0, "CUR"), 6);
    is(content("f"), "abXYef");
  },
  "open: two opens have two offsets, dup shares one": ({ ok, put, is }) => {
    put("f", "abcdef");
    const a = ok.open("f", "RDONLY"), b = ok.open("f", "RDONLY"), c = ok.dup(a);
    is(text(ok.read(a, 2)), "ab");
    is(text(ok.read(b, 2)), "ab");
    is(text(ok.read(c, 2)), "cd");
    is(text(ok.read(a, 2)), "ef");
  },
  "open: O_CREAT makes an empty file with mode and owner": needing("users", ({ ok, is, mode, owner, as }) => {
    ok.chmod(".", 0o777);
    const fd = as(ALICE, () => ok.open("f", "WRONLY|CREAT", 0o4751));
    const { mode: all, size, blocks, nlink } = ok.fstat(fd);
    is([all, size, blocks, nlink], [0o104751, 0, 0, 1]);
    is(owner("f"), [ALICE.uid, ALICE.gid]);
    is(mode("f"), 0o4751);
  }),
  "open: O_CREAT with all modes": ({ ok, is, mode }) => {
    for (let bits = 0; bits <= 0o777; bits += 0o111) {
      ok.close(ok.open(`f${bits}`, "RDWR|CREAT", bits));
      is(mode(`f${bits}`), bits);
    }
    for (const bits of [0o640, 0o604, 0o1644, 0o200, 0o002]) {
      ok.close(ok.open(`f${bits}`, "RDWR|CREAT", bits));
      is(mode(`f${bits}`), bits);
    }
  },
  "open: what O_CREAT makes is open as was asked, whatever its mode": needing("users", ({ ok, is, as, fails }) => {
    ok.chmod(".", 0o777);
    as(ALICE, () => {
      const fd = ok.open("f", "RDWR|CREAT|EXCL", 0);
      is(ok.write(fd, "text"), 4);
      is(text(ok.pread(fd, 9, 0)), "text");
      fails("EACCES").open("f", "RDONLY");
      fails("EACCES").open("f", "WRONLY|CREAT");
    });
  }),
  "open: O_CREAT leaves a file that exists as it is": ({ ok, put, is, content, mode, tick }) => {
    put("f", "text", 0o600);
    const before = ok.stat("f");
    tick();
    ok.close(ok.open("f", "RDWR|CREAT", 0o777));
    const after = ok.stat("f");
    is(content("f"), "text");
    is(mode("f"), 0o600);
    is([after.mtime, after.mtimeNsec, after.ctimeNsec], [before.mtime, before.mtimeNsec, before.ctimeNsec]);
  },
  "open: O_CREAT opens what a symbolic link leads to, and makes it where it is missing": needing(
    "symlink",
    ({ ok, put, is, content, names }) => {
      put("f", "text");
      ok.symlink("f", "link");
      ok.symlink("made", "dangling");
      is(ok.fstat(ok.open("link", "RDWR|CREAT")).ino, ok.stat("f").ino);
      ok.write(ok.open("dangling", "WRONLY|CREAT"), "new");
      is(content("made"), "new");
      is(names(), ["dangling", "f", "link", "made"]);
    },
  ),
  "open: O_CREAT|O_EXCL refuses what exists, and follows no symbolic link": needing(
    "symlink",
    ({ ok, put, fails }) => {
      put("f");
      ok.mkdir("d");
      ok.symlink("missing", "dangling");
      ok.symlink("f", "link");
      for (const path of ["f", "d", "dangling", "link"]) fails("EEXIST").open(path, "WRONLY|CREAT|EXCL");
      fails("ENOENT").stat("missing");
    },
  ),
  "open: O_EXCL without O_CREAT opens what is there": ({ ok, put }) => {
    put("f");
    ok.open("f", "RDWR|EXCL");
  },
  "open: O_CREAT on a directory is EISDIR": ({ ok, fails }) => {
    ok.mkdir("d");
    fails("EISDIR").open("d", "RDONLY|CREAT");
    fails("EISDIR").open("d", "WRONLY|CREAT");
    fails("EINVAL", "EISDIR", "ENOTDIR").open("new", "RDONLY|CREAT|DIRECTORY");
  },
  "open: a directory for writing is EISDIR": ({ ok, fails }) => {
    ok.mkdir("d");
    for (const flags of ["WRONLY", "RDWR", "WRONLY|TRUNC", "RDONLY|TRUNC"]) fails("EISDIR").open("d", flags);
    ok.open("d", "RDONLY");
  },
  "open: reading and writing a directory": ({ ok, fails }) => {
    ok.mkdir("d");
    const fd = ok.open("d", "RDONLY");
    fails("EISDIR").read(fd, 10);
    fails("EISDIR").pread(fd, 10, 0);
    fails("EBADF").write(fd, "x");
    fails("EINVAL").ftruncate(fd, 0);
    ok.fsync(fd);
    ok.fdatasync(fd);
  },
  "open: O_DIRECTORY takes directories alone": needing(["symlink", "special"], ({ ok, put, fails }) => {
    ok.mkdir("d");
    put("f");
    ok.mknod("fifo", 0o010644);
    ok.symlink("d", "to-d");
    ok.symlink("f", "to-f");
    ok.open("d", "RDONLY|DIRECTORY");
    ok.open("to-d", "RDONLY|DIRECTORY");
    for (const path of ["f", "fifo", "to-f"]) fails("ENOTDIR").open(path, "RDONLY|DIRECTORY");
    fails("ENOENT").open("missing", "RDONLY|DIRECTORY");
  }),
  "open: O_NOFOLLOW is ELOOP at a symbolic link, and follows those before": needing(
    "symlink",
    ({ ok, put, fails, is }) => {
      ok.mkdir("d");
      put("d/f", "text");
      ok.symlink("d", "to-d");
      ok.symlink("d/f", "to-f");
      ok.symlink("missing", "dangling");
      for (const path of ["to-d", "to-f", "dangling"]) fails("ELOOP").open(path, "RDONLY|NOFOLLOW");
      fails("ELOOP").open("to-f", "WRONLY|NOFOLLOW|CREAT");
      fails("ELOOP").open("to-f", "WRONLY|NOFOLLOW|TRUNC");
      fails("ENOTDIR").open("to-d", "RDONLY|NOFOLLOW|DIRECTORY");
      is(text(ok.read(ok.open("to-d/f", "RDONLY|NOFOLLOW"), 9)), "text");
    },
  ),
  "open: ELOOP at symbolic links that lead to each other": needing("symlink", ({ ok, fails }) => {
    ok.symlink("b", "a");
    ok.symlink("a", "b");
    for (const flags of ["RDONLY", "PATH", "WRONLY|CREAT", "RDONLY|DIRECTORY"]) fails("ELOOP").open("a", flags);
    fails("EEXIST").open("a", "WRONLY|CREAT|EXCL");
  }),
  "open: O_TRUNC empties a file and marks it changed": ({ ok, put, is, tick }) => {
    put("f", "text");
    const before = ok.stat("f");
    tick();
    const fd = ok.open("f", "WRONLY|TRUNC");
    const { size, blocks, mtime, mtimeNsec, ctime, ctimeNsec } = ok.fstat(fd);
    is([size, blocks], [0, 0]);
    is(mtime + mtimeNsec / 1e9 > before.mtime + before.mtimeNsec / 1e9, true, "mtime has moved on");
    is(ctime + ctimeNsec / 1e9 > before.ctime + before.ctimeNsec / 1e9, true, "ctime has moved on");
  },
  "open: O_TRUNC is seen by those who have the file open": ({ ok, put, is }) => {
    put("f", "text");
    const fd = ok.open("f", "RDWR");
    is(text(ok.read(fd, 2)), "te");
    ok.close(ok.open("f", "WRONLY|TRUNC"));
    is(ok.fstat(fd).size, 0);
    is(ok.read(fd, 2).length, 0);
    ok.write(fd, "ab");
    is(ok.pread(fd, 9, 0), new Uint8Array([0, 0, 97, 98]));
  },
  "open: O_CREAT|O_TRUNC keeps mode and inode of a file that exists": ({ ok, put, is, mode }) => {
    put("f", "text", 0o600);
    const { ino } = ok.stat("f");
    ok.close(ok.open("f", "WRONLY|CREAT|TRUNC", 0o777));
    is(ok.stat("f").ino, ino);
    is(mode("f"), 0o600);
    is(ok.stat("f").size, 0);
  },
  "open: O_APPEND writes at the end, wherever the offset is": ({ ok, put, is, content }) => {
    put("f", "one");
    const a = ok.open("f", "RDWR|APPEND"), b = ok.open("f", "WRONLY|APPEND"), c = ok.open("f", "WRONLY");
    is(ok.lseek(a, 0, "CUR"), 0);
    ok.write(a, "two");
    is(ok.lseek(a, 0, "CUR"), 6);
    ok.write(b, "three");
    ok.write(a, "four");
    is(ok.lseek(a, 0, "SET"), 0);
    ok.write(a, "five");
    ok.write(c, "ONE");
    is(content("f"), "ONEtwothreefourfive");
    is(text(ok.pread(a, 3, 0)), "ONE");
    // Against POSIX, Linux appends with pwrite too.
    ok.pwrite(a, "six", 0);
    is(content("f"), "ONEtwothreefourfivesix");
  },
  "open: O_APPEND after another process has written": needing("process", ({ ok, put, is, content, other }) => {
    put("f", "one");
    const here = ok.open("f", "WRONLY|APPEND"), there = other.ok.open("f", "WRONLY|APPEND");
    for (let i = 0; i < 5; i++) {
      ok.write(here, "h");
      other.ok.write(there, "tt");
    }
    is(content("f"), `one${"htt".repeat(5)}`);
    other.ok.ftruncate(there, 1);
    ok.write(here, "h");
    is(content("f"), "oh");
  }),
  "open: O_SYNC and O_DSYNC write through": ({ ok, put, is, content }) => {
    put("f");
    for (const flags of ["SYNC", "DSYNC"]) {
      const fd = ok.open("f", `WRONLY|TRUNC|${flags}`);
      is(ok.write(fd, flags), flags.length);
      is(content("f"), flags);
      ok.close(fd);
    }
  },
  "open: O_DIRECT moves aligned blocks, or is EINVAL": ({ ok, sys, put, is, skip }) => {
    const size = 64 * 1024;
    put("f", new Uint8Array(size).fill(1));
    put("memory", new Uint8Array(size).fill(2));
    const fd = sys.open("f", "RDWR|DIRECT");
    if (fd === -22) skip("the file system has no direct I/O");
    // Mapped memory begins at a page.
    const address = ok.mmap(size, "READ|WRITE", "SHARED", ok.open("memory", "RDWR"));
    is(ok.readTo(fd, address, size), size);
    is(sys.peek(address, size), new Uint8Array(size).fill(1));
    sys.poke(address, new Uint8Array(size).fill(3));
    is(ok.lseek(fd, 0, "SET"), 0);
    is(ok.writeFrom(fd, address, size), size);
    is(ok.pread(ok.open("f", "RDONLY"), size, 0), new Uint8Array(size).fill(3));
    is(ok.lseek(fd, size, "SET"), size);
    is(ok.readTo(fd, address, 4096), 0);
    is(ok.writeFrom(fd, address, 8192), 8192);
    is(ok.fstat(fd).size, size + 8192);
  },
  "open: O_NOATIME is for the owner": needing("users", ({ ok, put, fails, as }) => {
    put("f", "text", 0o666);
    ok.open("f", "RDONLY|NOATIME");
    as(ALICE, () => fails("EPERM").open("f", "RDONLY|NOATIME"));
    ok.chown("f", ALICE.uid, -1);
    as(ALICE, () => ok.open("f", "RDONLY|NOATIME"));
  }),
  "open: O_PATH stands for the file and opens nothing": needing("symlink", ({ ok, put, fails, is }) => {
    put("f", "text", 0o000);
    ok.mkdir("d");
    ok.symlink("f", "link");
    const fd = ok.open("f", "PATH");
    is(ok.fstat(fd).ino, ok.stat("f").ino);
    fails("EBADF").read(fd, 1);
    fails("EBADF").write(fd, "x");
    fails("EBADF").fchmod(fd, 0o644);
    fails("EBADF").fchown(fd, 0, 0);
    fails("EBADF").ftruncate(fd, 0);
    fails("EBADF").lseek(fd, 0, "SET");
    fails("EBADF").fsync(fd);
    fails("EBADF").flock(fd, "SH");
    fails("EBADF").getdents(ok.open("d", "PATH|DIRECTORY"));
    is(ok.fstat(ok.open("link", "PATH|NOFOLLOW")).mode >> 12, 0o12);
    is(ok.fstat(ok.open("link", "PATH")).ino, ok.stat("f").ino);
    ok.dup(fd);
  }),
  "open: O_PATH needs no permission for the file": needing(["users", "permissions"], ({ ok, put, as, fails }) => {
    put("f", "text", 0o000);
    as(ALICE, () => {
      ok.fstat(ok.open("f", "PATH"));
      fails("EACCES").open("f", "RDONLY");
    });
  }),
  "open: O_TMPFILE makes a file without a name": needing("tmpfile", ({ ok, is, names, fails }) => {
    ok.mkdir("d");
    const fd = ok.open("d", "RDWR|TMPFILE", 0o640);
    const { mode, nlink, size } = ok.fstat(fd);
    is([mode, nlink, size], [0o100640, 0, 0]);
    ok.write(fd, "text");
    is(text(ok.pread(fd, 9, 0)), "text");
    is(names("d"), []);
    ok.rmdir("d");
    fails("EINVAL").open(".", "RDONLY|TMPFILE");
  }),
  "open: O_TMPFILE gets a name by linkat": needing(["tmpfile", "link"], ({ ok, is, names, content, fails, sys }) => {
    ok.mkdir("d");
    const fd = ok.open("d", "RDWR|TMPFILE", 0o640);
    ok.write(fd, "text");
    if (sys.flink(fd, "d/named") < 0) ok.link(`/proc/self/fd/${fd}`, "d/named", "SYMLINK_FOLLOW");
    is(names("d"), ["named"]);
    is(content("d/named"), "text");
    is(ok.fstat(fd).nlink, 1);
    is(ok.stat("d/named").ino, ok.fstat(fd).ino);
    const exclusive = ok.open("d", "RDWR|TMPFILE|EXCL");
    fails("ENOENT").link(`/proc/self/fd/${exclusive}`, "d/other", "SYMLINK_FOLLOW");
  }),
  "open: O_TMPFILE belongs to the caller": needing(["tmpfile", "users"], ({ ok, is, as, masked }) => {
    ok.mkdir("d", 0o777);
    const fd = as(ALICE, () => masked(0o027, () => ok.open("d", "RDWR|TMPFILE", 0o666)));
    const { uid, gid, mode } = ok.fstat(fd);
    is([uid, gid, mode & 0o7777], [ALICE.uid, ALICE.gid, 0o640]);
  }),
  "open: O_TMPFILE errors": needing(["tmpfile", "users", "permissions"], ({ ok, put, fails, as }) => {
    put("f");
    ok.mkdir("d", 0o755);
    fails("ENOTDIR").open("f", "RDWR|TMPFILE");
    fails("ENOENT").open("missing", "RDWR|TMPFILE");
    as(ALICE, () => fails("EACCES").open("d", "RDWR|TMPFILE"));
  }),
  "open: a fifo without a reader is ENXIO for O_WRONLY|O_NONBLOCK": needing("special", ({ ok, fails, is }) => {
    ok.mknod("fifo", 0o010644);
    fails("ENXIO").open("fifo", "WRONLY|NONBLOCK");
    const reader = ok.open("fifo", "RDONLY|NONBLOCK");
    const writer = ok.open("fifo", "WRONLY|NONBLOCK");
    ok.write(writer, "through");
    is(text(ok.read(reader, 10)), "through");
    fails("EAGAIN").read(reader, 10);
    fails("ESPIPE").lseek(reader, 0, "SET");
    fails("ESPIPE").pread(reader, 1, 0);
    ok.close(writer);
    is(ok.read(reader, 10).length, 0);
  }),
  "open: a fifo joins two processes": needing(["special", "process"], ({ ok, other, is }) => {
    ok.mknod("fifo", 0o010644);
    const here = ok.open("fifo", "RDWR");
    const there = other.ok.open("fifo", "WRONLY");
    other.ok.write(there, "from there");
    is(text(ok.read(here, 20)), "from there");
  }),
  "open: a fifo waits for the other end, and EINTR where a signal comes first": needing(
    ["special", "process"],
    ({ ok, other, is }) => {
      ok.mknod("fifo", 0o010644);
      other.begin((sys) => sys.open("fifo", "RDONLY"));
      is(other.ended(50), false, "it waits");
      other.interrupt();
      other.endsWith("EINTR");
      other.begin((sys) => sys.open("fifo", "RDONLY"));
      is(other.ended(50), false, "it waits");
      ok.open("fifo", "WRONLY");
      other.ok.close(other.end());
    },
  ),
  "open: a socket is ENXIO": needing("special", ({ ok, fails }) => {
    ok.mknod("socket", 0o140644);
    fails("ENXIO").open("socket", "RDONLY");
    fails("ENXIO").open("socket", "WRONLY");
    ok.open("socket", "PATH");
  }),
  "open: a device is opened, or refused where the mount allows none": needing(
    ["special", "users"],
    ({ ok, is, fails }) => {
      const ST_NODEV = 4;
      ok.mknod("null", 0o020666, 1, 3);
      // A driver that does not exist.
      ok.mknod("none", 0o020666, 240, 77);
      if (ok.statfs(".").flags & ST_NODEV) {
        fails("EACCES").open("null", "RDONLY");
      } else {
        const fd = ok.open("null", "RDWR");
        is(ok.write(fd, "gone"), 4);
        is(ok.read(fd, 10).length, 0);
        fails("ENXIO").open("none", "RDONLY");
      }
    },
  ),
  "open: a program that runs is ETXTBSY for writing": needing("process", ({ ok, fails, other, holds, skip }) => {
    copyProgram(other.ok, "/bin/sleep", "sleep");
    const pid = other.start([`${other.dir}/sleep`, "60"]);
    if (pid === -13) skip("programs may not be run here");
    holds(pid > 0, "the program starts");
    try {
      fails("ETXTBSY").open("sleep", "WRONLY");
      fails("ETXTBSY").open("sleep", "RDWR");
      fails("ETXTBSY").open("sleep", "RDONLY|TRUNC");
      fails("ETXTBSY").truncate("sleep", 0);
      ok.close(ok.open("sleep", "RDONLY"));
      ok.unlink("sleep");
    } finally {
      other.kill(pid);
    }
  }),
  "open: a program that is open for writing cannot be run": needing("process", ({ ok, other, is, skip }) => {
    copyProgram(other.ok, "/bin/sleep", "sleep");
    const fd = ok.open("sleep", "WRONLY");
    const busy = other.start([`${other.dir}/sleep`, "60"]);
    if (busy === -13) skip("programs may not be run here");
    is(busy, -26);
    ok.close(fd);
    const pid = other.start([`${other.dir}/sleep`, "60"]);
    is(pid > 0, true, "it starts when nobody writes");
    other.kill(pid);
  }),
  "open: a file stays the same file while others are put in its place": ({ ok, put, is, content }) => {
    put("f", "first");
    const fd = ok.open("f", "RDONLY");
    ok.unlink("f");
    put("f", "second");
    is(text(ok.read(fd, 10)), "first");
    is(content("f"), "second");
    is(ok.fstat(fd).nlink, 0);
    is(ok.fstat(fd).ino === ok.stat("f").ino, false, "the two are two inodes");
  },
  "open: a descriptor keeps its rights when the mode changes": needing("users", ({ ok, put, as, is, fails }) => {
    put("f", "text", 0o666);
    const fd = as(ALICE, () => ok.open("f", "RDWR"));
    ok.chmod("f", 0o000);
    ok.chown("f", BOB.uid, BOB.gid);
    as(ALICE, () => {
      is(text(ok.read(fd, 9)), "text");
      is(ok.write(fd, "!"), 1);
      fails("EACCES").open("f", "RDONLY");
    });
  }),
  "creat: makes, and empties what exists": ({ ok, is, mode, content }) => {
    // creat(2) is open with these three.
    ok.write(ok.open("f", "WRONLY|CREAT|TRUNC", 0o640), "text");
    is(mode("f"), 0o640);
    is(content("f"), "text");
    ok.close(ok.open("f", "WRONLY|CREAT|TRUNC", 0o777));
    is([mode("f"), content("f")], [0o640, ""]);
  },
  "creat: a read-only file of one's own is EACCES": needing(["users", "permissions"], ({ ok, as, fails }) => {
    ok.chmod(".", 0o777);
    as(ALICE, () => {
      ok.close(ok.open("f", "WRONLY|CREAT|TRUNC", 0o444));
      fails("EACCES").open("f", "WRONLY|CREAT|TRUNC", 0o444);
    });
  }),
};

/** Copies a program into the folder. */
function copyProgram(ok: Succeeding, from: string, to: string): void {
  const source = ok.open(from, "RDONLY"), target = ok.open(to, "WRONLY|CREAT|EXCL", 0o755);
  for (let at = 0, n; (n = ok.sendfile(target, source, at, 1 << 20)) > 0; at += n);
  ok.close(source);
  ok.close(target);
}
