/**
 * A session: the loop between a device and a file system.
 *
 * The device is read on this thread until it is empty, each request being answered in the same turn where its handler
 * answers at once; after a moment's patience another thread waits for it. After {@linkcode SLICE_MS} of work the event
 * loop gets its turn in any case.
 *
 * @module
 */
import type { Libc } from "../../ffi/libc.ts";
import { hugePages, pages } from "../../ffi/pages.ts";
import type { Reply, RequestBuffer } from "../abi/message.ts";
import { since } from "../abi/since.ts";
import { fuse_in_header, fuse_write_in } from "../abi/structs.ts";
import { deferred } from "../deferred.ts";
import { ABORTED, type Device, GONE } from "../device.ts";
import { ERRNO, errnoName, FuseError } from "../errno.ts";
import type { Passthrough } from "../fs/backing.ts";
import type { Connection, Filesystem, Negotiated } from "../fs/filesystem.ts";
import type { Notifications } from "../fs/notifications.ts";
import { PassthroughRegistry } from "../passthrough/registry.ts";
import { BufferPool } from "./buffers.ts";
import type { CharacterDeviceOptions } from "./cuse.ts";
import { Dispatcher } from "./dispatch.ts";
import { listen } from "./listen.ts";
import { Notifier } from "./notifier.ts";
import type { ResolvedOptions } from "./options.ts";
import { Waiter } from "./waiter.ts";

/** How long requests are served before timers and other work get their turn, ms. */
const SLICE_MS = 4;
/** How long the next request is waited for on this thread, once one was served, μs. */
const LINGER_US = 50;
/** As many requests in one slice are a busy caller's, */
const BUSY = 32;
/** whose next one is waited for so long, μs: a timeout beyond the kernel's next tick costs no timer interrupt. */
const BUSY_LINGER_US = 3000;
const NOFLUSH_SINCE = since("FOPEN_NOFLUSH");
/** A request's header and fixed part, beside its data. */
const HEADER_ROOM = 4096;
/** Bytes from which on a buffer may lie in huge pages. */
const HUGE_SINCE = 1 << 20;
/** Bytes of a request for which they are worth their memory. */
const LARGE = 1 << 17;
/** Where the data of a write begins in its request. */
const WRITE_DATA = fuse_in_header.size + fuse_write_in.size;

/** How a session ended: the mount went away, or the connection was aborted under it. */
export type SessionEnd = "unmounted" | "aborted";

enum Drained {
  /** Nothing is there to be read. */
  Empty,
  /** The slice is over. */
  Slice,
  /** Asynchronous handlers want a microtask. */
  Pending,
  /** Every buffer is taken. */
  Starved,
  Gone,
  Aborted,
}

/** The loop, its buffers and its counts. */
export class SessionLoop {
  readonly #libc: Libc;
  readonly #fs: Filesystem;
  readonly #device: Device;
  readonly #options: ResolvedOptions;
  readonly #waiter: Waiter;
  readonly #buffers: BufferPool;
  readonly #registry: PassthroughRegistry;
  readonly #notifier: Notifier;
  readonly #dispatcher: Dispatcher;
  readonly #handshake = deferred<Negotiated>();
  readonly #connection: Pick<Connection, "device">;
  #stopped = false;
  /** The file system was told of the connection, and is to be told of its end. */
  #begun = false;
  /** The loop waits for a buffer. */
  #starved = false;

