/**
 * Proves a replica: restores it to a temporary file and compares that with the database, page by page.
 *
 * The comparison needs both at one position, and nobody is to wait for it. So the database is read first, as for a
 * snapshot: a reader of our own holds the state of one position for as long as that takes, while the application and
 * the uploads go on. What is kept of it is a checksum of each page. Then the replica is restored to exactly that
 * position, between two commits, as soon as it has it.
 *
 * It takes as much temporary space as the database is large, and reads as much from the replica as a restore does.
 */
import type { DutyParts } from "./duty.ts";
import { checksumFile, checksumSource, type PageChecksums } from "./page_checksums.ts";
import { orAbort, type Semaphore } from "../async.ts";
import { type Crc64, crc64, formatCrc64 } from "../crc64.ts";
import { BrokenHistoryError, DamagedObjectError, describeError, NotFoundError } from "../errors.ts";
import { comparePositions, formatPosition, type Position } from "../position.ts";
import { type Files, systemFiles } from "../runtime/files.ts";
import { segmentKey, snapshotKey } from "../storage/keys.ts";
import { join, temporaryFolderPath } from "../runtime/paths.ts";
import { pause } from "../runtime/pause.ts";

/** How a replica is validated. */
export interface ValidatorOptions {
  /** 0 and less: never. */
  readonly intervalMs: number;
  /** An existing folder with room for the whole database. Default: the system's for temporary files. */
  readonly temporaryPath?: string | undefined;
  /** How long the replica has for getting to where the database is. Default 10 s. */
  readonly waitMs?: number | undefined;
  /** Bounds what reads whole databases at once, together with snapshots. Default: nothing. */
  readonly slots?: Semaphore | undefined;
  /**
   * Bounds the replicas that are restored at once: each takes temporary space, of which it only knows what is free now,
   * and memory. Default: nothing.
   */
  readonly turns?: Semaphore | undefined;
  readonly files?: Files | undefined;
  /** One more look at the restored file, which equals the database: returns what is wrong with both. Default: none. */
  readonly look?: ((path: string, signal: AbortSignal) => Promise<string | undefined>) | undefined;
  /** Called with what was found wrong. Default: nothing is done about it. */
  readonly repair?: ((proof: Proof, signal: AbortSignal) => Promise<unknown>) | undefined;
}

/** How long a replica may lag behind when it is validated. */
const WAIT_MS = 10_000;

/** Left free in the temporary folder, for others. */
const SPARE_BYTES = 16 << 20;

/**
 * What a validation came to: `damaged` when the replica can't be restored for faults of its own, `bad database` when it
 * restores to just what the database is, and that is damaged.
 */
export type ValidationOutcome = "ok" | "mismatch" | "damaged" | "bad database" | "skipped";

/** What was found out about a replica at one position. */
export interface Proof {
  readonly outcome: ValidationOutcome;
  /** Everything that was committed before is in what was compared; milliseconds since 1970. */
  readonly at: number;
  /** Absent when it was skipped. */
  readonly position?: Position | undefined;
  /** What is wrong; absent when nothing is. */
  readonly error?: string | undefined;
  /** The object that is to blame, where one is. */
  readonly key?: string | undefined;
  /** How many pages differ, and the first. */
  readonly difference?: { readonly count: number; readonly firstPage: number | undefined } | undefined;
  /** Checksums of the whole database and of the whole restored file. */
  readonly live?: Crc64 | undefined;
  readonly restored?: Crc64 | undefined;
}

/** The validation of one replica. */
export class Validator {
  readonly #parts: DutyParts;
  readonly #options: ValidatorOptions;
  readonly #files: Files;

  constructor(parts: DutyParts, options: ValidatorOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#files = options.files ?? systemFiles;
  }

