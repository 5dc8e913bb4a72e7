/** What memory() owes to the kernel's caches, seen through a mount. */
import { assertEquals } from "@std/assert";
import { run, tempDir, test } from "../../support/harness.ts";
import { serve } from "../../posix/support.ts";

const needs = ["root", "fuse", "tool:python3"] as const;

const HANDLES = `
import ctypes, os, struct, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
os.chdir(sys.argv[1])
os.makedirs("d/e")
for name in ("f", "d/e/g", "gone"):
    with open(name, "w") as file:
        file.write("in " + name)

def handle(name):
    h = ctypes.create_string_buffer(struct.pack("II", 128, 0) + bytes(128))
    if libc.name_to_handle_at(-100, name.encode(), h, ctypes.byref(ctypes.c_int()), 0) < 0:
        sys.exit("no handle of " + name)
    return h

def opened(h, flags, of):
    top = os.open(sys.argv[1], os.O_RDONLY)
    fd = libc.open_by_handle_at(top, h, flags)
    os.close(top)
    if fd < 0:
        return os.strerror(ctypes.get_errno())
    said = os.fstat(fd).st_ino == of and (os.listdir(fd) if flags & os.O_DIRECTORY else os.read(fd, 100).decode())
    os.close(fd)
    return said

files = {name: (handle(name), os.stat(name).st_ino) for name in ("f", "d/e/g", "gone")}
folder, ino = handle("d/e"), os.stat("d/e").st_ino
os.unlink("gone")
os.chdir("/")
for _ in range(2):
    # It lets go of all that nobody uses.
    subprocess.check_call(["mount", "-i", "-o", "remount", sys.argv[1]])
    for name in files:
        print(name, opened(files[name][0], os.O_RDONLY, files[name][1]))
    print(opened(folder, os.O_RDONLY | os.O_DIRECTORY, ino))
    print(os.path.realpath(sys.argv[1]) == sys.argv[1], os.path.exists(sys.argv[1] + "/d/e/g"))
`;

for (const permissions of ["kernel", "own"]) {
  test(
    `memory: handles outlive the kernel's memory, checked by ${permissions}`,
    { needs, sanitize: false },
    async () => {
      await using dir = await tempDir();
      const mounted = { exportSupport: true, defaultPermissions: permissions === "kernel" };
      await using _server = await serve(dir, "memory", { permissions }, mounted);
      const { stdout } = await run(["python3", "-c", HANDLES, dir.path]);
      const round = ["f in f", "d/e/g in d/e/g", "gone Stale file handle", "['g']", "True True"];
      assertEquals(stdout.trim().split("\n"), [...round, ...round]);
    },
  );
}

// The store is another process's: whoever starts a program closes descriptors in it, which writes back.
const COPIES = `
import mmap, os, subprocess, sys
os.chdir(sys.argv[1])
ready, tell = os.pipe()
leave, hold = os.pipe()
if os.fork() == 0:
    os.close(hold)
    file = os.open("f", os.O_RDWR | os.O_CREAT)
    os.ftruncate(file, 1 << 20)
    if sys.argv[2] == "written":
        os.pwrite(file, b"begin", 0)
    memory = mmap.mmap(file, 1 << 20)
    if sys.argv[2] == "read":
        memory[:]
    memory[1 << 19] = 65
    os.write(tell, b"1")
    os.read(leave, 1)
    os._exit(0)
os.read(ready, 1)
for copy in ("tar -cSf a f && tar -xf a -O", "cp --sparse=always f c && cat c"):
    out = subprocess.run(copy, shell=True, stdout=subprocess.PIPE, check=True).stdout
    print(len(out), out.find(b"A"))
os.write(hold, b"1")
os.wait()
os.unlink("f")
`;

for (const writebackCache of [false, true]) {
  const how = writebackCache ? " by a kernel that collects writes" : "";
  test(`memory: copies hold what is stored through a mapping${how}`, { needs, sanitize: false }, async () => {
    await using dir = await tempDir();
    const mounted = { defaultPermissions: true, writebackCache };
    await using _server = await serve(dir, "memory", {}, mounted);
    for (const before of ["nothing", "read", "written"]) {
      const { stdout } = await run(["python3", "-c", COPIES, dir.path, before]);
      assertEquals(stdout, `${2 ** 20} ${2 ** 19}\n`.repeat(2), before);
    }
  });
}
