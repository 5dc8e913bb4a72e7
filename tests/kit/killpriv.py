"""What becomes of set-id bits and capabilities where files in FOLDER, which is root's and empty, are changed: a line each.

    killpriv.py FOLDER
"""
import errno, os, struct, sys

root = sys.argv[1]
os.umask(0)
OWNER, GROUP = 1000, 50
CAPABILITY = struct.pack("<IIIII", 0x02000000, 1 << 10, 0, 0, 0)

# name: uid, gid, further groups
PEOPLE = {
    "root": (0, 0, []),
    "owner": (OWNER, 1000, [GROUP]),
    "owner outside": (OWNER, 1000, []),
    "member": (1001, 1001, [GROUP]),
    "stranger": (1002, 1002, []),
}
# Both set-id bits, with and without group execution; set-group-id alone, that stays with some; neither.
MODES = [0o6777, 0o6666, 0o2666, 0o777]


def path(name="file"):
    return os.path.join(root, name)


def opened(flags, name="file"):
    return os.open(path(name), flags)


def append():
    fd = opened(os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"1")
    os.write(fd, b"2")


def copy():
    os.copy_file_range(opened(os.O_RDONLY, "from"), opened(os.O_WRONLY), 4, 0, 0)


STEPS = {
    "nothing": lambda: os.close(opened(os.O_RDWR)),
    "empty write": lambda: os.write(opened(os.O_WRONLY), b""),
    "write": lambda: os.write(opened(os.O_WRONLY), b"data"),
    "append": append,
    "truncate": lambda: os.truncate(path(), 2),
    "ftruncate": lambda: os.ftruncate(opened(os.O_RDWR), 2),
    "O_TRUNC": lambda: os.close(opened(os.O_WRONLY | os.O_TRUNC)),
    "O_CREAT O_TRUNC": lambda: os.close(opened(os.O_WRONLY | os.O_CREAT | os.O_TRUNC)),
    "fallocate": lambda: os.posix_fallocate(opened(os.O_WRONLY), 0, 100),
    "copy_file_range": copy,
    "chown": lambda: os.chown(path(), OWNER, -1),
    "chgrp": lambda: os.chown(path(), -1, GROUP),
    "chgrp to own": lambda: os.chown(path(), -1, os.getgid()),
    "chown of nothing": lambda: os.chown(path(), -1, -1),
    "chmod": lambda: os.chmod(path(), 0o6640),
}


def outcome(who, step):
    """Does it as somebody, and says what came of it."""
    there, back = os.pipe()
    pid = os.fork()
    if pid == 0:
        uid, gid, groups = PEOPLE[who]
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        try:
            step()
            said = "ok"
        except OSError as error:
            said = errno.errorcode[error.errno]
        os.write(back, said.encode())
        os._exit(0)
    os.close(back)
    said = os.read(there, 100).decode()
    os.close(there)
    os.waitpid(pid, 0)
    return said


def capable():
    try:
        return len(os.getxattr(path(), "security.capability")) > 0
    except OSError as error:
        assert error.errno == errno.ENODATA, error
        return False


with open(path("from"), "w") as source:
    source.write("more")
os.chmod(path("from"), 0o666)
for mode in MODES:
    for who in PEOPLE:
        for name, step in STEPS.items():
            for capability in [False, True] if mode in (0o6777, 0o777) else [False]:
                with open(path(), "w") as file:
                    file.write("content")
                os.chown(path(), OWNER, GROUP)
                os.chmod(path(), mode)
                if capability:
                    os.setxattr(path(), "security.capability", CAPABILITY)
                said = outcome(who, step)
                left = " capable" if capable() else ""
                st = os.stat(path())
                before = " capable" if capability else ""
                print(f"{mode:o}{before} {who} {name}: {said} {st.st_mode & 0o7777:o}{left} {st.st_uid}:{st.st_gid}")
                os.unlink(path())
