/** Extended attributes: the caller's buffer, as getxattr(2) and listxattr(2) have it. */
import { assertEquals, assertStrictEquals } from "@std/assert";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import { c, connect, join, utf8 } from "../support/wire.ts";
import { test } from "../support/harness.ts";

/** Asked for so many bytes, of so many: an errno, the size alone, or the value. */
const SIZES: readonly [asked: number, size: number, answer: "ERANGE" | "size" | "value"][] = [
  [0, 0, "size"],
  [0, 5, "size"],
  [0, 65536, "size"],
  [1, 0, "value"],
  [4, 5, "ERANGE"],
  [5, 5, "value"],
  [6, 5, "value"],
  [65536, 65536, "value"],
  [65536, 65537, "ERANGE"],
  [0xffffffff, 70000, "value"],
];

for (const when of ["now", "later"]) {
  const answer = <T>(value: T): T | Promise<T> => when === "now" ? value : Promise.resolve(value);

  test(`getxattr: size probing and ERANGE, answered ${when}`, async () => {
    for (const [asked, size, expected] of SIZES) {
      const value = Uint8Array.from({ length: size }, (_, i) => i);
      const wire = connect({ getxattr: () => answer(value) });
      const { error, body } = await wire.ask("FUSE_GETXATTR", {
        parts: [c("fuse_getxattr_in", { size: asked }), "user.x"],
      });
      assertStrictEquals(error, expected === "ERANGE" ? "ERANGE" : "", `${asked} of ${size}`);
      if (expected === "size") assertEquals(body, c("fuse_getxattr_out", { size }));
      if (expected === "value") assertEquals(body, value);
      assertEquals(wire.reports, []);
    }
  });

  test(`listxattr: size probing and ERANGE, answered ${when}`, async () => {
    const names = ["user.a", "user.\udc80", "security.ä"];
    const list = join(utf8("user.a\0user."), Uint8Array.of(0x80, 0), utf8("security.ä\0"));
    for (
      const [names_, list_, asked, error] of [
        [names, list, 0, ""],
        [names, list, list.length - 1, "ERANGE"],
        [names, list, list.length, ""],
        [[], new Uint8Array(0), 0, ""],
        [[], new Uint8Array(0), 9, ""],
      ] as const
    ) {
      const wire = connect({ listxattr: () => answer([...names_]) });
      const reply = await wire.ask("FUSE_LISTXATTR", { parts: [c("fuse_getxattr_in", { size: asked })] });
      assertStrictEquals(reply.error, error);
      if (error === "") {
        assertEquals(reply.body, asked === 0 ? c("fuse_getxattr_out", { size: list_.length }) : list_);
      }
    }
  });

  test(`getxattr: null is ENODATA, answered ${when}`, async () => {
    const wire = connect({ getxattr: () => answer(null) });
    for (const size of [0, 100]) {
      const { error } = await wire.ask("FUSE_GETXATTR", { parts: [c("fuse_getxattr_in", { size }), "user.x"] });
      assertStrictEquals(error, "ENODATA");
    }
  });
}

test("setxattr: 16 bytes of arguments where these were agreed on", () => {
  const seen: unknown[] = [];
  const fs: Filesystem = { setxattr: ({ name, value, flags }) => void seen.push([name, [...value], flags]) };
  const struct = c("fuse_setxattr_in", { size: 2, flags: 1, setxattr_flags: 1 });
  for (const [flags, size] of [[1 << 29, 16], [0, 8]]) {
    const parts = [struct.subarray(0, size), "user.x", utf8("ab")];
    assertStrictEquals(connect(fs, { posixAcl: true }, { flags }).send("FUSE_SETXATTR", { parts }).error, "");
  }
  assertEquals(seen, [["user.x", [0x61, 0x62], 1], ["user.x", [0x61, 0x62], 1]]);
});

test("setxattr: an empty value, and names that are not UTF-8", () => {
  const seen: unknown[] = [];
  const wire = connect({ setxattr: (args) => void seen.push(structuredClone(args)) });
  const name = Uint8Array.of(0x75, 0xff, 0);
  const parts = [c("fuse_setxattr_in", { flags: 1 }).subarray(0, 8), name];
  assertStrictEquals(wire.send("FUSE_SETXATTR", { nodeid: 5, parts }).errno, 0);
  assertEquals(seen, [{ nodeid: 5, name: "u\udcff", value: new Uint8Array(0), flags: 1 }]);
});
