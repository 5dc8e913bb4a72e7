import { assertEquals } from "@std/assert";
import process from "node:process";
import { libc } from "../../ffi/load.ts";
import { type Acl, ACL_TAG, aclMode, chmodAcl, formatAcl, inheritAcl, parseAcl } from "../../src/kit/acl.ts";
import {
  checkEmptyChown,
  checkSetattr,
  groupsOf,
  isMember,
  mayAccess,
  mayChown,
  mayLink,
  maySticky,
  R_OK,
  W_OK,
  X_OK,
} from "../../src/kit/permissions.ts";
import { S_IFDIR } from "../../src/fs/mode.ts";
import { code } from "../support/errno.ts";
import { protectsHardlinks } from "../support/hardlinks.ts";
import { openFds, READY, startReady, test } from "../support/harness.ts";

// Opened here, since it stays open.
libc();

const ROOT = { uid: 0, gid: 0 };
const OWNER = { uid: 1000, gid: 100, groups: [7] };
const FRIEND = { uid: 1001, gid: 100 };
const MEMBER = { uid: 1002, gid: 5, groups: [6, 100] };
const OTHER = { uid: 1003, gid: 5 };
const { USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER: REST } = ACL_TAG;

const file = (mode: number) => ({ mode: 0o100000 | mode, uid: 1000, gid: 100 });
const entry = (tag: number, perm: number, id = 0xffffffff) => ({ tag, perm, id });

/** Of read, write and execute what a caller may. */
function rights(mode: number, caller: typeof ROOT, acl: Acl | null = null): string {
  const may = (mask: number) => mayAccess(file(mode), caller, mask, acl);
  return (may(R_OK) ? "r" : "-") + (may(W_OK) ? "w" : "-") + (may(X_OK) ? "x" : "-");
}

test("mayAccess: the first class that a caller is in decides, even where it grants less", () => {
  const who = [OWNER, FRIEND, MEMBER, OTHER];
  assertEquals(who.map((c) => rights(0o754, c)), ["rwx", "r-x", "r-x", "r--"]);
  assertEquals(who.map((c) => rights(0o077, c)), ["---", "rwx", "rwx", "rwx"]);
  assertEquals(who.map((c) => rights(0o707, c)), ["rwx", "---", "---", "rwx"]);
  assertEquals(mayAccess(file(0), OTHER, 0), true);
  assertEquals([mayAccess(file(0o600), OWNER, R_OK | W_OK), mayAccess(file(0o400), OWNER, R_OK | W_OK)], [true, false]);
});

test("mayAccess: root may all but execute what nobody may", () => {
  assertEquals([rights(0, ROOT), rights(0o001, ROOT)], ["rw-", "rwx"]);
  assertEquals(mayAccess({ mode: 0o040000 }, ROOT, X_OK), true);
});

test("mayAccess: an access control list, within its mask", () => {
  const acl = [
    entry(USER_OBJ, 6),
    entry(USER, 7, OTHER.uid),
    entry(GROUP_OBJ, 4),
    entry(GROUP, 2, 6),
    entry(MASK, 6),
    entry(REST, 1),
  ];
  const mode = aclMode(acl, 0o100000);
  assertEquals(mode & 0o777, 0o661);
  assertEquals([OWNER, FRIEND, OTHER].map((c) => rights(mode, c, acl)), ["rw-", "r--", "rw-"]);
  // Of two groups either may grant, but not one half each.
  assertEquals(rights(mode, MEMBER, acl), "rw-");
  assertEquals(mayAccess(file(mode), MEMBER, R_OK | W_OK, acl), false);
  assertEquals(rights(mode, { uid: 9, gid: 9 }, acl), "--x");
  assertEquals(rights(mode & ~0o070, OTHER, acl), "--x");
});

test(
  "groupsOf: of a process, by its pid; what came with the request where there is none",
  { needs: ["root"] },
  async () => {
    const script = "import os, time; os.setgroups([11, 22]); print('ready', flush=True); time.sleep(60)";
    await using child = await startReady(["python3", "-c", script], { ready: READY });
    assertEquals(groupsOf({ uid: 0, gid: 0, pid: child.pid }), [11, 22]);
    assertEquals([11, 22, 33].map((gid) => isMember({ uid: 5, gid: 33, pid: child.pid }, gid)), [true, true, true]);
    assertEquals(isMember({ uid: 5, gid: 33, pid: child.pid }, 44), false);
    await child.stop("SIGKILL");
    assertEquals(groupsOf({ uid: 0, gid: 0, pid: child.pid, groups: [3] }), [3]);
    assertEquals(groupsOf({ uid: 0, gid: 0, pid: 0, groups: [4] }), [4]);
  },
);

