/** `fusewire unmount`, and `unmount` of the library, which it is: whatever the server does, the mount is gone. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { symlink } from "node:fs/promises";
import { READY, type Running, test, until } from "../support/harness.ts";
import { type CliPlace, cliPlace, kill, options, signal, type Who } from "./place.ts";

const FINE = { code: 0, signal: null };

const BY_STEP = {
  unmounted: "",
  detached: " lazily: it was in use, and left the tree at once",
  aborted: " by force: it was still in use, and its connection was cut",
};

/** How long each step waits: for an end that comes as long as a busy machine takes, milliseconds. */
const PATIENCE = { unmounted: 10_000, detached: 5000, aborted: 300 };
const PATIENT = ["--timeout", `${PATIENCE.unmounted}`];

/** Unmounts, and looks that it is gone by that step. */
async function unmounts(
  place: CliPlace,
  point: string,
  step: keyof typeof BY_STEP,
  who: Who = "root",
  patience = PATIENCE[step],
): Promise<void> {
  const { code, stdout, stderr } = await place.fusewire(["unmount", "--timeout", `${patience}`, point], who);
  assertEquals([code, stdout, stderr], [0, `unmounted ${point}${BY_STEP[step]}\n`, ""]);
  assertEquals(await place.mountsUnder(point), []);
}

/** A process that works in a folder. */
async function busy(place: CliPlace, folder: string, who: Who = "root"): Promise<Running> {
  return await place.start(["sh", "-c", `cd ${folder} && echo ready && exec sleep 60`], who, READY);
}

for (const who of ["root", "user"] as Who[]) {
  const name = who === "root" ? "root" : "an ordinary user";

  test(`unmount: plainly, lazily or by force, as ${name}`, options, async () => {
    await using place = await cliPlace();
    const mnt = await place.folder("mnt");
    const args = ["mount", "memory", mnt];
    {
      await using server = await place.serve(args, who);
      await unmounts(place, mnt, "unmounted", who);
      assertEquals(await server.exited, FINE);
    }
    {
      await using server = await place.serve(args, who);
      await using user = await busy(place, mnt, who);
      const gone = until(async () => (await place.mountsUnder(mnt)).length === 0, "the mount out of the tree");
      // In use while it is in the tree, and no longer than that.
      const left = gone.then(() => user.stop("SIGKILL"));
      await unmounts(place, mnt, "detached", who);
      await left;
      assertEquals(await server.exited, FINE);
    }
    {
      await using server = await place.serve(args, who);
      await using user = await busy(place, mnt, who);
      await unmounts(place, mnt, "aborted", who);
      await server.exited;
      assertMatch((await place.sh(`ls /proc/${user.pid}/cwd/`, who)).stderr, /not connected/);
    }
  });

  test(`unmount: a server that is stopped or dead, as ${name}`, options, async () => {
    await using place = await cliPlace();
    const mnt = await place.folder("mnt");
    {
      await using server = await place.serve(["mount", "memory", mnt], who);
      await signal(server.pid, "STOP");
      await unmounts(place, mnt, "unmounted", who);
      await signal(server.pid, "CONT");
      assertEquals(await server.exited, FINE);
    }
    {
      await using server = await place.serve(["mount", "memory", mnt], who);
      await signal(server.pid, "STOP");
      // It waits for the answer, and nothing but the abort ends that.
      const waiting = place.sh(`cat ${mnt}/file`, who);
      const [{ minor }] = await place.mountsUnder(mnt);
      const count = async () => (await place.sh(`cat /sys/fs/fuse/connections/${minor}/waiting`)).stdout;
      await until(async () => await count() !== "0\n", "a request that waits");
      await unmounts(place, mnt, "aborted", who);
      assertEquals((await waiting).code, 1);
      await signal(server.pid, "CONT");
      await server.exited;
    }
    {
      await using server = await place.serve(["mount", "memory", "--no-auto-unmount", mnt], who);
      await kill(server);
      assertMatch((await place.sh(`ls ${mnt}`, who)).stderr, /not connected|abort/);
      await unmounts(place, mnt, "unmounted", who);
    }
  });
}

