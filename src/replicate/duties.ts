/** The periodic duties of one replica beside its uploads: retention, snapshots, validation, drills. */
import type { BackoffOptions } from "./backoff.ts";
import { Drill, type DrillOptions } from "./drill.ts";
import type { DutyParts } from "./duty.ts";
import { Repairer } from "./repair.ts";
import { Retainer, type RetainerOptions } from "./retainer.ts";
import { Snapshotter } from "./snapshotter.ts";
import { type Proof, Validator, type ValidatorOptions } from "./validator.ts";
import { Mutex, type Semaphore } from "../async.ts";

/** What is to be done and how often; milliseconds. */
export interface DutyOptions {
  /** Default 24 h, checked each hour. */
  readonly retention?: Partial<RetainerOptions> | undefined;
  /** Default 0: no snapshots beyond those that generations and retention need. */
  readonly snapshotIntervalMs?: number | undefined;
  /** Default: never. */
  readonly validation?: Omit<ValidatorOptions, "slots" | "turns"> | undefined;
  /** Default: never. */
  readonly drill?: Omit<DrillOptions, "slots" | "turns" | "backoff"> | undefined;
  /** Bounds what reads whole databases at once. */
  readonly slots?: Semaphore | undefined;
  /** Bounds the replicas that drills and validations restore at once. Default: nothing. */
  readonly turns?: Semaphore | undefined;
  /** Bounds the replicas whose objects retention lists at once. Default: nothing. */
  readonly listings?: Semaphore | undefined;
  readonly backoff?: Partial<BackoffOptions> | undefined;
}

/** Runs from `start` to `stop`; its parts can also be asked to work at once. */
export class Duties {
  readonly retainer: Retainer;
  readonly snapshotter: Snapshotter;
  readonly validator: Validator;
  readonly drill: Drill;
  readonly #stopping = new AbortController();
  #running: Promise<unknown> | undefined;

  constructor(parts: Omit<DutyParts, "turn">, options: DutyOptions = {}) {
    const whole: DutyParts = { ...parts, turn: new Mutex() };
    const { backoff, slots, turns } = options;
    this.retainer = new Retainer(whole, options.retention, options.listings);
    this.snapshotter = new Snapshotter(whole, { intervalMs: options.snapshotIntervalMs ?? 0, backoff });
    // One each: what a validation finds to be well again need not be so for a drill, which looks for more.
    const validation = { intervalMs: 0, ...options.validation, slots, turns, repair: repairWith(whole) };
    this.validator = new Validator(whole, validation);
    const drill = { intervalMs: 0, ...options.drill, slots, turns, backoff, repair: repairWith(whole) };
    this.drill = new Drill(whole, drill);
  }

  /** Begin; errors are logged, and tried again at the next time. */
  start(): void {
    const { signal } = this.#stopping;
    const runs = [this.retainer, this.snapshotter, this.validator, this.drill].map((duty) =>
      duty.run(signal)
    );
    this.#running = Promise.all(runs);
  }

  /** Break off whatever runs. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("stopping"));
    await this.#running;
  }
}

function repairWith(parts: DutyParts): (proof: Proof, signal: AbortSignal) => Promise<unknown> {
  const repairer = new Repairer(parts);
  return (proof, signal) => repairer.repair(proof, signal);
}
