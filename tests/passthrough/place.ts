/** Mounts for tests of backing files. */
import { assert, assertEquals } from "@std/assert";
import { writeFile } from "node:fs/promises";
import { libc } from "../../ffi/load.ts";
import {
  type ErrorPlace,
  type Filesystem,
  mount,
  type MountOptions,
  type OpenArgs,
  type OpenReply,
  type Passthrough,
  type Session,
} from "../../mod.ts";
import { run, type TempDir, tempDir } from "../support/harness.ts";

// Opened here, since it stays open.
const { O } = libc();

/** A mount whose files a test opens as it says. */
export interface Place extends AsyncDisposable {
  /** For backing files. */
  readonly dir: TempDir;
  readonly mnt: TempDir;
  readonly session: Session;
  readonly files: Passthrough;
  /** Calls of the author's read and write. */
  calls: number;
  /** What was reported. */
  readonly errors: unknown[];
  /** And what it said of them. */
  readonly places: ErrorPlace[];
  /** A line of Python that waits for {@linkcode Place.go}. */
  readonly wait: string;
  /** Lets whoever waits go on. */
  go(): Promise<void>;
  /** Python, with the modules that it needs, in the mount. */
  python(script: string): Promise<string>;
}

/** What an open answers. */
export type Opener = (files: Passthrough, args: OpenArgs, dir: TempDir) => OpenReply;

/** A mount of files that are opened as a test says; their author says that they are empty, and reads "author". */
export async function place(
  openers: Record<string, Opener>,
  options: MountOptions = {},
  methods: Filesystem = {},
): Promise<Place> {
  const dir = await tempDir(), mnt = await tempDir();
  const names = Object.keys(openers);
  const attr = (nodeid: number) => nodeid === 1 ? { mode: 0o40777 } : { mode: 0o100666, mtime: 1 };
  const errors: unknown[] = [], places: ErrorPlace[] = [];
  const state = { calls: 0, files: undefined as unknown as Passthrough };
  const fs: Filesystem = {
    init: ({ passthrough }) => void (state.files = passthrough),
    lookup({ name }) {
      const nodeid = names.indexOf(name) + 2;
      return nodeid === 1 ? null : { nodeid, attr: attr(nodeid) };
    },
    getattr: ({ nodeid }) => ({ attr: attr(nodeid) }),
    setattr: ({ nodeid }) => ({ attr: attr(nodeid) }),
    open: (args) => openers[names[args.nodeid - 2]](state.files, args, dir),
    read: () => (state.calls++, new TextEncoder().encode("author")),
    write: ({ data }) => (state.calls++, data.length),
    ...methods,
  };
  const session = await mount(fs, mnt.path, {
    signals: false,
    onError: (error, where) => void (errors.push(error), places.push(where)),
    ...options,
  });
  return {
    dir,
    mnt,
    session,
    files: state.files,
    errors,
    places,
    wait: `while not os.path.exists(${JSON.stringify(dir.join("go"))}): time.sleep(0.01)`,
    go: () => writeFile(dir.join("go"), ""),
    get calls() {
      return state.calls;
    },
    async python(script) {
      const all =
        `import ctypes, errno, fcntl, mmap, os, random, resource, subprocess, sys, time\nos.chdir(sys.argv[1])\n${script}`;
      const done = await run(["python3", "-c", all, mnt.path]);
      assertEquals([done.code, done.stderr], [0, ""]);
      return done.stdout.trim();
    },
    async [Symbol.asyncDispose]() {
      await session.unmount();
      await mnt[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** A descriptor of a file that is made where there is none. */
export function openFile(path: string, flags: number = O.RDWR): number {
  const fd = libc().open(new TextEncoder().encode(`${path}\0`) as never, flags | O.CREAT | O.CLOEXEC, 0o600);
  assert(fd >= 0, `open ${path}: ${fd}`);
  return fd;
}
