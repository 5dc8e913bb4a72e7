import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { libc } from "../../../ffi/load.ts";
import { cstring } from "../../../src/abi/text.ts";
import { ROOT_ID } from "../../../src/fs/types.ts";
import { openFds, test } from "../../support/harness.ts";
import { REG, Source } from "./source.ts";

// Opened here, since it stays open.
const c = libc();

const FOLDERS = 100, FILES = 1000, LIMIT = 64;

test("mirror maxDescriptors: 100,000 known files stay in reach of 64 descriptors", { timeout: 240_000 }, async () => {
  await using s = await Source.make({ maxDescriptors: LIMIT });
  for (let d = 0; d < FOLDERS; d++) {
    const folder = s.join(`d${d}`);
    assertEquals(c.mkdirat(-100, cstring(folder), 0o755), 0);
    const fd = c.open(cstring(folder), c.O.PATH | c.O.DIRECTORY, 0);
    for (let f = 0; f < FILES; f++) assert(c.mknodat(fd, cstring(`f${f}`), REG | 0o644, 0) === 0);
    c.close(fd);
  }
  const before = (await openFds()).size;
  const nodeids: number[] = [], inos: unknown[] = [];
  for (let d = 0; d < FOLDERS; d++) {
    const parent = s.id(`d${d}`);
    for (let f = 0; f < FILES; f++) {
      const entry = s.look(`f${f}`, parent);
      nodeids.push(entry.nodeid);
      inos.push(entry.attr.ino);
    }
  }
  const { nodes, descriptors } = s.mirror.counts();
  assertEquals(nodes, 1 + FOLDERS + FOLDERS * FILES);
  assertGreater(descriptors, 1);
  assertLess(descriptors, LIMIT + 1);
  assertLess((await openFds()).size, before + LIMIT + 1);
  // From one folder to another, so that each way has to be found again.
  for (let i = 0; i < nodeids.length; i += 17) {
    const at = i * 1009 % nodeids.length;
    assertEquals(s.stat(nodeids[at]).ino, inos[at]);
  }
  const fh = s.open(nodeids[77_777], c.O.RDONLY);
  s.release(fh);
  assertLess((await openFds()).size, before + LIMIT + 1);
  for (const nodeid of nodeids) s.mirror.forget!({ nodeid, nlookup: 1 });
  for (let d = 0; d < FOLDERS; d++) {
    const { nodeid } = s.look(`d${d}`);
    s.mirror.forget!({ nodeid, nlookup: 2 });
  }
  assertEquals(s.mirror.counts().nodes, 1);
  assertEquals(s.stat(ROOT_ID).nlink, FOLDERS + 2);
});
