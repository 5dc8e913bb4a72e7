import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import fs from "node:fs/promises";
import process from "node:process";
import { libc } from "../../ffi/load.ts";
import { cstring } from "../../src/abi/text.ts";
import { FuseError } from "../../src/errno.ts";
import { type KernelMountOptions, mountDevice, type Mounted } from "../../src/mount/device.ts";
import { type MountEntry, parseMounts, readMounts } from "../../src/mount/mountinfo.ts";
import { command, openFds, run, startReady, tempDir, test, until } from "../support/harness.ts";
import { fields, guards, type Shells } from "../support/guards.ts";
import { NOBODY, ORDINARY, ordinaryPlace, type Place } from "../support/ordinary.ts";
import { settle } from "../support/settle.ts";
import type { Plan, Report } from "./holder.ts";

const c = libc();
const { O } = c;
const needs = ["root", "fuse"] as const;

// Without a look at the path: nobody serves it.
const umount = ["umount", "-c", "-i"];
const FUSE_INIT = 26;
const F_GETFD = 1, F_GETFL = 3;

function at(path: string): MountEntry | undefined {
  return readMounts(c).findLast(({ point }) => point === path);
}

/** The children of this process, zombies too. */
async function children(): Promise<number[]> {
  const found: number[] = [];
  for (const name of await fs.readdir("/proc")) {
    const stat = /^\d+$/.test(name) && await fs.readFile(`/proc/${name}/stat`, "utf8").catch(() => "");
    if (stat && Number(fields(stat)[1]) === process.pid) found.push(Number(name));
  }
  return found.sort();
}

/** The guard of a path. A program that was just started has no arguments for a moment. */
async function guardOf(path: string): Promise<number> {
  let found: Shells[] = [];
  await until(async () => (found = await guards(path)).length > 0, "a guard runs");
  assertEquals(found.length, 1);
  return found[0].pid;
}

/** Mounts, and checks that nothing is left after the body has unmounted. */
async function mounting(
  path: string,
  options: KernelMountOptions,
  body: (mounted: Mounted) => void | Promise<void>,
): Promise<void> {
  await settle();
  const [fds, own] = [await openFds(), await children()];
  const mounted = await mountDevice(path, options);
  try {
    await body(mounted);
  } finally {
    if (mounted.isMounted()) await mounted.unmount({ lazy: true });
    await mounted.release();
    await mounted.release();
    c.close(mounted.fd);
  }
  assertEquals(await openFds(), fds);
  assertEquals(await children(), own);
}

/** Makes a folder whose name may be no UTF-8. */
function mkdir(parent: string, name: string): string {
  assertEquals(c.mkdirat(-100, cstring(`${parent}/${name}`), 0o755), 0);
  return `${parent}/${name}`;
}

const odd = [
  "a b",
  "new\nline",
  "tab\t",
  "back\\040slash\\",
  "quote'\"$(touch x)`y`;*",
  "\udcff\udcfe\u{e9}",
  "end\n",
  "#,-",
];

test("mountDevice: as root by mount(2), with its options; the device has the INIT request", { needs }, async () => {
  await using dir = await tempDir();
  const options = { fsname: "a,b\\ c#", subtype: "x y,z", readOnly: true, noexec: true, noatime: true, maxRead: 8192 };
  await mounting(dir.path, { ...options, allowOther: true, defaultPermissions: true }, ({ fd, path, how, device }) => {
    assertEquals({ path, how }, { path: dir.path, how: "mount(2)" });
    const { source, type, options, superOptions, major, minor } = at(dir.path)!;
    assertEquals({ source, type }, { source: "a,b\\ c#", type: "fuse.x y,z" });
    assertEquals(options, "ro,nosuid,nodev,noexec,noatime");
    assertStringIncludes(superOptions, "user_id=0,group_id=0,default_permissions,allow_other,max_read=8192");
    assertEquals(device, { major, minor });
    assertEquals(c.fcntl(fd, F_GETFD, 0), 1);
    assertEquals(c.fcntl(fd, F_GETFL, 0) & O.NONBLOCK, O.NONBLOCK);
    const request = new Uint8Array(0x21000);
    assert(c.read(fd, request) > 40);
    assertEquals(new DataView(request.buffer).getUint32(4, true), FUSE_INIT);
    assertEquals(c.read(fd, request), -11);
  });
});

