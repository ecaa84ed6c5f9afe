/** A database out of a replica: choose, plan, download, check, merge, finish. */
import type { ObjectNote } from "../codec/object.ts";
import { DamagedObjectError } from "../errors.ts";
import { type Logger, silentLogger } from "../logger.ts";
import { formatIndex, type IndexOffset, type Position } from "../position.ts";
import { type Files, systemFiles } from "../runtime/files.ts";
import { resolve } from "../runtime/paths.ts";
import { checkIntegrity, type IntegrityCheck } from "../runtime/sqlite.ts";
import type { ReplicaClient, SegmentInfo, SnapshotInfo } from "../storage/replica_client.ts";
import { explainWrite, type OutputOwner, refuseExisting, RestoreOutput } from "./finish.ts";
import { type FetchedNote, lookAtNote } from "./moments.ts";
import { PageMerge } from "./page_merge.ts";
import type { RestorePlan, RestoreTarget } from "./plan.ts";
import { momentsAround, plannedBytes, prepareRestore, type RestoreMoments } from "./prepare.ts";
import { type FetchedObject, Prefetcher } from "./prefetch.ts";
import { replaySegment } from "./replay_segment.ts";
import { type RestoredSnapshot, writeSnapshot } from "./snapshot.ts";
import { isOwnFailure } from "./unreadable.ts";
import { WalReplay } from "./wal_replay.ts";

/** So many bytes of a snapshot are written between two syncs that go on beside it. */
const SYNC_EVERY = 8 * 1024 * 1024;

