/** What `walbrook snapshots` does. */
import type { Output } from "./command.ts";
import type { ListingRequest } from "./listing_request.ts";
import { type ListingRow, runListing } from "./listing.ts";
import { formatTime } from "./table.ts";

/** List them; returns the exit code. */
export function runSnapshots(request: ListingRequest, output: Output): Promise<number> {
  return runListing(request, output, {
    header: ["replica", "generation", "index", "size", "created"],
    async list(client) {
      const rows: ListingRow[] = [];
      for (const generation of await client.generations()) {
        for (const { index, size, createdAt } of await client.snapshots(generation)) {
          rows.push({
            cells: [client.name, generation, `${index}`, `${size}`, formatTime(createdAt)],
            value: { replica: client.name, generation, index, size, created: createdAt.toISOString() },
          });
        }
      }
      return rows;
    },
  });
}
