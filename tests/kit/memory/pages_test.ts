import { assert, assertEquals } from "@std/assert";
import { CHUNK, PAGE } from "../../../src/kit/memory/chunk.ts";
import { MAX_SIZE, Pages } from "../../../src/kit/memory/pages.ts";
import { Space } from "../../../src/kit/memory/space.ts";
import { code } from "../../support/errno.ts";
import { test } from "../../support/harness.ts";

const ROOMY = () => new Space(2 ** 40, 10);

function bytes(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}

/** A file kept the plain way: one buffer, and a set of pages with data and one of those paid for. */
class Model {
  content = new Uint8Array(0);
  data = new Set<number>();
  held = new Set<number>();

  resize(size: number): void {
    const old = this.content;
    this.content = new Uint8Array(size);
    this.content.set(old.subarray(0, size));
  }

  write(offset: number, data: Uint8Array): void {
    if (data.length === 0) return;
    if (offset + data.length > this.content.length) this.resize(offset + data.length);
    this.content.set(data, offset);
    for (let page = Math.floor(offset / PAGE); page * PAGE < offset + data.length; page++) {
      this.data.add(page);
      this.held.add(page);
    }
  }

  truncate(size: number): void {
    if (size <= this.content.length) this.drop(Math.ceil(size / PAGE), Infinity, false);
    this.resize(size);
  }

  drop(first: number, end: number, keep: boolean): void {
    for (const page of [...this.held]) {
      if (page < first || page >= end) continue;
      this.data.delete(page);
      if (!keep) this.held.delete(page);
    }
  }

  clear(offset: number, length: number, keep: boolean): void {
    this.content.fill(0, offset, offset + length);
    let end = Math.floor((offset + length) / PAGE);
    if (!keep && offset + length >= this.content.length) end = Math.max(end, Math.ceil(this.content.length / PAGE));
    this.drop(Math.ceil(offset / PAGE), end, keep);
  }

  reserve(offset: number, length: number): void {
    for (let page = Math.floor(offset / PAGE); page * PAGE < offset + length; page++) this.held.add(page);
  }

  reserved(): [number, number][] {
    const found: [number, number][] = [];
    for (const page of [...this.held].sort((a, b) => a - b)) {
      const last = found.at(-1), at = page * PAGE;
      if (this.data.has(page)) continue;
      if (last && last[0] + last[1] === at) last[1] += PAGE;
      else found.push([at, PAGE]);
    }
    return found;
  }

  seek(offset: number, data: boolean): number | undefined {
    for (let at = offset; at < this.content.length; at = (Math.floor(at / PAGE) + 1) * PAGE) {
      if (this.data.has(Math.floor(at / PAGE)) === data) return at;
    }
    return data ? undefined : this.content.length;
  }
}

/** Stretches that touch are one. */
function joined(stretches: Iterable<[number, number]>): [number, number][] {
  const found: [number, number][] = [];
  for (const [offset, length] of stretches) {
    const last = found.at(-1);
    if (last && last[0] + last[1] === offset) last[1] += length;
    else found.push([offset, length]);
  }
  return found;
}

