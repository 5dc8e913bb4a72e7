/** What an author may ask of a session. */
import type { ErrnoName } from "../errno.ts";
import type { Filesystem } from "../fs/filesystem.ts";
import type { TraceEvent } from "./trace.ts";

/** Where something failed that {@linkcode SessionOptions.onError} is told. */
export interface ErrorPlace {
  /** The request, such as `FUSE_READ`. */
  readonly opcode: string;
  /** Its node; 0 where that is not known. */
  readonly nodeid: number;
  /** The errno that the caller got for it; absent where nobody waited, or was answered before. */
  readonly answered?: ErrnoName;
}

/** Options of the conversation with the kernel, as against those of the mount. */
export interface SessionOptions {
  /** Largest WRITE, bytes; at least 4096. Also bounds reads. Default 1 MiB. */
  maxWrite?: number;
  /** Largest read-ahead, bytes. Default: what the kernel offers. */
  maxReadahead?: number;
  /** How many background requests (read-ahead, writeback) the kernel may have under way. Default 64. */
  maxBackground?: number;
  /** Granularity of times, ns: 1 to 1,000,000,000. Default 1. Since 7.23. */
  timeGran?: number;
  /**
   * The kernel aborts the connection if a request is not answered within so many seconds, for which it looks every
   * 15 s; 0: never. Default 0. Since 7.43.
   */
  requestTimeout?: number;

  /** Lets the kernel read and write files itself, where an open answers `backing`. Default true. Since 7.40. */
  passthrough?: boolean;
  /**
   * How many file systems may be stacked: 1 (default): backing files lie on an ordinary file system, and overlayfs may
   * be stacked on this mount; 2: backing files may lie on overlayfs, and nothing may be stacked on this mount.
   */
  maxStackDepth?: 1 | 2;

  /** Reads of one file run side by side. Default true. */
  asyncRead?: boolean;
  /** Parts of one O_DIRECT call run side by side. Default true. Since 7.22. */
  asyncDio?: boolean;
  /** Lookups and readdirs of one directory run side by side. Default true. Since 7.25. */
  parallelDirops?: boolean;
  /** Files opened with `directIo` can be mapped and shared. Default true. Since 7.39. */
  directIoAllowMmap?: boolean;
  /**
   * The kernel collects writes in its page cache. Excludes passthrough; holes are not found (`lseek`). Default false.
   * Since 7.23.
   */
  writebackCache?: boolean;
  /**
   * Cached data is dropped when a file's size or mtime changed behind the kernel, which asks for them before each read
   * unless `attrTimeout` lets it keep them. Off: the file system is the only writer. Default true, unless
   * `explicitInvalData` is on. Since 7.20.
   */
  autoInvalData?: boolean;
  /** Cached data is dropped only where a notification says so. Excludes `autoInvalData`. Default false. Since 7.30. */
  explicitInvalData?: boolean;
  /** The kernel may cache targets of symbolic links. Default false. Since 7.28. */
  cacheSymlinks?: boolean;
  /**
   * Whether directories are read with the attributes of their entries: when the kernel thinks it pays, always, never.
   * Default "auto". Since 7.21.
   */
  readdirplus?: "auto" | "always" | "never";

