"""The client of record.ts: system calls below a mountpoint that make the kernel send each of its requests."""
import ctypes
import errno
import fcntl
import os
import select
import signal
import struct
import sys

mountpoint, what = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100


def p(name=""):
    return os.path.join(mountpoint, name)


def call(name, *args):
    """A function of the C library; OSError where it fails, also after a signal."""
    ctypes.set_errno(0)
    result = getattr(libc, name)(*[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def fails(number, function, *args):
    try:
        function(*args)
    except OSError as error:
        assert error.errno == number, error
    else:
        raise AssertionError("%s succeeded" % function)


def flock(kind, start=0, length=0):
    """struct flock"""
    return struct.pack("=hhxxxxqqixxxx", kind, os.SEEK_SET, start, length, 0)


def attributes():
    os.stat(p("file"))
    fails(errno.ENOENT, os.stat, p("nothing"))
    # STATX_BASIC_STATS and STATX_BTIME
    call("statx", AT_FDCWD, os.fsencode(p("file")), 0, 0xfff, ctypes.create_string_buffer(256))
    os.chmod(p("file"), 0o640)
    os.chown(p("file"), 1000, 2000)
    os.utime(p("file"), ns=(1700000000123456789, 1700000001987654321))
    os.utime(p("file"))
    os.truncate(p("file"), 10)
    os.access(p("file"), os.R_OK | os.W_OK)
    os.statvfs(p())
    os.readlink(p("link"))


def names():
    os.mkdir(p("made-directory"), 0o750)
    os.mkfifo(p("made-fifo"), 0o600)
    os.symlink("somewhere/else", p("made-link"))
    os.link(p("file"), p("made-name"))
    os.rename(p("made-name"), p("made-other"))
    # RENAME_NOREPLACE
    call("renameat2", AT_FDCWD, os.fsencode(p("made-other")), AT_FDCWD, os.fsencode(p("made-again")), 1)
    os.unlink(p("made-fifo"))
    os.rmdir(p("made-directory"))
    fails(errno.EEXIST, os.mkdir, p("file"))


def files():
    fd = os.open(p("made-file"), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
    os.write(fd, b"written\n")
    os.close(fd)
    fd = os.open(p("directory"), os.O_TMPFILE | os.O_RDWR, 0o600)
    os.close(fd)
    fd = os.open(p("file"), os.O_RDWR)
    assert os.pread(fd, 100, 0).startswith(b"The quick")
    os.pwrite(fd, b"brown", 4)
    os.fsync(fd)
    os.fdatasync(fd)
    # FALLOC_FL_KEEP_SIZE
    call("fallocate", fd, 1, 0, 4096)
    os.lseek(fd, 3, os.SEEK_DATA)
    os.lseek(fd, 3, os.SEEK_HOLE)
    other = os.open(p("other"), os.O_RDWR)
    os.copy_file_range(fd, other, 9, 0, 100)
    # The file system no longer knows the newer of the two.
    os.copy_file_range(fd, other, 9, 0, 200)
    data = bytearray(b"abcdefgh")
    # _IOWR('w', 1, char[8])
    fcntl.ioctl(fd, 3 << 30 | 8 << 16 | ord("w") << 8 | 1, data)
    assert data == b"hgfedcba", data
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll(0)
    os.close(other)
    os.close(fd)


def xattrs():
    os.setxattr(p("file"), "user.new", b"a\0value")
    os.getxattr(p("file"), "user.comment")
    call("getxattr", os.fsencode(p("file")), b"user.comment", None, 0)
    fails(errno.ENODATA, os.getxattr, p("file"), "user.none")
    os.listxattr(p("file"))
    os.removexattr(p("file"), "user.new")


def directories():
    fd = os.open(p(), os.O_RDONLY | os.O_DIRECTORY)
    assert sorted(os.listdir(fd)) == ["directory", "file", "link", "other"]
    os.fsync(fd)
    data = bytearray(b"12345678")
    fcntl.ioctl(fd, 3 << 30 | 8 << 16 | ord("w") << 8 | 1, data)
    os.close(fd)


def locks():
    fd = os.open(p("file"), os.O_RDWR)
    fcntl.fcntl(fd, fcntl.F_GETLK, flock(fcntl.F_WRLCK, 5, 10))
    fcntl.fcntl(fd, fcntl.F_SETLK, flock(fcntl.F_RDLCK, 5, 10))
    fcntl.fcntl(fd, fcntl.F_SETLKW, flock(fcntl.F_WRLCK, 20, 10))
    fcntl.flock(fd, fcntl.LOCK_EX)
    # The one that the file system makes wait.
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.3)
    fails(errno.EINTR, call, "fcntl", fd, fcntl.F_SETLKW, ctypes.create_string_buffer(flock(fcntl.F_WRLCK, 77, 1)))
    signal.setitimer(signal.ITIMER_REAL, 0)
    os.close(fd)


def groups():
    """As a user to whose groups that of the directory belongs."""
    pid = os.fork()
    if pid == 0:
        os.setgroups([2000, 3000])
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
        os.umask(0o027)
        os.mkdir(p("made-by-user"), 0o777)
        os.close(os.open(p("made-file-by-user"), os.O_CREAT | os.O_WRONLY, 0o666))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def block():
    fd = os.open(p("file"), os.O_RDWR)
    # FIBMAP
    fcntl.ioctl(fd, 1, bytearray(struct.pack("i", 3)))
    call("syncfs", fd)
    os.close(fd)
    os.listdir(p())


if what == "all":
    for part in (attributes, names, files, xattrs, directories, locks, groups):
        part()
else:
    block()
