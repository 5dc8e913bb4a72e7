/** Options, declared once: how they are spelled, read and explained. */
import { parseArgs } from "@std/cli/parse-args";
import { nearest } from "./nearest.ts";

/** Wrong arguments. The message says what is wrong, and what to do. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** How one option is spelled and read. */
export interface Option<T> {
  /** What stands for its value in the help; absent where it has none. */
  readonly value?: string;
  /** How it is typed, where that is not its name with hyphens. */
  readonly word?: string;
  /** What it does. */
  readonly help: string;
  /** Reads the value, or answers undefined where it is none. */
  read(text: string): T | undefined;
}

/** Options by the member that they fill in. */
export type Options<T> = { readonly [name in keyof T]?: Option<NonNullable<T[name]>> };

/** Turns something on. */
export function on(help: string): Option<boolean> {
  return { help, read: () => true };
}

/** Turns something off that is on by default, by another word. */
export function off(word: string, help: string): Option<boolean> {
  return { word, help, read: () => false };
}

/** Takes words. */
export function text(value: string, help: string): Option<string> {
  return { value, help, read: (text) => text };
}

/** Takes a number from 0 on. */
export function number(value: string, help: string): Option<number> {
  return { value, help, read: (text) => /^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined };
}

/** Takes a whole number from 0 on. */
export function integer(value: string, help: string): Option<number> {
  return { value, help, read: (text) => /^\d+$/.test(text) ? Number(text) : undefined };
}

/** Takes a number of bytes, such as `4096`, `64K` or `1G`. */
export function size(help: string): Option<number> {
  return {
    value: "SIZE",
    help: `${help} (bytes, or as 64K, 1M, 2G)`,
    read(text) {
      const [, digits, unit] = /^(\d+)([KMG]?)$/i.exec(text) ?? [];
      return digits === undefined ? undefined : Number(digits) * 1024 ** " KMG".indexOf(unit.toUpperCase() || " ");
    },
  };
}

/** Takes one of some numbers. */
export function oneOf<const T extends number>(choices: readonly T[], help: string): Option<T> {
  return { value: choices.join("|"), help, read: (text) => choices.find((choice) => String(choice) === text) };
}

/** What was found among the arguments. */
export interface Parsed<T> {
  /** What is no option. */
  readonly operands: readonly string[];
  /** Values of the options that were given. */
  readonly options: Partial<T>;
  /** Whether the help is asked for. */
  readonly help: boolean;
}

/** A name as it is typed, such as `max-write`. */
export function hyphenated(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function entriesOf<T>(options: Options<T>): { name: keyof T & string; word: string; option: Option<unknown> }[] {
  return (Object.entries(options) as [keyof T & string, Option<unknown>][])
    .map(([name, option]) => ({ name, word: option.word ?? hyphenated(name), option }));
}

/** Reads arguments; after `--` all are operands. Throws {@linkcode UsageError}. */
export function parse<T>(args: readonly string[], options: Options<T>): Parsed<T> {
  const known = entriesOf(options);
  const words = known.map(({ word }) => word);
  const parsed: Record<string, unknown> = parseArgs([...args], {
    boolean: ["help", ...known.filter(({ option }) => option.value === undefined).map(({ word }) => word)],
    string: ["_", ...known.filter(({ option }) => option.value !== undefined).map(({ word }) => word)],
    alias: { help: "h" },
    unknown(argument: string) {
      if (!/^-./.test(argument)) return true;
      const wrong = /^--?([^=]*)/.exec(argument)![1];
      const near = nearest(wrong, [...words, "help"]);
      throw new UsageError(
        `unknown option ${JSON.stringify(argument)}; ` +
          (near === undefined ? "--help lists what there is" : `did you mean --${near}?`),
      );
    },
  });
  const values: Partial<Record<string, unknown>> = {};
  for (const { name, word, option } of known) {
    const given = parsed[word];
    if (given === undefined || given === false) continue;
    const value = option.value !== undefined && given === "" ? undefined : option.read(String(given));
    if (value === undefined) {
      const wrong = given === "" ? "a value" : `another value than ${JSON.stringify(given)}`;
      throw new UsageError(`option --${word} needs ${wrong}: --${word} ${option.value}`);
    }
    values[name] = value;
  }
  return { operands: parsed._ as string[], options: values as Partial<T>, help: parsed.help === true };
}

/** The options for the help, a line each. */
export function explain<T>(options: Options<T>): string {
  const rows = entriesOf(options).map(({ word, option }) => ({
    left: `--${word}${option.value === undefined ? "" : ` ${option.value}`}`,
    help: option.help,
  }));
  rows.push({ left: "-h, --help", help: "explain this command" });
  const width = Math.max(...rows.map(({ left }) => left.length)) + 2;
  return rows.map(({ left, help }) => `  ${left.padEnd(width)}${help}`).join("\n");
}
