/**
 * File names as strings, without loss. Linux names are bytes; bytes that are not UTF-8 become the lone surrogates
 * U+DC80 to U+DCFF and back again, as Python's surrogateescape has it.
 */
import { FuseError } from "../errno.ts";

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** How many bytes of well-formed UTF-8 begin at `at`; 0 where there is none. */
function sequence(bytes: Uint8Array, at: number, end: number): number {
  const b = bytes[at];
  if (b < 0x80) return 1;
  const length = b >= 0xc2 && b <= 0xdf ? 2 : b >= 0xe0 && b <= 0xef ? 3 : b >= 0xf0 && b <= 0xf4 ? 4 : 0;
  if (length === 0 || at + length > end) return 0;
  for (let i = 1; i < length; i++) if ((bytes[at + i] & 0xc0) !== 0x80) return 0;
  const second = bytes[at + 1];
  // Overlong forms, surrogates, and beyond U+10FFFF.
  if (b === 0xe0 && second < 0xa0 || b === 0xed && second > 0x9f) return 0;
  if (b === 0xf0 && second < 0x90 || b === 0xf4 && second > 0x8f) return 0;
  return length;
}

/** Bytes to a string; never fails. */
export function decodeName(bytes: Uint8Array, start = 0, end: number = bytes.length): string {
  if (end - start <= 64) {
    let ascii = "";
    let i = start;
    for (; i < end; i++) {
      const b = bytes[i];
      if (b >= 0x80) break;
      ascii += String.fromCharCode(b);
    }
    if (i === end) return ascii;
  }
  const part = bytes.subarray(start, end);
  try {
    return strict.decode(part);
  } catch {
    let text = "";
    for (let i = start; i < end;) {
      const n = sequence(bytes, i, end);
      text += n === 0 ? String.fromCharCode(0xdc00 + bytes[i]) : strict.decode(bytes.subarray(i, i + n));
      i += n || 1;
    }
    return text;
  }
}

const encoder = new TextEncoder();

/**
 * Writes the bytes of a name at `at` and answers where they end. The target must have room for three times the
 * string's length. A surrogate that stands for no byte is an EILSEQ, a NUL an EINVAL.
 */
export function encodeNameInto(name: string, target: Uint8Array, at: number): number {
  for (let i = 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    if (c === 0) throw new FuseError("EINVAL", `a name holds a NUL character: ${JSON.stringify(name)}`);
    if (c < 0x80) target[at++] = c;
    else if (c < 0x800) {
      target[at++] = 0xc0 | c >> 6;
      target[at++] = 0x80 | c & 0x3f;
    } else if (c >= 0xd800 && c <= 0xdfff) {
      const low = name.charCodeAt(i + 1);
      if (c < 0xdc00 && low >= 0xdc00 && low <= 0xdfff) {
        at += encoder.encodeInto(name.slice(i, i + 2), target.subarray(at)).written;
        i++;
      } else if (c >= 0xdc80 && c <= 0xdcff) target[at++] = c - 0xdc00;
      else throw new FuseError("EILSEQ", `a name holds a surrogate that stands for no byte: ${JSON.stringify(name)}`);
    } else {
      target[at++] = 0xe0 | c >> 12;
      target[at++] = 0x80 | c >> 6 & 0x3f;
      target[at++] = 0x80 | c & 0x3f;
    }
  }
  return at;
}

const scratch = new Uint8Array(3 * 4096);

/** The bytes of a name, without a NUL. */
export function encodeName(name: string): Uint8Array {
  const target = name.length <= 4096 ? scratch : new Uint8Array(name.length * 3);
  return target.slice(0, encodeNameInto(name, target, 0));
}

/** The bytes of a path and a NUL, as C functions take it. */
export function cstring(path: string): Uint8Array {
  const target = path.length * 3 < scratch.length ? scratch : new Uint8Array(path.length * 3 + 1);
  const end = encodeNameInto(path, target, 0);
  target[end] = 0;
  return target.slice(0, end + 1);
}
