/** `fusewire list`: the FUSE connections. */
import { type ConnectionFound, connections, type ConnectionState } from "../../doctor.ts";
import { integer, on } from "./arguments.ts";
import { type Command, command } from "./command.ts";
import { type Colour, sayJson, sayTable, warn } from "./output.ts";

const COLOURS: Readonly<Record<ConnectionState, Colour | undefined>> = {
  ok: "green",
  stale: "red",
  silent: "red",
  unknown: undefined,
};

/** Lists what is mounted. */
export const list: Command = command<{ json?: boolean; timeout?: number }>({
  words: "list",
  operands: [],
  summary: "Lists the FUSE connections of this machine, whoever serves them",
  about:
    `A line is a connection: its state, its number (in /sys/fs/fuse/connections), the requests that wait for an answer,
its type, its source, and its mountpoint; more of them in further lines. On a terminal it is a table,
otherwise there are tabs between; what is not known is "-". The states:

  ok       its server answers
  stale    its server is gone: every call fails with ENOTCONN; fusewire unmount takes it away
  silent   its server did not answer in time
  unknown  could not be asked: another user's, below a mount that is not ok, or not mounted here`,
  options: {
    timeout: integer("MS", "how long a server may take to answer; default 1000"),
    json: on('print {"connections": [...], "fusectl": {...}} as JSON'),
  },
  async run(_, { json, timeout }) {
    const found = await connections({ timeout });
    if (json) sayJson(found);
    else if (found.connections.length > 0) {
      const heads = ["STATE", "NUMBER", "WAITING", "TYPE", "SOURCE", "MOUNTPOINT"];
      sayTable(heads, found.connections.flatMap(rowsOf), (state) => COLOURS[state as ConnectionState]);
    }
    const { state, detail, remedy } = found.fusectl;
    if (!json && state !== "ok") warn(`fusectl ${detail}, so requests that wait are not seen; ${remedy}`);
    return 0;
  },
});

function rowsOf({ state, number, waiting, type, source, mountpoints }: ConnectionFound): string[][] {
  const points = mountpoints.length === 0 ? ["-"] : mountpoints;
  return points.map((point) => [state, number, waiting ?? "-", type ?? "-", source ?? "-", point].map(String));
}
