/**
 * Backing files, as an author sees them.
 *
 * @module
 */
import type { ErrnoName } from "../errno.ts";

/**
 * How the data of a backing file moves: `"identity"`: by the kernel itself; `"served"`: by the session, from the
 * descriptor; `"extents"`: by the session, from the descriptors of an extent map.
 */
export type BackingMode = "identity" | "served" | "extents";

/** `"idle"`: no handle is open; `"closed"`: it can no longer be used. */
export type BackingState = "idle" | "open" | "closed";

/**
 * A file that holds the data of an inode. An `open` or `create` that answers it as `backing` has no read and no write:
 * the kernel moves the data, or the session does where the kernel refuses.
 */
export interface Backing extends Disposable {
  /** The kernel's number of it; 0 where it has none: before the first open, or for good. */
  readonly id: number;
  /** Open handles, of all inodes that it backs. */
  readonly refs: number;
  /** What who is answered it may do, which the session sees to, since the kernel does not look. */
  readonly access: "read" | "read-write";
  /** Whether it is in use. */
  readonly state: BackingState;
  /** How its data moves; what the kernel makes of it is known with the first open. */
  readonly mode: BackingMode;
  /** Why it is not `"identity"`, or null. */
  readonly reason: string | null;
  /**
   * Gives it back to the kernel, once a commit of a staged file that is under way has ended. EBUSY: handles are open,
   * since later opens of the inode would be EIO then; with `whenReleased` it waits for them.
   */
  close(options: { whenReleased: true }): Promise<void>;
  /** As above, now. */
  close(options?: { whenReleased?: false }): void;
  /** As `close({ whenReleased: true })`, without waiting. */
  [Symbol.dispose](): void;
}

/** How a file is registered. */
export interface BackingOptions {
  /**
   * What who is answered it may do; EACCES: more. Default: how the descriptor was opened, or for a path what the server
   * may.
   */
  access?: "read" | "read-write";
  /**
   * Closed with the last release of its last handle. What no open has answered is its author's to close; where he has
   * lost it, by throwing say, that is done sooner or later. Default true.
   */
  autoClose?: boolean;
  /**
   * Size, blocks and times of its inode come from the file while it is open, and truncation, times that are set and the
   * clearing of set-id bits go to it. Off where the author's getattr and setattr see to the same file, or it is no
   * regular file; a staged file always is. Default true.
   */
  coherent?: boolean;
}

/** What `extents` makes: a file that is assembled from stretches of other open files. */
export interface ExtentSource {
  /** Bytes. */
  readonly size: number;
  /** Whether something of it can be written. */
  readonly access: "read" | "read-write";
}

/** What `stage` makes: a file that is handed over once it is written and closed. */
export interface StageSource {
  /** Each registration makes a file of its own. */
  readonly stages: true;
}

/**
 * What can be registered: a descriptor of whatever kind, which stays the author's and has to stay open until the last
 * release; an object with one; a path, opened and closed by the session; an extent map; `{ memfd: name }`, a file in
 * memory; or a staged file.
 */
export type BackingSource =
  | number
  | { readonly fd: number }
  | string
  | ExtentSource
  | { readonly memfd: string }
  | StageSource;

/** Counts of a session's backing files. */
export interface PassthroughStats {
  /** Ids registered so far. */
  readonly registered: number;
  /** Ids closed so far. */
  readonly closed: number;
  /** Ids open now. */
  readonly open: number;
  /**
   * Opens that the session serves instead of the kernel, by errno: what `FUSE_DEV_IOC_BACKING_OPEN` says, or, where it
   * is not asked, EOPNOTSUPP (a connection without passthrough, an extent map) and EBUSY (the inode is open through the
   * page cache).
   */
  readonly fallbacks: Readonly<Partial<Record<ErrnoName, number>>>;
  /** The same opens, by what {@linkcode Backing.reason} says. */
  readonly reasons: Readonly<Record<string, number>>;
}

/** The backing files of a session. */
export interface Passthrough {
  /** Why no file can be handed to the kernel; null where that is possible. */
  readonly unavailable: string | null;
  /**
   * Makes a backing file, to be answered by `open` or `create`. EBADF: no descriptor; ENOENT, EACCES and the like: the
   * path, or a descriptor that cannot be used as it is and not be opened anew; EINVAL, EISDIR: no regular file; ELOOP:
   * a file of the mount itself. A file that the kernel does not take is served by the session, and says why (`mode`,
   * `reason`).
   *
   * @example
   * ```ts
   * import { mount, type Passthrough } from "@fusewire/fusewire";
   * import { openFile } from "@fusewire/fusewire/passthrough";
   *
   * let files: Passthrough;
   * using passwd = openFile("/etc/passwd");
   * const attr = { mode: 0o100444, size: passwd.size };
   * const mountpoint = await Deno.makeTempDir();
   * const session = await mount({
   *   init: ({ passthrough }) => void (files = passthrough),
   *   lookup: ({ name }) => name === "passwd" ? { nodeid: 2, attr } : null,
   *   getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? { mode: 0o040755, nlink: 2 } : attr }),
   *   open: () => ({ backing: files.register(passwd) }),
   * }, mountpoint);
   * console.log(await Deno.readTextFile(`${mountpoint}/passwd`));
   * await session.unmount();
   * await Deno.remove(mountpoint);
   * ```
   */
  register(source: BackingSource, options?: BackingOptions): Backing;
  /** Counts of ids and fallbacks. */
  stats(): PassthroughStats;
}
