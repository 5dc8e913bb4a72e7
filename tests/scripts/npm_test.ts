/**
 * The package for npm, as those who install it meet it: built, packed, installed into an empty project, compiled
 * against, and run on the real kernel by every runtime that it is for.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { type RuntimeName, runtimes } from "../../scripts/npm/runtimes.ts";
import { mountsUnder, must, type MustOptions, startReady, type TempDir, tempDir, test } from "../support/harness.ts";

const here = new URL("./", import.meta.url);
const config = JSON.parse(await readFile(new URL("../../deno.json", import.meta.url), "utf8"));
const names: string[] = Object.keys(config.exports);
const specifier = (name: string) => name.replace(".", config.name);

/** {@linkcode must} for programs that take their time and may warn. */
const output = (command: string[], options: MustOptions = {}) =>
  must(command, { timeout: 300_000, warns: true, ...options });

/** Installs packages into a folder. */
async function install(cwd: string, ...packages: string[]): Promise<void> {
  await output(["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", ...packages], { cwd });
}

/** All that is in a folder and below, as paths from it. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(folder.length + 1)).sort();
}

/** The source without its comments. */
function code(source: string): string {
  return source.replace(/\/\*[^]*?\*\/|(^|\s)\/\/.*$/gm, "$1");
}

interface Conditions {
  import: { types: string; default: string };
  require: { types: string; default: string };
}

