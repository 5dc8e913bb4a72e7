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
import { DOT, DOTDOT } from "./directory.ts";
import { type DirectoryInode, type FileInode, type Inode } from "./inode.ts";
import { asksNothing, RootWrites } from "../killpriv.ts";
import { type Caller, checkEmptyChown, sgidToRefuse } from "../permissions.ts";
import { byteLength, checkLength, NAME_MAX } from "./names.ts";
import { PAGE } from "./chunk.ts";
import type { Account } from "./space.ts";
import type { Made, Tree } from "./tree.ts";
import { aclFollows, checkXattrName, dropCapabilities, listXattrs, removeXattr, setAcl, setXattr } from "./xattrs.ts";

// One answer copies no more, so that others need not wait long.
const COPY_MAX = 64 * 2 ** 20;
/** Longest target of a symbolic link, bytes: `limits.h PATH_MAX` without the NUL. */
const TARGET_MAX = 4095;

// The cache of the kernel is always right, since whatever changes goes through it.
const OPENED: t.OpenReply = Object.freeze({ keepCache: true });
// Before it drops its cache the kernel writes back what was stored through a mapping.
const WRITTEN_BACK: t.OpenReply = Object.freeze({ keepCache: false });

/** How a tree is served. */
export interface Serving {
  readonly permissions?: "kernel" | "own";
  readonly atime?: "relatime" | "strictatime" | "noatime";
  readonly entryTimeout?: number;
  readonly attrTimeout?: number;
}

/** An open directory. */
interface Pass {
  /** The newest name when its pass began: one that renames all it reads comes to an end. */
  last: number;
  /** Its reading does not count as access. */
  readonly quiet: boolean;
}

/**
 * The file system behind `memory()`; each method answers at once, but those that have to tell the kernel
 * something.
 */
export class MemoryFilesystem implements Filesystem {
  /** The inodes. */
  readonly tree: Tree;
  readonly #atime: Serving["atime"];
  readonly #entryTimeout: number;
  readonly #attrTimeout: number;
  readonly #passes = new Map<number, Pass>();
  #lastPass = 0;
  #masks = false;
  /** The kernel sees to set-id bits, but for what it does not know of: the groups of who is not root. */
  #kills = true;
  readonly #rootWrites = new RootWrites();
  #collects = false;
  readonly #own: boolean;
  #acls: boolean;
  #mounted = false;
  /** Where there is a kernel. */
  #notify: Connection["notify"] | undefined;

  constructor(tree: Tree, { permissions, atime, entryTimeout, attrTimeout }: Serving) {
    this.tree = tree;
    this.#acls = this.#own = permissions === "own";
    this.#atime = atime ?? "relatime";
    this.#entryTimeout = this.#own ? 0 : entryTimeout ?? Infinity;
    this.#attrTimeout = attrTimeout ?? Infinity;
  }

  init({ negotiated, notify }: Pick<Connection, "negotiated"> & Partial<Pick<Connection, "notify">>): void {
    if (this.#mounted) {
      const remedy = "unmount it first, or show it at a second place with a bind mount (mount --bind)";
      throw new FuseError("EBUSY", `cannot mount a file system in memory twice at a time: ${remedy}`);
    }
    this.#mounted = true;
    const { flags } = negotiated;
    // Who agrees on nothing is no kernel, and keeps no pages.
    this.#notify = flags.size > 0 ? notify : undefined;
    this.#masks = flags.has("FUSE_DONT_MASK");
    this.#kills = !flags.has("FUSE_HANDLE_KILLPRIV") && !flags.has("FUSE_HANDLE_KILLPRIV_V2");
    this.#collects = negotiated.flags.has("FUSE_WRITEBACK_CACHE");
    this.#acls = this.#own || flags.has("FUSE_POSIX_ACL");
  }

  destroy(): void {
    this.#mounted = false;
    this.#notify = undefined;
    this.#passes.clear();
    this.tree.abandon();
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
    // Of what did not come by it the kernel does not know. RWF_NOAPPEND it does not tell.
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
    if (offset < DOT) yield { name: ".", ino: inode.nodeid, mode: inode.mode, offset: DOT };
    if (offset < DOTDOT) yield { name: "..", ino: body.parent.nodeid, mode: body.parent.mode, offset: DOTDOT };
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
    // ENOENT: the kernel has forgotten it.
    await notify.invalInode(nodeid, offset).catch(() => {});
  }

  /** The data was changed: just now, by someone (not null) who may not keep set-user-id. */
  #written(inode: FileInode, by: Caller | null, now = true): void {
    if (by !== null) inode.dropSetId(by);
    dropCapabilities(inode, this.#account(inode));
    if (now) inode.modified();
  }
}
