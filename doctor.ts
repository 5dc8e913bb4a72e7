/**
 * What this machine and process can do for a FUSE server, each with the remedy.
 *
 * @example
 * ```ts ignore
 * import { diagnose, formatDiagnosis } from "@fusewire/fusewire/doctor";
 *
 * console.log(formatDiagnosis(await diagnose()));
 * ```
 *
 * @module
 */
export { diagnose, type DiagnoseOptions, type Diagnosis } from "./src/doctor/diagnose.ts";
export type { Finding, FindingState } from "./src/doctor/finding.ts";
export { formatDiagnosis } from "./src/doctor/format.ts";
export type { BackingFound } from "./src/doctor/heard.ts";
