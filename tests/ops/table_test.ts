/** Each row of the table: from the bytes of a request to the method, and from its answer to the bytes of the reply. */
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { OPCODE } from "../../src/abi/opcode.ts";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import type { Request } from "../../src/fs/types.ts";
import { ROWS, TABLE } from "../../src/ops/table.ts";
import { type Answer, c, connect, join, settled, type Wire } from "../support/wire.ts";
import { bodyOf, type Case, CASES, SERVED, WHO } from "./cases.ts";
import { test } from "../support/harness.ts";

/** What a method was called with, as it was then. */
type Call = readonly [args: unknown, request: Request];

/** A file system of that one method. */
function serving(row: Case, method: (...call: Call) => unknown): Filesystem {
  return { [row.method]: method } as Filesystem;
}

function check(answer: Answer, expected: string | Uint8Array): void {
  if (typeof expected === "string") assertStrictEquals(answer.error, expected);
  else {
    assertStrictEquals(answer.error, "");
    assertEquals([...answer.body], [...expected]);
  }
}

/** Opcodes that only find something to do after another. */
function begin(fs: Filesystem, row: Case): Wire {
  const wire = connect(fs);
  row.before?.(wire);
  return wire;
}

for (const [opcode, row] of SERVED) {
  const name = (criterion: string) => `${opcode}: ${criterion}`;

  test(name("the method sees these arguments and this caller, and its answer becomes these bytes"), () => {
    const calls: unknown[] = [];
    const callers: Request[] = [];
    const wire = begin(
      serving(row, (args, request) => {
        calls.push(structuredClone(args));
        callers.push(request);
        return row.value;
      }),
      row,
    );
    const { nextUnique } = wire;
    if (row.body === null) wire.post(opcode, bodyOf(row));
    else check(wire.send(opcode, bodyOf(row)), row.body);
    assertEquals(calls, [...row.args]);
    // forget is called without: nobody asks.
    for (const caller of callers) {
      if (row.body === null) break;
      const { uid, gid, pid } = WHO;
      assertEquals({ uid: caller.uid, gid: caller.gid, pid: caller.pid }, { uid, gid, pid });
      assertStrictEquals(BigInt(caller.unique), nextUnique & (1n << 53n) - 1n);
    }
    assertEquals(wire.reports, []);
    assertEquals(wire.kept, []);
  });

  test(name("an answer that comes later becomes the same bytes"), async () => {
    const wire = begin(serving(row, () => Promise.resolve(row.value)), row);
    if (row.body === null) {
      wire.post(opcode, bodyOf(row));
      await settled();
    } else check(await wire.later(opcode, bodyOf(row)), row.body);
    assertEquals(wire.reports, []);
    assertStrictEquals(wire.dispatcher.pending, 0);
  });

  test(name("extensions at the end change nothing"), () => {
    const calls: unknown[] = [];
    const wire = begin(
      serving(row, (args) => {
        calls.push(structuredClone(args));
        return row.value;
      }),
      row,
    );
    // Of a type that nobody knows.
    const extensions = join(c("fuse_ext_header", { size: 24, type: 200 }), new Uint8Array(16).fill(0x41));
    const body = { ...bodyOf(row), extensions };
    if (row.body === null) wire.post(opcode, body);
    else check(wire.send(opcode, body), row.body);
    assertEquals(calls, [...row.args]);
  });

  test(name("without the method"), () => {
    const wire = begin({}, row);
    if (row.absent === null) wire.post(opcode, bodyOf(row));
    else check(wire.send(opcode, bodyOf(row)), row.absent);
    assertEquals(wire.reports, []);
  });
}

for (const [opcode, row] of Object.entries(CASES)) {
  if (!("fixed" in row)) continue;
  test(`${opcode}: served by the session itself`, () => {
    const wire = connect({ lookup: () => null });
    const code = OPCODE[opcode as keyof typeof OPCODE];
    if (row.fixed === null) wire.post(code, bodyOf(row));
    else check(wire.send(code, bodyOf(row)), row.fixed);
    assertEquals(wire.reports, []);
  });
}

test("opcodes that nobody knows are answered ENOSYS", () => {
  const known = new Set<number>(Object.values(OPCODE));
  const wire = connect({ lookup: () => null });
  for (const code of [0, 7, 19, 54, 63, 64, 65, 4095, 1048576, 436207616, 0x7fffffff, 0x80000001, 0xffffffff]) {
    assert(!known.has(code));
    check(wire.send(code), "ENOSYS");
  }
  assertEquals(wire.reports, []);
});

test("table: a row stands at its opcode's number, and carries its name", () => {
  for (const [name, row] of Object.entries(TABLE)) {
    const code = OPCODE[name as keyof typeof OPCODE];
    if (row !== null) assertStrictEquals(row.opcode, name);
    assertStrictEquals(ROWS[code] ?? null, row as unknown);
  }
  const rows = new Set<unknown>(Object.values(TABLE));
  for (const row of ROWS) assert(rows.has(row));
});

test("before 7.12 mknod and create carry no umask", () => {
  const calls: unknown[] = [];
  const fs: Filesystem = {
    mknod: (args) => (calls.push(args), { nodeid: 2, attr: { mode: args.mode } }),
    create: (args) => (calls.push(args), { entry: { nodeid: 3, attr: { mode: args.mode } } }),
  };
  const words = (...values: number[]) => new Uint8Array(Uint32Array.from(values).buffer);
  const old = connect(fs, {}, { minor: 11 });
  assertStrictEquals(old.send("FUSE_MKNOD", { parts: [words(0o010644, 0), "a"] }).errno, 0);
  assertStrictEquals(old.send("FUSE_CREATE", { parts: [words(0o102, 0o100644), "b"] }).errno, 0);
  const since = connect(fs, {}, { minor: 12 });
  assertStrictEquals(since.send("FUSE_MKNOD", { parts: [words(0o010644, 0, 0o22, 0), "a"] }).errno, 0);
  assertStrictEquals(since.send("FUSE_CREATE", { parts: [words(0o102, 0o100644, 0o22, 0), "b"] }).errno, 0);
  const expected = (umask: number) => [
    { parent: 1, name: "a", mode: 0o010644, umask, rdev: 0 },
    { parent: 1, name: "b", flags: 0o102, mode: 0o100644, umask, killSuidgid: false },
  ];
  assertEquals(calls, [...expected(0), ...expected(0o22)]);
});
