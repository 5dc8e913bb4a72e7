/** A mount for a moment, in a folder that nobody else can enter, to hear what the kernel says. */
import { AT_REMOVEDIR, type Libc } from "../../ffi/libc.ts";
import { FUSE_DEV_IOC_BACKING_CLOSE, FUSE_DEV_IOC_BACKING_OPEN } from "../abi/ioctl.ts";
import { fuse_backing_map } from "../abi/structs.ts";
import { cstring, decodeName } from "../abi/text.ts";
import { Device } from "../device.ts";
import { mountDevice, type Mounted } from "../mount/device.ts";
import { isFuse } from "../mount/mountinfo.ts";
import { pathOf } from "../mount/procfs.ts";
import type { Offer } from "../session/handshake.ts";
import { resolveOptions } from "../session/options.ts";
import { SessionLoop } from "../session/session.ts";
import { placeOf } from "./look.ts";

/** What was heard. */
export interface Trial {
  /** Who mounted it; absent where nobody could. */
  readonly how?: "mount(2)" | "fusermount3";
  /** What the kernel said in INIT. */
  readonly offer?: Offer;
  /** The number of a backing id for each of the files, or -errno. Empty where the handshake was not done. */
  readonly backings: readonly number[];
  /** What ended it early, in words. */
  readonly failure?: string;
  /** What to do about that; only where mounting was not even tried. */
  readonly remedy?: string;
}

/** How long the kernel may take to begin, which it does while it mounts, ms. */
const PATIENCE_MS = 5000;

/** Mounts, shakes hands, asks whether each of the open files can be a backing file, and takes all of it back. */
export async function trial(libc: Libc, files: readonly number[], maxStackDepth: 1 | 2): Promise<Trial> {
  const folder = await makeFolder(libc);
  if (folder === undefined) {
    return {
      backings: [],
      failure: "not tried: no temporary folder can be made",
      remedy: "name a folder of your own in TMPDIR",
    };
  }
  const heard: { -readonly [name in keyof Trial]: Trial[name] } = { backings: [] };
  try {
    const mounted = await mountDevice(folder.path, { fsname: "fusewire-doctor", autoUnmount: false });
    heard.how = mounted.how === "fusermount3" ? "fusermount3" : "mount(2)";
    await converse(libc, mounted, maxStackDepth, (offer) => heard.offer = offer, (device) => {
      heard.backings = files.map((fd) => tryBacking(device, fd));
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    heard.failure = message.replace(JSON.stringify(folder.path), "a temporary folder");
  } finally {
    folder.remove();
  }
  return heard;
}

/** Serves nothing on a mount until `then` has been called, and unmounts it in any case. */
async function converse(
  libc: Libc,
  mounted: Mounted,
  maxStackDepth: 1 | 2,
  offered: (offer: Offer) => void,
  then: (device: Device) => void,
): Promise<void> {
  const device = new Device(libc, mounted.fd);
  const options = resolveOptions({
    maxWrite: 4096,
    maxStackDepth,
    onError: () => {},
    trace: ({ opcode, args }) => opcode === "FUSE_INIT" && args !== undefined && offered(args as Offer),
  });
  let ended: Promise<unknown> | undefined;
  let stop = () => {};
  try {
    const loop = new SessionLoop(libc, device, {}, options, {});
    stop = () => loop.stop();
    ended = loop.run().catch(() => {});
    const late = setTimeout(stop, PATIENCE_MS);
    await loop.negotiated.finally(() => clearTimeout(late));
    then(device);
  } finally {
    // Where this fails, the mount is at least dead once the device is closed.
    await mounted.unmount({ lazy: true }).finally(async () => {
      stop();
      await ended;
      device[Symbol.dispose]();
    });
  }
}

/** Registers a backing file and takes it back: its id, or -errno. */
function tryBacking(device: Device, fd: number): number {
  const map = new Uint8Array(fuse_backing_map.size);
  fuse_backing_map.write(new DataView(map.buffer), 0, { fd, flags: 0 });
  const id = device.ioctl(FUSE_DEV_IOC_BACKING_OPEN, map);
  if (id > 0) device.ioctl(FUSE_DEV_IOC_BACKING_CLOSE, new Uint8Array(Uint32Array.of(id).buffer));
  return id;
}

/** A folder of ours alone. */
interface Folder {
  readonly path: string;
  remove(): void;
}

/** Makes a folder where this user may, though not on FUSE, which this thread may serve. */
async function makeFolder(libc: Libc): Promise<Folder | undefined> {
  const told = libc.getenv(cstring("TMPDIR"));
  const name = `fusewire-doctor-${crypto.randomUUID()}`;
  for (const place of [...told === null ? [] : [decodeName(told)], "/tmp", "/var/tmp", "/dev/shm"]) {
    const parent = await libc.openAsync(cstring(place), libc.O.PATH | libc.O.DIRECTORY | libc.O.CLOEXEC);
    if (parent < 0) continue;
    const mount = (await placeOf(libc, parent))?.mount;
    const served = mount !== undefined && isFuse(mount);
    if (!served && libc.mkdirat(parent, cstring(name), 0o700) === 0) {
      const real = pathOf(libc, `fd/${parent}`);
      return {
        path: `${typeof real === "string" ? real : place}/${name}`,
        remove() {
          libc.unlinkat(parent, cstring(name), AT_REMOVEDIR);
          libc.close(parent);
        },
      };
    }
    libc.close(parent);
  }
}
