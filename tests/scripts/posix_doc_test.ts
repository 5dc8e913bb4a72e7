/** `docs/posix.md` and the README say what the tests hold the file systems to. */
import { assert, assertEquals } from "@std/assert";
import { posixDoc, posixSummary } from "../../scripts/posix_doc.ts";
import { posixCases } from "../../testing.ts";
import { INCOMPARABLE, KNOWN, type Known } from "../posix/exceptions.ts";
import { MANUAL } from "../posix/manual.ts";

const total = Object.keys(posixCases).length;

Deno.test("posix: what is known is about cases that there are", () => {
  for (const { exceptions, skipped } of Object.values<Known>(KNOWN)) {
    for (const name of Object.keys({ ...exceptions, ...skipped })) assert(name in posixCases, name);
  }
});

Deno.test("posixDoc: tells every page, and every case that fails or has nothing to say", () => {
  const doc = posixDoc();
  for (const page of Object.keys(MANUAL)) assert(doc.includes(`| \`${page}\` `), page);
  for (const [system, { exceptions, skipped }] of Object.entries<Known>(KNOWN)) {
    for (const [name, reason] of Object.entries({ ...exceptions, ...skipped })) {
      const row = doc.split("\n").find((line) => line.startsWith(`| ${system} `) && line.includes(`| ${name} `));
      assert(row?.includes(reason), `${system}: ${name}`);
    }
  }
});

Deno.test("posixDoc: tells what random operations do not compare, and why", () => {
  const rows = posixDoc().split("\n");
  for (const words of Object.values(INCOMPARABLE)) {
    assert(rows.some((row) => row.startsWith("| ") && words.every((text) => row.includes(text))), words[0]);
  }
});

Deno.test("posixSummary: each row counts every case once, and what fails and is left out as it is known", () => {
  const rows = posixSummary().split("\n").filter((line) => /\d +\|$/.test(line)).map((line) =>
    line.split("|").slice(2, -1).map(Number)
  );
  const failures = [
    {},
    KNOWN.mirror.exceptions,
    KNOWN["mirror without passthrough"].exceptions,
    KNOWN.memory.exceptions,
  ];
  assertEquals(rows.map(([, failed]) => failed), failures.map((known) => Object.keys(known).length));
  for (const [passed, failed, left] of rows) assertEquals(passed + failed + left, total);
  const [[, , native], [, , mirror], , [, , memory]] = rows;
  assert(native > 0);
  assertEquals([mirror, memory], [native, native + Object.keys(KNOWN.memory.skipped).length]);
});
