/** Prints a diagnosis as JSON: of the path that it is told, if any. */
import { diagnose } from "../../doctor.ts";

console.log(JSON.stringify(await diagnose({ path: Deno.args[0] })));
