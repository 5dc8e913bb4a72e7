/** Numbers of system calls that file systems are given as they are, or give to other ones. */

/** `rename`: EEXIST where the new name is there. Source: `renameat2(2)`. */
export const RENAME_NOREPLACE = 1;
/** `rename`: both names change places. Source: `renameat2(2)`. */
export const RENAME_EXCHANGE = 2;
/** `rename`: a whiteout takes the place of the old name. Source: `renameat2(2)`. */
export const RENAME_WHITEOUT = 4;

/**
 * `open`: the bits that say how: for reading (0), writing (1), both (2). These and the next are alike on all machines.
 */
export const O_ACCMODE = 3;
/** `create`: EEXIST where the name is there. Source: `open(2)`. */
export const O_EXCL = 0o200;
/** `open`: the file is emptied. Source: `open(2)`. */
export const O_TRUNC = 0o1000;
/** `open`: whatever is written goes to the end. Source: `open(2)`. */
export const O_APPEND = 0o2000;
/** `open`: reading does not change the time of last access. Source: `open(2)`. */
export const O_NOATIME = 0o1000000;

/** `fallocate`: the file stays as long as it is. Source: `fallocate(2)`. */
export const FALLOC_FL_KEEP_SIZE = 1;
/**
 * `fallocate`: the range becomes a hole; only together with {@linkcode FALLOC_FL_KEEP_SIZE}. Source: `fallocate(2)`.
 */
export const FALLOC_FL_PUNCH_HOLE = 2;
/** `fallocate`: the range becomes zeros. Source: `fallocate(2)`. */
export const FALLOC_FL_ZERO_RANGE = 16;

/** `lseek`: from the beginning. Source: `lseek(2)`. */
export const SEEK_SET = 0;
/** `lseek`: from the end. Source: `lseek(2)`. */
export const SEEK_END = 2;
/** `lseek`: where data begins. Source: `lseek(2)`. */
export const SEEK_DATA = 3;
/** `lseek`: where a hole begins; the end of the file is one. Source: `lseek(2)`. */
export const SEEK_HOLE = 4;

/** In place of nanoseconds: now. Source: `utimensat(2)`. */
export const UTIME_NOW = 0x3fffffff;
/** In place of nanoseconds: as it is. Source: `utimensat(2)`. */
export const UTIME_OMIT = 0x3ffffffe;

/** Among the flags of `open`: to be executed. The kernel's own. Source: `linux/fs.h`. */
export const FMODE_EXEC = 0x20;
