/** What is said, and how it looks: colours and tables on a terminal, plain fields elsewhere. */
import { libc } from "../../ffi/load.ts";

// Source: `ioctl_tty(2)`.
const TCGETS = 0x5401;
const STDOUT = 1;

const name = (text: string) => new TextEncoder().encode(`${text}\0`);

/** Whether standard output is a terminal. */
export function isTerminal(): boolean {
  try {
    return libc().ioctl(STDOUT, TCGETS, new Uint8Array(128)) === 0;
  } catch {
    // No C library: another system, or no permission.
    return false;
  }
}

/** Whether colours are wanted. Source: https://no-color.org */
function isColourful(): boolean {
  if (!isTerminal()) return false;
  const refused = libc().getenv(name("NO_COLOR"));
  const terminal = libc().getenv(name("TERM"));
  return !refused?.length && new TextDecoder().decode(terminal ?? undefined) !== "dumb";
}

/** Prints a line. */
export function say(line: string): void {
  console.log(line);
}

/** Prints a line on standard error. */
export function warn(line: string): void {
  console.error(`fusewire: ${line}`);
}

/** Prints a value for a program. */
export function sayJson(value: unknown): void {
  console.log(JSON.stringify(value));
}

// Source: `console_codes(4)`.
const COLOURS = { bold: 1, red: 31, green: 32, yellow: 33 } as const;

/** A colour of a word. */
export type Colour = keyof typeof COLOURS;

/** Paints words on a terminal, and leaves them alone elsewhere. */
export function painter(): (text: string, colour: Colour | undefined) => string {
  const on = isColourful();
  return (text, colour) => on && colour !== undefined ? `\x1b[${COLOURS[colour]}m${text}\x1b[0m` : text;
}

/**
 * Prints rows: on a terminal as a table below its heads, the first column coloured; elsewhere with tabs between the
 * fields. A control character in a field is printed as an escape, so that a row is a line.
 */
export function sayTable(
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  colourOf: (first: string) => Colour | undefined,
): void {
  const plain = rows.map((row) => row.map(printable));
  if (!isTerminal()) {
    for (const row of plain) say(row.join("\t"));
    return;
  }
  const paint = painter();
  const widths = heads.map((head, i) => Math.max(head.length, ...plain.map((row) => row[i].length)));
  const line = (fields: readonly string[], colour: (i: number) => Colour | undefined) =>
    say(
      fields.map((field, i) =>
        paint(field, colour(i)) + (i < fields.length - 1 ? " ".repeat(widths[i] - field.length + 2) : "")
      ).join(""),
    );
  line(heads, () => "bold");
  for (const row of plain) line(row, (i) => i === 0 ? colourOf(row[0]) : undefined);
}

/** Text without control characters, which could move a terminal's cursor or break a line. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
