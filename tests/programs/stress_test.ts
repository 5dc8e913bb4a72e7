/**
 * stress-ng: the stressors of its class "filesystem" that work in a folder, side by side, each verifying what it can.
 */
import { assertEquals } from "@std/assert";
import { onEach } from "./driver.ts";

// Not those of the class that do not stay in the folder: bind-mount, binderfs, eventfd, fanotify, getdent, io, ioprio,
// procfs. The last line's are of other classes.
const STRESSORS = (
  "access chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dnotify dup fallocate fcntl fiemap file-ioctl " +
  "filename flock fpunch fsize fstat handle hdd inode-flags inotify iomix lease link locka lockf lockofd " +
  "mknod open rename symlink sync-file touch utime verity xattr " +
  "aiol readahead revio seek sendfile splice"
).split(" ");

const SECONDS = 30;

/** What does not run on any mount, and what it says then. */
const SKIPPED: Readonly<Record<string, RegExp>> = {
  // The kernel asks no FUSE server for extents.
  fiemap: /FS_IOC_FIEMAP not supported on the file system/,
  // Nor has it verity for FUSE.
  verity: /verity is not supported on the file system/,
};

// iomix empties the page cache of the machine, where other tests count what is in it.
const ALONE = `unshare -m sh -ec 'mount --bind /dev/null /proc/sys/vm/drop_caches; exec stress-ng "$@"' sh`;

const needs = ["tool:stress-ng", "tool:unshare"] as const;

onEach(`stress-ng: ${STRESSORS.length} stressors for ${SECONDS} s`, { needs }, async ({ sh }) => {
  const options = [
    "--temp-path .",
    `--timeout ${SECONDS}`,
    "--verify",
    "--oomable",
    "--metrics-brief",
    "--copy-file-bytes 128m --fallocate-bytes 4m --hdd-bytes 4m --iomix-bytes 4m --readahead-bytes 4m",
    "--fstat-dir . --revio-bytes 4m --seek-size 4m --sync-file-bytes 4m",
  ];
  const said = await sh(`${ALONE} ${options.join(" ")} ${STRESSORS.map((name) => `--${name} 1`).join(" ")} 2>&1; ls`);
  assertEquals(said.match(/^.*(fail|error).*$/gm) ?? [], []);
  // A line of the metrics: name, operations, and five numbers more.
  const ran = [...said.matchAll(/^stress-ng: metrc: \[\d+\] (\S+) +\d+(?: +[\d.]+){5}$/gm)].map(([, name]) => name);
  const skips = (name: string) => SKIPPED[name]?.test(said) === true;
  assertEquals(STRESSORS.filter((name) => !ran.includes(name) && !skips(name)), []);
});
