import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import fs from "node:fs/promises";
import os from "node:os";
import process from "node:process";
import { libc } from "../../ffi/load.ts";
import type { Diagnosis } from "../../doctor.ts";
import { memory } from "../../kit.ts";
import { mount } from "../../mod.ts";
import { diagnose } from "../../src/doctor/diagnose.ts";
import { ORDINARY, ordinaryPlace } from "../support/ordinary.ts";
import { settle } from "../support/settle.ts";
import { command, invocation, mountsUnder, openFds, run, type TempDir, tempDir, test } from "../support/harness.ts";

// What is opened in a test has to be closed in it.
libc();

const UNSHARED = ["root", "fuse", "tool:unshare"] as const;

/** State and value of each finding that is named. */
function pick(diagnosis: Diagnosis, ...names: (keyof Diagnosis)[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => {
    const { state, value } = diagnosis[name] as Diagnosis["kernel"];
    return [name, [state, value]];
  }));
}

/** Fails unless each finding that is not as it should be, and no other, has a remedy. */
function consistent(diagnosis: Diagnosis): void {
  const { findings, ...named } = diagnosis;
  assertEquals(findings, Object.values(named) as typeof findings);
  for (const { title, state, detail, remedy } of findings) {
    assert(detail !== "" && (state === "ok") === (remedy === undefined), `${title}: ${state}, ${detail}, ${remedy}`);
  }
}

/** The entries of a folder. */
async function list(folder: string): Promise<string[]> {
  return await fs.readdir(folder);
}

/** Sets variables of the environment until it is disposed. */
function environment(values: Record<string, string>): Disposable {
  const before = Object.keys(values).map((name) => [name, process.env[name]] as const);
  for (const [name, value] of Object.entries(values)) process.env[name] = value;
  return {
    [Symbol.dispose]() {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    },
  };
}

/** What another process finds that runs `$PRINT`; its TMPDIR has to end up empty. */
async function elsewhere(
  dir: TempDir,
  words: readonly string[],
  env: Record<string, string> = {},
): Promise<Diagnosis> {
  const tmp = dir.join(`tmp-${crypto.randomUUID()}`);
  await fs.mkdir(tmp);
  // Not among the arguments: node:child_process of this runtime takes them for a command line of Node's there.
  const PRINT = command("./print.ts", import.meta.url).join(" ");
  const { code, stdout, stderr } = await run(words, { env: { PRINT, TMPDIR: tmp, ...env } });
  assertEquals(code, 0, stderr);
  assertEquals(await list(tmp), []);
  assertEquals(await mountsUnder(dir.path), []);
  const diagnosis = JSON.parse(stdout);
  consistent(diagnosis);
  return diagnosis;
}

/** A command in a mount namespace of its own, or in the namespaces that are told. */
function inside(script: string, ...options: string[]): string[] {
  return ["unshare", ...options.length === 0 ? ["-m"] : options, "sh", "-ec", script];
}

test(
  "diagnose: what it says of this machine is so, and nothing stays behind",
  { needs: ["root", "fuse"] },
  async () => {
    await using dir = await tempDir();
    using _ = environment({ TMPDIR: dir.path });
    await settle();
    await diagnose();
    const before = await openFds();
    const d = await diagnose();
    assertEquals(await openFds(), before);
    assertEquals(await list(dir.path), []);
    assertEquals(await mountsUnder(dir.path), []);
    consistent(d);

    const read = async (path: string) => (await fs.readFile(path, "utf8")).trim();
    assertEquals(d.kernel.value, { release: os.release(), architecture: libc().architecture });
    assertEquals(pick(d, "device", "sysAdmin", "mounting"), {
      device: ["ok", true],
      sysAdmin: [d.userNamespace.value === "initial" ? "ok" : "limited", true],
      mounting: ["ok", "mount(2)"],
    });
    assertEquals(
      d.userNamespace.value === "initial",
      await fs.readlink("/proc/self/ns/user") === "user:[4026531837]",
    );
    const limit = await read("/proc/sys/fs/fuse/max_pages_limit").catch(() => "256");
    assertEquals(d.maxPages.value, { limit: Number(limit), maxWrite: Number(limit) * 4096 });
    assertEquals(String(d.maxBackground.value), await read("/sys/module/fuse/parameters/max_user_bgreq"));
    const uring = await read("/sys/module/fuse/parameters/enable_uring").catch(() => undefined);
    assertEquals(d.ioUring.value, { enabled: uring === undefined ? undefined : uring === "Y", offered: uring === "Y" });
    const { soft, hard } = d.descriptors.value!;
    assertMatch(await read("/proc/self/limits"), new RegExp(`^Max open files +${soft} +${hard} `, "m"));
    assertEquals(d.backing, undefined);

    // As a session of the same machine has it.
    await using session = await mount({}, dir.path, { signals: false });
    const { major, minor } = d.protocol.value!;
    assertEquals([d.protocol.state, major], ["ok", session.negotiated.major]);
    assertEquals(Math.min(minor, 45), session.negotiated.minor);
    assertEquals(d.passthrough.value!.offered, session.negotiated.flags.has("FUSE_PASSTHROUGH"));
  },
);

