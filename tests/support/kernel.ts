/** A small tree of fixed content on the real kernel, what its handlers saw, and clients that write lines of JSON. */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import process from "node:process";
import { createInterface } from "node:readline";
import type { Attr, Entry, Filesystem, Negotiated, Request } from "../../mod.ts";
import { FuseError, mount, type MountOptions, ROOT_ID, type Session, type TraceEvent } from "../../mod.ts";
import { thisMachine } from "./needs.ts";
import { must, run, type Signal, type TempDir, tempDir, test, type TestOptions } from "./harness.ts";

const needs = ["root", "fuse", "tool:python3"] as const;
/** How every test here is registered. */
export const kernel = { needs, sanitize: false } as const;

/** What the kernel agrees on with who wants all it can; null where nothing can be mounted. */
async function agreed(): Promise<Negotiated | null> {
  const { root, fuse } = thisMachine();
  if (!root || !fuse) return null;
  await using served = await serve({}, { submounts: true, requestTimeout: 60_000 });
  return served.session.negotiated;
}

/** What lacks where the kernel is older than a minor version: nothing, or its name. */
export function since(minor: number): string[] {
  return KERNEL_MINOR >= minor ? [] : [`FUSE 7.${minor}`];
}

/** What lacks where the kernel does not offer a flag of INIT that only some kernels or transports offer. */
export function offered(flag: string): string[] {
  return KERNEL?.flags.has(flag) ? [] : [`a kernel that offers ${flag}`];
}

/** Registers a test against the kernel; skipped, under a name that says it, where the kernel lacks something. */
export function testWith(
  lacking: readonly string[],
  name: string,
  fn: () => Promise<void>,
  options: Pick<TestOptions, "except"> = {},
): void {
  if (lacking.length === 0) test(name, { ...kernel, ...options }, fn);
  else test.skip(`${name} (skipped: needs ${lacking.join(", ")})`);
}

/** What `file` holds. */
export const CONTENT: Uint8Array = bytes("hello\n");
/** What stat shows of each inode of the {@linkcode tree}. */
export const ATTRS: Readonly<Record<number, Attr>> = {
  [ROOT_ID]: { mode: 0o040755, nlink: 3 },
  2: { mode: 0o100644, size: CONTENT.length },
  3: { mode: 0o040755, nlink: 2 },
  4: { mode: 0o100644, size: CONTENT.length },
  5: { mode: 0o120777, size: 4 },
};
/** Names of the root, and their nodeids. */
export const NAMES: Readonly<Record<string, number>> = { file: 2, dir: 3, other: 4, link: 5 };

/** Bytes of a text of ASCII. */
export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The text of bytes. */
export function text(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}

/** An entry of the {@linkcode tree}, or of something made in it. */
export function entry(nodeid: number, attr: Attr = ATTRS[nodeid]): Entry {
  return { nodeid, attr };
}

/**
 * `file`, `other`, `dir` and `link` in the root, nothing of which the kernel keeps, and what a test changes about it.
 */
export function tree(changes: Filesystem = {}): Filesystem {
  return {
    lookup: ({ parent, name }) => parent === ROOT_ID && name in NAMES ? entry(NAMES[name]) : null,
    getattr: ({ nodeid }) => ({ attr: ATTRS[nodeid] }),
    readdir: ({ nodeid }) =>
      nodeid === ROOT_ID ? Object.entries(NAMES).map(([name, ino]) => ({ name, ino, mode: ATTRS[ino].mode })) : [],
    read: ({ offset, size }) => CONTENT.subarray(offset, offset + size),
    ...changes,
  };
}

type Method = keyof Filesystem;
type ArgsOf<M extends Method> = Parameters<NonNullable<Filesystem[M]>>[0];

/** One call of a handler. */
export interface Seen {
  readonly method: Method;
  /** With copies of what is borrowed. */
  readonly args: any;
  readonly request: Request;
}

/** A file system that is served by this process, and what was asked of it. */
export interface Served extends AsyncDisposable {
  readonly dir: TempDir;
  readonly session: Session;
  /** Every call so far. */
  readonly seen: readonly Seen[];
  /** Arguments of the calls of one method. */
  args<M extends Method>(method: M): ArgsOf<M>[];
  /** Every request that was answered so far, as the kernel calls it. */
  readonly opcodes: readonly string[];
  /** Forgets what was seen. */
  clear(): void;
  /** Runs a client to its end; answers what it said. */
  client(script: string, options?: ClientOptions): Promise<any[]>;
  /** Starts a client. */
  start(script: string, options?: ClientOptions): Promise<Client>;
}

function snapshot(args: unknown): unknown {
  if (typeof args !== "object" || args === null) return args;
  return Object.fromEntries(
    Object.entries(args).map(([key, value]) => [key, value instanceof Uint8Array ? value.slice() : value]),
  );
}

/** Every method, its calls noted before they are served. */
function noted(fs: Filesystem, seen: Seen[]): Filesystem {
  const wrapped: Record<string, unknown> = {};
  for (const [name, method] of Object.entries(fs) as [Method, (...a: any[]) => unknown][]) {
    wrapped[name] = (args: unknown, request: Request) => {
      seen.push({ method: name, args: snapshot(args), request });
      return method.call(fs, args, request);
    };
  }
  return wrapped as Filesystem;
}

