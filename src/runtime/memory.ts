/** What the two runtimes need to keep their memory small. */

/**
 * Free what is no longer used. Bun lets buffers pile up to a multiple of what is alive before it collects; Deno
 * counts them and needs no help.
 */
export function releaseUnusedMemory(): void {
  (globalThis as { Bun?: { gc(isSync: boolean): unknown } }).Bun?.gc(true);
}
