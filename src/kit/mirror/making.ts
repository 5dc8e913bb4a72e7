/** New objects: files, folders, links, devices. */
import { AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW } from "../../../ffi/libc.ts";
import { cstring } from "../../abi/text.ts";
import { ERRNO, FuseError } from "../../errno.ts";
import type { Filesystem } from "../../fs/filesystem.ts";
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "../../fs/mode.ts";
import type { CreateArgs, CreateReply, Entry, MkdirArgs, Request } from "../../fs/types.ts";
import type { Context } from "./context.ts";
import { openNode } from "./files.ts";
import type { Node } from "./node.ts";
import { check, checkName, EMPTY, procPath, STATX_MASK } from "./system.ts";

// How often a name may appear and vanish again while it is opened.
const TRIES = 16;

type Making = Pick<Filesystem, "mknod" | "mkdir" | "symlink" | "link" | "create" | "tmpfile">;

/** The operations that make objects. */
export function making(context: Context): Required<Making> {
  const { tree, identity } = context;
  const { libc, st } = tree;
  const { O } = libc;

  /**
   * Makes an object as who asks, with the umask that makes its mode exact: the kernel applied the caller's, unless it
   * was told not to. What a set-group-id directory or a default access control list hands down is the source's to do.
   */
  function make(umask: number, request: Request, call: () => number): number {
    const saved = libc.umask(context.dontMask ? umask : 0);
    try {
      return identity.making(request, call);
    } finally {
      libc.umask(saved);
    }
  }

  /** Gives what was made the security labels that came along. */
  function label(fd: number, { securityContexts = [] }: Request): void {
    for (const { name, value } of securityContexts) {
      check("setxattr", libc.setxattr(procPath(fd), cstring(name), value, 0), name);
    }
  }

  /** The node of a descriptor that a file was made with. */
  function nodeOf(fd: number, request: Request): Node {
    label(fd, request);
    check("statx", libc.statx(fd, EMPTY, AT_EMPTY_PATH, STATX_MASK, st));
    const node = tree.made();
    // Without a time of birth, only an open descriptor tells the inode from a later one.
    if (node.mark >> 4 !== 0) return node;
    return tree.adopt(check("open", tree.reopen(fd, O.PATH)), true);
  }

  /** Makes an object that has to be found by its name then. */
  function makeNamed(
    { parent, name, umask }: Pick<CreateArgs, "parent" | "name" | "umask">,
    request: Request,
    syscall: string,
    call: (dirfd: number, path: Uint8Array) => number,
  ): Entry {
    checkName(name);
    const dir = tree.node(parent);
    const dirfd = tree.use(dir);
    const path = tree.name(name);
    check(syscall, make(umask, request, () => call(dirfd, path)), name);
    const node = tree.lookup(dir, name);
    if (node === undefined) throw new FuseError("ESTALE", `${name} was removed as soon as it was made`);
    try {
      if (request.securityContexts !== undefined) label(tree.use(node), request);
    } catch (error) {
      libc.unlinkat(tree.use(dir), tree.name(name), node.type === S_IFDIR ? AT_REMOVEDIR : 0);
      throw error;
    }
    return tree.entry(node);
  }

  /** Makes a file, and answers its descriptor and node; null: the name is taken. */
  function makeFile(args: MkdirArgs, flags: number, request: Request): [number, Node] | null {
    const dir = tree.node(args.parent);
    const dirfd = tree.use(dir);
    const path = tree.name(args.name);
    const used = flags | O.CREAT | O.EXCL | O.NOFOLLOW;
    const fd = make(args.umask, request, () => tree.openat(dirfd, path, used, args.mode & 0o7777));
    if (fd === -ERRNO.EEXIST) return null;
    check("openat", fd, args.name);
    try {
      const node = nodeOf(fd, request);
      tree.place(node, dir, args.name);
      return [fd, node];
    } catch (error) {
      libc.close(fd);
      libc.unlinkat(dirfd, path, 0);
      throw error;
    }
  }

  return {
    mknod(args, request) {
      const { name, mode, rdev } = args;
      const type = mode & S_IFMT || S_IFREG;
      if (type === S_IFREG) {
        checkName(name);
        const made = makeFile(args, O.WRONLY, request);
        if (made === null) throw new FuseError("EEXIST");
        libc.close(made[0]);
        return tree.entry(made[1]);
      }
      const made = type | mode & 0o7777;
      return makeNamed(args, request, "mknodat", (dirfd, path) => libc.mknodat(dirfd, path, made, rdev));
    },

    mkdir(args, request) {
      return makeNamed(args, request, "mkdirat", (dirfd, path) => libc.mkdirat(dirfd, path, args.mode & 0o7777));
    },

    symlink({ parent, name, target }, request) {
      const to = cstring(target);
      const what = { parent, name, umask: 0 };
      return makeNamed(what, request, "symlinkat", (dirfd, path) => libc.symlinkat(to, dirfd, path));
    },

    link({ nodeid, newParent, newName }, request) {
      checkName(newName);
      const node = tree.node(nodeid), dir = tree.node(newParent);
      tree.useBoth(node, dir, (fd, dirfd) => {
        // AT_EMPTY_PATH would want CAP_DAC_READ_SEARCH.
        const path = tree.newName(newName);
        const link = () => libc.linkat(AT_FDCWD, procPath(fd), dirfd, path, AT_SYMLINK_FOLLOW);
        check("linkat", identity.as(request, link), newName);
        tree.place(node, dir, newName, true);
      });
      return tree.entry(tree.stat(node));
    },

    create(args, request): CreateReply {
      const { parent, name, flags, killSuidgid } = args;
      checkName(name);
      const used = context.openFlags(flags);
      for (let i = 0; i < TRIES; i++) {
        const made = makeFile(args, used, request);
        if (made !== null) return { entry: tree.entry(made[1]), ...context.opened(made[0], used, made[1], request) };
        if (flags & O.EXCL) throw new FuseError("EEXIST");
        // It is there already, and is opened as it is: neither mode nor owner change.
        const dir = tree.node(parent);
        tree.use(dir);
        const node = identity.as(request, () => tree.lookup(dir, name));
        if (node === undefined) continue;
        // The kernel thought that there is no such name: it is told to look again, and to follow what it finds.
        if (node.type === S_IFLNK && !(flags & O.NOFOLLOW)) throw new FuseError("ESTALE");
        const reply = openNode(context, node, flags, killSuidgid, request);
        return { entry: tree.entry(tree.stat(node)), ...reply };
      }
      throw new FuseError("EBUSY", `the name ${name} comes and goes`);
    },

    tmpfile({ parent, flags, mode, umask }, request): CreateReply {
      const dirfd = tree.use(tree.node(parent));
      const used = context.openFlags(flags) | flags & O.EXCL;
      const fd = check(
        "openat",
        make(umask, request, () => tree.openat(dirfd, tree.name("."), used | O.TMPFILE, mode & 0o7777)),
      );
      try {
        let node = nodeOf(fd, request);
        if (node.slot < 0) node = tree.adopt(check("open", tree.reopen(fd, O.PATH)), true);
        tree.descriptors.pin(node);
        return { entry: tree.entry(node), ...context.opened(fd, used, node, request) };
      } catch (error) {
        libc.close(fd);
        throw error;
      }
    },
  };
}
