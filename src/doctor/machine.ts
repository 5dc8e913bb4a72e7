/** What this machine has. */
import { AT_EACCESS, AT_FDCWD, type Libc, type Stat } from "../../ffi/libc.ts";
import { cstring, decodeName } from "../abi/text.ts";
import { ERRNO, errnoName } from "../errno.ts";
import { S_IFCHR, S_IFMT, S_IFREG } from "../fs/mode.ts";
import { CONNECTIONS } from "../mount/control.ts";
import { MTAB, NO_MTAB } from "../mount/fusermount.ts";
import { NO_DEVICE } from "../mount/kernel.ts";
import { resolveOptions } from "../session/options.ts";
import type { Finding } from "./finding.ts";
import { mountsOf, numberOf, placeOf, statOf, STATX_WHO, textOf } from "./look.ts";
import { atLeast } from "./release.ts";

/** Release and architecture. */
export function kernel(libc: Libc): Finding<{ readonly release: string; readonly architecture: string }> {
  const title = "kernel";
  const { architecture } = libc;
  const release = textOf(libc, "/proc/sys/kernel/osrelease");
  if (release === undefined) {
    return { title, state: "unknown", detail: `Linux on ${architecture}`, remedy: "mount procfs at /proc" };
  }
  const value = { release, architecture }, detail = `Linux ${release} on ${architecture}`;
  if (atLeast(release, "6.9")) return { title, state: "ok", value, detail };
  return { title, state: "limited", value, detail, remedy: "use Linux 6.9 or later, for passthrough" };
}

// Major and minors of the devices. Source: the kernel's `admin-guide/devices.txt`.
const MISC = 10, FUSE = 229, CUSE = 203;

function isDevice(stat: Stat, minor: number): boolean {
  return (stat.mode & S_IFMT) === S_IFCHR && stat.rdevMajor === MISC && stat.rdevMinor === minor;
}

const octal = (mode: number) => `0${(mode & 0o7777).toString(8)}`;

/** Whether /dev/fuse is there and can be opened. */
export async function device(libc: Libc): Promise<Finding<boolean>> {
  const title = "/dev/fuse", path = "/dev/fuse";
  const stat = await statOf(libc, path, STATX_WHO);
  if (stat === undefined) return { title, state: "missing", value: false, detail: "is not there", remedy: NO_DEVICE };
  if (!isDevice(stat, FUSE)) {
    const remedy = `put the device there: mknod -m 666 ${path} c ${MISC} ${FUSE}; or --device ${path} for a container`;
    return { title, state: "missing", value: false, detail: `is not the device ${MISC}:${FUSE}`, remedy };
  }
  const detail = `mode ${octal(stat.mode)} of user ${stat.uid}`;
  const { RDWR, CLOEXEC, NONBLOCK } = libc.O;
  const fd = libc.open(cstring(path), RDWR | CLOEXEC | NONBLOCK, 0);
  if (fd >= 0) {
    libc.close(fd);
    return { title, state: "ok", value: true, detail: `can be opened (${detail})` };
  }
  const said = `${detail}; open(2) says ${errnoName(fd)}`;
  const remedy = fd === -ERRNO.EACCES
    ? `let this user open it: chmod 666 ${path}`
    : fd === -ERRNO.EPERM
    ? `allow it to the container: --device ${path}`
    : undefined;
  if (remedy !== undefined) return { title, state: "limited", value: false, detail: said, remedy };
  return { title, state: "missing", value: false, detail: said, remedy: NO_DEVICE };
}

/** Whether the device of CUSE is there. Opening it would make a connection, so it is only looked at. */
export async function cuse(libc: Libc): Promise<Finding<boolean>> {
  const title = "/dev/cuse", path = "/dev/cuse", what = "for character devices";
  const R_W = 6;
  const stat = await statOf(libc, path, STATX_WHO);
  if (stat === undefined || !isDevice(stat, CUSE)) {
    const detail = stat === undefined ? "is not there" : `is not the device ${MISC}:${CUSE}`;
    return { title, state: "missing", value: false, detail, remedy: `modprobe cuse, ${what}` };
  }
  const detail = `mode ${octal(stat.mode)} of user ${stat.uid}`;
  const refused = libc.faccessat(AT_FDCWD, cstring(path), R_W, AT_EACCESS);
  if (refused < 0) {
    const said = `${detail}; faccessat(2) says ${errnoName(refused)}`;
    return { title, state: "limited", value: false, detail: said, remedy: `run it as root, ${what}` };
  }
  if (new RegExp(`^\\s*${CUSE} `, "m").test(textOf(libc, "/proc/misc") ?? "")) {
    return { title, state: "ok", value: true, detail: `can be opened (${detail})` };
  }
  // The node can be there without its module, which the first open loads if there is one.
  return { title, state: "unknown", detail: `${detail}; the module is not loaded`, remedy: `modprobe cuse, ${what}` };
}

