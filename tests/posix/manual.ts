/**
 * The errors that the manual pages and POSIX give for each system call, and what of them is provoked, and how. The
 * tests hold the cases to it, and `docs/posix.md` shows it.
 */

/** The errors of a manual page. Lists are words. */
export interface Page {
  /** Its calls, as the cases and the kernel call them. */
  readonly calls: string;
  /** What cases provoke on any file system. */
  readonly cases: string;
  /** What they provoke where there is a limit: a full file system, a quota, a file with all the names it may have. */
  readonly limits?: string;
  /** What else the page lists, answered by a file system that is told to. */
  readonly faults?: string;
  /** What nobody provokes, and why. */
  readonly not?: Readonly<Record<string, string>>;
}

/** By the page. */
export const MANUAL: Readonly<Record<string, Page>> = {
  "open(2)": {
    calls: "open openat",
    cases:
      "EACCES EAGAIN EBADF EEXIST EFAULT EINTR EINVAL EISDIR ELOOP EMFILE ENAMETOOLONG ENOENT ENOTDIR ENXIO EPERM EROFS ETXTBSY",
    limits: "EDQUOT ENOSPC",
    faults: "EBUSY EFBIG EIO ENFILE ENODEV ENOMEM EOVERFLOW",
    not: { EOPNOTSUPP: "where there is no O_TMPFILE its cases are skipped", EWOULDBLOCK: "the same number as EAGAIN" },
  },
  "mkdir(2)": {
    calls: "mkdir mkdirat",
    cases: "EACCES EBADF EEXIST EFAULT ELOOP ENAMETOOLONG ENOENT ENOTDIR EPERM EROFS",
    limits: "EDQUOT ENOSPC",
    faults: "EIO EMLINK ENOMEM",
    not: { EINVAL: "for names of some file systems; here every name is one" },
  },
  "mknod(2)": {
    calls: "mknod mknodat",
    cases: "EACCES EBADF EEXIST EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOTDIR EPERM EROFS",
    limits: "EDQUOT ENOSPC",
    faults: "EIO ENOMEM",
  },
  "link(2)": {
    calls: "link linkat flink",
    cases: "EACCES EBADF EEXIST EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOTDIR EPERM EROFS EXDEV",
    limits: "EDQUOT EMLINK ENOSPC",
    faults: "EIO ENOMEM",
  },
  "symlink(2)": {
    calls: "symlink symlinkat",
    cases: "EACCES EBADF EEXIST EFAULT ELOOP ENAMETOOLONG ENOENT ENOTDIR EROFS",
    limits: "EDQUOT ENOSPC",
    faults: "EIO ENOMEM EPERM",
  },
  "unlink(2)": {
    calls: "unlink unlinkat",
    cases: "EACCES EBADF EBUSY EFAULT EINVAL EISDIR ELOOP ENAMETOOLONG ENOENT ENOTDIR EPERM EROFS",
    faults: "EIO ENOMEM",
  },
  "rmdir(2)": {
    calls: "rmdir",
    cases: "EACCES EBADF EBUSY EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOTDIR ENOTEMPTY EPERM EROFS",
    faults: "EIO ENOMEM",
    not: { EEXIST: "POSIX allows it in place of ENOTEMPTY" },
  },
  "rename(2)": {
    calls: "rename renameat2",
    cases:
      "EACCES EBADF EBUSY EEXIST EFAULT EINVAL EISDIR ELOOP ENAMETOOLONG ENOENT ENOTDIR ENOTEMPTY EPERM EROFS EXDEV",
    faults: "EDQUOT EIO EMLINK ENOMEM ENOSPC",
  },
  "chmod(2)": {
    calls: "chmod fchmod fchmodat fchmodat2",
    cases: "EACCES EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOTDIR EOPNOTSUPP EPERM EROFS",
    faults: "EIO ENOMEM",
    not: { ENOTSUP: "the same number as EOPNOTSUPP" },
  },
  "chown(2)": {
    calls: "chown lchown fchown fchownat",
    cases: "EACCES EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOTDIR EPERM EROFS",
    faults: "EIO ENOMEM",
  },
  "truncate(2)": {
    calls: "truncate ftruncate",
    cases: "EACCES EBADF EFAULT EFBIG EINVAL EISDIR ELOOP ENAMETOOLONG ENOENT ENOTDIR EPERM EROFS ETXTBSY",
    faults: "EINTR EIO",
  },
  "utimensat(2)": {
    calls: "utimens futimens utimensat",
    cases: "EACCES EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOTDIR EPERM EROFS",
    faults: "EIO",
    not: { ESRCH: "of /proc alone" },
  },
  "access(2)": {
    calls: "access faccessat2",
    cases: "EACCES EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOTDIR EPERM EROFS",
    faults: "EIO ENOMEM",
    not: { ETXTBSY: "Linux does not ask who runs the program" },
  },
  "stat(2)": {
    calls: "stat lstat fstat statx",
    cases: "EACCES EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOTDIR",
    faults: "EIO ENOMEM EOVERFLOW",
  },
  "statfs(2)": {
    calls: "statfs fstatfs",
    cases: "EACCES EBADF EFAULT ELOOP ENAMETOOLONG ENOENT ENOTDIR",
    faults: "EINTR EIO ENOMEM EOVERFLOW",
    not: { ENOSYS: "the kernel would ask no more" },
  },
  "readlink(2)": {
    calls: "readlink readlinkat",
    cases: "EACCES EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENOENT ENOTDIR",
    faults: "EIO ENOMEM",
  },
  "getdents(2)": {
    calls: "getdents getdents64",
    cases: "EBADF EFAULT EINVAL ENOENT ENOTDIR",
    faults: "EIO ENOMEM",
  },
  "read(2)": {
    calls: "read readTo readv",
    cases: "EAGAIN EBADF EFAULT EINTR EINVAL EISDIR ESPIPE",
    faults: "EIO ENOMEM",
  },
  "write(2)": {
    calls: "write writeFrom writev",
    cases: "EAGAIN EBADF EFAULT EFBIG EINTR EINVAL EPIPE ESPIPE",
    faults: "EDQUOT EIO ENOMEM ENOSPC",
    not: { EDESTADDRREQ: "of sockets", EPERM: "of sealed memory" },
  },
  "pread(2)": {
    calls: "pread pread64 preadv pwrite pwrite64 pwritev",
    cases: "EBADF EFAULT EFBIG EINVAL EISDIR ESPIPE",
    limits: "EDQUOT ENOSPC",
    faults: "EIO ENOMEM",
  },
  "lseek(2)": {
    calls: "lseek",
    cases: "EBADF EINVAL ENXIO ESPIPE",
    faults: "EIO EOVERFLOW",
  },
  "fallocate(2)": {
    calls: "fallocate",
    cases: "EBADF EFBIG EINVAL EOPNOTSUPP EPERM ESPIPE",
    limits: "EDQUOT ENOSPC",
    faults: "EINTR EIO ENODEV",
    not: { ENOSYS: "the kernel would ask no more", ETXTBSY: "of swap files" },
  },
  "copy_file_range(2)": {
    calls: "copyFileRange copy_file_range",
    cases: "EBADF EFAULT EFBIG EINVAL EISDIR EOVERFLOW EPERM EXDEV",
    limits: "EDQUOT ENOSPC",
    faults: "EIO ENOMEM",
    not: { EOPNOTSUPP: "the kernel copies by itself then", ETXTBSY: "of swap files" },
  },
  "sendfile(2)": {
    calls: "sendfile",
    cases: "EAGAIN EBADF EFAULT EFBIG EINVAL ESPIPE",
    limits: "ENOSPC",
    faults: "EIO ENOMEM EOVERFLOW",
  },
  "splice(2)": {
    calls: "splice",
    cases: "EAGAIN EBADF EINVAL ESPIPE",
    not: { ENOMEM: "the kernel's own memory" },
  },
  "fsync(2)": {
    calls: "fsync fdatasync syncfs",
    cases: "EBADF EINVAL",
    faults: "EDQUOT EINTR EIO ENOSPC EROFS",
  },
  "close(2)": {
    calls: "close",
    cases: "EBADF",
    faults: "EDQUOT EINTR EIO ENOSPC",
  },
  "dup(2)": {
    calls: "dup",
    cases: "EBADF EMFILE",
    not: { EBUSY: "of dup2, between threads", EINTR: "of dup2, between threads", EINVAL: "of dup3" },
  },
  "mmap(2)": {
    calls: "mmap munmap",
    cases: "EACCES EAGAIN EBADF EEXIST EINVAL ENODEV ENOMEM EOVERFLOW EPERM",
    not: { ENFILE: "the kernel's own table", ETXTBSY: "Linux no longer says it" },
  },
  "msync(2)": {
    calls: "msync",
    cases: "EBUSY EINVAL ENOMEM",
  },
  "mremap(2)": {
    calls: "mremap",
    cases: "EAGAIN EFAULT EINVAL ENOMEM",
  },
  "mlock(2)": {
    calls: "mlock",
    cases: "EINVAL ENOMEM EPERM",
    not: { EAGAIN: "the kernel's own memory" },
  },
  "fcntl(2)": {
    calls: "fcntl lock getlock",
    cases: "EACCES EAGAIN EBADF EDEADLK EFAULT EINTR EINVAL EMFILE ENOTDIR EOVERFLOW EPERM",
    faults: "EIO ENOLCK",
    not: { EBUSY: "of pipes" },
  },
  "flock(2)": {
    calls: "flock",
    cases: "EAGAIN EBADF EINTR EINVAL",
    faults: "EIO ENOLCK",
    not: { EWOULDBLOCK: "the same number as EAGAIN" },
  },
  "setxattr(2)": {
    calls: "setxattr lsetxattr fsetxattr",
    cases:
      "E2BIG EACCES EBADF EEXIST EFAULT EINVAL ELOOP ENAMETOOLONG ENODATA ENOENT ENOTDIR EOPNOTSUPP EPERM ERANGE EROFS",
    faults: "EDQUOT EIO ENOSPC",
    not: { ENOTSUP: "the same number as EOPNOTSUPP" },
  },
  "getxattr(2)": {
    calls: "getxattr lgetxattr fgetxattr",
    cases: "EACCES EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENODATA ENOENT ENOTDIR EOPNOTSUPP ERANGE",
    faults: "E2BIG EIO",
    not: { ENOTSUP: "the same number as EOPNOTSUPP" },
  },
  "listxattr(2)": {
    calls: "listxattr llistxattr flistxattr",
    cases: "EACCES EBADF EFAULT ELOOP ENAMETOOLONG ENOENT ENOTDIR ERANGE",
    faults: "E2BIG EIO",
    not: { ENOTSUP: "the same number as EOPNOTSUPP" },
  },
  "removexattr(2)": {
    calls: "removexattr lremovexattr fremovexattr",
    cases: "EACCES EBADF EFAULT EINVAL ELOOP ENAMETOOLONG ENODATA ENOENT ENOTDIR EOPNOTSUPP EPERM ERANGE EROFS",
    faults: "EIO",
    not: { ENOTSUP: "the same number as EOPNOTSUPP" },
  },
  "open_by_handle_at(2)": {
    calls: "handle openHandle name_to_handle_at open_by_handle_at",
    cases: "EBADF EFAULT EINVAL ELOOP ENOENT ENOTDIR EOVERFLOW EPERM ESTALE",
    not: { EOPNOTSUPP: "where there are no handles the cases are skipped" },
  },
  "ioctl(2)": {
    calls: "ioctl",
    cases: "EBADF EFAULT ENOTTY",
    faults: "EIO",
    not: { EINVAL: "what is asked decides" },
  },
};

/** What a page says that cases provoke, and the outcomes do not show: as `"mkdir(2) EDQUOT"`. */
export function unprovoked(
  outcomes: readonly { readonly errnos: readonly string[] }[],
  by: "cases" | "limits",
  wanted: (code: string) => boolean = () => true,
): string[] {
  const provoked = new Set(outcomes.flatMap(({ errnos }) => errnos));
  return Object.entries(MANUAL).flatMap(([page, { calls, [by]: codes = "" }]) =>
    codes.split(" ").filter((code) => code !== "" && wanted(code))
      .filter((code) => !calls.split(" ").some((call) => provoked.has(`${call} ${code}`)))
      .map((code) => `${page} ${code}`)
  );
}
