/** A file of the file system that is asked about, to be tried as a backing file. */
import type { Libc } from "../../ffi/libc.ts";
import { cstring } from "../abi/text.ts";
import { S_IFDIR, S_IFREG } from "../fs/mode.ts";
import { isFuse } from "../mount/mountinfo.ts";
import { pathOf } from "../mount/procfs.ts";
import { placeOf } from "./look.ts";

/** What lies at a path. */
export interface Sample {
  /** The absolute path. */
  readonly path: string;
  /** Type of the file system, as in `/proc/mounts`; absent where the kernel does not tell the mount (before 5.8). */
  readonly type?: string;
  /** A descriptor of a regular file there, the caller's to close; absent where none can be had. */
  readonly file?: number;
}

/**
 * Opens the path, which may be served by this thread. In a folder a file without a name is made, except on FUSE, where
 * closing it would wait for the server. Undefined where there is neither file nor folder.
 */
export async function openSample(libc: Libc, path: string): Promise<Sample | undefined> {
  const { PATH, CLOEXEC, TMPFILE, RDWR } = libc.O;
  const fd = await libc.openAsync(cstring(path), PATH | CLOEXEC);
  if (fd < 0) return undefined;
  const place = await placeOf(libc, fd);
  const real = pathOf(libc, `fd/${fd}`);
  const sample = { path: typeof real === "string" ? real : path, type: place?.mount?.type };
  if (place?.type === S_IFREG) return { ...sample, file: fd };
  libc.close(fd);
  if (place?.type !== S_IFDIR) return undefined;
  if (place.mount === undefined || isFuse(place.mount)) return sample;
  const file = await libc.openAsync(cstring(sample.path), TMPFILE | RDWR | CLOEXEC);
  return file < 0 ? sample : { ...sample, file };
}
