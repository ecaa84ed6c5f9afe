/** When one replica last got further, and what it is known to hold. */
import type { Clock } from "../runtime/clock.ts";

/** Told of whatever a replica achieves. Ages are milliseconds, times milliseconds since 1970. */
export class ReplicaProgress {
  readonly #clock: Clock;
  #startMs: number;
  #walMs: number;
  #snapshotMs: number;
  #missingSnapshotMs: number;
  #furthest = 0;
  #waitingCount = 0;
  #lastUploadAt: number | undefined;
  #newestSnapshotAt: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startMs =
      this.#walMs =
      this.#snapshotMs =
      this.#missingSnapshotMs =
        clock.monotonicMs();
  }

  /** Uploads begin. */
  started(): void {
    this.#startMs = this.#walMs = this.#clock.monotonicMs();
  }

  /** Everything that there was a moment ago is in the replica. */
  caughtUp(): void {
    this.#walMs = this.#clock.monotonicMs();
  }

  /** A segment was stored. */
  uploaded(): void {
    this.#walMs = this.#clock.monotonicMs();
    this.#lastUploadAt = this.#clock.now();
  }

  /** What a listing showed: times of what was stored before we began. */
  found({ snapshotAt, newestAt }: { snapshotAt: Date | undefined; newestAt: Date | undefined }): void {
    this.#newestSnapshotAt = latest(this.#newestSnapshotAt, snapshotAt);
    this.#lastUploadAt = latest(this.#lastUploadAt, newestAt);
  }

  /** The generation lacks a snapshot, and one begins. */
  snapshotBegun(): void {
    this.#missingSnapshotMs = this.#snapshotMs = this.#clock.monotonicMs();
    this.#furthest = 0;
  }

  /**
   * That snapshot has come to `bytes` of its way. Only the furthest counts: tries that fail at one place again and again
   * get nowhere.
   */
  snapshotAdvanced(bytes: number): void {
    if (bytes <= this.#furthest) return;
    this.#furthest = bytes;
    this.#snapshotMs = this.#clock.monotonicMs();
  }

  /** That snapshot waits for something that is judged by itself; dispose of what is returned when it goes on. */
  snapshotWaits(): Disposable {
    this.#waitingCount++;
    return {
      [Symbol.dispose]: () => {
        this.#waitingCount--;
        this.#snapshotMs = this.#clock.monotonicMs();
      },
    };
  }

  /** A snapshot was stored that began at `at`. */
  snapshotStored(at: Date): void {
    this.#newestSnapshotAt = latest(this.#newestSnapshotAt, at);
    this.#lastUploadAt = this.#clock.now();
  }

  /** Since the uploads began. */
  get sinceStartMs(): number {
    return this.#clock.monotonicMs() - this.#startMs;
  }

  /** Since the last segment was stored, or the last time that none was missing. */
  get sinceWalMs(): number {
    return this.#clock.monotonicMs() - this.#walMs;
  }

  /** Since the snapshot that is missing got further; 0 while it waits for its turn. */
  get sinceSnapshotMs(): number {
    return this.#waitingCount > 0 ? 0 : this.#clock.monotonicMs() - this.#snapshotMs;
  }

  /** How long the generation has been without a snapshot, if it is. */
  get missingSnapshotForMs(): number {
    return this.#clock.monotonicMs() - this.#missingSnapshotMs;
  }

  /** When something was last stored; `undefined` until that is known. */
  get lastUploadAt(): number | undefined {
    return this.#lastUploadAt;
  }

  /** When the newest snapshot was begun; `undefined` until there is one. */
  get newestSnapshotAt(): number | undefined {
    return this.#newestSnapshotAt;
  }
}

function latest(known: number | undefined, found: Date | undefined): number | undefined {
  if (found === undefined) return known;
  return known === undefined ? found.getTime() : Math.max(known, found.getTime());
}
