/** Programs started through `posix_spawn(3)`, with exactly the descriptors that they are given. */
import type { CString, Libc } from "./libc.ts";

/** `fcntl(2)`: reads the descriptor's flags. */
export const F_GETFD = 1;
/** `fcntl(2)`: sets the descriptor's flags. */
export const F_SETFD = 2;
/** `fcntl(2)`: reads the open file's flags, `O_*`. */
export const F_GETFL = 3;
/** `fcntl(2)`: sets the open file's flags, `O_*`. */
export const F_SETFL = 4;
/** The one flag of a descriptor: closed by `execve(2)`. */
export const FD_CLOEXEC = 1;

const F_DUPFD_CLOEXEC = 1030;
const POSIX_SPAWN_SETSID = 0x80;

/** A program to start. */
export interface Program {
  /** The program, looked for in PATH where it has no slash, and its arguments. */
  readonly argv: readonly CString[];
  /** Its environment, as `NAME=value`. */
  readonly env: readonly CString[];
  /** Descriptors that it gets as 0, 1, 2 and so on; it gets no others, not even those that this process inherited. */
  readonly fds: readonly number[];
  /** Folder that it starts in; this process's own where absent. */
  readonly cwd?: CString;
}

/**
 * Starts a program in a session of its own, out of reach of the terminal's signals: a Ctrl-C ends this process alone,
 * and not what it waits for. Answers its pid, or -errno of the step that failed. Source: `posix_spawn(3)`.
 */
export async function spawn(libc: Libc, program: Program): Promise<number> {
  const { argv, env, fds, cwd } = program;
  const actions = new Uint8Array(512), attributes = new Uint8Array(512), pid = new Uint8Array(128);
  const moved: number[] = [];
  libc.posixSpawnFileActionsInit(actions);
  libc.posixSpawnattrInit(attributes);
  try {
    for (const [to, fd] of fds.entries()) {
      let from = fd;
      // A source among the targets would be overwritten before it is used.
      if (fd < fds.length) {
        from = libc.fcntl(fd, F_DUPFD_CLOEXEC, fds.length);
        if (from < 0) return from;
        moved.push(from);
      }
      libc.posixSpawnFileActionsAdddup2(actions, from, to);
    }
    for (const fd of inherited(libc, fds.length)) libc.posixSpawnFileActionsAddclose(actions, fd);
    if (cwd !== undefined) libc.posixSpawnFileActionsAddchdir(actions, cwd);
    const refused = libc.posixSpawnattrSetflags(attributes, POSIX_SPAWN_SETSID);
    if (refused < 0) return refused;
    const failed = await libc.posixSpawnpAsync(
      pid,
      argv[0],
      actions,
      attributes,
      vector(libc, argv),
      vector(libc, env),
    );
    return failed < 0 ? failed : new DataView(pid.buffer).getInt32(0, true);
  } finally {
    libc.posixSpawnFileActionsDestroy(actions);
    libc.posixSpawnattrDestroy(attributes);
    for (const fd of moved) libc.close(fd);
  }
}

/** Waits for the end of a child: its exit code, 128 + n where signal n ended it, -1 where another reaped it. */
export async function waitExit(libc: Libc, pid: number): Promise<number> {
  const status = new Uint8Array(128);
  if (await libc.waitpidAsync(pid, status, 0) !== pid) return -1;
  const word = new DataView(status.buffer).getInt32(0, true);
  const signal = word & 0x7f;
  return signal === 0 ? word >> 8 & 0xff : 128 + signal;
}

/** A C array of strings: the addresses, a null, and behind them the strings. */
function vector(libc: Libc, strings: readonly CString[]): Uint8Array {
  const table = 8 * (strings.length + 1);
  const memory = new Uint8Array(strings.reduce((sum, s) => sum + s.length, Math.max(table, 128)));
  const view = new DataView(memory.buffer);
  const start = libc.address(memory);
  let at = table;
  for (const [i, s] of strings.entries()) {
    view.setBigUint64(8 * i, start + BigInt(at), true);
    memory.set(s, at);
    at += s.length;
  }
  return memory;
}

/** The descriptors from `first` on that an exec would leave open: this process was started with them. */
function inherited(libc: Libc, first: number): number[] {
  const { O } = libc;
  const directory = libc.open(ascii("/proc/self/fd\0"), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  if (directory < 0) return [];
  const found: number[] = [];
  const entries = new Uint8Array(0x4000), view = new DataView(entries.buffer);
  for (let n; (n = libc.getdents64(directory, entries)) > 0;) {
    // struct linux_dirent64: the record's length at 16, the name from 19 to a NUL.
    for (let at = 0; at < n; at += view.getUint16(at + 16, true)) {
      let fd = 0;
      for (let i = at + 19; entries[i] !== 0; i++) fd = 10 * fd + entries[i] - 0x30;
      if (fd >= first && libc.fcntl(fd, F_GETFD, 0) === 0) found.push(fd);
    }
  }
  libc.close(directory);
  return found;
}

function ascii(text: string): CString {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}
