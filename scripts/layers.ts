/**
 * Checks the house plan: who imports whom, no circles, no runtime's name in the library, and no comment that is wider
 * than the lines of the code.
 *
 *     deno run --allow-read=. scripts/layers.ts
 *
 * Prints each violation as `file:line: what`, and exits with 1 if there is one.
 *
 * @module
 */

/** Who may import whom, and which packages, from the root of the project; a trailing slash means everything below. */
const layers: Record<string, readonly string[]> = {
  "ffi/": [],
  "src/errno.ts": [],
  "src/deferred.ts": [],
  "src/abi/": ["src/errno.ts"],
  "src/fs/": ["src/abi/", "src/errno.ts"],
  "src/suidgid.ts": ["ffi/", "src/fs/"],
  "src/ops/": ["src/fs/", "src/abi/", "src/errno.ts"],
  "src/device.ts": ["ffi/", "src/abi/", "src/errno.ts"],
  "src/passthrough/": [
    "ffi/",
    "src/device.ts",
    "src/suidgid.ts",
    "src/fs/",
    "src/abi/",
    "src/errno.ts",
    "src/deferred.ts",
  ],
  "src/session/": [
    "src/passthrough/",
    "src/device.ts",
    "src/ops/",
    "src/fs/",
    "src/abi/",
    "src/errno.ts",
    "src/deferred.ts",
    "ffi/",
  ],
  "src/mount/": ["src/session/", "src/device.ts", "src/fs/", "src/abi/", "src/errno.ts", "ffi/"],
  "src/doctor/": ["src/mount/", "src/session/", "src/device.ts", "src/fs/", "src/abi/", "src/errno.ts", "ffi/"],
  "src/kit/": ["src/suidgid.ts", "src/fs/", "src/abi/text.ts", "src/errno.ts", "ffi/"],
  "src/cli/": ["mod.ts", "kit.ts", "doctor.ts", "ffi/", "@std/cli/"],
  "src/testing/": ["src/fs/", "src/session/", "src/abi/", "src/errno.ts", "ffi/"],
  "mod.ts": ["src/fs/", "src/mount/", "src/session/", "src/errno.ts", "ffi/"],
  "passthrough.ts": ["src/fs/", "src/passthrough/"],
  "kit.ts": ["src/kit/"],
  "doctor.ts": ["src/doctor/"],
  "testing.ts": ["src/testing/"],
  "cli.ts": ["src/cli/", "ffi/"],
  "examples/": ["mod.ts", "passthrough.ts", "kit.ts", "doctor.ts"],
};

/** Layers whose files stand alone: they do not import each other either. */
const alone: readonly string[] = ["examples/"];

/** Layers that may name packages and the runtime's own modules. */
const outside = /^(ffi|tests|scripts)\//;

/** One broken rule. */
export interface Violation {
  /** From the root of the project. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** What is wrong. */
  readonly what: string;
}

interface Import {
  readonly specifier: string;
  /** From the root of the project; undefined where the specifier is not relative. */
  readonly file?: string;
  /** Gone at run time. */
  readonly typeOnly: boolean;
  readonly line: number;
}

