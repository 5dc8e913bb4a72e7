/**
 * What the project uses of `@std/cli/unstable-progress-bar`, for where its registry cannot be reached. Left out: a
 * `writable` unless told.
 *
 * @module
 */

/** What a line is made of. */
export interface ProgressBarFormatter {
  /** Time since the start, as `mm:ss`. */
  styledTime: string;
  /** `####------`. */
  progressBar: string;
  /** Milliseconds since the start. */
  time: number;
  /** The same when the line before was made. */
  previousTime: number;
  value: number;
  /** Value when the line before was made. */
  previousValue: number;
  max: number;
}

/** How a progress bar looks, and where it goes. */
export interface ProgressBarOptions {
  /** Where the lines go, as UTF-8. */
  writable: WritableStream<Uint8Array>;
  /** Value at the start; 0 unless told. */
  value?: number;
  /** Value at the end. */
  max: number;
  /** Characters; 50 unless told. */
  barLength?: number;
  /** `#` unless told. */
  fillChar?: string;
  /** `-` unless told. */
  emptyChar?: string;
  /** Takes the line away at the end; false unless told. */
  clear?: boolean;
  /** Makes the line; `[00:05] [###---] [1.00/2.00 KiB]` unless told. */
  fmt?: (parts: ProgressBarFormatter) => string;
  /** Leaves `writable` open at the end; true unless told. */
  keepOpen?: boolean;
}

const CLEAR = "\r\x1b[K";
const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"];

function line({ styledTime, progressBar, value, max }: ProgressBarFormatter): string {
  const power = Math.min(UNITS.length, Math.max(1, Math.floor(Math.log2(max) / 10)));
  const [done, all] = [value, max].map((bytes) => (bytes / 1024 ** power).toFixed(2));
  return `[${styledTime}] [${progressBar}] [${done}/${all} ${UNITS[power - 1]}]`;
}

/** A line that tells how far something is: written at once, every second, and at the end. */
export class ProgressBar {
  /** How far it is. */
  value: number;
  /** Value at the end. */
  max: number;
  readonly #options: ProgressBarOptions;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #start = Date.now();
  #previousTime = 0;
  #previousValue: number;

  constructor(options: ProgressBarOptions) {
    this.#options = options;
    this.max = options.max;
    this.value = this.#previousValue = options.value ?? 0;
    this.#writer = options.writable.getWriter();
    this.#timer = setInterval(() => this.#print(), 1000);
    this.#print();
  }

  /** Writes the line a last time and ends. */
  async stop(): Promise<void> {
    const { clear = false, keepOpen = true } = this.#options;
    clearInterval(this.#timer);
    if (clear) await this.#write(CLEAR);
    else {
      await this.#print();
      await this.#write("\n");
    }
    if (!keepOpen) await this.#writer.close().catch(() => {});
    this.#writer.releaseLock();
  }

  #print(): Promise<void> {
    const { barLength = 50, fillChar = "#", emptyChar = "-", fmt = line } = this.#options;
    const time = Date.now() - this.#start;
    const filled = Math.trunc(Math.min(Math.max(this.value / this.max, 0), 1) * barLength);
    const two = (n: number) => String(Math.trunc(n)).padStart(2, "0");
    const text = fmt({
      styledTime: `${two(time / 60_000)}:${two(time / 1000 % 60)}`,
      progressBar: fillChar.repeat(filled) + emptyChar.repeat(barLength - filled),
      time,
      previousTime: this.#previousTime,
      value: this.value,
      previousValue: this.#previousValue,
      max: this.max,
    });
    this.#previousTime = time;
    this.#previousValue = this.value;
    return this.#write(CLEAR + text);
  }

  /** Who reads may have gone: that stops the bar, not what it tells of. */
  async #write(text: string): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(text)).catch(() => clearInterval(this.#timer));
  }
}
