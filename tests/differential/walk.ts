/** What a directory holds, by system calls. Whoever calls this is root. */
import { AT_EMPTY_PATH, AT_REMOVEDIR, AT_SYMLINK_NOFOLLOW, Stat } from "../../ffi/libc.ts";
import { libc } from "../../ffi/load.ts";
import { cstring, decodeName } from "../../src/abi/text.ts";
import { errnoName } from "../../src/errno.ts";
import { ThisThread } from "../../src/testing/caller.ts";

const STATX_BASIC = 0x7ff;
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;

/** A mode's type, as `ls -l` has it. */
const TYPES: Readonly<Record<number, string>> = {
  0o010000: "p",
  0o020000: "c",
  [S_IFDIR]: "d",
  0o060000: "b",
  [S_IFREG]: "-",
  [S_IFLNK]: "l",
  0o140000: "s",
};

/** Of a directory entry: its `d_type`. */
const ENTRY_TYPES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(TYPES).map(([mode, letter]) => [Number(mode) >> 12, letter]),
);

/** Throws where a call that has to succeed did not. */
export function must(result: number, what: string): number {
  if (result < 0) throw new Error(`${what}: ${errnoName(result)}`);
  return result;
}

/** The attributes of what a name in an open directory leads to, or of a descriptor; or a negative errno. */
export function attributes(dirfd: number, name: string | Uint8Array = "", follow = true): Stat | number {
  const stat = new Stat();
  const flags = name === "" ? AT_EMPTY_PATH : follow ? 0 : AT_SYMLINK_NOFOLLOW;
  const path = typeof name === "string" ? cstring(name) : name;
  const result = libc().statx(dirfd, path, flags, STATX_BASIC, stat);
  return result < 0 ? result : stat;
}

// The clock's times are not those that an operation sets, which are all earlier, or much later.
const CLOCK = 1_600_000_000;

/** A time that was set; of one that the clock gave, only that. */
export function time(seconds: number, nanoseconds: number): string {
  return seconds > CLOCK && seconds < 2 * CLOCK ? "now" : `${seconds}.${nanoseconds}`;
}

/**
 * What attributes say that is the same on every file system. It is not: how many blocks something takes, the size of a
 * directory, numbers of inodes and devices; nor the time of last access, which a mount leaves as it was where the
 * kernel's cache answered.
 */
export function describe(stat: Stat): string {
  const type = stat.mode & S_IFMT;
  return [
    TYPES[type] + (stat.mode & 0o7777).toString(8).padStart(4, "0"),
    `nlink ${stat.nlink}`,
    `owner ${stat.uid}:${stat.gid}`,
    ...type === S_IFDIR ? [] : [`size ${stat.size}`],
    `mtime ${time(stat.mtime, stat.mtimeNsec)}`,
    ...stat.rdevMajor || stat.rdevMinor ? [`device ${stat.rdevMajor}:${stat.rdevMinor}`] : [],
  ].join(" ");
}

/** A number that differs where bytes differ: FNV-1a. */
export function digest(bytes: Uint8Array): string {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16);
}

const buffer = new Uint8Array(512 * 1024);
const view = new DataView(buffer.buffer);

/** How much of a file is looked at, from its beginning and before its end, bytes. */
const MOST = buffer.length / 2;

/** The content of an open file, or the errno of reading it. */
export function content(fd: number, size: number): string {
  const head = libc().pread(fd, buffer, MOST, 0);
  if (head < 0) return errnoName(head);
  const tail = size > MOST ? libc().pread(fd, buffer.subarray(MOST), MOST, Math.max(MOST, size - MOST)) : 0;
  if (tail < 0) return errnoName(tail);
  return `${head}+${tail} bytes ${digest(buffer.subarray(0, head))}+${digest(buffer.subarray(MOST, MOST + tail))}`;
}

/** An entry of a directory. */
export interface Entry {
  readonly name: string;
  /** As `ls -l` has it. */
  readonly type: string;
  /** Its inode number, where a directory says so. */
  readonly ino?: number;
}

