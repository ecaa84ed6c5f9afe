/** Our own program as a process: on the runtime that the test runs on, or as `testedProgram()` says. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { until } from "./doubles/until.ts";
import { type Program, testedProgram } from "./program.ts";

/** How a process ended. */
export interface Ending {
  /** −1 when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly elapsedMs: number;
}

/** A running `walbrook`. */
export class Walbrook implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #startedAt = performance.now();
  #stdout = "";
  #stderr = "";
  readonly ended: Promise<Ending>;

  private constructor(args: readonly string[], program: Program) {
    const { command: [path, ...words], options } = program;
    this.#child = spawn(path, [...words, ...args], { ...options, stdio: ["ignore", "pipe", "pipe"] });
    this.#child.stdout!.setEncoding("utf8").on("data", (text) => this.#stdout += text);
    this.#child.stderr!.setEncoding("utf8").on("data", (text) => this.#stderr += text);
    this.ended = once(this.#child, "close").then(([code]) => ({
      code: code ?? -1,
      stdout: this.#stdout,
      stderr: this.#stderr,
      elapsedMs: performance.now() - this.#startedAt,
    }));
  }

  /** Start with these words. */
  static start(...args: string[]): Walbrook {
    return new Walbrook(args, testedProgram());
  }

  /** Run to the end. */
  static run(...args: string[]): Promise<Ending> {
    return new Walbrook(args, testedProgram()).ended;
  }

  /** Start another form of the program than the one under test. */
  static startAs(program: Program, ...args: string[]): Walbrook {
    return new Walbrook(args, program);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** What it has written to standard error so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** What it has written to standard output so far. */
  get stdout(): string {
    return this.#stdout;
  }

  /** Lines on standard error that hold `text`. */
  lines(text: string): string[] {
    return this.#stderr.split("\n").filter((line) => line.includes(text));
  }

  /** Wait for `text` on standard error. */
  async says(text: string, count = 1): Promise<void> {
    await until(
      () => this.lines(text).length >= count,
      () => `walbrook to say "${text}" ${count} times; it said:\n${this.#stderr}`,
      // A hundred databases take longer than one, on a busy machine much longer.
      { limitMs: 15_000 + 300 * (count - 1) },
    );
  }

  /** Wait for `text` on standard output. */
  async prints(text: string): Promise<void> {
    await until(
      () => this.#stdout.includes(text),
      () => `walbrook to print "${text}"; it printed:\n${this.#stdout}`,
    );
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  signal(name: "SIGTERM" | "SIGINT" | "SIGKILL"): void {
    // Deno's child.kill() makes an exit of its own look like a death by that signal.
    if (this.isRunning) process.kill(this.pid, name);
  }

  /** Ask it to end and wait for that. */
  async stop(): Promise<Ending> {
    this.signal("SIGTERM");
    return await this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal("SIGKILL");
    await this.ended;
  }
}
