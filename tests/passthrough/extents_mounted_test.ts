/**
 * Extent maps of several files behind a mount, beside plain buffers: whatever programs do to such a file, they read
 * what the buffer has. A failure is printed with its seed and the smallest map and steps that show it.
 */
import { writeFile } from "node:fs/promises";
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { libc } from "../../ffi/load.ts";
import { type Backing, type Filesystem, mount, type Passthrough } from "../../mod.ts";
import { type Extent, type ExtentMap, extents } from "../../passthrough.ts";
import { startClient } from "../support/kernel.ts";
import { tempDir, test, until } from "../support/harness.ts";
import { Random } from "../support/random.ts";
import { SEED } from "../support/seed.ts";
import { Memfds } from "./memfds.ts";

const { O } = libc();

/** What a stretch of the map lies in. */
type Kind = "memory" | "disc" | "read-only" | "hole";

interface Step {
  readonly what: "read" | "write" | "append" | "truncate" | "reopen" | "side by side";
  /** Taken modulo the size, and a little more. */
  readonly offset: number;
  readonly length: number;
}

interface Scene {
  readonly pieces: readonly { readonly kind: Kind; readonly length: number; readonly gap: number }[];
  readonly missing: boolean;
  readonly allocate: boolean;
  /** By direct I/O; else through the page cache. */
  readonly direct: boolean;
  /** Bytes of the blocks that `allocate` answers. */
  readonly block: number;
  readonly steps: readonly Step[];
  readonly seed: number;
}

// Within pages, around their boundaries, and over several.
const length = fc.oneof(fc.nat(20), fc.nat(5000), fc.integer({ min: 4090, max: 4100 }), fc.nat(40_000));

const scene: fc.Arbitrary<Scene> = fc.record({
  pieces: fc.array(
    fc.record({
      kind: fc.constantFrom<Kind[]>("memory", "disc", "read-only", "hole"),
      length: length.map((n) => n + 1),
      gap: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.nat(5000)),
    }),
    { maxLength: 12 },
  ),
  missing: fc.boolean(),
  allocate: fc.boolean(),
  direct: fc.boolean(),
  block: fc.constantFrom(1, 512, 4096, 10_000),
  steps: fc.array(
    fc.record({
      what: fc.constantFrom<Step["what"][]>(
        ...["read", "read", "read", "write", "write", "write", "append", "truncate", "reopen", "side by side"] as const,
      ),
      offset: fc.nat(200_000),
      length,
    }),
    { maxLength: 25 },
  ),
  seed: fc.nat(),
});

/** The bytes that the file should have, and what each lies in. */
class Model {
  content: Uint8Array = new Uint8Array(0);
  kinds: Kind[] = [];

  resize(size: number): void {
    const old = this.content;
    this.content = new Uint8Array(size);
    this.content.set(old.subarray(0, size));
    this.kinds.length = Math.min(this.kinds.length, size);
  }

  write(data: Uint8Array, offset: number): void {
    if (data.length === 0) return;
    if (offset + data.length > this.content.length) this.resize(offset + data.length);
    this.content.set(data, offset);
  }

  /** How many bytes a write takes where nobody allocates, or its errno. */
  takes(offset: number, length: number): number | string {
    const refused = (at: number) => ["hole", "read-only"].indexOf(this.kinds[at] ?? "hole");
    let n = 0;
    while (n < length && refused(offset + n) < 0) n++;
    return n > 0 || length === 0 ? n : ["ENOSPC", "EROFS"][refused(offset)];
  }
}

