/** Small helpers around the C library: errors, names and `/proc/self/fd`. */
import { STATX_BASIC_STATS, STATX_BTIME } from "../../../ffi/libc.ts";
import { encodeNameInto } from "../../abi/text.ts";
import { ERRNO, errnoName, FuseError } from "../../errno.ts";

/** What statx is asked for. */
export const STATX_MASK: number = STATX_BASIC_STATS | STATX_BTIME;

/** The result of a call, or its error thrown. */
export function check(syscall: string, result: number, name?: string): number {
  if (result >= 0) return result;
  const about = name === undefined ? "" : ` ${JSON.stringify(name)}`;
  throw new FuseError(result, `${syscall}${about}: ${errnoName(result)}`, { syscall, path: name });
}

/** Whether a call failed since there may be no more descriptors. */
export function isShortage(result: number): boolean {
  return result === -ERRNO.EMFILE || result === -ERRNO.ENFILE;
}

/** Throws EINVAL for what names no entry of a directory: empty, `.`, `..`, or with a slash. */
export function checkName(name: string): void {
  if (name === "" || name === "." || name === ".." || name.includes("/")) {
    throw new FuseError("EINVAL", `not a name of a directory's entry: ${JSON.stringify(name)}`, { path: name });
  }
}

/** Longest string that is encoded: one of PATH_MAX characters. */
const LONGEST = 4096;

/** Memory for one C string at a time, so that none is allocated per call. */
export class CStringBuffer {
  readonly #bytes = new Uint8Array(LONGEST * 3 + 1);

  /** The string with its NUL; valid until the next one. */
  set(text: string): Uint8Array {
    if (text.length > LONGEST) throw new FuseError(ERRNO.ENAMETOOLONG);
    this.#bytes[encodeNameInto(text, this.#bytes, 0)] = 0;
    return this.#bytes;
  }
}

/** The empty path, with which an `*at` call is about the descriptor. Long enough to stay off V8's heap. */
export const EMPTY: Uint8Array = new Uint8Array(128);

const proc = new CStringBuffer();

/**
 * The path that leads to the very object of a descriptor, whatever its names are by now; for the calls that want no
 * O_PATH descriptor. Valid until the next one. Source: `proc_pid_fd(5)`.
 */
export function procPath(fd: number): Uint8Array {
  return proc.set(`/proc/self/fd/${fd}`);
}
