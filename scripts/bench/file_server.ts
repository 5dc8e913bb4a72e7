/**
 * The file system of the C peers, on fusewire: one file `f` of 1 MiB in the root, with zero timeouts. When it is
 * unmounted it prints how late a timer of 10 ms was meanwhile, at the 99th percentile.
 *
 *     deno run --allow-ffi scripts/bench/file_server.ts MOUNTPOINT
 */
import process from "node:process";
import { type Attr, mount, ROOT_ID } from "../../mod.ts";

const data = new Uint8Array(1 << 20).fill(65);
const root: Attr = { mode: 0o040755, size: 4096 };
const file: Attr = { mode: 0o100644, size: data.length };

await using session = await mount(
  {
    lookup: ({ name }) => name === "f" ? { nodeid: 2, attr: file } : null,
    getattr: ({ nodeid }) => ({ attr: nodeid === ROOT_ID ? root : file }),
    read: ({ offset, size }) => data.subarray(offset, offset + size),
    // As the peers have it: answered, not declined.
    flush: () => {},
    release: () => {},
  },
  process.argv[2],
  // Like the bare loop; libfuse turns it on, which costs it a GETATTR before each read.
  { allowOther: true, autoInvalData: false },
);
console.log(`mounted on ${session.mountpoint}`);
const late: number[] = [];
let due = performance.now() + 10;
const timer = setInterval(() => {
  const now = performance.now();
  late.push(now - due);
  due = now + 10;
}, 10);
await session.closed;
clearInterval(timer);
late.sort((a, b) => a - b);
console.log(`p99 ${late[Math.floor(late.length * 0.99)].toFixed(2)} ms`);
