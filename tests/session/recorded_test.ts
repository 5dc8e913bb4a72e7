/** What a real kernel sent, played again: the same answers, byte by byte. The recorder is `scripts/record.ts`. */
import { assert, assertEquals, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { type Exchange, type Recorded, recordedFilesystem } from "../../scripts/record.ts";
import { OPCODE, type OpcodeName } from "../../src/abi/opcode.ts";
import type { Filesystem } from "../../src/fs/filesystem.ts";
import type { Request } from "../../src/fs/types.ts";
import file from "../fixtures/recorded.json" with { type: "json" };
import { fromHex, toHex } from "../support/hex.ts";
import { c, join, settled, utf8, Wire } from "../support/wire.ts";
import { test } from "../support/harness.ts";

const { origin, kernel, recordings } = file as Recorded;

/** Replies by the number of their request, in hexadecimal. */
type Replies = ReadonlyMap<bigint, string>;

function uniqueOf(request: string): bigint {
  return new DataView(fromHex(request).buffer).getBigUint64(8, true);
}

/** Plays requests in their order. */
async function replay(wire: Wire, exchanges: readonly Exchange[]): Promise<Replies> {
  for (const { request } of exchanges) {
    wire.raw(fromHex(request));
    await settled();
  }
  return new Map(wire.replies.map(({ unique, errno, body }) => {
    const header = c("fuse_out_header", { len: 16 + body.length, error: -errno, unique });
    return [unique, toHex(join(header, body))];
  }));
}

for (const { name, options, exchanges } of recordings) {
  test(`recorded: a ${name} session of Linux ${kernel} gets the same replies`, async () => {
    const wire = new Wire(recordedFilesystem(), options);
    const replies = await replay(wire, exchanges);
    for (const [i, { opcode, request, reply }] of exchanges.entries()) {
      assertEquals([i, opcode, replies.get(uniqueOf(request)) ?? null], [i, opcode, reply]);
    }
    assertStrictEquals(replies.size, exchanges.filter(({ reply }) => reply !== null).length);
    assertEquals(wire.reports, []);
    assertStrictEquals(wire.dispatcher.pending, 0);
    assertStrictEquals(wire.dispatcher.openDirectories, 0);
    assertEquals(wire.freed, wire.kept);
  });

  test(`recorded: a ${name} session does not depend on when its handlers answer`, async () => {
    const now = recordedFilesystem() as Record<string, (...args: unknown[]) => unknown>;
    const later: Record<string, unknown> = {};
    for (const [method, answer] of Object.entries(now)) {
      // What forget has to say nobody waits for.
      later[method] = method === "forget"
        ? answer
        : (...args: unknown[]) => Promise.resolve().then(() => answer(...args));
    }
    const replies = await replay(new Wire(later as Filesystem, options), exchanges);
    assertEquals(
      exchanges.map(({ request }) => replies.get(uniqueOf(request)) ?? null),
      exchanges.map(({ reply }) => reply),
    );
  });
}

test("recorded: every opcode that a kernel sends through /dev/fuse", () => {
  const seen = new Set(recordings.flatMap(({ exchanges }) => exchanges.map(({ opcode }) => opcode)));
  // The first two only virtiofs sends, the last /dev/cuse.
  const others: OpcodeName[] = ["FUSE_SETUPMAPPING", "FUSE_REMOVEMAPPING", "CUSE_INIT"];
  assertEquals(new Set([...seen, ...others]), new Set(Object.keys(OPCODE)));
  for (const { opcode, request } of recordings.flatMap(({ exchanges }) => exchanges)) {
    const view = new DataView(fromHex(request).buffer);
    assertEquals([view.getUint32(0, true), view.getUint32(4, true)], [view.byteLength, OPCODE[opcode]]);
  }
});

test("recorded: the file says where it comes from", () => {
  assertStringIncludes(origin, `Linux ${kernel}`);
  assertStringIncludes(origin, "scripts/record.ts");
});

test("recorded: what the kernel appends where an ordinary user makes something", async () => {
  const { options, exchanges } = recordings.find(({ name }) => name === "fuse")!;
  const seen: [string, Request][] = [];
  const fs = recordedFilesystem();
  const { mkdir, create } = fs;
  fs.mkdir = (args, request) => (seen.push(["mkdir", request]), mkdir!(args, request));
  fs.create = (args, request) => (seen.push(["create", request]), create!(args, request));
  await replay(new Wire(fs, options), exchanges);
  const users = seen.filter(([, { uid }]) => uid === 1000);
  assertEquals(users.map(([method]) => method), ["mkdir", "create"]);
  for (const [, { gid, groups, securityContexts }] of users) {
    // The directory's group, which is one of the user's; no security module, so no label.
    assertEquals([gid, groups, securityContexts], [1000, [2000], []]);
  }
  assert(seen.some(([, { uid, groups }]) => uid === 0 && groups === undefined));
});

test("recorded: the data of a retrieve comes as the kernel had it in its cache", async () => {
  const { options, exchanges } = recordings.find(({ name }) => name === "fuse")!;
  const wire = new Wire(recordedFilesystem(), options);
  await replay(wire, exchanges.slice(0, 1));
  const asked = wire.notifier.retrieve(2, 0, 16);
  await replay(wire, exchanges.slice(1));
  // Read from the file system, then written over by the client.
  assertEquals(await asked, utf8("The brown brown "));
});
