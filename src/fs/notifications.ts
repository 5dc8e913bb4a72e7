/**
 * What a file system can tell the kernel without being asked.
 *
 * @module
 */

/**
 * Messages to the kernel: that something changed behind it, that it may ask again, or data for its cache.
 *
 * Those that answer a promise wait for locks of the kernel, on another thread and one after another, so the session
 * goes on serving. But a caller may hold such a lock while it waits for an answer of ours: do not `await` one of them
 * in a handler before it answered. Start it, let it run, and answer.
 *
 * All of them reject (or throw) a `FuseError`: ENOENT: the kernel does not know the inode or name, which usually is
 * fine; ENOSYS: the kernel is older than the message; ENODEV: the connection has ended.
 */
export interface Notifications {
  /**
   * Somebody who polls may look again. `kh` is what the poll request gave. Wakes nobody where nobody polls; never
   * waits. Since 7.11. Source: `linux/fuse.h struct fuse_notify_poll_wakeup_out`.
   */
  pollWakeup(kh: bigint): void;
  /**
   * Drops the cached attributes of an inode, and its cached data from `offset` (bytes; negative: attributes alone) for
   * `length` bytes (0: to the end). Waits for reads and writes of these pages that are under way: a handler of `read`
   * or `write` on the same inode must not await it. Since 7.12. Source: `linux/fuse.h struct
   * fuse_notify_inval_inode_out`.
   */
  invalInode(nodeid: number, offset?: number, length?: number): Promise<void>;
  /**
   * Forgets a name, also that of a directory in use; what is mounted on it or below is detached. Waits for the lock of
   * the parent directory: a handler of `lookup`, `create`, `unlink`, `rename` or any other that changes the same
   * directory must not await it. ENOTDIR: `parent` is no directory. Since 7.12. Source: `linux/fuse.h struct
   * fuse_notify_inval_entry_out`.
   */
  invalEntry(parent: number, name: string): Promise<void>;
  /** As invalEntry, but the name stays until it is used again, and is then looked up anew. Since 7.38. */
  expireEntry(parent: number, name: string): Promise<void>;
  /**
   * A name was removed: as invalEntry, and if the name still leads to `child`, that inode counts as deleted: who
   * watches it is told (inotify `IN_DELETE_SELF`; who watches the directory is not). ENOENT: the name leads elsewhere;
   * ENOTEMPTY: a directory with entries that are in use. The name is dropped in any case. Since 7.18. Source:
   * `linux/fuse.h struct fuse_notify_delete_out`.
   */
  delete(parent: number, child: number, name: string): Promise<void>;
  /**
   * Puts data into the page cache, as if it had been read from `offset` (bytes). Beyond the end of the file it grows,
   * and its size is then asked for. Waits for pages that are being read: a `read` handler of these pages must not await
   * it. EINVAL: not a regular file. Since 7.15. Source: `linux/fuse.h struct fuse_notify_store_out`.
   */
  store(nodeid: number, offset: number, data: Uint8Array): Promise<void>;
  /**
   * Fetches data from the page cache, `maxWrite` bytes at most; the answer ends where the file does, or at the first
   * page that is not cached. EINVAL: not a regular file. Since 7.15. Source: `linux/fuse.h struct
   * fuse_notify_retrieve_out`.
   */
  retrieve(nodeid: number, offset: number, size: number): Promise<Uint8Array>;
  /**
   * All requests that were received but not answered are sent again, for a server that took over a connection and
   * lost them. Since 7.40.
   */
  resend(): void;
  /** Every name in the kernel's cache is looked up anew before it is used again. Since 7.44. */
  incEpoch(): void;
  /**
   * Drops inodes from the kernel's cache if nobody uses them; `forget` follows for those that go. Those that it does
   * not know are no error. Since 7.45.
   */
  prune(nodeids: readonly number[]): Promise<void>;
}
