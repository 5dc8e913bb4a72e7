/** Bytes of files, for the cases. */
import type { Place } from "../place.ts";

export const KIB = 1024, MIB = 1 << 20;

/** The text that bytes are. */
export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Bytes that tell where they are. */
export function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7 + seed) & 0xff);
}

/** What is at an offset of a file: whole calls, however the file system cuts them. */
export function readAt({ ok }: Place, fd: number, length: number, offset: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (let part; at < length && (part = ok.pread(fd, length - at, offset + at)).length > 0; at += part.length) {
    bytes.set(part, at);
  }
  return bytes.subarray(0, at);
}

/** Writes all of it, however the file system cuts the calls. */
export function writeAt({ ok }: Place, fd: number, data: Uint8Array, offset: number): void {
  for (let at = 0; at < data.length;) at += ok.pwrite(fd, data.subarray(at), offset + at);
}
