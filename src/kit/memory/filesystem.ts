/** The file system in memory: what the kernel asks, done on a tree of inodes. */
import { FuseError } from "../../errno.ts";
import type { Connection, Filesystem } from "../../fs/filesystem.ts";
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  O_ACCMODE,
  O_APPEND,
  O_EXCL,
  O_NOATIME,
  O_TRUNC,
  SEEK_DATA,
  SEEK_HOLE,
} from "../../fs/flags.ts";
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from "../../fs/mode.ts";
import type * as t from "../../fs/types.ts";
import { type DirectoryInode, type FileInode, type Inode } from "./inode.ts";
import { asksNothing, type Caller, checkEmptyChown, RootWrites, sgidToRefuse } from "../permissions.ts";
import { type Checks, guard } from "./guard.ts";
import { byteLength, checkLength, NAME_MAX } from "./names.ts";
import { PAGE } from "./chunk.ts";
import { type Account, type Quota, Space } from "./space.ts";
import { type MemorySnapshot, parts, Restoration, snapshot } from "./snapshot.ts";
import { type Made, Tree } from "./tree.ts";
import { aclFollows, checkXattrName, dropCapabilities, listXattrs, removeXattr, setAcl, setXattr } from "./xattrs.ts";

/** What {@linkcode memory} may be told. */
export interface MemoryOptions {
  /** How much data there may be, bytes, counted in pages of 4 KiB. Default: 1 GiB. Beyond: ENOSPC. */
  maxBytes?: number;
  /**
   * How many inodes there may be, the root among them, and names of files that have several. Default: 1,048,576.
   * Beyond: ENOSPC.
   */
  maxInodes?: number;
  /** How much the files of one user may take, asked once for each user; undefined: no limit. Beyond: EDQUOT. */
  quota?: (uid: number) => Quota | undefined;
  /** What to begin with: the answer of an earlier {@linkcode Memory.snapshot}, as it is or through JSON. */
  snapshot?: MemorySnapshot;
  /**
   * Who checks permissions: `"kernel"` (the default) for mounts with `defaultPermissions`; `"own"`: the file system
   * itself, by the caller's user, groups and access control lists, for those without. It keeps `entryTimeout` at 0,
   * since the kernel asks nobody about names that it keeps.
   */
  permissions?: "kernel" | "own";
  /** Permission bits of the root. Default: 0o1777, as with tmpfs: everyone may make files, and remove their own. */
  mode?: number;
  /** Owner of the root. Default: 0. */
  uid?: number;
  /** Group of the root. Default: 0. */
  gid?: number;
  /**
   * When reading sets the time of last access: with `"relatime"` (the default) once after a change and once a day,
   * with `"strictatime"` always, with `"noatime"` never. What the page cache answers is not seen here.
   */
  atime?: "relatime" | "strictatime" | "noatime";
  /** How long the kernel may keep a name, or that there is none, s. Default: for ever; 0 with `permissions: "own"`. */
  entryTimeout?: number;
  /**
   * How long the kernel may keep attributes, s. Default: for ever; always 0 for files that are set-user-id, and for all
   * where the kernel collects writes.
   */
  attrTimeout?: number;
}

const GIB = 2 ** 30;
const DEFAULT_INODES = 2 ** 20;
// One answer copies no more, so that others need not wait long.
const COPY_MAX = 64 * 2 ** 20;
/** Longest target of a symbolic link, bytes: `limits.h PATH_MAX` without the NUL. */
const TARGET_MAX = 4095;

// The cache of the kernel is always right, since whatever changes goes through it.
const OPENED: t.OpenReply = Object.freeze({ keepCache: true });
// Before it drops its cache the kernel writes back what was stored through a mapping.
const WRITTEN_BACK: t.OpenReply = Object.freeze({ keepCache: false });

function spaceOf({ maxBytes = GIB, maxInodes = DEFAULT_INODES, quota }: MemoryOptions): Space {
  if (maxInodes >= 1) return new Space(maxBytes, maxInodes, quota);
  const text = `cannot make a file system in memory: maxInodes is ${maxInodes}, and the root is one`;
  throw new FuseError("ENOSPC", text);
}

