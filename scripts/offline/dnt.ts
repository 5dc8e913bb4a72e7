/**
 * What `scripts/build_npm.ts` uses of `@deno/dnt`, for where its registry cannot be reached: `deno info` tells the
 * graph of modules, TypeScript makes JavaScript and declarations of it. Left out: shims, polyfills, tests, source maps,
 * and `import.meta` in CommonJS.
 *
 * @module
 */
import { dirname, join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import ts from "npm:typescript@5.9.3";

/** Says that this is not the real one. */
export const STAND_IN = true;

/** A module that users meet. */
export interface EntryPoint {
  kind?: "bin" | "export";
  /** `.` or `./part`; of a `bin` the command. */
  name: string;
  path: string;
}

/** What is built, and how. */
export interface BuildOptions {
  entryPoints: EntryPoint[];
  /** Made anew. */
  outDir: string;
  shims: { deno: false };
  /** Modules that take the place of others. */
  mappings: Record<string, string>;
  /** The package.json. */
  package: {
    name: string;
    version: string;
    [member: string]: unknown;
  };
  /** Where the bare specifiers are explained. */
  importMap: string;
  scriptModule: "cjs";
  declaration: "inline";
  declarationMap: false;
  /** The types of the ES modules are checked; CommonJS has the same. */
  typeCheck: "single";
  test: false;
  compilerOptions: { target: string; lib: string[] };
  filterDiagnostic?: (diagnostic: ts.Diagnostic) => boolean;
  postBuild?: () => void | Promise<void>;
}

/** Makes the folder, or makes it empty. */
export async function emptyDir(folder: string): Promise<void> {
  await Deno.remove(folder, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  await Deno.mkdir(folder, { recursive: true });
}

async function run(command: string, args: string[], cwd?: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, cwd }).output();
  if (!success) throw new Error(`${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** A module and what it imports. */
interface Module {
  readonly text: string;
  /** From specifier in the text to the module's URL, or to what npm and Node call it. */
  readonly imports: Map<string, { module: string } | { external: string }>;
}

interface Graph {
  readonly modules: Map<string, Module>;
  /** npm packages, with the wanted versions. */
  readonly packages: Map<string, string>;
}

/** What `deno info --json` says. */
interface Info {
  readonly modules: {
    readonly specifier: string;
    readonly local?: string;
    readonly error?: string;
    readonly dependencies?: {
      readonly specifier: string;
      readonly code?: { readonly specifier?: string };
      readonly type?: { readonly specifier?: string };
    }[];
  }[];
  readonly redirects: Record<string, string>;
}

const urlOf = (path: string) => pathToFileURL(resolve(path)).href;

/** The modules that the roots lead to, after the mappings. */
async function graphOf(roots: string[], mappings: Record<string, string>): Promise<Graph> {
  const mapped = new Map(Object.entries(mappings).map(([from, to]) => [urlOf(from), urlOf(to)]));
  const known = new Map<string, Info["modules"][number]>();
  const redirects = new Map<string, string>();
  const graph: Graph = { modules: new Map(), packages: new Map() };
  const visit = async (url: string): Promise<void> => {
    if (graph.modules.has(url)) return;
    if (!known.has(url)) {
      const info: Info = JSON.parse(await run(Deno.execPath(), ["info", "--json", url]));
      for (const module of info.modules) known.set(module.specifier, module);
      for (const [from, to] of Object.entries(info.redirects)) redirects.set(from, to);
    }
    const { local, error = "there is none", dependencies = [] } = known.get(url) ?? {};
    if (local === undefined) throw new Error(`${url}: ${error}`);
    const module: Module = { text: await Deno.readTextFile(local), imports: new Map() };
    graph.modules.set(url, module);
    for (const { specifier, code, type } of dependencies) {
      let target = code?.specifier ?? type?.specifier ?? "";
      const npm = /^npm:\/?((?:@[^/@]+\/)?[^/@]+)(?:@([^/]+))?(\/.*)?$/.exec(target);
      if (npm !== null) {
        graph.packages.set(npm[1], npm[2] ?? "*");
        module.imports.set(specifier, { external: npm[1] + (npm[3] ?? "") });
      } else if (/^(node|bun):/.test(target)) {
        module.imports.set(specifier, { external: target });
      } else {
        while (redirects.has(target)) target = redirects.get(target)!;
        target = mapped.get(target) ?? target;
        module.imports.set(specifier, { module: target });
        await visit(target);
      }
    }
  };
  for (const root of roots) await visit(root);
  return graph;
}

/** Where a module goes: below the current folder it keeps its place, from elsewhere it goes to `deps/`. */
function placeOf(url: string): string {
  const root = urlOf(".") + "/";
  return url.startsWith(root) ? url.slice(root.length) : `deps/${/@[^/]+\/[^/]+\/.*$/.exec(url)![0]}`;
}

/** A module's text with the specifiers that Node understands. */
function rewritten(url: string, { text, imports }: Module): string {
  const from = dirname(placeOf(url));
  let out = text;
  for (const { fileName, pos } of ts.preProcessFile(text, true, true).importedFiles.toReversed()) {
    const target = imports.get(fileName);
    if (target === undefined) continue;
    const specifier = "external" in target
      ? target.external
      : `./${relative(from, placeOf(target.module))}`.replace(/^\.\/\.\.\//, "../").replace(/\.ts$/, ".js");
    const at = out.indexOf(fileName, pos);
    out = out.slice(0, at) + specifier + out.slice(at + fileName.length);
  }
  return out;
}

/** Makes the JavaScript and the declarations of one kind of module, in `outDir/esm` or `outDir/script`. */
async function emit(options: BuildOptions, kind: "esm" | "script", files: string[]): Promise<void> {
  const out = resolve(options.outDir), src = join(out, "src");
  const marker = JSON.stringify({ type: kind === "esm" ? "module" : "commonjs" }) + "\n";
  // Decides what the compiler makes of the sources; taken away again.
  await Deno.writeTextFile(join(src, "package.json"), marker);
  const program = ts.createProgram(files, {
    ...ts.convertCompilerOptionsFromJson({ ...options.compilerOptions, module: "NodeNext" }, out).options,
    // As if run where the package is installed.
    typeRoots: [join(out, "node_modules/@types")],
    types: ["node"],
    rootDir: src,
    outDir: join(out, kind),
    declaration: true,
    strict: true,
    skipLibCheck: true,
    isolatedModules: true,
    noEmitOnError: false,
  });
  const { diagnostics } = program.emit();
  const bad = [...kind === "esm" ? ts.getPreEmitDiagnostics(program) : [], ...diagnostics]
    .filter((diagnostic) => options.filterDiagnostic?.(diagnostic) ?? true);
  if (bad.length > 0) {
    const host = {
      getCanonicalFileName: (name: string) => name,
      getCurrentDirectory: () => src,
      getNewLine: () => "\n",
    };
    throw new Error(`${kind}: ${bad.length} errors\n${ts.formatDiagnostics(bad, host)}`);
  }
  await Deno.writeTextFile(join(out, kind, "package.json"), marker);
  await Deno.remove(join(src, "package.json"));
}

/** Builds the npm package. */
export async function build(options: BuildOptions): Promise<void> {
  const out = resolve(options.outDir);
  const { entryPoints, package: wanted } = options;
  const isBin = ({ kind }: EntryPoint) => kind === "bin";
  const graph = await graphOf(entryPoints.map(({ path }) => urlOf(path)), options.mappings);

  const bins = new Set(entryPoints.filter(isBin).map(({ path }) => urlOf(path)));
  const files: string[] = [];
  for (const [url, module] of graph.modules) {
    const file = join(out, "src", placeOf(url));
    await Deno.mkdir(dirname(file), { recursive: true });
    await Deno.writeTextFile(file, (bins.has(url) ? "#!/usr/bin/env node\n" : "") + rewritten(url, module));
    files.push(file);
  }

  const built = (folder: string, { path }: EntryPoint) => `./${folder}/${placeOf(urlOf(path)).replace(/\.ts$/, ".js")}`;
  const exports = entryPoints.filter((entry) => !isBin(entry))
    .map((entry) => [entry.name, { import: built("esm", entry), require: built("script", entry) }]);
  const manifest = {
    ...bins.size > 0 &&
      { bin: Object.fromEntries(entryPoints.filter(isBin).map((entry) => [entry.name, built("esm", entry)])) },
    ...wanted,
    exports: { ...Object.fromEntries(exports), ...wanted.exports as object },
    dependencies: { ...Object.fromEntries(graph.packages), ...wanted.dependencies as object },
  };
  await Deno.writeTextFile(join(out, "package.json"), JSON.stringify(manifest, null, 2) + "\n");
  await run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline"], out);

  await emit(options, "esm", files);
  await emit(options, "script", files);
  await options.postBuild?.();
}
