/** The program's words: help, and what is wrong with a command line. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { readFile } from "node:fs/promises";
import { test } from "../support/harness.ts";
import { cliPlace, options } from "./place.ts";

const COMMANDS = ["mount passthrough", "mount memory", "doctor", "list", "unmount"];

test("fusewire: help of the whole, of a part and of each command, on standard output", options, async () => {
  await using place = await cliPlace();
  for (const args of [["--help"], ["-h"], ["help"]]) {
    const { code, stdout, stderr } = await place.fusewire(args);
    assertEquals([code, stderr], [0, ""]);
    for (const command of COMMANDS) assert(stdout.includes(`fusewire ${command} `), command);
    assertMatch(stdout, /ends with 0: .* 1: .* 2: /);
  }
  const { stdout } = await place.fusewire(["mount", "--help"]);
  assertEquals([stdout.includes("mount memory"), stdout.includes("doctor")], [true, false]);
  for (const command of COMMANDS) {
    const words = command.split(" ");
    const asked = await place.fusewire([...words, "--help"]);
    assertEquals([asked.code, asked.stderr], [0, ""]);
    assertMatch(
      asked.stdout,
      new RegExp(`^.+\\.\n\nusage: fusewire ${command} .*\\[OPTIONS\\]\n\n[^]+\n  --json .+\n`),
    );
    assertEquals(await place.fusewire(["help", ...words]), asked);
  }
});

test("fusewire: --version is that of the project", options, async () => {
  await using place = await cliPlace();
  const { version } = JSON.parse(await readFile(new URL("../../deno.json", import.meta.url), "utf8"));
  assertEquals((await place.fusewire(["--version"])).stdout, `fusewire ${version}\n`);
});

test("fusewire: wrong arguments end with 2 and a line that says what to do", options, async () => {
  await using place = await cliPlace();
  const usage = "usage: fusewire mount memory MOUNTPOINT [OPTIONS]";
  const wrong: [args: string[], line: string][] = [
    [[], "name a command: mount, doctor, list, unmount; or --help"],
    [["mout"], 'unknown command "mout"; did you mean mount?'],
    [["frobnicate"], 'unknown command "frobnicate"; there are mount, doctor, list, unmount'],
    [["mount"], "say first what to mount: mount passthrough, or mount memory"],
    [["mount", "--read-only", "memory"], "say first what to mount: mount passthrough, or mount memory"],
    [["mount", "memry", "/mnt"], 'unknown command "mount memry"; did you mean mount memory?'],
    [["mount", "memory"], `mount memory needs MOUNTPOINT; ${usage}`],
    [["mount", "memory", "/a", "/b"], `mount memory takes no "/b"; ${usage}`],
    [["list", "--jsn"], 'unknown option "--jsn"; did you mean --json?'],
    [["help", "mout"], 'unknown command "mout"; did you mean mount?'],
    [
      ["mount", "memory", "--max-write", "5", "/"],
      "option --max-write is 5; it has to be a whole number from 4096 to 268435456",
    ],
  ];
  for (const [args, line] of wrong) {
    const { code, stdout, stderr } = await place.fusewire(args);
    assertEquals([code, stdout, stderr], [2, "", `fusewire: ${line}\n`]);
  }
});
