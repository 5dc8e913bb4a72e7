"""What different users may do in FOLDER, which is root's and empty, and what becomes theirs: one line for each step.

    people.py FOLDER
"""
import ctypes, errno, os, socket, stat, struct, sys

root = sys.argv[1]
os.umask(0)
libc = ctypes.CDLL(None, use_errno=True)

# name: uid, gid, further groups
PEOPLE = {
    "root": (0, 0, []),
    "ann": (1000, 1000, [50]),
    "bob": (1001, 1001, [50]),
    "eve": (1002, 1002, []),
}


def acl(*entries):
    """The value of an access control list."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, perm, id & 0xFFFFFFFF) for tag, perm, id in entries)


def who(name, step, call, umask=0):
    """Makes a call as somebody, and prints what comes of it."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    uid, gid, groups = PEOPLE[name]
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    os.umask(umask)
    try:
        os.chdir("/")
        result = call()
    except OSError as error:
        result = errno.errorcode[error.errno]
    print(f"{name} {step}: {result}", flush=True)
    os._exit(0)


def path(*names):
    return os.path.join(root, *names)


def look(*names):
    """Owner, group and mode of something."""
    st = os.lstat(path(*names))
    print(f"  {'/'.join(names)}: {st.st_uid}:{st.st_gid} {oct(st.st_mode)} nlink {st.st_nlink}")


def attempt(call):
    try:
        return call() or "ok"
    except OSError as error:
        return errno.errorcode[error.errno]


def make(name, mode=0o644, flags=os.O_CREAT | os.O_EXCL | os.O_RDWR, data=b"data"):
    fd = os.open(path(name), flags, mode)
    os.write(fd, data)
    os.close(fd)


def read(name):
    fd = os.open(path(name), os.O_RDONLY)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def write(name, flags=0):
    fd = os.open(path(name), os.O_WRONLY | flags)
    try:
        return os.write(fd, b"more")
    finally:
        os.close(fd)


def bind(name):
    s = socket.socket(socket.AF_UNIX)
    here = os.open(os.path.dirname(path(name)), os.O_PATH)
    s.bind(f"/proc/self/fd/{here}/{os.path.basename(name)}")


def tmpfile(folder, name):
    fd = os.open(path(folder), os.O_TMPFILE | os.O_RDWR, 0o640)
    # os.link follows no symbolic link.
    if libc.linkat(-100, f"/proc/self/fd/{fd}".encode(), -100, path(name).encode(), 0x400):
        raise OSError(ctypes.get_errno(), "linkat")


os.chmod(root, 0o755)
os.mkdir(path("open"), 0o777)
os.chmod(path("open"), 0o777)
os.mkdir(path("sticky"), 0o777)
os.chmod(path("sticky"), 0o1777)
os.mkdir(path("team"), 0o777)
os.chown(path("team"), 0, 50)
os.chmod(path("team"), 0o2775)
os.mkdir(path("private"), 0o700)
os.chown(path("private"), 1000, 1000)

print("# everything that is made belongs to who made it")
for name in "root", "ann", "bob":
    who(name, "creates", lambda: make(f"open/file-{name}", 0o666), umask=0o027)
    who(name, "mkdir", lambda: os.mkdir(path(f"open/dir-{name}"), 0o777), umask=0o022)
    who(name, "symlink", lambda: os.symlink("nowhere", path(f"open/link-{name}")))
    who(name, "fifo", lambda: os.mkfifo(path(f"open/fifo-{name}"), 0o666), umask=0o077)
    who(name, "socket", lambda: bind(f"open/socket-{name}"), umask=0o022)
    who(name, "mknod", lambda: os.mknod(path(f"open/node-{name}"), 0o644 | stat.S_IFREG))
    who(name, "device", lambda: os.mknod(path(f"open/dev-{name}"), 0o644 | stat.S_IFCHR, os.makedev(1, 3)))
    who(name, "tmpfile", lambda: tmpfile("open", f"open/tmp-{name}"), umask=0o022)
    for kind in "file", "dir", "link", "fifo", "socket", "node", "dev", "tmp":
        if os.path.lexists(path(f"open/{kind}-{name}")):
            look("open", f"{kind}-{name}")

