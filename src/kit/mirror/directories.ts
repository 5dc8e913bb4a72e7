/** Open folders. */
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
      const fd = check("open", identity.as(request, () => tree.reopen(path, O.RDONLY | O.DIRECTORY)));
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
