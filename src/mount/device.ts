/** From a folder and options to the device descriptor of a mounted file system. */
import { libc as loadLibc } from "../../ffi/load.ts";
import { ERRNO } from "../errno.ts";
import { adoptDevice } from "./adopt.ts";
import { mountByHelper } from "./fusermount.ts";
import { type Guard, startGuard } from "./guard.ts";
import { mountByKernel } from "./kernel.ts";
import { detach, type Mounted, mounted } from "./mounted.ts";
import { findMount } from "./mountinfo.ts";
import { openMountpoint } from "./mountpoint.ts";
import { type KernelMountOptions, settingsOf } from "./options.ts";
import { connectionOf } from "./procfs.ts";
import { refusal } from "./refusal.ts";

export type { Mounted } from "./mounted.ts";
export type { KernelMountOptions } from "./options.ts";

/**
 * Mounts a file system: by mount(2), or through fusermount3 where this process may not. Nothing here waits on this
 * thread, which may be serving other mounts that the path leads through. Where it fails, nothing is left: no mount, no
 * descriptor, no process.
 *
 * Errors: ENOENT, ENOTDIR, EACCES: the folder; ENOTCONN: a dead mount is there; ENOENT, ENODEV: there is no
 * `/dev/fuse`; EPERM, EACCES: this user may not; EINVAL: an option, which the message names.
 */
export async function mountDevice(mountpoint: string, options: KernelMountOptions): Promise<Mounted> {
  const settings = settingsOf(options);
  const libc = loadLibc();
  if (settings.fd !== undefined) return await adoptDevice(libc, mountpoint, settings.fd);
  const place = await openMountpoint(libc, mountpoint);
  const { path } = place;
  let guard: Guard | undefined;
  try {
    if (settings.autoUnmount) guard = await startGuard(libc, path);
    const device = mountByKernel(libc, place, settings);
    const how = typeof device === "number" ? "mount(2)" : "fusermount3";
    const fd = typeof device === "number" ? device : await mountByHelper(libc, path, settings, device);
    // From here to the end nothing waits: there is no moment at which the mount is neither guarded nor answered.
    try {
      const connection = connectionOf(libc, fd);
      const entry = findMount(libc, path, connection);
      if (entry !== undefined) {
        guard?.arm(entry);
        return mounted(libc, { fd, path, how, connection, entry, release: guard?.release });
      }
    } catch (error) {
      // No descriptor was left to read what the kernel says.
      libc.close(fd);
      await detach(libc, path, how);
      throw error;
    }
    libc.close(fd);
    throw refusal("mount on", path, { call: "mount", errno: ERRNO.ENOENT, meaning: "it was unmounted at once" });
  } catch (error) {
    await guard?.release(false);
    throw error;
  } finally {
    libc.close(place.fd);
  }
}
