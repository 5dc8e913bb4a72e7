/** What the writeback cache changes about open files. */
import { assertEquals, assertStrictEquals } from "@std/assert";
import type { CreateArgs, OpenArgs, WriteArgs } from "../../src/fs/types.ts";
import { c, connect, field } from "../support/wire.ts";
import { test } from "../support/harness.ts";

const O_RDWR = 2, O_TRUNC = 0o1000, O_APPEND = 0o2000, O_DIRECT = 0o40000;

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

test("FUSE_OPEN, FUSE_CREATE: O_TRUNC ends set-id bits where the kernel says so, or leaves it unsaid", () => {
  // Not by root, nor without O_TRUNC; with handleKillpriv by those alone whom the kernel names.
  const asked = [[1000, O_RDWR, 0], [0, O_TRUNC, 0], [1000, O_TRUNC, 0], [1000, O_TRUNC, 1]] as const;
  for (const handleKillpriv of [false, "v1", true] as const) {
    const seen: boolean[][] = [[], []];
    const wire = connect({
      open: ({ killSuidgid }: OpenArgs) => (seen[0].push(killSuidgid), {}),
      create: ({ killSuidgid }: CreateArgs) => {
        seen[1].push(killSuidgid);
        return { entry: { nodeid: 2, attr: { mode: 0o100644 } } };
      },
    }, { handleKillpriv });
    for (const [uid, flags, open_flags] of asked) {
      wire.send("FUSE_OPEN", { uid, parts: [c("fuse_open_in", { flags, open_flags })] });
      wire.send("FUSE_CREATE", { uid, parts: [c("fuse_create_in", { flags, open_flags }), "f"] });
    }
    const kills = [false, false, handleKillpriv !== true, true];
    assertEquals(seen, [kills, kills], `${handleKillpriv}`);
  }
});
