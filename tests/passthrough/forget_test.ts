/** What the kernel forgets while its staged file is being handed over: its number is no other inode's until then. */
import { assertEquals, assertNotEquals } from "@std/assert";
import { libc } from "../../ffi/load.ts";
import { NodeTable } from "../../kit.ts";
import { type Filesystem, mount, type Passthrough } from "../../mod.ts";
import { stage } from "../../passthrough.ts";
import { type Deferred, deferred } from "../../src/deferred.ts";
import type { Device } from "../../src/device.ts";
import { PassthroughRegistry } from "../../src/passthrough/registry.ts";
import { must, tempDir, test, until } from "../support/harness.ts";
import { c, field, settled, utf8, Wire } from "../support/wire.ts";

const { O } = libc();
const REGULAR = 0o100666;
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

interface Store {
  readonly fs: Filesystem;
  /** Contents by name. */
  readonly contents: Map<string, Uint8Array>;
  readonly nodes: NodeTable<string>;
  /** Names in the order in which they were forgotten. */
  readonly forgotten: string[];
  /** Commits that have begun: they wait for these. */
  readonly commits: { readonly name: string; readonly gate: Deferred<void> }[];
}

/** Files whose nodeids are given again once the kernel has forgotten them, and whose commits a test ends. */
function store(files: () => Passthrough, contents: Record<string, string>, atClose: boolean): Store {
  const texts = new Map(Object.entries(contents).map(([name, text]) => [name, utf8(text) as Uint8Array]));
  const nodes = new NodeTable<string>(), known = new Map<string, number>();
  const commits: Store["commits"] = [], forgotten: string[] = [];
  nodes.insert("");
  const attrOf = (name: string) => name === "" ? { mode: 0o40777 } : { mode: REGULAR, size: texts.get(name)!.length };
  const entryOf = (name: string) => {
    const nodeid = known.get(name) ?? nodes.insert(name);
    known.set(name, nodeid);
    nodes.remember(nodeid);
    return { nodeid, generation: nodes.generation(nodeid), attr: attrOf(name) };
  };
  const backing = (name: string) =>
    files().register(stage({
      from: texts.get(name),
      atClose,
      async onCommit(file) {
        const bytes = file.read(), gate = deferred<void>();
        commits.push({ name, gate });
        await gate.promise;
        texts.set(name, bytes);
      },
    }));
  const fs: Filesystem = {
    getattr: ({ nodeid }) => ({ attr: attrOf(nodes.at(nodeid)) }),
    setattr: ({ nodeid }) => ({ attr: attrOf(nodes.at(nodeid)) }),
    lookup: ({ name }) => texts.has(name) ? entryOf(name) : null,
    create({ name }) {
      texts.set(name, new Uint8Array());
      return { entry: entryOf(name), backing: backing(name) };
    },
    forget({ nodeid, nlookup }) {
      if (nodeid === 1 || nodes.forget(nodeid, nlookup) > 0) return;
      const name = nodes.at(nodeid);
      forgotten.push(name);
      known.delete(name);
      nodes.remove(nodeid);
    },
    open: ({ nodeid }) => ({ backing: backing(nodes.at(nodeid)) }),
  };
  return { fs, contents: texts, nodes, forgotten, commits };
}

/** The same, without a kernel. */
function wired(contents: Record<string, string>) {
  // The session moves the data: as where the kernel does not take the file.
  const registry = new PassthroughRegistry(libc(), { ioctl: () => -1 } as unknown as Device, 1);
  const s = store(() => registry, contents, false);
  const wire = new Wire(s.fs, {}, registry);
  wire.init();
  registry.enable(null);
  const fhOf = (body: Uint8Array, at = 0) => Number(field("fuse_open_out", "fh", body, at));
  const entryOf = (body: Uint8Array) => ({
    nodeid: Number(field("fuse_entry_out", "nodeid", body)),
    size: Number(field("fuse_entry_out", "attr.size", body)),
  });
  return {
    ...s,
    registry,
    wire,
    lookup: (name: string) => entryOf(wire.send("FUSE_LOOKUP", { parts: [name] }).body),
    create(name: string) {
      const { body } = wire.send("FUSE_CREATE", { parts: [c("fuse_create_in", { flags: O.CREAT | O.RDWR }), name] });
      return { ...entryOf(body), fh: fhOf(body, 128) };
    },
    open: (nodeid: number) => fhOf(wire.send("FUSE_OPEN", { nodeid, parts: [c("fuse_open_in", { flags: 2 })] }).body),
    read: (nodeid: number, fh: number) =>
      textOf(wire.send("FUSE_READ", { nodeid, parts: [c("fuse_read_in", { fh, size: 99 })] }).body),
    write(nodeid: number, fh: number, text: string) {
      const data = utf8(text);
      wire.send("FUSE_WRITE", { nodeid, parts: [c("fuse_write_in", { fh, size: data.length }), data] });
    },
    release: (nodeid: number, fh: number) =>
      wire.send("FUSE_RELEASE", { nodeid, parts: [c("fuse_release_in", { fh })] }),
    forget: (nodeid: number, nlookup = 1) =>
      wire.post("FUSE_FORGET", { nodeid, parts: [c("fuse_forget_in", { nlookup })] }),
  };
}

