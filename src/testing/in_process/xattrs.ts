/** The calls on extended attributes: what the kernel sees to. */
import { encodeName } from "../../abi/text.ts";
import type { ErrnoName } from "../../errno.ts";
import { S_IFDIR, S_IFREG } from "../../fs/mode.ts";
import { bits, XATTR } from "../flags.ts";
import { bytesOf, type Data } from "../sys.ts";
import { fail, type Node, type Tree } from "./tree.ts";

/** Extended attributes of inodes that were found. */
export class Xattrs {
  readonly #tree: Tree;

  /** Those of a file system. */
  constructor(tree: Tree) {
    this.#tree = tree;
  }

  #check({ type }: Node, name: string, absent: ErrnoName): void {
    const length = encodeName(name).length;
    if (length === 0 || length > 255) fail("ERANGE");
    if (name.startsWith("user.") && type !== S_IFREG && type !== S_IFDIR) fail(absent);
  }

  /** `setxattr(2)`. */
  set(node: Node, name: string, value: Data, flags: string): number {
    const bytes = bytesOf(value).slice();
    if (bytes.length > 0x10000) fail("E2BIG");
    this.#check(node, name, "EPERM");
    this.#tree.ask("setxattr", { nodeid: node.nodeid, name, value: bytes, flags: bits(flags, XATTR) });
    bytes.fill(0xa5);
    return 0;
  }

  /** `getxattr(2)`. */
  get(node: Node, name: string, size?: number): Uint8Array {
    this.#check(node, name, "ENODATA");
    const value: Uint8Array | null = this.#tree.ask("getxattr", { nodeid: node.nodeid, name });
    if (value === null) fail("ENODATA");
    if (size !== undefined && value.length > size) fail("ERANGE");
    return value.slice();
  }

  /** `listxattr(2)`. */
  list({ nodeid }: Node, size?: number): string[] {
    const names = this.#tree.ask("listxattr", { nodeid });
    if (size !== undefined && encodeName(names.map((name) => `${name}/`).join("")).length > size) fail("ERANGE");
    return names;
  }

  /** `removexattr(2)`. */
  remove(node: Node, name: string): number {
    this.#check(node, name, "EPERM");
    this.#tree.ask("removexattr", { nodeid: node.nodeid, name });
    return 0;
  }
}
