/** How much there is, and what becomes of it. Source: `statfs(2)`, `errno(3)` ENOSPC and EDQUOT. */
import type { ErrnoName } from "../../errno.ts";
import { ALICE, BOB, type Cases, needing, type Place } from "../place.ts";
import type { Statfs } from "../sys.ts";
import { KIB, MIB, pattern } from "./bytes.ts";

const CHUNK = pattern(64 * KIB);
// What the calls make that makeNothing tries.
const KINDS = ["link", "symlink", "special", "tmpfile"] as const;

/** Writes a file until Alice may have no more; its descriptor. */
function fill({ ok, sys, is, quota, holds }: Place, path: string): number {
  const fd = ok.open(path, "RDWR|CREAT");
  let written = 0, r;
  while ((r = sys.pwrite(fd, CHUNK, written)) > 0 && written <= quota) written += r;
  is(r, -122);
  holds(written > 0 && written <= quota, "no more is taken than she may have");
  return fd;
}

/** Fails unless every call that would make something in `d`, where a file is, answers an errno. */
function makeNothing({ fails, is, names }: Place, file: string, code: ErrnoName): void {
  const before = names("d").length;
  const failing = fails(code);
  failing.open("d/new", "WRONLY|CREAT");
  failing.open("d", "RDWR|TMPFILE");
  failing.mkdir("d/new");
  failing.mknod("d/new", 0o100644);
  failing.mknod("d/new", 0o010644);
  failing.symlink("a target that is not too short to count", "d/new");
  failing.link(file, "d/new");
  is(names("d").length, before);
}

