/**
 * Extent maps beside plain buffers: whatever is done to both, both have the same bytes. A failure is printed with its
 * seed and the smallest map and steps that show it.
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { libc } from "../../ffi/load.ts";
import { FuseError } from "../../src/errno.ts";
import { type Extent, type ExtentMap, type ExtentRange, extents } from "../../src/passthrough/extents.ts";
import { tempDir, test } from "../support/harness.ts";
import { Random } from "../support/random.ts";
import { SEED } from "../support/seed.ts";
import { Memfds } from "./memfds.ts";

const { O } = libc();

/** What a byte of the model lies in. */
type Kind = "memfd" | "named" | "read-only" | "hole";

/** A stretch of the map. */
interface Piece {
  readonly kind: Kind;
  readonly length: number;
  /** Bytes between it and the last one in its file; for a read-only one, where in its file it lies. */
  readonly gap: number;
  /** Given from the start, though there is a `missing`. */
  readonly early: boolean;
}

/** Something to do; numbers too large for the file are taken modulo its size. */
interface Step {
  readonly what: "read" | "write" | "truncate" | "punch" | "allocateRange" | "seek" | "side by side";
  readonly offset: number;
  readonly length: number;
  readonly flag: boolean;
}

/** A map and what is done to it. */
interface Scene {
  readonly pieces: readonly Piece[];
  readonly missing: boolean;
  readonly allocate: boolean;
  /** Bytes of the blocks that `allocate` answers. */
  readonly block: number;
  readonly steps: readonly Step[];
  /** Of the data, and of when and how the callbacks answer. */
  readonly seed: number;
}

const length = fc.oneof(fc.nat(5), fc.nat(60), fc.nat(600));
const offset = fc.oneof(fc.nat(30), fc.nat(1500));

const scene: fc.Arbitrary<Scene> = fc.record({
  pieces: fc.array(
    fc.record({
      kind: fc.constantFrom<Kind[]>("memfd", "named", "read-only", "hole"),
      length: length.map((n) => n + 1),
      gap: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.nat(300)),
      early: fc.boolean(),
    }),
    { maxLength: 30 },
  ),
  missing: fc.boolean(),
  allocate: fc.boolean(),
  block: fc.constantFrom(1, 16, 100),
  steps: fc.array(
    fc.record({
      what: fc.constantFrom<Step["what"][]>(
        ...["read", "read", "write", "write", "write"] as const,
        ...["truncate", "punch", "allocateRange", "seek", "side by side"] as const,
      ),
      offset,
      length,
      flag: fc.boolean(),
    }),
    { maxLength: 60 },
  ),
  seed: fc.nat(),
});

/** What a call answers, or the name of its errno. */
async function outcome<T>(call: () => T | Promise<T>): Promise<T | string> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof FuseError) return error.code;
    throw error;
  }
}

/** The bytes, and what each lies in. */
class Model {
  content = new Uint8Array(0);
  kinds: Kind[] = [];

  kind(at: number): Kind {
    return this.kinds[at] ?? "hole";
  }

  resize(size: number): void {
    const old = this.content;
    this.content = new Uint8Array(size);
    this.content.set(old.subarray(0, size));
    if (size < old.length) this.kinds.length = Math.min(this.kinds.length, size);
  }

  write(data: Uint8Array, offset: number): void {
    if (data.length === 0) return;
    if (offset + data.length > this.content.length) this.resize(offset + data.length);
    this.content.set(data, offset);
  }

  /** Why a byte cannot be written, where nobody allocates. */
  refusal(at: number): "ENOSPC" | "EROFS" | undefined {
    const kind = this.kind(at);
    return kind === "hole" ? "ENOSPC" : kind === "read-only" ? "EROFS" : undefined;
  }

  /** How many bytes a write takes, where nobody allocates, or its errno. */
  takes(offset: number, length: number): number | string {
    let n = 0;
    while (n < length && this.refusal(offset + n) === undefined) n++;
    return n > 0 || length === 0 ? n : this.refusal(offset)!;
  }
}

