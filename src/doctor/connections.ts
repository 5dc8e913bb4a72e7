/**
 * The FUSE connections of this machine, as far as they can be seen, and which of them still answer.
 *
 * @module
 */
import type { Libc } from "../../ffi/libc.ts";
import { libc as loadLibc } from "../../ffi/load.ts";
import { cstring } from "../abi/text.ts";
import { ERRNO } from "../errno.ts";
import { command } from "../mount/command.ts";
import { CONNECTIONS, Control } from "../mount/control.ts";
import { deviceNumber, isFuse, type MountEntry } from "../mount/mountinfo.ts";
import type { Finding } from "./finding.ts";
import { mountsOf, namesIn, placeOf } from "./look.ts";
import { fusectl } from "./machine.ts";

/**
 * `"ok"`: it answers; `"stale"`: its server is gone, and every call fails with ENOTCONN; `"silent"`: its server is
 * there and did not answer in time; `"unknown"`: could not be asked, since it is another user's, or the way to it leads
 * through one that is not `"ok"`, or it is not mounted here.
 */
export type ConnectionState = "ok" | "stale" | "silent" | "unknown";

/** A FUSE connection. */
export interface ConnectionFound {
  /** Its number: `st_dev` as the kernel counts, and its folder in `/sys/fs/fuse/connections`. */
  readonly number: number;
  /** Whether its server answers. */
  readonly state: ConnectionState;
  /** Where it is mounted, the oldest first. None: in another mount namespace, or detached and still in use. */
  readonly mountpoints: readonly string[];
  /** Type in `/proc/mounts`, such as `fuse.fusewire`. Absent where it is not mounted here. */
  readonly type?: string;
  /** What is mounted: fsname. Absent where it is not mounted here. */
  readonly source?: string;
  /** Number of the user who mounted it. */
  readonly user?: number;
  /** Requests that wait for an answer. Absent where it is another user's, or fusectl is not mounted. */
  readonly waiting?: number;
}

/** Options of {@linkcode connections}. */
export interface ConnectionsOptions {
  /** How long a server may take to answer, ms. Default 1000. */
  timeout?: number;
}

/** What {@linkcode connections} found. */
export interface Connections {
  /** Whether fusectl is mounted, without which only what is mounted here is seen, and nothing that waits. */
  readonly fusectl: Finding<string>;
  /** The connections by their number. */
  readonly connections: readonly ConnectionFound[];
}

/**
 * Lists the FUSE connections, and asks the server of each whether it answers. That waits for none longer than the
 * timeout: a process of its own asks (`stat -f`).
 *
 * @example
 * ```ts
 * import { connections } from "@fusewire/fusewire/doctor";
 *
 * const stale = (await connections()).connections.filter(({ state }) => state === "stale");
 * console.log(stale);
 * ```
 */
export async function connections({ timeout = 1000 }: ConnectionsOptions = {}): Promise<Connections> {
  const libc = loadLibc();
  const control = fusectl(libc);
  const mounts = mountsOf(libc);
  const numbers = new Set(mounts.filter(isFuse).map(deviceNumber));
  if (control.state === "ok") {
    for (const name of namesIn(libc, CONNECTIONS)) if (/^\d+$/.test(name)) numbers.add(Number(name));
  }
  const ask = asker(libc, mounts, timeout);
  const found = [...numbers].sort((a, b) => a - b).map(async (number): Promise<ConnectionFound> => {
    using folder = control.state === "ok" ? Control.open(libc, number) : undefined;
    const waiting = folder?.waiting;
    const here = mounts.filter((mount) => deviceNumber(mount) === number);
    const common = { number, mountpoints: here.map(({ point }) => point), ...waiting !== undefined && { waiting } };
    const newest = here.at(-1);
    if (newest === undefined) return { ...common, state: "unknown" };
    const { type, source } = newest;
    const user = userOf(newest);
    return { ...common, state: await ask(newest), type, source, ...user !== undefined && { user } };
  });
  return { fusectl: control, connections: await Promise.all(found) };
}

function userOf({ superOptions }: MountEntry): number | undefined {
  const found = /(?:^|,)user_id=(\d+)/.exec(superOptions);
  return found === null ? undefined : Number(found[1]);
}

/** Asks each mount once. */
function asker(libc: Libc, mounts: readonly MountEntry[], timeout: number) {
  const answers = new Map<MountEntry, Promise<ConnectionState>>();
  const ask = (mount: MountEntry): Promise<ConnectionState> => {
    const answer = answers.get(mount) ?? reach(mount);
    answers.set(mount, answer);
    return answer;
  };
  async function reach(mount: MountEntry): Promise<ConnectionState> {
    // To look for a path below a mount asks that one's server.
    for (let above = parentOf(mount); above !== undefined; above = parentOf(above)) {
      if (isFuse(above) && await ask(above) !== "ok") return "unknown";
    }
    return await answerOf(libc, mount, timeout);
  }
  const parentOf = ({ id, parent }: MountEntry) => id === parent ? undefined : mounts.find((m) => m.id === parent);
  return ask;
}

/** What the server of a mount says to statfs(2), which no cache answers. */
async function answerOf(libc: Libc, mount: MountEntry, timeout: number): Promise<ConnectionState> {
  // To anybody else the kernel itself answers.
  const open = /(?:^|,)allow_other(?:,|$)/.test(mount.superOptions) || userOf(mount) === undefined;
  if (!open && userOf(mount) !== libc.geteuid()) return "unknown";
  const root = await libc.openAsync(cstring(mount.point), libc.O.PATH | libc.O.CLOEXEC);
  if (root < 0) return "unknown";
  try {
    // Another mount may lie on it, or on the way to it.
    if ((await placeOf(libc, root))?.mount?.id !== mount.id) return "unknown";
    // Whoever is held in the kernel until the server answers cannot even be killed: that must not be this process.
    const argv = ["stat", "-f", "--", "/proc/self/fd/0"];
    const ended = await command(libc, argv, { env: ["LC_ALL=C"], input: root, timeout });
    if (ended === -ERRNO.ETIMEDOUT) return "silent";
    if (typeof ended === "number") return "unknown";
    if (ended.status === 0) return "ok";
    return GONE.test(ended.text) ? "stale" : "unknown";
  } finally {
    libc.close(root);
  }
}

/** ENOTCONN in the words of glibc and of musl; ECONNABORTED, which the first call after the server's death may get. */
const GONE = /endpoint is not connected|socket not connected|connection abort/i;
