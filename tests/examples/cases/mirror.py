"""A source and its mirror, from both sides. `mirror.py MOUNT SOURCE OUTSIDE`"""

import errno
import mmap
import os
import shutil
import stat
import sys

from cases import (
    ALICE,
    CREW,
    MIB,
    Skip,
    beside,
    case,
    elsewhere,
    fails,
    main,
    mode,
    opened,
    read,
    same,
    sh,
    write,
)
from trees import plant

MOUNT, SOURCE, OUTSIDE = sys.argv[1:4]
ROOM = f"{SOURCE}/room"


def there(name):
    """What is called so in the source."""
    return f"{ROOM}/{name}"


# All that find(1) can tell, save the time of last access, which looking changes.
TOLD = r"find . -mindepth 1 -printf '%i %y %n %m %U %G %s %b %T@ %C@ %l %p\0' | sort -z | tr '\0' '\n'"


def alike():
    """Fails unless both sides tell the same of everything in the room."""
    same(sh(TOLD).splitlines(), sh(TOLD, cwd=ROOM).splitlines())
    # Before the files are read.
    accessed = r"find . -type f -printf '%A@ %p\0' | sort -z | tr '\0' '\n'"
    same(sh(accessed).splitlines(), sh(accessed, cwd=ROOM).splitlines())
    sh(f"diff -r --no-dereference --exclude=fifo . {ROOM}")
    xattrs = "getfattr --recursive --dump --no-dereference --match=- ."
    same(sh(xattrs), sh(xattrs, cwd=ROOM))


@case("the mirror is the source: inodes, links, modes, owners, sizes, blocks, times, attributes, data")
def _():
    plant(there("tree"))
    alike()
    for path, folders, files in os.walk(ROOM):
        inside = os.path.relpath(path, ROOM)
        entries = {entry.name: entry.inode() for entry in os.scandir(inside)}
        same(entries, {name: os.lstat(f"{path}/{name}").st_ino for name in folders + files})
    births = "find . -print0 | xargs -0 stat -c '%W %n'"
    same(sh(births), sh(births, cwd=ROOM))
    same(os.stat("tree").st_dev == os.stat(there("tree")).st_dev, False)
    with opened("tree/sparse", os.O_RDONLY) as fd, opened(there("tree/sparse"), os.O_RDONLY) as own:
        for whence in (os.SEEK_DATA, os.SEEK_HOLE):
            for offset in (0, 4 * MIB, 5 * MIB - 1):
                here, other = (tried(os.lseek, each, offset, whence) for each in (fd, own))
                same(here, other, f"lseek {offset} {whence}")
    shutil.rmtree("tree/deep")
    plant("tree/new")
    alike()
    same(os.path.exists(there("tree/deep")), False)


def tried(function, *args):
    try:
        return function(*args)
    except OSError as error:
        return errno.errorcode[error.errno]


@case("what changes in the source is seen in the mirror at once")
def _():
    write(there("f"), b"first")
    same([read("f"), os.listdir()], [b"first", ["f"]])
    with open("f", "rb", 0) as file:
        with open(there("f"), "ab") as own:
            own.write(b" and more")
        same([os.stat("f").st_size, file.read()], [14, b"first and more"])
        os.truncate(there("f"), 3)
        same([os.fstat(file.fileno()).st_size, os.pread(file.fileno(), 99, 0)], [3, b"fir"])
    for number in range(50):
        data = f"{number:04}".encode()
        write(there("f"), data)
        same(read("f"), data)
        write(there("next"), data[::-1])
        os.rename(there("next"), there("f"))
        same([read("f"), os.listdir()], [data[::-1], ["f"]])
    with opened("f", os.O_RDONLY) as fd:
        for bits in (0o604, 0o640):
            os.chmod(there("f"), bits)
            same([oct(os.fstat(fd).st_mode & 0o777), mode("f")], [oct(bits)] * 2)
    os.utime(there("f"), ns=(1, 2))
    same(os.stat("f").st_mtime_ns, 2)
    os.setxattr(there("f"), "user.x", b"y")
    same(os.getxattr("f", "user.x"), b"y")
    os.link(there("f"), there("g"))
    same([os.stat("g").st_nlink, os.stat("f").st_ino == os.stat("g").st_ino], [2, True])
    os.unlink(there("f"))
    fails(errno.ENOENT, os.stat, "f")
    os.mkdir(there("f"))
    same([stat.S_ISDIR(os.stat("f").st_mode), os.stat("g").st_nlink], [True, 1])
    os.rmdir(there("f"))
    os.symlink("g", there("f"))
    same(os.readlink("f"), "g")
    fails(errno.ENOENT, os.stat, "absent")
    write(there("absent"), b"")
    same(os.stat("absent").st_size, 0)


