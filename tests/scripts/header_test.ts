/** How the fixture of the protocol is made of the kernel's header. */
import { assertEquals, assertRejects } from "@std/assert";
import { writeFile } from "node:fs/promises";
import { type Header, read } from "../../scripts/header.ts";
import { tempDir, test } from "../support/harness.ts";

const HEADER = `/* A licence. */
/*
 * Protocol changelog:
 *
 * 7.1:
 *  - add FUSE_A
 *
 *  7.12
 *  - add x to fuse_a, which has FUSE_A
 *  - add FUSE_NOBODY
 */
#ifndef _HEADER_H
#define _HEADER_H
#include <stdint.h>
#define FUSE_KERNEL_VERSION 7
#define FUSE_KERNEL_MINOR_VERSION 12
#define FUSE_TOP (1 << 31) /* a bit */
#define FUSE_BOTH \\
	(FUSE_KERNEL_VERSION + FUSE_KERNEL_MINOR_VERSION)
#define FUSE_IOC _IOR(229, 0, uint32_t)
#define FUSE_ALIGN(x) ((x) * 8)
#define FUSE_PAGES (PAGE_SIZE / 8)
enum fuse_code {
	FUSE_A = 3, /* FUSE_B = 9, */
	FUSE_C,
};
struct fuse_a {
	uint8_t		small;
	uint64_t	x;	/* 8 bytes; aligned */
	char		spare[3];
};
struct fuse_b {
	struct fuse_a	a;
	char		name[];
};
#endif
`;

async function readFrom(text: string): Promise<Header> {
  await using dir = await tempDir();
  await writeFile(dir.join("fuse.h"), text);
  return await read(dir.join("fuse.h"));
}

test("header: structs, constants, codes and the changelog, as the compiler has them", {
  needs: ["tool:gcc"],
}, async () => {
  const { protocol, structs, constants, enums, since } = await readFrom(HEADER);
  assertEquals(protocol, "7.12");
  assertEquals(structs, {
    fuse_a: {
      size: 24,
      fields: [
        { name: "small", type: "uint8_t", offset: 0, size: 1 },
        { name: "x", type: "uint64_t", offset: 8, size: 8 },
        { name: "spare", type: "char", offset: 16, size: 3, array: true },
      ],
    },
    fuse_b: {
      size: 24,
      fields: [
        { name: "a", type: "fuse_a", offset: 0, size: 24 },
        { name: "name", type: "char", offset: 24, size: 0, flexible: true },
      ],
    },
  });
  assertEquals(constants, {
    FUSE_KERNEL_VERSION: "7",
    FUSE_KERNEL_MINOR_VERSION: "12",
    FUSE_TOP: "18446744071562067968",
    FUSE_BOTH: "19",
    FUSE_IOC: "2147804416",
  });
  assertEquals(enums, { fuse_code: { FUSE_A: 3, FUSE_C: 4 } });
  assertEquals(since, { FUSE_A: 1, fuse_a: 12 });
});

test("header: what cannot be read is an error", { needs: ["tool:gcc"] }, async () => {
  const bits = HEADER.replace("char		spare[3];", "int		bits : 3;");
  await assertRejects(() => readFrom(bits), Error, "a field of fuse_a cannot be read");
  await assertRejects(() => readFrom(HEADER.replace("Protocol changelog", "News")), Error, "no changelog");
  await assertRejects(
    () => readFrom(HEADER.replace("#define FUSE_BOTH", "#define FUSE_BOTH nothing +")),
    Error,
    "gcc: ",
  );
});
