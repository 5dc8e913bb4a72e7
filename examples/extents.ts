/**
 * A disc image of several parts: the one file `image` at MOUNTPOINT is all PARTs, one behind the other. What is written
 * to it stays in memory, and the parts as they are.
 *
 *     deno run --allow-ffi examples/extents.ts MOUNTPOINT PART...
 */
import { type Attr, type Backing, FuseError, mount, ROOT_ID } from "../mod.ts";
import { type Extent, extents, openFile } from "../passthrough.ts";

/** Changes take whole blocks: fewer extents, and each is copied once. */
const BLOCK = 4096;

const [mountpoint, ...paths] = Deno.args;
if (paths.length === 0 || Deno.args.some((a) => a.startsWith("--"))) {
  console.error("usage: deno run --allow-ffi examples/extents.ts MOUNTPOINT PART...");
  Deno.exit(2);
}
try {
  using changes = openFile({ memfd: "changes" });
  const parts: Extent[] = [];
  let size = 0;
  for (const path of paths) {
    // Until this program ends.
    const { fd, size: length } = openFile(path);
    if (length > 0) parts.push({ offset: size, length, file: fd, fileOffset: 0 });
    size += length;
  }
  const image = extents(parts, {
    // A block of the image lies at the same place of the changes, so that neighbours are one extent.
    allocate({ offset, length }) {
      const start = offset - offset % BLOCK, end = Math.ceil((offset + length) / BLOCK) * BLOCK;
      return [{ offset: start, length: end - start, file: changes.fd, fileOffset: start }];
    },
  });

  const directory: Attr = { mode: 0o040755, nlink: 2 };
  const attr = (nodeid: number): Attr => nodeid === ROOT_ID ? directory : { mode: 0o100644, size: image.size };
  let backing: Backing;
  await using session = await mount({
    init: ({ passthrough }) => void (backing = passthrough.register(image, { autoClose: false })),
    lookup: ({ name }) => name === "image" ? { nodeid: 2, attr: attr(2) } : null,
    getattr: ({ nodeid }) => ({ attr: attr(nodeid) }),
    setattr({ nodeid, size }) {
      if (size !== undefined) image.truncate(size);
      return { attr: attr(nodeid) };
    },
    readdir: () => [{ name: "image", ino: 2, mode: attr(2).mode }],
    open: () => ({ backing, keepCache: true }),
  }, mountpoint);
  console.log(`mounted on ${session.mountpoint}`);
  await session.closed;
} catch (error) {
  if (!(error instanceof FuseError)) throw error;
  console.error(error.message);
  Deno.exit(1);
}
