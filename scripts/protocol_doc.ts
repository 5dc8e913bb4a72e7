/**
 * `docs/protocol.md` and the README's table of opcodes, from the tables that the session runs on: the ops table, the
 * choices of INIT flags, the notifications, the minor versions; and from the doc comments of their methods.
 *
 * @module
 */
import * as constants from "../src/abi/constants.ts";
import * as flags from "../src/abi/flags.ts";
import { INIT_FLAG, type InitFlag } from "../src/abi/flags.ts";
import * as ioctls from "../src/abi/ioctl.ts";
import { NOTIFY_CODE, type NotifyCode } from "../src/abi/notify.ts";
import { OPCODE, type OpcodeName } from "../src/abi/opcode.ts";
import { since } from "../src/abi/since.ts";
import * as structs from "../src/abi/structs.ts";
import type { Filesystem } from "../src/fs/filesystem.ts";
import type { Op } from "../src/ops/op.ts";
import { TABLE } from "../src/ops/table.ts";
import { INIT_FLAGS } from "../src/session/init_flags.ts";
import { NOTIFY_METHODS } from "../src/session/notifier.ts";
import { resolveOptions } from "../src/session/options.ts";
import { table, wrapped } from "./markdown.ts";

/** The doc comments of an interface's methods, each as one line. */
export type Docs = ReadonlyMap<string, string>;