print("# set-id bits of what is made, and of what is changed")
for name in "root", "ann", "eve":
    who(name, "creates set-id", lambda: make(f"open/setid-{name}", 0o6777))
    look("open", f"setid-{name}")
    who(name, "creates set-id, writes later", lambda: make(f"open/later-{name}", 0o6755, data=b""))
    look("open", f"later-{name}")
    who(name, "mkdir set-gid", lambda: os.mkdir(path(f"open/sd-{name}"), 0o6777))
    look("open", f"sd-{name}")
    who(name, "writes another's", lambda: (os.chmod(path(f"open/later-{name}"), 0o6777), None)[1])
    who("bob", "writes it", lambda: write(f"open/later-{name}"))
    look("open", f"later-{name}")
    who(name, "truncates", lambda: (os.chmod(path(f"open/later-{name}"), 0o6777), os.truncate(path(f"open/later-{name}"), 1))[1])
    look("open", f"later-{name}")
    who(name, "opens with O_TRUNC", lambda: (os.chmod(path(f"open/later-{name}"), 0o6777), write(f"open/later-{name}", os.O_TRUNC))[1])
    look("open", f"later-{name}")
    who(name, "fallocate", lambda: (os.chmod(path(f"open/later-{name}"), 0o6777), os.posix_fallocate(os.open(path(f"open/later-{name}"), os.O_RDWR), 0, 9999))[1])
    look("open", f"later-{name}")
    who(name, "chown to self", lambda: (os.chmod(path(f"open/later-{name}"), 0o6777), os.chown(path(f"open/later-{name}"), os.getuid(), os.getgid()))[1])
    look("open", f"later-{name}")
    who(name, "chown -1", lambda: (os.chmod(path(f"open/later-{name}"), 0o6777), os.chown(path(f"open/later-{name}"), -1, -1))[1])
    look("open", f"later-{name}")

print("# a set-group-id directory")
for name in "root", "ann", "eve":
    who(name, "creates", lambda: make(f"team/f-{name}", 0o664))
    who(name, "creates set-gid", lambda: make(f"team/g-{name}", 0o2775))
    who(name, "mkdir", lambda: os.mkdir(path(f"team/d-{name}"), 0o755))
    who(name, "symlink", lambda: os.symlink("x", path(f"team/l-{name}")))
    who(name, "fifo", lambda: os.mkfifo(path(f"team/p-{name}"), 0o600))
    who(name, "tmpfile", lambda: tmpfile("team", f"team/t-{name}"))
    for kind in "fgdlpt":
        if os.path.lexists(path(f"team/{kind}-{name}")):
            look("team", f"{kind}-{name}")

print("# access")
who("ann", "creates", lambda: make("open/secret", 0o640))
os.chown(path("open/secret"), 1000, 50)
for name in PEOPLE:
    who(name, "reads secret", lambda: read("open/secret"))
    who(name, "writes secret", lambda: write("open/secret"))
    who(name, "truncates secret", lambda: os.truncate(path("open/secret"), 2))
    who(name, "access", lambda: [os.access(path("open/secret"), m, effective_ids=True) for m in (0, 1, 2, 4, 6)])
    who(name, "getxattr", lambda: attempt(lambda: os.getxattr(path("open/secret"), "user.none")))
    who(name, "setxattr", lambda: attempt(lambda: os.setxattr(path("open/secret"), "user.a", b"x")))
    who(name, "removexattr", lambda: attempt(lambda: os.removexattr(path("open/secret"), "user.a")))
    who(name, "trusted", lambda: attempt(lambda: os.setxattr(path("open/secret"), "trusted.a", b"x")))
    who(name, "chmod", lambda: os.chmod(path("open/secret"), 0o640))
    who(name, "chgrp to 50", lambda: os.chown(path("open/secret"), -1, 50))
    who(name, "chgrp to 60", lambda: os.chown(path("open/secret"), -1, 60))
    os.chown(path("open/secret"), 1000, 50)
    who(name, "chown to self", lambda: os.chown(path("open/secret"), os.getuid(), -1))
    os.chown(path("open/secret"), 1000, 50)
    who(name, "touch", lambda: os.utime(path("open/secret")))
    who(name, "utime", lambda: os.utime(path("open/secret"), (1, 2)))
    who(name, "private", lambda: [attempt(lambda: os.stat(path("private", "x")) and None), attempt(lambda: sorted(os.listdir(path("private")))), attempt(lambda: make("private/x"))])
    who(name, "chdir", lambda: os.chdir(path("private")))
    who(name, "link", lambda: os.link(path("open/secret"), path(f"private/link-{name}")))

print("# execution")
script = b"#!/bin/sh\nexit 0\n"
make("open/run", 0o711, data=script)
make("open/norun", 0o644, data=script)
with open("/bin/true", "rb") as binary:
    make("open/binary", 0o711, data=binary.read())


def execute(name):
    pid = os.fork()
    if pid == 0:
        try:
            os.execv(path(name), [name])
        except OSError as error:
            os._exit(error.errno)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


for name in "root", "eve":
    who(name, "executes", lambda: [execute("open/binary"), execute("open/norun")])

