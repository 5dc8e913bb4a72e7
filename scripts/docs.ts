/**
 * Writes what documents say from what the project runs on: `docs/protocol.md`, `docs/posix.md`, and in `README.md` what
 * stands between markers.
 *
 *     deno task docs [--check]
 *
 * With `--check` nothing is written: what is not current is named, and the exit status is 1.
 *
 * @module
 */
import { replaced } from "./markdown.ts";
import { posixDoc, posixSummary } from "./posix_doc.ts";
import { docsOf, opcodeTable, protocolDoc } from "./protocol_doc.ts";

const read = (path: string): Promise<string> => Deno.readTextFile(path);

/** The documents as they should be, by their paths; those that are there are read below the current folder. */
async function documents(): Promise<ReadonlyMap<string, string>> {
  const methods = await read("src/fs/filesystem.ts"), notifications = await read("src/fs/notifications.ts");
  return new Map([
    ["docs/protocol.md", protocolDoc(docsOf(methods), docsOf(notifications))],
    ["docs/posix.md", posixDoc()],
    ["README.md", replaced(replaced(await read("README.md"), "posix", posixSummary()), "opcodes", opcodeTable())],
  ]);
}

if (import.meta.main) {
  const check = Deno.args.includes("--check");
  for (const [path, text] of await documents()) {
    if (await read(path).catch(() => "") === text) continue;
    if (check) {
      console.error(`${path} is not current: deno task docs`);
      Deno.exitCode = 1;
    } else {
      await Deno.mkdir("docs", { recursive: true });
      await Deno.writeTextFile(path, text);
    }
  }
}
