/**
 * Mounts in a process of its own, which needs no permission but `--allow-ffi`: `holder.ts JSON [crowded]`, where the
 * JSON is a {@linkcode Plan}. Says a line of JSON for the mount and for each step. Crowded: it begins without any
 * descriptor left, and tries again with one more until it mounts.
 */
import { libc } from "../../ffi/load.ts";
import { cstring } from "../../src/abi/text.ts";
import { mountDevice, type Mounted, type MountOptions } from "../../src/mount/device.ts";

/** What to do. `hold` waits for ever; `enter` and `leave` keep the mount busy; `left` counts what is left behind. */
export interface Plan {
  readonly mountpoint: string;
  readonly options?: MountOptions;
  readonly steps: readonly ("unmount" | "lazy" | "abort" | "isMounted" | "enter" | "leave" | "end" | "hold")[];
}

/** What the first line says. */
export interface Report {
  readonly mounted?: Pick<Mounted, "path" | "how" | "device">;
  readonly error?: { readonly code: string; readonly message: string; readonly path?: string; readonly call?: string };
  /** Descriptors and children more than before, after a failure. */
  readonly left?: string;
}

const c = libc();
const { PATH, CLOEXEC } = c.O;

function descriptors(): number {
  let open = 0;
  for (let fd = 0; fd < 512; fd++) if (c.fcntl(fd, 1, 0) >= 0) open++;
  return open;
}

/** "0 descriptors, no children" where all was given back; zombies count as children. */
async function left(before: number): Promise<string> {
  const WNOHANG = 1;
  const children = await c.waitpidAsync(-1, new Uint8Array(128), WNOHANG) === -1 ? "no" : "some";
  return `${descriptors() - before} descriptors, ${children} children`;
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
  say({ mounted: { path, how, device } } satisfies Report);
  let inside = -1;
  for (const step of steps) {
    if (step === "hold") setInterval(() => {}, 60_000);
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

if (import.meta.main) {
  const [plan, crowded] = Deno.args;
  // The runtime opens what it keeps at its first asynchronous call.
  c.close(await c.openAsync(cstring("/"), PATH | CLOEXEC));
  const crowd: number[] = [];
  for (let fd; crowded !== undefined && (fd = c.open(cstring("/dev/null"), CLOEXEC, 0)) >= 0;) crowd.push(fd);
  while (!await act(JSON.parse(plan)) && crowd.length > 0) c.close(crowd.pop()!);
}
