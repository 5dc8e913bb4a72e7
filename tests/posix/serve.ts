/**
 * Serves one of the kit's file systems for the conformance map, until SIGTERM.
 *
 *     deno run --allow-ffi tests/posix/serve.ts MOUNTPOINT memory|mirror:SOURCE [OPTIONS [MOUNT OPTIONS]]
 *
 * Both sets of options are JSON. A `quota` of memory is a number: bytes that each user but root may have.
 *
 * @module
 */
import process from "node:process";
import { memory, mirror } from "../../kit.ts";
import { type Filesystem, mount, type MountOptions } from "../../mod.ts";

const [mountpoint, kind, options = "{}", mountOptions = "{}"] = process.argv.slice(2);

function made(): Filesystem {
  if (kind.startsWith("mirror:")) return mirror(kind.slice("mirror:".length), JSON.parse(options));
  const { quota, ...rest } = JSON.parse(options) as { quota?: number };
  return memory({
    ...rest,
    quota: quota === undefined ? undefined : (uid) => uid === 0 ? undefined : { maxBytes: quota },
  });
}

await using session = await mount(made(), mountpoint, {
  allowOther: true,
  handleKillpriv: true,
  dontMask: true,
  ...JSON.parse(mountOptions) as MountOptions,
});
console.log(`mounted on ${session.mountpoint}`);
await session.closed;
