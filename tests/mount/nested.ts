/**
 * Serves a file system on the folder that it is told, whose attributes the kernel may keep for ever, and mounts inside
 * it from the thread that serves it. With another argument it only serves, unguarded.
 */
import process from "node:process";
import { mount, ROOT_ID } from "../../mod.ts";
import { mountDevice, type Mounted } from "../../src/mount/device.ts";
import { libc } from "../../ffi/load.ts";

const [outer, only] = process.argv.slice(2);
const modes = new Map([[ROOT_ID, 0o040755], [2, 0o040755], [3, 0o100644]]);
const names = new Map([["inner", 2], ["file", 3]]);
const session = await mount(
  {
    lookup({ name }) {
      const nodeid = names.get(name);
      return nodeid === undefined ? null : { nodeid, attr: { mode: modes.get(nodeid)! } };
    },
    getattr: ({ nodeid }) => ({ attr: { mode: modes.get(nodeid)! }, attrTimeout: Infinity }),
  },
  outer,
  { signals: false, autoUnmount: only === undefined, defaultPermissions: true },
);
if (only !== undefined) {
  console.log("mounted");
  await session.closed;
  process.exit();
}

const mounted: Mounted = await mountDevice(`${outer}/inner`, {});
console.log(mounted.path, mounted.isMounted());
for (const name of ["missing", "file", "file/x"]) {
  await mountDevice(`${outer}/${name}`, {}).catch(({ code }) => console.log(name, code));
}
console.log(await mounted.unmount());
await mounted.release();
libc().close(mounted.fd);
console.log(await session.unmount({ timeout: 20_000 }));