@case("what changes in the mirror is seen in the source at once")
def _():
    with open("f", "wb", 0) as file:
        file.write(b"first")
        same(read(there("f")), b"first")
        file.write(b" and more")
        same([os.stat(there("f")).st_size, read(there("f"))], [14, b"first and more"])
        os.ftruncate(file.fileno(), 2)
        same(os.stat(there("f")).st_size, 2)
        here, own = os.fstat(file.fileno()), os.stat(there("f"))
        same([here.st_mtime_ns, here.st_ctime_ns, here.st_blocks], [own.st_mtime_ns, own.st_ctime_ns, own.st_blocks])
    os.rename("f", "g")
    os.mkdir("d", 0o711)
    os.symlink("x", "l")
    os.link("g", "d/h")
    same([sorted(os.listdir(ROOM)), os.stat(there("g")).st_nlink, mode(there("d"))], [["d", "g", "l"], 2, "0o711"])
    with opened("g", os.O_RDWR) as fd, opened(there("g"), os.O_RDWR) as own:
        os.ftruncate(fd, 8192)
        with mmap.mmap(fd, 8192) as here:
            here[0:4] = b"here"
            here.flush()
            same(os.pread(own, 4, 0), b"here")
    alike()


@case("what is removed or replaced in the source stays with who has it open")
def _():
    os.mkdir(there("d"))
    for name in ("f", "d/in"):
        write(there(name), b"old")
    os.chdir("d")
    with opened("../f", os.O_RDWR) as fd, opened("in", os.O_RDONLY) as inner, opened(".", os.O_RDONLY) as folder:
        same([os.pread(fd, 9, 0), os.listdir(folder)], [b"old", ["in"]])
        write(there("new"), b"new")
        os.rename(there("new"), there("f"))
        same([os.pread(fd, 9, 0), read("../f")], [b"old", b"new"])
        os.pwrite(fd, b"OLD!", 0)
        os.fchmod(fd, 0o600)
        same([os.pread(fd, 9, 0), os.fstat(fd).st_size, os.fstat(fd).st_nlink], [b"OLD!", 4, 0])
        shutil.rmtree(there("d"))
        same([os.pread(inner, 9, 0), os.fstat(inner).st_nlink, os.listdir(folder)], [b"old", 0, []])
        fails(errno.ENOENT, os.stat, "in")
        fails(errno.ENOENT, os.mkdir, "x")
        fails(errno.ENOENT, write, "x", b"")
        os.mkdir(there("d"))
        write(there("d/in"), b"another")
        same([read("../d/in"), os.pread(inner, 9, 0)], [b"another", b"old"])
        same(read("../f"), b"new")


@case("a folder that is renamed or moved in the source takes who works in it along")
def _():
    os.makedirs(there("a/b/c"))
    os.mkdir(there("z"))
    write(there("a/b/c/f"), b"text")
    os.chdir("a/b/c")
    inode = os.stat(".").st_ino
    os.rename(there("a/b"), there("z/moved"))
    same([read("f"), os.stat(".").st_ino], [b"text", inode])
    write("made", b"in the new place")
    same(read(there("z/moved/c/made")), b"in the new place")
    os.rename(there("z"), there("y"))
    same([sorted(os.listdir(".")), os.path.samefile(".", f"{MOUNT}/room/y/moved/c")], [["f", "made"], True])
    os.rename("f", "../f")
    same(sorted(os.listdir(there("y/moved"))), ["c", "f"])