  /** O_TRUNC arrives with open, not as a setattr before it. Default false. */
  atomicOTrunc?: boolean;
  /**
   * open is answered ENOSYS, which means "never ask again": no handles, no release, no passthrough. The file system has
   * no `open`. Default false. Since 7.23.
   */
  noOpen?: boolean;
  /**
   * opendir is answered ENOSYS, which means "never ask again". The file system has no `opendir`. Default false. Since
   * 7.29.
   */
  noOpendir?: boolean;
  /** The file system applies the umask: `mode` of what is made comes unmasked. Default false. Since 7.12. */
  dontMask?: boolean;
  /**
   * The file system clears set-user-id and set-group-id bits where it is told to (`killSuidgid`), and by itself in
   * chown. Without it the kernel does most of that, and asks for `security.capability` before each single write, also
   * before those that it makes itself by passthrough; the file system is still told with O_TRUNC, and by a setattr that
   * changes nothing else. `"v1"`: as with it, for older kernels, which name no CAP_FSETID: everybody but root is
   * told of, and a chown of a directory, which keeps its bits, too; before 7.31 it has to clear them by itself in
   * writes past the page cache. Default false. Since 7.33 (v1: 7.26).
   */
  handleKillpriv?: boolean | "v1";
  /**
   * The kernel checks POSIX ACLs, which the file system keeps as `system.posix_acl_*`. Implies `defaultPermissions`.
   * Default false. Since 7.26.
   */
  posixAcl?: boolean;
  /** fcntl locks are the file system's: getlk, setlk, setlkw. Default: where it has them. */
  posixLocks?: boolean;
  /** flock locks are the file system's: setlk, setlkw. Default: where it has them. Since 7.17. */
  flockLocks?: boolean;
  /**
   * The mount can be exported over NFS and its files opened by handle: `lookup` is also asked for `"."` (any nodeid,
   * which the kernel may have forgotten) and `".."`, and generations have to be right. Default false.
   */
  exportSupport?: boolean;
  /** No file handles at all: `name_to_handle_at(2)` fails. Default false. Since 7.40. */
  noExportSupport?: boolean;
  /**
   * `attr.submount` makes a directory a mount of its own, with its own `st_dev`. Linux up to 6.18 offers it to virtiofs
   * alone. Default false. Since 7.32.
   */
  submounts?: boolean;
  /** Security labels come with what is made, as `request.securityContexts`. Default false. Since 7.36. */
  securityContext?: boolean;
  /** A supplementary group comes with what is made, as `request.groups`. Default false. Since 7.38. */
  createSuppGroup?: boolean;
  /** The mount can be id-mapped (`mount_setattr(2)`); needs `defaultPermissions`. Default false. Since 7.41. */
  allowIdmap?: boolean;

  /**
   * Memory for requests whose data (write, setxattr) asynchronous handlers still use, bytes. No more is read from the
   * kernel beyond it. Default 64 MiB.
   */
  maxInFlight?: number;
  /**
   * Called where a handler fails with something that says no errno, where an open is refused for the `backing` that it
   * was answered, and where what was staged is lost (`FUSE_RELEASE`), whatever the reason says. Default: one line to
   * console.error.
   */
  onError?: (error: unknown, where: ErrorPlace) => void;
  /**
   * Called after each request, with what was asked and answered; `formatTrace` makes a line of it. Costs nothing when
   * absent.
   */
  trace?: (event: TraceEvent) => void;
}

/** The options with their defaults. */
export type ResolvedOptions =
  & Required<Omit<SessionOptions, Undecided>>
  & Pick<SessionOptions, Undecided>;

/** Options whose absence means something. */
type Undecided = "maxReadahead" | "posixLocks" | "flockLocks" | "trace";

const PAGE = 4096;

function within(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`option ${name} is ${value}; it has to be a whole number from ${least} to ${most}`);
}

function oneOf<const T>(name: string, value: T, ...choices: NoInfer<T>[]): T {
  if (choices.includes(value)) return value;
  throw new RangeError(`option ${name} is ${value}; it has to be one of ${choices.join(", ")}`);
}

/** Pairs of which the kernel would drop one without a word, or refuse both. */
const EXCLUSIVE: readonly (readonly [keyof SessionOptions, keyof SessionOptions, string])[] = [
  ["writebackCache", "passthrough", "the kernel turns passthrough off without a word"],
  ["autoInvalData", "explicitInvalData", "the kernel drops the second without a word"],
  ["exportSupport", "noExportSupport", "they contradict each other"],
  ["noOpen", "passthrough", "without open there is nothing to hand a file over with"],
  ["noOpen", "atomicOTrunc", "without open O_TRUNC would be lost"],
];

