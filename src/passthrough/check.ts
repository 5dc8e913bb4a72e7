/** What system calls answer. */
import { errnoName, FuseError } from "../errno.ts";

/**
 * The value of a call; a negative one is thrown as a FuseError that names the call. `what` failed: in words, or a
 * descriptor that cannot be used; `path`: where.
 */
export function check(
  syscall: string,
  value: number,
  what: string | number = "a backing file cannot be used",
  path?: string,
): number {
  if (value >= 0) return value;
  const failed = typeof what === "number" ? `descriptor ${what} cannot be used` : what;
  throw new FuseError(value, `${failed}: ${syscall}(2) says ${errnoName(value)}`, { syscall, path });
}
