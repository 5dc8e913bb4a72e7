/** Reading and writing at places of open files. What fails is a FuseError that names the call. */
import { AT_EMPTY_PATH, type CString, F_GETFL, type Libc, Stat } from "../../ffi/libc.ts";
import { libc } from "../../ffi/load.ts";
import { cstring } from "../abi/text.ts";
import { ERRNO, FuseError } from "../errno.ts";
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, SEEK_DATA, SEEK_HOLE } from "../fs/flags.ts";
import { S_IFMT, S_IFREG } from "../fs/mode.ts";
import { check } from "./check.ts";

const STATX_TYPE_AND_SIZE = 0x201;

/** What may be done with a file. */
export type Access = "read" | "read-write";

/** A path to the file that a descriptor has open. Without one utimensat(2) works since Linux 5.8 alone. */
const pathOf = (fd: number): CString => cstring(`/proc/self/fd/${fd}`);

/** Sets the times of an open file, given as two `struct timespec`s; -errno where that fails. Source: `utimensat(2)`. */
export function setTimes(libc: Libc, fd: number, times: Uint8Array): number {
  return libc.utimensat(-1, pathOf(fd), times, 0);
}

/** A descriptor of our own of the same file, or -errno. */
export function reopen(libc: Libc, fd: number, access: Access): number {
  const { O } = libc;
  const mode = access === "read" ? O.RDONLY : O.RDWR;
  // NONBLOCK: not to wait for whoever holds a lease on the file.
  return libc.open(pathOf(fd), mode | O.CLOEXEC | O.NONBLOCK | O.NOCTTY, 0);
}

/** Room for copies, bytes: made at the first one. */
const ROOM = 256 * 1024;
let room: Uint8Array | undefined;

/**
 * Whether a descriptor can be written at any place, which it cannot if it appends. EBADF: it is none, or not open for
 * reading; ESPIPE, EISDIR: it cannot be read at a place.
 */
export function isWritable(fd: number): boolean {
  const c = libc();
  const flags = check("fcntl", c.fcntl(fd, F_GETFL, 0), fd);
  check("pread", c.pread(fd, room ??= new Uint8Array(ROOM), 0, 0), fd);
  return (flags & c.O.ACCMODE) === c.O.RDWR && !(flags & c.O.APPEND);
}

/** Size of a regular file, bytes; Infinity of anything else, which does not tell. */
export function fileSize(fd: number): number {
  const stat = new Stat();
  check("statx", libc().statx(fd, cstring(""), AT_EMPTY_PATH, STATX_TYPE_AND_SIZE, stat), fd);
  return (stat.mode & S_IFMT) === S_IFREG ? stat.size : Infinity;
}

/** Reads bytes `from` to before `to` of a buffer from a place on; those behind the end of the file are zeros. */
export function readAt(fd: number, into: Uint8Array, from: number, to: number, place: number): void {
  const c = libc();
  while (from < to) {
    const target = from === 0 ? into : into.subarray(from, to);
    const n = c.pread(fd, target, to - from, place);
    if (n === -ERRNO.EINTR) continue;
    if (check("pread", n, fd) === 0) {
      into.fill(0, from, to);
      return;
    }
    from += n;
    place += n;
  }
}

/** Writes bytes `from` to before `to` of a buffer to a place; answers how many were taken, which is at least one. */
export function writeAt(fd: number, data: Uint8Array, from: number, to: number, place: number): number {
  const c = libc();
  const source = from === 0 ? data : data.subarray(from, to);
  for (;;) {
    const n = c.pwrite(fd, source, to - from, place);
    if (n === -ERRNO.EINTR) continue;
    if (n === 0) throw new FuseError("EIO", `pwrite on descriptor ${fd} took nothing`, { syscall: "pwrite" });
    return check("pwrite", n, fd);
  }
}

/** Writes all of it. */
export function writeAllAt(fd: number, data: Uint8Array, from: number, to: number, place: number): void {
  while (from < to) {
    const n = writeAt(fd, data, from, to, place);
    from += n;
    place += n;
  }
}

/** Copies between places of files. What lies behind the end of the source is copied as zeros. */
export function copyAt(from: number, place: number, to: number, toPlace: number, length: number): void {
  const buffer = room ??= new Uint8Array(ROOM);
  for (let done = 0; done < length;) {
    const n = Math.min(length - done, ROOM);
    readAt(from, buffer, 0, n, place + done);
    writeAllAt(to, buffer, 0, n, toPlace + done);
    done += n;
  }
}

/** Makes a range read as zeros, by a hole where the file system has them. The file keeps its size. */
export function zeroAt(fd: number, place: number, length: number): void {
  if (libc().fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, place, length) >= 0) return;
  // Whatever the reason: what is behind the end of the file is zeros anyway, and the rest can be written.
  const end = Math.min(place + length, fileSize(fd));
  const buffer = (room ??= new Uint8Array(ROOM)).fill(0);
  for (let at = place; at < end;) at += writeAt(fd, buffer, 0, Math.min(end - at, ROOM), at);
}

/** Takes space for a range, so that writing it cannot fail for the lack of it. Source: `fallocate(2)`. */
export function reserveAt(fd: number, place: number, length: number, keepSize = false): void {
  check("fallocate", libc().fallocate(fd, keepSize ? FALLOC_FL_KEEP_SIZE : 0, place, length), fd);
}

/** Cuts a file, or extends it by a hole. */
export function truncateAt(fd: number, size: number): void {
  check("ftruncate", libc().ftruncate(fd, size), fd);
}

/** Brings a file to stable storage. */
export function syncFile(fd: number, datasync: boolean): void {
  const c = libc();
  check(datasync ? "fdatasync" : "fsync", datasync ? c.fdatasync(fd) : c.fsync(fd), fd);
}

/**
 * Asks descriptors where data and holes are. It opens the files once more for it, since lseek would move the position
 * of the author's descriptor, through which somebody may be writing.
 */
export class Seeker {
  readonly #opened = new Map<number, number>();

  /**
   * Where data or a hole begins at or behind a place; Infinity: nowhere; the place itself where the file does not tell.
   */
  seek(fd: number, place: number, whence: typeof SEEK_DATA | typeof SEEK_HOLE): number {
    const c = libc();
    let own = this.#opened.get(fd);
    if (own === undefined) {
      own = reopen(c, fd, "read");
      this.#opened.set(fd, own);
    }
    const found = own < 0 ? own : c.lseek(own, place, whence);
    if (found >= 0) return found;
    // Behind the last data begins the hole that every file ends with.
    if (found === -ERRNO.ENXIO) return whence === SEEK_HOLE ? place : Infinity;
    return whence === SEEK_DATA ? place : Infinity;
  }

  /** Closes what was opened. */
  close(): void {
    for (const own of this.#opened.values()) if (own >= 0) libc().close(own);
    this.#opened.clear();
  }
}
