/**
 * The sources and tests as JavaScript modules, in a folder of the same shape.
 *
 * @module
 */
import { dirname, join, relative } from "node:path";
import ts from "npm:typescript@5.9.3";

/** What is translated of the project. */
const PARTS = ["ffi", "src", "examples", "tests", "scripts/bench", "scripts/offline"];
/** What else tests import. */
const ALSO = ["scripts/record.ts", "deno.json"];

/** What stands for another module where there is no Deno, as in the package. */
const MAPPINGS: Readonly<Record<string, string>> = {
  "ffi/deno.ts": "ffi/node.ts",
  "@std/assert": "scripts/offline/assert.ts",
  "@std/cli/parse-args": "scripts/offline/parse_args.ts",
};

/** What a package has in place of the sources. */
const PACKAGED = /^(ffi|src)\/|^[^/]+$/;

/** What the examples, which name Deno, find in its place. */
const DENO = 'import process from "node:process"; const Deno = { args: process.argv.slice(2), exit: process.exit };';

async function filesIn(root: string, folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(root, folder))) {
    const path = join(folder, name);
    if (isDirectory) found.push(...await filesIn(root, path));
    else found.push(path);
  }
  return found;
}

/**
 * Translates from the project's folder into another. Where a package is named, the sources are taken from there: its
 * folder `node_modules/NAME/esm` has modules of the same names.
 */
export async function translate(root: string, to: string, packageName?: string): Promise<void> {
  const entries: Record<string, string> = JSON.parse(await Deno.readTextFile(join(root, "deno.json"))).exports;
  const names = new Map(Object.entries(entries).map(([name, file]) => [join(file), name]));
  const top = (await Array.fromAsync(Deno.readDir(root))).map(({ name }) => name).filter((name) =>
    name.endsWith(".ts")
  );
  const files = [...top, ...ALSO, ...(await Promise.all(PARTS.map((part) => filesIn(root, part)))).flat()];

  /** What a file says instead of a specifier. */
  const specifier = (from: string, said: string): string => {
    const meant = said.startsWith(".") ? join(dirname(from), said) : said;
    const file = MAPPINGS[meant] ?? meant;
    if (file === said) return said;
    let path = file.replace(/\.ts$/, ".js");
    if (packageName !== undefined && PACKAGED.test(file)) {
      if (names.has(file)) return join(packageName, names.get(file)!);
      path = join("node_modules", packageName, "esm", path);
    }
    path = relative(dirname(from), path);
    return path.startsWith(".") ? path : `./${path}`;
  };

  for (const file of files) {
    const out = join(to, file);
    if (packageName !== undefined && PACKAGED.test(file)) continue;
    await Deno.mkdir(dirname(out), { recursive: true });
    if (!file.endsWith(".ts")) {
      await Deno.copyFile(join(root, file), out);
      continue;
    }
    let text = await Deno.readTextFile(join(root, file));
    // From the end, so that places stay what they are.
    for (const { fileName, pos } of ts.preProcessFile(text, true, true).importedFiles.reverse()) {
      const at = text.indexOf(fileName, pos);
      text = text.slice(0, at) + specifier(file, fileName) + text.slice(at + fileName.length);
    }
    const { outputText } = ts.transpileModule(text, {
      fileName: file,
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, inlineSourceMap: true },
    });
    const prelude = file.startsWith("examples/") ? DENO : "";
    await Deno.writeTextFile(out.replace(/\.ts$/, ".js"), prelude + outputText);
  }
}
