/** `fusewire mount`: what is mounted, what is said, and how it ends. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { readFile, writeFile } from "node:fs/promises";
import { test, until } from "../support/harness.ts";
import { cliPlace, options, type Who } from "./place.ts";

const FINE = { code: 0, signal: null };

for (const who of ["root", "user"] as Who[]) {
  const name = who === "root" ? "root" : "an ordinary user";

  test(`mount memory: serves ${name}, says so in a line, and ends with 0 by a signal`, options, async () => {
    await using place = await cliPlace();
    const mnt = await place.folder("mnt");
    await using server = await place.serve(["mount", "memory", mnt], who);
    assertEquals(server.output, `mounted on ${mnt}\n`);
    assertEquals((await place.sh(`cd ${mnt} && echo text > file && cat file && ls`, who)).stdout, "text\nfile\n");
    assertEquals((await place.mountsUnder(mnt)).map(({ type, source }) => [type, source]), [[
      "fuse.fusewire",
      "memory",
    ]]);
    assertEquals(await server.stop(), FINE);
    assertEquals(await place.mountsUnder(mnt), []);
    assertEquals(server.output, `mounted on ${mnt}\n`);
  });

  test(`mount passthrough: shows ${name} the source, and tells JSON what was agreed`, options, async () => {
    await using place = await cliPlace();
    const [mnt, source] = [await place.folder("mnt"), await place.folder("source")];
    await writeFile(`${source}/file`, "text\n");
    await using server = await place.serve(["mount", "passthrough", source, mnt, "--json"], who);
    const { device, protocol, ...told } = JSON.parse(server.output);
    assertEquals(told, { event: "mounted", mountpoint: mnt, passthrough: { negotiated: true } });
    assertEquals([protocol.major, Number((await place.sh(`stat -c %d ${mnt}`, who)).stdout)], [7, device.minor]);
    assertEquals((await place.sh(`cd ${mnt} && cat file && echo more > made`, who)).stdout, "text\n");
    assertEquals(await readFile(`${source}/made`, "utf8"), "more\n");
    assertEquals((await place.fusewire(["unmount", mnt], who)).code, 0);
    assertEquals(await server.exited, FINE);
  });
}

test("mount: the options reach the kernel", options, async () => {
  await using place = await cliPlace();
  const [mnt, source] = [await place.folder("mnt"), await place.folder("source")];
  const words = [
    "--allow-other",
    "--read-only",
    "--noexec",
    "--noatime",
    "--suid",
    "--fsname",
    "name",
    "--subtype=kind",
  ];
  const sizes = ["--max-read", "64K", "--no-passthrough", "--no-auto-unmount"];
  await using server = await place.serve(["mount", "passthrough", ...words, ...sizes, source, mnt]);
  assertEquals(server.output, `mounted on ${mnt}\n`);
  const [{ type, source: shown, options: given }] = await place.mountsUnder(mnt);
  assertEquals([type, shown], ["fuse.kind", "name"]);
  for (const option of ["allow_other", "ro", "noexec", "noatime", "max_read=65536", "nodev"]) {
    assert(given.split(",").includes(option), `${option} in ${given}`);
  }
  assert(!given.split(",").includes("nosuid"), given);
  assertEquals((await place.sh(`pgrep -f 'fusewire-guard ${mnt}$'`)).stdout, "");
  assertEquals(await server.stop(), FINE);
});

test("mount: --trace prints each request on standard error", options, async () => {
  await using place = await cliPlace();
  const mnt = await place.folder("mnt");
  await using server = await place.serve(["mount", "memory", "--trace", mnt]);
  await place.sh(`mkdir ${mnt}/folder`);
  await until(() => /^MKDIR .*folder/m.test(server.output), "a line of the request");
  assertEquals(await server.stop(), FINE);
});

test("mount: a connection that is aborted ends it with 1 and a line", options, async () => {
  await using place = await cliPlace();
  const mnt = await place.folder("mnt");
  await using server = await place.serve(["mount", "memory", mnt]);
  const [{ minor }] = await place.mountsUnder(mnt);
  await place.sh(`echo 1 > /sys/fs/fuse/connections/${minor}/abort`);
  assertEquals(await server.exited, { code: 1, signal: null });
  assertEquals(
    server.output,
    `mounted on ${mnt}\nfusewire: the connection of ${JSON.stringify(mnt)} was aborted; mount it again\n`,
  );
  assertEquals(await place.mountsUnder(mnt), []);
});

test("mount: what cannot be mounted ends with 1 and the remedy", options, async () => {
  await using place = await cliPlace();
  const mnt = await place.folder("mnt");
  const none = `${mnt}/none`;
  assertEquals(await place.fusewire(["mount", "memory", none]), {
    code: 1,
    stdout: "",
    stderr: `fusewire: cannot mount on "${none}": open(2) says ENOENT (no such directory); ` +
      `create it first: mkdir -p ${none}\n`,
  });
  const { code, stderr } = await place.fusewire(["mount", "passthrough", none, mnt]);
  assertEquals(code, 1);
  assertMatch(stderr, /^fusewire: cannot mirror .*none.*ENOENT.*\n$/);
  const theirs = await place.fusewire(["mount", "memory", "/usr"], "user");
  assertEquals(theirs.code, 1);
  assertMatch(theirs.stderr, /^fusewire: cannot mount on "\/usr": .*; mount on a directory of your own\n$/);
});
