/** The whole of a file system in memory as a value of JSON, and back. */
import { FuseError } from "../../errno.ts";
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "../../fs/mode.ts";
import { Directory } from "./directory.ts";
import { type DirectoryInode, Inode, isDirectory, isFile } from "./inode.ts";
import { byteLength, checkNewName } from "./names.ts";
import { Pages } from "./pages.ts";
import type { Space } from "./space.ts";
import { LINK_MAX, Tree } from "./tree.ts";

/** Seconds and nanoseconds. */
export type SnapshotTime = readonly [seconds: number, nanoseconds: number];

/** One inode. Bytes are base64. */
export interface InodeSnapshot {
  /** Type and permission bits. */
  readonly mode: number;
  /** Owner. */
  readonly uid: number;
  /** Group. */
  readonly gid: number;
  /** Last access. */
  readonly atime: SnapshotTime;
  /** Last modification. */
  readonly mtime: SnapshotTime;
  /** Last change. */
  readonly ctime: SnapshotTime;
  /** Birth. */
  readonly btime: SnapshotTime;
  /** Device number of a device. */
  readonly rdev?: number;
  /** Target of a symbolic link. */
  readonly target?: string;
  /** Bytes of a file, holes included. */
  readonly size?: number;
  /** What was written of a file: offset and bytes of each stretch. */
  readonly data?: readonly (readonly [offset: number, bytes: string])[];
  /** Stretches that are reserved without data: offset and length. */
  readonly reserved?: readonly (readonly [offset: number, length: number])[];
  /** What a directory holds, in order: names, and places in the list of inodes. */
  readonly names?: readonly (readonly [name: string, inode: number])[];
  /** Extended attributes. */
  readonly xattrs?: readonly (readonly [name: string, value: string])[];
}

/** All that can be reached from the root, which is the first inode, or a part of that. It is a value of JSON. */
export interface MemorySnapshot {
  /** Of this form: 1. */
  readonly version: 1;
  /**
   * Place of the first inode of a part. Default: 0. An inode that was in the part before, too, goes on here: with more
   * names, data and extended attributes.
   */
  readonly first?: number;
  /** The inodes. An inode with several names is there once. */
  readonly inodes: readonly InodeSnapshot[];
}

// One string of a stretch has no more bytes.
const STRETCH = 2 ** 20;
// A part ends with what reaches this, in characters of JSON and roughly.
const PART = 2 ** 20;

/** What a tree holds now; open files without a name are no part of it. */
export function snapshot(tree: Tree): MemorySnapshot {
  const [whole] = parts(tree, Infinity);
  return whole;
}

/**
 * The same in parts of some MiB at most. Which names there are is that of the moment when the first is asked for; what
 * they stand for stays until after the last, and is in its part as it is then.
 */
export function* parts(tree: Tree, limit: number = PART): Generator<MemorySnapshot, void> {
  const found: Inode[] = [], names: Names[] = [];
  const places = new Map<Inode, number>();
  const place = (inode: Inode): number => {
    let at = places.get(inode);
    if (at === undefined) places.set(inode, at = found.push(inode) - 1);
    return at;
  };
  place(tree.root);
  // The list grows with what the directories hold.
  for (let i = 0; i < found.length; i++) {
    const { body } = found[i];
    const entries = body instanceof Directory ? [...body.between(0, Infinity)] : [];
    names.push(entries.map(({ name, inode }) => [name, place(inode)]));
  }
  for (const inode of found) inode.saves++;
  try {
    yield* packed(found, names, limit);
  } finally {
    for (const inode of found) {
      inode.saves--;
      tree.reap(inode);
    }
  }
}

type Names = NonNullable<InodeSnapshot["names"]>;

/** What an inode may have so much of that it goes on in further parts. */
type Field = "data" | "reserved" | "names" | "xattrs";

/** One inode in the making. */
type Draft = Omit<InodeSnapshot, Field> & { [F in Field]?: unknown[] };

// Of one inode, and of one item beside its text, in characters of JSON.
const INODE = 250, ITEM = 20;

