/**
 * Serves a file system and uses it itself, from a thread that the end of the process waits for: `own_user.ts MOUNTPOINT
 * HOW`. `open`: a file of it is open, whose close is a request; `asks`: a request is under way that is never answered.
 */
import process from "node:process";
import { libc } from "../../ffi/load.ts";
import { AT_EMPTY_PATH, Stat } from "../../ffi/libc.ts";
import { type Attr, mount, ROOT_ID } from "../../mod.ts";
import { cstring } from "../../src/abi/text.ts";
import { deferred } from "../../src/deferred.ts";

const [mountpoint, how] = process.argv.slice(2);
const file: Attr = { mode: 0o100644 };
const silent = 3;
const c = libc();
const asked = deferred<void>();
const session = await mount({
  lookup: ({ name }) => ({ nodeid: name === "file" ? 2 : silent, attr: file }),
  getattr({ nodeid }) {
    if (nodeid !== silent) return { attr: nodeid === ROOT_ID ? { mode: 0o040755, nlink: 2 } : file };
    asked.resolve();
    return new Promise(() => {});
  },
  flush: () => {},
}, mountpoint);
const own = await c.openAsync(cstring(`${mountpoint}/${how === "open" ? "file" : "silent"}`), c.O.PATH | c.O.CLOEXEC);
if (how === "open") {
  c.close(own);
  await c.openAsync(cstring(`${mountpoint}/file`), c.O.RDONLY | c.O.CLOEXEC);
} else {
  void c.statxAsync(own, cstring(""), AT_EMPTY_PATH, 1, new Stat());
  await asked.promise;
}
console.log("mounted");
await session.closed;
