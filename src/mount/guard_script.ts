/**
 * What the guard of a mount does, for any POSIX shell.
 *
 * `$1` is where the mount is, descriptor 3 the server's folder in `/proc`, and standard input a pipe that only the
 * server can write to. Two shells run it, in a session of their own, so that `kill 0` reaches these two and what they
 * wait for:
 *
 * The first waits on the pipe. A first line is the `identity` of the mount, and only from then on there is a second
 * shell; a second line lets the guard go. Where the pipe ends instead, the first unmounts what is still that mount at
 * that place, once no other mount lies on top of it, for the path stands for that one then. As root umount does it; an
 * ordinary user may be refused by umount, and fusermount3 does it. Before either, it ends the second with SIGUSR1.
 *
 * The second is there because a process that is killed may wait for itself, and its pipe does not end: for the answer
 * that lets it close a file of its own mount, or for one that a thread of it asked for. The device is closed after
 * that. So it looks every 5 seconds whether every thread is on its way out, which none comes back from to answer; then
 * it ends the first with SIGKILL, cuts the connection and unmounts in its place. It has to look: files are closed at
 * the end of an exit, and a pidfd waits for the last thread.
 *
 * fusermount3's own auto_unmount is no substitute: it asks the dead mount whether it is dead with root's credentials,
 * hears EACCES where allow_other is not set (3.14), and leaves it.
 */
export const GUARD_SCRIPT: string = `
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
  while sleep 5 && kill -0 $$; do
    dying && sleep 1 && dying || continue
    # The pipe may end just now: without this each shell would end the other.
    trap '' USR1
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
