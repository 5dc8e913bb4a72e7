/**
 * The nodes of a mirrored tree, and the way to each of them.
 *
 * A node is reached by one `openat(2)` of one name from the O_PATH descriptor of its folder, never following a symbolic
 * link, and is then compared with what was known of it. So nothing that others do to the source at the same time leads
 * out of it, or to another inode than the one meant.
 */
import { libc } from "../../../ffi/load.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_NO_AUTOMOUNT,
  AT_STATX_DONT_SYNC,
  AT_SYMLINK_NOFOLLOW,
  type Libc,
  Stat,
} from "../../../ffi/libc.ts";
import { cstring } from "../../abi/text.ts";
import { ERRNO, errnoName, FuseError } from "../../errno.ts";
import type { Connection } from "../../fs/filesystem.ts";
import { S_IFDIR, S_IFMT } from "../../fs/mode.ts";
import { type Attr, type AttrReply, type Entry, makedev } from "../../fs/types.ts";
import { NodeTable } from "../node_table.ts";
import { Descriptors } from "./descriptors.ts";
import { FileHandles } from "./file_handles.ts";
import { Device, inoOf, markOf, type Name, Node, shownIno } from "./node.ts";
import { check, CStringBuffer, EMPTY, procPath } from "./system.ts";

/** STATX_BASIC_STATS and STATX_BTIME. */
export const STATX_MASK = 0xfff;
// A name is looked at without asking any server, so that meeting our own mount cannot deadlock.
const NAMED = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
const PROBE = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;

/**
 * `f_type` of file systems whose attributes no server has to be asked for: ext, xfs, btrfs, tmpfs, f2fs, zfs, bcachefs,
 * squashfs, erofs, ramfs, iso9660, vfat, exfat. Of others the attributes are fetched a second time, from a descriptor,
 * and times of birth are not relied on: overlayfs changes them when it copies a file up. Source: `linux/magic.h`,
 * `statfs(2)`.
 */
const LOCAL: ReadonlySet<number> = new Set([
  0xef53,
  0x58465342,
  0x9123683e,
  0x01021994,
  0xf2f52010,
  0x2fc12fc1,
  0xca451a4e,
  0x73717368,
  0xe0f5e1e2,
  0x858458f6,
  0x9660,
  0x4d44,
  0x2011bab0,
]);

/** How many names are remembered of a file besides the last one. */
const NAMES = 4;

/** How long the kernel may keep what it was told, s. */
export interface Timeouts {
  readonly entry: number;
  readonly attr: number;
  readonly negative: number;
}

/** The nodes of a source. */
export class Tree {
  readonly libc: Libc = libc();
  /** The source itself. */
  readonly root: Node;
  /** What the last call here said of a node. */
  readonly st = new Stat();
  /** Attributes of a second object. */
  readonly other = new Stat();
  readonly euid: number;
  readonly egid: number;
  readonly timeouts: Timeouts;
  readonly descriptors: Descriptors<Node>;
  /** The handshake's results, once it was done. */
  connection?: Connection;
  readonly #devices = new Map<number, Device>();
  readonly #limit: number;
  // One buffer a purpose: the names of a request, and those of a walk that happens in between.
  readonly #name = new CStringBuffer();
  readonly #newName = new CStringBuffer();
  readonly #walked = new CStringBuffer();
  readonly #statfs = new Uint8Array(120);
  readonly #handles: FileHandles = new FileHandles(this.libc);
  /** Whether handles can be opened; undefined until there was one. */
  #recalls: boolean | undefined;
  #nodes = new NodeTable<Node>();

