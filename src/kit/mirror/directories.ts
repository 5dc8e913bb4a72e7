/** Open folders. */
import { ERRNO } from "../../errno.ts";
import type { Filesystem } from "../../fs/filesystem.ts";
import type { Context } from "./context.ts";
import { OpenDirectory } from "./open_directory.ts";
import { check } from "./system.ts";

type Directories = Pick<Filesystem, "opendir" | "readdir" | "releasedir" | "fsyncdir">;

/** The operations on open folders. */
export function directories(context: Context): Required<Directories> {
  const { tree, directories, identity } = context;
  const { libc } = tree;
  const { O } = libc;

  return {
    opendir({ nodeid }, request) {
      const node = tree.node(nodeid);
      const path = tree.use(node);
      const open = (flags: number) => identity.as(request, () => tree.reopen(path, O.RDONLY | O.DIRECTORY | flags));
      let fd = open(context.readOnly ? O.NOATIME : 0);
      // For who neither owns it nor is root.
      if (fd === -ERRNO.EPERM) fd = open(0);
      check("open", fd);
      tree.opened(node, fd);
      return { fh: directories.add(new OpenDirectory(libc, fd, node)) };
    },

    readdir({ fh, offset }) {
      return directories.get(fh).entries(offset);
    },

    releasedir({ fh }) {
      context.releaseDirectory(fh);
    },

    fsyncdir({ fh, datasync }) {
      const { fd } = directories.get(fh);
      check("fsync", datasync ? libc.fdatasync(fd) : libc.fsync(fd));
    },
  };
}
