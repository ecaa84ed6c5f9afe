/** What the periodic duties of a replica share. */
import type { Mutex } from "../async.ts";
import type { LiveDatabase } from "../database/database.ts";
import type { Logger } from "../logger.ts";
import type { Metrics } from "../metrics.ts";
import type { Clock } from "../runtime/clock.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";
import type { ReplicaLoop } from "./replica_loop.ts";

/** One replica and the database that it belongs to. */
export interface DutyParts {
  readonly database: LiveDatabase;
  readonly loop: ReplicaLoop;
  readonly client: ReplicaClient;
  /** Held by whoever reads the replica's history or deletes from it. */
  readonly turn: Mutex;
  readonly clock: Clock;
  /** Carries `db` and `replica`. */
  readonly logger: Logger;
  readonly metrics: Metrics;
}
