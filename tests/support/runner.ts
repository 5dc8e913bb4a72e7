/** The test runner of the runtime. */
import process from "node:process";
import { RUNTIME } from "./runtime.ts";

/** One of the parts that a test says it has. */
export interface Step {
  readonly name: string;
  readonly ignore?: boolean;
  /** false: it does not fail for calls and resources that stay open. */
  readonly sanitizeOps?: boolean;
  readonly sanitizeResources?: boolean;
  readonly fn: () => void | Promise<void>;
}

/** What a test's function is given. */
export interface TestContext {
  /** Runs a part. */
  step(step: Step): Promise<unknown>;
}

/** A test for the runner. */
export interface Registration {
  readonly name: string;
  readonly ignore: boolean;
  /** Deno alone can look after what stays open. */
  readonly sanitize: boolean;
  /** Milliseconds; what the test itself takes for its end comes on top. */
  readonly timeout: number;
  readonly fn: (t: TestContext) => Promise<void>;
}

// Longer than any test: each has its own end.
const MARGIN = 60_000;

/** What a runtime's runner does. */
interface Runner {
  register(registration: Registration): void;
  /** Calls back when the tests are over, however they ended; nothing asynchronous runs any more. */
  atEnd(callback: () => void): void;
}

async function runner(): Promise<Runner> {
  if (RUNTIME === "deno") {
    return {
      register: ({ name, ignore, sanitize, fn }) =>
        Deno.test({ name, ignore, sanitizeOps: sanitize, sanitizeResources: sanitize, fn }),
      // Node's event does not come where Deno runs tests.
      atEnd: (callback) => globalThis.addEventListener("unload", callback),
    };
  }
  if (RUNTIME === "bun") {
    const module = "bun:test";
    const { afterAll, test } = await import(module);
    const step = async ({ ignore, fn }: Step) => void (ignore || await fn());
    return {
      register: ({ name, ignore, timeout, fn }) =>
        (ignore ? test.skip : test)(name, () => fn({ step }), { timeout: timeout + MARGIN }),
      atEnd: afterAll,
    };
  }
  const { test } = await import("node:test");
  return {
    register({ name, ignore, fn }) {
      test(
        name,
        { skip: ignore },
        (t) => fn({ step: ({ name, ignore, fn }) => t.test(name, { skip: ignore }, () => fn()) }),
      );
    },
    atEnd: (callback) => process.on("exit", callback),
  };
}

export const { register, atEnd }: Runner = await runner();
