/** Structures of the calls, as the 64-bit architectures have them. */
import { decodeName } from "../abi/text.ts";
import { UTIME_NOW, UTIME_OMIT } from "../fs/flags.ts";
import { LOCK_TYPES } from "./flags.ts";
import type { Dirent, Lock, Statfs, Time } from "./sys.ts";

/** What a call left in a buffer. */
export function filled(buffer: Uint8Array, r: number): Uint8Array | number {
  return r < 0 ? r : buffer.subarray(0, r);
}

/** A `struct timespec`. */
export function timespec(seconds: number, nanoseconds: number): Uint8Array {
  return new Uint8Array(new BigInt64Array([BigInt(seconds), BigInt(nanoseconds)]).buffer);
}

/** Two of them, as `utimensat(2)` takes them. */
export function timespecs(times: readonly [Time, Time]): Uint8Array {
  const both = times.map((time) =>
    timespec(...time === "now" ? [0, UTIME_NOW] as const : time === "omit" ? [0, UTIME_OMIT] as const : time)
  );
  return Uint8Array.from([...both[0], ...both[1]]);
}

/** A `struct flock`. */
export function flockOf({ type, start = 0, length = 0 }: Lock): Uint8Array {
  const flock = new Uint8Array(32), view = new DataView(flock.buffer);
  view.setInt16(0, LOCK_TYPES.indexOf(type), true);
  view.setBigInt64(8, BigInt(start), true);
  view.setBigInt64(16, BigInt(length), true);
  return flock;
}

/** What a `struct statfs` says. */
export function statfsIn(buffer: Uint8Array, r: number): Statfs | number {
  if (r < 0) return r;
  const words = [...new BigInt64Array(buffer.buffer)].map(Number);
  const [type, bsize, blocks, bfree, bavail, files, ffree, , namelen, frsize, flags] = words;
  return { type, bsize, blocks, bfree, bavail, files, ffree, namelen, frsize, flags };
}

/** A number of 64 bits in memory. */
export function int64(value: number | bigint): Uint8Array {
  return new Uint8Array(new BigInt64Array([BigInt(value)]).buffer);
}

/** The lock that a `struct flock` says. */
export function lockIn(flock: Uint8Array): Lock {
  const view = new DataView(flock.buffer);
  const type = LOCK_TYPES[view.getInt16(0, true)];
  return type === "UNLCK" ? { type } : {
    type,
    start: Number(view.getBigInt64(8, true)),
    length: Number(view.getBigInt64(16, true)),
    pid: view.getInt32(24, true),
  };
}

/** The entries in so many bytes of `struct linux_dirent64`. */
export function direntsIn(buffer: Uint8Array, length: number): Dirent[] {
  const view = new DataView(buffer.buffer);
  const entries: Dirent[] = [];
  for (let at = 0; at < length; at += view.getUint16(at + 16, true)) {
    entries.push({
      ino: view.getBigUint64(at, true),
      next: view.getBigUint64(at + 8, true),
      type: buffer[at + 18],
      name: decodeName(buffer, at + 19, buffer.indexOf(0, at + 19)),
    });
  }
  return entries;
}