/** A map and its model. */
class Trial {
  readonly model = new Model();
  readonly map: ExtentMap;
  readonly #scene: Scene;
  readonly #later: boolean;
  readonly #random: Random;
  /** What `missing` answers. */
  readonly #late: Extent[] = [];
  /** Bytes that it may not be asked for, since they are known. */
  readonly #known = new Set<number>();
  readonly #blocks: number;
  #nextBlock = 0;
  #allocating = 0;

  constructor(scene: Scene, later: boolean, files: Memfds, path: string) {
    this.#scene = scene;
    this.#later = later;
    const random = this.#random = new Random(scene.seed);
    // Blocks hold what they held before.
    this.#blocks = files.file(random.bytes(2000));
    const content = { memfd: random.bytes(1000), named: random.bytes(500), "read-only": random.bytes(300) };
    const fds = {
      memfd: files.file(content.memfd),
      named: files.open(path, O.RDWR | O.CREAT | O.TRUNC),
      "read-only": files.readOnly(content["read-only"]),
    };
    libc().pwrite(fds.named, content.named, content.named.length, 0);

    // Where the next extent of each writable file lies: no two share a byte.
    const next = { memfd: 0, named: 0, "read-only": 0 };
    const early: Extent[] = [];
    let at = 0;
    for (const piece of scene.pieces) {
      const { kind, length } = piece;
      this.model.resize(at + length);
      for (let i = 0; i < length; i++) this.model.kinds.push(kind);
      if (kind !== "hole") {
        const fileOffset = (kind === "read-only" ? 0 : next[kind]) + piece.gap;
        next[kind] = fileOffset + length;
        this.model.content.set(content[kind].subarray(fileOffset, fileOffset + length), at);
        const given = !scene.missing || piece.early;
        (given ? early : this.#late).push({ offset: at, length, file: fds[kind], fileOffset });
        if (given) this.#know(at, at + length);
      }
      at += length;
    }
    this.map = extents(random.below(2) ? early : early.reverse(), {
      size: at,
      missing: scene.missing ? (range) => this.#answer(() => this.#missing(range), random.below(4) > 0) : undefined,
      allocate: scene.allocate ? (range) => this.#allocate(range) : undefined,
    });
  }

  #know(from: number, to: number): void {
    for (let at = from; at < to; at++) this.#known.add(at);
  }

