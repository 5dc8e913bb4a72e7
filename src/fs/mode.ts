/** The bits of a mode, `attr.mode`: type and permissions. Source: `inode(7)`. */

/** The bits that are the type. */
export const S_IFMT = 0o170000;
/** A socket. */
export const S_IFSOCK = 0o140000;
/** A symbolic link. */
export const S_IFLNK = 0o120000;
/** A regular file. */
export const S_IFREG = 0o100000;
/** A block device. */
export const S_IFBLK = 0o060000;
/** A directory. */
export const S_IFDIR = 0o040000;
/** A character device. */
export const S_IFCHR = 0o020000;
/** A fifo. */
export const S_IFIFO = 0o010000;
/** Set-user-id. */
export const S_ISUID = 0o4000;
/** Set-group-id. */
export const S_ISGID = 0o2000;
/** Sticky: in such a directory one removes one's own. */
export const S_ISVTX = 0o1000;
/** The group may execute. */
export const S_IXGRP = 0o010;
