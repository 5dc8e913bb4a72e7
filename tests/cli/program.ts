/** The program, where a module cannot tell whether it is the one that was started. */
import process from "node:process";
import { main } from "../../cli.ts";

main(process.argv.slice(2)).then((code) => process.exit(code));
