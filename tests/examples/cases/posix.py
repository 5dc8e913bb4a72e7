"""What every file system does, by system calls. `posix.py FOLDER memory|mirror`"""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys

from cases import (
    ALICE,
    BOB,
    CREW,
    MIB,
    TIB,
    Skip,
    beside,
    call,
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

FOLDER, KIND = sys.argv[1:3]
AT_FDCWD = -100
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
SEEK_DATA, SEEK_HOLE = 3, 4
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16


# files


@case("files keep what is written to them, and know their size")
def _():
    with open("a", "xb") as file:
        file.write(b"one\n")
    with open("a", "ab") as file:
        file.write(b"two\n")
    same(read("a"), b"one\ntwo\n")
    with opened("a", os.O_RDWR) as fd:
        same(os.pwrite(fd, b"TWO", 4), 3)
        same(os.pread(fd, 100, 2), b"e\nTWO\n")
        same(os.pread(fd, 100, 8), b"")
        same(os.lseek(fd, -4, os.SEEK_END), 4)
        same(os.writev(fd, [b"x", b"yz"]), 3)
        os.fsync(fd)
        os.fdatasync(fd)
        same(os.fstat(fd).st_size, 8)
    same(read("a"), b"one\nxyz\n")
    same(os.stat("a").st_nlink, 1)
    same(stat.S_ISREG(os.stat("a").st_mode), True)
    with open("a", "wb"):
        same(os.stat("a").st_size, 0)


@case("O_EXCL, O_CREAT, O_TRUNC, O_DIRECTORY, O_NOFOLLOW and modes of access mean what open(2) says")
def _():
    write("f", b"text")
    os.mkdir("d")
    os.symlink("f", "l")
    os.symlink("made", "dangling")
    fails(errno.EEXIST, os.open, "f", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    fails(errno.EEXIST, os.open, "dangling", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    fails(errno.ENOENT, os.open, "none", os.O_RDONLY)
    fails(errno.ENOTDIR, os.open, "f", os.O_RDONLY | os.O_DIRECTORY)
    fails(errno.ENOTDIR, os.open, "f/x", os.O_RDONLY)
    fails(errno.ELOOP, os.open, "l", os.O_RDONLY | os.O_NOFOLLOW)
    fails(errno.EISDIR, os.open, "d", os.O_WRONLY)
    os.close(os.open("dangling", os.O_CREAT | os.O_WRONLY))
    same(os.stat("made").st_size, 0)
    with opened("f", os.O_RDONLY) as fd:
        fails(errno.EBADF, os.write, fd, b"x")
        fails(errno.EINVAL, os.ftruncate, fd, 0)
    with opened("f", os.O_WRONLY) as fd:
        fails(errno.EBADF, os.read, fd, 1)
    with opened("f", os.O_RDWR | os.O_TRUNC) as fd:
        same(os.fstat(fd).st_size, 0)
        os.write(fd, b"new")
    same(read("l"), b"new")


@case("truncating makes shorter, longer by zeros, and is seen by who has it open")
def _():
    write("f", b"0123456789" * 1000)
    with open("f", "rb") as file:
        os.truncate("f", 5)
        same(file.read(), b"01234")
        os.truncate("f", 8192)
        file.seek(0)
        same(file.read(), b"01234" + bytes(8187))
    same(os.stat("f").st_size, 8192)
    with opened("f", os.O_RDWR) as fd:
        os.ftruncate(fd, 3)
        os.pwrite(fd, b"x", 4096)
        same(os.pread(fd, 5000, 0), b"012" + bytes(4093) + b"x")
    fails(errno.EINVAL, os.truncate, "f", -1)
    fails(errno.EISDIR, os.truncate, ".", 0)


@case("O_APPEND: two processes lose nothing of each other")
def _():
    def add(letter):
        def run():
            with opened("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT) as fd:
                for number in range(400):
                    os.write(fd, f"{letter}{number:06}{letter * 40}\n".encode())

        return run

    with beside(add("a")):
        add("b")()
    lines = read("log").decode().splitlines()
    for letter in "ab":
        own = [line for line in lines if line.startswith(letter)]
        same(own, [f"{letter}{number:06}{letter * 40}" for number in range(400)])
    same(len(lines), 800)


@case("a hole of 1 TiB takes no space and reads as zeros; SEEK_DATA and SEEK_HOLE find its ends")
def _():
    with opened("f", os.O_RDWR | os.O_CREAT) as fd:
        os.pwrite(fd, b"end", TIB)
        same(os.fstat(fd).st_size, TIB + 3)
        assert os.fstat(fd).st_blocks * 512 < MIB, os.fstat(fd)
        same(os.pread(fd, 10, TIB - 5), bytes(5) + b"end")
        same(os.pread(fd, 65536, TIB // 2), bytes(65536))
        same(os.lseek(fd, 0, SEEK_HOLE), 0)
        same(os.lseek(fd, 0, SEEK_DATA), TIB)
        same(os.lseek(fd, TIB + 1, SEEK_DATA), TIB + 1)
        same(os.lseek(fd, TIB, SEEK_HOLE), TIB + 3)
        fails(errno.ENXIO, os.lseek, fd, TIB + 3, SEEK_DATA)
        fails(errno.ENXIO, os.lseek, fd, TIB + 3, SEEK_HOLE)
        os.ftruncate(fd, 1 << 30)
        fails(errno.ENXIO, os.lseek, fd, 0, SEEK_DATA)
        same(os.fstat(fd).st_size, 1 << 30)


@case("fallocate(1) reserves, punches and zeroes")
def _():
    write("f", b"x" * MIB)
    full = os.stat("f").st_blocks
    sh("fallocate --punch-hole --offset 64KiB --length 512KiB f")
    same(os.stat("f").st_size, MIB)
    same(full - os.stat("f").st_blocks, 1024)
    same(read("f"), b"x" * 65536 + bytes(524288) + b"x" * 458752)
    with opened("f", os.O_RDONLY) as fd:
        same(os.lseek(fd, 0, SEEK_HOLE), 65536)
        same(os.lseek(fd, 65536, SEEK_DATA), 65536 + 524288)
    try:
        sh("fallocate --zero-range --offset 0 --length 10 f")
        same(read("f")[:12], bytes(10) + b"xx")
    except AssertionError as error:
        # tmpfs cannot.
        if KIND == "memory" or "not supported" not in str(error):
            raise
    sh("fallocate --keep-size --offset 1MiB --length 1MiB f")
    same(os.stat("f").st_size, MIB)
    sh("fallocate --length 3MiB f")
    same(os.stat("f").st_size, 3 * MIB)
    same(read("f")[MIB:], bytes(2 * MIB))
    sh("fallocate --length 1MiB new")
    same([os.stat("new").st_size, os.stat("new").st_blocks >= 2048], [MIB, True])
    with opened("f", os.O_RDONLY) as fd:
        fails(errno.EBADF, os.posix_fallocate, fd, 0, 10)


@case("mmap: what is stored is read, what is written is seen, and both stay")
def _():
    with opened("f", os.O_RDWR | os.O_CREAT) as fd:
        os.ftruncate(fd, 3 * 4096 + 100)
        with mmap.mmap(fd, 3 * 4096 + 100) as shared, mmap.mmap(fd, 4096, flags=mmap.MAP_PRIVATE) as private:
            shared[4096:4101] = b"store"
            same(os.pread(fd, 7, 4095), b"\0store\0")
            os.pwrite(fd, b"write", 8192)
            same(shared[8191:8198], b"\0write\0")
            private[:4] = b"mine"
            shared.flush()
        same(os.pread(fd, 4, 0), bytes(4))
    with beside(lambda: same(read("f")[4096:4101], b"store")):
        pass
    with opened("f", os.O_RDWR) as fd, mmap.mmap(fd, 0) as shared:
        # The mapping alone keeps the file.
        os.unlink("f")
        os.close(os.dup(fd))
        shared[0:1] = b"!"
        same(os.pread(fd, 1, 0), b"!")


@case("O_DIRECT reads and writes whole blocks")
def _():
    with mmap.mmap(-1, 8192) as block:
        block[:] = bytes(range(256)) * 32
        try:
            fd = os.open("f", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
        except OSError as error:
            raise Skip(f"O_DIRECT: {error}")
        same(os.writev(fd, [block]), 8192)
        block[:] = bytes(8192)
        same(os.preadv(fd, [block], 0), 8192)
        same(block[:], bytes(range(256)) * 32)
        os.close(fd)
    same(read("f"), bytes(range(256)) * 32)


@case("copy_file_range, sendfile and splice move data without the caller")
def _():
    data = os.urandom(3 * MIB + 17)
    write("from", data)
    with opened("from", os.O_RDONLY) as source, opened("to", os.O_RDWR | os.O_CREAT) as target:
        done = 0
        while done < len(data):
            done += os.copy_file_range(source, target, len(data) - done, done, done)
        same(read("to") == data, True)
        same(os.copy_file_range(source, target, 100, len(data), 0), 0)
    with opened("from", os.O_RDONLY) as source, opened("sent", os.O_WRONLY | os.O_CREAT) as target:
        while os.sendfile(target, source, None, MIB) > 0:
            pass
    same(read("sent") == data, True)
    ends = os.pipe()
    with opened("from", os.O_RDONLY) as source, opened("spliced", os.O_WRONLY | os.O_CREAT) as target:
        while (n := os.splice(source, ends[1], 65536)) > 0:
            while n > 0:
                n -= os.splice(ends[0], target, n)
    for end in ends:
        os.close(end)
    same(read("spliced") == data, True)


@case("what is unlinked lives while it is open")
def _():
    write("f", b"text")
    os.link("f", "g")
    with opened("f", os.O_RDWR) as fd:
        os.unlink("f")
        same(os.fstat(fd).st_nlink, 1)
        os.unlink("g")
        same(os.fstat(fd).st_nlink, 0)
        same(os.listdir(), [])
        os.pwrite(fd, b"more", 4)
        os.fchmod(fd, 0o640)
        os.ftruncate(fd, 6)
        os.utime(fd, ns=(1, 2))
        same(os.pread(fd, 100, 0), b"textmo")
        same([os.fstat(fd).st_size, os.fstat(fd).st_mtime_ns, oct(os.fstat(fd).st_mode)], [6, 2, "0o100640"])
        write("f", b"another")
        same(os.pread(fd, 100, 0), b"textmo")
        with opened(f"/proc/self/fd/{fd}", os.O_RDONLY) as again:
            same(os.read(again, 100), b"textmo")
    same(read("f"), b"another")
    for number in range(50):
        with opened(f"t{number}", os.O_RDWR | os.O_CREAT) as fd:
            os.unlink(f"t{number}")
            os.write(fd, b"x")
    same(os.listdir(), ["f"])


@case("O_TMPFILE: a file without a name, which may get one")
def _():
    def link(fd, name):
        call("linkat", AT_FDCWD, f"/proc/self/fd/{fd}".encode(), AT_FDCWD, name.encode(), 0x400)

    try:
        fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o640)
    except OSError as error:
        if KIND == "memory":
            raise
        raise Skip(f"O_TMPFILE: {error}")
    os.write(fd, b"nameless")
    same([os.fstat(fd).st_nlink, os.listdir()], [0, []])
    link(fd, "named")
    same([os.fstat(fd).st_nlink, mode("named"), read("named")], [1, "0o640", b"nameless"])
    os.close(fd)
    same(read("named"), b"nameless")
    with opened(".", os.O_TMPFILE | os.O_RDWR | os.O_EXCL) as fd:
        fails(errno.ENOENT, link, fd, "never")
    same(os.listdir(), ["named"])


# names


@case("directories: made, listed, counted, removed, but not while something is in them")
def _():
    os.makedirs("a/b/c")
    write("a/file", b"")
    same(sorted(os.listdir("a")), ["b", "file"])
    fails(errno.ENOTEMPTY, os.rmdir, "a")
    fails(errno.ENOTDIR, os.rmdir, "a/file")
    fails(errno.EISDIR, os.unlink, "a/b")
    fails(errno.EEXIST, os.mkdir, "a/b")
    fails(errno.EEXIST, os.mkdir, "a/file")
    fails(errno.ENOENT, os.mkdir, "none/x")
    fails(errno.ENOTDIR, os.mkdir, "a/file/x")
    fails(errno.EINVAL, os.rmdir, "a/b/.")
    fails(errno.ENOTEMPTY, os.rmdir, "a/b/..")
    if KIND == "memory":
        same([os.stat("a").st_nlink, os.stat("a/b").st_nlink, os.stat("a/b/c").st_nlink], [3, 3, 2])
    same(os.stat("a/b/..").st_ino, os.stat("a").st_ino)
    seen = {entry.name: (entry.inode(), entry.is_dir()) for entry in os.scandir("a")}
    same(seen, {"b": (os.stat("a/b").st_ino, True), "file": (os.stat("a/file").st_ino, False)})
    os.unlink("a/file")
    os.removedirs("a/b/c")
    same(os.listdir(), [])


@case("a directory that was removed under a process: nothing is made in it, and it is left well")
def _():
    os.mkdir("d")
    fd = os.open("d", os.O_RDONLY)
    os.chdir("d")
    os.rmdir("../d")
    fails(errno.ENOENT, os.getcwd)
    fails(errno.ENOENT, os.mkdir, "x")
    fails(errno.ENOENT, os.open, "x", os.O_CREAT | os.O_WRONLY)
    same([os.listdir("."), os.listdir(fd)], [[], []])
    same(os.fstat(fd).st_nlink, 0)
    os.close(fd)
    os.chdir("..")


@case("symbolic links: any text, read, followed, replaced; loops end with ELOOP")
def _():
    write("f", b"text")
    os.symlink("f", "l")
    same([os.readlink("l"), read("l"), os.lstat("l").st_size], ["f", b"text", 1])
    long = "x/" * 2000 + "y"
    os.symlink(long, "long")
    same(os.readlink("long"), long)
    os.symlink(b"\xff\xfe no text", b"odd")
    same(os.readlink(b"odd"), b"\xff\xfe no text")
    fails(errno.EEXIST, os.symlink, "f", "l")
    fails(errno.ENOENT, os.symlink, "", "empty")
    fails(errno.EINVAL, os.readlink, "f")
    os.symlink("self", "self")
    fails(errno.ELOOP, os.stat, "self")
    os.symlink("f", "chain0")
    for number in range(45):
        os.symlink(f"chain{number}", f"chain{number + 1}")
    same(read("chain39"), b"text")
    fails(errno.ELOOP, os.stat, "chain45")
    os.symlink("..", "up")
    same(os.stat("up/room/f").st_ino, os.stat("f").st_ino)
    os.rename("l", "self")
    same(os.readlink("self"), "f")
    os.utime("self", ns=(10, 20), follow_symlinks=False)
    same([os.lstat("self").st_mtime_ns, os.stat("f").st_mtime_ns != 20], [20, True])


@case("hard links are one file: inode, count, data, mode, until the last is gone")
def _():
    write("a", b"text")
    os.mkdir("d")
    os.link("a", "d/b")
    os.link("d/b", "c")
    same(len({os.stat(name).st_ino for name in ("a", "d/b", "c")}), 1)
    same([os.stat(name).st_nlink for name in ("a", "d/b", "c")], [3, 3, 3])
    write("c", b"changed")
    os.chmod("d/b", 0o600)
    same([read("a"), mode("a")], [b"changed", "0o600"])
    os.unlink("a")
    same(os.stat("c").st_nlink, 2)
    os.rename("c", "d/b")
    same([os.path.exists("c"), os.stat("d/b").st_nlink], [True, 2])
    fails(errno.EEXIST, os.link, "c", "d/b")
    fails(errno.EPERM, os.link, "d", "e")
    fails(errno.ENOENT, os.link, "none", "e")
    os.symlink("c", "l")
    os.link("l", "m", follow_symlinks=False)
    same([os.readlink("m"), os.lstat("m").st_nlink], ["c", 2])


@case("rename: over files and empty directories, across directories; what must not be is refused")
def _():
    write("a", b"a")
    write("b", b"b")
    with open("b", "rb") as old:
        os.rename("a", "b")
        same([read("b"), old.read(), os.fstat(old.fileno()).st_nlink], [b"a", b"b", 0])
    os.makedirs("d/e/f")
    os.mkdir("empty")
    os.rename("b", "d/e/f/b")
    same(os.listdir("d/e/f"), ["b"])
    fails(errno.EINVAL, os.rename, "d", "d/e/f/d")
    fails(errno.ENOTEMPTY, os.rename, "empty", "d")
    fails(errno.EISDIR, os.rename, "d/e/f/b", "empty")
    fails(errno.ENOTDIR, os.rename, "empty", "d/e/f/b")
    fails(errno.ENOENT, os.rename, "none", "x")
    fails(errno.ENOENT, os.rename, "d", "none/x")
    fails(errno.EXDEV, os.rename, "d/e/f/b", "/proc/b")
    os.rename("d/e", "empty")
    same([os.listdir("d"), os.listdir("empty"), read("empty/f/b")], [[], ["f"], b"a"])
    same(os.stat("empty/..").st_ino, os.stat(".").st_ino)
    os.chdir("empty/f")
    os.rename("../../empty", "../../moved")
    same([os.path.basename(os.path.dirname(os.getcwd())), read("b")], ["moved", b"a"])
    os.chdir("../..")


@case("renameat2: NOREPLACE refuses, EXCHANGE swaps whatever both are")
def _():
    def rename(old, new, flags):
        call("renameat2", AT_FDCWD, old.encode(), AT_FDCWD, new.encode(), flags)

    write("a", b"a")
    write("b", b"b")
    os.makedirs("d/e")
    fails(errno.EEXIST, rename, "a", "b", RENAME_NOREPLACE)
    rename("a", "c", RENAME_NOREPLACE)
    rename("c", "b", RENAME_EXCHANGE)
    same([read("b"), read("c")], [b"a", b"b"])
    rename("b", "d/e", RENAME_EXCHANGE)
    same([os.path.isdir("b"), read("d/e")], [True, b"a"])
    fails(errno.ENOENT, rename, "b", "none", RENAME_EXCHANGE)
    fails(errno.EINVAL, rename, "b", "c", RENAME_EXCHANGE | RENAME_NOREPLACE)
    sh("echo kept > x; echo new > y; mv --no-clobber y x; grep -q kept x; test -e y")


@case("names: any bytes, 255 of them, and not one more")
def _():
    names = [b"\xff\xfe", b"caf\xe9", "ünï".encode(), b" lead", b"new\nline", b"\\x", b"-rf", b"*", b"...", b"\x01\x7f"]
    names.append(b"n" * 255)
    for name in names:
        write(name, name)
    same(sorted(os.listdir(b".")), sorted(names))
    for name in names:
        same(read(name), name)
    os.rename(b"\xff\xfe", b"\x80\x81")
    same(read(b"\x80\x81"), b"\xff\xfe")
    fails(errno.ENOENT, os.stat, b"\xff\xfe")
    long = "n" * 256
    for attempt in (os.stat, os.mkdir, os.unlink, os.rmdir, lambda name: write(name, b"")):
        fails(errno.ENAMETOOLONG, attempt, long)
    fails(errno.ENAMETOOLONG, os.symlink, "f", long)
    fails(errno.ENAMETOOLONG, os.rename, "caf\udce9", long)
    fails(errno.ENAMETOOLONG, os.link, "caf\udce9", long)
    fails(errno.ENAMETOOLONG, os.stat, "x/" * 2048)


@case("10,000 names: none is lost or doubled, also while others come and go")
def _():
    count = 10_000
    for number in range(count):
        os.close(os.open(f"name-{number}", os.O_CREAT | os.O_WRONLY))
    same(sorted(os.listdir()), sorted(f"name-{number}" for number in range(count)))
    seen, removed = [], set()
    for position, entry in enumerate(os.scandir()):
        seen.append(entry.name)
        if position % 2 == 0 and entry.name.startswith("name-") and entry.name not in removed:
            os.unlink(entry.name)
            removed.add(entry.name)
        if position % 10 == 0:
            write(f"late-{position}", b"")
        if position % 97 == 0 and position < count:
            # Removed unread, it may be seen or not.
            name = f"name-{count - 1 - position}"
            if name not in removed and name not in seen:
                os.unlink(name)
                removed.add(name)
    names = [name for name in seen if name.startswith("name-")]
    same(len(names), len(set(names)), "names that were seen, and different ones")
    staying = {f"name-{number}" for number in range(count)} - removed
    same(staying - set(names), set())
    same({name for name in os.listdir() if name.startswith("name-")}, staying)
    for entry in os.scandir():
        os.unlink(entry.name)
    same(os.listdir(), [])


@case("eight processes at once make, rename, link, read and remove, and find what is theirs")
def _():
    def work(own):
        def run():
            os.makedirs(f"dir-{own}")
            for number in range(60):
                name = f"{own}-{number}"
                write(name, name.encode() * 50)
                os.rename(name, f"dir-{own}/{name}")
                os.link(f"dir-{own}/{name}", f"shared-{name}")
                write("everybody's", name.encode())
                same(read(f"shared-{name}"), name.encode() * 50)
                same(name in os.listdir(f"dir-{own}"), True)
                if number % 3 == 0:
                    os.unlink(f"shared-{name}")
                    os.rename(f"dir-{own}/{name}", "everybody's")

        return run

    with contextlib.ExitStack() as stack:
        for own in range(8):
            stack.enter_context(beside(work(own)))
    shared = [f"shared-{own}-{number}" for own in range(8) for number in range(60) if number % 3 > 0]
    same(sorted(os.listdir()), sorted(["everybody's", *(f"dir-{own}" for own in range(8)), *shared]))
    same({len(os.listdir(f"dir-{own}")) for own in range(8)}, {40})


@case("telldir and seekdir go back to a place")
def _():
    for number in range(500):
        write(f"f{number}", b"")
    for name, result in (("opendir", ctypes.c_void_p), ("readdir", ctypes.c_void_p), ("telldir", ctypes.c_long)):
        getattr(LIBC, name).restype = result
    LIBC.telldir.argtypes = LIBC.readdir.argtypes = LIBC.closedir.argtypes = [ctypes.c_void_p]
    LIBC.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
    handle = LIBC.opendir(b".")

    def rest(most=10_000):
        names = []
        while len(names) < most and (entry := LIBC.readdir(handle)):
            # struct dirent: the name is at 19.
            names.append(ctypes.string_at(entry + 19))
        return names

    first = rest(200)
    place = LIBC.telldir(handle)
    others = rest()
    same(len(set(first + others)), 502)
    LIBC.seekdir(handle, place)
    same(rest(), others)
    LIBC.seekdir(handle, place)
    same(rest(150), others[:150])
    os.unlink("f0")
    write("new", b"")
    LIBC.rewinddir.argtypes = [ctypes.c_void_p]
    LIBC.rewinddir(handle)
    names = rest()
    same([b"f0" in names, b"new" in names, len(names)], [False, True, 502])
    LIBC.closedir(handle)


LIBC = ctypes.CDLL(None)


# attributes


@case("times: to the nanosecond, now, left alone; changes move mtime and ctime")
def _():
    sh("touch -d '2001-02-03 04:05:06.123456789 UTC' f")
    same(os.stat("f").st_mtime_ns, 981173106123456789)
    os.utime("f", ns=(1_000_000_001, 2_000_000_002))
    same([os.stat("f").st_atime_ns, os.stat("f").st_mtime_ns], [1_000_000_001, 2_000_000_002])
    now, omit = (1 << 30) - 1, (1 << 30) - 2

    def times(atime, mtime):
        call("utimensat", AT_FDCWD, b"f", (ctypes.c_long * 4)(0, atime, 0, mtime), 0)

    times(omit, 7)
    same([os.stat("f").st_atime_ns, os.stat("f").st_mtime_ns], [1_000_000_001, 7])
    times(now, omit)
    same([os.stat("f").st_atime_ns > 10**18, os.stat("f").st_mtime_ns], [True, 7])
    os.utime("f", ns=(-1, -1_500_000_000))
    same([os.stat("f").st_atime_ns, os.stat("f").st_mtime_ns], [-1, -1_500_000_000])
    os.utime("f", ns=(2**33 * 10**9, 2**33 * 10**9))
    same(os.stat("f").st_mtime, 2**33)
    before = os.stat("f").st_ctime_ns
    write("f", b"x")
    assert os.stat("f").st_mtime < 2**33 and os.stat("f").st_mtime_ns >= before
    os.utime("f", ns=(0, 0))
    with opened("f", os.O_RDWR) as fd, mmap.mmap(fd, 1) as shared:
        shared[0:1] = b"y"
        shared.flush()
    os.utime(".", ns=(0, 0))
    write("g", b"")
    assert os.stat(".").st_mtime_ns >= before
    os.chmod("g", 0o600)
    assert os.stat("g").st_ctime_ns >= before


@case("modes: set, masked by umask, kept without it")
def _():
    os.umask(0o027)
    write("f", b"")
    os.mkdir("d")
    os.mkfifo("p")
    same([mode("f"), mode("d"), mode("p")], ["0o640", "0o750", "0o640"])
    os.umask(0)
    os.close(os.open("g", os.O_CREAT | os.O_WRONLY, 0o666))
    os.mkdir("e", 0o1777)
    same([mode("g"), mode("e")], ["0o666", "0o1777"])
    for bits in (0o4755, 0o2755, 0o1644, 0o000, 0o777):
        os.chmod("g", bits)
        same(mode("g"), oct(bits))
    with opened("f", os.O_RDONLY) as fd:
        os.fchmod(fd, 0o611)
    same(mode("f"), "0o611")
    with opened("n", os.O_CREAT | os.O_RDWR, 0o000) as fd:
        os.write(fd, b"who made it may use it")
    same(mode("n"), "0o0")


@case("extended attributes: setfattr and getfattr, all of them, created, replaced, removed")
def _():
    write("f", b"")
    os.mkdir("d")
    sh("setfattr -n user.color -v blue f; setfattr -n user.empty f; setfattr -n user.bytes -v 0x00ff0a f d")
    same(sh("getfattr --only-values -n user.color f"), "blue")
    same(sorted(os.listxattr("f")), ["user.bytes", "user.color", "user.empty"])
    same([os.getxattr(name, "user.bytes") for name in ("f", "d")], [b"\0\xff\n"] * 2)
    same(os.getxattr("f", "user.empty"), b"")
    fails(errno.EEXIST, os.setxattr, "f", "user.color", b"", os.XATTR_CREATE)
    fails(errno.ENODATA, os.setxattr, "f", "user.none", b"", os.XATTR_REPLACE)
    fails(errno.ENODATA, os.getxattr, "f", "user.none")
    fails(errno.ENODATA, os.removexattr, "f", "user.none")
    fails(errno.EOPNOTSUPP, os.setxattr, "f", "nonsense.x", b"")
    os.setxattr("f", "user.color", b"c" * 1000, os.XATTR_REPLACE)
    same(os.getxattr("f", "user.color"), b"c" * 1000)
    if KIND == "memory":
        os.setxattr("f", "user.most", b"m" * 65536)
        same(os.getxattr("f", "user.most"), b"m" * 65536)
        os.removexattr("f", "user.most")
    small = ctypes.create_string_buffer(10)
    fails(errno.ERANGE, call, "getxattr", b"f", b"user.color", small, 10)
    sh("setfattr -x user.empty f; getfattr -d f | grep -q user.bytes")
    same(sorted(os.listxattr("f")), ["user.bytes", "user.color"])
    os.rename("f", "g")
    same(os.getxattr("g", "user.bytes"), b"\0\xff\n")
    os.symlink("g", "l")
    same(os.getxattr("l", "user.bytes"), b"\0\xff\n")
    fails(errno.EPERM, os.setxattr, "l", "user.x", b"", 0, follow_symlinks=False)


@case("statfs: df tells size and room")
def _():
    numbers = [int(word) for word in sh("df --output=size,used,avail,itotal -B1 . | tail -1").split()]
    assert numbers[0] >= numbers[2] > 0 and numbers[3] >= 0, numbers
    same(os.statvfs(".").f_namemax, 255)
    if KIND == "memory":
        used = os.statvfs(".").f_bfree
        write("f", b"x" * MIB)
        same((used - os.statvfs(".").f_bfree) * os.statvfs(".").f_frsize, MIB)
        os.unlink("f")
        same(os.statvfs(".").f_bfree, used)


# processes


@case("flock: exclusive between processes, shared by many, given back with the descriptor")
def _():
    write("f", b"")

    def tries(how):
        def run():
            with opened("f", os.O_RDWR) as fd:
                try:
                    fcntl.flock(fd, how | fcntl.LOCK_NB)
                    return True
                except BlockingIOError:
                    return False

        return elsewhere(run)

    with opened("f", os.O_RDWR) as fd:
        fcntl.flock(fd, fcntl.LOCK_EX)
        same([tries(fcntl.LOCK_EX), tries(fcntl.LOCK_SH)], [False, False])
        fcntl.flock(fd, fcntl.LOCK_SH)
        same([tries(fcntl.LOCK_EX), tries(fcntl.LOCK_SH)], [False, True])
    same(tries(fcntl.LOCK_EX), True)
    sh("flock f sh -c '! flock --nonblock f true'")


@case("fcntl locks: by range, between processes; F_GETLK tells who; waiting ends when it is given back")
def _():
    write("f", b"0123456789")

    def tries(start, length):
        def run():
            with opened("f", os.O_RDWR) as fd:
                try:
                    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
                    return True
                except OSError:
                    return False

        return elsewhere(run)

    with opened("f", os.O_RDWR) as fd:
        fcntl.lockf(fd, fcntl.LOCK_EX, 4, 2)
        same([tries(0, 2), tries(5, 1), tries(6, 4), tries(0, 0)], [True, False, True, False])

        def asks():
            # struct flock: type, whence, start, length, pid.
            with opened("f", os.O_RDWR) as other:
                answer = fcntl.fcntl(other, fcntl.F_GETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
            return struct.unpack("hhqqi4x", answer)

        same(elsewhere(asks), [fcntl.F_WRLCK, 0, 2, 4, os.getpid()])

        def waits():
            with opened("f", os.O_RDWR) as mine:
                fcntl.lockf(mine, fcntl.LOCK_EX, 1, 3)
                os.pwrite(mine, b"!", 9)

        with beside(waits):
            same(os.pread(fd, 1, 9), b"9")
            fcntl.lockf(fd, fcntl.LOCK_UN, 4, 2)
        same(os.pread(fd, 1, 9), b"!")
        same(tries(2, 4), True)


@case("fifos, sockets: what is written on one side is read on the other")
def _():
    os.mkfifo("fifo", 0o600)
    same(stat.S_ISFIFO(os.stat("fifo").st_mode), True)
    with beside(lambda: write("fifo", b"through a fifo")):
        same(read("fifo"), b"through a fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
        same(stat.S_ISSOCK(os.stat("sock").st_mode), True)
        server.listen()

        def ask():
            with socket.socket(socket.AF_UNIX) as client:
                client.connect("sock")
                client.sendall(b"hello")

        with beside(ask):
            connection = server.accept()[0]
            same(connection.recv(100), b"hello")
            connection.close()
        fails(errno.EADDRINUSE, socket.socket(socket.AF_UNIX).bind, "sock")
    fails(errno.ENXIO, os.open, "sock", os.O_RDONLY)


@case("devices: made and told, and not opened on a mount without them", root=True)
def _():
    try:
        os.mknod("zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError as error:
        raise Skip(f"mknod: {error}")
    same([os.stat("zero").st_rdev, stat.S_ISCHR(os.stat("zero").st_mode)], [os.makedev(1, 5), True])
    fails(errno.EACCES, os.open, "zero", os.O_RDONLY)


@case("programs are run from it, and not written to meanwhile")
def _():
    write("script", b"#!/bin/sh\necho ran $1\n")
    fails(errno.EACCES, subprocess.run, ["./script"])
    os.chmod("script", 0o755)
    same(sh("./script well"), "ran well\n")
    shutil.copy("/bin/cat", "cat")
    with subprocess.Popen(["./cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as cat:
        fails(errno.ETXTBSY, os.open, "cat", os.O_WRONLY)
        same(cat.communicate(b"through it")[0], b"through it")
    os.close(os.open("cat", os.O_WRONLY))


@case("file handles open what they name", root=True)
def _():
    write("f", b"by handle")

    class Handle(ctypes.Structure):
        _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_char * 128)]

    handle, mount = Handle(bytes=128), ctypes.c_int()
    call("name_to_handle_at", AT_FDCWD, b"f", ctypes.byref(handle), ctypes.byref(mount), 0)
    with opened(".", os.O_RDONLY) as place:
        fd = call("open_by_handle_at", place, ctypes.byref(handle), os.O_RDONLY)
    same(os.read(fd, 100), b"by handle")
    os.close(fd)


# users


@case("owners: chown by root alone; it ends set-user-ID; groups by their members", root=True)
def _():
    write("f", b"")
    os.chmod("f", 0o6755)
    os.chown("f", ALICE, CREW)
    same([os.stat("f").st_uid, os.stat("f").st_gid, mode("f")], [ALICE, CREW, "0o755"])
    os.chown("f", -1, BOB)
    same([os.stat("f").st_uid, os.stat("f").st_gid], [ALICE, BOB])
    os.symlink("f", "l")
    os.lchown("l", BOB, BOB)
    same([os.lstat("l").st_uid, os.stat("l").st_uid], [BOB, ALICE])

    def alice():
        fails(errno.EPERM, os.chown, "f", BOB, -1)
        fails(errno.EPERM, os.chown, "f", -1, 12345)
        os.chown("f", -1, CREW)

    elsewhere(alice, ALICE, groups=[CREW])

    def bob():
        fails(errno.EPERM, os.chown, "f", BOB, BOB)
        fails(errno.EPERM, os.chmod, "f", 0o777)
        fails(errno.EPERM, os.utime, "f", (1, 1))
        fails(errno.EACCES, os.utime, "f")

    elsewhere(bob, BOB)
    same(os.stat("f").st_gid, CREW)


@case("what a user makes is the user's; a set-group-ID directory gives its group", root=True)
def _():
    os.chmod(".", 0o777)
    os.mkdir("crew")
    os.chown("crew", 0, CREW)
    os.chmod("crew", 0o2777)

    def make():
        os.umask(0o022)
        for folder in (".", "crew"):
            write(f"{folder}/file", b"")
            os.mkdir(f"{folder}/folder")
            os.symlink("x", f"{folder}/link")
            os.mkfifo(f"{folder}/fifo")
        write("own", b"text")
        os.chmod("own", 0o600)
        write("shared", b"")
        os.chmod("shared", 0o660)
        os.chown("shared", -1, CREW)

    elsewhere(make, ALICE, groups=[CREW])
    for name in ("file", "folder", "link", "fifo"):
        here, there = os.lstat(name), os.lstat(f"crew/{name}")
        same([here.st_uid, here.st_gid, there.st_uid, there.st_gid], [ALICE, ALICE, ALICE, CREW], name)
    same([mode("crew/folder"), mode("folder"), mode("crew/file")], ["0o2755", "0o755", "0o644"])


@case("permissions: who may not read, write, enter, list or remove is refused", root=True)
def _():
    write("secret", b"for root")
    os.chmod("secret", 0o600)
    write("group", b"for the crew")
    os.chown("group", 0, CREW)
    os.chmod("group", 0o640)
    os.mkdir("closed", 0o700)
    write("closed/in", b"")
    os.mkdir("blind")
    os.chmod("blind", 0o711)
    write("blind/known", b"known")
    os.mkdir("sticky")
    os.chmod("sticky", 0o1777)
    write("sticky/roots", b"")

    def stranger():
        for attempt in (read, lambda path: os.open(path, os.O_WRONLY), lambda path: os.truncate(path, 0)):
            fails(errno.EACCES, attempt, "secret")
        fails(errno.EACCES, read, "group")
        fails(errno.EACCES, os.stat, "closed/in")
        fails(errno.EACCES, os.listdir, "closed")
        fails(errno.EACCES, os.chdir, "closed")
        fails(errno.EACCES, os.listdir, "blind")
        same(read("blind/known"), b"known")
        fails(errno.EACCES, os.unlink, "secret")
        fails(errno.EACCES, os.rename, "secret", "sticky/mine")
        fails(errno.EACCES, os.mkdir, "new")
        fails(errno.EPERM, os.unlink, "sticky/roots")
        fails(errno.EPERM, os.rename, "sticky/roots", "sticky/mine")
        write("sticky/mine", b"")
        os.unlink("sticky/mine")
        same([os.access(name, os.R_OK) for name in ("secret", "blind/known")], [False, True])
        same(os.access("blind/known", os.W_OK), False)

    elsewhere(stranger, ALICE)
    same(elsewhere(lambda: read("group").decode(), ALICE, groups=[CREW]), "for the crew")
    same(elsewhere(lambda: read("group").decode(), ALICE, gid=CREW), "for the crew")


@case("set-user-ID and set-group-ID end with a write, a truncation or a reservation by a user, not by root", root=True)
def _():
    changes = {
        "write": lambda path: sh(f"echo x >> {path}"),
        "truncate": lambda path: os.truncate(path, 1),
        "open": lambda path: os.close(os.open(path, os.O_WRONLY | os.O_TRUNC)),
        "fallocate": lambda path: sh(f"fallocate --length 100 {path}"),
        "mmap-free": lambda path: sh(f"dd if=/dev/zero of={path} bs=1 count=1 conv=notrunc status=none"),
    }
    for name, change in changes.items():
        write(name, b"text")
        os.chmod(name, 0o6777)
        elsewhere(lambda: change(name), ALICE)
        same(mode(name), "0o777", name)
    write("roots", b"text")
    os.chmod("roots", 0o6777)
    sh("echo x >> roots")
    same(mode("roots"), "0o6777")


if __name__ == "__main__":
    main(FOLDER)