print("# removing and renaming")
for name in "ann", "bob", "root":
    who("ann", "creates", lambda: make(f"sticky/f-{name}", 0o666))
    who("bob", "creates", lambda: make(f"sticky/b-{name}", 0o666))
    who(name, "renames", lambda: os.rename(path(f"sticky/f-{name}"), path(f"sticky/r-{name}")))
    who(name, "renames over", lambda: os.rename(path(f"sticky/b-{name}"), path(f"sticky/f-{name}")))
    who(name, "unlinks", lambda: os.unlink(path(f"sticky/f-{name}")))
    who(name, "mkdir", lambda: os.mkdir(path(f"sticky/d-{name}")))
    who("eve", "rmdir", lambda: os.rmdir(path(f"sticky/d-{name}")))
    who("eve", "unlinks in team", lambda: os.unlink(path(f"team/f-{name}")))
who("ann", "makes a directory", lambda: os.mkdir(path("open/moved"), 0o555))
who("bob", "moves it, which writes it", lambda: os.rename(path("open/moved"), path("sticky/moved")))
who("ann", "moves it, which writes it", lambda: os.rename(path("open/moved"), path("sticky/moved")))
who("ann", "renames it in place", lambda: os.rename(path("open/moved"), path("open/moved2")))
print(sorted(os.listdir(path("sticky"))), sorted(os.listdir(path("team"))), sorted(os.listdir(path("private"))))

print("# access control lists")
os.mkdir(path("acl"), 0o777)
os.chmod(path("acl"), 0o777)
ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
for_bob = acl((1, 7, -1), (2, 7, 1001), (4, 5, -1), (0x10, 7, -1), (0x20, 0, -1))
for_group = acl((1, 6, -1), (4, 0, -1), (8, 4, 50), (0x10, 4, -1), (0x20, 0, -1))
who("ann", "creates", lambda: make("acl/a", 0o600))
who("bob", "sets another's list", lambda: os.setxattr(path("acl/a"), ACCESS, for_bob))
who("ann", "sets a list", lambda: os.setxattr(path("acl/a"), ACCESS, for_bob))
look("acl", "a")
for name in PEOPLE:
    who(name, "reads, writes", lambda: [attempt(lambda: read("acl/a") and None), attempt(lambda: write("acl/a") and None)])
who("ann", "chmod", lambda: os.chmod(path("acl/a"), 0o640))
print(os.getxattr(path("acl/a"), ACCESS).hex(), os.listxattr(path("acl/a")))
for name in PEOPLE:
    who(name, "reads, writes", lambda: [attempt(lambda: read("acl/a") and None), attempt(lambda: write("acl/a") and None)])
who("ann", "sets a list for a group", lambda: os.setxattr(path("acl/a"), ACCESS, for_group))
for name in PEOPLE:
    who(name, "reads, writes", lambda: [attempt(lambda: read("acl/a") and None), attempt(lambda: write("acl/a") and None)])
who("ann", "removes the list", lambda: os.removexattr(path("acl/a"), ACCESS))
who("ann", "removes it again", lambda: os.removexattr(path("acl/a"), ACCESS))
look("acl", "a")
print(os.listxattr(path("acl/a")))
who("ann", "a default list on a file", lambda: os.setxattr(path("acl/a"), DEFAULT, for_bob))
who("ann", "no list", lambda: os.setxattr(path("acl/a"), ACCESS, b"nonsense"))
who("ann", "mkdir", lambda: os.mkdir(path("acl/d"), 0o777))
who("ann", "sets a default list", lambda: os.setxattr(path("acl/d"), DEFAULT, for_bob))
look("acl", "d")
who("ann", "creates", lambda: make("acl/d/f", 0o666), umask=0o077)
who("ann", "mkdir", lambda: os.mkdir(path("acl/d/d"), 0o777), umask=0o077)
who("ann", "symlink", lambda: os.symlink("x", path("acl/d/l")))
who("ann", "fifo", lambda: os.mkfifo(path("acl/d/p"), 0o666), umask=0o077)
who("ann", "tmpfile", lambda: tmpfile("acl/d", "acl/d/t"), umask=0o077)
for kind in "fdlpt":
    look("acl", "d", kind)
    print(attempt(lambda: os.getxattr(path("acl/d", kind), ACCESS, follow_symlinks=False).hex()))
print(os.getxattr(path("acl/d/d"), DEFAULT).hex())
who("bob", "creates in it", lambda: make("acl/d/b", 0o666), umask=0o077)
who("eve", "creates in it", lambda: make("acl/d/e", 0o666))
look("acl", "d", "b")
