/** Processes of the campaign: started, ended in every way, never left behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import process from "node:process";

/** What a process is started with. */
export interface ChildOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** A file that takes what it prints. */
  readonly logPath: string;
}

/** One process. */
export class Child {
  readonly #child: ChildProcess;
  /** Exit code, or −1 when a signal ended it. */
  readonly ended: Promise<number>;
  #hasEnded = false;

  constructor([program, ...args]: readonly [string, ...string[]], { env = {}, logPath }: ChildOptions) {
    const log = openSync(logPath, "a");
    this.#child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", log, log] });
    closeSync(log);
    const kill = () => this.signal("SIGKILL");
    process.on("exit", kill);
    this.ended = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("exit", (code) => {
        this.#hasEnded = true;
        process.off("exit", kill);
        resolve(code ?? -1);
      });
    });
  }

  get isRunning(): boolean {
    return !this.#hasEnded;
  }

  signal(name: "SIGTERM" | "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    if (this.#hasEnded || this.#child.pid === undefined) return;
    try {
      process.kill(this.#child.pid, name);
    } catch {
      // It ended just now.
    }
  }

  /** SIGKILL, and wait for the end. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.ended;
  }

  /** SIGTERM; SIGKILL when that is not heard within `limitMs`. Gives the exit code. */
  async stop(limitMs: number): Promise<number> {
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), limitMs);
    const code = await this.ended;
    clearTimeout(timer);
    return code;
  }
}
