/**
 * A writable file system in memory.
 *
 * @module
 */
export { memory, type MemoryOptions } from "./memory/filesystem.ts";
