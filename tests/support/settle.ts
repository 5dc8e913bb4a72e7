import { assertEquals } from "@std/assert";
import process from "node:process";
import { libc } from "../../ffi/load.ts";
import { cstring } from "../../src/abi/text.ts";
import { openFds, until } from "./harness.ts";

/** Lets the runtime open what it keeps: for its first asynchronous call, and for signals, which it does at any time. */
export async function settle(): Promise<void> {
  const c = libc();
  c.close(await c.openAsync(cstring("/"), c.O.PATH | c.O.CLOEXEC));
  const ignore = () => {};
  process.on("SIGUSR2", ignore);
  process.off("SIGUSR2", ignore);
}

/** Makes so many of what holds a descriptor, loses them, and waits until every one of the descriptors is closed. */
export async function losing(many: number, make: () => object): Promise<void> {
  const before = (await openFds()).size;
  const held = Array.from({ length: many }, make);
  assertEquals([held.length, (await openFds()).size], [many, before + many]);
  // What nobody holds may be collected at once.
  held.length = 0;
  await until(async () => {
    // Garbage is collected where there is some.
    for (let i = 0; i < 20; i++) new Uint8Array(1 << 20).fill(i);
    return (await openFds()).size === before;
  }, "what was lost is closed");
}
