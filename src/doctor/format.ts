/** A diagnosis for people. */
import type { Diagnosis } from "./diagnose.ts";

/**
 * A table, one line a finding, and below what is not as it should be what to do about it.
 *
 * @example
 * ```ts
 * import { diagnose, formatDiagnosis } from "@fusewire/fusewire/doctor";
 *
 * console.log(formatDiagnosis(await diagnose({ path: "/tmp" })));
 * ```
 */
export function formatDiagnosis({ findings }: Diagnosis): string {
  const width = (texts: string[]) => Math.max(...texts.map((text) => text.length)) + 2;
  const states = width(findings.map(({ state }) => state));
  const titles = width(findings.map(({ title }) => title));
  const indent = " ".repeat(states + titles);
  return findings.flatMap(({ state, title, detail, remedy }) => [
    state.padEnd(states) + title.padEnd(titles) + detail,
    ...remedy === undefined ? [] : [`${indent}-> ${remedy}`],
  ]).join("\n");
}