/** How far a restore is. */
export interface RestoreProgress {
  /** Stored bytes, of all objects together. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** What to restore and how. */
export interface RestoreOptions {
  /** The replicas of one database; the one whose newest generation reaches farthest is used. */
  readonly clients: readonly ReplicaClient[];
  /** Must not exist; missing folders are made. */
  readonly outputPath: string;
  /** Default: all there is. */
  readonly target?: RestoreTarget | undefined;
  /** Default: the one that reaches farthest. */
  readonly generation?: string | undefined;
  /** Requests at once. Default 8. */
  readonly parallelism?: number | undefined;
  /** Permission bits of the database, whatever the umask. Default 0o600. */
  readonly mode?: number | undefined;
  /** Default: whoever runs the program. */
  readonly owner?: OutputOwner | undefined;
  /** Have SQLite check the whole of it before it gets its name: `quick` leaves out the content of indexes. */
  readonly integrityCheck?: IntegrityCheck | undefined;
  /** Bytes of pages that are held in memory before they are written. Default 24 MiB. */
  readonly arenaSize?: number | undefined;
  readonly files?: Files | undefined;
  readonly logger?: Logger | undefined;
  /** Called as objects come in. */
  readonly progress?: ((progress: RestoreProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a restore did. */
export interface RestoreSummary {
  /** The replica that was used. */
  readonly replica: string;
  readonly generation: string;
  readonly snapshotIndex: number;
  /** After the newest commit in the database. */
  readonly lastPosition: Position;
  /** The time of that commit, as far as notes or the store tell. */
  readonly momentAt: Date;
  /** Of a restore to a moment: those around it. */
  readonly moments: RestoreMoments | undefined;
  readonly segmentCount: number;
  /** Stored bytes that were read. */
  readonly bytes: number;
  /** Pages of the database, and how large each is; 0 for an empty one. */
  readonly pageCount: number;
  readonly pageSize: number;
  /** Indexes whose step from the one before nothing in the replica proves. */
  readonly unprovenIndexes: readonly number[];
  /** Segments that begin with what the one before them ends with, as Litestream writes them now and then. */
  readonly overlapCount: number;
  /** Keys of objects whose note is damaged while their content is whole. */
  readonly damagedNoteKeys: readonly string[];
}

/**
 * Restore a database to `outputPath`. On failure and when the signal fires nothing is left there, but where only a folder
 * can't be synced at the end: then the database stays.
 *
 * @throws {NoBackupsError} when no replica has anything that matches
 * @throws {DamagedObjectError} for a stored object that is missing, broken or does not belong
 */
export async function restore(options: RestoreOptions): Promise<RestoreSummary> {
  const { clients, files = systemFiles, logger = silentLogger, signal } = options;
  if (options.outputPath === "") throw new Error("output path required");
  const outputPath = resolve(options.outputPath);
  const target = options.target ?? { kind: "latest" };
  signal?.throwIfAborted();
  try {
    await refuseExisting(outputPath, files);
    const prepared = await prepareRestore({
      clients,
      target,
      generation: options.generation,
      logger,
      signal,
    });
    const { choice: { client }, plan } = prepared;
    // To say where among them a moment has led; they are known from the choice then.
    const moments = target.kind === "moment" ? await momentsAround(prepared) : undefined;
    const run = new RestoreRun({ ...options, client, outputPath, target, files, logger, plan });
    const spoiledAt = await run.attempt(target.kind === "position" ? target : undefined);
    // See PageMerge: an unfinished last transaction that was larger than the arena.
    if (spoiledAt !== undefined) await run.attempt(spoiledAt);
    return { ...run.summary(), moments };
  } catch (error) {
    signal?.throwIfAborted();
    throw explainWrite(error, outputPath);
  }
}

interface RunOptions extends RestoreOptions {
  readonly client: ReplicaClient;
  readonly plan: RestorePlan;
  readonly target: RestoreTarget;
  readonly files: Files;
  readonly logger: Logger;
}

/** One restore of one plan. */
class RestoreRun {
  readonly #options: RunOptions;
  #bytes = 0;
  #snapshot: RestoredSnapshot | undefined;
  #replay: WalReplay | undefined;
  #merge: PageMerge | undefined;
  #momentAt: Date;
  readonly #damagedNoteKeys: string[] = [];
  /** Whether the newest object that was taken in has a note. */
  #isNoted = false;
  /** Whether the first segment that is left out can't tell of which moment it is. */
  #isNextDoubtful = false;

  constructor(options: RunOptions) {
    this.#options = options;
    this.#momentAt = options.plan.snapshot.createdAt;
  }

  /** @returns where to stop in another attempt; `undefined` when the database is there */
  async attempt(stopAt?: IndexOffset): Promise<IndexOffset | undefined> {
    const { client, plan, signal, logger, files, mode, owner } = this.#options;
    this.#bytes = 0;
    this.#damagedNoteKeys.length = 0;
    await using output = await RestoreOutput.open(this.#options.outputPath, { files, mode, owner });
    await using source = new Prefetcher(client, [plan.snapshot, ...plan.segments], {
      parallelism: Math.max(1, this.#options.parallelism ?? 8),
      signal,
      onBytes: this.#countBytes(),
    });
    await this.#restoreSnapshot(source, output);
    await this.#replayAll(source, output, stopAt);
    if (this.#merge?.isSpoiled) return this.#replay!.lastCommit ?? { index: plan.snapshot.index, offset: 0 };
    await this.#cut(output);
    signal?.throwIfAborted();
    await this.#checkIntegrity(output);
    if (plan.segments.length > 0) logger.info("renaming database from temporary location");
    await output.finish();
    this.#warn();
    return undefined;
  }

  summary(): Omit<RestoreSummary, "moments"> {
    const { client, plan } = this.#options;
    const { generation, snapshot, segments } = plan;
    const restored = this.#snapshot!;
    const end = this.#replay!.lastCommit ?? { index: snapshot.index, offset: restored.note?.offset ?? 0 };
    return {
      replica: client.name,
      generation,
      snapshotIndex: snapshot.index,
      lastPosition: { generation, ...end },
      momentAt: this.#momentAt,
      segmentCount: segments.length,
      bytes: this.#bytes,
      pageCount: this.#merge?.pageCount ?? restored.pageCount,
      pageSize: this.#replay!.pageSize,
      unprovenIndexes: this.#replay!.unproven,
      overlapCount: this.#replay!.overlapCount,
      damagedNoteKeys: this.#damagedNoteKeys,
    };
  }

  #countBytes(): (count: number) => void {
    const { plan, progress } = this.#options;
    const totalBytes = plannedBytes(plan);
    return (count) => {
      this.#bytes += count;
      progress?.({ doneBytes: this.#bytes, totalBytes });
    };
  }

  async #restoreSnapshot(source: Prefetcher, output: RestoreOutput): Promise<void> {
    const { plan, logger, signal } = this.#options;
    const { generation, snapshot } = plan;
    logger.info("restoring snapshot", { generation, index: snapshot.index, path: output.file.path });
    const fetched = await source.next(snapshot);
    this.#snapshot = await writeSnapshot(fetched.stream(), {
      snapshot,
      file: output.file,
      syncEvery: SYNC_EVERY,
      reserve: (bytes) => output.requireFree(bytes),
      signal,
    });
    const { note, noteDamage } = this.#snapshot;
    this.#see(snapshot, { note, noteDamage });
  }

  async #replayAll(source: Prefetcher, output: RestoreOutput, stopAt?: IndexOffset): Promise<void> {
    const { plan, logger, arenaSize } = this.#options;
    const { generation, snapshot, segments } = plan;
    const { pageSize, pageCount, note: snapshotNote } = this.#snapshot!;
    this.#merge = undefined;
    const replay = new WalReplay({
      pageSize,
      stopAt,
      sinkFor: (pageSize) => this.#merge = new PageMerge(output.file, { pageSize, pageCount, arenaSize }),
    });
    this.#replay = replay;
    replay.meet(snapshot, snapshotNote);
    if (segments.length === 0) logger.info("snapshot only, finalizing database");
    else {
      const [indexMin, indexMax] = [segments[0]!.index, segments.at(-1)!.index];
      logger.info("restoring wal files", { generation, index_min: indexMin, index_max: indexMax });
    }
    for (const segment of segments) await this.#replayOne(await source.next(segment), segment);
    replay.finish(await this.#follows());
  }

  /** What is stored behind the last restored segment: it says where that has to end. */
  async #follows(): Promise<Parameters<WalReplay["finish"]>[0]> {
    const { plan } = this.#options;
    const last = plan.segments.at(-1);
    const { next, nextSnapshot } = plan;
    const { note, isDoubtful } = next === undefined
      ? { note: undefined, isDoubtful: false }
      : await this.#lookBehind(next);
    this.#isNextDoubtful = isDoubtful || (next !== undefined && note === undefined && this.#isNoted);
    if (last === undefined) return undefined;
    // Of the next index only its first segment says how the one before ended.
    const isTelling = next !== undefined &&
      (next.index === last.index || (next.index === last.index + 1 && next.offset === 0));
    if (isTelling) return { object: next, note };
    return nextSnapshot && { object: nextSnapshot, note: (await this.#lookBehind(nextSnapshot)).note };
  }

  /** The note of what is not restored: one that can't be read proves nothing, which is said. */
  async #lookBehind(object: SnapshotInfo | SegmentInfo): Promise<FetchedNote> {
    const { client, plan, signal, logger } = this.#options;
    try {
      return await lookAtNote(client, object, { signal });
    } catch (error) {
      const others = () => Promise.resolve([plan.snapshot, ...plan.segments]);
      if (!await isOwnFailure(error, { client, object, others, signal })) throw error;
      logger.warn(
        "what follows can't be read, so that nothing shows that what is restored ends where it should",
        {
          generation: plan.generation,
          key: object.key,
          error,
        },
      );
      return { note: undefined, isDoubtful: true };
    }
  }

  async #replayOne(fetched: FetchedObject, segment: SegmentInfo): Promise<void> {
    const { signal, logger } = this.#options;
    await replaySegment(this.#replay!, fetched, {
      segment,
      onNote: (note) => this.#see(segment, note),
      signal,
    });
    logger.debug("applied wal", {
      generation: segment.generation,
      index: segment.index,
      offset: segment.offset,
    });
  }

  /** Take in what stands in front of an object. */
  #see(
    object: SnapshotInfo | SegmentInfo,
    { note, noteDamage }: ObjectNote,
  ): void {
    const { target } = this.#options;
    if (noteDamage !== undefined) this.#damagedNoteKeys.push(object.key);
    this.#momentAt = note?.newestCommitAt ?? object.createdAt;
    this.#isNoted = note !== undefined;
    if (target.kind !== "moment" || note === undefined || note.newestCommitAt <= target.at) return;
    throw new DamagedObjectError(
      object.key,
      `its newest commit is of ${note.newestCommitAt.toISOString()}, after the moment that is asked for, ` +
        `while an object behind it counts as earlier: restore to an index instead`,
    );
  }

  /** Write what is left and give the file its size. */
  async #cut(output: RestoreOutput): Promise<void> {
    const merge = this.#merge;
    if (merge === undefined) return;
    const missing = await merge.finish();
    if (missing !== undefined) {
      throw new DamagedObjectError(
        this.#options.plan.snapshot.key,
        `page ${missing} of the database is neither in it nor in the wal that follows`,
      );
    }
    if (merge.pageCount !== undefined) output.file.truncateSync(merge.pageCount * this.#replay!.pageSize);
  }

  async #checkIntegrity(output: RestoreOutput): Promise<void> {
    const { integrityCheck, signal, logger } = this.#options;
    if (integrityCheck === undefined) return;
    await output.removeTemporarySideFiles();
    const failure = `what is restored fails SQLite's ${integrityCheck} check and is not kept`;
    const result = await checkIntegrity(output.file.path, { kind: integrityCheck, signal }).catch((cause) => {
      throw new Error(failure, { cause });
    });
    if (result !== "ok") throw new Error(`${failure}: ${result}`);
    logger.info("integrity check passed", { kind: integrityCheck });
  }

  #warn(): void {
    const { logger, plan, target } = this.#options;
    const { generation } = plan;
    const [key] = this.#damagedNoteKeys;
    if (key !== undefined) {
      logger.warn("damaged notes; the content behind them is whole", {
        generation,
        key,
        count: this.#damagedNoteKeys.length,
      });
    }
    if (target.kind === "moment" && this.#isNextDoubtful) {
      const message =
        "the first segment that is left out has no sound note: it may be of before the moment asked for";
      logger.warn(message, { generation, key: plan.next!.key });
    }
    if (plan.missingBehindKey !== undefined) {
      logger.warn("nothing shows that the index is whole: what follows it is missing", {
        generation,
        index: formatIndex(plan.segments.at(-1)!.index),
        missing: plan.missingBehindKey,
      });
    }
    const { unproven, overlapCount } = this.#replay!;
    if (overlapCount > 0) {
      logger.warn("wal segments repeat a part of the one before, which is passed over", {
        generation,
        count: overlapCount,
      });
    }
    if (unproven.length > 0) {
      logger.warn("nothing in the replica proves that the wal continues here", {
        generation,
        index: formatIndex(unproven[0]!),
        count: unproven.length,
      });
    }
  }
}
