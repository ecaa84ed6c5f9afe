/** One line on a terminal that says how far a long transfer is. */
import type { Output } from "./command.ts";
import { formatGoDuration } from "../duration.ts";

/** What `ProgressLine` takes. */
export interface ProgressOptions {
  /** What is going on: `restoring /data/app.db`. */
  readonly label: string;
  /** All bytes to come; absent when nobody knows. */
  readonly totalBytes?: number | undefined;
  /** Without a terminal nothing is written. */
  readonly isTerminal: boolean;
  /** Columns of the terminal; default 80, also for the 0 of one that doesn't know. */
  readonly columns?: number | undefined;
  readonly write: (text: string) => void;
  /** Milliseconds of a clock that doesn't jump; default `performance.now`. */
  readonly now?: () => number;
}

/** No more lines than this a second would be read. */
const REDRAW_MS = 100;

/** To the beginning of the line, and clear it. */
const WIPE = "\r\x1b[K";

/**
 * `output` with a line that passes: what is written through `writeStatus` stands until anything else is written, and is
 * wiped away before that.
 */
export function withStatusLine(output: Output): Required<Output> {
  let isDrawn = false;
  const wipe = () => {
    if (isDrawn) output.writeError(WIPE);
    isDrawn = false;
  };
  return {
    writeOutput(text) {
      wipe();
      output.writeOutput(text);
    },
    writeError(text) {
      wipe();
      output.writeError(text);
    },
    writeRecord(text) {
      wipe();
      (output.writeRecord ?? output.writeOutput)(text);
    },
    writeStatus(text) {
      // Wiped away already.
      if (text === WIPE) return wipe();
      isDrawn = true;
      output.writeError(text);
    },
  };
}

/** Redraws itself at each `add()`, ten times a second at most; `using` wipes it away at the end. */
export class ProgressLine implements Disposable {
  readonly #options: ProgressOptions;
  readonly #now: () => number;
  readonly #startedAtMs: number;
  #doneBytes = 0;
  #drawnAtMs: number;
  #isDrawn = false;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#startedAtMs = this.#now();
    // What a moment has brought says nothing of the rate.
    this.#drawnAtMs = this.#startedAtMs;
  }

  /** `bytes` more are done. */
  add(bytes: number): void {
    this.#doneBytes += bytes;
    if (!this.#options.isTerminal) return;
    const nowMs = this.#now();
    if (nowMs - this.#drawnAtMs < REDRAW_MS) return;
    this.#drawnAtMs = nowMs;
    this.#isDrawn = true;
    const { label, totalBytes, columns } = this.#options;
    const elapsedMs = nowMs - this.#startedAtMs;
    const figures = formatProgress({ doneBytes: this.#doneBytes, totalBytes, elapsedMs });
    // A line as wide as the terminal would wrap, and could not be wiped away.
    this.#options.write(`${WIPE}${`${label}: ${figures}`.slice(0, (columns || 80) - 1)}`);
  }

  [Symbol.dispose](): void {
    if (this.#isDrawn) this.#options.write(WIPE);
    this.#isDrawn = false;
  }
}

/** `512.0 MB of 1.0 GB, 50 %, 102.4 MB/s, 5s left`; without a total only what is known. */
export function formatProgress(
  { doneBytes, totalBytes, elapsedMs }: {
    doneBytes: number;
    totalBytes?: number | undefined;
    elapsedMs: number;
  },
): string {
  const rate = elapsedMs > 0 ? doneBytes / (elapsedMs / 1000) : 0;
  const parts = [
    totalBytes === undefined
      ? formatBytes(doneBytes)
      : `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`,
  ];
  if (totalBytes !== undefined && totalBytes > 0) {
    parts.push(`${Math.min(100, Math.floor(doneBytes / totalBytes * 100))} %`);
  }
  parts.push(`${formatBytes(rate)}/s`);
  if (totalBytes !== undefined && rate > 0 && doneBytes < totalBytes) {
    parts.push(`${formatGoDuration(Math.ceil((totalBytes - doneBytes) / rate) * 1000)} left`);
  }
  return parts.join(", ");
}

const UNITS: readonly string[] = ["B", "kB", "MB", "GB", "TB"];

/** `bytes` with a decimal unit and one digit behind the point: `999 B`, `1.0 kB`, `4.2 GB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unitIndex = 0;
  // 999.95 would be rounded up to 1000.0.
  while (value >= (unitIndex === 0 ? 999.5 : 999.95) && unitIndex < UNITS.length - 1) {
    value /= 1000;
    unitIndex++;
  }
  return `${unitIndex === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unitIndex]}`;
}
