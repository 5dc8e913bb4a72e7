/** The same operations in two folders, and the first difference between them. */
import { type Operation, show } from "./operations.ts";
import { type Exemptions, type Folder, play } from "./side.ts";

/** What every sequence begins with: two files, a directory, a symbolic link; and no `b`. */
const BEGINNING: readonly Operation[] = [
  { call: "open", slot: 0, path: "a", access: "RDWR", flags: ["CREAT"], mode: 0o644 },
  { call: "write", slot: 0, length: 5000, offset: null, fill: 1, how: null },
  { call: "symlink", target: "a", path: "c" },
  { call: "mkdir", path: "d", mode: 0o777 },
  { call: "open", slot: 1, path: "d/a", access: "RDWR", flags: ["CREAT"], mode: 0o666 },
  { call: "setxattr", path: "d/a", name: "user.a", length: 5, flag: "any", follow: true },
];

/** Something that two sides answered, or left. */
interface Both {
  readonly what: string;
  readonly native: string;
  readonly mount: string;
}

/** Whether an answer is an errno. */
const refused = (answer: string) => /^E[A-Z0-9]+(,|$)/.test(answer);

/** A difference, for people: what was done until it showed; or null. Neither folder has that name in it. */
export function compare(
  operations: readonly Operation[],
  native: Folder,
  mount: Folder,
  name: string,
  exemptions: Exemptions,
): string | null {
  const all = [...BEGINNING, ...operations];
  const [expected, actual] = [play(native, name, all, exemptions), play(mount, name, all, exemptions)];
  const report = (done: readonly Operation[], { what, native, mount }: Both) =>
    [...done.map((operation) => `  ${show(operation)}`), what, `  native: ${native}`, `  mount:  ${mount}`].join("\n");
  for (const [i, operation] of all.entries()) {
    const [native, mount] = [expected.answers[i], actual.answers[i]];
    if (native === mount || exemptions.unchecked && /^(EACCES|EPERM)/.test(native) && refused(mount)) continue;
    return report(all.slice(0, i + 1), { what: show(operation), native, mount });
  }
  for (const path of new Set([...expected.left.keys(), ...actual.left.keys()])) {
    const native = expected.left.get(path) ?? "absent", mount = actual.left.get(path) ?? "absent";
    if (native !== mount) return report(all, { what: JSON.stringify(path), native, mount });
  }
  return null;
}
