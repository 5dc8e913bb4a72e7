/** The program that npm installs. */
import { endProgram, programArguments } from "../../ffi/program.ts";
import { main } from "../../src/cli/main.ts";

main(programArguments()).then(endProgram);
