/** Times of a setattr, as system calls take them. */
import { UTIME_NOW, UTIME_OMIT } from "./flags.ts";
import type { SetattrArgs } from "./types.ts";

/** What of a setattr is about times. */
export type SetTimes = Pick<SetattrArgs, "atime" | "atimeNsec" | "mtime" | "mtimeNsec">;

/** Whether it sets any that utimensat(2) can set. */
export function setsTimes({ atime, mtime }: SetTimes): boolean {
  return atime !== undefined || mtime !== undefined;
}

function setTime(times: BigInt64Array, at: number, time: number | "now" | undefined, nsec = 0): void {
  times[at] = typeof time === "number" ? BigInt(time) : 0n;
  times[at + 1] = BigInt(time === undefined ? UTIME_OMIT : time === "now" ? UTIME_NOW : nsec);
}

/** Fills two `struct timespec`, of access and modification. Source: `utimensat(2)`. */
export function fillTimespecs(times: BigInt64Array, { atime, atimeNsec, mtime, mtimeNsec }: SetTimes): void {
  setTime(times, 0, atime, atimeNsec);
  setTime(times, 2, mtime, mtimeNsec);
}

/** The same, in new memory. */
export function timespecs(args: SetTimes): Uint8Array {
  const times = new BigInt64Array(4);
  fillTimespecs(times, args);
  return new Uint8Array(times.buffer);
}
