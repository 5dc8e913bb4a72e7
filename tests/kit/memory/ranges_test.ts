import { assertEquals } from "@std/assert";
import { Ranges } from "../../../src/kit/memory/ranges.ts";
import { test } from "../../support/harness.ts";

/** Pieces of a set of numbers below 60, as `Ranges` tells them. */
function piecesOf(set: ReadonlySet<number>, first: number, end: number): unknown[] {
  const pieces: { first: number; end: number; inside: boolean }[] = [];
  for (let at = first; at < end; at++) {
    const last = pieces.at(-1);
    if (last?.inside === set.has(at)) last.end++;
    else pieces.push({ first: at, end: at + 1, inside: set.has(at) });
  }
  return pieces;
}

test("Ranges: a random history has what a set of numbers has, in as few ranges", () => {
  let seed = 20240611;
  const random = (below: number) => (seed = seed * 48271 % 0x7fffffff) % below;
  const ranges = new Ranges(), set = new Set<number>();
  for (let step = 0; step < 3000; step++) {
    const first = random(60), end = random(8) === 0 ? Infinity : first + random(20) - 2;
    if (random(2) === 0 && end !== Infinity) {
      ranges.add(first, end);
      for (let at = first; at < end; at++) set.add(at);
    } else {
      ranges.delete(first, end);
      for (const at of [...set]) if (at >= first && at < end) set.delete(at);
    }
    assertEquals([...ranges.pieces(0, 80)], piecesOf(set, 0, 80), `step ${step}`);
    const from = random(80), to = random(80);
    assertEquals([...ranges.pieces(from, to)], piecesOf(set, from, to), `from ${from} to ${to} in step ${step}`);
    const inside = piecesOf(set, 0, 80).filter((piece) => (piece as { inside: boolean }).inside);
    assertEquals([...ranges].map(([first, end]) => ({ first, end, inside: true })), inside);
    assertEquals(ranges.empty, set.size === 0);
  }
});
