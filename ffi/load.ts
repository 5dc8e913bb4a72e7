/** Picks the backend. The npm build maps `./deno.ts` to its own. */
import { openRuntime } from "./deno.ts";
import type { Libc } from "./libc.ts";
import type { Runtime } from "./runtime.ts";

let loaded: Runtime | undefined;

/** The runtime's services; the C library is opened at the first call, not at import. */
export function runtime(): Runtime {
  return loaded ??= openRuntime();
}

/** The C library. */
export function libc(): Libc {
  return runtime().libc;
}
