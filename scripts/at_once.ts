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

/** Waits for the end of a command, and for the end of its output so many milliseconds more. */
async function ended({ stdout, status }: Deno.ChildProcess, patience: number): Promise<Omit<Done, "name">> {
  const reader = stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "", complete = false;
  const reading = (async () => {
    for (let part = await reader.read(); !part.done; part = await reader.read()) said += part.value;
  })().then(() => complete = true);
  const { success } = await status;
  let timer: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([reading, new Promise((resolve) => timer = setTimeout(resolve, patience))]);
  clearTimeout(timer);
  if (complete) return { success, said };
  await reader.cancel();
  return { success: false, said: `${said}It has ended, but something that it started has not.\n` };
}

/**
 * Runs commands in the order given, as many at once as the machine has processors, at most four. What each says is
 * printed in one piece when it has ended; what those say that fail comes last, where it is seen. SIGINT and SIGTERM end
 * those that run, and the others fail. So does one that has left something that holds its output for more than
 * `patience` ms.
 */
export async function atOnce(
  jobs: readonly Job[],
  most = Math.min(navigator.hardwareConcurrency, 4),
  patience = 20_000,
): Promise<Done[]> {
  const waiting = [...jobs];
  // A namespace that one makes for itself would have copies of the others' mounts, whose end would wait for it.
  const apart = Deno.uid() === 0 ? ["unshare", "--mount"] : [];
  const running = new Set<Deno.ChildProcess>();
  const done: Done[] = [];
  const signals = ["SIGINT", "SIGTERM"] as const;
  const listeners = signals.map((signal) => () => {
    for (const { name } of waiting.splice(0)) done.push({ name, success: false, said: `not begun: ${signal}\n` });
    for (const child of running) {
      try {
        child.kill(signal);
      } catch {
        // It ended just now.
      }
    }
  });
  const work = async () => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
      // By way of a shell, so that both outputs keep their order.
      const args = ["-c", 'exec "$@" 2>&1', "sh", ...apart, ...job.command];
      const child = new Deno.Command("sh", { args, cwd: job.cwd, stdin: "null", stdout: "piped" }).spawn();
      running.add(child);
      child.status.then(() => running.delete(child));
      const { success, said } = await ended(child, patience);
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
