/** Which inode it is that `statx(2)` told of. */
import { AT_EMPTY_PATH, AT_STATX_DONT_SYNC, type Libc, Stat } from "../../../ffi/libc.ts";
import { FuseError } from "../../errno.ts";
import type { Connection } from "../../fs/filesystem.ts";
import { S_IFDIR } from "../../fs/mode.ts";
import { Device, inoOf, markOf, Node } from "./node.ts";
import { StatfsBuffer } from "./statfs.ts";
import { check, EMPTY, STATX_MASK } from "./system.ts";

const PROBE = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;

/**
 * `f_type` of file systems whose attributes no server has to be asked for: ext, xfs, btrfs, tmpfs, f2fs, zfs, bcachefs,
 * squashfs, erofs, ramfs, iso9660, vfat, exfat. Of others the attributes are fetched a second time, from a descriptor,
 * and times of birth are not relied on: overlayfs changes them when it copies a file up. Source: `linux/magic.h`,
 * `statfs(2)`.
 */
const LOCAL: ReadonlySet<number> = new Set([
  0xef53,
  0x58465342,
  0x9123683e,
  0x01021994,
  0xf2f52010,
  0x2fc12fc1,
  0xca451a4e,
  0x73717368,
  0xe0f5e1e2,
  0x858458f6,
  0x9660,
  0x4d44,
  0x2011bab0,
]);

/** The file systems of a source, with their known nodes. */
export class Devices {
  /** What the last call said of an inode. */
  readonly st = new Stat();
  /** What a file system said of itself. */
  readonly statfs: StatfsBuffer;
  /** The device of our own mount, where it is known. */
  own: Connection["device"];
  readonly #libc: Libc;
  readonly #devices = new Map<number, Device>();

  constructor(libc: Libc) {
    this.#libc = libc;
    this.statfs = new StatfsBuffer(libc);
  }

  /** The device of what is in `st`. ELOOP: it is our own mount. */
  device(): Device {
    const { devMajor, devMinor } = this.st;
    const { own } = this;
    if (own !== undefined && own.major === devMajor && own.minor === devMinor) {
      throw new FuseError("ELOOP", "the mount lies inside its own source");
    }
    const key = this.#key();
    let device = this.#devices.get(key);
    if (device === undefined) this.#devices.set(key, device = new Device(this.#devices.size));
    return device;
  }

  /** The known node of what is in `st`. */
  known(device: Device | undefined = this.#devices.get(this.#key())): Node | undefined {
    const node = device?.nodes.get(inoOf(this.st));
    if (node === undefined) return undefined;
    const mark = markOf(this.st, node.device);
    if (node.mark === mark) return node;
    // A descriptor keeps the inode number from being used again: this is the same inode, with another time of birth.
    if (node.slot < 0) return undefined;
    node.mark = mark;
    return node;
  }

  /** Whether what is in `st` is the node. */
  matches({ device, ino, mark }: Node): boolean {
    const { st } = this;
    return this.#devices.get(this.#key()) === device && ino === inoOf(st) && mark === markOf(st, device);
  }

  /** Whether a descriptor is of the node. */
  isOf(fd: number, node: Node): boolean {
    return this.#libc.statx(fd, EMPTY, PROBE, STATX_MASK, this.st) >= 0 && this.matches(node);
  }

  /** The node of a descriptor, with the attributes in `st`; `fresh`: what is known of its inode number is outdated. */
  identify(fd: number, fresh: boolean): Node {
    const { st, statfs } = this;
    check("statx", this.#libc.statx(fd, EMPTY, PROBE, STATX_MASK, st));
    const device = this.device();
    if (device.local === undefined) {
      const known = statfs.fill(fd) === 0;
      device.local = known && LOCAL.has(statfs.get("type"));
      // What has no blocks makes its contents up.
      device.sizeless = known && !device.local && statfs.get("blocks") === 0;
    }
    const node = (fresh ? undefined : this.known(device)) ?? new Node(device, inoOf(st), markOf(st, device));
    if (!device.local) check("statx", this.#libc.statx(fd, EMPTY, AT_EMPTY_PATH, STATX_MASK, st));
    return node;
  }

  /** A known folder of each that has one. */
  *folders(): Generator<Node> {
    for (const { nodes } of this.#devices.values()) {
      for (const node of nodes.values()) {
        if (node.type !== S_IFDIR) continue;
        yield node;
        break;
      }
    }
  }

  /** None is known any more. */
  clear(): void {
    this.#devices.clear();
  }

  #key(): number {
    return this.st.devMajor * 2 ** 20 + this.st.devMinor;
  }
}
