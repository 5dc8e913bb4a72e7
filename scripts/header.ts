/**
 * Writes `tests/fixtures/fuse-7.N.json` from the kernel's header: sizes and offsets of its structs and the values of
 * its constants as a C compiler has them, and which minor version its changelog first names a name in.
 *
 *     deno run -A scripts/header.ts [HEADER]
 *
 * HEADER is `/usr/include/linux/fuse.h` unless told; that of a newer kernel is `include/uapi/linux/fuse.h` in its
 * sources. Needs gcc, on a little-endian machine whose pointers have 64 bits.
 *
 * @module
 */

/** A field of a struct. */
interface Field {
  readonly name: string;
  readonly type: string;
  /** Bytes. */
  readonly offset: number;
  /** Bytes, of all elements of an array. */
  readonly size: number;
  readonly array?: true;
  /** An array without a size. */
  readonly flexible?: true;
}

/** What the fixture holds. */
export interface Header {
  /** Such as `"7.45"`. */
  readonly protocol: string;
  readonly note: string;
  readonly structs: Readonly<Record<string, { readonly size: number; readonly fields: readonly Field[] }>>;
  /** Decimal, 64 bits. */
  readonly constants: Readonly<Record<string, string>>;
  readonly enums: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly since: Readonly<Record<string, number>>;
}

/** A field as it is declared. */
interface Declared {
  readonly name: string;
  readonly type: string;
  /** What stands in brackets; undefined where it is no array. */
  readonly length?: string;
}

/** What the header declares, by name, in its order. */
interface Declarations {
  readonly structs: ReadonlyMap<string, readonly Declared[]>;
  readonly constants: readonly string[];
  readonly enums: ReadonlyMap<string, readonly string[]>;
}

function declarations(header: string): Declarations {
  const code = header.replace(/\/\*[^]*?\*\//g, " ").replace(/\\\n/g, " ");
  const structs = new Map<string, Declared[]>();
  for (const [, struct, body] of code.matchAll(/^struct\s+(\w+)\s*\{([^{}]*)\}/gm)) {
    const fields: Declared[] = [];
    for (const [, type, name, length] of body.matchAll(/(?:struct\s+)?(\w+)\s+(\w+)\s*(?:\[([^\]]*)\])?\s*;/g)) {
      fields.push({ name, type, length: length?.trim() });
    }
    if (fields.length !== body.split(";").length - 1) throw new Error(`a field of ${struct} cannot be read`);
    structs.set(struct, fields);
  }
  const enums = new Map<string, string[]>();
  for (const [, name, body] of code.matchAll(/^enum\s+(\w+)\s*\{([^{}]*)\}/gm)) {
    enums.set(name, [...body.matchAll(/^\s*(\w+)/gm)].map(([, member]) => member));
  }
  // Those with a value and no arguments, but for what differs from machine to machine.
  const constants = [...code.matchAll(/^#define[ \t]+(\w+)[ \t]+(?!.*\bPAGE_SIZE\b)\S/gm)].map(([, name]) => name);
  return { structs, constants, enums };
}

/** The C program that prints an expression of the header a line. */
function program(path: string, expressions: readonly string[]): string {
  const lines = expressions.map((expression) => `  printf("%llu\\n", (unsigned long long)(${expression}));`);
  return `#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include ${JSON.stringify(path)}
int main(void) {
${lines.join("\n")}
}
`;
}

async function run(command: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
  if (!success) throw new Error(`${command}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** What expressions of the header are, as the compiler has it. */
async function evaluated(path: string, expressions: readonly string[]): Promise<Map<string, string>> {
  const folder = await Deno.makeTempDir({ prefix: "fusewire-header-" });
  try {
    await Deno.writeTextFile(`${folder}/main.c`, program(path, expressions));
    await run("gcc", "-o", `${folder}/main`, `${folder}/main.c`);
    const values = (await run(`${folder}/main`)).trimEnd().split("\n");
    return new Map(expressions.map((expression, i) => [expression, values[i]]));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The minor version that first names a name, in the changelog at the beginning of the header. */
function changelog(header: string, names: ReadonlySet<string>): Record<string, number> {
  const comment = /\/\*(?:(?!\*\/)[^])*Protocol changelog:((?:(?!\*\/)[^])*)\*\//.exec(header);
  if (comment === null) throw new Error("the header has no changelog");
  const since: Record<string, number> = {};
  for (const [, minor, text] of comment[1].matchAll(/^ \* +7\.(\d+):?$((?:(?!^ \* +7\.)[^])*)/gm)) {
    for (const [word] of text.matchAll(/\w+/g)) if (names.has(word)) since[word] ??= Number(minor);
  }
  return since;
}

/** Reads a header. */
export async function read(path: string): Promise<Header> {
  const header = await Deno.readTextFile(path);
  const { structs, constants, enums } = declarations(header);
  const size = (struct: string) => `sizeof(struct ${struct})`;
  const offsetOf = (struct: string, field: string) => `offsetof(struct ${struct}, ${field})`;
  const sizeOf = (struct: string, field: string) => `sizeof(((struct ${struct} *)0)->${field})`;
  const values = await evaluated(await Deno.realPath(path), [
    ...[...structs].flatMap(([struct, fields]) => [
      size(struct),
      ...fields.flatMap(({ name, length }) => [offsetOf(struct, name), ...length === "" ? [] : [sizeOf(struct, name)]]),
    ]),
    ...constants,
    ...[...enums.values()].flat(),
  ]);
  const number = (expression: string) => Number(values.get(expression));
  const protocol = `${values.get("FUSE_KERNEL_VERSION")}.${values.get("FUSE_KERNEL_MINOR_VERSION")}`;
  return {
    protocol,
    note: `Linux FUSE wire protocol ${protocol} on a little-endian LP64 machine: sizes and offsets in bytes as a C ` +
      "compiler lays the kernel header out; constants as decimal strings (64-bit); since = the minor version whose " +
      "changelog first names it (absent: not named there).",
    structs: Object.fromEntries([...structs].map(([struct, declared]) => {
      const fields = declared.map(({ name, type, length }): Field => ({
        name,
        type,
        offset: number(offsetOf(struct, name)),
        size: length === "" ? 0 : number(sizeOf(struct, name)),
        ...length === "" ? { flexible: true } : length === undefined ? {} : { array: true },
      }));
      return [struct, { size: number(size(struct)), fields }];
    })),
    constants: Object.fromEntries(constants.map((name) => [name, values.get(name)!])),
    enums: Object.fromEntries(
      [...enums].map((
        [name, members],
      ) => [name, Object.fromEntries(members.map((member) => [member, number(member)]))]),
    ),
    since: changelog(header, new Set([...structs.keys(), ...constants, ...[...enums.values()].flat()])),
  };
}

if (import.meta.main) {
  const header = await read(Deno.args[0] ?? "/usr/include/linux/fuse.h");
  const file = new URL(`../tests/fixtures/fuse-${header.protocol}.json`, import.meta.url);
  await Deno.writeTextFile(file, `${JSON.stringify(header, null, 2)}\n`);
  console.log(`${file.pathname}: ${Object.keys(header.structs).length} structs`);
}