/** Mounts a file system on a folder of its own; `prepare` may have done so already. Disposing it unmounts. */
export async function serve(
  fs: Filesystem,
  options: MountOptions = {},
  prepare: (dir: string) => MountOptions = () => ({}),
): Promise<Served> {
  const dir = await tempDir();
  const seen: Seen[] = [], opcodes: string[] = [];
  const trace = (event: TraceEvent) => {
    opcodes.push(event.opcode.replace("FUSE_", ""));
    options.trace?.(event);
  };
  let session: Session;
  try {
    session = await mount(noted(fs, seen), dir.path, { signals: false, ...options, ...prepare(dir.path), trace });
  } catch (error) {
    await dir[Symbol.asyncDispose]();
    throw error;
  }
  const start = (script: string, o?: ClientOptions) => startClient(script, [dir.path], o);
  return {
    dir,
    session,
    seen,
    args: (method) => seen.filter((call) => call.method === method).map(({ args }) => args),
    opcodes,
    clear() {
      seen.length = opcodes.length = 0;
    },
    start,
    async client(script, o) {
      await using client = await start(script, o);
      return await client.rest();
    },
    async [Symbol.asyncDispose]() {
      await session.unmount();
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** How a client is started. */
export interface ClientOptions {
  /** How it has to end: 0, its exit status, unless told; or null where that does not matter. */
  code?: number | null;
  /** Python that comes before the script. */
  prelude?: string;
  /** Milliseconds until it is killed; 60,000 unless told. */
  patience?: number;
}

/** A Python program that says values and waits to be told to go on. Disposing it ends it. */
export interface Client extends AsyncDisposable {
  readonly pid: number;
  /** The next value that it says. */
  next(): Promise<any>;
  /** Lets it go on behind a `wait()`. */
  go(): Promise<void>;
  kill(signal: Signal): void;
  /** What else it says until it ends. */
  rest(): Promise<any[]>;
}

const here = new URL("./", import.meta.url).pathname;

// A name in PATH may be a script that looks for the real one each time.
let interpreter: Promise<string> | undefined;
const python = () =>
  interpreter ??= run(["python3", "-c", "import sys; print(sys.executable)"]).then(({ stdout }) => stdout.trim());

/** Takes away the indentation that all lines share. */
function flush(script: string): string {
  const lines = script.split("\n").filter((line) => line.trim() !== "");
  const indent = Math.min(...lines.map((line) => line.length - line.trimStart().length));
  return lines.map((line) => line.slice(indent)).join("\n");
}

/** Starts a Python program that has all of `client.py`. */
export async function startClient(
  script: string,
  args: readonly string[],
  { code: expected = 0, patience = 60_000, prelude = "" }: ClientOptions = {},
): Promise<Client> {
  const program = `from client import *\n${prelude}\n${flush(script)}`;
  const child = spawn(await python(), ["-S", "-c", program, ...args], {
    env: { ...process.env, PYTHONPATH: here, PYTHONDONTWRITEBYTECODE: "1" },
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), patience);
  let complaints = "", gone = false;
  child.stderr.on("data", (said) => complaints += said);
  // A client that has ended does not wait for anything.
  child.stdin.on("error", () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise<number>((resolve) => {
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      gone = true;
      resolve(code ?? 128 + constants.signals[signal!]);
    });
  });

  async function line(): Promise<string | null> {
    const { value, done } = await lines.next();
    return done ? null : value;
  }
  async function check(): Promise<void> {
    const code = await ended;
    if (expected !== null && code !== expected) throw new Error(`the client ended with ${code}: ${complaints}`);
  }
  return {
    pid: child.pid!,
    async next() {
      const said = await line();
      if (said === null) {
        await check();
        throw new Error("the client has ended and says nothing more");
      }
      return JSON.parse(said);
    },
    go: () => new Promise((resolve) => child.stdin.write("\n", () => resolve())),
    // What Deno kills through the child itself has ended by that signal, it says, however it ended.
    kill: (signal) => void process.kill(child.pid!, signal),
    async rest() {
      const all: unknown[] = [];
      for (let said = await line(); said !== null; said = await line()) all.push(JSON.parse(said));
      await check();
      return all;
    },
    async [Symbol.asyncDispose]() {
      if (!gone) child.kill("SIGKILL");
      child.stdin.destroy();
      await ended;
    },
  };
}

/** Makes the kernel let go of every inode that nobody uses. */
export async function letGo(served: Served): Promise<void> {
  await must(["mount", "-i", "-o", "remount", served.dir.path]);
}

/** What a FuseError says in one word; fails where nothing was thrown. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof FuseError) return error.code;
    throw error;
  }
  return "ok";
}

const KERNEL = await agreed();

/** The minor version that the kernel and this library agree on; 0 where nothing can be mounted. */
export const KERNEL_MINOR: number = KERNEL?.minor ?? 0;
