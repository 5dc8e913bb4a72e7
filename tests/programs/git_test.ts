/** git: thousands of small files, renames over others, mapped packs. */
import { assertEquals } from "@std/assert";
import { onEach } from "./driver.ts";

const env = {
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_AUTHOR_NAME: "A",
  GIT_AUTHOR_EMAIL: "a@example.org",
  GIT_COMMITTER_NAME: "A",
  GIT_COMMITTER_EMAIL: "a@example.org",
};

onEach("git: clone, commit, gc and fsck of 2,000 files", { needs: ["tool:git"] }, async ({ sh }) => {
  const script = `
    git init -q -b main $OUTSIDE/origin
    cd $OUTSIDE/origin
    for d in $(seq 40); do
      mkdir -p src/$d/deep
      for f in $(seq 50); do echo "$d $f" > src/$d/deep/$f; done
    done
    ln -s src/1/deep/1 link
    head -c 1000000 /dev/urandom > large
    chmod +x src/1/deep/1
    git add . && git commit -q -m first

    cd - > /dev/null
    git clone -q --no-hardlinks $OUTSIDE/origin clone && cd clone
    for d in $(seq 40); do echo more >> src/$d/deep/7; git mv src/$d/deep/8 src/$d/eight; git rm -q src/$d/deep/9; done
    git commit -q -a -m second
    git checkout -q -b side HEAD~1 && echo side > side && git add side && git commit -q -m side
    git checkout -q main && git merge -q -m merged side
    git gc -q --prune=now
    git fsck --strict --full --no-progress
    git status --porcelain
    git rev-list --count HEAD
    git ls-files | wc -l

    git clone -q --no-hardlinks . $OUTSIDE/back
    diff -r --no-dereference --exclude=.git . $OUTSIDE/back
    git -C $OUTSIDE/back fsck --strict --full --no-progress
  `;
  assertEquals(await sh(script, { env }), "4\n1963\n");
});
