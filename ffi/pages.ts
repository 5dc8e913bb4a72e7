/** Memory that the kernel copies from and to in whole pages. */
import type { Libc } from "./libc.ts";

const PAGE = 4096;
/** A huge page of x86-64 and, with pages of 4 KiB, of arm64. */
const HUGE = 2 << 20;
// madvise(2)
const MADV_HUGEPAGE = 14;

/** The part of memory that is `size` bytes, of which the one at `begin` is the first of a unit. */
function aligned(libc: Libc, memory: Uint8Array, size: number, begin: number, unit: number): Uint8Array {
  const into = (Number(libc.address(memory) & BigInt(unit - 1)) + begin) % unit;
  const skipped = (unit - into) % unit;
  return memory.subarray(skipped, skipped + size);
}

/**
 * `size` bytes of which the one at `begin` is the first of a page. The kernel copies page by page: data that lies
 * across their borders in twice as many pieces, each of them slower.
 */
export function pages(libc: Libc, size: number, begin = 0): Uint8Array {
  return aligned(libc, new Uint8Array(size + PAGE), size, begin, PAGE);
}

/**
 * The same, from `begin` on in huge pages, where the machine has them to give: the kernel finds the memory that it
 * copies a large write to in fewer steps. All of the last one is taken.
 */
export function hugePages(libc: Libc, size: number, begin = 0): Uint8Array {
  const length = Math.ceil((size - begin) / HUGE) * HUGE;
  const memory = new Uint8Array(length + HUGE + begin);
  const bytes = aligned(libc, memory, size, begin, HUGE);
  // Where it is refused pages are of the usual size.
  libc.madvise(memory.subarray(bytes.byteOffset + begin), length, MADV_HUGEPAGE);
  return bytes;
}
