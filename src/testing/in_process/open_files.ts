/** Open files of a file system that is at hand, by their descriptors. */
import { OPEN_FLAGS } from "../../../ffi/libc.ts";
import { encodeName } from "../../abi/text.ts";
import type { Filesystem } from "../../fs/filesystem.ts";
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE } from "../../fs/flags.ts";
import { S_IFDIR, S_IFLNK, S_IFREG } from "../../fs/mode.ts";
import { bits, FALLOC, WHENCE } from "../flags.ts";
import { Skipped } from "../place.ts";
import { bytesOf, type Data, type Dirent, type Path, type Whence } from "../sys.ts";
import { fail, type Found, type Node, type Tree } from "./tree.ts";

const O = OPEN_FLAGS.x86_64;
// What the kernel keeps to itself.
const OPENING = O.CREAT | O.EXCL | O.NOCTTY | O.TRUNC;
const CHUNK = 1 << 20;

interface OpenFile {
  readonly node: Node;
  /** The directory that it was found in. */
  readonly parent: Node;
  readonly fh: number;
  readonly flags: number;
  offset: number;
  /** What is left to be read of a directory. */
  entries?: readonly Dirent[];
}

/** The calls that make, use and close descriptors; they throw what fails. */
export class OpenFiles {
  readonly #fs: Filesystem;
  readonly #tree: Tree;
  readonly #open = new Map<number, OpenFile>();

  /** None yet. */
  constructor(fs: Filesystem, tree: Tree) {
    this.#fs = fs;
    this.#tree = tree;
  }

