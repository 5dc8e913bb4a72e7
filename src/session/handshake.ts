/** INIT: what the kernel offers, what the session wants, what is agreed. Pure. */
import {
  FUSE_COMPAT_22_INIT_OUT_SIZE,
  FUSE_COMPAT_INIT_OUT_SIZE,
  FUSE_KERNEL_MINOR_VERSION,
  FUSE_KERNEL_VERSION,
} from "../abi/constants.ts";
import { INIT_FLAG, type InitFlag } from "../abi/flags.ts";
import type { Message, Reply } from "../abi/message.ts";
import { fuse_init_out } from "../abi/structs.ts";
import { FuseError } from "../errno.ts";
import type { Negotiated } from "../fs/filesystem.ts";
import type { ResolvedOptions } from "./options.ts";

/** What the kernel says in INIT. */
export interface Offer {
  readonly major: number;
  readonly minor: number;
  readonly maxReadahead: number;
  /** Bits 0 to 31. */
  readonly flags: number;
  /** Bits 32 to 63. */
  readonly flags2: number;
}

/** The oldest minor version whose structs are those of today, but for sizes that are known here. */
const OLDEST_MINOR = 9;

/** Reads INIT, which was 16 bytes long before 7.36 (and 8 before 7.6). */
export function readOffer(m: Message): Offer {
  const word = () => m.left >= 4 ? m.view.getUint32(m.take(4), true) : 0;
  const at = m.take(8);
  const flagsAndMore = { maxReadahead: word(), flags: word() };
  const extended = (flagsAndMore.flags & 1 << INIT_FLAG.FUSE_INIT_EXT) !== 0;
  return {
    major: m.view.getUint32(at, true),
    minor: m.view.getUint32(at + 4, true),
    ...flagsAndMore,
    flags2: extended ? word() : 0,
  };
}

/** Agrees on what both sides can. */
export function negotiate(offer: Offer, wanted: ReadonlySet<InitFlag>, o: ResolvedOptions): Negotiated {
  const offered = (bit: number) => ((bit < 32 ? offer.flags >>> bit : offer.flags2 >>> bit - 32) & 1) === 1;
  const flags = new Set([...wanted].filter((flag) => offered(INIT_FLAG[flag])));
  // Before 7.28 a request is at most 32 pages; before 7.9 a write at most one.
  const maxPages = flags.has("FUSE_MAX_PAGES") ? Math.min(o.maxWrite / 4096, 65535) : 32;
  const maxWrite = Math.min(o.maxWrite, flags.has("FUSE_BIG_WRITES") ? maxPages * 4096 : 4096);
  return {
    major: FUSE_KERNEL_VERSION,
    minor: Math.min(offer.minor, FUSE_KERNEL_MINOR_VERSION),
    flags,
    maxWrite,
    maxReadahead: Math.min(offer.maxReadahead, o.maxReadahead ?? offer.maxReadahead),
    maxPages,
    timeGran: offer.minor >= 23 ? o.timeGran : 1,
    maxStackDepth: flags.has("FUSE_PASSTHROUGH") ? o.maxStackDepth : 0,
  };
}

/** Packs the answer to INIT, as long as the kernel's minor version expects it. */
export function encodeNegotiated(reply: Reply, n: Negotiated, offer: Offer, o: ResolvedOptions): void {
  let flags = 0, flags2 = 0;
  for (const flag of n.flags as ReadonlySet<InitFlag>) {
    const bit = INIT_FLAG[flag];
    if (bit < 32) flags |= 1 << bit;
    else flags2 |= 1 << bit - 32;
  }
  const start = reply.length;
  reply.struct(fuse_init_out, {
    major: n.major,
    minor: FUSE_KERNEL_MINOR_VERSION,
    max_readahead: n.maxReadahead,
    flags: flags >>> 0,
    max_background: o.maxBackground,
    congestion_threshold: Math.max(1, Math.floor(o.maxBackground * 3 / 4)),
    max_write: n.maxWrite,
    time_gran: n.timeGran,
    max_pages: n.flags.has("FUSE_MAX_PAGES") ? n.maxPages : 0,
    map_alignment: 0,
    flags2: flags2 >>> 0,
    max_stack_depth: n.maxStackDepth,
    request_timeout: n.flags.has("FUSE_REQUEST_TIMEOUT") ? o.requestTimeout : 0,
  });
  if (offer.minor < 23) reply.length = start + FUSE_COMPAT_22_INIT_OUT_SIZE;
}

/** Packs the answer to a kernel of a newer major version, which then begins again with ours. */
export function encodeMajor(reply: Reply): void {
  const at = reply.reserve(FUSE_COMPAT_INIT_OUT_SIZE);
  reply.view.setUint32(at, FUSE_KERNEL_VERSION, true);
  reply.view.setUint32(at + 4, FUSE_KERNEL_MINOR_VERSION, true);
}

/** Refuses a kernel that is too old to talk to. */
export function checkVersion({ major, minor }: Offer): void {
  if (major > FUSE_KERNEL_VERSION || major === FUSE_KERNEL_VERSION && minor >= OLDEST_MINOR) return;
  throw new FuseError(
    "EPROTO",
    `the kernel speaks FUSE ${major}.${minor}; 7.${OLDEST_MINOR} is the oldest spoken here`,
  );
}
