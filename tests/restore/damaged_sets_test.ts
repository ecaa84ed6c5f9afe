/**
 * Restores from random damaged sets of objects against an oracle that knows the whole history: objects that are
 * dropped, cut, flipped, stored twice, that overlap, that a stale listing hides or still shows, that the store can't
 * give, in any order.
 *
 * What comes out is the state that was asked for, or a refusal that names an object or says that there is nothing.
 * A shorter state only where nothing can show that there was more: all that was written later is in no listing.
 */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import fc from "fast-check";
import { readAll } from "../../src/bytes.ts";
import { decodeObjectBytes, encodeObjectBytes } from "../../src/codec/object.ts";
import { comparePositions, frameSize } from "../../src/position.ts";
import type { RestoreTarget } from "../../src/restore/plan.ts";
import { restore, type RestoreSummary } from "../../src/restore/restore.ts";
import { segmentKey, snapshotKey } from "../../src/storage/keys.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { buildReplica, BUILT_FROM, type BuiltReplica, fileHash } from "../builders/replica_builder.ts";
import { type MemoryObject, MemoryStore } from "../doubles/memory_store.ts";
import { recordLogs } from "../doubles/recording_logger.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { recordFigure } from "../figures.ts";

const SEED = Number(process.env["WALBROOK_SEED"] ?? Date.now() % 2 ** 31);

/** So many take some seconds; more are tried by hand. */
const RUNS = Number(process.env["WALBROOK_RUNS"] ?? 600);

/** Until an object is stored, behind its newest commit. */
const UPLOAD_MS = 300;

/** Damage to the object with the number `pick`, counted round. */
interface Edit {
  readonly kind: typeof KINDS[number];
  readonly pick: number;
  readonly amount: number;
}

const KINDS = [
  "drop",
  "drop",
  "drop",
  "cut",
  "flip",
  "gone",
  "hide",
  "overlap",
  "overlap",
  "stale",
  "stale segments",
  "twice",
  "unreadable",
] as const;

/** An object of the healthy history. */
interface Healthy {
  readonly key: string;
  readonly index: number;
  /** Absent for a snapshot. */
  readonly offset: number | undefined;
  readonly at: Date;
  readonly state: string;
  readonly stored: Uint8Array;
  /** Of a segment, behind its last frame. */
  readonly end: number;
}

/** A history with snapshots at the start and in the middle of indexes, and what each object of it leads to. */
class History {
  private constructor(
    readonly generation: string,
    readonly pageSize: number,
    readonly all: readonly Healthy[],
  ) {}

  static async of({ client, objects, generation, pageSize }: BuiltReplica): Promise<History> {
    const all: Healthy[] = [];
    for (const { key, index, offset, at, state } of objects) {
      const stored = await readAll(await client.store.get(key), { limit: 1e7 });
      const end = (offset ?? 0) + decodeObjectBytes(stored).raw.length;
      all.push({ key, index, offset, at, state: state!, stored, end });
    }
    return new History(generation, pageSize, all);
  }

  /** What a restore to `target` takes in of `objects`. */
  within(objects: readonly Healthy[], target: RestoreTarget): readonly Healthy[] {
    return objects.filter(({ at, index, offset }) => {
      if (target.kind === "latest") return true;
      if (target.kind === "moment") return at <= target.at;
      if (target.kind === "index") return index <= target.index;
      return index < target.index || (index === target.index && (offset ?? -1) < target.offset);
    });
  }

