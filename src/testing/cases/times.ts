/** Times, and what changes them. Source: `utimensat(2)`, `inode(7)`; POSIX "shall mark for update". */
import type { Stat } from "../sys.ts";
import { ALICE, BOB, type Cases, type Need, needing, type Place } from "../place.ts";

const ST_NOATIME = 1024;
const NOBODY = { uid: 64009, gid: 64009 };

function at(stat: Stat): [[number, number], [number, number]] {
  return [[stat.atime, stat.atimeNsec], [stat.mtime, stat.mtimeNsec]];
}

/** Does something; whether a time, in seconds, is of then. The clock of the times of files is a tick behind. */
function during(action: () => void): (seconds: number) => boolean {
  const before = Math.floor(Date.now() / 1000) - 1;
  action();
  const after = Date.now() / 1000;
  return (seconds) => before <= seconds && seconds <= after;
}

/** Which times of which paths a step changes: c for ctime, m for mtime. Paths that are not named keep both. */
type Changes = Readonly<Record<string, "m" | "c" | "mc" | "">>;

type Step = readonly [run: (at: Place) => unknown, changes: Changes, needs?: readonly Need[]];

/** From a folder with `d` (of files `f`, `g`, `h`, a folder `e`, a link `s`), and an empty folder `t`. */
const STEPS: Readonly<Record<string, Step>> = {
  "open O_CREAT": [({ ok }) => ok.close(ok.open("d/new", "WRONLY|CREAT")), { d: "mc", "d/f": "" }],
  "open O_CREAT of a file that exists": [({ ok }) => ok.close(ok.open("d/f", "WRONLY|CREAT")), { d: "", "d/f": "" }],
  "open O_TRUNC": [({ ok }) => ok.close(ok.open("d/f", "WRONLY|TRUNC")), { d: "", "d/f": "mc" }],
  "open O_TRUNC of an empty file": [({ ok }) => ok.close(ok.open("d/h", "WRONLY|TRUNC")), { d: "", "d/h": "mc" }],
  "open and close": [({ ok }) => ok.close(ok.open("d/f", "RDWR")), { d: "", "d/f": "" }],
  "mkdir": [({ ok }) => ok.mkdir("d/new"), { d: "mc", "d/e": "" }],
  "mknod": [({ ok }) => ok.mknod("d/new", 0o100644), { d: "mc" }],
  "mknod of a fifo": [({ ok }) => ok.mknod("d/new", 0o010644), { d: "mc" }, ["special"]],
  "symlink": [({ ok }) => ok.symlink("f", "d/new"), { d: "mc", "d/f": "" }, ["symlink"]],
  "link": [({ ok }) => ok.link("d/f", "t/new"), { d: "", t: "mc", "d/f": "c" }, ["link"]],
  "unlink": [({ ok }) => ok.unlink("d/g"), { d: "mc", "d/f": "" }],
  "unlink of one of two names": [
    ({ ok }) => ok.unlink("d/f"),
    { d: "mc", "d/same": "c" },
    ["link"],
  ],
  "unlink of a symbolic link": [({ ok }) => ok.unlink("d/s"), { d: "mc", "d/f": "" }, ["symlink"]],
  "rmdir": [({ ok }) => ok.rmdir("d/e"), { d: "mc", ".": "" }],
  "rename within a directory": [({ ok }) => ok.rename("d/g", "d/new"), { d: "mc", t: "", "d/f": "" }],
  "rename to another directory": [({ ok }) => ok.rename("d/g", "t/g"), { d: "mc", t: "mc", ".": "" }],
  "rename of a directory to another": [({ ok }) => ok.rename("d/e", "t/e"), { d: "mc", t: "mc", ".": "" }],
  "rename over a file with another name": [
    ({ ok }) => ok.rename("d/g", "d/f"),
    { d: "mc", "d/same": "c" },
    ["link"],
  ],
  "RENAME_EXCHANGE": [
    ({ ok }) => ok.renameat2("d/g", "t/x", "EXCHANGE"),
    { d: "mc", t: "mc", "d/f": "" },
    ["exchange"],
  ],
  "write": [({ ok }) => ok.write(ok.open("d/f", "WRONLY"), "x"), { d: "", "d/f": "mc" }],
  "write of nothing": [({ ok }) => ok.write(ok.open("d/f", "WRONLY"), ""), { d: "", "d/f": "" }],
  "write with O_APPEND": [({ ok }) => ok.write(ok.open("d/f", "WRONLY|APPEND"), "x"), { d: "", "d/f": "mc" }],
  "read": [({ ok }) => ok.read(ok.open("d/f", "RDONLY"), 4), { d: "", "d/f": "" }],
  "readdir": [({ ok }) => ok.getdents(ok.open("d", "RDONLY")), { d: "" }],
  "readlink": [({ ok }) => ok.readlink("d/s"), { d: "", "d/s": "" }, ["symlink"]],
  "stat": [({ ok }) => ok.stat("d/f"), { d: "", "d/f": "" }],
  "truncate to less": [({ ok }) => ok.truncate("d/f", 1), { d: "", "d/f": "mc" }],
  "truncate to more": [({ ok }) => ok.truncate("d/f", 100), { d: "", "d/f": "mc" }],
  "ftruncate to less": [({ ok }) => ok.ftruncate(ok.open("d/f", "WRONLY"), 1), { d: "", "d/f": "mc" }],
  "ftruncate to the same size": [({ ok }) => ok.ftruncate(ok.open("d/f", "WRONLY"), 4), { d: "", "d/f": "mc" }],
  "fallocate": [({ ok }) => ok.fallocate(ok.open("d/f", "WRONLY"), "", 0, 100), { d: "", "d/f": "mc" }, ["fallocate"]],
  "fallocate PUNCH_HOLE": [
    ({ ok }) => ok.fallocate(ok.open("d/f", "WRONLY"), "PUNCH_HOLE|KEEP_SIZE", 0, 2),
    { d: "", "d/f": "mc" },
    ["fallocate"],
  ],
  "copy_file_range": [
    ({ ok }) => ok.copyFileRange(ok.open("d/f", "RDONLY"), 0, ok.open("d/g", "WRONLY"), 0, 4),
    { d: "", "d/f": "", "d/g": "mc" },
  ],
  "chmod": [({ ok }) => ok.chmod("d/f", 0o600), { d: "", "d/f": "c" }],
  "chmod of a directory": [({ ok }) => ok.chmod("d", 0o700), { d: "c", ".": "", "d/f": "" }],
  "fchmod": [({ ok }) => ok.fchmod(ok.open("d/f", "RDONLY"), 0o600), { "d/f": "c" }],
  "chown": [({ ok }) => ok.chown("d/f", 1, 2), { d: "", "d/f": "c" }, ["users"]],
  "chown of a symbolic link": [({ ok }) => ok.lchown("d/s", 1, 2), { d: "", "d/s": "c", "d/f": "" }, [
    "users",
    "symlink",
  ]],
  "utimensat": [({ ok }) => ok.utimens("d/f", [[5, 5], "omit"]), { d: "", "d/f": "c" }],
  "setxattr": [({ ok }) => ok.setxattr("d/f", "user.b", "1"), { d: "", "d/f": "c" }, ["xattr"]],
  "removexattr": [({ ok }) => ok.removexattr("d/f", "user.a"), { d: "", "d/f": "c" }, ["xattr"]],
  "getxattr": [({ ok }) => ok.getxattr("d/f", "user.a"), { d: "", "d/f": "" }, ["xattr"]],
  "fsync": [({ ok }) => ok.fsync(ok.open("d/f", "RDWR")), { d: "", "d/f": "" }],
  "flock": [({ ok }) => ok.flock(ok.open("d/f", "RDWR"), "EX"), { d: "", "d/f": "" }],
  // What fails changes nothing.
  "mkdir that fails": [({ fails }) => fails("EEXIST").mkdir("d/e"), { d: "", "d/e": "" }],
  "rmdir that fails": [({ fails }) => fails("ENOTEMPTY", "EEXIST").rmdir("d"), { d: "", ".": "" }],
  "unlink that fails": [({ fails }) => fails("ENOENT").unlink("d/missing"), { d: "" }],
  "rename that fails": [({ fails }) => fails("EISDIR").rename("d/f", "d/e"), { d: "", "d/f": "", "d/e": "" }],
  "link that fails": [({ fails }) => fails("EEXIST").link("d/f", "d/g"), { d: "", "d/f": "", "d/g": "" }, ["link"]],
  "chmod that fails": [
    ({ as, fails }) => as(ALICE, () => fails("EPERM").chmod("d/f", 0o777)),
    { d: "", "d/f": "" },
    ["users"],
  ],
  "chown that fails": [
    ({ as, fails }) => as(ALICE, () => fails("EPERM").chown("d/f", ALICE.uid, -1)),
    { d: "", "d/f": "" },
    ["users"],
  ],
  "truncate that fails": [({ fails }) => fails("EISDIR").truncate("d", 0), { d: "" }],
};

