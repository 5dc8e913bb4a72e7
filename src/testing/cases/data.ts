/** What files hold. Source: `read(2)`, `write(2)`, `lseek(2)`, `truncate(2)`, `fallocate(2)`, `copy_file_range(2)`, `sendfile(2)`, `mmap(2)`. */
import { ALICE, type Cases, needing, type Place } from "../place.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const KIB = 1024, MIB = 1 << 20;

/** Bytes that tell where they are. */
function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7 + seed) & 0xff);
}

/** What is at an offset of a file: whole calls, however the file system cuts them. */
function readAt({ ok }: Place, fd: number, length: number, offset: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (let part; at < length && (part = ok.pread(fd, length - at, offset + at)).length > 0; at += part.length) {
    bytes.set(part, at);
  }
  return bytes.subarray(0, at);
}

function writeAt({ ok }: Place, fd: number, data: Uint8Array, offset: number): void {
  for (let at = 0; at < data.length;) at += ok.pwrite(fd, data.subarray(at), offset + at);
}

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
      other.fails("EFBIG").ftruncate(fd, 10_001);
      other.fails("EFBIG").truncate("f", 10_001);
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

  "fallocate: reserves space, and the file grows": needing("fallocate", (at) => {
    const { ok, is, holds, put } = at;
    put("f", "text");
    const fd = ok.open("f", "RDWR");
    ok.fallocate(fd, "", 0, 100_000);
    is(ok.fstat(fd).size, 100_000);
    holds(ok.fstat(fd).blocks * 512 >= 100_000, "space is reserved");
    is(text(ok.pread(fd, 4, 0)), "text");
    is(readAt(at, fd, 50, 4), new Uint8Array(50));
    ok.fallocate(fd, "", 0, 10);
    is(ok.fstat(fd).size, 100_000);
    ok.fallocate(fd, "", 200_000, 5);
    is(ok.fstat(fd).size, 200_005);
  }),
  "fallocate: KEEP_SIZE keeps the size": needing("fallocate", (at) => {
    const { ok, is, holds, put } = at;
    put("f", "text");
    const fd = ok.open("f", "RDWR");
    ok.fallocate(fd, "KEEP_SIZE", 0, 100_000);
    is(ok.fstat(fd).size, 4);
    holds(ok.fstat(fd).blocks * 512 >= 100_000, "space is reserved");
    is(ok.read(fd, 10).length, 4);
    ok.ftruncate(fd, 10);
    is(readAt(at, fd, 20, 4), new Uint8Array(6));
  }),
  "fallocate: PUNCH_HOLE": needing(["fallocate", "holes"], (at) => {
    const { ok, is, put, holds, fails } = at;
    const whole = pattern(256 * KIB);
    put("f", whole);
    const fd = ok.open("f", "RDWR");
    ok.fsync(fd);
    const before = ok.fstat(fd).blocks;
    ok.fallocate(fd, "PUNCH_HOLE|KEEP_SIZE", 64 * KIB, 128 * KIB);
    holds(ok.fstat(fd).blocks <= before - 128 * 2, "space is given back");
    whole.fill(0, 64 * KIB, 192 * KIB);
    is(readAt(at, fd, whole.length, 0), whole);
    is(ok.lseek(fd, 0, "HOLE"), 64 * KIB);
    is(ok.lseek(fd, 64 * KIB, "DATA"), 192 * KIB);
    // Not on the bounds of blocks, and beyond the end.
    ok.fallocate(fd, "PUNCH_HOLE|KEEP_SIZE", 100, 10_000);
    whole.fill(0, 100, 10_100);
    ok.fallocate(fd, "PUNCH_HOLE|KEEP_SIZE", whole.length - 10, 10_000);
    whole.fill(0, whole.length - 10);
    is(readAt(at, fd, whole.length + 10, 0), whole);
    is(ok.fstat(fd).size, whole.length);
    fails("EOPNOTSUPP").fallocate(fd, "PUNCH_HOLE", 0, 100);
  }),
  "fallocate: ZERO_RANGE": needing("fallocate", (at) => {
    const { ok, sys, is, put, skip } = at;
    const whole = pattern(100_000);
    put("f", whole);
    const fd = ok.open("f", "RDWR");
    if (sys.fallocate(fd, "ZERO_RANGE", 1000, 50_000) === -95) skip("the file system has none");
    whole.fill(0, 1000, 51_000);
    is(readAt(at, fd, whole.length, 0), whole);
    ok.fallocate(fd, "ZERO_RANGE|KEEP_SIZE", 99_000, 10_000);
    whole.fill(0, 99_000);
    is(readAt(at, fd, 200_000, 0), whole);
    ok.fallocate(fd, "ZERO_RANGE", 99_000, 10_000);
    is(ok.fstat(fd).size, 109_000);
    is(readAt(at, fd, 200_000, 100_000), new Uint8Array(9_000));
  }),
  "fallocate: COLLAPSE_RANGE and INSERT_RANGE, or EOPNOTSUPP": needing("fallocate", (at) => {
    const { ok, sys, is, put, fails } = at;
    const block = ok.statfs(".").bsize;
    put("f", pattern(4 * block));
    const fd = ok.open("f", "RDWR");
    const r = sys.fallocate(fd, "COLLAPSE_RANGE", block, block);
    if (r === -95) return void fails("EOPNOTSUPP").fallocate(fd, "INSERT_RANGE", block, block);
    const whole = pattern(4 * block);
    const cut = Uint8Array.from([...whole.subarray(0, block), ...whole.subarray(2 * block)]);
    is(readAt(at, fd, 5 * block, 0), cut);
    ok.fallocate(fd, "INSERT_RANGE", block, block);
    is(ok.fstat(fd).size, 4 * block);
    is(readAt(at, fd, block, block), new Uint8Array(block));
    fails("EINVAL").fallocate(fd, "COLLAPSE_RANGE", 1, block);
    fails("EINVAL", "EOPNOTSUPP").fallocate(fd, "COLLAPSE_RANGE|KEEP_SIZE", 0, block);
  }),
  "fallocate: errors": needing(["fallocate", "special"], ({ ok, fails, put }) => {
    put("f");
    ok.mkdir("d");
    ok.mknod("fifo", 0o010644);
    const fd = ok.open("f", "RDWR");
    fails("EINVAL").fallocate(fd, "", -1, 10);
    fails("EINVAL").fallocate(fd, "", 0, 0);
    fails("EINVAL").fallocate(fd, "", 0, -1);
    fails("EFBIG").fallocate(fd, "", 2 ** 62, 2 ** 62);
    fails("EOPNOTSUPP", "EINVAL").fallocate(fd, "PUNCH_HOLE|ZERO_RANGE|KEEP_SIZE", 0, 10);
    fails("EBADF").fallocate(ok.open("f", "RDONLY"), "", 0, 10);
    fails("ESPIPE").fallocate(ok.open("fifo", "RDWR"), "", 0, 10);
    fails("EBADF", "EISDIR", "ENODEV").fallocate(ok.open("d", "RDONLY"), "", 0, 10);
  }),

  "copy_file_range: between two files": (at) => {
    const { ok, is, put } = at;
    const whole = pattern(500_000);
    put("from", whole);
    const from = ok.open("from", "RDONLY"), to = ok.open("to", "RDWR|CREAT");
    for (let done = 0, n; (n = ok.copyFileRange(from, done, to, done, whole.length - done)) > 0; done += n);
    is(readAt(at, to, 600_000, 0), whole);
    is(ok.copyFileRange(from, 1000, to, 7, 10), 10);
    is(readAt(at, to, 10, 7), whole.subarray(1000, 1010));
    // Behind the end there is nothing; at the end less than asked.
    is(ok.copyFileRange(from, 500_000, to, 0, 10), 0);
    is(ok.copyFileRange(from, 600_000, to, 0, 10), 0);
    is(ok.copyFileRange(from, 499_990, to, 0, 100), 10);
    is(ok.copyFileRange(from, 0, to, 0, 0), 0);
  },
  "copy_file_range: within one file": (at) => {
    const { ok, is, put, fails } = at;
    put("f", pattern(20_000));
    const fd = ok.open("f", "RDWR");
    is(ok.copyFileRange(fd, 0, fd, 10_000, 10_000), 10_000);
    is(readAt(at, fd, 10_000, 10_000), pattern(20_000).subarray(0, 10_000));
    is(ok.copyFileRange(fd, 0, fd, 20_000, 100), 100);
    is(ok.fstat(fd).size, 20_100);
    fails("EINVAL").copyFileRange(fd, 0, fd, 50, 100);
  },
  "copy_file_range: behind the end of the target": (at) => {
    const { ok, is, put } = at;
    put("from", "text");
    const to = ok.open("to", "RDWR|CREAT");
    is(ok.copyFileRange(ok.open("from", "RDONLY"), 0, to, 10_000, 4), 4);
    is(ok.fstat(to).size, 10_004);
    is(readAt(at, to, 10, 9_998), new Uint8Array([0, 0, 116, 101, 120, 116]));
  },
  "copy_file_range: errors": needing("special", ({ ok, fails, put }) => {
    put("a", "text");
    put("b");
    ok.mkdir("d");
    ok.mknod("fifo", 0o010644);
    const a = ok.open("a", "RDWR"), b = ok.open("b", "RDWR");
    fails("EBADF").copyFileRange(ok.open("a", "WRONLY"), 0, b, 0, 4);
    fails("EBADF").copyFileRange(a, 0, ok.open("b", "RDONLY"), 0, 4);
    fails("EBADF").copyFileRange(a, 0, ok.open("b", "WRONLY|APPEND"), 0, 4);
    fails("EISDIR").copyFileRange(ok.open("d", "RDONLY"), 0, b, 0, 4);
    fails("EINVAL", "ESPIPE").copyFileRange(ok.open("fifo", "RDWR|NONBLOCK"), 0, b, 0, 4);
    fails("EINVAL").copyFileRange(a, 0, b, 0, 4, 1);
  }),
  "sendfile: between files, and to a pipe": (at) => {
    const { ok, is, put } = at;
    const whole = pattern(200_000);
    put("from", whole);
    const from = ok.open("from", "RDONLY"), to = ok.open("to", "RDWR|CREAT");
    for (let done = 0, n; (n = ok.sendfile(to, from, done, whole.length)) > 0; done += n);
    is(readAt(at, to, 300_000, 0), whole);
    const [reader, writer] = ok.pipe();
    is(ok.sendfile(writer, from, 1000, 2000), 2000);
    is(ok.read(reader, 5000), whole.subarray(1000, 3000));
    is(ok.sendfile(writer, from, 200_000, 10), 0);
  },
  "splice: from a file to a pipe, and from a pipe to a file": ({ ok, is, put, content }) => {
    put("from", "the text that moves");
    const from = ok.open("from", "RDONLY"), to = ok.open("to", "RDWR|CREAT");
    const [reader, writer] = ok.pipe();
    is(ok.splice(from, writer, 100), 19);
    is(ok.splice(reader, to, 100), 19);
    is(content("to"), "the text that moves");
    is(ok.splice(from, writer, 100), 0);
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

  "statfs: sizes that make sense": ({ ok, put, is, holds }) => {
    const s = ok.statfs(".");
    holds(s.bsize > 0 && s.frsize > 0, "there is a block size");
    holds(s.bfree <= s.blocks && s.bavail <= s.bfree, "no more is free than there is");
    holds(s.ffree <= s.files, "no more inodes are free than there are");
    is(s.namelen, 255);
    put("f");
    const f = ok.fstatfs(ok.open("f", "RDONLY"));
    is([f.type, f.bsize, f.blocks, f.files, f.namelen, f.frsize], [
      s.type,
      s.bsize,
      s.blocks,
      s.files,
      s.namelen,
      s.frsize,
    ]);
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
  "open and mkdir: ENOSPC or EDQUOT is the only refusal while inodes run out": needing("space", ({ sys, ok, is }) => {
    ok.mkdir("d");
    let made = 0, r = 0;
    while (made < 3000 && (r = sys.mknod(`d/${made}`, 0o100644)) === 0) made++;
    if (r < 0) is(r, -28);
    for (let i = 0; i < made; i++) ok.unlink(`d/${i}`);
    ok.rmdir("d");
  }),
  "write: EDQUOT where the user has no more": needing(["quota", "users"], (at) => {
    const { ok, sys, as, is, put, quota, soon } = at;
    ok.chmod(".", 0o777);
    const chunk = pattern(64 * KIB);
    const written = as(ALICE, () => {
      const fd = ok.open("f", "RDWR|CREAT");
      let written = 0, r;
      while ((r = sys.pwrite(fd, chunk, written)) > 0 && written <= quota) written += r;
      is(r, -122);
      ok.close(fd);
      return written;
    });
    is(written <= quota, true);
    // Others go on, and so does she after a removal.
    put("other", chunk);
    ok.unlink("f");
    as(ALICE, () => {
      const fd = ok.open("g", "WRONLY|CREAT");
      soon(() => sys.pwrite(fd, chunk.subarray(0, 1000), 0) === 1000, "she has space again");
    });
  }),
};
