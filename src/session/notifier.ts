/**
 * Notifications: what a file system tells the kernel without being asked.
 *
 * @module
 */
import { FUSE_EXPIRE_ONLY } from "../abi/flags.ts";
import type { Struct } from "../abi/layout.ts";
import { NOTIFY_CODE, type NotifyCode } from "../abi/notify.ts";
import { since } from "../abi/since.ts";
import {
  fuse_notify_delete_out,
  fuse_notify_inval_entry_out,
  fuse_notify_inval_inode_out,
  fuse_notify_poll_wakeup_out,
  fuse_notify_prune_out,
  fuse_notify_retrieve_out,
  fuse_notify_store_out,
  fuse_out_header,
} from "../abi/structs.ts";
import { encodeName } from "../abi/text.ts";
import { type Deferred, deferred } from "../deferred.ts";
import { ERRNO, errnoName, FuseError } from "../errno.ts";
import type { Notifications } from "../fs/notifications.ts";

/** How messages reach the kernel. Both answer 0 or a negative errno. */
export interface NotifyChannel {
  /** On this thread: for messages that wait for nobody. */
  send(message: Uint8Array): number;
  /** On another thread: for messages that wait for locks, which a caller may hold who waits for us. */
  sendElsewhere(message: Uint8Array): Promise<number>;
}

/** The methods that send each notification; complete by type. */
export const NOTIFY_METHODS: Readonly<Record<NotifyCode, readonly (keyof Notifications)[]>> = {
  FUSE_NOTIFY_POLL: ["pollWakeup"],
  FUSE_NOTIFY_INVAL_INODE: ["invalInode"],
  FUSE_NOTIFY_INVAL_ENTRY: ["invalEntry", "expireEntry"],
  FUSE_NOTIFY_STORE: ["store"],
  FUSE_NOTIFY_RETRIEVE: ["retrieve"],
  FUSE_NOTIFY_DELETE: ["delete"],
  FUSE_NOTIFY_RESEND: ["resend"],
  FUSE_NOTIFY_INC_EPOCH: ["incEpoch"],
  FUSE_NOTIFY_PRUNE: ["prune"],
};

const MEANINGS: Readonly<Record<number, string>> = {
  [ERRNO.ENOENT]: "the kernel does not know this inode or name (any more)",
  [ERRNO.ENOTDIR]: "the parent is no directory",
  [ERRNO.ENOTEMPTY]: "the directory is not empty in the kernel's eyes",
  [ERRNO.EBUSY]: "something is mounted on it",
  [ERRNO.EINVAL]: "the kernel does not take this message, or not with these values",
  [ERRNO.ENODEV]: "the connection has ended",
  [ERRNO.EBADF]: "the session has ended",
};

/** The notifications of one session. What answers a promise never throws: also a name that is no name rejects it. */
export class Notifier implements Notifications {
  readonly #channel: NotifyChannel;
  readonly #retrieving = new Map<number, Deferred<Uint8Array>>();
  #unique = 0;
  #ended = false;
  /** The end of the message that goes last; null where none is under way. */
  #last: Promise<void> | null = null;
  #minor = 0;

  constructor(channel: NotifyChannel) {
    this.#channel = channel;
  }

  /** The handshake has agreed on this minor version. */
  begin(minor: number): void {
    this.#minor = minor;
  }

  pollWakeup(kh: bigint): void {
    this.#now("FUSE_NOTIFY_POLL", message("FUSE_NOTIFY_POLL", fuse_notify_poll_wakeup_out, { kh }));
  }

