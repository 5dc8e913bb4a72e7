/** From the words of a command line to a command. */
import { UsageError } from "./arguments.ts";
import type { Command } from "./command.ts";
import { doctor } from "./doctor.ts";
import { list } from "./list.ts";
import { MOUNTS } from "./mount.ts";
import { nearest } from "./nearest.ts";
import { printable, say, warn } from "./output.ts";
import { unmount } from "./unmount.ts";
import { VERSION } from "./version.ts";

const COMMANDS: readonly Command[] = [...MOUNTS, doctor, list, unmount];

/**
 * Runs the program with the arguments after its name, and answers its exit code: 0: done; 1: failed; 2: the arguments
 * were wrong. What it has to say goes to standard output, an error to standard error, in one line.
 *
 * @example
 * ```ts
 * import { main } from "@fusewire/fusewire/cli";
 *
 * const code = await main(["--version"]);
 * console.log(code); // 0
 * ```
 */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const answer = await run(args);
    if (typeof answer === "number") return answer;
    say(answer);
    return 0;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    warn(printable(message.replaceAll("\n", " ")));
    return error instanceof UsageError ? 2 : 1;
  }
}

function run(args: readonly string[]): Promise<number> | string {
  const [first, second] = args;
  if (first === undefined) throw new UsageError(`name a command: ${names().join(", ")}; or --help`);
  if (first === "--version") return `fusewire ${VERSION}`;
  if (first === "--help" || first === "-h") return overview(COMMANDS);
  if (first === "help") return second === undefined ? overview(COMMANDS) : run([...args.slice(1), "--help"]);
  const own = COMMANDS.filter(({ words }) => words.split(" ")[0] === first);
  const found = own.find(({ words }) => words === first || words === `${first} ${second}`);
  if (found !== undefined) return found.run(args.slice(found.words.split(" ").length));
  if (own.length === 0) throw unknown(first, names());
  if (second === "--help" || second === "-h") return overview(own);
  const kinds = own.map(({ words }) => words.split(" ")[1]);
  if (second === undefined || second.startsWith("-")) {
    throw new UsageError(`say first what to ${first}: ${kinds.map((kind) => `${first} ${kind}`).join(", or ")}`);
  }
  throw unknown(second, kinds, `${first} `);
}

/** The first words of the commands. */
function names(): string[] {
  return [...new Set(COMMANDS.map(({ words }) => words.split(" ")[0]))];
}

function unknown(word: string, known: readonly string[], before = ""): UsageError {
  const near = nearest(word, known);
  const remedy = near === undefined
    ? `there are ${known.map((k) => before + k).join(", ")}`
    : `did you mean ${before}${near}?`;
  return new UsageError(`unknown command ${JSON.stringify(before + word)}; ${remedy}`);
}

function overview(commands: readonly Command[]): string {
  const lines = commands.map(({ usage, summary }) => `  ${usage}\n      ${summary}.`);
  return `usage:
${lines.join("\n")}

fusewire COMMAND --help explains a command, fusewire --version tells the version.
It ends with 0: done; 1: failed, and says why in one line on standard error; 2: the arguments were wrong.`;
}
