/** Every id that the kernel gave is given back, whatever happened: counted at the ioctls, and asked of the kernel. */
import { assertEquals, assertGreater, assertStrictEquals } from "@std/assert";
import { libc } from "../../ffi/load.ts";
import { type Backing, type Filesystem, FuseError, type OpenReply, type Passthrough, type Request } from "../../mod.ts";
import { FUSE_DEV_IOC_BACKING_CLOSE, FUSE_DEV_IOC_BACKING_OPEN } from "../../src/abi/ioctl.ts";
import { Device } from "../../src/device.ts";
import { ERRNO } from "../../src/errno.ts";
import { PassthroughRegistry } from "../../src/passthrough/registry.ts";
import { type Client, serve, type Served, since, testWith } from "../support/kernel.ts";
import { openFds, until } from "../support/harness.ts";
import { Memfds } from "./memfds.ts";
import { RawServer } from "./raw.ts";

const { O } = libc();
const leaks = (name: string, fn: () => Promise<void>) => testWith(since(40), name, fn);

/** Counts the ids of all sessions of this process, until it is disposed. */
class Ioctls implements Disposable {
  /** Ids that the kernel gave. */
  given = 0;
  /** Ids that it took back. */
  taken = 0;
  /** Ioctls about ids that it refused. */
  refused = 0;
  readonly #library = libc() as { ioctl: ReturnType<typeof libc>["ioctl"] };
  readonly #ioctl = this.#library.ioctl;

  constructor() {
    this.#library.ioctl = (fd, request, argument) => {
      const result = this.#ioctl(fd, request, argument);
      const known = request === FUSE_DEV_IOC_BACKING_OPEN || request === FUSE_DEV_IOC_BACKING_CLOSE;
      if (known && result < 0) this.refused++;
      else if (request === FUSE_DEV_IOC_BACKING_OPEN) this.given++;
      else if (request === FUSE_DEV_IOC_BACKING_CLOSE) this.taken++;
      return result;
    };
  }

  [Symbol.dispose](): void {
    this.#library.ioctl = this.#ioctl;
  }
}

/** The ids up to a number that a connection still has. They are closed. */
function left(device: number, upTo: number): number[] {
  const found: number[] = [], id = new Uint32Array(1), argument = new Uint8Array(id.buffer);
  for (id[0] = 1; id[0] <= upTo; id[0]++) {
    const result = libc().ioctl(device, FUSE_DEV_IOC_BACKING_CLOSE, argument);
    if (result !== -ERRNO.ENOENT) found.push(id[0]);
  }
  return found;
}

/** A device that outlives its session. */
async function deviceOf(files: Memfds): Promise<number> {
  const devices = [...await openFds()].filter(([, path]) => path === "/dev/fuse").map(([fd]) => fd);
  assertStrictEquals(devices.length, 1);
  return files.adopt(libc().dup(devices[0]));
}

type Open = (files: Passthrough, request: Request) => OpenReply | Promise<OpenReply>;

/** A file `a` that is opened as a test says, and any other name, which can be created. */
async function place(open: Open): Promise<{ served: Served; files: Passthrough }> {
  let files!: Passthrough;
  const attr = (nodeid: number) => ({ mode: nodeid === 1 ? 0o40777 : 0o100666 });
  const fs: Filesystem = {
    init: ({ passthrough }) => void (files = passthrough),
    lookup: ({ name }) => name === "a" ? { nodeid: 2, attr: attr(2) } : null,
    getattr: ({ nodeid }) => ({ attr: attr(nodeid) }),
    open: (_args, request) => open(files, request),
    async create(_args, request) {
      const reply = await open(files, request);
      return { ...reply, entry: { nodeid: 3, attr: attr(3) } };
    },
  };
  const served = await serve(fs, { onError: () => {} });
  return { served, files };
}

/** Runs a body, unmounts, and checks that the kernel has none of the ids left. */
async function balanced(open: Open, body: (served: Served, files: Passthrough) => Promise<void>): Promise<void> {
  using ioctls = new Ioctls();
  using files = new Memfds();
  let device: number;
  {
    const { served, files: passthrough } = await place(open);
    await using _served = served;
    device = await deviceOf(files);
    await body(served, passthrough);
  }
  assertEquals([ioctls.taken, ioctls.refused], [ioctls.given, 0]);
  assertEquals(left(device, ioctls.given + 10), []);
}

/** Waits until every id is closed, while the mount is there. */
const closed = (files: Passthrough) => until(() => files.stats().open === 0, "every id is closed");

