/**
 * Flags of the calls by name, without their prefix. Source: `linux/fcntl.h`, `linux/fs.h`, `linux/falloc.h` and others.
 */
import { AT_EACCESS, AT_EMPTY_PATH, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW } from "../../ffi/libc.ts";
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  RENAME_WHITEOUT,
  SEEK_DATA,
  SEEK_END,
  SEEK_HOLE,
  SEEK_SET,
} from "../fs/flags.ts";

export const WHENCE = { SET: SEEK_SET, CUR: 1, END: SEEK_END, DATA: SEEK_DATA, HOLE: SEEK_HOLE } as const;
export const RENAME = { NOREPLACE: RENAME_NOREPLACE, EXCHANGE: RENAME_EXCHANGE, WHITEOUT: RENAME_WHITEOUT } as const;
export const FALLOC = {
  KEEP_SIZE: FALLOC_FL_KEEP_SIZE,
  PUNCH_HOLE: FALLOC_FL_PUNCH_HOLE,
  COLLAPSE_RANGE: 8,
  ZERO_RANGE: FALLOC_FL_ZERO_RANGE,
  INSERT_RANGE: 32,
  UNSHARE_RANGE: 64,
} as const;
export const AT = {
  EMPTY_PATH: AT_EMPTY_PATH,
  SYMLINK_NOFOLLOW: AT_SYMLINK_NOFOLLOW,
  SYMLINK_FOLLOW: AT_SYMLINK_FOLLOW,
  EACCESS: AT_EACCESS,
};
export const XATTR = { CREATE: 1, REPLACE: 2 } as const;
export const ACCESS = { F: 0, X: 1, W: 2, R: 4 } as const;
export const PROT = { NONE: 0, READ: 1, WRITE: 2, EXEC: 4 } as const;
export const MAP = { SHARED: 1, PRIVATE: 2, LOCKED: 0x2000 } as const;
export const FLOCK = { SH: 1, EX: 2, NB: 4, UN: 8 } as const;
export const LOCK_TYPES = ["RDLCK", "WRLCK", "UNLCK"] as const;
export const LOCK_COMMANDS = { GETLK: 5, SETLK: 6, SETLKW: 7, OFD_GETLK: 36, OFD_SETLK: 37, OFD_SETLKW: 38 } as const;
export const FCNTL = { DUPFD: 0, GETFD: 1, SETFD: 2, GETFL: 3, SETFL: 4, SETSIG: 10, SETLEASE: 1024 } as const;
export const RLIMIT = { FSIZE: 1, NOFILE: 7, MEMLOCK: 8, AS: 9 } as const;

/** Numbers by name. */
export type Table = object;

/** The number of `"A|B"`; an unknown name is a mistake of the case. */
export function bits(names: string, table: Table): number {
  let value = 0;
  for (const name of names.split("|")) {
    if (name === "") continue;
    const bit = (table as Record<string, number>)[name];
    if (bit === undefined) throw new TypeError(`no such flag: ${name}`);
    value |= bit;
  }
  return value;
}
