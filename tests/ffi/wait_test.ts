/** What waits: for descriptors, for another thread, for a child; alike on every runtime. */
import { assertEquals } from "@std/assert";
import fs from "node:fs/promises";
import { AT_FDCWD, POLLIN, POLLOUT, Stat } from "../../ffi/libc.ts";
import { libc, runtime } from "../../ffi/load.ts";
import { spawn, waitExit } from "../../ffi/process.ts";
import { cstring } from "../../src/abi/text.ts";
import { openFds, RUNTIME, tempDir, test, type TestOptions } from "../support/harness.ts";

// Opened here, since it stays open.
const c = libc();
const [EBADF, EPIPE, POLLNVAL, POLLHUP] = [9, 32, 32, 16];
const ONE = new Uint8Array(BigUint64Array.of(1n).buffer);

/** An eventfd that can be read once it was rung. */
function bell(): Disposable & { readonly fd: number; ring(): void } {
  const fd = c.eventfd(0, 0o2004000);
  return { fd, ring: () => void c.write(fd, ONE, 8), [Symbol.dispose]: () => void c.close(fd) };
}

/** An array of struct pollfd, and what became ready of each. */
function pollfds(...fds: [fd: number, events: number][]): { bytes: Uint8Array; ready(): number[] } {
  const bytes = new Uint8Array(128), view = new DataView(bytes.buffer);
  for (const [i, [fd, events]] of fds.entries()) {
    view.setInt32(8 * i, fd, true);
    view.setInt16(8 * i + 4, events, true);
  }
  return { bytes, ready: () => fds.map((_, i) => view.getInt16(8 * i + 6, true)) };
}

/** Has something done while so many others wait, each of which is woken in the end and has its own answer. */
async function amid(others: number, body: () => Promise<void>): Promise<void> {
  const bells = Array.from({ length: others }, bell);
  const asked = bells.map(({ fd }) => pollfds([-1, POLLIN], [fd, POLLIN]));
  const waits = asked.map(({ bytes }) => c.pollAsync(bytes, 2, -1));
  try {
    await body();
  } finally {
    bells.forEach(({ ring }) => ring());
    assertEquals(await Promise.all(waits), waits.map(() => 1));
    assertEquals(asked.map(({ ready }) => ready()), waits.map(() => [0, POLLIN]));
    for (const { fd } of bells) c.close(fd);
  }
}

/** A test of `pollAsync` where nobody else waits, and where more do than a runtime has threads for. */
function testPoll(name: string, options: TestOptions, body: () => Promise<void>): void {
  for (const others of [0, 40]) test(`pollAsync: ${name}; while ${others} wait`, options, () => amid(others, body));
}

test("runtime: says which it is", () => {
  assertEquals(runtime().name, RUNTIME);
});

testPoll("whichever of the descriptors is ready, now or later; 0 after the time", {}, async () => {
  using first = bell();
  using second = bell();
  const fds = pollfds([first.fd, POLLIN], [second.fd, POLLIN]);
  assertEquals([await c.pollAsync(fds.bytes, 2, 20), fds.ready()], [0, [0, 0]]);
  const later = c.pollAsync(fds.bytes, 2, -1);
  setTimeout(second.ring, 20);
  assertEquals([await later, fds.ready()], [1, [0, POLLIN]]);
  first.ring();
  assertEquals([await c.pollAsync(fds.bytes, 2, -1), fds.ready()], [2, [POLLIN, POLLIN]]);
  const without = pollfds([-1, POLLIN], [second.fd, POLLIN]);
  assertEquals([await c.pollAsync(without.bytes, 2, -1), without.ready()], [1, [0, POLLIN]]);
  assertEquals(await c.pollAsync(without.bytes, 0, 10), 0);
});

