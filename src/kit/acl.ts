/**
 * POSIX access control lists, as the extended attributes `system.posix_acl_access` and `system.posix_acl_default` hold
 * them. Source: `acl(5)`, `linux/posix_acl_xattr.h`.
 *
 * @module
 */
import { FuseError } from "../errno.ts";

/** The attribute that holds the list by which a file is accessed. Source: `acl(5)`. */
export const ACL_ACCESS = "system.posix_acl_access";
/** The attribute of a directory that holds the list for what is made in it. Source: `acl(5)`. */
export const ACL_DEFAULT = "system.posix_acl_default";

/** Whom an entry is about. Source: `linux/posix_acl.h`. */
export const ACL_TAG = {
  USER_OBJ: 0x01,
  USER: 0x02,
  GROUP_OBJ: 0x04,
  GROUP: 0x08,
  MASK: 0x10,
  OTHER: 0x20,
} as const;

/** One entry of a list. */
export interface AclEntry {
  /** Whom it is about: one of {@linkcode ACL_TAG}. */
  readonly tag: number;
  /** Read 4, write 2, execute 1. */
  readonly perm: number;
  /** The user or group of USER and GROUP; 4294967295 elsewhere. */
  readonly id: number;
}

/** A list, in the order that it is checked in. */
export type Acl = readonly AclEntry[];

const VERSION = 2;
const HEADER = 4, ENTRY = 8;
const NO_ID = 0xffffffff;

/** Reads a list. EOPNOTSUPP: of another version; EINVAL: it is none, or lacks an entry that it must have. */
export function parseAcl(value: Uint8Array): Acl {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  if (value.length < HEADER) throw new FuseError("EINVAL");
  if (view.getUint32(0, true) !== VERSION) throw new FuseError("EOPNOTSUPP");
  if ((value.length - HEADER) % ENTRY !== 0) throw new FuseError("EINVAL");
  const acl: AclEntry[] = [];
  for (let at = HEADER; at < value.length; at += ENTRY) {
    const tag = view.getUint16(at, true);
    const named = tag === ACL_TAG.USER || tag === ACL_TAG.GROUP;
    acl.push({ tag, perm: view.getUint16(at + 2, true), id: named ? view.getUint32(at + 4, true) : NO_ID });
  }
  if (acl.length > 0 && !isValid(acl)) throw new FuseError("EINVAL");
  return acl;
}

const LETTERS: Readonly<Record<number, string>> = {
  [ACL_TAG.USER_OBJ]: "u",
  [ACL_TAG.USER]: "U",
  [ACL_TAG.GROUP_OBJ]: "g",
  [ACL_TAG.GROUP]: "G",
  [ACL_TAG.MASK]: "m",
  [ACL_TAG.OTHER]: "o",
};

/** Each of the three classes once, in order; a mask at most once, and where others are named. */
function isValid(acl: Acl): boolean {
  if (acl.some(({ perm, tag, id }) => perm > 7 || id === NO_ID && /[UG]/.test(LETTERS[tag]))) return false;
  return /^(ugm?o|uU*gG*mo)$/.test(acl.map(({ tag }) => LETTERS[tag] ?? "?").join(""));
}

/**
 * The value of the extended attribute that holds a list: a version, 4 bytes, then 8 bytes an entry for `tag`, `perm`
 * and `id`, all little-endian. Throws nothing: what {@linkcode parseAcl} would refuse is written as it is. Source:
 * `linux/posix_acl_xattr.h`.
 */
export function formatAcl(acl: Acl): Uint8Array {
  const value = new Uint8Array(HEADER + acl.length * ENTRY);
  const view = new DataView(value.buffer);
  view.setUint32(0, VERSION, true);
  acl.forEach(({ tag, perm, id }, i) => {
    view.setUint16(HEADER + i * ENTRY, tag, true);
    view.setUint16(HEADER + i * ENTRY + 2, perm, true);
    view.setUint32(HEADER + i * ENTRY + 4, id, true);
  });
  return value;
}

/** Whether it says no more than permission bits do. */
export function isMinimal(acl: Acl): boolean {
  return acl.length === 3;
}

/** The mode of a file that is given this access list: the group's bits are those of the mask, where it has one. */
export function aclMode(acl: Acl, mode: number): number {
  const perm = (tag: number) => acl.find((entry) => entry.tag === tag)?.perm;
  const { USER_OBJ, GROUP_OBJ, MASK, OTHER } = ACL_TAG;
  return mode & ~0o777 | perm(USER_OBJ)! << 6 | (perm(MASK) ?? perm(GROUP_OBJ)!) << 3 | perm(OTHER)!;
}

/** The entry that the group's bits of a mode stand for. */
const classOf = (acl: Acl) => acl.some(({ tag }) => tag === ACL_TAG.MASK) ? ACL_TAG.MASK : ACL_TAG.GROUP_OBJ;

/**
 * The access list of a file whose mode was changed: USER_OBJ and OTHER get the bits of their class, and those of the
 * group go to MASK, where there is one, else to GROUP_OBJ. All other entries stay. Source: `acl(5)`, "correspondence
 * between ACL entries and file permission bits".
 *
 * @example
 * ```ts
 * import { ACL_TAG, aclMode, chmodAcl, formatAcl, parseAcl } from "@fusewire/fusewire/kit";
 *
 * const { USER_OBJ, USER, GROUP_OBJ, MASK, OTHER } = ACL_TAG, id = 0xffffffff;
 * // As `setfacl -m u:1000:rw` makes it of a file with mode 0o644.
 * const value = formatAcl([
 *   { tag: USER_OBJ, perm: 6, id },
 *   { tag: USER, perm: 6, id: 1000 },
 *   { tag: GROUP_OBJ, perm: 4, id },
 *   { tag: MASK, perm: 6, id },
 *   { tag: OTHER, perm: 4, id },
 * ]);
 * const acl = parseAcl(value);
 * console.log(aclMode(acl, 0o100644).toString(8)); // 100664
 * const less = chmodAcl(acl, 0o100640);
 * console.log(less.map(({ perm }) => perm)); // [6, 6, 4, 4, 0]
 * ```
 */
export function chmodAcl(acl: Acl, mode: number): Acl {
  const group = classOf(acl);
  const perms: Record<number, number> = {
    [ACL_TAG.USER_OBJ]: mode >> 6 & 7,
    [group]: mode >> 3 & 7,
    [ACL_TAG.OTHER]: mode & 7,
  };
  return acl.map((entry) => ({ ...entry, perm: perms[entry.tag] ?? entry.perm }));
}

/**
 * What is made in a directory with this default list gets: a mode, for which the umask does not count, and an access
 * list where that says more. Source: `acl(5)`, "object creation and default ACLs".
 */
export function inheritAcl(inherited: Acl, mode: number): { mode: number; acl: Acl | null } {
  const bits = mode & 0o777;
  const limits: Record<number, number> = {
    [ACL_TAG.USER_OBJ]: bits >> 6,
    [classOf(inherited)]: bits >> 3 & 7,
    [ACL_TAG.OTHER]: bits & 7,
  };
  const acl = inherited.map((entry) => ({ ...entry, perm: entry.perm & (limits[entry.tag] ?? 7) }));
  return { mode: aclMode(acl, mode), acl: isMinimal(acl) ? null : acl };
}