  /** Validate after each interval until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#parts;
    const { intervalMs } = this.#options;
    // A dashboard sees a series that never moved, not one that isn't there.
    this.#count("ok", 0);
    this.#count("error", 0);
    if (intervalMs <= 0) return;
    while (!signal.aborted) {
      try {
        await pause(intervalMs, { clock, signal });
        await this.validate(signal);
      } catch (error) {
        if (!signal.aborted) logger.error("validation error", { error: describeError(error) });
      }
    }
  }

  #count(status: "ok" | "error", amount = 1): void {
    const { metrics, database, client } = this.#parts;
    const labels = { db: database.path, name: client.name, status };
    metrics.count("litestream_replica_validation_total", labels, amount);
  }

  /**
   * Validate once. Counted is only what was found out about the replica, good or bad.
   *
   * @throws {Error} when it could not be found out
   */
  async validate(signal: AbortSignal): Promise<ValidationOutcome> {
    const { logger } = this.#parts;
    const proof = await this.prove(signal);
    const { outcome, difference, live, restored, error } = proof;
    if (outcome === "skipped") {
      logger.info("validator: no replica position available");
      return outcome;
    }
    this.#count(outcome === "ok" ? "ok" : "error");
    const position = formatPosition(proof.position);
    if (live !== undefined && restored !== undefined) {
      // Litestream's names for them, `db` and `replica`, are those of the path and the name in every record.
      const checksums = { "db-checksum": formatCrc64(live), "replica-checksum": formatCrc64(restored) };
      logger.info("validator", { status: outcome, ...checksums, position });
    }
    if (error !== undefined) {
      const pages = difference && { pages: difference.count, first_page: difference.firstPage };
      logger.error("validation error", { error, position, ...pages });
    }
    await this.#options.repair?.(proof, signal);
    return outcome;
  }

  /**
   * The same without a word.
   *
   * @throws {Error} when it could not be found out
   */
  async prove(signal: AbortSignal): Promise<Proof> {
    const { loop, turn, clock } = this.#parts;
    using _ = await this.#options.turns?.acquire({ signal });
    const at = clock.now();
    if (!loop.isRestorable) return { outcome: "skipped", at };
    const { position, live } = await this.#readDatabase(signal);
    await this.#untilReplicated(position, signal);
    // Retention must not take away what is being restored.
    using __ = await turn.acquire();
    await using folder = await this.#makeFolder();
    await this.#requireSpace(live);
    const restoredPath = join(folder.path, "restored.db");
    const problem = await this.#restore(position, restoredPath, signal);
    if (problem !== undefined) {
      const key = isFault(problem) ? problem.key : undefined;
      return { outcome: "damaged", at, position, error: `cannot restore: ${describeError(problem)}`, key };
    }
    const { pageSize } = live;
    const restored = await checksumFile(restoredPath, { pageSize, files: this.#files, signal });
    const difference = live.compare(restored);
    const sums = { at, position, live: live.total(), restored: restored.total() };
    if (difference.count > 0) {
      return { ...sums, outcome: "mismatch", error: "invalid replica, checksum mismatch", difference };
    }
    const fault = await this.#options.look?.(restoredPath, signal);
    if (fault === undefined) return { ...sums, outcome: "ok" };
    // Page by page it is what the database was at this position: the replica has no part in it.
    return { ...sums, outcome: "bad database", error: describeBadDatabase(fault) };
  }

  /** The checksums of the database as it is at one position. */
  async #readDatabase(signal: AbortSignal): Promise<{ position: Position; live: PageChecksums }> {
    const { database } = this.#parts;
    using _ = await this.#options.slots?.acquire({ signal });
    using source = await database.openSnapshot();
    const { generation, index, offset, pageSize, pageCount } = source;
    await this.#requireSpace({ pageSize, pageCount });
    const start = { generation, index, offset: 0 };
    const wal = offset === 0 ? undefined : database.segmentAfter(start, { maxBytes: offset });
    if (offset > 0 && wal?.length !== offset) throw new Error("generation changed");
    return {
      position: { generation, index, offset },
      live: await checksumSource(source, { wal, signal }),
    };
  }

  async #requireSpace({ pageSize, pageCount }: { pageSize: number; pageCount: number }): Promise<void> {
    const path = this.#temporaryPath;
    const needed = pageSize * pageCount + SPARE_BYTES;
    const free = await this.#files.freeBytes(path);
    if (free >= needed) return;
    throw new Error(
      `cannot validate: it takes ${needed} bytes of temporary space, and only ${free} are free in ${path}: ` +
        `make room there, or choose another folder`,
    );
  }

