import { assertEquals, assertMatch } from "@std/assert";
import { libc } from "../../ffi/load.ts";
import { INIT_FLAG, type InitFlag } from "../../src/abi/flags.ts";
import { ERRNO } from "../../src/errno.ts";
import { backing, ioUring, mounting, passthrough, protocol } from "../../src/doctor/heard.ts";
import type { Offer } from "../../src/session/handshake.ts";
import { test } from "../support/harness.ts";

const c = libc();

function offer(version: { major?: number; minor?: number } = {}, ...flags: InitFlag[]): Offer {
  const bits = flags.reduce((sum, flag) => sum | 1n << BigInt(INIT_FLAG[flag]), 0n);
  return {
    major: 7,
    minor: 45,
    maxReadahead: 0,
    ...version,
    flags: Number(bits & 0xffffffffn),
    flags2: Number(bits >> 32n),
  };
}

test("protocol: heard, newer than what is spoken here, refused, or by the release", () => {
  const heard = (minor: number) => protocol({ offer: offer({ minor }), backings: [1] }, "6.18.1");
  assertEquals(heard(40), { title: "protocol", state: "ok", value: { major: 7, minor: 40 }, detail: "7.40" });
  assertEquals(heard(46).detail, "7.46, used as 7.45");
  const refused = protocol({ offer: offer({ minor: 8 }), backings: [], failure: "too old" }, "2.6.20");
  assertEquals([refused.state, refused.value, refused.detail], ["limited", { major: 7, minor: 8 }, "7.8; too old"]);
  // It was heard, and what went wrong came later.
  assertEquals(protocol({ offer: offer(), backings: [1], failure: "busy" }, undefined).state, "ok");
  const silent = protocol({ backings: [], failure: "EPERM" }, "6.9.3-1-generic");
  assertEquals([silent.state, silent.value], ["unknown", { major: 7, minor: 40 }]);
  for (const release of ["2.6.39", undefined]) {
    const { state, value } = protocol({ backings: [] }, release);
    assertEquals([state, value], ["unknown", undefined]);
  }
});

test("mounting: done, done with trouble, refused, not tried", () => {
  const told = (trial: Parameters<typeof mounting>[0]) => {
    const { state, value, remedy } = mounting(trial, "do this");
    return [state, value, remedy];
  };
  assertEquals(told({ how: "fusermount3", backings: [1] }), ["ok", "fusermount3", undefined]);
  assertEquals(told({ how: "mount(2)", backings: [1], failure: "busy" }), ["limited", "mount(2)", "do this"]);
  assertEquals(told({ backings: [], failure: "EPERM" }), ["missing", undefined, "do this"]);
  assertEquals(told({ backings: [], failure: "no folder", remedy: "TMPDIR" }), ["unknown", undefined, "TMPDIR"]);
});

test("passthrough: what the kernel offers and says of a file", () => {
  const told = (backings: number[], ...flags: InitFlag[]) => {
    const { state, value } = passthrough({ offer: offer({}, ...flags), backings });
    return [state, value];
  };
  assertEquals(told([1], "FUSE_PASSTHROUGH"), ["ok", { offered: true }]);
  assertEquals(told([-ERRNO.EPERM], "FUSE_PASSTHROUGH"), ["limited", { offered: true, error: "EPERM" }]);
  assertEquals(told([-ERRNO.EBADF], "FUSE_PASSTHROUGH"), ["limited", { offered: true, error: "EBADF" }]);
  assertEquals(told([], "FUSE_PASSTHROUGH"), ["unknown", { offered: true }]);
  assertEquals(told([-ERRNO.EPERM], "FUSE_HAS_RESEND"), ["missing", { offered: false }]);
  assertEquals(passthrough({ backings: [] }).state, "unknown");
});

test("backing: by what the kernel said at each depth, or else by the type", () => {
  const told = (type: string | undefined, first?: number, second?: number) => {
    const { state, value } = backing("/x", { path: "/x", type, file: 3 }, first, second);
    return [state, value!.maxStackDepth, value!.verified];
  };
  const { ELOOP, EPERM, EINVAL } = ERRNO;
  assertEquals(told("ext4", 1), ["ok", 1, true]);
  assertEquals(told("overlay", -ELOOP, 1), ["limited", 2, true]);
  assertEquals(told("overlay", -ELOOP, -ELOOP), ["missing", undefined, true]);
  // The second mount did not come about.
  assertEquals(told("overlay", -ELOOP), ["unknown", 2, false]);
  assertEquals(told("ecryptfs", -EPERM), ["unknown", 2, false]);
  assertEquals(told("xfs", -EPERM), ["unknown", 1, false]);
  assertEquals(told("fuse.sshfs"), ["unknown", undefined, false]);
  assertEquals(told(undefined), ["unknown", undefined, false]);
  assertMatch(backing("/x", { path: "/x", type: "xfs", file: 3 }, -EINVAL, undefined).detail, /says EINVAL$/);
  assertEquals(backing("/x", undefined, undefined, undefined).state, "missing");
});

test("ioUring: offered is what counts", () => {
  assertEquals(ioUring(c, { offer: offer({}, "FUSE_OVER_IO_URING"), backings: [] }).state, "ok");
});
