/** Runs cases on a folder. */
import { ERRNO, type ErrnoName, errnoName } from "../errno.ts";
import { type Case, type Cases, Failure, type Need, type Other, Place, show, Skipped, type Tally } from "./place.ts";
import { ThisThread } from "./caller.ts";
import { OtherProcess } from "./other_process.ts";
import { KernelSys } from "./kernel_sys.ts";
import type { Sys } from "./sys.ts";
import type { Filesystem } from "../fs/filesystem.ts";
import { begin, inProcess } from "./in_process.ts";

/** How cases are run. */
export interface RunOptions {
  /** Which cases: those whose name it matches. All unless told. */
  filter?: RegExp;
  /** Cases that are not run, by name, with the reason. */
  skip?: Readonly<Record<string, string>>;
  /** What the file system does not have. The cases that need it are skipped. */
  lacks?: readonly Need[];
  /** How much the file system holds, bytes: where it is told, cases fill it. */
  space?: number;
  /** How much the user Alice (uid 64001) may have, bytes: where it is told, a case uses it up. */
  quota?: number;
  /**
   * Absolute path of a file on the file system that has nearly as many names as a file can have there, 100 less at
   * most: where it is told, a case gives it the rest.
   */
  crowded?: string;
  /** Called after each case. */
  log?: (outcome: Outcome) => void;
}

/** What became of a case. */
export interface Outcome {
  /** The name of the case. */
  readonly name: string;
  /** `"skipped"`: it needs what is not there. */
  readonly result: "ok" | "failed" | "skipped";
  /** How many assertions were made. */
  readonly assertions: number;
  /** Which calls answered which errno, as they should: `"mkdir EEXIST"`. */
  readonly errnos: readonly string[];
  /** Which call did what in place of what, or why it was skipped. */
  readonly message?: string;
}

/** Needs that an option tells. */
const TOLD: { readonly [N in Need]?: keyof RunOptions } = {
  "space": "space",
  "quota": "quota",
  "many names": "crowded",
};

/** Why a case cannot run, or undefined. */
function missing({ needs = [] }: Case, options: RunOptions, lacks: readonly Need[]): string | undefined {
  const absent = needs.filter((need) =>
    lacks.includes(need) || options.lacks?.includes(need) || need in TOLD && options[TOLD[need]!] === undefined
  );
  return absent.length === 0 ? undefined : `needs ${absent.join(", ")}`;
}

/** Does what belongs to a case, and answers what became of it: rejects never. */
async function reported(name: string, tally: Tally, action: () => void | Promise<void>): Promise<Outcome> {
  const done = (result: Outcome["result"], message?: string): Outcome => ({
    name,
    result,
    assertions: tally.assertions,
    errnos: [...tally.errnos],
    ...(message === undefined ? {} : { message }),
  });
  try {
    await action();
    return done("ok");
  } catch (error) {
    if (error instanceof Skipped) return done("skipped", error.message);
    if (error instanceof Failure) return done("failed", error.message);
    return done("failed", error instanceof Error ? error.stack : String(error));
  }
}

/**
 * Runs cases on a folder of a mounted file system, each in a new folder there, and answers what became of them. The
 * thread that serves the file system must be another one. As root, the cases change this thread's user for a while, and
 * the process's umask.
 *
 * Or runs them on a file system itself, without a kernel: on any platform, without privileges. It has to answer in the
 * same turn. Cases that take a kernel are skipped then, and so is what the kernel checks: permissions.
 *
 * @example
 * ```ts
 * import type { Filesystem } from "@fusewire/fusewire";
 * import { posixCases, runCases } from "@fusewire/fusewire/testing";
 *
 * const readOnly: Filesystem = { getattr: () => ({ attr: { mode: 0o040755 } }), lookup: () => null };
 * const failed = (await runCases(posixCases, readOnly)).filter(({ result }) => result === "failed");
 * for (const { name, message } of failed) console.error(`${name}: ${message}`);
 * ```
 */
