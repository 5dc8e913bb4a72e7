/** What differs between runtimes beside the C library. */
import type { Libc } from "./libc.ts";

/** One runtime's services. */
export interface Runtime {
  readonly name: "deno" | "node" | "bun";
  readonly libc: Libc;
  /** Calls the handler on each signal of that name; the answer takes the handler back. */
  onSignal(signal: "SIGINT" | "SIGTERM" | "SIGHUP", handler: () => void): () => void;
  /** Ends the process. */
  exit(code: number): never;
}