const FAILING: Readonly<Record<string, Open>> = {
  "throws after it registered": (files) => {
    files.register({ memfd: "leaks thrown" });
    throw new FuseError("EDQUOT");
  },
  "rejects after it registered": async (files) => {
    files.register({ memfd: "leaks rejected" });
    await Promise.resolve();
    throw new FuseError("EDQUOT");
  },
  "throws beside open handles of what it registered": (() => {
    let backing: Backing | undefined, opens = 0;
    return (files) => {
      backing ??= files.register({ memfd: "leaks shared" });
      if (++opens > 1) throw new FuseError("EDQUOT");
      return { backing };
    };
  })(),
  "answers what cannot be sent": (files) => ({ fh: NaN, backing: files.register({ memfd: "leaks NaN" }) }),
  "answers what it has disposed of": (files) => {
    const backing = files.register({ memfd: "leaks disposed" });
    backing[Symbol.dispose]();
    return { backing };
  },
};

for (const [what, open] of Object.entries(FAILING)) {
  leaks(`leaks: an open that ${what}`, async () => {
    await balanced(open, async (served, files) => {
      const said = await served.client(`
        def each():
          for name in ("a", "a", "new"):
            for flags in (os.O_RDONLY, os.O_RDWR | os.O_CREAT): yield err(opened, name, flags)
        say(list(each()))
      `);
      assertGreater((said[0] as string[]).filter((code) => code !== "ok").length, 4);
      await closed(files);
    });
    await until(
      async () => ![...(await openFds()).values()].some((path) => path.startsWith("/memfd:leaks")),
      "no file in memory is open",
    );
  });
}

leaks("leaks: a client that is killed with open handles, mappings and opens under way", async () => {
  let begun = 0;
  const open: Open = async (files, { signal }) => {
    const backing = files.register({ memfd: "leaks a" });
    if (++begun > 100) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    return { backing };
  };
  await balanced(open, async (served, files) => {
    await using client = await served.start(
      `
      fds = [opened("a", os.O_RDWR) for _ in range(100)]
      os.pwrite(fds[0], bytes(4096), 0)
      maps = [mmap.mmap(fds[0], 4096) for _ in range(10)]
      say(len(fds))
      opened("a", os.O_RDWR)
      `,
      { code: null },
    );
    assertEquals(await client.next(), 100);
    await until(() => begun > 100, "an open is under way");
    client.kill("SIGKILL");
    // The kernel lets it end once its open is answered.
    await client.rest();
    await closed(files);
    assertEquals(files.stats().registered, 1);
  });
});

leaks("leaks: an unmount with idle files, and with open handles", async () => {
  const kept: Backing[] = [];
  const open: Open = (files) => {
    kept.push(files.register({ memfd: "leaks kept" }, { autoClose: false }));
    return { backing: kept.at(-1)! };
  };
  let client: Client | undefined;
  try {
    await balanced(open, async (served, files) => {
      await served.client(`os.close(opened("a", os.O_RDWR)); os.close(opened("new", os.O_RDWR | os.O_CREAT))`);
      await until(() => kept.every(({ state }) => state === "idle"), "they are released");
      assertEquals(files.stats().open, 2);
      client = await served.start(`fd = opened("a", os.O_RDWR); say(0); wait()`, { code: null });
      await client.next();
    });
    assertEquals(kept.map(({ state, id }) => [state, id]), Array(3).fill(["closed", 0]));
  } finally {
    await client?.[Symbol.asyncDispose]();
  }
});

leaks("leaks: 100,000 registrations in a row, and 100,000 at once", async () => {
  const count = 100_000;
  using ioctls = new Ioctls();
  using files = new Memfds();
  await using server = await RawServer.mount();
  const fd = files.file("data");
  const before = (await openFds()).size;
  {
    using registry = new PassthroughRegistry(libc(), new Device(libc(), server.fd), 1);
    registry.enable(null);
    for (let i = 0; i < count; i++) {
      registry.released(2, registry.opened(2, O.RDWR, { backing: registry.register(fd) }));
    }
    assertEquals(registry.stats(), { registered: count, closed: count, open: 0, fallbacks: {}, reasons: {} });
    assertEquals([ioctls.given, ioctls.taken, ioctls.refused], [count, count, 0]);
    for (let i = 0; i < count; i++) registry.opened(i + 2, O.RDWR, { backing: fd });
    assertEquals(registry.stats().open, count);
  }
  assertEquals([ioctls.given, ioctls.taken, ioctls.refused], [2 * count, 2 * count, 0]);
  assertEquals(left(server.fd, 2 * count + 10), []);
  assertStrictEquals((await openFds()).size, before);
});
