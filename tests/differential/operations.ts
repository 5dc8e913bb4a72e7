/**
 * What is done to a directory: calls with paths from a small pool, so that they meet the same files again and again.
 */
import fc from "fast-check";
import { type Acl, ACL_ACCESS, ACL_DEFAULT, ACL_TAG } from "../../src/kit/acl.ts";

/** Where an open file is kept; opening another there closes it. */
export type Slot = 0 | 1 | 2;

/** Flags of `open(2)`, without `O_`. */
export type OpenFlag =
  | "CREAT"
  | "EXCL"
  | "TRUNC"
  | "APPEND"
  | "DIRECTORY"
  | "NOFOLLOW"
  | "PATH"
  | "TMPFILE"
  | "NOATIME"
  | "DIRECT";

/** Flags that an open file may be given, and lose. */
export type StatusFlag = "APPEND" | "NOATIME" | "DIRECT";

/** Flags of `pwritev2(2)`, without `RWF_`. */
export type WriteFlag = "APPEND" | "NOAPPEND" | "DSYNC";

/** Flags of `renameat2(2)`, without `RENAME_`. */
export type RenameFlag = "NOREPLACE" | "EXCHANGE" | "WHITEOUT";

/** Modes of `fallocate(2)`, without `FALLOC_FL_`; those that tmpfs has. */
export type FallocateFlag = "KEEP_SIZE" | "PUNCH_HOLE";

/** What a time is set to: the clock's, the one that it has, or seconds since the epoch. */
export type Time = "now" | "omit" | number;

/** Who acts: root; a user without privileges; another one, who is of the first one's group too. */
export type Person = "root" | "somebody" | "member";

/**
 * One operation. Paths are relative to the directory; `@1` is what slot 1 holds, and `@1/a` what that directory holds,
 * also where it has no name any more. Names are as `src/abi/text.ts` has them.
 */
export type Operation =
  | {
    call: "open";
    slot: Slot;
    path: string;
    access: "RDONLY" | "WRONLY" | "RDWR";
    flags: readonly OpenFlag[];
    mode: number;
  }
  | { call: "close" | "fsync" | "fstat" | "list"; slot: Slot }
  /** At the file's position, or at an offset. */
  | { call: "read"; slot: Slot; length: number; offset: number | null }
  | { call: "write"; slot: Slot; length: number; offset: number | null; fill: number; how: WriteFlag | null }
  /** Through a shared mapping of pages, as far as the file goes: looks at it, or fills it. */
  | { call: "mmap"; slot: Slot; page: number; length: number; fill: number | null }
  | { call: "setfl"; slot: Slot; flags: readonly StatusFlag[] }
  | { call: "ftruncate"; slot: Slot; length: number }
  | { call: "truncate"; path: string; length: number }
  | { call: "fallocate"; slot: Slot; flags: readonly FallocateFlag[]; offset: number; length: number }
  | { call: "lseek"; slot: Slot; offset: number; whence: "SET" | "CUR" | "END" | "DATA" | "HOLE" }
  | { call: "copy"; from: Slot; offset: number; to: Slot; toOffset: number; length: number }
  | { call: "link"; path: string; newPath: string; follow: boolean }
  | { call: "symlink"; target: string; path: string }
  | { call: "unlink" | "rmdir" | "readlink" | "readdir"; path: string }
  | { call: "mkdir" | "chmod"; path: string; mode: number }
  | { call: "rename"; path: string; newPath: string; flags: readonly RenameFlag[] }
  | { call: "mknod"; path: string; type: "regular" | "fifo" | "socket"; mode: number }
  | { call: "chown"; path: string; uid: number; gid: number; follow: boolean }
  | { call: "fchmod"; slot: Slot; mode: number }
  | { call: "utimens"; path: string; atime: Time; mtime: Time; follow: boolean }
  | { call: "access"; path: string; mode: number }
  | { call: "stat"; path: string; follow: boolean }
  | {
    call: "setxattr";
    path: string;
    name: string;
    length: number;
    flag: "any" | "create" | "replace";
    follow: boolean;
  }
  | { call: "getxattr" | "removexattr"; path: string; name: string; follow: boolean }
  | { call: "listxattr"; path: string; follow: boolean }
  | { call: "setfacl"; path: string; name: string; acl: Acl }
  /** Who acts from here on. */
  | { call: "become"; who: Person }
  /** The kernel forgets all names and files that are not in use. */
  | { call: "forget" }
  | { call: "umask"; mask: number }
  /** Tells of the next operation whose time of modification and of change it sets. */
  | { call: "watch" }
  /** If the next operation has names alone, it is done to the source of a mirror. */
  | { call: "outside" };

