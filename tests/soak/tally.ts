/** Counts of a campaign. */
import type { WindowLook } from "./window.ts";

/** Numbers by name. */
export class Counts {
  readonly #counts = new Map<string, number>();

  add(name: string, count = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + count);
  }

  get sum(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** `name count`, the largest first. */
  toString(): string {
    if (this.#counts.size === 0) return "none";
    return [...this.#counts].sort((left, right) => right[1] - left[1])
      .map(([name, count]) => `${name} ${count}`).join(", ");
  }
}

function quantiles(numbers: readonly number[]): (share: number) => number {
  const sorted = numbers.toSorted((left, right) => left - right);
  return (share) => Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? 0);
}

/** What a campaign did and found. */
export class Tally {
  rounds = 0;
  commits = 0;
  /** Commits whose application was killed before it heard of them. */
  readonly kills: Counts = new Counts();
  readonly faults: Counts = new Counts();
  /** By program and kind of target. */
  readonly restores: Counts = new Counts();
  /** Restores that were refused where that is right, by reason. */
  readonly refusals: Counts = new Counts();
  readonly generations: Counts = new Counts();
  /** walbrook's own ends, which its supervisor mends. */
  readonly exits: Counts = new Counts();
  /** What only Litestream couldn't do. */
  readonly litestream: Counts = new Counts();
  pagesCompared = 0;
  failedCalls = 0;
  /** Anything lost or wrong, with its round. */
  readonly problems: string[] = [];
  /** From the end of the last fault to a replica that has everything, milliseconds. */
  readonly settledMs: number[] = [];
  /** What would have been lost with the machine, while nothing was wrong. */
  readonly window: WindowLook[] = [];

  /** The summary, one line a figure. */
  lines({ seed, elapsedMs }: { seed: number; elapsedMs: number }): string[] {
    const settled = quantiles(this.settledMs);
    const behind = quantiles(this.window.map(({ behindMs }) => behindMs));
    const beyond = quantiles(this.window.map(({ behindMs, syncIntervalMs }) => behindMs - syncIntervalMs));
    return [
      `seed ${seed}, ${this.rounds} rounds in ${(elapsedMs / 60_000).toFixed(1)} minutes`,
      `commits ${this.commits} acknowledged`,
      `kills ${this.kills.sum}: ${this.kills}`,
      `faults ${this.faults.sum}: ${this.faults}; system calls made to fail: ${this.failedCalls}`,
      `restores ${this.restores.sum}: ${this.restores}; pages compared with the live file: ${this.pagesCompared}`,
      `restores refused by name ${this.refusals.sum}: ${this.refusals}`,
      `only Litestream could not ${this.litestream.sum}: ${this.litestream}`,
      `new generations ${this.generations.sum}: ${this.generations}`,
      `walbrook ended by itself ${this.exits.sum}: ${this.exits}`,
      `all caught up after the faults: median ${settled(0.5)} ms, at most ${settled(1)} ms`,
      `behind the newest commit under steady writing, ${this.window.length} looks: ` +
      `median ${behind(0.5)} ms, 95 % ${behind(0.95)} ms, at most ${behind(1)} ms; ` +
      `beyond the sync-interval: median ${beyond(0.5)} ms, 95 % ${beyond(0.95)} ms, at most ${beyond(1)} ms`,
      `lost = ${this.problems.length}`,
    ];
  }
}
