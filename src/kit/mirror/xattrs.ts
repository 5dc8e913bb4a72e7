/** Extended attributes, through `/proc/self/fd`, which leads to a symbolic link itself too. */
import { cstring, decodeName } from "../../abi/text.ts";
import { ERRNO } from "../../errno.ts";
import type { Filesystem } from "../../fs/filesystem.ts";
import { S_ISGID } from "../../fs/mode.ts";
import type { Context } from "./context.ts";
import { check, procPath } from "./system.ts";

// XATTR_SIZE_MAX and XATTR_LIST_MAX
const MAX = 65536;
// Access control lists, which not every file system has. Source: `acl(5)`.
const ACL = "system.posix_acl_";

type Xattrs = Pick<Filesystem, "getxattr" | "setxattr" | "listxattr" | "removexattr">;

/** The operations on extended attributes. */
export function xattrs({ tree, identity, rootWrites }: Context): Required<Xattrs> {
  const { libc } = tree;
  const room = new Uint8Array(MAX);
  /** The path to a node, for the calls that take no descriptor. */
  const path = (nodeid: number) => procPath(tree.use(tree.node(nodeid)));

  return {
    getxattr({ nodeid, name }, request) {
      const at = path(nodeid);
      const n = identity.as(request, () => libc.getxattr(at, cstring(name), room));
      // A kernel that checks lists (`FUSE_POSIX_ACL`) lets nobody in where it hears anything but that there is none.
      const none = n === -ERRNO.ENODATA || n === -ERRNO.EOPNOTSUPP && name.startsWith(ACL);
      return none ? null : room.slice(0, check("getxattr", n, name));
    },

    setxattr({ nodeid, name, value, flags, killSgid }, request) {
      const at = path(nodeid);
      const set = () => libc.setxattr(at, cstring(name), value, flags);
      check("setxattr", identity.acts ? identity.as(request, set) : identity.spending(request.uid, set), name);
      // The kernel leaves it to a server run by root.
      if (killSgid) {
        tree.stat(tree.node(nodeid));
        const mode = tree.st.mode & 0o7777;
        if (mode & S_ISGID) check("chmod", libc.chmod(path(nodeid), mode & ~S_ISGID));
      }
    },

    listxattr({ nodeid }, request) {
      const end = check("listxattr", libc.listxattr(path(nodeid), room));
      const found: string[] = [];
      for (let at = 0; at < end;) {
        const nul = room.indexOf(0, at);
        found.push(decodeName(room, at, nul));
        at = nul + 1;
      }
      // A file system shows these to root alone; the server may be root where the caller is not.
      return request.uid === 0 ? found : found.filter((name) => !name.startsWith("trusted."));
    },

    removexattr(args, request) {
      const { nodeid, name } = args;
      const at = path(nodeid);
      check("removexattr", identity.as(request, () => libc.removexattr(at, cstring(name))), name);
      rootWrites.removed(args, request);
    },
  };
}
