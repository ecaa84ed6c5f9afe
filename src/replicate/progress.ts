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
  #waitingFromMs: number | undefined;
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
   * That snapshot has come so far: a share of its way, which is 1 for what goes straight to the store and up to 2 for
   * what is staged. Only the furthest counts: tries that fail at one place again and again get nowhere.
   */
  snapshotAdvanced(share: number): void {
    if (share <= this.#furthest) return;
    this.#furthest = share;
    this.#snapshotMs = this.#clock.monotonicMs();
  }

  /**
   * That snapshot waits for something that is judged by itself, a time that doesn't count; dispose of what is returned
   * when it goes on.
   */
  snapshotWaits(): Disposable {
    const from = this.#waitingFromMs = this.#clock.monotonicMs();
    return {
      [Symbol.dispose]: () => {
        this.#waitingFromMs = undefined;
        // It may have come further meanwhile: what it waited before that is forgiven already.
        this.#snapshotMs += this.#clock.monotonicMs() - Math.max(from, this.#snapshotMs);
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

  /** Since the snapshot that is missing got further, without what it waited for its turn. */
  get sinceSnapshotMs(): number {
    return Math.max(0, (this.#waitingFromMs ?? this.#clock.monotonicMs()) - this.#snapshotMs);
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
