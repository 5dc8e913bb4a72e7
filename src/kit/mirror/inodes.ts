/** Attributes: of inodes, links and the file system. */
import { AT_EMPTY_PATH, F_GETFL, STATX_BTIME } from "../../../ffi/libc.ts";
import { decodeName } from "../../abi/text.ts";
import { ERRNO, FuseError } from "../../errno.ts";
import type { Filesystem } from "../../fs/filesystem.ts";
import { fillTimespecs } from "../../fs/times.ts";
import { S_IFDIR, S_IFLNK, S_IFREG, S_ISGID } from "../../fs/mode.ts";
import type { Request, SetattrArgs, Statfs } from "../../fs/types.ts";
import { asksNothing, isSuidgidRemoval } from "../killpriv.ts";
import { checkEmptyChown, isTouch, sgidToRefuse } from "../permissions.ts";
import type { Context } from "./context.ts";
import type { Node } from "./node.ts";
import { check, EMPTY, procPath, STATX_MASK } from "./system.ts";

const PATH_MAX = 4096;
// "No change" for chown(2).
const KEEP = 0xffffffff;
// AT_STATX_FORCE_SYNC and AT_STATX_DONT_SYNC
const SYNC_FLAGS = 0x6000;
// STATX_ATTR_AUTOMOUNT and STATX_ATTR_MOUNT_ROOT: of the source's mounts, not of ours.
const MOUNT_ATTRIBUTES = 0x3000;

type Inodes = Pick<Filesystem, "getattr" | "setattr" | "statx" | "readlink" | "statfs" | "syncfs">;

