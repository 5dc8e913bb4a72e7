/** One request while it is being served. */
import { FUSE_EXT_GROUPS, FUSE_MAX_NR_SECCTX } from "../abi/constants.ts";
import { type Message, WireError } from "../abi/message.ts";
import { fuse_ext_header, fuse_secctx, fuse_supp_groups } from "../abi/structs.ts";
import { decodeName } from "../abi/text.ts";
import type { Request, SecurityContext } from "../fs/types.ts";
import type { Op } from "../ops/op.ts";

const TWO32 = 4294967296;

/** What the dispatcher knows of a request, and what its handler sees of that: {@linkcode Request}. */
export class Call implements Request {
  /** The kernel's number of it, in halves that are exact. */
  readonly low: number;
  readonly high: number;
  readonly opcode: number;
  readonly nodeid: number;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  groups?: readonly number[];
  securityContexts?: readonly SecurityContext[];
  /** The row that serves it, and the arguments it decoded. */
  row: Op<unknown, unknown> | null = null;
  args: unknown = undefined;
  /** When it came, by `performance.now()`; 0 where nobody traces. */
  readonly start: number;
  #interrupted = false;
  #controller: AbortController | null = null;

  constructor(m: Message, start: number) {
    this.start = start;
    this.low = m.uniqueLow;
    this.high = m.uniqueHigh;
    this.opcode = m.opcode;
    this.nodeid = m.nodeid;
    this.uid = m.uid;
    this.gid = m.gid;
    this.pid = m.pid;
  }

  get unique(): number {
    return (this.high & 0x1fffff) * TWO32 + this.low;
  }

  get resent(): boolean {
    return this.high >>> 31 === 1;
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#interrupted) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  /** The caller no longer waits patiently: a signal has arrived for it, or the session has ended. */
  interrupt(): void {
    this.#interrupted = true;
    this.#controller?.abort();
  }

  /** Reads the extensions behind the arguments, where there are any. */
  extend(m: Message, from: number, to: number): void {
    const align8 = (n: number) => Math.ceil(n / 8) * 8;
    for (let at = from; at < to;) {
      if (to - at < fuse_ext_header.size) throw new WireError(`an extension of ${to - at} bytes lacks its header`);
      const { size, type } = fuse_ext_header.read(m.view, at);
      const end = at + size;
      if (size < fuse_ext_header.size || end > to) throw new WireError(`an extension states ${size} bytes`);
      const body = at + fuse_ext_header.size;
      if (type <= FUSE_MAX_NR_SECCTX) this.securityContexts = readContexts(m, body, end, type);
      else if (type === FUSE_EXT_GROUPS) this.groups = readGroups(m, body, end);
      at += align8(size);
    }
  }
}

function readGroups(m: Message, at: number, end: number): number[] {
  const { nr_groups } = at + 4 <= end ? fuse_supp_groups.read(m.view, at) : { nr_groups: -1 };
  if (nr_groups < 0 || nr_groups > (end - at) / 4 - 1) throw new WireError("more groups are stated than there are");
  return Array.from({ length: nr_groups }, (_, i) => m.view.getUint32(at + 4 + i * 4, true));
}

/** Each is a size, a name with its NUL, and so many bytes of value, then padding to 8. */
function readContexts(m: Message, from: number, end: number, count: number): SecurityContext[] {
  const contexts: SecurityContext[] = [];
  for (let i = 0, at = from; i < count; i++) {
    if (end - at < fuse_secctx.size) throw new WireError("more security contexts are stated than there are");
    const { size } = fuse_secctx.read(m.view, at);
    const name = at + fuse_secctx.size;
    const nul = m.bytes.indexOf(0, name);
    if (nul < 0 || nul + 1 + size > end) throw new WireError("a security context exceeds its extension");
    contexts.push({ name: decodeName(m.bytes, name, nul), value: m.bytes.slice(nul + 1, nul + 1 + size) });
    at += Math.ceil((nul + 1 + size - at) / 8) * 8;
  }
  return contexts;
}
