/**
 * Error numbers of Linux, and the one mapping from what a handler throws to one of them.
 *
 * The numbers are those of x86-64 and arm64 (`asm-generic/errno.h`), which are the same.
 */

/** Every errno that a file system may answer, by name. Source: `errno(3)`. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  ENOEXEC: 8,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  ENOTBLK: 15,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EMLINK: 31,
  EPIPE: 32,
  EDOM: 33,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  ENOLCK: 37,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENOMSG: 42,
  EIDRM: 43,
  ENOSTR: 60,
  ENODATA: 61,
  ETIME: 62,
  ENOSR: 63,
  ENOLINK: 67,
  EPROTO: 71,
  EMULTIHOP: 72,
  EBADMSG: 74,
  EOVERFLOW: 75,
  EILSEQ: 84,
  ERESTART: 85,
  EUSERS: 87,
  ENOTSOCK: 88,
  EDESTADDRREQ: 89,
  EMSGSIZE: 90,
  EPROTOTYPE: 91,
  ENOPROTOOPT: 92,
  EPROTONOSUPPORT: 93,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  EISCONN: 106,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTDOWN: 112,
  EHOSTUNREACH: 113,
  EALREADY: 114,
  EINPROGRESS: 115,
  ESTALE: 116,
  EUCLEAN: 117,
  EREMOTEIO: 121,
  EDQUOT: 122,
  ENOMEDIUM: 123,
  EMEDIUMTYPE: 124,
  ECANCELED: 125,
  ENOKEY: 126,
} as const;

/** The name of an errno, as C spells it. */
export type ErrnoName = keyof typeof ERRNO;

const NAMES: ReadonlyMap<number, ErrnoName> = new Map(
  (Object.entries(ERRNO) as [ErrnoName, number][]).map(([name, value]) => [value, name]),
);

/**
 * The name of an error number, positive or negative.
 *
 * @example
 * ```ts
 * import { errnoName } from "@fusewire/fusewire";
 *
 * console.log(errnoName(2), errnoName(-2)); // ENOENT ENOENT
 * console.log(errnoName(1000)); // errno 1000
 * ```
 */
export function errnoName(errno: number): string {
  return NAMES.get(Math.abs(errno)) ?? `errno ${Math.abs(errno)}`;
}

/**
 * The error that a handler throws to answer an errno, and that the library throws where a system call failed.
 *
 * @example
 * ```ts
 * import { FuseError } from "@fusewire/fusewire";
 *
 * const error = new FuseError("EROFS");
 * console.log(error.errno); // 30
 * ```
 */
export class FuseError extends Error {
  /** Always `"FuseError"`. */
  override name = "FuseError";
  /** The positive error number. */
  readonly errno: number;
  /** Its name, such as `"ENOENT"`. Stable, to be compared. */
  readonly code: ErrnoName;
  /** The system call that failed, where one did. */
  readonly syscall?: string;
  /** The path it was about, where there was one. */
  readonly path?: string;

  /** Makes an error that is answered as `code`; the message is for people and the log. */
  constructor(
    code: ErrnoName | number,
    message?: string,
    details?: { syscall?: string; path?: string; cause?: unknown },
  ) {
    const errno = typeof code === "number" ? Math.abs(code) : ERRNO[code];
    const name = typeof code === "number" ? NAMES.get(errno) ?? "EIO" : code;
    super(message ?? name, details?.cause === undefined ? undefined : { cause: details.cause });
    this.errno = ERRNO[name];
    this.code = name;
    this.syscall = details?.syscall;
    this.path = details?.path;
  }
}

// Errors of runtimes that say what happened by a class name: Deno.errors.* and DOMException.
const BY_NAME: Readonly<Record<string, ErrnoName>> = {
  // Deno.errors
  NotFound: "ENOENT",
  PermissionDenied: "EACCES",
  NotCapable: "EACCES",
  AlreadyExists: "EEXIST",
  ConnectionRefused: "ECONNREFUSED",
  ConnectionReset: "ECONNRESET",
  ConnectionAborted: "ECONNABORTED",
  NotConnected: "ENOTCONN",
  AddrInUse: "EADDRINUSE",
  AddrNotAvailable: "EADDRNOTAVAIL",
  BrokenPipe: "EPIPE",
  InvalidData: "EINVAL",
  TimedOut: "ETIMEDOUT",
  Interrupted: "EINTR",
  WriteZero: "ENOSPC",
  WouldBlock: "EAGAIN",
  UnexpectedEof: "EIO",
  BadResource: "EBADF",
  Busy: "EBUSY",
  NotSupported: "EOPNOTSUPP",
  FilesystemLoop: "ELOOP",
  IsADirectory: "EISDIR",
  NetworkUnreachable: "ENETUNREACH",
  NotADirectory: "ENOTDIR",
  // DOMException
  NotFoundError: "ENOENT",
  NotAllowedError: "EACCES",
  SecurityError: "EACCES",
  NoModificationAllowedError: "EROFS",
  TypeMismatchError: "ENOTDIR",
  PathExistsError: "EEXIST",
  InvalidModificationError: "EINVAL",
  InvalidStateError: "EBUSY",
  NotSupportedError: "EOPNOTSUPP",
  QuotaExceededError: "ENOSPC",
  AbortError: "EINTR",
  TimeoutError: "ETIMEDOUT",
  NetworkError: "EREMOTEIO",
  NotReadableError: "EIO",
  DataCloneError: "EINVAL",
};

// Other names of the same numbers, which node prefers.
const ALIASES: Readonly<Record<string, ErrnoName>> = {
  ENOTSUP: "EOPNOTSUPP",
  EWOULDBLOCK: "EAGAIN",
  EDEADLOCK: "EDEADLK",
};

// What Deno has no class for it throws as a plain Error, of which the text alone says the errno.
const OS_ERROR = /\(os error (\d{1,3})\)/;

/**
 * The positive errno of anything thrown: FuseError, an error with node's `code`, Deno.errors.*, a DOMException, an
 * Error that says `(os error N)`; 0 where none of them says one.
 */
export function errnoOf(thrown: unknown): number {
  try {
    return errnoOfError(thrown);
  } catch {
    // What was thrown throws itself when it is looked at: a getter, or a proxy.
    return 0;
  }
}

function errnoOfError(thrown: unknown): number {
  if (thrown instanceof FuseError) return thrown.errno;
  if (typeof thrown !== "object" || thrown === null) return 0;
  const { code, name, message } = thrown as { code?: unknown; name?: unknown; message?: unknown };
  if (typeof code === "string") {
    if (Object.hasOwn(ERRNO, code)) return ERRNO[code as ErrnoName];
    if (Object.hasOwn(ALIASES, code)) return ERRNO[ALIASES[code]];
  }
  if (typeof message === "string") {
    const said = Number(OS_ERROR.exec(message)?.[1]);
    if (NAMES.has(said)) return said;
  }
  if (typeof name === "string" && Object.hasOwn(BY_NAME, name)) return ERRNO[BY_NAME[name]];
  return 0;
}
