/** What people do with a file system. */
import { assertEquals } from "@std/assert";
import { env, run } from "../support/harness.ts";

/** What {@linkcode work} needs of the machine. */
export const PROGRAMS = [
  "root",
  "fuse",
  ...["git", "rsync", "setfattr", "sqlite3", "gcc", "flock"].map((name) => `tool:${name}` as const),
] as const;

// A user's own settings of git would change what is shown.
const WORK = `
  export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
  cd "$1"
  for i in 3 1 2; do echo $i > $i.txt; done
  cat *.txt | sort > sorted
  sed -i s/2/two/ sorted
  cat sorted sorted >> twice; wc -l < twice
  install -D -m 700 sorted bin/sorted; stat -c %a bin/sorted
  find . -name '*.txt' -delete; ls
  mkdir -p x/y/z; touch x/y/z/{1..20}; rm -r x; test ! -e x
  echo in > both; { echo out > both; cat; } < both
  (umask 027; echo mine > mine; mkdir folder); stat -c %a mine folder
  ln mine hard; ln -s mine soft; cat soft hard; stat -c %h mine
  touch -d '2001-02-03 04:05:06.123456789 UTC' mine; stat -c %.9Y mine
  setfattr -n user.colour -v blue mine; getfattr --only-values -n user.colour mine; echo
  truncate -s 1T sparse; du -k sparse; printf end >> sparse; tail -c 3 sparse; echo; rm sparse
  flock mine sh -c 'flock --nonblock mine true || echo locked'
  printf '#!/bin/sh\\necho ran $1\\n' > script; chmod +x script; ./script well
  echo 'int main(void) { return 42; }' > main.c; gcc -g -o main main.c; ./main || echo $?
  git init -q -b main repo; cd repo
  git config user.name A; git config user.email a@example.org
  mkdir src; for i in {1..50}; do echo "line $i" > src/$i; done; ln -s src/1 link
  git add .; git commit -q -m first
  git mv src/1 src/one; git rm -q src/2; echo more >> src/3; git commit -q -a -m second
  git gc -q --prune=now; git fsck --strict --full --no-progress; git status --porcelain; git rev-list --count HEAD
  cd ..
  tar -cf tar repo bin; tar -C "$2" -xf tar; diff -r --no-dereference repo "$2/repo"
  cp -a repo copy; diff -r --no-dereference repo copy
  rsync -a "$2/repo/" synced; rsync -a --checksum --itemize-changes "$2/repo/" synced
  sqlite3 -batch db 'pragma journal_mode=wal; create table t(a); insert into t values (1), (2); select sum(a) from t;'
  find . -mindepth 1 -delete; ls -A; rm -r "$2/repo" "$2/bin"
`;

const SAID = [
  ...["6", "700", "bin", "sorted", "twice", "out", "640", "750", "mine", "mine", "2", "981173106.123456789", "blue"],
  ...["0\tsparse", "end", "locked", "ran well", "42", "2", "wal", "3", ""],
].join("\n");

/**
 * Does what people do by the usual programs: in a folder, and with another one on another file system. Both are empty
 * before and after. `as` makes the command one of another user or place.
 */
export async function work(
  folder: string,
  outside: string,
  as: (command: readonly string[]) => readonly string[] = (command) => command,
): Promise<void> {
  const command = as(["bash", "-euo", "pipefail", "-c", WORK, "bash", folder, outside]);
  assertEquals(await run(command, { env, timeout: 60_000 }), { code: 0, stdout: SAID, stderr: "" });
}
