/**
 * Another process that makes system calls when it is told: one of Python, since that is where a C library is at hand.
 */
import { libc } from "../../ffi/load.ts";
import type { Libc, OpenFlags } from "../../ffi/libc.ts";
import { spawn, waitExit } from "../../ffi/process.ts";
import { cstring } from "../abi/text.ts";
import { ERRNO } from "../errno.ts";
import { type Argument, type Caller, numberOf, type Syscall } from "./caller.ts";

// Reads one request as a line of JSON, answers one line. Numbers travel as text, since they have 64 bits; memory as
// hexadecimal digits, without the zeros at its end.
const PROGRAM = `
import ctypes, json, os, select, signal, subprocess, sys, threading
syscall = ctypes.CDLL(None, use_errno=True).syscall
syscall.restype = ctypes.c_long
children = {}

# Ends with who asks, even where it sleeps in a call: once nobody can write a request any more. prctl(PR_SET_PDEATHSIG)
# would do so as soon as the thread ended that started it, which may be one of a pool.
def watch():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    requests = select.poll()
    requests.register(0, 0)
    requests.poll()
    try:
        for child in list(children.values()):
            child.kill()
    finally:
        os._exit(0)

watcher = threading.Thread(target=watch, daemon=True)
watcher.start()
# A handler without SA_RESTART.
signal.signal(signal.SIGUSR1, lambda *_: None)

def call(number, arguments):
    buffers, words = [], []
    for a in arguments:
        if isinstance(a, str):
            words.append(ctypes.c_long(int(a)))
        else:
            buffers.append(ctypes.create_string_buffer(bytes.fromhex(a["bytes"]), a["length"]))
            words.append(buffers[-1])
    value = syscall(ctypes.c_long(number), *words)
    if value == -1:
        value = -ctypes.get_errno()
    return [str(value), [b.raw.rstrip(b"\\0").hex() for b in buffers]]

# From this line on it sleeps nowhere but in the call.
def begin(number, arguments):
    print("null", flush=True)
    return call(number, arguments)

def start(argv):
    try:
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    except OSError as error:
        return -error.errno
    children[child.pid] = child
    return child.pid

def end(pid):
    child = children.pop(pid)
    child.kill()
    return child.wait()

def peek(address, length):
    return ctypes.string_at(int(address), length).hex()

def poke(address, data):
    ctypes.memmove(int(address), bytes.fromhex(data), len(data) // 2)

for line in sys.stdin:
    name, *arguments = json.loads(line)
    print(json.dumps(globals()[name](*arguments)), flush=True)
watcher.join()
`;

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => parseInt(text.slice(2 * i, 2 * i + 2), 16));
}

function buffer(memory: Uint8Array): { bytes: string; length: number } {
  const end = memory.findLastIndex((byte) => byte !== 0) + 1;
  // At least a byte, so that it has an address.
  return { bytes: toHex(memory.subarray(0, end)), length: Math.max(memory.length, 1) };
}

const SIGUSR1 = 10;

/** How long a call that was begun may take to its sleep, milliseconds. */
const PATIENCE = 10_000;

/** A process of its own, with its own descriptors, locks, user and namespaces. */
export class OtherProcess implements Caller {
  readonly O: OpenFlags;
  readonly #libc: Libc;
  readonly #pid: number;
  readonly #to: number;
  readonly #from: number;
  readonly #children = new Set<number>();
  #text = "";
  #posting = false;

  private constructor(libc: Libc, pid: number, to: number, from: number) {
    this.#libc = libc;
    this.#pid = pid;
    this.#to = to;
    this.#from = from;
    this.O = libc.O;
  }

  /** Starts one; null where there is no Python 3. */
  static async start(): Promise<OtherProcess | null> {
    const c = libc();
    const requests = new Int32Array(2), answers = new Int32Array(2);
    c.pipe2(requests, c.O.CLOEXEC);
    c.pipe2(answers, c.O.CLOEXEC);
    const path = c.getenv(cstring("PATH"));
    const pid = await spawn(c, {
      argv: ["python3", "-ISEBc", PROGRAM].map(cstring),
      env: path === null ? [] : [cstring(`PATH=${new TextDecoder().decode(path)}`)],
      fds: [requests[0], answers[1], 2],
    });
    c.close(requests[0]);
    c.close(answers[1]);
    if (pid > 0) return new OtherProcess(c, pid, requests[1], answers[0]);
    c.close(requests[1]);
    c.close(answers[0]);
    return null;
  }

