/** What a restore would do: which replica and generation, which objects, and the moments that are within reach. */
import type { Logger } from "../logger.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";
import type { Choice } from "./candidates.ts";
import { boundsOf, chooseGeneration } from "./choose.ts";
import { planRestore, type RestorePlan, type RestoreTarget } from "./plan.ts";

/** What to look for, and where. */
export interface PrepareOptions {
  /** The replicas of one database. */
  readonly clients: readonly ReplicaClient[];
  readonly target: RestoreTarget;
  /** Default: the one that reaches farthest. */
  readonly generation?: string | undefined;
  readonly logger: Logger;
  readonly signal?: AbortSignal | undefined;
}

/** A restore that has not begun. */
export interface PreparedRestore {
  readonly choice: Choice;
  readonly plan: RestorePlan;
}

/** The moments around what a plan restores. */
export interface RestoreMoments {
  /** From when to when the generation can be restored. */
  readonly earliestAt: Date;
  readonly latestAt: Date;
  /** The newest commit that the plan restores, as far as notes or the store tell. */
  readonly reachedAt: Date;
  /** Whether a note tells `reachedAt`; else it is the time that the store gives the last object. */
  readonly isNoted: boolean;
  /** The newest commit of the next segment, which the plan leaves out. */
  readonly nextAt: Date | undefined;
}

/**
 * Choose and plan, without fetching what is planned.
 *
 * @throws {NoBackupsError} when no replica has anything that matches
 * @throws {BrokenHistoryError} when something that is needed is missing
 */
export async function prepareRestore(options: PrepareOptions): Promise<PreparedRestore> {
  const { target, generation, logger, signal } = options;
  const choice = await chooseGeneration(options.clients, { generation, target, logger, signal });
  return { choice, plan: await planRestore(choice.inventory, target, choice.momentOf) };
}

/** The moments of a prepared restore: a handful of small requests, fewer where they have been asked before. */
export async function momentsAround({ choice, plan }: PreparedRestore): Promise<RestoreMoments> {
  const { inventory, momentOf } = choice;
  const { startAt, endAt } = await boundsOf(inventory, momentOf);
  const reached = await momentOf(plan.segments.at(-1) ?? plan.snapshot);
  return {
    earliestAt: startAt,
    latestAt: endAt,
    reachedAt: reached.at,
    isNoted: reached.isNoted,
    nextAt: plan.next && (await momentOf(plan.next)).at,
  };
}

/** Stored bytes of all that a plan fetches. */
export function plannedBytes({ snapshot, segments }: RestorePlan): number {
  return segments.reduce((sum, { size }) => sum + size, snapshot.size);
}
