import { assertEquals, assertStrictEquals } from "@std/assert";
import process from "node:process";
import { type Machine, plan, thisMachine } from "./needs.ts";
import { test } from "./harness.ts";

const all: Machine = { root: true, fuse: true, device: true, ci: false, npm: () => true, tool: () => true };

test("plan: a test whose needs are met is run under its name", () => {
  assertEquals(plan("x", [], { ...all, root: false, fuse: false, device: false }), { name: "x", ignore: false });
  assertEquals(plan("x", ["root", "fuse", "tool:fio"], all), { name: "x", ignore: false });
  assertEquals(plan("x", ["root"], { ...all, ci: true }), { name: "x", ignore: false });
});

test("plan: a test whose needs are not met is ignored under a name that says which", () => {
  const skipped = (name: string) => ({ name, ignore: true });
  assertEquals(plan("x", ["root"], { ...all, root: false }), skipped("x (skipped: needs root)"));
  assertEquals(plan("x", ["fuse", "root"], { ...all, fuse: false }), skipped("x (skipped: needs /dev/fuse)"));
  const tool = (name: string) => name === "fio";
  assertEquals(
    plan("x", ["tool:fio", "tool:bindfs", "root"], { ...all, root: false, tool }),
    skipped("x (skipped: needs bindfs, root)"),
  );
  assertEquals(plan("x", ["npm"], { ...all, npm: () => false }), skipped("x (skipped: needs npm's registry)"));
});

test("plan: in a CI that has the device, what is missing is a failure", () => {
  const { ignore, failure, name } = plan("x", ["root"], { ...all, ci: true, root: false });
  assertEquals({ ignore, failure, name }, {
    ignore: false,
    failure: "needs root: the CI has to provide it",
    name: "x",
  });
  // Without the device it is no machine for these tests.
  assertStrictEquals(plan("x", ["root"], { ...all, ci: true, root: false, device: false }).ignore, true);
});

test("thisMachine: finds programs in PATH, and no others", () => {
  const { tool } = thisMachine();
  assertStrictEquals(tool("sh"), true);
  assertStrictEquals(tool("no-such-program"), false);
});

test("thisMachine: in a CI npm's registry is not asked for: its tests run, and see for themselves", () => {
  const { CI, PATH } = process.env;
  try {
    // Where there is no npm, it could not be asked.
    Object.assign(process.env, { CI: "true", PATH: "/nonexistent" });
    assertStrictEquals(thisMachine().npm(), true);
  } finally {
    for (const [name, value] of Object.entries({ CI, PATH })) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
});
