/** `fusewire mount`: the ready file systems, served in the foreground. */
import { memory, type MemoryOptions, mirror, type MirrorOptions } from "../../kit.ts";
import { type Filesystem, formatTrace, mount, type MountOptions } from "../../mod.ts";
import { hyphenated, integer, number, off, on, oneOf, type Options, size, text, UsageError } from "./arguments.ts";
import { type Command, command } from "./command.ts";
import { printable, say, sayJson, warn } from "./output.ts";

/** What both have beside the options of `mount`. */
interface Ways {
  json?: boolean;
  trace?: boolean;
}

/** The options of `mount` that are the user's to choose; the others are its author's. */
type Chosen = Pick<
  MountOptions,
  | "allowOther"
  | "readOnly"
  | "noexec"
  | "noatime"
  | "nosuid"
  | "nodev"
  | "fsname"
  | "subtype"
  | "autoUnmount"
  | "passthrough"
  | "maxStackDepth"
  | "writebackCache"
  | "maxRead"
  | "maxWrite"
  | "maxReadahead"
  | "maxBackground"
  | "requestTimeout"
>;

const CHOSEN: Required<Options<Chosen>> = {
  allowOther: on("other users may enter, root too"),
  readOnly: on("nothing can be changed"),
  noexec: on("programs cannot be run"),
  noatime: on("reading leaves access times alone"),
  nosuid: off("suid", "set-user-ID bits count"),
  nodev: off("dev", "device files can be opened"),
  fsname: text("NAME", "the source that /proc/mounts shows"),
  subtype: text("NAME", "the type that /proc/mounts shows: fuse.NAME"),
  autoUnmount: off("no-auto-unmount", "stay mounted if this process is killed"),
  passthrough: off("no-passthrough", "this process moves all data itself"),
  maxStackDepth: oneOf([1, 2], "2: files of an overlayfs can be passed through; default 1"),
  writebackCache: on("the kernel collects writes; excludes passthrough"),
  maxRead: size("most of one read"),
  maxWrite: size("most of one write; default 1M"),
  maxReadahead: size("most of one read-ahead"),
  maxBackground: integer("N", "requests that the kernel may have under way in the background; default 64"),
  requestTimeout: integer("SECONDS", "the kernel gives up if a request is not answered; default 0: never"),
};

const WAYS: Options<Ways> = {
  trace: on("print each request on standard error"),
  json: on('print {"event": "mounted", "mountpoint", "device", "protocol", "passthrough"} as JSON'),
};

const ABOUT = `It prints one line when it has mounted, serves until it is unmounted or gets SIGINT or SIGTERM, and ends
with 0; with 1 where it cannot mount, or the connection was aborted.`;

/** Serves a file system to its end. */
async function serve(fs: Filesystem, mountpoint: string, options: MountOptions, ways: Ways): Promise<number> {
  const trace: MountOptions = ways.trace ? { trace: (event) => console.error(formatTrace(event)) } : {};
  await using session = await mount(fs, mountpoint, { ...options, ...trace }).catch(misused);
  const { major, minor } = session.negotiated;
  const { unavailable } = session.passthrough;
  if (ways.json) {
    sayJson({
      event: "mounted",
      mountpoint: session.mountpoint,
      ...session.device && { device: session.device },
      protocol: { major, minor },
      passthrough: unavailable === null ? { negotiated: true } : { negotiated: false, reason: unavailable },
    });
  } else {
    const asked = options.passthrough ?? true;
    const without = asked && unavailable !== null ? ` (without passthrough: ${unavailable})` : "";
    say(printable(`mounted on ${session.mountpoint}${without}`));
  }
  if (await session.closed === "unmounted") return 0;
  warn(`the connection of ${JSON.stringify(session.mountpoint)} was aborted; mount it again`);
  return 1;
}

/** Options that `mount` refuses are wrong arguments, and are named as they are typed. */
function misused(error: unknown): never {
  const { message } = error as Error;
  const named = /^(?:mount )?option (\w+)/;
  if (!named.test(message)) throw error;
  throw new UsageError(message.replace(named, (_, name) => `option --${hyphenated(name)}`));
}

type MirrorChosen = Pick<MirrorOptions, "entryTimeout" | "attrTimeout" | "negativeTimeout" | "maxDescriptors">;

const MIRROR: Required<Options<MirrorChosen>> = {
  entryTimeout: number("SECONDS", "how long names may be kept without asking; default 0"),
  attrTimeout: number("SECONDS", "how long attributes may be kept without asking; default 0"),
  negativeTimeout: number("SECONDS", "how long a name may be believed not to exist; default 0"),
  maxDescriptors: integer("N", "descriptors to find known files again; default 4096"),
};

const passthrough: Command = command<MirrorChosen & Chosen & Ways>({
  words: "mount passthrough",
  operands: ["SOURCE", "MOUNTPOINT"],
  summary: "Shows the directory SOURCE once more at MOUNTPOINT",
  about: `The kernel reads and writes open files by itself where it may (passthrough: Linux 6.9, CAP_SYS_ADMIN).
${ABOUT}`,
  options: { ...MIRROR, ...CHOSEN, ...WAYS },
  async run(
    [source, mountpoint],
    { json, trace, entryTimeout, attrTimeout, negativeTimeout, maxDescriptors, ...chosen },
  ) {
    const passthrough = chosen.passthrough ?? !chosen.writebackCache;
    using fs = mirror(source, { entryTimeout, attrTimeout, negativeTimeout, maxDescriptors, passthrough });
    const own: MountOptions = {
      fsname: source,
      defaultPermissions: true,
      handleKillpriv: true,
      posixAcl: true,
      dontMask: true,
    };
    return await serve(fs, mountpoint, { ...own, ...chosen, passthrough }, { json, trace });
  },
});

type MemoryChosen = Pick<MemoryOptions, "maxBytes" | "maxInodes">;

const MEMORY: Required<Options<MemoryChosen>> = {
  maxBytes: size("how much data there may be; default 1G"),
  maxInodes: integer("N", "how many files there may be; default 1048576"),
};

// Nothing in memory can be passed through.
const { passthrough: _, maxStackDepth: __, ...REST } = CHOSEN;

const inMemory: Command = command<MemoryChosen & Omit<Chosen, "passthrough" | "maxStackDepth"> & Ways>({
  words: "mount memory",
  operands: ["MOUNTPOINT"],
  summary: "Mounts an empty, writable file system in memory",
  about: `All that is in it is gone when it is unmounted.
${ABOUT}`,
  options: { ...MEMORY, ...REST, ...WAYS },
  async run([mountpoint], { json, trace, maxBytes, maxInodes, ...chosen }) {
    const own: MountOptions = {
      fsname: "memory",
      defaultPermissions: true,
      handleKillpriv: true,
      exportSupport: true,
      // Nobody else changes it.
      autoInvalData: false,
      atomicOTrunc: true,
      cacheSymlinks: true,
      passthrough: false,
    };
    return await serve(memory({ maxBytes, maxInodes }), mountpoint, { ...own, ...chosen }, { json, trace });
  },
});

/** The commands that mount. */
export const MOUNTS: readonly Command[] = [passthrough, inMemory];