test("unmount: --json tells the step", options, async () => {
  await using place = await cliPlace();
  const mnt = await place.folder("mnt");
  await using server = await place.serve(["mount", "memory", mnt]);
  const { stdout } = await place.fusewire(["unmount", "--json", ...PATIENT, mnt]);
  assertEquals(JSON.parse(stdout), { mountpoint: mnt, result: "unmounted" });
  assertEquals(await server.exited, FINE);
});

test("unmount: by a relative path, a link, a path with more slashes and dots", options, async () => {
  await using place = await cliPlace();
  const mnt = await place.folder("mnt"), folder = mnt.replace(/\/mnt$/, "");
  await symlink("mnt", `${folder}/link`);
  for (const path of ["mnt", "./mnt/", "link", "mnt/../link", `${folder}//./mnt/`]) {
    await using server = await place.serve(["mount", "memory", mnt]);
    const { stdout, stderr } = await place.sh(`cd ${folder} && ${place.line(["unmount", ...PATIENT, path])}`);
    assertEquals([stdout, stderr], [`unmounted ${path}\n`, ""]);
    assertEquals(await server.exited, FINE);
    assertEquals(await place.mountsUnder(mnt), []);
  }
});

test("unmount: the newest of two at one place, and what is mounted inside goes along", options, async () => {
  await using place = await cliPlace();
  const mnt = await place.folder("mnt");
  await using first = await place.serve(["mount", "memory", "--fsname", "first", mnt]);
  {
    await using second = await place.serve(["mount", "memory", "--fsname", "second", mnt]);
    const { code } = await place.fusewire(["unmount", ...PATIENT, mnt]);
    assertEquals([code, await second.exited], [0, FINE]);
    assertEquals((await place.mountsUnder(mnt)).map(({ source }) => source), ["first"]);
  }
  await place.sh(`mkdir ${mnt}/inside`);
  await using inner = await place.serve(["mount", "memory", `${mnt}/inside`]);
  await unmounts(place, mnt, "detached");
  assertEquals([await first.exited, await inner.exited], [FINE, FINE]);
});

test("unmount: what is no mount of FUSE is left alone, with 1 and a line", options, async () => {
  await using place = await cliPlace();
  const mnt = await place.folder("mnt");
  const refused = async (path: string, who: Who = "root") => {
    const { code, stdout, stderr } = await place.fusewire(["unmount", path], who);
    assertEquals([code, stdout, stderr.split("\n").length], [1, "", 2]);
    return stderr.replace(/^fusewire: cannot unmount "[^"]*": /, "").trimEnd();
  };
  const seen = "fusewire list shows what is mounted";
  assertEquals(await refused(mnt), `umount2(2) says EINVAL (nothing is mounted there); ${seen}`);
  assertEquals(await refused(`${mnt}/none`), `open(2) says ENOENT (nothing is there); ${seen}`);
  assertEquals(await refused(""), "open(2) says ENOENT (the path is empty); name a mount");
  assertEquals(
    await refused("/proc"),
    "umount2(2) says EINVAL (what is mounted there is proc, not FUSE); as root: umount /proc",
  );
  await using server = await place.serve(["mount", "memory", mnt]);
  await place.sh(`mkdir ${mnt}/folder`);
  assertEquals(
    await refused(`${mnt}/folder`),
    `umount2(2) says EINVAL (it lies inside the mount on ${mnt}); fusewire unmount ${mnt}`,
  );
  assertMatch(await refused(mnt, "user"), /^fusermount3 says ".*"/);
  await place.sh(`mount -t tmpfs none ${mnt}`);
  assertMatch(await refused(mnt), /is tmpfs, not FUSE\); as root: umount /);
  await place.sh(`umount ${mnt}`);
  assertEquals((await place.mountsUnder(mnt)).length, 1);
  assertEquals(await server.stop(), FINE);
});

test("unmount: without fusectl what is in use is detached at once, and nothing is cut", options, async () => {
  await using place = await cliPlace();
  const mnt = await place.folder("mnt");
  await using server = await place.serve(["mount", "memory", mnt]);
  await using user = await busy(place, mnt);
  await place.sh("umount /sys/fs/fuse/connections");
  // Nobody leaves it.
  await unmounts(place, mnt, "detached", "root", 300);
  assertEquals((await place.sh(`cd /proc/${user.pid}/cwd && echo x > y && cat y`)).stdout, "x\n");
  await user.stop("SIGKILL");
  assertEquals(await server.exited, FINE);
  assert(server.output.startsWith("mounted"));
});
