/** What a script of this folder sees in a folder of some file system. */
import { assertEquals, assertGreater } from "@std/assert";
import { run } from "../support/harness.ts";

/** What it prints about a folder, line by line, of which there are more than so many. */
export async function seen(script: string, folder: string, least: number): Promise<string[]> {
  const path = new URL(script, import.meta.url).pathname;
  const { code, stdout, stderr } = await run(["python3", path, folder], { timeout: 60_000 });
  assertEquals([code, stderr], [0, ""]);
  const lines = stdout.split("\n");
  assertGreater(lines.length, least);
  return lines;
}
