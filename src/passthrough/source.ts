/** What can be registered, opened. */
import {
  AT_EACCESS,
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_STATX_DONT_SYNC,
  F_GETFL,
  type Libc,
  MFD_CLOEXEC,
  Stat,
} from "../../ffi/libc.ts";
import { cstring } from "../abi/text.ts";
import { FuseError } from "../errno.ts";
import type { BackingSource } from "../fs/backing.ts";
import { S_IFDIR, S_IFMT, S_IFREG } from "../fs/mode.ts";
import { check } from "./check.ts";
import { type Access, reopen } from "./descriptors.ts";
import { ExtentMap } from "./extents.ts";
import { Stage } from "./stage.ts";
import { Staged } from "./staged.ts";

/** What a source comes to. */
export interface Source {
  /** The descriptor that the data lies in; -1: in those of an extent map. */
  readonly fd: number;
  /** Whether the descriptor is ours to close. */
  readonly owned: boolean;
  /** Whether it can be written, wherever one wants to. */
  readonly writes: boolean;
  readonly access: Access;
  readonly map: ExtentMap | null;
  readonly staged: Staged | null;
}

/** Where it is opened. */
export interface Host {
  readonly libc: Libc;
  /** Minor device number of the mount that the session serves; undefined: a file of it would be none we know. */
  readonly minor: number | undefined;
}

const EMPTY = cstring("");
const W_OK = 2;
const STATX_TYPE_AND_INO = 0x101;
const WHAT = "cannot register a backing file";

/** How it is to be opened. */
export interface SourceOptions {
  readonly access?: Access;
  /** Its size is that of the inode. */
  readonly coherent: boolean;
}

/** Opens what an author registers; a descriptor stays his. */
export function openSource(host: Host, source: BackingSource, options: SourceOptions): Source {
  const { libc } = host, { access } = options;
  if (source instanceof ExtentMap) return ofMap(source, access);
  if (source instanceof Stage) {
    const staged = new Staged(libc, source.options);
    return { fd: staged.fd, owned: true, writes: true, access: access ?? "read-write", map: null, staged };
  }
  if (typeof source === "string") return ofPath(host, source, options);
  if (typeof source === "object" && source !== null && "memfd" in source) {
    const made = libc.memfdCreate(cstring(source.memfd), MFD_CLOEXEC);
    const fd = check("memfd_create", made, "cannot make a file in memory");
    return { fd, owned: true, writes: true, access: access ?? "read-write", map: null, staged: null };
  }
  const fd = typeof source === "number" ? source : (source as { readonly fd: number } | null)?.fd ?? -1;
  if (!(Number.isInteger(fd) && fd >= 0)) {
    throw new TypeError(
      `the backing is ${source}; it has to be a descriptor, an object with one, a path, an extent map or a staged file`,
    );
  }
  return ofDescriptor(host, fd, options);
}

function ofMap(map: ExtentMap, wanted: Access | undefined): Source {
  // One that is the identity over one file is that file.
  const fd = map.identity() ?? -1;
  return { fd, owned: false, writes: map.access === "read-write", access: wanted ?? map.access, map, staged: null };
}

/** Open for reading, whatever its openers may do: who writes is what keeps others from running it. */
function ofPath(host: Host, source: string, { access: wanted, coherent }: SourceOptions): Source {
  const { libc } = host, { O } = libc;
  const path = cstring(source);
  const what = `cannot register ${JSON.stringify(source)} as a backing file`;
  const fd = check("open", libc.open(path, O.RDONLY | O.CLOEXEC | O.NONBLOCK | O.NOCTTY, 0), what);
  try {
    checkType(identify(host, fd, what), coherent, what);
    const writable = () => libc.faccessat(AT_FDCWD, path, W_OK, AT_EACCESS);
    if (wanted === "read-write") check("faccessat", writable(), what);
    const access = wanted ?? (writable() === 0 ? "read-write" : "read");
    return { fd, owned: true, writes: false, access, map: null, staged: null };
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

function ofDescriptor(host: Host, fd: number, { access: wanted, coherent }: SourceOptions): Source {
  const { libc } = host, { O } = libc;
  const flags = check("fcntl", libc.fcntl(fd, F_GETFL, 0), WHAT);
  checkType(identify(host, fd), coherent, WHAT);
  const mode = flags & O.ACCMODE;
  const access = wanted ?? (mode === O.RDONLY ? "read" : "read-write");
  const same = { access, map: null, staged: null };
  if (isPlain(libc, flags)) return { ...same, fd, owned: false, writes: mode === O.RDWR };
  const what = `${WHAT}: ${oddity(libc, flags)}, and to open it anew`;
  return { ...same, fd: check("open", reopen(libc, fd, access), what), owned: true, writes: access === "read-write" };
}

/** Whether a descriptor is read and written as it is told: at any place, in any length. */
export function isPlain({ O }: Libc, flags: number): boolean {
  return (flags & (O.APPEND | O.DIRECT | O.PATH)) === 0 && (flags & O.ACCMODE) !== O.WRONLY;
}

function oddity({ O }: Libc, flags: number): string {
  if (flags & O.PATH) return "the descriptor is an O_PATH one";
  if (flags & O.APPEND) return "the descriptor appends";
  return flags & O.DIRECT ? "the descriptor is an O_DIRECT one" : "the descriptor cannot be read";
}

/**
 * Which file it is. It asks no server, which may be this process. ELOOP: it lies in the mount that is served, and the
 * session would wait for itself.
 */
export function identify({ libc, minor }: Host, fd: number, what: string = WHAT): Stat {
  const stat = new Stat();
  check("statx", libc.statx(fd, EMPTY, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE_AND_INO, stat), what);
  if (stat.devMajor !== 0 || stat.devMinor !== minor) return stat;
  throw new FuseError("ELOOP", `${what}: it lies in this mount, and the session would wait for itself`);
}

/** EISDIR, EINVAL: it has no size that could be the inode's. */
function checkType(stat: Stat, coherent: boolean, what: string): void {
  const type = stat.mode & S_IFMT;
  if (type === S_IFREG || !coherent && type !== S_IFDIR) return;
  const remedy = "whose size is known; tell one with your attributes, and register it with { coherent: false }";
  throw new FuseError(type === S_IFDIR ? "EISDIR" : "EINVAL", `${what}: it is no regular file, ${remedy}`);
}
