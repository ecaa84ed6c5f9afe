/** The snapshots of one database that are being read. */
import type { SnapshotSource } from "./snapshot.ts";

/** Each is in here until it is closed. */
export class OpenSnapshots {
  readonly #sources = new Set<SnapshotSource>();

  /** Whether none is open, so that the WAL may be checkpointed as a whole. */
  get isEmpty(): boolean {
    return this.#sources.size === 0;
  }

  /** `inner`, that leaves when it is closed. */
  add(inner: SnapshotSource): SnapshotSource {
    const close = () => {
      this.#sources.delete(source);
      inner.close();
    };
    const source: SnapshotSource = { ...inner, close, [Symbol.dispose]: close };
    this.#sources.add(source);
    return source;
  }

  /** A snapshot that goes on without our descriptors would read unlocked; its next read fails instead. */
  closeAll(): void {
    for (const source of this.#sources) source.close();
  }
}
