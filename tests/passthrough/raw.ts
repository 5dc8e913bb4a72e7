/**
 * A server that speaks the raw protocol: what it answers is what the kernel gets, with nothing of the library but the
 * device between.
 */
import { POLLIN } from "../../ffi/libc.ts";
import { libc } from "../../ffi/load.ts";
import { INIT_FLAG } from "../../src/abi/flags.ts";
import { FUSE_DEV_IOC_BACKING_CLOSE, FUSE_DEV_IOC_BACKING_OPEN } from "../../src/abi/ioctl.ts";
import { OPCODE } from "../../src/abi/opcode.ts";
import { cstring } from "../../src/abi/text.ts";
import { Device, EMPTY } from "../../src/device.ts";
import { ERRNO, errnoName, FuseError } from "../../src/errno.ts";
import { deferred } from "../../src/deferred.ts";
import { type TempDir, tempDir } from "../support/harness.ts";
import { c, field, join, utf8, type Values } from "../support/wire.ts";

const S_IFREG = 0o100000, S_IFDIR = 0o040000;
const MNT_DETACH = 2;

/** What the root has: nodeid and mode. */
const NAMES: Readonly<Record<string, readonly [nodeid: number, mode: number]>> = {
  a: [2, S_IFREG | 0o666],
  b: [3, S_IFREG | 0o666],
  suid: [4, S_IFREG | 0o4777],
  dir: [5, S_IFDIR | 0o755],
};
const MODES = new Map<number, number>([[1, S_IFDIR | 0o777], ...Object.values(NAMES)]);
const OPCODES = new Map<number, string>(
  Object.entries(OPCODE).map(([name, code]) => [code, name.replace("FUSE_", "")]),
);
const UNANSWERED = ["FORGET", "BATCH_FORGET", "INTERRUPT"];
/** Requests that need no more than a yes. */
const YES = ["FLUSH", "RELEASE", "RELEASEDIR", "FSYNC", "FALLOCATE", "SETLK", "SETLKW", "DESTROY", "ACCESS"];

/** A reply to OPEN or OPENDIR, or the errno. */
export interface RawOpen {
  /** `FOPEN_*`. */
  readonly flags?: number;
  readonly id?: number;
  readonly error?: "ENOSYS";
}

/** How a raw server introduces itself. */
export interface RawOptions {
  /** Flags of INIT beside `FUSE_INIT_EXT` and `FUSE_PASSTHROUGH`. */
  readonly flags?: readonly (keyof typeof INIT_FLAG)[];
  readonly minor?: number;
  /** 1 unless told. */
  readonly maxStackDepth?: number;
  /** How long the kernel may keep attributes, s. */
  readonly attrTimeout?: number;
  /** Called before INIT is answered. */
  readonly init?: (server: RawServer) => void;
}

/** A mounted file system of a few names, all of them of 6 bytes, which are `server`. */
export class RawServer implements AsyncDisposable {
  readonly dir: TempDir;
  /** What came by, without `FUSE_`. */
  readonly opcodes: string[] = [];
  /** Sizes that SETATTR was sent. */
  readonly sizes: number[] = [];
  /** Answers OPEN and OPENDIR. */
  open: (nodeid: number) => RawOpen = () => ({});
  /** What stat shows of the files' size. */
  size = 6;
  readonly #device: Device;
  readonly #options: RawOptions;
  readonly #buffer = new Uint8Array(256 * 1024);
  readonly #ready = deferred<void>();
  readonly #served: Promise<void>;
  #stopped = false;

  private constructor(dir: TempDir, device: Device, options: RawOptions) {
    this.dir = dir;
    this.#device = device;
    this.#options = options;
    this.#served = this.#serve();
    this.#served.catch(this.#ready.reject);
  }

  /** Mounts, and waits for INIT. */
  static async mount(options: RawOptions = {}): Promise<RawServer> {
    const dir = await tempDir(), library = libc(), { RDWR, CLOEXEC, NONBLOCK } = library.O;
    const fd = library.open(cstring("/dev/fuse"), RDWR | CLOEXEC | NONBLOCK, 0);
    const data = `fd=${fd},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions`;
    const done = library.mount(cstring("raw"), cstring(dir.path), cstring("fuse.raw"), 0, cstring(data));
    if (done < 0) throw new FuseError(done, `mount: ${errnoName(done)}`);
    const server = new RawServer(dir, new Device(library, fd), options);
    await server.#ready.promise;
    return server;
  }

  /** The device's descriptor. */
  get fd(): number {
    return this.#device.fd;
  }

  /** How often each of some requests came by since the last `clear`. */
  count(...names: string[]): number[] {
    return names.map((name) => this.opcodes.filter((opcode) => opcode === name).length);
  }

  /** Forgets what came by. */
  clear(): void {
    this.opcodes.length = this.sizes.length = 0;
  }

  /** BACKING_OPEN: the id, or the errno's name. */
  register(fd: number, values: Values = {}, device: number = this.fd): number | string {
    const id = libc().ioctl(device, FUSE_DEV_IOC_BACKING_OPEN, c("fuse_backing_map", { fd, ...values }));
    return id < 0 ? errnoName(id) : id;
  }

