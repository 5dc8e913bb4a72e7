import { assertEquals, assertMatch } from "@std/assert";
import { check } from "../../scripts/layers.ts";

/** The violations of a tree of files, as the script prints them. */
function violations(tree: Record<string, string>): string[] {
  return check(new Map(Object.entries(tree))).map(({ file, line, what }) => `${file}:${line}: ${what}`);
}

Deno.test("layers: a tree that keeps the rules has no violation", () => {
  assertEquals(
    violations({
      "ffi/node.ts": `import koffi from "npm:koffi@^3";\nimport fs from "node:fs";`,
      "ffi/libc.ts": `export interface Libc { read(): number }`,
      "src/errno.ts": `export const EIO = 5;`,
      "src/abi/text.ts": `import { EIO } from "../errno.ts";\nexport const text = EIO;`,
      "src/abi/structs.ts": `import { text } from "./text.ts";`,
      "src/fs/types.ts": `import type { Struct } from "../abi/structs.ts";`,
      "src/ops/file.ts": `import type * as t from "../fs/types.ts";`,
      "src/device.ts": `import type { Libc } from "../ffi/libc.ts";`,
      "src/passthrough/registry.ts": `import { Device } from "../device.ts";`,
      "src/session/session.ts": `import { a } from "../ops/file.ts";\nimport { b } from "../passthrough/registry.ts";`,
      "src/mount/mount.ts": `import { Session } from "../session/session.ts";`,
      "src/kit/mirror.ts": `import { text } from "../abi/text.ts";\nimport type { Libc } from "../../ffi/libc.ts";`,
      "src/cli/main.ts": `import { mount } from "../../mod.ts";`,
      "mod.ts": `export * from "./src/mount/mount.ts";\nexport { type Libc } from "./ffi/libc.ts";`,
      "examples/hello.ts": `import { mount } from "../mod.ts";`,
      "tests/a_test.ts": `import { assert } from "@std/assert";\nimport { x } from "../src/ops/file.ts";`,
      "scripts/b.ts": `import "node:fs";`,
    }),
    [],
  );
});

Deno.test("layers: an import against the arrows is named with its line, also for a type", () => {
  const cases: [file: string, source: string, expected: string][] = [
    ["ffi/deno.ts", `import { EIO } from "../src/errno.ts";`, "1: ffi/ may not import src/errno.ts"],
    ["src/errno.ts", `\nimport "./abi/text.ts";`, "2: src/errno.ts may not import src/abi/text.ts"],
    ["src/abi/a.ts", `import type { A } from "../fs/a.ts";`, "1: src/abi/ may not import src/fs/a.ts"],
    ["src/fs/a.ts", `export * from "../ops/a.ts";`, "1: src/fs/ may not import src/ops/a.ts"],
    ["src/ops/a.ts", `import {\n  a,\n} from "../device.ts";`, "1: src/ops/ may not import src/device.ts"],
    ["src/ops/a.ts", `const x = await import("../../ffi/load.ts");`, "1: src/ops/ may not import ffi/load.ts"],
    ["src/device.ts", `import x, { y } from './fs/a.ts';`, "1: src/device.ts may not import src/fs/a.ts"],
    ["src/passthrough/a.ts", `import * as o from "../ops/a.ts";`, "1: src/passthrough/ may not import src/ops/a.ts"],
    ["src/session/a.ts", `import { m } from "../mount/a.ts";`, "1: src/session/ may not import src/mount/a.ts"],
    ["src/mount/a.ts", `export { o } from "../ops/a.ts";`, "1: src/mount/ may not import src/ops/a.ts"],
    ["src/kit/a.ts", `import { s } from "../abi/structs.ts";`, "1: src/kit/ may not import src/abi/structs.ts"],
    ["src/cli/a.ts", `import { s } from "../kit/a.ts";`, "1: src/cli/ may not import src/kit/a.ts"],
    ["mod.ts", `export * from "./tests/a.ts";`, "1: mod.ts may not import tests/a.ts"],
    ["examples/a.ts", `import { s } from "../src/errno.ts";`, "1: examples/ may not import src/errno.ts"],
    ["examples/a.ts", `import { b } from "./b.ts";`, "1: examples/ may not import examples/b.ts"],
    ["src/stray.ts", `export {};`, "1: belongs to no layer"],
  ];
  for (const [file, source, expected] of cases) assertEquals(violations({ [file]: source }), [`${file}:${expected}`]);
});

Deno.test("layers: a package or a runtime's module is named outside ffi, tests and scripts", () => {
  for (const name of ["node:fs", "npm:koffi@^3", "jsr:@std/cli", "@std/assert", "https://example.org/a.ts"]) {
    assertEquals(violations({ "src/fs/a.ts": `import x from "${name}";` }), [
      `src/fs/a.ts:1: src/fs/ may not import ${name}`,
    ]);
    assertEquals(violations({ "examples/a.ts": `import x from "${name}";` }).length, 1);
  }
  assertEquals(violations({ "src/cli/a.ts": `import { parseArgs } from "@std/cli/parse-args";` }), []);
  assertEquals(violations({ "src/cli/a.ts": `import { assert } from "@std/assert";` }).length, 1);
});

