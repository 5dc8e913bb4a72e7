/** A mounted mirror and its source at the same time: what is done on one side is seen on the other, at once. */
import { ACL_ACCESS, ACL_DEFAULT, ACL_TAG, type AclEntry, formatAcl } from "../../../kit.ts";
import { ALICE, type Cases, CREW, type Dirent, needing, type Place, type Stat } from "../../../testing.ts";

const MIB = 1 << 20;
// `DT_*`, and the type bits of a mode shifted right by 12.
const DIRECTORY = 4, REGULAR = 8, LINK = 10;
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A case, and where its folder is in the source. */
type Both = (at: Place, there: (name?: string) => string) => void;

/** Writes a file anew. */
function write({ ok }: Place, path: string, data: string): void {
  const fd = ok.open(path, "WRONLY|CREAT|TRUNC", 0o644);
  ok.write(fd, data);
  ok.close(fd);
}

/** Makes one of all that a file system knows; what takes root is left out for others. */
function plant(at: Place, folder: string): void {
  const { ok, sys, put } = at;
  const inside = (name: string) => `${folder}/${name}`;
  for (const name of ["", "deep", "deep/er", "empty"]) ok.mkdir(inside(name), 0o755);
  for (let i = 0; i < 60; i++) put(inside(`deep/${i}`), `${i}\n`.repeat(i));
  put(inside("deep/er/large"), new Uint8Array(300_005).map((_, i) => i * 31 >> 3));
  put(inside("caf\udce9"), "a name that is no text");
  ok.link(inside("deep/7"), inside("deep/er/seven"));
  ok.symlink("../deep/7", inside("deep/link"));
  ok.symlink("/nowhere", inside("dangling"));
  ok.mknod(inside("fifo"), 0o010620);
  const sparse = ok.open(inside("sparse"), "WRONLY|CREAT");
  ok.ftruncate(sparse, 2 * MIB);
  ok.pwrite(sparse, "in the middle", MIB);
  ok.close(sparse);
  ok.chmod(inside("deep/1"), 0o4751);
  ok.chmod(inside("empty"), 0o1700);
  sys.setxattr(inside("deep/1"), "user.note", "kept");
  sys.chown(inside("deep/2"), 12345, 23456);
  sys.lchown(inside("dangling"), 12345, 23456);
  ok.utimens(inside("deep/3"), [[1, 2], [10 ** 9, 123_456_789]]);
}

/** What is below a folder: its path from there, its attributes, and the inode and type that the directory tells. */
interface Found {
  readonly path: string;
  readonly stat: Stat;
  readonly entry: readonly [ino: bigint, type: number];
}

/** Everything below a folder, in the order of names. Nothing of it is read but directories. */
function walk(at: Place, folder: string, prefix = ""): Found[] {
  const { ok } = at;
  const fd = ok.open(folder, "RDONLY|DIRECTORY"), entries: Dirent[] = [];
  for (let part; (part = ok.getdents(fd)).length > 0;) entries.push(...part);
  ok.close(fd);
  return entries.sort((a, b) => a.name < b.name ? -1 : 1).flatMap(({ name, ino, type }) => {
    if (name === "." || name === "..") return [];
    const path = prefix + name, stat = ok.lstat(`${folder}/${name}`);
    const own: Found = { path, stat, entry: [ino, type] };
    return type === DIRECTORY ? [own, ...walk(at, `${folder}/${name}`, `${path}/`)] : [own];
  });
}

/** What has to be alike on both sides. Looking at a directory or a symbolic link changes its time of access. */
const told = (stat: Stat, entry: Found["entry"] | [] = []) => [
  ...entry,
  ...[stat.mode, stat.nlink, stat.uid, stat.gid, stat.ino, stat.size, stat.blocks, stat.blksize],
  ...[stat.mtime, stat.mtimeNsec, stat.ctime, stat.ctimeNsec, stat.btime, stat.btimeNsec],
  ...stat.mode >> 12 === REGULAR ? [stat.atime, stat.atimeNsec] : [],
  ...[stat.rdevMajor, stat.rdevMinor],
];

/** Extended attributes and data of a file. */
function held({ ok }: Place, path: string, { mode }: Stat): unknown {
  const xattrs = ok.llistxattr(path).sort().map((name) => [name, ok.lgetxattr(path, name)]);
  if (mode >> 12 === LINK) return [xattrs, ok.readlink(path)];
  if (mode >> 12 !== REGULAR) return [xattrs];
  const fd = ok.open(path, "RDONLY");
  const parts = [];
  for (let part; (part = ok.read(fd, MIB)).length > 0;) parts.push(part);
  ok.close(fd);
  return [xattrs, parts];
}

