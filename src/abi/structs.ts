/**
 * Every struct of the protocol, spelled as in `linux/fuse.h`. Flexible arrays at the end (names, groups) are not part
 * of a struct; `since.ts` has the minor versions.
 *
 * A 64-bit field is a number (`u53`) where it is handed out by the server or counts bytes (`filesize` where a file is
 * to grow by it), and a bigint (`u64`) where the kernel may use all bits. The parts that carry nothing are named and
 * written as zero.
 */
import {
  filesize,
  i32,
  i53,
  nearest,
  pad16,
  pad32,
  pad64,
  pad8,
  padding,
  struct,
  u16,
  u32,
  u53,
  u64,
  u64n,
} from "./layout.ts";

export const fuse_attr = struct("fuse_attr", 88, {
  ino: u64n,
  size: u53,
  blocks: u53,
  atime: i53,
  mtime: i53,
  ctime: i53,
  atimensec: u32,
  mtimensec: u32,
  ctimensec: u32,
  mode: u32,
  nlink: u32,
  uid: u32,
  gid: u32,
  rdev: u32,
  blksize: u32,
  flags: u32,
});

export const fuse_sx_time = struct("fuse_sx_time", 16, {
  tv_sec: i53,
  tv_nsec: u32,
  __reserved: pad32,
});

export const fuse_statx = struct("fuse_statx", 256, {
  mask: u32,
  blksize: u32,
  attributes: u53,
  nlink: u32,
  uid: u32,
  gid: u32,
  mode: u16,
  __spare0: pad16,
  ino: u64n,
  size: u53,
  blocks: u53,
  attributes_mask: u53,
  atime: fuse_sx_time,
  btime: fuse_sx_time,
  ctime: fuse_sx_time,
  mtime: fuse_sx_time,
  rdev_major: u32,
  rdev_minor: u32,
  dev_major: u32,
  dev_minor: u32,
  __spare2: padding(pad64, 14),
});

export const fuse_kstatfs = struct("fuse_kstatfs", 80, {
  blocks: u53,
  bfree: u53,
  bavail: u53,
  files: u53,
  ffree: u53,
  bsize: u32,
  namelen: u32,
  frsize: u32,
  padding: pad32,
  spare: padding(pad32, 6),
});

export const fuse_file_lock = struct("fuse_file_lock", 24, {
  start: u64,
  end: u64,
  type: u32,
  pid: u32,
});

export const fuse_entry_out = struct("fuse_entry_out", 128, {
  nodeid: u53,
  generation: u53,
  entry_valid: u53,
  attr_valid: u53,
  entry_valid_nsec: u32,
  attr_valid_nsec: u32,
  attr: fuse_attr,
});

export const fuse_forget_in = struct("fuse_forget_in", 8, {
  nlookup: u53,
});

export const fuse_forget_one = struct("fuse_forget_one", 16, {
  nodeid: u53,
  nlookup: u53,
});

export const fuse_batch_forget_in = struct("fuse_batch_forget_in", 8, {
  count: u32,
  dummy: pad32,
});

export const fuse_getattr_in = struct("fuse_getattr_in", 16, {
  getattr_flags: u32,
  dummy: pad32,
  fh: u53,
});

export const fuse_attr_out = struct("fuse_attr_out", 104, {
  attr_valid: u53,
  attr_valid_nsec: u32,
  dummy: pad32,
  attr: fuse_attr,
});

export const fuse_statx_in = struct("fuse_statx_in", 24, {
  getattr_flags: u32,
  reserved: pad32,
  fh: u53,
  sx_flags: u32,
  sx_mask: u32,
});

export const fuse_statx_out = struct("fuse_statx_out", 288, {
  attr_valid: u53,
  attr_valid_nsec: u32,
  flags: u32,
  spare: padding(pad64, 2),
  stat: fuse_statx,
});

export const fuse_mknod_in = struct("fuse_mknod_in", 16, {
  mode: u32,
  rdev: u32,
  umask: u32,
  padding: pad32,
});

export const fuse_mkdir_in = struct("fuse_mkdir_in", 8, {
  mode: u32,
  umask: u32,
});

export const fuse_rename_in = struct("fuse_rename_in", 8, {
  newdir: u53,
});

export const fuse_rename2_in = struct("fuse_rename2_in", 16, {
  newdir: u53,
  flags: u32,
  padding: pad32,
});

export const fuse_link_in = struct("fuse_link_in", 8, {
  oldnodeid: u53,
});

export const fuse_setattr_in = struct("fuse_setattr_in", 88, {
  valid: u32,
  padding: pad32,
  fh: u53,
  size: filesize,
  lock_owner: u64,
  atime: nearest,
  mtime: nearest,
  ctime: nearest,
  atimensec: u32,
  mtimensec: u32,
  ctimensec: u32,
  mode: u32,
  unused4: pad32,
  uid: u32,
  gid: u32,
  unused5: pad32,
});

