/** What a mount for a moment tells. */
import type { Libc } from "../../ffi/libc.ts";
import { FUSE_KERNEL_MINOR_VERSION, FUSE_KERNEL_VERSION } from "../abi/constants.ts";
import { INIT_FLAG, type InitFlag } from "../abi/flags.ts";
import { ERRNO, errnoName } from "../errno.ts";
import type { Offer } from "../session/handshake.ts";
import type { Sample } from "./backing.ts";
import type { Finding } from "./finding.ts";
import { textOf } from "./look.ts";
import { minorOf } from "./release.ts";
import type { Trial } from "./trial.ts";

function offers(offer: Offer, flag: InitFlag): boolean {
  const bit = INIT_FLAG[flag];
  return ((bit < 32 ? offer.flags >>> bit : offer.flags2 >>> bit - 32) & 1) === 1;
}

const WHERE_MOUNTED = "it is seen where mounting works";

/** The version that the kernel speaks; by its release where it could not be asked. */
export function protocol(
  { offer, backings, failure }: Trial,
  release: string | undefined,
): Finding<{ readonly major: number; readonly minor: number }> {
  const title = "protocol";
  if (offer === undefined) {
    const minor = release === undefined ? undefined : minorOf(release);
    if (minor === undefined) return { title, state: "unknown", detail: "not heard", remedy: WHERE_MOUNTED };
    const value = { major: FUSE_KERNEL_VERSION, minor };
    const detail = `${value.major}.${minor} by the release, not heard from the kernel`;
    return { title, state: "unknown", value, detail, remedy: WHERE_MOUNTED };
  }
  const { major, minor } = offer;
  const value = { major, minor }, said = `${major}.${minor}`;
  // It spoke, and the handshake was not done.
  if (failure !== undefined && backings.length === 0) {
    return { title, state: "limited", value, detail: `${said}; ${failure}`, remedy: "use a newer kernel" };
  }
  const newer = major > FUSE_KERNEL_VERSION || minor > FUSE_KERNEL_MINOR_VERSION;
  const detail = newer ? `${said}, used as ${FUSE_KERNEL_VERSION}.${FUSE_KERNEL_MINOR_VERSION}` : said;
  return { title, state: "ok", value, detail };
}

/** Whether this process can mount, and through whom. */
export function mounting(
  { how, failure, remedy: first }: Trial,
  remedy: string,
): Finding<"mount(2)" | "fusermount3"> {
  const title = "mounting";
  if (first !== undefined) return { title, state: "unknown", detail: failure ?? "not tried", remedy: first };
  if (how === undefined) return { title, state: "missing", detail: failure ?? "failed", remedy };
  if (failure !== undefined) {
    return { title, state: "limited", value: how, detail: `by ${how}, but: ${failure}`, remedy };
  }
  return { title, state: "ok", value: how, detail: `by ${how}` };
}

/** Whether the kernel takes over reads and writes of files; the trial's first file is in memory. */
export function passthrough(
  { offer, backings: [answer] }: Trial,
): Finding<{ readonly offered: boolean; readonly error?: string }> {
  const title = "passthrough", otherwise = "until then the session serves the data";
  if (offer === undefined) return { title, state: "unknown", detail: "not tried", remedy: WHERE_MOUNTED };
  if (!offers(offer, "FUSE_PASSTHROUGH")) {
    const remedy = `use Linux 6.9 or later with CONFIG_FUSE_PASSTHROUGH; ${otherwise}`;
    return { title, state: "missing", value: { offered: false }, detail: "not offered by the kernel", remedy };
  }
  if (answer === undefined) {
    return { title, state: "unknown", value: { offered: true }, detail: "offered, not tried", remedy: WHERE_MOUNTED };
  }
  if (answer > 0) {
    return { title, state: "ok", value: { offered: true }, detail: "offered; a file in memory was registered" };
  }
  const error = errnoName(answer);
  const why = answer === -ERRNO.EPERM ? "run it with CAP_SYS_ADMIN in the initial user namespace" : "see the error";
  return {
    title,
    state: "limited",
    value: { offered: true, error },
    detail: `offered; FUSE_DEV_IOC_BACKING_OPEN says ${error}`,
    remedy: `${why}; ${otherwise}`,
  };
}

