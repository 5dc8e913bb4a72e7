/** A small process that outlives this one and takes its mount away. */
import type { Libc } from "../../ffi/libc.ts";
import { spawn, waitExit } from "../../ffi/process.ts";
import { cstring, decodeName } from "../abi/text.ts";
import type { MountEntry } from "./mountinfo.ts";
import { refusal } from "./refusal.ts";

// Waits on a pipe that only this process can write to. The first line says which mount it guards, a second lets it go;
// where the pipe ends instead, it unmounts what is still that mount at that place, once no other mount lies on top of
// it, for the path stands for that one then. As root umount does it; an ordinary user may be refused by umount, and
// fusermount3 does it.
//
// A process that is killed may wait for itself, and its pipe does not end: for the answer that lets it close a file of
// its own mount, or for one that a thread of it asked for. The device is closed after that. So a second shell looks now
// and then whether every thread is on its way out, which none comes back from to answer, and cuts the connection. No
// descriptor and no signal tells of that: files are closed at the end of an exit, and a pidfd waits for the last thread.
//
// fusermount3's own auto_unmount is no substitute: it asks the dead mount whether it is dead with root's credentials,
// hears EACCES where allow_other is not set (3.14), and leaves it.
const SCRIPT = `
trap '' HUP INT QUIT TERM
path=$1
read -r mine || exit 0
place=\${mine#* }
number=\${place%% *} number=\${number#*:}
place=\${place#* } place=\${place%% *}

look() {
  here= over=
  while read -r id parent device root point rest; do
    rest=\${rest#* - }
    [ "$id $device $point \${rest% *}" = "$mine" ] && here=$id
    [ "$here" ] && [ "$parent $point" = "$here $place" ] && over=1
  done < /proc/self/mountinfo
  [ "$here" ]
}

leave() {
  tries=0
  while [ $tries -lt 5 ] && look; do
    if [ "$over" ]; then sleep 1; continue; fi
    tries=$((tries + 1))
    umount -l -- "$path" || fusermount3 -u -z -- "$path" || sleep 1
  done
}

cut() {
  look || return
  echo 1 > /sys/fs/fuse/connections/$number/abort || [ "$over" ] || umount -f -l -- "$path"
}

# PF_EXITING among the flags of the thread, or SIGKILL among the signals that wait for it.
leaving() {
  read -r line < "$1/stat" || return
  set -- \${line##*) }
  [ $((\${7:-0} & 4 | \${29:-0} & 256)) -ne 0 ]
}

dying() {
  leaving /proc/self/fd/3 || return
  for thread in /proc/self/fd/3/task/*; do leaving "$thread" || return; done
}

watch() {
  while sleep 2 && kill -0 $$; do
    dying && sleep 1 && dying || continue
    kill -KILL $$
    cut
    leave
    return
  done
}

watch &
trap '' USR1
read -r go
gone=$?
kill -USR1 0
[ $gone = 0 ] || leave
`;

/** A guard that runs. */
export interface Guard {
  /** Names the mount. What dies before that leaves nothing to guard. */
  arm(entry: MountEntry): void;
  /** Lets the guard go and waits for its end. Where the mount is `left` behind, the guard stays, to unmount it. */
  release(left: boolean): Promise<void>;
}

/** Starts a guard for the path. It holds no descriptor and no folder of this process, and looks at it through `/proc`. */
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
    argv: ["/bin/sh", "-c", SCRIPT, "fusewire-guard", path].map(cstring),
    env: [cstring(`PATH=${places}`)],
    fds: [theirs, nothing, nothing, self],
    cwd: cstring("/"),
    ownSession: true,
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
