/** Options: how they are read. */
import { assertEquals, assertThrows } from "@std/assert";
import { explain, integer, number, off, on, oneOf, parse, size, text, UsageError } from "../../src/cli/arguments.ts";
import { test } from "../support/harness.ts";

interface Some {
  readOnly?: boolean;
  passthrough?: boolean;
  fsname?: string;
  maxWrite?: number;
  depth?: 1 | 2;
  ratio?: number;
  count?: number;
}

const options = {
  readOnly: on("reads"),
  passthrough: off("no-passthrough", "passes nothing"),
  fsname: text("NAME", "is called"),
  maxWrite: size("writes"),
  depth: oneOf([1, 2], "is deep"),
  ratio: number("N", "is"),
  count: integer("N", "counts"),
};

/** What is read of some arguments. */
function read(...args: string[]) {
  return parse<Some>(args, options);
}

function message(...args: string[]): string {
  return assertThrows(() => read(...args), UsageError).message;
}

test("parse: options anywhere, each of its kind, and only those that are given", () => {
  assertEquals(read(), { operands: [], options: {}, help: false });
  assertEquals(read("a", "--read-only", "b", "--no-passthrough"), {
    operands: ["a", "b"],
    options: { readOnly: true, passthrough: false },
    help: false,
  });
  assertEquals(read("--fsname", "7", "--max-write=64K", "--depth=2", "--ratio", "0.5", "--count", "12").options, {
    fsname: "7",
    maxWrite: 65536,
    depth: 2,
    ratio: 0.5,
    count: 12,
  });
  assertEquals(["5", "5k", "1M", "2G"].map((text) => read("--max-write", text).options.maxWrite), [
    5,
    5120,
    2 ** 20,
    2 ** 31,
  ]);
});

test("parse: operands stay words, and all are after a double hyphen", () => {
  assertEquals(read("7", "0x10", "-").operands, ["7", "0x10", "-"]);
  assertEquals(read("--read-only", "--", "--read-only", "-h").operands, ["--read-only", "-h"]);
});

test("parse: help by either name", () => {
  assertEquals([read("-h").help, read("x", "--help").help], [true, true]);
});

test("parse: an unknown option is named, with what is near", () => {
  assertEquals(message("--read-olny"), 'unknown option "--read-olny"; did you mean --read-only?');
  assertEquals(message("--passthrough"), 'unknown option "--passthrough"; did you mean --no-passthrough?');
  assertEquals(message("--frobnicate=3"), 'unknown option "--frobnicate=3"; --help lists what there is');
  assertEquals(message("-x"), 'unknown option "-x"; --help lists what there is');
});

test("parse: a value that is missing or none is refused, with the option", () => {
  assertEquals(message("--fsname"), "option --fsname needs a value: --fsname NAME");
  assertEquals(message("--depth", "3"), 'option --depth needs another value than "3": --depth 1|2');
  const wrong = [["max-write", "5X"], ["max-write", "K"], ["ratio", "1e3"], ["ratio", "."], ["count", "1.5"]];
  for (const [option, value] of wrong) {
    assertEquals(message(`--${option}`, value).split(":")[0], `option --${option} needs another value than "${value}"`);
  }
});

test("explain: a line for each option, as it is typed", () => {
  assertEquals(
    explain<Some>({ passthrough: options.passthrough, fsname: options.fsname }),
    [
      "  --no-passthrough  passes nothing",
      "  --fsname NAME     is called",
      "  -h, --help        explain this command",
    ].join("\n"),
  );
});
