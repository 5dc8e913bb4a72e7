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
import type { MountOptions as DeviceOptions } from "./options.ts";
import { endOnSignal } from "./signals.ts";

/** Options of {@linkcode mount}: of the mount, and of the conversation with the kernel. */
export interface MountOptions extends DeviceOptions, SessionOptions {
  /** SIGINT and SIGTERM unmount, then exit with 0. A second signal does not wait. Default true. */
  signals?: boolean;
}

/**
 * How an unmount ended: `"unmounted"`: at once, nobody used it; `"detached"`: it was in use, left the tree at once and
 * its last user has gone since; `"aborted"`: somebody still used it, and the connection was cut.
 */
export type UnmountResult = "unmounted" | "detached" | "aborted";

/** Options of {@linkcode Session.unmount}. */
export interface UnmountOptions {
  /** How long to wait for those who use it before the next, harsher step, ms. Default 1000. */
  timeout?: number;
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

const STEP_MS = 1000;
const RETRY_MS = 20;
/** How long the end of a session may take after its mount is gone, on a busy machine. */
const ENDING_MS = 10_000;

class MountedSession implements Session {
  readonly mountpoint: string;
  readonly negotiated: Negotiated;
  readonly device?: { readonly major: number; readonly minor: number };
  readonly passthrough: Passthrough;
  readonly notify: Notifications;
  readonly closed: Promise<SessionEnd>;
  readonly #mounted: Mounted;
  readonly #loop: SessionLoop;
  /** Over, as it is known before `closed` has told. */
  readonly #state: { readonly ended: boolean };
  #unmounting: Promise<UnmountResult> | null = null;
  #timeout = STEP_MS;

  constructor(
    mounted: Mounted,
    loop: SessionLoop,
    negotiated: Negotiated,
    closed: Promise<SessionEnd>,
    state: { readonly ended: boolean },
  ) {
    this.#state = state;
    this.#mounted = mounted;
    this.#loop = loop;
    this.mountpoint = mounted.path;
    if (mounted.device) this.device = mounted.device;
    this.negotiated = negotiated;
    this.passthrough = loop.passthrough;
    this.notify = loop.notify;
    this.closed = closed;
  }

  unmount({ timeout = STEP_MS }: UnmountOptions = {}): Promise<UnmountResult> {
    // A second, more impatient call hurries the first.
    this.#timeout = this.#unmounting === null ? timeout : Math.min(timeout, this.#timeout);
    return this.#unmounting ??= this.#unmount();
  }

  async #unmount(): Promise<UnmountResult> {
    const start = performance.now();
    for (;;) {
      const state = await this.#within(start, this.#mounted.unmount());
      if (state === "unmounted" || state === "gone") {
        // Nobody uses it, so the end follows by itself, unless it is mounted elsewhere too.
        await this.#within(performance.now(), this.closed, ENDING_MS);
        if (!this.#state.ended) break;
        return "unmounted";
      }
      if (state === null || performance.now() - start >= this.#timeout) break;
      await this.#within(start, new Promise((resolve) => setTimeout(resolve, RETRY_MS)));
    }
    if (this.#mounted.isMounted()) {
      await this.#within(performance.now(), this.#mounted.unmount({ lazy: true }));
      await this.#within(performance.now(), this.closed);
      if (this.#state.ended) return "detached";
    }
    this.#mounted.abort();
    this.#loop.stop();
    await this.closed;
    return "aborted";
  }

  /** The promise's value, or null where it takes longer than the timeout that is in force by then, and `least` ms. */
  async #within<T>(start: number, promise: Promise<T>, least = 0): Promise<T | null> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<null>((resolve) => {
      const check = () => {
        const patience = this.#timeout === 0 ? 0 : Math.max(this.#timeout, least);
        const left = start + patience - performance.now();
        if (left <= 0) resolve(null);
        else timer = setTimeout(check, Math.min(left, RETRY_MS));
      };
      check();
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unmount();
  }
}

/**
 * Mounts `fs` on the directory `mountpoint` and serves it until it is unmounted.
 *
 * Resolves when the handshake with the kernel is done. As root it uses `mount(2)`, as an ordinary user `fusermount3`.
 * Rejects with a {@linkcode FuseError} that names the call, the path and the remedy.
 *
 * @example
 * ```ts ignore
 * import { mount } from "@fusewire/fusewire";
 *
 * await using session = await mount({ readdir: () => [] }, "/mnt");
 * await session.closed;
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
  // An unmounted connection and one that the kernel aborts read alike; but the second is still mounted, and what is left
  // of it answers nobody.
  const closed = loop.run().then((end): SessionEnd => mounted.isMounted() ? "aborted" : end).finally(async () => {
    forget();
    if (mounted.isMounted()) await mounted.unmount({ lazy: true }).catch(() => {});
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
