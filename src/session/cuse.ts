/** CUSE_INIT: the handshake of a character device. Pure. */
import { CUSE_INIT_INFO_MAX, FUSE_KERNEL_MINOR_VERSION, FUSE_KERNEL_VERSION } from "../abi/constants.ts";
import { CUSE_UNRESTRICTED_IOCTL } from "../abi/flags.ts";
import type { Message, Reply } from "../abi/message.ts";
import { cuse_init_in, cuse_init_out } from "../abi/structs.ts";
import { encodeName } from "../abi/text.ts";
import { FuseError } from "../errno.ts";
import type { Negotiated } from "../fs/filesystem.ts";

/** A character device to be made. */
export interface CharacterDeviceOptions {
  /** Its name below `/dev`. */
  name: string;
  /** Its number; 0: the kernel chooses. Default 0. */
  devMajor?: number;
  /** Its number within those of the major one. Default 0. */
  devMinor?: number;
  /** Largest READ, bytes. Default 128 KiB. */
  maxRead?: number;
  /** Largest WRITE, bytes. Default 128 KiB. */
  maxWrite?: number;
  /** ioctl may answer `retry`, for request numbers that do not say what they read and write. Default false. */
  unrestrictedIoctl?: boolean;
}

/** The oldest minor version with CUSE. */
const OLDEST_MINOR = 11;

/** Agrees with a kernel on a character device and packs the answer: sizes, numbers, and `DEVNAME=name`. */
export function negotiateCuse(m: Message, reply: Reply, o: CharacterDeviceOptions): Negotiated {
  const { major, minor, flags } = m.struct(cuse_init_in);
  if (major !== FUSE_KERNEL_VERSION || minor < OLDEST_MINOR) {
    throw new FuseError(
      "EPROTO",
      `the kernel speaks CUSE ${major}.${minor}; 7.${OLDEST_MINOR} is the oldest spoken here`,
    );
  }
  const { maxRead = 1 << 17, maxWrite = 1 << 17, unrestrictedIoctl = false } = o;
  const unrestricted = unrestrictedIoctl && (flags & CUSE_UNRESTRICTED_IOCTL) !== 0;
  reply.struct(cuse_init_out, {
    major: FUSE_KERNEL_VERSION,
    minor: FUSE_KERNEL_MINOR_VERSION,
    flags: unrestricted ? CUSE_UNRESTRICTED_IOCTL : 0,
    max_read: maxRead,
    max_write: maxWrite,
    dev_major: o.devMajor ?? 0,
    dev_minor: o.devMinor ?? 0,
  });
  const info = encodeName(`DEVNAME=${o.name}`);
  const at = reply.reserve(info.length + 1);
  reply.bytes.set(info, at);
  reply.bytes[at + info.length] = 0;
  return {
    major: FUSE_KERNEL_VERSION,
    minor: Math.min(minor, FUSE_KERNEL_MINOR_VERSION),
    flags: new Set(unrestricted ? ["CUSE_UNRESTRICTED_IOCTL"] : []),
    maxWrite,
    maxReadahead: 0,
    maxPages: Math.ceil(Math.max(maxRead, maxWrite) / 4096),
    timeGran: 1,
    maxStackDepth: 0,
  };
}

/** Refuses a device that cannot be made. */
export function checkCharacterDevice({ name, ...numbers }: CharacterDeviceOptions): void {
  // The kernel takes the name as it is into a uevent and below /dev.
  if (!/^[^/\0\n]+$/.test(name) || name === "." || name === "..") {
    throw new TypeError(`option name is ${JSON.stringify(name)}; it has to be a file name`);
  }
  if (encodeName(`DEVNAME=${name}`).length >= CUSE_INIT_INFO_MAX) {
    throw new RangeError(`option name is longer than the ${CUSE_INIT_INFO_MAX - 9} bytes that CUSE takes`);
  }
  for (
    const [option, most] of [["devMajor", 0xfff], ["devMinor", 0xfffff], ["maxRead", 1 << 28], [
      "maxWrite",
      1 << 28,
    ]] as const
  ) {
    const value = numbers[option];
    if (value === undefined || Number.isInteger(value) && value >= 0 && value <= most) continue;
    throw new RangeError(`option ${option} is ${value}; it has to be a whole number from 0 to ${most}`);
  }
}
