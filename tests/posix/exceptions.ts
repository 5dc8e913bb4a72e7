/**
 * Where the file systems of the kit do something else than ext4 and tmpfs, and why. The tests hold them to exactly
 * this, and `docs/posix.md` shows it.
 */

import type { Exemptions } from "../differential/side.ts";
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

// What is stored through a mapping reaches a FUSE server when the kernel writes it back.
const WRITTEN_BACK: Reasons = {
  "mmap: times that are set after a store stay":
    "the store reaches the server when it is written back, which then counts as the change",
};

// The cache is worth it: a directory of 1,000 names is listed again in a fourth of the time.
const DIRECTORY_CACHE: Reasons = {
  "seekdir: what was removed behind the place is not told":
    "the kernel goes on from its cache of the directory, which it compares only where reading begins anew; POSIX leaves " +
    "it open whether readdir tells what was removed since opendir or rewinddir",
};

const UNFLUSHED: Reasons = {
  "mmap: what is stored into a hole is data through the same descriptor":
    "the kernel asks for data and holes without writing back what was stored; a fresh open makes it do so",
};

const KEPT: Reasons = {
  "atime: copying from a file moves it on after a change":
    "the kernel, which asks again for attributes after a read, keeps those of a file that is copied by the server",
};

// The cost of the other way is told with INCOMPARABLE.append.
const PASSED: Reasons = {
  "open: F_SETFL ends the O_APPEND that open began with":
    "the kernel opened the file below with the flags of the open, and tells nobody of F_SETFL: pwrite(2) still appends",
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
    exceptions: { ...PAGE_CACHE, ...WRITTEN_BACK, ...DIRECTORY_CACHE },
    skipped: {
      "inode flags: what is immutable stays as it is": NO_INODE_FLAGS,
      "inode flags: what is append-only grows alone": NO_INODE_FLAGS,
      "inode flags: EFAULT for flags that cannot be read": NO_INODE_FLAGS,
      "inode flags: access tells what is immutable": NO_INODE_FLAGS,
      "inode flags: what is append-only keeps O_APPEND": NO_INODE_FLAGS,
    },
  },
  mirror: { exceptions: { ...PASSED, ...UNASKED, ...UNASKED_BY_KERNEL } },
  "mirror without passthrough": {
    exceptions: { ...PAGE_CACHE, ...WRITTEN_BACK, ...UNFLUSHED, ...UNASKED, ...UNASKED_BY_KERNEL },
  },
  "mirror with attributes kept": { exceptions: { ...KEPT, ...PASSED, ...UNASKED, ...UNASKED_BY_KERNEL } },
  "mirror checked by its source": { exceptions: { ...PASSED, ...UNASKED } },
} satisfies Record<string, Known>;

/** What random operations, which are done on a mount and natively at once, do not compare: where, and why. */
export const INCOMPARABLE: Readonly<Record<keyof Exemptions, readonly [where: string, why: string]>> = {
  append: [
    "mirror with passthrough",
    "An O_APPEND that F_SETFL takes back stays: the kernel opened the file below with the flags of the open, and tells " +
    "nobody of the change, so that pwrite(2) still goes to the end. Were each append sent to the server, which is told " +
    "the flags it has by then, one of 4 KiB would take 5 times as long, and a line of 100 bytes 14 times: those of log " +
    "files are worth more. Without passthrough it is right.",
  ],
  rwf: [
    "all",
    "RWF_NOAPPEND does not come along, and what is written so goes to the end. Nor does RWF_APPEND where the source has " +
    "the end of the file: it goes where the kernel takes that to be, which is not there once others wrote to the file.",
  ],
  path: [
    "mirror",
    "Nobody is told of an open with O_PATH. A file that is open so, and in no other way, is ESTALE once others rename or " +
    "remove it in the source; one with other names that were seen, and folders, are found again.",
  ],
  data: [
    "`writebackCache`",
    "SEEK_HOLE finds no hole but the one at the end: what the kernel has collected would be taken for one.",
  ],
  times: [
    "mirror with `writebackCache`",
    "The kernel keeps times itself, and sends them late: a time of change cannot be set in the source, which has its own.",
  ],
  unchecked: [
    '`permissions: "own"`',
    "The kernel has answered what it knows (that a name exists, or is a directory) before the file system is asked whether " +
    "the caller may know; and nobody is asked whether `.` and `..` of a directory may be used, or a fifo be opened.",
  ],
  alone: [
    "mirror with timeouts or `writebackCache`",
    "What others change in the source is seen when the kernel asks again.",
  ],
};

/** What a case cannot ask of any file system behind FUSE, so that all are let off. */
export const LENIENCE: readonly string[] = [
  "Space and inodes need not be free at once when the last descriptor of an unlinked file is closed: the server learns " +
  "of that by RELEASE and FORGET, which nobody waits for. The cases wait.",
  "`FALLOC_FL_COLLAPSE_RANGE` and `FALLOC_FL_INSERT_RANGE` may be EOPNOTSUPP: the kernel passes them to no FUSE server; " +
  "nor has tmpfs them.",
  "A directory may count one link, which stands for an unknown number, as on btrfs.",
  "No case stores through a mapping where there is no space left: the kernel's own file systems send SIGBUS, a FUSE " +
  "server learns of it when it is written back, and it is ENOSPC of `msync`. Nor do cases swap to a file: `swapon` is " +
  "EINVAL.",
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
