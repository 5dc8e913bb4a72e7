/**
 * Starts another process as the cases have it, lets it start a program and then sleep in a call, and prints the pids of
 * both.
 *
 * @module
 */
import { OtherProcess } from "../../src/testing/other_process.ts";

const MINUTE = new Uint8Array(BigInt64Array.of(60n, 0n).buffer);

const other = (await OtherProcess.start())!;
const pids = [Number(other.call("getpid")), other.start(["sleep", "60"])];
other.post(() => other.call("nanosleep", MINUTE, 0));
console.log(`asleep: ${pids.join(" ")}`);
setInterval(() => {}, 60_000);
