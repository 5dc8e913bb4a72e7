/**
 * Open directories: what an author answers, cut into the pieces that the kernel asks for.
 *
 * An author's entries may be an array or any iterable, with cookies of the author's own or without. Without, the pass
 * over them is kept open here and numbered; where the kernel asks for another place than the pass stands at (rewinddir,
 * seekdir), a new pass begins and runs up to it.
 *
 * As with getdents(2), an error in the middle of a piece ends the piece, and is answered to the next request.
 *
 * Offsets on the wire: 1 and 2 follow the `"."` and `".."` that are added in front; an author's cookie is shifted by 2.
 */
import { FUSE_NAME_OFFSET, FUSE_NAME_OFFSET_DIRENTPLUS } from "../abi/constants.ts";
import { fuse_dirent } from "../abi/structs.ts";
import { encodeNameInto } from "../abi/text.ts";
import { errnoOf, FuseError } from "../errno.ts";
import type { Filesystem } from "../fs/filesystem.ts";
import { S_IFDIR } from "../fs/mode.ts";
import type { Awaitable, DirEntries, DirEntry, Entry, Request } from "../fs/types.ts";
import { putEntry } from "./encode.ts";
import type { OpContext } from "./op.ts";

const DOTS = 2;
/** An inode number that is not known but must not be 0, for 0 marks a deleted entry. As libfuse has it. */
const UNKNOWN_INO = 0xffffffff;
/** Bytes of the largest piece: the kernel asks for no more, unless its pages are large. */
const LARGEST_PIECE = 1 << 20;

type Source = Iterator<DirEntry> | AsyncIterator<DirEntry>;

/** One open directory. */
export class Directory {
  /** The author's number of it. */
  readonly fh: number;
  /** Wire offset that the pass stands at. */
  position = 0;
  /** The pass. */
  source: Source | null = null;
  /** Taken from the pass, but it did not fit. */
  pending: DirEntry | null = null;
  /** Whether passes are numbered here, for want of the author's cookies; null: not known yet. */
  numbered: boolean | null = null;
  /** Whether the author's first entry was ".", so that none are added. */
  ownDots = false;
  /** What ended the pass at `position`, to be answered to who asks for more. */
  failure: { readonly error: unknown } | null = null;
  /** The piece being put together; another request for the same handle waits for it. */
  busy: Promise<unknown> | null = null;

  constructor(fh: number) {
    this.fh = fh;
  }

  /** Ends the pass. */
  close(): void {
    const source = this.source;
    this.source = null;
    this.pending = null;
    this.failure = null;
    // A generator may hold something that its `finally` gives back; nobody waits for it, nor for its errors.
    try {
      const ended = source?.return?.();
      if (ended instanceof Promise) ended.catch(() => {});
    } catch {
      // As above.
    }
  }
}

/** A piece of a directory as the kernel asks for it. */
export interface Piece {
  readonly directory: Directory;
  readonly nodeid: number;
  /** Wire offset to go on behind. */
  readonly offset: number;
  /** Bytes at most. */
  readonly size: number;
  /** With the attributes of each entry. */
  readonly plus: boolean;
  /** Minor version in force. */
  readonly context: OpContext;
  /** The directory ends with this piece: the kernel has no number of it. */
  readonly loose: boolean;
}

/** Packs one piece; a promise only where the author answers one. */
export function list(fs: Filesystem, piece: Piece, request: Request): Awaitable<Uint8Array> {
  const { directory } = piece;
  if (directory.busy !== null) return directory.busy.then(() => list(fs, piece, request));
  const packer = new Packer(fs, piece, request);
  const packed = packer.run();
  if (piece.loose) return ended(packed, directory);
  if (!(packed instanceof Promise)) return packed;
  directory.busy = packed.then(() => {}, () => {}).finally(() => directory.busy = null);
  return packed;
}

/** The piece, after which the pass is closed. */
function ended(packed: Awaitable<Uint8Array>, directory: Directory): Awaitable<Uint8Array> {
  if (packed instanceof Promise) return packed.finally(() => directory.close());
  directory.close();
  return packed;
}

