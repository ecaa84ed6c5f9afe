/**
 * The objects of one generation in their order, checked as a restore checks them. Where a restore would end at the
 * first fault, this tells of it and goes on at the next index, the first place where a WAL can be checked again.
 */
import type { Note } from "../codec/note.ts";
import type { ObjectNote } from "../codec/object.ts";
import { BrokenHistoryError, DamagedObjectError, NotFoundError } from "../errors.ts";
import { checkOrder } from "../restore/plan.ts";
import type { FetchedObject } from "../restore/prefetch.ts";
import { replaySegment } from "../restore/replay_segment.ts";
import { checkNote, type FrameSink, WalReplay } from "../restore/wal_replay.ts";
import type { SegmentInfo, SnapshotInfo } from "../storage/replica_client.ts";
import type { StoredItem } from "./costs.ts";
import type { Continuity } from "./report.ts";
import type { TellDamage } from "./page_cover.ts";

/** What is told while the history is checked. */
export interface HistoryOptions {
  /** Takes the frames that were checked. */
  readonly sinkFor: (pageSize: number) => FrameSink;
  readonly tell: TellDamage;
  /** Called where what follows can't be checked against what came before. */
  readonly onBreak: () => void;
}

/** Take objects with `meet()` and `take()` in the order of their names. */
export class History {
  readonly #options: HistoryOptions;
  /** `undefined` while the rest of an index can't be checked. */
  #replay: WalReplay | undefined;
  #pageSize = 0;
  /** What the next object has to follow by its name. */
  #previous: StoredItem | undefined;
  #last: StoredItem | undefined;
  #snapshot: { readonly object: SnapshotInfo; readonly note: Note | undefined } | undefined;
  readonly #ended: WalReplay[] = [];

  constructor(options: HistoryOptions) {
    this.#options = options;
  }

  /** How the indexes so far follow one another. */
  get continuity(): Continuity {
    let [proven, evident] = [0, 0];
    for (const { provenCount, evidentCount } of this.#ended) {
      proven += provenCount;
      evident += evidentCount;
    }
    return { proven, evident, unproven: this.unproven.length };
  }

  /** Indexes whose step from the one before nothing proves. */
  get unproven(): readonly number[] {
    return this.#ended.flatMap(({ unproven }) => unproven);
  }

  get overlapCount(): number {
    return this.#ended.reduce((sum, { overlapCount }) => sum + overlapCount, 0);
  }

  /** The snapshot that is next in order, by its name alone. */
  reach(snapshot: SnapshotInfo): void {
    this.#checkOrder(snapshot);
  }

  /** The same snapshot, once it was read and is sound. */
  meet(object: SnapshotInfo, { note, pageSize }: { note: Note | undefined; pageSize: number }): void {
    if (pageSize !== 0) this.#pageSize = pageSize;
    this.#snapshot = { object, note };
    try {
      this.#replay?.meet(object, note);
    } catch (error) {
      if (this.#blame(error) !== object.key) this.#break();
    }
  }

  /** The next segment. @throws {Error} when it can't be fetched or read, which says nothing about its content */
  async take(
    segment: SegmentInfo,
    { fetch, ...options }: {
      fetch: () => Promise<FetchedObject>;
      onNote: (note: ObjectNote) => void;
      signal?: AbortSignal | undefined;
    },
  ): Promise<void> {
    this.#checkOrder(segment);
    try {
      await replaySegment(new Feed(this), await fetch(), { segment, ...options });
    } catch (error) {
      this.#break();
      this.#blame(error);
    }
  }

  /** There are no more objects. */
  finish(): void {
    const snapshot = this.#snapshot;
    // A snapshot that no segment follows may still say that it needs some.
    if (this.#replay === undefined && snapshot !== undefined && this.#last === snapshot.object) {
      this.begin(snapshot.object.index);
    }
    try {
      this.#replay?.finish();
    } catch (error) {
      this.#blame(error);
    }
  }

  /** The run of frames that goes on. */
  get replay(): WalReplay | undefined {
    return this.#replay;
  }

  /** Begin a run of frames at the start of `index`, whatever came before. */
  begin(index: number): WalReplay {
    const replay = new WalReplay({ pageSize: this.#pageSize, sinkFor: this.#options.sinkFor });
    if (this.#snapshot?.object.index === index) replay.meet(this.#snapshot.object, this.#snapshot.note);
    this.#ended.push(replay);
    return this.#replay = replay;
  }

  /** What comes before `segment` has lost its end: tell, and begin again with `segment` if that can be. */
  restart(error: unknown, segment: SegmentInfo): WalReplay | undefined {
    const isOwn = error instanceof DamagedObjectError && error.key === segment.key;
    if (isOwn || !(error instanceof DamagedObjectError)) throw error;
    this.#blame(error);
    this.#break();
    return segment.offset === 0 ? this.begin(segment.index) : undefined;
  }

  #checkOrder(item: StoredItem): void {
    const previous = this.#previous;
    this.#last = item;
    // The WAL goes on under a snapshot, unless something is missing before it.
    const isWithin = !("offset" in item) && previous !== undefined && "offset" in previous;
    try {
      if (previous !== undefined) checkOrder(previous, item);
      if (!isWithin) this.#previous = item;
    } catch (error) {
      this.#previous = item;
      this.#blame(error);
      this.#break();
    }
  }

  #break(): void {
    this.#replay = undefined;
    this.#options.onBreak();
  }

  /** @returns the key that is to blame */
  #blame(error: unknown): string {
    if (!(error instanceof DamagedObjectError) && !(error instanceof BrokenHistoryError)) throw error;
    if (error.cause instanceof NotFoundError) throw error;
    this.#options.tell(error.key, withoutKey(error));
    return error.key;
  }
}

/** Passes one segment on to the history's run of frames, or only looks at its note where there is none. */
class Feed {
  readonly #history: History;
  #segment: SegmentInfo | undefined;
  #note: Note | undefined;
  #isFirst = true;

  constructor(history: History) {
    this.#history = history;
  }

  begin(segment: SegmentInfo, note: Note | undefined): void {
    checkNote(segment, note);
    this.#segment = segment;
    this.#note = note;
    const replay = this.#history.replay ??
      (segment.offset === 0 ? this.#history.begin(segment.index) : undefined);
    try {
      replay?.begin(segment, note);
    } catch (error) {
      this.#history.restart(error, segment)?.begin(segment, note);
    }
  }

  async accept(bytes: Uint8Array): Promise<void> {
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    try {
      await this.#history.replay?.accept(bytes);
    } catch (error) {
      const replay = this.#history.restart(error, this.#segment!);
      // The header came with these bytes, so that nothing before them is lost.
      if (replay === undefined || !isFirst) return;
      replay.begin(this.#segment!, this.#note);
      await replay.accept(bytes);
    }
  }

  end(): void {
    this.#history.replay?.end();
  }
}

function withoutKey({ key, message }: DamagedObjectError | BrokenHistoryError): string {
  const text = message.startsWith(`${key}: `) ? message.slice(key.length + 2) : message;
  return text.endsWith(`: ${key}`) ? text.slice(0, -key.length - 2) : text;
}
