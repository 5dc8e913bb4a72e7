/** Acting on the source as somebody else. Source: `credentials(7)`, `capabilities(7)`. */
import type { Libc } from "../../../ffi/libc.ts";
import { FuseError } from "../../errno.ts";
import { type Caller, groupsOf } from "../permissions.ts";
import { type Call, SYSCALLS } from "./syscalls.ts";

const _LINUX_CAPABILITY_VERSION_3 = 0x20080522;
/** The right to pass quotas, and to take the blocks that a file system keeps for root. */
const CAP_SYS_RESOURCE = 1 << 24;
/** Not a user or group: setfsuid(2) changes nothing, and answers who it is. */
const NOBODY = 0xffffffff;
// Of this thread: how many gave it up, and what the thread may do else.
let limits = 0;
let unlimited: Block | undefined;

// Memory of 64 bytes and less may move.
const LEAST = 128;

/** Numbers of 32 bits, for the kernel. */
interface Block {
  readonly count: bigint;
  readonly address: bigint;
  /** What keeps them in memory. */
  readonly bytes: Uint8Array;
}

function block(libc: Libc, numbers: readonly number[] = []): Block {
  const words = new Uint32Array(Math.max(LEAST, numbers.length));
  words.set(numbers);
  const bytes = new Uint8Array(words.buffer);
  return { count: BigInt(numbers.length), address: libc.address(bytes), bytes };
}

/**
 * What this thread is towards file systems. A server of root's can be others for the time of a call: what is made then
 * is theirs from the beginning, with no moment at which it is root's, and counts for their quota. Other threads, and
 * what this one may otherwise do, stay as they are.
 */
export class Identity {
  readonly #libc: Libc;
  readonly #numbers: Readonly<Record<Call, number>>;
  readonly #uid: number;
  readonly #gid: number;
  readonly #acts: boolean;
  // The server's own: what setfsuid takes away, the same without what passes limits, and what the caller's groups
  // replace.
  readonly #header: Block;
  readonly #own: Block;
  readonly #limited: Block;
  readonly #groups: Block;
  #gaveUp = false;

  /** `acts`: calls are made with the caller's rights; else with the server's, in the caller's name. */
  constructor(libc: Libc, acts: boolean) {
    this.#libc = libc;
    this.#numbers = SYSCALLS[libc.architecture];
    this.#uid = libc.geteuid();
    this.#gid = libc.getegid();
    this.#acts = acts && this.#uid === 0;
    this.#header = block(libc, [_LINUX_CAPABILITY_VERSION_3]);
    this.#own = unlimited ?? this.#capabilities();
    const [effective, ...others] = new Uint32Array(this.#own.bytes.buffer);
    this.#limited = block(libc, [effective & ~CAP_SYS_RESOURCE, ...others]);
    this.#groups = block(libc, new Array(this.#call("getgroups", 0n, 0n)).fill(0));
    this.#call("getgroups", this.#groups.count, this.#groups.address);
  }

  /**
   * Gives up the right to more space than others have, until {@linkcode Identity.unlimit} of all who did so on this
   * thread: who writes by passthrough has the rights that the thread had when the file was registered.
   */
  limit(): void {
    if (this.#gaveUp) return;
    if (limits === 0) this.#may(this.#limited);
    this.#gaveUp = true;
    limits++;
    unlimited = this.#own;
  }

  /** Takes {@linkcode Identity.limit} back, if it was called. */
  unlimit(): void {
    if (!this.#gaveUp) return;
    this.#gaveUp = false;
    if (--limits > 0) return;
    unlimited = undefined;
    this.#may(this.#own);
  }

  /** Whether {@linkcode Identity.as} changes anything. */
  get acts(): boolean {
    return this.#acts;
  }

  /** Makes a call with the rights of who asks, if the mirror is to decide so. */
  as<R>(caller: Caller, call: () => R): R {
    return this.#acts ? this.#change(caller, true, call) : call();
  }

  /** Makes a call that makes an object: it belongs to who asks. */
  making<R>(caller: Caller, call: () => R): R {
    if (this.#uid !== 0) return call();
    return this.#change(caller, this.#acts, call);
  }

  /** Makes a call that takes space for an open file: it has no more of it than who asks. No permission is checked. */
  spending<R>(uid: number, call: () => R): R {
    if (this.#uid !== 0 || uid === 0) return call();
    this.#call("setfsuid", BigInt(uid));
    try {
      this.#may(this.#limited);
      return call();
    } finally {
      this.#call("setfsuid", 0n);
      if (limits === 0) this.#may(this.#own);
    }
  }

  #capabilities(): Block {
    const capabilities = block(this.#libc);
    this.#call("capget", this.#header.address, capabilities.address);
    return capabilities;
  }

  #may(capabilities: Block): void {
    if (this.#uid === 0) this.#call("capset", this.#header.address, capabilities.address);
  }

  #change<R>(caller: Caller, bare: boolean, call: () => R): R {
    const { uid, gid } = caller;
    if (uid === this.#uid && gid === this.#gid) return call();
    // Root's rights depend on no group.
    const groups = bare && uid !== 0 ? block(this.#libc, groupsOf(caller)) : undefined;
    try {
      if (groups !== undefined) this.#call("setgroups", groups.count, groups.address);
      this.#set("setfsgid", gid);
      this.#set("setfsuid", uid);
      // Another user has lost the right to pass by permissions; the kernel has checked them.
      if (uid !== 0 && !bare) this.#may(this.#limited);
      return call();
    } finally {
      this.#call("setfsuid", BigInt(this.#uid));
      this.#call("setfsgid", BigInt(this.#gid));
      if (limits === 0) this.#may(this.#own);
      if (groups !== undefined) this.#call("setgroups", this.#groups.count, this.#groups.address);
    }
  }

  /** These two answer who it was before, whether or not they could change it. */
  #set(call: "setfsuid" | "setfsgid", id: number): void {
    this.#call(call, BigInt(id));
    if (this.#call(call, BigInt(NOBODY)) !== id) {
      throw new FuseError("EPERM", `${call}(${id}): the server may not act for others`, { syscall: call });
    }
  }

  #call(call: Call, ...args: bigint[]): number {
    const result = Number(this.#libc.syscall(this.#numbers[call], args));
    if (result < 0) throw new FuseError(result, `${call}: the server may not act for others`, { syscall: call });
    return result;
  }
}