export const spaceCases: Cases = {
  "statfs: sizes that make sense": ({ ok, sys, put, is, holds, soon }) => {
    const s = ok.statfs(".");
    holds(s.bsize > 0 && s.frsize > 0, "there is a block size");
    holds(s.bfree <= s.blocks && s.bavail <= s.bfree, "no more is free than there is");
    holds(s.ffree <= s.files, "no more inodes are free than there are");
    is(s.namelen, 255);
    put("f");
    const fd = ok.open("f", "RDONLY");
    const whole = (found: Statfs | number) => {
      if (typeof found === "number") return found;
      const { type, bsize, blocks, files, namelen, frsize } = found;
      return [type, bsize, blocks, files, namelen, frsize].join();
    };
    // Where inodes are made of what is free, their number moves while others write.
    soon(() => whole(sys.fstatfs(fd)) === whole(sys.statfs(".")), "the file tells what the folder tells");
    is(ok.statfs("f").type, s.type);
    ok.fstatfs(ok.open("f", "PATH"));
  },
  "statfs: tells a read-only mount": needing("mounts", ({ ok, other, is, skip }) => {
    const ST_RDONLY = 1;
    ok.mkdir("d");
    ok.mkdir("m");
    if (other.sys.bindReadOnly("d", "m") < 0) skip("the mount cannot be shown at a second place");
    is(other.ok.statfs("m").flags & ST_RDONLY, ST_RDONLY);
    is(other.ok.statfs("d").flags & ST_RDONLY, 0);
  }),
  "write: ENOSPC where the file system is full, and it goes on when something is removed": needing("space", (at) => {
    const { ok, sys, fails, is, holds, put, space, content, soon } = at;
    put("small", "kept");
    const fd = ok.open("big", "RDWR|CREAT");
    const chunk = pattern(MIB);
    let written = 0, r;
    while ((r = sys.pwrite(fd, chunk, written)) > 0 && written <= space + MIB) written += r;
    is(r, -28);
    holds(written > 0 && written <= space, "no more is taken than there is");
    fails("ENOSPC").pwrite(fd, chunk, written);
    fails("ENOSPC").copyFileRange(fd, 0, fd, written, MIB);
    const small = ok.open("small", "RDONLY"), end = ok.open("big", "WRONLY");
    ok.lseek(end, written, "SET");
    fails("ENOSPC").sendfile(end, small, 0, 4);
    ok.close(end);
    is(ok.fstat(fd).size, written);
    is(ok.pread(fd, 1000, 0), chunk.subarray(0, 1000));
    is(content("small"), "kept");
    // What needs no space goes on.
    ok.rename("small", "renamed");
    ok.chmod("renamed", 0o600);
    ok.pwrite(fd, "over", 0);
    ok.unlink("renamed");
    ok.close(fd);
    ok.unlink("big");
    const again = ok.open("again", "WRONLY|CREAT");
    soon(() => sys.pwrite(again, chunk.subarray(0, 10_000), 0) === 10_000, "there is space again");
  }),
  "fallocate: ENOSPC for more than there is": needing(["space", "fallocate"], ({ ok, fails, is, space, soon }) => {
    const free = () => ok.statfs(".").bfree;
    const before = free();
    const fd = ok.open("f", "RDWR|CREAT");
    fails("ENOSPC").fallocate(fd, "", 0, 2 * space);
    // ext4 keeps what it had reserved by then, others nothing.
    ok.ftruncate(fd, 0);
    is(ok.write(fd, pattern(50_000)), 50_000);
    ok.close(fd);
    ok.unlink("f");
    soon(() => free() >= before, "all is free again");
  }),
  "truncate: more than there is, as a hole": needing(["space", "holes"], ({ ok, is, space }) => {
    const fd = ok.open("f", "RDWR|CREAT");
    ok.ftruncate(fd, 4 * space);
    is(ok.fstat(fd).size, 4 * space);
    is(ok.pread(fd, 10, 3 * space), new Uint8Array(10));
  }),
  "statfs: what is free follows what is made": needing("space", ({ ok, soon, put, holds }) => {
    const free = () => {
      const { bfree, frsize, ffree } = ok.statfs(".");
      return [bfree * frsize, ffree];
    };
    const [bytes, inodes] = free();
    put("f", pattern(MIB));
    ok.mkdir("d");
    const fd = ok.open("f", "RDONLY");
    ok.fsync(fd);
    holds(free()[0] <= bytes - MIB, "space is taken");
    holds(inodes === 0 || free()[1] <= inodes - 2, "inodes are taken");
    ok.unlink("f");
    ok.rmdir("d");
    holds(free()[0] <= bytes - MIB, "what is open still takes space");
    ok.close(fd);
    soon(() => free()[0] === bytes && free()[1] === inodes, "all is free again");
  }),
  "every call that makes something: ENOSPC where there are no more inodes": needing(["space", ...KINDS], (at) => {
    const { sys, ok, is, skip, names } = at;
    ok.mkdir("d");
    let made = 0, r = 0;
    while (made < 3000 && (r = sys.mknod(`d/${made}`, 0o100644)) === 0) made++;
    if (r === 0) skip("there are more than 3,000 inodes");
    makeNothing(at, "d/0", "ENOSPC");
    is(names(), ["d"]);
    // What makes none goes on.
    ok.rename("d/0", "d/renamed");
    ok.chmod("d/1", 0o600);
    for (let i = 1; i < made; i++) ok.unlink(`d/${i}`);
    ok.unlink("d/renamed");
    ok.rmdir("d");
  }),
  "write: EDQUOT where the user has no more": needing(["quota", "users"], (at) => {
    const { ok, sys, as, is, soon, fails } = at;
    ok.chmod(".", 0o777);
    as(ALICE, () => {
      const fd = fill(at, "f");
      const { size } = ok.fstat(fd);
      fails("EDQUOT").pwrite(fd, CHUNK, size);
      fails("EDQUOT").copyFileRange(fd, 0, fd, size, CHUNK.length);
      fails("EDQUOT").fallocate(fd, "", size, 2 * at.quota);
      is(ok.fstat(fd).size, size);
      is(ok.pread(fd, 1000, 0), CHUNK.subarray(0, 1000));
      ok.close(fd);
    });
    // She goes on after a removal, which btrfs counts once the cleaner has put the inode and a transaction has ended.
    ok.unlink("f");
    as(ALICE, () => {
      let fd = -1;
      soon(() => (fd = sys.open("g", "WRONLY|CREAT")) >= 0, "she may make a file again");
      soon(() => sys.pwrite(fd, CHUNK.subarray(0, 1000), 0) === 1000, "she has space again");
    });
  }),
  "write: EDQUOT is the user's alone": needing(["user quota", "quota", "users"], (at) => {
    const { ok, as, put, fails, is } = at;
    ok.chmod(".", 0o777);
    const fd = as(ALICE, () => fill(at, "f"));
    put("other", CHUNK);
    as(BOB, () => put("another", CHUNK));
    // The file's owner counts, not who writes.
    const { size } = ok.fstat(fd);
    fails("EDQUOT").pwrite(fd, CHUNK, size);
    fails("EDQUOT").chown("other", ALICE.uid, -1);
    is(ok.stat("other").uid, 0);
    ok.chown("f", 0, -1);
    is(ok.pwrite(fd, CHUNK, size), CHUNK.length);
    ok.chown("other", ALICE.uid, -1);
  }),
  "every call that makes something: EDQUOT where the user has no more": needing(["quota", "users", ...KINDS], (at) => {
    const { ok, sys, as, is, names, skip } = at;
    ok.chmod(".", 0o777);
    ok.mkdir("d");
    ok.chmod("d", 0o777);
    as(ALICE, () => {
      ok.close(fill(at, "d/f"));
      let made = 0, r = 0;
      while (made < 20_000 && (r = sys.mknod(`d/${made}`, 0o100644)) === 0) made++;
      if (r === 0) skip("names and inodes have no quota");
      makeNothing(at, "d/f", "EDQUOT");
      is(names(), ["d"]);
      for (let i = 0; i < made; i++) ok.unlink(`d/${i}`);
      ok.unlink("d/f");
    });
  }),
};
