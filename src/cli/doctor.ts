/** `fusewire doctor`: what this machine and this process can do. */
import { diagnose, type FindingState, formatDiagnosis } from "../../doctor.ts";
import { on } from "./arguments.ts";
import { type Command, command } from "./command.ts";
import { type Colour, isTerminal, painter, say, sayJson, sayTable } from "./output.ts";

const COLOURS: Readonly<Record<FindingState, Colour>> = {
  ok: "green",
  limited: "yellow",
  missing: "red",
  unknown: "yellow",
};

/** Tells what can be done here. */
export const doctor: Command = command<{ json?: boolean }>({
  words: "doctor",
  operands: ["[PATH]"],
  summary: "Tells what this machine and this process can do with FUSE, and the remedy for what they cannot",
  about:
    `With PATH, a file or folder, also whether files there can be passed through to the kernel. It mounts for a moment,
on a new folder in TMPDIR or /tmp. It ends with 1 where this process cannot mount.

A line is, unless on a terminal: state (ok, limited, missing, unknown), title, detail, remedy, with tabs between.`,
  options: { json: on("print the findings as JSON, by their names") },
  async run([path], { json }) {
    const diagnosis = await diagnose({ path });
    const { findings, ...byName } = diagnosis;
    if (json) sayJson(byName);
    else if (isTerminal()) {
      const paint = painter();
      const painted = (state: string) => paint(state, COLOURS[state as FindingState]);
      say(formatDiagnosis(diagnosis).replace(/^\w+/gm, painted));
    } else {
      const rows = findings.map(({ state, title, detail, remedy = "" }) => [state, title, detail, remedy]);
      sayTable([], rows, () => undefined);
    }
    return diagnosis.mounting.value === undefined ? 1 : 0;
  },
});