/** The operations on inodes. */
export function inodes(context: Context): Required<Inodes> {
  const { tree, files, identity } = context;
  const { libc } = tree;
  const { O } = libc;
  const target = new Uint8Array(PATH_MAX);
  const { statfs } = tree.devices;
  const times = new BigInt64Array(4);
  const timesBytes = new Uint8Array(times.buffer);

  /** Fills the tree's `st`: from the open file, where one is named. */
  function stat(node: Node, fh: number | undefined, flags = 0): void {
    if (fh === undefined) tree.stat(node, flags);
    else check("statx", libc.statx(files.get(fh).fd, EMPTY, AT_EMPTY_PATH | flags, STATX_MASK, tree.st));
  }

  function truncate(node: Node, fh: number | undefined, size: number, request: Request): void {
    if (fh !== undefined) {
      const r = libc.ftruncate(files.get(fh).fd, size);
      // The file is not open for writing here.
      if (r !== -ERRNO.EINVAL && r !== -ERRNO.EBADF) return void check("ftruncate", r);
    }
    if (node.type === S_IFDIR) throw new FuseError("EISDIR");
    if (node.type !== S_IFREG) throw new FuseError("EINVAL");
    const path = tree.use(node);
    const fd = check("open", identity.as(request, () => tree.reopen(path, O.WRONLY | O.NONBLOCK)));
    const r = libc.ftruncate(fd, size);
    libc.close(fd);
    check("ftruncate", r);
  }

  /** The permission bits that this caller may set so. */
  function settable(node: Node, mode: number, request: Request): number {
    if (mode & S_ISGID && request.uid !== 0) {
      tree.stat(node);
      mode &= ~sgidToRefuse(tree.st, mode, request);
    }
    return mode & 0o7777;
  }

  /** Whether somebody has it open for writing. That it could be opened so now says nothing of who opened it before. */
  function isWritten({ open = [] }: Node): boolean {
    return open.some((fd) => (libc.fcntl(fd, F_GETFL, 0) & O.ACCMODE) !== O.RDONLY);
  }

  /**
   * Whether the kernel asks for the mode before a write or a cut, in the name of who may do that but change no mode.
   */
  function isForWrite(node: Node, { mode, size }: SetattrArgs, request: Request): boolean {
    if (mode === undefined || !context.kills || !identity.acts || request.uid === 0) return false;
    tree.stat(node);
    if (!isSuidgidRemoval(tree.st, mode)) return false;
    // Who may not cut it is refused before.
    return size !== undefined || isWritten(node);
  }

  function setTimes(node: Node, args: SetattrArgs, request: Request): void {
    fillTimespecs(times, identity.acts && isTouch(args) ? { ...args, mtime: "now" } : args);
    const fd = tree.use(node);
    // An empty path is enough since Linux 5.8; a symbolic link has no other way.
    const set = () =>
      node.type === S_IFLNK
        ? libc.utimensat(fd, EMPTY, timesBytes, AT_EMPTY_PATH)
        : libc.utimensat(fd, procPath(fd), timesBytes, 0);
    // Through an open file they come from the kernel's cache of writes, whoever closes it.
    check("utimensat", args.fh === undefined ? identity.as(request, set) : set());
  }

  return {
    getattr({ nodeid, fh }) {
      const node = tree.node(nodeid);
      stat(node, fh);
      return tree.attrReply(node);
    },

    setattr(args, request) {
      const { nodeid, fh, size, uid, gid } = args;
      const node = tree.node(nodeid);
      const nothing = asksNothing(args), written = nothing && isWritten(node);
      if (nothing && !written) {
        tree.stat(node);
        checkEmptyChown(tree.st, request);
      }
      if (nothing && context.rootWrites.precede(nodeid, request) && written) {
        // The write that follows changes the ctime.
        stat(node, fh);
        return tree.attrReply(node);
      }
      const forWrite = isForWrite(node, args, request);
      const mode = args.mode === undefined ? undefined : settable(node, args.mode, request);
      const chown = uid !== undefined || gid !== undefined;
      const untold = context.kills && (chown || size !== undefined) && request.uid !== 0;
      const kills = (args.killSuidgid || untold) && node.type !== S_IFDIR;
      const killed = kills ? context.modeAfterKill(tree.use(node), request) : undefined;
      if (size !== undefined) truncate(node, fh, size, request);
      if (chown) {
        const fd = tree.use(node);
        const chown = () => libc.fchownat(fd, EMPTY, uid ?? KEEP, gid ?? KEEP, AT_EMPTY_PATH);
        check("fchownat", identity.as(request, chown));
      }
      if (killed !== undefined) libc.chmod(procPath(tree.use(node)), killed);
      // What changes nothing else changes the ctime still: `chown(2)` with neither owner nor group.
      if (nothing) check("fchownat", libc.fchownat(tree.use(node), EMPTY, KEEP, KEEP, AT_EMPTY_PATH));
      if (mode !== undefined) {
        if (node.type === S_IFLNK) throw new FuseError("EOPNOTSUPP", "a symbolic link has no mode");
        const fd = tree.use(node);
        const set = () => libc.chmod(procPath(fd), mode);
        check("chmod", forWrite ? set() : identity.as(request, set));
      }
      if (args.atime !== undefined || args.mtime !== undefined) setTimes(node, args, request);
      stat(node, fh);
      return tree.attrReply(node);
    },

    statx({ nodeid, fh, flags }) {
      const node = tree.node(nodeid);
      stat(node, fh, flags & SYNC_FLAGS);
      const { st } = tree;
      const born = (st.mask & STATX_BTIME) !== 0;
      return {
        ...tree.attrReply(node),
        ...(born ? { btime: st.btime, btimeNsec: st.btimeNsec } : undefined),
        attributes: st.attributes & ~MOUNT_ATTRIBUTES,
        attributesMask: st.attributesMask & ~MOUNT_ATTRIBUTES,
      };
    },

    readlink({ nodeid }) {
      const node = tree.node(nodeid);
      if (node.type !== S_IFLNK) throw new FuseError("EINVAL", "not a symbolic link");
      const n = check("readlinkat", libc.readlinkat(tree.use(node), EMPTY, target));
      return decodeName(target, 0, n);
    },

    statfs({ nodeid }): Statfs {
      check("fstatfs", statfs.fill(tree.use(tree.node(nodeid))));
      const bsize = statfs.get("bsize");
      return {
        blocks: statfs.get("blocks"),
        bfree: statfs.get("bfree"),
        bavail: statfs.get("bavail"),
        files: statfs.get("files"),
        ffree: statfs.get("ffree"),
        bsize,
        namelen: statfs.get("namelen"),
        frsize: statfs.get("frsize") || bsize,
      };
    },

    syncfs() {
      let failed = 0;
      for (const folder of tree.devices.folders()) {
        const fd = check("open", tree.reopen(tree.use(folder), O.RDONLY | O.DIRECTORY));
        const r = libc.syncfs(fd);
        libc.close(fd);
        if (r < 0) failed = r;
      }
      check("syncfs", failed);
    },
  };
}
