/** What the tests use of `@std/assert`, over `node:assert`, for where its registry cannot be reached. */
import { inspect, isDeepStrictEqual } from "node:util";
import { deepStrictEqual, strictEqual } from "node:assert/strict";

/** A class, also one that cannot be made by `new`. */
type Class<T> = abstract new (...args: any[]) => T;

/** What every assertion throws. */
export class AssertionError extends Error {
  override name = "AssertionError";
}

function suffix(message: string | undefined): string {
  return message ? `: ${message}` : ".";
}

/** The message of a failed comparison, with node's line by line difference. */
function difference(compare: () => void): string {
  try {
    compare();
    return "no difference is visible";
  } catch (error) {
    return (error as Error).message;
  }
}

/** Fails unless `value` is truthy. */
export function assert(value: unknown, message = ""): asserts value {
  if (!value) throw new AssertionError(message);
}

/** Fails always. */
export function fail(message?: string): never {
  throw new AssertionError(`Failed assertion${suffix(message)}`);
}

/** Fails unless the two are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  if (isDeepStrictEqual(actual, expected)) return;
  const lines = difference(() => deepStrictEqual(actual, expected));
  throw new AssertionError(`Values are not equal${suffix(message)}\n${lines}`);
}

/** Fails if the two are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, message?: string): void {
  if (!isDeepStrictEqual(actual, expected)) return;
  throw new AssertionError(`Expected actual: ${inspect(actual)} not to be equal${suffix(message)}`);
}

/** Fails unless the two are the same value, as `Object.is` has it. */
export function assertStrictEquals<T>(actual: unknown, expected: T, message?: string): asserts actual is T {
  if (Object.is(actual, expected)) return;
  const lines = difference(() => strictEqual(actual, expected));
  throw new AssertionError(`Values are not strictly equal${suffix(message)}\n${lines}`);
}

/** Fails unless `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, message?: string): void {
  if (actual > expected) return;
  throw new AssertionError(message ?? `Expect ${inspect(actual)} > ${inspect(expected)}`);
}

/** Fails unless `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, message?: string): void {
  if (actual < expected) return;
  throw new AssertionError(message ?? `Expect ${inspect(actual)} < ${inspect(expected)}`);
}

/** Fails if `actual` is null or undefined. */
export function assertExists<T>(actual: T, message?: string): asserts actual is NonNullable<T> {
  if (actual !== undefined && actual !== null) return;
  throw new AssertionError(`Expected actual: "${actual}" to not be null or undefined${suffix(message)}`);
}

/** Fails unless `actual` is an instance of `type`. */
export function assertInstanceOf<T extends Class<any>>(
  actual: unknown,
  type: T,
  message?: string,
): asserts actual is InstanceType<T> {
  if (actual instanceof type) return;
  throw new AssertionError(`Expected ${inspect(actual)} to be an instance of "${type.name}"${suffix(message)}`);
}

/** Fails unless `actual` matches the expression. */
export function assertMatch(actual: string, expected: RegExp, message?: string): void {
  if (expected.test(actual)) return;
  throw new AssertionError(`Expected actual: "${actual}" to match: "${expected}"${suffix(message)}`);
}

/** Fails unless `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, message?: string): void {
  if (actual.includes(expected)) return;
  throw new AssertionError(`Expected actual: "${actual}" to contain: "${expected}"${suffix(message)}`);
}

/** Fails unless what was thrown is an error of that class whose message contains `part`. */
function check(thrown: unknown, type: Class<Error>, part = "", message?: string): void {
  if (!(thrown instanceof Error)) throw new AssertionError(`A non-Error object was thrown${suffix(message)}`);
  const { constructor, message: was } = thrown;
  if (!(thrown instanceof type)) {
    throw new AssertionError(
      `Expected error to be instance of "${type.name}", but was "${constructor.name}" (${was})${suffix(message)}`,
    );
  }
  if (!was.includes(part)) {
    throw new AssertionError(
      `Expected error message to include ${JSON.stringify(part)}, but got ${JSON.stringify(was)}${suffix(message)}`,
    );
  }
}

/** Fails unless `fn` throws, and returns what it threw. */
export function assertThrows(fn: () => unknown, message?: string): unknown;
/** Fails unless `fn` throws an error of that class whose message contains `part`, and returns it. */
export function assertThrows<E extends Error>(fn: () => unknown, type: Class<E>, part?: string, message?: string): E;
export function assertThrows(
  fn: () => unknown,
  typeOrMessage?: Class<Error> | string,
  part?: string,
  message?: string,
): unknown {
  const type = typeof typeOrMessage === "string" ? undefined : typeOrMessage;
  const text = typeof typeOrMessage === "string" ? typeOrMessage : message;
  try {
    fn();
  } catch (thrown) {
    if (type) check(thrown, type, part, text);
    return thrown;
  }
  throw new AssertionError(`Expected function to throw${suffix(text)}`);
}

/** Fails unless the promise of `fn` rejects, and returns the reason. A throw without a promise fails. */
export function assertRejects(fn: () => PromiseLike<unknown>, message?: string): Promise<unknown>;
/** Fails unless it rejects with an error of that class whose message contains `part`, and returns that. */
export function assertRejects<E extends Error>(
  fn: () => PromiseLike<unknown>,
  type: Class<E>,
  part?: string,
  message?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  typeOrMessage?: Class<Error> | string,
  part?: string,
  message?: string,
): Promise<unknown> {
  const type = typeof typeOrMessage === "string" ? undefined : typeOrMessage;
  const text = typeof typeOrMessage === "string" ? typeOrMessage : message;
  let promise: PromiseLike<unknown> | undefined;
  try {
    promise = fn();
  } catch {
    // Reported below: what is thrown before a promise exists is no rejection.
  }
  if (typeof promise?.then !== "function") {
    throw new AssertionError(`Function throws when expected to reject${suffix(text)}`);
  }
  try {
    await promise;
  } catch (thrown) {
    if (type) check(thrown, type, part, text);
    return thrown;
  }
  throw new AssertionError(`Expected function to reject${suffix(text)}`);
}