testPoll("many at once, on one descriptor and on others", {}, async () => {
  const bells = Array.from({ length: 20 }, bell);
  try {
    const waits = [...bells, bells[0], bells[0]].map(({ fd }) => c.pollAsync(pollfds([fd, POLLIN]).bytes, 1, -1));
    setTimeout(() => bells.forEach(({ ring }) => ring()), 20);
    assertEquals(await Promise.all(waits), waits.map(() => 1));
  } finally {
    for (const { fd } of bells) c.close(fd);
  }
});

testPoll("a number that stands for something else now", {}, async () => {
  for (let i = 0; i < 3; i++) {
    using one = bell();
    const waiting = c.pollAsync(pollfds([one.fd, POLLIN]).bytes, 1, -1);
    setTimeout(one.ring, 5);
    assertEquals(await waiting, 1);
  }
});

testPoll("the end of a pipe, room in one, a file, and what is not open", {}, async () => {
  using one = bell();
  const pipe = new Int32Array(2);
  c.pipe2(pipe, c.O.CLOEXEC);
  const [from, to] = pipe;
  const room = pollfds([to, POLLOUT]);
  assertEquals([await c.pollAsync(room.bytes, 1, -1), room.ready()], [1, [POLLOUT]]);
  // Asked for nothing, an end is still told.
  const end = pollfds([from, 0]);
  assertEquals(await c.pollAsync(end.bytes, 1, 10), 0);
  const ended = c.pollAsync(end.bytes, 1, -1);
  setTimeout(() => c.close(to), 20);
  assertEquals([await ended, end.ready()], [1, [POLLHUP]]);
  c.close(from);
  const file = await fs.open("/proc/self/status");
  assertEquals(await c.pollAsync(pollfds([file.fd, POLLIN]).bytes, 1, -1), 1);
  one.ring();
  const both = pollfds([one.fd, POLLIN], [file.fd, POLLIN]);
  assertEquals([await c.pollAsync(both.bytes, 2, -1), both.ready()], [2, [POLLIN, POLLIN]]);
  await file.close();
  const closed = pollfds([from, POLLIN]);
  assertEquals([await c.pollAsync(closed.bytes, 1, -1), closed.ready()], [1, [POLLNVAL]]);
});

test("pollAsync: a hundred at once, woken in another order, each for itself", async () => {
  const bells = Array.from({ length: 100 }, bell);
  const asked = bells.map(({ fd }) => pollfds([bells[0].fd, 0], [fd, POLLIN]));
  const ended: number[] = [];
  const waits = asked.map(async ({ bytes }, i) => {
    const ready = await c.pollAsync(bytes, 2, -1);
    ended.push(i);
    return ready;
  });
  const order = bells.map((_, i) => i * 37 % 100);
  for (const i of order) {
    bells[i].ring();
    assertEquals([await waits[i], asked[i].ready()], [1, [0, POLLIN]]);
  }
  assertEquals(ended, order);
  for (const { fd } of bells) c.close(fd);
});

test("pollAsync: those who wait again and again, in pairs that wake each other", async () => {
  const counter = new Uint8Array(8), rounds = 20;
  await Promise.all(Array.from({ length: 20 }, async () => {
    using left = bell();
    using right = bell();
    const side = async (own: typeof left, other: typeof left) => {
      const asked = pollfds([own.fd, POLLIN]);
      for (let i = 0; i < rounds; i++) {
        assertEquals([await c.pollAsync(asked.bytes, 1, -1), asked.ready()], [1, [POLLIN]]);
        c.read(own.fd, counter);
        other.ring();
      }
    };
    left.ring();
    await Promise.all([side(left, right), side(right, left)]);
  }));
});

testPoll("a descriptor that is closed as soon as it is ready", {
  except: { node: "its event loop forgets what is closed" },
}, async () => {
  const one = bell();
  const waiting = c.pollAsync(pollfds([one.fd, POLLIN]).bytes, 1, -1);
  // By then it waits.
  await new Promise((resolve) => setTimeout(resolve, 20));
  one.ring();
  c.close(one.fd);
  assertEquals(await waiting, 1);
});

