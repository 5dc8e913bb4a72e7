/**
 * Extended attributes and POSIX ACLs. Source: `xattr(7)`, `setxattr(2)`, `getxattr(2)`, `listxattr(2)`,
 * `removexattr(2)`, `acl(5)`.
 */
import { ALICE, BOB, type Cases, CREW, needing } from "../place.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

const ACCESS = "system.posix_acl_access", DEFAULT = "system.posix_acl_default";
const NOBODY = 0xffffffff;

/** `security.capability` of revision 2 with CAP_NET_BIND_SERVICE. Source: `linux/capability.h struct vfs_cap_data`. */
const CAPABILITY = new Uint8Array(20);
new DataView(CAPABILITY.buffer).setUint32(0, 0x02000001, true);
new DataView(CAPABILITY.buffer).setUint32(4, 1 << 10, true);

/** What an ACL says: rwx as a number, for the owner, the group and others, and for those named. */
interface Acl {
  readonly owner: number;
  readonly group: number;
  readonly other: number;
  readonly users?: Readonly<Record<number, number>>;
  readonly groups?: Readonly<Record<number, number>>;
  readonly mask?: number;
}

/** An ACL as the kernel has it. Source: `linux/posix_acl_xattr.h`. */
function acl({ owner, group, other, users = {}, groups = {}, mask }: Acl): Uint8Array {
  const named = (tag: number, entries: Readonly<Record<number, number>>) =>
    Object.entries(entries).map(([id, rights]) => [tag, rights, Number(id)]);
  const entries = [
    [1, owner, NOBODY],
    ...named(2, users),
    [4, group, NOBODY],
    ...named(8, groups),
    ...mask === undefined ? [] : [[16, mask, NOBODY]],
    [32, other, NOBODY],
  ];
  const bytes = new Uint8Array(4 + 8 * entries.length), view = new DataView(bytes.buffer);
  view.setUint32(0, 2, true);
  for (const [i, [tag, rights, id]] of entries.entries()) {
    view.setUint16(4 + 8 * i, tag, true);
    view.setUint16(6 + 8 * i, rights, true);
    view.setUint32(8 + 8 * i, id, true);
  }
  return bytes;
}

