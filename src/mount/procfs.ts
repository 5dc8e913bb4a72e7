/** What the kernel tells about this process: small files that ask no file system but procfs, so read on the spot. */
import type { Libc } from "../../ffi/libc.ts";
import { cstring, decodeName } from "../abi/text.ts";
import { ERRNO, errnoName, FuseError } from "../errno.ts";

/** The whole of a file in `/proc/self`. */
export function readProc(libc: Libc, name: string): Uint8Array {
  const path = `/proc/self/${name}`;
  const bytes = readFile(libc, path);
  if (typeof bytes === "number") {
    const remedy = bytes === -ERRNO.ENOENT ? "; mount procfs at /proc" : "";
    throw new FuseError(bytes, `cannot read ${path}: the kernel says ${errnoName(bytes)}${remedy}`, { path });
  }
  return bytes;
}

/** The whole of a file on this thread, or -errno. */
export function readFile(libc: Libc, path: string): Uint8Array | number {
  const fd = libc.open(cstring(path), libc.O.RDONLY | libc.O.CLOEXEC, 0);
  if (fd < 0) return fd;
  try {
    let bytes = new Uint8Array(0x4000), length = 0;
    for (;;) {
      const n = libc.read(fd, bytes.subarray(length));
      if (n === -ERRNO.EINTR) continue;
      if (n < 0) return n;
      if (n === 0) return bytes.subarray(0, length);
      length += n;
      if (length === bytes.length) {
        const larger = new Uint8Array(2 * length);
        larger.set(bytes);
        bytes = larger;
      }
    }
  } finally {
    libc.close(fd);
  }
}

/** The absolute path that a link in `/proc/self` stands for, such as `fd/3` or `cwd`; or -errno. */
export function pathOf(libc: Libc, name: string): string | number {
  const target = new Uint8Array(4096);
  const length = libc.readlinkat(-1, cstring(`/proc/self/${name}`), target);
  return length < 0 ? length : decodeName(target, 0, length);
}

/**
 * The FUSE connection that a device descriptor belongs to, which is the device number of its file system: minor, and
 * major above bit 20. Undefined where there is none, and where the kernel does not say it: before 6.16, or to a process
 * that has changed its user.
 */
export function connectionOf(libc: Libc, fd: number): number | undefined {
  const bytes = readFile(libc, `/proc/self/fdinfo/${fd}`);
  const found = typeof bytes === "number" ? null : /^fuse_connection:\s*(\d+)$/m.exec(decodeName(bytes));
  return found ? Number(found[1]) : undefined;
}

/** Whether this process may mount and unmount by itself. Source: `capabilities(7) CAP_SYS_ADMIN`. */
export function mayMount(libc: Libc): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(decodeName(readProc(libc, "status")));
  return effective !== null && (BigInt(`0x${effective[1]}`) >> 21n & 1n) === 1n;
}
