/**
 * Runs a Deno command. Where the registry behind the `jsr:` specifiers of deno.json cannot be reached, the small
 * modules in `scripts/offline/` answer in its place.
 *
 *     deno run -A scripts/dev.ts test -A tests/
 *
 * @module
 */
const here = new URL("./offline/", import.meta.url);

/** The packages that have a stand-in: from entry point to file. */
const packages: Record<string, Record<string, string>> = {
  "@std/assert": { ".": "./assert.ts" },
};

/** Whether the real packages can be had: from the cache, or from the network within 2 s. */
async function online(): Promise<boolean> {
  const wanted = Object.entries(packages).flatMap(([name, entries]) =>
    Object.keys(entries).map((entry) => `import ${JSON.stringify(name + entry.slice(1))};`)
  );
  const probe = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", wanted.join("")],
    cwd: new URL("..", import.meta.url),
    stdout: "null",
    stderr: "null",
    signal: AbortSignal.timeout(2000),
  });
  return (await probe.output()).success;
}

/** Lays the stand-ins out as a registry, with the versions that deno.json asks for, and answers its folder. */
async function registry(): Promise<string> {
  const config = JSON.parse(await Deno.readTextFile(new URL("../deno.json", import.meta.url)));
  const root = await Deno.makeTempDir({ prefix: "offline-" });
  for (const [name, exports] of Object.entries(packages)) {
    const version = /\d+\.\d+\.\d+$/.exec(config.imports[name])![0];
    const folder = `${root}/${name}`;
    await Deno.mkdir(`${folder}/${version}`, { recursive: true });
    await Deno.writeTextFile(`${folder}/meta.json`, JSON.stringify({ versions: { [version]: {} } }));
    await Deno.writeTextFile(`${folder}/${version}_meta.json`, JSON.stringify({ exports, manifest: {} }));
    for (const file of Object.values(exports)) await Deno.copyFile(new URL(file, here), `${folder}/${version}/${file}`);
  }
  return root;
}

const env: Record<string, string> = {};
let root = "";
if (Deno.env.get("JSR_URL") === undefined && !await online()) {
  root = await registry();
  env.JSR_URL = `file://${root}/`;
  console.error("The registry cannot be reached: scripts/offline/ stands in for it.");
}
const child = new Deno.Command(Deno.execPath(), { args: Deno.args, env }).spawn();
// The child is told, and its end awaited, so that the folder does not stay behind.
for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => child.kill(signal));
const { code } = await child.status;
if (root) await Deno.remove(root, { recursive: true });
Deno.exit(code);
