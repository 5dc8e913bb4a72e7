/**
 * Character devices (CUSE): a device file below `/dev`, served like an open file.
 *
 * @module
 */
import { libc as loadLibc } from "../../ffi/load.ts";
import { cstring } from "../abi/text.ts";
import { Device } from "../device.ts";
import { ERRNO, errnoName, FuseError } from "../errno.ts";
import type { Filesystem, Negotiated } from "../fs/filesystem.ts";
import type { Notifications } from "../fs/notifications.ts";
import { type CharacterDeviceOptions, checkCharacterDevice } from "../session/cuse.ts";
import { resolveOptions, type SessionOptions } from "../session/options.ts";
import { type SessionEnd, SessionLoop } from "../session/session.ts";

/** A character device that is being served. */
export interface CharacterDevice extends AsyncDisposable {
  /** Where it is, once the system has made the file. */
  readonly path: string;
  /** What was agreed with the kernel. */
  readonly negotiated: Negotiated;
  /** What can be told the kernel unasked: `pollWakeup`, where somebody polls. */
  readonly notify: Notifications;
  /** Resolves when the device is gone. */
  readonly closed: Promise<SessionEnd>;
  /** Removes the device; who has it open gets errors from then on. */
  close(): Promise<void>;
}

/**
 * Makes a character device and serves it: `open`, `read`, `write`, `ioctl`, `poll`, `flush`, `fsync` and `release` of
 * `fs`, with nodeid 0. Needs root and `/dev/cuse`.
 *
 * Rejects with a `FuseError`: ENOENT: there is no `/dev/cuse`; EACCES, EPERM: this user may not; ENODEV: the kernel did
 * not take the device, for its name or number is in use.
 *
 * @example
 * ```ts ignore
 * import { mountCharacterDevice } from "@fusewire/fusewire";
 *
 * await using device = await mountCharacterDevice({
 *   read: ({ size }) => new Uint8Array(size).fill(0x79),
 * }, { name: "yes" });
 * await device.closed;
 * ```
 */
export async function mountCharacterDevice(
  fs: Filesystem,
  options: CharacterDeviceOptions & Pick<SessionOptions, "onError" | "trace" | "maxInFlight">,
): Promise<CharacterDevice> {
  checkCharacterDevice(options);
  const { onError, trace, maxInFlight, maxWrite = 1 << 17 } = options;
  const resolved = resolveOptions({
    onError,
    trace,
    maxInFlight,
    // Whole pages, and none too few: the kernel refuses a buffer that the largest request would not fit in.
    maxWrite: Math.ceil(Math.max(1, maxWrite) / 4096) * 4096,
    passthrough: false,
  });
  const libc = loadLibc();
  const { O } = libc;
  const fd = libc.open(cstring("/dev/cuse"), O.RDWR | O.CLOEXEC | O.NONBLOCK, 0);
  if (fd < 0) {
    const remedy = fd === -ERRNO.ENOENT ? "load the module: modprobe cuse" : "run it as root";
    throw new FuseError(
      fd,
      `cannot make the device "${options.name}": open(2) of /dev/cuse says ${errnoName(fd)}; ${remedy}`,
      {
        syscall: "open",
        path: "/dev/cuse",
      },
    );
  }
  const loop = new SessionLoop(libc, new Device(libc, fd), fs, resolved, {}, options);
  const closed = loop.run();
  closed.catch(() => {});
  const negotiated = await loop.negotiated;
  const close = async () => {
    loop.stop();
    await closed;
  };
  return { path: `/dev/${options.name}`, negotiated, notify: loop.notify, closed, close, [Symbol.asyncDispose]: close };
}
