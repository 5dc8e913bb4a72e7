/** The checks of permissions that the kernel would make, for a file system in memory that decides itself. */
import { FuseError } from "../../errno.ts";
import type { Filesystem } from "../../fs/filesystem.ts";
import { FMODE_EXEC, O_ACCMODE, O_TRUNC, RENAME_EXCHANGE } from "../../fs/flags.ts";
import { S_ISVTX } from "../../fs/mode.ts";
import type { Request, SetattrArgs, SetxattrArgs } from "../../fs/types.ts";
import { ACL_ACCESS } from "../acl.ts";
import { checkAccess, checkSetattr, isMember, isOwner, mayLink, maySticky, R_OK, W_OK, X_OK } from "../permissions.ts";
import { type DirectoryInode, type Inode, isDirectory } from "./inode.ts";
import type { Tree } from "./tree.ts";
import { accessAcl } from "./xattrs.ts";

/** What is asked before a method of the same name: throws, or answers other arguments to use. */
export type Checks = {
  [M in keyof Filesystem]?: (
    args: Parameters<NonNullable<Filesystem[M]>>[0],
    request: Request,
  ) => void | Parameters<NonNullable<Filesystem[M]>>[0];
};

const MODES = [R_OK, W_OK, R_OK | W_OK, R_OK | W_OK];

/** The checks. Source: `path_resolution(7)`, and for each method its own page. */
export function guard(tree: Tree): Checks {
  const access = (inode: Inode, request: Request, mask: number) => checkAccess(inode, request, mask, accessAcl(inode));
  const may = (nodeid: number, request: Request, mask: number) => access(tree.nodes.at(nodeid), request, mask);
  const change = ({ parent }: { parent: number }, request: Request) => may(parent, request, W_OK | X_OK);

  /** What is behind a name that is to go from a directory. */
  function leaving(parent: number, name: string, request: Request): [DirectoryInode, Inode | undefined] {
    const dir = tree.directory(parent);
    access(dir, request, W_OK | X_OK);
    const inode = dir.body.get(name);
    if (inode !== undefined && !maySticky(dir, inode, request)) throw new FuseError("EPERM");
    return [dir, inode];
  }

  const open = ({ nodeid, flags }: { nodeid: number; flags: number }, request: Request) => {
    const mask = flags & FMODE_EXEC ? X_OK : MODES[flags & O_ACCMODE];
    may(nodeid, request, mask | (flags & O_TRUNC ? W_OK : 0));
  };

  /** The attributes that programs make up for themselves are like data; the others the kernel has checked. */
  const attribute = ({ nodeid, name }: { nodeid: number; name: string }, request: Request, mask: number) => {
    const inode = tree.nodes.at(nodeid);
    const user = name.startsWith("user.");
    const owners = user ? isDirectory(inode) && inode.mode & S_ISVTX : name.startsWith("system.");
    if (owners && mask === W_OK && !isOwner(inode, request)) throw new FuseError("EPERM");
    if (user) access(inode, request, mask);
  };

  return {
    lookup({ parent, name }, request) {
      // By these the kernel finds again what it forgot, for who may open handles.
      if (name !== "." && name !== "..") may(parent, request, X_OK);
    },
    access: ({ nodeid, mask }, request) => may(nodeid, request, mask),
    mknod: change,
    mkdir: change,
    symlink: change,
    tmpfile: change,
    link({ nodeid, newParent }, request) {
      const inode = tree.nodes.at(nodeid);
      if (!mayLink(inode, request, accessAcl(inode))) throw new FuseError("EPERM");
      may(newParent, request, W_OK | X_OK);
    },
    create(args, request) {
      const dir = tree.directory(args.parent);
      const found = dir.body.get(args.name);
      access(dir, request, found === undefined ? W_OK | X_OK : X_OK);
      if (found !== undefined) open({ nodeid: found.nodeid, flags: args.flags }, request);
    },
    unlink: ({ parent, name }, request) => void leaving(parent, name, request),
    rmdir: ({ parent, name }, request) => void leaving(parent, name, request),
    rename({ parent, name, newParent, newName, flags }, request) {
      const [from, inode] = leaving(parent, name, request);
      const [to, old] = leaving(newParent, newName, request);
      // A directory's ".." is written anew.
      const moves = [inode, flags & RENAME_EXCHANGE ? old : undefined];
      for (const moved of moves) if (from !== to && moved && isDirectory(moved)) access(moved, request, W_OK);
    },
    open,
    opendir: ({ nodeid }, request) => may(nodeid, request, R_OK),
    setattr(args, request): SetattrArgs {
      const inode = tree.nodes.at(args.nodeid);
      return checkSetattr(inode, args, request, accessAcl(inode), inode.writers > 0);
    },
    getxattr: (args, request) => attribute(args, request, R_OK),
    setxattr(args, request): SetxattrArgs {
      attribute(args, request, W_OK);
      // With the option posixAcl, which excludes this guard, the kernel would say so.
      const kill = args.name === ACL_ACCESS && request.uid !== 0 &&
        !isMember(request, tree.nodes.at(args.nodeid).gid);
      return kill ? { ...args, killSgid: true } : args;
    },
    removexattr: (args, request) => attribute(args, request, W_OK),
  };
}
