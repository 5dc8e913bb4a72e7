/**
 * fusewire: FUSE for TypeScript. A file system is an object with some of the methods of {@linkcode Filesystem};
 * {@linkcode mount} serves it through /dev/fuse, with no permission but `--allow-ffi`.
 *
 * @example
 * ```ts
 * import { mount } from "@fusewire/fusewire";
 *
 * const text = new TextEncoder().encode("Hello, world!\n");
 * const dir = { mode: 0o040755, nlink: 2 };
 * const file = { mode: 0o100444, size: text.length };
 *
 * const mountpoint = await Deno.makeTempDir();
 * {
 *   await using _session = await mount({
 *     lookup: ({ name }) => name === "hello" ? { nodeid: 2, attr: file } : null,
 *     getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? dir : file }),
 *     readdir: () => [{ name: "hello", ino: 2, mode: file.mode }],
 *     read: ({ offset, size }) => text.subarray(offset, offset + size),
 *   }, mountpoint);
 *   console.log(await Deno.readTextFile(`${mountpoint}/hello`)); // Hello, world!
 * }
 * await Deno.remove(mountpoint);
 * ```
 *
 * @module
 */
export { ERRNO, type ErrnoName, errnoName, FuseError } from "./src/errno.ts";
export type * from "./src/fs/backing.ts";
export type { Connection, Filesystem, Negotiated } from "./src/fs/filesystem.ts";
export type { Notifications } from "./src/fs/notifications.ts";
export * from "./src/fs/types.ts";
export { type CharacterDevice, mountCharacterDevice } from "./src/mount/character_device.ts";
export type { KernelMountOptions } from "./src/mount/options.ts";
export { mount, type MountOptions, type Session } from "./src/mount/mount.ts";
export { unmount } from "./src/mount/unmount.ts";
export type { UnmountOptions, UnmountResult } from "./src/mount/unmounting.ts";
export type { CharacterDeviceOptions } from "./src/session/cuse.ts";
export type { ErrorPlace, SessionOptions } from "./src/session/options.ts";
export type { SessionEnd } from "./src/session/session.ts";
export { formatTrace, type TraceEvent } from "./src/session/trace.ts";
