/** Files in memory. Source: `mmap(2)`, `msync(2)`. */
import { ALICE, type Cases, needing } from "../place.ts";
import { pattern, text } from "./bytes.ts";

const PAGE = 4096;
// Source: `asm-generic/mman-common.h`, `linux/mman.h`, `sys/mount.h`.
const PROT_READ = 1, MAP_SHARED = 1, MAP_FIXED_NOREPLACE = 0x100000, MREMAP_MAYMOVE = 1, MS_INVALIDATE = 2;
const MS_NOEXEC = 8, MS_REMOUNT = 32, MS_BIND = 4096;

export const mappingCases: Cases = {
  "mmap: shows what the file holds, and zeros to the end of the page": ({ ok, sys, put, is }) => {
    put("f", "text");
    const address = ok.mmap(4096, "READ", "SHARED", ok.open("f", "RDONLY"));
    is(text(sys.peek(address, 4)), "text");
    is(sys.peek(address + 4, 100), new Uint8Array(100));
  },
  "mmap: MAP_SHARED writes into the file": ({ ok, sys, put, is, content }) => {
    put("f", "text".repeat(2000));
    const fd = ok.open("f", "RDWR");
    const address = ok.mmap(8000, "READ|WRITE", "SHARED", fd);
    sys.poke(address + 5000, "MARK");
    is(text(ok.pread(fd, 4, 5000)), "MARK");
    ok.close(fd);
    sys.poke(address, "HEAD");
    ok.msync(address, 8000);
    is(content("f").slice(0, 8), "HEADtext");
    is(content("f").slice(5000, 5004), "MARK");
    is(ok.stat("f").size, 8000);
    ok.munmap(address);
    is(content("f").slice(0, 4), "HEAD");
  },
  "mmap: sees what is written, and writing is seen through it": ({ ok, sys, put, is }) => {
    put("f", new Uint8Array(16_384));
    const fd = ok.open("f", "RDWR");
    const address = ok.mmap(16_384, "READ|WRITE", "SHARED", fd);
    for (const offset of [0, 4095, 4096, 10_000]) {
      ok.pwrite(fd, "wr", offset);
      is(text(sys.peek(address + offset, 2)), "wr");
      sys.poke(address + offset, "MM");
      is(text(ok.pread(fd, 2, offset)), "MM");
    }
  },
  "mmap: MAP_PRIVATE leaves the file alone": ({ ok, sys, put, is, content }) => {
    put("f", "text");
    const fd = ok.open("f", "RDONLY");
    const address = ok.mmap(4096, "READ|WRITE", "PRIVATE", fd);
    sys.poke(address, "MINE");
    is(text(sys.peek(address, 4)), "MINE");
    is(content("f"), "text");
    is(text(ok.pread(fd, 4, 0)), "text");
  },
  "mmap: shared between processes": needing("process", ({ ok, sys, put, is, other }) => {
    put("f", new Uint8Array(8192));
    const here = ok.mmap(8192, "READ|WRITE", "SHARED", ok.open("f", "RDWR"));
    const there = other.ok.mmap(8192, "READ|WRITE", "SHARED", other.ok.open("f", "RDWR"));
    for (const offset of [0, 4000, 4096, 8000]) {
      sys.poke(here + offset, "here");
      is(text(other.sys.peek(there + offset, 4)), "here");
      other.sys.poke(there + offset, "back");
      is(text(sys.peek(here + offset, 4)), "back");
    }
    ok.msync(here, 8192);
    is(text(other.ok.pread(other.ok.open("f", "RDONLY"), 4, 4096)), "back");
  }),
  "mmap: with an offset": ({ ok, sys, put, is, fails }) => {
    put("f", pattern(20_000));
    const fd = ok.open("f", "RDONLY");
    const address = ok.mmap(4096, "READ", "SHARED", fd, 8192);
    is(sys.peek(address, 4096), pattern(20_000).slice(8192, 12_288));
    fails("EINVAL").mmap(4096, "READ", "SHARED", fd, 100);
    fails("EINVAL").mmap(0, "READ", "SHARED", fd);
  },
  "mmap: EACCES where the file is not open for it": ({ ok, put, fails }) => {
    put("f", "text");
    ok.mkdir("d");
    fails("EACCES").mmap(4096, "READ", "SHARED", ok.open("f", "WRONLY"));
    fails("EACCES").mmap(4096, "READ|WRITE", "SHARED", ok.open("f", "RDONLY"));
    fails("EACCES").mmap(4096, "READ", "PRIVATE", ok.open("f", "WRONLY"));
    ok.mmap(4096, "READ|WRITE", "PRIVATE", ok.open("f", "RDONLY"));
    fails("ENODEV").mmap(4096, "READ", "SHARED", ok.open("d", "RDONLY"));
  },
  "mmap: outlives the descriptor and the name": ({ ok, sys, put, is, fails }) => {
    put("f", "text");
    const fd = ok.open("f", "RDWR");
    const address = ok.mmap(4096, "READ|WRITE", "SHARED", fd);
    ok.close(fd);
    ok.unlink("f");
    is(text(sys.peek(address, 4)), "text");
    sys.poke(address, "TEXT");
    is(text(sys.peek(address, 4)), "TEXT");
    ok.msync(address, 4096);
    fails("ENOENT").stat("f");
  },
  "mmap: what is cut off can no longer be reached": ({ ok, sys, put, is, fails }) => {
    put("f", pattern(8192));
    const fd = ok.open("f", "RDWR");
    const address = ok.mmap(8192, "READ|WRITE", "SHARED", fd);
    is(sys.peek(address + 4096, 1), pattern(8192).slice(4096, 4097));
    ok.ftruncate(fd, 4096);
    const [, writer] = ok.pipe();
    // The kernel looks at the page for the process, which would get SIGBUS.
    fails("EFAULT").writeFrom(writer, address + 4096, 1);
    ok.ftruncate(fd, 8192);
    is(sys.peek(address + 4096, 10), new Uint8Array(10));
  },
  "mmap: marks the file changed": ({ ok, sys, put, is, holds }) => {
    put("f", "text");
    ok.utimens("f", [[10, 0], [20, 0]]);
    const address = ok.mmap(4096, "READ|WRITE", "SHARED", ok.open("f", "RDWR"));
    sys.poke(address, "TEXT");
    ok.msync(address, 4096);
    ok.munmap(address);
    holds(ok.stat("f").mtime > 20, "mtime moves on");
    is(ok.stat("f").size, 4);
  },
  "mmap: what O_APPEND does not move": ({ ok, sys, put, is, content }) => {
    put("f", "text".repeat(1024));
    const fd = ok.open("f", "RDWR|APPEND");
    const address = ok.mmap(PAGE, "READ|WRITE", "SHARED", fd);
    sys.poke(address, "HEAD");
    ok.msync(address, PAGE);
    is([ok.fstat(fd).size, content("f").slice(0, 8)], [PAGE, "HEADtext"]);
    ok.write(fd, "tail");
    sys.poke(address + 4, "MORE");
    ok.msync(address, PAGE);
    is([ok.fstat(fd).size, content("f").slice(0, 12), content("f").slice(-8)], [PAGE + 4, "HEADMOREtext", "texttail"]);
  },
  "mmap: times that are set after a store stay": ({ ok, sys, put, is }) => {
    put("f", "text");
    const fd = ok.open("f", "RDWR");
    const address = ok.mmap(PAGE, "READ|WRITE", "SHARED", fd);
    sys.poke(address, "TEXT");
    ok.utimens("f", [[10, 0], [20, 0]]);
    ok.msync(address, PAGE);
    is(ok.stat("f").mtime, 20);
    ok.munmap(address);
    ok.close(fd);
    is(ok.stat("f").mtime, 20);
  },
  "mmap: what another process stores into a hole is data": needing(["process", "holes"], (at) => {
    const { ok, other, is, holds } = at;
    const there = other.ok.open("f", "RDWR|CREAT");
    other.ok.ftruncate(there, 64 * PAGE);
    const address = other.ok.mmap(64 * PAGE, "READ|WRITE", "SHARED", there);
    for (const page of [32, 48]) {
      other.sys.poke(address + page * PAGE, "stored");
      const fd = ok.open("f", "RDONLY");
      holds(ok.fstat(fd).blocks > 0, "it takes space");
      is(ok.lseek(fd, (page - 1) * PAGE, "DATA"), page * PAGE, "where data begins");
      is(text(ok.pread(fd, 6, page * PAGE)), "stored");
      ok.close(fd);
    }
  }),
  "mmap: what is stored into a hole is data through the same descriptor": needing("holes", ({ ok, sys, is, fails }) => {
    const fd = ok.open("f", "RDWR|CREAT");
    ok.ftruncate(fd, 64 * PAGE);
    const address = ok.mmap(64 * PAGE, "READ|WRITE", "SHARED", fd);
    fails("ENXIO").lseek(fd, 0, "DATA");
    for (const page of [32, 48]) {
      sys.poke(address + page * PAGE, "stored");
      is(ok.lseek(fd, (page - 1) * PAGE, "DATA"), page * PAGE, "where data begins");
      is(ok.lseek(fd, page * PAGE, "HOLE"), (page + 1) * PAGE, "where it ends");
    }
    is(ok.lseek(fd, 0, "HOLE"), 0);
  }),
  "mmap: reads another file through a mapping of this one": ({ ok, sys, put, is, content }) => {
    put("a", "aaaa");
    put("b", "bbbb");
    const address = ok.mmap(4096, "READ|WRITE", "SHARED", ok.open("a", "RDWR"));
    const b = ok.open("b", "RDWR");
    is(ok.readTo(b, address, 4), 4);
    is(content("a"), "bbbb");
    sys.poke(address, "cccc");
    is(ok.writeFrom(b, address, 4), 4);
    is(content("b"), "bbbbcccc");
  },
  "mmap: EACCES, ENODEV and EBADF for what cannot be mapped": needing("special", ({ ok, fails, put }) => {
    put("f", "text");
    ok.mknod("fifo", 0o010644);
    fails("EBADF").mmap(4096, "READ", "SHARED", ok.open("f", "PATH"));
    fails("ENODEV", "EACCES").mmap(4096, "READ", "SHARED", ok.open("fifo", "RDWR"));
    fails("ENODEV", "EACCES").mmap(4096, "READ", "SHARED", ok.pipe()[0]);
  }),
  "mmap: EEXIST over what is mapped": ({ ok, fails, put }) => {
    put("f", "text");
    const fd = ok.open("f", "RDONLY"), address = ok.mmap(4096, "READ", "SHARED", fd);
    fails("EEXIST").syscall("mmap", address, 4096, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
  },
  "mmap: EPERM for programs where the mount allows none": needing("mounts", ({ ok, other, put, skip }) => {
    ok.mkdir("d");
    ok.mkdir("m");
    put("d/f", "text", 0o755);
    if (other.sys.bindReadOnly("d", "m") < 0) skip("the mount cannot be shown at a second place");
    other.ok.syscall("mount", "none", `${other.dir}/m`, 0, MS_BIND | MS_REMOUNT | MS_NOEXEC, 0);
    const fd = other.ok.open("m/f", "RDONLY");
    other.fails("EPERM").mmap(4096, "READ|EXEC", "PRIVATE", fd);
    other.ok.mmap(4096, "READ", "PRIVATE", fd);
    other.fails("EACCES").access("m/f", "X");
  }),
  "mmap and mremap: ENOMEM where the process may have no more memory": needing("process", ({ other, put }) => {
    put("f", "text");
    const fd = other.ok.open("f", "RDWR"), address = other.ok.mmap(PAGE, "READ", "SHARED", fd);
    // More than this there is for no process.
    other.fails("ENOMEM").syscall("mmap", 0, 2n ** 62n, PROT_READ, MAP_SHARED, fd, 0);
    const before = other.ok.setLimit("AS", PAGE);
    try {
      other.fails("ENOMEM").mmap(PAGE, "READ", "SHARED", fd);
      other.fails("ENOMEM").syscall("mremap", address, PAGE, 16 * PAGE, MREMAP_MAYMOVE, 0);
    } finally {
      other.ok.setLimit("AS", before);
    }
    other.ok.mmap(PAGE, "READ", "SHARED", fd);
  }),
  "mmap, mlock and mremap: EAGAIN, ENOMEM and EPERM where memory may not be locked": needing(
    ["process", "users"],
    ({ other, put, is }) => {
      put("f", pattern(4 * PAGE), 0o666);
      const fd = other.ok.open("f", "RDWR");
      const before = other.ok.setLimit("MEMLOCK", PAGE);
      try {
        other.as(ALICE, () => {
          const address = other.ok.mmap(PAGE, "READ", "SHARED|LOCKED", fd);
          other.fails("EAGAIN").mmap(PAGE, "READ", "SHARED|LOCKED", fd);
          other.fails("EAGAIN").syscall("mremap", address, PAGE, 2 * PAGE, MREMAP_MAYMOVE, 0);
          const more = other.ok.mmap(PAGE, "READ", "SHARED", fd);
          other.fails("ENOMEM").syscall("mlock", more, PAGE);
          other.ok.setLimit("MEMLOCK", 0);
          other.fails("EPERM").syscall("mlock", more, PAGE);
          other.fails("EPERM").mmap(PAGE, "READ", "SHARED|LOCKED", fd);
          is(other.sys.peek(address, 8), pattern(8));
        });
      } finally {
        other.ok.setLimit("MEMLOCK", before);
      }
    },
  ),
  "msync, mlock and mremap: ENOMEM and EFAULT where nothing is mapped": ({ ok, fails, put }) => {
    put("f", pattern(2 * PAGE));
    const fd = ok.open("f", "RDWR"), address = ok.mmap(2 * PAGE, "READ|WRITE", "SHARED", fd);
    ok.syscall("munmap", address + PAGE, PAGE);
    fails("ENOMEM").msync(address, 2 * PAGE);
    fails("ENOMEM").syscall("mlock", address + PAGE, PAGE);
    fails("EINVAL", "ENOMEM").syscall("mlock", address, -PAGE);
    fails("EFAULT").syscall("mremap", address + PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE, 0);
    ok.msync(address, PAGE);
  },
  "msync: EBUSY where what is to be read anew is locked": ({ ok, fails, put, sys, skip }) => {
    put("f", "text");
    const address = ok.mmap(PAGE, "READ", "SHARED", ok.open("f", "RDWR"));
    if (sys.syscall("mlock", address, PAGE) < 0) skip("no memory may be locked");
    fails("EBUSY").syscall("msync", address, PAGE, MS_INVALIDATE);
  },
};
