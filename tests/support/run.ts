/** Child processes. All is asynchronous, since this process may serve what the child touches. */
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import process from "node:process";

/** What programs find in their environment. */
export const env: Readonly<Record<string, string>> = {
  // The system's programs first: ordinary users may not reach what root has installed for itself. Read when it is asked
  // for: who imports this module may be a program that has no right to.
  get PATH() {
    return `/usr/sbin:/usr/bin:/sbin:/bin:${process.env.PATH}`;
  },
  LC_ALL: "C.UTF-8",
};

/** A signal's name. */
export type Signal = keyof typeof constants.signals;

/** How a child is started. */
export interface RunOptions {
  /** After so many milliseconds it is killed, and `run` rejects; 60,000 unless told. */
  timeout?: number;
  /** Added to this process's environment. */
  env?: Record<string, string>;
  /** User to run as; only root can choose. */
  uid?: number;
  /** Group to run as; the number of the user unless told. */
  gid?: number;
  cwd?: string;
  /** What it reads from standard input; nothing unless told. */
  input?: string;
}

/** What a child that ended left. */
export interface Result {
  /** Exit status; 128 + n where signal n ended it, as a shell has it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a child ended. */
export interface Exit {
  /** Exit status; null where a signal ended it. */
  readonly code: number | null;
  readonly signal: string | null;
}

/** A running child and what it has said so far. */
export interface Child {
  readonly pid: number;
  /** Resolves when it has ended and its output is complete; rejects where it could not be started. */
  readonly exited: Promise<Exit>;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Both, in the order of arrival. */
  readonly output: () => string;
  /** Sends a signal to it and to the children that it started; nothing where it has ended. */
  readonly kill: (signal: Signal) => void;
}

/** Starts a child in a process group of its own. */
export function start(command: readonly string[], options: RunOptions = {}): Child {
  const { env, uid, gid = uid, cwd, input } = options;
  const child: ChildProcess = spawn(command[0], command.slice(1), {
    cwd,
    uid,
    gid,
    env: { ...process.env, ...env },
    detached: true,
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  const said: { from: "stdout" | "stderr"; bytes: Uint8Array }[] = [];
  for (const from of ["stdout", "stderr"] as const) {
    child[from]!.on("data", (bytes: Uint8Array) => said.push({ from, bytes }));
  }
  // A child that does not read its input to the end is no error of ours.
  child.stdin?.on("error", () => {});
  child.stdin?.end(input);
  const text = (wanted: (from: string) => boolean) => {
    const decoder = new TextDecoder();
    return said.filter(({ from }) => wanted(from)).map(({ bytes }) => decoder.decode(bytes, { stream: true })).join("");
  };
  let ended = false;
  const exited = new Promise<Exit>((resolve, reject) => {
    child.on("error", (error) => {
      ended = true;
      reject(new Error(`${command.join(" ")}: ${error.message}`, { cause: error }));
    });
    child.on("close", (code, signal) => {
      ended = true;
      resolve({ code, signal });
    });
  });
  return {
    pid: child.pid ?? 0,
    exited,
    stdout: () => text((from) => from === "stdout"),
    stderr: () => text((from) => from === "stderr"),
    output: () => text(() => true),
    kill(signal) {
      if (ended || child.pid === undefined) return;
      try {
        process.kill(-child.pid, signal);
      } catch {
        // It ended just now.
      }
    },
  };
}

/** Waits for a promise so many milliseconds; undefined where that was not enough. */
export async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Runs a program to its end: the words of a command, or a line for `sh -c`. A status other than 0 is no error; not to
 * end in time is one, with what the program had said.
 */
export async function run(command: readonly string[] | string, options: RunOptions = {}): Promise<Result> {
  const words = typeof command === "string" ? ["sh", "-c", command] : command;
  const { timeout = 60_000 } = options;
  const child = start(words, options);
  const exit = await within(child.exited, timeout);
  if (exit === undefined) {
    child.kill("SIGKILL");
    // Who hangs in the kernel does not even end then.
    await within(child.exited, 2000);
    throw new Error(`${words.join(" ")}: not ended after ${timeout} ms; its output:\n${child.output()}`);
  }
  const { code, signal } = exit;
  return {
    code: code ?? 128 + constants.signals[signal as Signal],
    stdout: child.stdout(),
    stderr: child.stderr(),
  };
}

/** How something is run that must succeed. */
export interface MustOptions extends RunOptions {
  /** It may say something on standard error all the same. */
  warns?: boolean;
}

/**
 * Runs what must succeed and say nothing on standard error, and answers what it said: the words of a command, or a line
 * for `bash -e`, which finds {@linkcode env} in its environment.
 */
export async function must(
  command: readonly string[] | string,
  { warns = false, ...options }: MustOptions = {},
): Promise<string> {
  const { code, stdout, stderr } = typeof command === "string"
    ? await run(["bash", "-ec", command], { ...options, env: { ...env, ...options.env } })
    : await run(command, options);
  if (code === 0 && (warns || stderr === "")) return stdout;
  throw new Error(
    `${typeof command === "string" ? command : command.join(" ")}: ended with ${code}\n${stdout}${stderr}`,
  );
}
