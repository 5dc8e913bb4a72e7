/**
 * Runs a Deno command. Where the registry behind the `jsr:` specifiers of deno.json cannot be reached, the small
 * modules in `scripts/offline/` answer in its place.
 *
 *     deno run -A scripts/dev.ts test -A tests/
 *
 * @module
 */
import { addStandIns } from "./offline/registry.ts";

/** Whether the real packages can be had: from the cache, or from the network within 5 s. */
async function online(): Promise<boolean> {
  const probe = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", `import "@std/assert"; import "@std/cli/parse-args";`],
    cwd: new URL("..", import.meta.url),
    stdout: "null",
    stderr: "null",
    signal: AbortSignal.timeout(5000),
  });
  return (await probe.output()).success;
}

const env: Record<string, string> = {};
let root = "";
if (Deno.env.get("JSR_URL") === undefined && !await online()) {
  root = await Deno.makeTempDir({ prefix: "offline-" });
  await addStandIns(root);
  env.JSR_URL = `file://${root}/`;
  console.error("The registry cannot be reached: scripts/offline/ stands in for it.");
}
const child = new Deno.Command(Deno.execPath(), { args: Deno.args, env }).spawn();
// The child is told, and its end awaited, so that the folder does not stay behind.
for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => child.kill(signal));
const { code } = await child.status;
if (root) await Deno.remove(root, { recursive: true });
Deno.exit(code);
