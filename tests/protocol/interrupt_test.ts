/** INTERRUPT on the real kernel: whose caller got a signal is told by `request.signal`, and the session goes on. */
import { assert, assertEquals, assertGreater, assertStrictEquals } from "@std/assert";
import { type Filesystem, FuseError, type Request } from "../../mod.ts";
import { deferred } from "../../src/deferred.ts";
import { test, until } from "../support/harness.ts";
import { bytes, kernel, serve, type Served, since, testWith, tree } from "../support/kernel.ts";

const direct: Filesystem = { open: () => ({ directIo: true }) };

/** Rejects with the signal's reason when it is aborted, and never resolves. */
function aborted({ signal }: Request): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason));
  });
}

/** A file whose reads last until they are aborted, and the request of the first. */
function reading(): { inside: Promise<Request>; methods: Filesystem } {
  const inside = deferred<Request>();
  const read = (_: unknown, request: Request) => {
    inside.resolve(request);
    return aborted(request);
  };
  return { inside: inside.promise, methods: { ...direct, read } };
}

/** A client that reads `file`, a signal coming while it waits. */
const IMPATIENT = `
  fd = opened("file")
  alarm(0.2)
  b = ctypes.create_string_buffer(8)
  say(err(call, "read", fd, b, 8), b.value.decode())
`;

const interrupts = (fs: Served) => fs.opcodes.filter((name) => name === "INTERRUPT").length;

test("signal: a handler that rejects with its reason answers EINTR", kernel, async () => {
  await using fs = await serve(tree({ ...direct, read: (_, request) => aborted(request) }));
  assertEquals(await fs.client(IMPATIENT), [["EINTR", ""]]);
  assertGreater(interrupts(fs), 0);
  const { signal } = fs.seen.find(({ method }) => method === "read")!.request;
  assert(signal.aborted);
  assertEquals((signal.reason as Error).name, "AbortError");
});

test("signal: what a handler answers instead is the client's", kernel, async () => {
  let answer = () => bytes("kept");
  await using fs = await serve(tree({
    ...direct,
    async read(_, request) {
      await aborted(request).catch(() => {});
      return answer();
    },
  }));
  assertEquals(await fs.client(IMPATIENT), [["ok", "kept"]]);
  answer = () => {
    throw new FuseError("ENXIO");
  };
  assertEquals(await fs.client(IMPATIENT), [["ENXIO", ""]]);
});

test("signal: a handler that does not look at it is unaffected", kernel, async () => {
  await using fs = await serve(tree({
    ...direct,
    async read() {
      await until(() => interrupts(fs) > 0, "the interrupt is here");
      return bytes("done");
    },
  }));
  assertEquals(await fs.client(IMPATIENT), [["ok", "done"]]);
});

test("signal: also where it is read only after the interrupt has come", kernel, async () => {
  let late: AbortSignal | undefined;
  await using fs = await serve(tree({
    ...direct,
    async read(_, request) {
      await until(() => interrupts(fs) > 0, "the interrupt is here");
      late = request.signal;
      late.throwIfAborted();
      return bytes("never");
    },
  }));
  assertEquals(await fs.client(IMPATIENT), [["EINTR", ""]]);
  assertStrictEquals(late!.aborted, true);
});

test("signal: a client that is killed ends as soon as the handler gives up", kernel, async () => {
  const { inside, methods } = reading();
  await using fs = await serve(tree(methods));
  await using client = await fs.start(`os.read(opened("file"), 1)`, { code: 128 + 9 });
  const { signal, pid } = await inside;
  assertEquals([signal.aborted, pid], [false, client.pid]);
  client.kill("SIGKILL");
  assertEquals(await client.rest(), []);
  assert(signal.aborted);
});

test("signal: every kind of request, also one that changes something", kernel, async () => {
  const waits = (_: unknown, request: Request) => aborted(request);
  await using fs = await serve(tree({
    mkdir: waits,
    unlink: waits,
    rename: waits,
    setattr: waits,
    getxattr: waits,
    statfs: waits,
    readlink: waits,
    fsync: waits,
    ioctl: waits,
    lookup: (args, request) => args.name === "slow" ? aborted(request) : tree().lookup!(args, request),
  }));
  const said = await fs.client(`
    fd = opened("file", os.O_RDWR)
    b = ctypes.create_string_buffer(64)
    calls = [
        ("mkdir", p("new"), 0o700),
        ("unlink", p("file")),
        ("rename", p("file"), p("other")),
        ("chmod", p("file"), 0o600),
        ("getxattr", p("file"), b"user.x", b, 64),
        ("statfs", p("file"), ctypes.create_string_buffer(256)),
        ("readlink", p("link"), b, 64),
        ("fsync", fd),
        ("ioctl", fd, iowr(0, "w", 1, 0), 0),
        ("access", p("slow"), 0),
    ]
    for one in calls:
        alarm(0.05)
        say(err(call, *one))
  `);
  assertEquals(said, said.map(() => "EINTR"));
  assertEquals(said.length, 10);
  assert(interrupts(fs) >= 10);
});

testWith(since(40), "signal: of a request that was sent again", async () => {
  let times = 0;
  await using fs = await serve(tree({
    ...direct,
    read(_, request) {
      times++;
      return request.resent ? aborted(request) : new Promise(() => {});
    },
  }));
  await using client = await fs.start(`
    fd = opened("file")
    signal.signal(signal.SIGUSR1, lambda *_: None)
    say(err(call, "read", fd, ctypes.create_string_buffer(8), 8))
  `);
  await until(() => times === 1, "the request is here");
  fs.session.notify.resend();
  await until(() => times === 2, "it is here again");
  client.kill("SIGUSR1");
  assertEquals(await client.rest(), ["EINTR"]);
});

test("signal: aborted where the session ends before the answer", kernel, async () => {
  const { inside, methods } = reading();
  await using fs = await serve(tree(methods));
  await using _client = await fs.start(`os.read(opened("file"), 1)`, { code: null });
  const { signal } = await inside;
  assertEquals(await fs.session.unmount({ timeout: 50 }), "aborted");
  assert(signal.aborted);
});

test("session: serves on after hundreds of interrupts, before and after answers", kernel, async () => {
  let inside = 0;
  await using fs = await serve(tree({
    ...direct,
    read({ offset, size }, request) {
      const data = new Uint8Array(size).fill(0x61);
      // Some answer at once, some are interrupted, and some both at about the same time.
      const turn = offset % 7;
      if (turn === 0) return data;
      inside++;
      const later = turn === 1 ? [] : [new Promise<void>((resolve) => setTimeout(resolve, turn))];
      return Promise.race([aborted(request), ...later]).then(() => data).finally(() => inside--);
    },
  }));
  const storm = `
    fd = opened("file")
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.003)
    b = ctypes.create_string_buffer(4)
    outcomes = {}
    for k in range(150):
        ctypes.memset(b, 0, 4)
        outcome = err(call, "pread", fd, b, 3, k)
        assert b.value == (b"aaa" if outcome == "ok" else b""), b.value
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    say(outcomes)
  `;
  const said = await Promise.all([1, 2, 3].map(() => fs.client(storm)));
  for (const [{ ok = 0, EINTR = 0 }] of said) {
    assertEquals(ok + EINTR, 150);
    assert(ok > 0 && EINTR > 0, `${ok} were answered, ${EINTR} interrupted`);
  }
  assertEquals(inside, 0);
  assertEquals(await fs.client(`say(os.pread(opened("file"), 2, 0).decode())`), ["aa"]);
});
