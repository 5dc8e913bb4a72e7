import { assertEquals } from "@std/assert";
import { libc } from "../../../ffi/load.ts";
import type { Connection, Filesystem } from "../../../src/fs/filesystem.ts";
import { type Entry, type Request, ROOT_ID } from "../../../src/fs/types.ts";
import { ACL_ACCESS, ACL_DEFAULT, ACL_TAG, formatAcl } from "../../../src/kit/acl.ts";
import { type Memory, memory } from "../../../src/kit/memory.ts";
import { code } from "../../support/errno.ts";
import { protectsHardlinks } from "../../support/hardlinks.ts";
import { test } from "../../support/harness.ts";

// Opened here, since it stays open.
libc();

const by = (uid: number, gid: number, ...groups: number[]) => ({ uid, gid, pid: 0, groups }) as unknown as Request;
const ROOT = by(0, 0), ANN = by(1000, 1000, 50), BOB = by(1001, 1001, 50), EVE = by(1002, 1002);

/** Every method is there, and answers in the same turn. */
type Called = {
  [M in keyof Filesystem]-?: (...a: Parameters<NonNullable<Filesystem[M]>>) => Awaited<
    ReturnType<NonNullable<Filesystem[M]>>
  >;
};
const called = (fs: Memory) => fs as unknown as Called & Memory;
const own = () => called(memory({ permissions: "own" }));

const mkdir = (fs: Called, name: string, mode: number, who = ANN, parent = ROOT_ID) =>
  fs.mkdir({ parent, name, mode, umask: 0 }, who).nodeid;
const create = (fs: Called, name: string, mode: number, who = ANN, parent = ROOT_ID) =>
  fs.create({ parent, name, flags: 2, mode: 0o100000 | mode, umask: 0, killSuidgid: false }, who).entry.nodeid;

test("memory permissions: own: names stay with nobody, and are found by who may search", () => {
  const fs = own();
  const dir = mkdir(fs, "d", 0o710);
  create(fs, "f", 0o644, ANN, dir);
  const look = (who: Request) => code(() => fs.lookup({ parent: dir, name: "f" }, who));
  assertEquals([look(ANN), look(BOB), look(ROOT)], ["ok", "EACCES", "ok"]);
  const entry = fs.lookup({ parent: dir, name: "f" }, ANN) as Entry;
  assertEquals([entry.entryTimeout, fs.lookup({ parent: dir, name: "g" }, ANN)?.entryTimeout], [0, 0]);
});

test("memory permissions: own: a file gets names from who may change it, in directories that they may change", () => {
  const fs = own();
  const nodeid = create(fs, "f", 0o666);
  const dir = mkdir(fs, "d", 0o755);
  let count = 0;
  const link = (who: Request, newParent: number = ROOT_ID) =>
    code(() => fs.link({ nodeid, newParent, newName: String(count++) }, who));
  assertEquals([link(ANN), link(EVE), link(EVE, dir), link(ANN, dir)], ["ok", "ok", "EACCES", "ok"]);
  fs.setattr({ nodeid, mode: 0o644 }, ROOT);
  assertEquals([link(ANN), link(EVE)], ["ok", protectsHardlinks() ? "EPERM" : "ok"]);
});

test("memory permissions: own: open, access and opendir by the class of the caller", () => {
  const fs = own();
  const nodeid = create(fs, "f", 0o640);
  fs.setattr({ nodeid, gid: 50 }, ROOT);
  const open = (flags: number, who: Request) => code(() => fs.open({ nodeid, flags, killSuidgid: false }, who));
  assertEquals([open(0, ANN), open(2, ANN), open(0, BOB), open(1, BOB)], ["ok", "ok", "ok", "EACCES"]);
  assertEquals([open(0, EVE), open(0o1000, BOB), open(2, ROOT)], ["EACCES", "EACCES", "ok"]);
  const access = (mask: number, who: Request) => code(() => fs.access({ nodeid, mask }, who));
  assertEquals([access(6, ANN), access(4, BOB), access(6, BOB), access(0, EVE)], ["ok", "ok", "EACCES", "ok"]);
  const dir = mkdir(fs, "d", 0o311);
  const list = (who: Request) => code(() => fs.opendir({ nodeid: dir, flags: 0, killSuidgid: false }, who));
  assertEquals([list(ANN), list(ROOT)], ["EACCES", "ok"]);
});

test("memory permissions: own: a program may be run by who may not read it", () => {
  const fs = own();
  const nodeid = create(fs, "f", 0o711);
  const open = (flags: number) => code(() => fs.open({ nodeid, flags, killSuidgid: false }, EVE));
  assertEquals([open(0), open(0x20)], ["EACCES", "ok"]);
});

test("memory permissions: own: directories are changed by who may write them, sticky ones by owners", () => {
  const fs = own();
  const dir = mkdir(fs, "d", 0o755);
  assertEquals(code(() => create(fs, "f", 0o644, BOB, dir)), "EACCES");
  const tmp = mkdir(fs, "tmp", 0o1777);
  create(fs, "a", 0o666, ANN, tmp);
  const unlink = (who: Request) => code(() => fs.unlink({ parent: tmp, name: "a" }, who));
  const rename = (who: Request) =>
    code(() => fs.rename({ parent: tmp, name: "a", newParent: tmp, newName: "a", flags: 0 }, who));
  assertEquals([unlink(BOB), rename(BOB), rename(ANN), unlink(ANN)], ["EPERM", "EPERM", "ok", "ok"]);
  mkdir(fs, "sub", 0o555, BOB, tmp);
  const out = mkdir(fs, "out", 0o777);
  // Its ".." would change.
  const move = () => fs.rename({ parent: tmp, name: "sub", newParent: out, newName: "sub", flags: 0 }, BOB);
  assertEquals(code(move), "EACCES");
});

