/**
 * Builds the package for npm, and tells with what, and what goes into its tarball.
 *
 *     deno run -A scripts/dev.ts run -A scripts/build_npm.ts [FOLDER]
 *
 * The folder is `npm/` unless told. The sources are compiled against what Node 20 has: what is newer is an error here.
 *
 * @module
 */
import * as dnt from "@deno/dnt";
import { resolve } from "node:path";

const ROOT = new URL("../", import.meta.url);

/** What is taken of `deno.json`. */
interface Config {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  /** From entry point to file. */
  readonly exports: Readonly<Record<string, string>>;
}

/** The sources of the entry points; of what asks Deno whether it is the program itself, the rest. */
function sources({ exports }: Config): [name: string, file: string][] {
  return Object.entries(exports).map(([name, file]) => [name, file === "./cli.ts" ? "./scripts/npm/cli.ts" : file]);
}

/** The files of an entry point, the types before what they are the types of. */
function conditions(file: string): Record<"import" | "require", { types: string; default: string }> {
  const built = (folder: string) => {
    const path = `./${folder}/${file.replace(/^\.\//, "").replace(/\.ts$/, "")}`;
    return { types: `${path}.d.ts`, default: `${path}.js` };
  };
  return { import: built("esm"), require: built("script") };
}

/** The package.json; all that npm shows, and all that it needs to prove where the package was built. */
function manifest(config: Config) {
  const { name, version, license, exports } = config;
  const main = conditions(exports["."]);
  return {
    name,
    version,
    description: "FUSE for TypeScript: a file system is an object with some methods, served through /dev/fuse",
    keywords: [
      "fuse",
      "filesystem",
      "file-system",
      "linux",
      "mount",
      "passthrough",
      "cuse",
      "typescript",
      "deno",
      "bun",
    ],
    license,
    author: "the fusewire authors",
    homepage: "https://github.com/fusewire/fusewire#readme",
    bugs: { url: "https://github.com/fusewire/fusewire/issues" },
    repository: { type: "git", url: "git+https://github.com/fusewire/fusewire.git" },
    engines: { node: ">=20", bun: ">=1.2" },
    os: ["linux"],
    cpu: ["x64", "arm64"],
    sideEffects: false,
    main: main.require.default,
    module: main.import.default,
    types: main.require.types,
    exports: {
      ...Object.fromEntries(sources(config).map(([name, file]) => [name, conditions(file)])),
      "./package.json": "./package.json",
    },
    files: ["esm", "script", "CHANGELOG.md"],
    publishConfig: { access: "public", provenance: true },
    // What its modules import; what only their types are checked with is taken out in the end.
    devDependencies: { "@types/node": "^20" },
  };
}

/** What declarations need of the library of TypeScript beyond ES2022, for those whose settings do not name it. */
const DISPOSABLE = '/// <reference lib="esnext.disposable" />\n';

async function referDisposable(folder: string): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) await referDisposable(path);
    else if (name.endsWith(".d.ts")) {
      const text = await Deno.readTextFile(path);
      if (/Disposable\b|Symbol\.(asyncD|d)ispose/.test(text)) await Deno.writeTextFile(path, DISPOSABLE + text);
    }
  }
}

/** Takes out what only the build needs, and adds what every package has. */
async function finish(folder: string): Promise<void> {
  for (const kind of ["esm", "script"]) await referDisposable(`${folder}/${kind}`);
  const path = `${folder}/package.json`;
  const { devDependencies: _1, _generatedBy: _2, ...rest } = JSON.parse(await Deno.readTextFile(path));
  await Deno.writeTextFile(path, JSON.stringify(rest, null, 2) + "\n");
  for (const name of ["README.md", "LICENSE", "CHANGELOG.md"]) await Deno.copyFile(name, `${folder}/${name}`);
}

/** What `npm pack --json` says. */
interface Packed {
  readonly filename: string;
  /** Bytes of the tarball. */
  readonly size: number;
  /** Bytes of what is in it. */
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string; readonly size: number }[];
}

/** Says what would be published. */
async function report(folder: string): Promise<void> {
  const pack = new Deno.Command("npm", { args: ["pack", "--dry-run", "--json"], cwd: folder, stderr: "inherit" });
  const { success, stdout } = await pack.output();
  if (!success) Deno.exit(1);
  const [{ filename, size, unpackedSize, files }]: Packed[] = JSON.parse(new TextDecoder().decode(stdout));
  for (const { path, size } of files) console.log(`${String(size).padStart(8)}  ${path}`);
  console.log(`${filename}: ${files.length} files, ${size} bytes, unpacked ${unpackedSize}`);
}

if (import.meta.main) {
  // What is said of a folder is meant from where this was called.
  const folder = resolve(Deno.args[0] ?? "npm");
  Deno.chdir(ROOT);
  const config: Config = JSON.parse(await Deno.readTextFile("deno.json"));
  await dnt.emptyDir(folder);
  await dnt.build({
    entryPoints: [
      ...sources(config).map(([name, path]) => ({ name, path })),
      { kind: "bin", name: "fusewire", path: "./scripts/npm/bin.ts" },
    ],
    outDir: folder,
    shims: { deno: false },
    mappings: { "./ffi/deno.ts": "./ffi/node.ts" },
    package: manifest(config),
    importMap: "deno.json",
    scriptModule: "cjs",
    declaration: "inline",
    declarationMap: false,
    typeCheck: "single",
    test: false,
    compilerOptions: { target: "ES2023", lib: ["ES2023", "ESNext.Disposable"] },
    // What other packages have in theirs is not ours to check.
    filterDiagnostic: ({ file }) => !file?.fileName.includes("/deps/"),
    postBuild: () => finish(folder),
  });
  console.log(`Built with ${"STAND_IN" in dnt ? "the stand-in for dnt, scripts/offline/dnt.ts" : "dnt"}.`);
  await report(folder);
}