export async function runCases(cases: Cases, at: string | Filesystem, options: RunOptions = {}): Promise<Outcome[]> {
  const { filter, skip = {}, log } = options;
  const ground = typeof at === "string" ? new Mounted(at) : new Unmounted(at);
  const outcomes: Outcome[] = [];
  try {
    for (const [name, run] of Object.entries(cases)) {
      if (filter && !filter.test(name)) continue;
      const reason = skip[name] ?? missing(run, options, ground.lacks);
      const outcome: Outcome = reason === undefined
        ? await runOne(name, run, ground, options)
        : { name, result: "skipped", assertions: 0, errnos: [], message: reason };
      outcomes.push(outcome);
      log?.(outcome);
    }
  } finally {
    await ground.stop();
  }
  return outcomes;
}

/** Where cases run: a folder for each. */
interface Ground {
  /** What no case can have here. */
  readonly lacks: readonly Need[];
  /** The calls on the folder above. */
  readonly top: Sys;
  /** A folder's absolute path. */
  path(folder: string): string;
  /** The calls on a folder. */
  sys(path: string): Sys;
  /** Another process at a folder; null where there can be none. */
  other(path: string, tally: Tally): Promise<OtherPlace | null>;
  /** Ends the other process. */
  stopOther(): Promise<void>;
  stop(): Promise<void>;
}

/** A folder of a file system that the kernel knows. */
class Mounted implements Ground {
  readonly lacks: readonly Need[];
  readonly top: KernelSys;
  readonly #caller = new ThisThread();
  readonly #dir: string;
  readonly #mask: number;
  readonly #root: boolean;
  #helper?: OtherProcess | null;

