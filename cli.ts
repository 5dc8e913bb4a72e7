/**
 * The program `fusewire`: mounts the ready file systems, tells what this machine can do, lists and unmounts whatever is
 * mounted through FUSE.
 *
 * ```sh
 * fusewire mount passthrough SOURCE MOUNTPOINT
 * fusewire mount memory MOUNTPOINT
 * fusewire doctor [PATH]
 * fusewire list
 * fusewire unmount MOUNTPOINT
 * ```
 *
 * Each command explains itself with `--help`, and with `--json` answers a program: one JSON value on standard output.
 * Errors are one line on standard error, with the remedy. Colours and tables are for terminals; otherwise a line is
 * fields with tabs between. It ends with
 *
 * - 0: done;
 * - 1: failed, and says why; `doctor`: this process cannot mount;
 * - 2: the arguments were wrong.
 *
 * From a clone it runs as `deno run --allow-ffi cli.ts`, or, where the registry cannot be reached, as
 * `deno run -A scripts/dev.ts run --allow-ffi cli.ts`.
 *
 * @example
 * ```ts
 * import { main } from "@fusewire/fusewire/cli";
 *
 * const code = await main(["list", "--json"]);
 * console.log(code); // 0
 * ```
 *
 * @module
 */
import { endProgram, programArguments } from "./ffi/program.ts";
import { main } from "./src/cli/main.ts";

export { main };

// A call that a file system does not answer would keep the process.
if (import.meta.main) main(programArguments()).then(endProgram);
