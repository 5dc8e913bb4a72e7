/** This process as a program: what it was told, and its end. Every runtime here has the `process` of Node. */

interface Process {
  readonly argv: readonly string[];
  exit(code: number): never;
}

function own(): Process {
  return (globalThis as unknown as { process: Process }).process;
}

/** The words after the program's name. */
export function programArguments(): string[] {
  return own().argv.slice(2);
}

/** Ends the process, whatever it still waits for. */
export function endProgram(code: number): never {
  return own().exit(code);
}
