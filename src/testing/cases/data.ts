/** What files hold. Source: `read(2)`, `write(2)`, `readv(2)`, `lseek(2)`, `truncate(2)`, `fsync(2)`, `poll(2)`. */
import { ALICE, type Cases, needing } from "../place.ts";
import { KIB, MIB, pattern, readAt, text, writeAt } from "./bytes.ts";

export const dataCases: Cases = {
  "write: what is read back, in pieces of every size": (at) => {
    const { ok, is } = at;
    const fd = ok.open("f", "RDWR|CREAT");
    const whole = pattern(300_000);
    let offset = 0;
    for (const size of [1, 2, 3, 100, 4095, 4096, 4097, 65536, 131072]) {
      is(ok.write(fd, whole.subarray(offset, offset + size)), size);
      offset += size;
    }
    is(ok.fstat(fd).size, offset);
    is(readAt(at, fd, 400_000, 0), whole.subarray(0, offset));
    for (const [start, length] of [[0, 1], [4095, 2], [4096, 4096], [1000, 70_000], [offset - 1, 5]]) {
      is(readAt(at, fd, length, start), whole.subarray(start, Math.min(start + length, offset)));
    }
  },
  "write: large calls": (at) => {
    const { ok, is } = at;
    const fd = ok.open("f", "RDWR|CREAT");
    const whole = pattern(3 * MIB + 17);
    writeAt(at, fd, whole, 0);
    is(ok.fstat(fd).size, whole.length);
    ok.fsync(fd);
    is(readAt(at, fd, whole.length, 0), whole);
    is(readAt(at, ok.open("f", "RDONLY"), whole.length, 0), whole);
  },
  "write: over what is there": (at) => {
    const { ok, is, put } = at;
    put("f", pattern(20_000));
    const fd = ok.open("f", "RDWR");
    const model = pattern(20_000);
    for (const [offset, length] of [[0, 1], [5000, 5000], [4095, 2], [8191, 4098], [19_999, 1], [19_990, 100]]) {
      const part = pattern(length, offset);
      ok.pwrite(fd, part, offset);
      const whole = new Uint8Array(Math.max(model.length, offset + length));
      whole.set(model);
      whole.set(part, offset);
      is(readAt(at, fd, 30_000, 0).subarray(0, 20_000), whole.subarray(0, 20_000));
      model.set(part.subarray(0, 20_000 - offset), offset);
    }
    is(ok.fstat(fd).size, 20_090);
  },
  "write: seen at once through another open file": needing("process", ({ ok, is, put, other }) => {
    put("f");
    const here = ok.open("f", "RDWR"), there = other.ok.open("f", "RDWR");
    for (let i = 0; i < 20; i++) {
      ok.pwrite(here, `here ${i}`, i * 5000);
      is(text(other.ok.pread(there, 9, i * 5000)), `here ${i}`);
      is(other.ok.fstat(there).size, i * 5000 + `here ${i}`.length);
      other.ok.pwrite(there, `there ${i}`, i * 5000);
      is(text(ok.pread(here, 20, i * 5000)), `there ${i}`);
    }
  }),
  "readv and writev: pieces in a row": ({ ok, put, is, content, fails }) => {
    put("f");
    const fd = ok.open("f", "RDWR");
    is(ok.writev(fd, ["one", "", "two", "three"]), 11);
    is(ok.writev(fd, ["four"]), 4);
    is(ok.lseek(fd, 0, "SET"), 0);
    is(ok.readv(fd, [3, 0, 3, 100]).map(text), ["one", "", "two", "threefour"]);
    is(ok.writev(fd, ["ONE", "TWO"], 0), 6);
    is(ok.readv(fd, [1, 2], 1).map(text), ["N", "ET"]);
    is(ok.lseek(fd, 0, "CUR"), 15);
    is(content("f"), "ONETWOthreefour");
    is(ok.writev(fd, []), 0);
    fails("EINVAL").writev(fd, Array.from({ length: 1025 }, () => "x"));
    fails("EINVAL").readv(fd, [1], -1);
  },
  "truncate: to the largest size, or EFBIG": ({ ok, sys, put, is }) => {
    put("f", "text");
    const fd = ok.open("f", "RDWR");
    for (const size of [2 ** 43, 2 ** 50, 2 ** 53 - 1]) {
      const r = sys.ftruncate(fd, size);
      if (r === 0) is(ok.fstat(fd).size, size);
      else is([-27, -22].includes(r), true, "EFBIG or EINVAL");
    }
    ok.ftruncate(fd, 4);
    is(text(ok.pread(fd, 10, 0)), "text");
  },
  "write: nothing": ({ ok, is, put }) => {
    put("f", "text");
    const fd = ok.open("f", "RDWR");
    is(ok.write(fd, ""), 0);
    is(ok.pwrite(fd, "", 100), 0);
    is(ok.read(fd, 0).length, 0);
    is(ok.fstat(fd).size, 4);
  },
  "write: EFAULT from memory that is not there": ({ ok, fails, put }) => {
    put("f", "text");
    const fd = ok.open("f", "RDWR");
    fails("EFAULT").writeFrom(fd, 1, 4);
    fails("EFAULT").readTo(fd, 1, 4);
  },
  "write: EFBIG beyond the process's limit": needing("process", ({ other, put, is, ok }) => {
    put("f");
    const fd = other.ok.open("f", "RDWR");
    const before = other.ok.setLimit("FSIZE", 10_000);
    try {
      is(other.ok.pwrite(fd, pattern(100), 9_950), 50);
      other.fails("EFBIG").pwrite(fd, "x", 10_000);
      other.fails("EFBIG").pwrite(fd, "x", 20_000);
      other.ok.lseek(fd, 10_000, "SET");
      other.fails("EFBIG").write(fd, "x");
      other.fails("EFBIG").ftruncate(fd, 10_001);
      other.fails("EFBIG").truncate("f", 10_001);
      other.fails("EFBIG", "EOPNOTSUPP").fallocate(fd, "", 0, 10_001);
      other.ok.ftruncate(fd, 10_000);
      is(ok.stat("f").size, 10_000);
    } finally {
      other.ok.setLimit("FSIZE", before);
    }
  }),
  "pread and pwrite: leave the offset, and refuse what is before 0": ({ ok, fails, put, is }) => {
    put("f", "abcdef");
    const fd = ok.open("f", "RDWR");
    ok.lseek(fd, 2, "SET");
    ok.pwrite(fd, "X", 0);
    is(text(ok.pread(fd, 3, 3)), "def");
    is(ok.lseek(fd, 0, "CUR"), 2);
    fails("EINVAL").pread(fd, 1, -1);
    fails("EINVAL").pwrite(fd, "x", -1);
  },
  "read: at and beyond the end": ({ ok, put, is }) => {
    put("f", "text");
    const fd = ok.open("f", "RDONLY");
    is(text(ok.pread(fd, 100, 2)), "xt");
    for (const offset of [4, 5, 4096, 2 ** 40]) is(ok.pread(fd, 10, offset).length, 0);
  },
  "lseek: SET, CUR and END": ({ ok, fails, put, is }) => {
    put("f", "abcdef");
    const fd = ok.open("f", "RDWR");
    is(ok.lseek(fd, 3, "SET"), 3);
    is(ok.lseek(fd, -1, "CUR"), 2);
    is(ok.lseek(fd, -2, "END"), 4);
    is(ok.lseek(fd, 100, "END"), 106);
    is(ok.read(fd, 1).length, 0);
    fails("EINVAL").lseek(fd, -1, "SET");
    fails("EINVAL").lseek(fd, -7, "END");
    fails("EINVAL").lseek(fd, -107, "CUR");
    is(ok.lseek(fd, 0, "CUR"), 106);
    is(ok.fstat(fd).size, 6);
    ok.write(fd, "g");
    is(ok.fstat(fd).size, 107);
  },
  "lseek: DATA and HOLE without holes": ({ ok, fails, put, is }) => {
    put("f", pattern(10_000));
    const fd = ok.open("f", "RDONLY");
    is(ok.lseek(fd, 0, "DATA"), 0);
    is(ok.lseek(fd, 5000, "DATA"), 5000);
    is(ok.lseek(fd, 0, "HOLE"), 10_000);
    is(ok.lseek(fd, 9_999, "HOLE"), 10_000);
    for (const offset of [10_000, 20_000]) {
      fails("ENXIO").lseek(fd, offset, "DATA");
      fails("ENXIO").lseek(fd, offset, "HOLE");
    }
    put("empty");
    const empty = ok.open("empty", "RDONLY");
    fails("ENXIO").lseek(empty, 0, "DATA");
    fails("ENXIO").lseek(empty, 0, "HOLE");
  },
  "lseek: DATA and HOLE are ENXIO beyond the end, however far": ({ ok, fails, put, is }) => {
    put("f", "text");
    const fd = ok.open("f", "RDONLY");
    ok.lseek(fd, 1, "SET");
    for (const offset of [4n, 2n ** 43n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 62n, 2n ** 63n - 1n, -1n]) {
      fails("ENXIO").lseek(fd, offset, "DATA");
      fails("ENXIO").lseek(fd, offset, "HOLE");
    }
    is(ok.lseek(fd, 0, "CUR"), 1);
  },
  "lseek: DATA and HOLE in a sparse file": needing("holes", (at) => {
    const { ok, fails, is } = at;
    const fd = ok.open("f", "RDWR|CREAT");
    const block = 64 * KIB;
    writeAt(at, fd, pattern(block), 2 * block);
    writeAt(at, fd, pattern(block), 5 * block);
    ok.ftruncate(fd, 8 * block);
    ok.fsync(fd);
    const seek = (offset: number, whence: "DATA" | "HOLE") => ok.lseek(fd, offset, whence);
    is(seek(0, "DATA"), 2 * block);
    is(seek(0, "HOLE"), 0);
    is(seek(2 * block, "DATA"), 2 * block);
    is(seek(2 * block, "HOLE"), 3 * block);
    is(seek(3 * block + 1, "HOLE"), 3 * block + 1);
    is(seek(3 * block, "DATA"), 5 * block);
    is(seek(5 * block + 10, "DATA"), 5 * block + 10);
    is(seek(5 * block, "HOLE"), 6 * block);
    fails("ENXIO").lseek(fd, 6 * block, "DATA");
    is(seek(6 * block, "HOLE"), 6 * block);
    fails("ENXIO").lseek(fd, 8 * block, "HOLE");
  }),
  "truncate: to less and to more": (at) => {
    const { ok, is, put } = at;
    for (const call of ["truncate", "ftruncate"]) {
      put("f", pattern(10_000));
      const fd = ok.open("f", "RDWR");
      const cut = (length: number) => call === "truncate" ? ok.truncate("f", length) : ok.ftruncate(fd, length);
      cut(5_000);
      is(ok.fstat(fd).size, 5_000);
      is(readAt(at, fd, 10_000, 0), pattern(10_000).subarray(0, 5_000));
      cut(9_000);
      is(ok.stat("f").size, 9_000);
      // What was cut off does not come back.
      is(readAt(at, fd, 10_000, 5_000), new Uint8Array(4_000));
      cut(0);
      is([ok.fstat(fd).size, ok.fstat(fd).blocks], [0, 0]);
      cut(1);
      is(readAt(at, fd, 10, 0), new Uint8Array(1));
      ok.close(fd);
      ok.unlink("f");
    }
  },
  "truncate: within a page leaves zeros behind the end": (at) => {
    const { ok, is, put } = at;
    for (const length of [1, 4095, 4096, 4097, 8191]) {
      put("f", new Uint8Array(12_000).fill(255));
      ok.truncate("f", length);
      ok.truncate("f", 12_000);
      const bytes = readAt(at, ok.open("f", "RDONLY"), 12_000, 0);
      is(bytes.findIndex((byte) => byte === 0), length);
      is(bytes.lastIndexOf(255), length - 1);
      ok.unlink("f");
    }
  },
  "truncate: errors": ({ ok, fails, put }) => {
    put("f");
    ok.mkdir("d");
    fails("EINVAL").truncate("f", -1);
    fails("EISDIR").truncate("d", 0);
    fails("EINVAL").ftruncate(ok.open("f", "RDONLY"), 0);
    fails("EINVAL").ftruncate(ok.open("f", "RDWR"), -1);
    fails("EINVAL").ftruncate(ok.open("d", "RDONLY"), 0);
  },
  "truncate: special files": needing("special", ({ ok, fails }) => {
    ok.mknod("fifo", 0o010644);
    fails("EINVAL").truncate("fifo", 0);
    fails("EINVAL").ftruncate(ok.open("fifo", "RDWR"), 0);
  }),
  "truncate: EACCES without the right to write": needing(["users", "permissions"], ({ ok, fails, put, as }) => {
    put("f", "text", 0o644);
    as(ALICE, () => {
      fails("EACCES").truncate("f", 0);
      fails("EINVAL").ftruncate(ok.open("f", "RDONLY"), 0);
    });
    ok.chmod("f", 0o622);
    as(ALICE, () => ok.truncate("f", 2));
  }),
  "truncate: is seen by those who have the file open": needing("process", ({ ok, put, is, other }) => {
    put("f", "0123456789");
    const fd = other.ok.open("f", "RDWR");
    is(text(other.ok.pread(fd, 20, 0)), "0123456789");
    ok.truncate("f", 4);
    is(text(other.ok.pread(fd, 20, 0)), "0123");
    is(other.ok.fstat(fd).size, 4);
    is(other.ok.lseek(fd, 0, "END"), 4);
    other.ok.ftruncate(fd, 8);
    is(ok.stat("f").size, 8);
  }),
  "sparse: a hole reads as zeros and takes no space": needing("holes", (at) => {
    const { ok, is, holds } = at;
    const fd = ok.open("f", "RDWR|CREAT");
    const end = 2 ** 32 + 12_345;
    ok.pwrite(fd, "end", end);
    ok.pwrite(fd, "start", 0);
    const { size, blocks } = ok.fstat(fd);
    is(size, end + 3);
    holds(blocks * 512 < MIB, "the hole takes no space");
    is(readAt(at, fd, 10_000, 2 ** 31), new Uint8Array(10_000));
    is(text(ok.pread(fd, 10, end)), "end");
    is(ok.pread(fd, 8, end - 5), new Uint8Array([0, 0, 0, 0, 0, 101, 110, 100]));
  }),
  "sparse: writing behind the end": (at) => {
    const { ok, is, put } = at;
    put("f", "abc");
    const fd = ok.open("f", "RDWR");
    ok.lseek(fd, 10_000, "SET");
    ok.write(fd, "x");
    const whole = new Uint8Array(10_001);
    whole.set([97, 98, 99]);
    whole[10_000] = 120;
    is(readAt(at, fd, 20_000, 0), whole);
  },
  "sparse: large offsets": ({ ok, is, skip, sys }) => {
    const fd = ok.open("f", "RDWR|CREAT");
    for (const offset of [2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 40, 2 ** 43]) {
      const r = sys.pwrite(fd, "far", offset);
      if (r === -27) skip("the file system has no files of 8 TiB");
      is(r, 3);
      is(ok.fstat(fd).size, offset + 3);
      is(text(ok.pread(fd, 3, offset)), "far");
      is(ok.lseek(fd, 0, "END"), offset + 3);
    }
    ok.ftruncate(fd, 0);
  },
  "blocks: count what is written": ({ ok, is, holds, put }) => {
    put("f", pattern(100_000));
    const fd = ok.open("f", "RDWR");
    ok.fsync(fd);
    holds(ok.fstat(fd).blocks * 512 >= 100_000, "blocks cover the data");
    is(ok.fstat(fd).blksize > 0, true);
    ok.ftruncate(fd, 0);
    is(ok.fstat(fd).blocks, 0);
  },
  "fsync and fdatasync: files and directories, however they are open": ({ ok, put }) => {
    put("f", "text");
    ok.mkdir("d");
    for (const flags of ["RDONLY", "WRONLY", "RDWR"]) {
      const fd = ok.open("f", flags);
      ok.fsync(fd);
      ok.fdatasync(fd);
    }
    const fd = ok.open("d", "RDONLY");
    ok.fsync(fd);
    ok.fdatasync(fd);
    ok.syncfs(fd);
  },
  "fsync: pipes are EINVAL": ({ ok, fails }) => {
    const [reader] = ok.pipe();
    fails("EINVAL").fsync(reader);
  },
  "poll: files are always ready": ({ ok, put, is }) => {
    put("f");
    const POLLIN = 1, POLLOUT = 4;
    is(ok.poll(ok.open("f", "RDWR"), POLLIN | POLLOUT), POLLIN | POLLOUT);
  },
  "ioctl: ENOTTY for what nobody knows": ({ ok, put, fails }) => {
    put("f");
    fails("ENOTTY").ioctl(ok.open("f", "RDWR"), 0x5401, new Uint8Array(256));
  },
  "lseek: EINVAL and EOVERFLOW beyond the largest offset": ({ ok, fails, put, is }) => {
    put("f", "text");
    const fd = ok.open("f", "RDONLY");
    ok.lseek(fd, 3, "SET");
    fails("EINVAL", "EOVERFLOW").lseek(fd, 2n ** 63n - 1n, "CUR");
    fails("EINVAL", "EOVERFLOW").lseek(fd, 2n ** 63n - 1n, "END");
    is(ok.lseek(fd, 0, "CUR"), 3);
  },
  "lseek, pread and pwrite: ESPIPE for a pipe": ({ ok, fails }) => {
    const [reader, writer] = ok.pipe();
    for (const whence of ["SET", "CUR", "END", "DATA"] as const) fails("ESPIPE").lseek(reader, 0, whence);
    fails("ESPIPE").pread(reader, 1, 0);
    fails("ESPIPE").pwrite(writer, "x", 0);
    fails("ESPIPE").readv(reader, [1], 0);
    fails("ESPIPE").writev(writer, ["x"], 0);
  },
  "read: a directory is EISDIR": ({ ok, fails }) => {
    ok.mkdir("d");
    const fd = ok.open("d", "RDONLY");
    fails("EISDIR").read(fd, 10);
    fails("EISDIR").pread(fd, 10, 0);
    fails("EISDIR").readv(fd, [10]);
    fails("EBADF").write(fd, "x");
  },
  "pread and pwrite: EINVAL and EOVERFLOW beyond the largest offset": ({ ok, fails, put, is }) => {
    put("f", "text");
    const fd = ok.open("f", "RDWR");
    fails("EINVAL", "EOVERFLOW").syscall("pread64", fd, new Uint8Array(8), 8, 2n ** 63n - 4n);
    fails("EINVAL", "EOVERFLOW", "EFBIG").syscall("pwrite64", fd, new Uint8Array(8), 8, 2n ** 63n - 4n);
    is(ok.fstat(fd).size, 4);
  },
  "read and write: a fifo is EPIPE without a reader, EAGAIN where it is full or empty, EINTR at a signal": needing(
    ["special", "process"],
    ({ ok, other, fails, sys, is }) => {
      ok.mknod("fifo", 0o010644);
      const reader = ok.open("fifo", "RDONLY|NONBLOCK"), writer = other.ok.open("fifo", "WRONLY|NONBLOCK");
      fails("EAGAIN").read(reader, 1);
      while (other.sys.write(writer, new Uint8Array(4096).fill(1)) > 0);
      other.fails("EAGAIN").write(writer, "x");
      ok.close(reader);
      other.fails("EPIPE").write(writer, "x");
      const both = other.ok.open("fifo", "RDWR");
      is(sys.open("fifo", "WRONLY|NONBLOCK") > 0, true);
      while ((other.ok.poll(both, 1) & 1) !== 0) other.ok.read(both, 0x10000);
      const full = other.ok.open("fifo", "WRONLY");
      for (const wait of ["read", "write"] as const) {
        if (wait === "write") { while (other.sys.write(writer, new Uint8Array(4096).fill(1)) > 0); }
        other.begin((sys) => wait === "read" ? sys.read(both, 1) : sys.write(full, "x"));
        is(other.ended(50), false, "it waits");
        other.interrupt();
        other.endsWith("EINTR");
      }
    },
  ),
};