test("memory permissions: own: set-group-id goes where the caller is not of the group", () => {
  const fs = own();
  const nodeid = create(fs, "f", 0o644);
  fs.setattr({ nodeid, gid: 60 }, ROOT);
  assertEquals(fs.setattr({ nodeid, mode: 0o102775 }, ANN).attr.mode, 0o100775);
  fs.setattr({ nodeid, gid: 50 }, ROOT);
  assertEquals(fs.setattr({ nodeid, mode: 0o102775 }, ANN).attr.mode, 0o102775);
});

const { USER_OBJ, USER, GROUP_OBJ, MASK, OTHER } = ACL_TAG;
const list = (...perms: [number, number, number?][]) =>
  formatAcl(perms.map(([tag, perm, id = 0xffffffff]) => ({ tag, perm, id })));
const FOR_BOB = list([USER_OBJ, 7], [USER, 6, 1001], [GROUP_OBJ, 5], [MASK, 7], [OTHER, 0]);

test("memory permissions: own: access control lists count", () => {
  const fs = own();
  const nodeid = create(fs, "f", 0o600);
  const open = (who: Request) => code(() => fs.open({ nodeid, flags: 2, killSuidgid: false }, who));
  const set = (who: Request) => code(() => fs.setxattr({ nodeid, name: ACL_ACCESS, value: FOR_BOB, flags: 0 }, who));
  assertEquals([open(BOB), set(BOB), set(ANN), open(BOB), open(EVE)], ["EACCES", "EPERM", "ok", "ok", "EACCES"]);
  assertEquals(fs.getattr({ nodeid }, ANN).attr.mode, 0o100770);
  fs.setattr({ nodeid, mode: 0o100700 }, ANN);
  assertEquals(open(BOB), "EACCES");
});

test("memory: lists are inherited and take the umask's place, where the kernel checks them", () => {
  const fs = called(memory());
  const dir = mkdir(fs, "d", 0o777);
  const set = () => fs.setxattr({ nodeid: dir, name: ACL_DEFAULT, value: FOR_BOB, flags: 0 }, ANN);
  assertEquals(code(set), "EOPNOTSUPP");
  fs.init({ negotiated: { flags: new Set(["FUSE_POSIX_ACL", "FUSE_DONT_MASK"]) } } as unknown as Connection);
  assertEquals(fs.getxattr({ nodeid: dir, name: ACL_ACCESS }, ANN), null);
  set();
  const make = (name: string, mode: number) =>
    fs.create({ parent: dir, name, flags: 2, mode: 0o100000 | mode, umask: 0o077, killSuidgid: false }, ANN).entry;
  const { nodeid, attr } = make("f", 0o666);
  assertEquals(attr.mode, 0o100660);
  assertEquals(fs.listxattr({ nodeid }, ANN), [ACL_ACCESS]);
  const sub = fs.mkdir({ parent: dir, name: "s", mode: 0o755, umask: 0o077 }, ANN);
  assertEquals([sub.attr.mode, fs.listxattr({ nodeid: sub.nodeid }, ANN).length], [0o040750, 2]);
  assertEquals([...fs.getxattr({ nodeid: sub.nodeid, name: ACL_DEFAULT }, ANN)!], [...FOR_BOB]);
  const link = fs.symlink({ parent: dir, name: "l", target: "x" }, ANN);
  assertEquals([link.attr.mode, fs.listxattr({ nodeid: link.nodeid }, ANN)], [0o120777, []]);
  // A list that says no more than the mode is not kept; and one that is not there can be removed.
  const minimal = list([USER_OBJ, 6], [GROUP_OBJ, 4], [OTHER, 4]);
  fs.setxattr({ nodeid, name: ACL_ACCESS, value: minimal, flags: 0, killSgid: true }, ANN);
  assertEquals([fs.getattr({ nodeid }, ANN).attr.mode, fs.listxattr({ nodeid }, ANN)], [0o100644, []]);
  fs.removexattr({ nodeid, name: ACL_ACCESS }, ANN);
  assertEquals(code(() => fs.setxattr({ nodeid, name: ACL_DEFAULT, value: FOR_BOB, flags: 0 }, ANN)), "EACCES");
});

test("memory: counts go back to the root, once all is removed, closed and forgotten", () => {
  const fs = own();
  const before = fs.counts();
  const dir = mkdir(fs, "d", 0o755);
  const file = create(fs, "f", 0o644, ANN, dir);
  const data = new Uint8Array(10_000);
  fs.write({ nodeid: file, fh: 0, offset: 0, data, flags: 0, fromCache: false, killSuidgid: false }, ANN);
  fs.setxattr({ nodeid: file, name: "user.a", value: data.subarray(0, 9), flags: 0 }, ANN);
  fs.symlink({ parent: dir, name: "s", target: "target" }, ANN);
  assertEquals(fs.counts(), { inodes: 4, bytes: 3 * 4096 + 15 + 6 });
  fs.unlink({ parent: dir, name: "s" }, ANN);
  fs.unlink({ parent: dir, name: "f" }, ANN);
  fs.rmdir({ parent: ROOT_ID, name: "d" }, ANN);
  fs.release({ nodeid: file, fh: 0, flags: 0 }, ANN);
  assertEquals(fs.counts().inodes, 4);
  for (const nodeid of [dir, file, 4]) fs.forget({ nodeid, nlookup: 1 });
  assertEquals(fs.counts(), before);
});
