/**
 * Where the file systems of the kit do something else than ext4 and tmpfs, and why. The tests hold them to exactly
 * this, and `docs/posix.md` shows it.
 */

import { ERRORS } from "./fault_cases.ts";

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

const UNASKED: Reasons = {
  "inode flags: what is append-only keeps O_APPEND":
    "the kernel knows no inode flags of FUSE files, and asks nobody about F_SETFL; what is written then goes to the end " +
    "all the same, or is EPERM",
};

const UNASKED_BY_KERNEL: Reasons = {
  "inode flags: access tells what is immutable":
    "the kernel, which checks by mode and owner, knows no inode flags of FUSE files",
};

const NO_INODE_FLAGS = "there are no inode flags: the ioctls of chattr(1) are ENOTTY";

/** What is known, by the name under which the tests have it. */
export const KNOWN = {
  memory: {
    exceptions: PAGE_CACHE,
    skipped: {
      "inode flags: what is immutable stays as it is": NO_INODE_FLAGS,
      "inode flags: what is append-only grows alone": NO_INODE_FLAGS,
      "inode flags: EFAULT for flags that cannot be read": NO_INODE_FLAGS,
      "inode flags: access tells what is immutable": NO_INODE_FLAGS,
      "inode flags: what is append-only keeps O_APPEND": NO_INODE_FLAGS,
    },
  },
  mirror: { exceptions: { ...UNASKED, ...UNASKED_BY_KERNEL } },
  "mirror without passthrough": { exceptions: { ...PAGE_CACHE, ...UNASKED, ...UNASKED_BY_KERNEL } },
  "mirror checked by its source": { exceptions: UNASKED },
} satisfies Record<string, Known>;

/** What a case cannot ask of any file system behind FUSE, so that all are let off. */
export const LENIENCE: readonly string[] = [
  "Space and inodes need not be free at once when the last descriptor of an unlinked file is closed: the server learns " +
  "of that by RELEASE and FORGET, which nobody waits for. The cases wait.",
  "`FALLOC_FL_COLLAPSE_RANGE` and `FALLOC_FL_INSERT_RANGE` may be EOPNOTSUPP: the kernel passes them to no FUSE server; " +
  "nor has tmpfs them.",
  "A directory may count one link, which stands for an unknown number, as on btrfs.",
  "Devices may be EACCES to open: FUSE mounts are `nodev` unless told otherwise.",
  "Errors that no caller can provoke on a file system in good health (EIO, ENFILE, ENOMEM, ESTALE, EUCLEAN, ...) are " +
  `answered by one that is told to fail, \`tests/posix/faulty.ts\`: ${ERRORS.length} of them for each system call, there ` +
  "and, but for locks, which are the kernel's, through a mirror of it. What comes back is what was answered, but for " +
  "what the kernel itself turns into something else, which the cases say.",
  "EMLINK is provoked where a file may have no more than some 65,000 names (ext4, memory); elsewhere the case is skipped. " +
  "For directories there is none: ext4 and memory let them have any number. EDQUOT is provoked on btrfs, mirrors of it, " +
  "and memory; EIO on btrfs whose device fails, and mirrors of that.",
  "Values of extended attributes may be limited to less than 64 KiB (E2BIG or ENOSPC), and targets of symbolic links to " +
  "less than 4,095 bytes (ENAMETOOLONG), as on ext4.",
];
