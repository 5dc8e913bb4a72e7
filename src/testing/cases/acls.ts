/** POSIX ACLs. Source: `acl(5)`. */
import { ALICE, BOB, type Cases, CREW, needing } from "../place.ts";

const ACCESS = "system.posix_acl_access", DEFAULT = "system.posix_acl_default";
const NOBODY = 0xffffffff;

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

export const aclCases: Cases = {
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