/** fusermount3: where it is, and whether it would run as root. */
export async function helper(libc: Libc): Promise<Finding<{ readonly path: string; readonly setuid: boolean }>> {
  const title = "fusermount3", what = "for mounts of ordinary users";
  const found = await findProgram(libc, "fusermount3");
  if (found === undefined) {
    return { title, state: "missing", detail: "is not in PATH", remedy: `install fuse3, ${what}` };
  }
  const { path, stat, nosuid } = found;
  const limited = (why: string, remedy: string) => ({
    title,
    state: "limited" as const,
    value: { path, setuid: false },
    detail: `${path} does not run as root: ${why}`,
    remedy: `${remedy}, ${what}`,
  });
  if ((stat.mode & 0o4000) === 0 || stat.uid !== 0) {
    return limited(`mode ${octal(stat.mode)} of user ${stat.uid}`, `as root: chown root ${path} && chmod 4755 ${path}`);
  }
  if (nosuid) return limited("its mount is nosuid", "as root: mount -o remount,suid");
  if (/^NoNewPrivs:\s*1$/m.test(textOf(libc, "/proc/self/status") ?? "")) {
    return limited("this process has no_new_privs", "start it without no_new_privs");
  }
  const value = { path, setuid: true };
  if (libc.faccessat(AT_FDCWD, cstring(MTAB), 0, 0) < 0) {
    return { title, state: "limited", value, detail: `${path} unmounts nothing without ${MTAB}`, remedy: NO_MTAB };
  }
  return { title, state: "ok", value, detail: `${path}, set-user-ID root` };
}

/** The first program of that name in PATH, whose folders this thread may serve. Source: `posix_spawnp(3)`. */
async function findProgram(
  libc: Libc,
  name: string,
): Promise<{ path: string; stat: Stat; nosuid: boolean } | undefined> {
  const told = libc.getenv(cstring("PATH"));
  for (const folder of (told === null ? "/bin:/usr/bin" : decodeName(told)).split(":")) {
    const path = `${folder === "" ? "." : folder}/${name}`;
    const stat = await statOf(libc, path, STATX_WHO);
    if (stat === undefined || (stat.mode & S_IFMT) !== S_IFREG || (stat.mode & 0o111) === 0) continue;
    const fd = await libc.openAsync(cstring(path), libc.O.PATH | libc.O.CLOEXEC);
    if (fd < 0) continue;
    const place = await placeOf(libc, fd);
    libc.close(fd);
    return { path, stat, nosuid: place?.mount?.options.split(",").includes("nosuid") ?? false };
  }
}

/** Whether ordinary users may let others in. Source: `fuse.conf(5)`. */
export function allowOther(libc: Libc): Finding<boolean> {
  const title = "user_allow_other";
  const lines = textOf(libc, "/etc/fuse.conf")?.split("\n").map((line) => line.replace(/#.*/, "").trim());
  if (lines?.includes("user_allow_other")) {
    return { title, state: "ok", value: true, detail: "is in /etc/fuse.conf" };
  }
  const detail = lines === undefined ? "there is no /etc/fuse.conf to be read" : "is not in /etc/fuse.conf";
  const remedy = "write a line user_allow_other into /etc/fuse.conf, for option allowOther of ordinary users";
  return { title, state: "missing", value: false, detail, remedy };
}

/** How long a request may be. Source: the kernel's `admin-guide/sysctl/fs.rst`. */
export function maxPages(
  libc: Libc,
  release: string | undefined,
): Finding<{ readonly limit: number; readonly maxWrite: number }> {
  const title = "max_pages_limit", path = "/proc/sys/fs/fuse/max_pages_limit";
  const told = numberOf(libc, path);
  if (told === undefined && (release === undefined || atLeast(release, "6.13"))) {
    return { title, state: "unknown", detail: `there is no ${path}`, remedy: "modprobe fuse; mount procfs at /proc" };
  }
  // A constant of older kernels, and a smaller one before FUSE_MAX_PAGES.
  const limit = told ?? (atLeast(release!, "4.20") ? 256 : 32);
  const value = { limit, maxWrite: limit * PAGE };
  const { maxWrite } = resolveOptions({});
  const detail = `${limit} pages${told === undefined ? " by the release" : ""}: maxWrite up to ${
    sizeOf(value.maxWrite)
  }`;
  if (value.maxWrite >= maxWrite) return { title, state: "ok", value, detail };
  const how = told === undefined
    ? "use Linux 4.20 or later"
    : `as root: sysctl fs.fuse.max_pages_limit=${maxWrite / PAGE}`;
  return { title, state: "limited", value, detail, remedy: `${how}, for a maxWrite of ${sizeOf(maxWrite)}` };
}

const PAGE = 4096;

function sizeOf(bytes: number): string {
  return bytes % (1 << 20) === 0 ? `${bytes / (1 << 20)} MiB` : `${bytes / 1024} KiB`;
}

/** How many background requests an unprivileged server may have under way. Source: the kernel's `fs/fuse/inode.c`. */
export function maxBackground(libc: Libc): Finding<number> {
  const title = "max_user_bgreq", path = "/sys/module/fuse/parameters/max_user_bgreq";
  const value = numberOf(libc, path);
  if (value === undefined) {
    return { title, state: "unknown", detail: `there is no ${path}`, remedy: "modprobe fuse; mount sysfs at /sys" };
  }
  const wanted = resolveOptions({}).maxBackground;
  const detail = `${value} background requests of a server without CAP_SYS_ADMIN`;
  if (value >= wanted) return { title, state: "ok", value, detail };
  const remedy = `as root: echo ${wanted} > ${path}, for option maxBackground`;
  return { title, state: "limited", value, detail, remedy };
}

/** Where connections can be cut. Source: the kernel's `filesystems/fuse.rst`. */
export function fusectl(libc: Libc): Finding<string> {
  const title = "fusectl", place = CONNECTIONS;
  const points = mountsOf(libc).filter(({ type }) => type === "fusectl").map(({ point }) => point);
  if (points.includes(place)) return { title, state: "ok", value: place, detail: `mounted on ${place}` };
  const remedy = `as root: mount -t fusectl none ${place}, to cut a connection that hangs`;
  if (points.length === 0) return { title, state: "missing", detail: "is not mounted", remedy };
  return { title, state: "limited", value: points[0], detail: `mounted on ${points[0]}, not on ${place}`, remedy };
}