  call(name: Syscall, ...args: Argument[]): bigint {
    this.#send([
      this.#posting ? "begin" : "call",
      numberOf(name, this.#libc.architecture),
      args.map((a) => {
        if (typeof a === "string") return buffer(cstring(a));
        if (typeof a !== "object") return `${a}`;
        if (a instanceof Uint8Array) return buffer(a);
        throw new TypeError("vectors are not passed on to the other process");
      }),
    ]);
    if (!this.#posting) return this.take(args);
    this.#receive();
    // A sleep that no signal ends shows otherwise, as does that for a page: it is given up for waiting in the end.
    for (const end = performance.now() + PATIENCE; !this.ended(1) && !this.#sleeps() && performance.now() < end;);
    return -BigInt(ERRNO.EINPROGRESS);
  }

  peek(address: bigint, length: number): Uint8Array {
    return fromHex(this.#ask("peek", `${address}`, length) as string);
  }

  poke(address: bigint, bytes: Uint8Array): void {
    this.#ask("poke", `${address}`, toHex(bytes));
  }

  /**
   * Begins the one call that an action makes, and waits until it sleeps there or has ended: a signal that came before
   * the call would not interrupt it. Nothing else can be asked until its end.
   */
  post(action: () => unknown): void {
    this.#posting = true;
    try {
      action();
    } finally {
      this.#posting = false;
    }
  }

  /** Waits for the end of a call. */
  take(args: readonly Argument[] = []): bigint {
    const [value, buffers] = this.#receive() as [string, string[]];
    args.filter((a) => typeof a === "string" || typeof a === "object").forEach((a, i) => {
      if (!(a instanceof Uint8Array)) return;
      a.fill(0);
      a.set(fromHex(buffers[i]));
    });
    return BigInt(value);
  }

  /** Whether the call that was begun has ended, after waiting for so many milliseconds at most. */
  ended(milliseconds: number): boolean {
    const poll = new Uint8Array(8), view = new DataView(poll.buffer);
    view.setInt32(0, this.#from, true);
    view.setInt16(4, 1, true);
    return this.#text !== "" || this.#libc.ppoll(poll, 1, milliseconds * 1000) > 0;
  }

  /** Interrupts the call that waits, by a signal. */
  interrupt(): void {
    this.#libc.kill(this.#pid, SIGUSR1);
  }

  /** Starts a program; its pid, or -errno of `execve(2)`. */
  start(argv: readonly string[]): number {
    const pid = this.#ask("start", argv) as number;
    if (pid > 0) this.#children.add(pid);
    return pid;
  }

  /** Ends a program that it started, with SIGKILL. */
  end(pid: number): void {
    this.#children.delete(pid);
    this.#ask("end", pid);
  }

  /** Ends it, and what it started. */
  async stop(): Promise<void> {
    for (const pid of this.#children) this.#libc.kill(pid, 9);
    this.#libc.close(this.#to);
    this.#libc.close(this.#from);
    this.#libc.kill(this.#pid, 9);
    await waitExit(this.#libc, this.#pid);
  }

  // The state is the word behind the name, which may have parentheses itself. Everybody may read it, other than what
  // call it is in. Source: proc_pid_stat(5).
  #sleeps(): boolean {
    const { O } = this.#libc;
    const fd = this.#libc.open(cstring(`/proc/${this.#pid}/stat`), O.RDONLY | O.CLOEXEC, 0);
    if (fd < 0) return false;
    const buffer = new Uint8Array(512);
    const text = new TextDecoder().decode(buffer.subarray(0, Math.max(this.#libc.read(fd, buffer), 0)));
    this.#libc.close(fd);
    return text[text.lastIndexOf(")") + 2] === "S";
  }

  #ask(...request: unknown[]): unknown {
    this.#send(request);
    return this.#receive();
  }

  #send(request: unknown[]): void {
    const bytes = new TextEncoder().encode(`${JSON.stringify(request)}\n`);
    for (let at = 0; at < bytes.length;) {
      const n = this.#libc.write(this.#to, bytes.subarray(at), bytes.length - at);
      if (n < 0) throw new Error("the other process has ended");
      at += n;
    }
  }

  #receive(): unknown {
    const buffer = new Uint8Array(0x10000);
    let end;
    while ((end = this.#text.indexOf("\n")) < 0) {
      const n = this.#libc.read(this.#from, buffer);
      if (n <= 0) throw new Error("the other process has ended");
      this.#text += new TextDecoder().decode(buffer.subarray(0, n));
    }
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 1);
    return JSON.parse(line);
  }
}