Deno.test("layers: a circle is named once, with its files in order", () => {
  assertEquals(
    violations({
      "src/fs/a.ts": `import { b } from "./b.ts";`,
      "src/fs/b.ts": `import { c } from "./c.ts";`,
      "src/fs/c.ts": `\nexport { a } from "./a.ts";`,
      "src/fs/d.ts": `import { a } from "./a.ts";`,
    }),
    ["src/fs/c.ts:2: a circle: src/fs/a.ts -> src/fs/b.ts -> src/fs/c.ts -> src/fs/a.ts"],
  );
  assertEquals(violations({ "tests/a.ts": `import "./a.ts";` }), ["tests/a.ts:1: a circle: tests/a.ts -> tests/a.ts"]);
});

Deno.test("layers: an import of types closes no circle", () => {
  for (const clause of ["type { A }", "type A", "type * as t", "{ type A, type B }", "{\n  type A,\n}"]) {
    assertEquals(
      violations({ "src/fs/a.ts": `import ${clause} from "./b.ts";`, "src/fs/b.ts": `import "./a.ts";` }),
      [],
    );
  }
  for (const clause of ["{ A, type B }", "type", "{ typed }", "type, { A }"]) {
    const tree = { "src/fs/a.ts": `import ${clause} from "./b.ts";`, "src/fs/b.ts": `import "./a.ts";` };
    assertEquals(violations(tree).length, 1, clause);
  }
});

Deno.test("layers: the library names no runtime", () => {
  const source =
    "const a = 1;\nDeno.exit(1);\nprocess.exit(1);\nprocess?.exit(1);\nglobalThis.Deno;\n`${Bun.version}`;\n";
  assertEquals(violations({ "src/fs/a.ts": source }), [
    "src/fs/a.ts:2: names Deno: only ffi/ knows a runtime",
    "src/fs/a.ts:3: names process: only ffi/ knows a runtime",
    "src/fs/a.ts:4: names process: only ffi/ knows a runtime",
    "src/fs/a.ts:5: names Deno: only ffi/ knows a runtime",
    "src/fs/a.ts:6: names Bun: only ffi/ knows a runtime",
  ]);
  assertEquals(violations({ "mod.ts": "export const a = Deno.pid;" }), [
    "mod.ts:1: names Deno: only ffi/ knows a runtime",
  ]);
  assertEquals(violations({ "ffi/deno.ts": source, "tests/a.ts": source, "scripts/a.ts": source }), []);
});

Deno.test("layers: comments, strings and regular expressions are not code", () => {
  assertEquals(
    violations({
      "src/fs/a.ts": [
        `/** import { x } from "../device.ts"; Deno.exit() */`,
        `// import "node:fs"; Deno`,
        `const a = "Deno and process.exit, import 'node:fs'";`,
        "const b = `Deno ${a + `${a}` + '}'} Bun`;",
        "const c = /[\"'`/]Deno/.test(a) ? 4 / 2 : 6 / 3;",
        `request.process.call(Denominator, $Deno, Bunch, processes.length);`,
      ].join("\n"),
    }),
    [],
  );
  assertEquals(violations({ "src/fs/a.ts": "const q = /[\"'`]/;\nDeno.exit();" }).length, 1);
});

Deno.test("layers: comments are as wide as the lines of the code", () => {
  const words = (length: number) => "x".repeat(length);
  assertEquals(
    violations({
      "src/fs/a.ts": `/** ${words(113)} */\n// ${words(117)}\n/**\n * ${words(117)}\n */\nexport const a = "${
        words(200)
      }";`,
      "src/fs/b.ts": `/** ${words(114)} */\n  // ${words(116)}\n/**\n * ${words(118)}\n */`,
    }),
    [1, 2, 4].map((line) => `src/fs/b.ts:${line}: a comment of 121 columns, which may be 120`),
  );
});

Deno.test("layers: the script prints file:line and exits with 1", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const run = async () => {
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-config", "--allow-read=.", new URL("../../scripts/layers.ts", import.meta.url).href],
        cwd: folder,
        env: { NO_COLOR: "1" },
      }).output();
      return { code, text: new TextDecoder().decode(stderr) };
    };
    await Deno.mkdir(`${folder}/src/abi`, { recursive: true });
    await Deno.writeTextFile(`${folder}/src/abi/a.ts`, `import "../errno.ts";\n`);
    assertEquals((await run()).code, 0);
    await Deno.writeTextFile(`${folder}/src/abi/b.ts`, `\nimport "../device.ts";\n`);
    const { code, text } = await run();
    assertEquals(code, 1);
    assertMatch(text, /^src\/abi\/b\.ts:2: src\/abi\/ may not import src\/device\.ts$/m);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
