/** What the system calls do with a file system that is at hand: what a kernel would do before it asks. */
import { encodeName } from "../../abi/text.ts";
import type { Filesystem } from "../../fs/filesystem.ts";
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK } from "../../fs/mode.ts";
import { makedev } from "../../fs/types.ts";
import { bits, RENAME } from "../flags.ts";
import { Skipped } from "../place.ts";
import type { Data, Dirent, Path, Stat, Time, User, Whence } from "../sys.ts";
import { fail, isDots, type Node, Tree } from "./tree.ts";
import { statOf } from "./attributes.ts";
import { OpenFiles } from "./open_files.ts";
import { Xattrs } from "./xattrs.ts";

/** The calls, as {@linkcode Sys} has them; they throw what fails. */
export class Calls {
  readonly #tree: Tree;
  readonly #files: OpenFiles;
  readonly #xattrs: Xattrs;
  #mask = 0;

  /** Calls on a folder of a file system. */
  constructor(fs: Filesystem, folder: string) {
    this.#tree = new Tree(fs, folder);
    this.#files = new OpenFiles(fs, this.#tree);
    this.#xattrs = new Xattrs(this.#tree);
  }

  release(): void {
    this.#files.release();
    this.#tree.release();
  }

  // files

  open(path: Path, names: string, mode: number = 0o644): number {
    return this.#files.open(path, names, mode, this.#mask);
  }

  close(fd: number): number {
    return this.#files.close(fd);
  }

  read(fd: number, length: number): Uint8Array {
    return this.#files.read(fd, length);
  }

  pread(fd: number, length: number, offset: number): Uint8Array {
    return this.#files.pread(fd, length, offset);
  }

  write(fd: number, data: Data): number {
    return this.#files.write(fd, data);
  }

  pwrite(fd: number, data: Data, offset: number): number {
    return this.#files.pwrite(fd, data, offset);
  }

  lseek(fd: number, offset: number | bigint, whence: Whence): number {
    return this.#files.lseek(fd, offset, whence);
  }

  ftruncate(fd: number, length: number): number {
    return this.#files.ftruncate(fd, length);
  }

  fallocate(fd: number, names: string, offset: number, length: number): number {
    return this.#files.fallocate(fd, names, offset, length);
  }

  copyFileRange(from: number, offset: number, to: number, newOffset: number, length: number, flags = 0): number {
    return this.#files.copyFileRange(from, offset, to, newOffset, length, flags);
  }

  fsync(fd: number): number {
    return this.#files.sync(fd, false);
  }

  fdatasync(fd: number): number {
    return this.#files.sync(fd, true);
  }

  getdents(fd: number, size: number = 0x8000): Dirent[] {
    return this.#files.getdents(fd, size);
  }

  truncate(path: Path, length: number): number {
    if (length < 0) fail("EINVAL");
    const node = this.#tree.find(path);
    if (node.type === S_IFDIR) fail("EISDIR");
    if (node.type !== S_IFREG) fail("EINVAL");
    this.#tree.ask("setattr", { nodeid: node.nodeid, size: length });
    return 0;
  }

  // attributes

