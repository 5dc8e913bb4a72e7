/** Packing of what several opcodes answer. */
import { FUSE_KERNEL_MINOR_VERSION } from "../abi/constants.ts";
import * as flag from "../abi/flags.ts";
import type { Reply } from "../abi/message.ts";
import { since } from "../abi/since.ts";
import { type fuse_attr, fuse_attr_out, fuse_entry_out, fuse_open_out } from "../abi/structs.ts";
import { S_IFMT } from "../fs/mode.ts";
import type { Attr, AttrReply, Awaitable, CreateReply, Entry, ForgetArgs, OpenReply } from "../fs/types.ts";
import { addFile, type OpContext } from "./op.ts";

// The kernel turns a validity into its own clock ticks; 2^31 s stand for ever.
const FOREVER = 0x7fffffff;

/** Whole seconds of a timeout. */
export function seconds(timeout: number | undefined): number {
  return timeout === undefined || !(timeout > 0) ? 0 : timeout >= FOREVER ? FOREVER : Math.floor(timeout);
}

/** The nanoseconds beside them. */
export function nanoseconds(timeout: number | undefined): number {
  if (timeout === undefined || !(timeout > 0) || timeout >= FOREVER) return 0;
  return Math.min(999_999_999, Math.round(timeout % 1 * 1e9));
}

/** The number that a method answered, if it is a whole one from 0 to `most`. */
export function counted(method: string, value: number, most: number = Number.MAX_SAFE_INTEGER): number {
  if (Number.isSafeInteger(value) && value >= 0 && value <= most) return value;
  throw new RangeError(`${method} answered ${value}; it has to be a whole number from 0 to ${most}`);
}

/** Refuses NaN in the sum of an answer's 32-bit fields, for they would take it for 0, and uid 0 is root. */
export function checkNumber(what: string, sum: number): void {
  if (!Number.isFinite(sum)) throw new TypeError(`${what} holds something that is not a number`);
}

const SUBMOUNT_SINCE = since("FUSE_ATTR_SUBMOUNT");

/** `struct fuse_attr` of what an author answered, or the backing file knows better; fills what was left out. */
export function attrOut(given: Attr, nodeid: number, context: OpContext): Parameters<typeof fuse_attr.write>[2] {
  const { arbiter, negotiated: { minor } } = context;
  const a = arbiter.attributes(nodeid, given);
  if ((a.mode & S_IFMT) === 0) {
    throw new TypeError(`attr.mode ${a.mode?.toString(8)} (octal) lacks a file type, such as 100000 or 40000`);
  }
  const size = a.size ?? 0;
  const out = {
    ino: a.ino ?? nodeid,
    size,
    blocks: a.blocks ?? Math.ceil(size / 512),
    atime: a.atime ?? 0,
    mtime: a.mtime ?? 0,
    ctime: a.ctime ?? 0,
    atimensec: a.atimeNsec ?? 0,
    mtimensec: a.mtimeNsec ?? 0,
    ctimensec: a.ctimeNsec ?? 0,
    mode: a.mode,
    nlink: a.nlink ?? 1,
    uid: a.uid ?? 0,
    gid: a.gid ?? 0,
    rdev: a.rdev ?? 0,
    blksize: a.blksize ?? 4096,
    flags: a.submount && minor >= SUBMOUNT_SINCE ? flag.FUSE_ATTR_SUBMOUNT : 0,
  };
  checkNumber(
    "attr",
    out.atimensec + out.mtimensec + out.ctimensec + out.nlink + out.uid + out.gid + out.rdev + out.blksize,
  );
  return out;
}

/** Packs `struct fuse_entry_out` at an offset of a view. */
export function putEntry(view: DataView, at: number, e: Entry, context: OpContext): void {
  if (!(Number.isSafeInteger(e.nodeid) && e.nodeid >= 1)) {
    throw new TypeError(`entry.nodeid is ${e.nodeid}; an inode's is a whole number from 1 to 2^53-1`);
  }
  fuse_entry_out.write(view, at, {
    nodeid: e.nodeid,
    generation: e.generation ?? 0,
    entry_valid: seconds(e.entryTimeout),
    attr_valid: seconds(e.attrTimeout),
    entry_valid_nsec: nanoseconds(e.entryTimeout),
    attr_valid_nsec: nanoseconds(e.attrTimeout),
    attr: attrOut(e.attr, e.nodeid, context),
  });
}

/** Packs a name that does not exist, to be remembered for `timeout` seconds. */
export function putNegative(view: DataView, at: number, timeout: number | undefined): void {
  for (let i = 0; i < fuse_entry_out.size; i += 4) view.setUint32(at + i, 0, true);
  view.setUint32(at + fuse_entry_out.offsetOf("entry_valid"), seconds(timeout), true);
  view.setUint32(at + fuse_entry_out.offsetOf("entry_valid_nsec"), nanoseconds(timeout), true);
}

/** Encoder of an {@linkcode Entry}. */
export function entry(reply: Reply, e: Entry, _args: unknown, context: OpContext): void {
  const at = reply.reserve(fuse_entry_out.size);
  putEntry(reply.view, at, e, context);
}

/** Encoder of an {@linkcode Entry} of what was made. */
export function made(reply: Reply, e: Entry, args: unknown, context: OpContext): void {
  context.arbiter.made(e.nodeid);
  entry(reply, e, args, context);
}