  async invalInode(nodeid: number, offset = 0, length = 0): Promise<void> {
    const value = { ino: nodeid, off: offset, len: length };
    await this.#elsewhere(
      "FUSE_NOTIFY_INVAL_INODE",
      message("FUSE_NOTIFY_INVAL_INODE", fuse_notify_inval_inode_out, value),
    );
  }

  /** The kernel's attributes of an inode are old. This waits for no lock, so that it may be told before an answer. */
  staleAttributes(nodeid: number): void {
    if (this.#ended) return;
    // Where the kernel does not know the inode it knows no attributes either.
    this.#channel.send(
      message("FUSE_NOTIFY_INVAL_INODE", fuse_notify_inval_inode_out, { ino: nodeid, off: -1, len: 0 }),
    );
  }

  invalEntry(parent: number, name: string): Promise<void> {
    return this.#entry(parent, name, 0);
  }

  async expireEntry(parent: number, name: string): Promise<void> {
    this.#need("FUSE_EXPIRE_ONLY");
    await this.#entry(parent, name, FUSE_EXPIRE_ONLY);
  }

  async #entry(parent: number, name: string, flags: number): Promise<void> {
    const bytes = terminated(name);
    const value = { parent, namelen: bytes.length - 1, flags };
    await this.#elsewhere(
      "FUSE_NOTIFY_INVAL_ENTRY",
      message("FUSE_NOTIFY_INVAL_ENTRY", fuse_notify_inval_entry_out, value, bytes),
    );
  }

  async delete(parent: number, child: number, name: string): Promise<void> {
    const bytes = terminated(name);
    const value = { parent, child, namelen: bytes.length - 1 };
    await this.#elsewhere("FUSE_NOTIFY_DELETE", message("FUSE_NOTIFY_DELETE", fuse_notify_delete_out, value, bytes));
  }

  async store(nodeid: number, offset: number, data: Uint8Array): Promise<void> {
    const value = { nodeid, offset, size: data.length };
    await this.#elsewhere("FUSE_NOTIFY_STORE", message("FUSE_NOTIFY_STORE", fuse_notify_store_out, value, data));
  }

  async retrieve(nodeid: number, offset: number, size: number): Promise<Uint8Array> {
    const unique = ++this.#unique;
    const value = { notify_unique: unique, nodeid, offset, size };
    const bytes = message("FUSE_NOTIFY_RETRIEVE", fuse_notify_retrieve_out, value);
    // The answer may come before the write of the question has returned.
    const answer = deferred<Uint8Array>();
    this.#retrieving.set(unique, answer);
    this.#elsewhere("FUSE_NOTIFY_RETRIEVE", bytes).catch((error) => {
      this.#retrieving.delete(unique);
      answer.reject(error);
    });
    return await answer.promise;
  }

  /** A NOTIFY_REPLY has come: the data of a {@linkcode retrieve}, borrowed. */
  retrieved(unique: number, data: Uint8Array): void {
    const answer = this.#retrieving.get(unique);
    this.#retrieving.delete(unique);
    answer?.resolve(data.slice());
  }

  /** The session has ended: nobody will answer. */
  end(): void {
    this.#ended = true;
    for (const answer of this.#retrieving.values()) {
      answer.reject(new FuseError("ENODEV", "FUSE_NOTIFY_RETRIEVE: the session has ended before the answer"));
    }
    this.#retrieving.clear();
  }

  resend(): void {
    this.#now("FUSE_NOTIFY_RESEND", message("FUSE_NOTIFY_RESEND"));
  }

  incEpoch(): void {
    this.#now("FUSE_NOTIFY_INC_EPOCH", message("FUSE_NOTIFY_INC_EPOCH"));
  }

  async prune(nodeids: readonly number[]): Promise<void> {
    const list = new Uint8Array(nodeids.length * 8);
    const view = new DataView(list.buffer);
    nodeids.forEach((nodeid, i) => view.setBigUint64(i * 8, BigInt(nodeid), true));
    const value = { count: nodeids.length };
    await this.#elsewhere("FUSE_NOTIFY_PRUNE", message("FUSE_NOTIFY_PRUNE", fuse_notify_prune_out, value, list));
  }

  #need(what: string): void {
    if (this.#ended) throw new FuseError("ENODEV", `${what}: the session has ended`);
    if (this.#minor >= since(what)) return;
    throw new FuseError("ENOSYS", `${what} came with FUSE 7.${since(what)}; 7.${this.#minor} was agreed on`);
  }

  #now(code: NotifyCode, bytes: Uint8Array): void {
    this.#need(code);
    check(code, this.#channel.send(bytes));
  }

  /** One after another: each may wait for a lock, and many at once would take the threads that the loop needs. */
  async #elsewhere(code: NotifyCode, bytes: Uint8Array): Promise<void> {
    this.#need(code);
    const before = this.#last, sent = deferred<void>();
    this.#last = sent.promise;
    try {
      if (before !== null) {
        await before;
        this.#need(code);
      }
      check(code, await this.#channel.sendElsewhere(bytes));
    } finally {
      if (this.#last === sent.promise) this.#last = null;
      sent.resolve();
    }
  }
}

function check(code: NotifyCode, errno: number): void {
  if (errno >= 0) return;
  const meaning = MEANINGS[-errno];
  throw new FuseError(errno, `${code}: write(2) says ${errnoName(errno)}${meaning ? ` (${meaning})` : ""}`, {
    syscall: "write",
  });
}

function terminated(name: string): Uint8Array {
  const bytes = encodeName(name);
  const withNul = new Uint8Array(bytes.length + 1);
  withNul.set(bytes);
  return withNul;
}

/** Header, fixed part, the rest. */
function message<V>(code: NotifyCode, type?: Struct<V>, value?: V, rest?: Uint8Array): Uint8Array {
  const fixed = fuse_out_header.size + (type?.size ?? 0);
  // More than 64 bytes of memory: another thread reads it.
  const memory = new Uint8Array(Math.max(128, fixed + (rest?.length ?? 0)));
  const view = new DataView(memory.buffer);
  const length = fixed + (rest?.length ?? 0);
  fuse_out_header.write(view, 0, { len: length, error: NOTIFY_CODE[code], unique: 0n });
  if (type !== undefined) type.write(view, fuse_out_header.size, value!);
  if (rest !== undefined) memory.set(rest, fixed);
  return memory.subarray(0, length);
}
