/**
 * The backing files of a session, and the one legal answer to each open.
 *
 * The kernel takes one id per inode, shared by all of its opens, refuses an open that contradicts what is open already,
 * and looks the id up after the reply was written. So every inode with a backing file has one, whatever its opens ask
 * for; an id is registered with the first open that can use it, and given back after the last RELEASE. Where the
 * kernel does not take the file, or another handle stands in the way, the session moves the data itself.
 *
 * A staged file stays its inode's until its last commit has ended: what the author has of it is old until then. So long
 * the author is not told that the kernel has forgotten the inode, whose number he might give to another one.
 */
import type { Libc } from "../../ffi/libc.ts";
import { FOPEN_DIRECT_IO, FOPEN_NOFLUSH, FOPEN_PASSTHROUGH } from "../abi/flags.ts";
import { FUSE_DEV_IOC_BACKING_CLOSE, FUSE_DEV_IOC_BACKING_OPEN } from "../abi/ioctl.ts";
import { fuse_backing_map } from "../abi/structs.ts";
import { type Deferred, deferred } from "../deferred.ts";
import type { Device } from "../device.ts";
import { ERRNO, type ErrnoName, errnoName, FuseError } from "../errno.ts";
import type { Backing, BackingOptions, BackingSource, Passthrough, PassthroughStats } from "../fs/backing.ts";
import type { Attr, Awaitable, OpenReply, Request, SetattrArgs } from "../fs/types.ts";
import { Appender } from "./append.ts";
import { BackingFile, type BackingOwner } from "./backing.ts";
import type { Access } from "./descriptors.ts";
import type { Held } from "./held.ts";
import { processOf } from "./process.ts";
import { Room } from "./room.ts";
import { openSource } from "./source.ts";

/** How an open is to be answered. */
interface Decision {
  readonly openFlags: number;
  readonly backingId: number;
  readonly served: BackingFile | null;
  readonly backed: BackingFile | null;
  readonly tracked: boolean;
  /** Goes by the page cache, or will where it is mapped. */
  readonly cached: boolean;
  /** What this handle keeps open: the inode's. */
  readonly holds: BackingFile | null;
  /** And its own, where that is another one. */
  readonly own: BackingFile | null;
  /** close(2) by a thread, of a handle that stages what is written. */
  readonly flush?: (thread: number) => Awaitable<void>;
}

/** What is open of one inode. */
interface OpenInode {
  handles: number;
  /** Handles through the page cache, or that a mapping brings there: no id may come in beside them. */
  cached: number;
  /** Handles with an id: no handle may go through the page cache beside them. */
  passed: number;
  /** Handles that keep its backing file open. */
  backed: number;
  backing: BackingFile | null;
  /** How often something that was left of it is being handed over. */
  commits: number;
  /** Resolves when nothing is any more; null: nobody waits. */
  settled: Deferred<void> | null;
}

const PLAIN: Decision = Object.freeze({
  openFlags: 0,
  backingId: 0,
  served: null,
  backed: null,
  tracked: false,
  cached: true,
  holds: null,
  own: null,
});
const DIRECT: Decision = Object.freeze({ ...PLAIN, tracked: true, cached: false });
const MAPPABLE: Decision = Object.freeze({ ...PLAIN, tracked: true });
// The kernel is not to ask what nobody answers: after ENOSYS it would not ask for staged files either.
const [PLAIN_UNFLUSHED, DIRECT_UNFLUSHED, MAPPABLE_UNFLUSHED] = [PLAIN, DIRECT, MAPPABLE].map((decision): Decision =>
  Object.freeze({ ...decision, openFlags: FOPEN_NOFLUSH })
);
const READ_ONLY = "the backing file is registered for reading";
/** What may be done with a descriptor that is answered as it is. */
const ANY: Access = "read-write";
const CACHED = "the inode is open through the page cache, or by a handle that a mapping brings there";