/** The longest name. */
const LONG = "n".repeat(255);

const name = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom("a", "b", "c", "d") },
  // Bytes that are no UTF-8; characters of two and of four bytes.
  { weight: 2, arbitrary: fc.constantFrom("x\udcff\udc80", "é", "😀") },
  { weight: 1, arbitrary: fc.constantFrom(LONG, `${LONG}n`, ".", "..") },
);
// `d` is a directory in the beginning.
const parent = fc.oneof({ weight: 3, arbitrary: fc.constant("d") }, { weight: 1, arbitrary: name });
// None is absolute, and none leads up by more than one level: what is done by root has to stay where it is.
const child = name.filter((name) => name !== "..");
const held = fc.constantFrom("@0", "@1", "@2");
const path = fc.oneof(
  { weight: 24, arbitrary: name },
  { weight: 12, arbitrary: fc.tuple(parent, name).map((names) => names.join("/")) },
  { weight: 2, arbitrary: fc.tuple(parent, name, name).map((names) => names.join("/")) },
  { weight: 1, arbitrary: fc.tuple(parent, name, name, name).map((names) => names.join("/")) },
  { weight: 2, arbitrary: held },
  { weight: 2, arbitrary: fc.tuple(held, child).map((names) => names.join("/")) },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constantFrom("", "./", "../"), name, fc.constantFrom("/", "//", "/.", "/.."))
      .map(([before, name, behind]) => before + name + behind),
  },
);

const target = fc.oneof(
  { weight: 4, arbitrary: child },
  { weight: 2, arbitrary: child.map((name) => `d/${name}`) },
  { weight: 1, arbitrary: child.map((name) => `../${name}`) },
  { weight: 1, arbitrary: fc.constantFrom("", "..", "d/", `${LONG}/`.repeat(15), `${LONG}/`.repeat(16)) },
);

