/**
 * The C library through koffi, for Node. On Bun its own takes over: the npm build has one module in place of deno.ts.
 */
import koffi from "koffi";
import process from "node:process";
import { openRuntime as openBun } from "./bun.ts";
import { POLLIN, POLLOUT } from "./libc.ts";
import { type Arguments, type Functions, type Native, openPosix, PROCESS } from "./posix.ts";
import type { Runtime } from "./runtime.ts";
import { architectureOf, firstLibrary, SYMBOLS } from "./symbols.ts";

const TYPES = {
  buffer: "void *",
  pointer: "uintptr_t",
  i16: "int16_t",
  i32: "int32_t",
  u32: "uint32_t",
  i64: "int64_t",
  u64: "uint64_t",
  usize: "size_t",
} as const;

function openNative(): Native {
  const architecture = architectureOf(process.platform, process.arch);
  const library = firstLibrary(architecture, (name) => koffi.load(name));
  const functions = Object.fromEntries(
    Object.entries(SYMBOLS).map(([name, { parameters, result }]) => [
      name,
      library.func(name, TYPES[result], parameters.map((type) => TYPES[type])),
    ]),
  );
  const c = functions as unknown as Functions;
  return {
    architecture,
    c,
    errno: () => koffi.errno(),
    address: (buffer) => koffi.address(buffer),
    memory: (address, length) => new Uint8Array(koffi.view(address, length)),
    pollAsync: (fds, count, timeout) => poll(c, fds, count, timeout),
    turnAsync: () => new Promise((resolve) => setImmediate(resolve)),
    elsewhere: <Name extends keyof Functions>(name: Name, ...args: Arguments<Name>) =>
      new Promise((resolve, reject) => {
        functions[name].async(...args, (error: unknown, value: number) => {
          if (error) reject(error);
          else resolve(value < 0 ? -koffi.errno() : value);
          // Nothing else keeps the buffers until here.
          args.length = 0;
        });
      }),
  };
}

type Watch = ReturnType<typeof koffi.node.poll>;

// The event loop's watches by their descriptor. One at rest serves whatever is open under that number next.
const watches = new Map<number, Watch>();
const watched = new Set<number>();

const F_DUPFD_CLOEXEC = 1030;

/** Calls back once a descriptor is ready; the answer ends the watch. */
function watch(c: Functions, fd: number, events: number, callback: () => void): () => void {
  // The event loop takes each number once.
  if (watched.has(fd)) {
    const copy = c.fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) throw new Error(`cannot wait for descriptor ${fd} twice: fcntl(2) failed`);
    const end = watch(c, copy, events, callback);
    return () => {
      end();
      c.close(copy);
    };
  }
  const what = { readable: (events & POLLIN) !== 0, writable: (events & POLLOUT) !== 0, disconnect: true };
  const own = watches.get(fd);
  if (own !== undefined) own.start(what, callback);
  else watches.set(fd, koffi.node.poll(fd, what, callback));
  watched.add(fd);
  return () => {
    watches.get(fd)!.stop();
    watched.delete(fd);
  };
}

/** `poll(2)` by the event loop. */
async function poll(c: Functions, fds: Uint8Array, count: number, timeout: number): Promise<number> {
  // What cannot be watched, such as a file or a bad descriptor, is ready at once.
  const ready = c.poll(fds, count, 0);
  const view = new DataView(fds.buffer, fds.byteOffset);
  const ends: (() => void)[] = [];
  await new Promise<void>((resolve) => {
    // What calls back from a watch would run no promises.
    const end = () => void setImmediate(resolve);
    if (ready !== 0 || timeout === 0) return end();
    if (timeout > 0) {
      const timer = setTimeout(resolve, timeout);
      ends.push(() => clearTimeout(timer));
    }
    for (let at = 0; at < 8 * count; at += 8) {
      const fd = view.getInt32(at, true);
      if (fd >= 0) ends.push(watch(c, fd, view.getInt16(at + 4, true), end));
    }
  });
  for (const end of ends) end();
  return ready !== 0 ? ready : c.poll(fds, count, 0);
}

/** The runtime's side of the library. */
export function openRuntime(): Runtime {
  if (process.versions.bun !== undefined) return openBun();
  return { name: "node", libc: openPosix(openNative()), ...PROCESS };
}
