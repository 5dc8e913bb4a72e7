/** Extended attributes. Source: `xattr(7)`, `setxattr(2)`, `getxattr(2)`, `listxattr(2)`, `removexattr(2)`. */
import { ALICE, BOB, type Cases, needing } from "../place.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** `security.capability` of revision 2 with CAP_NET_BIND_SERVICE. Source: `linux/capability.h struct vfs_cap_data`. */
const CAPABILITY = new Uint8Array(20);
new DataView(CAPABILITY.buffer).setUint32(0, 0x02000001, true);
new DataView(CAPABILITY.buffer).setUint32(4, 1 << 10, true);

export const xattrCases: Cases = {
  "setxattr: sets, changes, lists and removes": needing("xattr", ({ ok, put, is, fails }) => {
    put("f");
    ok.mkdir("d");
    for (const path of ["f", "d"]) {
      ok.setxattr(path, "user.one", "1");
      ok.setxattr(path, "user.two", "22");
      is([text(ok.getxattr(path, "user.one")), text(ok.getxattr(path, "user.two"))], ["1", "22"]);
      is(ok.listxattr(path).filter((name) => name.startsWith("user.")).sort(), ["user.one", "user.two"]);
      ok.setxattr(path, "user.one", "another, longer");
      is(text(ok.getxattr(path, "user.one")), "another, longer");
      ok.removexattr(path, "user.one");
      fails("ENODATA").getxattr(path, "user.one");
      fails("ENODATA").removexattr(path, "user.one");
      is(ok.listxattr(path).filter((name) => name.startsWith("user.")), ["user.two"]);
    }
  }),
  "setxattr: XATTR_CREATE and XATTR_REPLACE": needing("xattr", ({ ok, put, is, fails }) => {
    put("f");
    fails("ENODATA").setxattr("f", "user.a", "1", "REPLACE");
    ok.setxattr("f", "user.a", "1", "CREATE");
    fails("EEXIST").setxattr("f", "user.a", "2", "CREATE");
    is(text(ok.getxattr("f", "user.a")), "1");
    ok.setxattr("f", "user.a", "3", "REPLACE");
    is(text(ok.getxattr("f", "user.a")), "3");
  }),
  "setxattr: values of all bytes, empty ones, and long ones": needing("xattr", ({ ok, sys, put, is, fails }) => {
    put("f");
    const every = Uint8Array.from({ length: 1024 }, (_, i) => i);
    ok.setxattr("f", "user.every", every);
    is(ok.getxattr("f", "user.every"), every);
    ok.setxattr("f", "user.empty", "");
    is(ok.getxattr("f", "user.empty").length, 0);
    is(ok.xattrSize("f", "user.empty"), 0);
    is(ok.listxattr("f").includes("user.empty"), true);
    fails("E2BIG").setxattr("f", "user.big", new Uint8Array(0x10001));
    // Some file systems have room for a block.
    const r = sys.setxattr("f", "user.big", new Uint8Array(0x10000).fill(7));
    if (r === 0) is(ok.getxattr("f", "user.big"), new Uint8Array(0x10000).fill(7));
    else is([-7, -28].includes(r), true, "E2BIG or ENOSPC");
  }),
  "getxattr: how many bytes there are, and ERANGE without room": needing("xattr", ({ ok, put, is, fails }) => {
    put("f");
    ok.setxattr("f", "user.a", "12345");
    is(ok.xattrSize("f", "user.a"), 5);
    is(text(ok.getxattr("f", "user.a", 5)), "12345");
    fails("ERANGE").getxattr("f", "user.a", 4);
    fails("ENODATA").getxattr("f", "user.b", 4);
    is(ok.xattrListSize("f"), ok.listxattr("f").join("\0").length + 1);
    fails("ERANGE").listxattr("f", 6);
  }),
  "setxattr: names": needing("xattr", ({ ok, put, is, fails }) => {
    put("f");
    const long = `user.${"n".repeat(250)}`;
    ok.setxattr("f", long, "1");
    is(ok.listxattr("f").includes(long), true);
    for (const call of ["setxattr", "getxattr", "removexattr"] as const) {
      const refuses = (path: string, name: string, ...codes: ("ERANGE" | "EOPNOTSUPP" | "EINVAL" | "ENODATA")[]) => {
        const failing = fails(...codes);
        if (call === "setxattr") failing.setxattr(path, name, "1");
        else failing[call](path, name);
      };
      refuses("f", `${long}n`, "ERANGE");
      refuses("f", "", "ERANGE");
      refuses("f", "user", "EOPNOTSUPP");
      refuses("f", "unknown.name", "EOPNOTSUPP");
      refuses("f", "user.", "EINVAL");
    }
    for (const name of ["user.Case", "user.case", "user.\u00e9", "user.a b", "user.x.y.z", "user..", "user.\u20ac"]) {
      ok.setxattr("f", name, name);
      is(text(ok.getxattr("f", name)), name);
      is(ok.listxattr("f").includes(name), true);
    }
  }),
  "setxattr: names that are not UTF-8": needing(["xattr", "byte names"], ({ ok, put, is }) => {
    put("f");
    ok.setxattr("f", "user.\udcff\udc80", "1");
    is(ok.listxattr("f").includes("user.\udcff\udc80"), true);
    is(text(ok.getxattr("f", "user.\udcff\udc80")), "1");
    ok.removexattr("f", "user.\udcff\udc80");
  }),
  "setxattr: many": needing("xattr", ({ ok, put, is }) => {
    put("f");
    for (let i = 0; i < 50; i++) ok.setxattr("f", `user.n${i}`, `${i}`);
    is(ok.listxattr("f").filter((name) => name.startsWith("user.n")).length, 50);
    for (let i = 0; i < 50; i += 2) ok.removexattr("f", `user.n${i}`);
    for (let i = 1; i < 50; i += 2) is(text(ok.getxattr("f", `user.n${i}`)), `${i}`);
  }),
  "fsetxattr: through any descriptor but O_PATH": needing("xattr", ({ ok, put, is, fails }) => {
    put("f");
    ok.mkdir("d");
    for (const fd of [ok.open("f", "RDONLY"), ok.open("f", "WRONLY"), ok.open("d", "RDONLY")]) {
      ok.fsetxattr(fd, "user.a", "1");
      is(text(ok.fgetxattr(fd, "user.a")), "1");
      is(ok.flistxattr(fd).includes("user.a"), true);
      ok.fremovexattr(fd, "user.a");
    }
    const path = ok.open("f", "PATH");
    fails("EBADF").fsetxattr(path, "user.a", "1");
    fails("EBADF").fgetxattr(path, "user.a");
    fails("EBADF").flistxattr(path);
    fails("EBADF").fremovexattr(path, "user.a");
  }),
  "setxattr: stay with the file, not with the name": needing(["xattr", "link"], ({ ok, put, is, fails }) => {
    put("a");
    ok.setxattr("a", "user.x", "1");
    ok.link("a", "b");
    is(text(ok.getxattr("b", "user.x")), "1");
    ok.rename("a", "c");
    is(text(ok.getxattr("c", "user.x")), "1");
    ok.unlink("c");
    ok.setxattr("b", "user.x", "2");
    ok.unlink("b");
    put("b");
    fails("ENODATA").getxattr("b", "user.x");
  }),
  "setxattr: user attributes are for files and directories": needing(["xattr", "symlink", "special"], (at) => {
    const { ok, put, is, fails } = at;
    put("f");
    ok.symlink("f", "link");
    ok.symlink("missing", "dangling");
    ok.mknod("fifo", 0o010666);
    for (const path of ["link", "dangling", "fifo"]) {
      fails("EPERM").lsetxattr(path, "user.a", "1");
      fails("ENODATA").lgetxattr(path, "user.a");
      fails("EPERM").lremovexattr(path, "user.a");
      is(ok.llistxattr(path).filter((name) => name.startsWith("user.")), []);
    }
    ok.setxattr("link", "user.a", "1");
    is(text(ok.getxattr("f", "user.a")), "1");
    fails("ENOENT").setxattr("dangling", "user.a", "1");
  }),
  "setxattr: user attributes need the rights of the file": needing(["xattr", "users", "permissions"], (at) => {
    const { ok, put, is, fails, as } = at;
    put("f");
    ok.setxattr("f", "user.a", "1");
    ok.chmod("f", 0o604);
    as(BOB, () => {
      is(text(ok.getxattr("f", "user.a")), "1");
      fails("EACCES").setxattr("f", "user.a", "2");
      fails("EACCES").removexattr("f", "user.a");
    });
    ok.chmod("f", 0o602);
    as(BOB, () => {
      fails("EACCES").getxattr("f", "user.a");
      ok.setxattr("f", "user.a", "2");
    });
    ok.chmod("f", 0o600);
    // Names are no secret.
    as(BOB, () => is(ok.listxattr("f").includes("user.a"), true));
  }),
  "setxattr: user attributes of a sticky directory are its owner's": needing(
    ["xattr", "users"],
    ({ ok, fails, as }) => {
      ok.mkdir("d");
      ok.chmod("d", 0o1777);
      as(BOB, () => fails("EPERM").setxattr("d", "user.a", "1"));
      ok.chown("d", BOB.uid, -1);
      as(BOB, () => ok.setxattr("d", "user.a", "1"));
    },
  ),
  "setxattr: trusted attributes are root's": needing(["privileged xattr"], ({ ok, put, is, fails, as }) => {
    put("f", "", 0o666);
    ok.chown("f", ALICE.uid, -1);
    ok.setxattr("f", "trusted.a", "1");
    is(text(ok.getxattr("f", "trusted.a")), "1");
    is(ok.listxattr("f").includes("trusted.a"), true);
    as(ALICE, () => {
      fails("EPERM").setxattr("f", "trusted.a", "2");
      fails("EPERM").setxattr("f", "trusted.b", "2");
      fails("ENODATA").getxattr("f", "trusted.a");
      fails("EPERM").removexattr("f", "trusted.a");
      is(ok.listxattr("f").includes("trusted.a"), false, "they are not listed");
    });
    ok.removexattr("f", "trusted.a");
    fails("ENODATA").getxattr("f", "trusted.a");
  }),
  "setxattr: trusted attributes of links and special files": needing(
    ["privileged xattr", "symlink", "special"],
    ({ ok, is }) => {
      ok.symlink("x", "link");
      ok.mknod("fifo", 0o010644);
      for (const path of ["link", "fifo"]) {
        ok.lsetxattr(path, "trusted.a", "1");
        is(text(ok.lgetxattr(path, "trusted.a")), "1");
        is(ok.llistxattr(path).includes("trusted.a"), true);
        ok.lremovexattr(path, "trusted.a");
      }
    },
  ),
  "setxattr: security attributes are read by all and set by root": needing("privileged xattr", (at) => {
    const { ok, put, is, fails, as } = at;
    put("f", "", 0o666);
    ok.chown("f", ALICE.uid, -1);
    ok.setxattr("f", "security.test", "1");
    as(BOB, () => is(text(ok.getxattr("f", "security.test")), "1"));
    as(ALICE, () => {
      fails("EPERM").setxattr("f", "security.test", "2");
      fails("EPERM").removexattr("f", "security.test");
    });
    ok.removexattr("f", "security.test");
  }),
  "security.capability: goes with all that changes the data or the owner": needing(
    ["privileged xattr", "fallocate"],
    ({ ok, put, is, fails }) => {
      const source = ok.open("source", "RDWR|CREAT"), [reader, writer] = ok.pipe();
      ok.write(source, "data");
      ok.write(writer, "data");
      const changes: (() => unknown)[] = [
        () => ok.splice(reader, ok.open("f", "WRONLY"), 4),
        () => ok.copyFileRange(source, 0, ok.open("f", "WRONLY"), 0, 4),
        () => ok.fallocate(ok.open("f", "WRONLY"), "", 0, 100),
        () => ok.fallocate(ok.open("f", "WRONLY"), "PUNCH_HOLE|KEEP_SIZE", 0, 2),
        () => ok.write(ok.open("f", "WRONLY"), "x"),
        () => ok.truncate("f", 1),
        () => ok.chown("f", 1, 1),
        () => ok.open("f", "WRONLY|TRUNC"),
      ];
      for (const change of changes) {
        put("f", "text", 0o755);
        ok.setxattr("f", "security.capability", CAPABILITY);
        is(ok.getxattr("f", "security.capability"), CAPABILITY);
        ok.chmod("f", 0o700);
        is(ok.getxattr("f", "security.capability"), CAPABILITY, "chmod leaves it");
        change();
        fails("ENODATA").getxattr("f", "security.capability");
        ok.unlink("f");
      }
      put("f");
      fails("EINVAL").setxattr("f", "security.capability", "nonsense");
    },
  ),
  "security.capability: goes with root's write, which leaves set-id bits": needing(
    "privileged xattr",
    ({ ok, put, is, fails, mode }) => {
      put("f", "text");
      ok.chmod("f", 0o6777);
      ok.setxattr("f", "security.capability", CAPABILITY);
      ok.write(ok.open("f", "WRONLY"), "x");
      fails("ENODATA").getxattr("f", "security.capability");
      is(mode("f"), 0o6777);
    },
  ),
  "listxattr: another process sees what is set": needing(["xattr", "process"], ({ ok, put, is, other }) => {
    put("f");
    is(other.ok.listxattr("f").includes("user.a"), false);
    ok.setxattr("f", "user.a", "1");
    is(other.ok.listxattr("f").includes("user.a"), true);
    is(text(other.ok.getxattr("f", "user.a")), "1");
    other.ok.setxattr("f", "user.a", "2");
    is(text(ok.getxattr("f", "user.a")), "2");
    ok.removexattr("f", "user.a");
    other.fails("ENODATA").getxattr("f", "user.a");
  }),
};
