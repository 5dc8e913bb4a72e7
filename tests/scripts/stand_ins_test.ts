/**
 * What stands in for packages of a registry behaves as they do: the same cases for the stand-in and for what the
 * imports of deno.json lead to, which is the real package where its registry can be reached.
 */
import * as importedAssert from "@std/assert";
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import * as importedArgs from "@std/cli/parse-args";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import * as standInAssert from "../../scripts/offline/assert.ts";
import * as standInArgs from "../../scripts/offline/parse_args.ts";
import { addStandIns, STAND_INS } from "../../scripts/offline/registry.ts";
import process from "node:process";
import { run, tempDir, test } from "../support/harness.ts";

const { imports } = JSON.parse(await readFile(new URL("../../deno.json", import.meta.url), "utf8"));

type Parse = (args: string[], options?: Record<string, unknown>) => Record<string, unknown>;

const PARSED: [args: string[], options: Record<string, unknown>, expected: Record<string, unknown>][] = [
  [["a", "7", "0x10", "1e3", "-"], {}, { _: ["a", 7, 16, 1000, "-"] }],
  [["7", "x"], { string: ["_"] }, { _: ["7", "x"] }],
  [["--name", "v", "--eq=v=w", "--flag"], {}, { name: "v", eq: "v=w", flag: true, _: [] }],
  [["--n", "5", "--s", "5", "--e="], { string: ["s"] }, { n: 5, s: "5", "e=": true, _: [] }],
  [["--s", "--t", "x"], { string: "s" }, { s: "", t: "x", _: [] }],
  [["--json", "x"], { boolean: ["json", "help"] }, { json: true, help: false, _: ["x"] }],
  [["--json=false", "--help=true", "--other=x"], { boolean: ["json", "help", "other"] }, {
    json: false,
    help: true,
    other: true,
    _: [],
  }],
  [["--json", "false"], { boolean: "json" }, { json: false, _: [] }],
  [["-o", "a", "-o", "b"], { string: ["o"], collect: ["o"] }, { o: ["a", "b"], _: [] }],
  [[], { string: ["o"], collect: ["o"] }, { o: [], _: [] }],
  [["-o", "a", "-o", "b"], { string: ["o"] }, { o: "b", _: [] }],
  [["-h"], { boolean: ["help"], alias: { help: "h" } }, { h: true, help: true, _: [] }],
  [["--options", "a", "-o", "b"], { string: ["options"], collect: ["options"], alias: { options: ["o", "opt"] } }, {
    options: ["a", "b"],
    o: ["a", "b"],
    opt: ["a", "b"],
    _: [],
  }],
  [["-abc", "v"], {}, { a: true, b: true, c: "v", _: [] }],
  [["-abc", "v"], { boolean: ["c"] }, { a: true, b: true, c: true, _: ["v"] }],
  [["-n5", "-o=x", "-p/tmp"], { string: ["o", "p"] }, { n: 5, o: "x", p: "/tmp", _: [] }],
  [["--no-color", "--no-x"], { negatable: ["color"] }, { color: false, "no-x": true, _: [] }],
  [["a", "--", "-b", "--c"], {}, { _: ["a", "-b", "--c"] }],
  [["a", "--", "-b"], { "--": true }, { _: ["a"], "--": ["-b"] }],
  [["--x", "1", "cmd", "--y", "2"], { stopEarly: true }, { x: 1, _: ["cmd", "--y", "2"] }],
  [["-v", "cmd", "-v"], { stopEarly: true, boolean: ["v"] }, { v: true, _: ["cmd", "-v"] }],
  [["--b", "1"], { default: { a: 9, b: 8 } }, { a: 9, b: 1, _: [] }],
  [[], { boolean: ["v"], default: { v: true }, alias: { v: "w" } }, { v: true, w: true, _: [] }],
];

for (const [who, { parseArgs }] of [["stand-in", standInArgs], ["import", importedArgs]] as const) {
  const parse = parseArgs as Parse;

  test(`parseArgs (${who}): words, options, aliases, collections, defaults`, () => {
    for (const [args, options, expected] of PARSED) assertEquals(parse(args, options), expected, args.join(" "));
  });

  test(`parseArgs (${who}): unknown is asked about what is not declared, and may leave it out`, () => {
    const asked: unknown[] = [];
    const parsed = parse(["--known", "--other", "v", "-x", "word"], {
      boolean: ["known"],
      alias: { a: "b" },
      unknown: (...said: unknown[]) => {
        asked.push(said);
        return said[0] === "word" ? false : said[1] !== "other";
      },
    });
    assertEquals(asked, [["--other", "other", "v"], ["-x", "x", "word"]]);
    assertEquals(parsed, { known: true, x: "word", _: [] });
    const words: unknown[][] = [];
    assertEquals(parse(["word"], { unknown: (...said: unknown[]) => words.push(said) < 0 || false }), { _: [] });
    assertEquals(words, [["word"]]);
  });
}

