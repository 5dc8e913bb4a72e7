/** A session on the real kernel, served by this process: how it begins, serves, ends, and what it gives back. */
import { assert, assertEquals, assertGreater, assertLess, assertMatch, assertRejects } from "@std/assert";
import fs from "node:fs/promises";
import process from "node:process";
import { libc } from "../../ffi/load.ts";
import {
  type Attr,
  type ErrorPlace,
  type Filesystem,
  FuseError,
  mount,
  type MountOptions,
  ROOT_ID,
} from "../../mod.ts";
import { deferred } from "../../src/deferred.ts";
import { mountsUnder, openFds, run, type TempDir, tempDir, test, until } from "../support/harness.ts";

const needs = ["root", "fuse"] as const;
const quiet: MountOptions = { signals: false };

const DIRECTORY: Attr = { mode: 0o040755, nlink: 2 };
const FILE: Attr = { mode: 0o100644, size: 6 };
const CONTENT = new TextEncoder().encode("hello\n");

/** One file, `file`, and what a test changes about it. */
function oneFile(changes: Filesystem = {}): Filesystem {
  return {
    lookup: ({ name }) => name === "file" ? { nodeid: 2, attr: FILE } : null,
    getattr: ({ nodeid }) => ({ attr: nodeid === ROOT_ID ? DIRECTORY : FILE }),
    readdir: () => [{ name: "file", ino: 2, mode: FILE.mode }],
    read: ({ offset, size }) => CONTENT.subarray(offset, offset + size),
    ...changes,
  };
}

/** The descriptors of this process that concern a mount. */
async function fuseFds(): Promise<string[]> {
  return [...(await openFds()).values()].filter((target) => /fuse|eventfd|pipe|socket/.test(target)).sort();
}

test("mount: serves a program, and unmount gives everything back", { needs, sanitize: false }, async () => {
  await using dir = await tempDir();
  const before = await fuseFds();
  let destroyed = 0;
  const session = await mount(oneFile({ destroy: () => void destroyed++ }), dir.path, quiet);
  assertEquals(session.negotiated.major, 7);
  assertGreater(session.negotiated.minor, 30);
  assertEquals((await run(["cat", dir.join("file")])).stdout, "hello\n");
  assertMatch((await run(["ls", "-la", dir.path])).stdout, /-rw-r--r-- +1 root root +6 .* file\n/);
  assertEquals((await run(["cat", dir.join("other")])).code, 1);
  assertEquals(await session.unmount(), "unmounted");
  assertEquals(await session.closed, "unmounted");
  assertEquals(destroyed, 1);
  assertEquals(await mountsUnder(dir.path), []);
  assertEquals(await fuseFds(), before);
});

test("mount: twenty times leaves no descriptor and no child behind", { needs, sanitize: false }, async () => {
  await using dir = await tempDir();
  const children = async () => (await run(`ps --ppid ${process.pid} -o pid= | wc -l`)).stdout;
  const [fds, processes] = [await fuseFds(), await children()];
  for (let i = 0; i < 20; i++) {
    await using session = await mount(oneFile(), dir.path, quiet);
    assertEquals(session.mountpoint, dir.path);
  }
  assertEquals(await fuseFds(), fds);
  assertEquals(await children(), processes);
  assertEquals(await mountsUnder(dir.path), []);
});

test("closed: resolves when somebody else unmounts", { needs, sanitize: false }, async () => {
  await using dir = await tempDir();
  const session = await mount(oneFile(), dir.path, quiet);
  assertEquals((await run(["umount", dir.path])).code, 0);
  assertEquals(await session.closed, "unmounted");
  assertEquals(await session.unmount(), "unmounted");
});

test("closed: resolves when the connection is aborted, and takes the dead mount away", {
  needs,
  sanitize: false,
}, async () => {
  await using dir = await tempDir();
  const session = await mount(oneFile(), dir.path, quiet);
  await using control = await tempDir();
  await run(["mount", "-t", "fusectl", "none", control.path]);
  await fs.writeFile(control.join(String(session.device!.minor), "abort"), "1");
  assertEquals(await session.closed, "aborted");
  assertEquals(await mountsUnder(dir.path), []);
});

test("unmount: a handler that never answers is cut off", { needs, sanitize: false }, async () => {
  await using dir = await tempDir();
  const asked = deferred<void>();
  const read = () => {
    asked.resolve();
    return new Promise<never>(() => {});
  };
  const session = await mount(oneFile({ read }), dir.path, quiet);
  const reader = run(["cat", dir.join("file")]);
  await asked.promise;
  assertEquals(await session.unmount({ timeout: 100 }), "aborted");
  assertEquals((await reader).code, 1);
  assertEquals(await mountsUnder(dir.path), []);
});

