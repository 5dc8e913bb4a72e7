/** Memory that the kernel copies from and to in whole pages. */
import type { Libc } from "./libc.ts";

const PAGE = 4096;

/**
 * `size` bytes of which the one at `begin` is the first of a page. The kernel copies page by page: data that lies across
 * their borders in twice as many pieces, each of them slower.
 */
export function pages(libc: Libc, size: number, begin = 0): Uint8Array {
  const memory = new Uint8Array(size + PAGE);
  const into = (Number(libc.address(memory) & 0xfffn) + begin) % PAGE;
  const skipped = (PAGE - into) % PAGE;
  return memory.subarray(skipped, skipped + size);
}
