/** Inode flags, which change what may be done. Source: `ioctl_iflags(2)`, `chattr(1)`. */
import { type Cases, needing, type Place } from "../place.ts";

const FS_IMMUTABLE_FL = 16, FS_APPEND_FL = 32;
// Source: `linux/fs.h`, `ioctl_iflags(2)`.
const FS_IOC_GETFLAGS = 0x80086601, FS_IOC_SETFLAGS = 0x40086602;

/** Does something while files and directories have an inode flag; skips the case where there is none. */
function flagged({ ok, sys, skip }: Place, paths: readonly string[], flag: number, action: () => void): void {
  const flags = new Uint32Array(2), buffer = new Uint8Array(flags.buffer);
  const fds = paths.map((path) => ok.open(path, "RDONLY"));
  const set = (fd: number, change: (flags: number) => number) => {
    if (sys.ioctl(fd, FS_IOC_GETFLAGS, buffer) < 0) return false;
    flags[0] = change(flags[0]);
    return sys.ioctl(fd, FS_IOC_SETFLAGS, buffer) === 0;
  };
  try {
    for (const fd of fds) if (!set(fd, (flags) => flags | flag)) skip("the file system has no such inode flag");
    action();
  } finally {
    for (const fd of fds) set(fd, (flags) => flags & ~flag);
  }
}

export const inodeFlagCases: Cases = {
  "inode flags: what is immutable stays as it is": needing("users", (at) => {
    const { ok, fails, put, is, content } = at;
    put("f", "text");
    ok.mkdir("d");
    put("d/f", "more");
    const open = ok.open("f", "RDWR"), source = ok.open("d/f", "RDONLY");
    flagged(at, ["f", "d"], FS_IMMUTABLE_FL, () => {
      for (const flags of ["WRONLY", "RDWR", "WRONLY|APPEND", "RDONLY|TRUNC"]) fails("EPERM").open("f", flags);
      fails("EPERM").truncate("f", 0);
      fails("EPERM").unlink("f");
      fails("EPERM").rename("f", "g");
      fails("EPERM").link("f", "g");
      fails("EPERM").chmod("f", 0o600);
      fails("EPERM").chown("f", 1, 1);
      fails("EPERM").utimens("f", [[1, 0], [1, 0]]);
      fails("EPERM").fallocate(open, "", 0, 100);
      fails("EPERM").copyFileRange(source, 0, open, 0, 4);
      fails("EPERM").rmdir("d");
      fails("EPERM", "EACCES").unlink("d/f");
      fails("EPERM", "EACCES").mkdir("d/e");
      fails("EPERM", "EACCES").open("d/g", "WRONLY|CREAT");
      is(content("f"), "text");
    });
    ok.unlink("d/f");
    ok.rmdir("d");
    ok.unlink("f");
  }),
  "inode flags: what is append-only grows alone": needing("users", (at) => {
    const { ok, fails, put, is, content } = at;
    put("f", "text");
    ok.mkdir("d");
    flagged(at, ["f", "d"], FS_APPEND_FL, () => {
      for (const flags of ["WRONLY", "RDWR", "WRONLY|APPEND|TRUNC", "RDONLY|TRUNC"]) fails("EPERM").open("f", flags);
      ok.write(ok.open("f", "WRONLY|APPEND"), "more");
      fails("EPERM").truncate("f", 0);
      fails("EPERM").unlink("f");
      fails("EPERM").rename("f", "g");
      put("d/new");
      fails("EPERM").unlink("d/new");
      fails("EPERM").rename("d/new", "d/other");
      is(content("f"), "textmore");
    });
  }),
  "inode flags: EFAULT for flags that cannot be read": needing("users", (at) => {
    const { ok, fails, put } = at;
    put("f");
    flagged(at, ["f"], FS_APPEND_FL, () => {
      const fd = ok.open("f", "RDONLY");
      fails("EFAULT").syscall("ioctl", fd, FS_IOC_GETFLAGS, 1);
      fails("EFAULT").syscall("ioctl", fd, FS_IOC_SETFLAGS, 1);
    });
  }),
  "inode flags: access tells what is immutable": needing("users", (at) => {
    const { ok, fails, put } = at;
    put("f", "text");
    flagged(at, ["f"], FS_IMMUTABLE_FL, () => {
      fails("EPERM").access("f", "W");
      ok.access("f", "R");
    });
  }),
  "inode flags: what is append-only keeps O_APPEND": needing("users", (at) => {
    const { ok, fails, put } = at;
    put("f", "text");
    flagged(at, ["f"], FS_APPEND_FL, () => {
      const fd = ok.open("f", "WRONLY|APPEND");
      fails("EPERM").fcntl(fd, "SETFL", 0);
    });
  }),
};