  /** Apply `edits` to what is stored. */
  damage(edits: readonly Edit[]): Map<string, MemoryObject> {
    const objects = new Map<string, MemoryObject>();
    for (const { key, stored, at } of this.all) objects.set(key, placed(stored, at));
    for (const { kind, pick, amount } of edits) {
      const nth = pick % this.all.length;
      const { key } = this.all[nth]!;
      const object = objects.get(key);
      if (kind === "overlap") this.#overlap(objects, { nth, frameCount: amount % 3 + 1 });
      else if (kind === "stale" || kind === "stale segments") {
        for (const later of this.all.slice(nth + 1)) {
          const other = objects.get(later.key);
          const isMeant = kind === "stale" || later.offset !== undefined;
          if (other !== undefined && isMeant) objects.set(later.key, { ...other, isHidden: true });
        }
      } else if (object === undefined) continue;
      else if (kind === "drop") objects.delete(key);
      else if (kind === "gone") objects.set(key, { ...object, isGone: true });
      else if (kind === "hide") objects.set(key, { ...object, isHidden: true });
      else if (kind === "unreadable") {
        objects.set(key, { ...object, bytes: object.bytes.slice(), isUnreadable: true });
      } else if (kind === "twice") objects.set(this.#otherKey(nth, amount), object);
      else if (kind === "cut") {
        const bytes = object.bytes.slice(0, amount % object.bytes.length);
        objects.set(key, { ...object, bytes });
      } else {
        const bytes = object.bytes.slice();
        bytes[amount % bytes.length]! ^= 1 + (amount >> 8) % 255;
        objects.set(key, { ...object, bytes });
      }
    }
    return objects;
  }

  /** A name that no object of the history has. */
  #otherKey(nth: number, amount: number): string {
    const { generation } = this;
    const { key, index, offset } = this.all[nth]!;
    const last = this.all.at(-1)!.index;
    const names = [
      segmentKey({ generation, index: last + 1, offset: 0 }),
      segmentKey({ generation, index: last, offset: 1_000_000 }),
      snapshotKey({ generation, index: last + 1 }),
      snapshotKey({ generation, index: index + 3 }),
    ];
    if (offset !== undefined) {
      names.push(segmentKey({ generation, index, offset: offset + 1 }), key.replace("_", "_0"));
    }
    return names[amount % names.length]!;
  }

  /** A segment begins some frames before the end of the one before it, as Litestream's do at times. */
  #overlap(
    objects: Map<string, MemoryObject>,
    { nth, frameCount }: { nth: number; frameCount: number },
  ): void {
    const { generation } = this;
    const segment = this.all[nth]!;
    const before = this.all.find(({ index, end, offset }) =>
      offset !== undefined && index === segment.index && end === segment.offset
    );
    if (before === undefined || !objects.has(segment.key)) return;
    const raw = decodeObjectBytes(before.stored).raw;
    const repeated = Math.min(
      frameCount * frameSize(this.pageSize),
      raw.length - 32 - frameSize(this.pageSize),
    );
    const offset = segment.offset! - repeated;
    const note = decodeObjectBytes(segment.stored).note!;
    const bytes = encodeObjectBytes(
      new Uint8Array([...raw.subarray(raw.length - repeated), ...decodeObjectBytes(segment.stored).raw]),
      { note: { ...note, offset } },
    );
    const object = objects.get(segment.key)!;
    objects.delete(segment.key);
    objects.set(segmentKey({ generation, index: segment.index, offset }), { ...object, bytes });
  }
}

function placed(bytes: Uint8Array, at: Date): MemoryObject {
  return { bytes, createdAt: new Date(at.getTime() + UPLOAD_MS) };
}

/** What came of the runs. */
const tally = { right: 0, shorter: 0, refused: 0 };

