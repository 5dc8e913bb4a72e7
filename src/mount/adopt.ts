/** Serving a device descriptor that somebody else opened and mounted, and gave to this process. */
import { AT_EMPTY_PATH, type Libc, Stat } from "../../ffi/libc.ts";
import { F_GETFD, F_GETFL, F_SETFD, F_SETFL, FD_CLOEXEC } from "../../ffi/process.ts";
import { cstring } from "../abi/text.ts";
import { ERRNO } from "../errno.ts";
import { S_IFCHR, S_IFMT } from "../fs/mode.ts";
import { isConnected, type Mounted, mounted } from "./mounted.ts";
import { findMount } from "./mountinfo.ts";
import { connectionOf, pathOf } from "./procfs.ts";
import { refusal } from "./refusal.ts";

// Major and minor of /dev/fuse. Source: the kernel's `admin-guide/devices.txt`.
const MISC = 10, FUSE = 229;
const STATX_TYPE = 1;

/**
 * Takes the descriptor over, once it is seen to be a device with a living connection. The mountpoint is where it is
 * believed to be mounted, or empty; the kernel knows better, where it tells (since 6.16).
 */
export async function adoptDevice(libc: Libc, mountpoint: string, fd: number): Promise<Mounted> {
  const fail = (call: string, errno: number, remedy: string) =>
    refusal("mount on", mountpoint, { call, of: `descriptor ${fd} (option fd)`, errno, remedy });
  const flags = libc.fcntl(fd, F_GETFD, 0);
  if (flags < 0) throw fail("fcntl", flags, "hand over an open descriptor");
  const stat = new Stat();
  // The descriptor may be anything, a file that this thread serves too.
  const known = await libc.statxAsync(fd, cstring(""), AT_EMPTY_PATH, STATX_TYPE, stat) === 0;
  if (!known || (stat.mode & S_IFMT) !== S_IFCHR || stat.rdevMajor !== MISC || stat.rdevMinor !== FUSE) {
    throw fail("fstat", ERRNO.EINVAL, "hand over an open /dev/fuse");
  }
  if (!isConnected(libc, fd)) throw fail("poll", ERRNO.ENOTCONN, "hand over a device that is mounted");
  libc.fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
  libc.fcntl(fd, F_SETFL, libc.fcntl(fd, F_GETFL, 0) | libc.O.NONBLOCK);
  const path = await resolved(libc, mountpoint);
  const connection = connectionOf(libc, fd);
  const entry = findMount(libc, path, connection);
  return mounted(libc, { fd, how: "adopted", path: entry?.point ?? path, connection, entry });
}

/** The absolute path without symbolic links, where it can be had; opening the root of a mount asks no server. */
async function resolved(libc: Libc, mountpoint: string): Promise<string> {
  if (mountpoint === "") return "";
  const { PATH, DIRECTORY, CLOEXEC } = libc.O;
  const fd = await libc.openAsync(cstring(mountpoint), PATH | DIRECTORY | CLOEXEC);
  const path = pathOf(libc, fd < 0 ? "cwd" : `fd/${fd}`);
  if (fd >= 0) libc.close(fd);
  if (typeof path === "number") return mountpoint;
  return fd >= 0 ? path : mountpoint.startsWith("/") ? mountpoint : `${path}/${mountpoint}`;
}
