/** Notifications: unsolicited messages to the kernel, spelled as in `linux/fuse.h enum fuse_notify_code`. */

/** Number of every notification; it travels in `fuse_out_header.error`, with `unique` 0. */
export const NOTIFY_CODE = {
  FUSE_NOTIFY_POLL: 1,
  FUSE_NOTIFY_INVAL_INODE: 2,
  FUSE_NOTIFY_INVAL_ENTRY: 3,
  FUSE_NOTIFY_STORE: 4,
  FUSE_NOTIFY_RETRIEVE: 5,
  FUSE_NOTIFY_DELETE: 6,
  FUSE_NOTIFY_RESEND: 7,
  FUSE_NOTIFY_INC_EPOCH: 8,
  FUSE_NOTIFY_PRUNE: 9,
} as const;

/** Name of a notification. */
export type NotifyCode = keyof typeof NOTIFY_CODE;