/** A map of the scene, and its model. */
function assemble(
  scene: Scene,
  files: Memfds,
  path: string,
): { map: ExtentMap; model: Model; readOnly: () => boolean } {
  const random = new Random(scene.seed), model = new Model();
  const room = scene.pieces.reduce((sum, { length, gap }) => sum + length + gap, 0);
  const content = { memory: random.bytes(room), disc: random.bytes(room), "read-only": random.bytes(room) };
  const disc = files.open(path, O.RDWR | O.CREAT | O.TRUNC);
  libc().pwrite(disc, content.disc, room, 0);
  const base = files.file(content["read-only"]);
  const fds = { memory: files.file(content.memory), disc, "read-only": files.again(base, O.RDONLY) };
  const next = { memory: 0, disc: 0, "read-only": 0 };
  const known: Extent[] = [], late: Extent[] = [];
  let at = 0;
  for (const { kind, length, gap } of scene.pieces) {
    model.resize(at + length);
    for (let i = 0; i < length; i++) model.kinds.push(kind);
    if (kind !== "hole") {
      const fileOffset = next[kind] + gap;
      next[kind] = fileOffset + length;
      model.content.set(content[kind].subarray(fileOffset, fileOffset + length), at);
      (scene.missing && random.below(2) ? late : known).push({ offset: at, length, file: fds[kind], fileOffset });
    }
    at += length;
  }

  const blocks = files.file(random.bytes(1000));
  let nextBlock = 0;
  /** Now, or after a turn or two. */
  const answer = <T>(value: T): T | Promise<T> =>
    random.below(2) ? value : Promise.resolve().then(() => Promise.resolve(value));
  const map = extents(known, {
    size: at,
    missing: scene.missing
      ? ({ offset, length }) =>
        answer(late.flatMap((extent) => {
          const from = Math.max(offset, extent.offset), to = Math.min(offset + length, extent.offset + extent.length);
          const fileOffset = extent.fileOffset + from - extent.offset;
          return from < to ? [{ offset: from, length: to - from, file: extent.file, fileOffset }] : [];
        }))
      : undefined,
    allocate: scene.allocate
      ? ({ offset, length }) => {
        const start = offset - offset % scene.block;
        const size = Math.ceil((offset + length - start) / scene.block) * scene.block;
        nextBlock += size;
        return answer([{ offset: start, length: size, file: blocks, fileOffset: nextBlock - size }]);
      }
      : undefined,
  });
  const same = () => files.content(base).every((byte, i) => byte === content["read-only"][i]);
  return { map, model, readOnly: same };
}

/** Something that the client does, and what it has to say. `data` is hexadecimal. */
type Action =
  | { readonly what: "read"; readonly at: number; readonly length: number }
  | { readonly what: "write"; readonly at: number; readonly data: string }
  | { readonly what: "append"; readonly data: string }
  | { readonly what: "truncate"; readonly at: number }
  | { readonly what: "reopen" }
  | { readonly what: "at once"; readonly all: readonly Action[] };

/** Waits for a file of actions, does them, and says what became of each, and the size after it. */
const CLIENT = `
  from concurrent.futures import ThreadPoolExecutor
  pool, fds = ThreadPoolExecutor(4), []
  def reopen(name, writable):
    while fds: os.close(fds.pop())
    fds.append(opened(name, os.O_RDWR if writable else os.O_RDONLY))
    if writable: fds.append(opened(name, os.O_WRONLY | os.O_APPEND))
  def act(a):
    what = a["what"]
    try:
      if what == "read": return os.pread(fds[0], a["length"], a["at"]).hex()
      if what == "write": return os.pwrite(fds[0], bytes.fromhex(a["data"]), a["at"])
      if what == "append": return os.write(fds[1], bytes.fromhex(a["data"]))
      if what == "truncate": return os.ftruncate(fds[0], a["at"])
      if what == "at once": return list(pool.map(act, a["all"]))
      reopen(name, writable)
    except OSError as error:
      return errno.errorcode[error.errno]
  while True:
    wait()
    name, writable, actions = json.load(open(sys.argv[2]))
    reopen(name, writable)
    said = [[act(a), os.fstat(fds[0]).st_size] for a in actions]
    while fds: os.close(fds.pop())
    say(said)
`;

