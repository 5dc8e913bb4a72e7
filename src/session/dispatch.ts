/** Bytes of a request in, bytes of its reply out. No device: this is where a file system can be tested without a kernel. */
import { FUSE_INIT_BSWAP_RESERVED, OPCODE, opcodeName } from "../abi/opcode.ts";
import { OverflowError } from "../abi/layout.ts";
import { Message, Reply, type RequestBuffer, WireError } from "../abi/message.ts";
import { ERRNO, errnoOf, FuseError } from "../errno.ts";
import type { Filesystem, Negotiated } from "../fs/filesystem.ts";
import type { Request } from "../fs/types.ts";
import { Directories } from "../ops/directories.ts";
import { type Op, type OpContext, type OpenArbiter, UNBACKED } from "../ops/op.ts";
import { ROWS } from "../ops/table.ts";
import { checkVersion, encodeMajor, encodeNegotiated, negotiate, readOffer, wantedFlags } from "./handshake.ts";
import type { ResolvedOptions } from "./options.ts";

/** The kernel's number of a request, in halves that are exact. */
interface RequestNumber {
  readonly low: number;
  readonly high: number;
}

/** Who asks, and the number of the request. */
class RequestContext implements Request, RequestNumber {
  constructor(
    readonly low: number,
    readonly high: number,
    readonly uid: number,
    readonly gid: number,
    readonly pid: number,
  ) {}

  get unique(): number {
    return (this.high & 0x1fffff) * 4294967296 + this.low;
  }
}

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
}

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

/** Why a request cannot be read. A number that is too large is the kernel's, not a mistake of the author's answer. */
function unreadable(error: unknown): unknown {
  return error instanceof OverflowError ? new FuseError("EOVERFLOW", error.message, { cause: error }) : error;
}

/** Serves the requests of one connection from one file system. */
export class Dispatcher {
  readonly #fs: Filesystem;
  readonly #options: ResolvedOptions;
  readonly #hooks: DispatchHooks;
  readonly #message = new Message();
  readonly #reply = new Reply();
  #context: OpContext;
  #pending = 0;

