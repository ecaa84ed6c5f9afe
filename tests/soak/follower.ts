/** walbrook as a process with a supervisor that starts it again when it ends. */
import { readFileSync } from "node:fs";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { walbrook } from "../../bench/process.ts";
import type { Chance } from "./chance.ts";
import { Child } from "./child.ts";
import { ShimControl } from "./shim.ts";

/** How it is started. */
export interface FollowerOptions {
  readonly configPath: string;
  readonly logPath: string;
  /** Of the shim's control. */
  readonly controlPath: string;
  readonly shimPath: string;
  readonly runtimes: readonly ("deno" | "bun")[];
  readonly chance: Chance;
  /** Called with the exit code when it ends and nobody asked for that. */
  readonly onExit: (code: number) => void;
}

const RESTART_MS = 100;

/** The running walbrook, whichever process that is. */
export class Follower {
  readonly #options: FollowerOptions;
  readonly shim: ShimControl;
  #child: Child | undefined;
  #isHeld = true;
  #launchedMs = performance.now();

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.shim = new ShimControl(options.controlPath, { libraryPath: options.shimPath });
  }

  /** How long the process has been running. */
  get uptimeMs(): number {
    return performance.now() - this.#launchedMs;
  }

  /** Start it, and keep it running. */
  start(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#launch();
  }

  #launch(): void {
    const child = this.spawn(this.#options.logPath);
    this.#child = child;
    this.#launchedMs = performance.now();
    void child.ended.then(async (code) => {
      if (this.#isHeld || this.#child !== child) return;
      if (code !== -1) this.#options.onExit(code);
      await delay(RESTART_MS);
      if (!this.#isHeld && this.#child === child) this.#launch();
    });
  }

  /** Another process with the same words. */
  spawn(logPath: string): Child {
    const { words } = walbrook(this.#options.chance.pick(this.#options.runtimes));
    const [program, ...rest] = words as [string, ...string[]];
    const env = { ...this.shim.environment, DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" };
    const command = [program, ...rest, "replicate", "-config", this.#options.configPath] as const;
    return new Child(command, { env, logPath });
  }

  /** SIGKILL; the supervisor starts it again. */
  kill(): void {
    this.#child?.signal("SIGKILL");
  }

  /** SIGKILL, and don't start it again. */
  async killAndHold(): Promise<void> {
    this.#isHeld = true;
    await this.#child?.kill();
  }

  /** SIGSTOP; gives what wakes it. */
  freeze(): () => void {
    const child = this.#child;
    child?.signal("SIGSTOP");
    return () => child?.signal("SIGCONT");
  }

  /** Ask it to end, and don't start it again. Gives the exit code, 0 when it wasn't running. */
  async stop(): Promise<number> {
    this.#isHeld = true;
    return await this.#child?.stop(30_000) ?? 0;
  }

  /** Lines of its log. */
  log(): string[] {
    try {
      return readFileSync(this.#options.logPath, "utf8").split("\n");
    } catch {
      return [];
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killAndHold();
    this.shim[Symbol.dispose]();
  }
}

/** The runtimes that walbrook can be started on from here. */
export function availableRuntimes(): ("deno" | "bun")[] {
  return process.versions["bun"] === undefined ? ["deno", "bun"] : ["bun"];
}
