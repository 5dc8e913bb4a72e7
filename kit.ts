/**
 * Ready file systems: a tree in memory, and the mirror of a real directory. Each is an ordinary `Filesystem`, to be
 * mounted as it is, wrapped, or read as an example. Beside them, what they are made of: a table of nodeids, and what a
 * file system needs that checks permissions itself: who may do what, and POSIX access control lists.
 *
 * @example
 * ```ts
 * import { mount } from "@fusewire/fusewire";
 * import { memory } from "@fusewire/fusewire/kit";
 *
 * const mountpoint = await Deno.makeTempDir();
 * const session = await mount(memory(), mountpoint);
 * await Deno.writeTextFile(`${mountpoint}/note`, "gone when it is unmounted");
 * console.log(await Deno.readTextFile(`${mountpoint}/note`));
 * await session.unmount();
 * await Deno.remove(mountpoint);
 * ```
 *
 * @module
 */
export {
  type InodeSnapshot,
  type Memory,
  memory,
  type MemoryCounts,
  type MemoryOptions,
  type MemorySnapshot,
  type Quota,
  restoreMemory,
  type SnapshotTime,
} from "./src/kit/memory.ts";
export { type Mirror, mirror, type MirrorCounts, type MirrorOptions } from "./src/kit/mirror.ts";
export { NodeTable } from "./src/kit/node_table.ts";
export {
  type Caller,
  checkAccess,
  checkSetattr,
  groupsOf,
  isMember,
  isOwner,
  mayAccess,
  mayChown,
  mayLink,
  maySticky,
  type Owned,
  R_OK,
  suidgidToDrop,
  W_OK,
  X_OK,
} from "./src/kit/permissions.ts";
export {
  type Acl,
  ACL_ACCESS,
  ACL_DEFAULT,
  ACL_TAG,
  type AclEntry,
  aclMode,
  chmodAcl,
  formatAcl,
  inheritAcl,
  isMinimal,
  parseAcl,
} from "./src/kit/acl.ts";
