/** Processes that the benchmarks time: walbrook on either runtime, the real Litestream 0.3.13, and a 0.5 of it. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { BUN_VERSION } from "../tests/runner/execute.ts";

export { median } from "./statistics.ts";

/** The repository's folder, with a slash. */
export const root = fileURLToPath(new URL("..", import.meta.url));

/** What the kernel counted for one run. */
export interface Measured {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number;
}

/** What the kernel counted for a process that runs on. */
export interface Reading extends Measured {
  readonly residentBytes: number;
  readonly writtenBytes: number;
}

/** A program under test: the words that start it. */
export interface Program {
  readonly name: string;
  readonly words: readonly string[];
}

/** The words that start walbrook on `runtime`; `exe` is made from the sources, another executable named by its path. */
export function walbrook(runtime: string): Program {
  if (runtime === "deno") {
    return { name: "walbrook (Deno)", words: [denoPath(), "run", "-A", `${root}main.ts`] };
  }
  if (runtime === "bun") {
    return { name: "walbrook (Bun)", words: [bunPath(), `${root}main.ts`] };
  }
  if (runtime === "exe") return { name: "walbrook (executable)", words: [buildExecutable()] };
  return { name: "walbrook", words: [runtime] };
}

/** The tool that we are measured against. */
export const litestream: Program = {
  name: "Litestream 0.3.13",
  words: [`${root}node_modules/@flydotio/litestream-linux-x64/litestream`],
};

/** The program itself: npx between us and it would swallow signals and count as memory. */
function bunPath(): string {
  if (!("Deno" in globalThis)) return process.execPath;
  const script = 'cd "$(dirname "$(command -v bun)")" && readlink -f bun';
  const found = spawnSync("npx", ["-y", "-p", `bun@${BUN_VERSION}`, "sh", "-c", script], {
    encoding: "utf8",
  });
  return found.stdout.trim();
}

function denoPath(): string {
  return "Deno" in globalThis ? process.execPath : "deno";
}

function buildExecutable(): string {
  const DIST = `${root}.cache/bench/dist`;
  const made = spawnSync("./compile.sh", ["--bun", "--no-archive"], {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, DIST },
  });
  if (made.status !== 0) throw new Error(`cannot make the executable: ${made.stderr.trim()}`);
  return made.stdout.trim().split("\n").at(-1)!;
}

/** What a run takes beside its words. */
export interface RunOptions {
  /** End the program with SIGTERM when a file matches; the wall time ends there. */
  readonly until?: string;
  /** As soon as so many files match. Default 1. */
  readonly count?: number;
  /** End the wall time when this file, or all of this folder, is on the disk. */
  readonly syncPath?: string | undefined;
  /** Take the medians of so many runs. Default 1. */
  readonly repeat?: number;
}

function measureWords(options: readonly string[], words: readonly string[]): string[] {
  return ["-c", 'exec python3 "$@"', "sh", `${root}bench/measure.py`, ...options, "--", ...words];
}

/** Run a program to its end; a failure is an error with what it printed. */
export async function measure(
  program: Program,
  args: readonly string[],
  { until, count = 1, syncPath, repeat = 1 }: RunOptions = {},
): Promise<Measured> {
  const options = repeat === 1 ? [] : ["--repeat", String(repeat)];
  if (until !== undefined) options.push("--until", until, "--count", String(count));
  if (syncPath !== undefined) options.push("--sync", syncPath);
  const child = spawn("sh", measureWords(options, [...program.words, ...args]), {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk) => output += chunk);
  await new Promise((resolve) => child.on("close", resolve));
  const { exitCode, errors, ...measured } = JSON.parse(output) as Measured & {
    exitCode: number;
    errors: string;
  };
  if (exitCode !== 0 && !(until !== undefined && isForgiven(program, exitCode))) {
    throw new Error(`${program.name} ${args.join(" ")} ended with ${exitCode}: ${errors}`);
  }
  return measured;
}

/**
 * Litestream fails when SIGTERM comes in the middle of a sync: whether it lost something by that is for the restores
 * to say.
 */
function isForgiven(program: Program, exitCode: number): boolean {
  return exitCode === 1 && program.name.startsWith("Litestream");
}

/** A program that runs until it is told to end. */
export class LiveProgram implements AsyncDisposable {
  readonly #program: Program;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #hasEnded = false;

  constructor(program: Program, args: readonly string[]) {
    this.#program = program;
    this.#child = spawn("sh", measureWords(["--live", "yes"], [...program.words, ...args]), {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  async #line<T>(): Promise<T> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.#program.name}: no reading came`);
    return JSON.parse(value as string) as T;
  }

  /** What was counted up to now. @throws {Error} with what it printed when it has ended by itself */
  async read(): Promise<Reading> {
    this.#child.stdin!.write("\n");
    const line = await this.#line<Reading & { exitCode?: number; errors?: string }>();
    if (line.exitCode === undefined) return line;
    this.#hasEnded = true;
    throw new Error(`${this.#program.name} ended by itself with ${line.exitCode}: ${line.errors}`);
  }

  /** End it with SIGTERM and wait until it is gone. A failure is an error with what it printed. */
  async end(): Promise<Measured> {
    this.#hasEnded = true;
    this.#child.stdin!.end();
    const { exitCode, errors, ...measured } = await this.#line<
      Measured & { exitCode: number; errors: string }
    >();
    if (exitCode !== 0 && !isForgiven(this.#program, exitCode)) {
      throw new Error(`${this.#program.name} ended with ${exitCode}: ${errors}`);
    }
    return measured;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#hasEnded) await this.end();
  }
}

/** What the application measured of itself. */
export interface WriterReport {
  readonly count: number;
  /** Milliseconds, like the three below. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly most: number;
  readonly walBytes: number;
}

/** What the application does. */
export interface WriterOptions {
  readonly seconds: number;
  /** Commits a second; 0: as many as it can. */
  readonly rate: number;
  /** Of each row. Default 300. */
  readonly rowBytes?: number;
  /** Pages. Default 1000. */
  readonly autocheckpoint?: number;
}

/** Let another process commit to a table `t (id, x)`. */
export async function runWriter(path: string, options: WriterOptions): Promise<WriterReport> {
  const { seconds, rate, rowBytes = 300, autocheckpoint = 1000 } = options;
  const words = [path, "--seconds", seconds, "--rate", rate, "--bytes", rowBytes].map(String);
  const child = spawn("python3", [
    `${root}bench/writer.py`,
    ...words,
    "--autocheckpoint",
    `${autocheckpoint}`,
  ], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk) => output += chunk);
  const code = await new Promise((resolve) => child.on("close", resolve));
  if (code !== 0) throw new Error(`the writer ended with ${code}`);
  return JSON.parse(output) as WriterReport;
}

/** Commit a row to each database and keep all open. */
export async function holdDatabases(listPath: string): Promise<AsyncDisposable> {
  const child = spawn("python3", [`${root}bench/writer.py`, "--hold", listPath], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const gone = new Promise((resolve) => child.on("close", resolve));
  const held = await Promise.race([new Promise((resolve) => child.stdout.once("data", resolve)), gone]);
  if (typeof held === "number" || held === null) throw new Error("the databases can't be held open");
  return {
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await gone;
    },
  };
}