  /** Closes all. */
  release(): void {
    for (const fd of [...this.#open.keys()]) this.close(fd);
  }

  /** The inode of a descriptor. */
  node(fd: number): Node {
    return this.#file(fd).node;
  }

  open(path: Path, names: string, mode: number, umask: number): number {
    const flags = bits(names, O);
    if (flags & O.PATH) throw new Skipped("O_PATH needs a kernel");
    if ((flags & O.TMPFILE) === O.TMPFILE) return this.#tmpfile(path, flags, mode, umask);
    if (flags & O.CREAT && flags & O.DIRECTORY) fail("EINVAL");
    const follow = !(flags & O.NOFOLLOW) && (flags & (O.CREAT | O.EXCL)) !== (O.CREAT | O.EXCL);
    const found = this.#tree.walk(path, follow);
    const { node, slash } = found;
    const writes = (flags & O.ACCMODE) !== O.RDONLY || (flags & O.TRUNC) !== 0;
    if (node === undefined) {
      if (!(flags & O.CREAT)) fail("ENOENT");
      if (slash) fail("EISDIR");
      return this.#create(found, flags, mode, umask);
    }
    if (flags & O.CREAT && flags & O.EXCL) fail("EEXIST");
    if (node.type === S_IFLNK) fail(flags & O.DIRECTORY ? "ENOTDIR" : "ELOOP");
    if (node.type === S_IFDIR && (writes || flags & O.CREAT)) fail("EISDIR");
    if (node.type !== S_IFDIR && flags & O.DIRECTORY) fail("ENOTDIR");
    if (node.type !== S_IFDIR && slash) fail(flags & O.CREAT ? "EISDIR" : "ENOTDIR");
    if (node.type !== S_IFDIR && node.type !== S_IFREG) throw new Skipped("special files need a kernel");
    const method = node.type === S_IFDIR ? "opendir" : "open";
    const args = { nodeid: node.nodeid, flags: flags & ~OPENING, killSuidgid: false };
    const reply = this.#fs[method] === undefined ? {} : this.#tree.ask(method, args);
    const fd = this.#opened(node, found.above, flags, reply);
    if (flags & O.TRUNC) this.#tree.ask("setattr", { nodeid: node.nodeid, size: 0 });
    return fd;
  }

  close(fd: number): number {
    const { node, fh, flags } = this.#file(fd);
    this.#open.delete(fd);
    const method = node.type === S_IFDIR ? "releasedir" : "release";
    if (this.#fs[method]) this.#tree.ask(method, { nodeid: node.nodeid, fh, flags });
    return 0;
  }

  read(fd: number, length: number): Uint8Array {
    const file = this.#file(fd);
    const bytes = this.pread(fd, length, file.offset);
    file.offset += bytes.length;
    return bytes;
  }

  pread(fd: number, length: number, offset: number): Uint8Array {
    const { node, fh, flags } = this.#file(fd);
    if ((flags & O.ACCMODE) === O.WRONLY) fail("EBADF");
    if (node.type === S_IFDIR) fail("EISDIR");
    if (offset < 0) fail("EINVAL");
    const parts: number[] = [];
    while (parts.length < length) {
      const size = Math.min(length - parts.length, CHUNK);
      const part = this.#tree.ask("read", { nodeid: node.nodeid, fh, offset: offset + parts.length, size, flags });
      for (const byte of part) parts.push(byte);
      if (part.length < size) break;
    }
    return Uint8Array.from(parts);
  }

  write(fd: number, data: Data): number {
    const file = this.#file(fd);
    const at = file.flags & O.APPEND ? this.#tree.attr(file.node).size ?? 0 : file.offset;
    const written = this.#write(fd, data, at);
    file.offset = at + written;
    return written;
  }

  pwrite(fd: number, data: Data, offset: number): number {
    const { node, flags } = this.#file(fd);
    if (offset < 0) fail("EINVAL");
    return this.#write(fd, data, flags & O.APPEND ? this.#tree.attr(node).size ?? 0 : offset);
  }

  lseek(fd: number, offset: number | bigint, whence: Whence): number {
    const file = this.#file(fd);
    const { node, fh } = file;
    const by = Number(offset), { size = 0 } = this.#tree.attr(node);
    let to = whence === "SET" ? by : whence === "CUR" ? file.offset + by : size + by;
    if (whence === "DATA" || whence === "HOLE") {
      if (by < 0 || by >= size) fail("ENXIO");
      to = this.#tree.ask("lseek", { nodeid: node.nodeid, fh, offset: by, whence: WHENCE[whence] });
    }
    if (to < 0 || to >= 2 ** 63) fail("EINVAL");
    file.entries = undefined;
    return file.offset = to;
  }

  ftruncate(fd: number, length: number): number {
    const { node, fh, flags } = this.#file(fd);
    if (length < 0 || node.type !== S_IFREG || (flags & O.ACCMODE) === O.RDONLY) fail("EINVAL");
    this.#tree.ask("setattr", { nodeid: node.nodeid, fh, size: length });
    return 0;
  }

  fallocate(fd: number, names: string, offset: number, length: number): number {
    const { node, fh, flags } = this.#file(fd);
    const mode = bits(names, FALLOC);
    if (offset < 0 || length <= 0) fail("EINVAL");
    if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) fail("EOPNOTSUPP");
    if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) === (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
      fail("EOPNOTSUPP");
    }
    if (mode & FALLOC_FL_PUNCH_HOLE && !(mode & FALLOC_FL_KEEP_SIZE)) fail("EOPNOTSUPP");
    if ((flags & O.ACCMODE) === O.RDONLY) fail("EBADF");
    if (BigInt(offset) + BigInt(length) > 2n ** 63n - 1n) fail("EFBIG");
    this.#tree.ask("fallocate", { nodeid: node.nodeid, fh, offset, length, mode });
    return 0;
  }

  copyFileRange(from: number, offset: number, to: number, newOffset: number, length: number, flags: number): number {
    const [a, b] = [this.#file(from), this.#file(to)];
    if (flags !== 0) fail("EINVAL");
    if (a.node.type === S_IFDIR || b.node.type === S_IFDIR) fail("EISDIR");
    if ((a.flags & O.ACCMODE) === O.WRONLY || (b.flags & O.ACCMODE) === O.RDONLY || b.flags & O.APPEND) fail("EBADF");
    const { size = 0 } = this.#tree.attr(a.node);
    const count = Math.max(0, Math.min(length, size - offset));
    if (a.node.nodeid === b.node.nodeid && Math.abs(offset - newOffset) < count) fail("EINVAL");
    if (count === 0) return 0;
    return this.#tree.ask("copyFileRange", {
      nodeid: a.node.nodeid,
      fh: a.fh,
      offset,
      newNodeid: b.node.nodeid,
      newFh: b.fh,
      newOffset,
      length: count,
      flags: 0,
    });
  }

