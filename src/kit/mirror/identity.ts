/** Acting on the source as somebody else. Source: `credentials(7)`, `capabilities(7)`. */
import type { Architecture, Libc } from "../../../ffi/libc.ts";
import { FuseError } from "../../errno.ts";
import { type Caller, groupsOf } from "../permissions.ts";

// The C library's functions of these names change all threads, or are not there. Source: `asm/unistd.h` of each.
const NUMBERS: Readonly<Record<Architecture, Readonly<Record<Call, number>>>> = {
  x86_64: { getgroups: 115, setgroups: 116, setfsuid: 122, setfsgid: 123, capget: 125, capset: 126 },
  aarch64: { getgroups: 158, setgroups: 159, setfsuid: 151, setfsgid: 152, capget: 90, capset: 91 },
};
type Call = "getgroups" | "setgroups" | "setfsuid" | "setfsgid" | "capget" | "capset";

const _LINUX_CAPABILITY_VERSION_3 = 0x20080522;
/** Not a user or group: setfsuid(2) changes nothing, and answers who it is. */
const NOBODY = 0xffffffff;
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
  // The server's own: what setfsuid takes away, and what the caller's groups replace.
  readonly #header: Block;
  readonly #capabilities: Block;
  readonly #groups: Block;

  /** `acts`: calls are made with the caller's rights; else with the server's, in the caller's name. */
  constructor(libc: Libc, acts: boolean) {
    this.#libc = libc;
    this.#numbers = NUMBERS[libc.architecture];
    this.#uid = libc.geteuid();
    this.#gid = libc.getegid();
    this.#acts = acts && this.#uid === 0;
    this.#header = block(libc, [_LINUX_CAPABILITY_VERSION_3]);
    this.#capabilities = block(libc);
    this.#call("capget", this.#header.address, this.#capabilities.address);
    this.#groups = block(libc, new Array(this.#call("getgroups", 0n, 0n)).fill(0));
    this.#call("getgroups", this.#groups.count, this.#groups.address);
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
      if (uid !== 0 && !bare) this.#call("capset", this.#header.address, this.#capabilities.address);
      return call();
    } finally {
      this.#call("setfsuid", BigInt(this.#uid));
      this.#call("setfsgid", BigInt(this.#gid));
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
