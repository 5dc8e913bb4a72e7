/**
 * Records what the kernel sends and how it is answered, byte by byte, into `tests/fixtures/recorded.json`: one session
 * of an ordinary mount, and one of a block device (fuseblk) for what only that is asked.
 *
 *     deno run -A scripts/record.ts
 *
 * Needs root, /dev/fuse, a loop device, python3, losetup, mount and umount.
 *
 * @module
 */
import { libc } from "../ffi/load.ts";
import { type OpcodeName, opcodeName } from "../src/abi/opcode.ts";
import { cstring } from "../src/abi/text.ts";
import { Device } from "../src/device.ts";
import { FuseError } from "../src/errno.ts";
import type { Filesystem } from "../src/fs/filesystem.ts";
import type { Attr, Entry } from "../src/fs/types.ts";
import { resolveOptions, type SessionOptions } from "../src/session/options.ts";
import { SessionLoop } from "../src/session/session.ts";

/** A request and its reply, as the device had them. */
export interface Exchange {
  readonly opcode: OpcodeName;
  /** In hexadecimal. */
  readonly request: string;
  /** In hexadecimal; null: there was none. */
  reply: string | null;
}

/** What one mount was asked, in the order of its requests. */
export interface Recording {
  readonly name: "fuse" | "fuseblk";
  readonly options: SessionOptions;
  readonly exchanges: readonly Exchange[];
}

/** The file. */
export interface Recorded {
  /** How it came about. */
  readonly origin: string;
  /** Version of the kernel that sent the requests. */
  readonly kernel: string;
  readonly recordings: readonly Recording[];
}

const NODEIDS: Readonly<Record<string, number>> = { file: 2, directory: 3, link: 4, other: 5 };
const CONTENT = new TextEncoder().encode("The quick brown fox jumps over the lazy dog.\n");
/** The place of the lock that nobody gets. */
const HELD = 77n;

function attrOf(nodeid: number): Attr {
  const mode = nodeid === 1 || nodeid === 3 ? 0o040755 : nodeid === 4 ? 0o120777 : 0o100644;
  return {
    mode,
    // Group 2000, which the client's user belongs to.
    gid: nodeid === 1 ? 2000 : 0,
    nlink: mode === 0o040755 ? 2 : 1,
    size: mode === 0o100644 ? CONTENT.length : 9,
    mtime: 1_600_000_000 + nodeid,
    mtimeNsec: 123_456_789,
    ctime: 1_600_000_000,
    atime: -1,
  };
}

function entryOf(nodeid: number, attr: Attr = attrOf(nodeid)): Entry {
  return { nodeid, generation: 7, attr, entryTimeout: 3600, attrTimeout: 0.25 };
}

/** The file system that is recorded: what it answers depends on what it is asked and on nothing else. */
export function recordedFilesystem(): Filesystem {
  let made = 100, copies = 0;
  const make = (mode: number) => entryOf(++made, { mode, uid: 1, gid: 2, mtime: 1_500_000_000 });
  return {
    lookup: ({ parent, name }) => parent === 1 && Object.hasOwn(NODEIDS, name) ? entryOf(NODEIDS[name]) : null,
    forget: () => {},
    getattr: ({ nodeid }) => ({ attr: nodeid < 100 ? attrOf(nodeid) : { mode: 0o100644 }, attrTimeout: 0 }),
    setattr: ({ nodeid, mode, size }) => ({ attr: { ...attrOf(nodeid), ...mode && { mode }, ...size && { size } } }),
    statx: ({ nodeid }) => ({ attr: attrOf(nodeid), btime: 1_400_000_000, btimeNsec: 5, attributesMask: 0x30 }),
    readlink: () => "directory",
    symlink: () => make(0o120777),
    mknod: ({ mode }) => make(mode),
    mkdir: ({ mode }) => make(0o040000 | mode),
    unlink: () => {},
    rmdir: () => {},
    rename: () => {},
    link: ({ nodeid }) => entryOf(nodeid),
    open: ({ nodeid }) => ({ fh: 40 + nodeid, keepCache: true }),
    read: ({ offset, size }) => CONTENT.subarray(offset, offset + size),
    write: ({ data }) => Promise.resolve(data.length),
    statfs: () => ({
      blocks: 1000,
      bfree: 500,
      bavail: 400,
      files: 30,
      ffree: 20,
      bsize: 4096,
      namelen: 255,
      frsize: 512,
    }),
    release: () => {},
    flush: () => {},
    fsync: () => Promise.resolve(),
    setxattr: () => {},
    getxattr: ({ name }) => name === "user.comment" ? CONTENT.subarray(0, 9) : null,
    listxattr: () => ["user.comment", "user.ä"],
    removexattr: () => {},
    opendir: () => ({ fh: 9 }),
    readdir: () => Object.entries(NODEIDS).map(([name, ino]) => ({ name, ino, mode: attrOf(ino).mode })),
    releasedir: () => {},
    fsyncdir: () => {},
    access: () => {},
    create: ({ mode }) => ({ entry: make(mode), fh: 8, directIo: true }),
    tmpfile: ({ mode }) => ({ entry: make(mode), fh: 8 }),
    getlk: ({ lock }) => ({ ...lock, type: 1, pid: 1 }),
    setlk: () => {},
    setlkw({ lock }, { signal }) {
      if (lock.start !== HELD) return;
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    },
    bmap: ({ block }) => block + 1000,
    ioctl: ({ data }) => ({ result: 3, data: data.toReversed() }),
    poll: () => 5,
    fallocate: () => {},
    lseek: ({ offset }) => offset + 1,
    copyFileRange({ length }) {
      // What the kernel asks then in the older way.
      if (++copies === 2) throw new FuseError("ENOSYS");
      return length;
    },
    syncfs: () => {},
  };
}