function treeOf(options: MemoryOptions): Tree {
  const { mode = 0o1777, uid = 0, gid = 0, snapshot } = options;
  if (snapshot === undefined) return new Tree(spaceOf(options), mode, { uid, gid });
  const restoration = new Restoration(spaceOf(options));
  restoration.add(snapshot);
  return restoration.finish();
}

/** An open directory. */
interface Pass {
  /** The newest name when its pass began: one that renames all it reads comes to an end. */
  last: number;
  /** Its reading does not count as access. */
  readonly quiet: boolean;
}

/**
 * The file system behind {@linkcode memory}; each method answers at once, but those that have to tell the kernel
 * something.
 */
export class MemoryFilesystem implements Filesystem {
  /** The inodes. */
  readonly tree: Tree;
  readonly #atime: MemoryOptions["atime"];
  readonly #entryTimeout: number;
  readonly #attrTimeout: number;
  readonly #passes = new Map<number, Pass>();
  #lastPass = 0;
  #masks = false;
  /** The kernel sees to set-id bits, but for what it does not know of: the groups of who is not root. */
  #kills = true;
  readonly #rootWrites = new RootWrites();
  #collects = false;
  #acls: boolean;
  /** Where there is a kernel. */
  #notify: Connection["notify"] | undefined;

  /** A file system with nothing but a root, or what a snapshot holds, or a tree that was restored. */
  constructor(options: MemoryOptions = {}, tree: Tree = treeOf(options)) {
    this.tree = tree;
    this.#acls = options.permissions === "own";
    this.#atime = options.atime ?? "relatime";
    this.#entryTimeout = options.permissions === "own" ? 0 : options.entryTimeout ?? Infinity;
    this.#attrTimeout = options.attrTimeout ?? Infinity;
  }

  init({ negotiated, notify }: Pick<Connection, "negotiated"> & Partial<Pick<Connection, "notify">>): void {
    const { flags } = negotiated;
    // Who agrees on nothing is no kernel, and keeps no pages.
    this.#notify = flags.size > 0 ? notify : undefined;
    this.#masks = flags.has("FUSE_DONT_MASK");
    this.#kills = !flags.has("FUSE_HANDLE_KILLPRIV") && !flags.has("FUSE_HANDLE_KILLPRIV_V2");
    this.#collects = negotiated.flags.has("FUSE_WRITEBACK_CACHE");
    this.#acls ||= flags.has("FUSE_POSIX_ACL");
  }

  // names

  lookup({ parent, name }: t.NameArgs): t.Entry {
    // So the kernel finds again what it forgot, by a handle: files too.
    if (name === ".") return this.#entry(this.tree.nodes.at(parent));
    const dir = this.tree.directory(parent);
    checkLength(name);
    const inode = name === ".." ? dir.body.parent : dir.body.get(name);
    return inode ? this.#entry(inode) : { nodeid: 0, attr: { mode: 0 }, entryTimeout: this.#entryTimeout };
  }

  forget({ nodeid, nlookup }: t.ForgetArgs): void {
    const { nodes } = this.tree;
    const inode = nodes.get(nodeid);
    if (inode !== undefined && nodes.forget(nodeid, nlookup) === 0) this.tree.reap(inode);
  }

  mknod({ parent, name, mode, umask, rdev }: t.MknodArgs, request: Caller): t.Entry {
    const type = mode & S_IFMT || S_IFREG;
    if (type === S_IFDIR) throw new FuseError("EPERM");
    const device = type === S_IFCHR || type === S_IFBLK;
    if (!device && type !== S_IFREG && type !== S_IFIFO && type !== S_IFSOCK) throw new FuseError("EINVAL");
    return this.#make(parent, name, { ...this.#mode(type, mode, umask), rdev: device ? rdev : 0 }, request);
  }

