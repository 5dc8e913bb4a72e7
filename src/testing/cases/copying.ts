/** From file to file. Source: `copy_file_range(2)`, `sendfile(2)`, `splice(2)`. */
import { int64 } from "../structures.ts";
import { type Cases, needing } from "../place.ts";
import { pattern, readAt } from "./bytes.ts";

const SPLICE_F_NONBLOCK = 2;

export const copyingCases: Cases = {
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
  "splice: a large file, pipe by pipe": (at) => {
    const { ok, is, put } = at;
    const whole = pattern(300_000);
    put("from", whole);
    const from = ok.open("from", "RDONLY"), to = ok.open("to", "RDWR|CREAT");
    const [reader, writer] = ok.pipe();
    for (let n; (n = ok.splice(from, writer, 0x10000)) > 0;) {
      while (n > 0) n -= ok.splice(reader, to, n);
    }
    is(readAt(at, to, 400_000, 0), whole);
  },
  "copy_file_range: EXDEV from another kind of file system": ({ ok, fails, put }) => {
    put("f", "text");
    const other = ok.open("/proc/self/status", "RDONLY"), fd = ok.open("f", "RDWR");
    fails("EXDEV").copyFileRange(other, 0, fd, 0, 4);
  },
  "copy_file_range: EOVERFLOW where offset and length are more than a number holds": ({ ok, fails, put }) => {
    put("a", "text");
    put("b");
    const a = ok.open("a", "RDONLY"), b = ok.open("b", "RDWR");
    fails("EOVERFLOW").syscall("copy_file_range", a, int64(2), b, int64(0), -1, 0);
    fails("EOVERFLOW").syscall("copy_file_range", a, int64(0), b, int64(2), -1, 0);
    fails("EINVAL").syscall("copy_file_range", a, int64(-5), b, int64(0), 4, 0);
  },
  "copy_file_range and sendfile: EFBIG beyond the process's limit": needing("process", ({ other, put, is, ok }) => {
    put("a", pattern(200));
    put("b");
    const a = other.ok.open("a", "RDONLY"), b = other.ok.open("b", "RDWR");
    const before = other.ok.setLimit("FSIZE", 100);
    try {
      is(other.ok.copyFileRange(a, 0, b, 0, 200), 100);
      other.fails("EFBIG").copyFileRange(a, 0, b, 100, 50);
      other.ok.lseek(b, 100, "SET");
      other.fails("EFBIG").sendfile(b, a, 0, 50);
      is(ok.stat("b").size, 100);
    } finally {
      other.ok.setLimit("FSIZE", before);
    }
  }),
  "sendfile: errors": ({ ok, fails, put, is, content }) => {
    put("a", pattern(100_000));
    put("b", "kept");
    const a = ok.open("a", "RDONLY"), [reader, writer] = ok.pipe();
    fails("EBADF").sendfile(ok.open("b", "WRONLY"), ok.open("a", "WRONLY"), 0, 4);
    fails("EBADF").sendfile(ok.open("b", "RDONLY"), a, 0, 4);
    fails("EINVAL").sendfile(ok.open("b", "WRONLY|APPEND"), a, 0, 4);
    fails("ESPIPE").sendfile(ok.open("b", "WRONLY"), reader, 0, 4);
    fails("EINVAL", "EOVERFLOW").syscall("sendfile", ok.open("b", "WRONLY"), a, int64(2n ** 63n - 2n), 4);
    fails("EINVAL").syscall("sendfile", ok.open("b", "WRONLY"), a, int64(-1), 4);
    ok.mkdir("d");
    fails("EINVAL", "EISDIR").sendfile(ok.open("b", "WRONLY"), ok.open("d", "RDONLY"), 0, 4);
    is(content("b"), "kept");
    ok.fcntl(writer, "SETFL", ok.openFlags(ok.open("b", "RDONLY|NONBLOCK"), "NONBLOCK"));
    is(ok.sendfile(writer, a, 0, 100_000) <= 65_536, true);
    fails("EAGAIN").sendfile(writer, a, 0, 100_000);
  },
  "splice: errors": ({ ok, fails, put, is, content }) => {
    put("f", "text");
    const fd = ok.open("f", "RDWR"), [reader, writer] = ok.pipe();
    fails("EINVAL").splice(fd, ok.open("f", "WRONLY"), 4);
    fails("EAGAIN").syscall("splice", reader, 0, fd, 0, 4, SPLICE_F_NONBLOCK);
    ok.write(writer, "into");
    fails("EINVAL").splice(reader, ok.open("f", "WRONLY|APPEND"), 4);
    fails("EBADF").splice(reader, ok.open("f", "RDONLY"), 4);
    fails("EBADF").splice(ok.open("f", "WRONLY"), writer, 4);
    fails("ESPIPE").syscall("splice", reader, int64(0), fd, 0, 4, 0);
    fails("EINVAL").syscall("splice", reader, 0, fd, int64(-1), 4, 0);
    is(content("f"), "text");
    is(ok.splice(reader, fd, 10), 4);
    is(content("f"), "into");
  },
};