export const fuse_open_in = struct("fuse_open_in", 8, {
  flags: u32,
  open_flags: u32,
});

export const fuse_create_in = struct("fuse_create_in", 16, {
  flags: u32,
  mode: u32,
  umask: u32,
  open_flags: u32,
});

export const fuse_open_out = struct("fuse_open_out", 16, {
  fh: u53,
  open_flags: u32,
  backing_id: i32,
});

export const fuse_release_in = struct("fuse_release_in", 24, {
  fh: u53,
  flags: u32,
  release_flags: u32,
  lock_owner: u64,
});

export const fuse_flush_in = struct("fuse_flush_in", 24, {
  fh: u53,
  unused: pad32,
  padding: pad32,
  lock_owner: u64,
});

export const fuse_read_in = struct("fuse_read_in", 40, {
  fh: u53,
  offset: u53,
  size: u32,
  read_flags: u32,
  lock_owner: u64,
  flags: u32,
  padding: pad32,
});

export const fuse_write_in = struct("fuse_write_in", 40, {
  fh: u53,
  offset: filesize,
  size: u32,
  write_flags: u32,
  lock_owner: u64,
  flags: u32,
  padding: pad32,
});

export const fuse_write_out = struct("fuse_write_out", 8, {
  size: u32,
  padding: pad32,
});

export const fuse_statfs_out = struct("fuse_statfs_out", 80, {
  st: fuse_kstatfs,
});

export const fuse_fsync_in = struct("fuse_fsync_in", 16, {
  fh: u53,
  fsync_flags: u32,
  padding: pad32,
});

export const fuse_setxattr_in = struct("fuse_setxattr_in", 16, {
  size: u32,
  flags: u32,
  setxattr_flags: u32,
  padding: pad32,
});

export const fuse_getxattr_in = struct("fuse_getxattr_in", 8, {
  size: u32,
  padding: pad32,
});

export const fuse_getxattr_out = struct("fuse_getxattr_out", 8, {
  size: u32,
  padding: pad32,
});

export const fuse_lk_in = struct("fuse_lk_in", 48, {
  fh: u53,
  owner: u64,
  lk: fuse_file_lock,
  lk_flags: u32,
  padding: pad32,
});

export const fuse_lk_out = struct("fuse_lk_out", 24, {
  lk: fuse_file_lock,
});

export const fuse_access_in = struct("fuse_access_in", 8, {
  mask: u32,
  padding: pad32,
});

export const fuse_init_in = struct("fuse_init_in", 64, {
  major: u32,
  minor: u32,
  max_readahead: u32,
  flags: u32,
  flags2: u32,
  unused: padding(pad32, 11),
});

export const fuse_init_out = struct("fuse_init_out", 64, {
  major: u32,
  minor: u32,
  max_readahead: u32,
  flags: u32,
  max_background: u16,
  congestion_threshold: u16,
  max_write: u32,
  time_gran: u32,
  max_pages: u16,
  map_alignment: u16,
  flags2: u32,
  max_stack_depth: u32,
  request_timeout: u16,
  unused: padding(pad16, 11),
});

export const cuse_init_in = struct("cuse_init_in", 16, {
  major: u32,
  minor: u32,
  unused: pad32,
  flags: u32,
});

export const cuse_init_out = struct("cuse_init_out", 72, {
  major: u32,
  minor: u32,
  unused: pad32,
  flags: u32,
  max_read: u32,
  max_write: u32,
  dev_major: u32,
  dev_minor: u32,
  spare: padding(pad32, 10),
});

export const fuse_interrupt_in = struct("fuse_interrupt_in", 8, {
  unique: u64,
});

export const fuse_bmap_in = struct("fuse_bmap_in", 16, {
  block: u53,
  blocksize: u32,
  padding: pad32,
});

export const fuse_bmap_out = struct("fuse_bmap_out", 8, {
  block: u53,
});

export const fuse_ioctl_in = struct("fuse_ioctl_in", 32, {
  fh: u53,
  flags: u32,
  cmd: u32,
  arg: u64,
  in_size: u32,
  out_size: u32,
});

export const fuse_ioctl_iovec = struct("fuse_ioctl_iovec", 16, {
  base: u64,
  len: u64,
});

export const fuse_ioctl_out = struct("fuse_ioctl_out", 16, {
  result: i32,
  flags: u32,
  in_iovs: u32,
  out_iovs: u32,
});

export const fuse_poll_in = struct("fuse_poll_in", 24, {
  fh: u53,
  kh: u64,
  flags: u32,
  events: u32,
});

export const fuse_poll_out = struct("fuse_poll_out", 8, {
  revents: u32,
  padding: pad32,
});