const slot = fc.constantFrom<Slot[]>(0, 1, 2);
const page = fc.tuple(fc.nat(10), fc.constantFrom(-1, 0, 1)).map(([n, off]) => Math.max(0, n * 4096 + off));
const offset = fc.oneof(
  { weight: 6, arbitrary: fc.nat(9000) },
  { weight: 6, arbitrary: page },
  { weight: 2, arbitrary: fc.constantFrom(131_071, 131_072, 262_144) },
  { weight: 1, arbitrary: fc.constantFrom(-1, 2 ** 31 - 1, 2 ** 32 + 4095, 2 ** 40) },
);
const length = fc.oneof(
  { weight: 6, arbitrary: fc.nat(9000) },
  { weight: 6, arbitrary: page },
  { weight: 1, arbitrary: fc.constantFrom(131_072, 131_073, 300_000) },
);
const fill = fc.integer({ min: 1, max: 255 });
/** Of what takes up room, and so has no offsets beyond what the disk has. */
const near = fc.oneof(fc.nat(9000), page, fc.constantFrom(-1, 131_072, 262_143));
const mode = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(0o644, 0o755, 0o777, 0o600) },
  { weight: 1, arbitrary: fc.constantFrom(0o2777, 0o2755, 0o1777, 0o3777, 0o4755, 0o6775) },
  { weight: 2, arbitrary: fc.nat(0o7777) },
);
/** Users and groups, and `(uid_t) -1`: as it is. */
const owner = fc.constantFrom(2 ** 32 - 1, 0, 1, 65534);
const time = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom<Time[]>("now", "omit") },
  { weight: 8, arbitrary: fc.integer({ min: -1000, max: 1_500_000_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(-(2 ** 31) - 1, 2 ** 32, 2 ** 34, -(2 ** 40)) },
);
const list = fc.constantFrom(ACL_ACCESS, ACL_DEFAULT);
const attribute = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("user.a", "user.b") },
  { weight: 1, arbitrary: fc.constantFrom("user.\udcff", "user.", "trusted.a", "security.a", "nowhere.a") },
  { weight: 1, arbitrary: list },
);
const perm = fc.nat(7);
/** Lists as they have to be; now and then one that lacks its mask, or has one for nobody. */
const acl: fc.Arbitrary<Acl> = fc.record({
  user: perm,
  users: fc.dictionary(fc.constantFrom("1", "65534"), perm, { maxKeys: 2 }),
  group: perm,
  groups: fc.dictionary(fc.constantFrom("1", "65534"), perm, { maxKeys: 1 }),
  mask: perm,
  masked: fc.option(fc.boolean(), { freq: 8 }),
  other: perm,
}).map(({ user, users, group, groups, mask, masked, other }) => {
  const nobody = 2 ** 32 - 1;
  const named = (tag: number, whom: Record<string, number>) =>
    Object.entries(whom).map(([id, perm]) => ({ tag, perm, id: Number(id) }));
  const others = [...named(ACL_TAG.USER, users), ...named(ACL_TAG.GROUP, groups)];
  return [
    { tag: ACL_TAG.USER_OBJ, perm: user, id: nobody },
    ...others.filter(({ tag }) => tag === ACL_TAG.USER),
    { tag: ACL_TAG.GROUP_OBJ, perm: group, id: nobody },
    ...others.filter(({ tag }) => tag === ACL_TAG.GROUP),
    ...masked ?? others.length > 0 ? [{ tag: ACL_TAG.MASK, perm: mask, id: nobody }] : [],
    { tag: ACL_TAG.OTHER, perm: other, id: nobody },
  ];
});
const openFlags = fc.uniqueArray(
  fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom<OpenFlag[]>("CREAT", "TRUNC") },
    { weight: 2, arbitrary: fc.constantFrom<OpenFlag[]>("EXCL", "APPEND") },
    {
      weight: 1,
      arbitrary: fc.constantFrom<OpenFlag[]>("DIRECTORY", "NOFOLLOW", "PATH", "TMPFILE", "NOATIME", "DIRECT"),
    },
  ),
  { maxLength: 3 },
);

/** An operation whose arguments are drawn from these. */
function drawn<C extends Operation["call"]>(
  weight: number,
  call: C | readonly C[],
  args: { [K in Exclude<keyof Extract<Operation, { call: C }>, "call">]: fc.Arbitrary<unknown> },
): { weight: number; arbitrary: fc.Arbitrary<Operation> } {
  const calls = fc.constantFrom(...[call].flat() as C[]);
  return { weight, arbitrary: fc.record({ call: calls, ...args }) as fc.Arbitrary<unknown> as fc.Arbitrary<Operation> };
}

const follow = fc.boolean();