  mkdir({ parent, name, mode, umask }: t.MkdirArgs, request: Caller): t.Entry {
    return this.#make(parent, name, this.#mode(S_IFDIR, mode, umask), request);
  }

  symlink({ parent, name, target }: t.SymlinkArgs, request: Caller): t.Entry {
    if (byteLength(target) > TARGET_MAX) throw new FuseError("ENAMETOOLONG");
    return this.#make(parent, name, { mode: S_IFLNK | 0o777, target }, request);
  }

  readlink({ nodeid }: t.NodeArgs): string {
    const inode = this.tree.nodes.at(nodeid);
    if (typeof inode.body !== "string") throw new FuseError("EINVAL");
    this.#accessed(inode);
    return inode.body;
  }

  link({ nodeid, newParent, newName }: t.LinkArgs): t.Entry {
    const inode = this.tree.nodes.at(nodeid);
    this.tree.link(inode, this.tree.directory(newParent), newName);
    return this.#entry(inode);
  }

  unlink({ parent, name }: t.NameArgs): void {
    this.tree.unlink(this.tree.directory(parent), name);
  }

  rmdir({ parent, name }: t.NameArgs): void {
    this.tree.rmdir(this.tree.directory(parent), name);
  }

  rename({ parent, name, newParent, newName, flags }: t.RenameArgs, request: Caller): void {
    const tree = this.tree;
    tree.rename(tree.directory(parent), name, tree.directory(newParent), newName, flags, request);
  }

  // attributes

  getattr({ nodeid }: t.GetattrArgs): t.AttrReply {
    return this.#attr(this.tree.nodes.at(nodeid));
  }