  /** BACKING_CLOSE: 0, or the errno's name. */
  close(id: number): number | string {
    const argument = new Uint8Array(4);
    new DataView(argument.buffer).setInt32(0, id, true);
    const done = libc().ioctl(this.fd, FUSE_DEV_IOC_BACKING_CLOSE, argument);
    return done < 0 ? errnoName(done) : done;
  }

  async #serve(): Promise<void> {
    // More than 64 bytes, so that the memory does not move.
    const poll = new Uint8Array(128), view = new DataView(poll.buffer);
    view.setInt32(0, this.fd, true);
    view.setInt16(4, POLLIN, true);
    for (;;) {
      const n = this.#device.receive(this.#buffer);
      if (n > 0) this.#answer(this.#buffer.subarray(0, n));
      else if (n !== EMPTY || this.#stopped) return;
      else await libc().pollAsync(poll, 1, 100);
    }
  }

  #answer(request: Uint8Array): void {
    const header = (name: string) => Number(field("fuse_in_header", name, request));
    const opcode = OPCODES.get(header("opcode"))!, nodeid = header("nodeid");
    this.opcodes.push(opcode);
    if (UNANSWERED.includes(opcode)) return;
    const body = this.#body(opcode, nodeid, request.subarray(40));
    const error = typeof body === "number" ? -body : 0;
    const payload = typeof body === "number" ? new Uint8Array(0) : body;
    const unique = field("fuse_in_header", "unique", request);
    const reply = join(c("fuse_out_header", { len: 16 + payload.length, error, unique }), payload);
    // ENOENT: nobody waits for it any more.
    const sent = this.#device.send(reply, reply.length, null);
    if (sent < 0 && sent !== -ERRNO.ENOENT) throw new FuseError(sent, `reply to ${opcode}: ${errnoName(sent)}`);
    if (opcode === "INIT") this.#ready.resolve();
  }

  /** What is answered behind the header, or an errno. */
  #body(opcode: string, nodeid: number, body: Uint8Array): Uint8Array | number {
    const attr_valid = this.#options.attrTimeout ?? 0;
    if (YES.includes(opcode)) return new Uint8Array(0);
    switch (opcode) {
      case "INIT":
        return this.#init(body);
      case "LOOKUP": {
        const found = NAMES[new TextDecoder().decode(body.subarray(0, body.indexOf(0)))];
        if (found === undefined) return ERRNO.ENOENT;
        return c("fuse_entry_out", { nodeid: found[0], attr_valid, attr: this.#attr(found[0]) });
      }
      case "SETATTR":
        this.sizes.push(Number(field("fuse_setattr_in", "size", body)));
        return c("fuse_attr_out", { attr_valid, attr: this.#attr(nodeid) });
      case "GETATTR":
        return c("fuse_attr_out", { attr_valid, attr: this.#attr(nodeid) });
      case "OPEN":
      case "OPENDIR": {
        const { flags = 0, id = 0, error } = this.open(nodeid);
        return error ? ERRNO[error] : c("fuse_open_out", { open_flags: flags, backing_id: id });
      }
      case "READ":
        return utf8("server").subarray(Number(field("fuse_read_in", "offset", body)));
      case "WRITE":
        return c("fuse_write_out", { size: field("fuse_write_in", "size", body) });
      case "COPY_FILE_RANGE":
        return c("fuse_write_out", { size: field("fuse_copy_file_range_in", "len", body) });
      case "COPY_FILE_RANGE_64":
        return c("fuse_copy_file_range_out", { bytes_copied: field("fuse_copy_file_range_in", "len", body) });
      case "LSEEK":
        return c("fuse_lseek_out", { offset: field("fuse_lseek_in", "offset", body) });
      case "STATFS":
        return c("fuse_statfs_out", { st: { bsize: 4096, namelen: 255 } });
      case "IOCTL":
        return ERRNO.ENOTTY;
      case "READDIR":
        return new Uint8Array(0);
      default:
        return ERRNO.ENOSYS;
    }
  }

  #attr(nodeid: number): Values {
    const mode = MODES.get(nodeid)!;
    return { ino: nodeid, mode, nlink: 1, size: (mode & S_IFREG) === S_IFREG ? this.size : 0, blksize: 4096 };
  }

  #init(body: Uint8Array): Uint8Array {
    this.#options.init?.(this);
    const { flags = [], minor = 45, maxStackDepth = 1 } = this.#options;
    let bits = 0n;
    for (const name of ["FUSE_INIT_EXT", "FUSE_PASSTHROUGH", ...flags] as const) bits |= 1n << BigInt(INIT_FLAG[name]);
    const offered = BigInt(field("fuse_init_in", "flags", body)) | BigInt(field("fuse_init_in", "flags2", body)) << 32n;
    bits &= offered;
    return c("fuse_init_out", {
      major: 7,
      minor,
      max_readahead: 131072,
      max_write: 131072,
      flags: bits & 0xffffffffn,
      flags2: bits >> 32n,
      max_stack_depth: maxStackDepth,
    });
  }

  /** Unmounts whatever is open, and ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    await libc().umount2Async(cstring(this.dir.path), MNT_DETACH);
    this.#stopped = true;
    try {
      await this.#served;
    } finally {
      this.#device[Symbol.dispose]();
      await this.dir[Symbol.asyncDispose]();
    }
  }
}
