/**
 * A registry of `jsr:` packages in a folder. `JSR_URL=file:///FOLDER/` makes Deno, and the children that it starts,
 * take every such package from there. The folder has to lie outside of the project, or `deno publish` takes it for a
 * part.
 *
 * @module
 */

/** The packages that have a stand-in: from entry point to the file beside this one. */
export const STAND_INS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "@std/assert": { ".": "./assert.ts" },
  "@std/cli": { "./parse-args": "./parse_args.ts" },
  "@deno/dnt": { ".": "./dnt.ts" },
};

/** A package to serve. */
export interface Package {
  readonly name: string;
  readonly version: string;
  /** From entry point to file. */
  readonly exports: Readonly<Record<string, string>>;
  /** From path in the package to text. */
  readonly files: ReadonlyMap<string, string>;
}

/** Adds a package to the registry in a folder. */
export async function addPackage(root: string, { name, version, exports, files }: Package): Promise<void> {
  const folder = `${root}/${name}`;
  for (const [path, text] of files) {
    const file = `${folder}/${version}/${path}`;
    await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(file, text);
  }
  await Deno.writeTextFile(`${folder}/meta.json`, JSON.stringify({ versions: { [version]: {} } }));
  await Deno.writeTextFile(`${folder}/${version}_meta.json`, JSON.stringify({ exports, manifest: {} }));
}

/** Adds the stand-ins, as the versions that the imports of `deno.json` ask for. */
export async function addStandIns(root: string): Promise<void> {
  const { imports } = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  for (const [name, exports] of Object.entries(STAND_INS)) {
    const version = /\d+\.\d+\.\d+$/.exec(imports[name])![0];
    const files = new Map<string, string>();
    for (const file of Object.values(exports)) {
      files.set(file.slice(2), await Deno.readTextFile(new URL(file, import.meta.url)));
    }
    await addPackage(root, { name, version, exports, files });
  }
}