test("mountDevice: the defaults, and plain fuse", { needs }, async () => {
  await using dir = await tempDir();
  await mounting(dir.path, {}, () => {
    const { source, type, options, superOptions } = at(dir.path)!;
    assertEquals([source, type, options], ["fusewire", "fuse.fusewire", "rw,nosuid,nodev,relatime"]);
    assertEquals(superOptions, "rw,user_id=0,group_id=0");
  });
  await mounting(dir.path, { subtype: "", nosuid: false, nodev: false }, () => {
    assertEquals([at(dir.path)!.type, at(dir.path)!.options], ["fuse", "rw,relatime"]);
  });
});

test("mountDevice: a mountpoint with odd bytes, through a link, relative", { needs }, async () => {
  await using dir = await tempDir();
  const unmounted = async (mounted: Mounted, path: string) => {
    assertEquals(mounted.path, path);
    assert(mounted.isMounted());
    assertEquals(await mounted.unmount(), "unmounted");
    assertEquals(at(path), undefined);
  };
  for (const name of odd) {
    const path = mkdir(dir.path, name);
    await mounting(path, {}, (mounted) => unmounted(mounted, path));
  }
  await fs.symlink(dir.join("a b"), dir.join("link"));
  await mounting(dir.join("link/"), {}, (mounted) => unmounted(mounted, dir.join("a b")));
  const up = "../".repeat(process.cwd().split("/").length - 1);
  await mounting(`${up}${dir.path.slice(1)}/./a b/`, {}, (mounted) => unmounted(mounted, dir.join("a b")));
});

test("Mounted.unmount: unmounted, busy, gone, lazy", { needs: [...needs, "tool:mount"] }, async () => {
  await using dir = await tempDir();
  await mounting(dir.path, {}, async (mounted) => {
    const inside = await c.openAsync(cstring(dir.path), O.PATH | O.CLOEXEC);
    assertEquals(await mounted.unmount(), "busy");
    assert(mounted.isMounted());
    assertEquals(await mounted.unmount({ lazy: true }), "unmounted");
    assert(!mounted.isMounted());
    assertEquals(await mounted.unmount(), "gone");
    c.close(inside);
  });
  await mounting(dir.path, {}, async (mounted) => {
    assertEquals((await run([...umount, dir.path])).code, 0);
    assert(!mounted.isMounted());
    assertEquals(await mounted.unmount(), "gone");
    assertEquals(await mounted.unmount({ lazy: true }), "gone");
  });
});

test("Mounted.unmount: not what lies on it, nor what came after it", { needs: [...needs, "tool:mount"] }, async () => {
  await using dir = await tempDir();
  await mounting(dir.path, {}, async (mounted) => {
    assertEquals((await run(["mount", "-t", "tmpfs", "above", dir.path])).code, 0);
    assert(mounted.isMounted());
    assertEquals(await mounted.unmount(), "busy");
    assertEquals(await mounted.unmount({ lazy: true }), "busy");
    assertEquals(at(dir.path)?.source, "above");
    assertEquals((await run([...umount, dir.path])).code, 0);
    assertEquals(await mounted.unmount(), "unmounted");
    assertEquals((await run(["mount", "-t", "tmpfs", "after", dir.path])).code, 0);
    assert(!mounted.isMounted());
    assertEquals(await mounted.unmount(), "gone");
    assertEquals(at(dir.path)?.source, "after");
    assertEquals((await run([...umount, dir.path])).code, 0);
  });
});

test("Mounted: a folder above it is renamed", { needs }, async () => {
  await using dir = await tempDir();
  await fs.mkdir(dir.join("a/mnt"), { recursive: true });
  await mounting(dir.join("a/mnt"), {}, async (mounted) => {
    await fs.rename(dir.join("a"), dir.join("b"));
    assert(mounted.isMounted());
    assertEquals(await mounted.unmount(), "unmounted");
    assertEquals(at(dir.join("b/mnt")), undefined);
  });
});

/** That mounting is refused in these words, and leaves nothing. */
async function refused(path: string, options: KernelMountOptions, code: string, words: string): Promise<void> {
  const [fds, own, top] = [await openFds(), await children(), at(path)];
  const error = await assertRejects(() => mountDevice(path, options), FuseError);
  assertEquals(error.message, words);
  assertEquals(error.code, code);
  assertEquals(await openFds(), fds);
  assertEquals(await children(), own);
  assertEquals(at(path), top);
}

