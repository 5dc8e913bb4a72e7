"""Trees to copy and to compare."""

import os
import stat

from cases import MIB, write


def plant(folder):
    """A tree of all that archives know."""
    os.makedirs(f"{folder}/deep/er/and/deeper")
    os.makedirs(f"{folder}/empty")
    for number in range(120):
        write(f"{folder}/deep/{number}", f"{number}\n".encode() * number)
    write(f"{folder}/deep/er/large", os.urandom(3 * MIB + 5))
    write(f"{folder}/deep/er/and/nothing", b"")
    write(os.fsencode(folder) + b"/caf\xe9", b"a name that is no text")
    os.link(f"{folder}/deep/7", f"{folder}/deep/er/seven")
    os.symlink("../deep/7", f"{folder}/deep/link")
    os.symlink("/nowhere", f"{folder}/dangling")
    os.mkfifo(f"{folder}/fifo", 0o620)
    with open(f"{folder}/sparse", "wb") as file:
        file.truncate(8 * MIB)
        file.seek(4 * MIB)
        file.write(b"in the middle")
    write(f"{folder}/program", b"#!/bin/sh\n")
    os.chmod(f"{folder}/program", 0o4751)
    os.chmod(f"{folder}/empty", 0o1700)
    os.setxattr(f"{folder}/deep/1", "user.note", b"kept")
    if os.geteuid() == 0:
        os.chown(f"{folder}/deep/2", 12345, 23456)
        os.lchown(f"{folder}/dangling", 12345, 23456)
    for number, (path, folders, files) in enumerate(os.walk(folder, topdown=False)):
        for name in folders + files:
            os.utime(f"{path}/{name}", ns=(number, 10**18 + len(name) * 1_000_001), follow_symlinks=False)


def inventory(folder):
    """All that an archive has to keep of a tree, by name."""
    told = {}
    for path, folders, files in os.walk(folder):
        for name in folders + files:
            full = os.path.join(path, name)
            st = os.lstat(full)
            kept = [st.st_mode, st.st_uid, st.st_gid]
            # A folder's size, links and times tell how it came to be, but for the empty one's.
            if not stat.S_ISDIR(st.st_mode):
                kept += [st.st_nlink, st.st_size, st.st_mtime_ns]
            elif name == "empty":
                kept += [st.st_mtime_ns]
            if stat.S_ISREG(st.st_mode):
                names = [key for key in os.listxattr(full) if key.startswith("user.")]
                kept += [(key, os.getxattr(full, key)) for key in sorted(names)]
            told[os.path.relpath(full, folder)] = kept
    return told
