/** The package for npm, installed, with the benchmark's servers as JavaScript beside it. */
import { runtimes } from "../npm/runtimes.ts";
import { translate } from "../runtimes/translate.ts";
import { type Child, serverOf, sh } from "./support.ts";

const root = new URL("../../", import.meta.url).pathname;

/** What measures need of a runtime. */
export interface RuntimeServer {
  readonly name: string;
  /** The peers' file system, served by it. */
  serve(): Promise<Child>;
  /** Runs the program `startup`. */
  readonly startup: readonly string[];
}

/** An installed package. */
export interface Installed {
  /** Node and Bun. */
  readonly servers: readonly RuntimeServer[];
  /** Bytes on disc, without its dependency. */
  readonly bytes: number;
  /** Bytes of the tarball. */
  readonly packed: number;
}

/** Builds, packs and installs the package below `work`. */
export async function install(work: string): Promise<Installed> {
  const npm = `${work}/npm`, app = `${work}/app`;
  const { name } = JSON.parse(await Deno.readTextFile(`${root}deno.json`));
  await sh(`cd ${root} && ${Deno.execPath()} run -A scripts/dev.ts run -A scripts/build_npm.ts ${npm} 2>&1`);
  await Deno.mkdir(app);
  await translate(root, app, name);
  await Deno.writeTextFile(`${app}/package.json`, JSON.stringify({ type: "module", private: true }));
  const tarball = `${work}/${(await sh(`cd ${work} && npm pack --silent ${npm}`)).trim()}`;
  await sh(`cd ${app} && npm install --no-audit --no-fund --silent ${tarball}`);
  const programs = await runtimes();
  const servers = Object.entries(programs).map(([runtime, program]): RuntimeServer => ({
    name: runtime.replace("-", " ").replace(/^./, (first) => first.toUpperCase()),
    serve: () => serverOf(work, runtime, [program, `${app}/scripts/bench/file_server.js`]),
    startup: [program, `${app}/scripts/bench/startup.js`],
  }));
  const bytes = Number((await sh(`du -sb ${app}/node_modules/${name} | cut -f1`)).trim());
  return { servers, bytes, packed: (await Deno.stat(tarball)).size };
}
