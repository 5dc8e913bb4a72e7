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
import { Devices } from "./devices.ts";
import { FileHandles } from "./file_handles.ts";
import { inoOf, markOf, type Name, Node, shownIno } from "./node.ts";
import { check, CStringBuffer, EMPTY, isShortage, procPath, STATX_MASK } from "./system.ts";

// A name is looked at without asking any server, so that meeting our own mount cannot deadlock.
const NAMED = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;

/** Closes the sources of trees that nobody holds any more. */
const abandoned = new FinalizationRegistry<{ libc: Libc; fd: number }>(({ libc, fd }) => libc.close(fd));

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
  readonly devices: Devices = new Devices(this.libc);
  /** What the last call here said of a node. */
  readonly st: Stat = this.devices.st;
  /** Attributes of a second object. */
  readonly other = new Stat();
  readonly timeouts: Timeouts;
  readonly descriptors: Descriptors<Node>;
  #connection: Connection | undefined;
  readonly #limit: number;
  // One buffer a purpose: the names of a request, and those of a walk that happens in between.
  readonly #name = new CStringBuffer();
  readonly #newName = new CStringBuffer();
  readonly #walked = new CStringBuffer();
  readonly #handles: FileHandles = new FileHandles(this.libc);
  /** Whether handles lead to folders. */
  readonly #recalls: boolean;
  #nodes = new NodeTable<Node>();

  /** Opens the source. ENOENT, ENOTDIR, EACCES: it cannot be mirrored. */
  constructor(source: string, timeouts: Timeouts, limit: number) {
    const { libc } = this;
    this.timeouts = timeouts;
    this.#limit = limit;
    this.descriptors = new Descriptors(libc, limit, (node, fd) => this.#leave(node, fd));
    const fd = libc.open(cstring(source), libc.O.PATH | libc.O.DIRECTORY | libc.O.CLOEXEC, 0);
    if (fd < 0) throw refusal(source, "open(2)", fd, "name a directory that exists");
    try {
      const again = libc.open(procPath(fd), libc.O.PATH | libc.O.CLOEXEC, 0);
      if (again < 0) throw refusal(source, "open(2) of /proc/self/fd", again, "mount proc at /proc");
      libc.close(again);
      this.root = this.devices.identify(fd, true);
    } catch (error) {
      libc.close(fd);
      throw error;
    }
    this.descriptors.put(this.root, fd);
    this.descriptors.pin(this.root);
    abandoned.register(this, { libc, fd }, this);
    this.#register(this.root);
    this.#recalls = this.#opensHandles(fd);
  }

  /** The handshake's results, while there is a connection. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  /** Notes a connection, or its end. */
  connect(connection: Connection | undefined): void {
    this.#connection = connection;
    this.devices.own = connection?.device;
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

  /** A call that answers a descriptor; once more with fewer kept where the process has none left. */
  opening(call: () => number): number {
    const fd = call();
    return this.#again(fd) ? call() : fd;
  }

  /** `openat(2)` with O_CLOEXEC, as {@linkcode Tree.opening} makes it. */
  openat(dirfd: number, path: Uint8Array, flags: number, mode = 0): number {
    const { libc } = this, wanted = flags | libc.O.CLOEXEC;
    const fd = libc.openat(dirfd, path, wanted, mode);
    return this.#again(fd) ? libc.openat(dirfd, path, wanted, mode) : fd;
  }

  /** Opens the object of a descriptor anew. */
  reopen(fd: number, flags: number): number {
    const { libc } = this, wanted = flags | libc.O.CLOEXEC;
    const opened = libc.openat(AT_FDCWD, procPath(fd), wanted, 0);
    return this.#again(opened) ? libc.openat(AT_FDCWD, procPath(fd), wanted, 0) : opened;
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
    const device = this.devices.device();
    const mark = markOf(st, device);
    let node = this.devices.known(device);
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
      const found = this.devices.identify(check("openat", fd, ".."), false);
      // Outside the source no node is known.
      if (found.nodeid !== 0) return found;
      const { parent } = node;
      if (parent !== undefined && this.devices.matches(parent)) return parent;
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
      if (r >= 0 && this.devices.matches(node)) return node;
    }
    check("statx", libc.statx(fd < 0 ? this.#walk(node) : fd, EMPTY, AT_EMPTY_PATH | flags, STATX_MASK, st));
    return node;
  }

  /** How much others than root may write to the node's file system, bytes; Infinity where a server decides that. */
  room(node: Node, fd: number): number {
    const { statfs } = this.devices;
    if (!node.device.local || statfs.fill(fd) < 0) return Infinity;
    return statfs.get("bsize") * statfs.get("bavail");
  }

  /** Takes over an O_PATH descriptor; answers its node, with the attributes in `st`. */
  adopt(fd: number, fresh = false): Node {
    const { libc, descriptors } = this;
    let node: Node;
    try {
      node = this.devices.identify(fd, fresh);
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
    const device = this.devices.device();
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
    return this.devices.known();
  }

  /**
   * The known node behind a name that is about to go, with a descriptor that stays; undefined where there is none. Its
   * attributes are in `st`. To be followed by {@linkcode lose} or {@linkcode keep}.
   */
  secure(dirfd: number, path: Uint8Array): Node | undefined {
    const { libc, descriptors } = this;
    const node = this.peek(dirfd, path);
    if (node === undefined) return undefined;
    if (node.slot < 0) {
      const fd = this.openat(dirfd, path, libc.O.PATH | libc.O.NOFOLLOW);
      if (fd < 0) return undefined;
      if (!this.devices.isOf(fd, node)) {
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

  /** There is no kernel any more that knows nodes: only the source's own descriptor stays open. */
  abandon(): void {
    for (const { nodeid } of this.#nodes.values()) this.forget(nodeid, Infinity);
    this.descriptors.close(this.root);
    this.connect(undefined);
  }

  /** Closes every descriptor. All nodes are unknown from now on. */
  close(): void {
    abandoned.unregister(this);
    this.descriptors.close();
    this.#nodes = new NodeTable();
    this.devices.clear();
  }

  /** Whether to try once more what answered this, a descriptor or -errno: there was none left, and now there is. */
  #again(fd: number): boolean {
    return isShortage(fd) && this.descriptors.shrink();
  }

  #register(node: Node): void {
    node.nodeid = this.#nodes.insert(node);
    node.device.nodes.set(node.ino, node);
  }

  /** The inode number no longer stands for this node. */
  #unname(node: Node): void {
    if (node.device.nodes.get(node.ino) === node) node.device.nodes.delete(node.ino);
  }

  /** A descriptor of the node that there is; -1: there is none. */
  #kept(node: Node): number {
    const fd = this.descriptors.get(node);
    return fd >= 0 ? fd : node.open?.[0] ?? -1;
  }

  /** A folder's descriptor is closed for room. Others may rename the way to it, and a process may be working in it. */
  #leave(node: Node, fd: number): void {
    const wanted = node.type === S_IFDIR && node.device === this.root.device && node.ways === undefined;
    const handle = wanted && this.#recalls ? this.#handles.of(fd) : undefined;
    if (handle !== undefined) node.ways = { names: [], handle };
  }

  /** Whether the server may open handles, and the source's file system has any; now, while it is nobody else. */
  #opensHandles(root: number): boolean {
    const handle = this.#handles.of(root);
    if (handle === undefined) return false;
    const fd = this.#reach(handle);
    if (fd >= 0) this.libc.close(fd);
    // Other errors say nothing of the next time: descriptors may be lacking.
    return fd !== -ERRNO.EPERM && fd !== -ERRNO.EOPNOTSUPP;
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
    if (!this.devices.isOf(fd, node)) {
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
    if (handle === undefined) return -1;
    const fd = this.opening(() => this.#reach(handle));
    if (isShortage(fd)) check("open_by_handle_at", fd);
    return this.#take(node, fd);
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
