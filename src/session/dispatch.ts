/** Bytes of a request in, bytes of its reply out. No device: this is where a file system can be tested without a kernel. */
import { FUSE_INIT_BSWAP_RESERVED, OPCODE, opcodeName } from "../abi/opcode.ts";
import { Message, Reply, type RequestBuffer, WireError } from "../abi/message.ts";
import { ERRNO, errnoOf, FuseError } from "../errno.ts";
import type { Filesystem, Negotiated } from "../fs/filesystem.ts";
import type { Request } from "../fs/types.ts";
import { Directories } from "../ops/directories.ts";
import { type Op, type OpContext, type OpenArbiter, UNBACKED } from "../ops/op.ts";
import { ROWS } from "../ops/table.ts";
import { checkVersion, encodeMajor, encodeNegotiated, negotiate, readOffer, wantedFlags } from "./handshake.ts";
import type { ResolvedOptions } from "./options.ts";

/** Who asks, and the kernel's number of the request, in halves that are exact. */
class RequestContext implements Request {
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
      // Without a header there is nobody to answer.
      if (length >= 16) this.#fail(m.uniqueLow, m.uniqueHigh, error, length >= 8 ? m.opcode : 0, 0);
      else this.#options.onError(error, { opcode: "a request", nodeid: 0 });
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
    let args: unknown;
    try {
      args = row.decode(m, context);
      const value = row.call(this.#fs, args, request, context);
      if (value instanceof Promise) return this.#later(row, value, args, request, m.nodeid, buffer);
      if (row.silent !== true) this.#complete(row, value, args, request, m.nodeid);
    } catch (error) {
      if (row.silent !== true) this.#fail(request.low, request.high, error, opcode, m.nodeid);
      else if (errnoOf(error) === 0) this.#options.onError(error, { opcode: row.opcode, nodeid: m.nodeid });
    }
    return false;
  }

  /** Packs and sends an answer. */
  #complete(row: Op<unknown, unknown>, value: unknown, args: unknown, request: RequestContext, nodeid: number): void {
    const reply = this.#reply;
    reply.reset();
    let errno: number;
    try {
      errno = row.encode?.(reply, value, args, this.#context) ?? 0;
    } catch (error) {
      this.#fail(request.low, request.high, error, OPCODE[row.opcode], nodeid);
      return;
    }
    reply.finish(request.low, request.high, errno);
    if (!this.#hooks.send(reply) && errno === 0) row.undelivered?.(value, args, this.#context);
    reply.payload = null;
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
    value.then((result) => {
      if (row.silent !== true) this.#complete(row, result, args, request, nodeid);
    }, (error) => {
      if (row.silent !== true) this.#fail(request.low, request.high, error, OPCODE[row.opcode], nodeid);
      else this.#options.onError(error, { opcode: row.opcode, nodeid });
    }).finally(done);
    return row.borrows === true;
  }

  /** Answers an errno, or an empty success. */
  #answer(request: RequestContext, errno: number): void {
    this.#reply.reset();
    this.#reply.finish(request.low, request.high, errno);
    this.#hooks.send(this.#reply);
  }

  /** Answers what was thrown; what says no errno is EIO and reported. */
  #fail(low: number, high: number, error: unknown, opcode: number, nodeid: number): void {
    let errno = errnoOf(error);
    if (errno === 0 || error instanceof WireError) {
      this.#options.onError(error, { opcode: opcodeName(opcode), nodeid });
      errno = ERRNO.EIO;
    }
    this.#reply.reset();
    this.#reply.finish(low, high, errno);
    this.#hooks.send(this.#reply);
  }

  /** What is no ordinary request: the handshake, and opcodes that are not served. */
  #exception(m: Message, opcode: number): void {
    const request = new RequestContext(m.uniqueLow, m.uniqueHigh, m.uid, m.gid, m.pid);
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
      this.#context = { ...this.#context, negotiated };
      m.minor = negotiated.minor;
      this.#hooks.ready(negotiated);
      this.#hooks.send(reply);
    } catch (error) {
      this.#fail(request.low, request.high, error, OPCODE.FUSE_INIT, 0);
      this.#hooks.refused?.(
        error instanceof FuseError ? error : new FuseError("EIO", "the handshake failed", { cause: error }),
      );
    }
  }
}
