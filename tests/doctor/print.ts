/** Prints a diagnosis as JSON: of the path that it is told, if any. */
import { diagnose } from "../../doctor.ts";

// Where there is no /proc, Deno cannot load its node:process.
const [path] = "Deno" in globalThis ? Deno.args : (await import("node:process")).default.argv.slice(2);
console.log(JSON.stringify(await diagnose({ path })));
