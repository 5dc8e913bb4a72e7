/** Programs of the benchmark: compiled, started, mounted, ended. */

const here = new URL(".", import.meta.url).pathname;
const root = new URL("../../", import.meta.url).pathname;

/** Client and servers share this CPU. */
const PIN = ["taskset", "-c", "0"];

/** A server with its mountpoint. */
export interface Child {
  readonly pid: number;
  readonly mountpoint: string;
  /** Unmounts and waits for it; what it has printed. */
  end(): Promise<string>;
}

/** Runs a shell command; its output, or an error with what it said. */
export async function sh(command: string): Promise<string> {
  const done = await new Deno.Command("sh", { args: ["-ec", command] }).output();
  if (done.success) return new TextDecoder().decode(done.stdout);
  throw new Error(`${command}: ${new TextDecoder().decode(done.stderr)}`);
}

let client = "";

/** Compiles the C programs into `work`. */
export async function compile(work: string): Promise<void> {
  const remedy =
    "the benchmark needs root, gcc, taskset and libfuse: apt-get install gcc fuse3 libfuse3-dev pkg-config";
  await sh(`gcc --version && pkg-config fuse3`).catch(() => {
    throw new Error(remedy);
  });
  const libfuse = (await sh("pkg-config --cflags --libs fuse3")).trim();
  await sh(`gcc -O2 ${here}client.c -o ${work}/client`);
  await sh(`gcc -O2 ${here}raw_server.c -o ${work}/raw_server`);
  await sh(`gcc -O2 ${here}libfuse_server.c -o ${work}/libfuse_server ${libfuse}`);
  client = `${work}/client`;
}

/** Microseconds an operation, from the one CPU. */
export async function clientTime(file: string, operation: string, seconds: number): Promise<number> {
  return Number(await sh([...PIN, client, file, operation, String(seconds)].join(" ")));
}

async function mounted(mountpoint: string): Promise<boolean> {
  return (await Deno.readTextFile("/proc/self/mountinfo")).includes(` ${mountpoint} `);
}

async function start(work: string, name: string, command: (mountpoint: string) => string[]): Promise<Child> {
  const mountpoint = await Deno.makeTempDir({ dir: work, prefix: `${name}-` });
  const [program, ...args] = [...PIN, ...command(mountpoint)];
  const child = new Deno.Command(program, { args, stdin: "null", stdout: "piped" }).spawn();
  const output = new Response(child.stdout).text();
  let over = false;
  child.status.then(() => over = true);
  while (!await mounted(mountpoint)) {
    if (over) throw new Error(`${name} ended before it had mounted`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  // The kernel knows the mount before the server has answered the handshake.
  await sh(`ls ${mountpoint} > /dev/null || :`);
  return {
    pid: child.pid,
    mountpoint,
    async end() {
      await sh(`umount ${mountpoint} || umount -l ${mountpoint}`).catch(() => {});
      await child.status;
      return await output;
    },
  };
}

/** One of the C peers, with its own data or a file's. */
export function peer(work: string, program: string, ...file: string[]): Promise<Child> {
  return start(work, program, (mountpoint) => [`${work}/${program}`, mountpoint, ...file]);
}

const RUN = [Deno.execPath(), "run", "--allow-ffi", "--no-prompt"];

/** A program that takes a mountpoint as its last argument. */
export function serverOf(work: string, name: string, command: string[]): Promise<Child> {
  return start(work, name, (mountpoint) => [...command, mountpoint]);
}

/** The peers' file system on fusewire. */
export function mountedServer(work: string): Promise<Child> {
  return serverOf(work, "fusewire", [...RUN, `${here}file_server.ts`]);
}

/** How the program `startup` is run on Deno. */
export const startup: readonly string[] = [...RUN, "--allow-read", `${here}startup.ts`];

/**
 * Milliseconds from the start of a process until the program `startup` had imported, mounted, and answered; medians.
 */
export async function startupTimes(work: string, command: readonly string[], rounds: number): Promise<number[]> {
  const mountpoint = await Deno.makeTempDir({ dir: work, prefix: "startup-" });
  const times: number[][] = [[], [], []];
  for (let round = 0; round < rounds; round++) {
    const { imported, mounted, answered } = JSON.parse(await sh([...PIN, ...command, mountpoint].join(" ")));
    [imported, mounted - imported, answered - mounted].forEach((time, i) => times[i].push(time));
  }
  return times.map(median);
}

/** The middle one; of an even number, between the two. */
export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** A file with backing file `source` on fusewire; its data moved as `mode` says: identity, served, extents. */
export function backingServer(work: string, source: string, mode: string): Promise<Child> {
  return start(work, mode, (mountpoint) => [...RUN, `${here}backing_server.ts`, source, mode, mountpoint]);
}

/** One of the examples. */
export function exampleServer(work: string, name: string, args: string[]): Promise<Child> {
  return start(work, name, (mountpoint) => [...RUN, `${root}examples/${name}.ts`, ...args, mountpoint]);
}