  statx({ nodeid }: t.StatxArgs): t.StatxReply {
    const inode = this.tree.nodes.at(nodeid);
    return { ...this.#attr(inode), btime: inode.btime, btimeNsec: inode.btimeNsec };
  }

  setattr(args: t.SetattrArgs, request: Caller): t.AttrReply {
    const inode = this.tree.nodes.at(args.nodeid);
    const nothing = asksNothing(args), written = inode.writers > 0;
    if (nothing && !written) checkEmptyChown(inode, request);
    const stays = nothing && this.#rootWrites.precede(args.nodeid, request) && written;
    const now = Date.now();
    const chown = args.uid !== undefined || args.gid !== undefined;
    if (args.uid !== undefined) this.tree.chown(inode, args.uid);
    if (args.size !== undefined) {
      this.tree.file(args.nodeid).body.truncate(args.size);
      // Even to the size that there is: this may be O_TRUNC, which always sets the times.
      inode.modified(now);
    } else inode.changed(now);
    if (chown || args.size !== undefined) dropCapabilities(inode, this.#account(inode));
    const cut = this.#kills && args.size !== undefined && request.uid !== 0;
    // A change of owner ends set-user-id; where a mode comes with it, the kernel has seen to that.
    if (args.mode !== undefined) {
      inode.setPermissions(args.mode & ~sgidToRefuse(inode, args.mode, request));
      aclFollows(inode);
    } else if (chown || cut || args.killSuidgid && !stays) inode.dropSetId(request);
    if (args.gid !== undefined) inode.gid = args.gid;
    if (args.atime === "now") inode.accessed(now);
    else if (args.atime !== undefined) [inode.atime, inode.atimeNsec] = [args.atime, args.atimeNsec ?? 0];
    if (args.mtime === "now") inode.modified(now);
    else if (args.mtime !== undefined) [inode.mtime, inode.mtimeNsec] = [args.mtime, args.mtimeNsec ?? 0];
    if (args.ctime !== undefined) [inode.ctime, inode.ctimeNsec] = [args.ctime, args.ctimeNsec ?? 0];
    return this.#attr(inode);
  }

  statfs(): t.Statfs {
    const { maxBytes, maxInodes, freeBytes, freeInodes } = this.tree.space;
    const whole = (n: number) => Math.min(Math.floor(n), Number.MAX_SAFE_INTEGER);
    const bfree = whole(freeBytes / PAGE);
    return {
      blocks: whole(maxBytes / PAGE),
      bfree,
      bavail: bfree,
      files: whole(maxInodes),
      ffree: whole(freeInodes),
      bsize: PAGE,
      namelen: NAME_MAX,
      frsize: PAGE,
    };
  }

  getxattr({ nodeid, name }: t.XattrArgs): Uint8Array | null {
    const inode = this.tree.nodes.at(nodeid);
    checkXattrName(inode, name, this.#acls);
    return inode.xattrs?.get(name) ?? null;
  }

  setxattr({ nodeid, name, value, flags, killSgid = false }: t.SetxattrArgs): void {
    const inode = this.tree.nodes.at(nodeid);
    checkXattrName(inode, name, this.#acls);
    const account = this.#account(inode);
    if (!setAcl(inode, name, value, killSgid, account)) setXattr(inode, name, value, flags, account);
    inode.changed();
  }

  listxattr({ nodeid }: t.NodeArgs, request: Caller): string[] {
    return listXattrs(this.tree.nodes.at(nodeid), request.uid);
  }

  removexattr(args: t.XattrArgs, request: Caller): void {
    const { nodeid, name } = args;
    const inode = this.tree.nodes.at(nodeid);
    checkXattrName(inode, name, this.#acls);
    removeXattr(inode, name, this.#account(inode));
    inode.changed();
    this.#rootWrites.removed(args, request);
  }

  // open files

  open({ nodeid, flags, killSuidgid }: t.OpenArgs, request: Caller): t.OpenReply {
    const inode = this.tree.file(nodeid);
    if (flags & O_TRUNC) {
      inode.body.truncate(0);
      this.#written(inode, killSuidgid ? request : null);
    }
    const reply = this.#isAhead(inode) ? WRITTEN_BACK : OPENED;
    this.#opened(inode, flags);
    return reply;
  }

  create({ parent, name, flags, mode, umask, killSuidgid }: t.CreateArgs, request: Caller): t.CreateReply {
    const found = flags & O_EXCL ? undefined : this.tree.directory(parent).body.get(name);
    if (found !== undefined) {
      return { ...this.open({ nodeid: found.nodeid, flags, killSuidgid }, request), entry: this.#entry(found) };
    }
    const entry = this.#make(parent, name, this.#mode(S_IFREG, mode, umask), request);
    this.#opened(this.tree.nodes.at(entry.nodeid), flags);
    return { ...OPENED, entry };
  }

  tmpfile({ parent, flags, mode, umask }: t.TmpfileArgs, request: Caller): t.CreateReply {
    const dir = this.tree.directory(parent);
    if (dir.nlink === 0) throw new FuseError("ENOENT");
    const inode = this.tree.insert(dir, this.#mode(S_IFREG, mode, umask), request);
    this.#opened(inode, flags);
    inode.linkable = (flags & O_EXCL) === 0;
    return { ...OPENED, entry: this.#entry(inode) };
  }

  release({ nodeid, flags }: t.ReleaseArgs): void {
    const inode = this.tree.nodes.get(nodeid);
    if (inode === undefined) return;
    inode.opens--;
    if (flags & O_ACCMODE) inode.writers--;
    this.tree.reap(inode);
  }

  read({ nodeid, offset, size, flags }: t.ReadArgs): Uint8Array {
    const inode = this.tree.file(nodeid);
    if (!(flags & O_NOATIME)) this.#accessed(inode);
    if (inode.body.hasHole(offset, size)) inode.holeReads++;
    return inode.body.read(offset, size);
  }

  write({ nodeid, offset, data, flags, fromCache, killSuidgid }: t.WriteArgs, request: Caller): number {
    const inode = this.tree.file(nodeid);
    // Of what came by another mount the kernel does not know. RWF_NOAPPEND it does not tell.
    const behind = (flags & O_APPEND) !== 0 && !fromCache && offset < inode.body.size;
    const written = inode.body.write(behind ? inode.body.size : offset, data);
    if (data.length === 0) return 0;
    if (written === 0) throw this.#account(inode).shortage(PAGE);
    // The kernel that collects writes keeps the times of files, and says when they are others.
    this.#written(inode, killSuidgid ? request : null, !(fromCache && this.#collects));
    return written;
  }

  fallocate({ nodeid, offset, length, mode }: t.FallocateArgs, request: Caller): void {
    const inode = this.tree.file(nodeid);
    const { body } = inode;
    if (length <= 0) throw new FuseError("EINVAL");
    const keep = (mode & FALLOC_FL_KEEP_SIZE) !== 0;
    switch (mode & ~FALLOC_FL_KEEP_SIZE) {
      case 0:
        body.reserve(offset, length);
        break;
      case FALLOC_FL_ZERO_RANGE:
        body.zero(offset, length);
        break;
      case FALLOC_FL_PUNCH_HOLE:
        if (!keep) throw new FuseError("EOPNOTSUPP");
        body.punch(offset, length);
        break;
      default:
        throw new FuseError("EOPNOTSUPP");
    }
    if (!keep && offset + length > body.size) body.truncate(offset + length);
    // The kernel says only for writes whether the caller may keep set-user-id.
    this.#written(inode, request.uid === 0 ? null : request);
  }

  lseek(args: t.LseekArgs): t.Awaitable<number> {
    const inode = this.tree.file(args.nodeid);
    return this.#isAhead(inode) && this.#notify
      ? this.#lseekBehind(inode, args, this.#notify)
      : this.#lseek(inode, args);
  }

  /** The same once the kernel has written back all it has. */
  async #lseekBehind(inode: FileInode, args: t.LseekArgs, notify: Connection["notify"]): Promise<number> {
    const before = inode.holeReads;
    await this.#flushed(inode, 0, notify);
    inode.holeReads -= before;
    return this.#lseek(inode, args);
  }

  #lseek({ body }: FileInode, { offset, whence }: t.LseekArgs): number {
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) throw new FuseError("EINVAL");
    const found = offset >= body.size ? undefined : whence === SEEK_DATA ? body.data(offset) : body.hole(offset);
    if (found === undefined) throw new FuseError("ENXIO");
    return found;
  }

  copyFileRange(args: t.CopyFileRangeArgs, request: Caller): t.Awaitable<number> {
    const from = this.tree.file(args.nodeid), to = this.tree.file(args.newNodeid);
    const length = Math.min(args.length, from.body.size - args.offset);
    const overlap = from === to && Math.abs(args.offset - args.newOffset) < length;
    if (args.flags !== 0 || overlap) throw new FuseError("EINVAL");
    if (length <= 0) return 0;
    const accessed = this.#accessed(from);
    const copied = to.body.copy(from.body, args.offset, args.newOffset, Math.min(length, COPY_MAX));
    if (copied === 0) throw this.#account(to).shortage(PAGE);
    this.#written(to, request.uid === 0 ? null : request);
    // The kernel, which asks again after a read, does not after a copy.
    return accessed && this.#notify ? this.#flushed(from, -1, this.#notify).then(() => copied) : copied;
  }

  // directories

  opendir({ nodeid, flags }: t.OpenArgs): t.OpendirReply {
    const inode = this.tree.directory(nodeid);
    inode.opens++;
    this.#passes.set(++this.#lastPass, { last: inode.body.lastCookie, quiet: (flags & O_NOATIME) !== 0 });
    return { fh: this.#lastPass, cacheDir: true, keepCache: true };
  }

  readdir({ nodeid, fh, offset }: t.ReaddirArgs): Iterable<t.DirEntry> {
    const inode = this.tree.directory(nodeid);
    const pass = this.#passes.get(fh);
    if (offset === 0 && !pass?.quiet) this.#accessed(inode);
    return this.#entries(inode, pass, offset);
  }

  /** The entries of a directory behind an offset; none where it was removed. */
  *#entries(inode: DirectoryInode, pass: Pass | undefined, offset: number): Iterable<t.DirEntry> {
    const { nlink, body } = inode;
    if (nlink === 0) return;
    if (offset < 1) yield { name: ".", ino: inode.nodeid, mode: inode.mode, offset: 1 };
    if (offset < 2) yield { name: "..", ino: body.parent.nodeid, mode: body.parent.mode, offset: 2 };
    // Only now, for the beginning may be asked for in vain where the kernel had it in its cache.
    if (offset === 0 && pass) pass.last = body.lastCookie;
    for (const { name, inode: { nodeid, mode }, cookie } of body.between(offset, pass?.last ?? Infinity)) {
      yield { name, ino: nodeid, mode, offset: cookie };
    }
  }

  releasedir({ nodeid, fh }: t.ReleaseArgs): void {
    this.#passes.delete(fh);
    this.release({ nodeid, fh, flags: 0 });
  }

  // what several have in common

  /**
   * Whether the kernel may have data where a hole is known here: stored through a mapping, into a page that was read as
   * a hole; or written, where it collects writes. Of neither it tells before it writes back.
   */
  #isAhead(inode: Inode): boolean {
    return inode.writers > 0 && (inode.holeReads > 0 || this.#collects);
  }

  #opened(inode: Inode, flags: number): void {
    inode.opens++;
    if (flags & O_ACCMODE) inode.writers++;
  }

  #make(parent: number, name: string, made: Made, request: Caller): t.Entry {
    return this.#entry(this.tree.make(this.tree.directory(parent), name, made, request));
  }

  #mode(type: number, mode: number, umask: number): Pick<Made, "mode" | "umask"> {
    return { mode: type | mode & ~S_IFMT, umask: this.#masks ? umask : 0 };
  }

  #account(inode: Inode): Account {
    return this.tree.space.of(inode.uid);
  }

  #entry(inode: Inode): t.Entry {
    const { nodes } = this.tree;
    nodes.remember(inode.nodeid);
    return {
      nodeid: inode.nodeid,
      generation: nodes.generation(inode.nodeid),
      attr: inode.attr(),
      entryTimeout: this.#entryTimeout,
      attrTimeout: this.#attrTimeoutOf(inode),
    };
  }

  #attr(inode: Inode): t.AttrReply {
    return { attr: inode.attr(), attrTimeout: this.#attrTimeoutOf(inode) };
  }

  // After a write the kernel asks for size and times again, but would go on believing in a set-user-id that it ended;
  // and where it collects writes, in the number of blocks before them.
  #attrTimeoutOf(inode: Inode): number {
    return inode.setsId || this.#collects && inode.type === S_IFREG ? 0 : this.#attrTimeout;
  }

  /** Whether reading sets the time of last access, which it did then. */
  #accessed(inode: Inode): boolean {
    const now = Date.now();
    const sets = this.#atime === "strictatime" || this.#atime === "relatime" && inode.atimeIsOld(now);
    if (sets) inode.accessed(now);
    return sets;
  }

