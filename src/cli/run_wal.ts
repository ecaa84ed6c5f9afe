/** What `walbrook wal` does. */
import type { Output } from "./command.ts";
import type { ListingRequest } from "./listing_request.ts";
import { runListing } from "./listing.ts";
import { formatTime } from "./table.ts";
import type { SegmentInfo } from "../storage/replica_client.ts";

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
      const segments: SegmentInfo[][] = [];
      for (const generation of await client.generations()) {
        if (request.generation !== undefined && generation !== request.generation) continue;
        segments.push(await client.segments(generation));
      }
      return segments.flat();
    },
    cells: ({ generation, index, offset, size, createdAt }, replica) => [
      replica,
      generation,
      `${index}`,
      `${offset}`,
      `${size}`,
      formatTime(createdAt),
    ],
    value: ({ generation, index, offset, size, createdAt }, replica) => ({
      replica,
      generation,
      index,
      offset,
      size,
      created: createdAt.toISOString(),
    }),
  });
}
