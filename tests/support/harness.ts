/**
 * What tests against the kernel stand on: needs and skips, folders and processes that are always cleaned up.
 *
 * A file system under test may be served by the very process that tests it. So everything here that could reach a
 * mountpoint is asynchronous, and what is mounted is read from `/proc/self/mountinfo`.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs/promises";
import { tmpdir } from "node:os";
import process from "node:process";
import { isUnder, type Mount, mounts, unmount, unmountNow } from "./mounts.ts";
import { type Need, plan, thisMachine } from "./needs.ts";
import { type Exit, must, type RunOptions, type Signal, start, within } from "./run.ts";
import { atEnd, register, type TestContext } from "./runner.ts";
import { command, isOfRuntime, RUNTIME } from "./runtime.ts";

export { type Mount, mountsUnder } from "./mounts.ts";
export { env, must, type MustOptions, type Result, run, type RunOptions, type Signal } from "./run.ts";
export { type TestContext } from "./runner.ts";
export { command, invocation, ROOT, RUNTIME, runtimeIn } from "./runtime.ts";

/** How a test is run. */
export interface TestOptions {
  /** What it needs of the machine. Where that is missing it is ignored, under a name that says so. */
  needs?: readonly Need[];
  /** On which runtimes it cannot be, and why. */
  except?: { readonly [Runtime in typeof RUNTIME]?: string };
  /** false: does not fail for calls and resources that stay open, such as a waiting nonblocking `poll`. */
  sanitize?: boolean;
  /** Milliseconds until it fails and what it left is taken away; 120,000 unless told. */
  timeout?: number;
}

/** Something that a test has to give back. */
interface Held {
  readonly what: string;
  release(): Promise<void>;
  /** For the end of the process. */
  releaseNow(): void;
}

let held = new Set<Held>();
const everything = new Set<Held>();

function hold(item: Held): () => boolean {
  const own = held;
  own.add(item);
  everything.add(item);
  return () => own.delete(item) && everything.delete(item);
}

atEnd(() => {
  for (const item of [...everything].reverse()) {
    try {
      item.releaseNow();
    } catch (error) {
      console.error(`${item.what} is left behind: ${error}`);
    }
  }
});

/** Registers a test. What it leaves behind is taken away, and is a failure where the test had none. */
export function test(name: string, options: TestOptions, fn: (t: TestContext) => void | Promise<void>): void;
/** Registers a test that needs nothing. */
export function test(name: string, fn: (t: TestContext) => void | Promise<void>): void;
export function test(
  name: string,
  optionsOrFn: TestOptions | ((t: TestContext) => void | Promise<void>),
  maybeFn?: (t: TestContext) => void | Promise<void>,
): void {
  const [options, fn] = typeof optionsOrFn === "function" ? [{}, optionsOrFn] : [optionsOrFn, maybeFn!];
  const { needs = [], except = {}, sanitize = true, timeout = 120_000 } = options;
  const why = except[RUNTIME];
  if (why !== undefined) return test.skip(`${name} (skipped on ${RUNTIME}: ${why})`);
  const { failure, ...planned } = plan(name, needs, thisMachine());
  register({
    ...planned,
    sanitize,
    timeout,
    async fn(t) {
      if (failure !== undefined) throw new Error(failure);
      await guarded(() => fn(t), timeout);
    },
  });
}

/** A step of a test that is skipped, and says why. */
export async function skipped(t: TestContext, why: string): Promise<void> {
  await t.step({ name: `skipped: ${why}`, ignore: true, fn: () => {} });
}

/** Registers a test that is not run, under a name that says why. */
test.skip = (name: string): void =>
  register({ name, ignore: true, sanitize: false, timeout: 0, fn: () => Promise.resolve() });

/** Runs the body of a test with a deadline, and takes away what it leaves. */
export async function guarded(body: () => void | Promise<void>, timeout: number): Promise<void> {
  const outer = held;
  const own = held = new Set();
  const left: string[] = [];
  try {
    const done = await within(Promise.resolve().then(body).then(() => true), timeout);
    if (!done) throw new Error(`the test did not end within ${timeout} ms`);
  } finally {
    for (const item of [...own].reverse()) {
      left.push(item.what);
      await item.release().catch((error) => left.push(String(error)));
    }
    held = outer;
  }
  if (left.length > 0) throw new Error(`the test left behind: ${left.join("; ")}`);
}

/** A temporary folder. */
export interface TempDir extends AsyncDisposable {
  readonly path: string;
  /** The path of something in it. */
  join(...names: string[]): string;
}

