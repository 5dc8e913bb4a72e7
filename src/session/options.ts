/** What an author may ask of a session. */

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
  /** Lets the kernel read and write files itself, where an open answers `backing`. Default true. Since 7.40. */
  passthrough?: boolean;
  /**
   * How many file systems may be stacked: 1 (default): backing files lie on an ordinary file system, and overlayfs may
   * be stacked on this mount; 2: backing files may lie on overlayfs, and nothing may be stacked on this mount.
   */
  maxStackDepth?: 1 | 2;
  /** The kernel collects writes in its page cache. Excludes passthrough. Default false. Since 7.23. */
  writebackCache?: boolean;
  /** O_TRUNC arrives with open, not as a setattr before it. Default false. */
  atomicOTrunc?: boolean;
  /** The kernel may cache targets of symbolic links. Default false. Since 7.28. */
  cacheSymlinks?: boolean;
  /**
   * Cached data is dropped when a file's size or mtime changed behind the kernel, which asks for them before each read
   * unless `attrTimeout` lets it keep them. Off: the file system is the only writer. Default true. Since 7.20.
   */
  autoInvalData?: boolean;
  /**
   * The file system clears set-user-id and set-group-id bits where it is told to (`killSuidgid`), and by itself in
   * chown. Without it the kernel asks for `security.capability` before each single write, also before those that it
   * makes itself by passthrough. Default false. Since 7.33.
   */
  handleKillpriv?: boolean;
  /** Whether directories are read with the attributes of their entries: when the kernel thinks it pays, always, never. Default "auto". */
  readdirplus?: "auto" | "always" | "never";
  /** Memory for requests whose data (write, setxattr) asynchronous handlers still use, bytes. No more is read from the kernel beyond it. Default 64 MiB. */
  maxInFlight?: number;
  /** Called where a handler fails with something that says no errno. Default: one line to console.error. */
  onError?: (error: unknown, where: { opcode: string; nodeid: number }) => void;
}

/** The options with their defaults. */
export type ResolvedOptions = Required<Omit<SessionOptions, "maxReadahead">> & Pick<SessionOptions, "maxReadahead">;

const PAGE = 4096;

function within(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`option ${name} is ${value}; it has to be a whole number from ${least} to ${most}`);
}

function oneOf<const T>(name: string, value: T, ...choices: NoInfer<T>[]): T {
  if (choices.includes(value)) return value;
  throw new RangeError(`option ${name} is ${value}; it has to be one of ${choices.join(", ")}`);
}

/** Fills in defaults and refuses what cannot work, before anything is mounted. */
export function resolveOptions(o: SessionOptions): ResolvedOptions {
  const maxWrite = within("maxWrite", o.maxWrite ?? 1 << 20, PAGE, 1 << 28);
  const writebackCache = o.writebackCache ?? false;
  if (writebackCache && o.passthrough) {
    throw new TypeError(
      "options writebackCache and passthrough exclude each other: the kernel turns passthrough off without a word. " +
        "Remedy: drop one of them",
    );
  }
  return {
    maxWrite: Math.floor(maxWrite / PAGE) * PAGE,
    ...o.maxReadahead !== undefined && { maxReadahead: within("maxReadahead", o.maxReadahead, 0, 2 ** 32 - 1) },
    maxBackground: within("maxBackground", o.maxBackground ?? 64, 1, 65535),
    timeGran: within("timeGran", o.timeGran ?? 1, 1, 1_000_000_000),
    passthrough: o.passthrough ?? !writebackCache,
    maxStackDepth: oneOf("maxStackDepth", o.maxStackDepth ?? 1, 1, 2),
    writebackCache,
    atomicOTrunc: o.atomicOTrunc ?? false,
    cacheSymlinks: o.cacheSymlinks ?? false,
    autoInvalData: o.autoInvalData ?? true,
    handleKillpriv: o.handleKillpriv ?? false,
    readdirplus: oneOf("readdirplus", o.readdirplus ?? "auto", "auto", "always", "never"),
    maxInFlight: within("maxInFlight", o.maxInFlight ?? 64 << 20, 0, Number.MAX_SAFE_INTEGER),
    onError: o.onError ?? logError,
  };
}

function logError(error: unknown, { opcode, nodeid }: { opcode: string; nodeid: number }): void {
  console.error(`fusewire: ${opcode} of nodeid ${nodeid} failed and was answered EIO:`, error);
}
