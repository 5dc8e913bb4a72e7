/**
 * Bytes of a request in, bytes of its reply out. No device: this is where a file system can be tested without a kernel.
 */
import { FUSE_KERNEL_VERSION } from "../abi/constants.ts";
import { CUSE_INIT_BSWAP_RESERVED, FUSE_INIT_BSWAP_RESERVED, OPCODE, opcodeName } from "../abi/opcode.ts";
import { OverflowError } from "../abi/layout.ts";
import { Message, Reply, type RequestBuffer, WireError } from "../abi/message.ts";
import { ERRNO, type ErrnoName, errnoOf, FuseError } from "../errno.ts";
import type { Filesystem, Negotiated } from "../fs/filesystem.ts";
import { Handles } from "../fs/handles.ts";
import type { Directory } from "../ops/directories.ts";
import { type Op, type OpContext, type OpenArbiter, type OpenFile, UNBACKED } from "../ops/op.ts";
import { ROWS } from "../ops/table.ts";
import { Call } from "./call.ts";
import { type CharacterDeviceOptions, negotiateCuse } from "./cuse.ts";
import { checkVersion, encodeMajor, encodeNegotiated, negotiate, readOffer } from "./handshake.ts";
import { listen } from "./listen.ts";
import { wantedFlags } from "./init_flags.ts";
import type { ResolvedOptions } from "./options.ts";

/** What a dispatcher needs of its session. */
export interface DispatchHooks {
  /** Takes a complete reply; false where the kernel no longer waits for it. */
  send(reply: Reply): boolean;
  /** The buffer of a request that was kept is free again. */
  free(buffer: RequestBuffer): void;
  /** The handshake is done. */
  ready(negotiated: Negotiated): void;
  /** The handshake failed: nothing more will come. */
  refused?(error: FuseError): void;
  /** Chooses open replies. Default: nothing is backed. */
  arbiter?: OpenArbiter;
  /** The answer to a retrieve notification has come; the data is borrowed. Default: nobody asked. */
  retrieved?(unique: number, data: Uint8Array): void;
  /** Serves a character device: the handshake is CUSE_INIT. Default: a file system. */
  character?: CharacterDeviceOptions;
}

/** How many interrupts are remembered that name no request known here: most of them come after the reply. */
const EARLY_INTERRUPTS = 256;

const NOT_YET: Negotiated = {
  major: 0,
  minor: 0,
  flags: new Set(),
  maxWrite: 0,
  maxReadahead: 0,
  maxPages: 0,
  timeGran: 0,
  maxStackDepth: 0,
};

/** Whether what was thrown says no errno on purpose: the author has to know of it. */
function isBug(error: unknown): boolean {
  return errnoOf(error) === 0 || error instanceof WireError || error instanceof OverflowError;
}

/** Whether anybody learns of the answer. The kernel waits for that of a release, but tells nobody. */
function isHeard({ opcode }: Call): boolean {
  return ROWS[opcode]?.silent !== true && opcode !== OPCODE.FUSE_RELEASE && opcode !== OPCODE.FUSE_RELEASEDIR;
}

/** Why a request cannot be read. A number that is too large is the kernel's, not a mistake of the author's answer. */
function unreadable(error: unknown): unknown {
  return error instanceof OverflowError ? new FuseError(error.code, error.message, { cause: error }) : error;
}

/** Serves the requests of one connection from one file system. */
export class Dispatcher {
  readonly #fs: Filesystem;
  readonly #options: ResolvedOptions;
  readonly #hooks: DispatchHooks;
  readonly #message = new Message();
  readonly #reply = new Reply();
  readonly #files = new Handles<OpenFile>("file");
  readonly #directories = new Handles<Directory>("directory");
  /** The calls that are not answered yet, by the number that an interrupt names. */
  readonly #pending = new Map<number, Call>();
  /** Interrupts that came before their request, by the same number. */
  readonly #early = new Set<number>();
  readonly #lacking: (boolean | undefined)[] = new Array(ROWS.length).fill(undefined);
  #context: OpContext;
  #closed = false;