const hex = (data: Uint8Array) => Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** What a scene comes to, and what the client has to say of it: does it all to the model. */
function rehearse(scene: Scene, model: Model, writable: boolean): { actions: Action[]; expected: unknown[] } {
  const random = new Random(scene.seed + 1);
  const actions: Action[] = [], expected: unknown[] = [];
  const read = (at: number, length: number): [Action, unknown] => [
    { what: "read", at, length },
    hex(model.content.slice(at, at + length)),
  ];
  const write = (at: number, length: number): [Action, unknown] => {
    const data = random.bytes(length), taken = scene.allocate ? length : model.takes(at, length);
    if (typeof taken === "number") model.write(data.subarray(0, taken), at);
    return [{ what: "write", at, data: hex(data) }, taken];
  };
  const add = (action: Action, outcome: unknown) => {
    actions.push(action);
    expected.push([outcome, model.content.length]);
  };
  const addAtOnce = (all: [Action, unknown][]) =>
    add({ what: "at once", all: all.map(([action]) => action) }, all.map(([, outcome]) => outcome));
  for (const { what, offset, length } of scene.steps) {
    const size = model.content.length, at = offset % (size + 100);
    if (what === "read") add(...read(at, length));
    else if (what === "reopen") add({ what }, null);
    else if (what === "side by side") {
      const quarter = Math.ceil(length / 4), all = [0, 1, 2, 3];
      // Apart from each other, and below the end, where their order does not matter.
      if (scene.allocate && at + 4 * quarter <= size) {
        addAtOnce(all.map((i) => write(at + i * quarter, random.below(quarter + 1))));
      }
      addAtOnce(all.map((i) => read(Math.max(0, at - i * quarter), length)));
    } else if (!writable) continue;
    else if (what === "write") add(...write(at, length));
    else if (what === "append") {
      const [action, outcome] = write(size, length);
      if (action.what === "write") add({ what, data: action.data }, outcome);
    } else {
      model.resize(at);
      add({ what, at }, null);
    }
  }
  add(...read(0, model.content.length + 10));
  return { actions, expected };
}

test("extents mounted: like a plain buffer, whatever programs do to the file", {
  needs: ["root", "fuse", "tool:python3"],
  sanitize: false,
  timeout: 180_000,
}, async () => {
  await using dir = await tempDir();
  await using mnt = await tempDir();
  /** The maps of this mount; the nodeid is the index and 2. */
  const maps: { map: ExtentMap; direct: boolean }[] = [];
  const reported: unknown[] = [];
  let files!: Passthrough, backing!: Backing, moved = 0;
  const attr = (nodeid: number) =>
    nodeid === 1 ? { mode: 0o40755 } : { mode: 0o100644, size: maps[nodeid - 2].map.size };
  const fs: Filesystem = {
    init: ({ passthrough }) => void (files = passthrough),
    lookup: ({ name }) =>
      Number(name) < maps.length ? { nodeid: Number(name) + 2, attr: attr(Number(name) + 2) } : null,
    getattr: ({ nodeid }) => ({ attr: attr(nodeid) }),
    setattr: ({ nodeid }) => ({ attr: attr(nodeid) }),
    open({ nodeid }) {
      const { map, direct } = maps[nodeid - 2];
      return { backing: backing = files.register(map), directIo: direct };
    },
    read: () => (moved++, new Uint8Array(0)),
    write: ({ data }) => (moved++, data.length),
  };
  await using _session = await mount(fs, mnt.path, { signals: false, onError: (error) => void reported.push(error) });
  const plan = dir.join("actions");
  await using client = await startClient(CLIENT, [mnt.path, plan], { patience: 170_000, code: null });

  const modes = new Set<string>();
  const property = fc.asyncProperty(scene, async (scene) => {
    using own = new Memfds();
    const { map, model, readOnly } = assemble(scene, own, dir.join("disc"));
    // That would be the file itself, to the kernel, and grow as files do.
    fc.pre(map.identity() === null);
    const writable = map.access === "read-write", name = String(maps.push({ map, direct: scene.direct }) - 1);
    const { actions, expected } = rehearse(scene, model, writable);
    await writeFile(plan, JSON.stringify([name, writable, actions]));
    await client.go();
    assertEquals(await client.next(), expected);
    modes.add(backing.mode);
    await until(() => files.stats().open === 0 && backing.refs === 0, "it is released");
    assertEquals([readOnly(), moved, reported], [true, 0, []]);
  });
  await fc.assert(property, { numRuns: 150, seed: SEED });
  assert(modes.has("extents"));
});
