/** A small process that outlives this one and takes its mount away. */
import type { Libc } from "../../ffi/libc.ts";
import { spawn, waitExit } from "../../ffi/process.ts";
import { cstring, decodeName } from "../abi/text.ts";
import type { MountEntry } from "./mountinfo.ts";
import { refusal } from "./refusal.ts";

// Waits on a pipe that only this process can write to. The first line says which mount it guards, a second lets it go;
// where the pipe ends instead, it unmounts what is still that mount at that place, once no other mount lies on top of
// it, for the path stands for that one then. As root umount does it; an ordinary
// user may be refused by umount, and fusermount3 does it.
//
// fusermount3's own auto_unmount is no substitute: it asks the dead mount whether it is dead with root's credentials,
// hears EACCES where allow_other is not set (3.14), and leaves it.
const SCRIPT = `
trap '' HUP INT QUIT TERM
read -r mine || exit 0
read -r go && exit 0
place=\${mine#* } place=\${place#* } place=\${place%% *}
tries=0
while [ $tries -lt 5 ]; do
  here= over=
  while read -r id parent device root point rest; do
    rest=\${rest#* - }
    [ "$id $device $point \${rest% *}" = "$mine" ] && here=$id
    [ "$here" ] && [ "$parent $point" = "$here $place" ] && over=1
  done < /proc/self/mountinfo
  [ "$here" ] || exit 0
  if [ "$over" ]; then sleep 1; continue; fi
  tries=$((tries + 1))
  umount -l -- "$1" || fusermount3 -u -z -- "$1" || sleep 1
done
`;

/** A guard that runs. */
export interface Guard {
  /** Names the mount. What dies before that leaves nothing to guard. */
  arm(entry: MountEntry): void;
  /** Lets the guard go and waits for its end. Where the mount is `left` behind, the guard stays, to unmount it. */
  release(left: boolean): Promise<void>;
}

/** Starts a guard for the path. It holds no descriptor and no folder of this process. */
export async function startGuard(libc: Libc, path: string): Promise<Guard> {
  const fail = (call: string, of: string, errno: number) =>
    refusal("mount on", path, {
      call,
      of,
      errno,
      remedy: "without a guard the mount would outlive this process; to do without: autoUnmount: false",
    });
  const nothing = libc.open(cstring("/dev/null"), libc.O.RDWR | libc.O.CLOEXEC, 0);
  if (nothing < 0) throw fail("open", "/dev/null", nothing);
  const pipe = new Int32Array(2);
  const failed = libc.pipe2(pipe, libc.O.CLOEXEC);
  if (failed < 0) {
    libc.close(nothing);
    throw fail("pipe2", "the guard", failed);
  }
  const [theirs, ours] = pipe;
  const inherited = libc.getenv(cstring("PATH"));
  const places = `${inherited ? `${decodeName(inherited)}:` : ""}/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`;
  const pid = await spawn(libc, {
    argv: ["/bin/sh", "-c", SCRIPT, "fusewire-guard", path].map(cstring),
    env: [cstring(`PATH=${places}`)],
    fds: [theirs, nothing, nothing],
    cwd: cstring("/"),
    ownSession: true,
  });
  libc.close(theirs);
  libc.close(nothing);
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
