/** What a release changes, and what a tag is held against. */
import { assertEquals, assertThrows } from "@std/assert";
import { readFile } from "node:fs/promises";
import { check, type Files, nextVersion, release, versionOf } from "../../scripts/release.ts";
import { test } from "../support/harness.ts";

const files: Files = {
  "deno.json": '{\n  "name": "@a/b",\n  "version": "0.9.1",\n  "imports": { "c": "jsr:c@^0.9.1" }\n}\n',
  "src/cli/version.ts": 'export const VERSION = "0.9.1";\n',
  "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n- More.\n\n## 0.9.1 (2029-12-01)\n\n- Some.\n",
};

test("nextVersion: a step, or what is told if that is higher", () => {
  const steps = { major: "1.0.0", minor: "0.10.0", patch: "0.9.2", "0.9.10": "0.9.10", "2.0.0": "2.0.0" };
  for (const [wanted, expected] of Object.entries(steps)) assertEquals(nextVersion("0.9.1", wanted), expected);
  for (const low of ["0.9.1", "0.9.0", "0.8.7"]) assertThrows(() => nextVersion("0.9.1", low), Error, "is not higher");
  for (const none of ["1.0", "v1.0.0", "next", "1.0.0-rc"]) {
    assertThrows(() => nextVersion("0.9.1", none), Error, "is no version");
  }
});

test("release: the version and the heading of the changes, and nothing else", () => {
  assertEquals(release(files, "0.10.0", "2030-01-31"), {
    "deno.json": files["deno.json"].replace('"version": "0.9.1"', '"version": "0.10.0"'),
    "src/cli/version.ts": 'export const VERSION = "0.10.0";\n',
    "CHANGELOG.md": files["CHANGELOG.md"].replace("## Unreleased", "## 0.10.0 (2030-01-31)"),
  });
});

test("release: without changes, or with versions that differ, there is none", () => {
  const without = (changes: string) => ({ ...files, "CHANGELOG.md": changes });
  for (const changes of ["# Changelog\n", "## Unreleased\n\n## 0.9.1\n\n- Some.\n"]) {
    assertThrows(() => release(without(changes), "1.0.0", ""), Error, "tells no changes");
  }
  const other = { ...files, "src/cli/version.ts": 'export const VERSION = "0.9.0";\n' };
  assertThrows(() => release(other, "1.0.0", ""), Error, "exactly once");
});

test("check: the tag of a release, and each thing that is wrong with it", () => {
  const done = release(files, "1.0.0", "2030-01-31");
  assertEquals(check(done, "v1.0.0"), []);
  assertEquals(check(done, "v1.0.1"), ["the tag is v1.0.1, the version in deno.json 1.0.0"]);
  assertEquals(check({ ...done, "src/cli/version.ts": files["src/cli/version.ts"] }, "v1.0.0"), [
    "src/cli/version.ts has another version than deno.json, 1.0.0",
  ]);
  assertEquals(check({ ...done, "CHANGELOG.md": files["CHANGELOG.md"] }, "v1.0.0"), [
    "CHANGELOG.md has no section 1.0.0",
    "CHANGELOG.md has changes that are unreleased",
  ]);
});

test("check: the project itself has one version, and a section of changes for it or for the next", async () => {
  const read = (name: string) => readFile(new URL(`../../${name}`, import.meta.url), "utf8");
  const own: Files = {
    "deno.json": await read("deno.json"),
    "src/cli/version.ts": await read("src/cli/version.ts"),
    "CHANGELOG.md": await read("CHANGELOG.md"),
  };
  const wrong = check(own, `v${versionOf(own)}`).filter((line) => !line.endsWith("unreleased"));
  assertEquals(wrong, []);
});