function* packed(found: readonly Inode[], names: readonly Names[], limit: number): Generator<MemorySnapshot, void> {
  let first = 0, inodes: Draft[] = [], length = 0;
  const part = (): MemorySnapshot => ({
    version: 1,
    ...first > 0 && { first },
    inodes: inodes as readonly unknown[] as readonly InodeSnapshot[],
  });
  for (const [at, inode] of found.entries()) {
    let draft: Draft | undefined, begun = false;
    const begin = (): Draft => {
      begun = true;
      length += INODE;
      if (inodes.push(draft = attributes(inode)) === 1) first = at;
      return draft;
    };
    for (const [field, item, characters] of contents(inode, names[at])) {
      // Not before its first item is known: between two parts it may have changed.
      draft ??= begin();
      (draft[field] ??= []).push(item);
      length += ITEM + characters;
      if (length < limit) continue;
      yield part();
      draft = undefined, inodes = [], length = 0;
    }
    if (!begun) begin();
    if (length < limit) continue;
    yield part();
    inodes = [], length = 0;
  }
  if (inodes.length > 0) yield part();
}

function attributes(inode: Inode): Draft {
  const { mode, uid, gid, rdev, body, xattrs } = inode;
  return {
    mode,
    uid,
    gid,
    atime: [inode.atime, inode.atimeNsec],
    mtime: [inode.mtime, inode.mtimeNsec],
    ctime: [inode.ctime, inode.ctimeNsec],
    btime: [inode.btime, inode.btimeNsec],
    ...rdev !== 0 && { rdev },
    ...typeof body === "string" && { target: body },
    ...body instanceof Pages && { size: body.size, data: [], reserved: [] },
    ...body instanceof Directory && { names: [] },
    ...xattrs && xattrs.size > 0 && { xattrs: [] },
  };
}

/** What goes into the fields of an inode, with how many characters of text it has. */
function* contents({ body, xattrs }: Inode, names: Names): Generator<[field: Field, item: unknown, length: number]> {
  for (const [name, value] of [...xattrs ?? []]) {
    const text = encode(value);
    yield ["xattrs", [name, text], name.length + text.length];
  }
  for (const entry of names) yield ["names", entry, entry[0].length];
  if (!(body instanceof Pages)) return;
  for (const stretch of [...body.reserved()]) yield ["reserved", stretch, 0];
  for (let at = body.data(0); at !== undefined; at = body.data(at)) {
    const bytes = body.read(at, body.hole(at, at + STRETCH) - at);
    const text = encode(bytes);
    yield ["data", [at, text], text.length];
    at += bytes.length;
  }
}

/** Makes a tree of what a snapshot holds, or of all its parts, one after the other. */
export class Restoration {
  readonly #space: Space;
  readonly #made: Inode[] = [];
  // By directories, whose inodes may come later.
  readonly #names: [dir: number, names: Names][] = [];
  #tree: Tree | undefined;

  /** What is made takes what it needs of a space. */
  constructor(space: Space) {
    this.#space = space;
  }

  /** Takes in the whole, or the next part. EINVAL: it is neither; ENOSPC, EDQUOT: it does not fit. */
  add({ version, first = 0, inodes }: MemorySnapshot): void {
    if (version !== 1 || !Array.isArray(inodes)) throw invalid("it is not of version 1");
    const made = this.#made;
    if (!(first <= made.length)) throw invalid(`there is nothing between inode ${made.length} and inode ${first}`);
    for (const [i, saved] of (inodes as readonly InodeSnapshot[]).entries()) {
      const at = first + i, tree = this.#tree ??= this.#root(saved);
      if (at === made.length) made.push(at === 0 ? tree.root : remake(tree, saved));
      if (made[at] === undefined) throw invalid(`there is no inode ${at}`);
      if (saved.names !== undefined) this.#names.push([at, saved.names]);
      fill(tree, made[at], saved);
    }
  }

  #root(saved: InodeSnapshot): Tree {
    if ((saved.mode & S_IFMT) !== S_IFDIR) throw invalid("its first inode is no directory");
    return new Tree(this.#space, saved.mode, saved);
  }

