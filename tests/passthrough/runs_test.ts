import { assert, assertEquals } from "@std/assert";
import { HOLE, Runs, UNKNOWN } from "../../src/passthrough/runs.ts";
import { Random } from "../support/random.ts";
import { test } from "../support/harness.ts";

type Run = [start: number, end: number, file: number, place: number];

/** All runs in order, as `find` tells them. */
function walk(runs: Runs): Run[] {
  const list: Run[] = [];
  for (let at = 0; at < Infinity; at = runs.end) {
    const { start, end, file, place } = runs.find(at);
    list.push([start, end, file, file < 0 ? 0 : place]);
  }
  return list;
}

/** The fewest runs for what each byte is: [file, place]. Behind them is a hole. */
function fewest(bytes: readonly (readonly [number, number])[]): Run[] {
  const list: Run[] = [];
  for (let at = 0; at <= bytes.length; at++) {
    const [file, place] = bytes[at] ?? [HOLE, 0];
    const last = list.at(-1);
    if (last?.[2] === file && (file < 0 || last[3] + at - last[0] === place)) continue;
    if (last !== undefined) last[1] = at;
    list.push([at, Infinity, file, file < 0 ? 0 : place]);
  }
  return list;
}

test("Runs: made of extents, with what lies between them and behind them", () => {
  const extents = [
    { offset: 10, length: 10, file: 7, fileOffset: 100 },
    { offset: 20, length: 5, file: 7, fileOffset: 110 },
    { offset: 25, length: 5, file: 7, fileOffset: 0 },
    { offset: 40, length: 2, file: 8, fileOffset: 15 },
  ];
  const mapped: Run[] = [[10, 25, 7, 100], [25, 30, 7, 0]];
  assertEquals(walk(new Runs(extents, 50, UNKNOWN)), [
    [0, 10, UNKNOWN, 0],
    ...mapped,
    [30, 40, UNKNOWN, 0],
    [40, 42, 8, 15],
    [42, 50, UNKNOWN, 0],
    [50, Infinity, HOLE, 0],
  ]);
  assertEquals(walk(new Runs(extents, 50)), [
    [0, 10, HOLE, 0],
    ...mapped,
    [30, 40, HOLE, 0],
    [40, 42, 8, 15],
    [42, Infinity, HOLE, 0],
  ]);
  assertEquals(walk(new Runs()), [[0, Infinity, HOLE, 0]]);
  assertEquals(walk(new Runs([], 9, UNKNOWN)), [[0, 9, UNKNOWN, 0], [9, Infinity, HOLE, 0]]);
});

test("Runs assign: neighbours that continue each other become one, others do not", () => {
  const runs = new Runs();
  runs.assign(0, 10, 5, 100);
  runs.assign(20, 30, 5, 120);
  assertEquals(walk(runs).length, 4);
  runs.assign(10, 20, 5, 110);
  assertEquals(walk(runs), [[0, 30, 5, 100], [30, Infinity, HOLE, 0]]);
  runs.assign(10, 20, 6, 110);
  runs.assign(12, 14, 6, 0);
  assertEquals(walk(runs), [
    [0, 10, 5, 100],
    [10, 12, 6, 110],
    [12, 14, 6, 0],
    [14, 20, 6, 114],
    [20, 30, 5, 120],
    [30, Infinity, HOLE, 0],
  ]);
  runs.assign(5, Infinity, HOLE, 0);
  assertEquals(walk(runs), [[0, 5, 5, 100], [5, Infinity, HOLE, 0]]);
  runs.assign(0, Infinity, HOLE, 0);
  assertEquals(walk(runs), [[0, Infinity, HOLE, 0]]);
});

test("Runs: any assignments, of few and of many runs, leave what an array has, in as few runs", () => {
  for (let seed = 1; seed <= 6; seed++) {
    const random = new Random(seed);
    const size = seed % 2 ? 60 : 4000, longest = seed % 3 === 0 ? size : 6;
    const bytes = Array.from({ length: size }, () => [HOLE, 0] as const as readonly [number, number]);
    const runs = new Runs();
    for (let step = 0; step < 6000; step++) {
      const from = random.below(size), to = Math.min(size, from + 1 + random.below(longest));
      const file = random.below(4) - 2;
      // Often the place that continues what is there.
      const place = random.below(2) ? from + 1000 * file + 5000 : random.below(10_000);
      runs.assign(from, to, file, place);
      for (let at = from; at < to; at++) bytes[at] = [file, file < 0 ? 0 : place + at - from];
      const at = random.below(size), run = runs.find(at);
      assert(run.start <= at && at < run.end);
      assertEquals([run.file, run.file < 0 ? 0 : run.place + at - run.start], [...bytes[at]], `seed ${seed}, ${step}`);
      if (step % 500 > 0) continue;
      assertEquals(walk(runs), fewest(bytes), `seed ${seed}, step ${step}`);
    }
  }
});
