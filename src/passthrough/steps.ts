/** Courses of action that may have to wait, and answer in the same turn where they have not. */
import type { Awaitable } from "../fs/types.ts";

/** It yields what it waits for, and is told what came of it. */
export type Steps<T> = Generator<Awaitable<unknown>, T, any>;

/** Goes all steps, in the same turn as long as none of them waits for a promise. */
export function go<T>(steps: Steps<T>): Awaitable<T> {
  let step = steps.next();
  while (!step.done) {
    if (step.value instanceof Promise) return goOn(steps, step.value);
    step = steps.next(step.value);
  }
  return step.value;
}

async function goOn<T>(steps: Steps<T>, wait: Promise<unknown>): Promise<T> {
  for (let value: unknown = wait;;) {
    let step: IteratorResult<unknown, T> | undefined;
    try {
      value = await value;
    } catch (error) {
      step = steps.throw(error);
    }
    step ??= steps.next(value);
    if (step.done) return step.value;
    value = step.value;
  }
}
