/** Options: their defaults and their bounds. */
import { assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import { checkMethods, resolveOptions, type SessionOptions } from "../../src/session/options.ts";
import { test } from "../support/harness.ts";

test("options: the defaults are those of the doc comments", () => {
  const { onError, ...rest } = resolveOptions({}) as ReturnType<typeof resolveOptions> & Record<string, unknown>;
  const expected: SessionOptions = {
    maxWrite: 1 << 20,
    maxBackground: 64,
    timeGran: 1,
    passthrough: true,
    maxStackDepth: 1,
    writebackCache: false,
    atomicOTrunc: false,
    cacheSymlinks: false,
    autoInvalData: true,
    handleKillpriv: false,
    readdirplus: "auto",
    maxInFlight: 64 << 20,
  };
  for (const [name, value] of Object.entries(expected)) assertEquals(rest[name], value, name);
  assertStrictEquals(rest.maxReadahead, undefined);
  assertStrictEquals(typeof onError, "function");
});

/** The least and the most of each number. */
const RANGES: readonly [name: keyof SessionOptions, least: number, most: number][] = [
  ["maxWrite", 4096, 1 << 28],
  ["maxReadahead", 0, 2 ** 32 - 1],
  ["maxBackground", 1, 65535],
  ["timeGran", 1, 1_000_000_000],
  ["requestTimeout", 0, 65535],
  ["maxStackDepth", 1, 2],
  ["maxInFlight", 0, Number.MAX_SAFE_INTEGER],
];

for (const [name, least, most] of RANGES) {
  test(`options: ${name} is a whole number from ${least} to ${most}`, () => {
    const resolve = (value: unknown) => (resolveOptions({ [name]: value }) as Record<string, unknown>)[name];
    for (const value of [least, most]) assertStrictEquals(resolve(value), value);
    for (const value of [least - 1, most + 1, least + 0.5, -1, NaN, Infinity, -Infinity, `${least}`, 4097n]) {
      assertMatch(assertThrows(() => resolve(value), RangeError).message, new RegExp(`^option ${name} is `));
    }
  });
}

test("options: maxWrite is whole pages", () => {
  for (const [given, taken] of [[4096, 4096], [8191, 4096], [8192, 8192], [1_000_000, 999_424]]) {
    assertStrictEquals(resolveOptions({ maxWrite: given }).maxWrite, taken);
  }
});

test("options: readdirplus is one of three", () => {
  for (const value of ["auto", "always", "never"] as const) {
    assertStrictEquals(resolveOptions({ readdirplus: value }).readdirplus, value);
  }
  for (const value of ["sometimes", "", true]) {
    assertThrows(() => resolveOptions({ readdirplus: value as "auto" }), RangeError, "option readdirplus is");
  }
});

test("options: handleKillpriv is one of three", () => {
  for (const value of [false, true, "v1"] as const) {
    assertStrictEquals(resolveOptions({ handleKillpriv: value }).handleKillpriv, value);
  }
  assertThrows(() => resolveOptions({ handleKillpriv: "v2" as "v1" }), RangeError, "option handleKillpriv is");
});

test("options: those that exclude each other are refused together, and taken one by one", () => {
  const pairs: readonly (readonly [keyof SessionOptions, keyof SessionOptions])[] = [
    ["writebackCache", "passthrough"],
    ["autoInvalData", "explicitInvalData"],
    ["exportSupport", "noExportSupport"],
    ["noOpen", "passthrough"],
    ["noOpen", "atomicOTrunc"],
  ];
  for (const [one, other] of pairs) {
    const { message } = assertThrows(() => resolveOptions({ [one]: true, [other]: true }), TypeError);
    assertMatch(message, new RegExp(`^options ${one} and ${other} exclude each other: .*\\. Remedy: `));
    for (const [on, off] of [[one, other], [other, one]]) {
      const resolved = resolveOptions({ [on]: true }) as Record<string, unknown>;
      assertEquals([resolved[on], resolved[off]], [true, false]);
    }
  }
});

test("options: methods that an option needs, or excludes", () => {
  const method = () => null as never;
  const locks = { getlk: method, setlk: method, setlkw: method };
  const cases: readonly [SessionOptions, Filesystem, RegExp | null][] = [
    [{}, {}, null],
    [{ posixLocks: true }, locks, null],
    [
      { posixLocks: true },
      { ...locks, setlkw: undefined },
      /^option posixLocks needs .*getlk and setlk and setlkw; setlkw/,
    ],
    [{ posixLocks: false }, {}, null],
    [{ flockLocks: true }, { setlk: method, setlkw: method }, null],
    [{ flockLocks: true }, { setlk: method }, /^option flockLocks needs/],
    [{ exportSupport: true }, { lookup: method }, null],
    [{ exportSupport: true }, {}, /^option exportSupport needs/],
    [{ noOpen: true }, {}, null],
    [{ noOpen: true }, { open: method }, /^option noOpen excludes the method open/],
    [{ noOpendir: true }, {}, null],
    [{ noOpendir: true }, { opendir: method }, /^option noOpendir excludes the method opendir/],
  ];
  for (const [options, fs, message] of cases) {
    const check = () => checkMethods(fs, resolveOptions(options));
    if (message === null) check();
    else assertMatch(assertThrows(check, TypeError).message, message);
  }
});

test("options: writebackCache and passthrough exclude each other, and the first turns the second off", () => {
  const both: [boolean | undefined, boolean | undefined, boolean | null][] = [
    [undefined, undefined, true],
    [false, undefined, true],
    [true, undefined, false],
    [true, false, false],
    [false, true, true],
    [undefined, false, false],
    [true, true, null],
  ];
  for (const [writebackCache, passthrough, expected] of both) {
    const resolve = () => resolveOptions({ writebackCache, passthrough });
    if (expected !== null) assertStrictEquals(resolve().passthrough, expected);
    else {
      const { message } = assertThrows(resolve, TypeError);
      assertMatch(message, /^options writebackCache and passthrough exclude each other: .*\. Remedy: /);
    }
  }
});

test("options: by default an error is one line of the console that names the request", () => {
  const said: unknown[][] = [];
  const original = console.error;
  console.error = (...args) => void said.push(args);
  try {
    const error = new Error("x");
    const { onError } = resolveOptions({});
    onError(error, { opcode: "FUSE_READ", nodeid: 7, answered: "EIO" });
    onError(error, { opcode: "FUSE_RELEASE", nodeid: 8 });
    assertEquals(said, [
      ["fusewire: FUSE_READ of nodeid 7 failed and was answered EIO:", error],
      ["fusewire: FUSE_RELEASE of nodeid 8 failed:", error],
    ]);
  } finally {
    console.error = original;
  }
});
