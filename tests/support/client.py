"""What the clients of these tests share: system calls that Python has no name for, and answers in lines of JSON."""
import ctypes
import errno
import fcntl
import json
import mmap
import os
import select
import signal
import stat
import struct
import sys

M = sys.argv[1] if len(sys.argv) > 1 else ""
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
# Linux has one number for both, and Python knows it by the other name.
errno.errorcode[errno.EOPNOTSUPP] = "EOPNOTSUPP"
libc = ctypes.CDLL(None, use_errno=True)
u32, u64 = ctypes.c_uint32, ctypes.c_uint64


def p(*names):
    """A path below the mountpoint, as bytes."""
    return os.fsencode("/".join((M,) + names))


def say(*values):
    """Tells the test one value, or a list of several."""
    print(json.dumps(values[0] if len(values) == 1 else values), flush=True)


def wait():
    """Waits until the test says to go on."""
    if not sys.stdin.readline():
        sys.exit("the test is gone")


def call(name, *args):
    """A function of the C library: its value, or OSError. Unlike Python's own it is not called again after EINTR."""
    ctypes.set_errno(0)
    function = getattr(libc, name)
    function.restype = ctypes.c_long if name == "lseek" else ctypes.c_int
    result = function(*[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, name + ": " + os.strerror(number))
    return result


def err(function, *args, **kwargs):
    """Name of the errno that a call fails with, or "ok"."""
    try:
        function(*args, **kwargs)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"


def opened(name, flags=os.O_RDONLY, mode=0o666):
    return os.open(p(name), flags, mode)


def read(name):
    """A file's content, read by open, pread and close."""
    fd = opened(name)
    try:
        return os.pread(fd, 1 << 20, 0).decode("latin1")
    finally:
        os.close(fd)


class Mapping:
    """A shared mapping that can be written. Python's own keeps a duplicate of the descriptor, this one does not."""

    def __init__(self, fd, size):
        libc.mmap.restype = ctypes.c_void_p
        at = libc.mmap(None, ctypes.c_size_t(size), 3, 1, fd, ctypes.c_long(0))
        if at == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), "mmap")
        self.at, self.size = at, size

    def load(self):
        return ctypes.string_at(self.at, self.size)

    def store(self, data):
        ctypes.memmove(self.at, data, len(data))

    def close(self):
        libc.munmap(ctypes.c_void_p(self.at), ctypes.c_size_t(self.size))


def alarm(seconds=0.2):
    """A signal comes after so many seconds, and again lest it was too early; it interrupts, and does no more."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.3)


def become(uid, gid, *groups):
    """Goes on as another user, without capabilities."""
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def idmapped():
    """A detached clone of the mount, in which 0 to 999 are 10000 to 10999. EINVAL: the mount cannot be mapped."""
    asleep, awake = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        call("unshare", 0x10000000)
        os.write(awake[1], b"x")
        os.read(asleep[0], 1)
        os._exit(0)
    os.read(awake[0], 1)
    for kind in ("uid", "gid"):
        with open("/proc/%d/%s_map" % (pid, kind), "w") as ids:
            ids.write("0 10000 1000")
    namespace = os.open("/proc/%d/ns/user" % pid, os.O_RDONLY)
    os.write(asleep[1], b"x")
    os.waitpid(pid, 0)
    # open_tree(2) with OPEN_TREE_CLONE, mount_setattr(2) with MOUNT_ATTR_IDMAP.
    tree = call("syscall", 428, AT_FDCWD, p(), 1)
    call("syscall", 442, tree, b"", AT_EMPTY_PATH, struct.pack("QQQQ", 0x100000, 0, 0, namespace), 32)
    return tree


def statx(name, flags=0, mask=0xfff):
    """Fields of struct statx."""
    buffer = ctypes.create_string_buffer(256)
    call("statx", AT_FDCWD, p(name), flags, mask, buffer)
    got, blksize, attributes, nlink, uid, gid, mode = struct.unpack_from("=IIQIIIH", buffer, 0)
    ino, size, blocks, attributes_mask = struct.unpack_from("=QQQQ", buffer, 32)
    kinds = (("atime", 64), ("btime", 80), ("ctime", 96), ("mtime", 112))
    times = {kind: struct.unpack_from("=qI", buffer, at) for kind, at in kinds}
    rdev = struct.unpack_from("=II", buffer, 128)
    return dict(mask=got, blksize=blksize, attributes=attributes, nlink=nlink, uid=uid, gid=gid, mode=mode, ino=ino,
                size=size, blocks=blocks, attributesMask=attributes_mask, rdev=rdev, **times)


def flock(kind, start=0, length=0):
    """A struct flock of a 64-bit system."""
    return ctypes.create_string_buffer(struct.pack("=hhxxxxqqixxxx", kind, os.SEEK_SET, start, length, 0))


def iowr(direction, kind, number, size):
    """A request number of ioctl(2): direction 1 tells the kernel ("w"), 2 asks it ("r"), 3 both."""
    return direction << 30 | size << 16 | ord(kind) << 8 | number
