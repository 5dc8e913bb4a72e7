/** Names: how long they are, and which there may be. */
import { encodeName } from "../../abi/text.ts";
import { FuseError } from "../../errno.ts";

/** Longest name, bytes. Source: `limits.h NAME_MAX`. */
export const NAME_MAX = 255;

/** How many bytes a name or the target of a link has. */
export function byteLength(text: string): number {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >= 0x80) return encodeName(text).length;
  return text.length;
}

/** ENAMETOOLONG: the name has more than 255 bytes. */
export function checkLength(name: string): void {
  // A UTF-16 unit stands for one to three bytes.
  if (name.length * 3 > NAME_MAX && byteLength(name) > NAME_MAX) throw new FuseError("ENAMETOOLONG");
}

/** Whether a directory may get this name. ENAMETOOLONG, EINVAL, EEXIST. */
export function checkNewName(name: string): void {
  checkLength(name);
  if (name === "" || name.includes("/")) {
    throw new FuseError("EINVAL", `not the name of a file: ${JSON.stringify(name)}`);
  }
  if (name === "." || name === "..") throw new FuseError("EEXIST");
}
