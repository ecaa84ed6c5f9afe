/** What every row of the benchmarks gets to work with. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { BucketGround, folderGround, type Ground } from "./ground.ts";
import { Place } from "./place.ts";
import type { Mode } from "./result.ts";
import type { Cell, Side } from "./runner.ts";

/** The lines of work of a row, as the scene asks for them. */
export type Row = (scene: Scene) => readonly Cell[];

/** Pauses for so many milliseconds. */
export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Wait until something holds. @throws {Error} naming it after `limitMs`, a minute by default */
export async function until(
  what: string,
  holds: () => boolean,
  { limitMs = 60_000, pollMs = 10 } = {},
): Promise<void> {
  const end = performance.now() + limitMs;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`${what}: not after ${limitMs / 1000} s`);
    await pause(pollMs);
  }
}

/** For the first objects of very many databases; looking for them must not be the work. */
export const MANY = { limitMs: 600_000, pollMs: 500 };

/** Wait until a count has stayed the same for two sync intervals and some. @throws {Error} when it never does */
export async function quiet(count: () => number, { quietMs = 2500, limitMs = 120_000 } = {}): Promise<void> {
  const end = performance.now() + limitMs;
  let last = count();
  let sinceMs = performance.now();
  while (performance.now() - sinceMs < quietMs) {
    if (performance.now() > end) throw new Error(`still not quiet after ${limitMs / 1000} s`);
    await pause(50);
    const now = count();
    if (now !== last) sinceMs = performance.now();
    last = now;
  }
}

/** How a run was asked for, and where it works. */
export class Scene implements AsyncDisposable {
  readonly mode: Mode;
  readonly isDefaults: boolean;
  readonly folders: Ground;
  readonly #root: string;
  #bucket: Promise<BucketGround> | undefined;

  constructor({ mode, isDefaults, folder }: { mode: Mode; isDefaults: boolean; folder: string }) {
    this.mode = mode;
    this.isDefaults = isDefaults;
    this.folders = folderGround(folder);
    this.#root = folder;
  }

  get isQuick(): boolean {
    return this.mode === "quick";
  }

  /** The server, started for the first who asks. */
  bucket(): Promise<BucketGround> {
    return this.#bucket ??= BucketGround.open(this.#root);
  }

  /** The cell's folders of one side. */
  place(options: {
    readonly ground: Ground;
    readonly name: string;
    readonly side: Side;
    readonly databaseCount?: number;
    readonly replicaSettings?: Readonly<Record<string, unknown>>;
  }): Place {
    return new Place({ ...options, isDefaults: this.isDefaults });
  }

  /** Give back the disk that a cell used. */
  forget(name: string): void {
    for (const path of [name, join("replicas", name)]) {
      rmSync(join(this.#root, path), { recursive: true, force: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#bucket)?.[Symbol.asyncDispose]();
  }
}
