/** What `replicate` waits for when it ends because all is done: with `-once`, and after the child of `-exec`. */
import { firstOf, sleep } from "../async.ts";
import type { LiveDatabase } from "../database/database.ts";
import { describeError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { comparePositions } from "../position.ts";
import type { ReplicaLoop } from "../replicate/replica_loop.ts";
import type { Replicator } from "../replicate/replicator.ts";

/** How long a replica that fails again and again is tried. */
const PATIENCE_MS = 5_000;

/** Not every failure is told: they are looked for this often. */
const LOOK_MS = 500;

/** When to give up. */
export interface OnceOptions {
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** Milliseconds for a replica that fails, counted from its first failure or its last success. Default 5000. */
  readonly patienceMs?: number | undefined;
}

/**
 * Wait until every replica has, and can restore, what its database had at the start, or is given up. Replicas don't
 * wait for one another. What is past its retention is removed.
 *
 * @param replicators all of them started
 * @returns a line for each database or replica that stayed behind
 */
export async function untilSynced(
  replicators: readonly Replicator[],
  options: OnceOptions,
): Promise<string[]> {
  const failures = await Promise.all(replicators.map((replicator) => untilOneSynced(replicator, options)));
  return failures.flat();
}

/**
 * Wait until every replica has, and can restore, what is committed now, or is given up; `finish()` then tells of what
 * stayed behind. A database without a generation is left to it too.
 *
 * @param replicators all of them started
 */
export async function untilSent(replicators: readonly Replicator[], options: OnceOptions): Promise<void> {
  await Promise.all(replicators.map(async (replicator) => {
    await replicator.settle(options);
    if (replicator.database.position === undefined) return;
    await Promise.allSettled(replicator.replicas.map((loop) => untilReached(replicator, loop, options)));
  }));
}

async function untilOneSynced(replicator: Replicator, options: OnceOptions): Promise<string[]> {
  const { database, replicas } = replicator;
  if (database.position === undefined) {
    const reason = troubleOf(database) || "no generation available";
    return [`${database.path}: nothing is replicated: ${reason}`];
  }
  const results = await Promise.allSettled(replicas.map(async (loop, at) => {
    await untilReached(replicator, loop, options);
    await replicator.duties[at]!.retainer.check(options.signal).catch((error) => {
      const scope = { db: database.path, replica: loop.client.name };
      options.logger.error("retainer error", { ...scope, error: describeError(error) });
    });
  }));
  return results.flatMap((result, at) =>
    result.status === "rejected"
      ? [`${database.path}: ${replicas[at]!.client.name} stayed behind: ${describeError(result.reason)}`]
      : []
  );
}

/** What keeps a database from having a generation; empty where one is just beginning. */
function troubleOf({ state, lastError }: LiveDatabase): string {
  if (state.kind === "stopped") return describeError(state.error);
  return state.kind === "waiting" ? state.reason : lastError;
}

/** @throws {Error} what the replica failed with for too long, or why there is nothing any more that it could reach */
async function untilReached(
  { database }: Replicator,
  loop: ReplicaLoop,
  { signal, patienceMs = PATIENCE_MS }: OnceOptions,
): Promise<void> {
  let target = database.position;
  let failingSinceMs: number | undefined;
  for (;;) {
    const token = loop.progressed.token;
    // A generation that couldn't go on was replaced: now that one is what is to be there.
    if (target?.generation !== database.position?.generation) target = database.position;
    if (target !== undefined && loop.isRestorable && loop.position?.generation === target.generation) {
      if (comparePositions(loop.position, target) >= 0) return;
    }
    if (database.state.kind === "stopped") throw database.state.error;
    // A generation that can't begin now may begin in a moment.
    const failure = database.position === undefined ? troubleOf(database) : loop.lastError;
    if (failure === "") failingSinceMs = undefined;
    else failingSinceMs ??= performance.now();
    if (failingSinceMs !== undefined && performance.now() >= failingSinceMs + patienceMs) {
      throw new Error(failure);
    }
    await eitherOrLook([token, database.changed.token], signal);
  }
}

/** Resolves at the first notice, or after `LOOK_MS`. */
async function eitherOrLook(notices: readonly Promise<void>[], signal: AbortSignal): Promise<void> {
  const waits = notices.map((notice) => () => notice);
  await firstOf([...waits, (signal) => sleep(LOOK_MS, { signal })], { signal });
}
