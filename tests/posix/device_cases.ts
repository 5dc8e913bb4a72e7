/**
 * A device that fails, as cases: a file system of the kernel's on a loop device whose image lies on `faulty()`.
 * Whatever the image answers, the block layer makes EIO of it.
 */
import type { ErrnoName } from "../../mod.ts";
import type { Cases, Place } from "../../testing.ts";
import { type Fault, withFault } from "./faulty.ts";

const POSIX_FADV_DONTNEED = 4;
const LENGTH = 300_000;

/** Empties the page cache of a file. */
function uncache({ ok }: Place, path: string): void {
  const fd = ok.open(path, "RDONLY");
  ok.syscall("fadvise64", fd, 0, 0, POSIX_FADV_DONTNEED);
  ok.close(fd);
}

/**
 * The cases, for an image and the folder where the file system on it is mounted: there, or on a mirror of it. The last
 * one leaves that file system unusable.
 */
export function deviceCases(image: string, native: string): Cases {
  const failing = (at: Place, fault: Fault, code: ErrnoName, action: () => void) => {
    const failed = withFault(image, fault, code);
    at.ok.rename(image, failed);
    action();
    at.ok.rename(failed, image);
  };
  return {
    "read: EIO where the device fails, and the data when it no longer does": (at) => {
      const { put, ok, fails, is, dir } = at;
      const data = new Uint8Array(LENGTH).fill(7);
      put("f", data);
      put("g");
      const fd = ok.open("f", "RDONLY"), g = ok.open("g", "RDWR"), [, writer] = ok.pipe();
      ok.fsync(fd);
      for (const code of ["EIO", "ENOMEM", "ESTALE"] as const) {
        uncache(at, `${native}${dir.slice(dir.lastIndexOf("/"))}/f`);
        uncache(at, "f");
        uncache(at, image);
        failing(at, "read", code, () => {
          const here = ok.open("f", "RDONLY");
          fails("EIO").read(here, 10);
          fails("EIO").pread(fd, 10, 200_000);
          fails("EIO").readv(here, [10]);
          fails("EIO").sendfile(g, here, 0, 10);
          const address = ok.mmap(4096, "READ", "SHARED", here);
          // The kernel looks at the page for the process, which would get SIGBUS.
          fails("EFAULT").writeFrom(writer, address, 1);
          ok.munmap(address);
          is([ok.fstat(fd).size, ok.fstat(g).size], [LENGTH, 0]);
        });
        is(ok.pread(fd, 10, 200_000), data.subarray(0, 10));
      }
    },
    "fsync: EIO where the device fails, and nothing can be made any more": (at) => {
      const { put, ok, fails } = at;
      put("f");
      const fd = ok.open("f", "RDWR"), disk = ok.open(native, "RDONLY");
      failing(at, "write", "ENOMEM", () => {
        ok.pwrite(fd, new Uint8Array(LENGTH), 0);
        fails("EIO").fsync(fd);
        // Now it is noticed by the file system, too.
        fails("EIO", "EROFS").syncfs(disk);
        fails("EIO", "EROFS").mkdir("d");
      });
      fails("EIO", "EROFS").mkdir("d");
    },
  };
}
