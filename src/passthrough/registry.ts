/**
 * Which inodes the kernel reads and writes by itself, and under which backing id.
 *
 * The kernel takes one id per inode, shared by all of its opens, refuses an open that contradicts what is open already,
 * and looks the id up after the reply was written. So an id is registered with the first open that asks for it, every
 * other open of the inode is answered in accordance with it, and it is closed at the last RELEASE. Where the kernel
 * refuses an id, the file is served by the file system's read and write as if nothing had been asked.
 */
import { FOPEN_DIRECT_IO, FOPEN_PASSTHROUGH } from "../abi/flags.ts";
import { FUSE_DEV_IOC_BACKING_CLOSE, FUSE_DEV_IOC_BACKING_OPEN } from "../abi/ioctl.ts";
import { fuse_backing_map } from "../abi/structs.ts";
import type { Device } from "../device.ts";
import { ERRNO, errnoName } from "../errno.ts";
import type { OpenReply } from "../fs/types.ts";

/** Counts of a session's backing ids. */
export interface PassthroughStats {
  /** Ids registered so far. */
  readonly registered: number;
  /** Ids closed so far. */
  readonly closed: number;
  /** Ids open now. */
  readonly open: number;
  /** Opens that asked for a backing file and were served by the file system instead, by the reason. */
  readonly fallbacks: Readonly<Record<string, number>>;
}

/** How an open is to be answered. */
interface Decision {
  readonly openFlags: number;
  readonly backingId: number;
}

/** What is open of one inode. */
interface OpenInode {
  /** Handles of every kind. */
  handles: number;
  /** The id all of its backed handles share; 0: none. */
  backingId: number;
  /** Some handle uses the page cache: no id may come in until all handles are gone. */
  cached: boolean;
}

const PLAIN: Decision = Object.freeze({ openFlags: 0, backingId: 0 });

/** The backing ids of one session. */
export class PassthroughRegistry implements Disposable {
  readonly #device: Device;
  readonly #inodes = new Map<number, OpenInode>();
  readonly #map = new Uint8Array(fuse_backing_map.size);
  readonly #mapView = new DataView(this.#map.buffer);
  readonly #id = new Uint8Array(4);
  readonly #idView = new DataView(this.#id.buffer);
  readonly #fallbacks: Record<string, number> = {};
  #registered = 0;
  #closed = 0;
  #unavailable: string | null = "the handshake is not done";

  constructor(device: Device) {
    this.#device = device;
  }

  /** Why no file can be handed to the kernel, or null where that is possible. */
  get unavailable(): string | null {
    return this.#unavailable;
  }

  /** Counts of ids and fallbacks. */
  stats(): PassthroughStats {
    return {
      registered: this.#registered,
      closed: this.#closed,
      open: this.#registered - this.#closed,
      fallbacks: { ...this.#fallbacks },
    };
  }

  /** The handshake is done: `reason` is null where passthrough was agreed on. */
  enable(reason: string | null): void {
    this.#unavailable = reason;
  }

  /** An open or create of this inode is about to be answered. */
  opened(nodeid: number, reply: OpenReply): Decision {
    let inode = this.#inodes.get(nodeid);
    if (inode === undefined) {
      // Without passthrough nothing has to agree with anything.
      if (this.#unavailable !== null) {
        if (reply.backing !== undefined) this.#fallBack(this.#unavailable);
        return PLAIN;
      }
      this.#inodes.set(nodeid, inode = { handles: 0, backingId: 0, cached: false });
    }
    inode.handles++;
    const asked = reply.backing !== undefined;
    if (inode.backingId === 0 && asked) this.#register(inode, reply.backing!);
    if (inode.backingId !== 0) {
      // The one way to serve a handle ourselves beside backed ones.
      const own = asked ? 0 : FOPEN_DIRECT_IO;
      return { openFlags: FOPEN_PASSTHROUGH | own, backingId: inode.backingId };
    }
    if (!reply.directIo) inode.cached = true;
    return PLAIN;
  }

  #register(inode: OpenInode, fd: number): void {
    if (inode.cached) return this.#fallBack("the inode is open through the page cache");
    if (this.#unavailable !== null) return this.#fallBack(this.#unavailable);
    fuse_backing_map.write(this.#mapView, 0, { fd, flags: 0 });
    const id = this.#device.ioctl(FUSE_DEV_IOC_BACKING_OPEN, this.#map);
    if (id > 0) {
      this.#registered++;
      inode.backingId = id;
      return;
    }
    const reason = `FUSE_DEV_IOC_BACKING_OPEN says ${errnoName(id)}`;
    // A lack of privilege is not about this file: do not ask again for each.
    if (id === -ERRNO.EPERM) {
      this.#unavailable =
        `${reason}: passthrough needs CAP_SYS_ADMIN in the initial user namespace; serving through the session instead`;
    }
    this.#fallBack(reason);
  }

  #fallBack(reason: string): void {
    this.#fallbacks[reason] = (this.#fallbacks[reason] ?? 0) + 1;
  }

  /** A handle of this inode was released, or its open reply was not delivered. */
  released(nodeid: number): void {
    const inode = this.#inodes.get(nodeid);
    if (inode === undefined || --inode.handles > 0) return;
    this.#inodes.delete(nodeid);
    this.#close(inode.backingId);
  }

  #close(id: number): void {
    if (id === 0) return;
    this.#idView.setUint32(0, id, true);
    this.#device.ioctl(FUSE_DEV_IOC_BACKING_CLOSE, this.#id);
    this.#closed++;
  }

  /** Closes every id: the connection has ended. */
  [Symbol.dispose](): void {
    for (const { backingId } of this.#inodes.values()) this.#close(backingId);
    this.#inodes.clear();
    this.#unavailable = "the session has ended";
  }
}