const times = ({ mtime, mtimeNsec, ctime, ctimeNsec }: Stat) => ({
  m: BigInt(mtime) * 1_000_000_000n + BigInt(mtimeNsec),
  c: BigInt(ctime) * 1_000_000_000n + BigInt(ctimeNsec),
});

export const timeCases: Cases = {
  ...Object.fromEntries(
    Object.entries(STEPS).map(([name, [run, changes, needs = []]]) => [
      `times: ${name} changes ${
        Object.entries(changes).filter(([, which]) => which).map(([path, which]) =>
          `${which === "mc" ? "mtime and ctime" : which === "c" ? "ctime" : "mtime"} of ${path}`
        ).join(", ") || "nothing"
      }`,
      needing(needs, (place) => {
        const { ok, put, tick, holds, is } = place;
        ok.mkdir("d");
        ok.mkdir("d/e");
        ok.mkdir("t");
        put("d/f", "text");
        put("d/g", "more");
        put("d/h");
        if (needs.includes("symlink")) ok.symlink("f", "d/s");
        if (needs.includes("xattr")) ok.setxattr("d/f", "user.a", "1");
        if (needs.includes("exchange")) put("t/x");
        if ("d/same" in changes) ok.link("d/f", "d/same");
        const before = Object.fromEntries(Object.keys(changes).map((path) => [path, times(ok.lstat(path))]));
        tick();
        run(place);
        for (const [path, which] of Object.entries(changes)) {
          const now = times(ok.lstat(path));
          for (const time of ["m", "c"] as const) {
            const what = `${time}time of ${path}`;
            if (which.includes(time)) holds(now[time] > before[path][time], `${what} moves on`);
            else is(now[time], before[path][time], what);
          }
        }
      }),
    ]),
  ),
  "times: a new file, folder and link have three alike, of now": needing("symlink", ({ ok, put, is, holds }) => {
    const isOfThen = during(() => {
      put("f");
      ok.mkdir("d");
      ok.symlink("x", "s");
    });
    for (const path of ["f", "d", "s"]) {
      const { atime, atimeNsec, mtime, mtimeNsec, ctime, ctimeNsec } = ok.lstat(path);
      is([atime, atimeNsec], [mtime, mtimeNsec]);
      is([mtime, mtimeNsec], [ctime, ctimeNsec]);
      holds(isOfThen(mtime), `${path} is of now`);
    }
  }),
  "utimensat: seconds and nanoseconds": needing("nanoseconds", ({ ok, put, is }) => {
    put("f");
    ok.mkdir("d");
    for (const path of ["f", "d"]) {
      ok.utimens(path, [[1_000_000_000, 123_456_789], [1_700_000_000, 999_999_999]]);
      is(at(ok.stat(path)), [[1_000_000_000, 123_456_789], [1_700_000_000, 999_999_999]]);
      ok.utimens(path, [[0, 1], [0, 0]]);
      is(at(ok.stat(path)), [[0, 1], [0, 0]]);
      for (const seconds of [-1, -2, -1_000_000_000, -(2 ** 31) + 1]) {
        ok.utimens(path, [[seconds, 999_999_999], [seconds, 1]]);
        is(at(ok.stat(path)), [[seconds, 999_999_999], [seconds, 1]]);
      }
    }
  }),
  "utimensat: seconds that are too many become the most there can be": ({ ok, put, is, holds }) => {
    put("f");
    for (const sign of [-1, 1]) {
      let last = 0;
      for (const power of [31, 33, 34, 40, 47, 53, 62]) {
        const seconds = sign * 2 ** power;
        ok.utimens("f", [[seconds, 0], [seconds, 0]]);
        const [[a], [m]] = at(ok.stat("f"));
        is(a, m);
        holds(
          a === seconds || a === last || a * sign > last * sign && a * sign < seconds * sign,
          `${a} for ${seconds}`,
        );
        last = a;
      }
    }
  },
  "utimensat: before 1970 and after 2038": ({ ok, put, is }) => {
    put("f");
    for (const seconds of [-1, -1_000_000_000, 2 ** 31, 2 ** 32 + 5, 10_000_000_000]) {
      ok.utimens("f", [[seconds, 0], [seconds, 0]]);
      is(at(ok.stat("f")), [[seconds, 0], [seconds, 0]]);
    }
  },
  "utimensat: UTIME_NOW, UTIME_OMIT and null": ({ ok, put, is, holds }) => {
    put("f");
    ok.utimens("f", [[10, 1000], [20, 2000]]);
    ok.utimens("f", ["omit", [30, 3000]]);
    is(at(ok.stat("f")), [[10, 1000], [30, 3000]]);
    ok.utimens("f", [[40, 4000], "omit"]);
    is(at(ok.stat("f")), [[40, 4000], [30, 3000]]);
    let isOfThen = during(() => ok.utimens("f", ["now", "omit"]));
    is(at(ok.stat("f"))[1], [30, 3000]);
    holds(isOfThen(ok.stat("f").atime), "atime is of now");
    isOfThen = during(() => ok.utimens("f", [[10, 1000], "now"]));
    is(at(ok.stat("f"))[0], [10, 1000]);
    holds(isOfThen(ok.stat("f").mtime), "mtime is of now");
    ok.utimens("f", [[10, 0], [20, 0]]);
    isOfThen = during(() => ok.utimens("f", null));
    const { atime, mtime } = ok.stat("f");
    holds(isOfThen(atime) && isOfThen(mtime), "both are of now");
    const before = ok.stat("f");
    ok.utimens("f", ["omit", "omit"]);
    is([ok.stat("f").ctime, ok.stat("f").ctimeNsec], [before.ctime, before.ctimeNsec]);
  },
  "utimensat: two times of now are one": ({ ok, put, is }) => {
    put("f");
    for (const times of [null, ["now", "now"]] as const) {
      ok.utimens("f", times);
      const [a, m] = at(ok.stat("f"));
      is(a, m);
    }
  },
  "utimensat: ctime becomes now": ({ ok, put, holds, tick }) => {
    put("f");
    const before = times(ok.stat("f")).c;
    tick();
    ok.utimens("f", [[10, 0], [20, 0]]);
    holds(times(ok.stat("f")).c > before, "ctime moves on");
  },
  "utimensat: EINVAL for nanoseconds beyond": ({ ok, put, fails }) => {
    put("f");
    fails("EINVAL").utimens("f", [[0, 1_000_000_000], [0, 0]]);
    fails("EINVAL").utimens("f", [[0, 0], [0, -1]]);
    ok.utimens("f", [[0, 999_999_999], [0, 0]]);
  },
  "utimensat: a symbolic link itself": needing("symlink", ({ ok, put, is, fails }) => {
    put("f");
    ok.utimens("f", [[1, 0], [2, 0]]);
    ok.symlink("f", "link");
    ok.utimens("link", [[3, 4000], [5, 6000]], "SYMLINK_NOFOLLOW");
    is(at(ok.lstat("link"))[1], [5, 6000]);
    is(at(ok.stat("f")), [[1, 0], [2, 0]]);
    ok.utimens("link", [[7, 0], [8, 0]]);
    is(at(ok.stat("f")), [[7, 0], [8, 0]]);
    ok.symlink("missing", "dangling");
    fails("ENOENT").utimens("dangling", null);
    ok.utimens("dangling", [[9, 0], [9, 0]], "SYMLINK_NOFOLLOW");
  }),
  "futimens: through a descriptor": ({ ok, put, is }) => {
    put("f");
    ok.mkdir("d");
    const fds = [ok.open("f", "RDONLY"), ok.open("f", "WRONLY"), ok.open("d", "RDONLY")];
    for (const [i, fd] of fds.entries()) {
      ok.futimens(fd, [[100 + i, 1000], [200 + i, 2000]]);
      is(at(ok.fstat(fd)), [[100 + i, 1000], [200 + i, 2000]]);
    }
    is(at(ok.stat("f")), [[101, 1000], [201, 2000]]);
  },
  "futimens: after a write through the same descriptor": ({ ok, put, is }) => {
    put("f");
    const fd = ok.open("f", "WRONLY");
    ok.write(fd, "text");
    ok.futimens(fd, [[1, 0], [2, 0]]);
    is(at(ok.stat("f")), [[1, 0], [2, 0]]);
    ok.close(fd);
    is(at(ok.stat("f")), [[1, 0], [2, 0]]);
  },
  "utimensat: who may set times": needing("users", ({ ok, put, as, fails, is }) => {
    put("f", "", 0o644);
    ok.chown("f", ALICE.uid, ALICE.gid);
    as(ALICE, () => {
      ok.utimens("f", [[1, 0], [2, 0]]);
      ok.utimens("f", null);
      ok.utimens("f", [[1, 0], [2, 0]]);
    });
    as(BOB, () => {
      fails("EPERM").utimens("f", [[5, 0], [6, 0]]);
      fails("EPERM").utimens("f", ["omit", [6, 0]]);
      fails("EPERM").utimens("f", ["now", "omit"]);
      ok.utimens("f", ["omit", "omit"]);
    });
    is(at(ok.stat("f")), [[1, 0], [2, 0]]);
    // Even read-only, it is the owner's.
    ok.chmod("f", 0o000);
    as(ALICE, () => {
      ok.utimens("f", [[3, 0], [4, 0]]);
      ok.utimens("f", null);
    });
  }),
  "utimensat: who may set times to now": needing(["users", "permissions"], ({ ok, put, as, fails }) => {
    put("f", "", 0o644);
    ok.chown("f", ALICE.uid, ALICE.gid);
    as(BOB, () => {
      fails("EACCES").utimens("f", null);
      fails("EACCES").utimens("f", ["now", "now"]);
    });
    ok.chmod("f", 0o606);
    as(BOB, () => {
      ok.utimens("f", null);
      ok.utimens("f", ["now", "now"]);
      fails("EPERM").utimens("f", ["now", "omit"]);
    });
    as(NOBODY, () => fails("EPERM").utimens("f", [[1, 0], "now"]));
  }),
  "atime: reading moves it on after a change": needing("atime", ({ ok, put, holds, tick, skip }) => {
    if (ok.statfs(".").flags & ST_NOATIME) skip("the mount keeps no time of access");
    put("f", "text");
    ok.utimens("f", [[10, 0], [20, 0]]);
    tick();
    const fd = ok.open("f", "RDONLY");
    ok.read(fd, 4);
    ok.close(fd);
    holds(ok.stat("f").atime > 10, "atime moves on");
  }),
  "atime: O_NOATIME leaves it": needing("atime", ({ ok, put, is, tick }) => {
    put("f", "text");
    ok.utimens("f", [[10, 0], [20, 0]]);
    tick();
    ok.read(ok.open("f", "RDONLY|NOATIME"), 4);
    is(ok.stat("f").atime, 10);
  }),
  "atime: reading once more moves it on after a change": needing("atime", ({ ok, put, holds, tick, skip }) => {
    if (ok.statfs(".").flags & ST_NOATIME) skip("the mount keeps no time of access");
    put("f", "text");
    // Now it is in the page cache.
    const fd = ok.open("f", "RDONLY");
    ok.pread(fd, 4, 0);
    for (const seconds of [20, 30]) {
      ok.utimens("f", [[10, 0], [seconds, 0]]);
      tick();
      ok.pread(fd, 4, 0);
      holds(ok.stat("f").atime > 10, "atime moves on");
    }
  }),
  "atime: copying from a file moves it on after a change": needing("atime", ({ ok, put, holds, tick, skip }) => {
    if (ok.statfs(".").flags & ST_NOATIME) skip("the mount keeps no time of access");
    put("f", "text");
    const from = ok.open("f", "RDONLY"), to = ok.open("g", "WRONLY|CREAT");
    ok.utimens("f", [[10, 0], [20, 0]]);
    ok.stat("f");
    tick();
    ok.copyFileRange(from, 0, to, 0, 4);
    holds(ok.stat("f").atime > 10, "atime moves on");
  }),
  "atime: readdir and readlink move it on": needing(["atime", "symlink"], ({ ok, holds, tick, skip, names }) => {
    if (ok.statfs(".").flags & ST_NOATIME) skip("the mount keeps no time of access");
    ok.mkdir("d");
    ok.symlink("x", "s");
    ok.utimens("d", [[10, 0], [20, 0]]);
    ok.utimens("s", [[10, 0], [20, 0]], "SYMLINK_NOFOLLOW");
    tick();
    names("d");
    ok.readlink("s");
    holds(ok.stat("d").atime > 10, "atime of the directory moves on");
    holds(ok.lstat("s").atime > 10, "atime of the link moves on");
  }),
  "btime: is of now, and stays": ({ ok, put, is, tick, holds, skip }) => {
    const isOfThen = during(() => put("f", "text"));
    ok.mkdir("d");
    const first = ok.stat("f");
    if (first.btime === undefined) skip("the file system knows no time of birth");
    holds(isOfThen(first.btime!), "it is of now");
    tick();
    ok.write(ok.open("f", "WRONLY"), "more");
    ok.chmod("f", 0o600);
    ok.utimens("f", [[1, 0], [1, 0]]);
    ok.rename("f", "d/g");
    const { btime, btimeNsec } = ok.stat("d/g");
    is([btime, btimeNsec], [first.btime, first.btimeNsec]);
  },
  "mtime: is told by fstat right after the write": ({ ok, put, holds, is }) => {
    put("f");
    ok.utimens("f", [[10, 0], [20, 0]]);
    const fd = ok.open("f", "WRONLY");
    ok.write(fd, "x");
    const written = times(ok.fstat(fd));
    holds(written.m > 20_000_000_000n, "mtime moves on");
    ok.close(fd);
    is(times(ok.stat("f")), written);
  },
  "mtime: a write brings it back from the future": ({ ok, put, holds }) => {
    put("f", "text");
    const future = 2 ** 33;
    ok.utimens("f", [[0, 0], [future, 0]]);
    const fd = ok.open("f", "WRONLY");
    ok.write(fd, "x");
    ok.close(fd);
    holds(ok.stat("f").mtime < future, "mtime is of now");
  },
};