test("mountDevice: what is wrong with the mountpoint is said, with the remedy", { needs }, async () => {
  await using dir = await tempDir();
  const file = dir.join("a file"), missing = dir.join("it's");
  await fs.writeFile(file, "");
  await settle();
  const cannot = (path: string) => `cannot mount on ${JSON.stringify(path)}: `;
  await refused("", {}, "ENOENT", `${cannot("")}open(2) says ENOENT (the path is empty); name a directory`);
  const create = `create it first: mkdir -p '${dir.path}/it'\\''s'`;
  await refused(missing, {}, "ENOENT", `${cannot(missing)}open(2) says ENOENT (no such directory); ${create}`);
  const noDirectory = "open(2) says ENOTDIR (not a directory); mount on a directory";
  await refused(file, {}, "ENOTDIR", cannot(file) + noDirectory);
  await refused(`${file}/x`, {}, "ENOTDIR", cannot(`${file}/x`) + noDirectory);
  const long = dir.join("x".repeat(256));
  await refused(long, {}, "ENAMETOOLONG", `${cannot(long)}open(2) says ENAMETOOLONG`);
  await fs.symlink("loop", dir.join("loop"));
  await refused(dir.join("loop"), {}, "ELOOP", `${cannot(dir.join("loop"))}open(2) says ELOOP`);
  await assertRejects(() => mountDevice(`${dir.path}\0`, {}), FuseError, "NUL");
  await assertRejects(() => mountDevice(dir.path, { maxRead: 0 }), FuseError, "mount option maxRead ");
});

test(
  "mountDevice: on a mount that has lost its server, and below one",
  { needs: [...needs, "tool:umount"] },
  async () => {
    await using dir = await tempDir();
    const dead = await mountDevice(dir.path, {});
    c.close(dead.fd);
    const cannot = `cannot mount on "${dir.path}`;
    const umount = `unmount it first: umount -l ${dir.path}, or as its owner fusermount3 -u -z ${dir.path}`;
    const lost = "ENOTCONN (the mount that is there has lost its server)";
    await refused(dir.path, {}, "ENOTCONN", `${cannot}": statx(2) says ${lost}; ${umount}`);
    const above = "ENOTCONN (a mount on the way to it has lost its server)";
    const first = "unmount that one first: umount -l, or as its owner fusermount3 -u -z";
    await refused(`${dir.path}/x`, {}, "ENOTCONN", `${cannot}/x": open(2) says ${above}; ${first}`);
    assertEquals(await dead.unmount(), "unmounted");
    await dead.release();
  },
);

test("mountDevice: no descriptor is left", { needs: ORDINARY }, async () => {
  await using space = await namespace();
  const limit = ["sh", "-c", `ulimit -n 64; exec "$@"`, "sh"];
  const { mountpoint } = space;
  const commands = [true, false].flatMap((autoUnmount) => {
    const holder = holding({ mountpoint, options: { autoUnmount }, steps: ["unmount", "end"] });
    const words = [...limit, ...holder, "crowded"];
    return [space.asRoot(words), space.asUser(words)];
  });
  for (const command of commands) {
    const lines: unknown[] = await said(command);
    assertEquals(lines.splice(-2), ["unmounted", NOTHING_LEFT]);
    assertEquals((lines.pop() as Report).mounted?.path, mountpoint);
    assert(lines.length > 2);
    // Nor a mount that was made before descriptors ran out.
    assertEquals(await space.at(mountpoint), undefined);
    for (const { error, left } of lines as Report[]) {
      assertEquals(error?.code, "EMFILE", error?.message);
      assertEquals(left, NOTHING_LEFT);
    }
  }
});

test("mountDevice: an adopted descriptor is served where it is mounted, and not guarded", { needs }, async () => {
  await using dir = await tempDir();
  await mounting(dir.path, { autoUnmount: false }, async (first) => {
    const F_DUPFD = 0, F_SETFL = 4;
    const fd = c.fcntl(first.fd, F_DUPFD, 0);
    c.fcntl(fd, F_SETFL, O.RDWR);
    const own = await children();
    for (const mountpoint of [dir.path, "", "/somewhere/else", `${dir.path}/.`]) {
      const { path, how, device } = await mountDevice(mountpoint, { fd });
      assertEquals({ path, how, device }, { path: dir.path, how: "adopted", device: first.device });
    }
    assertEquals(await children(), own);
    assertEquals(c.fcntl(fd, F_GETFD, 0), 1);
    assertEquals(c.fcntl(fd, F_GETFL, 0) & O.NONBLOCK, O.NONBLOCK);
    const mounted = await mountDevice(dir.path, { fd });
    assert(mounted.isMounted());
    assertEquals(await mounted.unmount(), "unmounted");
    assert(!mounted.isMounted());
    assertEquals(mounted.abort(), false);
    await mounted.release();
    c.close(fd);
  });
});

