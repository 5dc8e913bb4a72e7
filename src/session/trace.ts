/**
 * What passes between the kernel and a file system, to be looked at.
 *
 * @module
 */
import { errnoName } from "../errno.ts";

/** One request, after it was answered. */
export interface TraceEvent {
  /** Such as `"FUSE_LOOKUP"`. */
  readonly opcode: string;
  /** The inode, or the directory of a name. */
  readonly nodeid: number;
  /** The kernel's number of the request. */
  readonly unique: number;
  /** User id of the caller. */
  readonly uid: number;
  /** Group id of the caller. */
  readonly gid: number;
  /** Process id of the caller. */
  readonly pid: number;
  /** The arguments as the handler saw them; absent where they could not be read. */
  readonly args?: unknown;
  /** What the handler answered; absent where it failed. */
  readonly value?: unknown;
  /** What the caller got: 0, or a positive error number. */
  readonly errno: number;
  /** From receipt to reply, ms. */
  readonly duration: number;
}

/** Values that are worth their place in one line. */
function show(key: string, value: unknown): string | null {
  switch (typeof value) {
    case "number":
      return /^mode$|^umask$/.test(key) ? `${key}=0${value.toString(8)}` : `${key}=${value}`;
    case "bigint":
      return `${key}=0x${value.toString(16)}`;
    case "boolean":
      return value ? key : null;
    case "string":
      return /[nN]ame$|target/.test(key) ? JSON.stringify(value) : `${key}=${JSON.stringify(value)}`;
    case "object":
      return value instanceof Uint8Array ? `${key}=<${value.length} bytes>` : null;
    default:
      return null;
  }
}

function fields(value: object, skip: readonly string[]): string[] {
  return Object.entries(value).filter(([key]) => !skip.includes(key)).map(([key, field]) => show(key, field)).filter(
    (text) => text !== null,
  );
}

/** What was answered, in the words of its type. */
function answer(value: unknown): string {
  if (value === null || value === undefined) return "ok";
  if (value instanceof Uint8Array) return `<${value.length} bytes>`;
  if (Array.isArray(value)) return `<${value.length} entries>`;
  if (typeof value !== "object") return JSON.stringify(value);
  const { attr, entry, ...rest } = value as { attr?: object; entry?: { attr?: object } };
  const parts = [
    ...entry ? fields(entry, []) : [],
    ...fields(rest, []),
    ...fields(attr ?? entry?.attr ?? {}, ["atime", "mtime", "ctime", "atimeNsec", "mtimeNsec", "ctimeNsec"]),
  ];
  return parts.join(" ") || "ok";
}

/**
 * One line a request, like strace: `LOOKUP nodeid=1 "etc" -> nodeid=2 entryTimeout=1 mode=040755 12us`.
 *
 * @example
 * ```ts ignore
 * import { formatTrace, mount } from "@fusewire/fusewire";
 *
 * await mount({}, "/mnt", { trace: (event) => console.error(formatTrace(event)) });
 * ```
 */
export function formatTrace(event: TraceEvent): string {
  const { opcode, nodeid, args, value, errno, duration } = event;
  const given = typeof args === "object" && args !== null ? fields(args, ["nodeid", "parent"]) : [];
  const got = errno === 0 ? answer(value) : errnoName(errno);
  return [
    opcode.replace(/^FUSE_/, ""),
    `nodeid=${nodeid}`,
    ...given,
    "->",
    got,
    `${Math.round(duration * 1000)}us`,
  ].join(" ");
}
