/** Modes, owners and rights. Source: `chmod(2)`, `chown(2)`, `access(2)`, `path_resolution(7)`, `capabilities(7)`. */
import { ALICE, BOB, type Cases, CREW, needing } from "../place.ts";
import type { User } from "../sys.ts";

const READ = 4, WRITE = 2, EXECUTE = 1;

/** Who may be meant by which bits of a mode: file of Alice, group Crew. */
const WHO: Readonly<Record<string, readonly [User, shift: number]>> = {
  "its owner": [ALICE, 6],
  "its group": [{ uid: BOB.uid, gid: CREW }, 3],
  "a member of its group": [{ ...BOB, groups: [11, CREW, 12] }, 3],
  "others": [BOB, 0],
};

export const attributeCases: Cases = {
  "chmod: sets all twelve bits": needing("users", ({ ok, put, is, mode }) => {
    put("f");
    ok.mkdir("d");
    for (const bits of [0, 0o777, 0o644, 0o4755, 0o2755, 0o1777, 0o7777, 0o111, 0o001, 0o400]) {
      for (const path of ["f", "d"]) {
        ok.chmod(path, bits);
        is(mode(path), bits);
      }
      const fd = ok.open("f", "RDONLY");
      ok.fchmod(fd, 0o600);
      is(mode("f"), 0o600);
      ok.fchmod(fd, bits);
      is(mode("f"), bits);
      ok.close(fd);
    }
  }),
  "chmod: bits beyond do not matter": ({ ok, put, is }) => {
    put("f");
    ok.chmod("f", 0o170755);
    is(ok.stat("f").mode, 0o100755);
  },
  "chmod: special files": needing("special", ({ ok, is, mode }) => {
    ok.mknod("fifo", 0o010644);
    ok.mknod("socket", 0o140644);
    for (const path of ["fifo", "socket"]) {
      ok.chmod(path, 0o601);
      is(mode(path), 0o601);
    }
  }),
  "chmod: follows a symbolic link": needing("symlink", ({ ok, put, is, mode, fails }) => {
    put("f");
    ok.symlink("f", "link");
    ok.symlink("missing", "dangling");
    ok.chmod("link", 0o600);
    is([mode("f"), mode("link")], [0o600, 0o777]);
    fails("ENOENT").chmod("dangling", 0o600);
    fails("EOPNOTSUPP").fchmodat("link", 0o644, "SYMLINK_NOFOLLOW");
    ok.fchmodat("f", 0o640, "SYMLINK_NOFOLLOW");
    is(mode("f"), 0o640);
  }),
  "chmod: by its owner, and no other": needing("users", ({ ok, put, as, fails, is, mode }) => {
    put("f", "", 0o777);
    ok.mkdir("d", 0o777);
    for (const path of ["f", "d"]) {
      ok.chown(path, ALICE.uid, ALICE.gid);
      as(BOB, () => fails("EPERM").chmod(path, 0o600));
      as({ uid: BOB.uid, gid: ALICE.gid }, () => fails("EPERM").chmod(path, 0o600));
      as(BOB, () => fails("EPERM").fchmod(ok.open(path, "RDONLY"), 0o600));
      is(mode(path), 0o777);
      as(ALICE, () => ok.chmod(path, 0o751));
      is(mode(path), 0o751);
    }
  }),
  "chmod: set-gid is for members of the group": needing("users", ({ ok, put, as, is, mode }) => {
    put("f");
    ok.mkdir("d");
    for (const path of ["f", "d"]) {
      ok.chown(path, ALICE.uid, CREW);
      as(ALICE, () => ok.chmod(path, 0o2755));
      is(mode(path), 0o755, path);
      as({ ...ALICE, groups: [CREW] }, () => ok.chmod(path, 0o2755));
      is(mode(path), 0o2755, path);
      // One's own bit goes with the next change by a non-member.
      as(ALICE, () => ok.chmod(path, 0o2750));
      is(mode(path), 0o750, path);
    }
  }),
  "chmod: set-uid and sticky by the owner": needing("users", ({ ok, put, as, is, mode }) => {
    put("f");
    ok.mkdir("d");
    for (const path of ["f", "d"]) {
      ok.chown(path, ALICE.uid, ALICE.gid);
      as(ALICE, () => ok.chmod(path, 0o4755));
      is(mode(path), 0o4755);
      as(ALICE, () => ok.chmod(path, 0o1777));
      is(mode(path), 0o1777);
    }
  }),
  "chmod: is seen by another process": needing("process", ({ ok, put, is, other }) => {
    put("f");
    is(other.mode("f"), 0o644);
    for (const bits of [0o600, 0o755, 0o400]) {
      ok.chmod("f", bits);
      is(other.mode("f"), bits);
    }
    other.ok.chmod("f", 0o622);
    is(ok.stat("f").mode & 0o777, 0o622);
  }),

  "chown: owner and group, one of them, or none": needing("users", ({ ok, put, is, owner }) => {
    put("f");
    ok.mkdir("d");
    for (const path of ["f", "d"]) {
      ok.chown(path, 1, 2);
      is(owner(path), [1, 2]);
      ok.chown(path, -1, 3);
      is(owner(path), [1, 3]);
      ok.chown(path, 4, -1);
      is(owner(path), [4, 3]);
      ok.chown(path, -1, -1);
      is(owner(path), [4, 3]);
      ok.chown(path, 0xfffffffe, 0x7fffffff);
      is(owner(path), [0xfffffffe, 0x7fffffff]);
    }
    const fd = ok.open("f", "RDONLY");
    ok.fchown(fd, 7, 8);
    is(owner("f"), [7, 8]);
  }),
  "chown: follows a symbolic link, lchown does not": needing(["users", "symlink"], ({ ok, put, is, owner }) => {
    put("f");
    ok.symlink("f", "link");
    ok.chown("link", 5, 6);
    is([owner("f"), owner("link")], [[5, 6], [0, 0]]);
    ok.lchown("link", 7, 8);
    is([owner("f"), owner("link")], [[5, 6], [7, 8]]);
    ok.lchown("f", 9, 10);
    is(owner("f"), [9, 10]);
  }),
  "chown: special files": needing(["users", "special"], ({ ok, is, owner }) => {
    ok.mknod("fifo", 0o010644);
    ok.mknod("socket", 0o140644);
    ok.mknod("device", 0o020644, 1, 3);
    for (const path of ["fifo", "socket", "device"]) {
      ok.chown(path, 5, 6);
      is(owner(path), [5, 6]);
    }
  }),
  "chown: an ordinary user gives nothing away": needing("users", ({ ok, put, as, fails, is, owner }) => {
    put("f");
    ok.mkdir("d");
    for (const path of ["f", "d"]) {
      ok.chown(path, ALICE.uid, ALICE.gid);
      as(ALICE, () => {
        fails("EPERM").chown(path, BOB.uid, -1);
        fails("EPERM").chown(path, BOB.uid, BOB.gid);
        fails("EPERM").chown(path, -1, BOB.gid);
        fails("EPERM").chown(path, -1, CREW);
        ok.chown(path, ALICE.uid, ALICE.gid);
        ok.chown(path, ALICE.uid, -1);
        ok.chown(path, -1, -1);
      });
      as(BOB, () => {
        fails("EPERM").chown(path, BOB.uid, -1);
        fails("EPERM").chown(path, -1, BOB.gid);
        fails("EPERM").lchown(path, -1, BOB.gid);
      });
      is(owner(path), [ALICE.uid, ALICE.gid]);
    }
  }),
  "chown: the owner may choose among his groups": needing("users", ({ ok, put, as, is, owner, fails }) => {
    put("f");
    ok.chown("f", ALICE.uid, ALICE.gid);
    as({ ...ALICE, groups: [CREW] }, () => {
      ok.chown("f", -1, CREW);
      is(owner("f"), [ALICE.uid, CREW]);
      ok.chown("f", ALICE.uid, ALICE.gid);
    });
    is(owner("f"), [ALICE.uid, ALICE.gid]);
    as({ ...BOB, groups: [CREW] }, () => fails("EPERM").chown("f", -1, CREW));
  }),
  "chown: a stranger's that changes nothing is EPERM where set-id bits would go": needing("users", (at) => {
    const { ok, put, as, fails, is, mode } = at;
    put("f", "text", 0o755);
    ok.chmod("f", 0o6755);
    as(BOB, () => fails("EPERM").chown("f", -1, -1));
    is(mode("f"), 0o6755);
  }),
  "chown: by an ordinary user clears set-uid and set-gid": needing("users", ({ ok, put, as, is, mode }) => {
    const member = { ...ALICE, groups: [CREW] };
    const after: [before: number, after: number][] = [
      [0o4755, 0o755],
      [0o6755, 0o755],
      [0o2755, 0o755],
      [0o4644, 0o644],
      // Without group execution it is no set-gid, but mandatory locking as it once was.
      [0o2644, 0o2644],
      [0o6644, 0o2644],
      [0o1755, 0o1755],
    ];
    for (const [before, expected] of after) {
      put("f");
      ok.chown("f", ALICE.uid, ALICE.gid);
      ok.chmod("f", before);
      as(member, () => ok.chown("f", -1, CREW));
      is(mode("f"), expected, `chown from 0${before.toString(8)}`);
      ok.unlink("f");
    }
  }),
  "chown: by root clears set-uid and set-gid of files, not of directories": needing(
    "users",
    ({ ok, put, is, mode }) => {
      put("f");
      ok.mkdir("d");
      ok.chmod("f", 0o6755);
      ok.chmod("d", 0o6755);
      ok.chown("f", 5, 6);
      ok.chown("d", 5, 6);
      is([mode("f"), mode("d")], [0o755, 0o6755]);
      const fd = ok.open("f", "RDONLY");
      ok.chmod("f", 0o6755);
      ok.fchown(fd, 7, 8);
      is(mode("f"), 0o755);
    },
  ),
  "chown: a directory keeps set-gid for an ordinary user": needing("users", ({ ok, as, is, mode }) => {
    ok.mkdir("d");
    ok.chown("d", ALICE.uid, ALICE.gid);
    ok.chmod("d", 0o2755);
    as({ ...ALICE, groups: [CREW] }, () => ok.chown("d", -1, CREW));
    is(mode("d"), 0o2755);
  }),
  ...Object.fromEntries(
    ([
      ["write", (ok, fd) => ok.write(fd, "x")],
      ["pwrite", (ok, fd) => ok.pwrite(fd, "x", 1)],
      ["ftruncate", (ok, fd) => ok.ftruncate(fd, 1)],
      ["fallocate", (ok, fd) => ok.fallocate(fd, "", 0, 100)],
    ] as [string, (ok: any, fd: number) => unknown][]).map(([name, change]) => [
      `${name}: clears set-uid and set-gid where an ordinary user writes`,
      needing(name === "fallocate" ? ["users", "fallocate"] : "users", ({ ok, put, as, is, mode }) => {
        for (
          const [before, expected] of [[0o4777, 0o777], [0o6777, 0o777], [0o2777, 0o777], [0o2767, 0o767], [
            0o1777,
            0o1777,
          ]]
        ) {
          put("f", "text");
          ok.chmod("f", before);
          const fd = as(BOB, () => ok.open("f", "RDWR"));
          is(mode("f"), before);
          as(BOB, () => change(ok, fd));
          is(mode("f"), expected, `0${before.toString(8)}`);
          ok.close(fd);
          ok.unlink("f");
        }
      }),
    ]),
  ),
  "truncate and O_TRUNC: clear set-uid and set-gid where an ordinary user empties": needing("users", (at) => {
    const { ok, put, as, is, mode } = at;
    put("f", "text");
    ok.chmod("f", 0o6777);
    as(BOB, () => ok.truncate("f", 1));
    is(mode("f"), 0o777);
    ok.chmod("f", 0o6777);
    as(BOB, () => ok.close(ok.open("f", "WRONLY|TRUNC")));
    is(mode("f"), 0o777);
  }),
  "copy_file_range: clears set-uid and set-gid where an ordinary user writes": needing("users", (at) => {
    const { ok, put, as, is, mode } = at;
    put("from", "text");
    put("f", "");
    ok.chmod("f", 0o6777);
    as(BOB, () => ok.copyFileRange(ok.open("from", "RDONLY"), 0, ok.open("f", "WRONLY"), 0, 4));
    is(mode("f"), 0o777);
  }),
  "write: by root keeps set-uid and set-gid": needing("users", ({ ok, put, is, mode }) => {
    put("f", "text");
    ok.chmod("f", 0o6777);
    const fd = ok.open("f", "WRONLY");
    ok.write(fd, "x");
    ok.ftruncate(fd, 1);
    is(mode("f"), 0o6777);
  }),

  ...Object.fromEntries(
    Object.entries(WHO).map(([who, [user, shift]]) => [
      `permissions: ${who}, files of all modes`,
      needing(["users", "permissions"], ({ ok, fails, put, as }) => {
        put("f", "text");
        ok.chown("f", ALICE.uid, CREW);
        for (let bits = 0; bits < 8; bits++) {
          // The others' bits say the opposite, to see that they do not count.
          ok.chmod("f", 0o777 & ~(7 << shift) & ~(bits * 0o111) | bits << shift);
          const may = (wanted: number) => (bits & wanted) === wanted ? ok : fails("EACCES");
          as(user, () => {
            may(READ).open("f", "RDONLY");
            may(WRITE).open("f", "WRONLY");
            may(WRITE).open("f", "WRONLY|CREAT");
            may(WRITE).open("f", "WRONLY|APPEND");
            may(READ | WRITE).open("f", "RDWR");
            may(READ | WRITE).open("f", "RDONLY|TRUNC");
            may(WRITE).truncate("f", 4);
            may(READ).access("f", "R");
            may(WRITE).access("f", "W");
            may(EXECUTE).access("f", "X");
            may(READ | WRITE | EXECUTE).access("f", "R|W|X");
            ok.access("f", "F");
            ok.stat("f");
          });
        }
      }),
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(WHO).map(([who, [user, shift]]) => [
      `permissions: ${who}, directories of all modes`,
      needing(["users", "permissions"], ({ ok, fails, put, as }) => {
        ok.mkdir("d");
        ok.chown("d", ALICE.uid, CREW);
        put("d/f", "", 0o666);
        ok.chown("d/f", user.uid, -1);
        ok.mkdir("d/e", 0o777);
        for (let bits = 0; bits < 8; bits++) {
          ok.chmod("d", 0o777 & ~(7 << shift) & ~(bits * 0o111) | bits << shift);
          const may = (wanted: number) => (bits & wanted) === wanted ? ok : fails("EACCES");
          as(user, () => {
            may(READ).open("d", "RDONLY|DIRECTORY");
            may(EXECUTE).stat("d/f");
            may(EXECUTE).open("d/f", "RDWR");
            may(EXECUTE).stat("d/e/..");
            may(EXECUTE).access("d", "X");
            may(WRITE).access("d", "W");
            const change = may(WRITE | EXECUTE);
            change.rename("d/f", "d/new");
            change.unlink(change === ok ? "d/new" : "d/f");
            change.open(change === ok ? "d/f" : "d/new", "WRONLY|CREAT|EXCL", 0o666);
            change.rmdir("d/e");
            change.mkdir(change === ok ? "d/e" : "d/new", 0o777);
            ok.stat("d");
          });
        }
      }),
    ]),
  ),
  "permissions: new files are the effective user's": needing("users", ({ ok, as, put, is, owner }) => {
    ok.chmod(".", 0o777);
    as({ ...ALICE, effective: BOB.uid }, () => put("f"));
    is(owner("f"), [BOB.uid, ALICE.gid]);
  }),
  "permissions: root may all but run what nobody may run": needing("users", ({ ok, put, fails }) => {
    put("f", "text", 0o000);
    ok.mkdir("d", 0o000);
    ok.chown("f", ALICE.uid, ALICE.gid);
    ok.chown("d", ALICE.uid, ALICE.gid);
    ok.open("f", "RDWR");
    ok.open("d", "RDONLY");
    put("d/f");
    ok.access("f", "R|W");
    fails("EACCES").access("f", "X");
    ok.chmod("f", 0o001);
    ok.access("f", "X");
    ok.access("d", "R|W|X");
  }),
  "access: asks for the real user, with AT_EACCESS for the effective one": needing(["users", "permissions"], (at) => {
    const { ok, put, as, fails } = at;
    put("f", "", 0o400);
    ok.chown("f", ALICE.uid, ALICE.gid);
    as(ALICE, () => {
      ok.access("f", "R");
      ok.access("f", "R", "EACCESS");
      fails("EACCES").access("f", "W");
      fails("EACCES").access("f", "W", "EACCESS");
    });
    as(BOB, () => fails("EACCES").access("f", "R"));
    as({ ...ALICE, effective: BOB.uid }, () => {
      ok.access("f", "R");
      fails("EACCES").access("f", "R", "EACCESS");
      fails("EACCES").open("f", "RDONLY");
    });
    as({ ...BOB, effective: ALICE.uid }, () => {
      fails("EACCES").access("f", "R");
      ok.access("f", "R", "EACCESS");
      ok.open("f", "RDONLY");
    });
  }),
  "access: a symbolic link and what it leads to": needing(["users", "symlink", "permissions"], (at) => {
    const { ok, put, as, fails } = at;
    put("f", "", 0o000);
    ok.symlink("f", "link");
    ok.symlink("missing", "dangling");
    fails("ENOENT").access("dangling", "F");
    ok.access("dangling", "F", "SYMLINK_NOFOLLOW");
    as(ALICE, () => {
      fails("EACCES").access("link", "R");
      ok.access("link", "F");
    });
  }),
  "permissions: folders in the middle of a path ask for search alone": needing(["users", "permissions"], (at) => {
    const { ok, put, as, is, content, fails } = at;
    ok.mkdir("a", 0o711);
    ok.mkdir("a/b", 0o711);
    put("a/b/f", "text", 0o644);
    as(ALICE, () => {
      is(content("a/b/f"), "text");
      fails("EACCES").open("a", "RDONLY");
      fails("EACCES").open("a/b", "RDONLY");
    });
  }),
  "permissions: a change of mode or owner counts at once": needing(["users", "permissions"], (at) => {
    const { ok, put, as, fails } = at;
    put("f", "text", 0o600);
    ok.mkdir("d", 0o700);
    put("d/f", "", 0o666);
    for (let i = 0; i < 3; i++) {
      as(ALICE, () => {
        fails("EACCES").open("f", "RDONLY");
        fails("EACCES").open("d/f", "RDONLY");
      });
      ok.chmod("f", 0o644);
      ok.chmod("d", 0o755);
      as(ALICE, () => {
        ok.open("f", "RDONLY");
        ok.open("d/f", "RDONLY");
        fails("EACCES").open("f", "WRONLY");
      });
      ok.chown("f", ALICE.uid, -1);
      as(ALICE, () => ok.open("f", "WRONLY"));
      ok.chown("f", 0, -1);
      ok.chmod("f", 0o600);
      ok.chmod("d", 0o700);
    }
  }),
  "permissions: a program is run by those who may": needing(["users", "process", "permissions"], (at) => {
    const { ok, other, is, put, skip } = at;
    put("script", "#!/bin/sh\nexit 0\n", 0o755);
    const pid = other.start([`${other.dir}/script`]);
    if (pid === -13) skip("programs may not be run here");
    is(pid > 0, true, "it runs");
    other.kill(pid);
    ok.chmod("script", 0o644);
    is(other.start([`${other.dir}/script`]), -13);
  }),
};