  constructor(fs: Filesystem, options: ResolvedOptions, hooks: DispatchHooks) {
    this.#fs = fs;
    this.#options = options;
    this.#hooks = hooks;
    this.#context = {
      fs,
      arbiter: hooks.arbiter ?? UNBACKED,
      directories: new Directories(),
      negotiated: NOT_YET,
    };
  }

  /** How many asynchronous answers are under way. */
  get pending(): number {
    return this.#pending;
  }

  /** How many directories the kernel has open. */
  get openDirectories(): number {
    return this.#context.directories.size;
  }

  /**
   * Serves the request in the first `length` bytes. Answers whether the buffer is still in use: then `free` is called
   * when it no longer is.
   */
  handle(buffer: RequestBuffer, length: number): boolean {
    const m = this.#message;
    try {
      m.begin(buffer, length);
    } catch (error) {
      // Without the number of the request there is nobody to answer.
      if (length >= 16) this.#fail({ low: m.uniqueLow, high: m.uniqueHigh }, unreadable(error), m.opcode, 0);
      else this.#report(error, "a request", 0);
      return false;
    }
    const { opcode } = m;
    const row = opcode < ROWS.length ? ROWS[opcode] : null;
    if (this.#context.negotiated.major === 0 || row === null) {
      this.#exception(m, opcode);
      return false;
    }
    const context = this.#context;
    const request = new RequestContext(m.uniqueLow, m.uniqueHigh, m.uid, m.gid, m.pid);
    if (row.method !== null && row.builtin !== true && this.#fs[row.method] === undefined) {
      if (row.silent !== true) this.#answer(request, row.absent === "ok" ? 0 : ERRNO[row.absent]);
      return false;
    }
    let args: unknown, value: unknown;
    try {
      args = row.decode(m, context);
    } catch (error) {
      this.#fail(request, unreadable(error), opcode, m.nodeid);
      return false;
    }
    try {
      value = row.call(this.#fs, args, request, context);
    } catch (error) {
      this.#fail(request, error, opcode, m.nodeid);
      return false;
    }
    if (value instanceof Promise) return this.#later(row, value, args, request, m.nodeid, buffer);
    this.#complete(row, value, args, request, m.nodeid);
    return false;
  }

  /** Packs and sends an answer. */
  #complete(row: Op<unknown, unknown>, value: unknown, args: unknown, request: RequestContext, nodeid: number): void {
    if (row.silent === true) return;
    const reply = this.#reply;
    reply.reset();
    let errno: number;
    try {
      errno = row.encode?.(reply, value, args, this.#context) ?? 0;
    } catch (error) {
      this.#fail(request, error, OPCODE[row.opcode], nodeid);
      return;
    }
    reply.finish(request.low, request.high, errno);
    const delivered = this.#hooks.send(reply);
    reply.payload = null;
    if (!delivered && errno === 0 && row.undelivered !== undefined) this.#takeBack(row, value, args, nodeid);
  }

  /** Takes back what an answer counted that nobody got. The answer is given: what fails now can only be told. */
  async #takeBack(row: Op<unknown, unknown>, value: unknown, args: unknown, nodeid: number): Promise<void> {
    try {
      await row.undelivered!(value, args, this.#context);
    } catch (error) {
      if (isBug(error)) this.#report(error, row.opcode, nodeid);
    }
  }

  /** An asynchronous answer: the buffer is kept if the arguments borrow from it. */
  #later(
    row: Op<unknown, unknown>,
    value: Promise<unknown>,
    args: unknown,
    request: RequestContext,
    nodeid: number,
    buffer: RequestBuffer,
  ): boolean {
    this.#pending++;
    const done = () => {
      this.#pending--;
      if (row.borrows === true) this.#hooks.free(buffer);
    };
    value.then(
      (result) => this.#complete(row, result, args, request, nodeid),
      (error) => this.#fail(request, error, OPCODE[row.opcode], nodeid),
    ).finally(done);
    return row.borrows === true;
  }

  /** Answers an errno, or an empty success. */
  #answer(request: RequestNumber, errno: number): void {
    this.#reply.reset();
    this.#reply.finish(request.low, request.high, errno);
    this.#hooks.send(this.#reply);
  }

  /** Answers what was thrown, where an answer is awaited; a bug is EIO and reported. */
  #fail(request: RequestNumber, error: unknown, opcode: number, nodeid: number): void {
    const bug = isBug(error);
    if (ROWS[opcode]?.silent !== true) this.#answer(request, bug ? ERRNO.EIO : errnoOf(error));
    if (bug) this.#report(error, opcodeName(opcode), nodeid);
  }

  /** Tells the author. What the listener throws is the runtime's to show, as with any event: the session goes on. */
  #report(error: unknown, opcode: string, nodeid: number): void {
    try {
      this.#options.onError(error, { opcode, nodeid });
    } catch (thrown) {
      queueMicrotask(() => {
        throw thrown;
      });
    }
  }

  /** What is no ordinary request: the handshake, and opcodes that are not served. */
  #exception(m: Message, opcode: number): void {
    const request = new RequestContext(m.uniqueLow, m.uniqueHigh, m.uid, m.gid, m.pid);
    if (ROWS[opcode]?.silent === true) return;
    if (this.#context.negotiated.major !== 0) this.#answer(request, ERRNO.ENOSYS);
    else if (opcode === OPCODE.FUSE_INIT) this.#handshake(m, request);
    else if (opcode === FUSE_INIT_BSWAP_RESERVED) this.#answer(request, ERRNO.EPROTO);
    else this.#answer(request, ERRNO.EIO);
  }

  #handshake(m: Message, request: RequestContext): void {
    const reply = this.#reply;
    try {
      const offer = readOffer(m);
      checkVersion(offer);
      reply.reset();
      if (offer.major > 7) {
        encodeMajor(reply);
        reply.finish(request.low, request.high, 0);
        this.#hooks.send(reply);
        return;
      }
      const negotiated = negotiate(offer, wantedFlags(this.#fs, this.#options), this.#options);
      encodeNegotiated(reply, negotiated, offer, this.#options);
      reply.finish(request.low, request.high, 0);
      this.#hooks.ready(negotiated);
      this.#context = { ...this.#context, negotiated };
      m.minor = negotiated.minor;
      this.#hooks.send(reply);
    } catch (error) {
      this.#fail(request, error, OPCODE.FUSE_INIT, 0);
      this.#hooks.refused?.(
        error instanceof FuseError ? error : new FuseError("EIO", "the handshake failed", { cause: error }),
      );
    }
  }
}
