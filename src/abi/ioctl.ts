/** ioctls of the device, and commands of FUSE over io_uring, spelled as in `linux/fuse.h`. */

/** Type byte of the device's ioctls. */
export const FUSE_DEV_IOC_MAGIC = 229;
/** Makes a descriptor a clone of another: `_IOR(229, 0, u32)`. */
export const FUSE_DEV_IOC_CLONE = 0x8004e500;
/** Maps an open file to a backing id: `_IOW(229, 1, struct fuse_backing_map)`. */
export const FUSE_DEV_IOC_BACKING_OPEN = 0x4010e501;
/** Closes a backing id: `_IOW(229, 2, u32)`. */
export const FUSE_DEV_IOC_BACKING_CLOSE = 0x4004e502;
/** Makes mount(2) wait for the INIT reply: `_IO(229, 3)`. */
export const FUSE_DEV_IOC_SYNC_INIT = 0xe503;

export const FUSE_IO_URING_CMD_INVALID = 0;
export const FUSE_IO_URING_CMD_REGISTER = 1;
export const FUSE_IO_URING_CMD_COMMIT_AND_FETCH = 2;
export const FUSE_URING_IN_OUT_HEADER_SZ = 128;
export const FUSE_URING_OP_IN_OUT_SZ = 128;