test("mountDevice: a descriptor that is no mounted device is not adopted", { needs }, async () => {
  await using dir = await tempDir();
  const cannot = `cannot mount on "${dir.path}": `;
  const nothing = c.open(cstring("/dev/null"), O.RDWR | O.CLOEXEC, 0);
  const device = c.open(cstring("/dev/fuse"), O.RDWR | O.CLOEXEC, 0);
  const of = (fd: number) => `of descriptor ${fd} (option fd)`;
  const open = "hand over an open descriptor", fuse = "hand over an open /dev/fuse";
  await refused(dir.path, { fd: 9999 }, "EBADF", `${cannot}fcntl(2) ${of(9999)} says EBADF; ${open}`);
  await refused(dir.path, { fd: nothing }, "EINVAL", `${cannot}fstat(2) ${of(nothing)} says EINVAL; ${fuse}`);
  const mounted = "hand over a device that is mounted";
  await refused(dir.path, { fd: device }, "ENOTCONN", `${cannot}poll(2) ${of(device)} says ENOTCONN; ${mounted}`);
  c.close(nothing);
  c.close(device);
});

// What a process of its own does.

function holding(plan: Plan): string[] {
  return command("./holder.ts", import.meta.url, JSON.stringify(plan));
}

/** A place with a mountpoint. */
interface Namespace extends Place {
  /** Of the ordinary user. */
  readonly mountpoint: string;
  /** What is mounted at a path in it. */
  at(path: string): Promise<MountEntry | undefined>;
}

async function namespace(settings: Parameters<typeof ordinaryPlace>[0] = {}): Promise<Namespace> {
  const place = await ordinaryPlace(settings);
  return {
    ...place,
    mountpoint: await place.folder("mnt"),
    async at(path) {
      const mounts = parseMounts(await fs.readFile(`/proc/${place.pid}/mountinfo`));
      return mounts.findLast(({ point }) => point === path);
    },
  };
}

/** What a holder says, line by line. */
async function said(command: string[]): Promise<[Report, ...unknown[]]> {
  // Deno reads those certificates in its own time, by a descriptor that is none of ours.
  const { stdout, stderr } = await run(["env", "-u", "NODE_EXTRA_CA_CERTS", ...command]);
  assertEquals(stderr, "");
  return stdout.trim().split("\n").map((line) => JSON.parse(line)) as [Report, ...unknown[]];
}

const NOTHING_LEFT: string[] = [];

test("mountDevice: an ordinary user mounts and unmounts through fusermount3", { needs: ORDINARY }, async () => {
  await using space = await namespace();
  const { mountpoint } = space;
  const steps = ["isMounted", "enter", "unmount", "isMounted", "leave", "unmount", "unmount", "end"] as const;
  const [{ mounted }, ...rest] = await said(space.asUser(holding({ mountpoint, steps })));
  const { path, how, nonblocking, closedByExec } = mounted!;
  assertEquals({ path, how }, { path: mountpoint, how: "fusermount3" });
  assertEquals({ nonblocking, closedByExec }, { nonblocking: true, closedByExec: true });
  assertEquals(rest, [true, "busy", true, "unmounted", "gone", NOTHING_LEFT]);
  assertEquals(await space.at(mountpoint), undefined);
  // Lazily, while it is in use.
  const lazily = ["enter", "lazy", "isMounted", "unmount", "leave", "end"] as const;
  const [, ...after] = await said(space.asUser(holding({ mountpoint, steps: lazily })));
  assertEquals(after, ["unmounted", false, "gone", NOTHING_LEFT]);
});

test("mountDevice: the options through fusermount3", { needs: ORDINARY }, async () => {
  await using space = await namespace();
  const { mountpoint } = space;
  const options = {
    fsname: "a,b\\,c \\",
    subtype: "x,y\\",
    readOnly: true,
    noexec: true,
    noatime: true,
    maxRead: 8192,
  };
  const plan: Plan = { mountpoint, options: { ...options, defaultPermissions: true }, steps: ["hold"] };
  await using _holder = await startReady(space.asUser(holding(plan)));
  const { source, type, options: flags, superOptions } = (await space.at(mountpoint))!;
  assertEquals({ source, type }, { source: options.fsname, type: `fuse.${options.subtype}` });
  assertEquals(flags, "ro,nosuid,nodev,noexec,noatime");
  assertEquals(superOptions, `ro,user_id=${NOBODY},group_id=${NOBODY},default_permissions,max_read=8192`);
});

