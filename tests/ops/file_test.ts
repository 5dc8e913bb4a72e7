/** What the writeback cache changes about open files. */
import { assertEquals, assertStrictEquals } from "@std/assert";
import type { WriteArgs } from "../../src/fs/types.ts";
import { c, connect, field } from "../support/wire.ts";
import { test } from "../support/harness.ts";

const O_RDWR = 2, O_APPEND = 0o2000, O_DIRECT = 0o40000;

for (const writebackCache of [false, true]) {
  const cache = writebackCache ? "with the writeback cache" : "without the writeback cache";

  test(`FUSE_WRITE: ${cache}, what is appended ${writebackCache ? "goes where the kernel says" : "says so"}`, () => {
    const seen: WriteArgs[] = [];
    const write = (args: WriteArgs) => {
      seen.push(args);
      return args.data.length;
    };
    const wire = connect({ write }, { writebackCache });
    for (const flags of [O_RDWR, O_RDWR | O_APPEND | O_DIRECT]) {
      const values = { fh: 1, offset: 9, size: 3, flags };
      assertStrictEquals(wire.send("FUSE_WRITE", { parts: [c("fuse_write_in", values), "abc"] })?.error, "");
    }
    const kept = writebackCache ? 0 : O_APPEND;
    assertEquals(seen.map(({ offset, flags }) => [offset, flags]), [[9, O_RDWR], [9, O_RDWR | O_DIRECT | kept]]);
  });

  test(`FUSE_LSEEK: ${cache}, ${writebackCache ? "nobody is asked: what is not written is no hole" : "it is asked"}`, () => {
    const wire = connect({ lseek: () => 4096 }, { writebackCache });
    const answer = wire.send("FUSE_LSEEK", { parts: [c("fuse_lseek_in", { fh: 1, offset: 0, whence: 3 })] });
    assertStrictEquals(answer?.error, writebackCache ? "ENOSYS" : "");
    if (!writebackCache) assertStrictEquals(field("fuse_lseek_out", "offset", answer!.body), 4096);
  });
}
