"""
Cases: functions that use a file system and fail by an exception. Each runs in an empty folder of its own; lines of
JSON on standard output say which one begins, how it ended, and after how many milliseconds.
"""

import contextlib
import ctypes
import errno
import json
import os
import shutil
import subprocess
import time
import traceback

libc = ctypes.CDLL(None, use_errno=True)

# Nobody has these numbers, so that nothing but the file system under test knows them.
ALICE, BOB = 23456, 34567
CREW = 45678

MIB = 1 << 20
TIB = 1 << 40

_cases = []


class Skip(Exception):
    """The machine or the file system below cannot do what the case is about."""


def case(name, root=False):
    """Registers a case. `root`: it takes root to run it."""

    def register(function):
        _cases.append((name, root, function))
        return function

    return register


def main(folder, *others):
    """Runs all cases in a folder. After each of them the others are emptied."""
    for name, root, function in _cases:
        if root and os.geteuid() != 0:
            continue
        say({"begin": name})
        room = os.path.join(folder, "room")
        result = {"end": name}
        start = time.monotonic()
        try:
            os.mkdir(room)
            os.chmod(room, 0o755)
            os.chdir(room)
            function()
            os.chdir("/")
            shutil.rmtree(room)
        except Skip as skip:
            result["skipped"] = str(skip)
        except BaseException:
            result["error"] = traceback.format_exc()
        finally:
            os.chdir("/")
            os.umask(0o022)
            for path in (room, *(entry.path for other in others for entry in os.scandir(other))):
                shutil.rmtree(path, ignore_errors=True)
                with contextlib.suppress(OSError):
                    os.unlink(path)
        say(result | {"ms": round((time.monotonic() - start) * 1000)})


def say(line):
    # Names that are no text arrive as they can.
    print(json.dumps(line), flush=True)


def same(actual, expected, about=""):
    """Fails unless both are equal."""
    if actual != expected:
        raise AssertionError(f"{about}{': ' if about else ''}{short(actual)} is not {short(expected)}")


def short(value):
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:400]}... ({len(text)} characters)"


def fails(number, function, *args, **kwargs):
    """Fails unless the call fails with that error number."""
    try:
        result = function(*args, **kwargs)
    except OSError as error:
        if error.errno == number:
            return
        raise AssertionError(f"{error} is not {errno.errorcode[number]}") from error
    raise AssertionError(f"{short(result)} is not {errno.errorcode[number]}")


def call(name, *args):
    """A function of the C library that Python does not have."""
    result = getattr(libc, name)(*args)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def elsewhere(function, uid=None, gid=None, groups=()):
    """Runs a function in another process, as another user where one is named, and answers what it answers, by JSON."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            if uid is not None:
                os.setgroups(groups)
                os.setresgid(*[uid if gid is None else gid] * 3)
                os.setresuid(uid, uid, uid)
            said = {"value": function()}
        except BaseException:
            said = {"error": traceback.format_exc()}
        with open(writer, "w") as file:
            json.dump(said, file)
        os._exit(0)
    os.close(writer)
    with open(reader) as file:
        text = file.read()
    os.waitpid(pid, 0)
    said = json.loads(text)
    if "error" in said:
        raise AssertionError(f"in another process: {said['error']}")
    return said["value"]


@contextlib.contextmanager
def beside(function):
    """Runs a function in another process at the same time, to its end."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            function()
            said = b""
        except BaseException:
            said = traceback.format_exc().encode()
        os.write(writer, said)
        os._exit(0)
    os.close(writer)
    try:
        yield pid
    finally:
        with open(reader, "rb") as file:
            said = file.read()
        os.waitpid(pid, 0)
        if said:
            raise AssertionError(f"in another process: {said.decode()}")


def sh(line, status=0, **kwargs):
    """Runs a line of shell, and answers what it said on standard output."""
    script = ["bash", "-c", f"set -eo pipefail\n{line}"]
    done = subprocess.run(script, stdin=subprocess.DEVNULL, capture_output=True, **kwargs)
    if done.returncode != status:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise AssertionError(f"{line}: ended with {done.returncode}; it said:\n{said[-3000:]}")
    return done.stdout.decode(errors="surrogateescape")


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def read(path):
    with open(path, "rb") as file:
        return file.read()


@contextlib.contextmanager
def opened(path, flags, mode=0o666):
    """A descriptor."""
    fd = os.open(path, flags, mode)
    try:
        yield fd
    finally:
        os.close(fd)


def mode(path):
    """Permission bits, with set-user-ID and the like."""
    return oct(os.lstat(path).st_mode & 0o7777)
