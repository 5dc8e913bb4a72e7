/**
 * The conformance map: what POSIX and the Linux manual pages say that a file system does, as small cases that any file
 * system can be run against, one system call after another.
 *
 * **On a mount.** The cases make system calls, so the process that runs them must be another one than the one that
 * serves the mount. A program for it, `conformance.ts`:
 *
 * ```ts ignore
 * import { posixCases, runCases } from "@fusewire/fusewire/testing";
 *
 * const [dir] = Deno.args;
 * const outcomes = await runCases(posixCases, dir, { lacks: ["exchange"] });
 * for (const { name, result, message } of outcomes) if (result === "failed") console.log(`${name}: ${message}`);
 * ```
 *
 * `deno run --allow-ffi conformance.ts /mnt`, best as root and on a mount with `allowOther` and `defaultPermissions`:
 * many cases are about several users. Some take a second process, which is Python's. Where something that a case needs
 * is missing, it is skipped and says so. A failure names the call, what was expected and what came:
 *
 * ```
 * rename: over a directory: rename("a", "b"): expected ENOTEMPTY or EEXIST, got success (0)
 * ```
 *
 * **In process**, on the object itself, without a kernel and on any platform: some two thirds of the cases.
 *
 * ```ts
 * import { memory } from "@fusewire/fusewire/kit";
 * import { posixCases, runCases } from "@fusewire/fusewire/testing";
 *
 * const outcomes = await runCases(posixCases, memory(), { filter: /^mkdir/ });
 * console.log(outcomes.every(({ result }) => result !== "failed"));
 * ```
 *
 * **A case of one's own** is a function of a {@linkcode Place}:
 *
 * ```ts
 * import { type Cases, needing } from "@fusewire/fusewire/testing";
 *
 * const own: Cases = {
 *   "mkdir: a name that begins with a dot is refused": ({ fails }) => fails("EPERM").mkdir(".hidden"),
 *   "chown: is for nobody": needing("users", ({ put, fails }) => {
 *     put("f", "text");
 *     fails("EPERM").chown("f", 1, 1);
 *   }),
 * };
 * console.log(Object.keys(own));
 * ```
 *
 * @module
 */
export { posixCases, posixGroups } from "./src/testing/posix.ts";
export { type Outcome, runCases, type RunOptions } from "./src/testing/run.ts";
export {
  ALICE,
  BOB,
  type Case,
  type Cases,
  CREW,
  type Failing,
  Failure,
  type Need,
  needing,
  type Other,
  Place,
  type PlaceParts,
  Skipped,
  type Succeeding,
  type Success,
  type Tally,
} from "./src/testing/place.ts";
export type { Data, Dirent, Lock, Path, Stat, Statfs, Sys, Time, User, Whence } from "./src/testing/sys.ts";
