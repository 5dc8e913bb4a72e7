/**
 * A file system that answers the errors that the names in it say: of `f!write=EIO` every write fails with EIO, in
 * `d!mkdir=EDQUOT` every mkdir. Renaming sets a fault and takes it back, so no other way leads to this file system than
 * that of programs, however many others lie on top of it.
 */
import { memory } from "../../kit.ts";
import { type DirEntry, type ErrnoName, type Filesystem, FuseError } from "../../mod.ts";

/** What can fail. `readdir-later`: reading a directory, after {@linkcode SOONER} entries. */
export type Fault = Exclude<keyof Filesystem, "init" | "destroy" | "forget"> | "readdir-later";

/** How many entries come before the error of `readdir-later`, `.` and `..` among them. */
export const SOONER = 5;

/** A name that says an error. */
export function withFault(name: string, fault: Fault, code: ErrnoName): string {
  return `${name}!${fault}=${code}`;
}

/** What a program can ask for, and what is answered where `memory()` has no such method. */
const METHODS: Readonly<Record<Exclude<Fault, "readdir-later" | "bmap" | "syncfs">, unknown>> = {
  lookup: null,
  getattr: null,
  setattr: null,
  statx: null,
  readlink: null,
  symlink: null,
  mknod: null,
  mkdir: null,
  unlink: null,
  rmdir: null,
  rename: null,
  link: null,
  open: null,
  read: null,
  write: null,
  statfs: null,
  release: null,
  flush: undefined,
  fsync: undefined,
  setxattr: null,
  getxattr: null,
  listxattr: null,
  removexattr: null,
  opendir: {},
  readdir: null,
  releasedir: undefined,
  fsyncdir: undefined,
  access: undefined,
  create: null,
  tmpfile: null,
  getlk: { type: 2, start: 0n, end: 0n, pid: 0 },
  setlk: undefined,
  setlkw: undefined,
  ioctl: { data: new Uint8Array(4) },
  poll: 0,
  fallocate: null,
  lseek: null,
  copyFileRange: null,
};

type Args = Readonly<Record<"nodeid" | "parent" | "newParent" | "newNodeid" | "fh" | "offset" | "flags", number>> & {
  readonly name?: string;
  readonly newName?: string;
};

/** A file system in memory with such names. */
export function faulty(): Filesystem {
  const inner = memory({ entryTimeout: 0, attrTimeout: 0 });
  const faults = new Map<number, { fault: string; code: ErrnoName }>();

  const learn = (nodeid: number, name = "") => {
    const [, fault, code] = /!(.+)=(.+)/.exec(name) ?? [];
    if (fault === undefined) faults.delete(nodeid);
    else faults.set(nodeid, { fault, code: code as ErrnoName });
  };
  /** The error that a call has to answer, if any. */
  const told = (method: string, { nodeid, parent, newParent, newNodeid }: Args): ErrnoName | undefined => {
    // Which of the two is asked depends on whether the time of birth is wanted.
    const fault = method === "statx" ? "getattr" : method;
    const at = [nodeid, parent, newParent, newNodeid].map((node) => faults.get(node));
    return at.find((found) => found?.fault === fault)?.code;
  };
  /** Names say what is to fail from now on. */
  const follow = (method: string, { name, newName, newParent }: Args, answer: any) => {
    if (method === "rename") {
      const { nodeid } = inner.lookup!({ parent: newParent, name: newName! }, undefined as any) as any;
      inner.forget!({ nodeid, nlookup: 1 });
      learn(nodeid, newName);
    } else if (answer?.entry ?? answer?.nodeid) learn((answer.entry ?? answer).nodeid, name ?? newName);
  };

  const methods = Object.entries(METHODS).map(([method, otherwise]) => {
    const call = (args: Args, request: unknown) => {
      const code = told(method, args);
      if (code !== undefined) throw new FuseError(code);
      const own = (inner as any)[method];
      const answer = own === undefined ? otherwise : own.call(inner, args, request);
      follow(method, args, answer);
      // Nothing is kept, so that every read is asked for.
      if (method === "open" || method === "opendir") return { ...answer, keepCache: false, cacheDir: false };
      return method === "readdir" ? failingLater(answer, faults.get(args.nodeid)) : answer;
    };
    return [method, call];
  });
  return {
    ...Object.fromEntries(methods),
    init: (connection) => inner.init?.(connection),
    forget: (args) => inner.forget!(args),
  };
}

/** Entries, of which the later ones may be an error. */
function* failingLater(entries: Iterable<DirEntry>, fault?: { fault: string; code: ErrnoName }): Iterable<DirEntry> {
  let count = 0;
  for (const entry of entries) {
    if (fault?.fault === "readdir-later" && count++ === SOONER) throw new FuseError(fault.code);
    yield entry;
  }
}
