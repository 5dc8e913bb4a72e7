/** A mirrored temporary folder, called as the session calls a file system. */
import process from "node:process";
import type { Connection, Filesystem } from "../../../src/fs/filesystem.ts";
import { type DirEntry, type Entry, type Request, ROOT_ID, type SetattrArgs } from "../../../src/fs/types.ts";
import { type Mirror, mirror, type MirrorOptions } from "../../../src/kit/mirror.ts";
import { libc } from "../../../ffi/load.ts";
import { tempDir } from "../../support/harness.ts";

const request = (uid: number, gid: number): Request => ({
  unique: 1,
  uid,
  gid,
  pid: 1,
  signal: new AbortController().signal,
  resent: false,
});

export const ROOT: Request = request(0, 0);
export const USER: Request = request(1000, 100);
/** Who the server is, so that nothing has to be given away. */
export const SELF: Request = request(process.getuid!()!, process.getgid!()!);

/** A handshake that agreed on these flags. */
export function connection(flags: string[], device?: { major: number; minor: number }): Connection {
  const negotiated = {
    major: 7,
    minor: 45,
    flags: new Set(flags),
    maxWrite: 1 << 20,
    maxReadahead: 1 << 17,
    maxPages: 256,
    timeGran: 1,
    maxStackDepth: 1,
  };
  return { negotiated, device } as unknown as Connection;
}

export const [FIFO, CHR, DIR, REG, LNK, SOCK] = [0o010000, 0o020000, 0o040000, 0o100000, 0o120000, 0o140000];
export const [NOREPLACE, EXCHANGE, WHITEOUT] = [1, 2, 4];

/** Until it is disposed, no handles of files are opened: EPERM, as where the server may not, or another error. */
export function withoutHandles(errno = 1): Disposable {
  const c = libc(), { syscall } = c;
  const openByHandleAt = c.architecture === "x86_64" ? 304 : 265;
  c.syscall = (number, args) => number === openByHandleAt ? BigInt(-errno) : syscall.call(c, number, args);
  return { [Symbol.dispose]: () => void (c.syscall = syscall) };
}

/** The mirror answers in the same turn. */
type Called = { [K in keyof Filesystem]-?: (...args: Parameters<NonNullable<Filesystem[K]>>) => Answer<K> };
type Answer<K extends keyof Filesystem> = K extends "readdir" ? Iterable<DirEntry>
  : Awaited<ReturnType<NonNullable<Filesystem[K]>>>;

/** Bytes of a string. */
export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A folder, its mirror, and short forms of what the kernel sends. */
export class Source implements AsyncDisposable {
  readonly path: string;
  readonly mirror: Mirror;
  readonly fs: Called;
  readonly O = libc().O;
  readonly #dispose: () => PromiseLike<void>;

  private constructor(path: string, options: MirrorOptions, dispose: () => PromiseLike<void>) {
    this.path = path;
    this.mirror = mirror(path, options);
    this.fs = this.mirror as unknown as Called;
    this.#dispose = dispose;
  }

  /** Makes both; the folder lies in `dir`. */
  static async make(options: MirrorOptions = {}, dir?: string): Promise<Source> {
    const folder = await tempDir({ dir });
    try {
      return new Source(folder.path, options, () => folder[Symbol.asyncDispose]());
    } catch (error) {
      await folder[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.mirror[Symbol.dispose]();
    await this.#dispose();
  }

  /** The path of something in the source. */
  join(...names: string[]): string {
    return [this.path, ...names].join("/");
  }

  /** Looks a path up, name by name. */
  look(path: string, from: number = ROOT_ID): Entry {
    let entry: Entry | null = null;
    for (const name of path.split("/")) {
      entry = this.fs.lookup({ parent: entry?.nodeid ?? from, name }, SELF);
      if (entry === null) throw new Error(`${path}: not there`);
    }
    return entry!;
  }

  /** As {@linkcode look}, the nodeid alone. */
  id(path: string, from: number = ROOT_ID): number {
    return this.look(path, from).nodeid;
  }

  has(name: string, parent: number = ROOT_ID): boolean {
    return this.fs.lookup({ parent, name }, SELF) !== null;
  }

  stat(nodeid: number, fh?: number): Required<Entry["attr"]> {
    return this.fs.getattr({ nodeid, fh }, SELF).attr as Required<Entry["attr"]>;
  }

  set(nodeid: number, what: Omit<SetattrArgs, "nodeid">, by: Request = SELF): Required<Entry["attr"]> {
    return this.fs.setattr({ nodeid, ...what }, by).attr as Required<Entry["attr"]>;
  }

  create(
    name: string,
    { parent = ROOT_ID, flags = 2, mode = 0o644, umask = 0, killSuidgid = false, by = SELF } = {},
  ) {
    return this.fs.create({ parent, name, flags, mode: REG | mode, umask, killSuidgid }, by);
  }

  mkdir(name: string, { parent = ROOT_ID, mode = 0o755, umask = 0, by = SELF } = {}): Entry {
    return this.fs.mkdir({ parent, name, mode, umask }, by);
  }

  mknod(name: string, mode: number, { parent = ROOT_ID, rdev = 0, umask = 0, by = SELF } = {}): Entry {
    return this.fs.mknod({ parent, name, mode, rdev, umask }, by);
  }

  open(nodeid: number, flags: number, killSuidgid = false): number {
    return this.fs.open({ nodeid, flags, killSuidgid }, SELF).fh!;
  }

  read(fh: number, offset = 0, size = 1 << 16): string {
    return new TextDecoder().decode(this.fs.read({ nodeid: 0, fh, offset, size, flags: 0 }, SELF));
  }

  write(
    fh: number,
    data: string,
    { offset = 0, flags = 0, killSuidgid = false, fromCache = false } = {},
  ): number {
    return this.fs.write({ nodeid: 0, fh, offset, data: bytes(data), flags, fromCache, killSuidgid }, SELF);
  }

  release(fh: number): void {
    this.fs.release({ nodeid: 0, fh, flags: 0 }, SELF);
  }

  unlink(name: string, parent: number = ROOT_ID): void {
    this.fs.unlink({ parent, name }, SELF);
  }

  rmdir(name: string, parent: number = ROOT_ID): void {
    this.fs.rmdir({ parent, name }, SELF);
  }

  rename(name: string, newName: string, where: { from?: number; to?: number; flags?: number } = {}): void {
    const { from = ROOT_ID, to = from, flags = 0 } = where;
    this.fs.rename({ parent: from, name, newParent: to, newName, flags }, SELF);
  }

  link(nodeid: number, newName: string, newParent: number = ROOT_ID): Entry {
    return this.fs.link({ nodeid, newParent, newName }, SELF);
  }

  opendir(nodeid: number = ROOT_ID): number {
    return this.fs.opendir({ nodeid, flags: 0, killSuidgid: false }, SELF).fh!;
  }

  readdir(fh: number, offset = 0): Iterator<DirEntry> & Iterable<DirEntry> {
    return this.fs.readdir({ nodeid: ROOT_ID, fh, offset }, SELF) as Generator<DirEntry>;
  }

  releasedir(fh: number): void {
    this.fs.releasedir({ nodeid: 0, fh, flags: 0 }, SELF);
  }

  /** Names of a folder, sorted. */
  names(nodeid: number = ROOT_ID): string[] {
    const fh = this.opendir(nodeid);
    const found = [...this.readdir(fh)].map(({ name }) => name).sort();
    this.releasedir(fh);
    return found;
  }
}