// After one of these a slash begins a regular expression; after anything else it divides.
const beforeRegex = /(^|[(,=:[!&|?{};+\-*%~^<>]|\b(?:return|typeof|case|in|of|do|else|await|yield|throw|void))\s*$/;

/** The source at its length and lines, without comments, regular expressions and what quotes enclose. */
function blank(source: string): string {
  let out = "";
  // The open template literals, each with the depth of braces inside its current `${}`.
  const templates: number[] = [];
  const hide = (text: string) => text.replace(/[^\n]/g, " ");
  for (let i = 0; i < source.length;) {
    const rest = (expression: RegExp) => {
      expression.lastIndex = i;
      return expression.exec(source)?.[0];
    };
    const c = source[i];
    let token: string | undefined;
    if ((token = rest(/\/\/[^\n]*|\/\*[^]*?\*\//y))) out += hide(token);
    else if ((token = rest(/"(?:[^"\\\n]|\\[^])*"|'(?:[^'\\\n]|\\[^])*'/y))) out += c + hide(token.slice(1, -1)) + c;
    else if (c === "`" || c === "}" && templates.at(-1) === 0) {
      if (c === "}") templates.pop();
      token = rest(/[`}](?:[^`\\$]|\\[^]|\$(?!\{))*(?:`|\$\{)/y) ?? c;
      if (token.endsWith("${")) templates.push(0);
      out += c + hide(token.slice(1));
    } else if (
      c === "/" && beforeRegex.test(out.slice(-80)) &&
      (token = rest(/\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\//y))
    ) out += hide(token);
    else {
      if (c === "{" && templates.length > 0) templates[templates.length - 1]++;
      if (c === "}" && templates.length > 0) templates[templates.length - 1]--;
      out += token = c;
    }
    i += token.length;
  }
  return out;
}

function lineAt(source: string, index: number): number {
  return source.slice(0, index).split("\n").length;
}

/** What a file imports: declarations, re-exports, and `import()` of a literal. */
function importsOf(file: string, source: string): Import[] {
  const code = blank(source);
  const found: Import[] = [];
  const statement =
    /(?<![.\w$])(?:(import|export)\s+((?:type\s)?[\w$\s{},*]*?)\bfrom\s*|import\s*\(?\s*)(?=["']( *)["'])/g;
  for (const match of code.matchAll(statement)) {
    const start = match.index + match[0].length + 1;
    const specifier = source.slice(start, start + match[3].length);
    const clause = match[2]?.trim() ?? "";
    const names = /^\{([^}]*)\}$/.exec(clause)?.[1].split(",").map((name) => name.trim()).filter(Boolean);
    const typeOnly = /^type\s+[^\s,]|^type\{/.test(clause) ||
      names !== undefined && names.length > 0 && names.every((name) => name.startsWith("type "));
    const relative = /^\.{0,2}\//.test(specifier);
    const target = relative ? new URL(specifier, `file:///${file}`).pathname.slice(1) : undefined;
    found.push({ specifier, file: target, typeOnly, line: lineAt(code, match.index) });
  }
  return found;
}

/** The entry of a list of layers that a file belongs to. */
function within(file: string, names: Iterable<string>): string | undefined {
  for (const name of names) if (name.endsWith("/") ? file.startsWith(name) : file === name) return name;
}

function checkLayer(file: string, imports: readonly Import[]): Violation[] {
  const layer = within(file, Object.keys(layers));
  if (layer === undefined) {
    return /^(tests|scripts)\//.test(file) ? [] : [{ file, line: 1, what: "belongs to no layer" }];
  }
  const may = alone.includes(layer) ? layers[layer] : [layer, ...layers[layer]];
  const violations: Violation[] = [];
  for (const { specifier, file: target, line } of imports) {
    if (target === undefined) {
      if (!outside.test(file) && within(specifier, may) === undefined) {
        violations.push({ file, line, what: `${layer} may not import ${specifier}` });
      }
    } else if (within(target, may) === undefined) {
      violations.push({ file, line, what: `${layer} may not import ${target}` });
    }
  }
  return violations;
}

function checkRuntime(file: string, source: string): Violation[] {
  // Examples are programs, and say how they are told what to do.
  if (/^(ffi|examples|tests|scripts)\//.test(file)) return [];
  const code = blank(source);
  const names = /(?<![\w$])(?:Deno|Bun|globalThis\.process)(?![\w$])|(?<![.\w$])process(?=\s*\??\.)/g;
  return [...code.matchAll(names)].map(({ 0: name, index }) => ({
    file,
    line: lineAt(code, index),
    what: `names ${name}: only ffi/ knows a runtime`,
  }));
}

/** As the formatter has it, which leaves comments alone. */
const WIDTH = 120;

function checkWidth(file: string, source: string): Violation[] {
  return source.split("\n").flatMap((line, i) =>
    line.length > WIDTH && /^\s*(\/\/|\/?\*)/.test(line)
      ? [{ file, line: i + 1, what: `a comment of ${line.length} columns, which may be ${WIDTH}` }]
      : []
  );
}

function checkCircles(graph: ReadonlyMap<string, readonly Import[]>): Violation[] {
  const violations: Violation[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    for (const { file: target, typeOnly, line } of graph.get(file) ?? []) {
      if (typeOnly || target === undefined || done.has(target)) continue;
      const at = path.indexOf(target);
      if (at >= 0) violations.push({ file, line, what: `a circle: ${[...path.slice(at), target].join(" -> ")}` });
      else visit(target, [...path, target]);
    }
    done.add(file);
  };
  for (const file of graph.keys()) if (!done.has(file)) visit(file, [file]);
  return violations;
}

/** Checks a tree, given as the source of each file by its path from the root. */
export function check(sources: ReadonlyMap<string, string>): Violation[] {
  const graph = new Map([...sources].map(([file, source]) => [file, importsOf(file, source)]));
  const violations = [...checkCircles(graph)];
  for (const [file, source] of sources) {
    violations.push(...checkLayer(file, graph.get(file)!), ...checkRuntime(file, source), ...checkWidth(file, source));
  }
  return violations.sort((a, b) => a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line);
}

async function load(folder: string, prefix = "", sources = new Map<string, string>()): Promise<Map<string, string>> {
  for await (const entry of Deno.readDir(`${folder}/${prefix}`)) {
    if (/^\.|^(npm|node_modules|coverage|fixtures)$/.test(entry.name)) continue;
    const file = prefix + entry.name;
    if (entry.isDirectory) await load(folder, `${file}/`, sources);
    else if (/\.m?[jt]s$/.test(file)) sources.set(file, await Deno.readTextFile(`${folder}/${file}`));
  }
  return sources;
}

if (import.meta.main) {
  const violations = check(await load("."));
  for (const { file, line, what } of violations) console.error(`${file}:${line}: ${what}`);
  if (violations.length > 0) Deno.exit(1);
}
