import { assertEquals } from "@std/assert";
import { nearest } from "../../src/cli/nearest.ts";
import { test } from "../support/harness.ts";

const known = ["mount", "unmount", "doctor", "list"];

test("nearest: what differs in a letter, a place or an end; nothing where all differ", () => {
  const meant = { mout: "mount", moutn: "mount", umount: "unmount", docter: "doctor", ls: undefined, lists: "list" };
  for (const [word, expected] of Object.entries(meant)) assertEquals(nearest(word, known), expected, word);
  assertEquals([nearest("", known), nearest("abc", known), nearest("mount", [])], [undefined, undefined, undefined]);
});