function hex(...parts: readonly Uint8Array[]): string {
  return parts.map((bytes) => bytes.toHex()).join("");
}

/** A device that writes down what passes through it. */
class RecordingDevice extends Device {
  readonly exchanges: Exchange[] = [];
  readonly #waiting = new Map<bigint, Exchange>();

  override receive(buffer: Uint8Array): number {
    const length = super.receive(buffer);
    if (length > 0) {
      const view = new DataView(buffer.buffer, buffer.byteOffset, length);
      const opcode = opcodeName(view.getUint32(4, true)) as OpcodeName;
      const exchange = { opcode, request: hex(buffer.subarray(0, length)), reply: null };
      this.exchanges.push(exchange);
      this.#waiting.set(view.getBigUint64(8, true), exchange);
    }
    return length;
  }

  override send(head: Uint8Array, length: number, payload: Uint8Array | null): number {
    const exchange = this.#waiting.get(new DataView(head.buffer, head.byteOffset).getBigUint64(8, true));
    if (exchange !== undefined) exchange.reply = hex(head.subarray(0, length), payload ?? new Uint8Array(0));
    return super.send(head, length, payload);
  }
}

async function run(...[program, ...args]: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout).trim();
}

const client = new URL("./record.py", import.meta.url).pathname;

/** Mounts, lets the client do its part, and unmounts; answers what passed. */
async function record(name: Recording["name"], source: string, options: SessionOptions): Promise<Recording> {
  const c = libc();
  const folder = await Deno.makeTempDir({ prefix: "record-" });
  const fd = c.open(cstring("/dev/fuse"), c.O.RDWR | c.O.NONBLOCK | c.O.CLOEXEC, 0);
  if (fd < 0) throw new FuseError(fd, "cannot open /dev/fuse");
  const data = `fd=${fd},rootmode=40000,user_id=0,group_id=0,allow_other${name === "fuseblk" ? ",blksize=4096" : ""}`;
  const failed = c.mount(cstring(source), cstring(folder), cstring(name), 0, cstring(data));
  if (failed < 0) throw new FuseError(failed, `cannot mount ${name}`);
  const device = new RecordingDevice(c, fd);
  const loop = new SessionLoop(c, device, recordedFilesystem(), resolveOptions(options), {});
  const ended = loop.run();
  try {
    await loop.negotiated;
    await run("python3", "-S", client, folder, name === "fuse" ? "all" : "block");
    // Answered by a request of its own.
    if (name === "fuse") await loop.notify.retrieve(NODEIDS.file, 0, 16);
    // Makes the kernel forget what nobody uses.
    await run("mount", "-i", "-o", "remount", folder);
  } finally {
    await run("umount", "-i", folder);
    await ended;
    await Deno.remove(folder);
  }
  return { name, options, exchanges: device.exchanges };
}

/** The same on a loop device. */
async function recordBlock(): Promise<Recording> {
  const image = await Deno.makeTempFile();
  await Deno.truncate(image, 1 << 20);
  const loop = await run("losetup", "--find", "--show", image);
  try {
    return await record("fuseblk", loop, { readdirplus: "never" });
  } finally {
    await run("losetup", "--detach", loop);
    await Deno.remove(image);
  }
}

if (import.meta.main) {
  const recordings = [
    await record("fuse", "recorded", { createSuppGroup: true, securityContext: true, readdirplus: "always" }),
    await recordBlock(),
  ];
  const kernel = /^\d+\.\d+(\.\d+)?/.exec(Deno.osRelease())![0];
  const recorded: Recorded = {
    origin:
      `Recorded by scripts/record.ts from a mount of Linux ${kernel}: requests and replies as read(2) and write(2) ` +
      "of /dev/fuse had them, nothing changed.",
    kernel,
    recordings,
  };
  const file = new URL("../tests/fixtures/recorded.json", import.meta.url);
  await Deno.writeTextFile(file, `${JSON.stringify(recorded, null, 2)}\n`);
  for (const { name, exchanges } of recordings) console.log(`${name}: ${exchanges.length} requests`);
}