  stat(path: Path): Stat {
    return statOf(this.#tree.attr(this.#tree.find(path)));
  }

  lstat(path: Path): Stat {
    return statOf(this.#tree.attr(this.#tree.find(path, false)));
  }

  fstat(fd: number): Stat {
    return statOf(this.#tree.attr(this.#files.node(fd)));
  }

  chmod(path: Path, mode: number): number {
    return this.#chmod(this.#tree.find(path), mode);
  }

  fchmod(fd: number, mode: number): number {
    return this.#chmod(this.#files.node(fd), mode);
  }

  utimens(path: Path, times: readonly [Time, Time] | null, flags = ""): number {
    return this.#utimens(this.#tree.find(path, flags !== "SYMLINK_NOFOLLOW"), times);
  }

  futimens(fd: number, times: readonly [Time, Time] | null): number {
    return this.#utimens(this.#files.node(fd), times);
  }

  access(path: Path, mode: string): number {
    const node = this.#tree.find(path);
    if (mode !== "F") throw new Skipped("access(2) needs a kernel");
    this.#tree.attr(node);
    return 0;
  }

  // names

  mkdir(path: Path, mode: number = 0o755): number {
    const { parent, name } = this.#tree.free(path, true);
    this.#tree.entry(this.#tree.ask("mkdir", { parent, name, mode: mode & 0o1777 & ~this.#mask, umask: this.#mask }));
    return 0;
  }

  mknod(path: Path, mode: number, major = 0, minor = 0): number {
    const type = mode & S_IFMT || S_IFREG;
    const { parent, name } = this.#tree.free(path, false);
    if (type === S_IFDIR) fail("EPERM");
    if (![S_IFIFO, S_IFCHR, S_IFBLK, S_IFREG, S_IFSOCK].includes(type)) fail("EINVAL");
    const made = type | mode & 0o7777 & ~this.#mask;
    this.#tree.entry(
      this.#tree.ask("mknod", { parent, name, mode: made, umask: this.#mask, rdev: makedev(major, minor) }),
    );
    return 0;
  }

  symlink(target: Path, path: Path): number {
    if (typeof target === "bigint") fail("EFAULT");
    if (target === "") fail("ENOENT");
    if (encodeName(target).length > 4095) fail("ENAMETOOLONG");
    const { parent, name } = this.#tree.free(path, false);
    this.#tree.entry(this.#tree.ask("symlink", { parent, name, target }));
    return 0;
  }

  readlink(path: Path, length: number = 4096): string {
    if (length <= 0) fail("EINVAL");
    const { nodeid, type } = this.#tree.find(path, false);
    if (type !== S_IFLNK) fail("EINVAL");
    return this.#tree.ask("readlink", { nodeid }).slice(0, length);
  }

  link(path: Path, newPath: Path, flags = ""): number {
    const { nodeid, type } = this.#tree.find(path, flags === "SYMLINK_FOLLOW");
    const { parent, name } = this.#tree.free(newPath, false);
    if (type === S_IFDIR) fail("EPERM");
    this.#tree.entry(this.#tree.ask("link", { nodeid, newParent: parent, newName: name }));
    return 0;
  }

  unlink(path: Path): number {
    const { above, name, node, slash } = this.#tree.walk(path, null);
    if (node === undefined) fail("ENOENT");
    if (isDots(name) || node.type === S_IFDIR) fail("EISDIR");
    if (slash) fail("ENOTDIR");
    this.#tree.ask("unlink", { parent: above.at(-1)!.nodeid, name });
    return 0;
  }

  rmdir(path: Path): number {
    const { above, name, node } = this.#tree.walk(path, null);
    if (node === undefined) fail("ENOENT");
    if (node.type !== S_IFDIR) fail("ENOTDIR");
    if (isDots(name)) fail(name === "." ? "EINVAL" : "ENOTEMPTY");
    this.#tree.ask("rmdir", { parent: above.at(-1)!.nodeid, name });
    this.#tree.removed.add(node.nodeid);
    return 0;
  }

  rename(path: Path, newPath: Path): number {
    return this.renameat2(path, newPath, "");
  }

  renameat2(path: Path, newPath: Path, names: string): number {
    const flags = bits(names, RENAME);
    if (flags & RENAME.EXCHANGE && flags !== RENAME.EXCHANGE) fail("EINVAL");
    const from = this.#tree.walk(path, null), to = this.#tree.walk(newPath, null);
    if (isDots(from.name) || isDots(to.name)) fail("EBUSY");
    const [source, target] = [from.node, to.node];
    if (source === undefined) fail("ENOENT");
    if (target && flags & RENAME.NOREPLACE) fail("EEXIST");
    const exchange = (flags & RENAME.EXCHANGE) !== 0;
    if (exchange && target === undefined) fail("ENOENT");
    const folder = source.type === S_IFDIR;
    if (!folder && (from.slash || to.slash && !exchange)) fail("ENOTDIR");
    if (to.above.some(({ nodeid }) => nodeid === source.nodeid)) fail("EINVAL");
    if (target && from.above.some(({ nodeid }) => nodeid === target.nodeid)) fail(exchange ? "EINVAL" : "ENOTEMPTY");
    if (target?.nodeid === source.nodeid) return 0;
    if (target && !exchange && folder !== (target.type === S_IFDIR)) fail(folder ? "ENOTDIR" : "EISDIR");
    this.#tree.ask("rename", {
      parent: from.above.at(-1)!.nodeid,
      name: from.name,
      newParent: to.above.at(-1)!.nodeid,
      newName: to.name,
      flags,
    });
    if (target && !exchange) this.#tree.removed.add(target.nodeid);
    return 0;
  }

