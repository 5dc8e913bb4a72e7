/**
 * Shows the directory SOURCE once more at MOUNTPOINT. The kernel moves the data of open files by itself (passthrough)
 * where it may; `--no-passthrough` serves them from here. `--read-only` refuses all changes; `--cache=SECONDS` lets the
 * kernel keep names and attributes so long, where nobody else changes the source.
 *
 *     deno run --allow-ffi examples/passthrough.ts SOURCE MOUNTPOINT [OPTION...]
 *
 * Options: `--no-passthrough`, `--read-only`, `--cache=SECONDS`, `--allow-other`.
 */
import { mirror } from "../kit.ts";
import { FuseError, mount } from "../mod.ts";

const known = /^--(no-passthrough|read-only|cache=\d+(\.\d+)?|allow-other)$/;
const flags = Deno.args.filter((a) => a.startsWith("--"));
const paths = Deno.args.filter((a) => !a.startsWith("--"));
if (paths.length !== 2 || !flags.every((flag) => known.test(flag))) {
  const options = "[--no-passthrough] [--read-only] [--cache=SECONDS] [--allow-other]";
  console.error(`usage: deno run --allow-ffi examples/passthrough.ts SOURCE MOUNTPOINT ${options}`);
  Deno.exit(2);
}
try {
  const [source, mountpoint] = paths;
  const passthrough = !flags.includes("--no-passthrough");
  const readOnly = flags.includes("--read-only");
  const seconds = Number(flags.find((flag) => flag.startsWith("--cache="))?.slice("--cache=".length) ?? 0);
  const timeouts = { entryTimeout: seconds, attrTimeout: seconds, negativeTimeout: seconds };
  using fs = mirror(source, { passthrough, readOnly, ...timeouts });
  await using session = await mount(fs, mountpoint, {
    fsname: source,
    passthrough,
    readOnly,
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
