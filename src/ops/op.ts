/** What a row of the table says about one opcode. */
import type { Message, Reply } from "../abi/message.ts";
import type { OpcodeName } from "../abi/opcode.ts";
import type { ErrnoName } from "../errno.ts";
import type { Filesystem, Negotiated } from "../fs/filesystem.ts";
import type { Handles } from "../fs/handles.ts";
import type { Attr, Awaitable, OpenReply, Request, SetattrArgs, WriteArgs } from "../fs/types.ts";
import type { Directory } from "./directories.ts";

/** A file whose data the session moves itself, without the author's methods. */
export interface ServedFile {
  /** Reads; the bytes are borrowed until the next call where they are answered at once. */
  read(offset: number, size: number): Awaitable<Uint8Array>;
  /** Writes; answers how many bytes. */
  write(args: WriteArgs, caller: Request): Awaitable<number>;
}

/** What the session does for an open file where its author has no method for it. */
export interface BackedFile extends ServedFile {
  fsync(datasync: boolean): Awaitable<void>;
  fallocate(mode: number, offset: number, length: number): Awaitable<void>;
  lseek(offset: number, whence: number): Awaitable<number>;
  /** Copies to another such file; answers how many bytes. */
  copyTo(offset: number, to: BackedFile, toOffset: number, length: number): Awaitable<number>;
}

/** How an open is answered. */
export interface OpenDecision {
  /** `FOPEN_*` bits to add. */
  readonly openFlags: number;
  /** Backing id, or 0. */
  readonly backingId: number;
  /** Reads and writes of this handle, where they are not the author's. */
  readonly served: ServedFile | null;
  /** The backing file of the inode, for all else. */
  readonly backed: BackedFile | null;
  /** Whether the release has to tell this handle from others of its inode. */
  readonly tracked: boolean;
  /** close(2) of a descriptor by a thread: what it throws is the closer's error. Absent: nothing happens. */
  readonly flush?: (thread: number) => Awaitable<void>;
}

/** An open file. */
export interface OpenFile {
  readonly nodeid: number;
  /** The author's number of it. */
  readonly fh: number;
  /** How it was opened. */
  readonly decision: OpenDecision;
}

/** Chooses an open reply that the kernel accepts, and keeps count. */
export interface OpenArbiter {
  /** Some files have a `flush`: the kernel must not be told that nobody wants to know of closes. */
  readonly flushes?: boolean;
  /** An open or create of this inode by a thread is about to be answered. Throws where it has to be refused. */
  opened(nodeid: number, flags: number, reply: OpenReply, thread: number): OpenDecision;
  /** A handle of this inode was released, or its open reply was not delivered; null: one that is not tracked. */
  released(nodeid: number, decision: OpenDecision | null): void;
  /** An inode of this number was made, which has nothing of one that had the number before. */
  made(nodeid: number): void;
  /**
   * What is still being done for an inode that is not open any more, before which its author must not let go of it;
   * null: nothing. After the end of the session it does not resolve.
   */
  busy(nodeid: number): Promise<void> | null;
  /** The attributes of an inode as its backing file has them now. */
  attributes(nodeid: number, attr: Attr): Attr;
  /** The author is about to be asked for a setattr. Throws where it has to be refused. */
  changing(args: SetattrArgs): void;
  /** The author has agreed to a setattr. */
  changed(args: SetattrArgs, caller: Request): void;
}

/** Of an inode without a backing file. */
export const PLAIN: OpenDecision = Object.freeze({
  openFlags: 0,
  backingId: 0,
  served: null,
  backed: null,
  tracked: false,
});

/** The arbiter of a session without a device: nothing is backed. */
export const UNBACKED: OpenArbiter = {
  opened: () => PLAIN,
  released: () => {},
  made: () => {},
  busy: () => null,
  attributes: (_nodeid, attr) => attr,
  changing: () => {},
  changed: () => {},
};

// Handles that are tracked have the last 2^32 numbers. Others are the author's own.
const TRACKED = 2 ** 53 - 2 ** 32;

/** Gives an open file its number for the kernel. */
export function addFile(file: OpenFile, { files }: OpContext): number {
  return file.decision.tracked || file.fh >= TRACKED ? TRACKED + files.add(file) : file.fh;
}

/** The open file with the kernel's number, where it is tracked. */
export function fileOf(fh: number, { files }: OpContext): OpenFile | null {
  return fh < TRACKED ? null : files.get(fh - TRACKED);
}

/** The author's number of the open file with the kernel's number. */
export function authorsFh(fh: number, { files }: OpContext): number {
  return fh < TRACKED ? fh : files.get(fh - TRACKED).fh;
}

/** Forgets an open file; answers the author's number of it. */
export function removeFile(nodeid: number, fh: number, { arbiter, files }: OpContext): number {
  const file = fh < TRACKED ? null : files.remove(fh - TRACKED);
  arbiter.released(nodeid, file && file.decision);
  return file === null ? fh : file.fh;
}

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
  readonly files: Handles<OpenFile>;
  readonly directories: Handles<Directory>;
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

/**
 * Declares a row, its types inferred. All have one shape, so that the dispatcher finds any row's parts at one place.
 */
export function op<A, R>(row: Op<A, R>): Op<A, R> {
  const { opcode, method, served, absent, silent, builtin, borrows, decode, shown, call, encode, undelivered } = row;
  const whole: { [K in keyof Required<Op<A, R>>]: Op<A, R>[K] } = {
    opcode,
    method,
    served,
    absent,
    silent,
    builtin,
    borrows,
    decode,
    shown,
    call,
    encode,
    undelivered,
  };
  return whole;
}
