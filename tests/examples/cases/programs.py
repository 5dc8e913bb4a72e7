"""What people do with a file system, by the programs that they do it with. `programs.py FOLDER OUTSIDE`"""

import os
import sqlite3
import sys

from cases import MIB, beside, case, main, same, sh, write
from trees import inventory, plant

# OUTSIDE is an empty folder on another file system.
FOLDER, OUTSIDE = sys.argv[1:3]

# A user's own settings would change what is shown here.
os.environ.update(
    GIT_CONFIG_GLOBAL="/dev/null",
    GIT_CONFIG_NOSYSTEM="1",
    GIT_AUTHOR_NAME="A",
    GIT_AUTHOR_EMAIL="a@example.org",
    GIT_COMMITTER_NAME="A",
    GIT_COMMITTER_EMAIL="a@example.org",
    LC_ALL="C.UTF-8",
)


@case("git: init, add, commit, clone, gc and fsck find all in order")
def _():
    sh("""
        git init -q -b main repo && cd repo
        mkdir -p src/deep
        for i in $(seq 150); do echo "line $i" > src/$i; done
        ln -s ../1 src/deep/link
        head -c 300000 /dev/urandom > src/deep/large
        git add . && git commit -q -m first
        git mv src/1 src/one && git rm -q src/2 && echo more >> src/3
        git commit -q -a -m second
        git checkout -q -b side HEAD~1 && echo side > side && git add side && git commit -q -m side
        git checkout -q main && git merge -q -m merged side
        git gc -q --prune=now
        git fsck --strict --full
        test -z "$(git status --porcelain)"
        test "$(git rev-list --count HEAD)" = 4
    """)
    sh(f"""
        git clone -q --no-hardlinks repo clone && git -C clone fsck --strict
        diff -r --exclude=.git --no-dereference repo clone
        git clone -q file://$PWD/clone {OUTSIDE}/out && git clone -q {OUTSIDE}/out back
        test "$(git -C back rev-parse HEAD)" = "$(git -C repo rev-parse HEAD)"
        rm -rf {OUTSIDE}/out repo clone back
    """)


@case("tar: what goes in comes out the same")
def _():
    plant(f"{OUTSIDE}/tree")
    sh(f"tar --xattrs --sparse -C {OUTSIDE} -cf in.tar tree && tar --xattrs --same-owner -xpf in.tar")
    same(inventory("tree"), inventory(f"{OUTSIDE}/tree"))
    sh(f"diff -r --no-dereference --exclude=fifo tree {OUTSIDE}/tree")
    assert os.stat("tree/sparse").st_blocks * 512 < MIB, os.stat("tree/sparse")
    out = f"{OUTSIDE}/out"
    sh(f"mkdir {out}; tar --xattrs --sparse -cf {out}.tar tree; tar --xattrs --same-owner -C {out} -xpf {out}.tar")
    same(inventory(f"{OUTSIDE}/out/tree"), inventory(f"{OUTSIDE}/tree"))
    sh(f"tar --compare -f in.tar")


@case("rsync -aHAX: there and back, and nothing is left to do the second time")
def _():
    plant(f"{OUTSIDE}/tree")
    sh(f"rsync -aHAXS {OUTSIDE}/tree/ in/ && rsync -aHAXS in/ {OUTSIDE}/back/")
    same(inventory("in"), inventory(f"{OUTSIDE}/tree"))
    same(inventory(f"{OUTSIDE}/back"), inventory(f"{OUTSIDE}/tree"))
    same(sh(f"rsync -aHAX --itemize-changes --checksum --delete {OUTSIDE}/tree/ in/"), "")
    sh(f"echo new > in/new; rsync -aHAX --delete --inplace {OUTSIDE}/tree/ in/; test ! -e in/new")


@case("cp: archives, sparse files, reflinks where they can be had")
def _():
    plant("tree")
    sh("cp -a tree copy")
    same(inventory("copy"), inventory("tree"))
    sh("cp --sparse=always tree/sparse always; cp --sparse=never tree/sparse never")
    sh("cp --reflink=auto tree/deep/er/large large")
    sh("cmp tree/sparse always; cmp tree/sparse never; cmp tree/deep/er/large large")
    assert os.stat("always").st_blocks * 512 < MIB < os.stat("never").st_blocks * 512
    sh(f"cp -a tree {OUTSIDE}/; diff -r --no-dereference --exclude=fifo tree {OUTSIDE}/tree")
    sh(f"mv {OUTSIDE}/tree moved; diff -r --no-dereference --exclude=fifo tree moved")
    same(inventory("moved"), inventory("tree"))


@case("sqlite3: two writers with a write-ahead log, and the database is whole")
def _():
    sh('sqlite3 -batch db "pragma journal_mode=wal; create table t(writer, number, text);"')

    def add(writer):
        def run():
            db = sqlite3.connect("db", timeout=30, isolation_level=None)
            for number in range(100):
                db.execute("begin immediate")
                db.execute("insert into t values(?, ?, ?)", (writer, number, "x" * number))
                db.execute("commit")
            db.close()

        return run

    with beside(add("a")):
        add("b")()
    sums = "select writer, count(*), sum(length(text)) from t group by 1;"
    answer = sh(f'sqlite3 -batch db "pragma integrity_check; {sums}"')
    same(answer, "ok\na|100|4950\nb|100|4950\n")
    orders = "pragma wal_checkpoint(truncate); vacuum; pragma journal_mode=delete; pragma integrity_check;"
    same(sh(f'sqlite3 -batch db "{orders}"').splitlines()[-1], "ok")
    same(os.listdir(), ["db"])


@case("50 MiB go in and out unchanged")
def _():
    write(f"{OUTSIDE}/data", os.urandom(50 * MIB))
    sh(f"cp {OUTSIDE}/data in; dd if=in of={OUTSIDE}/out bs=1M status=none; cat {OUTSIDE}/data | cat > piped")
    sums = sh(f"cat {OUTSIDE}/data in {OUTSIDE}/out piped | split --bytes=50M --filter=sha256sum")
    same([len(sums.splitlines()), len(set(sums.splitlines()))], [4, 1])


@case("gcc compiles in it, and what it made is run there")
def _():
    write("twice.h", b"static int twice(int n) { return 2 * n; }\n")
    includes = b'#include <stdio.h>\n#include "twice.h"\n'
    write("main.c", includes + b'int main(void) { printf("%d\\n", twice(21)); return 0; }\n')
    same(sh("gcc -g -c main.c -o main.o && ar rcs libmain.a main.o && gcc main.o -o main && ./main"), "42\n")
    sh("gcc -o main main.c && ./main | grep -qx 42")


@case("shell: here documents, globs, redirections, find, sort, sed -i, install")
def _():
    same(
        sh("""
            for i in 3 1 2; do echo $i > $i.txt; done
            cat *.txt | sort > sorted
            sed -i s/2/two/ sorted
            cat sorted sorted >> twice; wc -l < twice
            install -D -m 700 sorted bin/sorted; stat -c %a bin/sorted
            find . -name '*.txt' -delete; ls
            mkdir -p x/y/z; touch x/y/z/{1..20}; rm -r x; test ! -e x
            echo in > both; { echo out > both; cat; } < both
        """),
        "6\n700\nbin\nsorted\ntwice\nout\n",
    )


if __name__ == "__main__":
    main(FOLDER, OUTSIDE)