class Packer {
  readonly #fs: Filesystem;
  readonly #piece: Piece;
  readonly #request: Request;
  readonly #out: Uint8Array;
  readonly #view: DataView;
  #length = 0;

  constructor(fs: Filesystem, piece: Piece, request: Request) {
    this.#fs = fs;
    this.#piece = piece;
    this.#request = request;
    this.#out = new Uint8Array(Math.min(piece.size, LARGEST_PIECE));
    this.#view = new DataView(this.#out.buffer);
  }

  run(): Awaitable<Uint8Array> {
    try {
      const packed = this.#start();
      return packed instanceof Promise ? packed.catch((error) => this.#failed(error)) : packed;
    } catch (error) {
      return this.#failed(error);
    }
  }

  #failed(error: unknown): Uint8Array {
    const { directory: d } = this.#piece;
    d.close();
    if (this.#length === 0) throw error;
    d.failure = { error };
    return this.#done();
  }

  #start(): Awaitable<Uint8Array> {
    const { directory: d, offset } = this.#piece;
    if (offset === d.position && offset !== 0) {
      if (d.failure !== null) throw d.failure.error;
      if (d.source !== null) return this.#fill();
    }
    return this.#begin();
  }

  /** Asks the author for a new pass: from the start, unless cookies are known to be the author's. */
  #begin(): Awaitable<Uint8Array> {
    const { directory: d, nodeid, offset } = this.#piece;
    d.close();
    const from = d.numbered !== false || offset <= DOTS ? 0 : offset - DOTS;
    const entries = this.#fs.readdir!({ nodeid, fh: d.fh, offset: from }, this.#request);
    return entries instanceof Promise ? entries.then((e) => this.#pass(e, from)) : this.#pass(entries, from);
  }

