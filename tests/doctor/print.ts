/** Prints a diagnosis as JSON: of the path that it is told, if any. */
import process from "node:process";
import { diagnose } from "../../doctor.ts";

console.log(JSON.stringify(await diagnose({ path: process.argv[2] })));
