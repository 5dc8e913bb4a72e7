/** What the groups of operations share. */
import { AT_EMPTY_PATH } from "../../../ffi/libc.ts";
import { FuseError } from "../../errno.ts";
import type { Connection } from "../../fs/filesystem.ts";
import { Handles } from "../../fs/handles.ts";
import type { OpenReply } from "../../fs/types.ts";
import { RootWrites } from "../killpriv.ts";
import { type Caller, suidgidToDrop } from "../permissions.ts";
import type { Identity } from "./identity.ts";
import type { Node } from "./node.ts";
import type { OpenDirectory } from "./open_directory.ts";
import { EMPTY, procPath, STATX_MASK } from "./system.ts";
import type { Tree } from "./tree.ts";

/** More than others write meanwhile, bytes. */
const PLENTY = 2 ** 30;

/** An open file. */
export interface OpenFile {
  readonly node: Node;
  /** Its descriptor. */
  readonly fd: number;
  /** `O_*` flags it has now. */
  flags: number;
  /** Who opened it. */
  readonly uid: number;
}

/** How a source is served. */
export interface Serving {
  readonly passthrough?: boolean;
  readonly readOnly?: boolean;
}

/** The state of one mirror. */
export class Context {
  readonly tree: Tree;
  /** As whom calls are made. */
  readonly identity: Identity;
  readonly files: Handles<OpenFile> = new Handles("file");
  readonly directories: Handles<OpenDirectory> = new Handles("directory");
  /** Whether the source is to stay as it is, with its times of access. */
  readonly readOnly: boolean;
  /** Whether descriptors are offered for passthrough, where the kernel takes them. */
  readonly #passthrough: boolean;
  /** The kernel collects writes, and reads what they touch (`FUSE_WRITEBACK_CACHE`). */
  writeback = false;
  /** The kernel sees to set-id bits, but for what it does not know of: the groups of who is not root. */
  kills = true;
  readonly rootWrites: RootWrites = new RootWrites();
  /** Modes come without the caller's umask applied (`FUSE_DONT_MASK`). */
  dontMask = false;

  #connected = false;

  constructor(tree: Tree, identity: Identity, { passthrough = true, readOnly = false }: Serving) {
    this.tree = tree;
    this.identity = identity;
    this.#passthrough = passthrough;
    this.readOnly = readOnly;
  }

  /** Notes what the handshake agreed on. EBUSY: another connection lives; EBADF: everything was closed. */
  connect(connection: Connection): void {
    if (this.#connected) {
      const remedy = "unmount it first, or make another mirror of the source";
      throw new FuseError("EBUSY", `cannot mount a mirror twice at a time: ${remedy}`);
    }
    if (this.tree.size === 0) throw new FuseError("EBADF", "cannot mount a mirror that was disposed: make another one");
    this.identity.limit();
    this.#connected = true;
    const { flags } = connection.negotiated;
    this.tree.connect(connection);
    this.writeback = flags.has("FUSE_WRITEBACK_CACHE");
    this.dontMask = flags.has("FUSE_DONT_MASK");
    this.kills = !flags.has("FUSE_HANDLE_KILLPRIV") && !flags.has("FUSE_HANDLE_KILLPRIV_V2");
  }

  /** The flags to open a file with, for those of the opener. */
  openFlags(flags: number): number {
    const { O } = this.tree.libc;
    if (this.readOnly) flags |= O.NOATIME;
    const passed = O.ACCMODE | O.TRUNC | O.NONBLOCK | O.SYNC | O.DSYNC | O.NOATIME;
    // O_DIRECT stays out: pages of the cache are not aligned as it wants them.
    if (!this.writeback) return flags & (passed | O.APPEND);
    const kept = flags & passed;
    return (kept & O.ACCMODE) === O.WRONLY ? kept & ~O.ACCMODE | O.RDWR : kept;
  }

  /** Makes a call by which a file may grow by so many bytes: there is no more room for it than who asks has. */
  growing({ node, fd }: OpenFile, length: number, uid: number, call: () => number): number {
    // To be somebody takes longer than a small write, and to ask for the room a tenth of that.
    if (uid === 0 || this.tree.room(node, fd) > PLENTY + length) return call();
    return this.identity.spending(uid, call);
  }

  /** Takes over the descriptor of a file. */
  opened(fd: number, flags: number, node: Node, { uid }: Caller): OpenReply {
    const file = { node, fd, flags, uid };
    const fh = this.files.add(file);
    this.tree.opened(node, fd);
    // The page cache would end at the size. /proc is no backing file either.
    if (node.device.sizeless) return { fh, directIo: true };
    // The kernel has either of the two.
    if (!this.#passthrough || this.writeback) return { fh };
    return { fh, backing: fd, growing: (call, bytes) => this.growing(file, bytes, uid, call) };
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

  /** Closes what the kernel had open and forgets what it knew: the connection has ended, another one may begin. */
  disconnect(): void {
    this.#connected = false;
    this.#end(() => this.tree.abandon());
  }

  /** Closes everything. */
  close(): void {
    this.#end(() => this.tree.close());
  }

  /** The rights come back last: who gave all of them up meanwhile is refused (EPERM), with nothing left open. */
  #end(leave: () => void): void {
    try {
      for (const file of this.files.drain()) this.#closed(file);
      for (const directory of this.directories.drain()) this.#closed(directory);
      leave();
    } finally {
      this.identity.unlimit();
    }
  }

  #closed({ node, fd }: Pick<OpenFile, "node" | "fd">): void {
    this.tree.closed(node, fd);
    this.tree.libc.close(fd);
  }
}
