/**
 * A writable file system in memory; everything is gone when it is unmounted.
 *
 *     deno run --allow-ffi examples/memory.ts MOUNTPOINT [--allow-other]
 */
import { memory } from "../kit.ts";
import { FuseError, mount } from "../mod.ts";

const flags = Deno.args.filter((a) => a.startsWith("--"));
const paths = Deno.args.filter((a) => !a.startsWith("--"));
if (paths.length !== 1 || flags.some((flag) => flag !== "--allow-other")) {
  console.error("usage: deno run --allow-ffi examples/memory.ts MOUNTPOINT [--allow-other]");
  Deno.exit(2);
}
try {
  await using session = await mount(memory(), paths[0], {
    fsname: "memory",
    defaultPermissions: true,
    handleKillpriv: true,
    // Nobody else changes it.
    autoInvalData: false,
    atomicOTrunc: true,
    cacheSymlinks: true,
    allowOther: flags.includes("--allow-other"),
  });
  console.log(`mounted on ${session.mountpoint}`);
  await session.closed;
} catch (error) {
  if (!(error instanceof FuseError)) throw error;
  console.error(error.message);
  Deno.exit(1);
}