  sync(fd: number, datasync: boolean): number {
    const { node, fh } = this.#file(fd);
    const method = node.type === S_IFDIR ? "fsyncdir" : "fsync";
    if (this.#fs[method]) this.#tree.ask(method, { nodeid: node.nodeid, fh, datasync });
    return 0;
  }

  getdents(fd: number, size: number): Dirent[] {
    const file = this.#file(fd);
    if (file.node.type !== S_IFDIR) fail("ENOTDIR");
    if (this.#tree.removed.has(file.node.nodeid)) fail("ENOENT");
    const entries = file.entries ?? this.#entries(file);
    const part: Dirent[] = [];
    for (let room = size; part.length < entries.length; part.push(entries[part.length])) {
      room -= 19 + encodeName(entries[part.length].name).length + 8 & ~7;
      if (room < 0) break;
    }
    if (part.length === 0 && entries.length > 0) fail("EINVAL");
    file.entries = entries.slice(part.length);
    if (part.length > 0) file.offset = Number(part.at(-1)!.next);
    return part;
  }

  #create({ above, name }: Found, flags: number, mode: number, umask: number): number {
    const parent = above.at(-1)!.nodeid;
    const made = S_IFREG | mode & 0o7777 & ~umask;
    if (this.#fs.create) {
      const args = { parent, name, flags, mode: made, umask, killSuidgid: false };
      const { entry, ...reply } = this.#tree.ask("create", args);
      return this.#opened(this.#tree.entry(entry), above, flags, reply);
    }
    const node = this.#tree.entry(this.#tree.ask("mknod", { parent, name, mode: made, umask, rdev: 0 }));
    const args = { nodeid: node.nodeid, flags: flags & ~OPENING, killSuidgid: false };
    return this.#opened(node, above, flags, this.#fs.open ? this.#tree.ask("open", args) : {});
  }

  #tmpfile(path: Path, flags: number, mode: number, umask: number): number {
    const { nodeid, type } = this.#tree.find(path);
    if ((flags & O.ACCMODE) === O.RDONLY) fail("EINVAL");
    if (type !== S_IFDIR) fail("ENOTDIR");
    const made = S_IFREG | mode & 0o7777 & ~umask;
    const { entry, ...reply } = this.#tree.ask("tmpfile", { parent: nodeid, flags, mode: made, umask });
    return this.#opened(this.#tree.entry(entry), [], flags, reply);
  }

  #opened(node: Node, above: readonly Node[], flags: number, reply: { fh?: number; backing?: unknown }): number {
    let fd = 3;
    while (this.#open.has(fd)) fd++;
    // The path may have ended with the node itself, as "d/." does.
    const parent = above.findLast(({ nodeid }) => nodeid !== node.nodeid) ?? node;
    this.#open.set(fd, { node, parent, fh: reply.fh ?? 0, flags, offset: 0 });
    if (reply.backing !== undefined) throw new Skipped("a backing file needs a mount");
    return fd;
  }

  #file(fd: number): OpenFile {
    return this.#open.get(fd) ?? fail("EBADF");
  }

  #write(fd: number, data: Data, offset: number): number {
    const { node, fh, flags } = this.#file(fd);
    if ((flags & O.ACCMODE) === O.RDONLY) fail("EBADF");
    const bytes = bytesOf(data);
    let written = 0;
    while (written < bytes.length) {
      const part = bytes.slice(written, written + CHUNK);
      const args = { nodeid: node.nodeid, fh, offset: offset + written, data: part, flags };
      const n = this.#tree.ask("write", { ...args, fromCache: false, killSuidgid: false });
      written += n;
      // It is borrowed: whoever keeps it finds something else there.
      part.fill(0xa5);
      if (n < part.length) break;
    }
    return written;
  }

  #entries({ node, parent, fh, offset }: OpenFile): Dirent[] {
    const answer = this.#tree.ask("readdir", { nodeid: node.nodeid, fh, offset });
    if (!(Symbol.iterator in answer)) throw new Skipped("readdir answers later: that needs a mount");
    const entries = [...answer];
    if (entries.length > 0 && entries[0].offset === undefined) {
      if (offset > 0) throw new Skipped("entries without offsets need a mount");
      entries.forEach((entry, i) => entry.offset = i + 1);
    }
    const dots = offset > 0 || entries[0]?.name === "." ? [] : [".", ".."].map((name) => ({
      name,
      ino: BigInt(this.#tree.attr(name === "." ? node : parent).ino ?? 0),
      next: 0n,
      type: 4,
    }));
    return [
      ...dots,
      ...entries.map(({ name, ino, mode, offset }) => ({
        name,
        ino: BigInt(ino),
        next: BigInt(offset ?? 0),
        type: mode >> 12,
      })),
    ];
  }
}