for (const [who, module] of [["stand-in", standInAssert], ["import", importedAssert]] as const) {
  const a: typeof importedAssert = module as typeof importedAssert;
  const { AssertionError } = a;

  test(`assert (${who}): passes and fails where it should`, async () => {
    const circle: unknown[] = [];
    circle.push(circle);
    const good: (() => void)[] = [
      () => a.assert(1),
      () =>
        a.assertEquals({ a: [1, new Map([["k", new Uint8Array(2)]])] }, {
          a: [1, new Map([["k", new Uint8Array(2)]])],
        }),
      () => a.assertEquals(NaN, NaN),
      () => a.assertNotEquals([1], [2]),
      () => a.assertStrictEquals(circle, circle),
      () => a.assertGreater(2, 1),
      () => a.assertLess(1n, 2n),
      () => a.assertMatch("abc", /b/),
      () => a.assertStringIncludes("abc", "bc"),
      () => a.assertExists(0),
      () => a.assertInstanceOf(new TypeError(), Error),
    ];
    for (const pass of good) pass();
    const bad: (() => void)[] = [
      () => a.assert(0),
      () => a.assertEquals([1], [1, undefined]),
      () => a.assertEquals({ a: 1 } as unknown, { a: "1" }),
      () => a.assertEquals(new Uint8Array([1]), new Uint8Array([2])),
      () => a.assertNotEquals([1], [1]),
      () => a.assertStrictEquals([], []),
      () => a.assertStrictEquals(0, -0),
      () => a.assertGreater(1, 1),
      () => a.assertLess(1, 1),
      () => a.assertMatch("abc", /d/),
      () => a.assertStringIncludes("abc", "cb"),
      () => a.assertExists(null),
      () => a.assertInstanceOf({}, Error),
      () => a.fail(),
      () => a.assertThrows(() => {}),
      () =>
        a.assertThrows(() => {
          throw new Error("x");
        }, TypeError),
      () =>
        a.assertThrows(
          () => {
            throw new Error("x");
          },
          Error,
          "y",
        ),
    ];
    for (const fails of bad) assertThrows(fails, AssertionError);
    assertEquals(
      (a.assertThrows(
        () => {
          throw new TypeError("xyz");
        },
        Error,
        "y",
      ) as Error).message,
      "xyz",
    );
    assertEquals((await a.assertRejects(() => Promise.reject(new RangeError("r")), RangeError) as Error).message, "r");
    const rejects = [() => Promise.resolve(), () => {
      throw new Error("x");
    }] as (() => Promise<void>)[];
    for (const fn of rejects) {
      const thrown = await a.assertRejects(fn).then(() => null, (error) => error);
      assert(thrown instanceof AssertionError, String(thrown));
    }
  });
}

const BUILD = `
  import { build, emptyDir } from "@deno/dnt";
  await emptyDir("out/package");
  await build({
    entryPoints: [
      { name: ".", path: "./mod.ts" },
      { name: "./part", path: "./part.ts" },
      { kind: "bin", name: "tool", path: "./tool.ts" },
    ],
    outDir: "out/package",
    shims: { deno: false },
    mappings: { "./runtime.ts": "./node.ts" },
    package: { name: "small", version: "1.2.3", license: "MIT", devDependencies: { "@types/node": "^20" } },
    importMap: "deno.json",
    scriptModule: "cjs",
    declaration: "inline",
    declarationMap: false,
    typeCheck: "single",
    test: false,
    compilerOptions: { target: "ES2023", lib: ["ES2023"] },
    postBuild: () => Deno.writeTextFileSync("out/package/done", ""),
  });
`;
const SMALL: Record<string, string> = {
  "mod.ts":
    `export { part } from "./part.ts";\nimport type { Arch } from "./lib/types.ts";\nimport { arch } from "./runtime.ts";\n` +
    `/** Doc. */\nexport function where(): Arch {\n  return arch();\n}\n`,
  "part.ts":
    `import { parseArgs } from "@std/cli/parse-args";\n/** Doc. */\nexport const part = (): unknown => parseArgs(["--a"]).a;\n`,
  "lib/types.ts": "/** Doc. */\nexport type Arch = string;\n",
  "runtime.ts": `export const arch = () => Deno.build.arch;\n`,
  "node.ts":
    `import process from "node:process";\nimport koffi from "koffi";\nexport const arch = () => process.arch + typeof koffi.load;\n`,
  "tool.ts": `import { where } from "./mod.ts";\nconsole.log(where());\n`,
};

