/** Access, where the mirror decides about it. */
import type { Filesystem } from "../../fs/filesystem.ts";
import type { Context } from "./context.ts";
import { check, procPath } from "./system.ts";

/** faccessat asks for who makes the call, not for who started the process. Source: `linux/fcntl.h`. */
export const AT_EACCESS = 0x200;

type Access = Pick<Filesystem, "access">;

/** The operation that asks what a caller may do. */
export function access({ tree, identity }: Context): Required<Access> {
  const { libc } = tree;
  return {
    access({ nodeid, mask }, request) {
      const fd = tree.use(tree.node(nodeid));
      check("faccessat", identity.as(request, () => libc.faccessat(fd, procPath(fd), mask, AT_EACCESS)));
    },
  };
}