/** What backing files on the file system of a path need. */
export interface BackingFound {
  /** The absolute path. */
  readonly path: string;
  /** Type of the file system, as in `/proc/mounts`, where it is known. */
  readonly type?: string;
  /** The option that they need, as far as it is known; absent too where no value is enough. */
  readonly maxStackDepth?: 1 | 2;
  /** Whether the kernel was asked. */
  readonly verified: boolean;
}

/** Whether files at a path can be backing files: what the kernel answered at depth 1, and, after ELOOP, at 2. */
export function backing(
  asked: string,
  sample: Sample | undefined,
  first: number | undefined,
  second: number | undefined,
): Finding<BackingFound> {
  const title = "backing files";
  if (sample === undefined) {
    const detail = `${JSON.stringify(asked)} is neither a file nor a folder that can be reached`;
    return { title, state: "missing", detail, remedy: "name a file or a folder that is there" };
  }
  const { path, type } = sample;
  const where = `${JSON.stringify(path)} (${type ?? "type not told"})`;
  const found = (verified: boolean, maxStackDepth?: 1 | 2) => ({ path, type, maxStackDepth, verified });
  if (first !== undefined && first > 0) {
    return { title, state: "ok", value: found(true, 1), detail: `${where}: with maxStackDepth 1` };
  }
  if (first === -ERRNO.ELOOP && second !== undefined && second > 0) {
    const remedy = "mount with maxStackDepth: 2, after which no overlayfs can lie on it; or keep the files elsewhere";
    return { title, state: "limited", value: found(true, 2), detail: `${where}: with maxStackDepth 2 alone`, remedy };
  }
  if (first === -ERRNO.ELOOP && second === -ERRNO.ELOOP) {
    const remedy = "keep the files on another file system, such as a volume; until then the session serves the data";
    return {
      title,
      state: "missing",
      value: found(true),
      detail: `${where}: stacked too deep`,
      remedy,
    };
  }
  const depth = guess(type);
  const supposed = depth === undefined ? "" : `: probably with maxStackDepth ${depth}`;
  const said = first === undefined || first === -ERRNO.EPERM
    ? ""
    : `; FUSE_DEV_IOC_BACKING_OPEN says ${errnoName(first)}`;
  const remedy = sample.file === undefined ? "name a regular file there" : "it is tried where passthrough works";
  return { title, state: "unknown", value: found(false, depth), detail: `${where}${supposed}${said}`, remedy };
}

/** What a type of file system lets expect. FUSE is stacked where its server uses passthrough. */
function guess(type: string | undefined): 1 | 2 | undefined {
  if (type === undefined || type.startsWith("fuse")) return undefined;
  return type === "overlay" || type === "ecryptfs" ? 2 : 1;
}

/** FUSE over io_uring. Source: the kernel's `filesystems/fuse-io-uring.rst`. */
export function ioUring(
  libc: Libc,
  { offer }: Trial,
): Finding<{ readonly enabled?: boolean; readonly offered?: boolean }> {
  const title = "io_uring", path = "/sys/module/fuse/parameters/enable_uring";
  const text = textOf(libc, path);
  const enabled = text === undefined ? undefined : text === "Y";
  const offered = offer === undefined ? undefined : offers(offer, "FUSE_OVER_IO_URING");
  const value = { enabled, offered };
  if (offered) return { title, state: "ok", value, detail: "switched on and offered" };
  if (enabled === false) {
    return { title, state: "limited", value, detail: "switched off", remedy: `as root: echo Y > ${path}` };
  }
  if (enabled && offered === undefined) {
    return { title, state: "unknown", value, detail: "switched on; not heard from the kernel", remedy: WHERE_MOUNTED };
  }
  const remedy = `use Linux 6.14 or later with CONFIG_FUSE_IO_URING, and echo Y > ${path}`;
  if (offered === undefined) return { title, state: "unknown", value, detail: `there is no ${path}`, remedy };
  return { title, state: "missing", value, detail: "not offered by the kernel", remedy };
}
