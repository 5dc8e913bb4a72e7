/** A small process that outlives this one and takes its mount away. */
import type { Libc } from "../../ffi/libc.ts";
import { spawn, waitExit } from "../../ffi/process.ts";
import { cstring, decodeName } from "../abi/text.ts";
import { GUARD_SCRIPT } from "./guard_script.ts";
import type { MountEntry } from "./mountinfo.ts";
import { refusal } from "./refusal.ts";

/** A guard that runs. */
export interface Guard {
  /** Names the mount. What dies before that leaves nothing to guard. */
  arm(entry: MountEntry): void;
  /** Lets the guard go and waits for its end. Where the mount is `left` behind, the guard stays, to unmount it. */
  release(left: boolean): Promise<void>;
}

/**
 * Starts a guard for the path. It holds no descriptor and no folder of this process, and looks at it through `/proc`.
 */
export async function startGuard(libc: Libc, path: string): Promise<Guard> {
  const fail = (call: string, of: string, errno: number) =>
    refusal("mount on", path, {
      call,
      of,
      errno,
      remedy: "without a guard the mount would outlive this process; to do without: autoUnmount: false",
    });
  const { RDWR, PATH, DIRECTORY, CLOEXEC } = libc.O;
  const nothing = libc.open(cstring("/dev/null"), RDWR | CLOEXEC, 0);
  if (nothing < 0) throw fail("open", "/dev/null", nothing);
  // Stands for this process alone, whoever has its number later.
  const self = libc.open(cstring("/proc/self"), PATH | DIRECTORY | CLOEXEC, 0);
  if (self < 0) {
    libc.close(nothing);
    throw fail("open", "/proc/self", self);
  }
  const pipe = new Int32Array(2);
  const failed = libc.pipe2(pipe, CLOEXEC);
  if (failed < 0) {
    for (const fd of [nothing, self]) libc.close(fd);
    throw fail("pipe2", "the guard", failed);
  }
  const [theirs, ours] = pipe;
  const inherited = libc.getenv(cstring("PATH"));
  const places = `${inherited ? `${decodeName(inherited)}:` : ""}/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`;
  const pid = await spawn(libc, {
    argv: ["/bin/sh", "-c", GUARD_SCRIPT, "fusewire-guard", path].map(cstring),
    env: [cstring(`PATH=${places}`)],
    fds: [theirs, nothing, nothing, self],
    cwd: cstring("/"),
  });
  for (const fd of [theirs, nothing, self]) libc.close(fd);
  if (pid < 0) {
    libc.close(ours);
    throw fail("posix_spawnp", "/bin/sh, the guard,", pid);
  }

  const say = (line: string) => {
    const bytes = cstring(`${line}\n`);
    libc.write(ours, bytes, bytes.length - 1);
  };
  let armed = false;
  let ended: Promise<unknown> | undefined;
  return {
    arm({ identity }) {
      say(identity);
      armed = true;
    },
    async release(left) {
      if (ended === undefined) {
        if (armed && !left) say("go");
        libc.close(ours);
        ended = waitExit(libc, pid);
      }
      if (!left) await ended;
    },
  };
}