test("mountDevice: no /etc/mtab, without which fusermount3 unmounts nothing", { needs: ORDINARY }, async () => {
  const setup = `cp -a /etc "$1/.place" && rm -f "$1/.place/etc/mtab" && mount --bind "$1/.place/etc" /etc`;
  await using space = await namespace({ setup });
  const { mountpoint } = space;
  const options = { autoUnmount: false };
  const [, ended] = await said(space.asUser(holding({ mountpoint, options, steps: ["unmount", "end"] })));
  const says = `cannot unmount "${mountpoint}": fusermount3 says "failed to open /etc/mtab: No such file or directory"`;
  const remedy = "as root: ln -s /proc/self/mounts /etc/mtab";
  assertEquals(ended, { code: "ENOENT", message: `${says}; ${remedy}` });
});

test("mountDevice: mountpoints with odd bytes through fusermount3", { needs: ORDINARY }, async () => {
  await using space = await namespace();
  for (const name of odd) {
    const mountpoint = mkdir(space.mountpoint, name);
    assertEquals(c.fchownat(-100, cstring(mountpoint), NOBODY, NOBODY, 0), 0);
    const steps = ["isMounted", "enter", "unmount", "leave", "unmount", "isMounted", "end"] as const;
    const [{ mounted }, ...rest] = await said(space.asUser(holding({ mountpoint, steps })));
    assertEquals([mounted?.path, mounted?.how], [mountpoint, "fusermount3"]);
    assertEquals(rest, [true, "busy", "unmounted", false, NOTHING_LEFT], name);
  }
});

test("mountDevice: what an ordinary user may not is said, with the remedy", { needs: ORDINARY }, async () => {
  await using space = await namespace();
  const refusedWith = async (plan: Omit<Plan, "steps">, code: string, words: string, through: string[] = []) => {
    const [{ error, left }] = await said(space.asUser([...through, ...holding({ ...plan, steps: [] })]));
    assertEquals(error?.message, `cannot mount on ${JSON.stringify(plan.mountpoint)}: ${words}`);
    assertEquals([error?.code, left], [code, NOTHING_LEFT]);
  };
  const { mountpoint } = space;
  const allow = "option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf";
  const remedy = "write a line user_allow_other into /etc/fuse.conf, or mount without allowOther";
  const says = `mount(2) says EPERM; fusermount3 says "${allow}"; ${remedy}`;
  await refusedWith({ mountpoint, options: { allowOther: true } }, "EPERM", says);
  const root = mkdir(space.dir.path, "of root"), foreign = `user has no write access to mountpoint ${root}`;
  const own = "mount on a directory of your own";
  const words = `mount(2) says EPERM; fusermount3 says "${foreign}"; ${own}`;
  await refusedWith({ mountpoint: root }, "EACCES", words);
  await fs.mkdir(space.dir.join("closed/x"), { recursive: true });
  await fs.chmod(space.dir.join("closed"), 0o700);
  const closed = `open(2) says EACCES (this user may not enter it); ${own}`;
  await refusedWith({ mountpoint: space.dir.join("closed/x") }, "EACCES", closed);
  const absent = "fusermount3, which may do it for ordinary users, is not there: install fuse3, or be root";
  await refusedWith({ mountpoint }, "EPERM", `mount(2) says EPERM; ${absent}`, [
    "env",
    `PATH=${space.dir.join("nowhere")}`,
  ]);
});

test("mountDevice: allowOther where /etc/fuse.conf has user_allow_other", { needs: ORDINARY }, async () => {
  await using space = await namespace({ conf: "user_allow_other" });
  const { mountpoint } = space;
  const plan: Plan = { mountpoint, options: { allowOther: true }, steps: ["hold"] };
  await using _holder = await startReady(space.asUser(holding(plan)));
  assertStringIncludes((await space.at(mountpoint))!.superOptions, "allow_other");
});