  #pass(entries: DirEntries, from: number): Awaitable<Uint8Array> {
    const { directory: d, offset } = this.#piece;
    // An array is copied, for its author may keep and change it: a pass by index would then miss entries.
    if (Array.isArray(entries)) d.source = entries.slice().values();
    else if (Symbol.iterator in entries) d.source = entries[Symbol.iterator]();
    else if (Symbol.asyncIterator in entries) d.source = entries[Symbol.asyncIterator]();
    else throw new TypeError("readdir answered something that is not iterable");
    const first = this.#next();
    const go = (entry: DirEntry | null): Awaitable<Uint8Array> => {
      d.pending = entry;
      if (from === 0 && entry !== null) {
        d.numbered = entry.offset === undefined;
        d.ownDots = entry.name === ".";
        if (offset > DOTS) return d.numbered ? this.#skip(offset - DOTS) : this.#begin();
      }
      d.position = offset;
      return this.#fill();
    };
    return first instanceof Promise ? first.then(go) : go(first);
  }

  /** Runs a numbered pass up to the place asked for. */
  #skip(count: number): Awaitable<Uint8Array> {
    const { directory: d, offset } = this.#piece;
    for (let i = 0; i < count && d.pending !== null; i++) {
      const entry = this.#next();
      if (entry instanceof Promise) {
        return entry.then((e) => {
          d.pending = e;
          return this.#skip(count - i - 1);
        });
      }
      d.pending = entry;
    }
    d.position = offset;
    return this.#fill();
  }

  /** The next entry of the pass, or null behind the last. */
  #next(): Awaitable<DirEntry | null> {
    const { source } = this.#piece.directory;
    if (source === null) throw new FuseError("EBADF", "the directory was closed while it was read");
    const step = source.next();
    const value = (s: IteratorResult<DirEntry>) => s.done ? null : s.value;
    return step instanceof Promise ? step.then(value) : value(step);
  }

  #fill(): Awaitable<Uint8Array> {
    const { directory: d, nodeid } = this.#piece;
    if (!d.ownDots) {
      for (const [i, name] of [".", ".."].entries()) {
        if (d.position !== i) continue;
        const ino = i === 0 ? nodeid : UNKNOWN_INO;
        const dots = { name, ino, mode: S_IFDIR };
        if (!this.#fits(dots)) return this.#full();
        this.#put(dots, i + 1, null);
        d.position = i + 1;
      }
    } else if (d.position < DOTS) d.position = DOTS;
    while (d.pending !== null) {
      const entry = d.pending;
      const dot = entry.name === "." || entry.name === "..";
      if (!dot || d.ownDots) {
        if (!this.#fits(entry)) return this.#full();
        const found = this.#piece.plus && !dot ? this.#lookup(entry.name) : null;
        if (found instanceof Promise) return found.then((e) => this.#deliver(entry, e)).then(() => this.#fill());
        const stepped = this.#deliver(entry, found);
        if (stepped instanceof Promise) return stepped.then(() => this.#fill());
      } else {
        const stepped = this.#step(entry);
        if (stepped instanceof Promise) return stepped.then(() => this.#fill());
      }
    }
    return this.#done();
  }

  #deliver(entry: DirEntry, found: Entry | null): Awaitable<void> {
    const d = this.#piece.directory;
    const position = d.numbered ? d.position + 1 : DOTS + (entry.offset ?? NaN);
    if (!(position > DOTS && Number.isSafeInteger(position))) {
      throw new TypeError(
        `the entry "${entry.name}" of a directory has the offset ${entry.offset}: a whole number from 1, or none`,
      );
    }
    this.#put(entry, position, found);
    return this.#step(entry);
  }

  /** Goes on to the entry behind this one. */
  #step(entry: DirEntry): Awaitable<void> {
    const d = this.#piece.directory;
    d.position = d.numbered ? d.position + 1 : DOTS + (entry.offset ?? NaN);
    const next = this.#next();
    if (!(next instanceof Promise)) {
      d.pending = next;
      return;
    }
    return next.then((e) => {
      d.pending = e;
    });
  }

  /** The attributes of a name; null where there are none to be had, which readdir itself need not suffer from. */
  #lookup(name: string): Awaitable<Entry | null> {
    if (!this.#fs.lookup) return null;
    try {
      const found = this.#fs.lookup({ parent: this.#piece.nodeid, name }, this.#request);
      return found instanceof Promise ? found.catch(unknownName) : found;
    } catch (error) {
      return unknownName(error);
    }
  }

  /** No more fits; as getdents(2) has it, that is an error where nothing did. */
  #full(): Uint8Array {
    if (this.#length > 0) return this.#done();
    throw new FuseError("EINVAL", `no entry of the directory fits into ${this.#out.length} bytes`);
  }

  #done(): Uint8Array {
    return this.#out.subarray(0, this.#length);
  }

  #head(): number {
    return this.#piece.plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
  }

  // A UTF-16 unit takes at most 3 bytes; only where that could be too much is the name measured.
  #fits(entry: DirEntry): boolean {
    const room = this.#out.length - this.#length - this.#head();
    if (entry.name.length * 3 + 7 <= room) return true;
    const length = encodeNameInto(entry.name, new Uint8Array(entry.name.length * 3), 0);
    return Math.ceil(length / 8) * 8 <= room;
  }

  /** Packs one entry, which fits. */
  #put(entry: DirEntry, offset: number, found: Entry | null): void {
    // The kernel would refuse the whole piece, and not say why.
    if (entry.name === "" || entry.name.includes("/")) {
      throw new TypeError(`an entry of a directory has the name ${JSON.stringify(entry.name)}`);
    }
    const at = this.#length;
    const head = this.#head();
    const namelen = encodeNameInto(entry.name, this.#out, at + head) - at - head;
    if (this.#piece.plus) {
      if (found !== null && found.nodeid !== 0) putEntry(this.#view, at, found, this.#piece.context);
      else this.#out.fill(0, at, at + FUSE_NAME_OFFSET_DIRENTPLUS - FUSE_NAME_OFFSET);
    }
    fuse_dirent.write(this.#view, at + head - FUSE_NAME_OFFSET, {
      ino: found?.attr?.ino ?? entry.ino,
      off: offset,
      namelen,
      type: entry.mode >>> 12 & 0xf,
    });
    const end = head + Math.ceil(namelen / 8) * 8;
    this.#out.fill(0, at + head + namelen, at + end);
    this.#length = at + end;
  }
}

/** What an author throws on purpose means "no attributes for this name"; anything else is a bug to be seen. */
function unknownName(error: unknown): null {
  if (errnoOf(error) === 0) throw error;
  return null;
}
