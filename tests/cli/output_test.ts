/** Tables and colours on a terminal, and nowhere else. */
import { assertEquals, assertMatch } from "@std/assert";
import { test } from "../support/harness.ts";
import { type CliPlace, cliPlace, options } from "./place.ts";

// Runs a command on a terminal of its own, and passes on what it prints there.
const ON_TERMINAL = `
import os, pty, sys
pid, master = pty.fork()
if pid == 0: os.execvp(sys.argv[1], sys.argv[1:])
try:
    while data := os.read(master, 4096): os.write(1, data.replace(b"\\r\\n", b"\\n"))
except OSError: pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

// Who answers gets all the time that a busy machine takes.
const LIST = ["list", "--timeout", "10000"];

async function onTerminal(place: CliPlace, args: string[], settings = "TERM=xterm NO_COLOR="): Promise<string> {
  const { code, stdout, stderr } = await place.sh(`${settings} python3 -c '${ON_TERMINAL}' ${place.line(args)}`);
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

/** The text with its colours in words: `<32>ok</>`. */
function inWords(text: string): string {
  return text.split("\x1b[").map((part, i) =>
    i === 0 ? part : part.replace(/^(\d+)m/, (_, n) => n === "0" ? "</>" : `<${n}>`)
  )
    .join("");
}

test("list: a table on a terminal, its states in colours", options, async () => {
  await using place = await cliPlace();
  const mnt = await place.folder("mnt");
  await using _server = await place.serve(["mount", "memory", mnt]);
  const [{ minor }] = await place.mountsUnder(mnt);
  const shown = inWords(await onTerminal(place, LIST));
  assertMatch(shown.split("\n")[0], /^<1>STATE<\/> +<1>NUMBER<\/> .*<1>MOUNTPOINT<\/>$/);
  assertMatch(shown, new RegExp(`^<32>ok</> +${minor} +0 +fuse.fusewire +memory +${mnt}$`, "m"));
  for (const settings of ["TERM=xterm NO_COLOR=1", "TERM=dumb NO_COLOR="]) {
    const plain = await onTerminal(place, LIST, settings);
    assertEquals([plain.includes("\x1b"), plain.includes("\t")], [false, false]);
    assertMatch(plain, /^STATE +NUMBER +WAITING +TYPE +SOURCE +MOUNTPOINT\n/);
  }
  assertEquals(JSON.parse(await onTerminal(place, [...LIST, "--json"])).fusectl.state, "ok");
});

test("doctor: a table on a terminal, its states in colours, and the remedies below", options, async () => {
  await using place = await cliPlace();
  const shown = inWords(await onTerminal(place, ["doctor"]));
  assertMatch(shown, /^<32>ok<\/> +kernel +Linux /m);
  assertMatch(shown, /^ +-> \S/m);
  assertEquals((await place.fusewire(["doctor"])).stdout.includes("\x1b"), false);
});