  constructor(fs: Filesystem, options: ResolvedOptions, hooks: DispatchHooks) {
    this.#fs = fs;
    this.#options = options;
    this.#hooks = hooks;
    this.#context = {
      fs,
      arbiter: hooks.arbiter ?? UNBACKED,
      files: this.#files,
      directories: this.#directories,
      negotiated: NOT_YET,
      interrupt: (low, high) => this.#interrupt(keyOf(low, high)),
      retrieved: (unique, data) => hooks.retrieved?.(unique, data),
    };
  }

  /** How many asynchronous answers are under way. */
  get pending(): number {
    return this.#pending.size;
  }

  /** How many files the kernel has open that are tracked, for their backing. */
  get trackedFiles(): number {
    return this.#files.size;
  }

  /** How many directories the kernel has open. */
  get openDirectories(): number {
    return this.#directories.size;
  }

  /** Whether the file system has no method for it. Looked up once. */
  #lacks(opcode: number, { method }: Op<unknown, unknown>): boolean {
    return this.#lacking[opcode] ??= method !== null && this.#fs[method] === undefined;
  }

  /**
   * Serves the request in the first `length` bytes. Answers whether the buffer is still in use: then `free` is called
   * when it no longer is.
   */
  handle(buffer: RequestBuffer, length: number): boolean {
    const m = this.#message;
    const start = this.#options.trace === undefined ? 0 : performance.now();
    let call: Call | undefined;
    try {
      m.begin(buffer, length);
      call = new Call(m, start);
      if (m.extended) call.extend(m, m.end, length);
    } catch (error) {
      // Without the number of the request there is nobody to answer.
      if (length >= 16) this.#fail(call ?? new Call(m, start), unreadable(error));
      else this.#report(error, "a request", 0);
      return false;
    }
    const { opcode } = call;
    const row = call.row = opcode < ROWS.length ? ROWS[opcode] : null;
    const context = this.#context;
    if (context.negotiated.major === 0 || row === null) {
      this.#exception(m, call);
      return false;
    }
    if (row.builtin !== true && this.#lacks(opcode, row)) {
      if (this.#options.trace !== undefined) call.args = readable(row, m, context);
      this.#answer(call, row.absent === "ok" ? 0 : ERRNO[row.absent]);
      return false;
    }
    try {
      call.args = row.decode(m, context);
    } catch (error) {
      this.#fail(call, unreadable(error));
      return false;
    }
    if (this.#early.size !== 0 && this.#early.delete(keyOf(call.low, call.high))) call.interrupt();
    let value: unknown, later: boolean;
    try {
      value = row.call(this.#fs, call.args, call, context);
      later = value instanceof Promise;
    } catch (error) {
      this.#fail(call, error);
      return false;
    }
    if (later) return this.#later(call, value as Promise<unknown>, buffer);
    this.#complete(call, value);
    return false;
  }

  /**
   * Answers everything that is still under way: the session ends, and nobody may wait for ever. Nor a handler for what
   * only its signal would end.
   */
  abandon(): void {
    const calls = [...this.#pending.values()];
    this.#pending.clear();
    for (const call of calls) {
      this.#answer(call, ERRNO.ENOTCONN);
      call.interrupt();
    }
  }

  /** Asks nothing of the file system any more, not even to take back what it answers from now on. */
  close(): void {
    this.#closed = true;
  }

  /** Packs an answer and sends it, or, where it is `wanted` no more, takes back what it counted. */
  #complete(call: Call, value: unknown, wanted = true): void {
    if (this.#closed) return;
    const row = call.row!;
    const reply = this.#reply;
    let errno = 0;
    if (row.silent !== true) {
      reply.reset();
      try {
        errno = row.encode?.(reply, value, call.args, this.#context) ?? 0;
      } catch (error) {
        if (wanted) this.#fail(call, error);
        // What cannot be packed may name nothing that can be taken back either, and its author has been told.
        if (row.undelivered !== undefined) this.#takeBack(call, value, false);
        return;
      }
      reply.finish(call.low, call.high, errno);
      const delivered = wanted && this.#hooks.send(reply);
      reply.payload = null;
      if (!delivered && errno === 0 && row.undelivered !== undefined) this.#takeBack(call, value);
    }
    if (wanted && this.#options.trace !== undefined) this.#traced(call, errno, value);
  }

  /** Takes back what an answer counted that nobody got. The answer is given: what fails now can only be told. */
  async #takeBack(call: Call, value: unknown, told = true): Promise<void> {
    try {
      await call.row!.undelivered!(value, call.args, this.#context);
    } catch (error) {
      if (told && isBug(error)) this.#report(error, call.row!.opcode, call.nodeid);
    }
  }

  /** An asynchronous answer: the buffer is kept if the arguments borrow from it. */
  #later(call: Call, value: Promise<unknown>, buffer: RequestBuffer): boolean {
    const row = call.row!;
    if (row.silent === true) {
      // Nobody waits for it, nor can it be interrupted.
      value.then((result) => this.#complete(call, result), (error) => this.#fail(call, error));
      return false;
    }
    const key = keyOf(call.low, call.high);
    this.#pending.set(key, call);
    // Once abandoned it has been answered; what it made belongs to nobody.
    const mine = () => this.#pending.get(key) === call && this.#pending.delete(key);
    value.then((result) => this.#complete(call, result, mine()), (error) => {
      if (mine()) this.#fail(call, error);
    }).finally(() => {
      if (row.borrows === true) this.#hooks.free(buffer);
    });
    return row.borrows === true;
  }

  #interrupt(key: number): void {
    const call = this.#pending.get(key);
    if (call !== undefined) {
      call.interrupt();
      return;
    }
    // Either its request comes later, or it was answered already. The oldest are of the second kind.
    this.#early.add(key);
    if (this.#early.size > EARLY_INTERRUPTS) {
      for (const oldest of this.#early) {
        this.#early.delete(oldest);
        break;
      }
    }
  }

  /** Answers an errno, or an empty success, where an answer is awaited. */
  #answer(call: Call, errno: number): void {
    if (ROWS[call.opcode]?.silent !== true) {
      this.#reply.reset();
      this.#reply.finish(call.low, call.high, errno);
      this.#hooks.send(this.#reply);
    }
    if (this.#options.trace !== undefined) this.#traced(call, errno);
  }

  /** Answers what was thrown; a bug is EIO and reported. */
  #fail(call: Call, error: unknown): void {
    const bug = isBug(error);
    this.#answer(call, bug ? ERRNO.EIO : errnoOf(error));
    if (bug) this.#report(error, opcodeName(call.opcode), call.nodeid, isHeard(call) ? "EIO" : undefined);
  }

  /** Tells the author. */
  #report(error: unknown, opcode: string, nodeid: number, answered?: ErrnoName): void {
    listen(() => this.#options.onError(error, { opcode, nodeid, answered }));
  }

  #traced(call: Call, errno: number, value?: unknown): void {
    const { nodeid, unique, uid, gid, pid, row } = call;
    const args = call.args !== undefined && row?.shown !== undefined ? row.shown(call.args) : call.args;
    const event = { opcode: opcodeName(call.opcode), nodeid, unique, uid, gid, pid, args, value, errno };
    listen(() => this.#options.trace?.({ ...event, duration: performance.now() - call.start }));
  }

  /** What is no ordinary request: the handshake, and opcodes that are not served. */
  #exception(m: Message, call: Call): void {
    if (this.#context.negotiated.major !== 0) this.#answer(call, ERRNO.ENOSYS);
    else if (call.opcode === (this.#hooks.character ? OPCODE.CUSE_INIT : OPCODE.FUSE_INIT)) this.#handshake(m, call);
    else if (call.opcode === FUSE_INIT_BSWAP_RESERVED || call.opcode === CUSE_INIT_BSWAP_RESERVED) {
      this.#answer(call, ERRNO.EPROTO);
    } else this.#answer(call, ERRNO.EIO);
  }

  #handshake(m: Message, call: Call): void {
    const reply = this.#reply;
    reply.reset();
    try {
      const negotiated = this.#negotiate(m, reply, call);
      reply.finish(call.low, call.high, 0);
      if (negotiated !== null) {
        this.#hooks.ready(negotiated);
        this.#context = { ...this.#context, negotiated };
        m.minor = negotiated.minor;
      }
      this.#hooks.send(reply);
      if (this.#options.trace !== undefined) this.#traced(call, 0, negotiated);
    } catch (error) {
      this.#fail(call, error);
      this.#hooks.refused?.(
        error instanceof FuseError ? error : new FuseError("EIO", "the handshake failed", { cause: error }),
      );
    }
  }

  /** Packs the answer to the handshake; null where the kernel, being newer, will begin again with our version. */
  #negotiate(m: Message, reply: Reply, call: Call): Negotiated | null {
    const { character } = this.#hooks;
    if (character !== undefined) return negotiateCuse(m, reply, character);
    const offer = readOffer(m);
    call.args = offer;
    checkVersion(offer);
    if (offer.major > FUSE_KERNEL_VERSION) {
      encodeMajor(reply);
      return null;
    }
    const negotiated = negotiate(offer, wantedFlags(this.#fs, this.#options), this.#options);
    encodeNegotiated(reply, negotiated, offer, this.#options);
    return negotiated;
  }
}

/** The arguments of a request that no method serves, if they can be read: for the trace alone. */
function readable(row: Op<unknown, unknown>, m: Message, context: OpContext): unknown {
  try {
    return row.decode(m, context);
  } catch {
    return undefined;
  }
}

/** The number of a request in one value: 52 bits of it, and whether it was sent again, as bit 52. */
function keyOf(low: number, high: number): number {
  return (high & 0xfffff) * 4294967296 + low + (high >>> 31) * 4503599627370496;
}
