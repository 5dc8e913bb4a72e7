/**
 * Backing files beyond a single descriptor: files assembled from stretches of others, and files that are staged until
 * they are closed.
 *
 * @example
 * ```ts
 * import { open } from "node:fs/promises";
 * import { type Backing, mount } from "@fusewire/fusewire";
 * import { extents } from "@fusewire/fusewire/passthrough";
 *
 * // The first 16 bytes of one file, then of another.
 * await using first = await open("/etc/passwd"), second = await open("/etc/group");
 * const both = extents([
 *   { offset: 0, length: 16, file: first.fd, fileOffset: 0 },
 *   { offset: 16, length: 16, file: second.fd, fileOffset: 0 },
 * ]);
 *
 * let backing: Backing;
 * const attr = { mode: 0o100444, size: both.size };
 * const mountpoint = await Deno.makeTempDir();
 * {
 *   await using _session = await mount({
 *     init: ({ passthrough }) => void (backing = passthrough.register(both, { autoClose: false })),
 *     lookup: ({ name }) => name === "both" ? { nodeid: 2, attr } : null,
 *     getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? { mode: 0o040755, nlink: 2 } : attr }),
 *     open: () => ({ backing }),
 *   }, mountpoint);
 *   console.log(await Deno.readTextFile(`${mountpoint}/both`));
 * }
 * await Deno.remove(mountpoint);
 * ```
 *
 * @module
 */
export type * from "./src/fs/backing.ts";
export { type Extent, ExtentMap, type ExtentRange, extents, type ExtentsOptions } from "./src/passthrough/extents.ts";
export { type OpenFile, openFile } from "./src/passthrough/open_file.ts";
export { stage, type StagedFile, type StageOptions } from "./src/passthrough/stage.ts";
