/**
 * The C library through bun:ffi, for Bun.
 *
 * Its calls are synchronous only. What may wait runs in a Worker, which is given addresses. What waits for a descriptor
 * is the kernel's own asynchronous poll (`io_submit(2)`), whose end an eventfd tells, and that the event loop reads.
 */
import process from "node:process";
import { Worker } from "node:worker_threads";
import type { Architecture } from "./libc.ts";
import { type Arguments, type Functions, type Native, openPosix, PROCESS } from "./posix.ts";
import type { Runtime } from "./runtime.ts";
import { architectureOf, firstLibrary, SYMBOLS } from "./symbols.ts";

/** What is used of the module `bun:ffi`. */
interface Ffi {
  dlopen(name: string, symbols: Record<string, Signature>): { symbols: Functions };
  ptr(buffer: ArrayBufferView): number;
  toArrayBuffer(address: number, offset: number, length: number): ArrayBuffer;
}

interface Signature {
  readonly args: readonly string[];
  readonly returns: string;
}

/** What is used of the module `bun`. */
interface Bun {
  file(fd: number): { stream(): ReadableStream<Uint8Array> };
}

const EMFILE = 24;
const EFD_CLOEXEC_NONBLOCK = 0o2004000;
/** At least what a Worker opens. */
const WORKER_DESCRIPTORS = 4;

const TYPES = {
  buffer: "ptr",
  pointer: "ptr",
  i16: "i16",
  i32: "i32",
  u32: "u32",
  i64: "i64_fast",
  u64: "u64_fast",
  usize: "u64_fast",
} as const;

function signature(name: keyof typeof SYMBOLS): Signature {
  const { parameters, result } = SYMBOLS[name];
  return { args: parameters.map((type) => TYPES[type]), returns: TYPES[result] };
}

/** A module of the runtime, which Node has none of: nothing may import it. */
function builtin<T>(name: string): T {
  return (process as unknown as { getBuiltinModule(name: string): T }).getBuiltinModule(name);
}

