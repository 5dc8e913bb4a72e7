import process from "node:process";
import { libc } from "../../ffi/load.ts";
import { cstring } from "../../src/abi/text.ts";

/** Lets the runtime open what it keeps: for its first asynchronous call, and for signals, which it does at any time. */
export async function settle(): Promise<void> {
  const c = libc();
  c.close(await c.openAsync(cstring("/"), c.O.PATH | c.O.CLOEXEC));
  const ignore = () => {};
  process.on("SIGUSR2", ignore);
  process.off("SIGUSR2", ignore);
}