/** Makes an empty folder that everybody may enter. Disposing it unmounts what is in it and removes it. */
export async function tempDir(options: { prefix?: string; dir?: string } = {}): Promise<TempDir> {
  const { prefix = "fusewire-", dir = tmpdir() } = options;
  const path = await fs.realpath(await fs.mkdtemp(`${dir}/${prefix}`));
  await fs.chmod(path, 0o755);
  const item: Held = {
    what: `the folder ${path}`,
    async release() {
      if (!drop()) return;
      await unmount(isUnder(path));
      // Names may be no UTF-8, which not every runtime can remove.
      await must(["rm", "-r", path]);
    },
    releaseNow() {
      unmountNow(isUnder(path));
      spawnSync("rm", ["-r", path], { stdio: "inherit" });
    },
  };
  const drop = hold(item);
  return {
    path,
    join: (...names) => [path, ...names].join("/"),
    [Symbol.asyncDispose]: item.release,
  };
}

/** A process that runs and has said that it is ready. */
export interface Running extends AsyncDisposable {
  readonly pid: number;
  /** Resolves when it has ended. */
  readonly exited: Promise<Exit>;
  /** What it has printed so far, on both streams. */
  readonly output: string;
  /**
   * Sends a signal, SIGTERM unless told, and waits for the end; after `patience` ms, 20,000 unless told,
   * SIGKILL follows.
   */
  stop(signal?: Signal, patience?: number): Promise<Exit>;
}

/** How something is started that says when it is ready. */
export interface ReadyOptions extends RunOptions {
  /** What it says then; the word "mounted" unless told. */
  ready?: RegExp;
}

/** What those say that are ready and mount nothing. */
export const READY = /^ready$/m;

/** {@linkcode startReady} for `examples/NAME.ts`, on Deno with `--allow-ffi` alone. */
export async function startExample(
  name: string,
  args: readonly string[] = [],
  options: ReadyOptions = {},
): Promise<Running> {
  return await startReady(command(`../../examples/${name}.ts`, import.meta.url, ...args), options);
}

/** Picks the mounts at the folders that a command names, except where something is mounted already. */
async function mountsAtOneOf(command: readonly string[]): Promise<(mount: Mount) => boolean> {
  const named = await Promise.all(command.map((word) => fs.realpath(word).catch(() => word)));
  const taken = await mounts(({ path }) => named.includes(path));
  const free = named.filter((path) => !taken.some((mount) => mount.path === path));
  return ({ path }) => free.includes(path);
}

/**
 * Starts a command and waits until its standard output says that it is ready, 60 s at most unless `timeout` says
 * otherwise. Disposing it ends it and takes away the mount at any of its words.
 */
export async function startReady(command: readonly string[], options: ReadyOptions = {}): Promise<Running> {
  const { timeout = 60_000, ready = /\bmounted\b/i } = options;
  const isOwn = await mountsAtOneOf(command);
  const child = start(command, options);
  const stop = async (signal: Signal = "SIGTERM", patience = 20_000): Promise<Exit> => {
    child.kill(signal);
    const exit = await within(child.exited, patience);
    if (exit) return exit;
    child.kill("SIGKILL");
    await unmount(isOwn);
    return await child.exited;
  };
  const item: Held = {
    what: `process ${child.pid}: ${command.join(" ")}`,
    async release() {
      if (!drop()) return;
      await stop();
      await unmount(isOwn);
    },
    releaseNow() {
      child.kill("SIGKILL");
      unmountNow(isOwn);
    },
  };
  const drop = hold(item);
  let watch: ReturnType<typeof setInterval> | undefined;
  const said = new Promise<"ready">((resolve) => {
    watch = setInterval(() => {
      if (ready.test(child.stdout())) resolve("ready");
    }, 10);
  });
  try {
    const result = await within(Promise.race([said, child.exited]), timeout);
    if (result !== "ready") {
      const what = result === undefined ? `not ready after ${timeout} ms` : `ended (${result.code ?? result.signal})`;
      throw new Error(`${command.join(" ")}: ${what}; its output:\n${child.output()}`);
    }
  } catch (error) {
    await item.release();
    throw error;
  } finally {
    clearInterval(watch);
  }
  return {
    pid: child.pid,
    exited: child.exited,
    get output() {
      return child.output();
    },
    stop,
    [Symbol.asyncDispose]: item.release,
  };
}

/** The open descriptors of a process, this one unless told, without those of the runtime: number to what is open. */
export async function openFds(pid: number = process.pid): Promise<Map<number, string>> {
  const folder = `/proc/${pid}/fd`;
  const found = new Map<number, string>();
  for (const name of await fs.readdir(folder)) {
    // Closed since it was listed: the descriptor that lists.
    const target = await fs.readlink(`${folder}/${name}`).catch(() => undefined);
    if (target !== undefined && target !== folder && !isOfRuntime(target)) found.set(Number(name), target);
  }
  return found;
}

/** Waits until a condition holds, and fails after `timeout` milliseconds, 30,000 unless told. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeout = 30_000,
): Promise<void> {
  const end = performance.now() + timeout;
  while (!await condition()) {
    if (performance.now() > end) throw new Error(`not within ${timeout} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
