/** Where SQLite keeps its lock bytes; the page that holds this byte is never written. */
const LOCK_BYTE_AT = 0x40000000;

/**
 * The page that no database of this page size ever writes. What a file holds there means nothing, and it need not be the
 * same in a copy.
 */
export function lockPageOf(pageSize: number): number {
  return Math.floor(LOCK_BYTE_AT / pageSize) + 1;
}
