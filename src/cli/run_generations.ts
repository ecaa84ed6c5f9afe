/** What `walbrook generations` does. */
import type { Output } from "./command.ts";
import type { ListingRequest } from "./listing_request.ts";
import { runListing } from "./listing.ts";
import { formatTime } from "./table.ts";
import { formatGoDuration } from "../duration.ts";
import { UsageError } from "../errors.ts";
import { systemFiles } from "../runtime/files.ts";
import type { GenerationTimes } from "../storage/generation_times.ts";

interface GenerationItem extends GenerationTimes {
  readonly generation: string;
  readonly lagMs: number;
}

/** List them; returns the exit code. */
export function runGenerations(request: ListingRequest, output: Output): Promise<number> {
  return runListing(request, output, {
    header: ["name", "generation", "lag", "start", "end"],
    async list(client, database) {
      const changedAt = database === undefined ? new Date() : databaseChangedAt(database.path);
      const items: GenerationItem[] = [];
      for (const generation of await client.generations()) {
        const times = await client.times(generation);
        if (times === undefined) continue;
        items.push({ ...times, generation, lagMs: changedAt.getTime() - times.endAt.getTime() });
      }
      return items;
    },
    cells: ({ generation, lagMs, startAt, endAt }, replica) => [
      replica,
      generation,
      formatLag(lagMs),
      formatTime(startAt),
      formatTime(endAt),
    ],
    value: ({ generation, lagMs, startAt, endAt, isRestorable }, replica) => ({
      replica,
      generation,
      lag_seconds: lagMs / 1000,
      start: startAt.toISOString(),
      end: endAt.toISOString(),
      restorable: isRestorable,
    }),
  });
}

/**
 * When the database or its WAL was last written, whichever is later.
 *
 * @throws {UsageError} when there is no database
 */
export function databaseChangedAt(path: string): Date {
  const stat = systemFiles.statSync(path);
  if (stat === undefined) throw new UsageError(`stat ${path}: no such file or directory`);
  const wal = systemFiles.statSync(`${path}-wal`);
  return wal !== undefined && wal.modifiedAt > stat.modifiedAt ? wal.modifiedAt : stat.modifiedAt;
}

/** A Go duration without more digits than matter at its size. */
export function formatLag(lagMs: number): string {
  const size = Math.abs(lagMs);
  const stepMs = size > 10_000 ? 1_000 : size > 1_000 ? 100 : size > 1 ? 1 : 0.001;
  // Divided by a whole number: 100 ms and 1 µs have no exact double below 1.
  const steps = stepMs < 1 ? Math.trunc(lagMs * 1000) : Math.trunc(lagMs / stepMs);
  return formatGoDuration(stepMs < 1 ? steps / 1000 : steps * stepMs);
}