export const fuse_notify_poll_wakeup_out = struct("fuse_notify_poll_wakeup_out", 8, {
  kh: u64,
});

export const fuse_fallocate_in = struct("fuse_fallocate_in", 32, {
  fh: u53,
  offset: filesize,
  length: filesize,
  mode: u32,
  padding: pad32,
});

export const fuse_in_header = struct("fuse_in_header", 40, {
  len: u32,
  opcode: u32,
  unique: u64,
  nodeid: u53,
  uid: u32,
  gid: u32,
  pid: u32,
  total_extlen: u16,
  padding: pad16,
});

export const fuse_out_header = struct("fuse_out_header", 16, {
  len: u32,
  error: i32,
  unique: u64,
});

export const fuse_dirent = struct("fuse_dirent", 24, {
  ino: u64n,
  off: u53,
  namelen: u32,
  type: u32,
});

export const fuse_direntplus = struct("fuse_direntplus", 152, {
  entry_out: fuse_entry_out,
  dirent: fuse_dirent,
});

export const fuse_notify_inval_inode_out = struct("fuse_notify_inval_inode_out", 24, {
  ino: u53,
  off: i53,
  len: i53,
});

export const fuse_notify_inval_entry_out = struct("fuse_notify_inval_entry_out", 16, {
  parent: u53,
  namelen: u32,
  flags: u32,
});

export const fuse_notify_delete_out = struct("fuse_notify_delete_out", 24, {
  parent: u53,
  child: u53,
  namelen: u32,
  padding: pad32,
});

export const fuse_notify_store_out = struct("fuse_notify_store_out", 24, {
  nodeid: u53,
  offset: u53,
  size: u32,
  padding: pad32,
});

export const fuse_notify_retrieve_out = struct("fuse_notify_retrieve_out", 32, {
  notify_unique: u53,
  nodeid: u53,
  offset: u53,
  size: u32,
  padding: pad32,
});

export const fuse_notify_retrieve_in = struct("fuse_notify_retrieve_in", 40, {
  dummy1: pad64,
  offset: u53,
  size: u32,
  dummy2: pad32,
  dummy3: pad64,
  dummy4: pad64,
});

export const fuse_notify_prune_out = struct("fuse_notify_prune_out", 16, {
  count: u32,
  padding: pad32,
  spare: pad64,
});

export const fuse_backing_map = struct("fuse_backing_map", 16, {
  fd: i32,
  flags: u32,
  padding: pad64,
});

export const fuse_lseek_in = struct("fuse_lseek_in", 24, {
  fh: u53,
  // A `loff_t` as the caller gave it.
  offset: nearest,
  whence: u32,
  padding: pad32,
});

export const fuse_lseek_out = struct("fuse_lseek_out", 8, {
  offset: u53,
});

export const fuse_copy_file_range_in = struct("fuse_copy_file_range_in", 56, {
  fh_in: u53,
  off_in: u53,
  nodeid_out: u53,
  fh_out: u53,
  off_out: filesize,
  len: u53,
  flags: u53,
});

export const fuse_copy_file_range_out = struct("fuse_copy_file_range_out", 8, {
  bytes_copied: u53,
});

export const fuse_setupmapping_in = struct("fuse_setupmapping_in", 40, {
  fh: u53,
  foffset: u53,
  len: u53,
  flags: u64,
  moffset: u53,
});

export const fuse_removemapping_in = struct("fuse_removemapping_in", 4, {
  count: u32,
});

export const fuse_removemapping_one = struct("fuse_removemapping_one", 16, {
  moffset: u53,
  len: u53,
});

export const fuse_syncfs_in = struct("fuse_syncfs_in", 8, {
  padding: pad64,
});

export const fuse_secctx = struct("fuse_secctx", 8, {
  size: u32,
  padding: pad32,
});

export const fuse_secctx_header = struct("fuse_secctx_header", 8, {
  size: u32,
  nr_secctx: u32,
});

export const fuse_ext_header = struct("fuse_ext_header", 8, {
  size: u32,
  type: u32,
});

export const fuse_supp_groups = struct("fuse_supp_groups", 4, {
  nr_groups: u32,
});

export const fuse_uring_ent_in_out = struct("fuse_uring_ent_in_out", 32, {
  flags: u64,
  commit_id: u64,
  payload_sz: u32,
  padding: pad32,
  reserved: pad64,
});

export const fuse_uring_req_header = struct("fuse_uring_req_header", 288, {
  in_out: padding(pad8, 128),
  op_in: padding(pad8, 128),
  ring_ent_in_out: fuse_uring_ent_in_out,
});

export const fuse_uring_cmd_req = struct("fuse_uring_cmd_req", 24, {
  flags: u64,
  commit_id: u64,
  qid: u16,
  padding: padding(pad8, 6),
});
