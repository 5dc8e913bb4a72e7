/** Extents as authors give them, and their checks. */

/** A stretch of a file that lies in another open file. */
export interface Extent {
  /** Its first byte. */
  offset: number;
  /** Bytes, at least one. */
  length: number;
  /**
   * Descriptor of the other file, open for reading, and for writing where it takes data; one that appends takes none.
   * It stays the author's, who closes it once the map is not used any more. Its file position is neither used nor
   * moved.
   */
  file: number;
  /** Where in the other file the first byte lies. What is behind that file's end reads as zeros. */
  fileOffset: number;
}

/** A stretch of a file. */
export interface ExtentRange {
  /** Its first byte. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

const FIELDS = ["offset", "length", "file", "fileOffset"] as const;
// Descriptors are C ints.
const MAX_FD = 0x7fffffff;

/** "extent 3 (offset 0, length 10, file 5, fileOffset 0)", with where it comes from. */
function nameExtent(origin: string, index: number, extent: Extent): string {
  return `${origin}: extent ${index} (${FIELDS.map((field) => `${field} ${extent[field]}`).join(", ")})`;
}

function check(origin: string, index: number, extent: Extent): void {
  if (typeof extent !== "object" || extent === null) throw new TypeError(`${origin}: extent ${index} is ${extent}`);
  const { offset, length, file, fileOffset } = extent;
  const refuse = (what: string): never => {
    throw new RangeError(`${nameExtent(origin, index, extent)}: ${what}`);
  };
  for (const field of FIELDS) {
    if (!Number.isSafeInteger(extent[field])) refuse(`${field} is not a whole number of at most 2^53-1`);
    if (extent[field] < 0) refuse(`${field} is negative`);
  }
  if (length === 0) refuse("it has no bytes");
  if (offset > Number.MAX_SAFE_INTEGER - length) refuse("it ends beyond 2^53-1");
  if (fileOffset > Number.MAX_SAFE_INTEGER - length) refuse("it ends beyond 2^53-1 in its file");
  if (file > MAX_FD) refuse("file is not a descriptor");
}

/**
 * A checked copy in the order of the offsets. Throws a RangeError for numbers that are none of an extent, and for
 * overlaps; `known` is called for each extent and throws for whatever else is wrong.
 */
export function checkExtents(
  origin: string,
  list: readonly Extent[],
  known: (extent: Extent, name: () => string) => void,
): Extent[] {
  if (!Array.isArray(list)) throw new TypeError(`${origin}: ${list} is no list of extents`);
  const numbered = list.map((extent, index) => {
    check(origin, index, extent);
    known(extent, () => nameExtent(origin, index, extent));
    const { offset, length, file, fileOffset } = extent;
    return { offset, length, file, fileOffset, index };
  });
  numbered.sort((a, b) => a.offset - b.offset);
  for (let i = 1; i < numbered.length; i++) {
    const before = numbered[i - 1], extent = numbered[i];
    if (before.offset + before.length > extent.offset) {
      throw new RangeError(`${nameExtent(origin, extent.index, extent)}: it overlaps extent ${before.index}`);
    }
  }
  return numbered;
}