test("diagnose: no descriptor is lost with a path, be it a file or a folder", { needs: ["root", "fuse"] }, async () => {
  await using dir = await tempDir();
  await fs.writeFile(dir.join("file"), "content");
  await diagnose({ path: dir.path });
  await settle();
  const before = await openFds();
  for (const path of [dir.path, dir.join("file"), dir.join("none"), "/dev/null", ""]) {
    const { backing } = await diagnose({ path });
    if (path.startsWith(dir.path) && path !== dir.join("none")) {
      assertEquals(backing!.value!.path, path);
      assertEquals(backing!.value!.verified, true);
    } else {
      assertEquals([backing!.state, backing!.value], ["missing", undefined]);
    }
  }
  assertEquals(await openFds(), before);
  assertEquals(await list(dir.path), ["file"]);
});

test(
  "diagnose: the depth that backing files need, on overlayfs and on what it lies on",
  { needs: UNSHARED },
  async () => {
    await using dir = await tempDir();
    const script = (path: string) => `
    mkdir -p "$DIR/m" && mount -t tmpfs none "$DIR/m" && cd "$DIR/m"
    mkdir low up work once more twice
    mount -t overlay -o lowerdir=low,upperdir=up,workdir=work none once
    echo text > once/file
    mount -t overlay -o lowerdir=once:more none twice
    exec $PRINT "$DIR/m/${path}"
  `;
    const at = async (path: string) => {
      const { backing } = await elsewhere(dir, inside(script(path)), { DIR: dir.path });
      const { path: whole, ...value } = backing!.value!;
      assertEquals(whole, dir.join("m", path));
      return [backing!.state, value];
    };
    assertEquals(await at("low"), ["ok", { type: "tmpfs", maxStackDepth: 1, verified: true }]);
    assertEquals(await at("once"), ["limited", { type: "overlay", maxStackDepth: 2, verified: true }]);
    assertEquals(await at("once/file"), ["limited", { type: "overlay", maxStackDepth: 2, verified: true }]);
    assertEquals(await at("twice/file"), ["missing", { type: "overlay", verified: true }]);
    // Read-only, so that no file can be made there.
    assertEquals(await at("twice"), ["unknown", { type: "overlay", maxStackDepth: 2, verified: false }]);
  },
);

test("diagnose: paths that this thread serves do not hang it", {
  needs: ["root", "fuse"],
  except: { bun: "what is set there in process.env is not in the environment" },
}, async () => {
  await using dir = await tempDir();
  await using session = await mount(memory(), dir.path, { signals: false });
  assertEquals(session.passthrough.unavailable, null);
  await run(`echo > ${dir.path}/fusermount3 && chmod 755 ${dir.path}/fusermount3`);
  using _ = environment({ TMPDIR: dir.path, PATH: `${dir.path}:${process.env.PATH}` });
  const d = await diagnose({ path: dir.join("fusermount3") });
  consistent(d);
  assertEquals(pick(d, "mounting", "helper"), {
    mounting: ["ok", "mount(2)"],
    helper: ["limited", { path: dir.join("fusermount3"), setuid: false }],
  });
  const value = { path: dir.join("fusermount3"), type: "fuse.fusewire", maxStackDepth: 2, verified: true } as const;
  assertEquals(pick(d, "backing"), { backing: ["limited", value] });
  const { backing } = await diagnose({ path: dir.path });
  assertEquals([backing!.state, backing!.value!.verified], ["unknown", false]);
});

