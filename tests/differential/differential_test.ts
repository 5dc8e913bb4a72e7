/**
 * Mounts beside a native directory: random sequences of operations are done in both, and both have to answer the same
 * and hold the same in the end. A failure is printed with its seed and the smallest sequence that shows it.
 *
 * `FUSEWIRE_RUNS` says how many sequences there are for each mount (2,000 unless told; an eighth of it where one of the
 * same file systems is served in another way), `FUSEWIRE_SEED` which: the same each time unless told, so that a change
 * is judged by itself, and others by `random`:
 *
 *     FUSEWIRE_RUNS=100000 FUSEWIRE_SEED=random deno run -A scripts/dev.ts test -A tests/differential/
 */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import process from "node:process";
import fc from "fast-check";
import { libc } from "../../ffi/load.ts";
import { cstring } from "../../src/abi/text.ts";
import { command, startReady, test } from "../support/harness.ts";
import { SEED } from "../support/seed.ts";
import { serve, type Served, type System, SYSTEMS } from "../support/systems.ts";
import { compare } from "./compare.ts";
import { operation } from "./operations.ts";
import type { Exemptions } from "./side.ts";
import { must } from "./walk.ts";

const RUNS = Number(process.env.FUSEWIRE_RUNS ?? 2000);

const NOTHING = cstring("");
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_REMOUNT = 32;

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

/** So deep that no ".." of an operation leads out of a folder. */
const DEEP = "/up".repeat(6);

/** A directory that stays open for a time; its descriptor is negative where there is none. */
function opened(path: string): Disposable & { readonly fd: number } {
  const { open, close, O } = libc();
  const fd = open(cstring(path), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  return { fd, [Symbol.dispose]: () => void close(fd) };
}

/** Makes the kernel forget what it does not use of a mount. */
function forget(mount: string): void {
  must(libc().mount(NOTHING, cstring(mount), NOTHING, MS_REMOUNT | MS_NOSUID | MS_NODEV, NOTHING), "remount");
}

/** Compares random sequences; throws the smallest difference. */
function check({ outside: native, mountpoint: mount, source }: Served, runs: number, exemptions: Exemptions): void {
  for (const folder of [native, mount]) mkdirSync(folder + DEEP, { recursive: true });
  using a = opened(native + DEEP);
  using b = opened(mount + DEEP);
  // Only a mirror has it there too.
  using c = opened(exemptions.alone ? "" : source + DEEP);
  let count = 0;
  const property = fc.property(fc.array(operation, { maxLength: 40, size: "max" }), (operations) => {
    const outside = { fd: a.fd, source: -1, forget: () => {} };
    const inside = { fd: b.fd, source: c.fd, forget: () => forget(mount) };
    const difference = compare(operations, outside, inside, String(++count), exemptions);
    if (difference !== null) throw new Error(difference);
  });
  const { failed, numRuns, numShrinks, errorInstance } = fc.check(property, {
    seed: SEED,
    numRuns: runs,
    interruptAfterTimeLimit: runs * EACH + SHRINKING,
    markInterruptAsFailure: true,
  });
  if (!failed) return;
  const what = errorInstance instanceof Error ? errorInstance.message : "no difference, but too slow";
  throw new Error(`seed ${SEED}, after ${numRuns} sequences, made smaller ${numShrinks} times:\n${what}`, {
    cause: errorInstance,
  });
}

/** How a file system of the kit is made, and how it is mounted. */
type Ways = readonly [made: object, mounted: object];

/** One of them, as the conformance map has it served. */
function of(kind: "memory" | "mirror", [made, mounted]: Ways): System["start"] {
  return (mountpoint, source) => {
    const what = kind === "mirror" ? `mirror:${source}` : kind;
    const words = [mountpoint, what, JSON.stringify(made), JSON.stringify(mounted)];
    return startReady(command("../posix/serve.ts", import.meta.url, ...words));
  };
}

const CHECKED = { defaultPermissions: true, posixAcl: true };
const OWN: Ways = [{ permissions: "own" }, { atomicOTrunc: true }];
const COLLECTED: Ways = [{}, { ...CHECKED, writebackCache: true }];
const KEPT: Ways = [{ entryTimeout: 60, attrTimeout: 60, negativeTimeout: 60, maxDescriptors: 16 }, CHECKED];

/** Flags of a write that do not come along: here, and there where the source is asked. */
const HERE = ["NOAPPEND"] as const, THERE = ["APPEND", "NOAPPEND"] as const;

/** A mount that is tried, with what no server of it could do. */
interface Tried extends System {
  readonly exemptions: Exemptions;
}

/** The systems that programs are tried on. */
const ORDINARY: readonly Tried[] = SYSTEMS.map((system) => ({
  ...system,
  exemptions: system.name === "memory"
    ? { rwf: HERE }
    : { append: system.name.endsWith("with passthrough"), rwf: THERE, path: true },
}));

/** Other ways to serve the same. */
const OTHERS: readonly Tried[] = [
  {
    name: "memory, which checks permissions itself",
    start: of("memory", OWN),
    exemptions: { unchecked: true, rwf: HERE },
  },
  {
    name: "mirror, checked by its source",
    start: of("mirror", OWN),
    exemptions: { unchecked: true, append: true, rwf: THERE, path: true },
  },
  { name: "memory, where the kernel collects writes", start: of("memory", COLLECTED), exemptions: { data: true } },
  {
    name: "mirror, where the kernel collects writes",
    start: of("mirror", COLLECTED),
    exemptions: { data: true, times: true, alone: true },
  },
  {
    name: "mirror, with names kept for long and few descriptors",
    start: of("mirror", KEPT),
    exemptions: { append: true, rwf: THERE, alone: true },
  },
];

for (const { exemptions, ...system } of [...ORDINARY, ...OTHERS]) {
  const runs = OTHERS.some(({ name }) => name === system.name) ? Math.ceil(RUNS / 8) : RUNS;
  test(
    `${system.name}: random operations answer and leave what they do on a native file system`,
    { needs: ["root", "fuse"], sanitize: false, timeout: runs * EACH + 3 * SHRINKING },
    async () => {
      await using served = await serve(system, "tmpfs");
      using _ = doomed(served.server.pid, runs * EACH + 2 * SHRINKING);
      check(served, runs, exemptions);
    },
  );
}