test("forget: told after the commit; until then the inode keeps its number and its content", async () => {
  const w = wired({ a: "old a", b: "old b" });
  const a = w.lookup("a"), fh = w.open(a.nodeid);
  w.write(a.nodeid, fh, "NEW and longer");
  w.release(a.nodeid, fh);
  w.forget(a.nodeid);
  await settled();
  assertEquals([w.commits.length, w.forgotten], [1, []]);
  // Another inode has another number.
  const b = w.lookup("b"), other = w.open(b.nodeid);
  assertNotEquals(b.nodeid, a.nodeid);
  assertEquals([b.size, w.read(b.nodeid, other)], [5, "old b"]);
  // The same one has what is being handed over.
  assertEquals(w.lookup("a"), { nodeid: a.nodeid, size: 14 });
  const again = w.open(a.nodeid);
  assertEquals(w.read(a.nodeid, again), "NEW and longer");
  w.release(a.nodeid, again);
  w.forget(a.nodeid);
  w.commits[0].gate.resolve();
  await until(() => w.forgotten.length > 0, "it is forgotten");
  await settled();
  assertEquals([w.forgotten, textOf(w.contents.get("a")!), w.commits.length], [["a"], "NEW and longer", 1]);
  // With nothing to hand over it is told at once.
  w.release(b.nodeid, other);
  w.forget(b.nodeid);
  assertEquals([w.forgotten, w.nodes.size, w.wire.reports], [["a", "b"], 1, []]);
  w.registry.end();
});

test("forget: there is no moment at which a closed file is the inode's", async () => {
  for (let turns = 0; turns < 12; turns++) {
    const w = wired({ a: "old" });
    const { nodeid } = w.lookup("a"), fh = w.open(nodeid);
    w.write(nodeid, fh, "written");
    w.release(nodeid, fh);
    w.commits[0].gate.resolve();
    for (let i = 0; i < turns; i++) await null;
    assertEquals(w.registry.attributes(nodeid, { mode: 0o100644, size: 7 }).size, 7);
    const again = w.open(nodeid);
    assertEquals(w.read(nodeid, again), "written", `after ${turns} turns`);
    w.release(nodeid, again);
    await until(() => w.registry.busy(nodeid) === null, "it is handed over");
    assertEquals(w.wire.reports, []);
    w.registry.end();
  }
});

test("forget: a commit that follows another one keeps the inode as well", async () => {
  const w = wired({ a: "" });
  const { nodeid } = w.lookup("a");
  for (const text of ["one", "one and two"]) {
    const fh = w.open(nodeid);
    w.write(nodeid, fh, text);
    w.release(nodeid, fh);
  }
  w.forget(nodeid);
  w.commits[0].gate.resolve();
  await until(() => w.commits.length === 2, "the second commit has begun");
  await settled();
  assertEquals([w.forgotten, textOf(w.contents.get("a")!)], [[], "one"]);
  assertEquals(w.lookup("a"), { nodeid, size: 11 });
  const fh = w.open(nodeid);
  assertEquals(w.read(nodeid, fh), "one and two");
  w.release(nodeid, fh);
  w.commits[1].gate.resolve();
  await until(() => textOf(w.contents.get("a")!) === "one and two", "it is handed over");
  await settled();
  // The kernel has it looked up once more than it has forgotten.
  assertEquals([w.forgotten, w.nodes.lookups(nodeid), w.registry.busy(nodeid)], [[], 1, null]);
  w.forget(nodeid);
  assertEquals(w.forgotten, ["a"]);
});

test("forget: in a batch, and of an answer that nobody got, it waits as well, each for its own", async () => {
  const w = wired({ a: "a", b: "b" });
  const made = w.create("made");
  w.release(made.nodeid, made.fh);
  const others = [w.lookup("a").nodeid, w.lookup("b").nodeid];
  const batch = [made.nodeid, ...others].map((nodeid) => c("fuse_forget_one", { nodeid, nlookup: 1 }));
  w.wire.post("FUSE_BATCH_FORGET", { parts: [c("fuse_batch_forget_in", { count: 3 }), ...batch] });
  assertEquals(w.forgotten, ["a", "b"]);
  w.wire.lose("FUSE_CREATE", { parts: [c("fuse_create_in", { flags: O.CREAT | O.RDWR }), "lost"] });
  await settled();
  assertEquals([w.commits.map(({ name }) => name), w.forgotten], [["made", "lost"], ["a", "b"]]);
  for (const { name, gate } of w.commits.toReversed()) {
    gate.resolve();
    await until(() => w.forgotten.includes(name), "it is forgotten");
  }
  assertEquals([w.forgotten, w.wire.reports], [["a", "b", "lost", "made"], []]);
});

