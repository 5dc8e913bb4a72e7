/** Memory in whole pages. */
import { assertEquals } from "@std/assert";
import { libc } from "../../ffi/load.ts";
import { pages } from "../../ffi/pages.ts";
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
