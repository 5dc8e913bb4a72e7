/**
 * Makes a release of what is there: sets the version, and gives the changes since the last one its number and date.
 *
 *     deno run --allow-read=. --allow-write=. scripts/release.ts major|minor|patch|VERSION
 *     deno run --allow-read=. scripts/release.ts --check vVERSION
 *
 * The version stands in `deno.json`, and from there in `src/cli/version.ts`. Changes are written below the heading
 * `## Unreleased` of `CHANGELOG.md`. With `--check` nothing is written: it fails unless the tag is that of the version
 * everywhere, and the version has its section of changes.
 *
 * @module
 */

/** The files that a release changes, by their text. */
export interface Files {
  readonly "deno.json": string;
  readonly "src/cli/version.ts": string;
  readonly "CHANGELOG.md": string;
}

const NAMES = ["deno.json", "src/cli/version.ts", "CHANGELOG.md"] as const;
const VERSION = /^(\d+)\.(\d+)\.(\d+)$/;
const UNRELEASED = "## Unreleased";

/** The version of the project. */
export function versionOf({ "deno.json": config }: Files): string {
  return JSON.parse(config).version;
}

/** The version to come: a step from the last one, or what is told, which has to be higher. */
export function nextVersion(last: string, wanted: string): string {
  const [major, minor, patch] = numbers(last);
  const steps: Record<string, readonly number[]> = {
    major: [major + 1, 0, 0],
    minor: [major, minor + 1, 0],
    patch: [major, minor, patch + 1],
  };
  const next = steps[wanted]?.join(".") ?? wanted;
  const [a, b, c] = numbers(next);
  const higher = a !== major ? a > major : b !== minor ? b > minor : c > patch;
  if (!higher) throw new Error(`${next} is not higher than ${last}; say major, minor, patch or a higher version`);
  return next;
}

function numbers(version: string): [number, number, number] {
  const found = VERSION.exec(version);
  if (found === null) throw new Error(`${JSON.stringify(version)} is no version; say major, minor, patch or as 1.2.3`);
  return [Number(found[1]), Number(found[2]), Number(found[3])];
}

/** The files as they are released under a version, on a date such as `2030-01-31`. */
export function release(files: Files, version: string, date: string): Files {
  const changes = files["CHANGELOG.md"];
  if (section(changes, UNRELEASED) === "") {
    throw new Error(`CHANGELOG.md tells no changes; write them below a heading "${UNRELEASED}"`);
  }
  const last = versionOf(files);
  return {
    "deno.json": exchange(files["deno.json"], `"version": "${last}"`, `"version": "${version}"`),
    "src/cli/version.ts": exchange(files["src/cli/version.ts"], `VERSION = "${last}"`, `VERSION = "${version}"`),
    "CHANGELOG.md": exchange(changes, `${UNRELEASED}\n`, `## ${version} (${date})\n`),
  };
}

function exchange(text: string, before: string, after: string): string {
  if (text.split(before).length !== 2) throw new Error(`${JSON.stringify(before)} does not stand there exactly once`);
  return text.replace(before, () => after);
}

/** What stands below a heading, which may have a date behind it, up to the next; empty where there is none. */
function section(changes: string, heading: string): string {
  const lines = changes.split("\n");
  const start = lines.findIndex((line) => line === heading || line.startsWith(`${heading} (`));
  if (start < 0) return "";
  const end = lines.findIndex((line, i) => i > start && line.startsWith("## "));
  return lines.slice(start + 1, end < 0 ? undefined : end).join("\n").trim();
}

/** What keeps a tag from being that of the files, a line each. */
export function check(files: Files, tag: string): string[] {
  const version = versionOf(files);
  const wrong: string[] = [];
  if (tag !== `v${version}`) wrong.push(`the tag is ${tag}, the version in deno.json ${version}`);
  if (!files["src/cli/version.ts"].includes(`VERSION = "${version}"`)) {
    wrong.push(`src/cli/version.ts has another version than deno.json, ${version}`);
  }
  if (section(files["CHANGELOG.md"], `## ${version}`) === "") wrong.push(`CHANGELOG.md has no section ${version}`);
  if (section(files["CHANGELOG.md"], UNRELEASED) !== "") wrong.push("CHANGELOG.md has changes that are unreleased");
  return wrong;
}

async function read(): Promise<Files> {
  const texts = await Promise.all(NAMES.map(async (name) => [name, await Deno.readTextFile(name)]));
  return Object.fromEntries(texts);
}

/** Does it; the lines to be said. */
async function main([first, second, ...more]: readonly string[]): Promise<string[]> {
  const files = await read();
  if (first === undefined || more.length > 0 || (second !== undefined) !== (first === "--check")) {
    throw new Error("usage: scripts/release.ts major|minor|patch|VERSION, or --check vVERSION");
  }
  if (first === "--check") {
    const wrong = check(files, second);
    if (wrong.length > 0) throw new Error(wrong.join("; "));
    return [`${second} can be published`];
  }
  const version = nextVersion(versionOf(files), first);
  const released = release(files, version, new Date().toISOString().slice(0, 10));
  for (const name of NAMES) await Deno.writeTextFile(name, released[name]);
  return [
    `${version} it is. To publish it, once \`deno task ok\` says yes:`,
    `  git commit -am "Release ${version}" && git tag v${version} && git push --follow-tags origin HEAD v${version}`,
  ];
}

if (import.meta.main) {
  try {
    for (const line of await main(Deno.args)) console.log(line);
  } catch (error) {
    console.error((error as Error).message);
    Deno.exit(1);
  }
}