test("forget: a session that ends tells no more of it", async () => {
  const w = wired({});
  const { nodeid, fh } = w.create("a");
  w.release(nodeid, fh);
  w.forget(nodeid);
  w.wire.dispatcher.abandon();
  const ended = w.registry.end();
  w.commits[0].gate.resolve();
  await ended;
  await settled();
  assertEquals([w.forgotten, w.wire.reports], [[], []]);
});

for (const opcode of ["FUSE_CREATE", "FUSE_MKNOD"] as const) {
  test(`made: ${opcode} of a number that an author gives by name has nothing of what was removed`, async () => {
    const registry = new PassthroughRegistry(libc(), { ioctl: () => -1 } as unknown as Device, 1);
    const commits: string[] = [], gate = deferred<void>();
    const onCommit = (text: string) => (commits.push(text), gate.promise);
    const backing = () => registry.register(stage({ onCommit: (file) => onCommit(textOf(file.read())) }));
    const entry = { nodeid: 7, attr: { mode: REGULAR } };
    const wire = new Wire(
      { create: () => ({ entry, backing: backing() }), mknod: () => entry, open: () => ({ backing: backing() }) },
      {},
      registry,
    );
    wire.init();
    registry.enable(null);
    const nodeid = 7, parts = [c("fuse_open_in", { flags: O.RDWR })];
    const first = wire.send("FUSE_OPEN", { nodeid, parts });
    const fh = field("fuse_open_out", "fh", first.body), data = utf8("removed");
    wire.send("FUSE_WRITE", { nodeid, parts: [c("fuse_write_in", { fh, size: data.length }), data] });
    wire.send("FUSE_RELEASE", { nodeid, parts: [c("fuse_release_in", { fh })] });
    await settled();
    assertEquals(commits, ["removed"]);
    const size = (body: Uint8Array) => field("fuse_entry_out", "attr.size", body);
    const made = wire.send(opcode, {
      parts: [opcode === "FUSE_CREATE" ? c("fuse_create_in", { flags: O.CREAT | O.RDWR }) : c("fuse_mknod_in"), "a"],
    });
    assertEquals(size(made.body), 0);
    const opened = wire.send("FUSE_OPEN", { nodeid, parts });
    const read = [c("fuse_read_in", { fh: field("fuse_open_out", "fh", opened.body), size: 99 })];
    assertEquals(textOf(wire.send("FUSE_READ", { nodeid, parts: read }).body), "");
    gate.resolve();
    await registry.end();
    assertEquals(wire.reports, []);
  });
}

const options = { needs: ["root", "fuse", "tool:mount"] as const, sanitize: false };

for (const atClose of [true, false]) {
  for (const passthrough of [true, false]) {
    const how = `atClose ${atClose}, ${passthrough ? "by the kernel" : "served"}`;
    test(`forget: of two files one never has what was written to the other (${how})`, options, async () => {
      await using mnt = await tempDir();
      let files!: Passthrough;
      const s = store(() => files, { b: "content of b\n" }, atClose);
      const session = await mount({ ...s.fs, init: (c) => void (files = c.passthrough) }, mnt.path, {
        signals: false,
        passthrough,
      });
      const ask = (script: string) => must(["sh", "-c", `{ ${script}; } 2>&1`, "sh", mnt.path], { timeout: 60_000 });
      // A close(2) would wait for what was written, but not for what was only made.
      const script = atClose ? 'touch "$1/a"' : 'echo "new a" > "$1/a"';
      const forget = 'mount -i -o remount "$1"';
      assertEquals(await ask(script), "");
      await until(() => s.commits.length === 1, "the commit has begun");
      assertEquals(await ask(`${forget}; cat "$1/b" "$1/a"`), `content of b\n${atClose ? "" : "new a\n"}`);
      const writing = ask(`${forget}; echo "for b" >> "$1/b"; echo "for a" >> "$1/a"`);
      // A close(2) that hands over waits for it.
      const opening = setInterval(() => s.commits.forEach(({ gate }) => gate.resolve()), 50);
      try {
        assertEquals(await writing, "");
        await until(() => textOf(s.contents.get("a")!).endsWith("for a\n"), "all is handed over");
      } finally {
        clearInterval(opening);
      }
      s.commits.forEach(({ gate }) => gate.resolve());
      await session.unmount();
      assertEquals([...s.contents].map(([name, bytes]) => [name, textOf(bytes)]).sort(), [
        ["a", `${atClose ? "" : "new a\n"}for a\n`],
        ["b", "content of b\nfor b\n"],
      ]);
    });
  }
}
