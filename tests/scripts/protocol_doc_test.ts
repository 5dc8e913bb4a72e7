/** docs/protocol.md and the README's table: complete, and of one mind with the doc comments. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { docsOf, opcodeTable, protocolDoc } from "../../scripts/protocol_doc.ts";
import { INIT_FLAG } from "../../src/abi/flags.ts";
import { NOTIFY_CODE, type NotifyCode } from "../../src/abi/notify.ts";
import { OPCODE, type OpcodeName } from "../../src/abi/opcode.ts";
import { since } from "../../src/abi/since.ts";
import { TABLE } from "../../src/ops/table.ts";
import { NOTIFY_METHODS } from "../../src/session/notifier.ts";

const root = new URL("../../", import.meta.url);
const read = (path: string) => Deno.readTextFile(new URL(path, root));
const filesystem = docsOf(await read("src/fs/filesystem.ts"));
const notifications = docsOf(await read("src/fs/notifications.ts"));
const doc = protocolDoc(filesystem, notifications);

/** The cells of the rows that begin with a name in code. */
function rows(text: string): string[][] {
  return text.split("\n").filter((line) => line.startsWith("| `"))
    .map((line) => line.slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim()));
}

Deno.test("protocol: every opcode, notification and flag has a row, under its number, and no cell is empty", () => {
  const numbers = new Map(rows(doc).map(([name, number]) => [name, number]));
  const expected = { ...OPCODE, ...NOTIFY_CODE, ...INIT_FLAG };
  assertEquals(
    [...numbers].sort(),
    Object.entries(expected).map(([name, number]) => [`\`${name}\``, `${number}`]).sort(),
  );
  for (const cells of [...rows(doc), ...rows(opcodeTable())]) assert(cells.every((cell) => cell !== ""), cells[0]);
  assertEquals(rows(opcodeTable()).map(([name]) => name), Object.keys(OPCODE).map((name) => `\`${name}\``));
});

Deno.test("protocol: who serves what", () => {
  const served = Object.fromEntries(rows(opcodeTable()).map(([name, , method]) => [name.slice(1, -1), method]));
  const expected: Partial<Record<OpcodeName, string>> = {
    FUSE_LOOKUP: "`lookup`",
    FUSE_READDIRPLUS: "`readdir` and `lookup`",
    FUSE_FORGET: "`forget`",
    FUSE_BATCH_FORGET: "`forget`",
    FUSE_RENAME2: "`rename`",
    FUSE_COPY_FILE_RANGE_64: "`copyFileRange`",
    FUSE_INTERRUPT: "`request.signal`",
    FUSE_NOTIFY_REPLY: "`notify.retrieve`",
    FUSE_INIT: "the session, then `init`",
    FUSE_DESTROY: "the session, and `destroy`",
    FUSE_SETUPMAPPING: "none: virtiofs alone sends it",
    FUSE_REMOVEMAPPING: "none: virtiofs alone sends it",
    CUSE_INIT: "`mountCharacterDevice`",
  };
  for (const [name, method] of Object.entries(expected)) assertEquals([name, served[name]], [name, method]);
  // The others are served by the method of their row, which the interface has.
  for (const [name, row] of Object.entries(TABLE)) {
    if (name in expected) continue;
    assertEquals([name, served[name]], [name, `\`${row!.method}\``]);
    assert(filesystem.has(row!.method!), `${row!.method} is a method`);
  }
});

Deno.test("protocol: the changelog tells each name once, in its version", () => {
  const sections = doc.slice(doc.indexOf("## Changelog")).split("\n### 7.").slice(1);
  const told = new Map(sections.map((section) => [parseInt(section), section]));
  assertEquals([...told.keys()], [...told.keys()].sort((a, b) => a - b));
  for (const name of Object.keys({ ...OPCODE, ...NOTIFY_CODE, ...INIT_FLAG })) {
    const minors = [...told].filter(([, section]) => section.includes(`\`${name}\``)).map(([minor]) => minor);
    const known = since(name) > 1 || name in OPCODE;
    assertEquals([name, minors], [name, known ? [since(name)] : []]);
  }
  assertStringIncludes(told.get(40)!, "`FOPEN_PASSTHROUGH`");
  assertStringIncludes(told.get(40)!, "`fuse_open_out`");
});

Deno.test('protocol: where a doc comment says "Since 7.N" it is the version of its opcode or notification', () => {
  const said = (text: string) => Number(/Since 7\.(\d+)/.exec(text)?.[1]);
  for (const [method, text] of filesystem) {
    const names = Object.entries(TABLE).filter(([, row]) => row?.method === method).map(([name]) => name);
    if (/Since/.test(text)) assertEquals([method, said(text)], [method, Math.min(...names.map(since))]);
    // What came late says so.
    else for (const name of names.slice(0, 1)) assert(since(name) < 19, `${method}: since 7.${since(name)}`);
  }
  for (const [name, methods] of Object.entries(NOTIFY_METHODS) as [NotifyCode, readonly string[]][]) {
    for (const method of methods) {
      const version = method === "expireEntry" ? since("FUSE_EXPIRE_ONLY") : since(name);
      assertEquals([method, said(notifications.get(method)!)], [method, version]);
    }
  }
});

Deno.test("protocol: every notification of the interface is sent by one code", () => {
  assertEquals(Object.values(NOTIFY_METHODS).flat().toSorted(), [...notifications.keys()].sort());
});

Deno.test("docsOf: one line for each method, whatever the shape of its comment", () => {
  const docs = docsOf(`
export interface X {
  /** No method. */
  readonly field: number;
  /** One line. */
  one?(args: A): void;
  /**
   * Several * lines,
   * with \`code\`.
   *
   * Another paragraph.
   */
  two(): void;
}`);
  assertEquals([...docs], [["one", "One line."], ["two", "Several * lines, with `code`. Another paragraph."]]);
});

Deno.test("protocolDoc: a method that does not say what its absence means is an error", () => {
  const silent = new Map([...filesystem, ["mkdir", "Makes a directory."]]);
  assertThrows(
    () => protocolDoc(silent, notifications),
    Error,
    'no sentence begins with "Absent:": Makes a directory.',
  );
});
