/** `docs/posix.md` says what the tests hold the file systems to. */
import { assert, assertEquals } from "@std/assert";
import { readFile } from "node:fs/promises";
import { posixDoc } from "../../scripts/posix_doc.ts";
import { posixCases } from "../../testing.ts";
import { test } from "../support/harness.ts";
import { KNOWN, type Known } from "./exceptions.ts";

test("posix: the document is current: deno task posix-doc", async () => {
  assertEquals(await readFile(new URL("../../docs/posix.md", import.meta.url), "utf8"), posixDoc());
});

test("posix: what is known is about cases that there are", () => {
  for (const { exceptions, skipped } of Object.values(KNOWN) as Known[]) {
    for (const name of Object.keys({ ...exceptions, ...skipped })) assert(name in posixCases, name);
  }
});