test("pollAsync: leaves no descriptor open", async () => {
  const waiting = async () => [...(await openFds()).values()].filter((target) => /event/.test(target)).sort();
  const before = await waiting();
  await amid(40, async () => {
    using one = bell();
    one.ring();
    assertEquals(await c.pollAsync(pollfds([one.fd, POLLIN]).bytes, 1, -1), 1);
  });
  assertEquals(await waiting(), before);
});

test("turnAsync: a timer that is due gets its turn", async () => {
  let fired = false;
  const timer = setTimeout(() => fired = true, 1);
  const begun = performance.now();
  while (performance.now() - begun < 5);
  for (let i = 0; i < 1000 && !fired; i++) await c.turnAsync();
  clearTimeout(timer);
  assertEquals(fired, true);
});

test("openAsync, statxAsync, umount2Async: a value, or -1", async () => {
  await using dir = await tempDir();
  await fs.writeFile(dir.join("f"), "hello");
  const stat = new Stat();
  assertEquals([await c.statxAsync(AT_FDCWD, cstring(dir.join("f")), 0, 0xfff, stat), stat.size], [0, 5]);
  assertEquals(await c.statxAsync(AT_FDCWD, cstring(dir.join("none")), 0, 0xfff, stat), -1);
  const fds = await Promise.all(Array.from({ length: 10 }, () => c.openAsync(cstring(dir.join("f")), c.O.RDONLY)));
  assertEquals(new Set(fds).size, 10);
  assertEquals(fds.map((fd) => c.close(fd)), fds.map(() => 0));
  assertEquals(await c.openAsync(cstring(dir.join("none")), c.O.RDONLY), -1);
  assertEquals(await c.umount2Async(cstring(dir.path), 0), -1);
});

test("writeAsync: what was written, or -errno; it may wait", async () => {
  const pipe = new Int32Array(2);
  c.pipe2(pipe, c.O.CLOEXEC);
  const [from, to] = pipe;
  const message = Uint8Array.from({ length: 200_000 }, (_, i) => i % 251), found = new Uint8Array(message.length);
  const written = c.writeAsync(to, message);
  for (let n = 0; n < found.length;) {
    const waiting = pollfds([from, POLLIN]);
    await c.pollAsync(waiting.bytes, 1, -1);
    n += c.read(from, found.subarray(n));
  }
  assertEquals([await written, found], [message.length, message]);
  c.close(from);
  assertEquals(await c.writeAsync(to, message), -EPIPE);
  c.close(to);
  assertEquals(await c.writeAsync(to, message), -EBADF);
});

test("waitpidAsync: many children, each with its own end", async () => {
  const statuses = [0, 1, 2, 3, 4, 5, 6, 7];
  const ended = await Promise.all(statuses.map(async (status) => {
    const argv = ["/bin/sh", "-c", `sleep 0.0${status}; exit ${status}`].map(cstring);
    return await waitExit(c, await spawn(c, { argv, env: [cstring("PATH=/usr/bin:/bin")], fds: [] }));
  }));
  assertEquals(ended, statuses);
});

test("memory, address, syscall, getenv", () => {
  const bytes = new Uint8Array(200);
  bytes[3] = 7;
  const same = c.memory(c.address(bytes), 200);
  same[4] = 8;
  assertEquals([same[3], bytes[4]], [7, 8]);
  const view = bytes.subarray(100);
  assertEquals(c.address(view) - c.address(bytes), 100n);
  const SYS_GETPID = c.architecture === "x86_64" ? 39 : 172, SYS_CLOSE = c.architecture === "x86_64" ? 3 : 57;
  assertEquals([c.syscall(SYS_GETPID, []), c.syscall(SYS_CLOSE, [-1n])], [BigInt(c.getpid()), BigInt(-EBADF)]);
  assertEquals(
    [c.getenv(cstring("NO_SUCH_VARIABLE")), new TextDecoder().decode(c.getenv(cstring("PATH"))!).length > 0],
    [
      null,
      true,
    ],
  );
});