/** What a registry may be told by its session. */
export interface RegistryHooks {
  /** A commit failed, and there is nobody to be told but the author. */
  lost?(error: unknown, nodeid: number): void;
  /** The kernel's attributes of an inode may be older than its backing file: without them it asks before it reads. */
  stale?(nodeid: number): void;
  /** An open was refused for what its author answered, of which the opener learns no more than an errno. */
  mistaken?(error: FuseError, where: { opcode: string; nodeid: number }): void;
}

/** The registry: {@linkcode Passthrough} to authors, the arbiter to the session. */
export class PassthroughRegistry implements Passthrough, BackingOwner, Disposable {
  readonly libc: Libc;
  readonly minor: number | undefined;
  readonly room: Room;
  readonly appender: Appender;
  readonly #device: Device;
  readonly #inodes = new Map<number, OpenInode>();
  readonly #files = new Set<BackingFile>();
  /** Those that no open has answered yet. */
  readonly #unused = new Map<Held, WeakRef<BackingFile>>();
  /** Whoever registered one and lost it, say by throwing, can answer it no more. */
  readonly #dropped = new FinalizationRegistry<Held>((held) => {
    if (this.#unused.delete(held)) held.release(this.libc);
  });
  readonly #map = new Uint8Array(fuse_backing_map.size);
  readonly #mapView = new DataView(this.#map.buffer);
  readonly #id = new Uint8Array(4);
  readonly #idView = new DataView(this.#id.buffer);
  readonly #fallbacks: Partial<Record<ErrnoName, number>> = {};
  readonly #reasons: Record<string, number> = {};
  readonly #maxStackDepth: number;
  readonly #hooks: RegistryHooks;
  #registered = 0;
  #closed = 0;
  #unavailable: string | null = "the handshake is not done";
  /** The kernel has said so. */
  #unprivileged = false;
  #ended = false;
  #staged = false;
  #unflushed = false;
  /** Files whose commits the end of the session waits for. */
  readonly #late = new Set<BackingFile>();
  readonly #gaveUp = deferred<void>();
  #hurried = false;
  #ending: Promise<void> | null = null;

  /** `minor`: the device number of the mount. */
  constructor(libc: Libc, device: Device, maxStackDepth: number, hooks: RegistryHooks = {}, minor?: number) {
    this.libc = libc;
    this.minor = minor;
    this.room = new Room(libc);
    this.appender = new Appender(libc);
    this.#device = device;
    this.#maxStackDepth = maxStackDepth;
    this.#hooks = hooks;
  }

  get unavailable(): string | null {
    return this.#unavailable;
  }

  stats(): PassthroughStats {
    return {
      registered: this.#registered,
      closed: this.#closed,
      open: this.#registered - this.#closed,
      fallbacks: { ...this.#fallbacks },
      reasons: { ...this.#reasons },
    };
  }

  /**
   * The handshake is done: `reason` is null where passthrough was agreed on; `unflushed`: the author does not ask for
   * closes, and the kernel can be told so with each open.
   */
  enable(reason: string | null, unflushed = false): void {
    this.#unavailable = reason;
    this.#unflushed = unflushed;
  }

  /** Whether closes have to come in, for files that are staged. */
  get flushes(): boolean {
    return this.#staged;
  }

  register(source: BackingSource, { access, autoClose = true, coherent = true }: BackingOptions = {}): Backing {
    this.#checkAlive();
    const opened = openSource(this, source, { access, coherent });
    if (opened.staged !== null) this.#staged = true;
    const file = new BackingFile(this, opened, { autoClose, coherent, loose: false });
    this.#unused.set(file.held, new WeakRef(file));
    this.#dropped.register(file, file.held, file.held);
    return file;
  }

  #checkAlive(): void {
    if (this.#ended) throw new FuseError("ENODEV", "cannot register a backing file: the session has ended");
  }

  /** It can no longer be lost: it is open, or closed. */
  #keep(file: BackingFile): void {
    if (this.#unused.delete(file.held)) this.#dropped.unregister(file.held);
  }

  /** The backing file that an open answers. */
  #asked({ backing, growing }: OpenReply): BackingFile | null {
    if (backing === undefined) return null;
    if (backing instanceof BackingFile) {
      if (backing.owner !== this) throw new TypeError("the answer's backing was registered with another session");
      if (backing.state !== "closed") return backing;
      throw new FuseError(
        "EBADF",
        "the backing file that was answered is closed; register one with each open, or one that stays open " +
          "({ autoClose: false })",
      );
    }
    if (typeof backing !== "number") throw new TypeError("the answer's backing is not one of this session's");
    this.#checkAlive();
    if (!(Number.isInteger(backing) && backing >= 0)) throw new TypeError(`the answer's backing is ${backing}`);
    // As the opener asked for it. The author's own getattr and setattr are about the same file.
    const source = { fd: backing, owned: false, writes: true, access: ANY, map: null, staged: null };
    return new BackingFile(this, source, { autoClose: true, coherent: false, loose: true, growing });
  }

  /** An open or create of this inode by a thread is about to be answered. */
  opened(nodeid: number, flags: number, reply: OpenReply, thread = 0): Decision {
    const asked = this.#blaming(nodeid, flags, () => this.#asked(reply));
    let inode = this.#inodes.get(nodeid);
    if (inode === undefined) {
      inode = { handles: 0, cached: 0, passed: 0, backed: 0, backing: null, commits: 0, settled: null };
      this.#inodes.set(nodeid, inode);
    }
    try {
      return this.#decide(inode, asked, { nodeid, flags, thread, direct: reply.directIo === true });
    } finally {
      this.#forget(nodeid, inode);
      // A second backing file of one inode is not used.
      if (asked !== null && asked.refs === 0 && asked.autoClose) asked.close();
    }
  }

  /** Tells the author of an open's inode what he answered wrong, of which the opener learns no more than an errno. */
  #blaming<T>(nodeid: number, flags: number, use: () => T): T {
    try {
      return use();
    } catch (error) {
      // What says no errno is reported anyway. And after the end nothing can be right.
      if (error instanceof FuseError && !this.#ended) {
        this.#hooks.mistaken?.(error, { opcode: this.#opcodeOf(flags), nodeid });
      }
      throw error;
    }
  }

  /** What an open came as: CREATE and TMPFILE say so in their flags, OPEN never does. */
  #opcodeOf(flags: number): "FUSE_OPEN" | "FUSE_CREATE" | "FUSE_TMPFILE" {
    const { O } = this.libc;
    if ((flags & O.TMPFILE) === O.TMPFILE) return "FUSE_TMPFILE";
    return flags & O.CREAT ? "FUSE_CREATE" : "FUSE_OPEN";
  }

  /** Whether an open made what it opens. */
  #isNew(flags: number): boolean {
    return this.#opcodeOf(flags) !== "FUSE_OPEN";
  }

  /** Drops what is known of an inode that is not open any more. */
  #forget(nodeid: number, inode: OpenInode): void {
    const { backing, commits } = inode;
    // Handles that have descriptors of their own may be open still when the inode's file is not.
    const unused = inode.backed === 0 || backing?.refs === 0;
    if (backing?.state === "closed" || commits === 0 && unused) inode.backing = null;
    if (inode.handles === 0 && inode.backing === null && this.#inodes.get(nodeid) === inode) {
      this.#inodes.delete(nodeid);
    }
  }

  #decide(inode: OpenInode, asked: BackingFile | null, { nodeid, flags, thread, direct }: Opener): Decision {
    const { O } = this.libc;
    const file = this.#fileOf(inode, asked);
    const mode = flags & O.ACCMODE, reading = mode === O.RDONLY;
    // A close of what can be mapped and written brings its pages to the server, which must not be left out.
    const unflushed = this.#unflushed && reading;
    // What goes past the page cache comes to it by a mapping, and beside an id it could not be mapped.
    const cached = !direct || mode !== O.WRONLY;
    if (file === null) {
      inode.handles++;
      if (cached) inode.cached++;
      if (!direct) return unflushed ? PLAIN_UNFLUSHED : PLAIN;
      if (!cached) return unflushed ? DIRECT_UNFLUSHED : DIRECT;
      return unflushed ? MAPPABLE_UNFLUSHED : MAPPABLE;
    }
    this.#admit(inode, file, asked, flags);
    // What is opened as its own handle was serves no other.
    const own = asked !== null && asked !== file && (asked.loose || file.loose) ? asked : null;
    const mine = own ?? file;
    const data = mine.loose && asked !== mine ? null : mine;
    const served = asked === null ? null : data;
    if (asked !== null && (!reading || flags & O.TRUNC)) mine.forWriting();
    // An open that did not ask has a part in what the others have, and no more.
    const id = inode.passed > 0 ? file.id : asked === null ? 0 : this.#idOf(inode, file);
    if (served !== null && (id === 0 || direct)) this.#blaming(nodeid, flags, () => served.forServing());
    if (asked !== null && mine.coherent) {
      if (flags & O.TRUNC) mine.truncate(0);
      // What the kernel takes for the end of the file it does not read beyond, nor do programs that look first.
      if (!this.#isNew(flags)) this.#hooks.stale?.(nodeid);
    }
    inode.backing = file;
    inode.handles++;
    inode.backed++;
    this.#keep(file);
    this.#files.add(file);
    file.retain(nodeid);
    if (own !== null) {
      this.#keep(own);
      this.#files.add(own);
      own.retain(nodeid);
    }
    if (this.#isNew(flags) || asked !== null && flags & O.TRUNC) mine.staged?.made();
    const flush = reading ? undefined : this.#stageWriter(mine, id !== 0 && mode === O.RDWR, thread);
    const handle = { backed: data, tracked: true, holds: file, own, ...flush && { flush } };
    if (id !== 0) {
      inode.passed++;
      // The one way to move a handle's data ourselves beside those of the kernel.
      const past = asked === null || direct;
      // Nothing of it is in the page cache, to be brought to the server.
      const quiet = this.#unflushed && flush === undefined ? FOPEN_NOFLUSH : 0;
      const openFlags = FOPEN_PASSTHROUGH | quiet | (past ? FOPEN_DIRECT_IO : 0);
      return { ...handle, openFlags, backingId: id, served: direct ? served : null, cached: false };
    }
    if (cached) inode.cached++;
    return { ...handle, openFlags: unflushed ? FOPEN_NOFLUSH : 0, backingId: 0, served, cached };
  }

  /** The backing file that an inode has from this open on. */
  #fileOf(inode: OpenInode, asked: BackingFile | null): BackingFile | null {
    const { backing, passed } = inode;
    if (backing === null) return asked;
    // A descriptor as it is may have been closed with its own handle: without an id there is nothing left of it.
    return backing.loose && passed === 0 && asked !== null ? asked : backing;
  }

  /** Refuses who opens what cannot be written to write it; the kernel would let him. */
  #admit(inode: OpenInode, file: BackingFile, asked: BackingFile | null, flags: number): void {
    const { O } = this.libc;
    const mode = flags & O.ACCMODE;
    if (asked === null) {
      // His writes go to the author, but what he maps is the file.
      if (file.access === "read" && inode.passed > 0 && mode === O.RDWR) throw new FuseError("EACCES", READ_ONLY);
      return;
    }
    if (mode === O.RDONLY && !(flags & O.TRUNC)) return;
    if (asked.access === "read") throw new FuseError("EACCES", READ_ONLY);
    if (!file.writable && file.isSame(asked)) file.widen(asked);
    if (!file.writable) throw new FuseError("EACCES", READ_ONLY);
  }

  /** A handle that writes to a staged file: what its close(2) does; undefined of other files. */
  #stageWriter(file: BackingFile, mapped: boolean, thread: number): Decision["flush"] {
    const { staged } = file;
    if (staged === null) return undefined;
    staged.opened(mapped);
    if (!staged.atClose) return undefined;
    const opener = processOf(this.libc, thread);
    return (closing) => {
      // Whoever else has it open goes on writing, and so does whoever let a child close what it inherited.
      if (file.refs !== 1 || closing !== thread && processOf(this.libc, closing) !== opener || opener === 0) return;
      const committed = staged.commit(false);
      if (!(committed instanceof Promise)) return;
      return committed.catch((error) => {
        // By then the closer has been told something else.
        if (this.#ended) this.lost(file, error);
        throw error;
      });
    };
  }

  /** The id of an inode's backing file: registered if it has none yet; 0 where the kernel does not take it. */
  #idOf(inode: OpenInode, file: BackingFile): number {
    if (file.fd < 0 || inode.cached > 0) return this.#without(file);
    if (file.id !== 0) return file.id;
    if (this.#unavailable !== null) return this.#without(file);
    fuse_backing_map.write(this.#mapView, 0, { fd: file.fd, flags: 0 });
    const open = () => this.#device.ioctl(FUSE_DEV_IOC_BACKING_OPEN, this.#map);
    const id = file.growing === null ? open() : file.growing(open, Infinity);
    if (id > 0) {
      this.#registered++;
      file.mode = "identity";
      file.reason = null;
      return file.id = id;
    }
    const says = `FUSE_DEV_IOC_BACKING_OPEN says ${errnoName(id)}`;
    if (id === -ERRNO.EPERM) {
      // A lack of privilege is not about this file: it is not asked again for each.
      this.#unprivileged = true;
      this.#unavailable = `${says}: passthrough needs CAP_SYS_ADMIN in the initial user namespace`;
      return this.#without(file);
    }
    const stacked = id === -ERRNO.ELOOP && this.#maxStackDepth < 2
      ? ": the file lies on a stacked file system, of which option maxStackDepth: 2 allows one, or in /proc"
      : "";
    return this.#fallBack(file, errnoName(id) as ErrnoName, says + stacked);
  }

  #without(file: BackingFile): 0 {
    if (file.fd < 0) return this.#fallBack(file, "EOPNOTSUPP", file.reason!, "extents");
    if (this.#unavailable === null) return this.#fallBack(file, "EBUSY", CACHED);
    return this.#fallBack(file, this.#unprivileged ? "EPERM" : "EOPNOTSUPP", this.#unavailable);
  }

  #fallBack(file: BackingFile, errno: ErrnoName, reason: string, mode: "served" | "extents" = "served"): 0 {
    this.#fallbacks[errno] = (this.#fallbacks[errno] ?? 0) + 1;
    this.#reasons[reason] = (this.#reasons[reason] ?? 0) + 1;
    // Of another inode the kernel may have it.
    if (file.id !== 0) return 0;
    file.mode = mode;
    file.reason = reason;
    return 0;
  }

  /** A handle of this inode was released, or its open reply was not delivered. */
  released(nodeid: number, decision: Decision | null): void {
    const inode = this.#inodes.get(nodeid);
    if (inode === undefined) return;
    inode.handles--;
    if (decision !== null && decision.backingId !== 0) inode.passed--;
    else if (decision === null || decision.cached) inode.cached--;
    const file = decision === null ? null : decision.holds;
    if (decision !== null && decision.own !== null) this.#release(nodeid, inode, decision.own);
    if (file !== null) {
      inode.backed--;
      this.#release(nodeid, inode, file);
    }
    this.#forget(nodeid, inode);
  }

  /** Releases a handle's file. An inode keeps its backing file until all that was left of it is handed over. */
  #release(nodeid: number, inode: OpenInode, file: BackingFile): void {
    const settled = () => {
      if (--inode.commits > 0) return;
      this.#forget(nodeid, inode);
      if (!this.#ended) inode.settled?.resolve();
      inode.settled = null;
    };
    if (file.release(settled)) inode.commits++;
  }

  /** An inode of this number was made. The number may be the name's, of which another inode was just removed. */
  made(nodeid: number): void {
    if (this.#inodes.get(nodeid)?.handles === 0) this.#inodes.delete(nodeid);
  }

  /** Resolves once what is staged of an inode is handed over, while the session lasts; null: nothing is. */
  busy(nodeid: number): Promise<void> | null {
    const inode = this.#inodes.get(nodeid);
    return inode === undefined || inode.commits === 0 ? null : (inode.settled ??= deferred<void>()).promise;
  }

  /** The attributes of an inode as its backing file has them now. */
  attributes(nodeid: number, attr: Attr): Attr {
    if (this.#inodes.size === 0) return attr;
    const file = this.#inodes.get(nodeid)?.backing;
    return file && file.coherent ? file.attributes(attr) : attr;
  }

  /** The author is about to be asked for a setattr. */
  changing({ nodeid, size }: SetattrArgs): void {
    if (size === undefined) return;
    const file = this.#inodes.get(nodeid)?.backing;
    if (file && file.coherent && !file.writable) throw new FuseError("EACCES", READ_ONLY);
  }

  /** The author has agreed to a setattr. */
  changed(args: SetattrArgs, caller: Request): void {
    const file = this.#inodes.get(args.nodeid)?.backing;
    if (!file || !file.coherent) return;
    if (args.killSuidgid) file.killSuidgid(caller);
    // How the kernel ends them where that is not left to us; the rest of a mode is the author's.
    if (args.mode !== undefined) file.limitSuidgid(args.mode);
    if (args.size !== undefined) file.truncate(args.size);
    file.setTimes(args);
  }

  /** A commit failed of which nobody else will be told. */
  lost(file: BackingFile, error: unknown): void {
    // Once given up, it has been reported.
    if (this.#ending === null || this.#late.has(file)) this.#hooks.lost?.(error, file.nodeid);
  }

  /** A backing file is closed. */
  closing(file: BackingFile): void {
    this.#keep(file);
    this.#files.delete(file);
    if (file.id === 0) return;
    this.#idView.setUint32(0, file.id, true);
    this.#device.ioctl(FUSE_DEV_IOC_BACKING_CLOSE, this.#id);
    this.#closed++;
    file.id = 0;
  }

  /**
   * Closes all, for the connection has ended, and hands over what is staged. The promise, where commits take their
   * time, resolves when they have ended, or were given up.
   */
  end(): Promise<void> | null {
    if (this.#ended) return this.#ending;
    this.#ended = true;
    this.#unavailable = "the session has ended";
    this.#inodes.clear();
    for (const unused of this.#unused.values()) unused.deref()?.end();
    for (const file of this.#files) {
      const committed = file.end();
      if (committed === null) continue;
      this.#late.add(file);
      committed.then(() => this.#late.delete(file) && this.#late.size === 0 && this.#gaveUp.resolve());
    }
    this.#ending = this.#late.size === 0 ? null : this.#gaveUp.promise;
    if (this.#hurried) this.giveUp();
    return this.#ending;
  }

  /** The end does not wait for commits any longer: what they were to hand over is reported as lost. */
  giveUp(): void {
    this.#hurried = true;
    const reason = "the session has ended before the commit of a staged file had";
    for (const file of this.#late) this.lost(file, new FuseError("ETIMEDOUT", reason));
    this.#late.clear();
    if (this.#ended) this.#gaveUp.resolve();
  }

  /** As `end`, without waiting. */
  [Symbol.dispose](): void {
    void this.end();
  }
}

/** Who opens, and how. */
interface Opener {
  readonly nodeid: number;
  readonly flags: number;
  readonly thread: number;
  readonly direct: boolean;
}
