/** The errno of what a call throws. */
import { errnoName, errnoOf } from "../../src/errno.ts";

/** The name of the errno that a call throws; `"ok"` where it throws nothing. What says no errno goes on. */
export function code(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (errnoOf(error) === 0) throw error;
    return errnoName(errnoOf(error));
  }
  return "ok";
}
