/** A place where an ordinary user can mount, whatever root keeps to itself on this machine. */
import fs from "node:fs/promises";
import { env, READY, ROOT, startReady, type TempDir, tempDir } from "./harness.ts";
import { isUnder, type Mount, parseMounts } from "./mounts.ts";

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
  /** A process that lives there. */
  readonly pid: number;
  /** The checkout, where everybody reaches it, with a slash at its end. */
  readonly root: string;
  /** This runtime, where everybody reaches it. */
  readonly deno: string;
  /** Makes a folder of the user in `dir`. */
  folder(...names: string[]): Promise<string>;
  /** The command with this runtime and the checkout where everybody reaches them. */
  reachable(command: readonly string[]): string[];
  /** The command as the user's, or another one's, of what is reachable. */
  asUser(command: readonly string[], uid?: number): string[];
  /** The command as root's. */
  asRoot(command: readonly string[]): string[];
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
  eval "$5"
  echo ready
  exec sleep 600
`;

/**
 * Makes such a place. `conf` is the content of its `/etc/fuse.conf`; `setup` is what a shell does there first, as root,
 * `$1` being its folder.
 */
export async function ordinaryPlace({ conf = "", setup = "" } = {}): Promise<Place> {
  const dir = await tempDir();
  await fs.chown(dir.path, NOBODY, NOBODY);
  const words = [dir.path, ROOT, String(NOBODY), conf, setup];
  // Not among the arguments: node:child_process of this runtime takes them for a command line of Node's there.
  const settings = { env: { RUNTIME: process.execPath }, ready: READY };
  // With its last process the namespace and its mounts go.
  const keeper = await startReady(["unshare", "-m", "sh", "-ec", SETUP, "sh", ...words], settings);
  const place = dir.join(".place");
  const asRoot = (command: readonly string[]) => ["nsenter", `--mount=/proc/${keeper.pid}/ns/mnt`, ...command];
  const root = `${place}/checkout/`, deno = `${place}/runtime`;
  const reachable = (command: readonly string[]) =>
    command.map((word) =>
      word === process.execPath ? deno : word.startsWith(ROOT) ? root + word.slice(ROOT.length) : word
    );
  return {
    dir,
    pid: keeper.pid,
    root,
    deno,
    async folder(...names) {
      const path = dir.join(...names);
      await fs.mkdir(path);
      await fs.chown(path, NOBODY, NOBODY);
      return path;
    },
    reachable,
    asUser(command, uid = NOBODY) {
      const user = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
      const settings = [`PATH=${env.PATH}`, `DENO_DIR=${place}/cache`, "HOME=/nonexistent"];
      return asRoot([...user, "env", ...settings, ...reachable(command)]);
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
