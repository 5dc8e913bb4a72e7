/** Open files. */
import { AT_EACCESS } from "../../../ffi/libc.ts";
import { pages } from "../../../ffi/pages.ts";
import { ERRNO, FuseError } from "../../errno.ts";
import type { Filesystem } from "../../fs/filesystem.ts";
import { FMODE_EXEC } from "../../fs/flags.ts";
import { S_IFDIR, S_IFLNK, S_IFREG } from "../../fs/mode.ts";
import type { OpenReply, Request } from "../../fs/types.ts";
import type { Context, OpenFile } from "./context.ts";
import type { Node } from "./node.ts";
import { X_OK } from "../permissions.ts";
import { check, isShortage, procPath } from "./system.ts";

const F_SETFL = 4;
// One answer copies no more, so that others need not wait long.
const COPY_MAX = 8 * 2 ** 20;

type Files = Pick<
  Filesystem,
  "open" | "read" | "write" | "release" | "flush" | "fsync" | "fallocate" | "lseek" | "copyFileRange"
>;

/** Opens a known file. EISDIR, ELOOP, ENXIO: it is another kind of object. */
export function openNode(
  context: Context,
  node: Node,
  flags: number,
  killSuidgid: boolean,
  request: Request,
): OpenReply {
  const { tree, identity } = context;
  const { O } = tree.libc;
  if (node.type === S_IFDIR) throw new FuseError("EISDIR");
  if (node.type === S_IFLNK) throw new FuseError("ELOOP");
  // To open a fifo could wait for ever. The kernel itself opens such objects, and never asks.
  if (node.type !== S_IFREG) throw new FuseError("ENXIO");
  let used = context.openFlags(flags);
  const path = tree.use(node);
  const open = () => tree.reopen(path, used);
  let fd: number;
  if (identity.acts && flags & FMODE_EXEC) {
    // Who may execute a file may have the kernel read it.
    check("faccessat", identity.as(request, () => tree.libc.faccessat(path, procPath(path), X_OK, AT_EACCESS)));
    fd = open();
  } else fd = identity.as(request, open);
  if (fd === -ERRNO.EACCES && (used & O.ACCMODE) !== (flags & O.ACCMODE)) {
    used = used & ~O.ACCMODE | flags & O.ACCMODE;
    fd = identity.as(request, open);
  }
  if (fd === -ERRNO.EPERM && used & O.NOATIME) {
    // The opener may ask for it, who owns the file; a server that is another ordinary user may not.
    used &= ~O.NOATIME;
    fd = identity.as(request, open);
  }
  check("open", fd);
  if (killSuidgid && flags & O.TRUNC) context.killSuidgid(fd, request);
  return context.opened(fd, used, node, request);
}

/** The operations on open files. */
export function files(context: Context): Required<Files> {
  const { tree, files } = context;
  const { libc } = tree;
  const { O } = libc;
  let room = pages(libc, 128 * 1024);

  /**
   * An O_APPEND descriptor writes to the end whatever offset is given: right for a write(2) of a process that opened it
   * so, wrong for a page of a mapping or after the process took O_APPEND back.
   */
  function setAppend(file: OpenFile, append: number): void {
    file.flags = file.flags & ~O.APPEND | append;
    check("fcntl", libc.fcntl(file.fd, F_SETFL, file.flags & (O.APPEND | O.NONBLOCK | O.NOATIME)));
  }

  return {
    open({ nodeid, flags, killSuidgid }, request) {
      return openNode(context, tree.node(nodeid), flags, killSuidgid, request);
    },

    read({ fh, offset, size }) {
      if (size > room.length) room = pages(libc, size);
      return room.subarray(0, check("pread", libc.pread(files.get(fh).fd, room, size, offset)));
    },

    write({ fh, offset, data, flags, fromCache, killSuidgid }, request) {
      const file = files.get(fh);
      if (killSuidgid && data.length > 0) context.killSuidgid(file.fd, request);
      if (!context.writeback && (flags ^ file.flags) & O.APPEND) setAppend(file, flags & O.APPEND);
      // Of what comes from its cache the kernel does not know who wrote it.
      const uid = fromCache ? file.uid : request.uid;
      const write = () => libc.pwrite(file.fd, data, data.length, offset);
      return check("pwrite", context.growing(file, data.length, uid, write));
    },

    release({ fh }) {
      context.release(fh);
    },

    flush({ fh }) {
      // What close(2) has to say is said by the close of a copy, too.
      const { fd } = files.get(fh);
      const copy = tree.opening(() => libc.dup(fd));
      // That there is none is nothing that close(2) has to say.
      if (!isShortage(copy)) check("close", libc.close(check("dup", copy)));
    },

    fsync({ fh, datasync }) {
      const { fd } = files.get(fh);
      check("fsync", datasync ? libc.fdatasync(fd) : libc.fsync(fd));
    },

    fallocate({ fh, offset, length, mode }, request) {
      const file = files.get(fh);
      const allocate = () => libc.fallocate(file.fd, mode, offset, length);
      check("fallocate", context.growing(file, length, request.uid, allocate));
      if (request.uid !== 0) context.killSuidgid(file.fd, request);
    },

    lseek({ fh, offset, whence }) {
      return check("lseek", libc.lseek(files.get(fh).fd, offset, whence));
    },

    copyFileRange({ fh, offset, newFh, newOffset, length, flags }, request) {
      const to = files.get(newFh);
      const piece = Math.min(length, COPY_MAX);
      const copy = () => libc.copyFileRange(files.get(fh).fd, offset, to.fd, newOffset, piece, flags);
      const n = check("copy_file_range", context.growing(to, piece, request.uid, copy));
      if (request.uid !== 0) context.killSuidgid(to.fd, request);
      return n;
    },
  };
}
