/**
 * A writable file system in memory; everything is gone when it is unmounted. `--max-bytes` and `--max-inodes` limit
 * what it holds; with `--own-permissions` it checks permissions itself, where else the kernel does.
 *
 *     deno run --allow-ffi examples/memory.ts MOUNTPOINT [OPTION...]
 *
 * Options: `--max-bytes=N`, `--max-inodes=N`, `--own-permissions`, `--allow-other`.
 */
import { memory } from "../kit.ts";
import { FuseError, mount } from "../mod.ts";

const known = /^--(max-bytes=\d+|max-inodes=\d+|own-permissions|allow-other)$/;
const flags = Deno.args.filter((a) => a.startsWith("--"));
const paths = Deno.args.filter((a) => !a.startsWith("--"));
if (paths.length !== 1 || !flags.every((flag) => known.test(flag))) {
  const options = "[--max-bytes=N] [--max-inodes=N] [--own-permissions] [--allow-other]";
  console.error(`usage: deno run --allow-ffi examples/memory.ts MOUNTPOINT ${options}`);
  Deno.exit(2);
}
const limit = (name: string) => {
  const flag = flags.find((flag) => flag.startsWith(`--${name}=`));
  return flag === undefined ? undefined : Number(flag.slice(name.length + 3));
};
try {
  const own = flags.includes("--own-permissions");
  const fs = memory({
    maxBytes: limit("max-bytes"),
    maxInodes: limit("max-inodes"),
    permissions: own ? "own" : "kernel",
  });
  await using session = await mount(fs, paths[0], {
    fsname: "memory",
    defaultPermissions: !own,
    posixAcl: !own,
    dontMask: true,
    exportSupport: true,
    handleKillpriv: true,
    // Nobody else changes it.
    autoInvalData: false,
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
