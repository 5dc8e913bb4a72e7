/** `fusewire list`: each state a connection can be in, told without waiting for anybody. */
import { assertEquals, assertMatch } from "@std/assert";
import { READY, test, until } from "../support/harness.ts";
import { type CliPlace, cliPlace, kill, NOBODY, options, signal, type Who } from "./place.ts";

interface Listed {
  number: number;
  state: string;
  mountpoints: string[];
  type?: string;
  source?: string;
  user?: number;
  waiting?: number;
}

// Who answers gets all the time that a busy machine takes.
const PATIENCE = 10_000;
const PATIENT = ["--timeout", `${PATIENCE}`];

/** What is listed of the mounts in a folder, or of a number; who answers has `timeout` milliseconds for it. */
async function list(
  place: CliPlace,
  wanted: (found: Listed) => boolean,
  { who = "root", timeout = PATIENCE }: { who?: Who; timeout?: number } = {},
): Promise<Listed[]> {
  const { code, stdout, stderr } = await place.fusewire(["list", "--json", "--timeout", `${timeout}`], who);
  assertEquals([code, stderr], [0, ""]);
  const { connections } = JSON.parse(stdout) as { connections: Listed[] };
  return connections.filter(wanted);
}

const at = (...points: string[]) => ({ mountpoints }: Listed) => points.some((point) => mountpoints.includes(point));

test("list: what answers, as JSON and as fields with tabs between", options, async () => {
  await using place = await cliPlace();
  const mnt = await place.folder("m\nnt");
  await using server = await place.serve(["mount", "memory", mnt]);
  const [{ minor }] = await place.mountsUnder(mnt);
  const common = { type: "fuse.fusewire", source: "memory", user: 0 };
  const expected = { number: minor, mountpoints: [mnt], waiting: 0, state: "ok", ...common };
  assertEquals(await list(place, at(mnt)), [expected]);
  const { stdout, stderr } = await place.fusewire(["list", ...PATIENT]);
  const lines = stdout.split("\n").filter((line) => line.includes(`\t${minor}\t`));
  assertEquals(lines, [`ok\t${minor}\t0\tfuse.fusewire\tmemory\t${mnt.replace("\n", "\\x0a")}`]);
  assertEquals(stderr, "");
  await server.stop();
  assertEquals(await list(place, at(mnt)), []);
});

test("list: a server that was killed is stale", options, async () => {
  await using place = await cliPlace();
  const mnt = await place.folder("mnt");
  await using server = await place.serve(["mount", "memory", "--no-auto-unmount", mnt]);
  await kill(server);
  const [{ state, waiting }] = await list(place, at(mnt));
  assertEquals([state, waiting], ["stale", 0]);
});

test("list: a server that is stopped, or takes the question and does not answer, is silent", options, async () => {
  await using place = await cliPlace();
  const [stopped, mute] = [await place.folder("stopped"), await place.folder("mute")];
  await using server = await place.serve(["mount", "memory", stopped]);
  const below = `${stopped}/inside`;
  await place.sh(`mkdir ${below}`);
  await using inner = await place.serve(["mount", "memory", below]);
  await using other = await place.start(place.module("./mute_server.ts", mute));
  await signal(server.pid, "STOP");
  const found = await list(place, at(stopped, mute, below), { timeout: 700 });
  assertEquals(found.map(({ state, mountpoints: [point] }) => [point, state]).sort(), [
    [mute, "silent"],
    [stopped, "silent"],
    // The way there leads through one that does not answer.
    [below, "unknown"],
  ]);
  // The question that it took still waits there; on a busy machine it may be one of those that are asked now.
  const waiting = async () => (await list(place, at(mute), { timeout: 700 }))[0].waiting;
  await until(async () => await waiting() === 1, "a question that waits");
  assertEquals((await place.fusewire(["unmount", "--timeout", "100", mute])).code, 0);
  assertEquals((await other.exited).signal, null);
  await signal(server.pid, "CONT");
  await inner.stop();
});

test("list: another user's is not asked, and its requests are not seen", options, async () => {
  await using place = await cliPlace();
  const [mine, theirs] = [await place.folder("mine"), await place.folder("theirs")];
  await using _server = await place.serve(["mount", "memory", mine], "user");
  await using _other = await place.serve(["mount", "memory", theirs]);
  const shown = async (who: Who) =>
    (await list(place, at(mine, theirs), { who })).map(({ mountpoints: [point], state, user, waiting }) =>
      [point === mine ? "mine" : "theirs", state, user, waiting] as const
    ).sort();
  assertEquals(await shown("user"), [["mine", "ok", NOBODY, 0], ["theirs", "unknown", 0, undefined]]);
  assertEquals(await shown("root"), [["mine", "unknown", NOBODY, 0], ["theirs", "ok", 0, 0]]);
});

test("list: what was detached and is in use has no mountpoint", options, async () => {
  await using place = await cliPlace();
  const mnt = await place.folder("mnt");
  await using server = await place.serve(["mount", "memory", mnt]);
  const [{ minor }] = await place.mountsUnder(mnt);
  await using user = await place.start(["sh", "-c", `cd ${mnt} && echo ready && exec sleep 60`], "root", READY);
  const inode = async () => (await place.sh(`stat -c %i /sys/fs/fuse/connections/${minor}`)).stdout;
  const own = await inode();
  await place.sh(`umount -l ${mnt}`);
  assertEquals(await list(place, ({ number }) => number === minor), [
    { number: minor, mountpoints: [], waiting: 0, state: "unknown" },
  ]);
  assertMatch((await place.fusewire(["list", ...PATIENT])).stdout, new RegExp(`^unknown\t${minor}\t0\t-\t-\t-$`, "m"));
  await user.stop("SIGKILL");
  assertEquals((await server.exited).code, 0);
  const listed = async () => (await list(place, ({ number }) => number === minor)).length > 0;
  // Another mount's connection may have the number by then.
  await until(async () => !await listed() || await inode() !== own, "the connection gone");
});

test("list: where fusectl is not mounted, it says so and lists what is mounted", options, async () => {
  await using place = await cliPlace();
  const mnt = await place.folder("mnt");
  await using _server = await place.serve(["mount", "memory", mnt]);
  await place.sh("umount /sys/fs/fuse/connections");
  const { code, stdout, stderr } = await place.fusewire(["list", ...PATIENT]);
  assertMatch(stdout, /^ok\t\d+\t-\tfuse.fusewire\tmemory\t.*\/mnt\n$/);
  assertEquals(code, 0);
  assertMatch(stderr, /^fusewire: fusectl .*; as root: mount -t fusectl none \/sys\/fs\/fuse\/connections.*\n$/);
  const told = JSON.parse((await place.fusewire(["list", "--json", ...PATIENT])).stdout);
  assertEquals([told.fusectl.state, told.connections[0].waiting], ["missing", undefined]);
});
