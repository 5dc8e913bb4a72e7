/** The folder to mount on, held open, so that nothing that follows has to look for its path again. */
import { AT_EMPTY_PATH, type Libc, Stat } from "../../ffi/libc.ts";
import { spawn, waitExit } from "../../ffi/process.ts";
import { cstring } from "../abi/text.ts";
import { ERRNO } from "../errno.ts";
import { isFuse, readMounts } from "./mountinfo.ts";
import { pathOf } from "./procfs.ts";
import { quoted, type Reason, refusal } from "./refusal.ts";

/** An open folder. */
export interface Mountpoint {
  /** A descriptor (`O_PATH`), the caller's to close. */
  readonly fd: number;
  /** Its absolute path, without symbolic links. */
  readonly path: string;
}

const AT_STATX_FORCE_SYNC = 0x2000;
const STATX_TYPE = 1;

/**
 * Opens the folder without waiting on this thread: its path may lead through file systems that this thread serves.
 */
export async function openMountpoint(libc: Libc, mountpoint: string): Promise<Mountpoint> {
  const fail = (reason: Reason) => refusal("mount on", mountpoint, reason);
  if (mountpoint === "") {
    throw fail({ call: "open", errno: ERRNO.ENOENT, meaning: "the path is empty", remedy: "name a directory" });
  }
  const name = cstring(mountpoint);
  const fd = await libc.openAsync(name, libc.O.PATH | libc.O.DIRECTORY | libc.O.CLOEXEC);
  if (fd < 0) throw fail(explain(mountpoint, await errnoOfOpen(libc, name)));
  try {
    const path = pathOf(libc, `fd/${fd}`);
    if (typeof path === "number") throw fail({ call: "readlink", errno: path });
    // Asks the file system that is there now: a dead one would take the new mount on top and stay behind it.
    if (await libc.statxAsync(fd, cstring(""), AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_TYPE, new Stat()) < 0) {
      throw fail(explainStat(path, await errnoOfFolder(libc, name), isFuseAt(libc, path)));
    }
    return { fd, path };
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

function explain(mountpoint: string, errno: number): Reason {
  const reason = { call: "open", errno };
  switch (errno) {
    case -ERRNO.ENOENT:
      return { ...reason, meaning: "no such directory", remedy: `create it first: mkdir -p ${quoted(mountpoint)}` };
    case -ERRNO.ENOTDIR:
      return { ...reason, meaning: "not a directory", remedy: "mount on a directory" };
    case -ERRNO.EACCES:
      return { ...reason, meaning: "this user may not enter it", remedy: "mount on a directory of your own" };
    case -ERRNO.ENOTCONN:
      return {
        ...reason,
        meaning: "a mount on the way to it has lost its server",
        remedy: "unmount that one first: umount -l, or as its owner fusermount3 -u -z",
      };
    default:
      return reason;
  }
}

function explainStat(path: string, errno: number, fuse: boolean): Reason {
  if (errno === -ERRNO.EACCES) {
    return { call: "statx", errno, meaning: "another user's mount is there", remedy: "mount elsewhere" };
  }
  if (errno === 0) errno = fuse ? -ERRNO.ENOTCONN : -ERRNO.EIO;
  if (errno !== -ERRNO.ENOTCONN) return { call: "statx", errno };
  return {
    call: "statx",
    errno,
    meaning: "the mount that is there has lost its server",
    remedy: `unmount it first: umount -l ${quoted(path)}, or as its owner fusermount3 -u -z ${quoted(path)}`,
  };
}

function isFuseAt(libc: Libc, path: string): boolean {
  const top = readMounts(libc).findLast((entry) => entry.point === path);
  return top !== undefined && isFuse(top);
}

/** Why an asynchronous open failed, as -errno. */
export async function errnoOfOpen(libc: Libc, name: Uint8Array): Promise<number> {
  // Whether descriptors are left shows at a path that asks nobody.
  const spare = libc.open(cstring("/"), libc.O.PATH | libc.O.CLOEXEC, 0);
  if (spare < 0) return spare;
  libc.close(spare);
  // Where the folder can be entered after all, it came into being meanwhile.
  return await errnoOfFolder(libc, name) || -ERRNO.EAGAIN;
}

/**
 * What chdir(2) says of the folder: 0 or -errno. Asynchronous calls tell no errno, but a child that is being spawned
 * does: it enters the folder and then fails with E2BIG, since one argument is longer than exec(2) allows.
 */
async function errnoOfFolder(libc: Libc, name: Uint8Array): Promise<number> {
  const tooLong = new Uint8Array(0x400000).fill(0x78);
  tooLong[tooLong.length - 1] = 0;
  const answer = await spawn(libc, { argv: [cstring("/proc/self/exe"), tooLong], env: [], fds: [], cwd: name });
  if (answer > 0) await waitExit(libc, answer);
  return answer > 0 || answer === -ERRNO.E2BIG ? 0 : answer;
}
