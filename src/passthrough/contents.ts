/** Copies and comparisons of whole files. Holes cost nothing, and large files leave others their turn. */
import type { Libc } from "../../ffi/libc.ts";
import { SEEK_DATA, SEEK_HOLE } from "../fs/flags.ts";
import { copyAt, readAt, Seeker } from "./descriptors.ts";
import type { Steps } from "./steps.ts";

/** After so many bytes others get their turn. */
const SLICE = 8 << 20;
/** Bytes that are compared at once. */
const ROOM = 256 * 1024;

/** Lets others have their turn, where that is possible. */
export type Pause = () => Promise<void>;

/**
 * Makes the new file `to` of `size` bytes one with the content of `from`. Shared blocks are shared, holes stay holes.
 */
export function* copyContent(libc: Libc, from: number, to: number, size: number, pause?: Pause): Steps<void> {
  const seeker = new Seeker();
  try {
    for (let at = seeker.seek(from, 0, SEEK_DATA); at < size;) {
      const end = Math.min(seeker.seek(from, at, SEEK_HOLE), size);
      while (at < end) {
        const length = Math.min(end - at, SLICE);
        // What it cannot do (EXDEV, EINVAL, EOPNOTSUPP and others), reading and writing can, or says why not.
        const n = libc.copyFileRange(from, at, to, at, length, 0);
        if (n <= 0) copyAt(from, at, to, at, length);
        at += n > 0 ? n : length;
        if (pause !== undefined && at < end) yield pause();
      }
      at = seeker.seek(from, end, SEEK_DATA);
    }
  } finally {
    seeker.close();
  }
}

/** Whether a file of `size` bytes has the content of another one, or of bytes, that are as many. */
export function* sameContent(file: number, other: number | Uint8Array, size: number, pause?: Pause): Steps<boolean> {
  const seeker = new Seeker();
  const mine = new Uint8Array(ROOM), theirs = new Uint8Array(ROOM);
  const myWords = new Int32Array(mine.buffer), theirWords = new Int32Array(theirs.buffer);
  try {
    for (let at = 0, sliced = 0; at < size;) {
      // What is a hole in both is the same.
      const data = typeof other === "number" ? seeker.seek(other, at, SEEK_DATA) : at;
      at = Math.min(data, data > at ? seeker.seek(file, at, SEEK_DATA) : at);
      if (at >= size) break;
      const n = Math.min(size - at, ROOM), words = Math.ceil(n / 4);
      myWords[words - 1] = theirWords[words - 1] = 0;
      readAt(file, mine, 0, n, at);
      if (typeof other === "number") readAt(other, theirs, 0, n, at);
      else theirs.set(other.subarray(at, at + n));
      for (let i = 0; i < words; i++) if (myWords[i] !== theirWords[i]) return false;
      at += n;
      if (pause !== undefined && at - sliced >= SLICE) {
        sliced = at;
        yield pause();
      }
    }
    return true;
  } finally {
    seeker.close();
  }
}
