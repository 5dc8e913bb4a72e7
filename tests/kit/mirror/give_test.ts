import { assertEquals } from "@std/assert";
import { Stat } from "../../../ffi/libc.ts";
import { give } from "../../../src/kit/mirror/give.ts";
import type { Tree } from "../../../src/kit/mirror/tree.ts";
import { USER } from "./source.ts";

const KEEP = 0xffffffff;

/** The changes of owner that follow when a server of root's made a file with these attributes in such a directory. */
function given(made: Partial<Stat>, directory: Partial<Stat>, euid = 0): number[][] {
  const st = Object.assign(new Stat(), { mode: 0o100644, nlink: 1, ...made });
  const owners: number[][] = [];
  const libc = {
    statx(fd: number, _path: unknown, _flags: number, _mask: number, out: Stat) {
      if (fd === 4) Object.assign(out, { mode: 0o040755 }, directory);
      return 0;
    },
    fchownat(fd: number, _path: unknown, uid: number, gid: number) {
      owners.push([fd, uid, gid]);
      return 0;
    },
  };
  give({ libc, euid, egid: 0, st, other: new Stat() } as unknown as Tree, 3, 4, 0o100644, USER, false);
  return owners;
}

Deno.test("give: to the caller", () => {
  assertEquals(given({ uid: 0, gid: 0 }, {}), [[3, USER.uid, USER.gid]]);
  assertEquals(given({ uid: USER.uid, gid: 0 }, {}), [[3, KEEP, USER.gid]]);
  assertEquals(given({ uid: USER.uid, gid: USER.gid }, {}), []);
  assertEquals(given({ uid: 0, gid: 0 }, {}, 1000), []);
});

Deno.test("give: the group stays where the directory or its file system hand it down", () => {
  assertEquals(given({ uid: 0, gid: 50 }, { mode: 0o042755, gid: 50 }), [[3, USER.uid, KEEP]]);
  assertEquals(given({ uid: 0, gid: 0 }, { mode: 0o042755, gid: 0 }), [[3, USER.uid, KEEP]]);
  assertEquals(given({ uid: 0, gid: 50 }, { gid: 50 }), [[3, USER.uid, KEEP]]);
});
