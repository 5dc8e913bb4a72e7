/**
 * One read-only file, the shortest honest program.
 *
 *     deno run --allow-ffi examples/hello.ts MOUNTPOINT
 */
import { type Attr, FuseError, mount, ROOT_ID } from "../mod.ts";

const text = new TextEncoder().encode("Hello, world!\n");
const directory: Attr = { mode: 0o040755, nlink: 2 };
const file: Attr = { mode: 0o100444, size: text.length };

const [mountpoint] = Deno.args;
if (Deno.args.length !== 1) {
  console.error("usage: deno run --allow-ffi examples/hello.ts MOUNTPOINT");
  Deno.exit(2);
}
try {
  await using session = await mount(
    {
      lookup: ({ name }) => name === "hello" ? { nodeid: 2, attr: file } : null,
      getattr: ({ nodeid }) => ({ attr: nodeid === ROOT_ID ? directory : file }),
      readdir: () => [{ name: "hello", ino: 2, mode: file.mode }],
      read: ({ offset, size }) => text.subarray(offset, offset + size),
    },
    mountpoint,
    { readOnly: true },
  );
  console.log(`mounted on ${session.mountpoint}`);
  await session.closed;
} catch (error) {
  if (!(error instanceof FuseError)) throw error;
  console.error(error.message);
  Deno.exit(1);
}
