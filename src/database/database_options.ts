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
  readonly metrics?: Metrics | undefined;
}

/** What a database is doing. */
export type DatabaseState =
  | {
    readonly kind: "waiting";
    readonly reason: string;
    /** Whether there never was anything to follow. */
    readonly isNew: boolean;
  }
  | { readonly kind: "live" }
  | { readonly kind: "stopped"; readonly error: Error }
  | { readonly kind: "closed" };

/** How a database is followed. */
export interface Following {
  readonly state: DatabaseState;
  /** When the state became what it is, milliseconds since 1970. */
  readonly stateSince: number;
  /** Why the last look failed; empty when it didn't. */
  readonly error: string;
  /** Since a look last succeeded, or since the beginning. */
  readonly sinceGoodMs: number;
  /** How often there is a look at least, when all is well. */
  readonly lookIntervalMs: number;
  /** Committed in the live WAL and not copied yet; 0 while the database is not open. */
  readonly uncopiedBytes: number;
}
