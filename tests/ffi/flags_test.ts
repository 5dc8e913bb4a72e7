/** `O_*` flags per architecture. */
import { assertEquals } from "@std/assert";
import { OPEN_FLAGS } from "../../ffi/libc.ts";
import { libc } from "../../ffi/load.ts";
import { run, test } from "../support/harness.ts";

// Opened here, since it stays open.
const c = libc();

test("OPEN_FLAGS: those of this machine are python's", { needs: ["tool:python3"] }, async () => {
  const flags = OPEN_FLAGS[c.architecture];
  // What glibc leaves out of its own O_LARGEFILE on 64-bit machines, the kernel still sends.
  const names = Object.keys(flags).filter((name) => name !== "LARGEFILE");
  const script = "import os, sys, json; print(json.dumps({n: getattr(os, 'O_' + n) for n in sys.argv[1:]}))";
  const { stdout } = await run(["python3", "-c", script, ...names]);
  assertEquals(JSON.parse(stdout), Object.fromEntries(names.map((name) => [name, flags[name as keyof typeof flags]])));
});

// Source: the kernel's asm-generic/fcntl.h, and arch/arm64/include/uapi/asm/fcntl.h where it differs.
test("OPEN_FLAGS: arm64 differs from x86-64 in five flags", () => {
  const { x86_64, aarch64 } = OPEN_FLAGS;
  const differing = Object.keys(x86_64).filter((name) =>
    x86_64[name as keyof typeof x86_64] !== aarch64[name as keyof typeof aarch64]
  );
  assertEquals(differing.sort(), ["DIRECT", "DIRECTORY", "LARGEFILE", "NOFOLLOW", "TMPFILE"]);
  assertEquals(
    [aarch64.DIRECTORY, aarch64.NOFOLLOW, aarch64.DIRECT, aarch64.LARGEFILE, aarch64.TMPFILE],
    [0o40000, 0o100000, 0o200000, 0o400000, 0o20000000 | 0o40000],
  );
});
