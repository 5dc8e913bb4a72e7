/** One request of each opcode: what the kernel sends, what the author sees and answers, what the kernel gets. */
import type { OpcodeName } from "../../src/abi/opcode.ts";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import type { Attr, Entry } from "../../src/fs/types.ts";
import { type Body, c, join, opendir, utf8, type Values, type Wire } from "../support/wire.ts";

/** A request and all that follows from it. */
export interface Case {
  /** What follows the header. */
  readonly parts: readonly (string | Uint8Array)[];
  /** The method that serves it. */
  readonly method: keyof Filesystem;
  /** What the method is called with, one after the other. */
  readonly args: readonly unknown[];
  /** What it answers. */
  readonly value?: unknown;
  /** What the kernel gets behind the header; null: no reply at all. */
  readonly body: Uint8Array | null;
  /** What it gets where the method is absent: an errno or a body; null: no reply at all. */
  readonly absent: string | Uint8Array | null;
  /** Sent before, so that there is a handle. */
  readonly before?: (wire: Wire) => void;
}

/** What opcodes without a method are answered: an errno or a body; null: no reply at all. */
export type Fixed = { readonly parts: readonly Uint8Array[]; readonly fixed: string | Uint8Array | null };

/** The nodeid of every request below. */
export const NODEID = 0x1234_5678_9abc;
/** Who sends every request below. */
export const WHO = { nodeid: NODEID, uid: 1000, gid: 4294967295, pid: 77 };
/** A number of an open file that needs more than 32 bits. */
export const FH = 2 ** 52 + 5;
const EMPTY = new Uint8Array(0);

/** Attributes in which no two fields are alike. */
export const ATTR: Attr = {
  ino: 0x8000_0000_0000_0001n,
  size: 2 ** 40 + 1,
  blocks: 3,
  atime: 4,
  mtime: -5,
  ctime: 2 ** 33 + 6,
  atimeNsec: 999_999_999,
  mtimeNsec: 8,
  ctimeNsec: 9,
  mode: 0o104755,
  nlink: 11,
  uid: 4294967295,
  gid: 13,
  rdev: 14,
  blksize: 512,
  submount: true,
};

/** The same as the kernel has them. */
export const ATTR_C: Values = {
  ino: 0x8000_0000_0000_0001n,
  size: 2 ** 40 + 1,
  blocks: 3,
  atime: 4,
  mtime: -5,
  ctime: 2 ** 33 + 6,
  atimensec: 999_999_999,
  mtimensec: 8,
  ctimensec: 9,
  mode: 0o104755,
  nlink: 11,
  uid: 4294967295,
  gid: 13,
  rdev: 14,
  blksize: 512,
  flags: 1,
};

/** An entry with these attributes. */
export const ENTRY: Entry = { nodeid: 2 ** 52, generation: 2 ** 51, attr: ATTR, entryTimeout: 1.5, attrTimeout: 2.25 };

/** The same as the kernel has it. */
export const ENTRY_C: Uint8Array = c("fuse_entry_out", {
  nodeid: 2 ** 52,
  generation: 2 ** 51,
  entry_valid: 1,
  attr_valid: 2,
  entry_valid_nsec: 500_000_000,
  attr_valid_nsec: 250_000_000,
  attr: ATTR_C,
});

/** All that an open can be answered with but a backing file. */
export const OPENED = {
  fh: FH,
  directIo: true,
  keepCache: true,
  nonSeekable: true,
  stream: true,
  noFlush: true,
  parallelDirectWrites: true,
};
// FOPEN_*: all but CACHE_DIR, 8, and PASSTHROUGH, 128.
const OPENED_C = c("fuse_open_out", { fh: FH, open_flags: 1 | 2 | 4 | 16 | 32 | 64 });

