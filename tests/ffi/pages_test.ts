/** Memory in whole pages. */
import { assertEquals } from "@std/assert";
import { libc } from "../../ffi/load.ts";
import { hugePages, pages } from "../../ffi/pages.ts";
import { test } from "../support/harness.ts";

// Opened here, since it stays open.
const c = libc();

test("pages: the byte asked for begins a page, whatever the size", () => {
  for (const begin of [0, 80, 4095, 4096, 5000]) {
    for (const size of [100, 4096, 128 * 1024, (1 << 20) + 4096]) {
      const memory = pages(c, size, begin);
      assertEquals([memory.length, (c.address(memory) + BigInt(begin)) % 4096n], [size, 0n]);
      assertEquals(memory.every((byte) => byte === 0), true);
    }
  }
});

test("hugePages: the byte asked for begins a huge page, which is asked for up to its end", () => {
  const asked: [bigint, number, number][] = [];
  const watched = {
    ...c,
    madvise(memory: Uint8Array, length: number, advice: number): number {
      asked.push([c.address(memory), length, advice]);
      assertEquals(memory.length >= length, true);
      return c.madvise(memory, length, advice);
    },
  };
  for (
    const [begin, size, length] of [[80, (1 << 20) + 4096, 2 << 20], [0, 2 << 20, 2 << 20], [80, 3 << 20, 4 << 20]]
  ) {
    const memory = hugePages(watched, size, begin);
    const at = c.address(memory) + BigInt(begin);
    assertEquals([memory.length, at % (2n << 20n)], [size, 0n]);
    assertEquals(asked.pop(), [at, length, 14]);
    assertEquals(memory.every((byte) => byte === 0), true);
  }
});