/** Takes back lookups. The author may give the number to another inode then, so that nothing may be left to do. */
export function forgetOne(args: ForgetArgs, { fs, arbiter }: OpContext): Awaitable<void> {
  const busy = arbiter.busy(args.nodeid);
  return busy === null ? fs.forget?.(args) : busy.then(() => fs.forget?.(args));
}

/** Takes back lookups. One that fails keeps none of the others from being taken back. */
export function forgetAll(all: readonly ForgetArgs[], context: OpContext): Awaitable<void> {
  const late: Promise<unknown>[] = [];
  for (const args of all) {
    try {
      // An asynchronous method is of the type, too; its failure must not be lost.
      const done: unknown = forgetOne(args, context);
      if (done instanceof Promise) late.push(done);
    } catch (error) {
      late.push(Promise.reject(error));
    }
  }
  if (late.length > 0) return Promise.all(late).then(() => {});
}

/** Takes back the lookup that an undelivered {@linkcode Entry} counted. */
export function forgetEntry(e: Entry | null, _args: unknown, context: OpContext): Awaitable<void> {
  if (e !== null && Number.isSafeInteger(e.nodeid) && e.nodeid > 0) {
    return forgetOne({ nodeid: e.nodeid, nlookup: 1 }, context);
  }
}

/** Encoder of an {@linkcode AttrReply}. */
export function attr(
  reply: Reply,
  { attr, attrTimeout }: AttrReply,
  { nodeid }: { nodeid: number },
  context: OpContext,
): void {
  const at = reply.reserve(fuse_attr_out.size);
  fuse_attr_out.write(reply.view, at, {
    attr_valid: seconds(attrTimeout),
    attr_valid_nsec: nanoseconds(attrTimeout),
    attr: attrOut(attr, nodeid, context),
  });
}

function openBits(o: OpenReply): number {
  return (o.directIo ? flag.FOPEN_DIRECT_IO : 0) |
    (o.keepCache ? flag.FOPEN_KEEP_CACHE : 0) |
    (o.nonSeekable ? flag.FOPEN_NONSEEKABLE : 0) |
    (o.stream ? flag.FOPEN_STREAM : 0) |
    (o.noFlush ? flag.FOPEN_NOFLUSH : 0) |
    (o.parallelDirectWrites ? flag.FOPEN_PARALLEL_DIRECT_WRITES : 0);
}

/** The `FOPEN_*` bits that a minor version knows, by that version. */
export const KNOWN_OPEN_BITS: readonly number[] = (() => {
  const bits = Object.entries(flag).filter(([name]) => name.startsWith("FOPEN_")) as [string, number][];
  const known = (minor: number) => bits.reduce((all, [name, bit]) => since(name) <= minor ? all | bit : all, 0);
  return Array.from({ length: FUSE_KERNEL_MINOR_VERSION + 1 }, (_, minor) => known(minor));
})();

// With FOPEN_PASSTHROUGH the kernel accepts these beside it and no other.
const WITH_PASSTHROUGH = flag.FOPEN_DIRECT_IO | flag.FOPEN_PARALLEL_DIRECT_WRITES | flag.FOPEN_NOFLUSH;

/** Arguments of what opens a file, with what the kernel was told. */
export interface Opening {
  readonly flags: number;
  /** Who opens. */
  readonly thread: number;
  /** The kernel's number of the handle; -1: it was not told any. */
  handle: number;
}

/** Encoder of an open file, after the arbiter has chosen how it may be opened. */
export function open(reply: Reply, o: OpenReply, nodeid: number, args: Opening, context: OpContext): void {
  const { arbiter, negotiated } = context;
  const at = reply.reserve(fuse_open_out.size);
  const fh = o.fh ?? 0;
  if (!(Number.isSafeInteger(fh) && fh >= 0)) {
    throw new TypeError(`the answer's fh is ${fh}; it has to be a whole number`);
  }
  // -1 is what open(2) says where it fails; null and NaN would stand for descriptor 0.
  const { backing } = o;
  if (
    backing !== undefined && !(typeof backing === "object" && backing) && !(Number.isInteger(backing) && backing >= 0)
  ) {
    throw new TypeError(`the answer's backing is ${backing}; it has to be a registered file or a descriptor`);
  }
  const own = openBits(o);
  const decision = arbiter.opened(nodeid, args.flags, o, args.thread);
  args.handle = addFile({ nodeid, fh, decision }, context);
  const { openFlags, backingId } = decision;
  let bits = own | openFlags;
  if (bits & flag.FOPEN_PASSTHROUGH) bits &= WITH_PASSTHROUGH | flag.FOPEN_PASSTHROUGH;
  bits &= KNOWN_OPEN_BITS[negotiated.minor];
  const backing_id = bits & flag.FOPEN_PASSTHROUGH ? backingId : 0;
  fuse_open_out.write(reply.view, at, { fh: args.handle, open_flags: bits, backing_id });
}

/** Encoder of a file made and opened. */
export function created(reply: Reply, c: CreateReply, args: Opening, context: OpContext): void {
  made(reply, c.entry, null, context);
  open(reply, c, c.entry.nodeid, args, context);
}

/** Encoder of an answer that says nothing but "done". */
export function nothing(): void {}
