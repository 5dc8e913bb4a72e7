/** A file system, who asks it, and where paths lead in it. */
import { encodeName } from "../../abi/text.ts";
import { type ErrnoName, FuseError } from "../../errno.ts";
import type { Filesystem } from "../../fs/filesystem.ts";
import { S_IFDIR, S_IFLNK, S_IFMT } from "../../fs/mode.ts";
import { type Attr, type Entry, ROOT_ID } from "../../fs/types.ts";
import { Skipped } from "../place.ts";
import type { Path, User } from "../sys.ts";

/** An inode that was found. */
export interface Node {
  readonly nodeid: number;
  /** `S_IFMT` bits. */
  readonly type: number;
}

/** Where a path ends. */
export interface Found {
  /** The directories above, the root first. */
  readonly above: readonly Node[];
  readonly name: string;
  readonly node?: Node;
  /** The path ends with a slash. */
  readonly slash: boolean;
}

type Method = Exclude<keyof Filesystem, "init" | "destroy" | "forget">;

/** Answers an errno. */
export function fail(code: ErrnoName): never {
  throw new FuseError(code);
}

/** A file system, seen from one of its folders. */
export class Tree {
  /** Directories that are gone, and may still be open. */
  readonly removed = new Set<number>();
  readonly #fs: Filesystem;
  readonly #base: readonly Node[];
  readonly #lookups = new Map<number, number>();
  #user: User = { uid: 0, gid: 0 };
  #unique = 0;

  /** Looks the folder up. */
  constructor(fs: Filesystem, folder: string) {
    this.#fs = fs;
    this.#base = [{ nodeid: ROOT_ID, type: S_IFDIR }];
    const { above, node } = this.walk(folder, true);
    this.#base = [...above, ...node === undefined || above.includes(node) ? [] : [node]];
  }

  /** Takes all lookups back. */
  release(): void {
    for (const [nodeid, nlookup] of this.#lookups) this.#fs.forget?.({ nodeid, nlookup });
  }

  /** Does something as another user. */
  as<T>(user: User, action: () => T): T {
    const before = this.#user;
    this.#user = user;
    try {
      return action();
    } finally {
      this.#user = before;
    }
  }

  /** Calls a method; what is not there, or answers later, skips the case. */
  ask<K extends Method>(
    method: K,
    args: Parameters<NonNullable<Filesystem[K]>>[0],
  ): Exclude<Awaited<ReturnType<NonNullable<Filesystem[K]>>>, null> {
    const call = this.#fs[method] as ((args: unknown, request: unknown) => any) | undefined;
    if (call === undefined) throw new Skipped(`the file system has no ${method}`);
    const { uid, gid, groups } = this.#user;
    const signal = new AbortController().signal;
    const answer = call.call(this.#fs, args, {
      unique: ++this.#unique,
      uid,
      gid,
      groups,
      pid: 0,
      signal,
      resent: false,
    });
    if (answer instanceof Promise) throw new Skipped(`${method} answers later: that needs a mount`);
    return answer;
  }

  /** Counts a lookup. */
  entry({ nodeid, attr }: Entry): Node {
    this.removed.delete(nodeid);
    this.#lookups.set(nodeid, (this.#lookups.get(nodeid) ?? 0) + 1);
    return { nodeid, type: attr.mode & S_IFMT };
  }

  /** What a directory has under a name. */
  lookup(parent: Node, name: string): Node | undefined {
    const entry: Entry | null = this.ask("lookup", { parent: parent.nodeid, name });
    return entry === null || entry.nodeid === 0 ? undefined : this.entry(entry);
  }

  /** What a path leads to; `follow`: also where its end is a symbolic link, null: not even with a slash behind it. */
  walk(path: Path, follow: boolean | null): Found {
    if (typeof path === "bigint") fail("EFAULT");
    if (path === "") fail("ENOENT");
    if (encodeName(path).length > 4095) fail("ENAMETOOLONG");
    if (/^\/(proc|sys|bin)\b/.test(path)) throw new Skipped(`${path} is of another file system`);
    const root = [{ nodeid: ROOT_ID, type: S_IFDIR }];
    let above: Node[] = path.startsWith("/") ? root : [...this.#base];
    let name = ".", slash = path.endsWith("/");
    const parts = path.split("/").filter(Boolean);
    for (let links = 0; parts.length > 0;) {
      const parent = above.at(-1)!;
      if (parent.type !== S_IFDIR) fail("ENOTDIR");
      name = parts.shift()!;
      if (name === "..") above.length > 1 && above.pop();
      if (isDots(name)) continue;
      if (encodeName(name).length > 255) fail("ENAMETOOLONG");
      const node = this.lookup(parent, name);
      const last = parts.length === 0;
      if (node === undefined && !last) fail("ENOENT");
      if (node?.type === S_IFLNK && (!last || follow || slash && follow !== null)) {
        if (++links > 40) fail("ELOOP");
        const target = this.ask("readlink", { nodeid: node.nodeid });
        if (target.startsWith("/")) above = [...root];
        slash ||= last && target.endsWith("/");
        parts.unshift(...target.split("/").filter(Boolean));
        name = ".";
      } else if (last) return { above, name, node, slash };
      else above.push(node!);
    }
    return { above, name: isDots(name) ? name : ".", node: above.at(-1), slash };
  }

  /** What a path leads to, which has to be there. */
  find(path: Path, follow = true): Node {
    const { node, slash } = this.walk(path, follow);
    if (node === undefined) fail("ENOENT");
    if (slash && node.type !== S_IFDIR) fail("ENOTDIR");
    return node;
  }

  /** A name that nothing has. */
  free(path: Path, folder: boolean): { parent: number; name: string } {
    const { above, name, node, slash } = this.walk(path, null);
    if (node !== undefined) fail("EEXIST");
    if (slash && !folder) fail("ENOENT");
    return { parent: above.at(-1)!.nodeid, name };
  }

  /** Attributes of an inode. */
  attr({ nodeid }: Node): Attr {
    return this.ask("getattr", { nodeid }).attr;
  }
}

/** Whether a name stands for the directory or the one above. */
export function isDots(name: string): boolean {
  return name === "." || name === "..";
}
