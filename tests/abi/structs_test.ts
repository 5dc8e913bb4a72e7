import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import type { Struct } from "../../src/abi/layout.ts";
import * as structs from "../../src/abi/structs.ts";
import header from "../fixtures/fuse-7.45.json" with { type: "json" };
import { Random } from "../support/random.ts";
import { test } from "../support/harness.ts";

interface Member {
  readonly name: string;
  readonly type: string;
  readonly offset: number;
  readonly size: number;
}
type Value = Record<string, any>;

const ours: ReadonlyMap<string, Struct<Value>> = new Map(Object.entries(structs) as [string, Struct<any>][]);
const theirs: ReadonlyMap<string, { size: number; fields: Member[] }> = new Map(Object.entries(header.structs));

const NAMELESS = /^_*(reserved|padding|spare|unused|dummy)\d*$/;

/** The members of a struct of the header that are one number each, those of nested structs by their path. */
function leaves(name: string, base = 0, path: readonly string[] = []): (Member & { path: readonly string[] })[] {
  return theirs.get(name)!.fields.filter(({ size }) => size > 0).flatMap((member) =>
    theirs.has(member.type)
      ? leaves(member.type, base + member.offset, [...path, member.name])
      : [{ ...member, offset: base + member.offset, path: [...path, member.name] }]
  );
}

function at(value: Value, path: readonly string[]): unknown {
  return path.reduce<any>((inner, name) => inner?.[name], value);
}

test("structs: every struct of the header is declared under its name, and no other", () => {
  assertEquals([...ours.keys()].sort(), [...theirs.keys()].sort());
  for (const [name, struct] of ours) assertStrictEquals(struct.name, name);
});

for (const [name, { size, fields }] of theirs) {
  test(`structs: ${name} lies in memory as in the header`, () => {
    const struct = ours.get(name)!;
    assertStrictEquals(struct.size, size);
    const expected = fields.filter((field) => field.size > 0);
    assertEquals(
      struct.layout.map(({ offset, size }) => ({ offset, size })),
      expected.map(({ offset, size }) => ({ offset, size })),
    );
    for (const [i, field] of expected.entries()) {
      if (!NAMELESS.test(field.name)) assertStrictEquals(struct.layout[i].name, field.name);
    }
  });

  test(`structs: ${name} reads each field from its bytes and from no others`, () => {
    const struct = ours.get(name)!;
    const view = new DataView(new ArrayBuffer(size));
    const zero = struct.read(view, 0);
    const numbers = leaves(name).filter(({ path }) => at(zero, path) !== undefined);
    for (const { path } of numbers) assert(at(zero, path) == 0, path.join("."));
    for (const { path, offset, size, type } of numbers) {
      const width = 8 * size;
      // The highest bit of the field, then its lowest, so that width, sign and byte order show.
      if (size < 8) {
        view.setUint8(offset + size - 1, 0x80);
        const high = type.startsWith("int") ? -(2 ** (width - 1)) : 2 ** (width - 1);
        assertStrictEquals(at(struct.read(view, 0), path), high, path.join("."));
        view.setUint8(offset + size - 1, 0);
      } else {
        view.setUint8(offset + 6, 0x10);
        assertEquals(BigInt(at(struct.read(view, 0), path) as number | bigint), 2n ** 52n, path.join("."));
        view.setUint8(offset + 6, 0);
      }
      view.setUint8(offset, 1);
      const one = struct.read(view, 0);
      for (const other of numbers) {
        const value = at(one, other.path);
        assert(value == (other.offset === offset ? 1 : 0), `${path.join(".")} shows in ${other.path.join(".")}`);
      }
      view.setUint8(offset, 0);
    }
  });

  test(`structs: ${name} writes what it reads, and zero elsewhere`, () => {
    const struct = ours.get(name)!;
    const random = new Random(size);
    const zero = struct.read(new DataView(new ArrayBuffer(size)), 0);
    const source = new DataView(new ArrayBuffer(size));
    for (const { path, offset, size } of leaves(name)) {
      if (at(zero, path) === undefined) continue;
      const bytes = random.bytes(Math.min(size, 6));
      for (const [i, byte] of bytes.entries()) source.setUint8(offset + i, byte);
    }
    const target = new Uint8Array(size).fill(0xff);
    struct.write(new DataView(target.buffer), 0, struct.read(source, 0));
    assertEquals(target, new Uint8Array(source.buffer));
  });
}

test("structs: every field of the header that has a name carries a value", () => {
  const bytes = new Set(["fuse_uring_req_header.in_out", "fuse_uring_req_header.op_in"]);
  for (const [name, { size }] of theirs) {
    const zero = ours.get(name)!.read(new DataView(new ArrayBuffer(size)), 0);
    for (const { path } of leaves(name)) {
      const label = `${name}.${path.join(".")}`;
      const named = !NAMELESS.test(path.at(-1)!) && !bytes.has(label);
      assertStrictEquals(at(zero, path) !== undefined, named, label);
    }
  }
});
