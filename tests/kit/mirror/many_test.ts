import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import { libc } from "../../../ffi/load.ts";
import { cstring } from "../../../src/abi/text.ts";
import { ROOT_ID } from "../../../src/fs/types.ts";
import { command, must, openFds, startReady, tempDir, test, until } from "../../support/harness.ts";
import type { MirrorCounts } from "../../../src/kit/mirror.ts";
import { REG, Source } from "./source.ts";

// Opened here, since it stays open.
const c = libc();

/** Files to a folder. */
const FILES = 1000;
const LIMIT = 64;
/** How many are looked at through a mount: `FUSEWIRE_FILES=1000000` takes three minutes. */
const MOUNTED = Number(process.env.FUSEWIRE_FILES ?? 20_000);

/** Makes folders full of files. */
function fill(source: string, folders: number): void {
  for (let d = 0; d < folders; d++) {
    const folder = `${source}/d${d}`;
    assertEquals(c.mkdirat(-100, cstring(folder), 0o755), 0);
    const fd = c.open(cstring(folder), c.O.PATH | c.O.DIRECTORY, 0);
    for (let f = 0; f < FILES; f++) assert(c.mknodat(fd, cstring(`f${f}`), REG | 0o644, 0) === 0);
    c.close(fd);
  }
}

test("mirror maxDescriptors: 20,000 known files stay in reach of 64 descriptors", { timeout: 240_000 }, async () => {
  const FOLDERS = 20;
  await using s = await Source.make({ maxDescriptors: LIMIT });
  fill(s.path, FOLDERS);
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
  const fh = s.open(nodeids[17_777], c.O.RDONLY);
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

/** Bytes of memory that a process has. */
async function memoryOf(pid: number): Promise<number> {
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))![1]) * 1024;
}

test(
  `mirror maxDescriptors: ${MOUNTED} files behind a mount stay in reach of ${LIMIT} descriptors`,
  { needs: ["root", "fuse", "tool:find"], sanitize: false, timeout: 60_000 + MOUNTED * 2 },
  async () => {
    const folders = Math.ceil(MOUNTED / FILES), all = folders * FILES;
    await using dir = await tempDir();
    const [source, mnt] = [dir.join("source"), dir.join("mnt")];
    for (const folder of [source, mnt]) await mkdir(folder);
    fill(source, folders);
    // Some that tell which they are.
    const told = Array.from({ length: folders }, (_, d) => `d${d}/f${d * 7 % FILES}`);
    for (const path of told) await writeFile(`${source}/${path}`, `${path}\n`);
    const words = [source, mnt, `${LIMIT}`];
    await using server = await startReady(command("./many_server.ts", import.meta.url, ...words));
    const before = { fds: (await openFds(server.pid)).size, memory: await memoryOf(server.pid) };
    let most = 0;
    const watch = async () => most = Math.max(most, (await openFds(server.pid)).size);
    const watching = setInterval(watch, 50);
    const said = () => server.output.match(/(?<=^counts ).*$/gm) ?? [];
    const counts = () => JSON.parse(said().at(-1) ?? "{}") as Partial<MirrorCounts>;
    /** Waits until it has counted once more from the beginning. */
    const counted = async () => {
      const before = said().length;
      await until(() => said().length > before + 1, "the server counts");
    };
    const start = performance.now();
    const look = async () =>
      await must(["find", mnt, "-type", "f", "-links", "1", "-printf", "."], { timeout: all * 2 });
    try {
      assertEquals((await look()).length, all);
      const took = performance.now() - start;
      await counted();
      const { nodes } = counts();
      // All but what the kernel has let go for want of memory.
      assertGreater(nodes!, all / 2);
      const memory = await memoryOf(server.pid);
      // Each by the way that is left of it, the last seen first.
      const read = await must(["xargs", "cat"], { cwd: mnt, input: told.toReversed().join("\n") });
      assertEquals(read, `${told.toReversed().join("\n")}\n`);
      assertEquals((await look()).length, all);
      await watch();
      assertLess(most, before.fds + LIMIT + 8);
      if (process.env.FUSEWIRE_FILES !== undefined) {
        const [each, mib] = [Math.round((memory - before.memory) / nodes!), Math.round(memory / 2 ** 20)];
        console.log(
          `${nodes} inodes: ${most} descriptors at most (${before.fds} before), ${mib} MiB, ${each} B an inode`,
        );
        console.log(`${Math.round(took)} ms for the first look at all, ${Math.round(1000 * took / all)} us a file`);
      }
    } finally {
      clearInterval(watching);
    }
    // The kernel lets go of what nobody uses.
    await must(["mount", "-i", "-o", "remount", mnt]);
    await until(() => counts().nodes === 1, "the kernel has forgotten all but the root", 30_000 + all / 10);
  },
);