test("diagnose: as an ordinary user, with the device and without it", { needs: ORDINARY }, async () => {
  await using place = await ordinaryPlace({ conf: "  user_allow_other # for all" });
  const tmp = await place.folder("tmp");
  const look = async () => {
    const print = invocation(`${place.root}tests/doctor/print.ts`, "/").join(" ");
    const words = ["env", `TMPDIR=${tmp}`, "sh", "-ec", `exec ${place.deno} ${print}`];
    const { code, stdout, stderr } = await run(place.asUser(words));
    assertEquals(code, 0, stderr);
    assertEquals(await list(tmp), []);
    assertEquals(await place.mountsUnder(tmp), []);
    const diagnosis: Diagnosis = JSON.parse(stdout);
    consistent(diagnosis);
    return diagnosis;
  };
  const d = await look();
  assertEquals(pick(d, "device", "sysAdmin", "mounting", "allowOther", "passthrough"), {
    device: ["ok", true],
    sysAdmin: ["missing", false],
    mounting: ["ok", "fusermount3"],
    allowOther: ["ok", true],
    passthrough: ["limited", { offered: true, error: "EPERM" }],
  });
  assertEquals(d.protocol.state, "ok");
  assertEquals([d.backing!.state, d.backing!.value!.verified], ["unknown", false]);

  await run(place.asRoot(["chmod", "600", "/dev/fuse"]));
  const without = await look();
  assertEquals(pick(without, "device", "mounting"), { device: ["limited", false], mounting: ["missing", undefined] });
  assertEquals(without.protocol, { ...d.protocol, ...without.protocol, state: "unknown" });
  assertMatch(without.mounting.detail, /open\(2\) of \/dev\/fuse says EACCES; fusermount3 says/);
});

test("diagnose: as root of a user namespace, with and without mounts of its own", { needs: UNSHARED }, async () => {
  await using dir = await tempDir();
  const names = ["sysAdmin", "userNamespace", "mounting", "passthrough"] as const;
  assertEquals(pick(await elsewhere(dir, inside("exec $PRINT", "-Ur")), ...names), {
    sysAdmin: ["limited", true],
    userNamespace: ["limited", "nested"],
    mounting: ["missing", undefined],
    passthrough: ["unknown", undefined],
  });
  assertEquals(pick(await elsewhere(dir, inside("exec $PRINT", "-Urm")), ...names), {
    sysAdmin: ["limited", true],
    userNamespace: ["limited", "nested"],
    mounting: ["ok", "mount(2)"],
    passthrough: ["limited", { offered: true, error: "EPERM" }],
  });
});

test("diagnose: without /dev/fuse", { needs: UNSHARED }, async () => {
  await using dir = await tempDir();
  const names = ["device", "protocol", "mounting", "passthrough"] as const;
  const nothing = (d: Diagnosis) => {
    assertEquals(pick(d, ...names), {
      device: ["missing", false],
      protocol: ["unknown", d.protocol.value],
      mounting: ["missing", undefined],
      passthrough: ["unknown", undefined],
    });
    assertGreater(d.protocol.value!.minor, 22);
  };
  const empty = `touch "$DIR/empty" && mount --bind "$DIR/empty" /dev/fuse && exec $PRINT`;
  nothing(await elsewhere(dir, inside(empty), { DIR: dir.path }));
  nothing(await elsewhere(dir, inside("mount --bind /dev/null /dev/fuse && exec $PRINT")));
  const absent = `mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 666 /dev/urandom c 1 9
    mknod -m 666 /dev/cuse c 10 203 && exec $PRINT`;
  const d = await elsewhere(dir, inside(absent));
  nothing(d);
  // Whether the module is there shows when it is opened, or else in /proc/misc.
  const loaded = /^ *203 /m.test(await fs.readFile("/proc/misc", "utf8"));
  assertEquals(pick(d, "cuse"), { cuse: [loaded ? "ok" : "unknown", loaded ? true : undefined] });
});

test("diagnose: without /proc, without a temporary folder", {
  needs: UNSHARED,
  except: { bun: "it does not start without /proc" },
}, async () => {
  await using dir = await tempDir();
  const names = ["kernel", "protocol", "sysAdmin", "userNamespace", "mounting", "descriptors"] as const;
  const blind = await elsewhere(dir, inside("mount -t tmpfs none /proc && exec $PRINT"));
  const unknown = ["unknown", undefined];
  assertEquals(pick(blind, ...names), {
    kernel: unknown,
    protocol: unknown,
    sysAdmin: unknown,
    userNamespace: unknown,
    mounting: ["missing", undefined],
    descriptors: unknown,
  });
  const readOnly = (places: string) =>
    inside(`
      for place in ${places}; do mount --rbind "$place" "$place" && mount -o remount,bind,ro "$place"; done
      exec $PRINT
    `);
  const { mounting } = await elsewhere(dir, readOnly('"$TMPDIR"'));
  assertEquals(mounting.state, "ok");
  const { mounting: nowhere } = await elsewhere(dir, readOnly('"$TMPDIR" /tmp /var/tmp /dev/shm'));
  assertEquals([nowhere.state, nowhere.remedy], ["unknown", "name a folder of your own in TMPDIR"]);
});

