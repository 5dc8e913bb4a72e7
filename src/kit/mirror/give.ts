/** Whose is what was made. */
import { AT_EMPTY_PATH } from "../../../ffi/libc.ts";
import { cstring } from "../../abi/text.ts";
import { FuseError } from "../../errno.ts";
import type { Request } from "../../fs/types.ts";
import { check, EMPTY, procPath, S_IFDIR, S_IFMT, S_ISGID } from "./system.ts";
import { STATX_MASK, type Tree } from "./tree.ts";

// "No change" for chown(2).
const KEEP = 0xffffffff;
const STATX_BTIME = 0x800;
const SET_IDS = 0o6000;

/**
 * Gives what was just made its security labels and, where the server is root's, to who asked for it. `st` holds its
 * attributes, before and after. The group stays where it was inherited: a folder with set-group-id, or a file system mounted with grpid.
 */
export function give(tree: Tree, fd: number, dirfd: number, mode: number, request: Request, byName: boolean): void {
  const { libc, euid, egid, st, other } = tree;
  for (const { name, value } of request.securityContexts ?? []) {
    check("setxattr", libc.setxattr(procPath(fd), cstring(name), value, 0), name);
  }
  if (euid !== 0) return;
  const uid = st.uid === request.uid ? KEEP : request.uid;
  let gid = st.gid === request.gid ? KEEP : request.gid;
  const ids = (mode & S_IFMT) === S_IFDIR ? 0 : mode & SET_IDS;
  if (uid === KEEP && gid === KEEP && ids === 0) return;
  check("statx", libc.statx(dirfd, EMPTY, AT_EMPTY_PATH, STATX_MASK, other));
  if (byName && !isNew(tree, mode)) {
    throw new FuseError("ESTALE", "what was made was replaced before it could be opened");
  }
  if (st.gid !== egid || other.mode & S_ISGID) gid = KEEP;
  if (uid !== KEEP || gid !== KEEP) check("fchownat", libc.fchownat(fd, EMPTY, uid, gid, AT_EMPTY_PATH));
  // Last, since chown clears them.
  if (ids !== 0) check("chmod", libc.chmod(procPath(fd), st.mode & 0o7777 | ids));
  check("statx", libc.statx(fd, EMPTY, AT_EMPTY_PATH, STATX_MASK, st));
}

/**
 * Whether what was found under the name is what was made there, by all that can be seen: others who may write to the
 * folder could have put another object in its place, which must not be given away. It was born no earlier than the
 * folder was changed, but for a second since clocks are coarse. The folder's attributes are in `other`.
 */
function isNew({ st, other }: Tree, mode: number): boolean {
  if ((st.mode & S_IFMT) !== (mode & S_IFMT)) return false;
  if (st.nlink > ((mode & S_IFMT) === S_IFDIR ? 2 : 1)) return false;
  return (st.mask & STATX_BTIME) === 0 || st.btime + 1 >= other.mtime;
}
