/**
 * A real directory tree, served as it is.
 *
 * @module
 */
import { libc } from "../../ffi/load.ts";
import type { Connection, Filesystem } from "../fs/filesystem.ts";
import { FuseError } from "../errno.ts";
import { access } from "./mirror/access.ts";
import { Context } from "./mirror/context.ts";
import { directories } from "./mirror/directories.ts";
import { files } from "./mirror/files.ts";
import { Identity } from "./mirror/identity.ts";
import { inodes } from "./mirror/inodes.ts";
import { ioctls } from "./mirror/ioctls.ts";
import { defaultLimit } from "./mirror/limit.ts";
import { making } from "./mirror/making.ts";
import { names } from "./mirror/names.ts";
import { readOnly } from "./mirror/read_only.ts";
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
  /**
   * Refuses with EROFS whatever would change the source, and leaves its times of access alone, as far as O_NOATIME
   * goes: readlink(2) moves those of symbolic links, and passthrough those of the files that the kernel then reads
   * itself, which {@linkcode MirrorOptions.passthrough} `false` or a source that is mounted `noatime` prevents. Who
   * neither is root nor owns what is read moves them all. Default false.
   */
  readOnly?: boolean;
  /**
   * Who checks permissions: `"kernel"` (the default) for mounts with `defaultPermissions`, where calls are made with
   * the server's rights; `"own"`: the file system of the source, for mounts without. Every call that depends on
   * permissions is then made with the caller's user, group and further groups, which takes a server run by root, some
   * 40 μs a call for anybody else, and `entryTimeout` stays 0, since the kernel asks nobody about names that it keeps.
   */
  permissions?: "kernel" | "own";
  /**
   * Offers the kernel the descriptors of open files, to read and write them itself. Default true. What was opened with
   * O_APPEND appends then, also after `fcntl(2)` took O_APPEND back, of which the kernel tells nobody.
   */
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

/**
 * A real directory tree as a file system. Its methods need no `this`, so they can be spread into another object.
 * Disposing it closes the source, which is closed as well some time after nobody holds any of them.
 */
export interface Mirror extends Filesystem, Disposable {
  /** What is held at the moment. */
  counts(): MirrorCounts;
}

/**
 * Serves the directory tree at `source`, with all that its file system can do: hard links, special files, extended
 * attributes, sparse files, locks by the kernel. Mounts inside the source are crossed.
 *
 * Every inode is reached relative to a descriptor of its directory, one name at a time and without following symbolic
 * links, so that nothing leads out of the source, whatever others do to it meanwhile. A folder whose descriptor had to
 * be closed for others is found again by its handle too (`open_by_handle_at(2)`), where the server is root.
 *
 * The files are opened with the server's rights: where others use the mount, let the kernel check permissions
 * (`defaultPermissions`), or the source (`permissions: "own"`). What a server run by root makes is made in the name of
 * who asks: the thread takes on the caller's user and group for that one call, so that there is no moment at which the
 * new object is root's, and set-group-id directories, access control lists and quotas of the source have their effect.
 * A file grows with the rights of who opened it, or of who writes where the mirror writes itself: blocks that are kept
 * for root are. What the kernel writes by passthrough counts as by the first of those who have the file open. While it
 * is mounted, the thread that serves it does without CAP_SYS_RESOURCE, which passes such limits.
 *
 * It can be mounted again once it was unmounted, until it is disposed, but only once at a time (EBUSY): a second mirror
 * of the source serves a second mount.
 *
 * Calls are made in the turn of the request, so a slow source (a network) holds up the other requests too.
 *
 * ENOENT, ENOTDIR, EACCES: the source cannot be opened. EPERM: `permissions: "own"` without root.
 *
 * @example
 * ```ts
 * import { mount } from "@fusewire/fusewire";
 * import { mirror } from "@fusewire/fusewire/kit";
 *
 * const mountpoint = await Deno.makeTempDir();
 * {
 *   using fs = mirror("/etc");
 *   await using _session = await mount(fs, mountpoint, { readOnly: true, defaultPermissions: true });
 *   console.log(await Deno.readTextFile(`${mountpoint}/passwd`));
 * }
 * await Deno.remove(mountpoint);
 * ```
 */
export function mirror(source: string, options: MirrorOptions = {}): Mirror {
  const { attrTimeout = 0 } = options;
  const own = options.permissions === "own";
  const { entryTimeout = 0, negativeTimeout = 0 } = own ? {} : options;
  const limit = Math.max(16, options.maxDescriptors ?? defaultLimit(libc()));
  const identity = new Identity(libc(), own);
  if (own && !identity.acts) {
    throw new FuseError("EPERM", `cannot mirror ${JSON.stringify(source)} with permissions "own": run it as root`);
  }
  const tree = new Tree(source, { entry: entryTimeout, attr: attrTimeout, negative: negativeTimeout }, limit);
  const context = new Context(tree, identity, options);
  const open = files(context), flags = ioctls(context), asked = own ? access(context) : {};

  return {
    ...names(context),
    ...inodes(context),
    ...making(context),
    ...open,
    ...directories(context),
    ...xattrs(context),
    ...flags,
    ...asked,
    ...options.readOnly ? readOnly(context, { ...open, ...flags, ...asked }) : {},

    init(connection: Connection): void {
      context.connect(connection);
    },

    destroy(): void {
      context.disconnect();
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
