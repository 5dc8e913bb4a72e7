/** Mounting by system call, which needs CAP_SYS_ADMIN. */
import type { Libc } from "../../ffi/libc.ts";
import { cstring } from "../abi/text.ts";
import { ERRNO } from "../errno.ts";
import type { Mountpoint } from "./mountpoint.ts";
import { kernelData, kernelFlags, kernelType, type Settings } from "./options.ts";
import { type Reason, refusal } from "./refusal.ts";

/** What to do where the kernel has no FUSE, or a container no device. */
export const NO_DEVICE = "load it: modprobe fuse; or give it to the container: --device /dev/fuse";

/**
 * Mounts, and answers the device descriptor (`O_NONBLOCK`, `O_CLOEXEC`). Where this process may not (EPERM, EACCES),
 * the reason is the answer; everything else throws.
 *
 * It all happens in this turn and asks no file system: the folder is named by its descriptor.
 */
export function mountByKernel(libc: Libc, { fd: folder, path }: Mountpoint, settings: Settings): number | Reason {
  const { RDWR, CLOEXEC, NONBLOCK } = libc.O;
  const device = libc.open(cstring("/dev/fuse"), RDWR | CLOEXEC | NONBLOCK, 0);
  if (device < 0) return refuse(path, explainDevice(device));
  const failed = libc.mount(
    cstring(settings.fsname),
    cstring(`/proc/self/fd/${folder}`),
    cstring(kernelType(settings)),
    kernelFlags(settings),
    cstring(kernelData(settings, device, libc.geteuid(), libc.getegid())),
  );
  if (failed === 0) return device;
  libc.close(device);
  return refuse(path, explainMount(failed));
}

function refuse(path: string, reason: Reason): Reason {
  if (reason.errno === -ERRNO.EPERM || reason.errno === -ERRNO.EACCES) return reason;
  throw refusal("mount on", path, reason);
}

function explainDevice(errno: number): Reason {
  const absent = errno === -ERRNO.ENOENT || errno === -ERRNO.ENODEV || errno === -ERRNO.ENXIO;
  return { call: "open", of: "/dev/fuse", errno, remedy: absent ? NO_DEVICE : undefined };
}

function explainMount(errno: number): Reason {
  const reason = { call: "mount", errno };
  switch (errno) {
    case -ERRNO.ENODEV:
      return { ...reason, meaning: "the kernel knows no FUSE", remedy: NO_DEVICE };
    case -ERRNO.ENOENT:
      return { ...reason, meaning: "the directory was removed", remedy: "create it again" };
    case -ERRNO.EINVAL:
      return { ...reason, meaning: "/dev/fuse is no FUSE device, or of another user namespace" };
    default:
      return reason;
  }
}
