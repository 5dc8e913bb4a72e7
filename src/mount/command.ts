/** Programs that are run to their end for what they say on stderr. */
import { type Libc, POLLIN } from "../../ffi/libc.ts";
import { spawn, waitExit } from "../../ffi/process.ts";
import { cstring, decodeName } from "../abi/text.ts";
import { ERRNO } from "../errno.ts";

/** How a program ended. */
export interface Ended {
  /** Exit code; 128 + n after signal n; -1: not known. */
  readonly status: number;
  /** What it said on stderr. */
  readonly text: string;
}

/** How a program is run. */
export interface CommandOptions {
  /** Its environment, as `NAME=value`. */
  readonly env?: readonly string[];
  /** Standard input; nothing unless told. */
  readonly input?: number;
  /** What it gets as descriptor 3. */
  readonly third?: number;
  /** How long it may take, ms. Default: for ever. */
  readonly timeout?: number;
}

const SIGKILL = 9, WNOHANG = 1;
/** How often, and with what pause in ms, the end of a killed program is looked for. */
const REAPS = 10, REAP_MS = 10;

/**
 * Runs a program to its end; -errno where it could not be started. -ETIMEDOUT: it was killed; where the kernel holds
 * it, in a call that a file system does not answer, it may not have ended yet.
 */
export async function command(
  libc: Libc,
  argv: readonly string[],
  { env = [], input, third, timeout = Infinity }: CommandOptions = {},
): Promise<Ended | number> {
  const open: number[] = [];
  try {
    const nothing = libc.open(cstring("/dev/null"), libc.O.RDWR | libc.O.CLOEXEC, 0);
    if (nothing < 0) return nothing;
    open.push(nothing);
    const pipe = new Int32Array(2);
    const failed = libc.pipe2(pipe, libc.O.CLOEXEC);
    if (failed < 0) return failed;
    const [stderr, theirs] = pipe;
    open.push(stderr);
    const fds = [input ?? nothing, nothing, theirs, ...third === undefined ? [] : [third]];
    const pid = await spawn(libc, { argv: argv.map(cstring), env: env.map(cstring), fds });
    // The last writer must be the program, or its end would not be seen.
    libc.close(theirs);
    if (pid < 0) return pid;
    const text = await drain(libc, stderr, performance.now() + timeout);
    if (text !== undefined) return { status: await waitExit(libc, pid), text };
    libc.kill(pid, SIGKILL);
    await reap(libc, pid);
    return -ERRNO.ETIMEDOUT;
  } finally {
    for (const fd of open) libc.close(fd);
  }
}

/** Reads a pipe to its end; undefined where that does not come in time. */
async function drain(libc: Libc, fd: number, end: number): Promise<string | undefined> {
  // struct pollfd: the descriptor, then what to wait for.
  const poll = new Uint8Array(128), view = new DataView(poll.buffer);
  view.setInt32(0, fd, true);
  view.setInt16(4, POLLIN, true);
  const buffer = new Uint8Array(4096);
  let text = "";
  for (;;) {
    const left = end === Infinity ? -1 : Math.max(0, Math.ceil(end - performance.now()));
    const ready = await libc.pollAsync(poll, 1, left);
    if (ready === 0) return undefined;
    const n = ready < 0 ? 0 : libc.read(fd, buffer);
    if (n <= 0) return text;
    text += decodeName(buffer, 0, n);
  }
}

/** Takes the remains of a killed child away, if it ends soon. */
async function reap(libc: Libc, pid: number): Promise<void> {
  const status = new Uint8Array(128);
  for (let i = 0; i < REAPS && await libc.waitpidAsync(pid, status, WNOHANG) === 0; i++) {
    await new Promise((resolve) => setTimeout(resolve, REAP_MS));
  }
}
