/**
 * A writable file system in memory.
 *
 * @module
 */
import { FuseError } from "../errno.ts";
import type { Filesystem } from "../fs/filesystem.ts";
import type { Request } from "../fs/types.ts";
import { MemoryFilesystem } from "./memory/filesystem.ts";
import { type Checks, guard } from "./memory/guard.ts";
import { type MemorySnapshot, parts, Restoration, snapshot } from "./memory/snapshot.ts";
import { type Quota, Space } from "./memory/space.ts";
import { Tree } from "./memory/tree.ts";

export type { InodeSnapshot, MemorySnapshot, SnapshotTime } from "./memory/snapshot.ts";
export type { Quota } from "./memory/space.ts";

const GIB = 2 ** 30;
const DEFAULT_INODES = 2 ** 20;

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
 * It can be mounted again once it was unmounted, with what it holds, but only once at a time (EBUSY), since the kernel
 * keeps what it was told as the only one who changes it; bind mounts show one mount at several places.
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
  return made(filesystemOf(options), options);
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
  return made(new MemoryFilesystem(restoration.finish(), options), options);
}

/** The file system that {@linkcode memory} makes, itself. */
export function filesystemOf(options: MemoryOptions = {}): MemoryFilesystem {
  return new MemoryFilesystem(treeOf(options), options);
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
  type Method = (args: unknown, request: Request) => unknown;
  const own = Object.getOwnPropertyNames(MemoryFilesystem.prototype).filter((name) => name !== "constructor");
  return Object.fromEntries([...new Set([...own, ...Object.keys(checks)])].map((name) => {
    const method = (fs as Filesystem)[name as keyof Filesystem]?.bind(fs) as Method | undefined;
    const check = checks[name as keyof Checks] as Method | undefined;
    if (method === undefined || check === undefined) return [name, method ?? check];
    return [name, (args: unknown, request: Request) => method(check(args, request) ?? args, request)];
  }));
}

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
