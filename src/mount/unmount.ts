/**
 * Unmounting a file system that another process serves, or nobody any more.
 *
 * @module
 */
import type { Libc } from "../../ffi/libc.ts";
import { libc as loadLibc } from "../../ffi/load.ts";
import { cstring } from "../abi/text.ts";
import { ERRNO } from "../errno.ts";
import { Control } from "./control.ts";
import { unmountable } from "./mounted.ts";
import { deviceNumber, isFuse, type MountEntry, readMounts } from "./mountinfo.ts";
import { errnoOfOpen } from "./mountpoint.ts";
import { mayMount, pathOf } from "./procfs.ts";
import { quoted, type Reason, refusal } from "./refusal.ts";
import { RETRY_MS, Unmounting, type UnmountOptions, type UnmountResult } from "./unmounting.ts";

/** How long the way to the mountpoint may take to be found, ms. */
const PATIENCE_MS = 1000;

/**
 * Unmounts the FUSE file system at a path, whoever serves it, also where its server hangs or is gone: plainly, else
 * detached, else by cutting the connection, as {@linkcode Session.unmount}. An ordinary user can do that to what is
 * their own. Where fusectl is not mounted on `/sys/fs/fuse/connections`, a connection cannot be cut, and `"detached"`
 * leaves open whether its last user has gone.
 *
 * EINVAL: no FUSE file system is mounted there; ENOENT, EACCES and the like: the path; EPERM: this user may not.
 *
 * @example
 * ```ts
 * import { mount, unmount } from "@fusewire/fusewire";
 * import { memory } from "@fusewire/fusewire/kit";
 *
 * const mountpoint = await Deno.makeTempDir();
 * const session = await mount(memory(), mountpoint);
 * // From this process or from any other:
 * console.log(await unmount(mountpoint)); // unmounted
 * await session.closed;
 * await Deno.remove(mountpoint);
 * ```
 */
export async function unmount(mountpoint: string, options?: UnmountOptions): Promise<UnmountResult> {
  const libc = loadLibc();
  const entry = await mountAt(libc, mountpoint);
  using control = Control.open(libc, deviceNumber(entry));
  const mount = unmountable(libc, {
    path: entry.point,
    entry,
    lives: () => control?.lives() ?? false,
    byHelper: () => !mayMount(libc),
  });
  // It may live on in another mount namespace, which is nobody's business here.
  let plainly = false, lazily = false;
  const isClosed = () => !mount.isMounted() && (plainly || !control?.lives());
  const watch = new AbortController();
  try {
    return await new Unmounting({
      mount: {
        isMounted: mount.isMounted,
        async unmount(flags) {
          lazily ||= flags?.lazy ?? false;
          const state = await mount.unmount(flags);
          // A plain attempt that took too long may end after the lazy one, and find nothing.
          plainly ||= !lazily && state !== "busy";
          return state;
        },
      },
      closed: until(isClosed, watch.signal),
      isClosed,
      // deno-lint-ignore require-await
      async cut() {
        if (mount.abort()) return "aborted";
        if (!mount.isMounted()) return "detached";
        throw refused(entry.point, {
          meaning: "neither can it be detached nor its connection be cut",
          remedy: "as root: umount -f -l " + quoted(entry.point),
        });
      },
    }).run(options);
  } finally {
    watch.abort();
  }
}

async function until(condition: () => boolean, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && !condition()) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
}

function refused(path: string, reason: Omit<Reason, "call" | "errno">): Error {
  return refusal("unmount", path, { call: "umount2", errno: ERRNO.EINVAL, ...reason });
}

/** The newest mount at a path, which is of FUSE. */
async function mountAt(libc: Libc, path: string): Promise<MountEntry> {
  const mounts = readMounts(libc);
  const at = (point: string | undefined) => mounts.findLast((entry) => entry.point === point);
  // What is mounted at the path as it is written can be said without asking any file system on the way.
  let point = absolute(libc, path), found = at(point);
  if (found === undefined) found = at(point = await resolved(libc, path));
  if (found !== undefined && isFuse(found)) return found;
  if (found !== undefined) {
    const remedy = `as root: umount ${quoted(found.point)}`;
    throw refused(path, { meaning: `what is mounted there is ${found.type}, not FUSE`, remedy });
  }
  const around = mounts.findLast((entry) => isFuse(entry) && point!.startsWith(`${entry.point}/`));
  throw refused(path, {
    meaning: around ? `it lies inside the mount on ${around.point}` : "nothing is mounted there",
    remedy: around ? `fusewire unmount ${quoted(around.point)}` : "fusewire list shows what is mounted",
  });
}

/** The absolute path as it is written; undefined where only the file systems know what it means. */
function absolute(libc: Libc, path: string): string | undefined {
  const folder = path.startsWith("/") ? "" : pathOf(libc, "cwd");
  if (typeof folder === "number" || path === "") return undefined;
  const parts = `${folder}/${path}`.split("/").filter((part) => part !== "" && part !== ".");
  return parts.includes("..") ? undefined : `/${parts.join("/")}`;
}

/** The absolute path without symbolic links. To open the root of a mount asks no server, but the way there may. */
async function resolved(libc: Libc, path: string): Promise<string> {
  const fail = (reason: Reason) => refusal("unmount", path, reason);
  if (path === "") {
    throw fail({ call: "open", errno: ERRNO.ENOENT, meaning: "the path is empty", remedy: "name a mount" });
  }
  const name = cstring(path);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<null>((resolve) => timer = setTimeout(() => resolve(null), PATIENCE_MS));
  const opening = libc.openAsync(name, libc.O.PATH | libc.O.CLOEXEC);
  const fd = await Promise.race([opening, late]).finally(() => clearTimeout(timer));
  if (fd === null) {
    opening.then((fd) => fd >= 0 && libc.close(fd));
    const meaning = "a file system on the way to it does not answer";
    throw fail({ call: "open", errno: ERRNO.ETIMEDOUT, meaning, remedy: "unmount that one first" });
  }
  if (fd < 0) throw fail(explain(await errnoOfOpen(libc, name)));
  const real = pathOf(libc, `fd/${fd}`);
  libc.close(fd);
  if (typeof real === "number") throw fail({ call: "readlink", errno: real });
  return real;
}

function explain(errno: number): Reason {
  const reason = { call: "open", errno };
  switch (errno) {
    case -ERRNO.ENOENT:
      return { ...reason, meaning: "nothing is there", remedy: "fusewire list shows what is mounted" };
    case -ERRNO.ENOTCONN:
      return { ...reason, meaning: "a mount on the way to it has lost its server", remedy: "unmount that one first" };
    case -ERRNO.EACCES:
      return { ...reason, meaning: "this user may not go there", remedy: "be root, or who mounted it" };
    default:
      return reason;
  }
}