/** Any operation. */
export const operation: fc.Arbitrary<Operation> = fc.oneof(
  drawn(14, "open", {
    slot,
    path,
    access: fc.constantFrom("RDONLY", "WRONLY", "RDWR", "RDWR"),
    flags: openFlags,
    mode,
  }),
  // Directories, and files without a name, which some other draw may give them.
  drawn(3, "open", {
    slot,
    path: fc.constantFrom("d", "d", "b", ".", "@0"),
    access: fc.constantFrom("RDONLY", "RDWR", "RDWR"),
    flags: fc.constantFrom(["DIRECTORY"], ["TMPFILE"], ["TMPFILE"], ["TMPFILE", "EXCL"]),
    mode,
  }),
  drawn(2, "link", { path: held, newPath: path, follow: fc.constant(true) }),
  drawn(6, ["close", "fsync", "fstat", "fstat", "fstat", "list"], { slot }),
  drawn(8, "read", { slot, length, offset: fc.option(offset) }),
  drawn(12, "write", {
    slot,
    length,
    offset: fc.option(offset),
    fill,
    how: fc.option(fc.constantFrom("APPEND", "NOAPPEND", "DSYNC"), { freq: 6 }),
  }),
  drawn(3, "mmap", { slot, page: fc.nat(3), length, fill: fc.option(fill, { freq: 3 }) }),
  drawn(1, "setfl", { slot, flags: fc.subarray<StatusFlag>(["APPEND", "NOATIME", "DIRECT"]) }),
  drawn(4, "ftruncate", { slot, length: offset }),
  drawn(1, "truncate", { path, length: offset }),
  drawn(4, "fallocate", {
    slot,
    flags: fc.constantFrom([], ["KEEP_SIZE"], ["PUNCH_HOLE", "KEEP_SIZE"], ["PUNCH_HOLE"]),
    offset: near,
    length: near,
  }),
  drawn(4, "lseek", { slot, offset, whence: fc.constantFrom("SET", "CUR", "END", "DATA", "DATA", "HOLE", "HOLE") }),
  drawn(4, "copy", { from: slot, offset, to: slot, toOffset: near, length }),
  drawn(5, "link", { path, newPath: path, follow }),
  drawn(5, "symlink", { target, path }),
  drawn(16, ["unlink", "unlink", "rmdir", "readlink", "readdir"], { path }),
  drawn(10, ["mkdir", "mkdir", "chmod"], { path, mode }),
  drawn(12, "rename", {
    path,
    newPath: path,
    flags: fc.oneof(
      { weight: 4, arbitrary: fc.constant([]) },
      { weight: 4, arbitrary: fc.constantFrom(["NOREPLACE"], ["EXCHANGE"], ["EXCHANGE"]) },
      { weight: 1, arbitrary: fc.constantFrom(["WHITEOUT"], ["NOREPLACE", "EXCHANGE"], ["WHITEOUT", "EXCHANGE"]) },
    ),
  }),
  drawn(3, "mknod", { path, type: fc.constantFrom("fifo", "regular", "socket"), mode }),
  drawn(4, "chown", { path, uid: owner, gid: owner, follow }),
  drawn(1, "fchmod", { slot, mode }),
  drawn(4, "utimens", { path, atime: time, mtime: time, follow }),
  drawn(1, "access", { path, mode: fc.nat(7) }),
  drawn(8, "stat", { path, follow }),
  drawn(5, "setxattr", {
    path,
    name: attribute,
    length: fc.oneof(fc.nat(40), fc.constant(500)),
    flag: fc.constantFrom("any", "create", "replace"),
    follow,
  }),
  drawn(4, ["getxattr", "removexattr"], { path, name: attribute, follow }),
  drawn(2, "listxattr", { path, follow }),
  drawn(3, "setfacl", { path, name: list, acl }),
  drawn(4, "become", { who: fc.constantFrom("root", "somebody", "member") }),
  drawn(1, "umask", { mask: fc.constantFrom(0o022, 0, 0o077, 0o777) }),
  drawn(3, "watch", {}),
  drawn(2, "forget", {}),
  drawn(8, "outside", {}),
);

const TAGS = Object.fromEntries(Object.entries(ACL_TAG).map(([name, tag]) => [tag, name]));

/** The operation as a person would write it: `rename("a", "b", EXCHANGE)`. */
export function show({ call, ...args }: Operation): string {
  const words = Object.entries(args).map(([key, value]) => {
    if (key === "mode" || key === "mask") return `0${value.toString(8)}`;
    if (key === "path" || key === "newPath" || key === "target" || key === "name") {
      return JSON.stringify(value).replace(/n{9,}/g, ({ length }) => `n×${length}`);
    }
    if (key === "acl") return (value as Acl).map(({ tag, perm, id }) => `${TAGS[tag]} ${id | 0} ${perm}`).join(", ");
    return `${key} ${Array.isArray(value) ? value.join("|") || 0 : value}`;
  });
  return `${call}(${words.join(", ")})`;
}