  /** The kernel has dropped the attributes of an inode and, where `offset` is not negative, its data from there on. */
  async #flushed({ nodeid }: Inode, offset: number, notify: Connection["notify"]): Promise<void> {
    // ENOENT: it was another mount that asked.
    await notify.invalInode(nodeid, offset).catch(() => {});
  }

  /** The data was changed: just now, by someone (not null) who may not keep set-user-id. */
  #written(inode: FileInode, by: Caller | null, now = true): void {
    if (by !== null) inode.dropSetId(by);
    dropCapabilities(inode, this.#account(inode));
    if (now) inode.modified();
  }
}

/** What a file system in memory holds at the moment. */
export interface MemoryCounts {
  /** Inodes: with a name, open, or known to the kernel. */
  readonly inodes: number;
  /** Bytes that they are charged for: pages of data, attributes, targets of links. */
  readonly bytes: number;
}

/** A file system in memory. Its methods need no `this`, so they can be spread into another object. */
export interface Memory extends Filesystem {
  /**
   * All that has a name, as a value of JSON; to begin another one with, by the option `snapshot`. No string holds more
   * than 512 MiB: where there may be that much, see {@linkcode Memory.snapshotParts}.
   */
  snapshot(): MemorySnapshot;
  /**
   * The same in parts of some MiB at most, for {@linkcode restoreMemory}. Between two of them others may go on: the
   * names are those of the moment when the first part was asked for, and a file's data that of the moment of its part.
   * What has lost its last name since stays until the iteration has ended, be it by `break`.
   */
  snapshotParts(): Iterable<MemorySnapshot>;
  /** What is held at the moment. */
  counts(): MemoryCounts;
}

