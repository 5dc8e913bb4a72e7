/** A place where an ordinary user can run the examples, whatever root keeps to itself on this machine. */
import fs from "node:fs/promises";
import { startServer, type TempDir, tempDir } from "../support/harness.ts";
import { isUnder, type Mount, parseMounts } from "../support/mounts.ts";
import { env, ROOT } from "./driver.ts";

/** What {@linkcode ordinaryPlace} needs. */
export const ORDINARY = ["root", "fuse", "tool:unshare", "tool:nsenter", "tool:setpriv", "tool:fusermount3"] as const;

/** The user `nobody`. */
export const NOBODY = 65534;

/**
 * A mount namespace in which everybody may open `/dev/fuse` and reach this runtime and the checkout. It ends with its
 * disposal, and with it all that is mounted there.
 */
export interface Place extends AsyncDisposable {
  /** A folder in it that belongs to the user, as all that is made by {@linkcode Place.folder}. */
  readonly dir: TempDir;
  /** The checkout, as the user sees it, with a slash at its end. */
  readonly root: string;
  /** Makes a folder of the user in `dir`. */
  folder(...names: string[]): Promise<string>;
  /** The command as the user's. */
  asUser(command: readonly string[]): string[];
  /** The command as root's. */
  asRoot(command: readonly string[]): string[];
  /** This runtime, as the user sees it. */
  readonly deno: string;
  /** What is mounted there at a folder and below it. */
  mountsUnder(folder: string): Promise<Mount[]>;
}

const SETUP = `
  mkdir "$1/.place" && mount -t tmpfs -o mode=755 none "$1/.place" && cd "$1/.place"
  mknod -m 666 fuse c 10 229 && mount --bind fuse /dev/fuse
  touch runtime && mount --bind "$RUNTIME" runtime
  mkdir checkout && mount --bind "$2" checkout
  mkdir cache && chown "$3:$3" cache
  echo "$4" > conf && mount --bind conf /etc/fuse.conf
  echo mounted
  exec sleep 600
`;

/** Makes such a place. `conf` is the content of its `/etc/fuse.conf`. */
export async function ordinaryPlace({ conf = "" } = {}): Promise<Place> {
  const dir = await tempDir();
  await fs.chown(dir.path, NOBODY, NOBODY);
  const words = [dir.path, ROOT, String(NOBODY), conf];
  // Not among the arguments: node:child_process of this runtime takes them for a command line of Node's there.
  const settings = { env: { RUNTIME: process.execPath } };
  // With its last process the namespace and its mounts go.
  const keeper = await startServer(["unshare", "-m", "sh", "-ec", SETUP, "sh", ...words], settings);
  const place = dir.join(".place");
  const asRoot = (command: readonly string[]) => ["nsenter", `--mount=/proc/${keeper.pid}/ns/mnt`, ...command];
  return {
    dir,
    root: `${place}/checkout/`,
    deno: `${place}/runtime`,
    async folder(...names) {
      const path = dir.join(...names);
      await fs.mkdir(path);
      await fs.chown(path, NOBODY, NOBODY);
      return path;
    },
    asUser(command) {
      const user = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
      const settings = [`PATH=${env.PATH}`, `DENO_DIR=${place}/cache`, "HOME=/nonexistent"];
      return asRoot([...user, "env", ...settings, ...command]);
    },
    asRoot,
    async mountsUnder(folder) {
      return parseMounts(await fs.readFile(`/proc/${keeper.pid}/mountinfo`, "utf8")).filter(isUnder(folder));
    },
    async [Symbol.asyncDispose]() {
      await keeper[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  };
}
