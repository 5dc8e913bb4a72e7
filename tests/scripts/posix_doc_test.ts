/** `docs/posix.md` says what the tests hold the file systems to. */
import { assert, assertEquals } from "@std/assert";
import { posixDoc } from "../../scripts/posix_doc.ts";
import { posixCases } from "../../testing.ts";
import { KNOWN, type Known } from "../posix/exceptions.ts";

Deno.test("posix: the document is current: deno task posix-doc", async () => {
  assertEquals(await Deno.readTextFile(new URL("../../docs/posix.md", import.meta.url)), posixDoc());
});

Deno.test("posix: what is known is about cases that there are", () => {
  for (const { exceptions, skipped } of Object.values<Known>(KNOWN)) {
    for (const name of Object.keys({ ...exceptions, ...skipped })) assert(name in posixCases, name);
  }
});
