/** What `walbrook generations` does. */
import type { Output } from "./command.ts";
import type { ListingRequest } from "./listing_request.ts";
import { type ListingRow, runListing } from "./listing.ts";
import { formatTime } from "./table.ts";
import { formatGoDuration } from "../duration.ts";
import { UsageError } from "../errors.ts";
import { type Inventory, listGeneration } from "../restore/inventory.ts";
import { systemFiles } from "../runtime/files.ts";

/** List them; returns the exit code. */
export function runGenerations(request: ListingRequest, output: Output): Promise<number> {
  return runListing(request, output, {
    header: ["name", "generation", "lag", "start", "end"],
    async list(client, database) {
      const changedAt = database === undefined ? new Date() : databaseChangedAt(database.path);
      const rows: ListingRow[] = [];
      for (const generation of await client.generations()) {
        const row = generationRow(await listGeneration(client, generation), { name: client.name, changedAt });
        if (row !== undefined) rows.push(row);
      }
      return rows;
    },
  });
}

/** When the database or its WAL was last written, whichever is later. */
function databaseChangedAt(path: string): Date {
  const stat = systemFiles.statSync(path);
  if (stat === undefined) throw new UsageError(`stat ${path}: no such file or directory`);
  const wal = systemFiles.statSync(`${path}-wal`);
  return wal !== undefined && wal.modifiedAt > stat.modifiedAt ? wal.modifiedAt : stat.modifiedAt;
}

/** `undefined` for a generation whose objects are all gone. */
function generationRow(
  { generation, snapshots, segments }: Inventory,
  { name, changedAt }: { name: string; changedAt: Date },
): ListingRow | undefined {
  const [first] = snapshots;
  // WAL from before the first snapshot restores nothing.
  const useful = first === undefined ? segments : segments.filter(({ index }) => index >= first.index);
  const times = [...snapshots, ...useful].map(({ createdAt }) => createdAt.getTime());
  if (times.length === 0) return undefined;
  const startAt = new Date(times.reduce((least, time) => Math.min(least, time)));
  const endAt = new Date(times.reduce((most, time) => Math.max(most, time)));
  const lagMs = changedAt.getTime() - endAt.getTime();
  return {
    cells: [name, generation, formatLag(lagMs), formatTime(startAt), formatTime(endAt)],
    value: {
      replica: name,
      generation,
      lag_seconds: lagMs / 1000,
      start: startAt.toISOString(),
      end: endAt.toISOString(),
      restorable: first !== undefined,
    },
  };
}

/** A Go duration without more digits than matter at its size. */
export function formatLag(lagMs: number): string {
  const size = Math.abs(lagMs);
  const stepMs = size > 10_000 ? 1_000 : size > 1_000 ? 100 : size > 1 ? 1 : 0.001;
  // Divided by a whole number: 100 ms and 1 µs have no exact double below 1.
  const steps = stepMs < 1 ? Math.trunc(lagMs * 1000) : Math.trunc(lagMs / stepMs);
  return formatGoDuration(stepMs < 1 ? steps / 1000 : steps * stepMs);
}
