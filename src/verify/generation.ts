/** One generation, read once from its first snapshot on. */
import type { SnapshotNote } from "../codec/note.ts";
import type { ObjectNote } from "../codec/object.ts";
import { DamagedObjectError, EncryptionError, NotFoundError } from "../errors.ts";
import { formatIndex, type IndexOffset } from "../position.ts";
import { FetchError } from "../restore/damage.ts";
import type { Inventory } from "../restore/inventory.ts";
import { noSnapshots } from "../restore/plan.ts";
import { Prefetcher } from "../restore/prefetch.ts";
import { writeSnapshot } from "../restore/snapshot.ts";
import type { FrameSink } from "../restore/wal_replay.ts";
import type { Files, OpenFile } from "../runtime/files.ts";
import { parseSegmentName, segmentsPrefix, snapshotKey } from "../storage/keys.ts";
import type { ReplicaClient, SegmentInfo, SnapshotInfo } from "../storage/replica_client.ts";
import { ContentCheck } from "./content.ts";
import { type ItemFacts, orderItems, positionOf, RestorePoints, type StoredItem } from "./costs.ts";
import { History } from "./history.ts";
import { PageCover } from "./page_cover.ts";
import type { Damage, Finding, FindingKind, GenerationReport } from "./report.ts";
import type { Snapshotless } from "./snapshotless.ts";

/** How a generation is looked at. */
export interface GenerationOptions {
  readonly inventory: Inventory;
  /** What it is where it has no snapshot. Default: damage. */
  readonly snapshotless?: Snapshotless | undefined;
  /** For -deep: an empty folder for the database. Default: the objects are only checked. */
  readonly deep?: { readonly folderPath: string; readonly files: Files } | undefined;
  readonly parallelism: number;
  /** Called with the stored bytes of each piece that was read. */
  readonly onBytes?: ((count: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An object went away while the replica was looked at, as retention takes it: the listing has to be made again. */
export class ListingChangedError extends Error {
  override readonly name = "ListingChangedError";
}

/** Verify one generation. @throws {Error} when it can't be looked at; {ListingChangedError} */
export async function verifyGeneration(
  client: ReplicaClient,
  options: GenerationOptions,
): Promise<GenerationReport> {
  const { deep } = options;
  const run = new GenerationRun(client, options);
  if (deep === undefined) return await run.run(undefined);
  const { tell, onUnchecked, onUnknownExtension } = run;
  const { signal } = options;
  using content = await ContentCheck.open({ ...deep, tell, onUnchecked, onUnknownExtension, signal });
  return await run.run(content);
}

/** A place for the bytes of a snapshot that is only decoded. */
const NOWHERE: Pick<OpenFile, "write"> = { write: () => Promise.resolve() };

class GenerationRun {
  readonly #client: ReplicaClient;
  readonly #options: GenerationOptions;
  readonly #items: readonly StoredItem[];
  readonly #orphans: readonly SegmentInfo[];
  readonly #facts: ItemFacts[] = [];
  readonly #faults = new Map<string, { readonly key: string; readonly reason: string }>();
  readonly #findings = new Map<FindingKind, Finding>();
  readonly #cover: PageCover;
  readonly #history: History;
  #content: ContentCheck | undefined;
  #isNoted = false;
  #bytes = 0;
  #sealedCount = 0;
  #seal: EncryptionError | undefined;

  constructor(client: ReplicaClient, options: GenerationOptions) {
    this.#client = client;
    this.#options = options;
    const { snapshots, segments } = options.inventory;
    const first = snapshots[0]?.index ?? Infinity;
    this.#orphans = segments.filter((segment) => segment.index < first);
    this.#items = orderItems(snapshots, segments.slice(this.#orphans.length));
    this.#cover = new PageCover(options.inventory.generation, this.tell);
    this.#history = new History({
      sinkFor: (pageSize) => this.#sinkFor(pageSize),
      tell: this.tell,
      onBreak: () => {
        this.#cover.reset();
        this.#content?.reset();
      },
    });
  }

  readonly tell = (key: string, reason: string): void => {
    // The first fault of an object is the one that matters.
    if (!this.#faults.has(key)) this.#faults.set(key, { key, reason });
  };

  readonly onUnchecked = (key: string, reason: string): void => this.#find("unchecked", key, reason);

  readonly onUnknownExtension = (key: string, reason: string): void => this.#find("extension", key, reason);

  async run(content: ContentCheck | undefined): Promise<GenerationReport> {
    this.#content = content;
    await using source = new Prefetcher(this.#client, this.#items, {
      parallelism: this.#options.parallelism,
      signal: this.#options.signal,
      onBytes: (count) => {
        this.#bytes += count;
        this.#options.onBytes?.(count);
      },
    });
    for (const item of this.#items) {
      this.#options.signal?.throwIfAborted();
      try {
        if ("offset" in item) await this.#segment(item, source);
        else await this.#snapshot(item, source);
      } catch (error) {
        this.#fault(item, error);
      }
    }
    if (this.#seal !== undefined && this.#sealedCount === this.#items.length) throw this.#seal;
    if (this.#cover.isInTransaction) {
      this.#find(
        "unfinished",
        this.#items.at(-1)!.key,
        "the transaction at the end never committed; a restore leaves it out",
      );
    }
    this.#history.finish();
    this.#cover.finish();
    await content?.finish();
    return this.#report();
  }

  async #snapshot(snapshot: SnapshotInfo, source: Prefetcher): Promise<void> {
    this.#history.reach(snapshot);
    const file = await this.#content?.openSnapshot() ?? NOWHERE;
    let restored;
    try {
      restored = await writeSnapshot((await source.next(snapshot)).stream(), {
        snapshot,
        file,
        reserve: (bytes) => this.#requireFree(bytes),
        signal: this.#options.signal,
      });
    } catch (error) {
      this.#content?.dropSnapshot();
      this.#note(snapshot, undefined);
      throw error;
    }
    const { note, noteDamage, pageSize, pageCount } = restored;
    this.#note(snapshot, { note, noteDamage });
    this.#history.meet(snapshot, { note, pageSize });
    this.#cover.meet({ snapshot, note, pageCount });
    this.#content?.meet({ snapshot, note, pageCount, pageSize });
  }

