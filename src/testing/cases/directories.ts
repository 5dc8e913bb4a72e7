/** Reading directories, and names. Source: `getdents64(2)`, `readdir(3)`, `seekdir(3)`. */
import { type Cases, needing, type Place } from "../place.ts";
import type { Dirent } from "../sys.ts";

function all({ ok }: Place, fd: number, size?: number): Dirent[] {
  const entries: Dirent[] = [];
  for (let part; (part = ok.getdents(fd, size)).length > 0;) entries.push(...part);
  return entries;
}

const plain = (entries: readonly Dirent[]) =>
  entries.map(({ name }) => name).filter((name) => name !== "." && name !== "..").sort();

export const directoryCases: Cases = {
  "readdir: every entry once, with its inode and type": needing(["special", "symlink"], (at) => {
    const { ok, put, is } = at;
    put("file");
    ok.mkdir("directory");
    ok.symlink("x", "link");
    ok.mknod("fifo", 0o010644);
    ok.mknod("socket", 0o140644);
    const entries = all(at, ok.open(".", "RDONLY|DIRECTORY"));
    is(entries.map(({ name }) => name).sort(), [".", "..", "directory", "fifo", "file", "link", "socket"]);
    for (const { name, ino, type } of entries) {
      if (name === "..") continue;
      const stat = ok.lstat(name);
      is([Number(ino), type], [stat.ino, stat.mode >> 12], name);
    }
  }),
  "readdir: an empty directory has . and .. alone": (at) => {
    const { ok, is } = at;
    ok.mkdir("d");
    is(all(at, ok.open("d", "RDONLY")).map(({ name }) => name).sort(), [".", ".."]);
  },
  "readdir: a thousand entries, with room for few": (at) => {
    const { ok, is } = at;
    const names = Array.from({ length: 1000 }, (_, i) => `entry-${i}`).sort();
    ok.mkdir("d");
    for (const name of names) ok.mknod(`d/${name}`, 0o100644);
    for (const size of [280, 1000, 4096, 0x8000]) {
      const fd = ok.open("d", "RDONLY");
      is(plain(all(at, fd, size)), names);
      is(ok.getdents(fd, size).length, 0);
      ok.close(fd);
    }
  },
  "readdir: long names, with room for one": (at) => {
    const { ok, is } = at;
    const names = Array.from({ length: 20 }, (_, i) => `${"n".repeat(250)}${100 + i}`).sort();
    for (const name of names) ok.mknod(name, 0o100644);
    is(plain(all(at, ok.open(".", "RDONLY"), 300)), names);
  },
  "readdir: EINVAL where there is no room for one": (at) => {
    at.ok.mknod("n".repeat(200), 0o100644);
    at.fails("EINVAL").getdents(at.ok.open(".", "RDONLY"), 8);
  },
  "readdir: ENOTDIR for a file": ({ ok, put, fails }) => {
    put("f");
    fails("ENOTDIR").getdents(ok.open("f", "RDONLY"));
  },
  "rewinddir: begins anew and shows what is new": (at) => {
    const { ok, put, is } = at;
    put("a");
    const fd = ok.open(".", "RDONLY");
    is(plain(all(at, fd)), ["a"]);
    put("b");
    ok.unlink("a");
    is(ok.lseek(fd, 0, "SET"), 0);
    is(plain(all(at, fd)), ["b"]);
  },
  "seekdir: every place leads to the same rest": (at) => {
    const { ok, is } = at;
    for (let i = 0; i < 100; i++) ok.mknod(`f${i}`, 0o100644);
    const fd = ok.open(".", "RDONLY");
    const entries = all(at, fd);
    for (const i of [0, 1, 2, 49, 98, 100, 101]) {
      ok.lseek(fd, entries[i].next, "SET");
      is(all(at, fd).map(({ name }) => name), entries.slice(i + 1).map(({ name }) => name), `after entry ${i}`);
    }
    ok.lseek(fd, 0, "SET");
    is(all(at, fd).map(({ name }) => name), entries.map(({ name }) => name));
  },
  "telldir: the offset is that of the next entry": ({ ok, is, sys }) => {
    for (let i = 0; i < 20; i++) ok.mknod(`f${i}`, 0o100644);
    const fd = ok.open(".", "RDONLY");
    const entries = ok.getdents(fd, 200);
    // Beyond 2^53 it would not be a number.
    is(Number(BigInt.asIntN(64, entries.at(-1)!.next)), sys.lseek(fd, 0, "CUR"));
  },
  "seekdir: a place stays where it was while others are removed": (at) => {
    const { ok, is } = at;
    for (let i = 0; i < 50; i++) ok.mknod(`f${i}`, 0o100644);
    const fd = ok.open(".", "RDONLY");
    const entries = all(at, fd);
    for (const { name } of entries.slice(0, 20)) if (!name.startsWith(".")) ok.unlink(name);
    ok.lseek(fd, entries[29].next, "SET");
    is(all(at, fd).map(({ name }) => name), entries.slice(30).map(({ name }) => name));
  },
  "seekdir: what was removed behind the place is not told": (at) => {
    const { ok, is } = at;
    for (let i = 0; i < 50; i++) ok.mknod(`f${i}`, 0o100644);
    const fd = ok.open(".", "RDONLY");
    const entries = all(at, fd);
    const gone = entries.slice(31, 40).map(({ name }) => name).filter((name) => !name.startsWith("."));
    for (const name of gone) ok.unlink(name);
    ok.lseek(fd, entries[29].next, "SET");
    const left = entries.slice(30).map(({ name }) => name).filter((name) => !gone.includes(name));
    is(all(at, fd).map(({ name }) => name), left);
  },
  "readdir: what stays is told once while others come and go": (at) => {
    const { ok, is, holds } = at;
    const stay = Array.from({ length: 200 }, (_, i) => `stay-${i}`), go = stay.map((name) => `go-${name}`);
    for (const [i, name] of stay.entries()) {
      ok.mknod(name, 0o100644);
      ok.mknod(go[i], 0o100644);
    }
    const fd = ok.open(".", "RDONLY");
    const seen: string[] = [];
    let round = 0;
    for (let part; (part = ok.getdents(fd, 600)).length > 0; round++) {
      seen.push(...part.map(({ name }) => name));
      if (round < 100) {
        ok.unlink(go[round * 2]);
        ok.mknod(`come-${round}`, 0o100644);
      }
      holds(round < 5000, "it comes to an end");
    }
    is(seen.filter((name) => name.startsWith("stay-")).sort(), [...stay].sort());
    is(new Set(seen).size, seen.length);
  },
  "readdir: removing what was read, to the end": (at) => {
    const { ok, is, names } = at;
    for (let i = 0; i < 500; i++) ok.mknod(`f${i}`, 0o100644);
    const fd = ok.open(".", "RDONLY");
    let removed = 0;
    for (let part; (part = ok.getdents(fd, 1000)).length > 0;) {
      for (const { name } of part) {
        if (name === "." || name === "..") continue;
        ok.unlink(name);
        removed++;
      }
    }
    is(removed, 500);
    is(names(), []);
  },
  "readdir: renaming what was read comes to an end": (at) => {
    const { ok, holds, names, is } = at;
    for (let i = 0; i < 100; i++) ok.mknod(`f${i}`, 0o100644);
    const old = names();
    const fd = ok.open(".", "RDONLY");
    const seen: string[] = [];
    for (let part; seen.length < 2000 && (part = ok.getdents(fd, 600)).length > 0;) {
      for (const { name } of part) if (!name.startsWith(".")) ok.rename(name, `r${seen.push(name)}`);
    }
    holds(seen.length < 2000, "it comes to an end");
    is(seen.filter((name) => name.startsWith("f")).sort(), old, "what there was");
    is(names().length, 100);
  },
  "readdir: while another process makes and removes": needing("process", (at) => {
    const { ok, other, is } = at;
    const stay = Array.from({ length: 100 }, (_, i) => `stay-${i}`).sort();
    for (const name of stay) ok.mknod(name, 0o100644);
    for (let round = 0; round < 10; round++) {
      const fd = ok.open(".", "RDONLY");
      const seen: string[] = [];
      for (let part, i = 0; (part = ok.getdents(fd, 500)).length > 0; i++) {
        seen.push(...part.map(({ name }) => name));
        other.ok.mknod(`come-${round}-${i}`, 0o100644);
        if (i % 2) other.ok.unlink(`come-${round}-${i}`);
      }
      is(seen.filter((name) => name.startsWith("stay-")).sort(), stay);
      is(new Set(seen).size, seen.length);
      ok.close(fd);
    }
  }),
  "readdir: two open directories read at their own pace": (at) => {
    const { ok, is } = at;
    for (let i = 0; i < 100; i++) ok.mknod(`f${i}`, 0o100644);
    const a = ok.open(".", "RDONLY"), b = ok.open(".", "RDONLY");
    const seen: [string[], string[]] = [[], []];
    for (let going = true; going;) {
      going = false;
      for (const [i, fd] of [a, b].entries()) {
        const part = ok.getdents(fd, 300 + 500 * i);
        seen[i].push(...part.map(({ name }) => name));
        going ||= part.length > 0;
      }
    }
    is(seen[0], seen[1]);
    is(seen[0].length, 102);
  },
  "readdir: another process sees what is made at once": needing("process", ({ ok, put, other, is }) => {
    ok.mkdir("d");
    is(other.names("d"), []);
    for (const name of ["a", "b", "c"]) {
      put(`d/${name}`);
      is(other.names("d").at(-1), name);
      other.ok.stat(`d/${name}`);
    }
    ok.unlink("d/b");
    is(other.names("d"), ["a", "c"]);
    other.fails("ENOENT").stat("d/b");
  }),
  "lookup: a name that was missing is found when it is made": needing("process", ({ ok, put, other, fails }) => {
    for (let i = 0; i < 5; i++) {
      fails("ENOENT").stat("f");
      other.fails("ENOENT").stat("f");
      if (i % 2) put("f");
      else other.put("f");
      ok.stat("f");
      other.ok.stat("f");
      ok.unlink("f");
    }
  }),

  "names: everything but NUL and slash, as it is": needing("byte names", (at) => {
    const { ok, put, is, content } = at;
    const every = Array.from({ length: 255 }, (_, i) => i + 1).filter((c) => c !== 0x2f);
    // Bytes that are no UTF-8 stand as lone surrogates.
    const byte = (c: number) => String.fromCharCode(c < 0x80 ? c : 0xdc00 + c);
    const names = [
      ...every.map((c) => `_${byte(c)}`),
      every.slice(0, 250).map(byte).join(""),
      "\udcc3", // the first half of é
      "caf\udce9",
      "\udced\udca0\udc80", // a surrogate in UTF-8
      "\udcff\udcfe",
    ];
    ok.mkdir("d");
    for (const [i, name] of names.entries()) put(`d/${name}`, `${i}`);
    is(plain(all(at, ok.open("d", "RDONLY"))), [...names].sort());
    for (const [i, name] of names.entries()) is(content(`d/${name}`), `${i}`);
    for (const name of names) ok.rename(`d/${name}`, `d/${name}.`);
    for (const name of names) ok.unlink(`d/${name}.`);
    ok.rmdir("d");
  }),
  "names: UTF-8 is not put into another form": ({ put, is, names, content, fails }) => {
    const forms = ["\u00e9", "e\u0301", "\u212b", "\u00c5", "\ufb01", "fi", "😀", "\ufeff", "ß", "ss"];
    for (const [i, name] of forms.entries()) put(name, `${i}`);
    is(names(), [...forms].sort());
    for (const [i, name] of forms.entries()) is(content(name), `${i}`);
    fails("ENOENT").stat("E\u0301");
  },
  "names: upper and lower case are two": ({ put, is, content, names }) => {
    put("name", "lower");
    put("NAME", "upper");
    is([content("name"), content("NAME")], ["lower", "upper"]);
    is(names(), ["NAME", "name"]);
  },
  "names: dots, spaces, dashes, quotes and line ends": ({ ok, put, is, names }) => {
    const list = [
      "...",
      " ",
      "  x ",
      "-rf",
      "'",
      '"',
      "\\",
      "a\nb",
      "\r",
      "\t",
      "*",
      "?",
      "~",
      "$(x)",
      ".hidden",
      "a.",
    ];
    for (const name of list) put(name);
    is(names(), [...list].sort());
    for (const name of list) ok.unlink(name);
  },
  "names: bytes of symbolic links and extended attributes": needing(["byte names", "symlink"], ({ ok, is }) => {
    const target = "\udcff/\udc80x\udcfe";
    ok.symlink(target, "\udc81");
    is(ok.readlink("\udc81"), target);
    is(ok.lstat("\udc81").size, 5);
  }),
};