test("dnt: builds modules, declarations, a program and a package.json", {
  needs: ["npm", "tool:node"],
  timeout: 240_000,
}, async () => {
  await using dir = await tempDir();
  await mkdir(dir.join("lib"));
  for (const [path, text] of Object.entries({ ...SMALL, "build.ts": BUILD })) await writeFile(dir.join(path), text);
  await writeFile(dir.join("deno.json"), JSON.stringify({ imports, lock: false }));
  const built = await run(["deno", "run", "-A", "build.ts"], { cwd: dir.path, timeout: 180_000 });
  assertEquals(built.code, 0, built.stdout + built.stderr);

  const out = (path: string) => readFile(dir.join("out", "package", path), "utf8");
  assertEquals(await out("done"), "");
  const { name, version, exports, bin, dependencies } = JSON.parse(await out("package.json"));
  assertEquals({ name, version, exports, bin, dependencies }, {
    name: "small",
    version: "1.2.3",
    exports: {
      ".": { import: "./esm/mod.js", require: "./script/mod.js" },
      "./part": { import: "./esm/part.js", require: "./script/part.js" },
    },
    bin: { tool: "./esm/tool.js" },
    dependencies: { koffi: imports.koffi.replace("npm:koffi@", "") },
  });
  assertMatch(
    await out("esm/mod.d.ts"),
    /import type \{ Arch \} from "\.\/lib\/types\.js";[^]*\/\*\* Doc\. \*\/\s+export declare function where\(\): Arch;/,
  );
  assertStringIncludes(await out("esm/mod.js"), `from "./node.js"`);
  assertStringIncludes(await out("script/node.js"), `require("koffi")`);
  assert((await out("esm/tool.js")).startsWith("#!/usr/bin/env node\n"));
  // From where it will be used: by a name, through both conditions.
  await writeFile(
    dir.join("out", "a.mjs"),
    `import { part, where } from "./package/esm/mod.js"; console.log(part(), where());`,
  );
  await writeFile(
    dir.join("out", "a.cjs"),
    `const { part, where } = require("./package/script/mod.js"); console.log(part(), where());`,
  );
  for (const program of ["a.mjs", "a.cjs"]) {
    const { stdout, stderr } = await run(["node", program], { cwd: dir.join("out") });
    assertEquals(stdout.trim(), `true ${process.arch}function`, stderr);
  }
  assertEquals(
    (await run(["node", "package/esm/tool.js"], { cwd: dir.join("out") })).stdout.trim(),
    `${process.arch}function`,
  );
});

test("registry: the stand-ins have the versions that deno.json asks for", async () => {
  await using dir = await tempDir();
  await addStandIns(dir.path);
  for (const [name, exports] of Object.entries(STAND_INS)) {
    const { versions } = JSON.parse(await readFile(dir.join(name, "meta.json"), "utf8"));
    const [version] = Object.keys(versions);
    assertEquals(imports[name], `jsr:${name}@^${version}`);
    assertEquals(JSON.parse(await readFile(dir.join(name, `${version}_meta.json`), "utf8")).exports, exports);
    for (const file of Object.values(exports)) {
      assertEquals(
        await readFile(dir.join(name, version, file), "utf8"),
        await readFile(new URL(`../../scripts/offline/${file}`, import.meta.url), "utf8"),
      );
    }
  }
});

test("dev: takes the stand-ins where the registry cannot be reached, says so in one line, and leaves nothing", async () => {
  await using dir = await tempDir();
  const program = dir.join("program.ts");
  await writeFile(
    program,
    `import { assert } from "@std/assert"; console.log(typeof assert, Deno.env.get("JSR_URL") ?? "");`,
  );
  const dev = new URL("../../scripts/dev.ts", import.meta.url).pathname;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const command = ["env", "-u", "JSR_URL", "deno", "run", "-A", dev, "run", "-A", "--config", config, program];
  const { code, stdout, stderr } = await run(command, { env: { NO_COLOR: "1", TMPDIR: dir.path } });
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^function /);
  const [, url] = stdout.trim().split(" ");
  const said = stderr.split("\n").filter((line) => line.includes("stands in for it"));
  assertEquals(said, url ? ["The registry cannot be reached: scripts/offline/ stands in for it."] : []);
  assertEquals((await run(["ls", dir.path])).stdout, "program.ts\n");
});
