/** Names: finding, removing and renaming. */
import { AT_EMPTY_PATH, AT_REMOVEDIR, AT_STATX_DONT_SYNC } from "../../../ffi/libc.ts";
import type { Filesystem } from "../../fs/filesystem.ts";
import type { Request } from "../../fs/types.ts";
import type { Context } from "./context.ts";
import { give } from "./give.ts";
import { check, checkName, EMPTY, S_IFCHR, S_IFDIR, S_IFMT } from "./system.ts";
import { STATX_MASK } from "./tree.ts";

const RENAME_NOREPLACE = 1;
const RENAME_EXCHANGE = 2;
const RENAME_WHITEOUT = 4;

type Names = Pick<Filesystem, "lookup" | "forget" | "unlink" | "rmdir" | "rename">;

/** The operations on names. */
export function names(context: Context): Required<Names> {
  const { tree } = context;
  const { libc } = tree;

  /** Removes a name; what the kernel knows behind it stays in reach. */
  function remove(parent: number, name: string, flags: number): void {
    checkName(name);
    const dir = tree.node(parent);
    const dirfd = tree.use(dir);
    const path = tree.name(name);
    const node = tree.secure(dirfd, path);
    const last = flags === AT_REMOVEDIR || tree.st.nlink <= 1;
    const r = libc.unlinkat(dirfd, path, flags);
    if (node !== undefined) {
      if (r < 0) tree.keep(node);
      else tree.lose(node, dir, name, last);
    }
    check("unlinkat", r, name);
  }

  /** The device 0:0 that a rename left belongs to who renamed. */
  function giveWhiteout(dirfd: number, path: Uint8Array, request: Request): void {
    const { O } = libc;
    const fd = tree.openat(dirfd, path, O.PATH | O.NOFOLLOW);
    if (fd < 0) return;
    try {
      const found = libc.statx(fd, EMPTY, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MASK, tree.st) === 0;
      if (found && tree.st.rdevMajor === 0 && tree.st.rdevMinor === 0) {
        give(tree, fd, dirfd, S_IFCHR | tree.st.mode & 0o777, request, true);
      }
    } finally {
      libc.close(fd);
    }
  }

  return {
    lookup({ parent, name }) {
      const dir = tree.node(parent);
      if (name === ".") return tree.entry(tree.stat(dir));
      if (name === "..") return tree.entry(tree.up(dir));
      checkName(name);
      const node = tree.lookup(dir, name);
      if (node !== undefined) return tree.entry(node);
      const { negative } = tree.timeouts;
      return negative === 0 ? null : { nodeid: 0, attr: { mode: 0 }, entryTimeout: negative };
    },

    forget({ nodeid, nlookup }) {
      tree.forget(nodeid, nlookup);
    },

    unlink({ parent, name }) {
      remove(parent, name, 0);
    },

    rmdir({ parent, name }) {
      remove(parent, name, AT_REMOVEDIR);
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
        const last = tree.st.nlink <= 1 || (tree.st.mode & S_IFMT) === S_IFDIR;
        const r = libc.renameat2(fd, path, newFd, newPath, flags);
        if (replaced !== undefined) {
          if (r < 0) tree.keep(replaced);
          else tree.lose(replaced, to, newName, last);
        }
        check("renameat2", r, name);
        if (moved !== undefined) tree.place(moved, to, newName);
        if (exchanged !== undefined) tree.place(exchanged, from, name);
        if (flags & RENAME_WHITEOUT) giveWhiteout(fd, path, request);
      });
    },
  };
}
