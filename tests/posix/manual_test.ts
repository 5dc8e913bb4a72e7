/** The list of errors that the manual pages give: that the cases and the faults are what it says. */
import { assertEquals } from "@std/assert";
import { ERRNO } from "../../mod.ts";
import { test } from "../support/harness.ts";
import { answered } from "./fault_cases.ts";
import { MANUAL } from "./manual.ts";

const words = (text = "") => text.split(" ").filter(Boolean);
// Other names of the same numbers.
const ALIASES = ["EWOULDBLOCK", "ENOTSUP"];

test("posix: manual: an errno is there once for a page", () => {
  for (const [page, { cases, limits, faults, not = {} }] of Object.entries(MANUAL)) {
    const codes = [...words(cases), ...words(limits), ...words(faults), ...Object.keys(not)];
    assertEquals(codes.filter((code, i) => codes.indexOf(code) !== i), [], page);
    assertEquals(codes.filter((code) => !(code in ERRNO) && !ALIASES.includes(code)), [], page);
  }
});

test("posix: manual: what is said to be answered by a faulty file system is", () => {
  const calls = answered();
  for (const [page, { calls: names, faults }] of Object.entries(MANUAL)) {
    const codes = words(names).flatMap((name) => calls.get(name) ?? []) as string[];
    assertEquals(words(faults).filter((code) => !codes.includes(code)), [], page);
  }
});