test("diagnose: a worse machine", { needs: [...UNSHARED, "tool:fusermount3", "tool:setpriv"] }, async () => {
  await using dir = await tempDir();
  const script = `
    cd "$DIR" && cp "$(command -v fusermount3)" plain && chmod 755 plain
    put() { echo "$2" > "$3" && mount --bind "$3" "$1"; }
    put /proc/sys/kernel/osrelease 5.4.0-150-generic release
    put /proc/sys/fs/fuse/max_pages_limit 64 pages
    put /sys/module/fuse/parameters/max_user_bgreq 12 bgreq
    put /sys/module/fuse/parameters/enable_uring Y uring
    put /etc/fuse.conf "#user_allow_other" conf
    mount --bind plain "$(command -v fusermount3)"
    mount -t fusectl none "$DIR/control"
    ulimit -n 4000
    exec $PRINT
  `;
  await fs.mkdir(dir.join("control"));
  const umount = "umount /sys/fs/fuse/connections 2> /dev/null || true\n";
  const d = await elsewhere(dir, inside(umount + script), { DIR: dir.path });
  assertEquals(pick(d, "kernel", "maxPages", "maxBackground", "ioUring", "allowOther", "fusectl", "descriptors"), {
    kernel: ["limited", { release: "5.4.0-150-generic", architecture: libc().architecture }],
    maxPages: ["limited", { limit: 64, maxWrite: 64 * 4096 }],
    maxBackground: ["limited", 12],
    ioUring: ["missing", { enabled: true, offered: false }],
    allowOther: ["missing", false],
    fusectl: ["limited", dir.join("control")],
    descriptors: ["limited", { soft: 4000, hard: 4000 }],
  });
  assertEquals([d.helper.state, d.helper.value!.setuid], ["limited", false]);
  assertMatch(d.helper.detail, /mode 0755 of user 0/);

  const nosuid = `mkdir -p "$DIR/bin" && mount -t tmpfs -o nosuid none "$DIR/bin"
    cp -p "$(command -v fusermount3)" "$DIR/bin/" && PATH="$DIR/bin:$PATH" exec $PRINT`;
  const where = dir.join("bin", "fusermount3");
  const { helper } = await elsewhere(dir, inside(nosuid), { DIR: dir.path });
  assertEquals([helper.state, helper.value], ["limited", { path: where, setuid: false }]);
  assertMatch(helper.detail, /nosuid/);
  const { helper: barred } = await elsewhere(dir, ["setpriv", "--no-new-privs", ...inside("exec $PRINT")]);
  assertMatch(`${barred.state}: ${barred.detail}`, /^limited: .*no_new_privs/);
  const { helper: none } = await elsewhere(dir, inside("PATH=/nowhere exec $PRINT"));
  assertEquals([none.state, none.value], ["missing", undefined]);
  const bare = `cp -a /etc "$DIR" && rm -f "$DIR/etc/mtab" && mount --bind "$DIR/etc" /etc; exec $PRINT`;
  const { helper: blind } = await elsewhere(dir, inside(bare), { DIR: dir.path });
  assertEquals([blind.state, blind.value!.setuid], ["limited", true]);
  assertEquals(blind.remedy, "as root: ln -s /proc/self/mounts /etc/mtab");
});

test("diagnose: fusectl where it belongs", { needs: UNSHARED }, async () => {
  await using dir = await tempDir();
  const mounted = "mount -t fusectl none /sys/fs/fuse/connections || true; exec $PRINT";
  const { fusectl } = await elsewhere(dir, inside(mounted));
  assertEquals([fusectl.state, fusectl.value], ["ok", "/sys/fs/fuse/connections"]);
  const unmounted = "while umount /sys/fs/fuse/connections 2> /dev/null; do :; done; exec $PRINT";
  const { fusectl: none } = await elsewhere(dir, inside(unmounted));
  assertEquals([none.state, none.value], ["missing", undefined]);
});
