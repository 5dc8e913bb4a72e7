/** The runtime that runs the tests, and how it starts a program. */
import { symlink } from "node:fs/promises";
import process from "node:process";

/** Under which names the tests know it. */
export const RUNTIME: "deno" | "node" | "bun" = process.versions.bun ? "bun" : process.versions.deno ? "deno" : "node";

/** The checkout, with a slash at its end. */
export const ROOT: string = new URL("../..", import.meta.url).pathname;

/**
 * Another name for this runtime, in a folder. node:child_process, by which programs are started, takes a command with
 * the runtime's own name in it for one of Node, and grants it every permission.
 */
export async function runtimeIn(folder: string): Promise<string> {
  const path = `${folder}/runtime`;
  await symlink(process.execPath, path);
  return path;
}

/** What is thrown from now on and caught by nobody, until it is disposed. */
export function uncaught(): Disposable & { readonly errors: unknown[] } {
  const errors: unknown[] = [];
  if (RUNTIME === "bun") {
    // Its runner takes such errors for itself. The library throws them in microtasks.
    const { queueMicrotask } = globalThis;
    globalThis.queueMicrotask = (callback) =>
      queueMicrotask(() => {
        try {
          callback();
        } catch (error) {
          errors.push(error);
        }
      });
    return { errors, [Symbol.dispose]: () => void (globalThis.queueMicrotask = queueMicrotask) };
  }
  if (RUNTIME === "node") {
    process.setUncaughtExceptionCaptureCallback((error) => errors.push(error));
    return { errors, [Symbol.dispose]: () => process.setUncaughtExceptionCaptureCallback(null) };
  }
  const listener = (event: ErrorEvent) => {
    event.preventDefault();
    errors.push(event.error);
  };
  globalThis.addEventListener("error", listener);
  return { errors, [Symbol.dispose]: () => globalThis.removeEventListener("error", listener) };
}

/** What the runtime is told to run a module of the sources, with nothing allowed but foreign functions. */
export function invocation(path: string, ...args: string[]): string[] {
  // The other runtimes have the sources as JavaScript.
  const extension = /\.\w+$/.exec(new URL(import.meta.url).pathname)![0];
  const options = RUNTIME === "deno" ? ["run", "--allow-ffi", "--no-prompt"] : [];
  return [...options, path.replace(/\.ts$/, extension), ...args];
}

/** The command that runs a module beside the one that names it. */
export function command(module: string, from: string, ...args: string[]): string[] {
  return [process.execPath, ...invocation(new URL(module, from).pathname, ...args)];
}

/** The command that runs the tests of a file. */
export function testCommand(file: string): string[] {
  const options = {
    deno: ["test", "-A", "--no-check", "--no-config"],
    node: ["--test", "--test-force-exit"],
    bun: ["test"],
  }[RUNTIME];
  // By that Node knows that it already runs tests.
  return ["env", "-u", "NODE_TEST_CONTEXT", process.execPath, ...options, file];
}

/**
 * Whether something open is what the runtime opens and closes in its own time: what the threads of Bun's Workers wait
 * with.
 */
export function isOfRuntime(target: string): boolean {
  return RUNTIME === "bun" && /^anon_inode:\[(eventfd|eventpoll|timerfd)\]$/.test(target);
}
