import { assertEquals, assertNotEquals } from "@std/assert";
import { Stat } from "../../../ffi/libc.ts";
import { Device, inoOf, markOf, Node, shownIno } from "../../../src/kit/mirror/node.ts";
import { test } from "../../support/harness.ts";

const BTIME = 0x800;

function stat(fields: Partial<Stat>): Stat {
  return Object.assign(new Stat(), { mode: 0o100644, mask: 0xfff }, fields);
}

function device(index: number, local = true): Device {
  const made = new Device(index);
  made.local = local;
  return made;
}

test("inoOf: exact beyond 2^53", () => {
  assertEquals(inoOf(stat({ ino: 5 })), 5);
  assertEquals(inoOf(stat({ ino: 2 ** 63, bigIno: 2n ** 63n + 1n })), 2n ** 63n + 1n);
});

test("markOf: type and time of birth tell inodes apart, nothing else does", () => {
  const d = device(0);
  const mark = markOf(stat({ btime: 1_700_000_000, btimeNsec: 5 }), d);
  assertEquals(markOf(stat({ btime: 1_700_000_000, btimeNsec: 5, size: 9, ctime: 4, mode: 0o100755 }), d), mark);
  assertNotEquals(markOf(stat({ btime: 1_700_000_000, btimeNsec: 6 }), d), mark);
  assertNotEquals(markOf(stat({ btime: 1_700_000_001, btimeNsec: 5 }), d), mark);
  assertNotEquals(markOf(stat({ btime: 1_700_000_000, btimeNsec: 5, mode: 0o010644 }), d), mark);
  assertEquals(new Node(d, 1, mark).type, 0o100000);
});

test("markOf: at least 16 and a small integer with a time of birth, below 16 without", () => {
  for (let i = 0; i < 1000; i++) {
    const mark = markOf(stat({ btime: i * 7919, btimeNsec: i * 104729, mode: 0o140000 }), device(0));
    assertEquals(mark >= 16 && mark < 2 ** 30 && (mark & 15) === 12, true);
  }
  assertEquals(markOf(stat({ btime: 0, btimeNsec: 0 }), device(0)) >= 16, true);
  assertEquals(markOf(stat({ mask: 0xfff & ~BTIME, btime: 5 }), device(0)), 8);
  assertEquals(markOf(stat({ btime: 5 }), device(0, false)), 8);
});

test("shownIno: the root's device as it is, others apart", () => {
  assertEquals(shownIno(device(0), 2 ** 50), 2 ** 50);
  assertEquals(shownIno(device(0), 2n ** 63n + 1n), 2n ** 63n + 1n);
  assertEquals(shownIno(device(3), 7), 3 * 2 ** 44 + 7);
  const seen = new Set<number | bigint>();
  for (const index of [0, 1, 2, 511, 512, 600]) {
    for (const ino of [1, 2, 2 ** 44 - 1, 2 ** 45]) seen.add(shownIno(device(index), ino));
  }
  assertEquals(seen.size, 24);
  assertEquals(shownIno(device(1), 2n ** 63n), 2n ** 63n + 2n ** 54n);
});
