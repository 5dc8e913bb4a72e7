/**
 * Two files with backing files, on fusewire: `f`, whose opens are backed by SOURCE, and `u`, which is not backed; both
 * of SOURCE's size, with zero timeouts.
 *
 *     deno run --allow-ffi scripts/bench/backing_server.ts SOURCE identity|served|extents MOUNTPOINT
 */
import { type Attr, type Backing, mount, ROOT_ID } from "../../mod.ts";
import { extents } from "../../passthrough.ts";
import { libc } from "../../ffi/load.ts";
import { cstring } from "../../src/abi/text.ts";

const [source, mode, mountpoint] = Deno.args;
const { O } = libc();
const fd = libc().open(cstring(source), O.RDWR | O.CLOEXEC, 0);
const size = libc().lseek(fd, 0, 2);
const half = size / 2;
const root: Attr = { mode: 0o040755, size: 4096 };
const file: Attr = { mode: 0o100644, size };
const names: Record<string, number> = { f: 2, u: 3 };
// Two stretches that change places, so that the map is not the identity.
const map = () =>
  extents([{ offset: 0, length: half, file: fd, fileOffset: half }, {
    offset: half,
    length: half,
    file: fd,
    fileOffset: 0,
  }]);

let backing: Backing;
await using session = await mount(
  {
    init: ({ passthrough }) => {
      backing = passthrough.register(mode === "extents" ? map() : fd, { autoClose: false, coherent: false });
    },
    lookup: ({ name }) => names[name] ? { nodeid: names[name], attr: file } : null,
    getattr: ({ nodeid }) => ({ attr: nodeid === ROOT_ID ? root : file }),
    open: ({ nodeid }) => nodeid === 2 ? { backing } : {},
    flush: () => {},
    release: () => {},
  },
  mountpoint,
  { allowOther: true, autoInvalData: false, handleKillpriv: true, passthrough: mode === "identity" },
);
console.log(`mounted on ${session.mountpoint}`);
await session.closed;