const LOCK = { start: 5n, end: 0x7fff_ffff_ffff_ffffn, type: 1, pid: 6 };
const OWNER = 0xfedc_ba98_7654_3210n;
const lock: Pick<Case, "parts" | "args"> = {
  parts: [c("fuse_lk_in", { fh: FH, owner: OWNER, lk: LOCK, lk_flags: 1 })],
  args: [{ nodeid: NODEID, fh: FH, owner: OWNER, lock: LOCK, flock: true }],
};

const create = c("fuse_create_in", { flags: 0o101102, mode: 0o100640, umask: 0o27, open_flags: 1 });
const created = { flags: 0o101102, mode: 0o100640, umask: 0o27 };
const copied = {
  nodeid: NODEID,
  fh: 1,
  offset: 2 ** 41,
  newNodeid: 3,
  newFh: FH,
  newOffset: 2 ** 42,
  length: 65536,
  flags: 0,
};
const copy = c("fuse_copy_file_range_in", {
  fh_in: 1,
  off_in: 2 ** 41,
  nodeid_out: 3,
  fh_out: FH,
  off_out: 2 ** 42,
  len: 65536,
});
const openedDirectory: Pick<Case, "before"> = { before: (wire) => void opendir(wire, NODEID) };
const list = c("fuse_read_in", { fh: 1, offset: 0, size: 4096 });
const listed = [{ name: "ab", ino: 2n ** 53n, mode: 0o100644, offset: 8 }];

function dirent(name: string, ino: number | bigint, off: number, type: number): Uint8Array {
  const bytes = utf8(name);
  const rest = new Uint8Array(8 * Math.ceil(bytes.length / 8) - bytes.length);
  return join(c("fuse_dirent", { ino, off, namelen: bytes.length, type }), bytes, rest);
}