test("Pages: a random history reads as a plain buffer does", () => {
  let seed = 20240607;
  const random = (below: number) => {
    seed = seed * 48271 % 0x7fffffff;
    return seed % below;
  };
  // Places and lengths that often meet the edges of pages and chunks.
  const place = () => {
    const edge = random(4);
    return edge === 0
      ? random(5) * CHUNK
      : edge === 1
      ? random(40) * PAGE
      : Math.max(0, random(5) * CHUNK + random(9) - 4 + (edge === 2 ? 0 : random(CHUNK)));
  };
  const span = () => [random(100), random(3 * PAGE), random(2 * CHUNK + 10)][random(3)];
  const space = ROOMY();
  const file = new Pages(space), other = new Pages(space);
  const model = new Model(), otherModel = new Model();
  const pairs: [Pages, Model][] = [[file, model], [other, otherModel]];
  for (let step = 0; step < 4000; step++) {
    const [pages, plain] = pairs[random(2)];
    const offset = place(), length = span();
    const what = random(10);
    if (what < 4) {
      const data = bytes(length, 1 + random(255));
      assertEquals(pages.write(offset, data), length);
      plain.write(offset, data);
    } else if (what === 4) {
      pages.truncate(offset);
      plain.truncate(offset);
    } else if (what === 5 && length > 0) {
      pages.punch(offset, length);
      plain.clear(offset, length, false);
    } else if (what === 6 && length > 0) {
      pages.zero(offset, length);
      plain.reserve(offset, length);
      plain.clear(offset, length, true);
    } else if (what === 7 && length > 0) {
      pages.reserve(offset, length);
      plain.reserve(offset, length);
    } else if (what === 8) {
      const [target, targetPlain] = pairs[pages === file ? 1 : 0];
      const to = place();
      const copied = target.copy(pages, offset, to, length);
      const source = plain.content.slice(offset, offset + length);
      assertEquals(copied, source.length);
      // A hole arrives as a hole: whole pages of the target that the source has no data for are given back.
      for (let at = offset; at < offset + copied;) {
        const end = Math.min(offset + copied, (Math.floor(at / PAGE) + 1) * PAGE);
        if (plain.data.has(Math.floor(at / PAGE))) {
          targetPlain.write(to + at - offset, plain.content.slice(at, end));
          at = end;
          continue;
        }
        const data = Math.min(plain.seek(at, true) ?? Infinity, offset + copied);
        const size = targetPlain.content.length;
        targetPlain.content.fill(0, to + at - offset, to + data - offset);
        targetPlain.drop(Math.ceil((to + at - offset) / PAGE), Math.floor((to + data - offset) / PAGE), false);
        if (to + data - offset > size) targetPlain.resize(to + data - offset);
        at = data;
      }
    } else {
      assertEquals(pages.read(offset, length), plain.content.slice(offset, offset + length), `read in step ${step}`);
      if (offset < plain.content.length) {
        assertEquals(pages.data(offset), plain.seek(offset, true), `data in step ${step}`);
        assertEquals(pages.hole(offset), plain.seek(offset, false), `hole in step ${step}`);
      }
    }
    assertEquals(pages.size, plain.content.length, `size in step ${step}`);
    assertEquals(pages.held, plain.held.size, `pages in step ${step}`);
    if (step % 50 === 0) {
      for (const [p, m] of pairs) {
        assert(equal(p.read(0, p.size), m.content), `content after step ${step}`);
        assertEquals(p.held, m.held.size);
        assertEquals(joined(p.reserved()), m.reserved());
      }
      assertEquals(space.freeBytes, space.maxBytes - PAGE * (file.held + other.held));
    }
  }
  file.truncate(0);
  other.truncate(0);
  assertEquals(space.freeBytes, space.maxBytes);
});

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

test("Pages: a read inside one buffer is a view, across buffers a copy", () => {
  const pages = new Pages(ROOMY());
  for (let i = 0; i < 40; i++) pages.write(i * CHUNK / 2, bytes(CHUNK / 2, i));
  const isView = (offset: number, length: number) => {
    const read = pages.read(offset, length);
    const [before] = read;
    assertEquals(read.length, length);
    pages.write(offset, new Uint8Array([99]));
    const seen = read[0] === 99;
    pages.write(offset, new Uint8Array([before]));
    return seen;
  };
  assertEquals(isView(CHUNK, CHUNK), true);
  assertEquals(isView(CHUNK - 1, 2), false);
  assertEquals(isView(8 * CHUNK, 8 * CHUNK), true, "a run of chunks written in order");
  assertEquals(isView(9 * CHUNK + 7, 3 * CHUNK), true);
  assertEquals(isView(15 * CHUNK + 1, CHUNK), false, "from one run into the next");
  assertEquals(pages.read(10 * CHUNK - 1, 2), new Uint8Array([19, 20]));
  pages.punch(10 * CHUNK, CHUNK);
  assertEquals(isView(9 * CHUNK, 3 * CHUNK), false);
  assertEquals(pages.read(10 * CHUNK - 1, CHUNK + 2), new Uint8Array([19, ...bytes(CHUNK, 0), 22]));
});

