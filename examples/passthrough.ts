/**
 * Shows the directory SOURCE once more at MOUNTPOINT. The kernel moves the data of open files by itself (passthrough)
 * where it may; `--no-passthrough` serves them from here.
 *
 *     deno run --allow-ffi examples/passthrough.ts SOURCE MOUNTPOINT [--no-passthrough] [--allow-other]
 */
import { mirror } from "../kit.ts";
import { FuseError, mount } from "../mod.ts";

const known = ["--no-passthrough", "--allow-other"];
const flags = Deno.args.filter((a) => a.startsWith("--"));
const paths = Deno.args.filter((a) => !a.startsWith("--"));
if (paths.length !== 2 || flags.some((flag) => !known.includes(flag))) {
  console.error(
    `usage: deno run --allow-ffi examples/passthrough.ts SOURCE MOUNTPOINT ${known.map((k) => `[${k}]`).join(" ")}`,
  );
  Deno.exit(2);
}
try {
  const [source, mountpoint] = paths;
  const passthrough = !flags.includes("--no-passthrough");
  using fs = mirror(source, { passthrough });
  await using session = await mount(fs, mountpoint, {
    fsname: source,
    passthrough,
    defaultPermissions: true,
    handleKillpriv: true,
    posixAcl: true,
    dontMask: true,
    allowOther: flags.includes("--allow-other"),
  });
  const { unavailable } = session.passthrough;
  console.log(
    `mounted on ${session.mountpoint}` + (unavailable === null ? "" : ` (without passthrough: ${unavailable})`),
  );
  await session.closed;
} catch (error) {
  if (!(error instanceof FuseError)) throw error;
  console.error(error.message);
  Deno.exit(1);
}
