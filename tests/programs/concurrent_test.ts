/** Many at once, and many in one folder. */
import { assertEquals } from "@std/assert";
import { link, mkdir, open, readdir, readFile, rename, unlink, writeFile } from "node:fs/promises";
import { onEach } from "./driver.ts";

onEach(
  "eight at once make, rename, link, read and remove in one folder, and find what is theirs",
  {},
  async ({ path }) => {
    const at = (...names: string[]) => [path, ...names].join("/");
    const workers = Array.from({ length: 8 }, (_, own) => `${own}`);
    const files = Array.from({ length: 60 }, (_, i) => i);
    await Promise.all(workers.map(async (own) => {
      const folder = `dir-${own}`;
      await mkdir(at(folder));
      for (const i of files) {
        const name = `${own}-${i}`, text = name.repeat(50);
        await writeFile(at(name), text);
        await rename(at(name), at(folder, name));
        await link(at(folder, name), at(`shared-${name}`));
        await writeFile(at("everybody's"), name);
        assertEquals(await readFile(at(`shared-${name}`), "utf8"), text);
        assertEquals((await readdir(at(folder))).includes(name), true);
        if (i % 3 > 0) continue;
        await unlink(at(`shared-${name}`));
        await rename(at(folder, name), at("everybody's"));
      }
    }));
    const shared = workers.flatMap((own) => files.filter((i) => i % 3 > 0).map((i) => `shared-${own}-${i}`));
    assertEquals(
      (await readdir(path)).sort(),
      ["everybody's", ...workers.map((own) => `dir-${own}`), ...shared].sort(),
    );
    for (const own of workers) assertEquals((await readdir(at(`dir-${own}`))).length, 40);
  },
);

onEach("two append to one file at the same time, and nothing is lost", {}, async ({ path }) => {
  const line = (who: string, i: number) => `${who}${`${i}`.padStart(6, "0")}${who.repeat(40)}`;
  const numbers = Array.from({ length: 400 }, (_, i) => i);
  await Promise.all(["a", "b"].map(async (who) => {
    const file = await open(`${path}/log`, "a");
    for (const i of numbers) await file.write(`${line(who, i)}\n`);
    await file.close();
  }));
  const lines = (await readFile(`${path}/log`, "utf8")).split("\n");
  assertEquals(lines.length, 801);
  for (const who of ["a", "b"]) {
    assertEquals(lines.filter((each) => each.startsWith(who)), numbers.map((i) => line(who, i)));
  }
});

onEach("3,000 names in one folder: none is lost or told twice while others come and go", {
  needs: ["tool:python3"],
}, async ({ sh }) => {
  const script = `
    for i in {0..2999}; do : > name-$i; done
    python3 -c '
import os
names = {f"name-{i}" for i in range(3000)}
assert set(os.listdir()) == names
told, left = [], set(names)
for position, entry in enumerate(os.scandir()):
    if entry.name in names:
        told.append(entry.name)
    # Every second that was told, and some that may come.
    if position % 2 == 0 and entry.name in left:
        os.unlink(entry.name)
        left.remove(entry.name)
    ahead = f"name-{2999 - position}"
    if position % 97 == 0 and ahead in left:
        os.unlink(ahead)
        left.remove(ahead)
    if position % 10 == 0:
        open(f"late-{position}", "w").close()
print(len(told) - len(set(told)), len(left - set(told)), len(names) - len(left) > 1000)
print({name for name in os.listdir() if name in names} == left)
'
    find . -mindepth 1 -delete; ls
  `;
  assertEquals(await sh(script), "0 0 True\nTrue\n");
});