test("Pages: a file cut and written again in order has no bytes of before", () => {
  const pages = new Pages(ROOMY());
  for (let round = 1; round < 4; round++) {
    for (let i = 0; i < 20; i++) pages.write(i * CHUNK, bytes(10, round));
    for (let i = 0; i < 20; i++) pages.write(i * CHUNK, bytes(CHUNK, round));
    assertEquals(equal(pages.read(0, pages.size), bytes(20 * CHUNK, round)), true);
    pages.truncate(5 * CHUNK + 1);
    pages.write(6 * CHUNK, bytes(1, 200));
    assertEquals(equal(pages.read(5 * CHUNK, 3 * CHUNK), new Uint8Array([round, ...bytes(CHUNK - 1, 0), 200])), true);
    pages.truncate((round - 1) * CHUNK);
  }
});

test("Pages: a copy inside one file makes a page between those that it reads", () => {
  for (const length of [100, PAGE - 1]) {
    for (const room of [0, 10 * PAGE]) {
      const pages = new Pages(ROOMY());
      const text = Uint8Array.from({ length }, (_, i) => i % 251);
      // Room in the chunk's buffer, so that its pages move inside it.
      pages.write(0, bytes(PAGE + 10 + room, 1));
      pages.truncate(PAGE + 10);
      pages.write(6 * PAGE - 1, text);
      pages.write(7 * PAGE + 4000, bytes(1, 3));
      assertEquals(pages.copy(pages, 6 * PAGE - 1, 2 * PAGE - 1, length), length);
      assertEquals(pages.read(2 * PAGE - 1, length), text);
      assertEquals(pages.read(6 * PAGE - 1, length), text);
    }
  }
});

test("Pages: a copy inside one file, where the ranges do not overlap", () => {
  const pages = new Pages(ROOMY());
  pages.write(10, bytes(50, 1));
  assertEquals(pages.copy(pages, 0, 60, 60), 60);
  assertEquals(
    pages.read(0, 1000),
    new Uint8Array([...bytes(10, 0), ...bytes(50, 1), ...bytes(10, 0), ...bytes(50, 1)]),
  );
  assertEquals(pages.copy(pages, 0, CHUNK - 20, 120), 120);
  assertEquals(pages.read(CHUNK - 20, 120), pages.read(0, 120));
});

test("Pages: written data is copied, not kept", () => {
  for (const offset of [0, 10, CHUNK]) {
    const pages = new Pages(ROOMY());
    const data = bytes(100, 7);
    pages.write(offset, data);
    data.fill(0);
    assertEquals(pages.read(offset, 100), bytes(100, 7));
  }
});

test("Pages: a sparse tebibyte costs the pages that were written", () => {
  const space = new Space(16 * PAGE, 1);
  const pages = new Pages(space);
  const far = 2 ** 40;
  pages.truncate(far);
  assertEquals([pages.size, pages.held, pages.data(0), pages.hole(0)], [far, 0, undefined, 0]);
  pages.write(far - 1, bytes(2, 3));
  assertEquals([pages.size, pages.held], [far + 1, 2]);
  assertEquals(pages.data(5), far - PAGE);
  assertEquals(pages.hole(far - PAGE), far + 1);
  assertEquals(pages.read(far - 3, 10), new Uint8Array([0, 0, 3, 3]));
  pages.truncate(7);
  assertEquals([pages.held, space.freeBytes], [0, 16 * PAGE]);
});

test("Pages: what was cut off does not come back", () => {
  for (const size of [3, PAGE + 3, CHUNK - 1, CHUNK, CHUNK + 5, 2 * CHUNK]) {
    const pages = new Pages(ROOMY());
    pages.write(0, bytes(3 * CHUNK, 0xff));
    pages.truncate(size);
    pages.truncate(3 * CHUNK);
    const tail = pages.read(size, 3 * CHUNK);
    assertEquals(tail.length, 3 * CHUNK - size);
    assert(tail.every((byte) => byte === 0), `bytes behind ${size}`);
    assertEquals(pages.read(0, size).every((byte) => byte === 0xff), true);
  }
});

