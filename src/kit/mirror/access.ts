/** Access, where the mirror decides about it. */
import { AT_EACCESS } from "../../../ffi/libc.ts";
import type { Filesystem } from "../../fs/filesystem.ts";
import type { Context } from "./context.ts";
import { check, procPath } from "./system.ts";

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