/**
 * A writable file system in memory, as ext4 behaves: sparse files, hard and symbolic links, devices, extended
 * attributes, access control lists (with the options `posixAcl` and `dontMask`), all flags of rename. flush, fsync and
 * syncfs are absent: their absence says that they always succeed.
 *
 * A file takes memory where it was written, by pages of 4 KiB, and none for holes. An inode takes some 400 bytes. What
 * was removed stays as long as it is open. What is read is answered without a copy where it lies together: a view that
 * is valid until the next change.
 *
 * EINVAL, ENOSPC, EDQUOT: what the option `snapshot` holds is no snapshot, or does not fit.
 *
 * @example
 * ```ts
 * import { memory } from "@fusewire/fusewire/kit";
 *
 * const fs = memory({ maxBytes: 64 * 2 ** 20 });
 * const saved = JSON.stringify(fs.snapshot());
 * const again = memory({ snapshot: JSON.parse(saved) });
 * console.log(again.counts().inodes); // 1
 * ```
 */
export function memory(options: MemoryOptions = {}): Memory {
  return made(new MemoryFilesystem(options), options);
}

/**
 * A file system in memory that begins with the parts of a snapshot, which need not be there all at once.
 *
 * EINVAL, ENOSPC, EDQUOT: they are not all parts of one snapshot, in order, or do not fit.
 *
 * @example Saved as lines of JSON, whatever there is
 * ```ts
 * import { memory, restoreMemory } from "@fusewire/fusewire/kit";
 *
 * const lines: string[] = []; // or of a file
 * for (const part of memory().snapshotParts()) lines.push(JSON.stringify(part));
 *
 * async function* saved() {
 *   for await (const line of lines) yield JSON.parse(line);
 * }
 * const again = await restoreMemory(saved());
 * console.log(again.counts().inodes); // 1
 * ```
 */
