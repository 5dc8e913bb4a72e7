/**
 * Where the file systems of the kit do something else than ext4 and tmpfs, and why. The tests hold them to exactly this,
 * and `docs/posix.md` shows it.
 */

/** Reasons, by the names of cases. */
export type Reasons = Readonly<Record<string, string>>;

/** What is known of a file system. */
export interface Known {
  /** Cases that fail. */
  readonly exceptions: Reasons;
  /** Cases that have nothing to say; absent where that depends on another file system. */
  readonly skipped?: Reasons;
}

// What is read again comes from the page cache, and the kernel tells no FUSE server of that.
const PAGE_CACHE: Reasons = {
  "atime: reading once more moves it on after a change":
    "what is read again comes from the page cache, of which the kernel tells no FUSE server",
};

const NO_INODE_FLAGS = "there are no inode flags: the ioctls of chattr(1) are ENOTTY";

/** What is known, by the name under which the tests have it. */
export const KNOWN = {
  memory: {
    exceptions: PAGE_CACHE,
    skipped: {
      "inode flags: what is immutable stays as it is": NO_INODE_FLAGS,
      "inode flags: what is append-only grows alone": NO_INODE_FLAGS,
    },
  },
  mirror: { exceptions: {} },
  "mirror without passthrough": { exceptions: PAGE_CACHE },
} satisfies Record<string, Known>;

/** What a case cannot ask of any file system behind FUSE, so that all are let off. */
export const LENIENCE: readonly string[] = [
  "Space and inodes need not be free at once when the last descriptor of an unlinked file is closed: the server learns " +
  "of that by RELEASE and FORGET, which nobody waits for. The cases wait.",
  "`FALLOC_FL_COLLAPSE_RANGE` and `FALLOC_FL_INSERT_RANGE` may be EOPNOTSUPP: the kernel passes them to no FUSE server; " +
  "nor has tmpfs them.",
  "A directory may count one link, which stands for an unknown number, as on btrfs.",
  "Devices may be EACCES to open: FUSE mounts are `nodev` unless told otherwise.",
  "A chown(2) by a stranger that changes neither owner nor group is EPERM natively where set-id bits would go, and succeeds " +
  "on FUSE: the kernel sends what it sends before a stranger's write, which must succeed.",
  "EMLINK, ENFILE, ENOMEM and EIO are not provoked.",
  "Values of extended attributes may be limited to less than 64 KiB (E2BIG or ENOSPC), and targets of symbolic links to " +
  "less than 4,095 bytes (ENAMETOOLONG), as on ext4.",
];
