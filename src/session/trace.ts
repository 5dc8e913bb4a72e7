/**
 * What passes between the kernel and a file system, to be looked at.
 *
 * @module
 */
import type { OpcodeName } from "../abi/opcode.ts";
import { errnoName } from "../errno.ts";
import { TABLE } from "../ops/table.ts";

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

const NAME = /^(name|newName|target)$/;
const OCTAL = /^(mode|umask)$/;
const HEX = /^(flags2?|mask|cmd|arg|events|kh|attributes|attributesMask)$|[oO]wner$/;
const TIME = /^[amc]time(Nsec)?$/;

/** A value, if it is worth its place in one line. */
function show(key: string, value: unknown): string | null {
  switch (typeof value) {
    case "number":
    case "bigint":
      if (OCTAL.test(key)) return `${key}=0${value.toString(8)}`;
      return HEX.test(key) ? `${key}=0x${value.toString(16)}` : `${key}=${value}`;
    case "boolean":
      return value ? key : null;
    case "string":
      return NAME.test(key) ? JSON.stringify(value) : `${key}=${value}`;
    case "object":
      if (value instanceof Uint8Array) return `${key}=<${value.length} bytes>`;
      if (value instanceof Set) return `${key}=${[...value].join("|")}`;
      if (Array.isArray(value)) return `${key}=<${value.length}>`;
      return value !== null && /^(lock|retry)$/.test(key) ? fields(value).join(" ") : null;
    default:
      return null;
  }
}

function fields(value: object, skip?: RegExp): string[] {
  return Object.entries(value).filter(([key]) => !skip?.test(key)).map(([key, field]) => show(key, field))
    .filter((text) => text !== null && text !== "") as string[];
}

/** Whom it is about, and what was asked. */
function question({ nodeid, args }: TraceEvent): string[] {
  if (Array.isArray(args)) return [`nodeid=${nodeid}`, `<${args.length} inodes>`];
  if (typeof args !== "object" || args === null) return [`nodeid=${nodeid}`];
  // A link's own is not the request's, which is that of the directory.
  const { nodeid: own = nodeid } = args as { nodeid?: number };
  return [`nodeid=${own}`, ...fields(args, /^(nodeid|parent)$/)];
}

/** What was answered, in the words of its type. */
function answer(value: unknown): string {
  if (value === null || value === undefined) return "ok";
  if (value instanceof Uint8Array) return `<${value.length} bytes>`;
  if (Array.isArray(value)) return `<${value.length} names>`;
  if (typeof value !== "object") return typeof value === "string" ? JSON.stringify(value) : String(value);
  const { attr, entry, ...rest } = value as { attr?: object; entry?: { attr?: object } };
  const parts = [...fields(entry ?? {}), ...fields(rest), ...fields(attr ?? entry?.attr ?? {}, TIME)];
  return parts.join(" ") || "ok";
}

/**
 * One line a request, like strace: `LOOKUP nodeid=1 "etc" -> nodeid=2 entryTimeout=1 mode=040755 12us`. What is never
 * answered has no arrow.
 *
 * @example
 * ```ts
 * import { formatTrace, mount } from "@fusewire/fusewire";
 * import { memory } from "@fusewire/fusewire/kit";
 *
 * const mountpoint = await Deno.makeTempDir();
 * const session = await mount(memory(), mountpoint, { trace: (event) => console.error(formatTrace(event)) });
 * await Deno.stat(mountpoint);
 * await session.unmount();
 * await Deno.remove(mountpoint);
 * ```
 */
export function formatTrace(event: TraceEvent): string {
  const { opcode, value, errno, duration } = event;
  const silent = TABLE[opcode as OpcodeName]?.silent === true;
  const got = errno !== 0 ? ["->", errnoName(errno)] : silent ? [] : ["->", answer(value)];
  return [opcode.replace(/^FUSE_/, ""), ...question(event), ...got, `${Math.round(duration * 1000)}us`].join(" ");
}
