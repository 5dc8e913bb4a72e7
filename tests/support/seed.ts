/** Where what is random begins. */
import process from "node:process";

const { FUSEWIRE_SEED = "1" } = process.env;

/**
 * `FUSEWIRE_SEED`: the same each time unless told, so that a change is judged by itself; `random` asks for another one
 * each time, which is printed.
 */
export const SEED: number = FUSEWIRE_SEED === "random" ? Date.now() % 2 ** 31 : Number(FUSEWIRE_SEED);
if (FUSEWIRE_SEED === "random") console.log(`FUSEWIRE_SEED=${SEED}`);
