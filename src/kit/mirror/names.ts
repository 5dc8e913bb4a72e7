/** Names: finding, removing and renaming. */
import { AT_REMOVEDIR } from "../../../ffi/libc.ts";
import type { Filesystem } from "../../fs/filesystem.ts";
import { RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT } from "../../fs/flags.ts";
import { S_IFDIR, S_IFMT } from "../../fs/mode.ts";
import type { Request } from "../../fs/types.ts";
import type { Context } from "./context.ts";
import type { Node } from "./node.ts";
import { check, checkName } from "./system.ts";

type Names = Pick<Filesystem, "lookup" | "forget" | "unlink" | "rmdir" | "rename">;

/** The operations on names. */
export function names(context: Context): Required<Names> {
  const { tree, identity } = context;
  const { libc } = tree;

  /** Makes the call that takes a name away; what was secured of it stays in reach. */
  function taking(node: Node | undefined, dir: Node, name: string, call: () => number): number {
    const last = tree.st.nlink <= 1 || (tree.st.mode & S_IFMT) === S_IFDIR;
    let r = -1;
    try {
      return r = call();
    } finally {
      if (node !== undefined) {
        if (r < 0) tree.keep(node);
        else tree.lose(node, dir, name, last);
      }
    }
  }

  /** Removes a name; what the kernel knows behind it stays in reach. */
  function remove(parent: number, name: string, flags: number, request: Request): void {
    checkName(name);
    const dir = tree.node(parent);
    const dirfd = tree.use(dir);
    const path = tree.name(name);
    const node = tree.secure(dirfd, path);
    const unlink = () => libc.unlinkat(dirfd, path, flags);
    check("unlinkat", taking(node, dir, name, () => identity.as(request, unlink)), name);
  }

  return {
    lookup({ parent, name }, request) {
      const dir = tree.node(parent);
      if (name === ".") return tree.entry(tree.stat(dir));
      if (name === "..") return tree.entry(tree.up(dir));
      checkName(name);
      // The way to the directory is the mirror's own affair.
      if (identity.acts) tree.use(dir);
      const node = identity.as(request, () => tree.lookup(dir, name));
      if (node !== undefined) return tree.entry(node);
      const { negative } = tree.timeouts;
      return negative === 0 ? null : { nodeid: 0, attr: { mode: 0 }, entryTimeout: negative };
    },

    forget({ nodeid, nlookup }) {
      tree.forget(nodeid, nlookup);
    },

    unlink({ parent, name }, request) {
      remove(parent, name, 0, request);
    },

    rmdir({ parent, name }, request) {
      remove(parent, name, AT_REMOVEDIR, request);
    },

    rename({ parent, name, newParent, newName, flags }, request) {
      checkName(name);
      checkName(newName);
      const from = tree.node(parent), to = tree.node(newParent);
      tree.useBoth(from, to, (fd, newFd) => {
        const path = tree.name(name), newPath = tree.newName(newName);
        const moved = tree.peek(fd, path);
        const exchanged = flags & RENAME_EXCHANGE ? tree.peek(newFd, newPath) : undefined;
        // Where it is the moved one, by another name, rename does nothing and both names stay.
        const replaced = flags & (RENAME_EXCHANGE | RENAME_NOREPLACE) ? undefined : tree.secure(newFd, newPath);
        const rename = () => libc.renameat2(fd, path, newFd, newPath, flags);
        // A whiteout, the device 0:0 that is left behind, belongs to who renamed.
        const call = () => flags & RENAME_WHITEOUT ? identity.making(request, rename) : identity.as(request, rename);
        check("renameat2", taking(replaced, to, newName, call), name);
        if (moved !== undefined) tree.place(moved, to, newName);
        if (exchanged !== undefined) tree.place(exchanged, from, name);
      });
    },
  };
}
