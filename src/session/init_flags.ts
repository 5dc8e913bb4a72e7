/** How each INIT flag is chosen: by an option, by what the file system can do, or by the session. Complete by type. */
import type { InitFlag } from "../abi/flags.ts";
import type { Filesystem } from "../fs/filesystem.ts";
import type { ResolvedOptions, SessionOptions } from "./options.ts";

/** What decides about a flag. */
export interface FlagChoice {
  /** The option that decides, where there is one. */
  readonly option?: keyof SessionOptions;
  /** Whether it is asked for, where the kernel offers it. */
  readonly wanted: (o: ResolvedOptions, fs: Filesystem) => boolean;
  /** What it brings, or why it is never asked for. */
  readonly why: string;
}

const always = () => true;
const never = () => false;
// A program that waits for a lock would be told ENOSYS without setlkw.
const waits = (fs: Filesystem) => fs.setlk !== undefined && fs.setlkw !== undefined;

/** One choice for each flag. */
export const INIT_FLAGS: Readonly<Record<InitFlag, FlagChoice>> = {
  FUSE_ASYNC_READ: { option: "asyncRead", wanted: (o) => o.asyncRead, why: "reads of one file run side by side" },
  FUSE_POSIX_LOCKS: {
    option: "posixLocks",
    wanted: (o, fs) => o.posixLocks ?? (fs.getlk !== undefined && waits(fs)),
    why: "fcntl locks reach getlk, setlk and setlkw",
  },
  FUSE_FILE_OPS: { wanted: never, why: "the kernel gives file handles wherever it has them since 7.9" },
  FUSE_ATOMIC_O_TRUNC: { option: "atomicOTrunc", wanted: (o) => o.atomicOTrunc, why: "O_TRUNC arrives with open" },
  FUSE_EXPORT_SUPPORT: { option: "exportSupport", wanted: (o) => o.exportSupport, why: 'lookups of "." and ".."' },
  FUSE_BIG_WRITES: { wanted: always, why: "writes of more than one page" },
  FUSE_DONT_MASK: { option: "dontMask", wanted: (o) => o.dontMask, why: "the file system applies the umask" },
  FUSE_SPLICE_WRITE: { wanted: never, why: "replies are written, for a pipe in between costs more calls" },
  FUSE_SPLICE_MOVE: { wanted: never, why: "as FUSE_SPLICE_WRITE" },
  FUSE_SPLICE_READ: { wanted: never, why: "requests are read into memory that handlers see" },
  FUSE_FLOCK_LOCKS: {
    option: "flockLocks",
    wanted: (o, fs) => o.flockLocks ?? waits(fs),
    why: "flock locks reach setlk and setlkw",
  },
  FUSE_HAS_IOCTL_DIR: { wanted: (_, fs) => fs.ioctl !== undefined, why: "ioctl on directories" },
  FUSE_AUTO_INVAL_DATA: {
    option: "autoInvalData",
    wanted: (o) => o.autoInvalData,
    why: "cached data goes with a changed size or mtime",
  },
  FUSE_DO_READDIRPLUS: {
    option: "readdirplus",
    wanted: (o, fs) => o.readdirplus !== "never" && fs.readdir !== undefined && fs.lookup !== undefined,
    why: "directories are read with attributes",
  },
  FUSE_READDIRPLUS_AUTO: {
    option: "readdirplus",
    wanted: (o, fs) => o.readdirplus === "auto" && fs.readdir !== undefined && fs.lookup !== undefined,
    why: "where the kernel thinks it pays",
  },
  FUSE_ASYNC_DIO: { option: "asyncDio", wanted: (o) => o.asyncDio, why: "parts of one O_DIRECT call run side by side" },
  FUSE_WRITEBACK_CACHE: {
    option: "writebackCache",
    wanted: (o) => o.writebackCache,
    why: "writes are collected in the page cache",
  },
  FUSE_NO_OPEN_SUPPORT: { option: "noOpen", wanted: (o) => o.noOpen, why: "open is answered ENOSYS once and for all" },
  FUSE_PARALLEL_DIROPS: {
    option: "parallelDirops",
    wanted: (o) => o.parallelDirops,
    why: "lookups and readdirs of one directory run side by side",
  },
  FUSE_HANDLE_KILLPRIV: {
    option: "handleKillpriv",
    wanted: (o) => o.handleKillpriv === "v1",
    why: "set-id bits are always the file system's to clear",
  },
  FUSE_POSIX_ACL: { option: "posixAcl", wanted: (o) => o.posixAcl, why: "the kernel checks and caches POSIX ACLs" },
  FUSE_ABORT_ERROR: { wanted: always, why: "an aborted connection can be told from an unmounted one" },
  FUSE_MAX_PAGES: { wanted: always, why: "requests of up to maxWrite" },
  FUSE_CACHE_SYMLINKS: {
    option: "cacheSymlinks",
    wanted: (o) => o.cacheSymlinks,
    why: "targets of symbolic links are cached",
  },
  FUSE_NO_OPENDIR_SUPPORT: {
    option: "noOpendir",
    wanted: (o) => o.noOpendir,
    why: "opendir is answered ENOSYS once and for all",
  },
  FUSE_EXPLICIT_INVAL_DATA: {
    option: "explicitInvalData",
    wanted: (o) => o.explicitInvalData,
    why: "cached data goes only when a notification says so",
  },
  FUSE_MAP_ALIGNMENT: { wanted: never, why: "DAX windows are virtiofs's" },
  FUSE_SUBMOUNTS: { option: "submounts", wanted: (o) => o.submounts, why: "attr.submount makes a mount of its own" },
  FUSE_HANDLE_KILLPRIV_V2: {
    option: "handleKillpriv",
    wanted: (o) => o.handleKillpriv === true,
    why: "set-id bits are the file system's to clear when told so",
  },
  FUSE_SETXATTR_EXT: {
    option: "posixAcl",
    wanted: (o) => o.posixAcl,
    why: "setxattr says when an ACL clears the set-group-id bit",
  },
  FUSE_INIT_EXT: { wanted: always, why: "flags beyond the 32nd" },
  FUSE_SECURITY_CTX: {
    option: "securityContext",
    wanted: (o) => o.securityContext,
    why: "security labels come with what is made",
  },
  FUSE_HAS_INODE_DAX: { wanted: never, why: "DAX windows are virtiofs's" },
  FUSE_CREATE_SUPP_GROUP: {
    option: "createSuppGroup",
    wanted: (o) => o.createSuppGroup,
    why: "a supplementary group comes with what is made",
  },
  FUSE_HAS_EXPIRE_ONLY: { wanted: always, why: "expireEntry" },
  FUSE_DIRECT_IO_ALLOW_MMAP: {
    option: "directIoAllowMmap",
    wanted: (o) => o.directIoAllowMmap,
    why: "files opened with directIo can be mapped and shared",
  },
  FUSE_PASSTHROUGH: { option: "passthrough", wanted: (o) => o.passthrough, why: "backing files" },
  FUSE_NO_EXPORT_SUPPORT: {
    option: "noExportSupport",
    wanted: (o) => o.noExportSupport,
    why: "no file handles: name_to_handle_at fails",
  },
  FUSE_HAS_RESEND: { wanted: always, why: "resend" },
  FUSE_ALLOW_IDMAP: { option: "allowIdmap", wanted: (o) => o.allowIdmap, why: "the mount can be id-mapped" },
  FUSE_OVER_IO_URING: { wanted: never, why: "requests are read from the device" },
  FUSE_REQUEST_TIMEOUT: {
    option: "requestTimeout",
    wanted: (o) => o.requestTimeout > 0,
    why: "the kernel aborts a server that does not answer",
  },
};

/** The INIT flags that a session with these options asks for, where they are offered. */
export function wantedFlags(fs: Filesystem, o: ResolvedOptions): Set<InitFlag> {
  const all = Object.entries(INIT_FLAGS) as [InitFlag, FlagChoice][];
  return new Set(all.filter(([, { wanted }]) => wanted(o, fs)).map(([flag]) => flag));
}
