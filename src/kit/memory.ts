/**
 * A writable file system in memory.
 *
 * @module
 */
export { type Memory, memory, type MemoryCounts, type MemoryOptions, restoreMemory } from "./memory/filesystem.ts";
export type { InodeSnapshot, MemorySnapshot, SnapshotTime } from "./memory/snapshot.ts";
export type { Quota } from "./memory/space.ts";
