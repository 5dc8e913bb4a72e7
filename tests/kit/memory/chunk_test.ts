import { assertEquals } from "@std/assert";
import { CHUNK, Chunk, CHUNK_PAGES, PAGE } from "../../../src/kit/memory/chunk.ts";
import { test } from "../../support/harness.ts";

const full = (value: number, length = PAGE) => new Uint8Array(length).fill(value);

/** The whole of a chunk, as a plain buffer has it. */
function plain(chunk: Chunk): Uint8Array {
  const out = new Uint8Array(CHUNK);
  chunk.copy(0, CHUNK, out, 0);
  return out;
}

test("Chunk: only pages with data take memory, wherever they lie", () => {
  const chunk = new Chunk();
  chunk.put(31 * PAGE, full(1));
  assertEquals(chunk.bytes.length, PAGE);
  chunk.put(3 * PAGE, full(2));
  chunk.put(17 * PAGE + 100, full(3, 5));
  assertEquals(chunk.bytes.length, 3 * PAGE);
  const expected = new Uint8Array(CHUNK);
  expected.fill(1, 31 * PAGE).fill(2, 3 * PAGE, 4 * PAGE).fill(3, 17 * PAGE + 100, 17 * PAGE + 105);
  assertEquals(plain(chunk), expected);
  chunk.clear(17 * PAGE, 18 * PAGE);
  chunk.clear(3 * PAGE, 4 * PAGE);
  assertEquals([chunk.bytes.length, chunk.data >>> 0], [PAGE, 2 ** 31]);
  chunk.clear(0, CHUNK);
  assertEquals([chunk.bytes.length, chunk.data], [0, 0]);
});

test("Chunk: filled in any order it reads as a plain buffer does", () => {
  for (const step of [1, 3, 7, 31]) {
    const chunk = new Chunk(), expected = new Uint8Array(CHUNK);
    for (let i = 0; i < CHUNK_PAGES; i++) {
      const page = i * step % CHUNK_PAGES;
      // Over the edge of a page, so that its end and the next one's beginning are written apart.
      const from = page * PAGE + 2000, data = full(i + 1, Math.min(PAGE, CHUNK - from));
      chunk.put(from, data);
      expected.set(data, from);
      assertEquals(plain(chunk), expected, `step ${step}, page ${page}`);
    }
    chunk.put(0, full(9, 2000));
    assertEquals(chunk.view(0, CHUNK)?.length, CHUNK);
  }
});

test("Chunk: a view where pages with data follow each other, and none over a hole", () => {
  const chunk = new Chunk();
  chunk.put(4 * PAGE, full(4, 2 * PAGE));
  chunk.put(9 * PAGE, full(9));
  assertEquals(chunk.view(4 * PAGE + 1, 6 * PAGE)?.length, 2 * PAGE - 1);
  assertEquals(chunk.view(9 * PAGE, 9 * PAGE + 7), full(9, 7));
  assertEquals([chunk.view(3 * PAGE, 5 * PAGE), chunk.view(5 * PAGE, 9 * PAGE + 1)], [undefined, undefined]);
});
