/** What one replica is told. */
import type { BackoffOptions } from "./backoff.ts";
import type { Semaphore } from "../async.ts";
import type { LiveDatabase } from "../database/database.ts";
import type { Logger } from "../logger.ts";
import type { Metrics } from "../metrics.ts";
import type { Clock } from "../runtime/clock.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";

/** How one replica is kept. */
export interface ReplicaOptions {
  readonly database: LiveDatabase;
  readonly client: ReplicaClient;
  /** The shortest time between two uploads; the first change after a quiet time goes at once. Default 1000. */
  readonly syncIntervalMs?: number | undefined;
  /** The longest segment, in bytes before compression. Default 64 MiB. */
  readonly segmentBytes?: number | undefined;
  /** Bounds the snapshots that run at once over all databases. Default: one for this replica alone. */
  readonly snapshots?: Semaphore | undefined;
  /** Pauses after failures. Default: `UPLOAD_BACKOFF`, and for snapshots `SNAPSHOT_BACKOFF`. */
  readonly backoff?: Partial<BackoffOptions> | undefined;
  /** Called after each upload. */
  readonly onProgress?: (() => void) | undefined;
  /** Called after each failure to upload. */
  readonly onFailure?: (() => void) | undefined;
  /** A folder for compressed snapshots on their way to a slow store. Default: they go straight there. */
  readonly stagePath?: string | undefined;
  /** Called as snapshot bytes are read. */
  readonly onSnapshotProgress?: ((done: number, total: number) => void) | undefined;
  readonly clock?: Clock | undefined;
  readonly logger?: Logger | undefined;
  readonly metrics?: Metrics | undefined;
}

/** Raw bytes of a segment unless told otherwise. */
export const SEGMENT_BYTES = 64 << 20;
