/** The pool of request buffers. */
import { assert, assertStrictEquals } from "@std/assert";
import { BufferPool } from "../../src/session/buffers.ts";
import { test } from "../support/harness.ts";

test("buffers: as many as the bytes allow, but at least two", () => {
  for (const [size, bytes, limit] of [[100, 1000, 10], [100, 1099, 10], [100, 250, 2], [100, 199, 2], [100, 0, 2]]) {
    const pool = new BufferPool(size, bytes);
    assertStrictEquals(pool.limit, limit);
    const taken = Array.from({ length: limit }, () => pool.take());
    assert(taken.every((buffer) => buffer?.bytes.length === size));
    assertStrictEquals(new Set(taken).size, limit);
    assertStrictEquals(pool.take(), null);
    assertStrictEquals(pool.taken, limit);
  }
});

test("buffers: one that was given back is taken again, and none is made beyond need", () => {
  const pool = new BufferPool(64, 6400);
  const first = pool.take()!, second = pool.take()!;
  assertStrictEquals(pool.taken, 2);
  pool.give(first);
  assertStrictEquals(pool.taken, 1);
  assertStrictEquals(pool.take(), first);
  pool.give(second);
  pool.give(first);
  assertStrictEquals(pool.taken, 0);
  const seen = new Set([first, second]);
  for (let i = 0; i < 1000; i++) {
    const buffer = pool.take()!;
    assert(seen.has(buffer));
    pool.give(buffer);
  }
});

test("buffers: the first one is taken before any other, and is the best once there are large requests", () => {
  const made: boolean[] = [];
  const pool = new BufferPool(64, 6400, (size, best) => (made.push(best), new Uint8Array(size)));
  const [first, ...others] = [pool.take()!, pool.take()!, pool.take()!];
  for (const buffer of [others[0], first, others[1]]) pool.give(buffer);
  assertStrictEquals(pool.taken, 0);
  assertStrictEquals(pool.take(), first);
  pool.large();
  const other = pool.take()!;
  assert(others.includes(other));
  pool.give(other);
  assertStrictEquals(made.join(), "false,false,false");
  pool.give(first);
  const best = pool.take()!;
  assert(best !== first && !others.includes(best));
  pool.give(best);
  assertStrictEquals(pool.take(), best);
  assertStrictEquals(made.join(), "false,false,false,true");
  assertStrictEquals(pool.taken, 1);
});

test("buffers: a full pool has one again as soon as it is given back", () => {
  const pool = new BufferPool(64, 0);
  const buffers = [pool.take()!, pool.take()!];
  assertStrictEquals(pool.take(), null);
  pool.give(buffers[1]);
  assertStrictEquals(pool.take(), buffers[1]);
  assertStrictEquals(pool.take(), null);
});

test("buffers: the view is of the bytes", () => {
  const { bytes, view } = new BufferPool(16, 0).take()!;
  view.setUint32(4, 0x01020304, true);
  assertStrictEquals(bytes[4], 4);
  assertStrictEquals(view.byteLength, 16);
});
