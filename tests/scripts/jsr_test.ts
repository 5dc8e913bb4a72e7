/** The package for JSR: what would be published, imported and run as JSR would serve it. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { addPackage, addStandIns } from "../../scripts/offline/registry.ts";
import { mountsUnder, run, startReady, type TempDir, tempDir, test } from "../support/harness.ts";

const root = new URL("../../", import.meta.url);
const config = JSON.parse(await readFile(new URL("deno.json", root), "utf8"));
const { name, version } = config;
const exports: [entry: string, file: string][] = Object.entries(config.exports);
const specifier = (entry: string) => entry.replace(".", `jsr:${name}@${version}`);

/** The options of a Deno that takes its packages from a registry in a folder, and knows of no project. */
const inRegistry = (registry: TempDir) => ({
  cwd: registry.path,
  env: { JSR_URL: `file://${registry.path}/`, NO_COLOR: "1" },
});

/** What would be published, from path to text. Fails where something speaks against it. */
async function published(): Promise<Map<string, string>> {
  const { code, stdout, stderr } = await run(["deno", "publish", "--dry-run", "--allow-dirty"], {
    cwd: root.pathname,
    env: { NO_COLOR: "1" },
    timeout: 180_000,
  });
  const said = stdout + stderr;
  assertEquals(code, 0, said);
  assertStringIncludes(said, `${name}@${version}`);
  assert(!/\bwarning\b/i.test(said), said);
  const files = new Map<string, string>();
  for (const [, url] of said.matchAll(/^ +(file:\S+) \([\d.]+\w+\)$/gm)) {
    files.set(url.slice(root.href.length), await readFile(new URL(url), "utf8"));
  }
  return files;
}

/** Replaces the bare specifiers by what deno.json has for them, as publishing does. */
function unfurled(source: string): string {
  return source.replace(/(?<=\b(?:from|import) ?\(?")([@\w][^":]*)(?=")/g, (bare) => {
    const known = Object.keys(config.imports).find((start) => bare === start || bare.startsWith(`${start}/`));
    return known === undefined ? bare : config.imports[known] + bare.slice(known.length);
  });
}

/** A registry with the package and the stand-ins of what it imports. */
async function registryOf(files: Map<string, string>): Promise<TempDir> {
  const registry = await tempDir();
  await addStandIns(registry.path);
  const texts = [...files].map((
    [path, text],
  ): [string, string] => [path, path.endsWith(".ts") ? unfurled(text) : text]);
  await addPackage(registry.path, { name, version, exports: config.exports, files: new Map(texts) });
  return registry;
}

const SERVER = `
  import { mount } from "${specifier(".")}";
  import { memory } from "${specifier("./kit")}";
  await using session = await mount(memory(), Deno.args[0]);
  console.log("mounted");
  await session.closed;
`;

test("jsr: what would be published is whole, and holds nothing else", { timeout: 400_000 }, async (t) => {
  const files = await published();
  await using registry = await registryOf(files);

  const step = (name: string, fn: () => void | Promise<void>) => t.step({ name, fn });
  await step("it is the sources, the examples and the documents", () => {
    for (
      const path of [
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "deno.json",
        ...exports.map(([, file]) => file.slice(2)),
      ]
    ) {
      assert(files.has(path), path);
    }
    for (const path of files.keys()) {
      assertMatch(path, /^(ffi|src|docs|examples)\/|^[^/]+\.ts$|^(README\.md|LICENSE|CHANGELOG\.md|deno\.json)$/);
    }
  });

  await step("every entry point has the types and names of the sources, and asks for no permission", async () => {
    const program = registry.join("names.ts");
    const imports = exports.map(([entry]) => `Object.keys(await import("${specifier(entry)}"))`);
    await writeFile(program, `console.log(JSON.stringify([${imports}]));\n`);
    const { code, stdout, stderr } = await run(
      ["deno", "run", "--no-prompt", "--check", program],
      { ...inRegistry(registry), timeout: 180_000 },
    );
    assertEquals(code, 0, stderr);
    const own = await Promise.all(exports.map(async ([, file]) => Object.keys(await import(new URL(file, root).href))));
    assertEquals(JSON.parse(stdout), own);
  });
});

test("jsr: a program runs from the registry with --allow-ffi alone", {
  needs: ["root", "fuse"],
  sanitize: false,
  timeout: 360_000,
}, async () => {
  await using registry = await registryOf(await published());
  const mountpoint = registry.join("mountpoint"), program = registry.join("serve.ts");
  await mkdir(mountpoint);
  await writeFile(program, SERVER);
  await using server = await startReady(
    ["deno", "run", "--no-prompt", "--allow-ffi", program, mountpoint],
    inRegistry(registry),
  );
  const { stdout } = await run(["sh", "-c", "echo text > a && cp a b && cat b && ls"], { cwd: mountpoint });
  assertEquals(stdout, "text\na\nb\n");
  assertEquals(await server.stop(), { code: 0, signal: null }, server.output);
  assertEquals(await mountsUnder(mountpoint), []);
});

/** The modules of the project that an entry point loads, from its root; what only types come from is not loaded. */
async function loadedBy(file: string): Promise<string[]> {
  const { code, stdout, stderr } = await run(["deno", "info", "--json", file], { cwd: root.pathname });
  assertEquals(code, 0, stderr);
  const modules = new Map<string, string[]>();
  for (const { specifier, dependencies = [] } of JSON.parse(stdout).modules) {
    modules.set(specifier, dependencies.flatMap(({ code }: { code?: { specifier: string } }) => code?.specifier ?? []));
  }
  const found = new Set([new URL(file, root).href]);
  for (const url of found) for (const next of modules.get(url) ?? []) found.add(next);
  return [...found].filter((url) => url.startsWith(root.href)).map((url) => url.slice(root.href.length));
}

/** What belongs to an entry point, and who else needs it. */
const PARTS: Record<string, { part: RegExp; of: string[] }> = {
  ".": { part: /^(mod\.ts$|src\/(mount|session|ops)\/)/, of: ["./doctor", "./cli", "./testing"] },
  "./passthrough": { part: /^passthrough\.ts$/, of: [] },
  "./kit": { part: /^(kit\.ts$|src\/kit\/)/, of: ["./cli"] },
  "./doctor": { part: /^(doctor\.ts$|src\/doctor\/)/, of: ["./cli"] },
  "./testing": { part: /^(testing\.ts$|src\/testing\/)/, of: [] },
  "./cli": { part: /^(cli\.ts$|src\/cli\/)/, of: [] },
};

test("exports: importing one does not load the others", async () => {
  for (const [entry, file] of exports) {
    const loaded = await loadedBy(file);
    assert(PARTS[entry] !== undefined && loaded.some((path) => PARTS[entry].part.test(path)), entry);
    for (const [other, { part, of }] of Object.entries(PARTS)) {
      if (other === entry || of.includes(entry)) continue;
      assertEquals(loaded.filter((path) => part.test(path)), [], `${entry} loads ${other}`);
    }
  }
});
