/**
 * The backing files of a session, and the one legal answer to each open.
 *
 * The kernel takes one id per inode, shared by all of its opens, refuses an open that contradicts what is open already,
 * and looks the id up after the reply was written. So every inode with a backing file has one, whatever its opens ask
 * for; an id is registered with the first open that can use it, and given back after the last RELEASE. Where the
 * kernel does not take the file, or another handle stands in the way, the session moves the data itself.
 */
import type { Libc } from "../../ffi/libc.ts";
import { FOPEN_DIRECT_IO, FOPEN_PASSTHROUGH } from "../abi/flags.ts";
import { FUSE_DEV_IOC_BACKING_CLOSE, FUSE_DEV_IOC_BACKING_OPEN } from "../abi/ioctl.ts";
import { fuse_backing_map } from "../abi/structs.ts";
import { cstring } from "../abi/text.ts";
import type { Device } from "../device.ts";
import { ERRNO, errnoName, FuseError } from "../errno.ts";
import type { Backing, BackingOptions, BackingSource, Passthrough, PassthroughStats } from "../fs/backing.ts";
import type { Attr, OpenReply, SetattrArgs } from "../fs/types.ts";
import { BackingFile, type BackingOwner, check, type Opened } from "./backing.ts";
import { ExtentMap } from "./extents.ts";

/** How an open is to be answered. */
interface Decision {
  readonly openFlags: number;
  readonly backingId: number;
  readonly served: BackingFile | null;
  readonly backed: BackingFile | null;
  readonly tracked: boolean;
  /** Does not go by the page cache. */
  readonly direct: boolean;
  /** What this handle keeps open: the inode's. */
  readonly holds: BackingFile | null;
}

/** What is open of one inode. */
interface OpenInode {
  handles: number;
  /** Handles through the page cache: no id may come in beside them. */
  cached: number;
  /** Handles with an id: no handle may go through the page cache beside them. */
  passed: number;
  /** Handles that keep its backing file open. */
  backed: number;
  backing: BackingFile | null;
}

const PLAIN: Decision = Object.freeze({
  openFlags: 0,
  backingId: 0,
  served: null,
  backed: null,
  tracked: false,
  direct: false,
  holds: null,
});
const DIRECT: Decision = Object.freeze({ ...PLAIN, tracked: true, direct: true });

/** The registry: {@linkcode Passthrough} to authors, the arbiter to the session. */
export class PassthroughRegistry implements Passthrough, BackingOwner, Disposable {
  readonly libc: Libc;
  readonly #device: Device;
  readonly #inodes = new Map<number, OpenInode>();
  readonly #files = new Set<BackingFile>();
  readonly #map = new Uint8Array(fuse_backing_map.size);
  readonly #mapView = new DataView(this.#map.buffer);
  readonly #id = new Uint8Array(4);
  readonly #idView = new DataView(this.#id.buffer);
  readonly #fallbacks: Record<string, number> = {};
  readonly #maxStackDepth: number;
  #registered = 0;
  #closed = 0;
  #unavailable: string | null = "the handshake is not done";
  #ended = false;

