/** The mounts of this process, as the kernel lists them. */
import type { Libc } from "../../ffi/libc.ts";
import { decodeName } from "../abi/text.ts";
import { readProc } from "./procfs.ts";

/** One mount. Source: `proc_pid_mountinfo(5)`. */
export interface MountEntry {
  /** Number of the mount, unique while it lives. */
  readonly id: number;
  /** Number of the mount that it lies on. */
  readonly parent: number;
  /** `st_dev` of its files. */
  readonly major: number;
  /** `st_dev` of its files. */
  readonly minor: number;
  /** Where it is mounted: an absolute path. */
  readonly point: string;
  /** Flags of the mount, such as `rw,nosuid`. */
  readonly options: string;
  /** `fuse`, `fuse.SUBTYPE`, `ext4` and so on. */
  readonly type: string;
  /** What is mounted: fsname. */
  readonly source: string;
  /** Options of the file system, such as `rw,user_id=0`. */
  readonly superOptions: string;
  /**
   * Id, device number, mountpoint, type and source as the kernel writes them, with spaces between. The first two alone
   * are given to another mount at once when this one is gone.
   */
  readonly identity: string;
}

/** All mounts, the oldest first; none asks the file systems. */
export function readMounts(libc: Libc): MountEntry[] {
  return parseMounts(readProc(libc, "mountinfo"));
}

/** The lines of a mountinfo file. */
export function parseMounts(bytes: Uint8Array): MountEntry[] {
  const entries: MountEntry[] = [];
  for (let start = 0, end; start < bytes.length; start = end + 1) {
    end = bytes.indexOf(0x0a, start);
    if (end < 0) end = bytes.length;
    const fields = decodeName(bytes, start, end).split(" ");
    // Any number of optional fields stands between the options and a lone hyphen.
    const hyphen = fields.indexOf("-", 6);
    if (hyphen < 0 || fields.length < hyphen + 4) continue;
    const [id, parent, device, , point, options] = fields;
    const [type, source, superOptions] = fields.slice(hyphen + 1);
    const [major, minor] = device.split(":");
    entries.push({
      id: Number(id),
      parent: Number(parent),
      major: Number(major),
      minor: Number(minor),
      point: unescape(point),
      options,
      type: unescape(type),
      source: unescape(source),
      superOptions,
      identity: [id, device, point, type, source].join(" "),
    });
  }
  return entries;
}

/**
 * The FUSE mount at a path: the newest there of that connection (its device number), wherever it is if not there; of
 * any connection where the number is not known.
 */
export function findMount(libc: Libc, path: string, connection: number | undefined): MountEntry | undefined {
  const mounts = readMounts(libc).filter((m) => connection === undefined ? isFuse(m) : deviceNumber(m) === connection);
  return mounts.findLast((m) => m.point === path) ?? (connection === undefined ? undefined : mounts.at(-1));
}

/** A device number as the kernel counts: the minor, and the major above bit 20. */
export function deviceNumber({ major, minor }: MountEntry): number {
  return major * 0x100000 + minor;
}

/** Whether the mount is of FUSE. */
export function isFuse({ type }: MountEntry): boolean {
  return type === "fuse" || type.startsWith("fuse.");
}

function unescape(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}
