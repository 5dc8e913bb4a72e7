/** What the groups of operations share. */
import { AT_EMPTY_PATH } from "../../../ffi/libc.ts";
import type { Connection } from "../../fs/filesystem.ts";
import { Handles } from "../../fs/handles.ts";
import type { OpenReply } from "../../fs/types.ts";
import { type Caller, suidgidToDrop } from "../permissions.ts";
import type { Identity } from "./identity.ts";
import type { Node } from "./node.ts";
import type { OpenDirectory } from "./open_directory.ts";
import { EMPTY, procPath } from "./system.ts";
import { STATX_MASK, type Tree } from "./tree.ts";

/** An open file. */
export interface OpenFile {
  readonly node: Node;
  /** Its descriptor. */
  readonly fd: number;
  /** `O_*` flags it has now. */
  flags: number;
}

/** The state of one mirror. */
export class Context {
  readonly tree: Tree;
  /** As whom calls are made. */
  readonly identity: Identity;
  readonly files: Handles<OpenFile> = new Handles("file");
  readonly directories: Handles<OpenDirectory> = new Handles("directory");
  /** Whether descriptors are offered for passthrough. */
  passthrough: boolean;
  /** The kernel collects writes, and reads what they touch (`FUSE_WRITEBACK_CACHE`). */
  writeback = false;
  /** The kernel sees to set-id bits, but for what it does not know of: the groups of who is not root. */
  kills = true;
  /** Modes come without the caller's umask applied (`FUSE_DONT_MASK`). */
  dontMask = false;

  constructor(tree: Tree, identity: Identity, passthrough: boolean) {
    this.tree = tree;
    this.identity = identity;
    this.passthrough = passthrough;
  }

  /** Notes what the handshake agreed on. */
  connect(connection: Connection): void {
    const { flags } = connection.negotiated;
    this.tree.connection = connection;
    this.writeback = flags.has("FUSE_WRITEBACK_CACHE");
    this.dontMask = flags.has("FUSE_DONT_MASK");
    this.kills = !flags.has("FUSE_HANDLE_KILLPRIV") && !flags.has("FUSE_HANDLE_KILLPRIV_V2");
    // The kernel has either of the two.
    if (this.writeback) this.passthrough = false;
  }

  /** The flags to open a file with, for those of the opener. */
  openFlags(flags: number): number {
    const { O } = this.tree.libc;
    const passed = O.ACCMODE | O.TRUNC | O.NONBLOCK | O.SYNC | O.DSYNC | O.NOATIME;
    // O_DIRECT stays out: pages of the cache are not aligned as it wants them.
    if (!this.writeback) return flags & (passed | O.APPEND);
    const kept = flags & passed;
    return (kept & O.ACCMODE) === O.WRONLY ? kept & ~O.ACCMODE | O.RDWR : kept;
  }

  /** Takes over the descriptor of a file. */
  opened(fd: number, flags: number, node: Node): OpenReply {
    const fh = this.files.add({ node, fd, flags });
    this.tree.opened(node, fd);
    // The page cache would end at the size. /proc is no backing file either.
    if (node.device.sizeless) return { fh, directIo: true };
    return this.passthrough ? { fh, backing: fd } : { fh };
  }

  /** Closes what {@linkcode opened} took over. */
  release(fh: number): void {
    this.#closed(this.files.remove(fh));
  }

  /** Closes a directory. */
  releaseDirectory(fh: number): void {
    this.#closed(this.directories.remove(fh));
  }

  /**
   * Clears set-user-id, and set-group-id where it ends, as a write by an ordinary user does. Where the server may not,
   * the kernel did so already.
   */
  killSuidgid(fd: number, caller: Caller): void {
    const mode = this.modeAfterKill(fd, caller);
    if (mode !== undefined) this.tree.libc.chmod(procPath(fd), mode);
  }

  /** The permission bits that {@linkcode Context.killSuidgid} would set now; undefined: it would leave them. */
  modeAfterKill(fd: number, caller: Caller): number | undefined {
    const { libc, other } = this.tree;
    if (libc.statx(fd, EMPTY, AT_EMPTY_PATH, STATX_MASK, other) < 0) return undefined;
    const drop = suidgidToDrop(other, caller);
    return drop === 0 ? undefined : other.mode & 0o7777 & ~drop;
  }

  /** Closes everything. */
  close(): void {
    for (const file of this.files.drain()) this.#closed(file);
    for (const directory of this.directories.drain()) this.#closed(directory);
    this.tree.close();
  }

  #closed({ node, fd }: Pick<OpenFile, "node" | "fd">): void {
    this.tree.closed(node, fd);
    this.tree.libc.close(fd);
  }
}