/** Judge one restore. */
function judge(
  history: History,
  { edits, objects, target, state, outcome, warnings }: {
    edits: readonly Edit[];
    objects: ReadonlyMap<string, MemoryObject>;
    target: RestoreTarget;
    state: string | undefined;
    outcome: RestoreSummary | Error;
    warnings: readonly string[];
  },
): void {
  const asked = history.within(history.all, target).at(-1);
  if (state === undefined || outcome instanceof Error) {
    tally.refused++;
    assert.match(
      String(outcome),
      /generations\/0123456789abcdef\/(wal|snapshots)\/|no matching backups|no snapshots|locate index/,
    );
    // What loses nothing must not be refused.
    const isHarmless = edits.every(({ kind }) => kind === "overlap") && target.kind !== "index";
    assert.ok(!isHarmless || asked === undefined, `refused: ${outcome}`);
    return;
  }
  if (asked !== undefined && state === asked.state) return void tally.right++;
  const isListed = ({ key, index, end, offset }: Healthy) => {
    const isThere = (name: string) => objects.has(name) && objects.get(name)!.isHidden !== true;
    if (isThere(key)) return true;
    // It may be there by another name, or begin earlier by now.
    if (isThere(key.replace("_", "_0"))) return true;
    return offset !== undefined && end > 0 && [1, 2, 3].some((count) => {
      const at = offset - count * frameSize(history.pageSize);
      return at >= 0 && isThere(segmentKey({ generation: history.generation, index, offset: at }));
    });
  };
  const listed = history.all.filter(isListed);
  const isDoubtTold = warnings.some((message) => message.includes("left out has no sound note"));
  const known = isDoubtTold ? listed.filter(({ key, stored }) => objects.get(key)?.bytes === stored) : listed;
  const reached = history.within(known, target).at(-1);
  assert.ok(reached !== undefined && asked !== undefined, "a state came out of nothing");
  assert.equal(state, reached.state, "neither what was asked for nor what is there");
  assert.ok(
    target.kind !== "index" || reached.index === target.index,
    "another index than the one asked for",
  );
  // Whoever asks for a position compares it with that.
  if (target.kind === "position") assert.ok(comparePositions(outcome.lastPosition, target) < 0);
  const isTold = isDoubtTold ||
    warnings.some((message) => message.includes("nothing shows that the index is whole"));
  assert.ok(listed.at(-1) === reached || isTold, "shorter, and what is listed behind it shows that");
  tally.shorter++;
}

const edits = fc.array(
  fc.record({ kind: fc.constantFrom(...KINDS), pick: fc.nat(100), amount: fc.nat(1_000_000) }),
  { maxLength: 3 },
);

test("restore() from any damaged set of objects is right, or refused by name, and never silently shorter", async () => {
  using folder = temporaryFolder();
  const made = { indexCount: 4, segmentsPerIndex: 3, pageSize: 512 };
  const built = await buildReplica({ folder: folder.path, ...made, snapshotIndexes: [2], snapshotAfter: 1 });
  const history = await History.of(built);
  const positions = history.all.filter(({ offset }) => offset !== undefined);
  const target = fc.oneof(
    fc.constant<RestoreTarget>({ kind: "latest" }),
    fc.nat(4).map((index): RestoreTarget => ({ kind: "index", index })),
    fc.integer({ min: -1, max: 13 }).map((seconds): RestoreTarget => ({
      kind: "moment",
      at: new Date(BUILT_FROM.getTime() + seconds * 1000 + UPLOAD_MS / 2),
    })),
    fc.constantFrom(...positions).map(({ index, end }): RestoreTarget => ({
      kind: "position",
      index,
      offset: end,
    })),
  );
  const outputPath = join(folder.path, "restored.db");
  await fc.assert(
    fc.asyncProperty(edits, target, fc.infiniteStream(fc.nat()), async (edits, target, order) => {
      const objects = history.damage(edits);
      const shuffled = [...objects].map((entry) => ({ entry, by: order.next().value! }))
        .sort((left, right) => left.by - right.by).map(({ entry }) => entry);
      const client = new ReplicaClient(new MemoryStore(new Map(shuffled)));
      const { logger, records } = recordLogs();
      const outcome = await restore({ clients: [client], outputPath, target, logger }).catch((error: Error) =>
        error
      );
      const state = !(outcome instanceof Error) ? fileHash(outputPath) : undefined;
      rmSync(outputPath, { force: true });
      const warnings = records.filter(({ level }) => level === "warn").map(({ message }) => message);
      judge(history, { edits, objects, target, state, outcome, warnings });
    }),
    { seed: SEED, numRuns: RUNS },
  );
  const { right, shorter, refused } = tally;
  recordFigure(
    "restores from damaged sets of objects",
    `seed ${SEED}, ${right} right, ${refused} refused by name, ${shorter} as far as the listing goes, 0 wrong`,
  );
  assert.ok(right > 150 && refused > 150 && shorter > 10, JSON.stringify(tally));
});
