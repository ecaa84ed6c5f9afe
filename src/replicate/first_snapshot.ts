/** The snapshot without which a generation can't be restored, from when it is missed until it is stored. */
import type { SnapshotTask } from "./snapshot_task.ts";
import { orAbort, sleep } from "../async.ts";

/** While the snapshot is finished at the end, what is committed meanwhile is looked for this often. */
const FINISH_LOOK_MS = 20;

/** The first snapshot of one generation after the other. */
export class FirstSnapshot {
  readonly #begin: (generation: string) => SnapshotTask;
  #task: SnapshotTask | undefined;

  /** @param begin makes the task that takes and stores the snapshot */
  constructor(begin: (generation: string) => SnapshotTask) {
    this.#begin = begin;
  }

  /** Whether none is missing, as far as we know. */
  get isThere(): boolean {
    return this.#task === undefined || this.#task.isDone;
  }

  /** Whether it is missing, and in this generation. */
  isMissingIn(generation: string | undefined): boolean {
    return !this.isThere && this.#task!.generation === generation;
  }

  /** Why it could not be stored; empty when nothing is in its way. */
  get lastError(): string {
    return this.#task?.lastError ?? "";
  }

  /** Failures in a row. */
  get errorCount(): number {
    return this.#task?.errorCount ?? 0;
  }

  /**
   * Begin it where it is missing; end one that is missing no longer, or that needs WAL which a fresh start of the
   * replica leaves out.
   */
  async choose(
    generation: string,
    { isThere, isFresh }: { isThere: boolean; isFresh: boolean },
  ): Promise<void> {
    const running = this.#task;
    const isGoingOn = running !== undefined && !running.isDone && running.generation === generation;
    if (isGoingOn && !isThere && !isFresh) return;
    this.#task = undefined;
    await running?.cancel(new Error("the snapshot is no longer needed"));
    if (!isThere) this.#task = this.#begin(generation);
  }

  /**
   * Resolves when it is stored, or after a moment: it needs the WAL up to where it begins, so uploads have to go on.
   *
   * @throws {Error} when `signal` fires
   */
  async lookAtEnd(signal: AbortSignal): Promise<void> {
    const task = this.#task!;
    task.hurry();
    await orAbort(Promise.race([task.ended, sleep(FINISH_LOOK_MS)]), signal).catch((error) => {
      throw new Error("the snapshot was not finished", { cause: error });
    });
  }

  /** End what runs. */
  async cancel(reason: Error): Promise<void> {
    await this.#task?.cancel(reason);
  }
}