  /** The tree, after the last part. EINVAL: it is not whole. */
  finish(): Tree {
    const made = this.#made, tree = this.#tree;
    if (tree === undefined) throw invalid("it has no inodes");
    for (const [at, names] of this.#names) {
      const dir = made[at];
      for (const [name, place] of names) {
        const inode = made[place];
        if (inode === undefined || !isDirectory(dir)) {
          throw invalid(`inode ${at} holds ${JSON.stringify(name)} in vain`);
        }
        give(tree, dir, name, inode);
      }
    }
    const reached = new Set<Inode>([tree.root]);
    for (const dir of reached) {
      if (isDirectory(dir)) { for (const { inode } of dir.body.between(0, Infinity)) reached.add(inode); }
    }
    if (reached.size < made.length) throw invalid("the root does not lead to all inodes");
    return tree;
  }
}

function remake(tree: Tree, { mode, uid, gid, rdev = 0, target = "" }: InodeSnapshot): Inode {
  const account = tree.space.of(uid);
  account.take(byteLength(target), 1);
  const type = mode & S_IFMT;
  const body = type === S_IFREG
    ? new Pages(account)
    : type === S_IFDIR
    ? new Directory<Inode>(tree.root)
    : type === S_IFLNK
    ? target
    : null;
  const inode = new Inode(mode, uid, gid, rdev, body);
  inode.nodeid = tree.nodes.insert(inode);
  return inode;
}

function give(tree: Tree, dir: DirectoryInode, name: string, inode: Inode): void {
  checkNewName(name);
  const taken = dir.body.get(name) !== undefined || isDirectory(inode) && inode.nlink > 0;
  if (taken) throw invalid(`${JSON.stringify(name)} is there twice`);
  if (!isDirectory(inode) && inode.nlink >= LINK_MAX) throw invalid(`a file has more than ${LINK_MAX} names`);
  dir.body.set(name, inode);
  if (isDirectory(inode)) {
    inode.nlink = 2;
    inode.body.parent = dir;
    dir.nlink++;
  } else if (inode.nlink++ > 0) tree.space.of(inode.uid).take(0, 1);
}

function fill(tree: Tree, inode: Inode, saved: InodeSnapshot): void {
  const account = tree.space.of(inode.uid);
  if (isFile(inode)) {
    const { body } = inode;
    for (const [offset, text] of saved.data ?? []) {
      const bytes = decode(text);
      if (body.write(offset, bytes) < bytes.length) throw account.shortage(bytes.length);
    }
    // It may have become another one between two parts.
    if (saved.size !== undefined && saved.size !== body.size) body.truncate(saved.size);
    for (const [offset, length] of saved.reserved ?? []) body.reserve(offset, length);
  }
  for (const [name, text] of saved.xattrs ?? []) {
    const value = decode(text);
    account.take(byteLength(name) + value.length);
    (inode.xattrs ??= new Map()).set(name, value);
  }
  [inode.atime, inode.atimeNsec] = saved.atime;
  [inode.mtime, inode.mtimeNsec] = saved.mtime;
  [inode.ctime, inode.ctimeNsec] = saved.ctime;
  [inode.btime, inode.btimeNsec] = saved.btime;
}

function invalid(why: string): FuseError {
  return new FuseError("EINVAL", `cannot restore a snapshot: ${why}`);
}

const DIGITS = new TextEncoder().encode("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");

/** Base64, ten times as fast as by way of a string for `btoa`. */
function encode(bytes: Uint8Array): string {
  const out = new Uint8Array(Math.ceil(bytes.length / 3) * 4).fill(0x3d);
  for (let from = 0, to = 0; from < bytes.length; from += 3, to += 4) {
    // What is missing at the end reads as 0.
    const value = bytes[from] << 16 | bytes[from + 1] << 8 | bytes[from + 2];
    out[to] = DIGITS[value >> 18];
    out[to + 1] = DIGITS[value >> 12 & 63];
    if (from + 1 < bytes.length) out[to + 2] = DIGITS[value >> 6 & 63];
    if (from + 2 < bytes.length) out[to + 3] = DIGITS[value & 63];
  }
  return new TextDecoder().decode(out);
}

function decode(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
