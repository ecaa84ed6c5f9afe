/** How large the parts of an upload are. Its length isn't known when it begins. */

const MIB = 1024 * 1024;

/** The most parts that a server takes. */
export const MAX_PART_COUNT = 10_000;

/** The smallest part that servers take, but for the last one. */
export const MIN_PART_SIZE = 5 * MIB;

/** The largest part that servers take. */
export const MAX_PART_SIZE = 5 * 1024 * MIB;

/**
 * Bytes of part `partNumber` (from 1): `firstSize` for the first half of the parts, then twice as much after each
 * 500 more. With 8 MiB that is flat to 39 GiB and 7.8 TiB in all, more than an object may have.
 *
 * @param options.areEqual all parts but the last are `firstSize`
 */
export function partSizeAt(
  partNumber: number,
  { firstSize, areEqual = false }: { firstSize: number; areEqual?: boolean },
): number {
  if (areEqual) return firstSize;
  const doublings = Math.max(0, Math.ceil((partNumber - MAX_PART_COUNT / 2) / 500));
  return Math.min(MAX_PART_SIZE, firstSize * 2 ** doublings);
}