  constructor(libc: Libc, device: Device, maxStackDepth: number) {
    this.libc = libc;
    this.#device = device;
    this.#maxStackDepth = maxStackDepth;
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
    };
  }

  /** The handshake is done: `reason` is null where passthrough was agreed on. */
  enable(reason: string | null): void {
    this.#unavailable = reason;
  }

  register(source: BackingSource, options: BackingOptions = {}): Backing {
    return this.#make(this.#open(source, options.access), options);
  }

  #make(opened: Opened, { access, autoClose = true, coherent = true }: BackingOptions, loose = false): BackingFile {
    if (this.#ended) throw new FuseError("ENODEV", "cannot register a backing file: the session has ended");
    try {
      const file = new BackingFile(this, opened, { ...access && { access }, autoClose, coherent, loose });
      this.#files.add(file);
      return file;
    } catch (error) {
      if (opened.owned) this.libc.close(opened.fd);
      throw error;
    }
  }

  #open(source: BackingSource, access: BackingOptions["access"]): Opened {
    const { libc } = this;
    const { O } = libc;
    if (source instanceof ExtentMap) return { fd: -1, owned: false, map: source };
    if (typeof source === "string") {
      const path = cstring(source);
      const what = `cannot register ${JSON.stringify(source)} as a backing file`;
      const flags = O.CLOEXEC | O.NONBLOCK | O.NOCTTY;
      if (access !== undefined) {
        const mode = access === "read" ? O.RDONLY : O.RDWR;
        return { fd: check("open", libc.open(path, flags | mode, 0), what), owned: true, map: null };
      }
      let fd = libc.open(path, flags | O.RDWR, 0);
      // Whoever may only read it serves it for reading.
      if (fd === -ERRNO.EACCES || fd === -ERRNO.EROFS) fd = libc.open(path, flags | O.RDONLY, 0);
      return { fd: check("open", fd, what), owned: true, map: null };
    }
    if (typeof source === "object" && source !== null && "memfd" in source) {
      const fd = libc.memfdCreate(cstring(source.memfd), MFD_CLOEXEC);
      return { fd: check("memfd_create", fd, "cannot make a file in memory"), owned: true, map: null };
    }
    const fd = typeof source === "number" ? source : (source as { readonly fd: number } | null)?.fd ?? -1;
    if (!(Number.isInteger(fd) && fd >= 0)) {
      throw new TypeError(
        `the backing is ${source}; it has to be a descriptor, an object with one, a path or an extent map`,
      );
    }
    return { fd, owned: false, map: null };
  }

  /** The backing file that an open answers. */
  #asked(backing: OpenReply["backing"]): BackingFile | null {
    if (backing === undefined) return null;
    if (backing instanceof BackingFile) {
      if (backing.state === "closed") throw new FuseError("EBADF", "the backing file that was answered is closed");
      return backing;
    }
    if (typeof backing !== "number") throw new TypeError("the answer's backing is not one of this session's");
    // The author's own getattr and setattr are about the same file.
    return this.#make(this.#open(backing, undefined), { access: "read-write", coherent: false }, true);
  }

  /** An open or create of this inode is about to be answered. */
  opened(nodeid: number, flags: number, reply: OpenReply): Decision {
    const asked = this.#asked(reply.backing);
    let inode = this.#inodes.get(nodeid);
    if (inode === undefined) {
      this.#inodes.set(nodeid, inode = { handles: 0, cached: 0, passed: 0, backed: 0, backing: null });
    }
    try {
      return this.#decide(inode, asked, flags, reply.directIo === true);
    } finally {
      if (inode.handles === 0) this.#inodes.delete(nodeid);
      // A second backing file of one inode is not used.
      if (asked !== null && asked.refs === 0 && asked.autoClose) asked.close();
    }
  }

  #decide(inode: OpenInode, asked: BackingFile | null, flags: number, direct: boolean): Decision {
    const { O } = this.libc;
    const file = inode.backing ?? asked;
    if (file === null) {
      inode.handles++;
      if (!direct) inode.cached++;
      return direct ? DIRECT : PLAIN;
    }
    if (asked !== null && file.access === "read" && ((flags & O.ACCMODE) !== O.RDONLY || flags & O.TRUNC)) {
      throw new FuseError("EACCES", "the backing file is registered for reading");
    }
    // An open that did not ask has a part in what the others have, and no more.
    const id = inode.passed > 0 ? file.id : asked === null ? 0 : this.#idOf(inode, file);
    if (asked !== null && file.coherent && flags & O.TRUNC) file.truncate(0);
    inode.backing = file;
    inode.handles++;
    inode.backed++;
    file.retain();
    // A descriptor as it is may be closed with its own handle, and is opened as that was: it serves no other.
    const data = asked?.loose ? asked : file.loose ? null : file;
    const served = asked === null ? null : data ?? file;
    const handle = { backed: data, tracked: true, holds: file };
    if (id !== 0) {
      inode.passed++;
      // The one way to move a handle's data ourselves beside those of the kernel.
      const own = asked === null || direct;
      const openFlags = FOPEN_PASSTHROUGH | (own ? FOPEN_DIRECT_IO : 0);
      return { ...handle, openFlags, backingId: id, served: direct ? served : null, direct: true };
    }
    if (!direct) inode.cached++;
    return { ...handle, openFlags: 0, backingId: 0, served, direct };
  }

  /** The id of an inode's backing file: registered if it has none yet; 0 where the kernel does not take it. */
  #idOf(inode: OpenInode, file: BackingFile): number {
    if (file.fd < 0 || inode.cached > 0) return this.#without(file);
    if (file.id !== 0) return file.id;
    if (this.#unavailable !== null) return this.#fallBack(file, this.#unavailable);
    fuse_backing_map.write(this.#mapView, 0, { fd: file.fd, flags: 0 });
    const id = this.#device.ioctl(FUSE_DEV_IOC_BACKING_OPEN, this.#map);
    if (id > 0) {
      this.#registered++;
      file.mode = "identity";
      file.reason = null;
      return file.id = id;
    }
    const says = `FUSE_DEV_IOC_BACKING_OPEN says ${errnoName(id)}`;
    if (id === -ERRNO.EPERM) {
      // A lack of privilege is not about this file: it is not asked again for each.
      this.#unavailable = `${says}: passthrough needs CAP_SYS_ADMIN in the initial user namespace`;
      return this.#fallBack(file, this.#unavailable);
    }
    const stacked = id === -ERRNO.ELOOP && this.#maxStackDepth < 2
      ? ": the file lies on a stacked file system, or in this mount; option maxStackDepth: 2 allows the first"
      : "";
    return this.#fallBack(file, says + stacked);
  }

  #without(file: BackingFile): 0 {
    if (file.fd < 0) return this.#fallBack(file, file.reason!, "extents");
    return this.#fallBack(file, this.#unavailable ?? "the inode is open through the page cache");
  }

  #fallBack(file: BackingFile, reason: string, mode: "served" | "extents" = "served"): 0 {
    this.#fallbacks[reason] = (this.#fallbacks[reason] ?? 0) + 1;
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
    else if (decision === null || !decision.direct) inode.cached--;
    if (inode.handles === 0) this.#inodes.delete(nodeid);
    if (decision === null || decision.holds === null) return;
    if (--inode.backed === 0) inode.backing = null;
    decision.holds.release();
  }

  /** The attributes of an inode as its backing file has them now. */
  attributes(nodeid: number, attr: Attr): Attr {
    if (this.#inodes.size === 0) return attr;
    const file = this.#inodes.get(nodeid)?.backing;
    return file && file.coherent ? file.attributes(attr) : attr;
  }

  /** The author has agreed to a setattr. */
  changed({ nodeid, size, killSuidgid }: SetattrArgs): void {
    const file = this.#inodes.get(nodeid)?.backing;
    if (!file || !file.coherent) return;
    if (killSuidgid) file.killSuidgid();
    if (size !== undefined) file.truncate(size);
  }

  /** A backing file is closed. */
  closing(file: BackingFile): void {
    this.#files.delete(file);
    if (file.id === 0) return;
    this.#idView.setUint32(0, file.id, true);
    this.#device.ioctl(FUSE_DEV_IOC_BACKING_CLOSE, this.#id);
    this.#closed++;
    file.id = 0;
  }

  /** Closes all: the connection has ended. */
  [Symbol.dispose](): void {
    this.#ended = true;
    for (const file of this.#files) file.end();
    this.#inodes.clear();
    this.#unavailable = "the session has ended";
  }
}

const MFD_CLOEXEC = 1;
