/**
 * Backing files beyond a single descriptor: files assembled from stretches of others.
 *
 * @example
 * ```ts ignore
 * import { mount } from "@fusewire/fusewire";
 * import { extents } from "@fusewire/fusewire/passthrough";
 *
 * let image: Backing;
 * await using session = await mount({
 *   init: ({ passthrough }) => {
 *     image = passthrough.register(extents([{ offset: 0, length: 4096, file: header, fileOffset: 0 }]));
 *   },
 *   open: () => ({ backing: image }),
 * }, "/mnt");
 * ```
 *
 * @module
 */
export type {
  Backing,
  BackingMode,
  BackingOptions,
  BackingSource,
  BackingState,
  ExtentSource,
  Passthrough,
  PassthroughStats,
} from "./src/fs/backing.ts";
export { type Extent, ExtentMap, type ExtentRange, extents, type ExtentsOptions } from "./src/passthrough/extents.ts";
