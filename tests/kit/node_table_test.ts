import { assert, assertEquals, assertThrows } from "@std/assert";
import { NodeTable } from "../../src/kit/node_table.ts";
import { code } from "../support/errno.ts";
import { test } from "../support/harness.ts";

test("NodeTable: the first value is the root, 1; the others follow", () => {
  const table = new NodeTable<string>();
  assertEquals([table.insert("root"), table.insert("a"), table.insert("b")], [1, 2, 3]);
  assertEquals(table.get(1), "root");
  assertEquals(table.at(3), "b");
  assertEquals(table.size, 3);
  assertEquals(table.generation(1), 0);
});

test("NodeTable: lookups are counted up and down, never below 0", () => {
  const table = new NodeTable<string>();
  const id = table.insert("root");
  assertEquals(table.lookups(id), 0);
  table.remember(id);
  table.remember(id, 5);
  assertEquals(table.lookups(id), 6);
  assertEquals(table.forget(id, 4), 2);
  assertEquals(table.forget(id, 3), 0);
  assertEquals(table.get(id), "root", "forgetting removes nothing");
});

test("NodeTable: a nodeid comes again with a higher generation and no lookups", () => {
  const table = new NodeTable<string>();
  table.insert("root");
  const id = table.insert("old");
  table.remember(id, 7);
  table.remove(id);
  assertEquals(table.get(id), undefined);
  assertEquals(table.lookups(id), 0);
  assertEquals(table.size, 1);
  assertEquals(table.insert("new"), id);
  assertEquals([table.generation(id), table.lookups(id), table.get(id)], [1, 0, "new"]);
});

test("NodeTable: all free nodeids are used before a new one", () => {
  const table = new NodeTable<number>();
  for (let i = 1; i <= 10; i++) table.insert(i);
  for (const id of [3, 9, 5]) table.remove(id);
  assertEquals([table.insert(0), table.insert(0), table.insert(0)].sort(), [3, 5, 9]);
  assertEquals(table.insert(0), 11);
  assertEquals(table.size, 11);
});

test("NodeTable: an unknown nodeid is undefined, has no lookups, and is ESTALE to what needs one", () => {
  const table = new NodeTable<string>();
  const id = table.insert("root");
  table.remove(id);
  for (const unknown of [0, id, 2, 1e15, -1]) {
    assertEquals(table.get(unknown), undefined);
    assertEquals(table.lookups(unknown), 0);
    assertEquals(table.forget(unknown, 1), 0);
    assertEquals(code(() => table.at(unknown)), "ESTALE");
    assertEquals(code(() => table.remember(unknown)), "ESTALE");
    assertEquals(code(() => table.remove(unknown)), "ESTALE");
  }
  assertEquals(table.size, 0);
  assertThrows(() => table.at(7), Error, "nodeid 7");
});

test("NodeTable: no pair of nodeid and generation is given twice", () => {
  const table = new NodeTable<number>();
  table.insert(0);
  const seen = new Set<string>(), held: number[] = [];
  let random = 1;
  for (let i = 0; i < 5000; i++) {
    random = random * 48271 % 0x7fffffff;
    if (random % 3 === 0 && held.length > 0) table.remove(held.splice(random % held.length, 1)[0]);
    else {
      const id = table.insert(i);
      const pair = `${id}:${table.generation(id)}`;
      assert(!seen.has(pair), pair);
      seen.add(pair);
      held.push(id);
      assertEquals(table.get(id), i);
    }
  }
  assertEquals(table.size, held.length + 1);
});

test("NodeTable values: all of them by their nodeids, while they go and come", () => {
  const table = new NodeTable<string>();
  const [, b] = [..."abc"].map((name) => table.insert(name));
  table.remove(b);
  assertEquals([...table.values()], ["a", "c"]);
  const seen: string[] = [];
  for (const value of table.values()) {
    seen.push(value);
    if (value === "a") [table.remove(3), table.insert("d"), table.insert("e")];
  }
  assertEquals(seen, ["a", "e", "d"]);
});
