/**
 * From nodeids to the inodes of a file system, with what the kernel counts.
 *
 * @module
 */
import { FuseError } from "../errno.ts";

/**
 * Gives out nodeids for values and counts the kernel's lookups of each. The first value is the root and gets nodeid 1.
 * A nodeid is given again after {@linkcode NodeTable.remove}, with a higher generation. When to remove is the owner's
 * decision: commonly once no lookups are left and no name or open file holds the inode either.
 *
 * Costs three array slots a value (some 24 bytes), which stay for the next ones when values go.
 *
 * @example
 * ```ts
 * import { type Filesystem, ROOT_ID } from "@fusewire/fusewire";
 * import { NodeTable } from "@fusewire/fusewire/kit";
 *
 * const texts = new Map([["a", "the first"], ["b", "the second"]]);
 * // Nodeids of the names that the kernel knows, and no others.
 * const nodes = new NodeTable<string>(), known = new Map<string, number>();
 * nodes.insert(""); // the root
 *
 * const attrOf = (name: string) =>
 *   name === "" ? { mode: 0o040755 } : { mode: 0o100444, size: texts.get(name)!.length };
 *
 * export const fs: Filesystem = {
 *   getattr: ({ nodeid }) => ({ attr: attrOf(nodes.at(nodeid)) }),
 *   lookup({ name }) {
 *     if (!texts.has(name)) return null;
 *     const nodeid = known.get(name) ?? nodes.insert(name);
 *     known.set(name, nodeid);
 *     nodes.remember(nodeid);
 *     return { nodeid, generation: nodes.generation(nodeid), attr: attrOf(name) };
 *   },
 *   forget({ nodeid, nlookup }) {
 *     if (nodeid === ROOT_ID || nodes.forget(nodeid, nlookup) > 0) return;
 *     known.delete(nodes.at(nodeid));
 *     nodes.remove(nodeid);
 *   },
 * };
 * ```
 */
export class NodeTable<T> {
  // Indexed by nodeid; no inode is ever numbered 0.
  readonly #values: (T | undefined)[] = [undefined];
  readonly #generations: number[] = [0];
  // Lookups of a value; in a free slot the next free nodeid, 0 at the end.
  readonly #lookups: number[] = [0];
  #free = 0;
  #size = 0;

  /** How many values there are. */
  get size(): number {
    return this.#size;
  }

  /** All values, by their nodeids in ascending order. Others may come and go meanwhile. */
  *values(): Generator<T, void> {
    for (const value of this.#values) if (value !== undefined) yield value;
  }

  /** Takes a value in, without lookups, and answers its nodeid: 1 for the first. `undefined` cannot be a value. */
  insert(value: T): number {
    this.#size++;
    const nodeid = this.#free;
    if (nodeid === 0) {
      this.#generations.push(0);
      this.#lookups.push(0);
      return this.#values.push(value) - 1;
    }
    this.#free = this.#lookups[nodeid];
    this.#lookups[nodeid] = 0;
    this.#values[nodeid] = value;
    return nodeid;
  }

  /** The value of a nodeid; `undefined` where there is none. */
  get(nodeid: number): T | undefined {
    return this.#values[nodeid];
  }

  /** The value of a nodeid. ESTALE: there is none. */
  at(nodeid: number): T {
    const value = this.#values[nodeid];
    if (value === undefined) throw new FuseError("ESTALE", `no inode has the nodeid ${nodeid}`);
    return value;
  }

  /** How often the nodeid was in use before; 0 for one that never was. */
  generation(nodeid: number): number {
    return this.#generations[nodeid] ?? 0;
  }

  /** The kernel's lookups of a nodeid; 0 for an unknown one. */
  lookups(nodeid: number): number {
    return this.#values[nodeid] === undefined ? 0 : this.#lookups[nodeid];
  }

  /** Counts lookups: one for each `Entry` that is answered. ESTALE: the nodeid is unknown. */
  remember(nodeid: number, count = 1): void {
    this.at(nodeid);
    this.#lookups[nodeid] += count;
  }

  /** Takes lookups back, never below 0, and answers how many are left. An unknown nodeid has none. */
  forget(nodeid: number, nlookup: number): number {
    if (this.#values[nodeid] === undefined) return 0;
    return this.#lookups[nodeid] = Math.max(0, this.#lookups[nodeid] - nlookup);
  }

  /** Lets the value go, whatever its lookups; the nodeid may be given to another. ESTALE: it is unknown. */
  remove(nodeid: number): void {
    this.at(nodeid);
    this.#values[nodeid] = undefined;
    this.#generations[nodeid]++;
    this.#lookups[nodeid] = this.#free;
    this.#free = nodeid;
    this.#size--;
  }
}
