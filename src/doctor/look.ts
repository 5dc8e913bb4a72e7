/** Looking without touching: each answers undefined where there is nothing to be seen. */
import { AT_EMPTY_PATH, AT_FDCWD, AT_STATX_DONT_SYNC, type Libc, Stat } from "../../ffi/libc.ts";
import { cstring, decodeName } from "../abi/text.ts";
import { S_IFMT } from "../fs/mode.ts";
import { type MountEntry, parseMounts } from "../mount/mountinfo.ts";
import { readFile } from "../mount/procfs.ts";

/** Type, mode and owner. Source: `statx(2)`. */
export const STATX_WHO = 0xb;
const STATX_TYPE = 1, STATX_MNT_ID = 0x1000;

/** The text of a small file that the kernel makes up, or of one in `/etc`. */
export function textOf(libc: Libc, path: string): string | undefined {
  const bytes = readFile(libc, path);
  return typeof bytes === "number" ? undefined : decodeName(bytes).trim();
}

/** The number that a file holds. */
export function numberOf(libc: Libc, path: string): number | undefined {
  const text = textOf(libc, path);
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** The mounts of this process; none where procfs is not there. */
export function mountsOf(libc: Libc): MountEntry[] {
  const bytes = readFile(libc, "/proc/self/mountinfo");
  return typeof bytes === "number" ? [] : parseMounts(bytes);
}

/** The names in a folder that the kernel makes up; none where it cannot be read. */
export function namesIn(libc: Libc, path: string): string[] {
  const { RDONLY, DIRECTORY, CLOEXEC } = libc.O;
  const fd = libc.open(cstring(path), RDONLY | DIRECTORY | CLOEXEC, 0);
  if (fd < 0) return [];
  const names: string[] = [];
  const entries = new Uint8Array(0x8000), view = new DataView(entries.buffer);
  for (let n; (n = libc.getdents64(fd, entries)) > 0;) {
    // struct linux_dirent64: the record's length at 16, the name from 19 to a NUL.
    for (let at = 0; at < n; at += view.getUint16(at + 16, true)) {
      names.push(decodeName(entries, at + 19, entries.indexOf(0, at + 19)));
    }
  }
  libc.close(fd);
  return names.filter((name) => name !== "." && name !== "..");
}

/** Attributes of a path, without asking this thread, which may serve it. */
export async function statOf(libc: Libc, path: string, mask: number): Promise<Stat | undefined> {
  const stat = new Stat();
  const failed = await libc.statxAsync(AT_FDCWD, cstring(path), AT_STATX_DONT_SYNC, mask, stat);
  return failed < 0 ? undefined : stat;
}

/** What an open descriptor is: its type as in `st_mode`, and the mount that it lies on. Asks no server. */
export async function placeOf(libc: Libc, fd: number): Promise<{ type: number; mount?: MountEntry } | undefined> {
  const stat = new Stat(), mask = STATX_TYPE | STATX_MNT_ID;
  if (await libc.statxAsync(fd, cstring(""), AT_EMPTY_PATH | AT_STATX_DONT_SYNC, mask, stat) < 0) return undefined;
  const mount = (stat.mask & STATX_MNT_ID) === 0 ? undefined : mountsOf(libc).find(({ id }) => id === stat.mountId);
  return { type: stat.mode & S_IFMT, mount };
}
