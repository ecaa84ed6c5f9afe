/** The metrics of one look at a database. */
import type { Follower } from "./follower.ts";
import type { Metrics } from "../metrics.ts";

/** Count a look that took `elapsedMs` and copied `copiedBytes`. */
export function measureSync(
  metrics: Metrics,
  { follower, elapsedMs, copiedBytes }: { follower: Follower; elapsedMs: number; copiedBytes: number },
): void {
  const { live, shadow } = follower;
  const labels = { db: live.path };
  metrics.count("litestream_sync_count", labels);
  metrics.count("litestream_sync_seconds", labels, elapsedMs / 1000);
  if (copiedBytes === 0) return;
  metrics.count("litestream_total_wal_bytes", labels, copiedBytes);
  metrics.gauge("litestream_db_size", labels, live.mainStat().size);
  metrics.gauge("litestream_wal_size", labels, live.walStat().size);
  metrics.gauge("litestream_shadow_wal_index", labels, shadow.index);
  metrics.gauge("litestream_shadow_wal_size", labels, shadow.size);
}
