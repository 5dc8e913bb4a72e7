/** Locks. Source: `fcntl(2)`, `flock(2)`. */
import { type Cases, needing } from "../place.ts";

export const lockCases: Cases = {
  "flock: one exclusive, many shared": ({ ok, fails, put }) => {
    put("f");
    const [a, b, c] = ["RDONLY", "RDWR", "WRONLY"].map((flags) => ok.open("f", flags));
    ok.flock(a, "SH");
    ok.flock(b, "SH|NB");
    fails("EAGAIN").flock(c, "EX|NB");
    ok.flock(a, "UN");
    fails("EAGAIN").flock(c, "EX|NB");
    ok.flock(b, "UN");
    ok.flock(c, "EX|NB");
    fails("EAGAIN").flock(a, "SH|NB");
    fails("EAGAIN").flock(b, "EX|NB");
    ok.flock(c, "SH");
    ok.flock(a, "SH|NB");
  },
  "flock: belongs to the open file, and goes with its last descriptor": ({ ok, fails, put }) => {
    put("f");
    const a = ok.open("f", "RDWR"), again = ok.dup(a), b = ok.open("f", "RDWR");
    ok.flock(a, "EX");
    ok.flock(again, "EX|NB");
    ok.close(a);
    fails("EAGAIN").flock(b, "EX|NB");
    ok.close(again);
    ok.flock(b, "EX|NB");
  },
  "flock: turning a shared one into an exclusive one": ({ ok, fails, put }) => {
    put("f");
    const a = ok.open("f", "RDWR"), b = ok.open("f", "RDWR");
    ok.flock(a, "SH");
    ok.flock(a, "EX|NB");
    fails("EAGAIN").flock(b, "SH|NB");
    ok.flock(a, "SH|NB");
    ok.flock(b, "SH|NB");
    fails("EAGAIN").flock(a, "EX|NB");
  },
  "flock: between processes": needing("process", ({ ok, other, fails, put, is }) => {
    put("f");
    const here = ok.open("f", "RDWR"), there = other.ok.open("f", "RDWR");
    ok.flock(here, "EX");
    other.fails("EAGAIN").flock(there, "SH|NB");
    other.begin((sys) => sys.flock(there, "EX"));
    is(other.ended(100), false, "it waits");
    ok.flock(here, "UN");
    is(other.end(), 0);
    fails("EAGAIN").flock(here, "SH|NB");
    other.ok.close(there);
    ok.flock(here, "EX|NB");
  }),
  "flock: directories": ({ ok, fails }) => {
    ok.mkdir("d");
    const a = ok.open("d", "RDONLY"), b = ok.open("d", "RDONLY");
    ok.flock(a, "EX");
    fails("EAGAIN").flock(b, "SH|NB");
  },
  "flock: EINVAL for what is no operation": ({ ok, fails, put }) => {
    put("f");
    fails("EINVAL").flock(ok.open("f", "RDWR"), "NB");
  },
  "flock: does not touch record locks": needing("process", ({ ok, other, put, is }) => {
    put("f");
    const here = ok.open("f", "RDWR"), there = other.ok.open("f", "RDWR");
    ok.flock(here, "EX");
    other.ok.lock(there, "SETLK", { type: "WRLCK" });
    is(ok.getlock(here, "GETLK", { type: "WRLCK" }), {
      type: "WRLCK",
      start: 0,
      length: 0,
      pid: other.ok.getpid(),
    });
  }),
  "record locks: between processes": needing("process", ({ ok, other, fails, put, is }) => {
    put("f", "0123456789");
    const here = ok.open("f", "RDWR"), there = other.ok.open("f", "RDWR");
    ok.lock(here, "SETLK", { type: "WRLCK", start: 2, length: 3 });
    other.fails("EAGAIN", "EACCES").lock(there, "SETLK", { type: "RDLCK", start: 4, length: 1 });
    other.fails("EAGAIN", "EACCES").lock(there, "SETLK", { type: "WRLCK" });
    other.ok.lock(there, "SETLK", { type: "WRLCK", start: 5, length: 5 });
    other.ok.lock(there, "SETLK", { type: "WRLCK", start: 0, length: 2 });
    is(other.ok.getlock(there, "GETLK", { type: "RDLCK", start: 0, length: 10 }), {
      type: "WRLCK",
      start: 2,
      length: 3,
      pid: ok.getpid(),
    });
    is(other.ok.getlock(there, "GETLK", { type: "RDLCK", start: 5, length: 100 }), { type: "UNLCK" });
    fails("EAGAIN", "EACCES").lock(here, "SETLK", { type: "RDLCK", start: 5, length: 1 });
    // Those of one process do not stand in each other's way.
    ok.lock(ok.open("f", "RDWR"), "SETLK", { type: "WRLCK", start: 2, length: 3 });
  }),
  "record locks: many may read": needing("process", ({ ok, other, put, is }) => {
    put("f");
    const here = ok.open("f", "RDWR"), there = other.ok.open("f", "RDWR");
    ok.lock(here, "SETLK", { type: "RDLCK" });
    other.ok.lock(there, "SETLK", { type: "RDLCK" });
    other.fails("EAGAIN", "EACCES").lock(there, "SETLK", { type: "WRLCK" });
    is(other.ok.getlock(there, "GETLK", { type: "RDLCK" }), { type: "UNLCK" });
    ok.lock(here, "SETLK", { type: "UNLCK" });
    other.ok.lock(there, "SETLK", { type: "WRLCK" });
  }),
  "record locks: parts are given back, changed and joined": needing("process", ({ ok, other, put, is }) => {
    put("f");
    const here = ok.open("f", "RDWR"), there = other.ok.open("f", "RDWR");
    const inTheWay = (start: number, length: number) => {
      const lock = other.ok.getlock(there, "GETLK", { type: "WRLCK", start, length });
      return [lock.type, lock.start, lock.length];
    };
    ok.lock(here, "SETLK", { type: "WRLCK", start: 0, length: 100 });
    ok.lock(here, "SETLK", { type: "UNLCK", start: 40, length: 20 });
    is(inTheWay(40, 20)[0], "UNLCK");
    is(inTheWay(0, 100), ["WRLCK", 0, 40]);
    is(inTheWay(50, 0), ["WRLCK", 60, 40]);
    ok.lock(here, "SETLK", { type: "RDLCK", start: 10, length: 10 });
    is(inTheWay(10, 1), ["RDLCK", 10, 10]);
    is(inTheWay(20, 1), ["WRLCK", 20, 20]);
    ok.lock(here, "SETLK", { type: "WRLCK", start: 0, length: 0 });
    is(inTheWay(1000, 1), ["WRLCK", 0, 0]);
  }),
  "record locks: F_SETLKW waits": needing("process", ({ ok, other, put, is }) => {
    put("f");
    const here = ok.open("f", "RDWR"), there = other.ok.open("f", "RDWR");
    ok.lock(here, "SETLK", { type: "WRLCK" });
    other.begin((sys) => sys.lock(there, "SETLKW", { type: "WRLCK", start: 5, length: 1 }));
    is(other.ended(100), false, "it waits");
    ok.lock(here, "SETLK", { type: "UNLCK", start: 0, length: 5 });
    is(other.ended(50), false, "it waits for its own part");
    ok.lock(here, "SETLK", { type: "UNLCK" });
    is(other.end(), 0);
    is(ok.getlock(here, "GETLK", { type: "WRLCK" }).start, 5);
  }),
  "record locks: EDEADLK where two wait for each other": needing("process", ({ ok, other, put, fails, is }) => {
    put("f");
    const here = ok.open("f", "RDWR"), there = other.ok.open("f", "RDWR");
    ok.lock(here, "SETLK", { type: "WRLCK", start: 0, length: 1 });
    other.ok.lock(there, "SETLK", { type: "WRLCK", start: 1, length: 1 });
    other.begin((sys) => sys.lock(there, "SETLKW", { type: "WRLCK", start: 0, length: 1 }));
    is(other.ended(100), false, "it waits");
    fails("EDEADLK").lock(here, "SETLKW", { type: "WRLCK", start: 1, length: 1 });
    ok.lock(here, "SETLK", { type: "UNLCK" });
    is(other.end(), 0);
  }),
  "record locks and flock: EINTR where a signal interrupts the wait": needing("process", ({ ok, other, put, is }) => {
    put("f");
    const here = ok.open("f", "RDWR"), there = other.ok.open("f", "RDWR");
    ok.lock(here, "SETLK", { type: "WRLCK" });
    ok.flock(here, "EX");
    for (const wait of ["SETLKW", "OFD_SETLKW", "flock"] as const) {
      other.begin((sys) => wait === "flock" ? sys.flock(there, "EX") : sys.lock(there, wait, { type: "WRLCK" }));
      is(other.ended(50), false, "it waits");
      other.interrupt();
      other.endsWith("EINTR");
    }
    // It is out of the queue.
    ok.lock(here, "SETLK", { type: "UNLCK" });
    other.ok.lock(there, "SETLK", { type: "WRLCK" });
  }),
  "record locks: closing any descriptor gives them back": needing("process", ({ ok, other, put }) => {
    put("f");
    const here = ok.open("f", "RDWR"), unrelated = ok.open("f", "RDONLY"), there = other.ok.open("f", "RDWR");
    ok.lock(here, "SETLK", { type: "WRLCK" });
    other.fails("EAGAIN", "EACCES").lock(there, "SETLK", { type: "WRLCK" });
    ok.close(unrelated);
    other.ok.lock(there, "SETLK", { type: "WRLCK" });
  }),
  "record locks: EBADF where the file is not open for it": ({ ok, put, fails }) => {
    put("f");
    fails("EBADF").lock(ok.open("f", "RDONLY"), "SETLK", { type: "WRLCK" });
    fails("EBADF").lock(ok.open("f", "WRONLY"), "SETLK", { type: "RDLCK" });
    ok.lock(ok.open("f", "RDONLY"), "SETLK", { type: "RDLCK" });
    fails("EINVAL").lock(ok.open("f", "RDWR"), "SETLK", { type: "WRLCK", start: -1 });
  },
  "record locks: large offsets": needing("process", ({ ok, other, put, is }) => {
    put("f");
    const here = ok.open("f", "RDWR"), there = other.ok.open("f", "RDWR");
    ok.lock(here, "SETLK", { type: "WRLCK", start: 2 ** 40, length: 1000 });
    is(other.ok.getlock(there, "GETLK", { type: "WRLCK", start: 2 ** 39, length: 0 }).start, 2 ** 40);
    other.ok.lock(there, "SETLK", { type: "WRLCK", start: 0, length: 2 ** 40 });
    other.ok.lock(there, "SETLK", { type: "WRLCK", start: 2 ** 40 + 1000 });
  }),
  "open file description locks: conflict within one process": ({ ok, put, fails, is }) => {
    put("f");
    const a = ok.open("f", "RDWR"), b = ok.open("f", "RDWR");
    ok.lock(a, "OFD_SETLK", { type: "WRLCK", start: 0, length: 10 });
    fails("EAGAIN").lock(b, "OFD_SETLK", { type: "RDLCK", start: 5, length: 1 });
    ok.lock(b, "OFD_SETLK", { type: "WRLCK", start: 10, length: 10 });
    is(ok.getlock(b, "OFD_GETLK", { type: "WRLCK" }), { type: "WRLCK", start: 0, length: 10, pid: -1 });
    ok.lock(ok.dup(a), "OFD_SETLK", { type: "RDLCK", start: 0, length: 10 });
    ok.lock(b, "OFD_SETLK", { type: "RDLCK", start: 5, length: 1 });
    ok.close(b);
    ok.lock(a, "OFD_SETLK", { type: "WRLCK" });
  },
  "open file description locks: stay when another descriptor is closed": ({ ok, put, fails }) => {
    put("f");
    const a = ok.open("f", "RDWR"), b = ok.open("f", "RDWR");
    ok.lock(a, "OFD_SETLK", { type: "WRLCK" });
    ok.close(ok.open("f", "RDWR"));
    fails("EAGAIN").lock(b, "OFD_SETLK", { type: "WRLCK" });
  },
  "locks: go when the process ends": needing("process", ({ ok, other, put, is }) => {
    put("f");
    const here = ok.open("f", "RDWR"), there = other.ok.open("f", "RDWR");
    other.ok.lock(there, "SETLK", { type: "WRLCK" });
    is(ok.getlock(here, "GETLK", { type: "WRLCK" }).type, "WRLCK");
    other.ok.close(there);
    is(ok.getlock(here, "GETLK", { type: "WRLCK" }).type, "UNLCK");
  }),
  "locks: an unlinked file keeps its own": ({ ok, put, fails }) => {
    put("f");
    const a = ok.open("f", "RDWR"), b = ok.open("f", "RDWR");
    ok.unlink("f");
    put("f");
    ok.flock(a, "EX");
    fails("EAGAIN").flock(b, "EX|NB");
    ok.flock(ok.open("f", "RDWR"), "EX|NB");
  },
};
