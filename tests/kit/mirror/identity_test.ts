import { assert, assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { readFileSync } from "node:fs";
import { chmod, chown, mkdir, writeFile } from "node:fs/promises";
import process from "node:process";
import { libc } from "../../../ffi/load.ts";
import { FuseError } from "../../../src/errno.ts";
import { ROOT_ID } from "../../../src/fs/types.ts";
import { mirror } from "../../../src/kit/mirror.ts";
import { Identity } from "../../../src/kit/mirror/identity.ts";
import { code } from "../../support/errno.ts";
import { test } from "../../support/harness.ts";
import { connection, FIFO, ROOT, Source, USER } from "./source.ts";

// Opened here, since it stays open.
const c = libc();
const needs = ["root"] as const;

/** Who this thread is towards file systems, its groups and its effective capabilities. */
function self(): { uid: string; gid: string; groups: string; capabilities: bigint } {
  const status = readFileSync("/proc/thread-self/status", "utf8");
  const field = (name: string) => new RegExp(`^${name}:\\s*(.*?)\\s*$`, "m").exec(status)![1];
  return {
    uid: field("Uid").split("\t")[3],
    gid: field("Gid").split("\t")[3],
    groups: field("Groups"),
    capabilities: BigInt(`0x${field("CapEff")}`),
  };
}

const CAP_DAC_OVERRIDE = 1n << 1n;
const CAP_SYS_RESOURCE = 1n << 24n;
const GUEST = { ...USER, pid: 0, groups: [7, 8] };

test("Identity: what is made is made in the caller's name, with the server's rights", { needs }, () => {
  const before = self();
  const during = new Identity(c, false).making(GUEST, self);
  const capabilities = before.capabilities & ~CAP_SYS_RESOURCE;
  assertEquals(during, { ...before, uid: "1000", gid: "100", capabilities });
  assertEquals(self(), before);
  assertEquals(new Identity(c, false).as(GUEST, self), before);
});

test("Identity: where the source decides, with the caller's rights and groups", { needs }, () => {
  const before = self();
  const identity = new Identity(c, true);
  const during = [identity.making(GUEST, self), identity.as(GUEST, self)];
  for (const { uid, gid, groups, capabilities } of during) {
    assertEquals([uid, gid, groups, capabilities & CAP_DAC_OVERRIDE], ["1000", "100", "7 8", 0n]);
  }
  const root = identity.as({ uid: 0, gid: 50 }, self);
  assertEquals(root, { ...before, gid: "50" });
  assertEquals(self(), before);
});

test("Identity: of the caller's process the groups are read", { needs }, () => {
  const { groups } = new Identity(c, true).as({ uid: 1000, gid: 100, pid: process.pid }, self);
  assertEquals(groups, self().groups);
});

test("Identity: is the server's again after a call that throws", { needs }, () => {
  const before = self();
  for (const acts of [true, false]) {
    const identity = new Identity(c, acts);
    const refuse = () => {
      throw new FuseError("EIO");
    };
    assertEquals(code(() => identity.making(GUEST, refuse)), "EIO");
    assertEquals(self(), before);
  }
});

test("Identity: a user that the server may not be is EPERM, and nothing is called", { needs }, () => {
  const before = self();
  let called = false;
  const call = () => new Identity(c, true).as({ uid: 0xffffffff, gid: 5 }, () => called = true);
  const real = c.syscall;
  // setfsuid and setfsgid tell of no failure: whoever asks who it is learns that nothing changed.
  c.syscall = (number, args) => args[0] === 5n || args[0] === 0xffffffffn ? 0n : real.call(c, number, args);
  try {
    assertEquals(code(call), "EPERM");
  } finally {
    c.syscall = real;
  }
  assertEquals([called, self()], [false, before]);
});

/** A process that has CAP_SYS_RESOURCE, whether or not this one has: what it may do, for the time of a call. */
async function withResource(body: (effective: () => number) => void | Promise<void>): Promise<void> {
  const [capget, capset] = c.architecture === "x86_64" ? [125, 126] : [90, 91];
  const real = c.syscall;
  const bit = Number(CAP_SYS_RESOURCE);
  let has = bit;
  c.syscall = (number, args) => {
    if (number !== capget && number !== capset) return real.call(c, number, args);
    const effective = new DataView(c.memory(args[1], 4).slice().buffer);
    const memory = c.memory(args[1], 4);
    const mine = effective.getUint32(0, true) & bit;
    if (number === capset) [has, memory[3]] = [mine, memory[3] & ~(bit >> 24)];
    const result = real.call(c, number, args);
    memory[3] = memory[3] & ~(bit >> 24) | (number === capset ? mine : has) >> 24;
    return result;
  };
  try {
    await body(() => has);
  } finally {
    c.syscall = real;
  }
}

test(
  "Identity: space is taken in the caller's name, with the server's rights but the one to more of it",
  { needs },
  async () => {
    await withResource((effective) => {
      const before = self();
      const { capabilities: all } = before;
      const identity = new Identity(c, false);
      const during = identity.spending(GUEST.uid, () => ({ ...self(), resource: effective() }));
      assertEquals(during, { ...before, uid: "1000", capabilities: all & ~CAP_SYS_RESOURCE, resource: 0 });
      assertEquals(identity.making(GUEST, effective), 0);
      assertGreater(effective(), 0);
      assertEquals(identity.spending(0, effective), effective());
    });
  },
);

test("mirror: while it is served, the thread has no right to more space than others", { needs }, async () => {
  await withResource(async (effective) => {
    const all = effective();
    await using s = await Source.make();
    await using other = await Source.make();
    const seen = [effective()];
    for (const { mirror } of [s, other]) {
      mirror.init!(connection([]));
      seen.push(effective());
    }
    // One that is made meanwhile.
    await using late = await Source.make();
    s.mkdir("d", { by: USER });
    seen.push(effective());
    for (const { mirror } of [s, s, other]) {
      mirror.destroy!();
      seen.push(effective());
    }
    late.mirror.init!(connection([]));
    seen.push(effective());
    late.mirror[Symbol.dispose]();
    seen.push(effective());
    late.mirror.destroy!();
    s.mirror.init!(connection([]));
    s.mirror.destroy!();
    seen.push(effective());
    assertEquals(seen, [all, 0, 0, 0, 0, 0, all, 0, all, all]);
  });
});

test("mirror: where the right does not come back, nothing stays open, and no node is known", { needs }, async () => {
  const capset = c.architecture === "x86_64" ? 126 : 91;
  await withResource(async () => {
    const { syscall } = c;
    for (const end of ["destroy", Symbol.dispose] as const) {
      await using s = await Source.make();
      s.mirror.init!(connection([]));
      await mkdir(s.join("d"));
      const d = s.id("d");
      s.opendir(d);
      s.create("f", { by: ROOT });
      const EPERM = -1n;
      c.syscall = (number, args) => number === capset ? EPERM : syscall.call(c, number, args);
      try {
        assertEquals(code(() => s.mirror[end]!()), "EPERM");
      } finally {
        c.syscall = syscall;
      }
      const source = end === "destroy" ? 1 : 0;
      assertEquals(s.mirror.counts(), { nodes: source, descriptors: source, files: 0, directories: 0 });
      assertEquals(code(() => s.fs.getattr({ nodeid: d }, ROOT)), "ESTALE");
    }
  });
});

test("mirror: what is made is its owner's from the first moment on", { needs }, async () => {
  await using s = await Source.make();
  const { fchownat } = c;
  c.fchownat = () => -1;
  try {
    const made = [
      s.mkdir("d", { by: USER }),
      s.create("f", { by: USER, mode: 0o6755 }).entry,
      s.mknod("p", FIFO | 0o644, { by: USER }),
      s.fs.symlink({ parent: ROOT_ID, name: "l", target: "t" }, USER),
      s.fs.tmpfile({ parent: ROOT_ID, flags: s.O.RDWR, mode: 0o100600, umask: 0 }, USER).entry,
    ];
    for (const { attr } of made) assertEquals([attr.uid, attr.gid], [USER.uid, USER.gid]);
    assertEquals(made[1].attr.mode, 0o106755);
  } finally {
    c.fchownat = fchownat;
  }
});

test("mirror permissions: own: the source refuses what the caller may not do", { needs }, async () => {
  await using s = await Source.make({ permissions: "own", entryTimeout: 9, negativeTimeout: 9 });
  await mkdir(s.join("private"), { mode: 0o700 });
  await mkdir(s.join("open"));
  await chmod(s.join("open"), 0o777);
  await writeFile(s.join("secret"), "x", { mode: 0o640 });
  await writeFile(s.join("private/f"), "x");
  await chown(s.join("secret"), 0, 8);
  const hidden = s.id("private"), open = s.id("open"), secret = s.id("secret");
  const member = { ...USER, pid: 0, groups: [8] }, stranger = { ...USER, pid: 0, groups: [9] };
  const may = (by: typeof ROOT, call: (by: typeof ROOT) => unknown) => code(() => call(by));

  assertEquals(may(stranger, (by) => s.fs.lookup({ parent: hidden, name: "f" }, by)), "EACCES");
  assertEquals(may(ROOT, (by) => s.fs.lookup({ parent: hidden, name: "f" }, by)), "ok");
  const read = (by: typeof ROOT) => s.fs.open({ nodeid: secret, flags: s.O.RDONLY, killSuidgid: false }, by);
  assertEquals([may(stranger, read), may(member, read), may(ROOT, read)], ["EACCES", "ok", "ok"]);
  const write = (by: typeof ROOT) => s.fs.open({ nodeid: secret, flags: s.O.RDWR, killSuidgid: false }, by);
  assertEquals([may(member, write), may(ROOT, write)], ["EACCES", "ok"]);
  const access = (mask: number) => (by: typeof ROOT) => s.fs.access({ nodeid: secret, mask }, by);
  assertEquals([may(member, access(4)), may(member, access(2)), may(stranger, access(4))], ["ok", "EACCES", "EACCES"]);
  assertEquals(may(stranger, (by) => s.fs.setattr({ nodeid: secret, mode: 0o100666 }, by)), "EPERM");
  assertEquals(may(stranger, (by) => s.fs.setattr({ nodeid: secret, size: 0 }, by)), "EACCES");
  assertEquals(may(stranger, (by) => s.fs.setattr({ nodeid: secret, mtime: 5 }, by)), "EPERM");
  assertEquals(may(stranger, (by) => s.fs.unlink({ parent: ROOT_ID, name: "secret" }, by)), "EACCES");
  assertEquals(may(stranger, (by) => s.fs.mkdir({ parent: ROOT_ID, name: "d", mode: 0o755, umask: 0 }, by)), "EACCES");
  assertEquals(may(stranger, (by) => s.fs.opendir({ nodeid: hidden, flags: 0, killSuidgid: false }, by)), "EACCES");
  const made = s.fs.mkdir({ parent: open, name: "d", mode: 0o755, umask: 0 }, stranger);
  assertEquals([made.attr.uid, made.attr.gid, made.entryTimeout], [USER.uid, USER.gid, 0]);
  assertEquals(s.fs.lookup({ parent: open, name: "none" }, stranger), null);
  s.mirror[Symbol.dispose]();
});

test("mirror permissions: own: is refused where the server is not root", { needs }, () => {
  const { geteuid } = c;
  c.geteuid = () => 1000;
  try {
    mirror("/", { permissions: "own" });
    assert(false, "nothing thrown");
  } catch (error) {
    assert(error instanceof FuseError);
    assertEquals(error.code, "EPERM");
    assertStringIncludes(error.message, "run it as root");
  } finally {
    c.geteuid = geteuid;
  }
});