function openNative(): Native {
  const architecture = architectureOf(process.platform, process.arch);
  const ffi = builtin<Ffi>("bun:ffi");
  const names = Object.keys(SYMBOLS) as (keyof typeof SYMBOLS)[];
  const table = Object.fromEntries(names.map((name) => [name, signature(name)]));
  const [library, c] = firstLibrary(architecture, (name) => [name, ffi.dlopen(name, table).symbols]);
  const errno = new Int32Array(ffi.toArrayBuffer(c.__errno_location(), 0, 4));
  const address = (buffer: ArrayBufferView): number => {
    // A small array has another place before somebody asks for its buffer.
    void buffer.buffer;
    return ffi.ptr(buffer);
  };
  const workers = new Workers(library, () => hasDescriptors(c));
  const elsewhere = async <Name extends keyof Functions>(name: Name, ...args: Arguments<Name>): Promise<number> => {
    const numbers = args.map((arg) => ArrayBuffer.isView(arg) ? address(arg) : arg as number | null);
    const value = await workers.call(name, numbers);
    // Nothing else keeps the buffers until here.
    args.length = 0;
    return value;
  };
  const polls = new Polls(architecture, c, address);
  return {
    architecture,
    c,
    errno: () => errno[0],
    address: (buffer) => BigInt(address(buffer)),
    memory: (address, length) => new Uint8Array(ffi.toArrayBuffer(Number(address), 0, length)),
    turnAsync: turn,
    elsewhere,
    async pollAsync(fds, count, timeout) {
      // What cannot be waited for, such as a file or a bad descriptor, is ready at once.
      const ready = c.poll(fds, count, 0);
      if (ready !== 0 || timeout === 0) {
        await turn();
        return ready;
      }
      if (!await polls.wait(fds, count, timeout)) return await elsewhere("poll", fds, count, timeout);
      return c.poll(fds, count, 0);
    },
  };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Whether there are descriptors for a Worker: the process ends where one begins without. */
function hasDescriptors(c: Functions): boolean {
  const taken = Array.from({ length: WORKER_DESCRIPTORS }, () => c.eventfd(0, EFD_CLOEXEC_NONBLOCK));
  for (const fd of taken) if (fd >= 0) c.close(fd);
  return taken.every((fd) => fd >= 0);
}

/** A call on its way to a Worker. */
interface Call {
  readonly resolve: (value: number) => void;
  readonly reject: (error: Error) => void;
}

// The errno is read in the same turn, as on the main thread.
const WORKER = `
const { parentPort, workerData } = require("node:worker_threads");
const { dlopen, read } = process.getBuiltinModule("bun:ffi");
const { symbols: c } = dlopen(workerData.library, workerData.table);
const errno = c.__errno_location();
parentPort.on("message", ({ name, args }) => {
  const value = c[name](...args);
  parentPort.postMessage(value < 0 ? -read.i32(errno, 0) : value);
});
`;

/** Threads for calls that may wait: as many as there are calls under way. */
class Workers {
  readonly #library: string;
  readonly #mayStart: () => boolean;
  #idle: Worker | undefined;
  readonly #calls = new Map<Worker, Call>();

  constructor(library: string, mayStart: () => boolean) {
    this.#library = library;
    this.#mayStart = mayStart;
  }

  /** Calls a C function; its value, or -errno. */
  call(name: keyof Functions, args: readonly (number | null)[]): Promise<number> {
    if (this.#idle === undefined && !this.#mayStart()) return Promise.resolve(-EMFILE);
    const worker = this.#idle ?? this.#start();
    this.#idle = undefined;
    return new Promise((resolve, reject) => {
      this.#calls.set(worker, { resolve, reject });
      worker.ref();
      worker.postMessage({ name, args });
    });
  }

  #start(): Worker {
    const names = ["__errno_location", "statx", "open", "umount2", "posix_spawnp", "write", "waitpid", "poll"] as const;
    const table = Object.fromEntries(names.map((name) => [name, signature(name)]));
    const worker = new Worker(WORKER, { eval: true, workerData: { library: this.#library, table } });
    const take = (): Call | undefined => {
      const call = this.#calls.get(worker);
      this.#calls.delete(worker);
      return call;
    };
    worker.on("message", (value: number) => {
      worker.unref();
      if (this.#idle === undefined) this.#idle = worker;
      else worker.terminate();
      take()?.resolve(value);
    });
    worker.on("error", (error: Error) => take()?.reject(error));
    return worker;
  }
}

const IO: Readonly<Record<Architecture, { setup: number; submit: number; cancel: number; getevents: number }>> = {
  x86_64: { setup: 206, submit: 209, cancel: 210, getevents: 208 },
  aarch64: { setup: 0, submit: 2, cancel: 3, getevents: 4 },
};
const IOCB = 64, IO_EVENT = 32;
const IOCB_CMD_POLL = 5, IOCB_FLAG_RESFD = 1;
/** How many descriptors may be waited for at once. */
const DEPTH = 256;
/** How long the event loop looks at the eventfd after the last wait, which keeps the process alive, ms. */
const PATIENCE = 100;

/** Waits for descriptors, without a thread. Source: `io_submit(2)`, linux/aio_abi.h. */
class Polls {
  readonly #c: Functions;
  readonly #address: (buffer: ArrayBufferView) => number;
  readonly #io: (typeof IO)[Architecture];
  /** 0 before the first wait; -1 where the kernel has no such polls. */
  #context = 0;
  #eventfd = -1;
  readonly #events = new Uint8Array(DEPTH * IO_EVENT);
  readonly #noTime = new BigInt64Array(2);
  readonly #waits = new Map<number, () => void>();
  #last = 0;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #rest: ReturnType<typeof setTimeout> | undefined;

  constructor(architecture: Architecture, c: Functions, address: (buffer: ArrayBufferView) => number) {
    this.#io = IO[architecture];
    this.#c = c;
    this.#address = address;
  }

  /** Waits for one of the descriptors of a `poll(2)`, or for so many milliseconds; false: it cannot. */
  async wait(fds: Uint8Array, count: number, timeout: number): Promise<boolean> {
    if (!this.#open() || !this.#listen()) return false;
    const asked = new DataView(fds.buffer, fds.byteOffset);
    const id = ++this.#last;
    // The control blocks, and behind them a list of their addresses.
    const control = new Uint8Array((count + 1) * (IOCB + 8)), view = new DataView(control.buffer);
    const start = this.#address(control), list = (count + 1) * IOCB;
    let n = 0;
    for (let i = 0; i < count; i++) {
      const fd = asked.getInt32(8 * i, true), events = asked.getUint16(8 * i + 4, true);
      if (fd < 0) continue;
      const at = IOCB * n;
      view.setUint32(at, id, true);
      view.setUint16(at + 16, IOCB_CMD_POLL, true);
      view.setInt32(at + 20, fd, true);
      view.setUint32(at + 24, events, true);
      view.setUint32(at + 56, IOCB_FLAG_RESFD, true);
      view.setInt32(at + 60, this.#eventfd, true);
      view.setBigUint64(list + 8 * n++, BigInt(start + at), true);
    }
    const submitted = this.#call(this.#io.submit, this.#context, n, start + list);
    let timer: ReturnType<typeof setTimeout> | undefined;
    if (submitted === n) {
      await new Promise<void>((resolve) => {
        this.#waits.set(id, resolve);
        if (timeout > 0) timer = setTimeout(resolve, timeout);
      });
    }
    clearTimeout(timer);
    this.#waits.delete(id);
    // One that has ended is no longer known.
    for (let i = 0; i < submitted; i++) {
      this.#call(this.#io.cancel, this.#context, this.#address(control) + IOCB * i, this.#address(this.#events));
    }
    if (this.#waits.size === 0) this.#rest ??= setTimeout(() => this.#pause(), PATIENCE);
    return submitted === n;
  }

  #call(number: number, ...[a1 = 0, a2 = 0, a3 = 0, a4 = 0, a5 = 0, a6 = 0]: number[]): number {
    return this.#c.syscall(number, a1, a2, a3, a4, a5, a6);
  }

  #open(): boolean {
    if (this.#context === 0) {
      const context = new BigUint64Array(16);
      const failed = this.#call(this.#io.setup, DEPTH, this.#address(context)) < 0;
      this.#context = failed ? -1 : Number(context[0]);
    }
    if (this.#eventfd < 0) this.#eventfd = this.#c.eventfd(0, EFD_CLOEXEC_NONBLOCK);
    return this.#context > 0 && this.#eventfd >= 0;
  }

  /** Has the event loop look at the eventfd; false: there is no descriptor for that. */
  #listen(): boolean {
    if (this.#reader !== undefined) return true;
    try {
      this.#reader = builtin<Bun>("bun").file(this.#eventfd).stream().getReader();
    } catch {
      return false;
    }
    this.#read(this.#reader);
    return true;
  }

  async #read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    const events = this.#events, view = new DataView(events.buffer);
    const { getevents } = this.#io;
    while (!(await reader.read()).done) {
      const n = this.#call(getevents, this.#context, 0, DEPTH, this.#address(events), this.#address(this.#noTime));
      for (let i = 0; i < n; i++) this.#waits.get(view.getUint32(IO_EVENT * i, true))?.();
    }
  }

  /** Lets the process end, if nobody waits. */
  #pause(): void {
    this.#rest = undefined;
    if (this.#waits.size > 0) return;
    this.#reader?.cancel();
    this.#reader = undefined;
  }
}

/** The runtime's side of the library. */
export function openRuntime(): Runtime {
  return { name: "bun", libc: openPosix(openNative()), ...PROCESS };
}