/** One for each opcode. */
export const CASES: Record<OpcodeName, Case | Fixed> = {
  FUSE_LOOKUP: {
    parts: ["näme"],
    method: "lookup",
    args: [{ parent: NODEID, name: "näme" }],
    value: ENTRY,
    body: ENTRY_C,
    absent: "ENOSYS",
  },
  FUSE_FORGET: {
    parts: [c("fuse_forget_in", { nlookup: 2 ** 40 })],
    method: "forget",
    args: [{ nodeid: NODEID, nlookup: 2 ** 40 }],
    body: null,
    absent: null,
  },
  FUSE_GETATTR: {
    parts: [c("fuse_getattr_in", { getattr_flags: 1, fh: FH })],
    method: "getattr",
    args: [{ nodeid: NODEID, fh: FH }],
    value: { attr: ATTR, attrTimeout: 0.001 },
    body: c("fuse_attr_out", { attr_valid: 0, attr_valid_nsec: 1_000_000, attr: ATTR_C }),
    absent: "ENOSYS",
  },
  FUSE_SETATTR: {
    parts: [c("fuse_setattr_in", { valid: 1 | 8, size: 2 ** 40, mode: 0o100600, uid: 9 })],
    method: "setattr",
    args: [{ nodeid: NODEID, size: 2 ** 40, mode: 0o100600 }],
    value: { attr: ATTR, attrTimeout: 1 },
    body: c("fuse_attr_out", { attr_valid: 1, attr: ATTR_C }),
    absent: "ENOSYS",
  },
  FUSE_READLINK: {
    parts: [],
    method: "readlink",
    args: [{ nodeid: NODEID }],
    value: "../ä\udcff",
    body: Uint8Array.of(0x2e, 0x2e, 0x2f, 0xc3, 0xa4, 0xff),
    absent: "ENOSYS",
  },
  FUSE_SYMLINK: {
    parts: ["name", "the target"],
    method: "symlink",
    args: [{ parent: NODEID, name: "name", target: "the target" }],
    value: ENTRY,
    body: ENTRY_C,
    absent: "ENOSYS",
  },
  FUSE_MKNOD: {
    parts: [c("fuse_mknod_in", { mode: 0o020644, rdev: 0x103, umask: 0o22 }), "null"],
    method: "mknod",
    args: [{ parent: NODEID, name: "null", mode: 0o020644, umask: 0o22, rdev: 0x103 }],
    value: ENTRY,
    body: ENTRY_C,
    absent: "ENOSYS",
  },
  FUSE_MKDIR: {
    parts: [c("fuse_mkdir_in", { mode: 0o1777, umask: 0o77 }), "dir"],
    method: "mkdir",
    args: [{ parent: NODEID, name: "dir", mode: 0o1777, umask: 0o77 }],
    value: ENTRY,
    body: ENTRY_C,
    absent: "ENOSYS",
  },
  FUSE_UNLINK: {
    parts: ["gone"],
    method: "unlink",
    args: [{ parent: NODEID, name: "gone" }],
    body: EMPTY,
    absent: "ENOSYS",
  },
  FUSE_RMDIR: {
    parts: ["gone"],
    method: "rmdir",
    args: [{ parent: NODEID, name: "gone" }],
    body: EMPTY,
    absent: "ENOSYS",
  },
  FUSE_RENAME: {
    parts: [c("fuse_rename_in", { newdir: 2 ** 50 }), "old", "new"],
    method: "rename",
    args: [{ parent: NODEID, name: "old", newParent: 2 ** 50, newName: "new", flags: 0 }],
    body: EMPTY,
    absent: "ENOSYS",
  },
  FUSE_LINK: {
    parts: [c("fuse_link_in", { oldnodeid: 2 ** 49 }), "other"],
    method: "link",
    args: [{ nodeid: 2 ** 49, newParent: NODEID, newName: "other" }],
    value: ENTRY,
    body: ENTRY_C,
    absent: "ENOSYS",
  },
  FUSE_OPEN: {
    parts: [c("fuse_open_in", { flags: 0o102002, open_flags: 1 })],
    method: "open",
    args: [{ nodeid: NODEID, flags: 0o102002, killSuidgid: true }],
    value: OPENED,
    body: OPENED_C,
    absent: c("fuse_open_out"),
  },
  FUSE_READ: {
    parts: [c("fuse_read_in", { fh: FH, offset: 2 ** 52, size: 5, read_flags: 2, lock_owner: OWNER, flags: 0o100000 })],
    method: "read",
    args: [{ nodeid: NODEID, fh: FH, offset: 2 ** 52, size: 5, flags: 0o100000 }],
    value: utf8("hello"),
    body: utf8("hello"),
    absent: "ENOSYS",
  },
  FUSE_WRITE: {
    parts: [c("fuse_write_in", { fh: FH, offset: 2 ** 52, size: 3, write_flags: 1 | 4, flags: 1 }), utf8("abc")],
    method: "write",
    args: [{
      nodeid: NODEID,
      fh: FH,
      offset: 2 ** 52,
      data: utf8("abc"),
      flags: 1,
      fromCache: true,
      killSuidgid: true,
    }],
    value: 2,
    body: c("fuse_write_out", { size: 2 }),
    absent: "ENOSYS",
  },
  FUSE_STATFS: {
    parts: [],
    method: "statfs",
    args: [{ nodeid: NODEID }],
    value: { blocks: 2 ** 50, bfree: 2, bavail: 3, files: 4, ffree: 5, bsize: 6, namelen: 7, frsize: 8 },
    body: c("fuse_kstatfs", {
      blocks: 2 ** 50,
      bfree: 2,
      bavail: 3,
      files: 4,
      ffree: 5,
      bsize: 6,
      namelen: 7,
      frsize: 8,
    }),
    absent: c("fuse_kstatfs", { bsize: 4096, namelen: 255, frsize: 4096 }),
  },
  FUSE_RELEASE: {
    parts: [c("fuse_release_in", { fh: FH, flags: 0o100001, release_flags: 2, lock_owner: OWNER })],
    method: "release",
    args: [{ nodeid: NODEID, fh: FH, flags: 0o100001, flockOwner: OWNER }],
    body: EMPTY,
    absent: EMPTY,
  },
  FUSE_FSYNC: {
    parts: [c("fuse_fsync_in", { fh: FH, fsync_flags: 1 })],
    method: "fsync",
    args: [{ nodeid: NODEID, fh: FH, datasync: true }],
    body: EMPTY,
    absent: EMPTY,
  },
  FUSE_SETXATTR: {
    // 8 bytes: FUSE_SETXATTR_EXT is not asked for.
    parts: [c("fuse_setxattr_in", { size: 4, flags: 2 }).subarray(0, 8), "user.x", Uint8Array.of(0, 1, 0, 255)],
    method: "setxattr",
    args: [{ nodeid: NODEID, name: "user.x", value: Uint8Array.of(0, 1, 0, 255), flags: 2 }],
    body: EMPTY,
    absent: "ENOSYS",
  },
  FUSE_GETXATTR: {
    parts: [c("fuse_getxattr_in", { size: 4 }), "user.x"],
    method: "getxattr",
    args: [{ nodeid: NODEID, name: "user.x", size: 4 }],
    value: utf8("1234"),
    body: utf8("1234"),
    absent: "ENOSYS",
  },
  FUSE_LISTXATTR: {
    parts: [c("fuse_getxattr_in", { size: 100 })],
    method: "listxattr",
    args: [{ nodeid: NODEID, size: 100 }],
    value: ["user.a", "user.bä"],
    body: join("user.a", "user.bä"),
    absent: "ENOSYS",
  },
  FUSE_REMOVEXATTR: {
    parts: ["user.x"],
    method: "removexattr",
    args: [{ nodeid: NODEID, name: "user.x" }],
    body: EMPTY,
    absent: "ENOSYS",
  },
  FUSE_FLUSH: {
    parts: [c("fuse_flush_in", { fh: FH, lock_owner: OWNER })],
    method: "flush",
    args: [{ nodeid: NODEID, fh: FH, lockOwner: OWNER }],
    body: EMPTY,
    absent: "ENOSYS",
  },
  FUSE_INIT: { parts: [c("fuse_init_in", { major: 7, minor: 45 })], fixed: "EIO" },
  FUSE_OPENDIR: {
    parts: [c("fuse_open_in", { flags: 0o200000 })],
    method: "opendir",
    args: [{ nodeid: NODEID, flags: 0o200000, killSuidgid: false }],
    value: { fh: FH, cacheDir: true, keepCache: true },
    // The number is the session's own; CACHE_DIR 8, KEEP_CACHE 2.
    body: c("fuse_open_out", { fh: 1, open_flags: 10 }),
    absent: c("fuse_open_out", { fh: 1 }),
  },
  FUSE_READDIR: {
    ...openedDirectory,
    parts: [list],
    method: "readdir",
    args: [{ nodeid: NODEID, fh: 0, offset: 0 }],
    value: listed,
    body: join(
      dirent(".", NODEID, 1, 4),
      dirent("..", 0xffffffff, 2, 4),
      dirent("ab", 2n ** 53n, 10, 8),
    ),
    absent: "ENOSYS",
  },
  FUSE_RELEASEDIR: {
    ...openedDirectory,
    parts: [c("fuse_release_in", { fh: 1, flags: 0o200000 })],
    method: "releasedir",
    args: [{ nodeid: NODEID, fh: 0, flags: 0o200000 }],
    body: EMPTY,
    absent: EMPTY,
  },
  FUSE_FSYNCDIR: {
    ...openedDirectory,
    parts: [c("fuse_fsync_in", { fh: 1 })],
    method: "fsyncdir",
    args: [{ nodeid: NODEID, fh: 0, datasync: false }],
    body: EMPTY,
    absent: "ENOSYS",
  },
  FUSE_GETLK: { ...lock, method: "getlk", value: LOCK, body: c("fuse_lk_out", { lk: LOCK }), absent: "ENOSYS" },
  FUSE_SETLK: { ...lock, method: "setlk", body: EMPTY, absent: "ENOSYS" },
  FUSE_SETLKW: { ...lock, method: "setlkw", body: EMPTY, absent: "ENOSYS" },
  FUSE_ACCESS: {
    parts: [c("fuse_access_in", { mask: 5 })],
    method: "access",
    args: [{ nodeid: NODEID, mask: 5 }],
    body: EMPTY,
    absent: "ENOSYS",
  },
  FUSE_CREATE: {
    parts: [create, "new"],
    method: "create",
    args: [{ parent: NODEID, name: "new", ...created, killSuidgid: true }],
    value: { entry: ENTRY, ...OPENED },
    body: join(ENTRY_C, OPENED_C),
    absent: "ENOSYS",
  },
  FUSE_INTERRUPT: { parts: [c("fuse_interrupt_in", { unique: 2 })], fixed: null },
  FUSE_BMAP: {
    parts: [c("fuse_bmap_in", { block: 2 ** 45, blocksize: 512 })],
    method: "bmap",
    args: [{ nodeid: NODEID, block: 2 ** 45, blocksize: 512 }],
    value: 2 ** 46,
    body: c("fuse_bmap_out", { block: 2 ** 46 }),
    absent: "ENOSYS",
  },
  FUSE_DESTROY: { parts: [], fixed: EMPTY },
  FUSE_IOCTL: {
    parts: [c("fuse_ioctl_in", { fh: FH, cmd: 0xc0045501, arg: OWNER, in_size: 3, out_size: 4 }), utf8("abc")],
    method: "ioctl",
    args: [{
      nodeid: NODEID,
      fh: FH,
      cmd: 0xc0045501,
      arg: OWNER,
      data: utf8("abc"),
      outSize: 4,
      directory: false,
      unrestricted: false,
      compat: false,
    }],
    value: { result: -5, data: utf8("wxyz") },
    body: join(c("fuse_ioctl_out", { result: -5 }), utf8("wxyz")),
    absent: "ENOSYS",
  },
  FUSE_POLL: {
    parts: [c("fuse_poll_in", { fh: FH, kh: OWNER, flags: 1, events: 5 })],
    method: "poll",
    args: [{ nodeid: NODEID, fh: FH, kh: OWNER, events: 5, notify: true }],
    value: 4,
    body: c("fuse_poll_out", { revents: 4 }),
    absent: "ENOSYS",
  },
  FUSE_NOTIFY_REPLY: { parts: [c("fuse_notify_retrieve_in", { size: 3 }), utf8("abc")], fixed: null },
  FUSE_BATCH_FORGET: {
    parts: [
      c("fuse_batch_forget_in", { count: 2 }),
      c("fuse_forget_one", { nodeid: 2 ** 53 - 1, nlookup: 1 }),
      c("fuse_forget_one", { nodeid: 3, nlookup: 2 ** 33 }),
    ],
    method: "forget",
    args: [{ nodeid: 2 ** 53 - 1, nlookup: 1 }, { nodeid: 3, nlookup: 2 ** 33 }],
    body: null,
    absent: null,
  },
  FUSE_FALLOCATE: {
    parts: [c("fuse_fallocate_in", { fh: FH, offset: 2 ** 43, length: 2 ** 44, mode: 3 })],
    method: "fallocate",
    args: [{ nodeid: NODEID, fh: FH, offset: 2 ** 43, length: 2 ** 44, mode: 3 }],
    body: EMPTY,
    absent: "EOPNOTSUPP",
  },
  FUSE_READDIRPLUS: {
    ...openedDirectory,
    parts: [list],
    method: "readdir",
    args: [{ nodeid: NODEID, fh: 0, offset: 0 }],
    value: listed,
    // Without a method lookup there are no attributes.
    body: join(
      ...[dirent(".", NODEID, 1, 4), dirent("..", 0xffffffff, 2, 4), dirent("ab", 2n ** 53n, 10, 8)]
        .flatMap((d) => [c("fuse_entry_out"), d]),
    ),
    absent: "ENOSYS",
  },
  FUSE_RENAME2: {
    parts: [c("fuse_rename2_in", { newdir: 2 ** 50, flags: 2 }), "old", "new"],
    method: "rename",
    args: [{ parent: NODEID, name: "old", newParent: 2 ** 50, newName: "new", flags: 2 }],
    body: EMPTY,
    absent: "ENOSYS",
  },
  FUSE_LSEEK: {
    parts: [c("fuse_lseek_in", { fh: FH, offset: 2 ** 47, whence: 4 })],
    method: "lseek",
    args: [{ nodeid: NODEID, fh: FH, offset: 2 ** 47, whence: 4 }],
    value: 2 ** 48,
    body: c("fuse_lseek_out", { offset: 2 ** 48 }),
    absent: "ENOSYS",
  },
  FUSE_COPY_FILE_RANGE: {
    parts: [copy],
    method: "copyFileRange",
    args: [copied],
    value: 65536,
    body: c("fuse_write_out", { size: 65536 }),
    absent: "EOPNOTSUPP",
  },
  FUSE_SETUPMAPPING: { parts: [c("fuse_setupmapping_in")], fixed: "ENOSYS" },
  FUSE_REMOVEMAPPING: { parts: [c("fuse_removemapping_in")], fixed: "ENOSYS" },
  FUSE_SYNCFS: {
    parts: [c("fuse_syncfs_in")],
    method: "syncfs",
    args: [{ nodeid: NODEID }],
    body: EMPTY,
    absent: "ENOSYS",
  },
  FUSE_TMPFILE: {
    parts: [create],
    method: "tmpfile",
    args: [{ parent: NODEID, ...created }],
    value: { entry: ENTRY, ...OPENED },
    body: join(ENTRY_C, OPENED_C),
    absent: "ENOSYS",
  },
  FUSE_STATX: {
    parts: [c("fuse_statx_in", { getattr_flags: 1, fh: FH, sx_flags: 0x100, sx_mask: 0xfff })],
    method: "statx",
    args: [{ nodeid: NODEID, fh: FH, flags: 0x100, mask: 0xfff }],
    value: {
      attr: { ...ATTR, rdev: 0x12345678 },
      attrTimeout: 3.5,
      btime: -1,
      btimeNsec: 10,
      attributes: 0x10,
      attributesMask: 0x74,
    },
    body: c("fuse_statx_out", {
      attr_valid: 3,
      attr_valid_nsec: 500_000_000,
      stat: {
        // STATX_BASIC_STATS and STATX_BTIME.
        mask: 0xfff,
        blksize: 512,
        attributes: 0x10,
        nlink: 11,
        uid: 4294967295,
        gid: 13,
        mode: 0o104755,
        ino: 0x8000_0000_0000_0001n,
        size: 2 ** 40 + 1,
        blocks: 3,
        attributes_mask: 0x74,
        atime: { tv_sec: 4, tv_nsec: 999_999_999 },
        btime: { tv_sec: -1, tv_nsec: 10 },
        ctime: { tv_sec: 2 ** 33 + 6, tv_nsec: 9 },
        mtime: { tv_sec: -5, tv_nsec: 8 },
        // The kernel's 32 bits: 12 of the minor, 12 of the major, 8 of the minor.
        rdev_major: 0x456,
        rdev_minor: 0x12378,
      },
    }),
    absent: "ENOSYS",
  },
  FUSE_COPY_FILE_RANGE_64: {
    parts: [copy],
    method: "copyFileRange",
    args: [copied],
    value: 65535,
    body: c("fuse_copy_file_range_out", { bytes_copied: 65535 }),
    absent: "EOPNOTSUPP",
  },
  CUSE_INIT: { parts: [c("cuse_init_in")], fixed: "ENOSYS" },
};

/** Those that a method serves. */
export const SERVED: readonly (readonly [OpcodeName, Case])[] = Object.entries(CASES)
  .filter(([, row]) => "method" in row) as [OpcodeName, Case][];

/** The request of a case. */
export function bodyOf(row: Case | Fixed): Body {
  return { ...WHO, parts: row.parts };
}
