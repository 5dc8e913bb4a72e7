/** What a look at one thing found. */

/**
 * `"ok"`: as it should be; `"limited"`: works with less; `"missing"`: is not there; `"unknown"`: could not be seen from
 * here.
 */
export type FindingState = "ok" | "limited" | "missing" | "unknown";

/** One thing that was looked at. */
export interface Finding<T = unknown> {
  /** What was looked at, for people. */
  readonly title: string;
  /** How it is. */
  readonly state: FindingState;
  /** What was seen; absent where nothing was. */
  readonly value?: T;
  /** The same in words. */
  readonly detail: string;
  /** What to do about it, and what for. Present unless the state is `"ok"`. */
  readonly remedy?: string;
}