test(
  "mountDevice: what the device refuses is said, with the remedy, and leaves no guard",
  { needs: ORDINARY },
  async () => {
    await using space = await namespace();
    const { mountpoint } = space, cannot = `cannot mount on "${mountpoint}": `;
    const holder = holding({ mountpoint, steps: [] });
    const [unprivileged] = await said(space.asRoot(["setpriv", "--bounding-set=-sys_admin", ...holder]));
    const helper = `fusermount3 says "mount failed: Operation not permitted"`;
    const capability = "it needs CAP_SYS_ADMIN, as docker run --cap-add SYS_ADMIN";
    assertEquals(unprivileged.error?.message, `${cannot}mount(2) says EPERM; ${helper}; ${capability}`);
    assertEquals([unprivileged.error?.code, unprivileged.left], ["EPERM", NOTHING_LEFT]);

    await run(space.asRoot(["mount", "--bind", "/dev/null", "/dev/fuse"]));
    const [other] = await said(space.asRoot(holder));
    const none = "/dev/fuse is no FUSE device, or of another user namespace";
    assertEquals(other.error?.message, `${cannot}mount(2) says EINVAL (${none})`);
    assertEquals([other.error?.code, other.left], ["EINVAL", NOTHING_LEFT]);

    await run(space.asRoot(["sh", "-ec", "mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3"]));
    const [missing] = await said(space.asRoot(holder));
    const load = "load it: modprobe fuse; or give it to the container: --device /dev/fuse";
    assertEquals(missing.error?.message, `${cannot}open(2) of /dev/fuse says ENOENT; ${load}`);
    assertEquals([missing.error?.code, missing.left], ["ENOENT", NOTHING_LEFT]);
  },
);

test("mountDevice: finds its mount at the end of a long list", { needs: ORDINARY }, async () => {
  await using space = await namespace({ setup: 'for i in $(seq 250); do mount --bind "$1" "$1"; done' });
  const { mountpoint } = space;
  const [, ...rest] = await said(space.asRoot(holding({ mountpoint, steps: ["isMounted", "unmount", "end"] })));
  assertEquals(rest, [true, "unmounted", NOTHING_LEFT]);
});

test("mountDevice: finds its mount where the kernel repeats it in other places", { needs: ORDINARY }, async () => {
  const slave = 'mkdir "$1/b"; mount --bind "$1" "$1"; mount --make-shared "$1"; mount --bind "$1" "$1/b"';
  await using space = await namespace({ setup: `${slave}; mount --make-slave "$1/b"` });
  const { mountpoint } = space, again = space.dir.join("b/mnt");
  {
    await using holder = await startReady(space.asRoot(holding({ mountpoint, steps: ["hold"] })));
    assert(await space.at(again));
    await holder.stop("SIGKILL");
    await until(async () => await space.at(mountpoint) === undefined, "unmounted by the guard");
    // The next mount may get the same numbers.
    await until(async () => (await guards(mountpoint)).length === 0, "the guard has ended");
  }
  const [, ...rest] = await said(space.asRoot(holding({ mountpoint, steps: ["unmount", "isMounted", "end"] })));
  assertEquals(rest, ["unmounted", false, NOTHING_LEFT]);
  assertEquals([await space.at(mountpoint), await space.at(again)], [undefined, undefined]);
});

test("Mounted.abort: cuts the connection through fusectl", { needs: ORDINARY }, async () => {
  await using space = await namespace({
    setup: "mountpoint -q /sys/fs/fuse/connections || mount -t fusectl none /sys/fs/fuse/connections",
  });
  const { mountpoint } = space;
  const plan: Plan = { mountpoint, steps: ["abort", "abort", "isMounted", "unmount", "end"] };
  for (const command of [space.asRoot(holding(plan)), space.asUser(holding(plan))]) {
    const [, ...rest] = await said(command);
    assertEquals(rest, [true, false, true, "unmounted", NOTHING_LEFT]);
  }
});

test("mountDevice: without a shell there is no guard, and that is said", { needs: ORDINARY }, async () => {
  await using space = await namespace();
  const { mountpoint } = space;
  // The shell is what /bin/sh leads to.
  await run(space.asRoot(["mount", "--bind", "/dev/null", await fs.realpath("/bin/sh")]));
  const [{ error, left }] = await said(space.asRoot(holding({ mountpoint, steps: [] })));
  const spawn = "posix_spawnp(3) of /bin/sh, the guard, says EACCES";
  const remedy = "without a guard the mount would outlive this process; to do without: autoUnmount: false";
  assertEquals(error?.message, `cannot mount on "${mountpoint}": ${spawn}; ${remedy}`);
  assertEquals([error?.code, left], ["EACCES", NOTHING_LEFT]);
  const plan: Plan = { mountpoint, options: { autoUnmount: false }, steps: ["isMounted", "unmount", "end"] };
  assertEquals((await said(space.asRoot(holding(plan)))).slice(1), [true, "unmounted", NOTHING_LEFT]);
});

const nested = command("./nested.ts", import.meta.url);

