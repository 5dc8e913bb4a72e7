/**
 * Ready file systems: a tree in memory, and the mirror of a real directory. Each is an ordinary `Filesystem`, to be
 * mounted as it is, wrapped, or read as an example.
 *
 * @example
 * ```ts ignore
 * import { mount } from "@fusewire/fusewire";
 * import { memory } from "@fusewire/fusewire/kit";
 *
 * await using session = await mount(memory(), "/mnt");
 * await session.closed;
 * ```
 *
 * @module
 */
export { memory, type MemoryOptions } from "./src/kit/memory.ts";
export { type Mirror, mirror, type MirrorCounts, type MirrorOptions } from "./src/kit/mirror.ts";
