/**
 * Mounts as the kernel lists them. Nothing here touches a mountpoint's path: who may serve it would wait for itself.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { run } from "./run.ts";

/** A line of `/proc/self/mountinfo`. */
export interface Mount {
  /** The mountpoint. */
  readonly path: string;
  /** Such as `fuse` or `fuse.name`. */
  readonly type: string;
  readonly source: string;
  /** Minor number of the device: the N of `/sys/fs/fuse/connections/N`. */
  readonly minor: number;
  /** Options of the mountpoint and of the file system, joined by commas. */
  readonly options: string;
}

/** The mounts of a mountinfo, as they were mounted. Source: `proc_pid_mountinfo(5)`. */
export function parseMounts(mountinfo: string): Mount[] {
  const text = (field: string) => field.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
  return mountinfo.split("\n").filter(Boolean).map((line) => {
    const [first, last] = line.split(" - ");
    const [_id, _parent, device, _root, path, options] = first.split(" ");
    const [type, source, more] = last.split(" ");
    return {
      path: text(path),
      type,
      source: text(source),
      minor: Number(device.split(":")[1]),
      options: `${options},${more}`,
    };
  });
}

function list(mountinfo: string, wanted: (mount: Mount) => boolean): Mount[] {
  return parseMounts(mountinfo).filter(wanted).reverse();
}

/** Whether a mount is at a folder or below it. */
export function isUnder(folder: string): (mount: Mount) => boolean {
  return ({ path }) => path === folder || path.startsWith(`${folder}/`);
}

/** The mounts that are wanted, the newest first. */
export async function mounts(wanted: (mount: Mount) => boolean): Promise<Mount[]> {
  return list(await fs.promises.readFile("/proc/self/mountinfo", "utf8"), wanted);
}

/** What is mounted at a folder and below it, the newest first. */
export function mountsUnder(folder: string): Promise<Mount[]> {
  return mounts(isUnder(folder));
}

// Forced, which aborts a FUSE connection, so that nobody waits for a server that hangs; lazy, since what is open below
// keeps it busy; without a look at the path and without a helper, which could wait as well.
const umount = ["umount", "-f", "-l", "-c", "-i"] as const;

/** Unmounts what is wanted, whoever uses it and whether its server answers or not. */
export async function unmount(wanted: (mount: Mount) => boolean): Promise<void> {
  for (const { path } of await mounts(wanted)) {
    const { code } = await run([...umount, path]);
    // What a user mounted through fusermount3 only that takes away.
    if (code !== 0) await run(["fusermount3", "-u", "-z", path]).catch(() => {});
  }
  const left = await mounts(wanted);
  if (left.length > 0) throw new Error(`still mounted: ${left.map(({ path }) => path).join(", ")}`);
}

/** {@linkcode unmount} for the end of the process, where nothing asynchronous runs any more. */
export function unmountNow(wanted: (mount: Mount) => boolean): void {
  const [program, ...options] = umount;
  for (const { path } of list(fs.readFileSync("/proc/self/mountinfo", "utf8"), wanted)) {
    spawnSync(program, [...options, path], { stdio: "ignore" });
  }
}