test("mountDevice: on a mount that has lost its server, though the kernel remembers it well", { needs }, async () => {
  await using dir = await tempDir();
  await using server = await startReady([...nested, dir.path, "only"]);
  assertEquals((await run(["stat", "-c", "%F", dir.path])).stdout, "directory\n");
  await server.stop("SIGKILL");
  const { code } = await assertRejects(() => mountDevice(dir.path, {}), FuseError);
  assertEquals(code, "ENOTCONN");
});

test("mountDevice: below a file system that the same thread serves", { needs }, async () => {
  await using dir = await tempDir();
  const { stdout } = await run([...nested, dir.path]);
  const inside = `${dir.path}/inner true\nmissing ENOENT\nfile ENOTDIR\nfile/x ENOTDIR\n`;
  assertEquals(stdout, `${inside}unmounted\nunmounted\n`);
});

// The guard.

test("autoUnmount: a guard keeps nothing of the server open and outlives its signals", { needs }, async () => {
  await using dir = await tempDir();
  await fs.mkdir(dir.join("mnt"));
  // A descriptor that the server was started with, and a folder that it runs in.
  const command = ["sh", "-c", 'exec "$@" 7</tmp', "sh", ...holding({ mountpoint: dir.join("mnt"), steps: ["hold"] })];
  await using holder = await startReady(command, { cwd: dir.path });
  const guard = await guardOf(dir.join("mnt"));
  const signals = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"] as const;
  await until(async () => {
    const ignored = /^SigIgn:\s*(\w+)$/m.exec(await fs.readFile(`/proc/${guard}/status`, "utf8"))![1];
    return (parseInt(ignored, 16) & 0x4007) === 0x4007;
  }, "the guard ignores signals");
  const fds = await openFds(guard);
  assertEquals([...fds.keys()].sort(), [0, 1, 2, 3]);
  assertMatch(fds.get(0)!, /^pipe:/);
  assertEquals([fds.get(1), fds.get(2), fds.get(3)], ["/dev/null", "/dev/null", `/proc/${holder.pid}`]);
  assertEquals(await fs.readlink(`/proc/${guard}/cwd`), "/");
  assertEquals(Number(fields(await fs.readFile(`/proc/${guard}/stat`, "utf8"))[3]), guard, "a session of its own");
  for (const signal of signals) process.kill(guard, signal);
  await holder.stop("SIGKILL");
  await until(() => at(dir.join("mnt")) === undefined, "unmounted by the guard");
  await until(async () => (await guards(dir.join("mnt"))).length === 0, "the guard has ended");
});

test(
  "autoUnmount: a server that is killed leaves no mount, however the path is spelt",
  { needs: ORDINARY },
  async () => {
    await using space = await namespace();
    for (const name of odd) {
      const mountpoint = mkdir(space.mountpoint, name);
      assertEquals(c.fchownat(-100, cstring(mountpoint), NOBODY, NOBODY, 0), 0);
      const command = holding({ mountpoint, steps: ["hold"] });
      for (
        const [how, words] of [["mount(2)", space.asRoot(command)], ["fusermount3", space.asUser(command)]] as const
      ) {
        await using holder = await startReady(words);
        assertStringIncludes(holder.output, `"how":"${how}"`);
        assert(await space.at(mountpoint));
        // Its output ends with it: the guard does not hold it.
        await holder.stop("SIGKILL");
        await until(async () => await space.at(mountpoint) === undefined, `${how} ${JSON.stringify(name)}: unmounted`);
        await until(async () => (await guards(mountpoint)).length === 0, "the guard has ended");
      }
    }
  },
);

test("autoUnmount: an ordinary user's guard whom umount does not help", { needs: ORDINARY }, async () => {
  await using space = await namespace({ setup: 'mount --bind /dev/null "$(readlink -f "$(command -v umount)")"' });
  const { mountpoint } = space;
  await using holder = await startReady(space.asUser(holding({ mountpoint, steps: ["hold"] })));
  assert(await space.at(mountpoint));
  await holder.stop("SIGKILL");
  await until(async () => await space.at(mountpoint) === undefined, "unmounted");
});

test("autoUnmount: a guard leaves alone what came after its mount", { needs: [...needs, "tool:mount"] }, async () => {
  await using dir = await tempDir();
  await using holder = await startReady(holding({ mountpoint: dir.path, steps: ["hold"] }));
  const guard = await guardOf(dir.path);
  assertEquals((await run([...umount, dir.path])).code, 0);
  // Its number and its device's are free again: the next mount gets them.
  const after = await mountDevice(dir.path, { fsname: "after", autoUnmount: false });
  await holder.stop("SIGKILL");
  await until(async () => (await guards(dir.path)).every(({ pid }) => pid !== guard), "the guard has ended");
  assertEquals(at(dir.path)?.source, "after");
  assertEquals(await after.unmount(), "unmounted");
  await after.release();
  c.close(after.fd);
});