@case("two processes append to one file, one on each side, and lose nothing")
def _():
    write("log", b"")

    # 64 bytes: a write across the end of a page may come from the kernel in two parts.
    def line(letter, number):
        return f"{letter}{number:06}{letter * 56}"

    def add(letter, path):
        with opened(path, os.O_WRONLY | os.O_APPEND) as fd:
            for number in range(500):
                os.write(fd, f"{line(letter, number)}\n".encode())

    with beside(lambda: add("a", there("log"))):
        add("b", "log")
    lines = read("log").decode().splitlines()
    same(lines == read(there("log")).decode().splitlines(), True)
    for letter in "ab":
        same([each for each in lines if each.startswith(letter)], [line(letter, number) for number in range(500)])


@case("a tree deeper than any path: 200 folders of 50 characters, made and walked on both sides")
def _():
    name = "n" * 50
    for side, other in ((".", ROOM), (ROOM, f"{MOUNT}/room")):
        os.chdir(side)
        for level in range(200):
            os.mkdir(name)
            os.chdir(name)
        write("bottom", b"deep")
        inode = os.stat("bottom").st_ino
        os.chdir(other)
        for level in range(200):
            os.chdir(name)
        same([read("bottom"), os.stat("bottom").st_ino], [b"deep", inode])
        os.rename("bottom", "renamed")
        os.chdir("..")
        same(os.listdir(name), ["renamed"])
        os.chdir(other)
        same(len(sh("find . -printf '%d\n'").splitlines()), 202)
        sh(f"rm -rf {name}")
        same(os.listdir(ROOM), [])
        os.chdir(f"{MOUNT}/room")


@case("symbolic links are shown as they are, and lead where they lead from the mount")
def _():
    write(f"{OUTSIDE}/f", b"outside")
    # Two levels up from the room on either side there is another folder.
    for side, text in ((SOURCE, b"by the source"), (MOUNT, b"by the mount")):
        write(f"{os.path.dirname(side)}/beside", text)
    os.symlink(f"{OUTSIDE}/f", there("absolute"))
    os.symlink("../../beside", there("up"))
    os.symlink("/", there("root"))
    same([os.readlink(name) for name in ("absolute", "up", "root")], [f"{OUTSIDE}/f", "../../beside", "/"])
    same([read("absolute"), read("up"), os.path.samefile("root", "/")], [b"outside", b"by the mount", True])
    write("absolute", b"written")
    same([read(f"{OUTSIDE}/f"), os.path.islink(there("absolute"))], [b"written", True])
    # A folder that becomes a link is followed by who looks, never by the server.
    os.mkdir(there("d"))
    write(there("d/f"), b"inside")
    with opened("d", os.O_RDONLY) as fd:
        os.rename(there("d"), there("e"))
        os.symlink(OUTSIDE, there("d"))
        same([read(f"/proc/self/fd/{fd}/f"), read("d/f")], [b"inside", b"written"])
        os.unlink("f", dir_fd=fd)
    same([read(f"{OUTSIDE}/f"), os.listdir(there("e"))], [b"written", []])


@case("what users make belongs to them in the source", root=True)
def _():
    os.chmod(".", 0o777)
    os.mkdir("crew")
    os.chown("crew", 0, CREW)
    os.chmod("crew", 0o2777)

    def make():
        os.umask(0o027)
        for folder in (".", "crew"):
            write(f"{folder}/file", b"")
            os.mkdir(f"{folder}/folder")
            os.symlink("x", f"{folder}/link")
            os.mkfifo(f"{folder}/fifo")
            os.link(f"{folder}/file", f"{folder}/second")

    elsewhere(make, ALICE, groups=[CREW])
    alike()
    for name in ("file", "folder", "link", "fifo", "second"):
        here, crew = os.lstat(there(name)), os.lstat(there(f"crew/{name}"))
        same([here.st_uid, here.st_gid, crew.st_uid, crew.st_gid], [ALICE, ALICE, ALICE, CREW], name)
    same([mode(there("file")), mode(there("folder")), mode(there("crew/folder"))], ["0o640", "0o750", "0o2750"])