/** What is in the package. */
async function contents(folder: string): Promise<void> {
  const manifest = JSON.parse(await readFile(`${folder}/package.json`, "utf8"));
  const { name, version, license } = config;
  assertEquals({ name, version, license }, {
    name: manifest.name,
    version: manifest.version,
    license: manifest.license,
  });
  assertEquals(Object.keys(manifest.dependencies), ["koffi"]);
  assertEquals([manifest.devDependencies, manifest.scripts], [undefined, undefined]);
  assertEquals([manifest.os, manifest.sideEffects], [["linux"], false]);
  assertEquals(manifest.publishConfig, { access: "public", provenance: true });
  // What provenance is proved against.
  assertMatch(manifest.repository.url, /^git\+https:\/\/.*\.git$/);
  assert(manifest.keywords.includes("fuse") && manifest.engines.node === ">=20");

  const files = await filesIn(folder);
  for (const file of ["README.md", "LICENSE", "CHANGELOG.md", manifest.main.slice(2), manifest.types.slice(2)]) {
    assert(files.includes(file), file);
  }
  assertEquals(files.filter((file) => /(^|\/)(src\/.*(?<!\.d)\.ts|node_modules|tests?)(\/|$)/.test(file)), []);
  assertEquals(Object.keys(manifest.exports), [...names, "./package.json"]);
  for (const [entry, of] of Object.entries<Conditions>(manifest.exports).slice(0, -1)) {
    for (const conditions of [of.import, of.require]) {
      assertEquals(Object.keys(conditions), ["types", "default"], entry);
      for (const path of Object.values(conditions)) assert(files.includes(path.slice(2)), `${entry}: ${path}`);
    }
  }
  for (const file of files.filter((file) => /^(?!.*\/deps\/).*\.(js|d\.ts)$/.test(file))) {
    const source = code(await readFile(`${folder}/${file}`, "utf8"));
    assert(!/\bDeno\b(?!\.errors)/.test(source), `${file} names Deno`);
    assert(!/\bfrom ["'](jsr|npm|https?):|import\.meta/.test(source), `${file} cannot be loaded by Node`);
  }
  assertStringIncludes(await readFile(`${folder}/${manifest.bin.fusewire}`, "utf8"), "#!/usr/bin/env node\n");
}

/** Compiles a user's program the ways a user may. */
async function compile(project: TempDir): Promise<void> {
  const source = await readFile(new URL("consumer/types.ts", here), "utf8");
  const every = names.map((name, i) => `import * as entry${i} from "${specifier(name)}";\nexport { entry${i} };\n`);
  for (const file of ["types.ts", "types.cts"]) await writeFile(project.join(file), source);
  for (const file of ["every.ts", "every.cts"]) await writeFile(project.join(file), every.join(""));
  const modules = ["types.ts", "every.ts"];
  const settings = [
    { module: "nodenext", types: ["node"], lib: ["es2022"], files: [...modules, "types.cts", "every.cts"] },
    // Without the types of Node, which not every project has.
    { module: "preserve", moduleResolution: "bundler", types: [], lib: ["es2022", "dom"], files: modules },
  ];
  for (const [i, { files, ...compilerOptions }] of settings.entries()) {
    const options = { ...compilerOptions, target: "es2022", strict: true, skipLibCheck: false, noEmit: true };
    await writeFile(project.join(`tsconfig.${i}.json`), JSON.stringify({ compilerOptions: options, files }));
    await output(["node_modules/.bin/tsc", "-p", `tsconfig.${i}.json`], { cwd: project.path });
  }
}

/** What loads the package, the one way and the other. */
const HEADERS = {
  mjs: `import { mount, ROOT_ID } from "${config.name}";\nimport { memory, mirror } from "${config.name}/kit";\n`,
  cjs: `const { mount, ROOT_ID } = require("${config.name}");\n` +
    `const { memory, mirror } = require("${config.name}/kit");\n`,
};

// What a user does in the three mounts; the last word of each line is what it has to say.
const WORK = `
  set -e
  cd "$1"
  head -c 3000000 /dev/urandom > a; cp a b; cmp a b; ln a c; ln -s a l; mkdir d; mv b d/; cp -a d e
  truncate -s 5000 a; printf end >> a; tail -c 3 a; stat -c ' %s %h' a
  setfattr -n user.k -v v c; getfattr --only-values -n user.k a; echo
  tar -c d e l | tar -t | sort | tr '\\n' ' '; rm -r d e l; ls
  cd "$2"
  cat given; head -c 3000000 /dev/urandom > new; cmp new "$3/new"; mkdir sub; mv new sub/; cmp sub/new "$3/sub/new"
  chmod 600 sub/new; stat -c %a "$3/sub/new"; echo more >> given; cat "$3/given"; rm -r sub; ls "$3"
  cd "$4"
  cat hello; stat -c '%a %s' hello; cat none 2>&1 || true; for i in 1 2 3 4; do cat hello & done; wait
  cp hello x 2>&1 || true
`;
const SAID = `end 5003 2
v
d/ d/b e/ e/b l a
c
given
600
given
more
given
Hello, world!
444 14
cat: none: No such file or directory
${"Hello, world!\n".repeat(4)}cp: cannot create regular file 'x': Read-only file system
`;

/** Serves the three file systems with a runtime, and uses them. */
async function serve(project: TempDir, name: RuntimeName, program: string, kind: keyof typeof HEADERS): Promise<void> {
  const { join } = project;
  const folders = ["memory", "source", "mirror", "hello"].map((folder) => join(`${name}-${kind}`, folder));
  await output(["mkdir", "-p", ...folders]);
  await writeFile(`${folders[1]}/given`, "given\n");
  await using server = await startReady([program, join(`serve.${kind}`), ...folders], { cwd: project.path });
  const [memory, source, mirror, hello] = folders;
  const said = await output(["bash", "-c", WORK, "bash", memory, mirror, source, hello], {
    env: { LC_ALL: "C.UTF-8" },
  });
  assertEquals(said, SAID);
  if (kind === "mjs") {
    assertEquals(await server.stop("SIGTERM"), { code: 0, signal: null });
  } else {
    for (const folder of [hello, mirror, memory]) await output(["umount", folder]);
    assertEquals(await server.exited, { code: 0, signal: null }, server.output);
    assertMatch(server.output, /^closed$/m);
  }
  assertEquals(await mountsUnder(project.path), []);
}

const needs = ["root", "fuse", "npm", "tool:npm", "tool:setfattr"] as const;

test(
  "npm: the packed package compiles and runs where it is installed",
  { needs, sanitize: false, timeout: 900_000 },
  async (t) => {
    await using built = await tempDir();
    await using project = await tempDir();
    const step = (name: string, fn: () => Promise<void>) => t.step({ name, fn });
    const available = runtimes();
    available.catch(() => {});

    await step("it is built", async () => {
      const script = new URL("../../scripts/build_npm.ts", import.meta.url).pathname;
      const root = new URL("../../", import.meta.url).pathname;
      const deno = ["deno", "run", "-A", "--config", `${root}deno.json`];
      const said = await output([...deno, script, "package"], { cwd: built.path });
      assertMatch(said, /^Built with (dnt|the stand-in for dnt, scripts\/offline\/dnt\.ts)\.$/m);
      assertMatch(said, /^ +\d+ +esm\/mod\.js$/m);
      assertMatch(said, /^fusewire-fusewire-[\d.]+\.tgz: \d+ files, \d+ bytes, unpacked \d+$/m);
    });
    await step("its tarball is installed into an empty project", async () => {
      const packing = ["npm", "pack", "--silent", "--pack-destination", project.path];
      const tarball = (await output(packing, { cwd: built.join("package") })).trim();
      await writeFile(project.join("package.json"), JSON.stringify({ private: true, type: "module" }));
      await install(project.path, `./${tarball}`, "typescript@5.9.3", "@types/node@20");
      await contents(project.join("node_modules", ...config.name.split("/")));
    });
    await step("strict compilers accept it, by nodenext and bundler resolution", () => compile(project));

    const body = await readFile(new URL("consumer/serve.js", here), "utf8");
    for (const kind of ["mjs", "cjs"] as const) await writeFile(project.join(`serve.${kind}`), HEADERS[kind] + body);
    for (const [name, program] of Object.entries(await available) as [RuntimeName, string][]) {
      for (const kind of ["mjs", "cjs"] as const) {
        await step(
          `${name} serves the examples' file systems, loaded by ${kind === "mjs" ? "import" : "require"}`,
          () => serve(project, name, program, kind),
        );
      }
      await step(`${name} finds what the sources export, and the program`, async () => {
        const here = await Promise.all(
          names.map(async (name) => [name, Object.keys(await import(specifier(name))).sort()]),
        );
        const print =
          `const sorted = (o) => Object.keys(o).filter((k) => !/^(default|__esModule|module\\.exports)$/.test(k)).sort();\n`;
        await writeFile(
          project.join("names.mjs"),
          print + names.map((name, i) => `import * as e${i} from "${specifier(name)}";\n`).join("") +
            `console.log(JSON.stringify([${names.map((name, i) => `["${name}", sorted(e${i})]`)}]));\n`,
        );
        await writeFile(
          project.join("names.cjs"),
          print +
            `console.log(JSON.stringify([${
              names.map((name) => `["${name}", sorted(require("${specifier(name)}"))]`)
            }]));\n`,
        );
        for (const file of ["names.mjs", "names.cjs"]) {
          assertEquals(JSON.parse(await output([program, file], { cwd: project.path })), here);
        }
        assertMatch(await output([program, "node_modules/.bin/fusewire", "--help"], { cwd: project.path }), /fusewire/);
      });
    }
  },
);
