/**
 * What the kernel asks where set-id bits and capabilities of a file end: requests that say little of why they come.
 *
 * @module
 */
import { S_ISGID, S_ISUID, S_IXGRP } from "../fs/mode.ts";
import type { Attr, SetattrArgs, XattrArgs } from "../fs/types.ts";
import type { Caller } from "../suidgid.ts";

/**
 * Whether a mode does nothing but end set-id bits: so the kernel asks, in the writer's name, before a write by whom
 * they do not outlast, where the file system has not taken that upon itself (`handleKillpriv`).
 */
export function isSuidgidRemoval({ mode }: Pick<Attr, "mode">, to: number): boolean {
  const ending = mode & S_ISUID | (mode & S_IXGRP ? mode & S_ISGID : 0);
  return ending !== 0 && (to & 0o7777) === (mode & 0o7777 & ~ending);
}

/**
 * Whether nothing is to change: so the kernel asks before a write that ends set-id bits, where it knows that the file
 * system sees to them or does not know of any, and likewise for `chown(2)` with neither owner nor group.
 */
export function asksNothing({ size, uid, gid, mode, atime, mtime }: SetattrArgs): boolean {
  return size === undefined && uid === undefined && gid === undefined && mode === undefined && atime === undefined &&
    mtime === undefined;
}

/** The extended attribute of a file's capabilities. Source: `capabilities(7)`. */
export const CAPABILITY = "security.capability";

/**
 * Tells two changes of nothing by root apart, of a file that is open for writing. Before a write the kernel takes the
 * file's capabilities away and asks for such a change next, and the set-id bits of root's write stay; those of a
 * `chown(2)` with neither owner nor group do not.
 */
export class RootWrites {
  #nodeid = 0;
  #pid = 0;

  /** An extended attribute was removed. */
  removed({ nodeid, name }: XattrArgs, { uid, pid = 0 }: Caller): void {
    if (uid === 0 && name === CAPABILITY) [this.#nodeid, this.#pid] = [nodeid, pid];
  }

  /** Whether a change of nothing comes before a write by root. It is asked once. */
  precede(nodeid: number, { uid, pid = 0 }: Caller): boolean {
    const removed = uid === 0 && this.#nodeid === nodeid && this.#pid === pid;
    this.#nodeid = 0;
    return removed;
  }
}
