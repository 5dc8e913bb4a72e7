/**
 * Writes `docs/posix.md` from the conformance map and what is known of the kit's file systems.
 *
 *     deno run --allow-read=. --allow-write=docs scripts/posix_doc.ts
 *
 * @module
 */
import { posixGroups } from "../src/testing/posix.ts";
import { KNOWN, type Known, LENIENCE } from "../tests/posix/exceptions.ts";
import { table, wrapped } from "./protocol_doc.ts";

function rows(which: "exceptions" | "skipped"): string[][] {
  return Object.entries<Known>(KNOWN).flatMap(([system, known]) =>
    Object.entries(known[which] ?? {}).map(([name, reason]) => [system, name, reason])
  );
}

/** The calls of a group: what its cases begin with, as far as they are words of the manual. */
function calls(names: readonly string[]): string {
  const before = names.map((name) => name.slice(0, name.indexOf(":")).trim());
  return [...new Set(before)].sort().join(", ");
}

/** The document. */
export function posixDoc(): string {
  const groups = Object.entries(posixGroups);
  const total = groups.reduce((sum, [, cases]) => sum + Object.keys(cases).length, 0);
  const parts = [
    "# What POSIX asks",
    wrapped(
      `The conformance map has ${total} cases, in groups. Each is run on the file system of the temporary folder (ext4, ` +
        "where it was written), on tmpfs, and on the kit's file systems: in memory, checked by the kernel and by itself, " +
        "full, and with a quota; as a mirror, with and without passthrough, checked by the kernel and by the source's " +
        "file system, and with names kept for long. A case that fails on the kernel's own file systems is wrong. Generated " +
        "by `deno task posix-doc`; do not edit.",
    ),
    wrapped(
      "How to run it on your own file system says the documentation of `@fusewire/fusewire/testing`; from a checkout:",
    ),
    "```sh\ndeno run --allow-ffi tests/posix/run.ts /mnt [--filter=REGEXP]\n```",
    "## Groups",
    table(
      ["group", "cases", "about"],
      groups.map(([group, cases]) => [group, `${Object.keys(cases).length}`, calls(Object.keys(cases))]),
    ),
    "## Exceptions",
    wrapped(
      "Cases that fail, each with its reason. The tests fail where another one does, and where one of these does not.",
    ),
    table(["file system", "case", "why"], rows("exceptions")),
    "## Skipped",
    wrapped(
      "Cases that have nothing to say where everything is there that the machine can give. A mirror skips what its " +
        "source does.",
    ),
    table(["file system", "case", "why"], rows("skipped")),
    "## What no case asks",
    LENIENCE.map((text) => wrapped(text, "- ")).join("\n"),
  ];
  return `${parts.join("\n\n")}\n`;
}

if (import.meta.main) await Deno.writeTextFile("docs/posix.md", posixDoc());