/** Somebody who has the file open until told to go on, and then reads it. */
async function user(dir: TempDir, control: TempDir) {
  const [ready, go] = [control.join("ready"), control.join("go")];
  const done = run(`exec 3< ${dir.join("file")}; : > ${ready}; until [ -e ${go} ]; do sleep 0.02; done; cat <&3`);
  await until(() => fs.stat(ready).then(() => true, () => false), "the file is open");
  return { done, go: () => fs.writeFile(go, "") };
}

test("unmount: waits for who uses it, up to the timeout", { needs, sanitize: false }, async () => {
  await using dir = await tempDir();
  await using control = await tempDir();
  const session = await mount(oneFile(), dir.path, quiet);
  const { done, go } = await user(dir, control);
  const unmounted = session.unmount({ timeout: 20_000 });
  await go();
  assertEquals([await unmounted, (await done).stdout], ["unmounted", "hello\n"]);
});

test("unmount: who still uses it after the timeout is only detached", { needs, sanitize: false }, async () => {
  await using dir = await tempDir();
  await using control = await tempDir();
  const session = await mount(oneFile(), dir.path, quiet);
  const { done, go } = await user(dir, control);
  const unmounted = session.unmount({ timeout: 5000 });
  await until(async () => (await mountsUnder(dir.path)).length === 0, "it is detached");
  await go();
  assertEquals([await unmounted, (await done).stdout], ["detached", "hello\n"]);
});

test("unmount: who never goes is cut off", { needs, sanitize: false }, async () => {
  await using dir = await tempDir();
  await using control = await tempDir();
  const session = await mount(oneFile(), dir.path, quiet);
  const { done, go } = await user(dir, control);
  assertEquals(await session.unmount({ timeout: 100 }), "aborted");
  await go();
  assertEquals((await done).code, 1);
});

test("unmount: a second, impatient call hurries the first", { needs, sanitize: false }, async () => {
  await using dir = await tempDir();
  await using control = await tempDir();
  const session = await mount(oneFile(), dir.path, quiet);
  const { done, go } = await user(dir, control);
  const patient = session.unmount({ timeout: 1e9 });
  assertEquals(await session.unmount({ timeout: 0 }), "aborted");
  assertEquals(await patient, "aborted");
  await go();
  await done;
});

test(
  "handlers: what they throw is the caller's errno",
  { needs: [...needs, "tool:python3"], sanitize: false },
  async () => {
    await using dir = await tempDir();
    const thrown: Record<string, unknown> = {
      EROFS: new FuseError("EROFS"),
      ENOENT: Object.assign(new Error("as Deno says it"), { name: "NotFound" }),
      ENOTEMPTY: Object.assign(new Error("as node says it"), { code: "ENOTEMPTY" }),
      EINTR: new DOMException("stop", "AbortError"),
      EIO: new TypeError("a bug"),
    };
    const reported: ErrorPlace[] = [];
    await using _session = await mount(
      oneFile({
        lookup({ name }) {
          if (name in thrown) throw thrown[name];
          return Promise.reject(thrown[name.replace("later-", "")]);
        },
      }),
      dir.path,
      { ...quiet, onError: (_error, where) => reported.push(where) },
    );
    for (const name of Object.keys(thrown)) {
      for (const file of [name, `later-${name}`]) {
        const script =
          "import os, sys, errno\ntry: os.lstat(sys.argv[1])\nexcept OSError as e: print(errno.errorcode[e.errno])";
        assertEquals((await run(["python3", "-c", script, dir.join(file)])).stdout, `${name}\n`);
      }
    }
    const where = { opcode: "FUSE_LOOKUP", nodeid: 1, answered: "EIO" };
    assertEquals<unknown>(reported, [where, where]);
  },
);

test("handlers: asynchronous ones overlap", { needs, sanitize: false }, async () => {
  await using dir = await tempDir();
  const met = deferred<void>();
  let inside = 0;
  await using _session = await mount(
    oneFile({
      async read({ offset, size }) {
        if (++inside === 2) met.resolve();
        await met.promise;
        return CONTENT.subarray(offset, offset + size);
      },
      open: () => ({ directIo: true }),
    }),
    dir.path,
    quiet,
  );
  const two = await Promise.all([run(["head", "-c6", dir.join("file")]), run(["head", "-c6", dir.join("file")])]);
  assertEquals(two.map(({ stdout }) => stdout), ["hello\n", "hello\n"]);
});

