/**
 * Runs the cases about both sides of a mirror, and prints what became of each as a line of JSON.
 *
 *     deno run --allow-ffi tests/kit/mirror/both_sides_run.ts MOUNTPOINT SOURCE
 *
 * @module
 */
import process from "node:process";
import { runCases } from "../../../testing.ts";
import { bothSides } from "./both_sides.ts";

const [mountpoint, source] = process.argv.slice(2);
await runCases(bothSides(source), mountpoint, { log: (outcome) => console.log(JSON.stringify(outcome)) });
