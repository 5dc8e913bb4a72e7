/** Options of a mount, and how `mount(2)` and `fusermount3` take them. */
import { encodeName } from "../abi/text.ts";
import { FuseError } from "../errno.ts";

/** Options of the mount, as against those of the conversation with the kernel. */
export interface KernelMountOptions {
  /** What is mounted: the first column of `/proc/mounts`. Default `"fusewire"`. */
  fsname?: string;
  /** The type in `/proc/mounts` is `fuse.SUBTYPE`; with `""` it is plain `fuse`. Default `"fusewire"`. */
  subtype?: string;
  /**
   * Others than the user who mounts may enter, root too. Ordinary users need `user_allow_other` in `/etc/fuse.conf`.
   * Default false.
   */
  allowOther?: boolean;
  /** The kernel checks permissions by mode, owner and group; else the file system does. Default false. */
  defaultPermissions?: boolean;
  /** Nothing can be changed. Default false. */
  readOnly?: boolean;
  /** Set-user-ID bits mean nothing. Default true; ordinary users cannot choose. */
  nosuid?: boolean;
  /** Device files cannot be opened. Default true; ordinary users cannot choose. */
  nodev?: boolean;
  /** Programs cannot be run. Default false. */
  noexec?: boolean;
  /** Reading leaves access times alone. Default false. */
  noatime?: boolean;
  /** Most bytes of one READ; the kernel takes 4096 for less. Default: what `maxWrite` bounds reads to. */
  maxRead?: number;
  /** An open and already mounted device descriptor to serve: nothing is mounted or guarded, all else is ignored. */
  fd?: number;
  /** Whether two small shells unmount where this process dies without doing it. Default true. */
  autoUnmount?: boolean;
}

/** The options with their defaults, checked. */
export type Settings = Readonly<
  & Required<Omit<KernelMountOptions, "maxRead" | "fd">>
  & Pick<KernelMountOptions, "maxRead" | "fd">
>;

const DEFAULTS = {
  fsname: "fusewire",
  subtype: "fusewire",
  allowOther: false,
  defaultPermissions: false,
  readOnly: false,
  nosuid: true,
  nodev: true,
  noexec: false,
  noatime: false,
  autoUnmount: true,
} as const;

/** Fills in the defaults. EINVAL: an option has a value that it cannot have; the message names it. */
export function settingsOf(options: KernelMountOptions): Settings {
  const settings: Record<string, unknown> = {};
  for (const [name, standard] of Object.entries(DEFAULTS)) {
    const value = options[name as keyof typeof DEFAULTS] ?? standard;
    if (typeof value !== typeof standard) throw invalid(name, `a ${typeof standard}`, value);
    settings[name] = value;
  }
  // An empty source would shift the columns of /proc/mounts for everybody who reads it.
  name("fsname", settings.fsname as string, 1);
  name("subtype", settings.subtype as string, 0);
  settings.maxRead = integer("maxRead", options.maxRead, 1, 0xffffffff);
  settings.fd = integer("fd", options.fd, 0, 0x7fffffff);
  return settings as unknown as Settings;
}

function name(option: string, value: string, least: number): void {
  // The kernel takes a page with its NUL, and the type has "fuse." before the subtype.
  let length = -1;
  try {
    if (value.length <= 4090) length = encodeName(value).length;
  } catch { /* a NUL, or a surrogate that stands for no byte */ }
  if (length < least || length > 4090) throw invalid(option, `text of ${least} to 4090 bytes without NUL`, value);
}

function integer(option: string, value: unknown, least: number, most: number): number | undefined {
  if (value === undefined) return undefined;
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > most) {
    throw invalid(option, `an integer from ${least} to ${most}`, value);
  }
  return value as number;
}

function invalid(option: string, wanted: string, value: unknown): FuseError {
  const shown = typeof value === "string" ? JSON.stringify(value.slice(0, 64)) : String(value);
  return new FuseError("EINVAL", `mount option ${option} must be ${wanted}, not ${shown}`);
}

// Source: `linux/mount.h MS_*`.
const MS_RDONLY = 1, MS_NOSUID = 2, MS_NODEV = 4, MS_NOEXEC = 8, MS_NOATIME = 1024;

/** The `mountflags` of `mount(2)`. */
export function kernelFlags(s: Settings): number {
  return (s.readOnly ? MS_RDONLY : 0) | (s.nosuid ? MS_NOSUID : 0) | (s.nodev ? MS_NODEV : 0) |
    (s.noexec ? MS_NOEXEC : 0) | (s.noatime ? MS_NOATIME : 0);
}

/** The `data` of `mount(2)`. Source: the kernel's `filesystems/fuse.rst`. */
export function kernelData(s: Settings, device: number, uid: number, gid: number): string {
  return [`fd=${device}`, "rootmode=40000", `user_id=${uid}`, `group_id=${gid}`, ...common(s)].join();
}

/** The type of `mount(2)`. */
export function kernelType(s: Settings): string {
  return s.subtype === "" ? "fuse" : `fuse.${s.subtype}`;
}

/** The argument of `fusermount3 -o`. Source: `fusermount3(1)`. */
export function helperOptions(s: Settings): string {
  const options = [`fsname=${escape(s.fsname)}`];
  if (s.subtype !== "") options.push(`subtype=${escape(s.subtype)}`);
  options.push(s.readOnly ? "ro" : "rw");
  // It sets these by itself and ignores their opposites, with a warning, where an ordinary user asks for them.
  if (!s.nosuid) options.push("suid");
  if (!s.nodev) options.push("dev");
  if (s.noexec) options.push("noexec");
  if (s.noatime) options.push("noatime");
  return [...options, ...common(s)].join();
}

/** What both spell alike. */
function common(s: Settings): string[] {
  const options: string[] = [];
  if (s.allowOther) options.push("allow_other");
  if (s.defaultPermissions) options.push("default_permissions");
  if (s.maxRead !== undefined) options.push(`max_read=${s.maxRead}`);
  return options;
}

/** The helper splits its options at commas, save after a backslash; `mount(2)` takes names as they are. */
function escape(name: string): string {
  return name.replace(/[\\,]/g, "\\$&");
}
