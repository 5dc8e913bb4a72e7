/** What the release of a kernel tells of its FUSE. Distributions bring some of it to older releases. */

/** From which release on the kernel speaks which minor version. Source: `include/uapi/linux/fuse.h` of each release. */
const MINORS: readonly (readonly [release: string, minor: number])[] = [
  ["6.18", 45],
  ["6.16", 44],
  ["6.15", 43],
  ["6.14", 42],
  ["6.12", 41],
  ["6.9", 40],
  ["6.6", 39],
  ["6.2", 38],
  ["6.1", 37],
  ["5.17", 36],
  ["5.16", 35],
  ["5.14", 34],
  ["5.11", 33],
  ["5.10", 32],
  ["5.2", 31],
  ["5.1", 29],
  ["4.20", 28],
  ["4.18", 27],
  ["4.9", 26],
  ["4.7", 25],
  ["4.5", 24],
  ["3.15", 23],
];

/** Whether a release such as `6.18.1-generic` is not older than one such as `6.9`. */
export function atLeast(release: string, than: string): boolean {
  const [major, minor] = numbers(release), [wantedMajor, wantedMinor] = numbers(than);
  return major > wantedMajor || major === wantedMajor && minor >= wantedMinor;
}

/** The minor version that a release speaks; undefined where it is older than 3.15. */
export function minorOf(release: string): number | undefined {
  return MINORS.find(([from]) => atLeast(release, from))?.[1];
}

function numbers(release: string): [major: number, minor: number] {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(release) ?? ["", "0", "0"];
  return [Number(major), Number(minor)];
}
