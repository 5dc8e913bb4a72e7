/** An ordinary user's server: the kernel denies it backing ids, so the session moves the data of its backing files. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { BackingMode, BackingState, PassthroughStats } from "../../mod.ts";
import { ORDINARY, ordinaryPlace } from "../support/ordinary.ts";
import { invocation, run, startReady, test } from "../support/harness.ts";

interface Report {
  readonly each: readonly { mode: BackingMode; reason: string | null; id: number; state: BackingState }[];
  /** Calls of the author's read and write. */
  readonly moved: number;
  readonly unavailable: string | null;
  readonly stats: PassthroughStats;
}

const WORK = `
import errno, json, mmap, os, sys
os.chdir(sys.argv[1])
for name in "memory", "named":
  fd = os.open(name, os.O_RDWR)
  os.pwrite(fd, b"x" * 100000, 0)
  assert os.pread(fd, 200000, 0) == b"x" * 100000
  assert os.fstat(fd).st_size == 100000
  other = os.open(name, os.O_WRONLY | os.O_APPEND)
  os.write(other, b"end")
  assert os.pread(fd, 9, 99998) == b"xxend"
  m = mmap.mmap(fd, 4096)
  m[0:4] = b"mmap"
  m.flush()
  assert os.pread(fd, 4, 0) == b"mmap"
  os.ftruncate(fd, 50)
  os.fsync(fd)
  m.close()
  assert os.fstat(fd).st_size == 50
  os.close(os.open(name, os.O_WRONLY | os.O_TRUNC))
  assert os.pread(fd, 9, 0) == b""
  os.pwrite(fd, b"kept", 0)
print(open("report").read())
`;

test("unprivileged: through fusermount3 the session serves every backing file, and says why", {
  needs: [...ORDINARY, "tool:python3"],
  sanitize: false,
}, async () => {
  await using place = await ordinaryPlace();
  const [mnt, own] = [await place.folder("mnt"), await place.folder("own")];
  await run(place.asUser(["touch", `${own}/file`]));
  const program = invocation(`${place.root}tests/passthrough/fallback_server.ts`);
  await using server = await startReady(place.asUser([place.deno, ...program, `${own}/file`, mnt]));
  const done = await run(place.asUser(["python3", "-c", WORK, mnt]));
  assertEquals([done.code, done.stderr], [0, ""]);
  const { each, moved, unavailable, stats }: Report = JSON.parse(done.stdout);
  const reason = each[0].reason!;
  assertMatch(reason, /EPERM.*CAP_SYS_ADMIN/);
  assertEquals(each, [
    { mode: "served", reason, id: 0, state: "open" },
    { mode: "served", reason, id: 0, state: "open" },
  ]);
  assertEquals([moved, unavailable, stats.registered, stats.open], [0, reason, 0, 0]);
  // Six opens, none of which was an error; one reason.
  assertEquals([stats.fallbacks, stats.reasons], [{ EPERM: 6 }, { [reason]: 6 }]);
  assertEquals((await run(place.asUser(["cat", `${own}/file`]))).stdout, "kept");
  assertStringIncludes(server.output, "mounted on");
  assertEquals(await server.stop(), { code: 0, signal: null });
  assertEquals(await place.mountsUnder(mnt), []);
});