const FUSECTL = "/sys/fs/fuse/connections";

// Deaths that the pipe does not tell of: the device is closed after what waits for it.
test("autoUnmount: a server that is killed while it waits for itself leaves no mount", {
  needs: ORDINARY,
  timeout: 120_000,
}, async () => {
  await using cutting = await namespace({ setup: `mountpoint -q ${FUSECTL} || mount -t fusectl none ${FUSECTL}` });
  await using plain = await namespace({ setup: `while mountpoint -q ${FUSECTL}; do umount ${FUSECTL}; done` });
  const killed = async (space: Namespace, who: "asRoot" | "asUser", how: "open" | "asks") => {
    const mountpoint = mkdir(space.mountpoint, `${who} ${how}`);
    assertEquals(c.fchownat(-100, cstring(mountpoint), NOBODY, NOBODY, 0), 0);
    await using server = await startReady(space[who](command("./own_user.ts", import.meta.url, mountpoint, how)));
    const { minor } = (await space.at(mountpoint))!;
    let exited = false;
    server.exited.then(() => exited = true);
    try {
      process.kill(server.pid, "SIGKILL");
      await until(async () => await space.at(mountpoint) === undefined, `${who} ${how}: unmounted`, 50_000);
      // An ordinary user has no other way to end a connection.
      if (space === cutting || who === "asRoot") await server.exited;
      await until(async () => (await guards(mountpoint)).length === 0, "the guard has ended");
    } finally {
      const abort = `echo 1 > ${FUSECTL}/${minor}/abort`;
      // With the server its connection has gone, and the number may be another one's by now.
      if (!exited) {
        await run(
          plain.asRoot(["sh", "-ec", `mountpoint -q ${FUSECTL} || mount -t fusectl none ${FUSECTL}; ${abort}`]),
        );
      }
    }
    await server.exited;
  };
  await Promise.all([
    killed(cutting, "asRoot", "open"),
    killed(cutting, "asUser", "asks"),
    killed(plain, "asRoot", "asks"),
    killed(plain, "asUser", "open"),
  ]);
});

// Takes 10 s, which no runtime makes a difference to.
const once = { node: "asked on Deno", bun: "asked on Deno" };

test("autoUnmount: a server whose first thread has ended still serves", { needs, except: once }, async () => {
  await using dir = await tempDir();
  await using holder = await startReady(holding({ mountpoint: dir.path, steps: ["vanish"] }));
  const state = async () => fields(await fs.readFile(`/proc/${holder.pid}/stat`, "utf8"))[0];
  await until(async () => await state() === "Z", "the first thread has ended");
  let shells: Shells[] = [];
  await until(async () => (shells = await guards(dir.path)).at(0)?.watch !== undefined, "the guard keeps watch");
  const watch = shells[0].watch!, naps = new Set<string>();
  // It sleeps in a process of its own before each look. For a dying server it ends the guard after the second.
  await until(
    async () => {
      for (const pid of (await fs.readFile(`/proc/${watch}/task/${watch}/children`, "utf8")).split(" ")) naps.add(pid);
      return naps.delete("") && naps.size >= 3;
    },
    "the guard has looked twice",
    45_000,
  );
  assertEquals(await guards(dir.path), shells);
  assert(at(dir.path));
  await holder.stop("SIGKILL");
  await until(() => at(dir.path) === undefined, "unmounted by the guard");
});

test("autoUnmount: false: nobody unmounts", { needs: [...needs, "tool:umount"] }, async () => {
  await using dir = await tempDir();
  const plan: Plan = { mountpoint: dir.path, options: { autoUnmount: false }, steps: ["hold"] };
  await using holder = await startReady(holding(plan));
  assertEquals(await guards(dir.path), []);
  await holder.stop("SIGKILL");
  assert(at(dir.path));
  assertEquals((await run(["umount", "-l", dir.path])).code, 0);
});

test("autoUnmount: a guard that is let go leaves the mount", { needs }, async () => {
  await using dir = await tempDir();
  await mounting(dir.path, {}, async (mounted) => {
    await guardOf(dir.path);
    await mounted.release();
    await until(async () => (await guards(dir.path)).length === 0, "both shells of the guard have ended");
    assert(mounted.isMounted());
  });
});
