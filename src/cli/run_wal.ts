/** What `walbrook wal` does. */
import type { Output } from "./command.ts";
import type { ListingRequest } from "./listing_request.ts";
import { type ListingRow, runListing } from "./listing.ts";
import { formatTime } from "./table.ts";

/** What is to be listed. */
export interface WalRequest extends ListingRequest {
  /** Absent: every generation. */
  readonly generation?: string | undefined;
}

/** List them; returns the exit code. */
export function runWal(request: WalRequest, output: Output): Promise<number> {
  return runListing(request, output, {
    header: ["replica", "generation", "index", "offset", "size", "created"],
    async list(client) {
      const rows: ListingRow[] = [];
      for (const generation of await client.generations()) {
        if (request.generation !== undefined && generation !== request.generation) continue;
        for (const { index, offset, size, createdAt } of await client.segments(generation)) {
          rows.push({
            cells: [client.name, generation, `${index}`, `${offset}`, `${size}`, formatTime(createdAt)],
            value: {
              replica: client.name,
              generation,
              index,
              offset,
              size,
              created: createdAt.toISOString(),
            },
          });
        }
      }
      return rows;
    },
  });
}
