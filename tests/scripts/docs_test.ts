/** The documents as users read them: every entry point explains itself, and the examples do what they say. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { appendFile, copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { mountsUnder, run, tempDir, test } from "../support/harness.ts";

const root = new URL("../../", import.meta.url);
const { exports } = JSON.parse(await readFile(new URL("deno.json", root), "utf8"));
const entries: string[] = Object.values(exports);

/** An example in a doc comment. */
interface Example {
  /** `FILE#LINE`, with which `deno test --doc` begins its name. */
  readonly name: string;
  readonly code: string;
  /** It is shown only. */
  readonly ignored: boolean;
}

/** The sources of the library. */
async function sources(): Promise<string[]> {
  const files = await readdir(new URL("src/", root), { recursive: true });
  return [
    ...entries.map((file) => file.slice(2)),
    ...files.filter((file) => file.endsWith(".ts")).map((file) => `src/${file}`),
  ];
}

/** The TypeScript in the doc comments of a source. */
function examplesIn(file: string, source: string): Example[] {
  const found: Example[] = [];
  for (const match of source.matchAll(/^ +\* ```ts( ignore)?\n((?: +\*.*\n)*?) +\* ```$/gm)) {
    const line = source.slice(0, match.index).split("\n").length;
    found.push({
      name: `${file}#${line}`,
      code: match[2].replace(/^ +\* ?/gm, ""),
      ignored: match[1] !== undefined,
    });
  }
  return found;
}

const examples = (await Promise.all(
  (await sources()).map(async (file) => examplesIn(file, await readFile(new URL(file, root), "utf8"))),
)).flat();
const shown = examples.filter(({ ignored }) => !ignored);
const mounts = ({ code }: Example) => /\bmount\(/.test(code);

/** Runs examples with a folder of their own for what is temporary, which has to be empty then. */
async function runs(wanted: readonly Example[]): Promise<void> {
  assert(wanted.length > 0);
  await using current = await tempDir();
  const files = new Set(wanted.map(({ name }) => new URL(name.replace(/#.*/, ""), root).pathname));
  const names = wanted.map(({ name }) => name.replace(/[./]/g, "\\$&")).join("|");
  const options = ["--config", new URL("deno.json", root).pathname, `--filter=/\\/(${names})-\\d+\\.ts$/`];
  const { code, stdout, stderr } = await run(["deno", "test", "--doc", "-A", ...options, ...files], {
    cwd: current.path,
    env: { NO_COLOR: "1", TMPDIR: current.path },
    timeout: 180_000,
  });
  assertEquals(code, 0, stdout + stderr);
  assertMatch(stdout, new RegExp(`\\b${wanted.length} passed .*\\| 0 failed`));
  assertEquals(await mountsUnder(current.path), []);
  assertEquals(await readdir(current.path), []);
}

test(
  "docs: examples that mount nothing run",
  { timeout: 240_000 },
  () => runs(shown.filter((example) => !mounts(example))),
);

test(
  "docs: examples that mount run, and leave nothing",
  { needs: ["root", "fuse"], timeout: 240_000 },
  () => runs(shown.filter(mounts)),
);

test("docs: only what no machine has at hand is shown without being run", () => {
  const ignored = examples.filter((example) => example.ignored);
  // A character device needs /dev/cuse, which few kernels have; a program needs its arguments.
  const allowed = /\bmountCharacterDevice\(|\bDeno\.args\b/;
  assertEquals(ignored.filter(({ code }) => !allowed.test(code)).map(({ name }) => name), []);
});

test("docs: the programs in the README and in the other documents compile", { timeout: 240_000 }, async () => {
  const others = (await readdir(new URL("docs/", root))).filter((file) => file.endsWith(".md"));
  const documents = ["README.md", ...others.map((file) => `docs/${file}`)];
  for (const document of documents) {
    // What is fenced as another language is passed over.
    for (const [, language] of (await readFile(new URL(document, root), "utf8")).matchAll(/^```(.*)\n[^]*?^```$/gm)) {
      assertMatch(language, /^(ts|sh|)$/, document);
    }
  }
  const { code, stderr } = await run(["deno", "check", "--doc-only", ...documents], {
    cwd: root.pathname,
    env: { NO_COLOR: "1" },
    timeout: 180_000,
  });
  assertEquals(code, 0, stderr);
});

test(
  "docs: every entry point has a module doc with an example, and everything is documented",
  { timeout: 400_000 },
  async () => {
    const options = { cwd: root.pathname, env: { NO_COLOR: "1" }, timeout: 180_000 };
    const described = await run(["deno", "doc", "--json", ...entries], options);
    assertEquals(described.code, 0, described.stderr);
    const { nodes } = JSON.parse(described.stdout);
    for (const entry of entries) {
      const { doc = "", tags = [] } = nodes[new URL(entry, root).href].module_doc ?? {};
      assertMatch(doc, /^[A-Za-z].*[.:]/, entry);
      // One that is run, among the text or with a tag.
      assertMatch([doc, ...tags.map((tag: { doc?: string }) => tag.doc)].join("\n"), /^```ts$/m, entry);
    }
    const lint = await run(["deno", "doc", "--lint", ...entries], options);
    assertEquals(lint.code, 0, lint.stderr);
  },
);

test("docs: what is generated is current: deno task docs", async () => {
  const command = ["deno", "run", "--allow-read=.", "scripts/docs.ts", "--check"];
  assertEquals(await run(command, { cwd: root.pathname, env: { NO_COLOR: "1" } }), { code: 0, stdout: "", stderr: "" });
});

test("docs: the script writes what is not current, and with --check names it and exits with 1", async () => {
  await using folder = await tempDir();
  const config = new URL("deno.json", root).pathname, script = new URL("scripts/docs.ts", root).pathname;
  const options = { cwd: folder.path, env: { NO_COLOR: "1" } };
  const docs = async (...args: string[]) => {
    const command = ["deno", "run", "--config", config, "--allow-read=.", "--allow-write=.", script, ...args];
    const { code, stderr } = await run(command, options);
    return [code, stderr];
  };
  await mkdir(folder.join("src", "fs"), { recursive: true });
  for (const path of ["src/fs/filesystem.ts", "src/fs/notifications.ts"]) {
    await copyFile(new URL(path, root), folder.join(path));
  }
  await writeFile(folder.join("README.md"), "<!-- posix -->\n<!-- /posix -->\n\n<!-- opcodes -->\n<!-- /opcodes -->\n");
  const stale = (path: string) => `${path} is not current: deno task docs\n`;
  const paths = ["docs/protocol.md", "docs/posix.md", "README.md"];
  assertEquals(await docs("--check"), [1, paths.map(stale).join("")]);
  assertEquals(await docs(), [0, ""]);
  assertEquals(await docs("--check"), [0, ""]);
  // The formatter has nothing to change about it.
  const formatted = await run([
    "deno",
    "fmt",
    "--check",
    "--config",
    config,
    ...paths.map((path) => folder.join(path)),
  ]);
  assertEquals(formatted.code, 0, formatted.stderr);
  await appendFile(folder.join("docs", "posix.md"), "\n");
  assertEquals(await docs("--check"), [1, stale("docs/posix.md")]);
});
