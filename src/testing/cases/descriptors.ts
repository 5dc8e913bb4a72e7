/** Descriptors and handles. Source: `fcntl(2)`, `dup(2)`, `close(2)`, `open_by_handle_at(2)`. */
import { ALICE, type Cases, needing } from "../place.ts";
import { text } from "./bytes.ts";

const SIGUSR1 = 10;
// Source: `linux/fcntl.h` F_RDLCK, F_WRLCK, F_UNLCK.
const READ_LEASE = 0, WRITE_LEASE = 1, NO_LEASE = 2;
const F_NOTIFY = 1026;
// Source: `linux/exportfs.h MAX_HANDLE_SZ`.
const MAX_HANDLE = 128;
const CLOSED = 0x7fff;

/** A `struct file_handle` with room for so many bytes. */
function handle(room: number): Uint8Array {
  const bytes = new Uint8Array(8 + Math.min(room, MAX_HANDLE));
  new DataView(bytes.buffer).setUint32(0, room, true);
  return bytes;
}

export const descriptorCases: Cases = {
  "open: the access mode and flags are told by F_GETFL": ({ ok, put, is }) => {
    put("f");
    for (const flags of ["RDONLY", "WRONLY", "RDWR", "RDWR|APPEND", "WRONLY|NONBLOCK", "RDWR|SYNC", "RDWR|DSYNC"]) {
      const fd = ok.open("f", flags);
      const wanted = ok.open("f", `${flags}|CREAT|NOCTTY|TRUNC`);
      is(ok.openFlags(fd, "ACCMODE|APPEND|NONBLOCK|SYNC"), ok.openFlags(wanted, "ACCMODE|APPEND|NONBLOCK|SYNC"), flags);
      is(ok.openFlags(wanted, "CREAT|EXCL|NOCTTY|TRUNC"), 0, flags);
      ok.close(fd);
      ok.close(wanted);
    }
  },
  "open: F_SETFL sets O_APPEND and O_NONBLOCK, and not the access mode": ({ ok, put, is, content, fails }) => {
    put("f", "abc");
    const fd = ok.open("f", "WRONLY");
    const before = ok.fcntl(fd, "GETFL");
    const append = ok.fcntl(ok.open("f", "WRONLY|APPEND"), "GETFL") & ~before;
    ok.fcntl(fd, "SETFL", before | append | 2);
    ok.write(fd, "d");
    is(content("f"), "abcd");
    fails("EBADF").read(fd, 1);
    ok.fcntl(fd, "SETFL", before);
    ok.pwrite(fd, "A", 0);
    is(content("f"), "Abcd");
  },
  "open: F_SETFL ends the O_APPEND that open began with": ({ ok, put, is, content }) => {
    put("f", "hello");
    const fd = ok.open("f", "RDWR|APPEND");
    const append = ok.fcntl(fd, "GETFL"), plain = ok.fcntl(ok.open("f", "RDWR"), "GETFL");
    ok.fcntl(fd, "SETFL", plain);
    ok.pwrite(fd, "J", 0);
    is(content("f"), "Jello");
    ok.lseek(fd, 1, "SET");
    ok.write(fd, "u");
    is(content("f"), "Jullo");
    ok.fcntl(fd, "SETFL", append);
    ok.write(fd, "!");
    is(content("f"), "Jullo!");
  },
  "open: EMFILE when the process has no descriptor left": needing("process", ({ put, other }) => {
    put("f");
    const before = other.ok.setLimit("NOFILE", 20);
    try {
      for (let i = 0; i < 20; i++) if (other.sys.open("f", "RDONLY") < 0) break;
      other.fails("EMFILE").open("f", "RDONLY");
      other.fails("EMFILE").open("new", "WRONLY|CREAT");
    } finally {
      other.ok.setLimit("NOFILE", before);
    }
  }),
  "open_by_handle_at: opens what the handle was made of, wherever it has gone": needing(["handles", "users"], (at) => {
    const { ok, sys, put, is, fails, skip } = at;
    put("f", "text");
    ok.mkdir("d");
    if (sys.handle("f") === -95) skip("the file system has no handles");
    const [file, folder] = [ok.handle("f"), ok.handle("d")];
    is(text(ok.read(ok.openHandle(file, "RDONLY"), 9)), "text");
    ok.rename("f", "d/g");
    const fd = ok.openHandle(file, "RDWR");
    is(ok.fstat(fd).ino, ok.stat("d/g").ino);
    is(ok.fstat(ok.openHandle(folder, "RDONLY|DIRECTORY")).ino, ok.stat("d").ino);
    is(ok.handle("d/g"), file);
    // What is open stays, without a name.
    ok.unlink("d/g");
    is(text(ok.pread(fd, 9, 0)), "text");
    fails("ENOENT").handle("d/g");
  }),
  "open_by_handle_at: ESTALE for what is gone, EPERM for ordinary users": needing(["handles", "users"], (at) => {
    const { ok, sys, put, fails, as, soon, skip } = at;
    put("f");
    if (sys.handle("f") === -95) skip("the file system has no handles");
    const handle = ok.handle("f");
    as(ALICE, () => fails("EPERM").openHandle(handle, "RDONLY"));
    ok.unlink("f");
    soon(() => sys.openHandle(handle, "RDONLY") === -116, "it is gone");
    put("f");
    fails("ESTALE").openHandle(handle, "RDONLY");
  }),
  "close: EBADF for what is not open": ({ ok, put, fails }) => {
    put("f");
    const fd = ok.open("f", "RDONLY");
    ok.close(fd);
    fails("EBADF").close(fd);
    for (const call of ["read", "pread"] as const) fails("EBADF")[call](fd, 1, 0);
    fails("EBADF").write(fd, "x");
    fails("EBADF").lseek(fd, 0, "SET");
    fails("EBADF").fstat(fd);
    fails("EBADF").fsync(fd);
    fails("EBADF").fchmod(fd, 0o644);
    fails("EBADF").fchown(fd, -1, -1);
    fails("EBADF").ftruncate(fd, 0);
    fails("EBADF").getdents(fd);
    fails("EBADF").flock(fd, "SH");
  },
  "fcntl: descriptors are closed by execve": ({ ok, put, is }) => {
    put("f");
    const fd = ok.open("f", "RDONLY");
    is(ok.fcntl(fd, "GETFD"), 1);
    ok.fcntl(fd, "SETFD", 0);
    is(ok.fcntl(fd, "GETFD"), 0);
  },
  "dup and F_DUPFD: EMFILE when the process has no descriptor left, EINVAL beyond its limit": needing(
    "process",
    ({ put, other }) => {
      put("f");
      const fd = other.ok.open("f", "RDONLY");
      const before = other.ok.setLimit("NOFILE", 20);
      try {
        other.fails("EINVAL").fcntl(fd, "DUPFD", 20);
        for (let i = 0; i < 20; i++) if (other.sys.dup(fd) < 0) break;
        other.fails("EMFILE").dup(fd);
        other.fails("EMFILE").fcntl(fd, "DUPFD", 3);
        other.fails("EMFILE").pipe();
      } finally {
        other.ok.setLimit("NOFILE", before);
      }
    },
  ),
  "fcntl: a lease is EAGAIN where the file is open, and EWOULDBLOCK to who opens it": needing("process", (at) => {
    const { ok, other, put, fails, skip } = at;
    put("f", "text");
    const fd = other.ok.open("f", "RDONLY");
    // Who breaks it would end the process by SIGIO.
    other.ok.fcntl(fd, "SETSIG", SIGUSR1);
    if (other.sys.fcntl(fd, "SETLEASE", READ_LEASE) === -22) skip("the file system has no leases");
    ok.close(ok.open("f", "RDONLY"));
    fails("EAGAIN").open("f", "WRONLY|NONBLOCK");
    other.ok.fcntl(fd, "SETLEASE", NO_LEASE);
    const writer = ok.open("f", "WRONLY|NONBLOCK");
    other.fails("EAGAIN").fcntl(fd, "SETLEASE", READ_LEASE);
    ok.close(writer);
    const reader = ok.open("f", "RDONLY");
    other.fails("EAGAIN").fcntl(fd, "SETLEASE", WRITE_LEASE);
    ok.close(reader);
    other.fails("EINVAL").fcntl(other.ok.open("/proc/self/status", "RDONLY"), "SETLEASE", 9);
  }),
  "fcntl: a lease of another's file is EACCES": needing(
    ["users", "permissions"],
    ({ ok, put, as, fails, sys, skip }) => {
      put("f", "text", 0o644);
      as(ALICE, () => {
        const fd = ok.open("f", "RDONLY");
        if (sys.fcntl(fd, "SETLEASE", READ_LEASE) === -22) skip("the file system has no leases");
        fails("EACCES").fcntl(fd, "SETLEASE", READ_LEASE);
      });
    },
  ),
  "fcntl: F_NOTIFY is ENOTDIR for a file": ({ ok, put, fails }) => {
    put("f");
    fails("ENOTDIR").syscall("fcntl", ok.open("f", "RDONLY"), F_NOTIFY, 1);
  },
  "name_to_handle_at: EOVERFLOW tells how much room a handle takes": needing(
    "handles",
    ({ ok, sys, put, skip, fails, is }) => {
      put("f");
      if (sys.handle("f") === -95) skip("the file system has no handles");
      const folder = ok.open(".", "RDONLY|DIRECTORY"),
        none = handle(0),
        bytes = () => new DataView(none.buffer).getUint32(0, true);
      fails("EOVERFLOW").syscall("name_to_handle_at", folder, "f", none, new Uint8Array(4), 0);
      is(bytes() > 0 && bytes() <= MAX_HANDLE, true);
    },
  ),
  "open_by_handle_at: errors": needing(["handles", "users", "symlink"], ({ ok, sys, put, skip, fails }) => {
    put("f");
    ok.symlink("f", "s");
    if (sys.handle("f") === -95) skip("the file system has no handles");
    const folder = ok.open(".", "RDONLY|DIRECTORY");
    fails("ENOTDIR").handle("f/below");
    fails("EBADF").syscall("open_by_handle_at", CLOSED, ok.handle("f"), 0);
    fails("EINVAL").syscall("open_by_handle_at", folder, handle(0), 0);
    fails("EINVAL").syscall("open_by_handle_at", folder, handle(MAX_HANDLE + 1), 0);
    fails("ELOOP").openHandle(ok.handle("s"), "RDONLY");
    ok.openHandle(ok.handle("s"), "PATH");
  }),
};