test("Pages: a write takes what space there is, the next one nothing", () => {
  const space = new Space(3 * PAGE + 100, 1);
  const pages = new Pages(space);
  assertEquals(pages.write(PAGE - 10, bytes(5 * PAGE, 1)), 2 * PAGE + 10);
  assertEquals(pages.size, 3 * PAGE);
  assertEquals(pages.write(pages.size, bytes(1, 1)), 0);
  assertEquals(pages.size, 3 * PAGE);
  assertEquals(pages.write(0, bytes(3 * PAGE, 2)), 3 * PAGE, "no more is needed to write again");
  pages.punch(PAGE, PAGE);
  assertEquals(pages.write(2 * PAGE, bytes(2 * PAGE, 3)), 2 * PAGE, "a hole makes room elsewhere");
});

test("Pages: reserved space is there when it is written, and all or nothing is reserved", () => {
  const space = new Space(4 * PAGE, 1);
  const pages = new Pages(space), other = new Pages(space);
  assertEquals(code(() => pages.reserve(0, 4 * PAGE + 1)), "ENOSPC");
  assertEquals([pages.held, space.freeBytes], [0, 4 * PAGE]);
  pages.reserve(CHUNK - PAGE, 3 * PAGE);
  assertEquals([pages.held, pages.size], [3, 0]);
  assertEquals(other.write(0, bytes(2 * PAGE, 1)), PAGE);
  assertEquals(pages.write(CHUNK - PAGE, bytes(3 * PAGE, 2)), 3 * PAGE);
  pages.truncate(0);
  assertEquals(space.freeBytes, 3 * PAGE);
  pages.reserve(CHUNK, 2 * PAGE);
  assertEquals(code(() => pages.reserve(0, 3 * PAGE)), "ENOSPC");
  assertEquals(pages.held, 2);
});

test("Pages: a huge reservation is refused without trying", () => {
  const pages = new Pages(new Space(2 ** 30, 1));
  assertEquals(code(() => pages.reserve(0, 2 ** 52)), "ENOSPC");
  assertEquals(code(() => pages.reserve(1, MAX_SIZE)), "EFBIG");
});

test("Pages: a reservation is no work and takes no memory, however large it is", () => {
  const space = new Space(Number.MAX_SAFE_INTEGER, 1);
  const pages = new Pages(space);
  pages.reserve(PAGE, 2 ** 52);
  pages.reserve(0, 2 ** 52);
  assertEquals(pages.held, 2 ** 40 + 1);
  pages.write(2 ** 50, bytes(PAGE + 1, 1));
  pages.zero(2 ** 50 + PAGE, PAGE);
  assertEquals([pages.held, pages.data(0), pages.hole(2 ** 50)], [2 ** 40 + 1, 2 ** 50, 2 ** 50 + PAGE]);
  assertEquals([...pages.reserved()], [[0, 2 ** 50], [2 ** 50 + PAGE, 2 ** 52 - 2 ** 50]]);
  pages.punch(2 ** 51, 2 ** 51);
  assertEquals(pages.held, 2 ** 39 + 1);
  pages.truncate(0);
  assertEquals([pages.held, space.bytes, [...pages.reserved()]], [0, 0, []]);
});

test("Pages: the largest size is 2^53 - 1", () => {
  const pages = new Pages(ROOMY());
  assertEquals(code(() => pages.truncate(MAX_SIZE + 1)), "EFBIG");
  assertEquals(code(() => pages.write(MAX_SIZE, bytes(1, 1))), "EFBIG");
  assertEquals(pages.write(MAX_SIZE - 2, bytes(5, 1)), 2);
  assertEquals(pages.size, MAX_SIZE);
  assertEquals(pages.read(MAX_SIZE - 3, 100), new Uint8Array([0, 1, 1]));
  assertEquals(pages.data(0), MAX_SIZE - MAX_SIZE % PAGE);
  pages.truncate(0);
  assertEquals(pages.held, 0);
});

test("Pages: a copy stops where space ends", () => {
  const space = new Space(6 * PAGE, 1);
  const from = new Pages(space), to = new Pages(space);
  from.write(0, bytes(4 * PAGE, 8));
  assertEquals(to.copy(from, 100, 0, 4 * PAGE), 2 * PAGE);
  assertEquals(to.read(0, 9 * PAGE), bytes(2 * PAGE, 8));
  assertEquals(to.copy(from, 0, 2 * PAGE, PAGE), 0);
  assertEquals(to.size, 2 * PAGE);
});
