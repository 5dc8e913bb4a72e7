/**
 * Mounts in a process of its own, which needs no permission but `--allow-ffi`: `holder.ts JSON [crowded]`, where the
 * JSON is a {@linkcode Plan}. Says a line of JSON for the mount and for each step. Crowded: it begins without any
 * descriptor left, and tries again with one more until it mounts.
 */
import process from "node:process";
import { libc } from "../../ffi/load.ts";
import { F_GETFD, F_GETFL, FD_CLOEXEC } from "../../ffi/process.ts";
import { cstring } from "../../src/abi/text.ts";
import { pathOf } from "../../src/mount/procfs.ts";
import { type KernelMountOptions, mountDevice, type Mounted } from "../../src/mount/device.ts";
import { isOfRuntime } from "../support/runtime.ts";
import { settle } from "../support/settle.ts";

/**
 * What to do. `hold` waits for ever; `enter` and `leave` keep the mount busy; `end` releases all and says what is left;
 * `vanish` ends this thread, and no other.
 */
export interface Plan {
  readonly mountpoint: string;
  readonly options?: KernelMountOptions;
  readonly steps:
    readonly ("unmount" | "lazy" | "abort" | "isMounted" | "enter" | "leave" | "end" | "hold" | "vanish")[];
}

/** What the first line says. */
export interface Report {
  readonly mounted?: Pick<Mounted, "path" | "how" | "device"> & { nonblocking: boolean; closedByExec: boolean };
  readonly error?: { readonly code: string; readonly message: string; readonly path?: string; readonly call?: string };
  /** After a failure: what is there that was not before. */
  readonly left?: readonly string[];
}

const c = libc();
const { PATH, CLOEXEC, NONBLOCK } = c.O;

/** What is open: `3 /dev/fuse`. Without files and sockets that the runtime opens and closes in its own time. */
function descriptors(): Set<string> {
  const open = new Set<string>();
  for (let fd = 0; fd < 512; fd++) {
    const path = pathOf(c, `fd/${fd}`);
    if (typeof path === "string" && !isOfRuntime(path) && !/^socket:|^\/.*(cache|\.ts)/.test(path)) {
      open.add(`${fd} ${path}`);
    }
  }
  return open;
}

/** What is there that was not before: descriptors and children, zombies too. */
async function left(before: Set<string>): Promise<string[]> {
  const WNOHANG = 1;
  const children = await c.waitpidAsync(-1, new Uint8Array(128), WNOHANG) === -1 ? [] : ["children"];
  return [...[...descriptors()].filter((open) => !before.has(open)), ...children];
}

const say = (value: unknown) => console.log(JSON.stringify(value));

/** Mounts and takes the steps. */
async function act({ mountpoint, options = {}, steps }: Plan): Promise<boolean> {
  const before = descriptors();
  let mounted: Mounted;
  try {
    mounted = await mountDevice(mountpoint, options);
  } catch (error) {
    const { code, message, path, syscall: call } = error as Error & Record<string, string>;
    say({ error: { code, message, path, call }, left: await left(before) } satisfies Report);
    return false;
  }
  const { path, how, device } = mounted;
  const nonblocking = (c.fcntl(mounted.fd, F_GETFL, 0) & NONBLOCK) !== 0;
  const closedByExec = c.fcntl(mounted.fd, F_GETFD, 0) === FD_CLOEXEC;
  say({ mounted: { path, how, device, nonblocking, closedByExec } } satisfies Report);
  let inside = -1;
  for (const step of steps) {
    if (step === "hold") setInterval(() => {}, 60_000);
    else if (step === "vanish") c.syscall(c.architecture === "x86_64" ? 60 : 93, [0n]);
    else if (step === "isMounted") say(mounted.isMounted());
    else if (step === "abort") say(mounted.abort());
    else if (step === "enter") inside = await c.openAsync(cstring(path), PATH | CLOEXEC);
    else if (step === "leave") c.close(inside);
    else if (step === "end") {
      await mounted.release();
      c.close(mounted.fd);
      say(await left(before));
    } else {
      say(await mounted.unmount({ lazy: step === "lazy" }).catch(({ code, message }) => ({ code, message })));
    }
  }
  return true;
}

const [plan, crowded] = process.argv.slice(2);
await settle();
const crowd: number[] = [];
for (let fd; crowded !== undefined && (fd = c.open(cstring("/dev/null"), CLOEXEC, 0)) >= 0;) crowd.push(fd);
while (!await act(JSON.parse(plan)) && crowd.length > 0) c.close(crowd.pop()!);