test("loop: timers get their turn under a load that never pauses", {
  needs: [...needs, "tool:taskset", "tool:python3"],
  sanitize: false,
}, async () => {
  await using dir = await tempDir();
  let served = 0, tick = 0;
  const between: number[] = [];
  const file = oneFile();
  const lookup = file.lookup!;
  await using _session = await mount(
    { ...file, lookup: (args, context) => (served++, lookup(args, context)) },
    dir.path,
    quiet,
  );
  // Two callers on one CPU: whenever one waits, the other's request is there.
  const [, cpu] = /^Cpus_allowed_list:\s*(\d+)/m.exec(await fs.readFile("/proc/self/status", "utf8"))!;
  const script = `import os, sys\nfor i in range(20000): os.stat(sys.argv[1])`;
  const load = Promise.all([1, 2].map(() => run(["taskset", "-c", cpu, "python3", "-c", script, dir.join("file")])));
  const timer = setInterval(() => {
    between.push(served - tick);
    tick = served;
  }, 10);
  assertEquals((await load).map(({ code, stderr }) => [code, stderr]), [[0, ""], [0, ""]]);
  clearInterval(timer);
  between.push(served - tick);
  assertEquals(served, 40000);
  // Ten milliseconds are some hundred to two thousand requests; without its turn a timer waits for most of them.
  assertLess(Math.max(...between), 8000, `requests between two ticks: ${between}`);
});

test("loop: writes beyond the memory in flight wait, and none is lost", { needs, sanitize: false }, async () => {
  await using dir = await tempDir();
  const size = 4 << 20;
  const content = new Uint8Array(size);
  let inside = 0, most = 0;
  const met = deferred<void>();
  await using _session = await mount(
    oneFile({
      // Writes beyond the end would go one by one.
      lookup: () => ({ nodeid: 2, attr: { ...FILE, size } }),
      getattr: ({ nodeid }) => ({ attr: nodeid === ROOT_ID ? DIRECTORY : { ...FILE, size } }),
      open: () => ({ directIo: true, parallelDirectWrites: true }),
      async write({ offset, data }) {
        most = Math.max(most, ++inside);
        if (inside === 2) met.resolve();
        await met.promise;
        // Time for more to come.
        await new Promise((resolve) => setTimeout(resolve, 2));
        content.set(data, offset);
        inside--;
        return data.length;
      },
    }),
    dir.path,
    { ...quiet, maxWrite: 65536, maxInFlight: 3 * (65536 + 4096) },
  );
  const writer = (k: number) =>
    `dd if=/dev/zero bs=64k count=8 status=none | tr '\\0' '\\${k + 101}' | dd of=${dir.join("file")} bs=64k seek=${
      k * 8
    } conv=notrunc iflag=fullblock status=none`;
  const done = await Promise.all(Array.from({ length: 8 }, (_, k) => run(writer(k))));
  assertEquals(done.map(({ code, stderr }) => [code, stderr]), done.map(() => [0, ""]));
  for (let k = 0; k < 8; k++) {
    const octal = Number.parseInt(String(k + 101), 8);
    assert(content.subarray(k << 19, (k + 1) << 19).every((byte) => byte === octal), `part ${k}`);
  }
  assert(most >= 2 && most <= 3, `${most} at once`);
});

test("write: data begins where a page does, as the kernel copies it best", { needs, sanitize: false }, async () => {
  await using dir = await tempDir();
  const c = libc();
  const begins: bigint[] = [];
  await using _session = await mount(
    oneFile({
      open: () => ({ directIo: true, parallelDirectWrites: true }),
      // The first ones are still in use while the next are received: more than one buffer is seen.
      async write({ data }) {
        begins.push(c.address(data) % 4096n);
        await new Promise((resolve) => setTimeout(resolve, 2));
        return data.length;
      },
    }),
    dir.path,
    quiet,
  );
  const write = ["dd", "if=/dev/zero", `of=${dir.join("file")}`, "bs=128k", "count=8", "conv=notrunc", "status=none"];
  assertEquals((await Promise.all([run(write), run(write)])).map(({ stderr }) => stderr), ["", ""]);
  assertEquals(begins, Array(16).fill(0n));
});

test("mount: inside a mount that the same process serves", { needs, sanitize: false }, async () => {
  await using dir = await tempDir();
  await using _outer = await mount(
    {
      lookup: ({ name }) => name === "inner" ? { nodeid: 2, attr: DIRECTORY } : null,
      getattr: () => ({ attr: DIRECTORY }),
      readdir: () => [{ name: "inner", ino: 2, mode: DIRECTORY.mode }],
    },
    dir.path,
    quiet,
  );
  await assertRejects(() => mount(oneFile(), dir.join("missing"), quiet), FuseError, "mkdir -p");
  await using inner = await mount(oneFile(), dir.join("inner"), quiet);
  assertEquals((await run(["cat", dir.join("inner", "file")])).stdout, "hello\n");
  assertEquals(await inner.unmount(), "unmounted");
});

