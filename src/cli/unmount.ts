/** `fusewire unmount`: takes a mount away, whatever its server does. */
import { unmount as unmountAt, type UnmountResult } from "../../mod.ts";
import { integer, on } from "./arguments.ts";
import { type Command, command } from "./command.ts";
import { printable, say, sayJson } from "./output.ts";

const DONE: Readonly<Record<UnmountResult, string>> = {
  unmounted: "",
  detached: " lazily: it was in use, and left the tree at once",
  aborted: " by force: it was still in use, and its connection was cut",
};

/** Unmounts. */
export const unmount: Command = command<{ json?: boolean; timeout?: number }>({
  words: "unmount",
  operands: ["MOUNTPOINT"],
  summary: "Unmounts a FUSE file system, whoever serves it, also where the server hangs or is gone",
  about:
    `First plainly, which waits for those who use it; then lazily, which takes it out of the tree at once; and where
somebody still uses it then, by cutting the connection, which fails all their calls. It says which it was.
An ordinary user can unmount what is their own, through fusermount3. To cut a connection, fusectl has to be mounted
on /sys/fs/fuse/connections.`,
  options: {
    timeout: integer("MS", "how long each step waits for those who use it; default 1000"),
    json: on('print {"mountpoint", "result": "unmounted" | "detached" | "aborted"} as JSON'),
  },
  async run([mountpoint], { json, timeout }) {
    const result = await unmountAt(mountpoint, { timeout });
    if (json) sayJson({ mountpoint, result });
    else say(printable(`unmounted ${mountpoint}${DONE[result]}`));
    return 0;
  },
});
