/** What `walbrook snapshots` does. */
import type { Output } from "./command.ts";
import type { ListingRequest } from "./listing_request.ts";
import { runListing } from "./listing.ts";
import { formatTime } from "./table.ts";
import type { SnapshotInfo } from "../storage/replica_client.ts";

/** List them; returns the exit code. */
export function runSnapshots(request: ListingRequest, output: Output): Promise<number> {
  return runListing(request, output, {
    header: ["replica", "generation", "index", "size", "created"],
    async list(client) {
      const snapshots: SnapshotInfo[][] = [];
      for (const generation of await client.generations()) {
        snapshots.push(await client.snapshots(generation));
      }
      return snapshots.flat();
    },
    cells: ({ generation, index, size, createdAt }, replica) => [
      replica,
      generation,
      `${index}`,
      `${size}`,
      formatTime(createdAt),
    ],
    value: ({ generation, index, size, createdAt }, replica) => ({
      replica,
      generation,
      index,
      size,
      created: createdAt.toISOString(),
    }),
  });
}
