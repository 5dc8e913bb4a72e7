/**
 * Serves a file to whatever Deno runs it, and tells how often a timer had its turn.
 *
 *     deno run --allow-ffi tests/scripts/oldest_deno.ts MOUNTPOINT
 */
import { type Attr, mount, ROOT_ID } from "../../mod.ts";

const text = new TextEncoder().encode("Hello!\n");
const directory: Attr = { mode: 0o040755, nlink: 2 };
const file: Attr = { mode: 0o100444, size: text.length };
let ticks = 0;
const timer = setInterval(() => ticks++, 5);
await using session = await mount({
  lookup: ({ name }) => name === "now" || name === "later" ? { nodeid: name === "now" ? 2 : 3, attr: file } : null,
  getattr: ({ nodeid }) => ({ attr: nodeid === ROOT_ID ? directory : file }),
  open: () => ({ directIo: true }),
  async read({ nodeid, offset, size }) {
    if (nodeid === 3) await new Promise((resolve) => setTimeout(resolve, 1));
    return text.subarray(offset, offset + size);
  },
}, Deno.args[0]);
console.log("mounted");
await session.closed;
clearInterval(timer);
console.log(ticks > 5 ? "timers had their turn" : `timers had ${ticks} turns`);