/** The entries of an open directory, in an order of ours; or a negative errno. */
export function entries(fd: number): Entry[] | number {
  const found: Entry[] = [];
  for (;;) {
    const n = libc().getdents64(fd, buffer);
    if (n < 0) return n;
    if (n === 0) break;
    for (let at = 0; at < n; at += view.getUint16(at + 16, true)) {
      const type = ENTRY_TYPES[buffer[at + 18]] ?? "?";
      const ino = Number(view.getBigUint64(at, true));
      found.push({ name: decodeName(buffer, at + 19, buffer.indexOf(0, at + 19)), type, ino });
    }
  }
  return found.sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

/** Opens something that can be read. */
function opened(dirfd: number, name: string): number {
  const { openat, O } = libc();
  return must(openat(dirfd, cstring(name), O.RDONLY | O.NOFOLLOW | O.CLOEXEC, 0), `open ${name}`);
}

/** Opens a directory. */
export function openDirectory(dirfd: number, name: string): number {
  const { openat, O } = libc();
  return must(openat(dirfd, cstring(name), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0), `open ${name}`);
}

/** The entries of an open directory but "." and "..". */
function children(fd: number): Entry[] {
  const found = entries(fd);
  if (typeof found === "number") throw new Error(`getdents64: ${errnoName(found)}`);
  return found.filter(({ name }) => name !== "." && name !== "..");
}

/** A file found in a directory. */
export interface Found {
  /** Where, from where the walk began. */
  readonly path: string;
  readonly dirfd: number;
  readonly name: string;
  readonly stat: Stat;
  /** Of a regular file or a directory, while it is visited; else -1. */
  readonly fd: number;
}

/** Visits what a name in an open directory leads to, and all below it. */
export function visit(dirfd: number, { name, type, ino }: Entry, visitor: (found: Found) => void, path = name): void {
  const stat = attributes(dirfd, name, false);
  if (typeof stat === "number") throw new Error(`statx ${path}: ${errnoName(stat)}`);
  const actual = TYPES[stat.mode & S_IFMT];
  if (actual !== type) throw new Error(`${path}: listed as "${type}", but found to be "${actual}"`);
  if (ino !== undefined && ino !== stat.ino) throw new Error(`${path}: listed as inode ${ino}, but it is ${stat.ino}`);
  const fd = type === "d" || type === "-" ? opened(dirfd, name) : -1;
  try {
    visitor({ path, dirfd, name, stat, fd });
    if (type === "d") { for (const entry of children(fd)) visit(fd, entry, visitor, `${path}/${entry.name}`); }
  } finally {
    libc().close(fd);
  }
}

/** Has the calls on symbolic links themselves. */
const thread = new ThisThread();
const room = new Uint8Array(4096);

/** Names of extended attributes, in an order of ours; or a negative errno. */
export function attributeNames(path: Uint8Array, follow = true): string[] | number {
  const n = Number(thread.call(follow ? "listxattr" : "llistxattr", path, room, room.length));
  return n < 0 ? n : decodeName(room, 0, n).split("\0").slice(0, -1).sort();
}

/** The value of an extended attribute, or the errno. */
export function attributeValue(path: Uint8Array, name: string, follow = true): string {
  const n = Number(thread.call(follow ? "getxattr" : "lgetxattr", path, cstring(name), room, room.length));
  return n < 0 ? errnoName(n) : `${n} bytes ${digest(room.subarray(0, n))}`;
}

/** The target of a symbolic link, or the errno. */
export function linkTarget(dirfd: number, name: string): string {
  const n = libc().readlinkat(dirfd, cstring(name), buffer);
  return n < 0 ? errnoName(n) : JSON.stringify(decodeName(buffer, 0, n));
}

/** Everything that a directory holds, a line for each file, by path. */
export function snapshot(folder: number, top: Entry): Map<string, string> {
  const first = new Map<number, string>();
  const lines = new Map<string, string>();
  visit(folder, top, ({ path, dirfd, name, stat, fd }) => {
    const words = [describe(stat)];
    const same = first.get(stat.ino);
    if (same !== undefined) words.push(`the same as ${JSON.stringify(same)}`);
    else first.set(stat.ino, path);
    const type = stat.mode & S_IFMT;
    if (type === S_IFLNK) words.push(linkTarget(dirfd, name));
    if (type === S_IFREG) words.push(content(fd, stat.size));
    const held = cstring(`/proc/self/fd/${dirfd}/${name}`);
    const names = attributeNames(held, false);
    if (typeof names === "number") words.push(`listxattr: ${errnoName(names)}`);
    else for (const name of names) words.push(`${JSON.stringify(name)}: ${attributeValue(held, name, false)}`);
    lines.set(path, words.join(", "));
  });
  return lines;
}

/** Removes a directory and all that is in it. */
export function removeTree(dirfd: number, { name, type }: Entry): void {
  if (type === "d") {
    const fd = opened(dirfd, name);
    for (const entry of children(fd)) removeTree(fd, entry);
    libc().close(fd);
  }
  must(libc().unlinkat(dirfd, cstring(name), type === "d" ? AT_REMOVEDIR : 0), `unlink ${name}`);
}
