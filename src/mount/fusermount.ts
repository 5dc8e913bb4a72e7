/** Mounting and unmounting through `fusermount3`, the set-user-ID helper that lets ordinary users do it. */
import type { Libc } from "../../ffi/libc.ts";
import { F_GETFL, F_SETFL } from "../../ffi/process.ts";
import { ERRNO, type ErrnoName, FuseError } from "../errno.ts";
import { command, type Ended } from "./command.ts";
import { NO_DEVICE } from "./kernel.ts";
import { helperOptions, type Settings } from "./options.ts";
import { type Reason, refusal, says } from "./refusal.ts";

const HELPER = "fusermount3";

/** Where the helper looks whose a mount is before it unmounts. */
export const MTAB = "/etc/mtab";
/** What helps where that is not there. */
export const NO_MTAB = `as root: ln -s /proc/self/mounts ${MTAB}`;

const AF_UNIX = 1, SOCK_STREAM = 1, SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40, MSG_CMSG_CLOEXEC = 0x40000000;
const SOL_SOCKET = 1, SCM_RIGHTS = 1;

/**
 * Mounts, and answers the device descriptor (`O_NONBLOCK`, `O_CLOEXEC`). `reason`: why mount(2) was not possible.
 * Source: `fusermount3(1)`; the helper sends the descriptor through the socket that `_FUSE_COMMFD` names.
 */
export async function mountByHelper(libc: Libc, path: string, settings: Settings, reason: Reason): Promise<number> {
  const pair = new Int32Array(2);
  const failed = libc.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
  if (failed < 0) throw refusal("mount on", path, { call: "socketpair", errno: failed });
  try {
    const ended = await run(libc, ["-o", helperOptions(settings), "--", path], pair[1]);
    if (typeof ended === "number") throw unstartable("mount on", path, ended, reason);
    const device = receive(libc, pair[0]);
    if (device >= 0) {
      libc.fcntl(device, F_SETFL, libc.fcntl(device, F_GETFL, 0) | libc.O.NONBLOCK);
      return device;
    }
    if (ended.status !== 0) throw helperRefusal("mount on", path, ended, says(reason));
    // It did mount, but the descriptor was lost on its way.
    await unmountByHelper(libc, path, true);
    throw refusal("mount on", path, { call: "recvmsg", errno: device, meaning: `no descriptor from ${HELPER}` });
  } finally {
    for (const fd of pair) libc.close(fd);
  }
}

/** Unmounts; -errno where the helper could not be started. */
export function unmountByHelper(libc: Libc, path: string, lazy: boolean): Promise<Ended | number> {
  return run(libc, [lazy ? "-uz" : "-u", "--", path]);
}

/** The error where the helper could not be started; `reason`: why it is needed. */
export function unstartable(task: string, path: string, errno: number, reason: Reason): FuseError {
  if (errno === -ERRNO.ENOENT) {
    const remedy = `${HELPER}, which may do it for ordinary users, is not there: install fuse3, or be root`;
    return refusal(task, path, { ...reason, remedy });
  }
  return refusal(task, path, { call: "posix_spawnp", of: HELPER, errno, meaning: `needed, since ${says(reason)}` });
}

/** Whether it failed because files are open. The end decides, since the path stands before it. */
export function saysBusy({ text }: Ended): boolean {
  return /: [^:/]*busy$/i.test(text);
}

/** The error for what the helper refused. */
export function helperRefusal(task: string, path: string, ended: Ended, before?: string): FuseError {
  const { text, status } = ended;
  const said = `${HELPER} says ${text === "" ? `nothing (exit status ${status})` : JSON.stringify(text)}`;
  const [code, remedy] = reading(text);
  const message = `cannot ${task} ${JSON.stringify(path)}: ${before === undefined ? said : `${before}; ${said}`}`;
  return new FuseError(code, remedy === undefined ? message : `${message}; ${remedy}`, { syscall: HELPER, path });
}

function reading(text: string): [ErrnoName, string?] {
  if (text.includes("user_allow_other")) {
    return ["EPERM", "write a line user_allow_other into /etc/fuse.conf, or mount without allowOther"];
  }
  if (text.includes(`failed to open ${MTAB}: No such file`)) return ["ENOENT", NO_MTAB];
  if (/no write access|not owned by/.test(text)) return ["EACCES", "mount on a directory of your own"];
  if (text.includes("mount_max")) return ["EUSERS"];
  if (text.includes("device not found")) return ["ENODEV", NO_DEVICE];
  if (/open \/dev\/fuse: Permission denied$/.test(text)) {
    return ["EACCES", "let this user open it: chmod 666 /dev/fuse"];
  }
  if (/Permission denied$/.test(text)) return ["EACCES"];
  if (/No such file or directory$/.test(text)) return ["ENOENT"];
  if (/Invalid argument$/.test(text)) return ["EINVAL"];
  if (/Operation not permitted$/.test(text)) {
    return ["EPERM", "it needs CAP_SYS_ADMIN, as docker run --cap-add SYS_ADMIN"];
  }
  return ["EPERM"];
}

/** Runs the helper to its end; -errno where it could not be started. */
async function run(libc: Libc, args: readonly string[], socket?: number): Promise<Ended | number> {
  const env = socket === undefined ? [] : ["_FUSE_COMMFD=3"];
  const ended = await command(libc, [HELPER, ...args], { env, third: socket });
  return typeof ended === "number" ? ended : { ...ended, text: ended.text.replace(/^fusermount3: /gm, "").trim() };
}

/** The descriptor that waits in the socket, or -errno; -EAGAIN where none was sent. */
function receive(libc: Libc, socket: number): number {
  // struct msghdr: name, iov (one byte of data comes along), control, flags. 56 bytes; behind it the rest.
  const memory = new Uint8Array(256), view = new DataView(memory.buffer);
  const at = libc.address(memory);
  const iov = 64, byte = 80, control = 96, room = 24;
  view.setBigUint64(16, at + BigInt(iov), true);
  view.setBigUint64(24, 1n, true);
  view.setBigUint64(32, at + BigInt(control), true);
  view.setBigUint64(40, BigInt(room), true);
  view.setBigUint64(iov, at + BigInt(byte), true);
  view.setBigUint64(iov + 8, 1n, true);
  const n = libc.recvmsg(socket, memory, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0) return n;
  // struct cmsghdr: length (8 bytes), level, type, and the descriptor.
  const filled = view.getUint32(40, true) >= 20;
  const rights = view.getInt32(control + 8, true) === SOL_SOCKET && view.getInt32(control + 12, true) === SCM_RIGHTS;
  // The kernel drops a descriptor that does not fit into our table.
  return filled && rights ? view.getInt32(control + 16, true) : -ERRNO.EMFILE;
}
