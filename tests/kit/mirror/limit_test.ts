import { assertEquals } from "@std/assert";
import type { Libc } from "../../../ffi/libc.ts";
import { defaultLimit } from "../../../src/kit/mirror/limit.ts";
import { test } from "../../support/harness.ts";

function limits(text: string | null): Libc {
  return {
    O: { RDONLY: 0, CLOEXEC: 0 },
    open: () => text === null ? -2 : 5,
    close: () => 0,
    read(_fd: number, buffer: Uint8Array) {
      return new TextEncoder().encodeInto(text!, buffer).written;
    },
  } as unknown as Libc;
}

const table = (soft: string) =>
  `Limit                     Soft Limit           Hard Limit           Units     
Max stack size            8388608              unlimited            bytes     
Max open files            ${soft.padEnd(20)} 1048576              files     
Max locked memory         8388608              8388608              bytes     
`;

test("defaultLimit: half of what the process may open, at most 4096", () => {
  assertEquals(defaultLimit(limits(table("1024"))), 512);
  assertEquals(defaultLimit(limits(table("20000"))), 4096);
  assertEquals(defaultLimit(limits(table("unlimited"))), 4096);
  assertEquals(defaultLimit(limits(null)), 4096);
});