  // extended attributes

  setxattr(path: Path, name: string, value: Data, flags = ""): number {
    return this.#xattrs.set(this.#tree.find(path), name, value, flags);
  }

  lsetxattr(path: Path, name: string, value: Data, flags = ""): number {
    return this.#xattrs.set(this.#tree.find(path, false), name, value, flags);
  }

  fsetxattr(fd: number, name: string, value: Data, flags = ""): number {
    return this.#xattrs.set(this.#files.node(fd), name, value, flags);
  }

  getxattr(path: Path, name: string, size?: number): Uint8Array {
    return this.#xattrs.get(this.#tree.find(path), name, size);
  }

  lgetxattr(path: Path, name: string, size?: number): Uint8Array {
    return this.#xattrs.get(this.#tree.find(path, false), name, size);
  }

  fgetxattr(fd: number, name: string, size?: number): Uint8Array {
    return this.#xattrs.get(this.#files.node(fd), name, size);
  }

  xattrSize(path: Path, name: string): number {
    return this.#xattrs.get(this.#tree.find(path), name).length;
  }

  listxattr(path: Path, size?: number): string[] {
    return this.#xattrs.list(this.#tree.find(path), size);
  }

  llistxattr(path: Path, size?: number): string[] {
    return this.#xattrs.list(this.#tree.find(path, false), size);
  }

  flistxattr(fd: number, size?: number): string[] {
    return this.#xattrs.list(this.#files.node(fd), size);
  }

  xattrListSize(path: Path): number {
    return encodeName(this.#xattrs.list(this.#tree.find(path)).map((name) => `${name}/`).join("")).length;
  }

  removexattr(path: Path, name: string): number {
    return this.#xattrs.remove(this.#tree.find(path), name);
  }

  lremovexattr(path: Path, name: string): number {
    return this.#xattrs.remove(this.#tree.find(path, false), name);
  }

  fremovexattr(fd: number, name: string): number {
    return this.#xattrs.remove(this.#files.node(fd), name);
  }

  // the caller

  umask(mask: number): number {
    const before = this.#mask;
    this.#mask = mask & 0o777;
    return before;
  }

  as<T>(user: User, action: () => T): T {
    return this.#tree.as(user, action);
  }

  sleep(milliseconds: number): number {
    // Only the clock is meant to move on.
    for (const end = Date.now() + milliseconds; Date.now() < end;);
    return 0;
  }

  #chmod({ nodeid, type }: Node, mode: number): number {
    this.#tree.ask("setattr", { nodeid, mode: type | mode & 0o7777 });
    return 0;
  }

  #utimens({ nodeid }: Node, times: readonly [Time, Time] | null): number {
    const changes: Record<string, number | "now"> = {};
    for (const [i, time] of (times ?? ["now", "now"] as const).entries()) {
      const which = i === 0 ? "atime" : "mtime";
      if (time === "omit") continue;
      if (time === "now") changes[which] = "now";
      else {
        if (time[1] < 0 || time[1] >= 1e9) fail("EINVAL");
        [changes[which], changes[`${which}Nsec`]] = time;
      }
    }
    if (Object.keys(changes).length > 0) this.#tree.ask("setattr", { nodeid, ...changes });
    return 0;
  }
}
