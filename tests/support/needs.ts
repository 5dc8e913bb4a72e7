/** What a test needs of the machine, and what becomes of it where that is missing. */
import fs from "node:fs";
import process from "node:process";

import { spawnSync } from "node:child_process";

/**
 * root: uid 0 with CAP_SYS_ADMIN; fuse: a /dev/fuse that can be opened; npm: its registry can be reached; tool: a
 * program in PATH.
 */
export type Need = "root" | "fuse" | "npm" | `tool:${string}`;

/** What the machine has. */
export interface Machine {
  readonly root: boolean;
  /** /dev/fuse can be opened. */
  readonly fuse: boolean;
  /** /dev/fuse exists. */
  readonly device: boolean;
  /** A continuous integration runs the tests. */
  readonly ci: boolean;
  /** The registry of npm can be reached. */
  readonly npm: () => boolean;
  readonly tool: (name: string) => boolean;
}

function has(machine: Machine, need: Need): boolean {
  if (need === "root" || need === "fuse") return machine[need];
  return need === "npm" ? machine.npm() : machine.tool(need.slice("tool:".length));
}

/** How a test is registered. */
export interface Plan {
  readonly name: string;
  readonly ignore: boolean;
  /** The test fails with this message instead of being run. */
  readonly failure?: string;
}

/**
 * The plan for a test: to run it; to ignore it under a name that says what is missing; or, where a continuous
 * integration has the device and so is meant to run everything, to fail it.
 */
export function plan(name: string, needs: readonly Need[], machine: Machine): Plan {
  const missing = needs.filter((need) => !has(machine, need))
    .map((need) => need === "fuse" ? "/dev/fuse" : need === "npm" ? "npm's registry" : need.replace(/^tool:/, ""));
  if (missing.length === 0) return { name, ignore: false };
  const what = `needs ${missing.join(", ")}`;
  if (machine.ci && machine.device) return { name, ignore: false, failure: `${what}: the CI has to provide it` };
  return { name: `${name} (skipped: ${what})`, ignore: true };
}

/** Runs a synchronous call, and answers undefined where it throws. */
function attempt<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch {
    return undefined;
  }
}

function opens(path: string): boolean {
  return attempt(() => {
    fs.closeSync(fs.openSync(path, "r+"));
    return true;
  }) ?? false;
}

const CAP_SYS_ADMIN = 21n;

function mayMount(): boolean {
  const status = attempt(() => fs.readFileSync("/proc/self/status", "utf8")) ?? "";
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return effective !== undefined && (BigInt(`0x${effective}`) >> CAP_SYS_ADMIN & 1n) === 1n;
}

function inPath(name: string): boolean {
  return (process.env.PATH ?? "").split(":").some((folder) => {
    const found = attempt(() => fs.statSync(`${folder}/${name}`));
    return found !== undefined && found.isFile() && (found.mode & 0o111) !== 0;
  });
}

let npm: boolean | undefined;

/** Asked once, since it takes its time. */
function reachesNpm(): boolean {
  const options = ["--fetch-retries=0", "--fetch-timeout=5000", "--prefer-online"];
  return npm ??= spawnSync("npm", ["view", "koffi", "version", ...options], { stdio: "ignore" }).status === 0;
}

/** This machine. */
export function thisMachine(): Machine {
  const ci = process.env.CI === "true";
  return {
    root: process.getuid!() === 0 && mayMount(),
    fuse: opens("/dev/fuse"),
    device: attempt(() => fs.statSync("/dev/fuse")) !== undefined,
    ci,
    // There its tests are meant to run: what they ask npm for it asks for more than once.
    npm: () => ci || reachesNpm(),
    tool: inPath,
  };
}
