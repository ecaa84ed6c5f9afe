/** Processes that the benchmarks time: walbrook on either runtime, and the real Litestream 0.3.13. */
import { spawn, spawnSync } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What the kernel counted for one run. */
export interface Measured {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number;
}

/** A program under test: the words that start it. */
export interface Program {
  readonly name: string;
  readonly words: readonly string[];
}

/** The words that start walbrook on `runtime`; an executable is named by its path. */
export function walbrook(runtime: string): Program {
  if (runtime === "deno") {
    return { name: "walbrook (Deno)", words: [denoPath(), "run", "-A", `${root}main.ts`] };
  }
  if (runtime === "bun") {
    return { name: "walbrook (Bun)", words: [bunPath(), `${root}main.ts`] };
  }
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
  const found = spawnSync("npx", ["-y", "-p", "bun@1.4.5", "sh", "-c", "command -v bun"], {
    encoding: "utf8",
  });
  return found.stdout.trim();
}

function denoPath(): string {
  return "Deno" in globalThis ? process.execPath : "deno";
}

/** What a run takes beside its words. */
export interface RunOptions {
  /** End the program with SIGTERM when a file matches; the wall time ends there. */
  readonly until?: string;
}

/** Run a program to its end; a failure is an error with what it printed. */
export async function measure(
  program: Program,
  args: readonly string[],
  { until }: RunOptions = {},
): Promise<Measured> {
  const words = ["-c", 'exec python3 "$@"', "sh", `${root}bench/measure.py`];
  if (until !== undefined) words.push("--until", until);
  words.push("--", ...program.words, ...args);
  const child = spawn("sh", words, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk) => output += chunk);
  await new Promise((resolve) => child.on("close", resolve));
  const { exitCode, errors, ...measured } = JSON.parse(output) as Measured & {
    exitCode: number;
    errors: string;
  };
  if (exitCode !== 0) throw new Error(`${program.name} ${args.join(" ")} ended with ${exitCode}: ${errors}`);
  return measured;
}

/** The middle value; the mean of the two in the middle for an even count. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}