test("groupsOf: more groups than a page of text holds", { needs: ["root"] }, async () => {
  const script = "import os, time; os.setgroups(range(100000, 102000)); print('ready', flush=True); time.sleep(60)";
  await using child = await startReady(["python3", "-c", script], { ready: READY });
  assertEquals(groupsOf({ uid: 0, gid: 0, pid: child.pid }).length, 2000);
});

test("groupsOf: opens nothing that stays open", async () => {
  const before = await openFds();
  for (let i = 0; i < 20; i++) groupsOf({ uid: 0, gid: 0, pid: process.pid });
  assertEquals(await openFds(), before);
});

test("maySticky: in a sticky directory owners of the entry and of the directory alone", () => {
  const directory = { mode: 0o041777, uid: 1, gid: 1 };
  const may = (caller: typeof ROOT, mode = 0o041777) => maySticky({ ...directory, mode }, file(0o666), caller);
  assertEquals([may(ROOT), may(OWNER), may({ uid: 1, gid: 9 }), may(FRIEND)], [true, true, true, false]);
  assertEquals(may(FRIEND, 0o040777), true);
});

test("mayLink: where hard links are protected, to regular files that one may change, and that run as nobody else", () => {
  const may = (mode: number, caller: typeof ROOT, acl: Acl | null = null) => mayLink({ ...file(0), mode }, caller, acl);
  assertEquals([may(0o100000, OWNER), may(0o104777, ROOT), may(0o100666, OTHER), may(0o102664, FRIEND)], [
    true,
    true,
    true,
    true,
  ]);
  for (const mode of [0o100664, 0o104777, 0o102777, 0o010666, 0o120777]) {
    assertEquals(may(mode, OTHER), !protectsHardlinks(), mode.toString(8));
  }
  const acl = [entry(USER_OBJ, 6), entry(USER, 6, 1003), entry(GROUP_OBJ, 0), entry(MASK, 6), entry(REST, 0)];
  assertEquals(may(0o100660, OTHER, acl), true);
});

test("mayChown: the owner may choose among own groups", () => {
  const may = (change: { uid?: number; gid?: number }, caller: typeof ROOT) => mayChown(file(0o644), change, caller);
  assertEquals(may({ uid: 1, gid: 1 }, ROOT), true);
  assertEquals([may({ gid: 7 }, OWNER), may({ gid: 8 }, OWNER), may({ uid: 1000 }, OWNER)], [true, false, true]);
  assertEquals([may({ uid: 1001 }, OWNER), may({ gid: 100 }, FRIEND), may({}, FRIEND)], [false, false, true]);
});

test("checkSetattr: EPERM and EACCES as chmod, chown, truncate and utimensat have them", () => {
  const may = (change: Record<string, unknown>, caller: typeof ROOT, mode = 0o644) =>
    code(() => checkSetattr(file(mode), { nodeid: 2, ...change }, caller));
  assertEquals([may({ mode: 0o600 }, OWNER), may({ mode: 0o600 }, FRIEND)], ["ok", "EPERM"]);
  assertEquals([may({ uid: 1 }, OWNER), may({ uid: 1 }, ROOT)], ["EPERM", "ok"]);
  assertEquals([may({ size: 0 }, FRIEND), may({ size: 0 }, FRIEND, 0o664)], ["EACCES", "ok"]);
  assertEquals([may({ size: 0, fh: 1 }, FRIEND), may({ size: 0 }, OWNER, 0o444)], ["ok", "EACCES"]);
  const now = { atime: "now", mtime: "now" };
  assertEquals([may(now, FRIEND), may(now, FRIEND, 0o664), may(now, OWNER, 0o444)], ["EACCES", "ok", "ok"]);
  assertEquals([may({ mtime: 5 }, FRIEND, 0o666), may({ mtime: 5 }, OWNER)], ["EPERM", "ok"]);
  // With a cache of writes the kernel says when, and what it has collected it brings through an open file.
  const at = { mtime: 5, mtimeNsec: 6, ctime: 5, ctimeNsec: 6 };
  assertEquals([may({ ...at, atime: "now" }, FRIEND, 0o664), may({ ...at, atime: 5 }, FRIEND, 0o664)], ["ok", "EPERM"]);
  assertEquals(may({ ...at, fh: 1 }, FRIEND), "ok");
});

