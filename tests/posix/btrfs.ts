/** A file system of the kernel's own on a loop device: btrfs, whose quotas take no more of the kernel than it does. */
import { must, run, type TempDir } from "../support/harness.ts";

const SIZE = 256 << 20;

/** Makes a file system in an image and mounts it; false where the kernel has no btrfs, or no loop device is free. */
export async function mountBtrfs(image: string, mountpoint: string): Promise<boolean> {
  await must(["truncate", "-s", `${SIZE}`, image]);
  await must(["mkfs.btrfs", "-q", image]);
  // The loop device goes with the mount.
  const { code } = await run(["mount", "-t", "btrfs", "-o", "loop", image, mountpoint]);
  if (code === 0) await must(["chmod", "755", mountpoint]);
  return code === 0;
}

/** A folder in which there may be no more than so many bytes, whoever they belong to. */
export interface Limited {
  readonly path: string;
  readonly quota: number;
}

/**
 * Makes one in a temporary folder, which unmounts it; null where the kernel has no btrfs, or no loop device is free.
 */
export async function limitedBtrfs(dir: TempDir, quota: number): Promise<Limited | null> {
  const mountpoint = dir.join("btrfs"), path = `${mountpoint}/limited`;
  await must(["mkdir", mountpoint]);
  if (!await mountBtrfs(dir.join("image"), mountpoint)) return null;
  await must(["btrfs", "quota", "enable", mountpoint]);
  // That begins to count what is there, and no limit holds before the end of it.
  await must(["btrfs", "quota", "rescan", "-w", mountpoint]);
  await must(["btrfs", "subvolume", "create", path]);
  await must(["chmod", "755", path]);
  await must(["btrfs", "qgroup", "limit", `${quota}`, path]);
  return { path, quota };
}