  async #segment(segment: SegmentInfo, source: Prefetcher): Promise<void> {
    this.#cover.beginIndex(segment.index);
    await this.#content?.beginIndex(segment.index);
    let isNoted = false;
    try {
      await this.#history.take(segment, {
        fetch: () => source.next(segment),
        onNote: (note) => {
          isNoted = true;
          this.#note(segment, note);
        },
        signal: this.#options.signal,
      });
    } finally {
      if (!isNoted) this.#note(segment, undefined);
    }
  }

  #note(item: StoredItem, stands: ObjectNote | undefined): void {
    const { note, noteDamage } = stands ?? {};
    if (noteDamage !== undefined) {
      this.#find("note", item.key, `its note is damaged, its content is whole: ${noteDamage}`);
    }
    const rightFrom = note?.kind === "snapshot" ? (note satisfies SnapshotNote).offset : 0;
    this.#facts.push({ item, at: note?.newestCommitAt ?? this.#timeOf(item), rightFrom });
    this.#isNoted ||= note !== undefined;
  }

  /** Where notes tell the times, the one of an object without is behind the one before, as far as anybody knows. */
  #timeOf(item: StoredItem): Date {
    const before = this.#facts.at(-1);
    return this.#isNoted && before !== undefined ? new Date(before.at.getTime() + 1) : item.createdAt;
  }

  #fault(item: StoredItem, error: unknown): void {
    this.#options.signal?.throwIfAborted();
    if (error instanceof EncryptionError) {
      this.#seal ??= error;
      this.#sealedCount++;
      this.tell(item.key, error.message.replace(`${item.key}: `, ""));
    } else if (error instanceof DamagedObjectError) {
      if (error.cause instanceof NotFoundError) {
        throw new ListingChangedError(error.message, { cause: error });
      }
      this.tell(error.key, error.message.replace(`${error.key}: `, ""));
    } else throw error;
  }

  async #requireFree(bytes: number): Promise<void> {
    const { deep } = this.#options;
    if (deep === undefined) return;
    const free = await deep.files.freeBytes(deep.folderPath);
    if (free >= bytes) return;
    throw new FetchError(
      `-deep restores the database: it needs ${bytes} bytes and only ${free} are free in ${deep.folderPath}: ` +
        "make room there, or set TMPDIR to another folder",
    );
  }

  #sinkFor(pageSize: number): FrameSink {
    const [cover, content] = [this.#cover, this.#content];
    return {
      get isFull() {
        return content?.isFull ?? false;
      },
      async makeRoom() {
        await content?.makeRoom();
      },
      put(pageNumber, bytes, at) {
        cover.put(pageNumber);
        content?.put(pageNumber, bytes, { at, pageSize });
      },
      commit(pageCount, end) {
        cover.commit(pageCount, { end, pageSize });
        content?.commit(pageCount, end);
      },
    };
  }

  #find(kind: FindingKind, key: string, message: string, count = 1): void {
    const known = this.#findings.get(kind);
    if (known === undefined) this.#findings.set(kind, { kind, key, message, count });
    else this.#findings.set(kind, { ...known, count: known.count + count });
  }

  #report(): GenerationReport {
    const { inventory } = this.#options;
    const { generation, snapshots, segments } = inventory;
    this.#findOrphans();
    this.#findSteps();
    const points = new RestorePoints(this.#facts);
    const faults = [...this.#faults.values()].map((fault) => ({ ...fault, at: this.#positionOf(fault.key) }));
    for (const { at } of faults) points.lose(at);
    const damages: Damage[] = faults.map(({ key, reason, at }) => ({ key, reason, cost: points.costOf(at) }));
    const times = points.reachable.map(({ at }) => at.getTime());
    const timeOf = (ms: number) => times.length === 0 ? undefined : new Date(ms);
    return {
      generation,
      snapshotCount: snapshots.length,
      segmentCount: segments.length,
      bytes: this.#bytes,
      pointCount: points.count,
      reachableCount: times.length,
      earliestAt: timeOf(times.reduce((least, at) => Math.min(least, at), Infinity)),
      latestAt: timeOf(times.reduce((most, at) => Math.max(most, at), -Infinity)),
      continuity: this.#history.continuity,
      integrityCheckCount: this.#content?.integrityCheckCount ?? 0,
      comparedSnapshotCount: this.#content?.comparedCount ?? 0,
      damages,
      findings: [...this.#findings.values()],
    };
  }

  #findOrphans(): void {
    const { inventory, snapshotless } = this.#options;
    const [orphan] = this.#orphans;
    if (orphan === undefined) return;
    const leftover = (message: string) => this.#find("leftover", orphan.key, message, this.#orphans.length);
    if (inventory.snapshots.length > 0) {
      leftover(
        "wal from before the first snapshot: retention that was interrupted leaves it, or a snapshot is missing",
      );
    } else if (snapshotless === "leftover") {
      leftover(
        "wal without a snapshot, from before another generation: its first one broke off, or is lost",
      );
    } else if (snapshotless === "beginning") {
      const message = "missing: the generation has wal and no snapshot: its first one is on its way, " +
        "broke off, or is lost";
      this.#find("beginning", snapshotKey(orphan), message);
    } else {
      this.tell(snapshotKey(orphan), `missing: ${noSnapshots(inventory).message}`);
    }
  }

  #findSteps(): void {
    const { unproven, overlapCount } = this.#history;
    const keyOf = (index: number) =>
      this.#items.find((item) => "offset" in item && item.index === index)!.key;
    const [first] = unproven;
    if (first !== undefined) {
      const message = `nothing shows that index ${formatIndex(first)} follows the one before`;
      this.#find("unproven", keyOf(first), message, unproven.length);
    }
    if (overlapCount === 0) return;
    const message = "segments repeat a part of the one before, which is passed over";
    this.#find("overlap", segmentsPrefix(this.#options.inventory.generation), message, overlapCount);
  }

  #positionOf(key: string): IndexOffset {
    const item = this.#items.find((other) => other.key === key);
    if (item !== undefined) return positionOf(item);
    const prefix = segmentsPrefix(this.#options.inventory.generation);
    // What is missing and no segment is the snapshot without which nothing can be restored.
    return parseSegmentName(key.slice(prefix.length)) ?? { index: -1, offset: 0 };
  }
}
