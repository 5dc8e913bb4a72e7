/**
 * The pattern of an object store: a folder of objects that are replaced whole. What is written goes to a file in
 * memory, at the kernel's speed, and becomes the object's next version when it is closed. A larger one than
 * `--max-bytes` (1 GiB) is refused, which is what close(2) says then. Everything is gone when it is unmounted.
 *
 *     deno run --allow-ffi examples/staged.ts MOUNTPOINT [--max-bytes=N]
 */
import { type Backing, type Filesystem, FuseError, mount, type OpenReply, type Passthrough, ROOT_ID } from "../mod.ts";
import { stage } from "../passthrough.ts";

const flags = Deno.args.filter((a) => a.startsWith("--"));
const paths = Deno.args.filter((a) => !a.startsWith("--"));
if (paths.length !== 1 || flags.length > 1 || !flags.every((flag) => /^--max-bytes=\d+$/.test(flag))) {
  console.error("usage: deno run --allow-ffi examples/staged.ts MOUNTPOINT [--max-bytes=N]");
  Deno.exit(2);
}
const most = Number(flags[0]?.slice("--max-bytes=".length) ?? 2 ** 30);

class StoredObject {
  bytes: Uint8Array = new Uint8Array(0);
  modified: number = Date.now();
  version = 0;
  lookups = 0;
  /** What it is while it is open. */
  staged?: Backing;
  /** A key of null: it was removed, but the kernel still knows it. */
  constructor(readonly nodeid: number, public key: string | null) {}
}

const byKey = new Map<string, StoredObject>();
const byNodeid = new Map<number, StoredObject>();
let last = ROOT_ID;
let files: Passthrough;

function find(nodeid: number): StoredObject {
  const object = byNodeid.get(nodeid);
  if (object === undefined) throw new FuseError("ESTALE");
  return object;
}

/** What is too large has to be refused before there is memory for it: a file with holes may have any size. */
function checkSize(size: number): void {
  if (size > most) throw new FuseError("EFBIG");
}

function put(object: StoredObject, bytes: Uint8Array): void {
  // Here a real one uploads, and may take its time: a promise keeps the closer waiting, and nobody else.
  object.bytes = bytes;
  object.modified = Date.now();
  if (object.key !== null) console.log(`committed ${object.key}, ${bytes.length} bytes, version ${++object.version}`);
}

function attrOf({ nodeid, key, bytes, modified }: StoredObject) {
  const seconds = Math.floor(modified / 1000), nanoseconds = modified % 1000 * 1e6;
  const times = { mtime: seconds, mtimeNsec: nanoseconds, ctime: seconds, ctimeNsec: nanoseconds };
  return { ino: nodeid, mode: 0o100644, nlink: key === null ? 0 : 1, size: bytes.length, ...times };
}

function entryOf(object: StoredObject) {
  object.lookups++;
  return { nodeid: object.nodeid, attr: attrOf(object) };
}

const O_TRUNC = 0o1000;

function opened(object: StoredObject, flags: number): OpenReply {
  // All handles of one object share one file.
  if (object.staged === undefined || object.staged.state === "closed") {
    const from = flags & O_TRUNC ? undefined : object.bytes;
    object.staged = files.register(stage({
      from,
      onCommit(file) {
        checkSize(file.size);
        put(object, file.read());
      },
    }));
  }
  return { backing: object.staged };
}

function remove(key: string): StoredObject {
  const object = byKey.get(key);
  if (object === undefined) throw new FuseError("ENOENT");
  byKey.delete(key);
  object.key = null;
  return object;
}

const store: Filesystem = {
  init: ({ passthrough }) => void (files = passthrough),
  lookup: ({ name }) => byKey.has(name) ? entryOf(byKey.get(name)!) : null,
  getattr: ({ nodeid }) => ({ attr: nodeid === ROOT_ID ? { mode: 0o040755, nlink: 2 } : attrOf(find(nodeid)) }),
  setattr({ nodeid, size }) {
    const object = find(nodeid);
    // While it is open the staged file takes the size.
    if (size !== undefined && object.staged?.state !== "open") {
      checkSize(size);
      const bytes = new Uint8Array(size);
      bytes.set(object.bytes.subarray(0, size));
      put(object, bytes);
    }
    return { attr: attrOf(object) };
  },
  readdir: () => [...byKey].map(([name, { nodeid }]) => ({ name, ino: nodeid, mode: 0o100644 })),
  create({ name, flags }) {
    const object = new StoredObject(++last, name);
    const reply = opened(object, flags);
    byKey.set(name, object);
    byNodeid.set(object.nodeid, object);
    return { entry: entryOf(object), ...reply };
  },
  open: ({ nodeid, flags }) => opened(find(nodeid), flags),
  unlink: ({ name }) => void remove(name),
  rename({ name, newName, flags }) {
    if (flags !== 0) throw new FuseError("EINVAL");
    if (name === newName) return;
    const object = remove(name);
    if (byKey.has(newName)) remove(newName);
    byKey.set(object.key = newName, object);
  },
  forget({ nodeid, nlookup }) {
    const object = byNodeid.get(nodeid);
    if (object !== undefined && (object.lookups -= nlookup) <= 0 && object.key === null) byNodeid.delete(nodeid);
  },
};

try {
  await using session = await mount(store, paths[0], { fsname: "staged", atomicOTrunc: true });
  console.log(`mounted on ${session.mountpoint}`);
  await session.closed;
} catch (error) {
  if (!(error instanceof FuseError)) throw error;
  console.error(error.message);
  Deno.exit(1);
}
