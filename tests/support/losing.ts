/** What the garbage collector has to give back. */
import { assertEquals } from "@std/assert";
import { openFds, until } from "./harness.ts";

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