export async function restoreMemory(
  parts: Iterable<MemorySnapshot> | AsyncIterable<MemorySnapshot>,
  options: Omit<MemoryOptions, "snapshot"> = {},
): Promise<Memory> {
  const restoration = new Restoration(spaceOf(options));
  for await (const part of parts) restoration.add(part);
  return made(new MemoryFilesystem(options, restoration.finish()), options);
}

function made(fs: MemoryFilesystem, { permissions }: MemoryOptions): Memory {
  const { tree } = fs;
  return {
    ...methods(fs, permissions === "own" ? guard(tree) : {}),
    snapshot: () => snapshot(tree),
    snapshotParts: () => parts(tree),
    counts: () => ({ inodes: tree.nodes.size, bytes: tree.space.bytes }),
  };
}

/** The methods of a file system, each behind its check; where there is but a check, that is the method. */
function methods(fs: MemoryFilesystem, checks: Checks): Filesystem {
  type Method = (args: unknown, request: t.Request) => unknown;
  const own = Object.getOwnPropertyNames(MemoryFilesystem.prototype).filter((name) => name !== "constructor");
  return Object.fromEntries([...new Set([...own, ...Object.keys(checks)])].map((name) => {
    const method = (fs as Filesystem)[name as keyof Filesystem]?.bind(fs) as Method | undefined;
    const check = checks[name as keyof Checks] as Method | undefined;
    if (method === undefined || check === undefined) return [name, method ?? check];
    return [name, (args: unknown, request: t.Request) => method(check(args, request) ?? args, request)];
  }));
}
