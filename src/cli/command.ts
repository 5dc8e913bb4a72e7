/** A command: its words, its help, and how it is run. */
import { explain, type Options, parse, UsageError } from "./arguments.ts";

/** What a command is made of. */
export interface CommandParts<T> {
  /** Its name, of one word or two. */
  readonly words: string;
  /** What it takes, in order, such as `SOURCE`; `[PATH]` may be left out, and only at the end. */
  readonly operands: readonly string[];
  /** What it does, in one line. */
  readonly summary: string;
  /** More for its help: lines of at most 100 columns. */
  readonly about: string;
  readonly options: Options<T>;
  /** Does it; the exit code. */
  run(operands: readonly string[], options: Partial<T>): Promise<number>;
}

/** A command. */
export interface Command {
  readonly words: string;
  readonly summary: string;
  /** How it is typed. */
  readonly usage: string;
  /** Runs it with the arguments after its words; the exit code, or the text to be printed instead. */
  run(args: readonly string[]): Promise<number> | string;
}

/** Makes a command. */
export function command<T>({ words, operands, summary, about, options, run }: CommandParts<T>): Command {
  const usage = ["fusewire", words, ...operands, "[OPTIONS]"].join(" ");
  const least = operands.filter((name) => !name.startsWith("[")).length;
  return {
    words,
    summary,
    usage,
    run(args) {
      const parsed = parse(args, options);
      if (parsed.help) return `${summary}.\n\nusage: ${usage}\n\n${about}\n\noptions:\n${explain(options)}`;
      const given = parsed.operands;
      if (given.length < least) throw new UsageError(`${words} needs ${operands[given.length]}; usage: ${usage}`);
      if (given.length > operands.length) {
        throw new UsageError(`${words} takes no ${JSON.stringify(given[operands.length])}; usage: ${usage}`);
      }
      return run(given, parsed.options);
    },
  };
}
