/**
 * Measures fusewire beside the C peers and the native file system.
 *
 *     deno task bench [--rounds=N] [--seconds=S] [--files=N]
 *
 * Client and server are pinned to one CPU and the servers are interleaved, so that what counts is the ratio within a
 * round: on a virtual machine the wake-up of an idle CPU costs more than a request. Needs root, gcc, libfuse3-dev,
 * fuse3.
 */
import { install } from "./runtimes.ts";
import {
  backingServer,
  type Child,
  clientTime,
  compile,
  exampleServer,
  median,
  mountedServer,
  peer,
  sh,
  startup,
  startupTimes,
} from "./support.ts";

const option = (name: string, standard: number): number => {
  const given = Deno.args.find((a) => a.startsWith(`--${name}=`));
  return given === undefined ? standard : Number(given.slice(name.length + 3));
};
const rounds = option("rounds", 9), seconds = option("seconds", 0.3), files = option("files", 1_000_000);

/** Rows of `operation`, columns of servers: medians of μs, and of the ratios to the first column in the same round. */
async function compare(operations: string[], places: Record<string, string>): Promise<void> {
  const names = Object.keys(places);
  const times = new Map<string, number[]>();
  const at = (operation: string, name: string) => {
    const key = `${operation} ${name}`;
    return times.get(key) ?? times.set(key, []).get(key)!;
  };
  // Twice around before it counts, for the compilers at work.
  for (let round = -2; round < rounds; round++) {
    console.error(`${names.join(", ")}: round ${round + 3}/${rounds + 2}`);
    for (const operation of operations) {
      for (const name of names) {
        const time = await clientTime(places[name], operation, seconds);
        if (round >= 0) at(operation, name).push(time);
      }
    }
  }
  console.log(`| μs | ${names.map((n, i) => i ? `${n} | ratio` : n).join(" | ")} |`);
  console.log(`| --- |${" ---: |".repeat(names.length * 2 - 1)}`);
  for (const operation of operations) {
    const base = at(operation, names[0]);
    const cells = names.map((name, i) => {
      const own = at(operation, name);
      const time = median(own).toFixed(1);
      return i ? `${time} | ${median(own.map((t, round) => t / base[round])).toFixed(2)}` : time;
    });
    console.log(`| ${operation} | ${cells.join(" | ")} |`);
  }
  console.log();
}

/** Resident memory of a process, bytes. */
async function resident(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024;
}

const MIB = 1 << 20;
const work = await Deno.makeTempDir({ prefix: "fusewire-bench-" });
const memory = await Deno.makeTempDir({ prefix: "fusewire-bench-", dir: "/dev/shm" });
const sizes = (operation: string) => ["4k", "128k", "1m"].map((size) => operation + size);
const children: Child[] = [];
try {
  await compile(work);
  const cpu = (await sh("grep -m1 'model name' /proc/cpuinfo | cut -d: -f2")).trim();
  console.log(
    `${cpu}, ${navigator.hardwareConcurrency} CPUs, Linux ${Deno.osRelease()}, Deno ${Deno.version.deno}; ` +
      `medians of ${rounds} interleaved rounds of ${seconds} s\n`,
  );

  const peers: Record<string, string> = {};
  for (const [name, program] of [["bare C loop", "raw_server"], ["C libfuse", "libfuse_server"]]) {
    const child = await peer(work, program);
    children.push(child);
    peers[name] = `${child.mountpoint}/f`;
  }
  const own = await mountedServer(work);
  children.push(own);
  peers.fusewire = `${own.mountpoint}/f`;
  await compare(["stat", "open", "read4k", "read128k", "read1m"], peers);

  const installed = await install(work);
  const runtimes: Record<string, string> = { Deno: peers.fusewire };
  for (const { name, serve } of installed.servers) {
    const child = await serve();
    children.push(child);
    runtimes[name] = `${child.mountpoint}/f`;
  }
  await compare(["stat", "open", "read4k", "read128k"], runtimes);
  console.log("| start, ms | import | mount | first request |\n| --- | ---: | ---: | ---: |");
  for (const { name, startup: command } of [{ name: "Deno", startup }, ...installed.servers]) {
    const times = await startupTimes(work, command, rounds);
    console.log(`| ${name} | ${times.map((time) => time.toFixed(1)).join(" | ")} |`);
  }
  console.log(
    `\nThe package for npm: ${(installed.packed / 1024).toFixed(0)} KiB packed, ` +
      `${(installed.bytes / 1024).toFixed(0)} KiB on disc, beside koffi.\n`,
  );

  // Two clients without a pause, each of which alone keeps the server busy.
  const loaded = await mountedServer(work);
  await Promise.all([1, 2].map(() => clientTime(`${loaded.mountpoint}/f`, "stat", 10 * seconds)));
  const late = /p99 (.*)/.exec(await loaded.end());
  console.log(`A timer of 10 ms under a load without pauses is late by ${late?.[1]} at the 99th percentile.\n`);

  // In memory, so that no disc's mood is measured.
  const source = `${memory}/f`;
  await sh(`head -c ${64 * MIB} /dev/zero > ${source}`);
  const started = async (child: Promise<Child>, name = "f") => {
    children.push(await child);
    return `${(await child).mountpoint}/${name}`;
  };
  await compare(
    [...sizes("cachedread"), ...sizes("cachedwrite"), ...sizes("read"), ...sizes("write"), "load1m", "store1m"],
    {
      native: source,
      "C passthrough": await started(peer(work, "raw_server", source)),
      passthrough: await started(exampleServer(work, "passthrough", [memory])),
    },
  );
  await compare(["read128k", "read1m", "write128k", "write1m"], {
    "C libfuse, copying": await started(peer(work, "libfuse_server", source)),
    served: await started(backingServer(work, source, "served")),
    extents: await started(backingServer(work, source, "extents")),
  });
  const backed = await started(backingServer(work, source, "identity"));
  await compare(["open"], { unbacked: backed.replace(/f$/, "u"), backed });

  if (files > 0) {
    const many = `${work}/many`;
    await Deno.mkdir(many);
    await sh(
      `cd ${many} && seq ${files} | split -l 10000 - && for list in x*; do mkdir d$list && (cd d$list && xargs touch < ../$list) && rm $list; done`,
    );
    const mirror = await exampleServer(work, "passthrough", [many]);
    children.push(mirror);
    const idle = await resident(mirror.pid);
    // stat of every file, which the kernel then knows.
    const seen = Number(await sh(`find ${mirror.mountpoint} -type f -size -1 | wc -l`));
    const full = await resident(mirror.pid);
    console.log(`| memory | |\n| --- | ---: |`);
    console.log(`| idle mount, resident | ${(idle / MIB).toFixed(0)} MiB |`);
    console.log(`| each of ${seen} files looked up | ${((full - idle) / seen).toFixed(0)} bytes |`);
  }
} finally {
  for (const child of children.reverse()) await child.end();
  await Deno.remove(work, { recursive: true });
  await Deno.remove(memory, { recursive: true });
}
