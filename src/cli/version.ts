/** The version of the project, as in deno.json. `scripts/release.ts` sets both. */
export const VERSION = "0.1.0";
