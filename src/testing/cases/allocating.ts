/** Space reserved and given back. Source: `fallocate(2)`. */
import { type Cases, needing } from "../place.ts";
import { KIB, pattern, readAt, text } from "./bytes.ts";

export const allocatingCases: Cases = {
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
};