/** Fills in defaults and refuses what cannot work, before anything is mounted. */
export function resolveOptions(o: SessionOptions): ResolvedOptions {
  for (const [one, other, why] of EXCLUSIVE) {
    if (o[one] && o[other]) {
      throw new TypeError(`options ${one} and ${other} exclude each other: ${why}. Remedy: drop one of them`);
    }
  }
  const { writebackCache = false, explicitInvalData = false, noOpen = false } = o;
  return {
    maxWrite: Math.floor(within("maxWrite", o.maxWrite ?? 1 << 20, PAGE, 1 << 28) / PAGE) * PAGE,
    ...o.maxReadahead !== undefined && { maxReadahead: within("maxReadahead", o.maxReadahead, 0, 2 ** 32 - 1) },
    maxBackground: within("maxBackground", o.maxBackground ?? 64, 1, 65535),
    timeGran: within("timeGran", o.timeGran ?? 1, 1, 1_000_000_000),
    requestTimeout: within("requestTimeout", o.requestTimeout ?? 0, 0, 65535),
    passthrough: o.passthrough ?? !(writebackCache || noOpen),
    maxStackDepth: oneOf("maxStackDepth", o.maxStackDepth ?? 1, 1, 2),
    asyncRead: o.asyncRead ?? true,
    asyncDio: o.asyncDio ?? true,
    parallelDirops: o.parallelDirops ?? true,
    directIoAllowMmap: o.directIoAllowMmap ?? true,
    writebackCache,
    autoInvalData: o.autoInvalData ?? !explicitInvalData,
    explicitInvalData,
    cacheSymlinks: o.cacheSymlinks ?? false,
    readdirplus: oneOf("readdirplus", o.readdirplus ?? "auto", "auto", "always", "never"),
    atomicOTrunc: o.atomicOTrunc ?? false,
    noOpen,
    noOpendir: o.noOpendir ?? false,
    dontMask: o.dontMask ?? false,
    handleKillpriv: oneOf("handleKillpriv", o.handleKillpriv ?? false, false, true, "v1"),
    posixAcl: o.posixAcl ?? false,
    ...o.posixLocks !== undefined && { posixLocks: o.posixLocks },
    ...o.flockLocks !== undefined && { flockLocks: o.flockLocks },
    exportSupport: o.exportSupport ?? false,
    noExportSupport: o.noExportSupport ?? false,
    submounts: o.submounts ?? false,
    securityContext: o.securityContext ?? false,
    createSuppGroup: o.createSuppGroup ?? false,
    allowIdmap: o.allowIdmap ?? false,
    maxInFlight: within("maxInFlight", o.maxInFlight ?? 64 << 20, 0, Number.MAX_SAFE_INTEGER),
    onError: o.onError ?? logError,
    trace: o.trace,
  };
}

/** Refuses options that need, or exclude, methods of the file system. */
export function checkMethods(fs: Filesystem, o: ResolvedOptions): void {
  const need = (option: keyof SessionOptions, ...methods: (keyof Filesystem)[]) => {
    const missing = methods.filter((method) => fs[method] === undefined);
    if (!o[option] || missing.length === 0) return;
    throw new TypeError(`option ${option} needs the methods ${methods.join(" and ")}; ${missing.join(" and ")} lacks`);
  };
  need("posixLocks", "getlk", "setlk", "setlkw");
  need("flockLocks", "setlk", "setlkw");
  need("exportSupport", "lookup");
  for (const [option, method] of [["noOpen", "open"], ["noOpendir", "opendir"]] as const) {
    if (!o[option] || fs[method] === undefined) continue;
    throw new TypeError(`option ${option} excludes the method ${method}, which the file system has`);
  }
}

function logError(error: unknown, { opcode, nodeid, answered }: ErrorPlace): void {
  const outcome = answered === undefined ? "failed" : `failed and was answered ${answered}`;
  console.error(`fusewire: ${opcode} of nodeid ${nodeid} ${outcome}:`, error);
}
