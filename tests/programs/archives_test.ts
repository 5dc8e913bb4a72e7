/** tar, rsync, cp and mv: every kind of file and attribute, there and back. */
import { assertEquals } from "@std/assert";
import { onEach, type Place } from "./driver.ts";

/** Makes `$OUTSIDE/tree`, with access control lists where the file system under test has them. */
const PLANT = `
  mkdir -p $OUTSIDE/tree/deep/er && cd $OUTSIDE/tree
  for i in $(seq 200); do head -c $((i * 37)) /dev/urandom > deep/file$i; done
  head -c 300000 /dev/urandom > deep/er/large
  ln deep/er/large hardlink
  ln -s deep/er/large symlink; ln -s nowhere dangling; ln -s . loop
  truncate -s 10M sparse; printf x | dd of=sparse bs=1 seek=5000000 conv=notrunc status=none
  mkfifo fifo; mknod null c 1 3
  : > $'not UTF-8 \\xff\\xfe'; : > $'new\\nline'; : > $(printf 'n%.0s' $(seq 255)); mkdir empty
  chmod 4755 deep/file1; chmod 2755 deep/er; chmod 1777 empty; chmod 000 deep/file2
  chown 1:2 deep/file3; chown -h 3:4 symlink
  setfattr -n user.colour -v green deep/file4; setfattr -n user.empty deep; setfattr -n trusted.t -v 1 deep/file5
  if setfacl -m u:1:rwx "$PROBE" 2> /dev/null; then
    setfacl -m u:1:rwx,g:2:r deep/file6
    setfacl -m d:u:1:rx deep/er
  fi
  # Not now: rsync takes two times within a second for the same.
  find . -exec touch -h -d @1000000000.123456789 {} +
  touch -d @1100000000.5 empty deep/er
  cd - > /dev/null
`;

/** Prints what there is to be known about the files of the current folder, in order. */
const INVENTORY = `
  inventory() {
    cd "$1"
    find . -printf '%P %y %m %n %U:%G %T@ %l ' \\( -type d -printf '\\n' -o -printf '%s\\n' \\) | LC_ALL=C sort
    find . -print0 | LC_ALL=C sort -z | xargs -0 getfattr -h -d -m - -e hex
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
    cd - > /dev/null
  }
`;

const needs = ["tool:tar", "tool:rsync", "tool:setfattr", "tool:setfacl", "tool:diff"] as const;

async function plant({ path, sh }: Place): Promise<void> {
  await sh(`mkdir probe\n${PLANT}rmdir probe`, { env: { PROBE: `${path}/probe` } });
}

onEach("tar: a tree goes in and out unchanged", { needs }, async (place) => {
  await plant(place);
  const options = "--xattrs --xattrs-include='*' --acls --sparse --numeric-owner";
  const script = `${INVENTORY}
    tar ${options} -C $OUTSIDE -cf in.tar tree
    tar ${options} -xpf in.tar
    tar --compare --numeric-owner -f in.tar
    test $(stat -c %b tree/sparse) -lt 4096
    diff -r --no-dereference tree/deep $OUTSIDE/tree/deep
    diff <(inventory tree) <(inventory $OUTSIDE/tree)
    mkdir $OUTSIDE/out
    tar ${options} -cf $OUTSIDE/out.tar tree
    tar ${options} -C $OUTSIDE/out -xpf $OUTSIDE/out.tar
    diff <(inventory $OUTSIDE/out/tree) <(inventory $OUTSIDE/tree)
  `;
  assertEquals(await place.sh(script), "");
});

onEach("rsync -aHAX: a tree goes in and out unchanged, and the second time there is nothing to do", {
  needs,
}, async (place) => {
  await plant(place);
  const script = `${INVENTORY}
    rsync -aHAXS --numeric-ids $OUTSIDE/tree/ in/
    rsync -aHAXS --numeric-ids in/ $OUTSIDE/back/
    diff -r --no-dereference in/deep $OUTSIDE/tree/deep
    diff <(inventory in) <(inventory $OUTSIDE/tree)
    diff <(inventory $OUTSIDE/back) <(inventory $OUTSIDE/tree)
    rsync -aHAX --numeric-ids --itemize-changes --checksum --delete $OUTSIDE/tree/ in/
    echo new > in/new; echo longer >> in/deep/file9; rm in/deep/file10
    rsync -aHAX --numeric-ids --delete --inplace $OUTSIDE/tree/ in/
    diff <(inventory in) <(inventory $OUTSIDE/tree)
  `;
  assertEquals(await place.sh(script), "");
});

onEach("cp -a and mv: a tree goes in and out unchanged; sparse files and large ones", { needs }, async (place) => {
  await plant(place);
  const script = `${INVENTORY}
    cp -a $OUTSIDE/tree in
    cp -a in copy
    cp -a copy $OUTSIDE/back
    mv $OUTSIDE/back moved
    mv moved $OUTSIDE/back
    for tree in in copy $OUTSIDE/back; do
      diff -r --no-dereference $tree/deep $OUTSIDE/tree/deep
      diff <(inventory $tree) <(inventory $OUTSIDE/tree)
    done
    cp --sparse=always in/sparse always
    cp --sparse=never in/sparse never
    cp --reflink=auto in/deep/er/large large
    cmp always in/sparse; cmp never in/sparse; cmp large in/deep/er/large
    test $(stat -c %b always) -lt 4096; test $(stat -c %b never) -ge 20480
    head -c 20M /dev/urandom > $OUTSIDE/data
    cp $OUTSIDE/data data
    dd if=data of=$OUTSIDE/out bs=1M status=none
    cat $OUTSIDE/data | cat > piped
    cmp $OUTSIDE/data $OUTSIDE/out; cmp $OUTSIDE/data piped
    (echo kept > x; echo new > y; mv --no-clobber y x; cat x y)
  `;
  assertEquals(await place.sh(script), "kept\nnew\n");
});