  constructor(
    libc: Libc,
    device: Device,
    fs: Filesystem,
    options: ResolvedOptions,
    connection: Pick<Connection, "device">,
    character?: CharacterDeviceOptions,
  ) {
    this.#libc = libc;
    this.#fs = fs;
    this.#device = device;
    this.#options = options;
    this.#connection = connection;
    this.#waiter = new Waiter(libc, device.fd);
    const size = options.maxWrite + HEADER_ROOM;
    this.#buffers = new BufferPool(size, options.maxInFlight, (size, best) =>
      // One is nearly always enough, and more of them would take memory that is seldom used.
      best && size >= HUGE_SINCE ? hugePages(libc, size, WRITE_DATA) : pages(libc, size, WRITE_DATA));
    this.#registry = new PassthroughRegistry(libc, device, options.maxStackDepth, {
      lost: (error, nodeid) => listen(() => options.onError(error, { opcode: "FUSE_RELEASE", nodeid })),
      stale: (nodeid) => this.#notifier.staleAttributes(nodeid),
      mistaken: (error, where) => listen(() => options.onError(error, { ...where, answered: error.code })),
    }, connection.device?.minor);
    this.#handshake.promise.catch(() => {});
    this.#notifier = new Notifier({
      send: (message) => device.send(message, message.length, null),
      async sendElsewhere(message) {
        // A handler that answers at once has answered by then, and its caller holds no lock any more.
        await null;
        return await device.sendElsewhere(message);
      },
    });
    this.#dispatcher = new Dispatcher(fs, options, {
      send: (reply) => this.#send(reply),
      free: (buffer) => this.#free(buffer),
      ready: (negotiated) => this.#ready(negotiated),
      refused: (error) => {
        this.#handshake.reject(error);
        this.stop();
      },
      arbiter: this.#registry,
      retrieved: (unique, data) => this.#notifier.retrieved(unique, data),
      character,
    });
  }

  /** What was agreed on; rejected where the handshake fails or the connection ends before it. */
  get negotiated(): Promise<Negotiated> {
    return this.#handshake.promise;
  }

  /** The backing files. */
  get passthrough(): Passthrough {
    return this.#registry;
  }

  /** What the file system tells the kernel unasked. */
  get notify(): Notifications {
    return this.#notifier;
  }

  /** Ends the loop: the device is closed, which aborts the connection if it still lives. */
  stop(): void {
    this.#stopped = true;
    this.#waiter.wake();
  }

  /** Its end waits no longer for commits of staged files. */
  giveUp(): void {
    this.#registry.giveUp();
  }

  /** Serves until the connection ends, and the last staged file is committed. */
  async run(): Promise<SessionEnd> {
    let end: SessionEnd = "aborted";
    try {
      end = await this.#serve();
    } finally {
      this.#handshake.reject(new FuseError("ECONNABORTED", "the connection ended before the handshake was done"));
      // First the answers: a notification that waits for a lock of such a caller would keep the device open.
      this.#dispatcher.abandon();
      this.#notifier.end();
      const commits = this.#registry.end();
      this.#device[Symbol.dispose]();
      this.#waiter[Symbol.dispose]();
      // The author's stores are needed until the last file is in them.
      if (commits !== null) await commits;
      this.#dispatcher.close();
      if (this.#begun) listen(() => this.#fs.destroy?.());
    }
    return end;
  }

  async #serve(): Promise<SessionEnd> {
    let until = performance.now() + SLICE_MS;
    while (!this.#stopped) {
      const drained = this.#drain(until);
      switch (drained) {
        case Drained.Gone:
          return "unmounted";
        case Drained.Aborted:
          return "aborted";
        case Drained.Pending:
          // Handlers that have already answered get to say so; the rest need the event loop.
          await null;
          continue;
        case Drained.Slice:
          await this.#libc.turnAsync();
          until = performance.now() + SLICE_MS;
          continue;
        default:
          this.#starved = drained === Drained.Starved;
          await this.#waiter.wait(!this.#starved);
          until = performance.now() + SLICE_MS;
      }
    }
    return "aborted";
  }

  /** Reads and serves until there is a reason to stop. */
  #drain(until: number): Drained {
    const buffers = this.#buffers, dispatcher = this.#dispatcher;
    let buffer = buffers.take();
    if (buffer === null) return Drained.Starved;
    let served = 0;
    try {
      while (!this.#stopped) {
        const length = this.#device.receive(buffer.bytes);
        if (length > 0) {
          if (length >= LARGE) buffers.large();
          const before = dispatcher.pending;
          if (dispatcher.handle(buffer, length)) {
            buffer = buffers.take();
            if (buffer === null) return Drained.Starved;
          }
          if ((++served & 7) === 0 && performance.now() >= until) return Drained.Slice;
          if (dispatcher.pending > before) return Drained.Pending;
          continue;
        }
        if (length === GONE) return Drained.Gone;
        if (length === ABORTED) return Drained.Aborted;
        // The next request of a busy caller comes sooner than another thread could tell of it. But what an asynchronous
        // handler waits for comes through the event loop.
        if (served === 0 || dispatcher.pending > 0) return Drained.Empty;
        const busy = served >= BUSY;
        if (!this.#waiter.linger(busy ? BUSY_LINGER_US : LINGER_US)) return Drained.Empty;
        if (busy && performance.now() >= until) return Drained.Slice;
      }
      return Drained.Slice;
    } finally {
      if (buffer !== null) buffers.give(buffer);
    }
  }

  #send(reply: Reply): boolean {
    const error = this.#device.send(reply.bytes, reply.length, reply.payload);
    if (error === 0) return true;
    // ENOENT: the request was interrupted; ENODEV and EBADF: the connection has ended.
    if (error === -ERRNO.ENOENT || error === -ERRNO.ENODEV || error === -ERRNO.EBADF || error === -ERRNO.ECONNABORTED) {
      return false;
    }
    const low = reply.view.getUint32(8, true), high = reply.view.getUint32(12, true);
    const cause = new FuseError(error, `the kernel refused a reply of ${reply.length} bytes: ${errnoName(error)}`);
    // The caller must not wait for ever.
    reply.reset();
    reply.finish(low, high, ERRNO.EIO);
    this.#device.send(reply.bytes, reply.length, null);
    listen(() => this.#options.onError(cause, { opcode: "a reply", nodeid: 0, answered: "EIO" }));
    return false;
  }

  #free(buffer: RequestBuffer): void {
    this.#buffers.give(buffer);
    if (this.#starved) this.#waiter.wake();
  }

  #ready(negotiated: Negotiated): void {
    const { flags } = negotiated;
    // With the writeback cache FOPEN_NOFLUSH means nothing.
    const unflushed = !this.#fs.flush && negotiated.minor >= NOFLUSH_SINCE && !flags.has("FUSE_WRITEBACK_CACHE");
    this.#registry.enable(flags.has("FUSE_PASSTHROUGH") ? null : this.#withoutPassthrough(), unflushed);
    this.#notifier.begin(negotiated.minor);
    this.#fs.init?.({ negotiated, notify: this.#notifier, passthrough: this.#registry, ...this.#connection });
    this.#begun = true;
    this.#handshake.resolve(negotiated);
  }

  #withoutPassthrough(): string {
    if (this.#options.passthrough) return "this kernel does not offer passthrough (Linux 6.9, CONFIG_FUSE_PASSTHROUGH)";
    return this.#options.writebackCache
      ? "the kernel turns passthrough off with the writeback cache"
      : "the option passthrough is off";
  }
}
