/**
 * Serves one of the kit's file systems for the conformance map, until SIGTERM, and says how many backing files the
 * kernel had.
 *
 *     deno run --allow-ffi tests/posix/serve.ts MOUNTPOINT memory|faulty|mirror:SOURCE [OPTIONS [MOUNT OPTIONS]]
 *
 * Both sets of options are JSON. A `quota` of memory is what each user but root may have; `crowded` is how many names a
 * file of that name begins with.
 *
 * @module
 */
import process from "node:process";
import { memory, mirror, type Quota } from "../../kit.ts";
import { crowd } from "./crowd.ts";
import { faulty } from "./faulty.ts";
import { type Filesystem, mount, type MountOptions } from "../../mod.ts";

const [mountpoint, kind, options = "{}", mountOptions = "{}"] = process.argv.slice(2);

function made(): Filesystem {
  if (kind.startsWith("mirror:")) return mirror(kind.slice("mirror:".length), JSON.parse(options));
  if (kind === "faulty") return faulty();
  const { quota, crowded, ...rest } = JSON.parse(options) as { quota?: Quota; crowded?: number };
  return memory({
    ...rest,
    quota: quota && ((uid) => uid === 0 ? undefined : quota),
    snapshot: crowded === undefined ? undefined : crowd(crowded),
  });
}

await using session = await mount(made(), mountpoint, {
  allowOther: true,
  handleKillpriv: true,
  dontMask: true,
  ...JSON.parse(mountOptions) as MountOptions,
});
const { passthrough } = session, { unavailable } = passthrough;
console.log(`mounted on ${session.mountpoint}`);
await session.closed;
console.log(`backing files: ${unavailable ?? passthrough.stats().registered}`);
