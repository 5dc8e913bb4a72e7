/** Version, sizes and special values, spelled as in `linux/fuse.h`. */

/** Major version of the protocol. */
export const FUSE_KERNEL_VERSION = 7;
/** The newest minor version known here. */
export const FUSE_KERNEL_MINOR_VERSION = 45;
/** Nodeid of the root. */
export const FUSE_ROOT_ID = 1;
/** The least that a read of the device must offer, bytes. */
export const FUSE_MIN_READ_BUFFER = 8192;

// Sizes of structs before they grew.
export const FUSE_COMPAT_ENTRY_OUT_SIZE = 120;
export const FUSE_COMPAT_ATTR_OUT_SIZE = 96;
export const FUSE_COMPAT_MKNOD_IN_SIZE = 8;
export const FUSE_COMPAT_WRITE_IN_SIZE = 24;
export const FUSE_COMPAT_STATFS_SIZE = 48;
export const FUSE_COMPAT_SETXATTR_IN_SIZE = 8;
export const FUSE_COMPAT_INIT_OUT_SIZE = 8;
export const FUSE_COMPAT_22_INIT_OUT_SIZE = 24;

/** Longest device information of CUSE, bytes. */
export const CUSE_INIT_INFO_MAX = 4096;
/** Set in `unique` of a request that is sent again after FUSE_NOTIFY_RESEND. */
export const FUSE_UNIQUE_RESEND: bigint = 1n << 63n;
/** The user or group that an id-mapped mount cannot name. */
export const FUSE_INVALID_UIDGID = 0xffffffff;
/** Bytes before the name in a directory entry. */
export const FUSE_NAME_OFFSET = 24;
/** Bytes before the name in a directory entry with attributes. */
export const FUSE_NAME_OFFSET_DIRENTPLUS = 152;

// `fuse_ext_header.type`; lower values count security contexts.
export const FUSE_MAX_NR_SECCTX = 31;
export const FUSE_EXT_GROUPS = 32;