  /** Opens the source. ENOENT, ENOTDIR, EACCES: it cannot be mirrored. */
  constructor(source: string, timeouts: Timeouts, limit: number) {
    const { libc } = this;
    this.timeouts = timeouts;
    this.#limit = limit;
    this.descriptors = new Descriptors(libc, limit, (node, fd) => this.#leave(node, fd));
    this.euid = libc.geteuid();
    this.egid = libc.getegid();
    const fd = libc.open(cstring(source), libc.O.PATH | libc.O.DIRECTORY | libc.O.CLOEXEC, 0);
    if (fd < 0) throw refusal(source, "open(2)", fd, "name a directory that exists");
    try {
      const again = libc.open(procPath(fd), libc.O.PATH | libc.O.CLOEXEC, 0);
      if (again < 0) throw refusal(source, "open(2) of /proc/self/fd", again, "mount proc at /proc");
      libc.close(again);
      this.root = this.#identify(fd, true);
    } catch (error) {
      libc.close(fd);
      throw error;
    }
    this.descriptors.put(this.root, fd);
    this.descriptors.pin(this.root);
    this.#register(this.root);
  }

  /** How many nodes the kernel knows. */
  get size(): number {
    return this.#nodes.size;
  }

  /** The node of a nodeid. ESTALE: there is none. */
  node(nodeid: number): Node {
    return this.#nodes.at(nodeid);
  }

  /** The C string of a name. Walks leave it alone, but for their sake it is made after {@linkcode use}. */
  name(name: string): Uint8Array {
    return this.#name.set(name);
  }

  /** The C string of a second name. */
  newName(name: string): Uint8Array {
    return this.#newName.set(name);
  }

  /**
   * A descriptor of the node, by which nothing is read or written; valid until another node's is asked for, unless
   * pinned. ESTALE: the node is not open, and no known name leads to it any more.
   */
  use(node: Node): number {
    const fd = this.#kept(node);
    return fd >= 0 ? fd : this.#walk(node);
  }

  /** Notes that the node is open by this descriptor. */
  opened(node: Node, fd: number): void {
    if (node.open === undefined) node.open = [fd];
    else node.open.push(fd);
  }

  /** Takes {@linkcode opened} back. */
  closed(node: Node, fd: number): void {
    const fds = node.open;
    if (fds === undefined || fds.length === 1) node.open = undefined;
    else fds.splice(fds.indexOf(fd), 1);
  }

  /** Runs with the descriptors of two nodes. */
  useBoth<R>(a: Node, b: Node, run: (a: number, b: number) => R): R {
    const first = this.use(a);
    if (a === b) return run(first, first);
    const pinned = a.slot >= 0 && this.descriptors.pin(a);
    try {
      return run(first, this.use(b));
    } finally {
      if (pinned) this.descriptors.unpin(a);
    }
  }

  /** `openat(2)` with O_CLOEXEC; once more with fewer descriptors kept where the process has none left. */
  openat(dirfd: number, path: Uint8Array, flags: number, mode = 0): number {
    const { libc } = this;
    const fd = libc.openat(dirfd, path, flags | libc.O.CLOEXEC, mode);
    const retry = (fd === -ERRNO.EMFILE || fd === -ERRNO.ENFILE) && this.descriptors.shrink();
    return retry ? libc.openat(dirfd, path, flags | libc.O.CLOEXEC, mode) : fd;
  }

  /** Opens the object of a descriptor anew. */
  reopen(fd: number, flags: number): number {
    return this.openat(AT_FDCWD, procPath(fd), flags);
  }

  /**
   * The node behind a name, its attributes in `st`; undefined: there is no such name. ELOOP: our own mount is there.
   *
   * A name costs one `statx(2)`. Only what must not be lost is opened at once: folders, since others may rename them
   * under a process that works in them; what has no time of birth, since only an open descriptor keeps its inode number
   * from being given to another; and what a server has to be asked about.
   */
  lookup(dir: Node, name: string): Node | undefined {
    const { libc, st } = this;
    const dirfd = this.use(dir);
    const path = this.name(name);
    const r = libc.statx(dirfd, path, NAMED, STATX_MASK, st);
    if (r === -ERRNO.ENOENT) return undefined;
    check("statx", r, name);
    const device = this.#device();
    const mark = markOf(st, device);
    let node = this.#known(device);
    if (node === undefined || node.slot < 0) {
      if (!device.local || mark >> 4 === 0 || (st.mode & S_IFMT) === S_IFDIR) {
        const fd = this.openat(dirfd, path, libc.O.PATH | libc.O.NOFOLLOW);
        if (fd === -ERRNO.ENOENT) return undefined;
        node = this.adopt(check("openat", fd, name));
      } else node ??= new Node(device, inoOf(st), mark);
    } else if (!device.local) check("statx", libc.statx(this.use(node), EMPTY, AT_EMPTY_PATH, STATX_MASK, st), name);
    if (node === this.root) throw new FuseError("ELOOP", `the source is mounted inside itself, as ${name}`);
    this.place(node, dir, name);
    return node;
  }

  /** The folder that a folder lies in, its attributes in `st`; of the root, the root. ESTALE: it is not known. */
  up(node: Node): Node {
    if (node === this.root) return this.stat(node);
    const { libc } = this;
    const fd = this.openat(this.use(node), this.name(".."), libc.O.PATH | libc.O.DIRECTORY);
    try {
      const found = this.#identify(check("openat", fd, ".."), false);
      // Outside the source no node is known.
      if (found.nodeid !== 0) return found;
      const { parent } = node;
      if (parent !== undefined && this.#matches(parent)) return parent;
      throw new FuseError("ESTALE", "the folder above is not known");
    } finally {
      libc.close(fd);
    }
  }

  /** Fills `st` with the node's attributes, as they are now; answers the node. */
  stat(node: Node, flags = 0): Node {
    const { libc, st } = this;
    const { parent } = node;
    const fd = this.#kept(node);
    if (fd < 0 && node.device.local && parent !== undefined) {
      const dirfd = this.#follow(parent);
      const r = dirfd < 0 ? dirfd : libc.statx(dirfd, this.#walked.set(node.name), NAMED, STATX_MASK, st);
      if (r >= 0 && this.#matches(node)) return node;
    }
    check("statx", libc.statx(fd < 0 ? this.#walk(node) : fd, EMPTY, AT_EMPTY_PATH | flags, STATX_MASK, st));
    return node;
  }

  /** How much others than root may write to the node's file system, bytes; Infinity where a server decides that. */
  room(node: Node, fd: number): number {
    if (!node.device.local || this.libc.fstatfs(fd, this.#statfs) < 0) return Infinity;
    const view = new DataView(this.#statfs.buffer);
    return view.getUint32(8, true) * (view.getUint32(36, true) * 2 ** 32 + view.getUint32(32, true));
  }

  /** Takes over an O_PATH descriptor; answers its node, with the attributes in `st`. */
  adopt(fd: number, fresh = false): Node {
    const { libc, descriptors } = this;
    let node: Node;
    try {
      node = this.#identify(fd, fresh);
    } catch (error) {
      libc.close(fd);
      throw error;
    }
    if (descriptors.get(node) < 0) descriptors.put(node, fd);
    else libc.close(fd);
    return node;
  }

  /** The new node of what was just made, whose attributes are in `st`. */
  made(): Node {
    const device = this.#device();
    return new Node(device, inoOf(this.st), markOf(this.st, device));
  }

  /** Notes a name that leads to the node; `several`: it has others. */
  place(node: Node, dir: Node, name: string, several: boolean = this.st.nlink > 1): void {
    if (node === this.root) return;
    const { parent, name: before } = node;
    if (parent === undefined) this.descriptors.unpin(node);
    else if (node.type !== S_IFDIR && several && (parent !== dir || before !== name)) {
      const ways = node.ways ??= { names: [] };
      const others = ways.names.filter((other) => !isName(other, dir, name) && !isName(other, parent, before));
      ways.names = [{ parent, name: before }, ...others].slice(0, NAMES);
    }
    node.parent = dir;
    node.name = name;
  }

  /** The known node behind a name, for a moment; undefined where there is none. */
  peek(dirfd: number, path: Uint8Array): Node | undefined {
    if (this.libc.statx(dirfd, path, NAMED, STATX_MASK, this.st) < 0) return undefined;
    const device = this.#devices.get(this.#deviceKey());
    return device && this.#known(device);
  }

  /**
   * The known node behind a name that is about to go, with a descriptor that stays; undefined where there is none. Its
   * attributes are in `st`. To be followed by {@linkcode lose} or {@linkcode keep}.
   */
  secure(dirfd: number, path: Uint8Array): Node | undefined {
    const { libc, st, descriptors } = this;
    const node = this.peek(dirfd, path);
    if (node === undefined) return undefined;
    if (node.slot < 0) {
      const fd = this.openat(dirfd, path, libc.O.PATH | libc.O.NOFOLLOW);
      if (fd < 0) return undefined;
      if (libc.statx(fd, EMPTY, PROBE, STATX_MASK, st) < 0 || !this.#matches(node)) {
        libc.close(fd);
        return undefined;
      }
      descriptors.put(node, fd);
    }
    descriptors.pin(node);
    return node;
  }

  /** A name of a secured node was removed; `last`: it has no other. */
  lose(node: Node, dir: Node, name: string, last: boolean): void {
    if (last) node.ways = undefined;
    else if (node.ways !== undefined) node.ways.names = node.ways.names.filter((other) => !isName(other, dir, name));
    if (last || node.parent === dir && node.name === name) {
      node.parent = undefined;
      // Other names may lead to it, so it can be found again. Too many that merely may be in use are let go.
      if (!last && this.descriptors.pinned > this.#limit / 2) this.descriptors.unpin(node);
    } else this.descriptors.unpin(node);
  }

  /** A secured node keeps its name. */
  keep(node: Node): void {
    if (node.parent !== undefined) this.descriptors.unpin(node);
  }

  /** Counts a lookup of the node whose attributes are in `st`, and says what the kernel wants to know of it. */
  entry(node: Node): Entry {
    if (node.nodeid === 0) this.#register(node);
    const { nodeid } = node;
    this.#nodes.remember(nodeid);
    return {
      nodeid,
      generation: this.#nodes.generation(nodeid),
      attr: this.attr(node),
      entryTimeout: this.timeouts.entry,
      attrTimeout: this.timeouts.attr,
    };
  }

  /** The attributes in `st`, as those of the node. */
  attrReply(node: Node): AttrReply {
    return { attr: this.attr(node), attrTimeout: this.timeouts.attr };
  }

  /** The attributes in `st`, as those of the node. */
  attr(node: Node): Attr {
    const { st } = this;
    return {
      ino: shownIno(node.device, node.ino),
      size: st.size,
      blocks: st.blocks,
      atime: st.atime,
      mtime: st.mtime,
      ctime: st.ctime,
      atimeNsec: st.atimeNsec,
      mtimeNsec: st.mtimeNsec,
      ctimeNsec: st.ctimeNsec,
      mode: st.mode,
      nlink: st.nlink,
      uid: st.uid,
      gid: st.gid,
      rdev: makedev(st.rdevMajor, st.rdevMinor),
      blksize: st.blksize,
    };
  }

  /** Takes lookups back; at 0 the node is forgotten. */
  forget(nodeid: number, nlookup: number): void {
    const node = this.#nodes.get(nodeid);
    if (node === undefined || node === this.root || this.#nodes.forget(nodeid, nlookup) > 0) return;
    this.#nodes.remove(nodeid);
    node.nodeid = 0;
    this.#unname(node);
    this.descriptors.drop(node);
  }

  /** A known folder of each file system that has one. */
  *folders(): Generator<Node> {
    for (const { nodes } of this.#devices.values()) {
      for (const node of nodes.values()) {
        if (node.type !== S_IFDIR) continue;
        yield node;
        break;
      }
    }
  }

  /** Closes every descriptor. All nodes are unknown from now on. */
  close(): void {
    this.descriptors.close();
    this.#nodes = new NodeTable();
    this.#devices.clear();
  }

  #register(node: Node): void {
    node.nodeid = this.#nodes.insert(node);
    node.device.nodes.set(node.ino, node);
  }

  /** The inode number no longer stands for this node. */
  #unname(node: Node): void {
    if (node.device.nodes.get(node.ino) === node) node.device.nodes.delete(node.ino);
  }

  #deviceKey(): number {
    return this.st.devMajor * 2 ** 20 + this.st.devMinor;
  }

  /** The device of what is in `st`. */
  #device(): Device {
    const { devMajor, devMinor } = this.st;
    const own = this.connection?.device;
    if (own !== undefined && own.major === devMajor && own.minor === devMinor) {
      throw new FuseError("ELOOP", "the mount lies inside its own source");
    }
    const key = this.#deviceKey();
    let device = this.#devices.get(key);
    if (device === undefined) this.#devices.set(key, device = new Device(this.#devices.size));
    return device;
  }

  /** The known node of what is in `st`. */
  #known(device: Device): Node | undefined {
    const node = device.nodes.get(inoOf(this.st));
    if (node === undefined) return undefined;
    const mark = markOf(this.st, device);
    if (node.mark === mark) return node;
    // A descriptor keeps the inode number from being used again: this is the same inode, with another time of birth.
    if (node.slot < 0) return undefined;
    node.mark = mark;
    return node;
  }

  /** Whether what is in `st` is the node. */
  #matches(node: Node): boolean {
    const { st } = this;
    const { device } = node;
    return this.#devices.get(this.#deviceKey()) === device && node.ino === inoOf(st) &&
      node.mark === markOf(st, device);
  }

  /** The node of a descriptor, with the attributes in `st`. */
  #identify(fd: number, fresh: boolean): Node {
    const { libc, st } = this;
    check("statx", libc.statx(fd, EMPTY, PROBE, STATX_MASK, st));
    const device = this.#device();
    if (device.local === undefined) {
      const known = libc.fstatfs(fd, this.#statfs) === 0;
      const view = new DataView(this.#statfs.buffer);
      device.local = known && LOCAL.has(view.getUint32(0, true));
      // What has no blocks makes its contents up.
      device.sizeless = known && !device.local && view.getBigUint64(16, true) === 0n;
    }
    const node = (fresh ? undefined : this.#known(device)) ?? new Node(device, inoOf(st), markOf(st, device));
    if (!device.local) check("statx", libc.statx(fd, EMPTY, AT_EMPTY_PATH, STATX_MASK, st));
    return node;
  }

  /** A descriptor of the node that there is; -1: there is none. */
  #kept(node: Node): number {
    const fd = this.descriptors.get(node);
    return fd >= 0 ? fd : node.open?.[0] ?? -1;
  }

  /** A folder's descriptor is closed for room. Others may rename the way to it, and a process may be working in it. */
  #leave(node: Node, fd: number): void {
    const wanted = node.type === S_IFDIR && node.device === this.root.device && node.ways === undefined;
    if (!wanted || this.#recalls === false) return;
    const handle = this.#handles.of(fd);
    if (handle === undefined) return;
    if (this.#recalls === undefined) {
      const again = this.#reach(handle);
      this.#recalls = again >= 0;
      if (again < 0) return;
      this.libc.close(again);
    }
    node.ways = { names: [], handle };
  }

  /** Opens what a handle on the source's file system leads to. */
  #reach(handle: string): number {
    const { libc } = this, { O } = libc;
    // No O_PATH descriptor will do.
    const root = libc.open(procPath(this.descriptors.get(this.root)), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
    if (root < 0) return root;
    const fd = this.#handles.open(root, handle, O.PATH | O.NOFOLLOW | O.CLOEXEC);
    libc.close(root);
    return fd;
  }

  /** A new descriptor, which is kept if it is of the node; -1: it is not. */
  #take(node: Node, fd: number): number {
    const { libc } = this;
    if (fd < 0) return -1;
    if (libc.statx(fd, EMPTY, PROBE, STATX_MASK, this.st) < 0 || !this.#matches(node)) {
      libc.close(fd);
      return -1;
    }
    // Where the way runs in a circle it has one by now.
    if (node.slot < 0) this.descriptors.put(node, fd);
    else libc.close(fd);
    return this.descriptors.get(node);
  }

  /** Opens the node by its name, by its handle, or by a name that it had. */
  #walk(node: Node): number {
    const fd = this.#follow(node);
    if (fd >= 0) return fd;
    const { PATH, NOFOLLOW } = this.libc.O;
    for (const { parent, name } of node.ways?.names ?? []) {
      const dirfd = this.#follow(parent);
      const found = dirfd < 0 ? -1 : this.#take(node, this.openat(dirfd, this.#walked.set(name), PATH | NOFOLLOW));
      if (found < 0) continue;
      this.place(node, parent, name);
      return found;
    }
    throw lost(node);
  }

  /** Opens the node by way of the nearest folder above that has a descriptor or a handle; -1: none leads there. */
  #follow(node: Node): number {
    const { PATH, NOFOLLOW } = this.libc.O;
    const way: Node[] = [];
    let fd = -1;
    let at = node;
    // Where others move folders, what is known of them may run in a circle: a milestone is met again.
    let milestone: Node | undefined;
    for (; (fd = this.#kept(at)) < 0; at = at.parent) {
      if (at.parent === undefined || at === milestone) break;
      if ((way.length & way.length - 1) === 0) milestone = at;
      way.push(at);
    }
    if (fd < 0) fd = this.#recall(at);
    for (let next = way.pop(); next !== undefined; next = way.pop()) {
      if (fd >= 0) {
        const found = this.openat(fd, this.#walked.set(next.name), PATH | NOFOLLOW);
        if (found !== -ERRNO.ENOENT && found !== -ERRNO.ENOTDIR) check("openat", found, next.name);
        fd = this.#take(next, found);
      }
      if (fd < 0) fd = this.#recall(next);
    }
    return fd;
  }

  /** Opens the node by its handle; -1: it has none that leads to it. */
  #recall(node: Node): number {
    const handle = node.ways?.handle;
    return handle === undefined ? -1 : this.#take(node, this.#reach(handle));
  }
}

/** Whether it is this one. */
function isName({ parent, name }: Name, dir: Node, of: string): boolean {
  return parent === dir && name === of;
}

function lost(node: Node): FuseError {
  return new FuseError("ESTALE", `no known name leads to inode ${node.ino} any more; last seen as ${node.name}`);
}

function refusal(source: string, syscall: string, errno: number, remedy: string): FuseError {
  if (errno === -ERRNO.EACCES) remedy = "run it as a user who may enter it";
  const message = `cannot mirror ${JSON.stringify(source)}: ${syscall} says ${errnoName(errno)}; ${remedy}`;
  return new FuseError(errno, message, { syscall: syscall.replace(/\(.*/, ""), path: source });
}
