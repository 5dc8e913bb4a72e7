/**
 * Serves a file in memory and the file at SOURCE, as `memory` and `named`, both as backing files, on MOUNTPOINT; the
 * content of `report` is what became of them, as JSON. For users that the kernel denies passthrough.
 *
 *     deno run --allow-ffi tests/passthrough/fallback_server.ts SOURCE MOUNTPOINT
 */
import process from "node:process";
import { type Attr, type Backing, type Filesystem, mount, type Passthrough } from "../../mod.ts";

const [source, mountpoint] = process.argv.slice(2);
const names = ["memory", "named", "report"];
const backings: Backing[] = [];
let files: Passthrough, moved = 0;

/** What is to be known about each backing file so far, and the session. */
function report(): Uint8Array {
  const each = backings.map(({ mode, reason, id, state }) => ({ mode, reason, id, state }));
  return new TextEncoder().encode(
    JSON.stringify({ each, moved, unavailable: files.unavailable, stats: files.stats() }),
  );
}

const attr = (nodeid: number): Attr => nodeid === 1 ? { mode: 0o40755 } : { mode: 0o100666 };
const fs: Filesystem = {
  init: ({ passthrough }) => void (files = passthrough),
  lookup: ({ name }) => names.includes(name) ? { nodeid: names.indexOf(name) + 2, attr: attr(2) } : null,
  getattr: ({ nodeid }) => ({ attr: attr(nodeid) }),
  setattr: ({ nodeid }) => ({ attr: attr(nodeid) }),
  open({ nodeid }) {
    if (nodeid === 4) return { directIo: true };
    const backing = backings[nodeid - 2] ??= files.register(nodeid === 2 ? { memfd: "memory" } : source, {
      autoClose: false,
    });
    return { backing };
  },
  read({ nodeid, offset, size }) {
    if (nodeid !== 4) moved++;
    return report().subarray(offset, offset + size);
  },
  write: ({ data }) => (moved++, data.length),
};
await using session = await mount(fs, mountpoint);
console.log(`mounted on ${session.mountpoint}`);
await session.closed;