test("mount: an init that throws fails it and leaves nothing", { needs, sanitize: false }, async () => {
  await using dir = await tempDir();
  const before = await fuseFds();
  let destroyed = 0;
  const broken: Filesystem = {
    init() {
      throw new FuseError("ENOMEM", "no memory for the index");
    },
    destroy: () => void destroyed++,
  };
  await assertRejects(() => mount(broken, dir.path, quiet), FuseError, "no memory for the index");
  assertEquals(destroyed, 0);
  assertEquals(await mountsUnder(dir.path), []);
  assertEquals(await fuseFds(), before);
});

test("mount: options that exclude each other are refused in words, before anything is mounted", {}, async () => {
  await assertRejects(
    () => mount({}, "/nonexistent", { writebackCache: true, passthrough: true }),
    TypeError,
    "writebackCache and passthrough exclude each other",
  );
  await assertRejects(() => mount({}, "/nonexistent", { maxWrite: 100 }), RangeError, "maxWrite is 100");
});

test("readdir: a large directory arrives whole, with attributes and without", { needs, sanitize: false }, async () => {
  await using dir = await tempDir();
  const count = 10_000;
  await using _session = await mount(
    oneFile({
      lookup: ({ name }) => ({ nodeid: Number(name.slice(1)) + 10, attr: FILE, entryTimeout: 60, attrTimeout: 60 }),
      *readdir() {
        for (let i = 0; i < count; i++) yield { name: `f${i}`, ino: i + 10, mode: FILE.mode };
      },
    }),
    dir.path,
    quiet,
  );
  const plain = await run(`ls -f ${dir.path} | sort -u | wc -l`);
  assertEquals(plain.stdout.trim(), String(count + 2));
  const full = await run(`ls -lU ${dir.path} | grep -c 'root root'`);
  assertEquals(full.stdout.trim(), String(count));
});

test("names: bytes that are not UTF-8 survive", { needs: [...needs, "tool:python3"], sanitize: false }, async () => {
  await using dir = await tempDir();
  const seen: string[] = [];
  await using _session = await mount(
    oneFile({
      lookup({ name }) {
        seen.push(name);
        return { nodeid: 2, attr: FILE };
      },
      readdir: () => [{ name: "\udcff\udc80x", ino: 2, mode: FILE.mode }],
    }),
    dir.path,
    quiet,
  );
  const script =
    "import os, sys\nos.stat(os.fsencode(sys.argv[1]) + b'/a\\xe9\\xff')\nprint(os.listdir(os.fsencode(sys.argv[1])))";
  assertEquals((await run(["python3", "-c", script, dir.path])).stdout, "[b'\\xff\\x80x']\n");
  assert(seen.includes("a\udce9\udcff"));
});

test(
  "unmount: a mount that another one covers is taken away once that is gone",
  { needs, sanitize: false },
  async () => {
    await using dir = await tempDir();
    const lower = await mount(oneFile(), dir.path, quiet);
    const upper = await mount(oneFile({ read: () => new TextEncoder().encode("upper\n") }), dir.path, quiet);
    assertEquals(await lower.unmount({ timeout: 100 }), "aborted");
    assertEquals((await mountsUnder(dir.path)).length, 2);
    assertEquals((await run(["cat", dir.join("file")])).stdout, "upper\n");
    assertEquals(await upper.unmount(), "unmounted");
    await until(async () => (await mountsUnder(dir.path)).length === 0, "the lower one is gone, too");
  },
);

test("readdir: a directory of a million entries streams, no more than a piece ahead", {
  needs,
  sanitize: false,
}, async () => {
  await using dir = await tempDir();
  const count = 1_000_000;
  let made = 0, ahead = 0, read = 0;
  await using _session = await mount(
    {
      getattr: () => ({ attr: DIRECTORY }),
      *readdir() {
        for (made = 0; made < count; made++) {
          yield { name: `e${String(made).padStart(15, "0")}`, ino: made + 2, mode: 0o100644 };
        }
      },
    },
    dir.path,
    {
      ...quiet,
      trace({ opcode, value }) {
        if (opcode !== "FUSE_READDIR") return;
        // Each entry takes 40 bytes; "." and ".." are less than two of them.
        read += (value as Uint8Array).length;
        ahead = Math.max(ahead, made - read / 40);
      },
    },
  );
  assertEquals((await run(`ls -f ${dir.path} | wc -l`)).stdout.trim(), String(count + 2));
  assert(ahead <= 3, `${ahead} entries ahead of what was answered`);
});
