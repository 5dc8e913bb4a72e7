/**
 * Mounts beside a native directory: random sequences of operations are done in both, and both have to answer the same
 * and hold the same in the end. A failure is printed with its seed and the smallest sequence that shows it.
 *
 * `FUSEWIRE_RUNS` says how many sequences there are for each mount (2,000 unless told), `FUSEWIRE_SEED` which: the same
 * each time unless told, so that a change is judged by itself, and others by `random`:
 *
 *     FUSEWIRE_RUNS=100000 FUSEWIRE_SEED=random deno run -A scripts/dev.ts test -A tests/differential/
 */
import { spawn } from "node:child_process";
import process from "node:process";
import fc from "fast-check";
import { AT_FDCWD } from "../../ffi/libc.ts";
import { libc } from "../../ffi/load.ts";
import { cstring } from "../../src/abi/text.ts";
import { test } from "../support/harness.ts";
import { serve, SYSTEMS } from "../support/systems.ts";
import { compare } from "./compare.ts";
import { operation } from "./operations.ts";
import { must, openDirectory } from "./walk.ts";

const RUNS = Number(process.env.FUSEWIRE_RUNS ?? 2000);
const { FUSEWIRE_SEED = "1" } = process.env;
const SEED = FUSEWIRE_SEED === "random" ? Date.now() % 2 ** 31 : Number(FUSEWIRE_SEED);
/** How long one sequence may take on the slowest machine, ms. */
const EACH = 150;
/** How long a failure may be made smaller, ms. */
const SHRINKING = 60_000;

/**
 * Ends a process after a while. The comparing process waits in the kernel: should the server hang, no timer of its own
 * would run.
 */
function doomed(pid: number, milliseconds: number): Disposable {
  const child = spawn("sh", ["-c", `sleep ${milliseconds / 1000}; kill -KILL ${pid}`], {
    detached: true,
    stdio: "ignore",
  });
  child.unref();
  return { [Symbol.dispose]: () => void (child.exitCode ?? process.kill(-child.pid!, "SIGKILL")) };
}

/** A folder that is so deep in another one that no ".." of an operation leads out of that. */
function deepIn(folder: string): Disposable & { readonly fd: number } {
  let path = folder;
  for (let level = 0; level < 6; level++) {
    must(libc().mkdirat(AT_FDCWD, cstring(path += "/up"), 0o755), `mkdir ${path}`);
  }
  const fd = openDirectory(AT_FDCWD, path);
  return { fd, [Symbol.dispose]: () => void libc().close(fd) };
}

/** Compares random sequences; throws the smallest difference. */
function check(native: string, mount: string): void {
  using a = deepIn(native);
  using b = deepIn(mount);
  let count = 0;
  const property = fc.property(fc.array(operation, { maxLength: 40, size: "max" }), (operations) => {
    const difference = compare(operations, a.fd, b.fd, String(++count));
    if (difference !== null) throw new Error(difference);
  });
  const { failed, numRuns, numShrinks, errorInstance } = fc.check(property, {
    seed: SEED,
    numRuns: RUNS,
    interruptAfterTimeLimit: RUNS * EACH + SHRINKING,
    markInterruptAsFailure: true,
  });
  if (!failed) return;
  const what = errorInstance instanceof Error ? errorInstance.message : "no difference, but too slow";
  throw new Error(`seed ${SEED}, after ${numRuns} sequences, made smaller ${numShrinks} times:\n${what}`, {
    cause: errorInstance,
  });
}

for (const system of SYSTEMS) {
  test(
    `${system.name}: random operations answer and leave what they do on a native file system`,
    { needs: ["root", "fuse"], sanitize: false, timeout: RUNS * EACH + 3 * SHRINKING },
    async () => {
      await using served = await serve(system, "tmpfs");
      using _ = doomed(served.server.pid, RUNS * EACH + 2 * SHRINKING);
      check(served.outside, served.mountpoint);
    },
  );
}
