/** Whether one index follows the other, as a note says. */
import { DamagedObjectError } from "../errors.ts";
import { formatIndex, type IndexEnd } from "../position.ts";
import { segmentKey } from "../storage/keys.ts";
import type { SegmentInfo, SnapshotInfo } from "../storage/replica_client.ts";
import { equalPair } from "../wal/header.ts";

/**
 * Compare how an index ended with what the note of a later object says of it.
 *
 * @throws {DamagedObjectError} that names the segment which must be missing, or else the object with the note
 */
export function checkSuccession(
  ended: IndexEnd,
  { stated, by }: { stated: IndexEnd; by: SegmentInfo | SnapshotInfo },
): void {
  const index = formatIndex(ended.index);
  if (stated.index === ended.index && stated.length > ended.length) {
    throw new DamagedObjectError(
      segmentKey({ ...by, index: ended.index, offset: ended.length }),
      `missing: index ${index} ended at offset ${stated.length}, as ${by.key} says, and the stored ` +
        `segments end at ${ended.length}`,
    );
  }
  const isSame = stated.index === ended.index && stated.length === ended.length &&
    equalPair(stated.checksum, ended.checksum) && equalPair(stated.salts, ended.salts);
  if (isSame) return;
  throw new DamagedObjectError(
    by.key,
    `it follows another index ${formatIndex(stated.index)} (offset ${stated.length}) than the stored index ` +
      `${index} (offset ${ended.length})`,
  );
}
