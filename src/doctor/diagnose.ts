/**
 * What this machine and this process can do with FUSE, and what to do about what they cannot.
 *
 * @module
 */
import { type Libc, MFD_CLOEXEC } from "../../ffi/libc.ts";
import { libc as loadLibc } from "../../ffi/load.ts";
import { cstring } from "../abi/text.ts";
import { ERRNO } from "../errno.ts";
import { openSample } from "./backing.ts";
import type { Finding } from "./finding.ts";
import { backing, type BackingFound, ioUring, mounting, passthrough, protocol } from "./heard.ts";
import { allowOther, cuse, device, fusectl, helper, kernel, maxBackground, maxPages } from "./machine.ts";
import { descriptors, sysAdmin, userNamespace } from "./privilege.ts";
import { trial } from "./trial.ts";

/** Options of {@linkcode diagnose}. */
export interface DiagnoseOptions {
  /** A file or folder: can what lies there be a backing file? Default: not asked. */
  path?: string;
}

/** What {@linkcode diagnose} found. */
export interface Diagnosis {
  /** Release and architecture of the kernel. */
  readonly kernel: Finding<{ readonly release: string; readonly architecture: string }>;
  /** Version of the protocol that the kernel speaks; by its release, as unknown, where it could not be asked. */
  readonly protocol: Finding<{ readonly major: number; readonly minor: number }>;
  /** Whether `/dev/fuse` is there and this process can open it. */
  readonly device: Finding<boolean>;
  /** The helper fusermount3: where it is in PATH, and whether it would run as root. */
  readonly helper: Finding<{ readonly path: string; readonly setuid: boolean }>;
  /** Whether CAP_SYS_ADMIN is effective. */
  readonly sysAdmin: Finding<boolean>;
  /** The user namespace of this process. */
  readonly userNamespace: Finding<"initial" | "nested">;
  /** Whether this process can mount, and through whom. */
  readonly mounting: Finding<"mount(2)" | "fusermount3">;
  /** Whether the kernel offers passthrough, and what it said to a backing file: an errno's name, or nothing. */
  readonly passthrough: Finding<{ readonly offered: boolean; readonly error?: string }>;
  /** What backing files at the path in question need. Absent where none was given. */
  readonly backing?: Finding<BackingFound>;
  /** FUSE over io_uring: switched on in the kernel, offered by it. */
  readonly ioUring: Finding<{ readonly enabled?: boolean; readonly offered?: boolean }>;
  /** Whether ordinary users may use the option `allowOther`. */
  readonly allowOther: Finding<boolean>;
  /** Pages of the longest request, and the largest `maxWrite` that they allow, bytes. */
  readonly maxPages: Finding<{ readonly limit: number; readonly maxWrite: number }>;
  /** Largest `maxBackground` of a server without privilege. */
  readonly maxBackground: Finding<number>;
  /** Where fusectl is mounted, by which connections are cut. */
  readonly fusectl: Finding<string>;
  /** Whether `/dev/cuse` is there and this process can open it. */
  readonly cuse: Finding<boolean>;
  /** How many descriptors this process may have: now, and if it raises that. */
  readonly descriptors: Finding<{ readonly soft: number; readonly hard: number }>;
  /** All of them, in the order to show them. */
  readonly findings: readonly Finding[];
}

/**
 * Looks at this machine and this process. To hear the kernel it mounts for a moment on a new folder in TMPDIR or
 * `/tmp`; nothing stays behind. What is missing is a finding, not an error.
 *
 * @example
 * ```ts
 * import { diagnose } from "@fusewire/fusewire/doctor";
 *
 * const { passthrough } = await diagnose();
 * if (passthrough.state !== "ok") console.warn(passthrough.detail, passthrough.remedy);
 * ```
 */
export async function diagnose({ path }: DiagnoseOptions = {}): Promise<Diagnosis> {
  const libc = loadLibc();
  const theKernel = kernel(libc);
  const theDevice = await device(libc);
  const theHelper = await helper(libc);
  const namespace = userNamespace(libc);
  const admin = sysAdmin(libc, namespace);
  const { heard, files } = await hear(libc, path);
  const found = {
    kernel: theKernel,
    protocol: protocol(heard, theKernel.value?.release),
    device: theDevice,
    helper: theHelper,
    sysAdmin: admin,
    userNamespace: namespace,
    mounting: mounting(heard, remedyOf(theDevice, theHelper, admin)),
    passthrough: passthrough(heard),
    ...files && { backing: files },
    ioUring: ioUring(libc, heard),
    allowOther: allowOther(libc),
    maxPages: maxPages(libc, theKernel.value?.release),
    maxBackground: maxBackground(libc),
    fusectl: fusectl(libc),
    cuse: await cuse(libc),
    descriptors: descriptors(libc),
  };
  return { ...found, findings: Object.values(found) };
}

/** Mounts with a file in memory and one at the path as backing files; again for the second, where it is stacked. */
async function hear(libc: Libc, path: string | undefined) {
  const sample = path === undefined ? undefined : await openSample(libc, path);
  const memory = libc.memfdCreate(cstring("fusewire-doctor"), MFD_CLOEXEC);
  const file = sample?.file;
  try {
    const heard = await trial(libc, file === undefined ? [memory] : [memory, file], 1);
    if (path === undefined) return { heard };
    const first = heard.backings.at(1);
    const second = first === -ERRNO.ELOOP ? (await trial(libc, [file!], 2)).backings.at(0) : undefined;
    return { heard, files: backing(path, sample, first, second) };
  } finally {
    for (const fd of [memory, file]) if (fd !== undefined && fd >= 0) libc.close(fd);
  }
}

/** What to do where mounting fails. */
function remedyOf(device: Finding, helper: Finding, admin: Finding): string {
  if (device.state !== "ok") return `see ${device.title}`;
  if (admin.state === "unknown") return "mount procfs at /proc";
  if (admin.value === true) {
    return "allow it to the container: docker run --cap-add SYS_ADMIN --security-opt apparmor=unconfined";
  }
  return helper.state === "ok" ? "run it as root" : "run it as root, or install fuse3";
}