/** Fails unless both sides tell the same of everything in the folder of the case. */
function alike(at: Place, there: (name?: string) => string): void {
  const { ok, is, dir } = at;
  // What is not written yet has no blocks of its own on every file system, and may get them at any time.
  for (const folder of [dir, there()]) {
    const fd = ok.open(folder, "RDONLY|DIRECTORY");
    ok.syncfs(fd);
    ok.close(fd);
  }
  const here = walk(at, dir), own = walk(at, there());
  is(here.map(({ path }) => path), own.map(({ path }) => path));
  for (const [i, { path, stat, entry }] of own.entries()) {
    is(told(here[i].stat, here[i].entry), told(stat, entry), path);
  }
  for (const { path, stat } of own) is(held(at, `${dir}/${path}`, stat), held(at, there(path), stat), path);
}

/** The list of a mode, with something for Alice. */
function aclFor([owner, alice, group, mask, other]: readonly number[]): Uint8Array {
  const { USER_OBJ, USER, GROUP_OBJ, MASK, OTHER } = ACL_TAG;
  const entry = (tag: number, perm: number, id = 0xffffffff): AclEntry => ({ tag, perm, id });
  return formatAcl([
    ...[entry(USER_OBJ, owner), entry(USER, alice, ALICE.uid), entry(GROUP_OBJ, group)],
    ...[entry(MASK, mask), entry(OTHER, other)],
  ]);
}