const ALICE_READS: Acl = { owner: 6, users: { [ALICE.uid]: 4 }, group: 0, mask: 4, other: 0 };

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

  "acl: what a mode can say becomes the mode": needing("acl", ({ ok, put, is, mode, fails }) => {
    put("f");
    ok.setxattr("f", ACCESS, acl({ owner: 7, group: 5, other: 1 }));
    is(mode("f"), 0o751);
    fails("ENODATA").getxattr("f", ACCESS);
    is(ok.listxattr("f").includes(ACCESS), false);
    ok.chmod("f", 0o640);
    ok.removexattr("f", ACCESS);
    is(mode("f"), 0o640);
  }),
  "acl: is read back, listed and removed": needing("acl", ({ ok, put, is, mode, fails }) => {
    put("f");
    const value = acl({
      owner: 6,
      users: { [ALICE.uid]: 6, [BOB.uid]: 0 },
      group: 4,
      groups: { [CREW]: 5 },
      mask: 5,
      other: 4,
    });
    ok.setxattr("f", ACCESS, value);
    is(ok.getxattr("f", ACCESS), value);
    is(ok.listxattr("f").includes(ACCESS), true);
    // The group's bits show the mask.
    is(mode("f"), 0o654);
    ok.removexattr("f", ACCESS);
    fails("ENODATA").getxattr("f", ACCESS);
    is(mode("f"), 0o654);
  }),
  "acl: chmod changes the mask": needing("acl", ({ ok, put, is, mode }) => {
    put("f");
    ok.setxattr("f", ACCESS, acl({ ...ALICE_READS, group: 7, mask: 7 }));
    ok.chmod("f", 0o640);
    is(mode("f"), 0o640);
    is(ok.getxattr("f", ACCESS), acl({ ...ALICE_READS, group: 7, mask: 4 }));
    ok.chmod("f", 0o707);
    is(ok.getxattr("f", ACCESS), acl({ ...ALICE_READS, owner: 7, group: 7, mask: 0, other: 7 }));
  }),
  "acl: keeps set-id bits": needing(["acl", "users"], ({ ok, put, is, mode }) => {
    put("f");
    ok.chmod("f", 0o6755);
    ok.setxattr("f", ACCESS, acl({ owner: 6, users: { [ALICE.uid]: 7 }, group: 0, mask: 7, other: 0 }));
    is(mode("f"), 0o6670);
  }),
  "acl: setting one clears set-gid for who is not in the group": needing(
    ["acl", "users"],
    ({ ok, put, is, mode, as }) => {
      put("f");
      ok.chown("f", ALICE.uid, CREW);
      ok.chmod("f", 0o2755);
      as(
        ALICE,
        () => ok.setxattr("f", ACCESS, acl({ owner: 7, users: { [BOB.uid]: 7 }, group: 5, mask: 7, other: 5 })),
      );
      is(mode("f"), 0o775);
      ok.chmod("f", 0o2775);
      as({ ...ALICE, groups: [CREW] }, () => ok.setxattr("f", ACCESS, acl(ALICE_READS)));
      is(mode("f"), 0o2640);
    },
  ),
  "acl: decides who may": needing(["acl", "users", "permissions"], ({ ok, put, as, fails }) => {
    put("f", "text", 0o600);
    ok.setxattr(
      "f",
      ACCESS,
      acl({ owner: 6, users: { [ALICE.uid]: 4 }, group: 0, groups: { [CREW]: 6 }, mask: 6, other: 0 }),
    );
    as(ALICE, () => {
      ok.open("f", "RDONLY");
      ok.access("f", "R");
      fails("EACCES").open("f", "WRONLY");
      fails("EACCES").access("f", "W");
      fails("EACCES").truncate("f", 0);
    });
    as(BOB, () => fails("EACCES").open("f", "RDONLY"));
    as({ ...BOB, groups: [CREW] }, () => ok.open("f", "RDWR"));
    // Who is named is not also taken for one of the group.
    as({ ...ALICE, groups: [CREW] }, () => fails("EACCES").open("f", "WRONLY"));
    ok.chmod("f", 0o640);
    as({ ...BOB, groups: [CREW] }, () => fails("EACCES").open("f", "RDWR"));
    ok.chmod("f", 0o600);
    as(ALICE, () => fails("EACCES").open("f", "RDONLY"));
    ok.removexattr("f", ACCESS);
    ok.chmod("f", 0o604);
    as(ALICE, () => ok.open("f", "RDONLY"));
  }),
  "acl: decides who may enter and change a directory": needing(["acl", "users", "permissions"], (at) => {
    const { ok, put, as, fails, names } = at;
    ok.mkdir("d", 0o700);
    put("d/f", "text", 0o666);
    as(ALICE, () => fails("EACCES").open("d/f", "RDONLY"));
    ok.setxattr("d", ACCESS, acl({ owner: 7, users: { [ALICE.uid]: 5 }, group: 0, mask: 7, other: 0 }));
    as(ALICE, () => {
      ok.open("d/f", "RDONLY");
      names("d");
      fails("EACCES").unlink("d/f");
    });
    ok.setxattr("d", ACCESS, acl({ owner: 7, users: { [ALICE.uid]: 7 }, group: 0, mask: 7, other: 0 }));
    as(ALICE, () => ok.unlink("d/f"));
  }),
  "acl: is set by the owner": needing(["acl", "users"], ({ ok, put, as, fails, is, mode }) => {
    put("f", "", 0o666);
    ok.chown("f", ALICE.uid, ALICE.gid);
    as(BOB, () => {
      fails("EPERM").setxattr("f", ACCESS, acl(ALICE_READS));
      fails("EPERM").removexattr("f", ACCESS);
    });
    as(ALICE, () => ok.setxattr("f", ACCESS, acl({ owner: 6, users: { [BOB.uid]: 6 }, group: 0, mask: 6, other: 0 })));
    is(mode("f"), 0o660);
    as(BOB, () => fails("EPERM").removexattr("f", ACCESS));
  }),
  "acl: EINVAL for what is none": needing("acl", ({ ok, put, fails }) => {
    put("f");
    fails("EINVAL").setxattr("f", ACCESS, acl({ owner: 6, group: 4, other: 4 }).subarray(0, 15));
    fails("EOPNOTSUPP", "EINVAL").setxattr("f", ACCESS, "nonsense");
    // A user who is named needs a mask.
    fails("EINVAL").setxattr("f", ACCESS, acl({ owner: 6, users: { 1: 4 }, group: 4, other: 4 }));
    fails("EINVAL").setxattr("f", ACCESS, acl({ owner: 8, group: 4, other: 4 }));
    const version = acl({ owner: 6, group: 4, other: 4 });
    version[0] = 1;
    fails("EOPNOTSUPP").setxattr("f", ACCESS, version);
    ok.setxattr("f", ACCESS, acl({ owner: 6, group: 4, other: 4 }));
  }),
  "acl: default ones are for directories": needing("acl", ({ ok, put, fails, is, mode }) => {
    put("f");
    fails("EACCES").setxattr("f", DEFAULT, acl(ALICE_READS));
    fails("ENODATA").getxattr("f", DEFAULT);
    ok.mkdir("d");
    ok.setxattr("d", DEFAULT, acl(ALICE_READS));
    is(ok.getxattr("d", DEFAULT), acl(ALICE_READS));
    is(mode("d"), 0o755);
    ok.removexattr("d", DEFAULT);
    fails("ENODATA").getxattr("d", DEFAULT);
    ok.removexattr("d", DEFAULT);
  }),
  "acl: symbolic links have none": needing(["acl", "symlink"], ({ ok, put, fails }) => {
    put("f");
    ok.symlink("f", "link");
    fails("EOPNOTSUPP").lsetxattr("link", ACCESS, acl(ALICE_READS));
    fails("EOPNOTSUPP").lgetxattr("link", ACCESS);
  }),
  "default acl: what is made inherits it, and the umask does not count": needing(["acl", "special"], (at) => {
    const { ok, is, mode, masked } = at;
    const inherited: Acl = { owner: 7, users: { [ALICE.uid]: 6 }, group: 5, mask: 7, other: 4 };
    ok.mkdir("d");
    ok.setxattr("d", DEFAULT, acl(inherited));
    masked(0o077, () => {
      ok.close(ok.open("d/f", "WRONLY|CREAT", 0o666));
      ok.mkdir("d/e", 0o777);
      ok.mknod("d/n", 0o100660);
      ok.mknod("d/p", 0o010666);
    });
    // The mode asked for limits what is inherited.
    is(ok.getxattr("d/f", ACCESS), acl({ ...inherited, owner: 6, mask: 6 }));
    is(mode("d/f"), 0o664);
    is(ok.getxattr("d/n", ACCESS), acl({ ...inherited, owner: 6, mask: 6, other: 0 }));
    is(mode("d/n"), 0o660);
    is(mode("d/p"), 0o664);
    is(ok.getxattr("d/e", ACCESS), acl(inherited));
    is(ok.getxattr("d/e", DEFAULT), acl(inherited));
    is(mode("d/e"), 0o774);
    ok.mkdir("d/e/g", 0o700);
    is(ok.getxattr("d/e/g", DEFAULT), acl(inherited));
    is(mode("d/e/g"), 0o700);
  }),
  "default acl: one that a mode can say stands in for the umask": needing("acl", ({ ok, is, mode, masked, fails }) => {
    ok.mkdir("d");
    ok.setxattr("d", DEFAULT, acl({ owner: 7, group: 7, other: 5 }));
    masked(0o777, () => {
      ok.close(ok.open("d/f", "WRONLY|CREAT", 0o666));
      ok.mkdir("d/e", 0o777);
    });
    is([mode("d/f"), mode("d/e")], [0o664, 0o775]);
    fails("ENODATA").getxattr("d/f", ACCESS);
    is(ok.getxattr("d/e", DEFAULT), acl({ owner: 7, group: 7, other: 5 }));
  }),
  "default acl: symbolic links inherit nothing": needing(["acl", "symlink"], ({ ok, is, fails }) => {
    ok.mkdir("d");
    ok.setxattr("d", DEFAULT, acl(ALICE_READS));
    ok.symlink("x", "d/link");
    is(ok.lstat("d/link").mode, 0o120777);
    fails("EOPNOTSUPP", "ENODATA").lgetxattr("d/link", ACCESS);
  }),
  "default acl: a file without a name inherits it": needing(["acl", "tmpfile"], ({ ok, is, masked }) => {
    ok.mkdir("d");
    ok.setxattr("d", DEFAULT, acl({ owner: 7, users: { [ALICE.uid]: 6 }, group: 5, mask: 7, other: 4 }));
    const fd = masked(0o077, () => ok.open("d", "RDWR|TMPFILE", 0o666));
    is(ok.fstat(fd).mode & 0o777, 0o664);
    is(ok.fgetxattr(fd, ACCESS), acl({ owner: 6, users: { [ALICE.uid]: 6 }, group: 5, mask: 6, other: 4 }));
  }),
  "default acl: does not decide about the directory itself": needing(["acl", "users", "permissions"], (at) => {
    const { ok, as, fails, put, content, is } = at;
    ok.mkdir("d", 0o700);
    ok.setxattr("d", DEFAULT, acl({ owner: 7, users: { [ALICE.uid]: 7 }, group: 0, mask: 7, other: 0 }));
    put("d/f", "text", 0o666);
    as(ALICE, () => fails("EACCES").open("d/f", "RDONLY"));
    ok.chmod("d", 0o711);
    as(ALICE, () => is(content("d/f"), "text"));
    as(BOB, () => fails("EACCES").open("d/f", "RDONLY"));
  }),
  "acl: ctime moves on": needing("acl", ({ ok, put, tick, is }) => {
    put("f");
    const before = ok.stat("f");
    tick();
    ok.setxattr("f", ACCESS, acl(ALICE_READS));
    const after = ok.stat("f");
    is(after.ctime + after.ctimeNsec / 1e9 > before.ctime + before.ctimeNsec / 1e9, true, "ctime moves on");
    is([after.mtime, after.mtimeNsec], [before.mtime, before.mtimeNsec]);
  }),
};