@case("set-user-ID ends in the source too when a user writes", root=True)
def _():
    for name in ("write", "append", "truncate"):
        write(there(name), b"text")
        os.chmod(there(name), 0o6777)

    def change():
        with opened("write", os.O_WRONLY) as fd:
            os.pwrite(fd, b"T", 0)
        sh("echo more >> append")
        os.truncate("truncate", 2)

    elsewhere(change, ALICE)
    same([mode(there(name)) for name in ("write", "append", "truncate")], ["0o777"] * 3)


@case("access control lists of the source hold in the mirror", root=True)
def _():
    try:
        write(there("f"), b"text")
        os.chmod(there("f"), 0o600)
        sh(f"setfacl -m u:{ALICE}:r,g::- {there('f')}")
    except AssertionError as error:
        if "not supported" in str(error):
            raise Skip("setfacl: not supported by the file system of the source")
        raise
    os.chown(there("f"), 0, CREW)
    same(sh("getfacl -n f"), sh("getfacl -n f", cwd=ROOM))
    same(elsewhere(lambda: read("f").decode(), ALICE), "text")
    # In the mode, the group's bits are those of the mask: the list denies what they would grant.
    same(mode("f"), "0o640")
    elsewhere(lambda: fails(errno.EACCES, read, "f"), ALICE + 1, groups=[CREW])
    os.mkdir("d", 0o777)
    os.chmod("d", 0o777)
    sh(f"setfacl -d -m u:{ALICE}:rwx d")
    elsewhere(lambda: write("d/in", b"x"), ALICE + 1)
    sh(f"umask 077; touch d/f; mkdir d/e; umask 077; touch {there('d/own')}; mkdir {there('d/owns')}")
    # Who is not of the group cannot keep set-group-ID beside a list.
    for path in ("mine", there("own-side")):
        write(path, b"")
        os.chown(path, ALICE, CREW)
        os.chmod(path, 0o2755)
        elsewhere(lambda: sh(f"setfacl -m u:{ALICE + 1}:r {path}"), ALICE)
    same([mode("mine"), mode(there("mine"))], [mode("own-side")] * 2)
    lists = [sh(f"getfacl -nc d/{name}") for name in ("f", "own", "e", "owns")]
    same([lists[0], lists[2]], [lists[1], lists[3]])


@case("the kernel may forget everything: open files, folders and paths go on", root=True)
def _():
    for folder in range(20):
        os.mkdir(there(f"d{folder}"))
        for number in range(50):
            write(there(f"d{folder}/f{number}"), b"%d" % number)
    write("gone", b"unlinked")
    told = "find . -printf '%i %m %s %p\n' | sort"
    before = sh(told)
    with opened("d3/f3", os.O_RDWR) as fd, opened("gone", os.O_RDWR) as gone, opened("d4", os.O_RDONLY) as folder:
        os.unlink("gone")
        before = sh(told)
        os.chdir("d5")

        def walk():
            for turn in range(5):
                same(sh(told, cwd=f"{MOUNT}/room") == before, True)

        with beside(walk):
            for turn in range(20):
                sh(f"mount -i -o remount {MOUNT}")
                same([read("f7"), os.pread(fd, 9, 0), os.pread(gone, 9, 0)], [b"7", b"3", b"unlinked"])
                same(len(os.listdir(folder)), 50)
        os.chdir("..")
        os.pwrite(fd, b"x", 0)
        same([os.fstat(gone).st_nlink, os.fstat(gone).st_size, read(there("d3/f3"))], [0, 8, b"x"])
    alike()


if __name__ == "__main__":
    main(MOUNT, OUTSIDE)
