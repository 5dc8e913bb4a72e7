/**
 * How long it takes from an empty program to an answered request: prints what was imported, mounted and answered when,
 * ms since the program began, and unmounts.
 *
 *     deno run --allow-ffi --allow-read scripts/bench/startup.ts MOUNTPOINT
 */
import { lstat } from "node:fs/promises";
import process from "node:process";

const { mount } = await import("../../mod.ts");
const imported = performance.now();
const session = await mount({ getattr: () => ({ attr: { mode: 0o040755 } }) }, process.argv[2]);
const mounted = performance.now();
await lstat(process.argv[2]);
const answered = performance.now();
await session.unmount();
console.log(JSON.stringify({ imported, mounted, answered }));
