/** Runs shell scripts in the file systems that are tested as a whole. */
import { assertEquals, assertMatch } from "@std/assert";
import { env, must, type RunOptions, test, type TestOptions } from "../support/harness.ts";
import { serve, SYSTEMS } from "../support/systems.ts";

/** Where a program is tried. */
export interface Place {
  /** An empty folder of the file system under test. */
  readonly path: string;
  /** An empty folder of the native file system. */
  readonly outside: string;
  /** Runs a script there with `bash -euo pipefail`, `$OUTSIDE` being the other folder, and answers what it printed. */
  sh(script: string, options?: RunOptions): Promise<string>;
}

/** What a program needs. */
export interface ProgramOptions extends Pick<TestOptions, "needs" | "timeout"> {
  /** Of what {@linkcode serve} calls native: what a mirror shows, and `$OUTSIDE`. tmpfs unless told. */
  native?: "tmpfs" | "disk";
}

/** Registers a test for each of the file systems, in a fresh one. Its server has to end well and silently. */
export function onEach(
  name: string,
  { needs = [], timeout = 300_000, native = "tmpfs" }: ProgramOptions,
  body: (place: Place) => Promise<void>,
): void {
  for (const system of SYSTEMS) {
    test(`${name}, on ${system.name}`, { needs: ["root", "fuse", ...needs], timeout, sanitize: false }, async () => {
      await using served = await serve(system, native);
      const { server, mountpoint, outside } = served;
      await body({
        path: mountpoint,
        outside,
        sh: (script, options = {}) =>
          must(["bash", "-euo", "pipefail", "-c", script], {
            cwd: mountpoint,
            timeout,
            warns: true,
            ...options,
            // A user's own settings are none of the test's.
            env: { ...env, HOME: "/nonexistent", OUTSIDE: outside, ...options.env },
          }),
      });
      // Longer than the server itself waits where another mount namespace keeps a copy of the mount.
      assertEquals(await server.stop("SIGTERM", 20_000), { code: 0, signal: null });
      assertMatch(server.output, /^mounted on .*\n$/);
    });
  }
}
