/** The registry of backing ids, against a kernel that knows nothing but its own rules. */
import { assert, assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { AT_EMPTY_PATH, MFD_CLOEXEC, Stat } from "../../ffi/libc.ts";
import { libc } from "../../ffi/load.ts";
import { cstring } from "../../src/abi/text.ts";
import type { Device } from "../../src/device.ts";
import { ERRNO, type ErrnoName, FuseError } from "../../src/errno.ts";
import type { Backing } from "../../src/fs/backing.ts";
import type { OpenReply } from "../../src/fs/types.ts";
import { PassthroughRegistry } from "../../src/passthrough/registry.ts";
import { NOBODY } from "../../src/ops/op.ts";
import { Random } from "../support/random.ts";
import { c, field, Wire } from "../support/wire.ts";
import { test } from "../support/harness.ts";

const BACKING_OPEN = 0x4010e501, BACKING_CLOSE = 0x4004e502;
const DIRECT_IO = 1, PASSTHROUGH = 128;
const STACKED = "the file lies on a stacked file system, of which option maxStackDepth: 2 allows one, or in /proc";

type Mode = "passthrough" | "cached" | "direct";

/** The kernel's part: `/dev/fuse`'s ioctls, and which opens it takes. */
class Kernel {
  /** Descriptor by id. */
  readonly ids = new Map<number, number>();
  /** Ids in the order in which they were closed. */
  readonly closed: number[] = [];
  /** Descriptors that were asked for. */
  readonly asked: number[] = [];
  /** What BACKING_OPEN answers instead of an id. */
  refusal: ErrnoName | null = null;
  readonly #open = new Map<number, { mode: Mode; id: number }[]>();
  #last = 0;

  ioctl(request: number, argument: Uint8Array): number {
    const view = new DataView(argument.buffer, argument.byteOffset, argument.length);
    if (request === BACKING_OPEN) {
      assertStrictEquals(argument.length, 16);
      assert(argument.subarray(4).every((byte) => byte === 0), "flags and padding are 0");
      const fd = view.getInt32(0, true);
      this.asked.push(fd);
      if (this.refusal !== null) return -ERRNO[this.refusal];
      this.ids.set(++this.#last, fd);
      return this.#last;
    }
    assertStrictEquals(request, BACKING_CLOSE);
    assertStrictEquals(argument.length, 4);
    const id = view.getUint32(0, true);
    assert(this.ids.delete(id), `id ${id} is not open`);
    for (const [nodeid, opens] of this.#open) {
      assert(!opens.some((o) => o.id === id), `id ${id} was closed while nodeid ${nodeid} is open with it`);
    }
    this.closed.push(id);
    return 0;
  }

  /** Takes an open reply, or fails as the kernel would with EIO. Source: the table in the kernel's `iomode.c`. */
  open(nodeid: number, reply: OpenReply, decision: { openFlags: number; backingId: number }): Mode {
    const opens = this.#open.get(nodeid) ?? [];
    const { openFlags, backingId: id } = decision;
    const mode: Mode = openFlags & PASSTHROUGH ? "passthrough" : reply.directIo ? "direct" : "cached";
    assertStrictEquals(openFlags & ~(PASSTHROUGH | DIRECT_IO), 0);
    if (mode === "passthrough") {
      assert(this.ids.has(id), `id ${id} is not open`);
      assert(!opens.some((o) => o.mode === "cached"), "passthrough beside cached");
      assert(opens.every((o) => o.mode === "direct" || o.id === id), "two ids of one inode");
    } else {
      assertStrictEquals(id, 0);
      assert(!opens.some((o) => o.mode === "passthrough"), `${mode} beside passthrough`);
    }
    this.#open.set(nodeid, [...opens, { mode, id }]);
    return mode;
  }

  /** One handle is gone. */
  release(nodeid: number, which = 0): void {
    this.#open.get(nodeid)!.splice(which, 1);
  }

  /** How many handles of an inode are open. */
  handles(nodeid: number): number {
    return this.#open.get(nodeid)?.length ?? 0;
  }
}

type Decision = ReturnType<PassthroughRegistry["opened"]>;

/** A registry with the handles that are open. */
class Registry extends PassthroughRegistry {
  readonly #open = new Map<number, Decision[]>();

  /** Opens for reading and writing. */
  open(nodeid: number, reply: OpenReply, flags: number = O.RDWR): Decision {
    const decision = this.opened(nodeid, flags, reply);
    this.#open.set(nodeid, [...this.#open.get(nodeid) ?? [], decision]);
    return decision;
  }

  /** One handle is gone. */
  release(nodeid: number, which = 0): void {
    const [decision] = this.#open.get(nodeid)!.splice(which, 1);
    this.released(nodeid, decision.tracked ? decision : null);
  }
}

function enabled(maxStackDepth = 1): { kernel: Kernel; registry: Registry } {
  const kernel = new Kernel();
  const registry = new Registry(libc(), kernel as unknown as Device, maxStackDepth);
  registry.enable(null);
  return { kernel, registry };
}

/** What a decision says to the kernel. */
const words = ({ openFlags, backingId }: Decision) => ({ openFlags, backingId });
const { O } = libc();
const backed = (fd: number): OpenReply => ({ backing: fd });
const CACHED: OpenReply = {};
const DIRECT: OpenReply = { directIo: true };

/** Opens of one inode, one after the other, and what each is answered; "release" lets the oldest go. */
const RULES: readonly [what: string, steps: readonly (readonly [OpenReply | "release", string?])[]][] = [
  ["all opens share one id", [[backed(5), "passthrough 1"], [backed(5), "passthrough 1"]]],
  ["also where the descriptors differ", [[backed(5), "passthrough 1"], [backed(6), "passthrough 1"]]],
  ["an open that did not ask is served beside by us", [
    [backed(5), "passthrough 1"],
    [CACHED, "passthrough 1 direct"],
    [DIRECT, "passthrough 1 direct"],
    [backed(5), "passthrough 1"],
  ]],
  ["cached first: the file system goes on serving", [[CACHED, "plain"], [backed(5), "plain"]]],
  ["and then passthrough begins once all of these are gone", [
    [CACHED, "plain"],
    [backed(5), "plain"],
    ["release"],
    [backed(5), "plain"],
    ["release"],
    ["release"],
    [backed(5), "passthrough 1"],
  ]],
  ["direct first: it may be mapped, so the file is served until it is gone", [
    [DIRECT, "plain"],
    [backed(5), "plain"],
    ["release"],
    ["release"],
    [backed(5), "passthrough 1"],
    [DIRECT, "passthrough 1 direct"],
  ]],
  ["direct, then cached", [[DIRECT, "plain"], [CACHED, "plain"], [backed(5), "plain"]]],
  ["the id outlives the open that brought it", [
    [backed(5), "passthrough 1"],
    [CACHED, "passthrough 1 direct"],
    ["release"],
    [backed(6), "passthrough 1"],
    ["release"],
    [CACHED, "passthrough 1 direct"],
  ]],
  ["the next id comes after the last release", [
    [backed(5), "passthrough 1"],
    ["release"],
    [backed(5), "passthrough 2"],
    ["release"],
    [CACHED, "plain"],
  ]],
  ["descriptor 0 is a descriptor", [[backed(0), "passthrough 1"]]],
];

for (const [what, steps] of RULES) {
  test(`registry: ${what}`, () => {
    const { kernel, registry } = enabled();
    for (const [step, expected] of steps) {
      if (step === "release") {
        kernel.release(2);
        registry.release(2);
        continue;
      }
      const decision = registry.open(2, step);
      kernel.open(2, step, decision);
      const { openFlags, backingId } = decision;
      const said = openFlags & PASSTHROUGH ? ["passthrough", backingId] : ["plain"];
      if (openFlags & DIRECT_IO) said.push("direct");
      assertStrictEquals(said.join(" "), expected);
      assertStrictEquals(registry.stats().open, kernel.ids.size);
    }
    while (kernel.handles(2) > 0) {
      kernel.release(2);
      registry.release(2);
    }
    assertStrictEquals(kernel.ids.size, 0);
    const { registered, closed, open } = registry.stats();
    assertEquals([registered, closed, open], [kernel.closed.length, kernel.closed.length, 0]);
  });
}

test("registry: inodes have ids of their own, also for one descriptor", () => {
  const { kernel, registry } = enabled();
  assertEquals([2, 3, 4].map((nodeid) => registry.open(nodeid, backed(9)).backingId), [1, 2, 3]);
  assertEquals([...kernel.ids], [[1, 9], [2, 9], [3, 9]]);
  registry.release(3);
  assertEquals(kernel.closed, [2]);
  assertEquals(registry.stats(), { registered: 3, closed: 1, open: 2, fallbacks: {}, reasons: {} });
});

test("registry: a fallback is counted by its reason, and the file is served by us", () => {
  const { kernel, registry } = enabled();
  const refuse = (nodeid: number, errno: ErrnoName) => {
    kernel.refusal = errno;
    const decision = registry.open(nodeid, backed(5));
    assertEquals(words(decision), { openFlags: 0, backingId: 0 });
    assert(decision.served !== null);
    kernel.open(nodeid, {}, decision);
  };
  refuse(2, "ELOOP");
  refuse(3, "ELOOP");
  refuse(4, "EISDIR");
  // The page cache is in use now: the kernel is not even asked.
  refuse(2, "ELOOP");
  assertEquals(kernel.asked.length, 3);
  assertEquals(registry.stats(), {
    registered: 0,
    closed: 0,
    open: 0,
    fallbacks: { ELOOP: 2, EISDIR: 1, EBUSY: 1 },
    reasons: {
      [`FUSE_DEV_IOC_BACKING_OPEN says ELOOP: ${STACKED}`]: 2,
      "FUSE_DEV_IOC_BACKING_OPEN says EISDIR": 1,
      "the inode is open through the page cache, or by a handle that a mapping brings there": 1,
    },
  });
  assertStrictEquals(registry.unavailable, null);
  // A later inode is asked for again.
  kernel.refusal = null;
  assertStrictEquals(registry.open(5, backed(5)).backingId, 1);
  // And the one that was refused as well, once it is closed.
  for (const _ of [1, 2]) {
    kernel.release(2);
    registry.release(2);
  }
  assertStrictEquals(registry.open(2, backed(5)).backingId, 2);
});

test("registry: with stacking allowed, ELOOP is not explained by its lack", () => {
  const { kernel, registry } = enabled(2);
  kernel.refusal = "ELOOP";
  registry.open(2, backed(5));
  assertEquals(registry.stats().fallbacks, { ELOOP: 1 });
  assertEquals(registry.stats().reasons, { "FUSE_DEV_IOC_BACKING_OPEN says ELOOP": 1 });
});

test("registry: handles opened before a reason to fall back was known are counted as well", () => {
  for (const reason of [null, "it is off"]) {
    const { registry } = enabled();
    registry.enable(reason);
    registry.open(2, CACHED);
    const file = registry.register({ memfd: "a" });
    registry.open(2, { backing: file });
    registry.release(2);
    assertStrictEquals(file.state, "open");
    registry.release(2);
    assertStrictEquals(file.state, "closed");
  }
});

test("registry: a file that is closed is not what the inode's next open gets", () => {
  const { registry } = enabled();
  registry.open(2, CACHED);
  const [a, b] = ["a", "b"].map((memfd) => registry.register({ memfd }));
  registry.open(2, { backing: a });
  registry.release(2, 1);
  assertStrictEquals(a.state, "closed");
  const { served } = registry.open(2, { backing: b });
  assertStrictEquals(served as unknown, b);
  assertThrows(() => registry.open(3, { backing: a }), FuseError, "closed");
});

test("registry: a descriptor as it is serves the handle that it was answered for, and no other", () => {
  const { kernel, registry } = enabled();
  kernel.refusal = "ELOOP";
  const first = registry.open(2, backed(5)), second = registry.open(2, backed(6)), none = registry.open(2, CACHED);
  assertEquals([first, second, none].map((d) => d.served?.fd), [5, 6, undefined]);
  assertEquals([first, second, none].map((d) => d.backed?.fd), [5, 6, undefined]);
  // Another inode's file may have the number by now.
  registry.release(2);
  kernel.refusal = null;
  assertStrictEquals(registry.open(3, backed(5)).backingId, 1);
  assertEquals([...kernel.ids], [[1, 5]]);
});

test("registry: a descriptor as it is does not come back with the id of a later handle", () => {
  const loose = (fd: number): OpenReply => ({ backing: fd, directIo: true });
  for (const registered of [false, true]) {
    const { kernel, registry } = enabled();
    registry.open(2, CACHED);
    const [first, second] = [5, 6].map((fd) => registry.open(2, loose(fd), O.WRONLY));
    assertEquals([first, second].map((d) => [d.backingId, d.served?.fd]), [[0, 5], [0, 6]]);
    // Its author closes 5, and the number becomes another file's.
    registry.release(2, 1);
    registry.release(2, 0);
    const memfd = registry.register({ memfd: "a" }) as Backing & { fd: number };
    const fd = registered ? memfd.fd : 7;
    assertEquals(words(registry.open(2, { backing: registered ? memfd : fd }, O.RDONLY)).backingId, 1);
    assertEquals([kernel.asked, second.served?.fd], [[fd], 6]);
    // What is closed is not the inode's either, though another handle is open.
    registry.release(2, 1);
    assertEquals([kernel.closed, memfd.state], [[1], registered ? "closed" : "idle"]);
    const attr = { mode: 0o100644, size: 77 };
    assertEquals(registry.attributes(2, attr), attr);
    const none = registry.open(2, CACHED);
    assertEquals([none.served, none.backed], [null, null]);
    registry.end();
  }
});

test("registry: a descriptor as it is goes to the kernel, and is written by the session, as its answer has it", () => {
  const { kernel, registry } = enabled();
  const native = libc();
  const fd = native.memfdCreate(cstring("a"), MFD_CLOEXEC);
  const seen: [string, number][] = [];
  const by = (who: string): OpenReply => ({
    backing: fd,
    growing(call) {
      const result = call();
      seen.push([who, result]);
      return result;
    },
  });
  // The first to open has it registered.
  for (const who of ["first", "second"]) registry.open(2, by(who));
  assertEquals(seen, [["first", 1]]);
  kernel.refusal = "ELOOP";
  const { served } = registry.open(3, by("third"));
  const data = new Uint8Array(5);
  served!.write({ nodeid: 3, fh: 0, offset: 0, data, flags: O.RDWR, fromCache: false, killSuidgid: false }, NOBODY);
  assertEquals(seen.slice(1), [["third", -ERRNO.ELOOP], ["third", 5]]);
  registry.release(3);
  native.close(fd);
});

test("registry: opens that did not ask are no fallbacks", () => {
  const { registry } = enabled();
  registry.enable("it is off");
  registry.open(2, { backing: registry.register({ memfd: "a" }) });
  const { served, backed } = registry.open(2, CACHED);
  assertEquals([served === null, backed === null], [true, false]);
  assertEquals(registry.stats().fallbacks, { EOPNOTSUPP: 1 });
  assertEquals(registry.stats().reasons, { "it is off": 1 });
});

test("registry: a refused open with directIo leaves the way open for the next", () => {
  const { kernel, registry } = enabled();
  kernel.refusal = "EMFILE";
  // What only writes cannot be mapped.
  assertStrictEquals(registry.open(2, { backing: 5, directIo: true }, O.WRONLY).backingId, 0);
  kernel.refusal = null;
  assertStrictEquals(registry.open(2, backed(5)).backingId, 1);
});

test("registry: EPERM is about us, not about a file: it is remembered and explained", () => {
  const { kernel, registry } = enabled();
  kernel.open(9, backed(7), registry.open(9, backed(7)));
  kernel.refusal = "EPERM";
  for (const nodeid of [2, 3, 4]) {
    kernel.open(nodeid, backed(5), registry.open(nodeid, backed(5)));
  }
  assertEquals(kernel.asked, [7, 5]);
  assertMatch(registry.unavailable!, /EPERM.*CAP_SYS_ADMIN in the initial user namespace/);
  const counts = Object.entries(registry.stats().reasons);
  assertEquals(registry.stats().fallbacks, { EPERM: 3 });
  assertStrictEquals(counts.reduce((sum, [, count]) => sum + count, 0), 3);
  assert(counts.every(([reason]) => reason.includes("EPERM")));
  // What was registered before goes on, and is closed.
  assertStrictEquals(registry.open(9, backed(7)).backingId, 1);
  registry.release(9);
  kernel.release(9);
  registry.release(9);
  assertEquals(kernel.closed, [1]);
  for (const nodeid of [2, 3, 4]) registry.release(nodeid);
  assertEquals(kernel.closed, [1]);
});

test("registry: before the handshake and without passthrough the kernel is never asked", () => {
  const kernel = new Kernel();
  const registry = new Registry(libc(), kernel as unknown as Device, 1);
  assertMatch(registry.unavailable!, /handshake/);
  registry.enable("it is off");
  for (const reply of [backed(5), CACHED, DIRECT, backed(6)]) {
    assertEquals(words(registry.open(2, reply)), { openFlags: 0, backingId: 0 });
    registry.release(2);
  }
  registry.released(3, null);
  assertStrictEquals(registry.unavailable, "it is off");
  assertEquals(registry.stats(), {
    registered: 0,
    closed: 0,
    open: 0,
    fallbacks: { EOPNOTSUPP: 2 },
    reasons: { "it is off": 2 },
  });
  assertEquals(kernel.asked, []);
});

test("registry: the end of the session closes every id, once", () => {
  const { kernel, registry } = enabled();
  for (const nodeid of [2, 2, 3, 4]) registry.open(nodeid, backed(nodeid));
  registry.open(5, CACHED);
  registry[Symbol.dispose]();
  assertEquals(kernel.closed, [1, 2, 3]);
  assertStrictEquals(registry.stats().open, 0);
  for (const nodeid of [2, 2, 3, 4, 5]) registry.release(nodeid);
  registry[Symbol.dispose]();
  assertEquals(kernel.closed, [1, 2, 3]);
  assertThrows(() => registry.open(6, backed(5)), FuseError, "the session has ended");
  assertStrictEquals(registry.unavailable, "the session has ended");
  assertEquals(kernel.asked, [2, 3, 4]);
});

test("registry: any opens and releases of some inodes are answered as the kernel takes them", () => {
  const random = new Random(7);
  const modes = new Set<Mode>();
  for (let round = 0; round < 200; round++) {
    const { kernel, registry } = enabled();
    for (let step = 0; step < 100; step++) {
      const nodeid = 2 + random.below(4);
      if (random.below(3) > 0) {
        const reply = [backed(random.below(9)), CACHED, DIRECT, { ...DIRECT, backing: 3 }][random.below(4)];
        kernel.refusal = random.below(5) === 0 ? "ELOOP" : null;
        modes.add(kernel.open(nodeid, reply, registry.open(nodeid, reply)));
      } else if (kernel.handles(nodeid) > 0) {
        const which = random.below(kernel.handles(nodeid));
        kernel.release(nodeid, which);
        registry.release(nodeid, which);
      }
    }
    for (const nodeid of [2, 3, 4, 5]) {
      while (kernel.handles(nodeid) > 0) {
        kernel.release(nodeid);
        registry.release(nodeid);
      }
    }
    assertStrictEquals(kernel.ids.size, 0);
    assertStrictEquals(registry.stats().open, 0);
  }
  assertStrictEquals(modes.size, 3);
});

test("registry: from the bytes of OPEN and CREATE to those of RELEASE", async () => {
  const kernel = new Kernel();
  const registry = new Registry(libc(), kernel as unknown as Device, 1);
  const wire = new Wire(
    {
      open: ({ nodeid }) => nodeid === 2 ? { fh: 1, backing: 7, keepCache: true } : { fh: 2, keepCache: true },
      create: () => ({ fh: 3, backing: 8, entry: { nodeid: 4, attr: { mode: 0o100644 } } }),
      release: () => Promise.resolve(),
    },
    {},
    registry,
  );
  wire.init();
  registry.enable(null);
  const flags = (body: Uint8Array, at = 0) =>
    ["open_flags", "backing_id"].map((name) => field("fuse_open_out", name, body, at));
  const open = (nodeid: number) => wire.send("FUSE_OPEN", { nodeid, parts: [c("fuse_open_in")] }).body;
  const fhOf = (body: Uint8Array, at = 0) => field("fuse_open_out", "fh", body, at);
  const release = (nodeid: number, fh: number | bigint) =>
    wire.later("FUSE_RELEASE", { nodeid, parts: [c("fuse_release_in", { fh })] });
  const two = open(2);
  assertEquals(flags(two), [PASSTHROUGH, 1]);
  // FOPEN_KEEP_CACHE, 2, is only taken without passthrough.
  assertEquals(flags(open(3)), [2, 0]);
  const created = { nodeid: 1, parts: [c("fuse_create_in"), "a"] };
  const four = wire.send("FUSE_CREATE", created).body;
  assertEquals(flags(four, 128), [PASSTHROUGH, 2]);
  assertEquals(registry.stats().open, 2);
  await release(4, fhOf(four, 128));
  assertEquals(kernel.closed, [2]);
  // A reply that nobody wanted is no open.
  wire.lose("FUSE_CREATE", created);
  assertEquals(kernel.closed, [2, 3]);
  wire.lose("FUSE_OPEN", { nodeid: 2, parts: [c("fuse_open_in")] });
  assertEquals(kernel.closed, [2, 3]);
  await release(2, fhOf(two));
  assertEquals(kernel.closed, [2, 3, 1]);
  await release(3, 2);
  assertStrictEquals(registry.stats().open, 0);
  assertEquals(wire.reports, []);
});

test("served write: set-id bits end by who writes, also those set in the file since the last write", () => {
  const native = libc();
  using registry = new PassthroughRegistry(native, { ioctl: () => -ERRNO.EPERM } as unknown as Device, 1);
  const file = registry.register({ memfd: "a" }, { coherent: false, autoClose: false }) as Backing & { fd: number };
  const { served } = registry.opened(2, O.RDWR, { backing: file }, 0);
  const [member, outsider] = [{ ...NOBODY, uid: 9, gid: 0 }, { ...NOBODY, uid: 9, gid: 9 }];
  const after = (mode: number, by: typeof NOBODY, killSuidgid = true, data = new Uint8Array(1)) => {
    native.fchmod(file.fd, mode);
    served!.write({ nodeid: 2, fh: 0, offset: 0, data, flags: O.RDWR, fromCache: false, killSuidgid }, by);
    const st = new Stat();
    native.statx(file.fd, new Uint8Array(128), AT_EMPTY_PATH, 0x7ff, st);
    return (st.mode & 0o7777).toString(8);
  };
  assertEquals([after(0o777, outsider), after(0o4777, outsider), after(0o2777, outsider)], ["777", "777", "777"]);
  assertEquals([after(0o6775, member), after(0o6775, outsider)], ["775", "775"]);
  assertEquals([after(0o6765, member), after(0o6765, outsider)], ["2765", "765"]);
  assertEquals([after(0o2765, member), after(0o2765, outsider)], ["2765", "765"]);
  assertEquals([after(0o6775, outsider, false), after(0o6775, outsider, true, new Uint8Array(0))], ["6775", "6775"]);
});
