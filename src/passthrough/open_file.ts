/** Files for extent maps, opened here: a program with no permission but `--allow-ffi` has no other way to. */
import { AT_EMPTY_PATH, MFD_CLOEXEC, Stat } from "../../ffi/libc.ts";
import { libc } from "../../ffi/load.ts";
import { cstring } from "../abi/text.ts";
import { ERRNO, FuseError } from "../errno.ts";
import { SEEK_END } from "../fs/flags.ts";
import { S_IFBLK, S_IFDIR, S_IFMT, S_IFREG } from "../fs/mode.ts";
import { check } from "./check.ts";

const STATX_TYPE = 1;

/** A file that extents may lie in, open until it is disposed of. */
export interface OpenFile extends Disposable {
  /** Its descriptor; -1 once it is closed. */
  readonly fd: number;
  /** Bytes when it was opened. */
  readonly size: number;
}

/**
 * Opens a regular file or a block device by its path, for reading unless told, or makes a file in memory, which is
 * always read-write. ENOENT, EACCES and the like: `open(2)`; EISDIR, ESPIPE: it is a directory, or nothing that is read
 * at a place.
 *
 * @example
 * ```ts
 * import { extents, openFile } from "@fusewire/fusewire/passthrough";
 *
 * using image = openFile("/etc/passwd"), changes = openFile({ memfd: "changes" });
 * const map = extents([{ offset: 0, length: image.size, file: image.fd, fileOffset: 0 }], {
 *   allocate: ({ offset, length }) => [{ offset, length, file: changes.fd, fileOffset: offset }],
 * });
 * console.log(map.size);
 * ```
 */
export function openFile(
  source: string | { readonly memfd: string },
  access: "read" | "read-write" = "read",
): OpenFile {
  const c = libc(), { O } = c;
  if (typeof source !== "string") {
    const made = c.memfdCreate(cstring(source.memfd), MFD_CLOEXEC);
    return new Opened(check("memfd_create", made, "cannot make a file in memory"), 0);
  }
  const what = `cannot open ${JSON.stringify(source)}`;
  // NONBLOCK: a fifo is refused below, not waited for.
  const flags = (access === "read" ? O.RDONLY : O.RDWR) | O.CLOEXEC | O.NONBLOCK | O.NOCTTY;
  const fd = check("open", c.open(cstring(source), flags, 0), what, source);
  const size = sizeOf(fd);
  if (size >= 0) return new Opened(fd, size);
  c.close(fd);
  throw new FuseError(size, `${what}: it is neither a regular file nor a block device`, { path: source });
}

/** Size of a regular file or a block device, bytes; or -errno. */
function sizeOf(fd: number): number {
  const stat = new Stat();
  const failed = libc().statx(fd, cstring(""), AT_EMPTY_PATH, STATX_TYPE, stat);
  if (failed < 0) return failed;
  const type = stat.mode & S_IFMT;
  if (type === S_IFDIR) return -ERRNO.EISDIR;
  // statx tells no size of a device.
  return type === S_IFREG || type === S_IFBLK ? libc().lseek(fd, 0, SEEK_END) : -ERRNO.ESPIPE;
}

class Opened implements OpenFile {
  #fd: number;
  readonly size: number;

  constructor(fd: number, size: number) {
    this.#fd = fd;
    this.size = size;
  }

  get fd(): number {
    return this.#fd;
  }

  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    libc().close(this.#fd);
    this.#fd = -1;
  }
}
