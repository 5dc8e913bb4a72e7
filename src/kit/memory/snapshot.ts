/** The whole of a file system in memory as a value of JSON, and back. */
import { FuseError } from "../../errno.ts";
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "../../fs/mode.ts";
import { Directory } from "./directory.ts";
import { type DirectoryInode, Inode, isDirectory, isFile } from "./inode.ts";
import { byteLength, checkNewName } from "./names.ts";
import { Pages } from "./pages.ts";
import type { Space } from "./space.ts";
import { LINK_MAX, Tree } from "./tree.ts";
import { sizeOf } from "./xattrs.ts";

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

/** All that can be reached from the root, which is the first inode. It is a value of JSON. */
export interface MemorySnapshot {
  /** Of this form: 1. */
  readonly version: 1;
  /** The inodes. An inode with several names is there once. */
  readonly inodes: readonly InodeSnapshot[];
}

// One string of a stretch has no more bytes.
const STRETCH = 2 ** 20;

/** What a tree holds now; open files without a name are no part of it. */
export function snapshot(tree: Tree): MemorySnapshot {
  const places = new Map<Inode, number>();
  const found: Inode[] = [];
  const place = (inode: Inode): number => {
    let at = places.get(inode);
    if (at === undefined) places.set(inode, at = found.push(inode) - 1);
    return at;
  };
  const inodes: InodeSnapshot[] = [];
  place(tree.root);
  // The list grows with what the directories hold.
  for (let i = 0; i < found.length; i++) inodes.push(record(found[i], place));
  return { version: 1, inodes };
}

function record(inode: Inode, place: (inode: Inode) => number): InodeSnapshot {
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
    ...body instanceof Pages && { size: body.size, data: stretches(body), reserved: [...body.reserved()] },
    ...body instanceof Directory &&
      { names: [...body.between(0, Infinity)].map(({ name, inode }) => [name, place(inode)] as const) },
    ...xattrs && xattrs.size > 0 && { xattrs: [...xattrs].map(([name, value]) => [name, encode(value)] as const) },
  };
}

function stretches(file: Pages): [number, string][] {
  const found: [number, string][] = [];
  for (let at = file.data(0); at !== undefined; at = file.data(at)) {
    for (const end = file.hole(at); at < end;) {
      const bytes = file.read(at, Math.min(STRETCH, end - at));
      found.push([at, encode(bytes)]);
      at += bytes.length;
    }
  }
  return found;
}

/** A tree of what a snapshot holds. EINVAL: it is none; ENOSPC, EDQUOT: it does not fit. */
export function restore({ version, inodes }: MemorySnapshot, space: Space): Tree {
  if (version !== 1 || !Array.isArray(inodes)) throw invalid("it is not of version 1");
  if ((inodes[0]?.mode & S_IFMT) !== S_IFDIR) throw invalid("its first inode is no directory");
  const tree = new Tree(space, inodes[0].mode, inodes[0]);
  const made = inodes.map((saved, i) => i === 0 ? tree.root : remake(tree, saved));
  inodes.forEach(({ names = [] }, i) => {
    const dir = made[i];
    for (const [name, at] of names) {
      const inode = made[at];
      if (inode === undefined || !isDirectory(dir)) throw invalid(`inode ${i} holds ${JSON.stringify(name)} in vain`);
      give(tree, dir, name, inode);
    }
  });
  const reached = new Set<Inode>([tree.root]);
  for (const dir of reached) {
    if (isDirectory(dir)) { for (const { inode } of dir.body.between(0, Infinity)) reached.add(inode); }
  }
  if (reached.size < made.length) throw invalid("the root does not lead to all inodes");
  // Last, since names and data change them.
  inodes.forEach((saved, i) => fill(tree, made[i], saved));
  return tree;
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
  if (isFile(inode)) {
    const { body } = inode;
    for (const [offset, text] of saved.data ?? []) {
      const bytes = decode(text);
      if (body.write(offset, bytes) < bytes.length) throw tree.space.of(inode.uid).shortage(bytes.length);
    }
    body.truncate(saved.size ?? body.size);
    for (const [offset, length] of saved.reserved ?? []) body.reserve(offset, length);
  }
  if (saved.xattrs !== undefined) {
    const xattrs = new Map(saved.xattrs.map(([name, text]) => [name, decode(text)]));
    tree.space.of(inode.uid).take(sizeOf(xattrs));
    inode.xattrs = xattrs;
  }
  [inode.atime, inode.atimeNsec] = saved.atime;
  [inode.mtime, inode.mtimeNsec] = saved.mtime;
  [inode.ctime, inode.ctimeNsec] = saved.ctime;
  [inode.btime, inode.btimeNsec] = saved.btime;
}

function invalid(why: string): FuseError {
  return new FuseError("EINVAL", `cannot restore a snapshot: ${why}`);
}

// No function takes more arguments than this.
const ARGUMENTS = 8192;

function encode(bytes: Uint8Array): string {
  let binary = "";
  for (let at = 0; at < bytes.length; at += ARGUMENTS) {
    binary += String.fromCharCode(...bytes.subarray(at, at + ARGUMENTS));
  }
  return btoa(binary);
}

function decode(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
