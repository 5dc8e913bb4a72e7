/** What is remembered of an inode of the source. */
import { type Stat, STATX_BTIME } from "../../../ffi/libc.ts";

/** A file system of the source: the one of its root, or one that is mounted inside. */
export class Device {
  /** 0 is the root's. */
  readonly index: number;
  /**
   * Whether attributes are right without asking a server (AT_STATX_DONT_SYNC); undefined until one of its objects was
   * opened.
   */
  local?: boolean;
  /** Whether the sizes of its files do not tell how much can be read, as in /proc. */
  sizeless = false;
  /** Its known nodes, by inode number. */
  readonly nodes = new Map<number | bigint, Node>();

  constructor(index: number) {
    this.index = index;
  }
}

/** A name of an inode. */
export interface Name {
  readonly parent: Node;
  readonly name: string;
}

/** How else an inode is found, where its name does not lead to it any more. */
export interface Ways {
  /** Names that led to it before. */
  names: readonly Name[];
  /** Its handle, as `FileHandles` has it. */
  handle?: string;
}

/** An inode of the source that the kernel knows, or that is a folder of one. Kept small: there may be a million. */
export class Node {
  /** Its number for the kernel; 0: the kernel does not know it. */
  nodeid = 0;
  /** Where its O_PATH descriptor is; -1: it has none. */
  slot = -1;
  /** By what other descriptors it is open: they lead to it whatever others do to its names. */
  open: number[] | undefined = undefined;
  /** Device, inode number and mark tell which inode it is, and whether a name still leads to it. */
  readonly device: Device;
  readonly ino: number | bigint;
  mark: number;
  /** A folder it was last seen in, and its name there; undefined: the root, or no name of it is known. */
  parent: Node | undefined = undefined;
  name = "";
  /** Few have any. */
  ways: Ways | undefined = undefined;

  constructor(device: Device, ino: number | bigint, mark: number) {
    this.device = device;
    this.ino = ino;
    this.mark = mark;
  }

  /** Type bits of `st_mode`. */
  get type(): number {
    return (this.mark & 0xf) << 12;
  }
}

/** The exact inode number. */
export function inoOf(st: Stat): number | bigint {
  return st.bigIno === 0n ? st.ino : st.bigIno;
}

/**
 * 30 bits that tell an inode from an earlier one of the same number: 4 of its type, the rest of its time of birth. A
 * mark below 16 has no time of birth, since the file system knows none that could be relied on.
 */
export function markOf(st: Stat, device: Device): number {
  const type = st.mode >>> 12;
  if (!device.local || (st.mask & STATX_BTIME) === 0) return type;
  const birth = (Math.imul(st.btime, 0x9e3779b1) ^ Math.imul(st.btimeNsec, 0x85ebca6b)) >>> 6;
  return (birth || 1) << 4 | type;
}

// 512 devices of 2^44 inodes make numbers up to 2^53.
const PER_DEVICE = 2 ** 44;
const DEVICES = 512;

/**
 * The inode number to show. On the root's device it is the source's own. The mirror shows all devices as one, where
 * equal numbers would pass for hard links: so those of the others are moved apart.
 */
export function shownIno(device: Device, ino: number | bigint): number | bigint {
  const { index } = device;
  if (index === 0) return ino;
  if (typeof ino === "number" && ino < PER_DEVICE && index < DEVICES) return index * PER_DEVICE + ino;
  return BigInt.asUintN(64, BigInt(ino) + (BigInt(index) << 54n));
}
