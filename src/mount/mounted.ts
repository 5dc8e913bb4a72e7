/** A mount that was made, and how it ends. */
import { type Libc, POLLERR } from "../../ffi/libc.ts";
import { cstring } from "../abi/text.ts";
import { ERRNO } from "../errno.ts";
import { Control } from "./control.ts";
import { helperRefusal, saysBusy, unmountByHelper, unstartable } from "./fusermount.ts";
import { deviceNumber, type MountEntry, readMounts } from "./mountinfo.ts";
import { connectionOf, mayMount } from "./procfs.ts";
import { refusal } from "./refusal.ts";

/** A mount, and how it can be ended. */
export interface Unmountable {
  /** Where it is mounted: absolute, as in `/proc/self/mountinfo`. */
  readonly path: string;
  /** Whether it is still mounted. False after a lazy unmount, though open files go on. */
  isMounted(): boolean;
  /**
   * Tries once to unmount. `"busy"`: files are open, or another mount lies on it; `"gone"`: somebody else unmounted
   * it. EPERM: this process may not; EINVAL: a lazy unmount was refused.
   */
  unmount(flags?: { lazy?: boolean }): Promise<"unmounted" | "busy" | "gone">;
  /** Ends the connection, so that every call on it fails at once; false where it cannot, or the connection is dead. */
  abort(): boolean;
}

/** A mounted file system that waits for its server. */
export interface Mounted extends Unmountable {
  /** The device (`O_NONBLOCK`, `O_CLOEXEC`): the caller's to close. */
  readonly fd: number;
  /** Who mounted it. */
  readonly how: "mount(2)" | "fusermount3" | "adopted";
  /** `st_dev` of its files. Absent where the mount of an adopted descriptor is in another mount namespace. */
  readonly device?: { readonly major: number; readonly minor: number };
  /**
   * Lets the guard go, once the file system is unmounted, and waits for its end. Where another mount lies on this one,
   * so that it could not be unmounted, the guard waits for that. May be called again.
   */
  release(): Promise<void>;
}

/** What {@linkcode Mounted} is made of. */
export interface MountedParts extends Pick<Mounted, "fd" | "path" | "how"> {
  /** The number of the connection, where the kernel tells it. */
  readonly connection?: number;
  /** Its line in mountinfo. */
  readonly entry?: MountEntry;
  /** Ends what else there is. */
  readonly release?: (left: boolean) => Promise<void>;
}

const POLLHUP = 0x10, POLLNVAL = 0x20;

/** Whether the descriptor is a device whose connection lives. */
export function isConnected(libc: Libc, fd: number): boolean {
  // struct pollfd: the descriptor, what to wait for, what is there. Errors are told unasked.
  const poll = new Uint8Array(128), view = new DataView(poll.buffer);
  view.setInt32(0, fd, true);
  return libc.ppoll(poll, 1, 0) >= 0 && (view.getInt16(6, true) & (POLLERR | POLLHUP | POLLNVAL)) === 0;
}

// Flags of umount2(2).
const MNT_DETACH = 2, UMOUNT_NOFOLLOW = 8;

/** Unmounts the last mount at a path, lazily. */
export async function detach(libc: Libc, path: string, how: Mounted["how"]): Promise<void> {
  if (how === "mount(2)") await libc.umount2Async(cstring(path), UMOUNT_NOFOLLOW | MNT_DETACH);
  else await unmountByHelper(libc, path, true);
}

/** Whether another mount lies on this one. */
function isCovered(entry: MountEntry, mounts: readonly MountEntry[]): boolean {
  return mounts.some((m) => m.parent === entry.id && m.point === entry.point);
}

/** What {@linkcode Unmountable} is made of. */
export interface UnmountableParts {
  readonly path: string;
  /** Its line in mountinfo. */
  readonly entry?: MountEntry;
  /** The number of the connection, where the kernel tells it. */
  readonly connection?: number;
  /** Whether the connection lives, so that its number can be no other's. */
  lives(): boolean;
  /** Whether fusermount3 has to unmount it. */
  byHelper(): boolean;
}

/** How a mount is found again, and ended; `isCovered`: whether another mount lies on it. */
export function unmountable(libc: Libc, parts: UnmountableParts): Unmountable & { isCovered(): boolean } {
  const { path, entry, connection, lives } = parts;

  /** Our line in mountinfo. A folder above may have been renamed: while the connection lives, its path may differ. */
  function now(mounts: MountEntry[] = readMounts(libc)): MountEntry | undefined {
    if (!entry) return undefined;
    const found = mounts.find((m) => m.id === entry.id && deviceNumber(m) === deviceNumber(entry));
    return found?.identity === entry.identity || lives() ? found : undefined;
  }

  async function byKernel(point: string, lazy: boolean): Promise<"unmounted" | "busy" | "gone"> {
    const flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0);
    if (await libc.umount2Async(cstring(point), flags) === 0) return "unmounted";
    // An asynchronous call tells no errno.
    if (!now()) return "gone";
    if (!mayMount(libc)) {
      const remedy = `this process has given up CAP_SYS_ADMIN; as root: umount ${JSON.stringify(point)}`;
      throw refusal("unmount", point, { call: "umount2", errno: ERRNO.EPERM, remedy });
    }
    if (!lazy) return "busy";
    const meaning = "its path cannot be reached, or it belongs to another user namespace";
    throw refusal("unmount", point, { call: "umount2", errno: ERRNO.EINVAL, meaning });
  }

  async function byHelper(point: string, lazy: boolean): Promise<"unmounted" | "busy" | "gone"> {
    const ended = await unmountByHelper(libc, point, lazy);
    if (typeof ended === "number") {
      throw unstartable("unmount", point, ended, { call: "umount2", errno: ERRNO.EPERM });
    }
    if (!now()) return ended.status > 0 ? "gone" : "unmounted";
    // Success without effect: it took a mount away that came to lie on this one meanwhile.
    if (ended.status === 0 || saysBusy(ended)) return "busy";
    throw helperRefusal("unmount", point, ended);
  }

  return {
    path,
    isMounted: () => now() !== undefined,
    isCovered() {
      const mounts = readMounts(libc);
      const here = now(mounts);
      return here !== undefined && isCovered(here, mounts);
    },
    async unmount({ lazy = false } = {}) {
      const mounts = readMounts(libc);
      const here = now(mounts);
      if (!here) return "gone";
      // The path would be taken for the mount on top.
      if (isCovered(here, mounts)) return "busy";
      return await (parts.byHelper() ? byHelper : byKernel)(here.point, lazy);
    },
    abort() {
      const number = connection ?? (entry && deviceNumber(entry));
      if (number === undefined || !lives()) return false;
      using control = Control.open(libc, number);
      return control?.abort() ?? false;
    },
  };
}

/** The life of a mount after it was made. */
export function mounted(libc: Libc, { fd, path, how, connection, entry, release }: MountedParts): Mounted {
  const { isCovered, ...mount } = unmountable(libc, {
    path,
    entry,
    connection,
    // The descriptor may have been closed, and its number be that of something else by now.
    lives: () => isConnected(libc, fd) && (connection === undefined || connectionOf(libc, fd) === connection),
    byHelper: () => how === "fusermount3" || how === "adopted" && !mayMount(libc),
  });
  return {
    ...mount,
    fd,
    how,
    device: entry && { major: entry.major, minor: entry.minor },
    async release() {
      await release?.(isCovered());
    },
  };
}
