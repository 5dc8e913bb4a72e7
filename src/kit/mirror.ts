/**
 * A real directory tree, served as it is.
 *
 * @module
 */
import { libc } from "../../ffi/load.ts";
import type { Connection, Filesystem } from "../fs/filesystem.ts";
import { Context } from "./mirror/context.ts";
import { directories } from "./mirror/directories.ts";
import { files } from "./mirror/files.ts";
import { inodes } from "./mirror/inodes.ts";
import { ioctls } from "./mirror/ioctls.ts";
import { defaultLimit } from "./mirror/limit.ts";
import { making } from "./mirror/making.ts";
import { names } from "./mirror/names.ts";
import { Tree } from "./mirror/tree.ts";
import { xattrs } from "./mirror/xattrs.ts";

/** How {@linkcode mirror} serves its source. */
export interface MirrorOptions {
  /**
   * How long the kernel may keep a name without asking, s. Default 0: names that others make, rename or remove in the
   * source are noticed at once, at the price of one LOOKUP for each part of a path. 1 is a good value where nobody
   * else changes the source.
   */
  entryTimeout?: number;
  /**
   * How long the kernel may keep attributes without asking, s. Default 0: what others change is noticed at once. What
   * the kernel itself reads and writes by passthrough it notices in any case.
   */
  attrTimeout?: number;
  /** How long the kernel may believe that a name does not exist, s. Default 0: it asks each time. */
  negativeTimeout?: number;
  /**
   * How many descriptors are kept to find known inodes again, at least 16; open files and folders, and what was
   * unlinked while it is in use, come on top. Default: 4096, or half of the process's limit if that is less.
   */
  maxDescriptors?: number;
  /** Offers the kernel the descriptors of open files, to read and write them itself. Default true. */
  passthrough?: boolean;
}

/** What a mirror holds at the moment. */
export interface MirrorCounts {
  /** Inodes that the kernel knows, with the root. */
  readonly nodes: number;
  /** Descriptors that are kept to find them. */
  readonly descriptors: number;
  /** Open files. */
  readonly files: number;
  /** Open directories. */
  readonly directories: number;
}

/** A real directory tree as a file system. Its methods need no `this`, so they can be spread into another object. */
export interface Mirror extends Filesystem, Disposable {
  /** What is held at the moment. */
  counts(): MirrorCounts;
}

/**
 * Serves the directory tree at `source`, with all that its file system can do: hard links, special files, extended
 * attributes, sparse files, locks by the kernel. Mounts inside the source are crossed.
 *
 * Every inode is reached relative to a descriptor of its directory, one name at a time and without following symbolic
 * links, so that nothing leads out of the source, whatever others do to it meanwhile. The files are opened with the
 * server's rights: let the kernel check permissions (`defaultPermissions`) where others use the mount.
 * What a server run by root makes belongs to who asked for it.
 *
 * Calls are made in the turn of the request, so a slow source (a network) holds up the other requests too.
 *
 * ENOENT, ENOTDIR, EACCES: the source cannot be opened.
 *
 * @example
 * ```ts ignore
 * import { mirror, mount } from "@fusewire/fusewire";
 *
 * await using session = await mount(mirror("/srv/data"), "/mnt");
 * await session.closed;
 * ```
 */
export function mirror(source: string, options: MirrorOptions = {}): Mirror {
  const { entryTimeout = 0, attrTimeout = 0, negativeTimeout = 0, passthrough = true } = options;
  const limit = Math.max(16, options.maxDescriptors ?? defaultLimit(libc()));
  const tree = new Tree(source, { entry: entryTimeout, attr: attrTimeout, negative: negativeTimeout }, limit);
  const context = new Context(tree, passthrough);

  return {
    ...names(context),
    ...inodes(context),
    ...making(context),
    ...files(context),
    ...directories(context),
    ...xattrs(context),
    ...ioctls(context),

    init(connection: Connection): void {
      context.connect(connection);
    },

    destroy(): void {
      context.close();
    },

    counts(): MirrorCounts {
      return {
        nodes: tree.size,
        descriptors: tree.descriptors.size,
        files: context.files.size,
        directories: context.directories.size,
      };
    },

    [Symbol.dispose](): void {
      context.close();
    },
  };
}
