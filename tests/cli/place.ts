/** A place to run the program in: a mount namespace with fusectl, and nothing else mounted through FUSE. */
import { cp } from "node:fs/promises";
import process from "node:process";
import { ordinaryPlace } from "../support/ordinary.ts";
import {
  command,
  env,
  type Mount,
  type Result,
  run,
  type Running,
  type RunOptions,
  RUNTIME,
  startReady,
} from "../support/harness.ts";

export { NOBODY } from "../support/ordinary.ts";

/** What {@linkcode cliPlace} needs. */
export const NEEDS = [
  ...["root", "fuse"] as const,
  ...["unshare", "nsenter", "setpriv", "fusermount3", "python3", "stat"].map((name) => `tool:${name}` as const),
];

/** The options of a test that starts many processes. */
export const options = { needs: NEEDS, sanitize: false, timeout: 240_000 };

/** Who runs the program. */
export type Who = "root" | "user";

/** Such a place. */
export interface CliPlace extends AsyncDisposable {
  /** Makes a folder of the ordinary user, and answers its path. */
  folder(...names: string[]): Promise<string>;
  /** The command of a module in this folder. */
  module(name: string, ...args: string[]): string[];
  /** The command line of the program, for a shell that runs there. */
  line(args: readonly string[]): string;
  /** Runs the program to its end. */
  fusewire(args: readonly string[], who?: Who, options?: RunOptions): Promise<Result>;
  /** Starts the program, which mounts. */
  serve(args: readonly string[], who?: Who): Promise<Running>;
  /** Runs any command to its end. */
  sh(line: string, who?: Who): Promise<Result>;
  /** Starts a command that says when it is ready: that it has mounted, unless told. */
  start(command: readonly string[], who?: Who, ready?: RegExp): Promise<Running>;
  /** What is mounted there at a folder and below it. */
  mountsUnder(folder: string): Promise<Mount[]>;
}

// Mounts of others, which this namespace has copies of, are not ours to ask. What lies inside one goes along with it.
const SETUP = `
awk '$3 ~ /^fuse(\\.|$)/ { print $2 }' /proc/self/mounts | while read -r point; do umount -l "$point" 2> /dev/null || :; done
mount -t fusectl none /sys/fs/fuse/connections
`;

/** Makes such a place. */
export async function cliPlace(): Promise<CliPlace> {
  const place = await ordinaryPlace();
  const settings: string[] = [];
  const registry = process.env.JSR_URL;
  if (registry?.startsWith("file:")) {
    // The ordinary user may not enter root's.
    const copy = place.dir.join("jsr");
    await cp(new URL(registry), copy, { recursive: true });
    await run(["chmod", "-R", "a+rX", copy]);
    settings.push(`JSR_URL=file://${copy}/`);
  }
  const as = (who: Who, command: readonly string[]) =>
    (who === "root" ? place.asRoot : place.asUser)(["env", "LC_ALL=C.UTF-8", ...settings, ...command]);
  const module = (name: string, ...args: string[]) => place.reachable(command(name, import.meta.url, ...args));
  const words = (args: readonly string[]) => module(RUNTIME === "deno" ? "../../cli.ts" : "./program.ts", ...args);
  const program = (args: readonly string[], who: Who = "root") => as(who, words(args));
  const { stderr } = await run(place.asRoot(["sh", "-c", SETUP]), { env });
  if (stderr !== "") throw new Error(stderr);
  return {
    folder: place.folder,
    module,
    line: (args) => words(args).map((word) => `'${word}'`).join(" "),
    fusewire: (args, who, options) => run(program(args, who), { env: { ...env, ...options?.env }, ...options }),
    serve: (args, who) => startReady(program(args, who), { env }),
    sh: (line, who = "root") => run(as(who, ["sh", "-c", line]), { env }),
    start: (command, who = "root", ready) => startReady(as(who, command), { env, ready }),
    mountsUnder: place.mountsUnder,
    [Symbol.asyncDispose]: place[Symbol.asyncDispose],
  };
}

/** The process that a shell's or a namespace's program has become: all of them keep their number. */
export async function signal(pid: number, name: "STOP" | "CONT" | "KILL"): Promise<void> {
  await run(["kill", `-${name}`, String(pid)]);
}

/** Ends what was started, however it is: stopped, or dead already. */
export async function kill(running: Running): Promise<void> {
  await signal(running.pid, "KILL");
  await running.exited;
}
