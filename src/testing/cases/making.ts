/** Making directories, special files and links. Source: `mkdir(2)`, `mknod(2)`, `link(2)`, `symlink(2)`. */
import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFREG, S_IFSOCK } from "../../fs/mode.ts";
import { ALICE, BOB, type Cases, CREW, needing } from "../place.ts";

// How many names the crowded file should lack at most.
const MORE = 100;

export const makingCases: Cases = {
  "mkdir: makes an empty directory with mode and owner": needing("users", ({ ok, is, as, names, owner }) => {
    ok.chmod(".", 0o777);
    as(ALICE, () => ok.mkdir("d", 0o751));
    const { mode, nlink } = ok.stat("d");
    is(mode, 0o040751);
    is(nlink === 2 || nlink === 1, true, "1 or 2 links");
    is(owner("d"), [ALICE.uid, ALICE.gid]);
    is(names("d"), []);
  }),
  "mkdir: all modes": ({ ok, is, mode }) => {
    for (const bits of [0, 0o777, 0o700, 0o070, 0o007, 0o1777, 0o500, 0o111]) {
      ok.mkdir(`d${bits}`, bits);
      is(mode(`d${bits}`), bits);
    }
  },
  "mkdir: set-id bits of the mode do not count": ({ ok, is, mode }) => {
    ok.mkdir("d", 0o6755);
    is(mode("d"), 0o755);
  },
  "mkdir: a name with a slash at its end": ({ ok, is, names }) => {
    ok.mkdir("d/");
    ok.mkdir("d/e//");
    is(names("d"), ["e"]);
  },
  "mkdir: . and .. of a new directory": ({ ok, is }) => {
    ok.mkdir("d");
    const fd = ok.open("d", "RDONLY|DIRECTORY");
    const entries = ok.getdents(fd);
    const at = (name: string) => Number(entries.find((entry) => entry.name === name)?.ino ?? 0);
    is(at("."), ok.stat("d").ino);
    is(at(".."), ok.stat(".").ino);
  },
  "mkdir: through a dangling symbolic link is EEXIST": needing("symlink", ({ ok, fails }) => {
    ok.symlink("missing", "dangling");
    fails("EEXIST").mkdir("dangling");
    fails("ENOENT", "EEXIST").mkdir("dangling/");
  }),
  "mkdir: in a removed directory is ENOENT": ({ ok, fails }) => {
    ok.mkdir("d");
    const fd = ok.open("d", "RDONLY|DIRECTORY");
    ok.rmdir("d");
    for (const name of ["e", "../e/f"]) fails("ENOENT").mkdir(`/proc/self/fd/${fd}/${name}`);
    fails("ENOENT").open(`/proc/self/fd/${fd}/f`, "WRONLY|CREAT");
  },
  "mkdir: link counts of a directory": ({ ok, is, put, skip }) => {
    ok.mkdir("d");
    if (ok.stat("d").nlink === 1) skip("directories do not count their links");
    is(ok.stat("d").nlink, 2);
    for (let i = 0; i < 5; i++) {
      ok.mkdir(`d/${i}`);
      is(ok.stat("d").nlink, 3 + i);
    }
    put("d/f");
    is(ok.stat("d").nlink, 7);
    ok.mkdir("e");
    ok.rename("d/0", "e/0");
    is([ok.stat("d").nlink, ok.stat("e").nlink], [6, 3]);
    ok.rmdir("d/1");
    is(ok.stat("d").nlink, 5);
    ok.mkdir("e/empty");
    ok.rename("d/2", "e/empty");
    is([ok.stat("d").nlink, ok.stat("e").nlink], [4, 4]);
  },
  "mkdir: link counts with RENAME_EXCHANGE": needing("exchange", ({ ok, is, put, skip }) => {
    ok.mkdir("a");
    if (ok.stat("a").nlink === 1) skip("directories do not count their links");
    ok.mkdir("b");
    ok.mkdir("a/d");
    put("b/f");
    ok.renameat2("a/d", "b/f", "EXCHANGE");
    is([ok.stat("a").nlink, ok.stat("b").nlink], [2, 3]);
  }),
  "mknod: a file, a fifo and a socket": needing("special", ({ ok, is }) => {
    for (const type of [S_IFREG, S_IFIFO, S_IFSOCK]) {
      const name = `n${type}`;
      ok.mknod(name, type | 0o642);
      const { mode, nlink, size, rdevMajor, rdevMinor } = ok.lstat(name);
      is([mode, nlink, size, rdevMajor, rdevMinor], [type | 0o642, 1, 0, 0, 0]);
      ok.unlink(name);
    }
  }),
  "mknod: without a type makes a file": ({ ok, is }) => {
    ok.mknod("f", 0o640);
    is(ok.stat("f").mode, S_IFREG | 0o640);
  },
  "mknod: files, fifos and sockets by an ordinary user": needing(["users", "special"], ({ ok, is, as, owner }) => {
    ok.chmod(".", 0o777);
    for (const type of [S_IFREG, S_IFIFO, S_IFSOCK]) {
      as(ALICE, () => ok.mknod(`n${type}`, type | 0o644));
      is(owner(`n${type}`), [ALICE.uid, ALICE.gid]);
      is(ok.lstat(`n${type}`).mode, type | 0o644);
    }
  }),
  "mknod: devices keep their numbers": needing(["users", "special"], ({ ok, is }) => {
    // 0:0 is no device on overlayfs.
    const numbers = [[1, 3], [0, 1], [8, 255], [8, 256], [255, 1], [259, 70000], [4095, 1048575]];
    for (const type of [S_IFCHR, S_IFBLK]) {
      for (const [i, [major, minor]] of numbers.entries()) {
        const name = `${type}-${i}`;
        ok.mknod(name, type | 0o600, major, minor);
        const { mode, rdevMajor, rdevMinor } = ok.lstat(name);
        is([mode, rdevMajor, rdevMinor], [type | 0o600, major, minor]);
      }
    }
  }),
  "mknod: devices by an ordinary user are EPERM": needing(["users", "special"], ({ ok, as, fails }) => {
    ok.chmod(".", 0o777);
    as(ALICE, () => {
      fails("EPERM").mknod("c", S_IFCHR | 0o644, 1, 3);
      fails("EPERM").mknod("b", S_IFBLK | 0o644, 7, 0);
    });
    fails("ENOENT").lstat("c");
  }),
  "mknod: a directory is EPERM, a symbolic link EINVAL": ({ fails }) => {
    fails("EPERM", "EINVAL").mknod("d", 0o040755);
    fails("EINVAL").mknod("l", 0o120777);
    fails("EINVAL").mknod("x", 0o050644);
  },
  "mknod: type of the entry": needing("special", ({ ok, is }) => {
    ok.mknod("fifo", S_IFIFO | 0o644);
    ok.mknod("socket", S_IFSOCK | 0o644);
    ok.mknod("file", S_IFREG | 0o644);
    ok.mkdir("directory");
    const types = Object.fromEntries(
      ok.getdents(ok.open(".", "RDONLY|DIRECTORY")).map(({ name, type }) => [name, type]),
    );
    is(["fifo", "socket", "file", "directory"].map((name) => types[name]), [1, 12, 8, 4]);
  }),

  "link: a second name for the same file": needing("link", ({ ok, is, put, content }) => {
    put("a", "text");
    ok.link("a", "b");
    const [a, b] = [ok.stat("a"), ok.stat("b")];
    is([b.ino, b.nlink, b.size], [a.ino, 2, 4]);
    ok.write(ok.open("b", "WRONLY|APPEND"), "!");
    is(content("a"), "text!");
    ok.chmod("b", 0o600);
    is(ok.stat("a").mode, 0o100600);
    ok.unlink("a");
    is(ok.stat("b").nlink, 1);
    is(content("b"), "text!");
  }),
  "link: across directories": needing("link", ({ ok, is, put }) => {
    ok.mkdir("d");
    put("f");
    for (let i = 0; i < 10; i++) ok.link("f", `d/${i}`);
    is(ok.stat("f").nlink, 11);
    for (let i = 0; i < 10; i++) {
      is(ok.stat(`d/${i}`).ino, ok.stat("f").ino);
      ok.unlink(`d/${i}`);
    }
    is(ok.stat("f").nlink, 1);
  }),
  "link: special files": needing(["link", "special"], ({ ok, is }) => {
    ok.mknod("fifo", S_IFIFO | 0o644);
    ok.mknod("socket", S_IFSOCK | 0o644);
    for (const name of ["fifo", "socket"]) {
      ok.link(name, `${name}2`);
      is([ok.lstat(`${name}2`).ino, ok.lstat(name).nlink], [ok.lstat(name).ino, 2]);
    }
  }),
  "link: a symbolic link itself, and with AT_SYMLINK_FOLLOW what it leads to": needing(
    ["link", "symlink"],
    ({ ok, is, put }) => {
      put("f");
      ok.symlink("f", "s");
      ok.link("s", "itself");
      ok.link("s", "target", "SYMLINK_FOLLOW");
      is(ok.readlink("itself"), "f");
      is(ok.lstat("itself").ino, ok.lstat("s").ino);
      is(ok.lstat("target").ino, ok.lstat("f").ino);
    },
  ),
  "link: a directory is EPERM": needing("link", ({ ok, fails }) => {
    ok.mkdir("d");
    fails("EPERM").link("d", "e");
    fails("EPERM").link(".", "e");
  }),
  "link: a file without a name is ENOENT": needing("link", ({ ok, put, fails }) => {
    put("f");
    const fd = ok.open("f", "RDWR");
    ok.unlink("f");
    fails("ENOENT").link(`/proc/self/fd/${fd}`, "g", "SYMLINK_FOLLOW");
    fails("ENOENT").flink(fd, "g");
  }),
  "link: EACCES in a directory that one may not write": needing(["link", "users", "permissions"], (at) => {
    const { ok, put, as, fails } = at;
    ok.mkdir("d", 0o755);
    ok.mkdir("mine", 0o777);
    put("mine/f");
    ok.chown("mine/f", ALICE.uid, ALICE.gid);
    as(ALICE, () => {
      fails("EACCES").link("mine/f", "d/f");
      ok.link("mine/f", "mine/g");
    });
    ok.chmod("mine", 0o766);
    as(ALICE, () => fails("EACCES").link("mine/f", "g"));
  }),

  "symlink: keeps its target as it was given": needing("symlink", ({ ok, is }) => {
    const targets = ["f", "/", "../..", "a//b/./c/", "x".repeat(255), `${"y".repeat(250)}/`.repeat(16), "é€😀 \n\t"];
    for (const [i, target] of targets.entries()) {
      ok.symlink(target, `s${i}`);
      is(ok.readlink(`s${i}`), target);
      const { mode, size } = ok.lstat(`s${i}`);
      is([mode, size], [0o120777, new TextEncoder().encode(target).length]);
    }
  }),
  "symlink: a target of 4,095 bytes, or ENAMETOOLONG": needing("symlink", ({ sys, ok, is, fails }) => {
    const target = "t/".repeat(2047) + "t";
    // Some file systems keep less: a block, or a page with a header.
    const r = sys.symlink(target, "s");
    if (r === 0) is(ok.readlink("s"), target);
    else is(r, -36);
    fails("ENAMETOOLONG").symlink(target + "/", "t");
  }),
  "symlink: an empty target is ENOENT": needing("symlink", ({ fails }) => {
    fails("ENOENT").symlink("", "s");
  }),
  "symlink: belongs to who made it": needing(["symlink", "users"], ({ ok, is, as, owner, masked }) => {
    ok.chmod(".", 0o777);
    as(ALICE, () => masked(0o077, () => ok.symlink("f", "s")));
    is(owner("s"), [ALICE.uid, ALICE.gid]);
    is(ok.lstat("s").mode, 0o120777);
  }),
  "readlink: cuts to the room that there is": needing("symlink", ({ ok, is, fails }) => {
    ok.symlink("target", "s");
    is(ok.readlink("s", 3), "tar");
    is(ok.readlink("s", 6), "target");
    fails("EINVAL").readlink("s", 0);
  }),
  "readlink: EINVAL for what is no symbolic link": needing("special", ({ ok, put, fails }) => {
    put("f");
    ok.mkdir("d");
    ok.mknod("fifo", S_IFIFO | 0o644);
    for (const path of ["f", "d", "fifo", "."]) fails("EINVAL").readlink(path);
  }),

  "umask: takes bits from what is made": needing(["special", "users"], ({ ok, is, mode, masked }) => {
    for (const mask of [0, 0o022, 0o077, 0o777, 0o027, 0o100]) {
      masked(mask, () => {
        ok.close(ok.open(`f${mask}`, "WRONLY|CREAT", 0o777));
        ok.mkdir(`d${mask}`, 0o777);
        ok.mknod(`n${mask}`, S_IFREG | 0o777);
        ok.mknod(`p${mask}`, S_IFIFO | 0o666);
        ok.mknod(`s${mask}`, S_IFSOCK | 0o777);
        ok.mknod(`c${mask}`, S_IFCHR | 0o666, 1, 3);
      });
      is(mode(`f${mask}`), 0o777 & ~mask);
      is(mode(`d${mask}`), 0o777 & ~mask);
      is(mode(`n${mask}`), 0o777 & ~mask);
      is(mode(`p${mask}`), 0o666 & ~mask);
      is(mode(`s${mask}`), 0o777 & ~mask);
      is(mode(`c${mask}`), 0o666 & ~mask);
    }
  }),
  "umask: does not touch set-id bits, nor chmod": ({ ok, is, mode, masked }) => {
    masked(0o777, () => {
      ok.close(ok.open("f", "WRONLY|CREAT", 0o4777));
      is(mode("f"), 0o4000);
      ok.chmod("f", 0o777);
      is(mode("f"), 0o777);
      ok.mkdir("d", 0o1777);
      is(mode("d"), 0o1000);
    });
  },
  "umask: is each process's own": needing("process", ({ ok, other, is, mode, masked }) => {
    other.masked(0o077, () =>
      masked(0o002, () => {
        ok.mkdir("here", 0o777);
        other.ok.mkdir("there", 0o777);
      }));
    is([mode("here"), mode("there")], [0o775, 0o700]);
  }),

  "set-gid directory: what is made in it gets its group": needing(["users", "special", "symlink"], (at) => {
    const { ok, is, as, owner, mode } = at;
    ok.mkdir("d");
    ok.chown("d", BOB.uid, CREW);
    ok.chmod("d", 0o2777);
    as(ALICE, () => {
      ok.close(ok.open("d/f", "WRONLY|CREAT", 0o644));
      ok.mkdir("d/e", 0o755);
      ok.mknod("d/n", S_IFREG | 0o644);
      ok.mknod("d/p", S_IFIFO | 0o644);
      ok.symlink("f", "d/s");
    });
    for (const name of ["f", "e", "n", "p", "s"]) is(owner(`d/${name}`), [ALICE.uid, CREW], name);
    // Directories hand it down.
    is([mode("d/e"), mode("d/f")], [0o2755, 0o644]);
    as(ALICE, () => ok.mkdir("d/e/g", 0o700));
    is(owner("d/e/g"), [ALICE.uid, CREW]);
    is(mode("d/e/g"), 0o2700);
  }),
  "set-gid directory: without the bit it is the caller's group": needing("users", ({ ok, is, as, owner }) => {
    ok.mkdir("d");
    ok.chown("d", BOB.uid, CREW);
    ok.chmod("d", 0o777);
    as(ALICE, () => {
      ok.close(ok.open("d/f", "WRONLY|CREAT"));
      ok.mkdir("d/e");
    });
    is(owner("d/f"), [ALICE.uid, ALICE.gid]);
    is(owner("d/e"), [ALICE.uid, ALICE.gid]);
  }),
  "set-gid directory: a set-gid file of a foreign group loses the bit": needing("users", ({ ok, is, as, mode }) => {
    ok.mkdir("d");
    ok.chown("d", BOB.uid, CREW);
    ok.chmod("d", 0o2777);
    as(ALICE, () => {
      ok.close(ok.open("d/f", "WRONLY|CREAT", 0o2755));
      ok.mknod("d/n", S_IFREG | 0o2755);
      ok.close(ok.open("d/m", "WRONLY|CREAT", 0o4755));
    });
    is([mode("d/f"), mode("d/n"), mode("d/m")], [0o755, 0o755, 0o4755]);
    as({ ...ALICE, groups: [CREW] }, () => ok.close(ok.open("d/member", "WRONLY|CREAT", 0o2755)));
    is(mode("d/member"), 0o2755);
    ok.close(ok.open("d/root", "WRONLY|CREAT", 0o2755));
    is(mode("d/root"), 0o2755);
  }),
  "set-gid directory: a file without a name gets its group": needing(["users", "tmpfile"], ({ ok, is, as }) => {
    ok.mkdir("d");
    ok.chown("d", BOB.uid, CREW);
    ok.chmod("d", 0o2777);
    const { gid, mode } = ok.fstat(as(ALICE, () => ok.open("d", "RDWR|TMPFILE", 0o2755)));
    is([gid, mode & 0o7777], [CREW, 0o755]);
  }),
  "link: EPERM for what one may not write, where the system says so": needing(
    ["link", "users", "permissions"],
    (at) => {
      const { ok, put, as, fails, content } = at;
      ok.chmod(".", 0o777);
      put("f", "", 0o644);
      // Source: `proc_sys_fs(5)`.
      const may = content("/proc/sys/fs/protected_hardlinks") === "0\n" ? ok : fails("EPERM");
      as(ALICE, () => void may.link("f", "g"));
      ok.chmod("f", 0o666);
      as(ALICE, () => ok.link("f", "h"));
    },
  ),
  "link: EMLINK beyond the most names that a file can have": needing(["link", "many names"], (at) => {
    const { ok, sys, is, skip, names, fails, crowded } = at;
    const before = ok.stat(crowded);
    let made = 0;
    while (made < MORE && sys.link(crowded, `${made}`) === 0) made++;
    const { nlink, ctime, ctimeNsec } = ok.stat(crowded);
    is(nlink, before.nlink + made);
    if (made === MORE) skip(`a file can have more than ${nlink} names`);
    const those = Array.from({ length: made }, (_, i) => `${i}`).sort();
    ok.mkdir("d");
    fails("EMLINK").link(crowded, "one-more");
    fails("EMLINK").link("0", "d/one-more");
    is([names("d"), names()], [[], [...those, "d"]]);
    fails("ENOENT").lstat("one-more");
    const after = ok.stat(crowded);
    is([after.nlink, after.ctime, after.ctimeNsec], [nlink, ctime, ctimeNsec]);
    // What needs no further one goes on, and with one less there is room for one.
    ok.rename("0", "d/renamed");
    fails("EMLINK").link(crowded, "one-more");
    ok.unlink("d/renamed");
    is(ok.stat(crowded).nlink, nlink - 1);
    ok.link(crowded, "one-more");
    is(ok.stat("one-more").nlink, nlink);
    fails("EMLINK").link(crowded, "d/two-more");
  }),
};