const CASES: Readonly<Record<string, Both>> = {
  "the mirror is the source: names, inodes, attributes, times, data": (at, there) => {
    const { ok, sys, is } = at;
    plant(at, there("tree"));
    alike(at, there);
    const fds = ["tree/sparse", there("tree/sparse")].map((path) => ok.open(path, "RDONLY"));
    for (const whence of ["DATA", "HOLE"] as const) {
      for (const offset of [0, MIB, 2 * MIB - 1, 2 * MIB]) {
        const [here, own] = fds.map((fd) => sys.lseek(fd, offset, whence));
        is(here, own, `lseek(${offset}, ${whence})`);
      }
    }
    plant(at, "tree/new");
    alike(at, there);
    for (const { path, entry: [, type] } of walk(at, "tree/new").reverse()) {
      if (type === DIRECTORY) ok.rmdir(`tree/new/${path}`);
      else ok.unlink(`tree/new/${path}`);
    }
    ok.rmdir("tree/new");
    alike(at, there);
  },
  "what changes in the source is seen in the mirror": (at, there) => {
    const { ok, is, fails, content, names, mode } = at;
    write(at, there("f"), "first");
    is([content("f"), names()], ["first", ["f"]]);
    const fd = ok.open("f", "RDONLY"), own = ok.open(there("f"), "WRONLY|APPEND");
    ok.write(own, " and more");
    is([ok.stat("f").size, ok.fstat(fd).size, text(ok.pread(fd, 99, 0))], [14, 14, "first and more"]);
    ok.truncate(there("f"), 3);
    is([ok.fstat(fd).size, text(ok.pread(fd, 99, 0))], [3, "fir"]);
    for (const bits of [0o604, 0o640]) {
      ok.chmod(there("f"), bits);
      is([ok.fstat(fd).mode & 0o777, mode("f")], [bits, bits]);
    }
    ok.close(own);
    ok.close(fd);
    for (let i = 0; i < 50; i++) {
      const data = `${i}`.padStart(4, "0"), next = [...data].reverse().join("");
      write(at, there("f"), data);
      is(content("f"), data);
      write(at, there("next"), next);
      ok.rename(there("next"), there("f"));
      is([content("f"), names()], [next, ["f"]]);
    }
    ok.utimens(there("f"), [[1, 0], [2, 0]]);
    is(ok.stat("f").mtime, 2);
    ok.setxattr(there("f"), "user.x", "y");
    is(text(ok.getxattr("f", "user.x")), "y");
    ok.link(there("f"), there("g"));
    is([ok.stat("g").nlink, ok.stat("f").ino], [2, ok.stat("g").ino]);
    ok.unlink(there("f"));
    fails("ENOENT").stat("f");
    ok.mkdir(there("f"));
    is([ok.stat("f").mode >> 12, ok.stat("g").nlink], [DIRECTORY, 1]);
    ok.rmdir(there("f"));
    ok.symlink("g", there("f"));
    is(ok.readlink("f"), "g");
    fails("ENOENT").stat("absent");
    write(at, there("absent"), "");
    is(ok.stat("absent").size, 0);
  },
  "what changes in the mirror is seen in the source": (at, there) => {
    const { ok, sys, is, content, names, mode } = at;
    const fd = ok.open("f", "RDWR|CREAT");
    ok.write(fd, "first");
    is(content(there("f")), "first");
    ok.write(fd, " and more");
    is([ok.stat(there("f")).size, content(there("f"))], [14, "first and more"]);
    ok.ftruncate(fd, 2);
    is(ok.stat(there("f")).size, 2);
    is(told(ok.fstat(fd)), told(ok.stat(there("f"))));
    ok.rename("f", "g");
    ok.mkdir("d", 0o711);
    ok.symlink("x", "l");
    ok.link("g", "d/h");
    is([names(there()), ok.stat(there("g")).nlink, mode(there("d"))], [["d", "g", "l"], 2, 0o711]);
    ok.ftruncate(fd, 8192);
    const address = ok.mmap(8192, "READ|WRITE", "SHARED", fd);
    sys.poke(address, "mapped");
    ok.msync(address, 8192);
    is(content(there("g")).slice(0, 6), "mapped");
    ok.munmap(address);
    alike(at, there);
  },
  "what is removed or replaced in the source stays with who has it open": (at, there) => {
    const { ok, is, fails, content } = at;
    ok.mkdir(there("d"));
    for (const name of ["f", "d/in"]) write(at, there(name), "old");
    const fd = ok.open("f", "RDWR"), inner = ok.open("d/in", "RDONLY"), folder = ok.open("d", "RDONLY|DIRECTORY");
    const inside = at.below(folder);
    is([text(ok.pread(fd, 9, 0)), inside.content("in")], ["old", "old"]);
    write(at, there("new"), "new");
    ok.rename(there("new"), there("f"));
    is([text(ok.pread(fd, 9, 0)), content("f")], ["old", "new"]);
    ok.pwrite(fd, "OLD!", 0);
    ok.fchmod(fd, 0o600);
    const { mode, size, nlink } = ok.fstat(fd);
    is([text(ok.pread(fd, 9, 0)), mode & 0o777, size, nlink], ["OLD!", 0o600, 4, 0]);
    ok.unlink(there("d/in"));
    ok.rmdir(there("d"));
    is([text(ok.pread(inner, 9, 0)), ok.fstat(inner).nlink], ["old", 0]);
    fails("ENOENT").stat("d");
    inside.fails("ENOENT").stat("in");
    inside.fails("ENOENT").mkdir("x");
    inside.fails("ENOENT").open("x", "WRONLY|CREAT");
    ok.mkdir(there("d"));
    write(at, there("d/in"), "another");
    is([content("d/in"), text(ok.pread(inner, 9, 0)), content("f")], ["another", "old", "new"]);
  },
  "a folder that is renamed or moved in the source takes who works in it along": (at, there) => {
    const { ok, is, names, content } = at;
    for (const name of ["a", "a/b", "a/b/c", "z"]) ok.mkdir(there(name));
    write(at, there("a/b/c/f"), "text");
    const fd = ok.open("a/b/c", "RDONLY|DIRECTORY");
    const inside = at.below(fd), { ino } = ok.fstat(fd);
    ok.rename(there("a/b"), there("z/moved"));
    is([inside.content("f"), ok.fstat(fd).ino], ["text", ino]);
    inside.put("made", "in the new place");
    is(content(there("z/moved/c/made")), "in the new place");
    ok.rename(there("z"), there("y"));
    is([names("y/moved/c"), ok.stat("y/moved/c").ino], [["f", "made"], ino]);
    inside.ok.rename("f", "../f");
    is(names(there("y/moved")), ["c", "f"]);
  },
  "a tree deeper than any path, made on either side, is walked on the other": (at, there) => {
    const { ok } = at;
    const name = "n".repeat(50), levels = 200;
    const down = (from: Place, made: boolean) => {
      const way = [from];
      for (let i = 0; i < levels; i++) {
        if (made) way[i].ok.mkdir(name);
        way.push(from.below(way[i].ok.open(name, "RDONLY|DIRECTORY")));
      }
      return way;
    };
    for (const [side, other] of [[at.dir, there()], [there(), at.dir]]) {
      const bottom = down(at.below(ok.open(side, "RDONLY|DIRECTORY")), true).at(-1)!;
      bottom.put("bottom", "deep");
      const way = down(at.below(ok.open(other, "RDONLY|DIRECTORY")), false);
      const seen = way.at(-1)!;
      at.is([seen.content("bottom"), seen.ok.stat("bottom").ino], ["deep", bottom.ok.stat("bottom").ino]);
      seen.ok.rename("bottom", "renamed");
      at.is(bottom.names(), ["renamed"]);
      seen.ok.unlink("renamed");
      for (const folder of way.reverse().slice(1)) folder.ok.rmdir(name);
      at.is([at.names(), at.names(there())], [[], []]);
    }
  },
  "symbolic links are shown as they are, and lead where they lead from the mount": (at, there) => {
    const { ok, is, content, names } = at;
    // The same way up and down again has its ends on one side.
    write(at, there("inside"), "of the case");
    const up = `../${at.dir.slice(at.dir.lastIndexOf("/") + 1)}/inside`;
    ok.symlink(up, there("up"));
    ok.symlink(there("inside"), there("absolute"));
    ok.symlink("/", there("root"));
    is(["up", "absolute", "root"].map((name) => ok.readlink(name)), [up, there("inside"), "/"]);
    is([content("up"), content("absolute")], ["of the case", "of the case"]);
    const id = (path: string) => ok.stat(path).ino;
    is([ok.fstat(ok.open("up", "PATH")).ino, id("root")], [id("inside"), id("/")]);
    // A folder that becomes a link is followed by who looks, never by the server.
    ok.mkdir(there("d"));
    ok.mkdir(there("outside"));
    write(at, there("d/f"), "inside");
    write(at, there("outside/f"), "outside");
    const inside = at.below(ok.open("d", "RDONLY|DIRECTORY"));
    ok.rename(there("d"), there("e"));
    ok.symlink(there("outside"), there("d"));
    is([inside.content("f"), content("d/f")], ["inside", "outside"]);
    inside.ok.unlink("f");
    is([names(there("outside")), names(there("e"))], [["f"], []]);
  },
};

