/**
 * The program `fusewire`, to be called from another one.
 *
 * @module
 */
// Not from cli.ts, which asks whether it is the program itself: CommonJS cannot be asked.
export { main } from "../../src/cli/main.ts";