  get #temporaryPath(): string {
    return this.#options.temporaryPath ?? temporaryFolderPath();
  }

  /** Wait until the replica has everything up to `position`. */
  async #untilReplicated(position: Position, signal: AbortSignal): Promise<void> {
    const { loop, clock } = this.#parts;
    const late = new AbortController();
    const error = new Error("cannot wait for replica: replica wait exceeded timeout");
    using _ = clock.after(this.#options.waitMs ?? WAIT_MS, () => late.abort(error));
    const either = AbortSignal.any([signal, late.signal]);
    for (;;) {
      const token = loop.progressed.token;
      const now = loop.position;
      if (now !== undefined && now.generation !== position.generation) {
        throw new Error("cannot wait for replica: generation changed");
      }
      if (now !== undefined && loop.isRestorable && comparePositions(now, position) >= 0) return;
      // Others wait for their turn meanwhile: the rest of a long interval is not waited for.
      loop.hurry();
      await orAbort(token, either);
    }
  }

  /** @returns the fault of the replica that keeps it from being restored */
  async #restore(position: Position, outputPath: string, signal: AbortSignal): Promise<unknown> {
    const { generation, index, offset } = position;
    // A start has nothing to restore, and needn't wait for what can.
    const { restore } = await import("../restore/restore.ts");
    try {
      const { lastPosition } = await restore({
        clients: [this.#parts.client],
        generation,
        target: { kind: "position", index, offset },
        outputPath,
        parallelism: 1,
        files: this.#files,
        signal,
      });
      if (comparePositions(lastPosition, position) === 0) return undefined;
      // An index without a commit is reached with the end of the one before; the pages tell whether that is all.
      if (offset === 0 && lastPosition.index === index - 1) return undefined;
      const isBehind = lastPosition.index < index;
      return new BrokenHistoryError(
        `the replica ends at ${formatPosition(lastPosition)}, and has to have all up to here`,
        segmentKey(isBehind ? { generation, index: lastPosition.index + 1, offset: 0 } : lastPosition),
      );
    } catch (error) {
      if (isFault(error)) return error;
      if (await this.#lacksSnapshots(generation, signal)) {
        return new BrokenHistoryError("no snapshot is there any more", snapshotKey({ generation, index }));
      }
      throw new Error("cannot restore", { cause: error });
    }
  }

  /** Whether that is why nothing can be restored; a replica that does not answer now has not lost anything. */
  async #lacksSnapshots(generation: string, signal: AbortSignal): Promise<boolean> {
    const found = await this.#parts.client.snapshots(generation, { signal }).catch(() => undefined);
    return found?.length === 0;
  }

  /** A folder that nobody else may look into; those that a killed process of ours left are removed first. */
  async #makeFolder(): Promise<AsyncDisposable & { readonly path: string }> {
    const { database, client } = this.#parts;
    const files = this.#files;
    const name = formatCrc64(crc64(new TextEncoder().encode(`${database.path}\n${client.name}`)));
    const prefix = `walbrook-validation-${name}-`;
    for (const entry of await files.list(this.#temporaryPath) ?? []) {
      if (!entry.isFolder || !entry.name.startsWith(prefix)) continue;
      // Somebody else's, if it can't be removed.
      await files.removeTree(join(this.#temporaryPath, entry.name)).catch(() => {});
    }
    const path = join(this.#temporaryPath, `${prefix}${crypto.randomUUID()}`);
    await files.makeFolder(path, { mode: 0o700 });
    return { path, [Symbol.asyncDispose]: () => files.removeTree(path) };
  }
}

function describeBadDatabase(fault: string): string {
  return `the database itself is damaged, and the replica holds it as it is: ${fault}; restore an older moment with ` +
    `-timestamp, or mend the database with sqlite3's .recover`;
}

/** Whether it says something about the replica itself, and not about the way to it. */
function isFault(error: unknown): error is BrokenHistoryError | DamagedObjectError {
  if (error instanceof BrokenHistoryError) return true;
  // Gone between listing and reading: another machine's retention, most likely.
  return error instanceof DamagedObjectError && !(error.cause instanceof NotFoundError);
}
