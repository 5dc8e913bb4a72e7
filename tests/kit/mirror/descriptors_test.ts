import { assertEquals } from "@std/assert";
import type { Libc } from "../../../ffi/libc.ts";
import { Descriptors } from "../../../src/kit/mirror/descriptors.ts";
import { test } from "../../support/harness.ts";

/** Descriptors that are closed by noting it. */
function make(limit: number) {
  const closed: number[] = [];
  const libc = { close: (fd: number) => closed.push(fd) } as unknown as Libc;
  const holders = Array.from({ length: 100 }, () => ({ slot: -1 }));
  const descriptors = new Descriptors(libc, limit);
  const put = (...fds: number[]) => fds.forEach((fd) => descriptors.put(holders[fd], fd));
  const has = () => holders.flatMap((holder, fd) => holder.slot >= 0 ? [fd] : []);
  return { closed, holders, descriptors, put, has };
}

const to = (n: number, from = 0) => Array.from({ length: n - from }, (_, i) => from + i);

test("Descriptors put: beyond the limit the one longest unused is closed", () => {
  const { closed, holders, descriptors, put, has } = make(16);
  put(...to(16));
  assertEquals([closed, descriptors.size], [[], 16]);
  assertEquals(descriptors.get(holders[0]), 0);
  assertEquals(descriptors.get(holders[5]), 5);
  put(16, 17);
  assertEquals(closed, [1, 2]);
  assertEquals(descriptors.get(holders[1]), -1);
  put(...to(30, 18));
  assertEquals(has(), [0, 5, ...to(30, 16)]);
});

test("Descriptors pin: pinned ones stay, and count", () => {
  const { closed, holders, descriptors, put, has } = make(16);
  put(...to(16));
  assertEquals(descriptors.pin(holders[0]), true);
  assertEquals(descriptors.pin(holders[0]), false);
  descriptors.pin(holders[7]);
  descriptors.pin(holders[15]);
  assertEquals([descriptors.pinned, descriptors.size], [3, 16]);
  put(...to(40, 16));
  assertEquals(has(), [0, 7, 15, ...to(40, 27)]);
  assertEquals(descriptors.get(holders[7]), 7);
  descriptors.unpin(holders[7]);
  descriptors.unpin(holders[7]);
  assertEquals(descriptors.pinned, 2);
  put(...to(54, 40));
  assertEquals(closed.includes(7), true);
  assertEquals(has(), [0, 15, ...to(54, 40)]);
});

test("Descriptors put: whatever is pinned, some others are kept", () => {
  const { holders, descriptors, put, has } = make(16);
  for (const fd of to(30)) {
    put(fd);
    descriptors.pin(holders[fd]);
  }
  put(...to(50, 30));
  assertEquals(has(), [...to(30), ...to(50, 42)]);
});

test("Descriptors drop: closes, pinned or not, and the place is used again", () => {
  const { closed, holders, descriptors, put, has } = make(16);
  put(...to(4));
  descriptors.pin(holders[1]);
  for (const fd of [1, 2, 2, 9]) descriptors.drop(holders[fd]);
  assertEquals([closed, descriptors.size, descriptors.pinned], [[1, 2], 2, 0]);
  put(10, 11, 12);
  assertEquals(has(), [0, 3, 10, 11, 12]);
  assertEquals(Math.max(...holders.map(({ slot }) => slot)), 4);
  for (const fd of [0, 3, 10, 11, 12]) assertEquals(descriptors.get(holders[fd]), fd);
});

test("Descriptors shrink: closes the older half, but not the last few", () => {
  const { closed, holders, descriptors, put } = make(64);
  put(...to(40));
  descriptors.get(holders[0]);
  assertEquals(descriptors.shrink(), true);
  assertEquals(closed, to(21, 1));
  while (descriptors.shrink());
  assertEquals(descriptors.size, 8);
  assertEquals(descriptors.get(holders[0]), 0);
});

test("Descriptors close: closes all of them once", () => {
  const { closed, holders, descriptors, put } = make(16);
  put(...to(20));
  descriptors.pin(holders[19]);
  descriptors.close();
  assertEquals(closed.sort((a, b) => a - b), to(20));
  assertEquals([descriptors.size, descriptors.pinned], [0, 0]);
  descriptors.close();
  assertEquals(closed.length, 20);
});
