/**
 * Mounts a file system and serves it.
 *
 * @module
 */
import { libc } from "../../ffi/load.ts";
import { Device } from "../device.ts";
import { FuseError } from "../errno.ts";
import type { Passthrough } from "../fs/backing.ts";
import type { Filesystem, Negotiated } from "../fs/filesystem.ts";
import type { Notifications } from "../fs/notifications.ts";
import { checkMethods, resolveOptions, type SessionOptions } from "../session/options.ts";
import { type SessionEnd, SessionLoop } from "../session/session.ts";
import { mountDevice, type Mounted } from "./device.ts";
import type { KernelMountOptions } from "./options.ts";
import { endOnSignal } from "./signals.ts";
import { RETRY_MS, Unmounting, type UnmountOptions, type UnmountResult } from "./unmounting.ts";

/** Options of {@linkcode mount}: of the mount, and of the conversation with the kernel. */
export interface MountOptions extends KernelMountOptions, SessionOptions {
  /**
   * SIGINT and SIGTERM unmount, then exit with 0; with 1 and the reason on stderr where that fails. A second signal
   * does not wait. Default true.
   */
  signals?: boolean;
}

/** A mounted file system that is being served. */
export interface Session extends AsyncDisposable {
  /** Where it is mounted: an absolute path. Of an adopted descriptor, what the kernel tells; else as it was given. */
  readonly mountpoint: string;
  /** What was agreed with the kernel. */
  readonly negotiated: Negotiated;
  /** `st_dev` of the mount, where it is known. */
  readonly device?: { readonly major: number; readonly minor: number };
  /** The files that the kernel reads and writes itself. */
  readonly passthrough: Passthrough;
  /** What can be told the kernel unasked. */
  readonly notify: Notifications;
  /** Resolves when the kernel has let go, whoever unmounted, and everything is given back. */
  readonly closed: Promise<SessionEnd>;
  /** Unmounts, and ends in any case: plainly, else detached, else by cutting the connection. */
  unmount(options?: UnmountOptions): Promise<UnmountResult>;
}

class MountedSession implements Session {
  readonly mountpoint: string;
  readonly negotiated: Negotiated;
  readonly device?: { readonly major: number; readonly minor: number };
  readonly passthrough: Passthrough;
  readonly notify: Notifications;
  readonly closed: Promise<SessionEnd>;
  readonly #unmounting: Unmounting;

  constructor(
    mounted: Mounted,
    loop: SessionLoop,
    negotiated: Negotiated,
    closed: Promise<SessionEnd>,
    /** Over, as it is known before `closed` has told. */
    state: { readonly ended: boolean },
  ) {
    this.mountpoint = mounted.path;
    if (mounted.device) this.device = mounted.device;
    this.negotiated = negotiated;
    this.passthrough = loop.passthrough;
    this.notify = loop.notify;
    this.closed = closed;
    this.#unmounting = new Unmounting({
      mount: mounted,
      closed,
      isClosed: () => state.ended,
      async cut() {
        mounted.abort();
        loop.stop();
        await closed;
        return "aborted";
      },
      giveUp: () => loop.giveUp(),
    });
  }

  unmount(options?: UnmountOptions): Promise<UnmountResult> {
    return this.#unmounting.run(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unmount();
  }
}

const LEAVE_TRIES = 10;

/** Takes a mount away that nobody serves any more. */
async function leave(mounted: Mounted): Promise<void> {
  for (let tries = 0; tries < LEAVE_TRIES && mounted.isMounted(); tries++) {
    // What lies on top of it is not ours: the guard waits for that.
    if (await mounted.unmount({ lazy: true }).catch(() => {}) === "busy") return;
    // An earlier fusermount3 may be at work still, and two of them stand in each other's way.
    if (mounted.isMounted()) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/**
 * Mounts `fs` on the directory `mountpoint` and serves it until it is unmounted.
 *
 * Resolves when the handshake with the kernel is done. As root it uses `mount(2)`, as an ordinary user `fusermount3`.
 * Rejects with a {@linkcode FuseError} that names the call, the path and the remedy.
 *
 * @example
 * ```ts
 * import { mount } from "@fusewire/fusewire";
 *
 * const mountpoint = await Deno.makeTempDir();
 * const session = await mount({
 *   getattr: () => ({ attr: { mode: 0o040755, nlink: 2 } }),
 *   readdir: () => [],
 * }, mountpoint);
 * console.log(session.mountpoint, await Array.fromAsync(Deno.readDir(mountpoint)));
 * console.log(await session.unmount()); // unmounted
 * await Deno.remove(mountpoint);
 * ```
 */
export async function mount(fs: Filesystem, mountpoint: string, options: MountOptions = {}): Promise<Session> {
  const resolved = resolveOptions(options);
  checkMethods(fs, resolved);
  if (resolved.allowIdmap && !options.defaultPermissions) {
    throw new TypeError("option allowIdmap needs defaultPermissions: the kernel refuses the handshake without it");
  }
  const mounted = await mountDevice(mountpoint, options);
  const device = new Device(libc(), mounted.fd);
  let loop: SessionLoop;
  try {
    loop = new SessionLoop(libc(), device, fs, resolved, mounted.device ? { device: mounted.device } : {});
  } catch (error) {
    await mounted.unmount({ lazy: true }).catch(() => {});
    device[Symbol.dispose]();
    await mounted.release();
    throw error;
  }
  const state = { ended: false };
  let forget = () => {};
  // An unmounted connection and one that the kernel aborts read alike; but the second is still mounted, and what is
  // left of it answers nobody.
  const closed = loop.run().then((end): SessionEnd => mounted.isMounted() ? "aborted" : end).finally(async () => {
    forget();
    await leave(mounted);
    await mounted.release();
    state.ended = true;
  });
  closed.catch(() => {});
  let negotiated: Negotiated;
  try {
    negotiated = await loop.negotiated;
  } catch (error) {
    loop.stop();
    await closed.catch(() => {});
    throw error instanceof FuseError
      ? new FuseError(error.code, `cannot serve "${mounted.path}": ${error.message}`, {
        path: mounted.path,
        cause: error,
      })
      : error;
  }
  const session = new MountedSession(mounted, loop, negotiated, closed, state);
  if (options.signals ?? true) {
    forget = endOnSignal({
      async end(hurry) {
        await session.unmount(hurry ? { timeout: 0 } : {});
      },
    });
  }
  return session;
}
