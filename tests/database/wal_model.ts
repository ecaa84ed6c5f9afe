/**
 * SQLite's WAL protocol as far as checkpoints and readers go, in plain values: what a statement may do to the WAL, to
 * what is backfilled, and to which mark a reader stands on. From the description in SQLite's wal.c, not from src/.
 */
import assert from "node:assert/strict";
import type { WalIndex } from "../../src/wal/wal_index.ts";

/** A slot that no mark is in. */
const UNUSED = 0xffffffff;

/** How a checkpoint is asked for. */
export type Mode = "PASSIVE" | "FULL" | "RESTART" | "TRUNCATE";

/** Where a connection stands that reads: slot 0 pins nothing, a slot from 1 to 4 the frames from its mark on. */
export interface Stand {
  readonly slot: number;
  readonly mark: number;
}

/** One WAL and everybody who has it open; all of it happens one thing after the other. */
export class WalModel {
  /** Counts restarts. */
  walNumber = 0;
  frameCount = 0;
  backfilledCount = 0;
  /** Commits since the model began. */
  commitCount = 0;
  readonly #stands = new Map<object, Stand>();
  /** Marks in slots 0 to 4. */
  #marks: number[] = [0, UNUSED, UNUSED, UNUSED, UNUSED];
  #salts = "";
  #writer: object | undefined;

  /** Where `reader` stands; `undefined` while it has no transaction. */
  standOf(reader: object): Stand | undefined {
    return this.#stands.get(reader);
  }

  /** Whoever reads now. */
  get readers(): readonly object[] {
    return [...this.#stands.keys()];
  }

  get isWriteLocked(): boolean {
    return this.#writer !== undefined;
  }

  /** Begin with what is there. */
  adopt(index: WalIndex): void {
    this.frameCount = index.mxFrame;
    this.backfilledCount = index.backfilledCount;
    this.#marks = [0, ...index.readMarks];
    this.#salts = String(index.salts);
  }

  /** The real wal-index has to say what the model does; slots that nobody stands in are taken over from it. */
  agree(index: WalIndex, when: string): void {
    const found = `WAL of ${index.mxFrame} frames, ${index.backfilledCount} backfilled`;
    assert.equal(found, `WAL of ${this.frameCount} frames, ${this.backfilledCount} backfilled`, when);
    const marks = [0, ...index.readMarks];
    for (const { slot, mark } of this.#stands.values()) {
      assert.equal(marks[slot], mark, `${when}: a mark changed under a reader`);
    }
    this.#marks = marks;
    // The first frame of an empty WAL brings new salts at times.
    if (this.frameCount > 0) assert.equal(String(index.salts), this.#salts, `${when}: salts`);
    this.#salts = String(index.salts);
  }

  /** `reader` begins to read, as walTryBeginRead() has it. */
  beginReading(reader: object): void {
    if (this.#stands.has(reader)) return;
    if (this.backfilledCount === this.frameCount) {
      this.#stands.set(reader, { slot: 0, mark: 0 });
      return;
    }
    let best = 0;
    for (let slot = 1; slot < this.#marks.length; slot++) {
      const mark = this.#marks[slot]!;
      if (mark <= this.frameCount && mark >= (best === 0 ? 0 : this.#marks[best]!)) best = slot;
    }
    if (best === 0 || this.#marks[best]! < this.frameCount) {
      const free = [1, 2, 3, 4].find((slot) => !this.#isTaken(slot));
      if (free !== undefined) {
        this.#marks[free] = this.frameCount;
        best = free;
      }
    }
    assert.notEqual(best, 0, "the model has too many readers");
    this.#stands.set(reader, { slot: best, mark: this.#marks[best]! });
  }

  /** `connection` ends its transaction. */
  end(connection: object): void {
    this.#stands.delete(connection);
    if (this.#writer === connection) this.#writer = undefined;
  }

  /** `connection` takes the write lock and keeps it. @returns whether it could */
  beginWriting(connection: object): boolean {
    if (this.#writer !== undefined) return false;
    this.beginReading(connection);
    this.#writer = connection;
    return true;
  }

  /** Whether the next frame that is written begins the WAL anew. */
  get mayRestart(): boolean {
    return this.backfilledCount === this.frameCount && this.frameCount > 0 && !this.#isPinned;
  }

  /** Somebody commits in a transaction of its own; nobody holds the write lock. */
  commit(index: WalIndex): void {
    if (this.mayRestart) this.#restart(index);
    else if (this.frameCount === 0) this.#salts = String(index.salts);
    assert.ok(index.mxFrame > this.frameCount, "a commit without frames");
    this.frameCount = index.mxFrame;
    this.commitCount++;
  }

  /** Somebody writes frames and rolls them back; nobody holds the write lock. */
  spill(index: WalIndex): void {
    if (this.mayRestart) this.#restart(index);
  }

  /** Somebody checkpoints, without waiting for anybody. */
  checkpoint(mode: Mode, look: () => WalIndex): void {
    const isPassive = mode === "PASSIVE" || this.#writer !== undefined;
    if (this.backfilledCount < this.frameCount) {
      let safe = this.frameCount;
      for (let slot = 1; slot < this.#marks.length; slot++) {
        const mark = this.#marks[slot]!;
        if (mark >= safe) continue;
        if (this.#isTaken(slot)) safe = mark;
        else this.#marks[slot] = slot === 1 ? safe : UNUSED;
      }
      const isHeld = [...this.#stands.values()].some(({ slot }) => slot === 0);
      if (!isHeld) this.backfilledCount = Math.max(this.backfilledCount, safe);
    }
    if (isPassive || mode !== "TRUNCATE" || this.#isPinned) return;
    if (this.backfilledCount === this.frameCount) this.#restart(look());
  }

  #restart(index: WalIndex): void {
    this.walNumber++;
    this.frameCount = this.backfilledCount = 0;
    assert.notEqual(String(index.salts), this.#salts, "a WAL began anew with the salts that it had");
    this.#salts = String(index.salts);
    this.#marks = [0, 0, UNUSED, UNUSED, UNUSED];
  }

  get #isPinned(): boolean {
    return [...this.#stands.values()].some(({ slot }) => slot > 0);
  }

  #isTaken(slot: number): boolean {
    return [...this.#stands.values()].some((stand) => stand.slot === slot);
  }
}
