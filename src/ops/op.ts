/** What a row of the table says about one opcode. */
import type { Message, Reply } from "../abi/message.ts";
import type { OpcodeName } from "../abi/opcode.ts";
import type { ErrnoName } from "../errno.ts";
import type { Filesystem, Negotiated } from "../fs/filesystem.ts";
import type { Awaitable, OpenReply, Request } from "../fs/types.ts";
import type { Directories } from "./directories.ts";

/** The part of the open reply that has to agree with what else is open. */
export interface OpenDecision {
  /** `FOPEN_*` bits to add. */
  readonly openFlags: number;
  /** Backing id, or 0. */
  readonly backingId: number;
}

/** Chooses an open reply that the kernel accepts, and keeps count. */
export interface OpenArbiter {
  /** An open or create of this inode is about to be answered. */
  opened(nodeid: number, reply: OpenReply): OpenDecision;
  /** A handle of this inode was released, or its open reply was not delivered. */
  released(nodeid: number): void;
}

/** The arbiter of a session without a device: nothing is backed. */
export const UNBACKED: OpenArbiter = {
  opened: () => ({ openFlags: 0, backingId: 0 }),
  released: () => {},
};

/** The request where the session itself calls a method, to take back what nobody got. */
export const NOBODY: Request = {
  unique: 0,
  uid: 0,
  gid: 0,
  pid: 0,
  resent: false,
  get signal(): AbortSignal {
    return new AbortController().signal;
  },
};

/** What a row may use beside its arguments. */
export interface OpContext {
  readonly fs: Filesystem;
  readonly arbiter: OpenArbiter;
  readonly directories: Directories;
  readonly negotiated: Negotiated;
  /** The caller of the request with this number, in halves, got a signal. */
  interrupt(low: number, high: number): void;
  /** The answer to a retrieve notification; the data is borrowed. */
  retrieved(unique: number, data: Uint8Array): void;
}

/** One opcode's facts. `A` are its arguments, `R` is what its method answers. */
export interface Op<A, R> {
  readonly opcode: OpcodeName;
  /** The method that serves it; null: the session serves it itself. */
  readonly method: keyof Filesystem | null;
  /** Who serves it, in Markdown, where that is not the one method. */
  readonly served?: string;
  /** What an absent method answers: an errno, or "ok" for an empty success. */
  readonly absent: ErrnoName | "ok";
  /** Never answered. */
  readonly silent?: boolean;
  /** `call` also works without the method. */
  readonly builtin?: boolean;
  /** The arguments hold bytes of the request's buffer, which is kept until the answer. */
  readonly borrows?: boolean;
  /** Reads the arguments. Throws where they contradict the request's length. */
  decode(message: Message, context: OpContext): A;
  /** The arguments as a trace shows them, where those above hold more than was asked. */
  shown?(args: NoInfer<A>): object;
  /** Calls the method. */
  call(fs: Filesystem, args: A, request: Request, context: OpContext): Awaitable<R>;
  /** Packs the answer; a positive errno may be returned instead. */
  encode?(reply: Reply, value: R, args: NoInfer<A>, context: OpContext): number | void;
  /** The answer was packed, but the kernel no longer wanted it: takes back what it counted. */
  undelivered?(value: NoInfer<R>, args: NoInfer<A>, context: OpContext): Awaitable<void>;
}

/** Declares a row, its types inferred. */
export function op<A, R>(row: Op<A, R>): Op<A, R> {
  return row;
}