const PRIVILEGED: Readonly<Record<string, Both>> = {
  "access control lists of the source hold in the mirror": (at, there) => {
    const { ok, sys, is, as, put, fails, mode, content } = at;
    put(there("f"), "text", 0o600);
    ok.chown(there("f"), 0, CREW);
    if (sys.setxattr(there("f"), ACL_ACCESS, aclFor([6, 4, 0, 4, 0])) === -95) at.skip("the source has no lists");
    const lists = (name: string, ...attributes: string[]) =>
      [name, there(name)].map((path) => attributes.map((attribute) => sys.getxattr(path, attribute)));
    const same = (name: string, ...attributes: string[]) => {
      const [here, own] = lists(name, ...attributes);
      is(here, own, name);
    };
    same("f", ACL_ACCESS);
    is(as(ALICE, () => content("f")), "text");
    // In the mode, the group's bits are those of the mask: the list denies what they would grant.
    is(mode("f"), 0o640);
    as({ uid: ALICE.uid + 1, gid: CREW }, () => fails("EACCES").open("f", "RDONLY"));
    ok.mkdir("d");
    ok.chmod("d", 0o777);
    ok.setxattr("d", ACL_DEFAULT, aclFor([7, 7, 5, 7, 5]));
    for (const umask of [0o077, 0o022]) {
      at.masked(umask, () => {
        for (const [file, folder] of [["d/f", "d/e"], [there("d/own"), there("d/owns")]]) {
          put(`${file}${umask}`, "", 0o666);
          ok.mkdir(`${folder}${umask}`, 0o777);
        }
      });
      is(lists(`d/f${umask}`, ACL_ACCESS)[0], lists(`d/own${umask}`, ACL_ACCESS)[1]);
      is(mode(`d/f${umask}`), mode(`d/own${umask}`));
      is(lists(`d/e${umask}`, ACL_ACCESS, ACL_DEFAULT)[0], lists(`d/owns${umask}`, ACL_ACCESS, ACL_DEFAULT)[1]);
      is(mode(`d/e${umask}`), mode(`d/owns${umask}`));
    }
    // Who is not of the group cannot keep set-group-ID beside a list.
    for (const path of ["mine", there("theirs")]) {
      put(path);
      ok.chown(path, ALICE.uid, CREW);
      ok.chmod(path, 0o2755);
      ok.chmod(there(), 0o777);
      as(ALICE, () => ok.setxattr(path, ACL_ACCESS, aclFor([7, 4, 5, 5, 5])));
    }
    is([mode("mine"), mode(there("mine"))], [mode("theirs"), mode("theirs")]);
    alike(at, there);
  },
};

/** The cases, for a mount of the mirror of a folder. */
export function bothSides(source: string): Cases {
  const bound = (run: Both) => (at: Place) =>
    run(at, (name = "") => `${source}${at.dir.slice(at.dir.lastIndexOf("/"))}${name && `/${name}`}`);
  const all = (cases: Readonly<Record<string, Both>>) =>
    Object.entries(cases).map(([name, run]) => [name, bound(run)] as const);
  return {
    ...Object.fromEntries(all(CASES)),
    ...Object.fromEntries(all(PRIVILEGED).map(([name, run]) => [name, needing(["users", "acl"], run)])),
  };
}
