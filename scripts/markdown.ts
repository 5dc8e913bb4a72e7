/**
 * Parts of documents that are generated, in the shape that the formatter gives them.
 *
 * @module
 */

const WIDTH = 120;

/** A table, its columns aligned as the formatter has them; those from `numbers` on stand right. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  numbers: number = head.length,
): string {
  const cells = rows.map((line) => line.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = head.map((title, i) => Math.max(title.length, 3, ...cells.map((line) => line[i].length)));
  const pad = (text: string, i: number) => i < numbers ? text.padEnd(widths[i]) : text.padStart(widths[i]);
  const line = (texts: readonly string[]) => `| ${texts.map(pad).join(" | ")} |`;
  const rule = widths.map((width, i) => i < numbers ? "-".repeat(width) : `${"-".repeat(width - 1)}:`);
  return [line(head), line(rule), ...cells.map(line)].join("\n");
}

/** A paragraph or an item of a list, in lines as long as the formatter has them. */
export function wrapped(text: string, bullet = ""): string {
  const lines: string[] = [];
  let current = bullet;
  for (const word of text.split(" ")) {
    const first = current === bullet || current.trim() === "";
    if (!first && current.length + 1 + word.length > WIDTH) {
      lines.push(current);
      current = " ".repeat(bullet.length) + word;
    } else current += first ? word : ` ${word}`;
  }
  return [...lines, current].join("\n");
}

/** A document with other content between its markers `<!-- NAME -->` and `<!-- /NAME -->`. */
export function replaced(document: string, name: string, content: string): string {
  const opening = `<!-- ${name} -->`, closing = `<!-- /${name} -->`;
  const start = document.indexOf(opening), end = document.indexOf(closing);
  if (start < 0 || end < start) throw new Error(`the markers ${opening} and ${closing} are not there`);
  return `${document.slice(0, start + opening.length)}\n\n${content}\n\n${document.slice(end)}`;
}
