/**
 * Prints what this machine and this process can do with FUSE, and the remedy for what they cannot; with PATH also
 * whether files there can be backing files.
 *
 *     deno run --allow-ffi examples/doctor.ts [PATH]
 */
import { diagnose, formatDiagnosis } from "../doctor.ts";

const [path, ...more] = Deno.args;
if (more.length > 0 || path?.startsWith("--")) {
  console.error("usage: deno run --allow-ffi examples/doctor.ts [PATH]");
  Deno.exit(2);
}
console.log(formatDiagnosis(await diagnose({ path })));