  /** Now, or some turns of the event loop's microtasks later. */
  #answer<T>(answer: () => T, wait: boolean): T | Promise<T> {
    if (!this.#later || !wait) return answer();
    let promise = Promise.resolve();
    for (let turns = this.#random.below(12); turns > 0; turns--) promise = promise.then(() => {});
    return promise.then(answer);
  }

  #missing({ offset, length }: ExtentRange): Extent[] {
    for (let at = offset; at < offset + length; at++) assert(!this.#known.has(at), `byte ${at} was known`);
    this.#know(offset, offset + length);
    return this.#late.flatMap((extent) => {
      const from = Math.max(offset, extent.offset), to = Math.min(offset + length, extent.offset + extent.length);
      const { file, fileOffset } = extent;
      return from < to
        ? [{ offset: from, length: to - from, file, fileOffset: fileOffset + from - extent.offset }]
        : [];
    });
  }

  /** Blocks, the last of them first, sometimes not enough. */
  #allocate({ offset, length }: ExtentRange): Extent[] | Promise<Extent[]> {
    assertEquals(this.#allocating++, 0, "a call while another one is not done");
    const { block } = this.#scene, random = this.#random;
    return this.#answer(() => {
      this.#allocating--;
      const list: Extent[] = [];
      const most = 1 + random.below(5);
      for (let at = offset - offset % block; at < offset + length && list.length < most; at += block) {
        list.unshift({ offset: at, length: block, file: this.#blocks, fileOffset: this.#nextBlock });
        this.#nextBlock += block + random.below(2);
      }
      return list;
    }, true);
  }

  async read(offset: number, length: number): Promise<void> {
    const into = new Uint8Array(length).fill(0xee);
    const answer = this.map.read(into, offset);
    assert(this.#later || typeof answer === "number", "it waits for nothing");
    const n = await answer;
    assertEquals(into.subarray(0, n), this.model.content.slice(offset, offset + length));
  }

  async write(offset: number, length: number): Promise<void> {
    const data = this.#random.bytes(length);
    const expected = this.#scene.allocate ? length : this.model.takes(offset, length);
    const done = await outcome(() => this.map.write(data, offset));
    assertEquals(done, expected);
    if (typeof done === "number") this.model.write(data.subarray(0, done), offset);
  }

  async punch(offset: number, length: number): Promise<void> {
    const { model } = this, { allocate } = this.#scene;
    const end = Math.max(offset, Math.min(offset + length, model.content.length));
    const refused = !allocate && model.kinds.slice(offset, end).includes("read-only");
    assertEquals(await outcome(() => this.map.punch(offset, length)), refused ? "EROFS" : undefined);
    if (!refused) model.content.fill(0, offset, end);
    // Then they are not missing any more.
    if (allocate) this.#know(offset, end);
  }

  async allocateRange(offset: number, length: number, keepSize: boolean): Promise<void> {
    const { model } = this, end = offset + length;
    let expected: string | undefined;
    for (let at = offset; at < end && !this.#scene.allocate; at++) expected ??= model.refusal(at);
    assertEquals(await outcome(() => this.map.allocateRange(offset, length, keepSize)), expected);
    if (expected === undefined && !keepSize && length > 0 && end > model.content.length) model.resize(end);
  }

  /** Where SEEK_DATA and SEEK_HOLE say that there is no data are zeros, and they agree with each other. */
  seek(offset: number): void {
    const { content } = this.model;
    const [data, hole] = [3, 4].map((whence) => {
      try {
        return this.map.seek(offset, whence);
      } catch (error) {
        assertEquals((error as FuseError).code, "ENXIO");
        return null;
      }
    });
    if (offset >= content.length) return assertEquals([data, hole], [null, null]);
    assert(hole !== null && hole >= offset && hole <= content.length);
    assert(data === null || data >= offset && data < content.length);
    assert((data === offset) !== (hole === offset), `at ${offset}: data ${data}, hole ${hole}`);
    assert(content.subarray(offset, data ?? content.length).every((byte) => byte === 0));
  }

  /** Requests at once: writes apart from each other, then reads of the same bytes. */
  async sideBySide(offset: number, length: number): Promise<void> {
    const { allocate } = this.#scene, quarter = Math.ceil(length / 4), all = [0, 1, 2, 3];
    if (allocate) await Promise.all(all.map((i) => this.write(offset + i * quarter, this.#random.below(quarter + 1))));
    await Promise.all(all.map((i) => this.read(Math.max(0, offset - i * quarter), length)));
  }

  async step({ what, offset, length, flag }: Step): Promise<void> {
    const size = this.model.content.length;
    const at = flag ? offset % (size + 20) : offset;
    if (what === "read") await this.read(at, length);
    else if (what === "write") await this.write(at, length);
    else if (what === "punch") await this.punch(at, length);
    else if (what === "allocateRange") await this.allocateRange(at, length, flag);
    else if (what === "seek") this.seek(at);
    else if (what === "side by side") await this.sideBySide(at, length);
    else {
      this.map.truncate(at);
      this.model.resize(at);
    }
    assertEquals(this.map.size, this.model.content.length);
  }

  /** The extents are in order and apart, and none continues its neighbour. */
  checkExtents(): void {
    let last: Extent | undefined;
    for (const extent of this.map) {
      const end = last === undefined ? 0 : last.offset + last.length;
      assert(extent.offset >= end);
      assert(
        last === undefined || extent.offset > end || extent.file !== last.file ||
          extent.fileOffset !== last.fileOffset + last.length,
        "two extents that are one",
      );
      last = extent;
    }
  }
}

for (const later of [false, true]) {
  const when = later ? "later" : "at once";
  test(`extents: like a plain buffer, whatever is done to it; callbacks that answer ${when}`, async () => {
    await using dir = await tempDir();
    const property = fc.asyncProperty(scene, async (scene) => {
      using files = new Memfds();
      const trial = new Trial(scene, later, files, dir.join("named"));
      for (const step of scene.steps) await trial.step(step);
      await trial.read(0, trial.model.content.length + 10);
      trial.checkExtents();
      trial.map.sync(false);
    });
    await fc.assert(property, { numRuns: 400, seed: SEED });
  });
}
