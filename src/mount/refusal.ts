/** The words of errors: the call, the path, what the kernel says, the remedy. */
import { errnoName, FuseError } from "../errno.ts";

/** Why something could not be done. */
export interface Reason {
  /** The system call or function, such as `mount`. */
  readonly call: string;
  /** What it was called for, where that is not the path of the task. */
  readonly of?: string;
  /** The error number, of either sign. */
  readonly errno: number;
  /** What the number means here, where its name does not say it. */
  readonly meaning?: string;
  /** What to do about it. */
  readonly remedy?: string;
}

/**
 * An error such as `cannot mount on "/x": open(2) says ENOENT (no such directory); create it first: mkdir -p /x`.
 * `task` is `mount on` or `unmount`.
 */
export function refusal(task: string, path: string, reason: Reason): FuseError {
  const { call, errno, remedy } = reason;
  const said = says(reason) + (remedy === undefined ? "" : `; ${remedy}`);
  return new FuseError(errno, `cannot ${task} ${JSON.stringify(path)}: ${said}`, { syscall: call, path });
}

/** `open(2) of /dev/fuse says EACCES`, or `open(2) says ENOENT (no such directory)`. */
export function says({ call, of, errno, meaning }: Reason): string {
  const section = call.startsWith("posix_") ? 3 : 2;
  const about = of === undefined ? "" : ` of ${of}`;
  return `${call}(${section})${about} says ${errnoName(errno)}${meaning === undefined ? "" : ` (${meaning})`}`;
}

/** A word for a shell: quoted where it must be. */
export function quoted(word: string): string {
  return /^[\w/.,:@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
