/**
 * What this machine and process can do for a FUSE server, each with the remedy.
 *
 * @example
 * ```ts
 * import { diagnose, formatDiagnosis } from "@fusewire/fusewire/doctor";
 *
 * console.log(formatDiagnosis(await diagnose()));
 * ```
 *
 * @module
 */
export {
  type ConnectionFound,
  type Connections,
  connections,
  type ConnectionsOptions,
  type ConnectionState,
} from "./src/doctor/connections.ts";
export { diagnose, type DiagnoseOptions, type Diagnosis } from "./src/doctor/diagnose.ts";
export type { Finding, FindingState } from "./src/doctor/finding.ts";
export { formatDiagnosis } from "./src/doctor/format.ts";
export type { BackingFound } from "./src/doctor/heard.ts";
