import { assert, assertEquals } from "@std/assert";
import { since } from "../../src/abi/since.ts";
import { atLeast, minorOf } from "../../src/doctor/release.ts";
import { test } from "../support/harness.ts";

test("atLeast: by numbers, not by letters", () => {
  assert(atLeast("6.18.1-generic", "6.9"));
  assert(atLeast("6.9", "6.9"));
  assert(atLeast("7.0-rc1", "6.9"));
  assert(!atLeast("6.8.12", "6.9"));
  assert(!atLeast("5.19.0", "6.9"));
  assert(!atLeast("?", "3.15"));
});

test("minorOf: the newest that the release has", () => {
  assertEquals(["6.17.9", "6.9.0", "6.8.1", "5.4.0-150", "3.15", "3.14"].map(minorOf), [44, 40, 39, 31, 23, undefined]);
  // Passthrough came with 6.9, io_uring with 6.14.
  assertEquals([minorOf("6.9"), minorOf("6.14")], [since("FUSE_PASSTHROUGH"), since("FUSE_OVER_IO_URING")]);
});