test("checkSetattr: set-id bits end by a mode of who writes, and of nobody else", () => {
  const may = (mode: number, change: Record<string, unknown>, written?: boolean) =>
    code(() => checkSetattr(file(mode), { nodeid: 2, mode: mode & 0o777, ...change }, FRIEND, null, written));
  assertEquals([may(0o4666, {}), may(0o4644, {}), may(0o666, {})], ["ok", "EPERM", "EPERM"]);
  assertEquals([may(0o4666, {}, false), may(0o4644, {}, true)], ["EPERM", "ok"]);
  assertEquals([may(0o4666, { size: 0 }, false), may(0o4644, { size: 0 }, false)], ["ok", "EACCES"]);
});

test("checkEmptyChown: EPERM where set-id bits would go that are not the caller's", () => {
  const may = (mode: number, caller: typeof ROOT, gid = 100) =>
    code(() => checkEmptyChown({ ...file(mode), gid }, caller));
  assertEquals([may(0o4644, ROOT), may(0o4644, OWNER), may(0o4644, FRIEND), may(0o644, FRIEND)], [
    "ok",
    "ok",
    "EPERM",
    "ok",
  ]);
  assertEquals([may(0o2644, FRIEND, FRIEND.gid), may(0o2644, FRIEND, 8), may(0o2654, FRIEND, FRIEND.gid)], [
    "ok",
    "EPERM",
    "EPERM",
  ]);
  assertEquals(code(() => checkEmptyChown({ mode: S_IFDIR | 0o6777, uid: 0, gid: 0 }, FRIEND)), "ok");
});

test("checkSetattr: set-group-id of a foreign group goes", () => {
  const mode = (caller: typeof ROOT, gid = 100, to?: number) =>
    checkSetattr({ ...file(0o644), gid }, { nodeid: 2, mode: 0o102755, gid: to }, caller).mode;
  assertEquals([mode(OWNER), mode(OWNER, 7), mode(OWNER, 8), mode(ROOT, 8)], [0o102755, 0o102755, 0o100755, 0o102755]);
  assertEquals(mode(OWNER, 8, 7), 0o100755, "of the group that it had");
});

test("parseAcl and formatAcl: make the round trip, and refuse what is no list", () => {
  const acl = [entry(USER_OBJ, 7), entry(USER, 5, 1), entry(GROUP_OBJ, 0), entry(MASK, 5), entry(REST, 0)];
  const value = formatAcl(acl);
  assertEquals([...value.subarray(0, 8)], [2, 0, 0, 0, 1, 0, 7, 0]);
  assertEquals(parseAcl(value), acl);
  assertEquals(parseAcl(formatAcl([])), []);
  const refused = (acl: Acl) => code(() => parseAcl(formatAcl(acl)));
  const [u, g, o, m] = [entry(USER_OBJ, 7), entry(GROUP_OBJ, 5), entry(REST, 1), entry(MASK, 7)];
  assertEquals([refused([u, g, o]), refused([u, g, m, o])], ["ok", "ok"]);
  for (const bad of [[u, g], [g, u, o], [u, u, g, o], [u, entry(USER, 7, 3), g, o], [u, g, m, m, o], [u, g, o, m]]) {
    assertEquals(refused(bad), "EINVAL");
  }
  assertEquals(refused([entry(USER_OBJ, 8), g, o]), "EINVAL");
  assertEquals(refused([u, entry(USER, 7), g, m, o]), "EINVAL");
  assertEquals(refused([u, g, o, entry(0x40, 0)]), "EINVAL");
  assertEquals([value.subarray(0, 7), new Uint8Array(3)].map((v) => code(() => parseAcl(v))), ["EINVAL", "EINVAL"]);
  assertEquals(code(() => parseAcl(new Uint8Array(7))), "EOPNOTSUPP");
});

test("inheritAcl: the mode asked for limits what the default list grants", () => {
  const plain = inheritAcl([entry(USER_OBJ, 7), entry(GROUP_OBJ, 5), entry(REST, 5)], 0o100666);
  assertEquals(plain, { mode: 0o100644, acl: null });
  const named = [entry(USER_OBJ, 7), entry(USER, 7, 3), entry(GROUP_OBJ, 5), entry(MASK, 7), entry(REST, 0)];
  const { mode, acl } = inheritAcl(named, 0o100640);
  assertEquals(mode, 0o100640);
  assertEquals(acl!.map(({ perm }) => perm), [6, 7, 5, 4, 0]);
});

test("chmodAcl: the group's bits are the mask's, where there is one", () => {
  const acl = [entry(USER_OBJ, 7), entry(USER, 7, 3), entry(GROUP_OBJ, 5), entry(MASK, 7), entry(REST, 0)];
  assertEquals(chmodAcl(acl, 0o641).map(({ perm }) => perm), [6, 7, 5, 4, 1]);
  assertEquals(chmodAcl([acl[0], acl[2], acl[4]], 0o641).map(({ perm }) => perm), [6, 4, 1]);
});
