/** What a live database is told, and what it says of itself. */
import type { CheckpointLimits } from "./decide.ts";
import type { Logger } from "../logger.ts";
import type { Metrics } from "../metrics.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Files } from "../runtime/files.ts";

/** How one database is replicated. */
export interface DatabaseOptions {
  /** Absolute path of the database file. */
  readonly path: string;
  /** The meta directory. Default: `.<name>-litestream` beside the database. */
  readonly metaPath?: string | undefined;
  /** How long the slow look of the safety net takes. Default 1000. */
  readonly monitorIntervalMs?: number | undefined;
  /** How long the write lock is tried for when the WAL must be checkpointed; 0: once. Default 1000. */
  readonly busyTimeoutMs?: number | undefined;
  readonly limits?: Partial<CheckpointLimits> | undefined;
  readonly files?: Files;
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly metrics?: Metrics;
}

/** What a database is doing. */
export type DatabaseState =
  | { readonly kind: "waiting"; readonly reason: string }
  | { readonly kind: "live" }
  | { readonly kind: "stopped"; readonly error: Error }
  | { readonly kind: "closed" };