/** Reads the doc comments of the methods in a source. */
export function docsOf(source: string): Docs {
  const docs = new Map<string, string>();
  for (const [, comment, method] of source.matchAll(/\/\*\*((?:[^*]|\*(?!\/))*)\*\/\s*\n\s+(\w+)\??\(/g)) {
    docs.set(method, comment.replace(/^\s*\* ?/gm, "").replace(/\s+/g, " ").trim());
  }
  return docs;
}

/** The sentence of a doc comment that begins with some words, without them and its full stop. */
function sentence(doc: string, from: string): string {
  const start = doc.indexOf(from);
  if (start < 0) throw new Error(`no sentence begins with "${from}": ${doc}`);
  return /^(.*?)\.(?= [A-Z`]|$)/.exec(doc.slice(start + from.length).trimStart())![1];
}

const code = (text: string) => `\`${text}\``;
const version = (name: string) => `7.${since(name)}`;
const row = (opcode: OpcodeName): Op<unknown, unknown> | null => TABLE[opcode] as Op<unknown, unknown> | null;
const opcodes = Object.keys(OPCODE) as OpcodeName[];

/** Who serves an opcode. The handshake of a character device comes before there is a row to look up. */
function servedBy(opcode: OpcodeName): string {
  const found = row(opcode);
  if (found === null) return code("mountCharacterDevice");
  return found.served ?? code(found.method!);
}

/** What is answered where no method is there. */
function unserved(opcode: OpcodeName): string {
  const found = row(opcode);
  if (found?.silent) return "never answered";
  if (found === null || found.method === null && found.builtin) return "-";
  return found.absent === "ok" ? "success" : found.absent;
}

/** What comes of it. */
function consequence(opcode: OpcodeName, docs: Docs): string {
  const method = row(opcode)?.method;
  if (!method || row(opcode)?.silent) return "-";
  return sentence(docs.get(method)!, "Absent:");
}

/** The compact table of opcodes. */
export function opcodeTable(): string {
  return table(["opcode", "since", "method"], opcodes.map((name) => [code(name), version(name), servedBy(name)]));
}

/** Where an INIT flag's choice comes from. */
function chosenBy(flag: InitFlag): string {
  const { option, wanted } = INIT_FLAGS[flag];
  if (option !== undefined) return code(option);
  const everything = new Proxy({} as Filesystem, { get: () => () => {} });
  if (wanted(resolveOptions({}), {})) return "always";
  return wanted(resolveOptions({}), everything) ? "where there is a method" : "never";
}

/** Every name that came with some minor version, by kind, and what it is here. */
const KINDS: readonly (readonly [kind: string, names: readonly string[], here: (name: string) => string])[] = [
  ["opcodes", opcodes, (name) => servedBy(name as OpcodeName)],
  [
    "notifications",
    Object.keys(NOTIFY_CODE),
    (name) => NOTIFY_METHODS[name as NotifyCode].map(code).join(", "),
  ],
  ["INIT flags", Object.keys(INIT_FLAG), (name) => chosenBy(name as InitFlag)],
  [
    "other flags and constants",
    [constants, flags, ioctls].flatMap((module) => Object.keys(module)).filter((name) => !/^[A-Z]+_FLAG$/.test(name)),
    () => "",
  ],
  ["structs, new or longer", Object.keys(structs), () => ""],
];

function changelog(): string {
  const minors = Array.from({ length: constants.FUSE_KERNEL_MINOR_VERSION }, (_, i) => i + 1);
  return minors.map((minor) => {
    const items = KINDS.map(([kind, names, here]) => {
      // What is as old as 7.1 is told of opcodes alone: the changelog names no other.
      const those = names.filter((name) => since(name) === minor && (minor > 1 || kind === "opcodes"));
      const said = those.map((name) => here(name) && minor > 1 ? `${code(name)} (${here(name)})` : code(name));
      return said.length === 0 ? "" : wrapped(`${kind}: ${said.join(", ")}`, "- ");
    }).filter(Boolean);
    return items.length === 0 ? "" : `### 7.${minor}\n\n${items.join("\n")}`;
  }).filter(Boolean).join("\n\n");
}

/** The document. `filesystem` and `notifications` are the doc comments of these two interfaces. */
export function protocolDoc(filesystem: Docs, notifications: Docs): string {
  const parts = [
    "# The protocol",
    wrapped(
      `What fusewire speaks: FUSE 7.9 to 7.${constants.FUSE_KERNEL_MINOR_VERSION}. Generated from its tables by ` +
        "`deno task docs`; do not edit. 7.1 stands for whatever is as old as that or older.",
    ),
    "## Opcodes",
    wrapped(
      "Each request is served by a method of `Filesystem`. All of them are optional: the last two columns say what the " +
        "kernel is answered where it is absent, and what comes of that. A request that never reaches a method is served " +
        "by the session.",
    ),
    table(
      ["opcode", "number", "since", "method", "absent: the answer", "absent: what comes of it"],
      opcodes.map((name) => [
        code(name),
        `${OPCODE[name]}`,
        version(name),
        servedBy(name),
        unserved(name),
        consequence(name, filesystem),
      ]),
    ),
    "## Notifications",
    wrapped(
      "What a file system tells the kernel unasked: methods of `session.notify`. Where the kernel is older than the " +
        "message they fail with ENOSYS.",
    ),
    table(
      ["notification", "number", "since", "method", "what it says"],
      (Object.keys(NOTIFY_CODE) as NotifyCode[]).map((name) => {
        const methods = NOTIFY_METHODS[name];
        const says = sentence(notifications.get(methods[0])!, "");
        return [code(name), `${NOTIFY_CODE[name]}`, version(name), methods.map(code).join(", "), says];
      }),
    ),
    "## INIT flags",
    wrapped(
      "The kernel offers, the session asks for what an option, a method or itself wants. `session.negotiated.flags` is " +
        'what both agreed on. "-": the header\'s changelog does not say since when.',
    ),
    table(
      ["flag", "bit", "since", "chosen by", "what it brings, or why it is not asked for"],
      (Object.keys(INIT_FLAG) as InitFlag[]).map((name) => [
        code(name),
        `${INIT_FLAG[name]}`,
        since(name) === 1 ? "-" : version(name),
        chosenBy(name),
        INIT_FLAGS[name].why,
      ]),
    ),
    "## Changelog of the protocol",
    wrapped("What came with which minor version, and in brackets what it is here."),
    changelog(),
  ];
  return `${parts.join("\n\n")}\n`;
}
