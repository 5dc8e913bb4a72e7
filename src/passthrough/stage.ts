/** Staged files, as an author asks for them. */
import type { StageSource } from "../fs/backing.ts";
import type { Awaitable } from "../fs/types.ts";

/** What was written, to be read by `onCommit`: a copy that nobody changes any more. */
export interface StagedFile {
  /** Descriptor, open for reading until `onCommit` has ended, which leaves it open. Its position is 0. */
  readonly fd: number;
  /** Bytes. */
  readonly size: number;
  /** The bytes from `offset` (0) on, up to the end or `length` of them. EBADF: `onCommit` has ended. */
  read(offset?: number, length?: number): Uint8Array;
}

/** How a file is staged. */
export interface StageOptions {
  /** Directory on a file system that holds the data while it is written, in files without a name. Default: memory. */
  dir?: string;
  /**
   * What is in it at first: bytes, or a descriptor of a regular file. It is copied when the source is registered, on
   * this thread. What is given stays as it is as long as the file is open, for it may be what tells whether that was
   * changed; the descriptor may be closed. Default: nothing.
   */
  from?: Uint8Array | number;
  /**
   * Whether a close(2) hands over, so that it fails as `onCommit` does. A process that closes a duplicate before it has
   * written all (`echo >&3` in a shell) hands over what is there by then, too; without it only the last release does,
   * and errors go to `onError`. Default true.
   */
  atClose?: boolean;
  /**
   * Takes what was written. Called once for each content at the last release, or at a close(2) that is known to be the
   * last, which then waits for it and fails as it does. Not called for a file that was neither made, nor emptied, nor
   * written. One file has one call at a time.
   */
  onCommit(file: StagedFile): Awaitable<void>;
}

/** A request for a staged file: each registration makes one of its own. */
export class Stage implements StageSource {
  readonly stages: true = true;
  readonly options: StageOptions;

  /** As {@linkcode stage}. */
  constructor(options: StageOptions) {
    const { dir, from, atClose = true, onCommit } = options;
    if (typeof onCommit !== "function") throw new TypeError("stage: onCommit has to be a function");
    if (!(dir === undefined || typeof dir === "string")) throw new TypeError("stage: dir has to be a path");
    if (!(from === undefined || from instanceof Uint8Array || Number.isInteger(from) && from >= 0)) {
      throw new TypeError("stage: from has to be bytes or a descriptor");
    }
    this.options = { dir, from, atClose, onCommit: onCommit.bind(options) };
  }
}

/**
 * A file that is written at the speed of the file system, or the memory, that it lies in, and handed over once it is
 * closed: the pattern of object stores. To be registered, and answered by `create` or `open`:
 *
 * - **The last release** hands it over, if it was made, emptied or written; where a mapping is left, its end does, or,
 *   where that takes more than a second, the release and then the end. Nobody waits for that: what `onCommit` throws
 *   goes to the session's `onError`. Until it is done, later opens of the inode get the same file, and no `forget`
 *   comes: its nodeid is in use.
 * - **A close(2)** by the process that opened it, where no other handle is open and something was written, hands it
 *   over already and waits: what `onCommit` throws is what close(2) says. A child's close of what it has inherited does
 *   not.
 *   If the content is another one by the last release (a duplicate of the descriptor, or a mapping, was written to), it
 *   is handed over again, and what was refused is not, unless it changed.
 * - **fsync(2)** is no close: it brings the data to where it is staged, which may be memory.
 * - **The end of the session** hands over what is still open, and waits for all that is under way; `unmount` at least
 *   10 s, or its `timeout`. What is not done by then is reported to `onError` as ETIMEDOUT. What is written through
 *   descriptors that are still open then is lost.
 *
 * Size and times are those of the staged file while it is open. ENOENT, EACCES, ENOSPC and the like, from registering:
 * no file can be made in `dir`, or `from` cannot be copied.
 *
 * @example
 * ```ts
 * import { mount, type Passthrough } from "@fusewire/fusewire";
 * import { stage } from "@fusewire/fusewire/passthrough";
 *
 * let files: Passthrough, note = new Uint8Array();
 * const attr = () => ({ mode: 0o100644, size: note.length });
 * const mountpoint = await Deno.makeTempDir();
 * const session = await mount({
 *   init: ({ passthrough }) => void (files = passthrough),
 *   lookup: ({ name }) => name === "note" ? { nodeid: 2, attr: attr() } : null,
 *   getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? { mode: 0o040755, nlink: 2 } : attr() }),
 *   setattr: () => ({ attr: attr() }),
 *   open: () => ({
 *     backing: files.register(stage({ from: note, onCommit: (file) => void (note = file.read().slice()) })),
 *   }),
 * }, mountpoint);
 * await Deno.writeTextFile(`${mountpoint}/note`, "handed over when it is closed");
 * await session.unmount();
 * console.log(new TextDecoder().decode(note)); // handed over when it is closed
 * await Deno.remove(mountpoint);
 * ```
 */
export function stage(options: StageOptions): StageSource {
  return new Stage(options);
}
