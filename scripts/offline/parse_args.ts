/**
 * What the project uses of `@std/cli/parse-args`, for where its registry cannot be reached. Left out: names with dots,
 * and `boolean: true`.
 *
 * @module
 */

/** How arguments are parsed. */
export interface ParseOptions<B extends string, S extends string, C extends string> {
  /** Flags without a value; false where absent. */
  boolean?: B | readonly B[];
  /** Options whose value stays a string; `_` for the rest of the arguments. */
  string?: S | readonly S[];
  /** Those that may occur several times, and are arrays. */
  collect?: C | readonly C[];
  /** Those that `--no-NAME` makes false. */
  negatable?: string | readonly string[];
  /** Further names. */
  alias?: Readonly<Record<string, string | readonly string[]>>;
  /** Values of what is absent. */
  default?: Readonly<Record<string, unknown>>;
  /** All after the first argument that is no option is left alone. */
  stopEarly?: boolean;
  /** What follows `--` becomes the member of that name, and is left out of `_`. */
  "--"?: boolean;
  /** Called with what is not declared, which is left out where it answers false. */
  unknown?: (argument: string, name?: string, value?: unknown) => unknown;
}

/** The parsed arguments. */
export type Args<B extends string, S extends string, C extends string> =
  & Record<string, unknown>
  & { [name in B]: boolean }
  & { [name in Exclude<S, C | "_">]?: string }
  & { [name in Extract<S, C>]: string[] }
  & { _: (string | number)[]; "--"?: string[] };

type Value = string | number | boolean;

const listOf = (names: string | readonly string[] = []): readonly string[] =>
  typeof names === "string" ? [names] : names;

function isNumber(text: string): boolean {
  return /^(0x[0-9a-f]+|[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?)$/i.test(text);
}

/** Parses `--name`, `--name value`, `--name=value`, `-n`, `-n value`, `-n=value`, `-n5` and `-abc`. */
export function parseArgs<
  const B extends string = never,
  const S extends string = never,
  const C extends string = never,
>(args: readonly string[], options: ParseOptions<B, S, C> = {}): Args<B, S, C> {
  const { alias = {}, stopEarly = false, unknown = () => true } = options;
  const groups = Object.entries(alias).map(([name, others]) => [name, ...listOf(others)]);
  const namesOf = (name: string) => groups.find((group) => group.includes(name)) ?? [name];
  const all = (names?: string | readonly string[]) => new Set(listOf(names).flatMap(namesOf));
  const booleans = all(options.boolean), strings = all(options.string);
  const collected = all(options.collect), negatable = all(options.negatable);
  const aliased = new Set(groups.flat());

  const parsed: Record<string, unknown> = {};
  const rest: (string | number)[] = [];
  const end = args.indexOf("--");
  const words = end < 0 ? args : args.slice(0, end);
  const literal = end < 0 ? [] : args.slice(end + 1);

  const set = (name: string, value: Value, argument: string, mayCollect = true) => {
    const declared = booleans.has(name) || strings.has(name) || aliased.has(name);
    if (!declared && unknown(argument, name, value) === false) return;
    if (typeof value === "string" && !strings.has(name) && isNumber(value)) value = Number(value);
    for (const known of namesOf(name)) {
      if (mayCollect && collected.has(name)) ((parsed[known] ??= []) as Value[]).push(value);
      else parsed[known] = value;
    }
  };
  const flag = (name: string): Value => strings.has(name) ? "" : true;
  const isWord = (word: string | undefined, pattern: RegExp): word is string => !!word && !pattern.test(word);
  /** Sets an option from the argument after it where that is its value; whether it was. */
  const take = (name: string, next: string | undefined, argument: string, option: RegExp): boolean => {
    if (!booleans.has(name) && isWord(next, option)) set(name, next, argument);
    else if (next === "true" || next === "false") set(name, next === "true", argument);
    else {
      set(name, flag(name), argument);
      return false;
    }
    return true;
  };

  for (let i = 0; i < words.length; i++) {
    const argument = words[i];
    const long = /^--([^]+?)(?:=([^]+))?$/.exec(argument);
    if (long !== null) {
      const [, name, value] = long;
      const negated = /^no-([^]+)$/.exec(name)?.[1];
      if (value !== undefined) set(name, booleans.has(name) ? value !== "false" : value, argument);
      else if (negated !== undefined && negatable.has(negated)) set(negated, false, argument, false);
      else if (take(name, words[i + 1], argument, /^-/)) i++;
    } else if (/^-./.test(argument)) {
      if (cluster(argument, words[i + 1])) i++;
    } else {
      if (unknown(argument) !== false) rest.push(strings.has("_") || !isNumber(argument) ? argument : Number(argument));
      if (stopEarly) {
        rest.push(...words.slice(i + 1));
        break;
      }
    }
  }

  /** `-abc`, the last with a value perhaps; whether the next argument was that value. */
  function cluster(argument: string, next: string | undefined): boolean {
    for (let at = 1; at < argument.length - 1; at++) {
      const name = argument[at], tail = argument.slice(at + 1);
      const assigned = /^=([^]+)/.exec(tail)?.[1];
      if (assigned !== undefined) {
        set(name, assigned, argument);
        return false;
      }
      if (/[A-Za-z]/.test(name) && /^-?\d+(\.\d*)?(e-?\d+)?$/.test(tail) || /^\W/.test(tail)) {
        set(name, tail, argument);
        return false;
      }
      set(name, flag(name), argument);
    }
    return take(argument.at(-1)!, next, argument, /^--?[^-]/);
  }

  for (const [name, value] of Object.entries(options.default ?? {})) {
    if (!Object.hasOwn(parsed, name)) { for (const known of namesOf(name)) parsed[known] = value; }
  }
  for (const name of booleans) if (!Object.hasOwn(parsed, name)) parsed[name] = collected.has(name) ? [] : false;
  for (const name of strings) if (collected.has(name) && !Object.hasOwn(parsed, name)) parsed[name] = [];
  if (options["--"]) parsed["--"] = literal;
  else rest.push(...literal);
  return { _: rest, ...parsed } as Args<B, S, C>;
}
