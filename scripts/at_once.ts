/**
 * Commands at once, for what would wait most of its time.
 *
 * @module
 */

/** A command, and what to call it. */
export interface Job {
  readonly name: string;
  readonly command: readonly string[];
  readonly cwd?: string;
}

/** What became of it. */
export interface Done {
  readonly name: string;
  readonly success: boolean;
  /** What it said, on both outputs. */
  readonly said: string;
}

function print(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

/**
 * Runs commands in the order given, as many at once as the machine has processors, at most four. What each says is
 * printed in one piece when it has ended; what those say that fail comes last, where it is seen.
 */
export async function atOnce(jobs: readonly Job[], most = Math.min(navigator.hardwareConcurrency, 4)): Promise<Done[]> {
  const waiting = [...jobs];
  const running = new Set<Deno.ChildProcess>();
  const done: Done[] = [];
  const signals = ["SIGINT", "SIGTERM"] as const;
  // Who is told to end ends the others too, and begins nothing more.
  const listeners = signals.map((signal) => () => {
    waiting.length = 0;
    for (const child of running) child.kill(signal);
  });
  const work = async () => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
      // By way of a shell, so that both outputs keep their order.
      const args = ["-c", 'exec "$@" 2>&1', "sh", ...job.command];
      const child = new Deno.Command("sh", { args, cwd: job.cwd, stdin: "null", stdout: "piped" }).spawn();
      running.add(child);
      const [said, { success }] = await Promise.all([new Response(child.stdout).text(), child.status]);
      running.delete(child);
      done.push({ name: job.name, success, said });
      print(`--- ${job.name}\n${success ? said : "failed: see below\n"}`);
    }
  };
  signals.forEach((signal, i) => Deno.addSignalListener(signal, listeners[i]));
  try {
    await Promise.all(Array.from({ length: most }, work));
  } finally {
    signals.forEach((signal, i) => Deno.removeSignalListener(signal, listeners[i]));
  }
  for (const { name, success, said } of done) if (!success) print(`--- ${name} failed\n${said}`);
  return done;
}