  constructor(dir: string) {
    this.#dir = dir;
    this.top = new KernelSys(this.#caller, dir);
    this.#root = Number(this.#caller.call("getuid")) === 0;
    this.lacks = this.#root ? [] : ["users", "mounts", "privileged xattr"];
    // The other process inherits it.
    this.#mask = this.top.umask(0);
  }

  path(folder: string): string {
    return `${this.#dir}/${folder}`;
  }

  sys(path: string): Sys {
    return new KernelSys(this.#caller, path);
  }

  async other(path: string, tally: Tally): Promise<OtherPlace | null> {
    if (this.#helper === undefined) {
      this.#helper = await OtherProcess.start();
      // Its mounts are its own.
      if (this.#helper && this.#root) new KernelSys(this.#helper, this.#dir).unshareMounts();
    }
    return this.#helper && new OtherPlace(this.#helper, new KernelSys(this.#helper, path), path, tally);
  }

  async stopOther(): Promise<void> {
    await this.#helper?.stop();
    this.#helper = undefined;
  }

  async stop(): Promise<void> {
    await this.stopOther();
    this.top.umask(this.#mask);
    this.top.release();
  }
}

/** A file system that no kernel knows. */
class Unmounted implements Ground {
  readonly lacks: readonly Need[] = ["users", "permissions", "process", "mounts", "privileged xattr", "acl"];
  readonly top: Sys;
  readonly #fs: Filesystem;

  constructor(fs: Filesystem) {
    this.#fs = fs;
    begin(fs);
    this.top = inProcess(fs, "/");
  }

  path(folder: string): string {
    return `/${folder}`;
  }

  sys(path: string): Sys {
    return inProcess(this.#fs, path);
  }

  other(): Promise<null> {
    return Promise.resolve(null);
  }

  stopOther(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    try {
      this.top.release();
    } finally {
      this.#fs.destroy?.();
    }
    return Promise.resolve();
  }
}

let folders = 0;

async function runOne(name: string, run: Case, ground: Ground, options: RunOptions): Promise<Outcome> {
  const { top } = ground;
  const { space, quota, crowded } = options;
  const folder = `case-${Date.now().toString(36)}-${folders++}`;
  const dir = ground.path(folder);
  const above = new Place({ sys: top, dir });
  const prepared = await reported(name, above.tally, () => void above.ok.mkdir(folder, 0o755));
  if (prepared.result !== "ok") return prepared;
  const tally: Tally = { assertions: 0, errnos: new Set() };
  let sys = undefined as Sys | undefined, other = undefined as OtherPlace | undefined;
  const outcome = await reported(name, tally, async () => {
    sys = ground.sys(dir);
    if (run.needs?.some((need) => need === "process" || need === "mounts")) {
      other = await ground.other(dir, tally) ?? undefined;
      if (other === undefined) throw new Skipped("needs python3");
    }
    run(new Place({ sys, dir, other, space, quota, crowded, tally }));
  });
  try {
    // After a failure it may wait for something that will not come.
    if (outcome.result === "failed") await ground.stopOther();
    else other?.release();
  } catch {
    // It has ended.
    await ground.stopOther();
  }
  const found = [outcome];
  for (const behind of [() => sys?.release(), () => cleared(top, folder)]) {
    found.push(await reported(name, tally, behind));
  }
  return found.find(({ result }) => result === "failed") ?? outcome;
}

/** A second process at a place. */
class OtherPlace extends Place implements Other {
  readonly #by: OtherProcess;
  readonly #sys: KernelSys;
  #begun = "";

  constructor(by: OtherProcess, sys: KernelSys, dir: string, tally: Tally) {
    super({ sys, dir, tally });
    this.#by = by;
    this.#sys = sys;
  }

  release(): void {
    this.#sys.release();
  }

  begin(call: (sys: Sys) => unknown): void {
    const noting = new Proxy(this.#sys, {
      get: (sys, name: keyof Sys) => (...args: unknown[]) => {
        this.#begun = name;
        return (sys[name] as (...args: unknown[]) => unknown).apply(sys, args);
      },
    });
    this.#by.post(() => call(noting));
  }

  ended(milliseconds: number): boolean {
    return this.#by.ended(milliseconds);
  }

  end(): number {
    return Number(this.#by.take());
  }

  endsWith(code: ErrnoName): void {
    this.is(this.end(), -ERRNO[code], this.#begun);
    this.tally.errnos.add(`${this.#begun} ${code}`);
  }

  interrupt(): void {
    this.#by.interrupt();
  }

  start(argv: readonly string[]): number {
    return this.#by.start(argv);
  }

  kill(pid: number): void {
    this.#by.end(pid);
  }
}

/**
 * Fails unless a folder and all that is in it can be removed. What is gone already (ENOENT) is no failure. Nor is what
 * stays since the file system has no method for it (ENOSYS), or has become read-only as a whole (EROFS), as some do
 * whose device fails: whatever else went wrong then is not told either.
 */
function cleared(sys: Sys, folder: string): void {
  const wrong: string[] = [];
  clear(sys, folder, (call, path, result) => {
    if (typeof result !== "number" || result >= 0 || result === -ERRNO.ENOENT) return;
    if (result === -ERRNO.ENOSYS || result === -ERRNO.EROFS) throw new Skipped(`${call} says ${errnoName(result)}`);
    wrong.push(`${call}(${show(path)}): ${errnoName(result)}`);
  });
  // What follows from it, as that a folder is not empty, need not be told.
  if (wrong.length > 0) throw new Failure(`behind the case, expected success of ${wrong[0]}`);
}

/** Removes what it can of a folder and all that is in it, and tells what its calls answered. */
function clear(sys: Sys, path: string, told: (call: keyof Sys, path: string, result: unknown) => void): void {
  const stat = sys.lstat(path);
  told("lstat", path, stat);
  if (typeof stat === "number") return;
  if (stat.mode >> 12 !== 4) return told("unlink", path, sys.unlink(path));
  restore(sys, path);
  const fd = sys.open(path, "RDONLY|DIRECTORY|NOFOLLOW");
  told("open", path, fd);
  const names: string[] = [];
  if (fd >= 0) {
    let part;
    while (Array.isArray(part = sys.getdents(fd)) && part.length > 0) names.push(...part.map(({ name }) => name));
    told("getdents", path, part);
    sys.close(fd);
  }
  for (const name of names) if (name !== "." && name !== "..") clear(sys, `${path}/${name}`, told);
  told("rmdir", path, sys.rmdir(path));
}

/** Gives the rights back that a case may have taken away, which matters unless root runs. */
function restore(sys: Sys, path: string): void {
  try {
    sys.chmod(path, 0o700);
  } catch (error) {
    // Who cannot change them has not taken them away.
    if (!(error instanceof Skipped)) throw error;
  }
}
